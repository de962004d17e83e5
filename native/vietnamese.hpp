// Vietnamese words as pyvi and spaCy find them: a linear-chain CRF with two labels decides which syllables continue a
// word.
//
// Stock builds a dictionary of fifteen features per syllable and hands it to CRFsuite. Here the weights of every feature
// that depends on one syllable are fetched once per syllable (filters/vietnamese.py reads them from the model, as the
// doubles that they are), and a document adds them up in CRFsuite's order, so that every intermediate sum is the same double.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "pattern.hpp"
#include "words.hpp"

namespace smol {

struct Pair {  // one value per label
    double of[2] = {0, 0};
    Pair& operator+=(const Pair& other) {
        of[0] += other.of[0];
        of[1] += other.of[1];
        return *this;
    }
};

struct Syllable {
    Pair own;              // bias, lower, isupper, istitle, isdigit, added in this order
    Pair as_previous;      // -1:word.lower() for the syllable behind it
    Pair as_next;          // +1:word.lower() for the syllable before it
    uint32_t lower = 0;    // number of its lower case in pyvi's dictionary, 0 when it is not there
    bool title = false, upper = false;  // istitle(), isupper()
    bool punctuation = false;           // "in string.punctuation"
    bool digit_first = false, title_first = false;  // of the first character
    // As in Word.
    uint8_t flags = 0;
    uint32_t chars = 0;
    uint64_t hash = 0;
};

// Pairs of numbers below 2^21 with a few flags, in one flat table: it is asked once per syllable.
class PairTable {
  public:
    PairTable() : slots_(16, 0) {}
    void set(uint32_t a, uint32_t b, uint8_t flags) {
        if (++count_ * 2 > slots_.size()) grow();
        place(key(a, b) | flags);
    }
    // Fetches what `find` will read, some pairs ahead.
    void expect(uint32_t a, uint32_t b) const { __builtin_prefetch(&slots_[start(key(a, b))]); }
    // 0 when the pair is not in the table.
    uint8_t find(uint32_t a, uint32_t b) const {
        const uint64_t wanted = key(a, b);
        for (size_t i = start(wanted);; i = (i + 1) & (slots_.size() - 1)) {
            if (slots_[i] == 0) return 0;
            if ((slots_[i] & ~kFlags) == wanted) return static_cast<uint8_t>(slots_[i] & kFlags);
        }
    }

  private:
    static constexpr uint64_t kFlags = 0xFF;
    static uint64_t key(uint32_t a, uint32_t b) { return uint64_t{a} << 29 | uint64_t{b} << 8; }
    size_t start(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u >> 32) & (slots_.size() - 1); }
    void place(uint64_t value) {
        size_t i = start(value & ~kFlags);
        while (slots_[i] != 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = value;
    }
    void grow() {
        std::vector<uint64_t> old = std::move(slots_);
        slots_.assign(old.size() * 2, 0);
        for (const uint64_t value : old)
            if (value != 0) place(value);
    }
    std::vector<uint64_t> slots_;
    size_t count_ = 0;
};

// What the model and the dictionary know of a lower-case syllable.
struct Known {
    uint32_t number = 0;
    Pair own, as_previous, as_next;
};

struct CrfModel {
    std::unique_ptr<Pattern> syllables;  // matches one, at any place of a chunk
    Pair bias, is_upper, is_title, is_digit;
    std::unordered_map<std::string, Known> known;
    std::vector<uint32_t> lower;  // by character; those behind the end are their own lower case
    Pair previous_title, previous_upper, previous_bigram, previous_trigram;
    Pair next_title, next_upper, next_bigram, next_trigram;
    Pair transition[2];  // [from].of[to]
    int inside = 1;      // the label I_W

    // pyvi's dictionary: pairs and triples of numbers of lower-case syllables.
    enum : uint8_t { kBigram = 1, kStartsTrigram = 2 };
    PairTable pairs;
    std::unordered_set<uint64_t> triples;

    static uint64_t triple(uint32_t a, uint32_t b, uint32_t c) {
        return uint64_t{a} << 42 | uint64_t{b} << 21 | c;
    }
};

// What a syllable contributes. False where its lower case is not that of its characters one by one.
bool make_syllable(const CharTable& chars, const CrfModel& model, std::u32string_view syllable, std::string_view utf8,
                   Syllable& out);

// Sets flags, chars and hash.
void measure(const CharTable& chars, std::string_view utf8, Syllable& out);

// For every syllable whether it continues the word of the one before.
void find_words(const CrfModel& model, const std::vector<const Syllable*>& syllables, std::vector<uint8_t>& continues);

}  // namespace smol
