// See simplify.hpp.
#include "simplify.hpp"

#include <stdexcept>

#include "unicode.hpp"

namespace smol {
namespace {

constexpr uint32_t kSmallSigma = 0x3C3, kFinalSigma = 0x3C2;
constexpr size_t kMaxRow = 16;       // characters that one character becomes
constexpr size_t kSlack = 4 * kMaxRow;

}  // namespace

// A growing buffer that keeps room for one byte per byte still to be read, so that ASCII needs no look at the room. It
// begins with a space, which makes white space at the beginning one in a row; all of that is stripped in the end.
class Simplifier::Writer {
  public:
    Writer(std::string& buffer, size_t bytes) : buffer_(buffer) {
        buffer_.resize(bytes + kSlack);
        at = &buffer_[0];
        *at++ = ' ';
    }
    void make_room(size_t bytes_left) {
        const size_t used = size();
        if (buffer_.size() - used >= bytes_left + kSlack) return;
        buffer_.resize(used + 2 * (bytes_left + kSlack));
        at = &buffer_[used];
    }
    void put(uint32_t c) {
        auto byte = [this](uint32_t b) { *at++ = static_cast<char>(b); };
        if (c < 0x80) {
            byte(c);
        } else if (c < 0x800) {
            byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
        } else {
            byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
        }
    }
    size_t size() const { return static_cast<size_t>(at - buffer_.data()); }

    char* at;

  private:
    std::string& buffer_;
};

Simplifier::Simplifier(std::vector<uint32_t> table, std::vector<std::u32string> rows, bool collapse)
    : table_(std::move(table)), rows_(std::move(rows)), collapse_(collapse) {
    if (table_.size() != size_t{kMaxChar} + 1) throw std::invalid_argument("an entry for every character");
    for (const std::u32string& row : rows_)
        if (row.size() > kMaxRow) throw std::length_error("a character becomes too many");
    for (uint32_t entry : table_) {
        const uint32_t kind = entry & kKind, value = entry & kValue;
        if (((kind == kRow || kind == kLowers) && value >= rows_.size()) || value > kMaxChar)
            throw std::out_of_range("an entry points nowhere");
    }
    for (uint32_t c = 0; c < 0x80; ++c) {
        const uint32_t entry = table_[c], kind = entry & kKind;
        const uint32_t to = kind == kItself ? c : kind == kBecomes ? entry & kValue : 0;
        if (to < 0x80) plain_[c] = static_cast<uint8_t>(to);
    }
}

// What becomes of a lower-case character; the text goes on at `next`.
void Simplifier::write(Writer& out, uint32_t c, const char* next, const char* end) const {
    const uint32_t entry = table_[c];
    if ((entry & kKind) == kRow) {
        const std::u32string& row = rows_[entry & kValue];
        for (char32_t to : row) out.put(to);
        // Stock takes marks out after it has made white space in a row one space: a mark divides a row.
        if (row.empty() && out.at[-1] == ' ' && next < end && is_gap(next_char(next))) out.put(' ');
        return;
    }
    const uint32_t to = (entry & kKind) == kBecomes ? entry & kValue : c;
    if (!(collapse_ && to == ' ' && out.at[-1] == ' ')) out.put(to);
}

// As CPython's str.lower: a cased letter before it and none behind it, ignorable characters looked through.
bool Simplifier::sigma_is_final(const char* begin, const char* sigma, const char* end) const {
    uint32_t entry = 0;
    for (const char* p = sigma; p > begin;) {
        p = previous_char(p);
        const char* q = p;
        entry = table_[next_char(q)];
        if (!(entry & kIgnorable)) break;
    }
    if (entry & kIgnorable || !(entry & kCased)) return false;
    entry = 0;
    for (const char* p = sigma + 2; p < end;) {
        entry = table_[next_char(p)];
        if (!(entry & kIgnorable)) break;
    }
    return entry & kIgnorable || !(entry & kCased);
}

const char* Simplifier::digits_end(const char* p, const char* end) const {
    while (p < end) {
        const char* next = p;
        if ((table_[next_char(next)] & kKind) != kDigit) break;
        p = next;
    }
    return p;
}

// Behind the number that starts at p: digits, and once a separator with digits behind it.
const char* Simplifier::number_end(const char* p, const char* end) const {
    p = digits_end(p, end);
    if (p == end) return p;
    const char* next = p;
    if (!(table_[next_char(next)] & kSeparator)) return p;
    const char* fraction = digits_end(next, end);
    return fraction == next ? p : fraction;
}

std::string_view Simplifier::stripped(std::string_view text) const {
    const char *begin = text.data(), *end = begin + text.size();
    while (begin < end) {
        const char* next = begin;
        if (!(table_[next_char(next)] & kStripped)) break;
        begin = next;
    }
    while (begin < end) {
        const char *last = previous_char(end), *next = last;
        if (!(table_[next_char(next)] & kStripped)) break;
        end = last;
    }
    return {begin, static_cast<size_t>(end - begin)};
}

bool Simplifier::simplify(std::string_view text, std::string& buffer) const {
    const char *const begin = text.data(), *const end = begin + text.size();
    Writer out(buffer, text.size());
    const unsigned gap = collapse_ ? ' ' : 0x100;
    for (const char* p = begin; p < end;) {
        // Most of most texts, without branches: a space behind a space is written over by what comes next.
        unsigned last = static_cast<unsigned char>(out.at[-1]);
        char* at = out.at;
        while (p < end) {
            const unsigned to = plain_[static_cast<unsigned char>(*p)];
            if (!to) break;
            *at = static_cast<char>(to);
            at += !(to == ' ' && last == gap);
            last = to;
            ++p;
        }
        out.at = at;
        if (p == end) break;
        const char* const start = p;
        const uint32_t c = next_char(p);
        const uint32_t entry = table_[c];
        switch (entry & kKind) {
            case kDigit:
                p = number_end(start, end);
                out.put('0');
                break;
            case kLowers:
                for (char32_t lower : rows_[entry & kValue]) write(out, lower, p, end);
                break;
            case kSigma:
                write(out, sigma_is_final(begin, start, end) ? kFinalSigma : kSmallSigma, p, end);
                break;
            case kForeign:
                return false;
            default:
                write(out, c, p, end);
        }
        if (c >= 0x80) out.make_room(static_cast<size_t>(end - p));
    }
    const std::string_view rest = stripped({buffer.data(), out.size()});
    const size_t first = static_cast<size_t>(rest.data() - buffer.data());
    buffer.resize(first + rest.size());
    buffer.erase(0, first);
    return true;
}

}  // namespace smol
