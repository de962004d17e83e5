// The words of one document, as spans of its text (or of a buffer, where a splitter gave strings).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "unicode.hpp"

namespace smol {

constexpr uint8_t kNotPunct = 4;  // has a character outside of PUNCTUATION_SET

// Longer words are left to stock.
constexpr size_t kMaxWordBytes = 0x7FFF, kMaxWordChars = 0x3FFF;

struct Word {
    Word() = default;
    Word(uint32_t offset_, size_t bytes_, size_t chars_, unsigned flags_, uint64_t hash_)
        : offset(offset_), bytes(bytes_ & kMaxWordBytes), chars(chars_ & kMaxWordChars), flags(flags_ & 7), hash(hash_) {}
    uint32_t offset;  // bytes, in the base
    uint32_t bytes : 15;
    uint32_t chars : 14;
    uint32_t flags : 3;  // union over its characters: kAlpha, kSpace, kNotPunct
    uint64_t hash;       // polynomial.hpp
};
static_assert(sizeof(Word) == 16, "a text of 20 MB can have ten million of them");

struct Document {
    std::string_view text;  // UTF-8
    uint64_t chars = 0;     // of the text
    std::string own;        // holds the words where they are not spans of the text
    bool spans = true;
    std::vector<Word> words;

    const char* base() const { return spans ? text.data() : own.data(); }
    std::string_view word(const Word& w) const { return {base() + w.offset, w.bytes}; }
};

inline uint8_t flags_of(const CharTable& chars, std::string_view s) {
    uint8_t flags = 0;
    for (const char *p = s.data(), *end = p + s.size(); p < end;) {
        const uint16_t f = chars[next_char(p)];
        flags |= static_cast<uint8_t>(f & (kAlpha | kSpace));
        if (!(f & kPunct)) flags |= kNotPunct;
    }
    return flags;
}

}  // namespace smol
