// From a text to the mean of its rows. See language.hpp.
#include "language.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <stdexcept>

#include "blocks.hpp"

namespace smol::language {
namespace {

constexpr std::string_view kEndOfSentence = "</s>";
constexpr std::string_view kLabel = "__label__";
// Longer words are not remembered: links and noise, hardly ever seen again.
constexpr size_t kLongestKey = Memo::kLongestKey;
// Words whose places in the memory are fetched before the first of them is looked up.
constexpr size_t kAhead = 32;
// Rows are added up when so many have been found: a text of any size needs little memory.
constexpr size_t kBatch = 4096;

// What fastText splits at: space, \t, \n, \v, \f, \r and NUL.
inline bool splits(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' && (0x100003E01u >> byte & 1);
}

// clang forgets the type's alignment in templates; a copy of four bytes is a load too.
inline float load_float(const LooseFloat* p) {
    float value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

// Adds rows to a part of the sum, kWidth elements from `from` on, which stay in registers.
template <size_t kWidth>
void add_part(float* sum, size_t from, size_t dim, const LooseFloat* rows, const uint32_t* ids, size_t n) {
    float acc[kWidth];
    for (size_t j = 0; j < kWidth; ++j) acc[j] = sum[from + j];
    for (size_t i = 0; i < n; ++i) {
        const LooseFloat* next = rows + size_t{ids[i + Memo::kSlack]} * dim + from;
        for (size_t j = 0; j < kWidth; j += 16) __builtin_prefetch(next + j);
        const LooseFloat* row = rows + size_t{ids[i]} * dim + from;
        for (size_t j = 0; j < kWidth; ++j) acc[j] += load_float(row + j);
    }
    for (size_t j = 0; j < kWidth; ++j) sum[from + j] = acc[j];
}

void add_rows(float* sum, size_t dim, const LooseFloat* rows, const uint32_t* ids, size_t n) {
    if (dim == 16) return add_part<16>(sum, 0, 16, rows, ids, n);
    size_t from = 0;
    for (; from + 32 <= dim; from += 32) add_part<32>(sum, from, dim, rows, ids, n);
    for (; from + 4 <= dim; from += 4) add_part<4>(sum, from, dim, rows, ids, n);
    for (; from < dim; ++from) add_part<1>(sum, from, dim, rows, ids, n);
}

}  // namespace

// The running sum of rows, each element added in the order of the text.
class Model::Sum {
  public:
    Sum(const LooseFloat* rows, size_t dim, std::vector<float>& sum) : rows_(rows), dim_(dim), sum_(sum) {
        sum_.assign(dim, 0.0f);
    }
    void add(uint32_t row) {
        if (size_ >= kBatch) flush();
        ids_[size_++] = row;
    }
    void add(const Memo::Entry& entry) {
        const uint32_t *row = entry.rows(), n = entry.num_rows;
        if (n > Memo::kSlack) {
            for (uint32_t i = 0; i < n; ++i) add(row[i]);
            return;
        }
        // Most words have few rows: one copy of a fixed size, the surplus is overwritten by the next.
        if (size_ >= kBatch) flush();
        std::memcpy(&ids_[size_], row, Memo::kSlack * sizeof *row);
        size_ += n;
    }
    size_t pending() const { return size_; }
    const uint32_t* from(size_t first) const { return &ids_[first]; }
    bool finish() {
        flush();
        if (count_ == 0) return false;
        const float share = static_cast<float>(1.0 / static_cast<double>(count_));
        bool sane = true;
        for (float& x : sum_) {
            x *= share;
            sane &= std::fabs(x) < 1e15f;  // further on, no product of such numbers overflows
        }
        return sane;
    }
    void flush() {
        std::fill_n(&ids_[size_], Memo::kSlack, 0);  // rows that are fetched, not added
        add_rows(sum_.data(), dim_, rows_, ids_.get(), size_);
        count_ += size_;
        size_ = 0;
    }

