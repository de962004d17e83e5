// See minhash.hpp.
#include "minhash.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "hashes.hpp"
#include "permute.hpp"

namespace smol {
namespace {

constexpr size_t kCopy = 16;
constexpr int kMostPileBits = 16;
constexpr size_t kBlock = 1024;  // hashes: 8 KB, inside of any first-level cache

// Words with single spaces between them, and where each begins and ends.
struct Joined {
    std::string text;
    std::vector<uint32_t> begin, end;

    explicit Joined(const Document& doc) {
        size_t bytes = 0;
        for (const Word& word : doc.words) bytes += word.bytes + 1;
        if (bytes > UINT32_MAX) throw std::length_error("more than 4 GB of words");
        text.resize(bytes + kCopy);
        begin.reserve(doc.words.size());
        end.reserve(doc.words.size());
        char* at = &text[0];
        const char* const base = doc.base();
        const size_t base_size = doc.spans ? doc.text.size() : doc.own.size();
        for (const Word& word : doc.words) {
            begin.push_back(static_cast<uint32_t>(at - text.data()));
            // A copy of fixed size is faster; what it writes too much is written over.
            if (word.bytes <= kCopy && word.offset + kCopy <= base_size)
                std::memcpy(at, base + word.offset, kCopy);
            else
                std::memcpy(at, base + word.offset, word.bytes);
            at += word.bytes;
            end.push_back(static_cast<uint32_t>(at - text.data()));
            *at++ = ' ';
        }
    }
};

// Sorts numbers that are mostly evenly spread over `bits` bits: dealt by their first bits into about as many piles as
// there are numbers, so that most piles hold a number or two. Each pile is sorted, so any other spread is no slower than
// sorting all of them at once.
void sort_hashes(std::vector<uint64_t>& all, int bits) {
    if (all.size() < 64) return std::sort(all.begin(), all.end());
    int pile_bits = 6;
    while (pile_bits < kMostPileBits && (size_t{2} << pile_bits) <= all.size()) ++pile_bits;
    const int shift = bits - pile_bits;
    std::vector<uint32_t> ends((size_t{1} << pile_bits) + 1);
    for (const uint64_t value : all) ++ends[(value >> shift) + 1];
    for (size_t i = 1; i < ends.size(); ++i) ends[i] += ends[i - 1];
    std::vector<uint64_t> dealt(all.size());
    for (const uint64_t value : all) dealt[ends[value >> shift]++] = value;
    size_t begin = 0;
    for (size_t i = 0; i + 1 < ends.size(); ++i) {
        // Dealing has moved the begin of each pile to its end.
        if (ends[i] - begin > 1) std::sort(dealt.begin() + begin, dealt.begin() + ends[i]);
        begin = ends[i];
    }
    all.swap(dealt);
}

}  // namespace

MinHasher::MinHasher(size_t n, GramHash hash, std::vector<uint64_t> a, std::vector<uint64_t> b)
    : n_(n), hash_(hash), a_(std::move(a)), b_(std::move(b)) {
    if (!n_) throw std::invalid_argument("an n-gram has at least one word");
    if (a_.empty() || a_.size() != b_.size()) throw std::invalid_argument("a factor and a summand for each value");
}

uint64_t MinHasher::hash(std::string_view gram) const {
    switch (hash_) {
        case GramHash::kXxh64: return xxh64(gram);
        case GramHash::kXxh32: return xxh32(gram);
        case GramHash::kSha1of64: return sha1_head(gram);
        default: return static_cast<uint32_t>(sha1_head(gram));
    }
}

template <class Take>
void MinHasher::each_block(const Document& doc, Take take) const {
    if (doc.words.size() < n_) return;
    const Joined words(doc);
    const size_t num_grams = doc.words.size() - n_ + 1;
    uint64_t block[kBlock];
    for (size_t first = 0; first < num_grams; first += kBlock) {
        const size_t count = std::min(kBlock, num_grams - first);
        for (size_t i = 0; i < count; ++i) {
            const uint32_t begin = words.begin[first + i], end = words.end[first + i + n_ - 1];
            block[i] = hash({words.text.data() + begin, end - begin});
        }
        take(block, count);
    }
}

bool MinHasher::sign(const Document& doc, std::vector<uint64_t>& best) const {
    best.assign(size(), kMersenne);
    each_block(doc, [&](const uint64_t* hashes, size_t count) { permute(hashes, count, best.data()); });
    return doc.words.size() >= n_;
}

std::vector<uint64_t> MinHasher::grams(const Document& doc) const {
    std::vector<uint64_t> all;
    if (doc.words.size() >= n_) all.reserve(doc.words.size() - n_ + 1);
    each_block(doc, [&](const uint64_t* hashes, size_t count) { all.insert(all.end(), hashes, hashes + count); });
    sort_hashes(all, is_32_bits() ? 32 : 64);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

void MinHasher::permute(const uint64_t* hashes, size_t count, uint64_t* best) const {
    const Permutations all{a_.data(), b_.data(), size(), is_32_bits() ? UINT32_MAX : ~uint64_t{0}};
    smol::permute(all, hashes, count, best);
}

}  // namespace smol
