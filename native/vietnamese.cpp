// See vietnamese.hpp.
#include "vietnamese.hpp"

#include <cstddef>

#include "polynomial.hpp"

namespace smol {
namespace {

// Python's string.punctuation.
constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

void append_utf8(std::string& out, uint32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c);
        return;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
    out += static_cast<char>(kLead[more] | c >> (6 * more));
    for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (c >> (6 * i) & 0x3F));
}

}  // namespace

void measure(const CharTable& chars, std::string_view utf8, Syllable& out) {
    out.flags = flags_of(chars, utf8);
    out.chars = count_chars(utf8.data(), utf8.size());
    out.hash = polynomial(utf8);
}

bool make_syllable(const CharTable& chars, const CrfModel& m, std::u32string_view s, std::string_view utf8,
                   Syllable& out) {
    // CPython's unicode_isupper, unicode_istitle and unicode_isdigit.
    bool upper = false, upper_fails = false, title = false, title_fails = false, digit = true, cased = false;
    std::string lower;
    for (const char32_t c : s) {
        const uint16_t f = chars[c];
        if (f & kOddLower) return false;
        upper_fails |= (f & (kLower | kTitle)) != 0;
        upper |= (f & kUpper) != 0;
        const bool capital = f & (kUpper | kTitle), small = !capital && (f & kLower);
        title_fails |= (capital && cased) || (small && !cased);
        title |= capital || small;
        cased = capital || small;
        digit &= (f & kDigitValue) != 0;
        append_utf8(lower, c < m.lower.size() ? m.lower[c] : static_cast<uint32_t>(c));
    }
    out.upper = upper && !upper_fails;
    out.title = title && !title_fails;
    const auto known = m.known.find(lower);
    // Added one by one in CRFsuite's order, so that the sums are the same doubles.
    out.own = m.bias;
    if (known != m.known.end()) {
        out.own += known->second.own;
        out.as_previous = known->second.as_previous;
        out.as_next = known->second.as_next;
        out.lower = known->second.number;
    }
    if (out.upper) out.own += m.is_upper;
    if (out.title) out.own += m.is_title;
    if (digit) out.own += m.is_digit;
    out.punctuation = kPunctuation.find(utf8) != kPunctuation.npos;
    out.digit_first = (chars[s[0]] & kDigitValue) != 0;
    out.title_first = (chars[s[0]] & (kUpper | kTitle)) != 0;
    measure(chars, utf8, out);
    return true;
}

void find_words(const CrfModel& m, const std::vector<const Syllable*>& s, std::vector<uint8_t>& continues) {
    const size_t n = s.size();
    continues.assign(n, 0);
    if (n == 0) return;

    // bigram[i]: syllables i-1 and i; trigram[i]: i-2, i-1 and i.
    auto pair_flags = [&m](const Syllable* a, const Syllable* b) -> uint8_t {
        return a->lower && b->lower ? m.pairs.find(a->lower, b->lower) : uint8_t{0};
    };
    std::vector<uint8_t> bigram(n + 2, 0), trigram(n + 3, 0);
    constexpr size_t kAhead = 8;
    for (size_t i = 1; i < n; ++i) {
        if (i + kAhead < n) m.pairs.expect(s[i + kAhead - 1]->lower, s[i + kAhead]->lower);
        const uint8_t flags = pair_flags(s[i - 1], s[i]);
        bigram[i] = flags & CrfModel::kBigram;
        if (flags & CrfModel::kStartsTrigram && i + 1 < n && s[i + 1]->lower)
            trigram[i + 1] = m.triples.count(CrfModel::triple(s[i - 1]->lower, s[i]->lower, s[i + 1]->lower)) != 0;
    }

    // CRFsuite's Viterbi: the first label wins ties, scores are added as it adds them.
    std::vector<uint8_t> back(n, 0);  // bit j: the best label before label j
    Pair score;
    for (size_t i = 0; i < n; ++i) {
        Pair state = s[i]->own;
        if (i > 0) {
            state += s[i - 1]->as_previous;
            if (s[i - 1]->title) state += m.previous_title;
            if (s[i - 1]->upper) state += m.previous_upper;
            if (bigram[i]) state += m.previous_bigram;
            if (trigram[i]) state += m.previous_trigram;
        }
        if (i + 1 < n) {
            state += s[i + 1]->as_next;
            if (s[i + 1]->title) state += m.next_title;
            if (s[i + 1]->upper) state += m.next_upper;
            if (bigram[i + 1]) state += m.next_bigram;
            if (trigram[i + 2]) state += m.next_trigram;
        }
        if (i == 0) {
            score = state;
            continue;
        }
        Pair next;
        for (int to = 0; to < 2; ++to) {
            const double from0 = score.of[0] + m.transition[0].of[to];
            const double from1 = score.of[1] + m.transition[1].of[to];
            const bool second = from0 < from1;
            back[i] |= static_cast<uint8_t>(second << to);
            next.of[to] = (second ? from1 : from0) + state.of[to];
        }
        score = next;
    }
    int label = score.of[0] < score.of[1];
    for (size_t i = n; i-- > 1;) {
        const Syllable &here = *s[i], &before = *s[i - 1];
        continues[i] = label == m.inside && !here.punctuation && !before.punctuation && !here.digit_first &&
                       !before.digit_first && !(here.title_first && !before.title_first);
        label = back[i] >> label & 1;
    }
}

}  // namespace smol
