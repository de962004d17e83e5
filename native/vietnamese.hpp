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
#include <utility>
#include <vector>

#include "large_pages.hpp"
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

// One line of the processor's cache: there is one look at each syllable of a text.
struct alignas(64) Syllable {
    Pair own;            // bias, lower, isupper, istitle, isdigit, added in this order
    Pair as_previous;    // -1:word.lower() for the syllable behind it
    Pair as_next;        // +1:word.lower() for the syllable before it
    uint64_t hash = 0;   // as in Word
    uint32_t lower = 0;  // number of its lower case in pyvi's dictionary, 0 when it is not there
    uint16_t chars = 0;  // as in Word
    uint8_t flags = 0;   // as in Word
    uint8_t kinds = 0;
    enum : uint8_t {
        kTitle = 1,        // istitle()
        kUpper = 2,        // isupper()
        kPunctuation = 4,  // "in string.punctuation"
        kDigitFirst = 8,   // of the first character
        kTitleFirst = 16,
    };
    bool is(unsigned kind) const { return kinds & kind; }
};
static_assert(sizeof(Syllable) == 64, "one line");

// Syllables, each at one place until all are forgotten.
class Syllables {
  public:
    const Syllable* add(const Syllable& syllable) {
        if (size_ % kBlock == 0) blocks_.emplace_back().reserve(kBlock);
        ++size_;
        return &blocks_.back().emplace_back(syllable);
    }
    size_t size() const { return size_; }
    void clear() {
        blocks_.clear();
        size_ = 0;
    }

  private:
    static constexpr size_t kBlock = 1 << 15;
    std::vector<Table<Syllable>> blocks_;
    size_t size_ = 0;
};

// Numbers (not 0) with a few flags each, in one flat table: it is asked once per syllable. The bits of kFlags are no part
// of a number.
template <uint64_t kFlags>
class NumberTable {
  public:
    NumberTable() : slots_(16, 0) {}
    void add(uint64_t value) {
        if (++count_ * 2 > slots_.size()) grow();
        place(value);
    }
    // Fetches what `find` will read, some numbers ahead.
    SMOL_FETCHES void expect(uint64_t number) const { __builtin_prefetch(&slots_[start(number)]); }
    // The number with its flags; 0 when it is not in the table.
    uint64_t find(uint64_t number) const {
        for (size_t i = start(number);; i = (i + 1) & (slots_.size() - 1))
            if (slots_[i] == 0 || (slots_[i] & ~kFlags) == number) return slots_[i];
    }

  private:
    size_t start(uint64_t number) const { return (number * 0x9E3779B97F4A7C15u >> 32) & (slots_.size() - 1); }
    void place(uint64_t value) {
        size_t i = start(value & ~kFlags);
        while (slots_[i] != 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = value;
    }
    void grow() {
        Table<uint64_t> old = std::move(slots_);
        slots_.assign(old.size() * 2, 0);
        for (const uint64_t value : old)
            if (value != 0) place(value);
    }
    Table<uint64_t> slots_;
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

    // pyvi's dictionary: pairs and triples of numbers (below 2^21, not 0) of lower-case syllables.
    enum : uint8_t { kBigram = 1, kStartsTrigram = 2 };
    NumberTable<kBigram | kStartsTrigram> pairs;
    NumberTable<0> triples;

    static uint64_t pair(uint32_t a, uint32_t b) { return uint64_t{a} << 29 | uint64_t{b} << 8; }
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
