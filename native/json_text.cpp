// See json_text.hpp.
#include "json_text.hpp"

#include <cstring>

namespace smol {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kMaxKeys = 64;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The first quote, backslash or control character.
const char* find_special(const char* p, const char* end) {
    constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
    for (; end - p >= 8; p += 8) {
        uint64_t x;
        std::memcpy(&x, p, 8);
        const uint64_t quote = x ^ kOnes * '"', slash = x ^ kOnes * '\\';
        // Exact as to whether there is one; which byte it is, the loop below says.
        if ((((x - kOnes * 0x20) & ~x) | ((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) break;
    }
    while (p < end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
    return p;
}

// A reader of the outside of an object; every function leaves p behind what it read and is false where it is not there.
struct Scan {
    const char *p, *end;

    void spaces() {
        while (p < end && is_space(*p)) ++p;
    }
    bool take(char c) {
        spaces();
        return p < end && *p == c && (++p, true);
    }
    // Behind the opening quote.
    bool string(std::string_view& body, bool& escapes) {
        const char* begin = p;
        for (;;) {
            p = find_special(p, end);
            if (p == end) return false;
            if (*p == '"') break;
            if (*p != '\\' || end - p < 2) return false;
            escapes = true;
            p += 2;
        }
        body = {begin, static_cast<size_t>(p++ - begin)};
        return true;
    }
    // A value that is no string.
    bool other() {
        size_t depth = 0;
        const char* begin = p;
        for (; p < end; ++p) {
            if (*p == '"') {
                ++p;
                std::string_view body;
                bool escapes;
                if (!string(body, escapes)) return false;
                --p;
            } else if (*p == '{' || *p == '[') {
                ++depth;
            } else if (*p == '}' || *p == ']') {
                if (depth == 0) break;
                --depth;
            } else if (*p == ',' && depth == 0) {
                break;
            }
        }
        return depth == 0 && p > begin;
    }
};

int hex(unsigned c) {
    if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? static_cast<int>(c - 'a' + 10) : -1;
}

// Decodes UTF-8, without a branch that depends on a character. Each place of a block is decoded as if a character started
// there; then the places where one does are moved together. The text is well-formed if each first byte has the following
// bytes that it announces, and there are no others.
bool decode_utf8(std::string_view text, std::vector<uint16_t>& out) {
    out.resize(text.size() + kBlock);
    uint16_t* to = out.data();
    size_t announced = 0, following = 0;
    for (size_t at = 0; at < text.size(); at += kBlock) {
        const size_t left = text.size() - at;
        const auto* p = reinterpret_cast<const uint8_t*>(text.data() + at);
        uint8_t last[kBlock + 2] = {};
        if (left < sizeof last) {
            std::memcpy(last, p, left);
            p = last;
        }
        uint8_t any = 0;
        for (size_t i = 0; i < kBlock; ++i) any |= p[i];
        if (any < 0x80) {
            for (size_t i = 0; i < kBlock; ++i) to[i] = p[i];
            to += kBlock;
        } else {
            uint8_t starts[kBlock], wrong = 0, sum = 0, rest = 0;
            for (size_t i = 0; i < kBlock; ++i) {
                const uint8_t a = p[i], b = p[i + 1], c = p[i + 2];
                const uint8_t two = a >= 0xC0, three = a >= 0xE0, follows = (a & 0xC0) == 0x80;
                const uint8_t no_second = (b & 0xC0) != 0x80, no_third = (c & 0xC0) != 0x80;
                starts[i] = follows ^ 1;
                sum = static_cast<uint8_t>(sum + two + three);
                rest = static_cast<uint8_t>(rest + follows);
                // Too long for their character: C0, C1, E0 before 80..9F. Surrogates: ED before A0..BF.
                const uint8_t odd = static_cast<uint8_t>((a & 0xFE) == 0xC0) | (a >= 0xF0) |
                                    static_cast<uint8_t>((a == 0xE0) & (b < 0xA0)) |
                                    static_cast<uint8_t>((a == 0xED) & (b >= 0xA0));
                wrong |= static_cast<uint8_t>((two & no_second) | (three & no_third) | odd);
            }
            if (wrong) return false;
            announced += sum;
            following += rest;
            uint16_t values[kBlock];
            for (size_t i = 0; i < kBlock; ++i) {
                const uint16_t a = p[i], b = p[i + 1] & 0x3F, c = p[i + 2] & 0x3F;
                const uint16_t two = static_cast<uint16_t>((a & 0x1F) << 6 | b);
                const uint16_t three = static_cast<uint16_t>(a << 12 | b << 6 | c);
                values[i] = a < 0x80 ? a : a < 0xE0 ? two : three;
            }
            for (size_t i = 0; i < kBlock; ++i) {
                *to = values[i];
                to += starts[i];
            }
        }
        if (left < kBlock) to -= kBlock - left;
    }
    out.resize(static_cast<size_t>(to - out.data()));
    return announced == following;
}

}  // namespace

bool find_long_string(std::string_view line, size_t shortest, LongString& found) {
    Scan scan{line.data(), line.data() + line.size()};
    std::string_view keys[kMaxKeys];
    size_t count = 0;
    found = {};
    if (!scan.take('{')) return false;
    do {
        bool escapes = false;
        if (count == kMaxKeys || !scan.take('"') || !scan.string(keys[count], escapes) || escapes || !scan.take(':'))
            return false;
        std::string_view body;
        if (scan.take('"')) {
            if (!scan.string(body, escapes)) return false;
            if (body.size() > found.body.size()) found = {keys[count], body};
        } else if (!scan.other()) {
            return false;
        }
        ++count;
    } while (scan.take(','));
    if (!scan.take('}')) return false;
    scan.spaces();
    if (scan.p != scan.end || found.body.size() < shortest) return false;
    size_t same = 0;
    for (size_t i = 0; i < count; ++i) same += keys[i] == found.key;
    return same == 1;
}

bool decode_string(std::string_view body, std::vector<uint16_t>& out) {
    if (!decode_utf8(body, out)) return false;
    if (body.find('\\') == body.npos) return true;
    const uint16_t *p = out.data(), *end = p + out.size();
    uint16_t* to = out.data();
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (end - p < 2) return false;
        const uint16_t name = p[1];
        p += 2;
        switch (name) {
            case 'n': *to++ = '\n'; break;
            case 't': *to++ = '\t'; break;
            case 'r': *to++ = '\r'; break;
            case 'b': *to++ = '\b'; break;
            case 'f': *to++ = '\f'; break;
            case '"':
            case '\\':
            case '/': *to++ = name; break;
            case 'u': {
                if (end - p < 4) return false;
                const int a = hex(p[0]), b = hex(p[1]), c = hex(p[2]), d = hex(p[3]);
                if (a < 0 || b < 0 || c < 0 || d < 0) return false;
                const int code = a << 12 | b << 8 | c << 4 | d;
                if ((code & 0xF800) == 0xD800) return false;
                *to++ = static_cast<uint16_t>(code);
                p += 4;
                break;
            }
            default: return false;
        }
    }
    out.resize(static_cast<size_t>(to - out.data()));
    return true;
}

bool surely_composed(const uint16_t* chars, size_t count) {
    for (size_t at = 0; at < count; at += kBlock) {
        const size_t n = count - at < kBlock ? count - at : kBlock;
        uint8_t other = 0;
        for (size_t i = 0; i < n; ++i) {
            const uint16_t c = chars[at + i];
            // Latin with marks; punctuation but for the two spaces that are another's name.
            const bool latin = static_cast<uint16_t>(c - 0x1E00) < 0x100, marks = static_cast<uint16_t>(c - 0x2002) < 0x60;
            other |= !((c < 0x300) | latin | marks);
        }
        if (other) return false;
    }
    return true;
}

}  // namespace smol
