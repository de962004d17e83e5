// Properties of characters and UTF-8 decoding.
//
// The properties are asked of the running Python (Py_UNICODE_ISSPACE and so on) when a table is made, so `isspace`,
// `isalpha`, `splitlines` and the `\w`, `\d`, `\s` of `re` mean here what they mean to the stock filters, whatever
// version of Unicode this Python carries. Text is valid UTF-8 everywhere: Python refuses to encode lone surrogates.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.hpp"
#include "large_pages.hpp"

namespace smol {

enum : uint16_t {
    kSpace = 1,      // str.isspace() of one character; also `\s`
    kAlpha = 2,      // str.isalpha()
    kPunct = 4,      // member of datatrove's PUNCTUATION_SET
    kLineBreak = 8,  // ends a line for str.splitlines()
    kWordChar = 16,  // `\w` of re
    kDigit = 32,     // `\d` of re
    // What str.isupper(), istitle(), isdigit() and lower() of a whole word are made of.
    kUpper = 256,
    kLower = 512,
    kTitle = 1024,
    kDigitValue = 2048,
    kOddLower = 4096,  // lower() of the character depends on its neighbours or is longer than one character
};

constexpr uint32_t kMaxChar = 0x10FFFF;

class CharTable {
  public:
    CharTable() : flags_(kMaxChar + 1, 0) {}
    uint16_t operator[](uint32_t c) const { return flags_[c]; }
    uint16_t& at(uint32_t c) { return flags_[c]; }

  private:
    Table<uint16_t> flags_;
};

// Decodes the character at p and moves p behind it.
inline uint32_t next_char(const char*& p) {
    auto byte = [&p](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(p[i])); };
    uint32_t c = byte(0);
    if (c < 0x80) {
        p += 1;
    } else if (c < 0xE0) {
        c = (c & 0x1F) << 6 | (byte(1) & 0x3F);
        p += 2;
    } else if (c < 0xF0) {
        c = (c & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
        p += 3;
    } else {
        c = (c & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
        p += 4;
    }
    return c;
}

inline bool starts_char(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// The start of the character that ends before p.
inline const char* previous_char(const char* p) {
    do {
        --p;
    } while (!starts_char(*p));
    return p;
}

inline uint32_t count_chars(const char* p, size_t bytes) {
    uint32_t n = 0;
    for (size_t i = 0; i < bytes; ++i) n += starts_char(p[i]);
    return n;
}

// White space of the whole of Unicode starts with one of few bytes; everything else is decided by the first byte.
inline bool may_start_space(unsigned char c) { return c <= 0x20 || c == 0xC2 || c == 0xE1 || c == 0xE2 || c == 0xE3; }

// ... and has one of few second bytes, which settles the letters that share a first byte with it (all of Vietnamese).
inline bool may_be_space(unsigned char first, unsigned char second) {
    switch (first) {
        case 0xC2: return second == 0x85 || second == 0xA0;
        case 0xE1: return second == 0x9A;
        case 0xE2: return second == 0x80 || second == 0x81;
        case 0xE3: return second == 0x80;
        default: return false;
    }
}

// The number of bytes of the white-space character at p, 0 when it is none.
inline unsigned space_at(const CharTable& chars, const char* p) {
    const unsigned char first = static_cast<unsigned char>(*p);
    if (first <= 0x20) return chars[first] & kSpace ? 1 : 0;
    if (first < 0xC2 || !may_be_space(first, static_cast<unsigned char>(p[1]))) return 0;
    const char* q = p;
    const uint32_t c = next_char(q);
    return chars[c] & kSpace ? static_cast<unsigned>(q - p) : 0;
}

inline std::u32string decode(std::string_view s) {
    std::u32string out;
    out.reserve(s.size());
    for (const char *p = s.data(), *end = p + s.size(); p < end;) out.push_back(next_char(p));
    return out;
}

}  // namespace smol
