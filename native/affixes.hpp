// spaCy's rule-based tokenizer for one chunk (a run without white space), or several with one space between each two.
//
// The steps are those of spacy/tokenizer.pyx: strip prefixes and suffixes one at a time until nothing changes, stop
// early at a special case or a token_match, then split what is left at infixes. The rules themselves are not copied:
// prefix, suffix, infix and URL patterns and special cases are read from the tokenizer that spaCy made. A second pass
// finds special cases among the tokens; where one could reach across chunks, splitter.cpp gives them here together. Chunks
// that are long enough for the quadratic loop to matter are left to stock.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "pattern.hpp"

namespace smol {

// Which texts a table may hold, by length, first and last character: settles nearly every look-up.
class Texts {
  public:
    void add(std::u32string_view text) { bits_[place(text) >> 6] |= uint64_t{1} << (place(text) & 63); }
    bool may_hold(std::u32string_view text) const { return bits_[place(text) >> 6] >> (place(text) & 63) & 1; }

  private:
    static size_t place(std::u32string_view text) {
        const uint32_t mixed = text.front() * 0x9E3779B1u ^ text.back() * 0x85EBCA77u ^
                               static_cast<uint32_t>(text.size()) * 0xC2B2AE3Du;
        return mixed >> 17;
    }
    std::array<uint64_t, 512> bits_{};
};

struct Rules {
    // Any may be absent, as in spaCy.
    std::unique_ptr<Pattern> prefix, suffix, infix, token_match, url_match;
    // Special case -> the lengths of its tokens in characters. Views into `texts`.
    std::unordered_map<std::u32string_view, std::vector<uint32_t>> specials;
    // spaCy's second pass looks for token sequences ("patterns") of special cases. A sequence of one token, and every
    // pair of neighbours in a longer one: without one of these in a chunk, the second pass cannot change it. Tokens of
    // patterns are numbered from 1 in `pattern_tokens`; pairs are first << 16 | second.
    std::unordered_map<std::u32string_view, uint16_t> pattern_tokens;
    std::unordered_set<uint32_t> pairs;
    // Pairs in special cases that contain white space: these can change text across chunks by themselves.
    std::unordered_set<uint32_t> spaced_pairs;
    std::unordered_set<uint16_t> singles;
    std::vector<std::vector<uint16_t>> sequences;  // the patterns themselves, in numbers
    std::unordered_map<uint16_t, std::vector<uint32_t>> by_first;  // sequences by their first number
    size_t longest_sequence = 0;
    std::vector<std::unique_ptr<std::u32string>> texts;
    Texts special_texts, token_texts;  // of `specials`, of `pattern_tokens`

    std::u32string_view keep(std::u32string text) {
        texts.push_back(std::make_unique<std::u32string>(std::move(text)));
        return *texts.back();
    }
};

// Beyond these the whole document goes to stock: the loop is quadratic here too, only with a smaller constant.
constexpr size_t kMaxChunkChars = 10'000;
constexpr int64_t kMaxSteps = 20'000'000;

struct Split {
    std::vector<std::pair<int, int>> tokens;  // [start, end) in characters of the text
    std::vector<uint16_t> numbers;            // of the tokens before the second pass in Rules::pattern_tokens, or 0
    bool special = false;                     // the second pass may have changed tokens
    uint16_t first() const { return numbers.empty() ? 0 : numbers.front(); }
    uint16_t last() const { return numbers.empty() ? 0 : numbers.back(); }
};

// Chunks are split one by one, as spaCy splits the runs between white space; its second pass sees their tokens in one row,
// where a single space is no token, and looks up what it found with the spaces inside. False: too long or too slow for
// this code, ask stock.
bool split_affixes(const Rules& rules, std::u32string_view text, Split& out);

// The numbers of a chunk's tokens before the second pass (0 for tokens of no pattern) are added to `numbers`.
bool token_numbers(const Rules& rules, std::u32string_view chunk, std::vector<uint16_t>& numbers);

// Whether a pattern lies across the border between two rows of tokens.
bool pattern_across(const Rules& rules, const std::vector<uint16_t>& left, const std::vector<uint16_t>& right);

}  // namespace smol