  private:
    const LooseFloat* rows_;
    const size_t dim_;
    std::vector<float>& sum_;
    std::unique_ptr<uint32_t[]> ids_{new uint32_t[kBatch + 2 * Memo::kSlack]};
    size_t size_ = 0;
    uint64_t count_ = 0;
};

// The n-grams of `<word>`, in characters: each hash continues that of the n-gram which is one character shorter.
void Model::find_ngrams(std::string_view word, Sum& sum) const {
    char space[kLongestKey + 2];
    std::unique_ptr<char[]> more;
    const size_t size = word.size() + 2;
    char* const bytes = size <= sizeof space ? space : (more.reset(new char[size]), more.get());
    bytes[0] = '<';
    std::memcpy(bytes + 1, word.data(), word.size());
    bytes[size - 1] = '>';
    auto inside = [bytes](size_t i) { return (bytes[i] & 0xC0) == 0x80; };
    const auto min = static_cast<size_t>(minn_), max = static_cast<size_t>(maxn_);
    uint32_t found[64];
    size_t num_found = 0;
    auto drain = [&] {
        const size_t num_rows = buckets_.to_rows(found, num_found);
        for (size_t i = 0; i < num_rows; ++i) sum.add(found[i]);
        num_found = 0;
    };
    for (size_t i = 0; i < size; ++i) {
        if (inside(i)) continue;
        uint32_t hash = kHashStart;
        for (size_t j = i, n = 1; j < size && n <= max; ++n) {
            do hash = hash_byte(hash, bytes[j++]);
            while (j < size && inside(j));
            if (n < min || (n == 1 && (i == 0 || j == size))) continue;
            found[num_found] = buckets_.bucket(hash);
            buckets_.prefetch(found[num_found]);
            if (++num_found == std::size(found)) drain();
        }
    }
    drain();
}

// Adds a word's rows; false when the text ends with it.
bool Model::find_rows(const Key& key, uint64_t hash, Sum& sum, Memo* memo) const {
    const std::string_view word = key.bytes;
    const int32_t id = dictionary_.find(word, hash_word(word));
    const bool is_word = id < 0 ? word.substr(0, kLabel.size()) != kLabel : static_cast<uint32_t>(id) < num_words_;
    const bool ends = word == kEndOfSentence;
    if (memo && sum.pending() + 8 * kLongestKey > kBatch) sum.flush();
    const size_t first = sum.pending();
    if (is_word) {
        if (id >= 0) sum.add(static_cast<uint32_t>(id));
        if (maxn_ > 0 && !ends) find_ngrams(word, sum);
    }
    if (memo && !ends && sum.pending() - first <= 8 * kLongestKey)
        memo->insert(key, hash, sum.from(first), sum.pending() - first);
    return !ends;
}

bool Model::hidden(std::string_view text, std::vector<float>& mean, Memo& memo) const {
    Sum sum(rows_, dim_, mean);
    struct {
        Key key{" "};
        uint64_t hash = 0;
    } words[kAhead];
    size_t num_words = 0, start = 0;
    const char* const end = text.data() + text.size();
    // Adds the rows of the words that wait; false when the text ends with one of them.
    auto look_up = [&] {
        for (size_t i = 0; i < num_words; ++i) memo.prefetch_entry(words[i].hash);
        for (size_t i = 0; i < num_words; ++i) {
            const auto& [key, hash] = words[i];
            const bool keep = key.bytes.size() <= kLongestKey;
            if (const Memo::Entry* known = keep ? memo.find(key, hash) : nullptr)
                sum.add(*known);
            else if (!find_rows(key, hash, sum, keep ? &memo : nullptr))
                return false;
        }
        num_words = 0;
        return true;
    };
    auto ends_word = [&](size_t place) {
        if (place > start) {
            auto& word = words[num_words++];
            word.key = Key(text.substr(start, place - start), end);
            word.hash = place - start > kLongestKey ? 0 : word.key.hash();
            memo.prefetch_slot(word.hash);
        }
        start = place + 1;
        return num_words < kAhead || look_up();
    };
    bool open = true;
    for_each_byte(text, [](Eight bytes) { return bytes.up_to_space(); },
                  [&](size_t place) { return !splits(text[place]) || (open = ends_word(place)); });
    open = open && ends_word(text.size()) && look_up();
    if (open) find_rows(Key(kEndOfSentence), 0, sum, nullptr);  // the newline that ends every line
    return sum.finish();
}

bool Model::hidden(std::string_view text, std::vector<float>& mean) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock) return hidden(text, mean, memo_);
    Memo spare(1 << 18);  // another thread is at work: no waiting for it
    return hidden(text, mean, spare);
}

bool Model::best(std::string_view text, uint32_t& label, float& score) {
    std::vector<float> mean;
    return hidden(text, mean) && output_.best(mean.data(), label, score);
}

bool Model::scores(std::string_view text, const std::vector<uint32_t>& labels, std::vector<float>& out) {
    for (uint32_t label : labels)
        if (label >= labels_.size()) throw std::out_of_range("no such label");
    std::vector<float> mean;
    if (!hidden(text, mean)) return false;
    output_.scores(mean.data(), labels, out);
    return true;
}

void Dictionary::build(std::vector<std::string_view> words) {
    words_ = std::move(words);
    size_t size = 16;
    while (size < 2 * words_.size()) size *= 2;
    slots_.assign(size, -1);
    mask_ = size - 1;
    for (size_t id = 0; id < words_.size(); ++id) {
        size_t i = hash_word(words_[id]) & mask_;
        for (; slots_[i] >= 0; i = (i + 1) & mask_)
            if (words_[static_cast<size_t>(slots_[i])] == words_[id]) throw std::invalid_argument("a word twice");
        slots_[i] = static_cast<int32_t>(id);
    }
}

void Buckets::keep(uint32_t num_buckets, const std::vector<std::pair<uint32_t, uint32_t>>& rows) {
    count(num_buckets);
    kept_.assign(num_buckets / 64 + 1, 0);
    size_t size = 16;
    while (size < 2 * rows.size()) size *= 2;
    slots_.assign(size, {UINT32_MAX, 0});
    mask_ = size - 1;
    for (const auto& [bucket, row] : rows) {
        if (kept_[bucket >> 6] >> (bucket & 63) & 1) throw std::invalid_argument("a bucket twice");
        kept_[bucket >> 6] |= uint64_t{1} << (bucket & 63);
        size_t i = place(bucket);
        while (slots_[i].bucket != UINT32_MAX) i = (i + 1) & mask_;
        slots_[i] = {bucket, row};
    }
}

size_t Buckets::to_rows(uint32_t* buckets, size_t n) const {
    if (all_) {
        for (size_t i = 0; i < n; ++i) buckets[i] += first_row_;
        return n;
    }
    size_t num_kept = 0;
    for (size_t i = 0; i < n; ++i) {
        const uint32_t bucket = buckets[i];
        buckets[num_kept] = bucket;
        num_kept += kept_[bucket >> 6] >> (bucket & 63) & 1;
    }
    for (size_t i = 0; i < num_kept; ++i) __builtin_prefetch(&slots_[place(buckets[i])]);
    for (size_t i = 0; i < num_kept; ++i) {
        size_t slot = place(buckets[i]);
        while (slots_[slot].bucket != buckets[i]) slot = (slot + 1) & mask_;
        buckets[i] = slots_[slot].row;
    }
    return num_kept;
}

}  // namespace smol::language
