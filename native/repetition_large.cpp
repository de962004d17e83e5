// Gopher's repetition rules on the words of a document of 20 MB, which can have seventeen million.
//
// The same n-grams, hashes and counts as in repetition.cpp, where every n-gram has its place in a few arrays: 20 bytes a
// word, and more to compare them. Here nothing is kept of an n-gram. Its hash comes out of the one before it, upper bounds
// come out of tables of a fixed size where that is enough, and spans with equal hashes are compared word by word where they
// lie in the text. Exact counts end where they have passed their limit.
#include <algorithm>
#include <array>
#include <cstring>

#include "first_seen.hpp"
#include "gopher.hpp"
#include "polynomial.hpp"

namespace smol {
namespace {

Verdict dropped(std::string reason) { return {Verdict::kDropped, std::move(reason)}; }

double share(uint64_t part, uint64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

// Items whose places in a table are fetched ahead.
constexpr size_t kAhead = 16;

// The n-grams of a document one after the other: the first word's part leaves the hash, one division by its length moves
// the rest to the front, the new last word comes in. Modulo 2^64 all of that is exact.
class Rolling {
  public:
    // The document has at least n words.
    Rolling(const Document& doc, bool spaced, uint32_t n) : words_(doc.words.data()), n_(n), spaced_(spaced) {
        for (uint32_t k = 0; k < n; ++k) take(words_[k]);
    }
    // Of the n-gram at hand: its hash times kSpread, and the characters of stock's string, which has no space at its end.
    uint64_t hash() const { return hash_ * kSpread; }
    uint64_t chars() const { return chars_ - spaced_; }
    uint64_t chars_before() const { return chars_before_; }
    // Must not be called on the last n-gram.
    void next() {
        const Word& first = words_[at_];
        const uint64_t inverse = kPowers.inverse_of(first.bytes + spaced_);
        hash_ = (hash_ - own(first)) * inverse;
        power_ *= inverse;
        chars_ -= first.chars + spaced_;
        chars_before_ += first.chars + spaced_;
        take(words_[at_++ + n_]);
    }

  private:
    uint64_t own(const Word& word) const { return word.hash + (spaced_ ? ' ' * kPowers.of(word.bytes) : 0); }
    void take(const Word& word) {
        hash_ += own(word) * power_;
        power_ *= kPowers.of(word.bytes + spaced_);
        chars_ += word.chars + spaced_;
    }
    const Word* words_;
    const uint32_t n_;
    const bool spaced_;
    size_t at_ = 0;
    uint64_t hash_ = 0, power_ = 1, chars_ = 0, chars_before_ = 0;
};

// Whether stock's strings of two n-grams are equal. With a space behind every word they may still be cut differently,
// where a word has a space inside; without one they often are.
bool same(const Document& doc, bool spaced, size_t i, size_t j, uint32_t n) {
    // One n-gram, read in pieces: words and the spaces between them.
    struct Reader {
        const Document& doc;
        const bool spaced;
        size_t next, end;
        std::string_view left = {};
        bool at_space = false;
        bool fill() {
            while (left.empty()) {
                if (at_space) {
                    at_space = false;
                    left = " ";
                } else if (next < end) {
                    left = doc.word(doc.words[next++]);
                    at_space = spaced;
                } else {
                    return false;
                }
            }
            return true;
        }
    };
    Reader a{doc, spaced, i, i + n}, b{doc, spaced, j, j + n};
    for (;;) {
        const bool more = a.fill();
        if (more != b.fill()) return false;
        if (!more) return true;
        const size_t bytes = std::min(a.left.size(), b.left.size());
        if (std::memcmp(a.left.data(), b.left.data(), bytes) != 0) return false;
        a.left.remove_prefix(bytes);
        b.left.remove_prefix(bytes);
    }
}

// At least find_top_duplicate's result: n-grams that share a slot are taken for equal and as long as the longest of them.
// A limit is a share of the whole text, so a few slots tell enough, and these stay in the processor's own memory.
uint64_t most_top_chars(const Document& doc, size_t count, uint32_t n) {
    struct Slot {
        uint32_t times = 0, chars = 0;
    };
    constexpr int kBits = 16;
    std::vector<Slot> slots(size_t{1} << kBits);
    Rolling gram(doc, true, n);
    for (size_t i = 0;;) {
        Slot& slot = slots[gram.hash() >> (64 - kBits)];
        ++slot.times;
        slot.chars = std::max(slot.chars, static_cast<uint32_t>(gram.chars()));
        if (++i == count) break;
        gram.next();
    }
    uint64_t most = 0;
    for (const Slot& slot : slots) most = std::max(most, uint64_t{slot.times} * slot.chars);
    return most;
}

// datatrove's find_top_duplicate.
uint64_t top_chars(const Document& doc, size_t count, uint32_t n) {
    FirstSeen seen(count);
    std::vector<uint32_t> times(count);
    uint32_t best = 0;
    uint64_t best_chars = 0;
    Rolling gram(doc, true, n), ahead(doc, true, n);
    for (size_t i = 0, known = 0;;) {
        while (known < std::min(i + kAhead, count)) {
            seen.expect(ahead.hash());
            if (++known < count) ahead.next();
        }
        const int64_t found = seen.find_or_add(gram.hash(), static_cast<uint32_t>(i),
                                               [&](uint32_t j) { return same(doc, true, i, j, n); });
        const uint32_t first = found < 0 ? static_cast<uint32_t>(i) : static_cast<uint32_t>(found);
        const uint32_t now = ++times[first];
        if (now > times[best] || (now == times[best] && first <= best)) {
            best = first;
            best_chars = gram.chars();
        }
        if (++i == count) break;
        gram.next();
    }
    return best_chars * times[best];
}

// Whether find_all_duplicate may give more than the limit. As in repetition.cpp, n-grams that count there lie within the
// union of all that occur earlier. "Earlier" is three bits of one word of a filter, kBitsPerGram bits large for each
// n-gram: it errs as rarely as one bit in a filter of several times the size, and memory is what this waits for.
bool may_pass(const Document& doc, size_t count, uint32_t n, double limit) {
    constexpr size_t kBitsPerGram = 12;
    struct Ahead {
        uint64_t begin, end, bits;
        uint64_t* word;
    };
    std::vector<uint64_t> filter(count * kBitsPerGram / 64 + 1);
    std::array<Ahead, kAhead * 2> block;
    Rolling gram(doc, false, n);
    uint64_t chars = 0, covered = 0;
    for (size_t i = 0; i < count;) {
        const size_t size = std::min(block.size(), count - i);
        for (size_t k = 0; k < size; ++k, ++i) {
            if (i) gram.next();
            const uint64_t hash = gram.hash();
            Ahead& next = block[k];
            next.begin = gram.chars_before();
            next.end = next.begin + gram.chars();
            next.word = &filter[(hash >> 32) * filter.size() >> 32];
            const uint64_t low = hash * kSpread >> 46;
            next.bits = uint64_t{1} << (low & 63) | uint64_t{1} << (low >> 6 & 63) | uint64_t{1} << (low >> 12);
            __builtin_prefetch(next.word, 1);
        }
        for (size_t k = 0; k < size; ++k) {
            const Ahead& now = block[k];
            const bool seen = (*now.word & now.bits) == now.bits;
            *now.word |= now.bits;
            if (!seen) continue;
            chars += now.end - std::max(now.begin, covered);
            covered = now.end;
        }
    }
    return share(chars, doc.chars) > limit;
}

// Whether datatrove's find_all_duplicate gives more than the limit.
bool passes(const Document& doc, size_t count, uint32_t n, double limit) {
    FirstSeen seen(count);
    uint64_t chars = 0;
    Rolling gram(doc, false, n), ahead(doc, false, n);
    for (size_t i = 0, known = 0; i < count;) {
        while (known < std::min(i + kAhead, count)) {
            seen.expect(ahead.hash());
            if (++known < count) ahead.next();
        }
        const bool before = seen.find_or_add(gram.hash(), static_cast<uint32_t>(i),
                                             [&](uint32_t j) { return same(doc, false, i, j, n); }) >= 0;
        if (before) {
            chars += gram.chars();
            if (share(chars, doc.chars) > limit) return true;
        }
        const size_t to = i + (before ? n : 1);
        for (; i < to; ++i)
            if (i + 1 < count) gram.next();
    }
    return share(chars, doc.chars) > limit;
}

}  // namespace

Verdict RepetitionRules::judge_many_words(const Document& doc) const {
    const size_t words = doc.words.size();
    for (const auto [n, limit] : top) {
        if (words < n) continue;
        const size_t count = words - n + 1;
        if (share(most_top_chars(doc, count, n), doc.chars) > limit && share(top_chars(doc, count, n), doc.chars) > limit)
            return dropped("top_" + std::to_string(n) + "_gram");
    }
    for (const auto [n, limit] : duplicated) {
        const size_t count = words < n ? 0 : words - n + 1;
        const bool over = count ? may_pass(doc, count, n, limit) && passes(doc, count, n, limit) : 0 > limit;
        if (over)
            return dropped("duplicated_" + std::to_string(n) + "_n_grams");
    }
    return {};
}

}  // namespace smol
