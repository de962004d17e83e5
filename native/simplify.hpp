// datatrove's simplify_text in one pass over UTF-8.
//
// Stock makes a new string for each of its steps: lower case, numbers to "0", punctuation to spaces, white space to one
// space, canonical decomposition without marks. All but numbers look at one character at a time, so the steps are
// composed once per character, by Python and with Python's own functions (filters/simplify_tables.py); what is left here
// is the text around a character: digits in a row, white space in a row, the final sigma.
//
// What marks out of a table's reach (kForeign) makes the text stock's.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace smol {

class Simplifier {
  public:
    // An entry says what becomes of a character; the bits are named alike in filters/simplify_tables.py.
    static constexpr uint32_t kValue = 0x1FFFFF;  // kBecomes: a character; kRow, kLowers: a place in `rows`
    static constexpr uint32_t kKind = 7u << 21;
    static constexpr uint32_t kItself = 0u << 21;
    static constexpr uint32_t kBecomes = 1u << 21;
    static constexpr uint32_t kDigit = 2u << 21;    // part of a number
    static constexpr uint32_t kRow = 3u << 21;      // any number of characters, none among them
    static constexpr uint32_t kLowers = 4u << 21;   // to several characters, each with an entry of its own
    static constexpr uint32_t kSigma = 5u << 21;    // U+03A3: the context decides
    static constexpr uint32_t kForeign = 6u << 21;  // stock must simplify this text
    static constexpr uint32_t kSeparator = 1u << 24;   // may stand between the digits of a number
    static constexpr uint32_t kCased = 1u << 25;       // counts as a letter for the final sigma
    static constexpr uint32_t kIgnorable = 1u << 26;   // is looked through for the final sigma
    static constexpr uint32_t kStripped = 1u << 27;    // str.isspace(): taken off both ends

    // `table`: an entry for every character. `rows`: what kRow and kLowers refer to. `collapse`: white space in a row
    // becomes one space (the table makes it spaces already).
    Simplifier(std::vector<uint32_t> table, std::vector<std::u32string> rows, bool collapse);

    // False when only stock can simplify this text. `out` is valid UTF-8.
    bool simplify(std::string_view text, std::string& out) const;

  private:
    class Writer;
    void write(Writer& out, uint32_t c, const char* next, const char* end) const;
    bool is_gap(uint32_t c) const {
        return collapse_ && (c == ' ' || (table_[c] & (kKind | kValue)) == (kBecomes | ' '));
    }
    bool sigma_is_final(const char* begin, const char* sigma, const char* end) const;
    const char* number_end(const char* p, const char* end) const;
    const char* digits_end(const char* p, const char* end) const;
    std::string_view stripped(std::string_view text) const;

    std::vector<uint32_t> table_;
    std::vector<std::u32string> rows_;
    bool collapse_;
    uint8_t plain_[256] = {};  // ASCII characters that become one, whatever is around them but a space before; 0: look
};

}  // namespace smol
