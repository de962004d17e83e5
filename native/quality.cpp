// Gopher's quality rules. Stock walks over the text once per rule; here one walk counts lines, hashes and ellipses.
// Shares are quotients of two whole numbers below 2^53, so one division of doubles rounds as Python's does; numpy's mean
// of such numbers is the same quotient.
#include <algorithm>

#include "gopher.hpp"
#include "memo.hpp"
#include "polynomial.hpp"

namespace smol {
namespace {

double share(uint64_t part, uint64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

struct LineCounts {
    uint64_t lines = 0, bullets = 0, ellipsis_ends = 0, hashes = 0, ellipses = 0;
};

void count_line(const CharTable& chars, const char* begin, const char* end, LineCounts& counts) {
    using namespace std::string_view_literals;
    ++counts.lines;
    const char* b = begin;
    while (b < end) {
        const unsigned n = space_at(chars, b);
        if (!n) break;
        b += n;
    }
    const std::string_view left(b, static_cast<size_t>(end - b));
    if (left.substr(0, 1) == "-"sv || left.substr(0, 3) == "\u2022"sv) ++counts.bullets;
    while (begin < end) {
        const char* last = previous_char(end);
        if (!space_at(chars, last)) break;
        end = last;
    }
    if (end - begin >= 3) {
        const std::string_view tail(end - 3, 3);
        if (tail == "..."sv || tail == "\u2026"sv) ++counts.ellipsis_ends;
    }
}

// str.splitlines(), str.count("#"), str.count("...") and str.count("…").
LineCounts count_lines(const CharTable& chars, std::string_view text) {
    // What a byte can be: nothing of interest, a hash sign, a full stop, the start of a line break or of an ellipsis.
    enum : uint8_t { kNone, kHash, kStop, kBreak, kLead };
    uint8_t kind[256] = {};
    for (uint32_t c = 0; c < 128; ++c)
        if (chars[c] & kLineBreak) kind[c] = kBreak;
    kind[static_cast<int>('#')] = kHash;
    kind[static_cast<int>('.')] = kStop;
    kind[0xC2] = kind[0xE2] = kLead;  // U+0085; U+2026, U+2028, U+2029

    LineCounts counts;
    const char *p = text.data(), *end = p + text.size(), *line = p;
    for (;;) {
        while (p < end && kind[static_cast<unsigned char>(*p)] == kNone) ++p;
        if (p == end) break;
        switch (kind[static_cast<unsigned char>(*p)]) {
            case kHash:
                ++counts.hashes;
                ++p;
                break;
            case kStop: {
                const char* run = p;
                while (p < end && *p == '.') ++p;
                counts.ellipses += static_cast<uint64_t>(p - run) / 3;
                break;
            }
            case kBreak:
                count_line(chars, line, p, counts);
                p += *p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1;
                line = p;
                break;
            case kLead: {
                const char* at = p;
                const uint32_t c = next_char(p);
                if (c == 0x2026) {
                    ++counts.ellipses;
                } else if (chars[c] & kLineBreak) {
                    count_line(chars, line, at, counts);
                    line = p;
                }
                break;
            }
        }
    }
    if (line < end) count_line(chars, line, end, counts);
    return counts;
}

}  // namespace

void QualityRules::finish() {
    size_t size = 16;
    while (size < stop_words.size() * 4) size *= 2;
    stop_slots_.assign(size, 0);
    for (uint32_t i = 0; i < stop_words.size(); ++i) {
        longest_stop_word_ = std::max(longest_stop_word_, stop_words[i].size());
        const uint64_t hash = polynomial(stop_words[i]) * 0x9E3779B97F4A7C15u;
        size_t slot = (hash >> 32) & (size - 1);
        while (stop_slots_[slot]) slot = (slot + 1) & (size - 1);
        stop_slots_[slot] = i + 1;
    }
}

// Counts different stop words until there are enough.
bool QualityRules::too_few_stop_words(const Document& doc) const {
    std::vector<bool> seen(stop_words.size());
    double found = 0;
    for (const Word& word : doc.words) {
        if (word.bytes > longest_stop_word_) continue;
        const uint64_t hash = word.hash * 0x9E3779B97F4A7C15u;
        const size_t mask = stop_slots_.size() - 1;
        for (size_t slot = (hash >> 32) & mask; stop_slots_[slot]; slot = (slot + 1) & mask) {
            const uint32_t i = stop_slots_[slot] - 1;
            if (seen[i] || stop_words[i] != doc.word(word)) continue;
            seen[i] = true;
            if (!(++found < min_stop_words.value)) return false;
        }
    }
    return found < min_stop_words.value;
}

Verdict QualityRules::judge(const CharTable& chars, const Document& doc) const {
    auto dropped = [](const char* reason) { return Verdict{Verdict::kDropped, reason}; };
    uint64_t with_alpha = 0, not_symbols = 0, length = 0;
    for (const Word& word : doc.words) {
        with_alpha += (word.flags & kAlpha) != 0;
        if (word.flags & kNotPunct) {
            ++not_symbols;
            length += word.chars;
        }
    }
    const uint64_t words = doc.words.size();
    const double count = static_cast<double>(not_symbols);
    if (min_doc_words && count < min_doc_words.value) return dropped("gopher_short_doc");
    if (max_doc_words && count > max_doc_words.value) return dropped("gopher_long_doc");

    // Without words stock divides by zero, without a mean it warns.
    if (not_symbols == 0) return {Verdict::kStock};
    const double mean = share(length, not_symbols);
    if (min_avg_word_length && mean < min_avg_word_length.value) return dropped("gopher_below_avg_threshold");
    if (max_avg_word_length && mean > max_avg_word_length.value) return dropped("gopher_above_avg_threshold");

    if (max_symbol_word_ratio || max_bullet_lines_ratio || max_ellipsis_lines_ratio) {
        const LineCounts c = count_lines(chars, doc.text);
        if (max_symbol_word_ratio && share(c.hashes, words) > max_symbol_word_ratio.value)
            return dropped("gopher_too_many_hashes");
        if (max_symbol_word_ratio && share(c.ellipses, words) > max_symbol_word_ratio.value)
            return dropped("gopher_too_many_ellipsis");
        if (max_bullet_lines_ratio && share(c.bullets, c.lines) > max_bullet_lines_ratio.value)
            return dropped("gopher_too_many_bullets");
        if (max_ellipsis_lines_ratio && share(c.ellipsis_ends, c.lines) > max_ellipsis_lines_ratio.value)
            return dropped("gopher_too_many_end_ellipsis");
    }
    if (max_non_alpha_words_ratio && share(with_alpha, words) < max_non_alpha_words_ratio.value)
        return dropped("gopher_below_alpha_threshold");
    if (min_stop_words && too_few_stop_words(doc)) return dropped("gopher_enough_stop_words");
    return {};
}

}  // namespace smol
