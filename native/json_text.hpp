// Long strings out of a line of JSON, faster than a general parser makes them.
//
// A parser decodes UTF-8 character by character; where every second letter has a mark, as in Vietnamese, the branches
// cannot be guessed. Here whole blocks are decoded without branches. Everything else in the line stays the parser's work
// (pipelines/json_line.py), and so does any line that is not plain: null is always an allowed answer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace smol {

struct LongString {
    std::string_view key, body;  // without their quotes
};

// The longest string that is a member's value in the object that a line is. False where there is none of at least
// `shortest` bytes, its key stands twice, a key has an escape, or the line is not an object on its outside. What is inside
// of other members is not looked at: true says where the string is in valid JSON, not that the line is valid JSON.
bool find_long_string(std::string_view line, size_t shortest, LongString& found);

// Decodes a string's body into UTF-16 code units that are whole characters. False for a character beyond U+FFFF, a
// surrogate, malformed UTF-8, and an escape that JSON does not know.
bool decode_string(std::string_view body, std::vector<uint16_t>& out);

// Whether each character is of a range in which no character decomposes, combines, or is combined into another, so that
// any text of them is in Unicode's composed form (NFC). The ranges are checked by tests/native/test_json_text.py.
bool surely_composed(const uint16_t* chars, size_t count);

}  // namespace smol
