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
    out.chars = static_cast<uint16_t>(count_chars(utf8.data(), utf8.size()));
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
    auto set = [&out](bool holds, unsigned kind) { out.kinds |= static_cast<uint8_t>(holds ? kind : 0); };
    out.kinds = 0;
    set(upper && !upper_fails, Syllable::kUpper);
    set(title && !title_fails, Syllable::kTitle);
    const auto known = m.known.find(lower);
    // Added one by one in CRFsuite's order, so that the sums are the same doubles.
    out.own = m.bias;
    if (known != m.known.end()) {
        out.own += known->second.own;
        out.as_previous = known->second.as_previous;
        out.as_next = known->second.as_next;
        out.lower = known->second.number;
    }
    if (out.is(Syllable::kUpper)) out.own += m.is_upper;
    if (out.is(Syllable::kTitle)) out.own += m.is_title;
    if (digit) out.own += m.is_digit;
    set(kPunctuation.find(utf8) != kPunctuation.npos, Syllable::kPunctuation);
    set(chars[s[0]] & kDigitValue, Syllable::kDigitFirst);
    set(chars[s[0]] & (kUpper | kTitle), Syllable::kTitleFirst);
    measure(chars, utf8, out);
    return true;
}

void find_words(const CrfModel& m, const std::vector<const Syllable*>& s, std::vector<uint8_t>& continues) {
    const size_t n = s.size();
    continues.assign(n, 0);
    if (n == 0) return;

    // Of syllable i: whether i-1 and i are a bigram, whether i-2, i-1 and i are a trigram, and from which label the best way
    // to each label comes.
    enum : uint8_t { kBigram = 1, kTrigram = 2, kFromSecond = 4 };
    std::vector<uint8_t> marks(n + 2, 0);
    std::vector<size_t> trigrams;  // where one may end
    constexpr size_t kAhead = 8;
    for (size_t i = 1; i < n; ++i) {
        if (i + kAhead < n) m.pairs.expect(CrfModel::pair(s[i + kAhead - 1]->lower, s[i + kAhead]->lower));
        if (!s[i - 1]->lower || !s[i]->lower) continue;
        const uint64_t found = m.pairs.find(CrfModel::pair(s[i - 1]->lower, s[i]->lower));
        marks[i] = found & CrfModel::kBigram;
        if (found & CrfModel::kStartsTrigram && i + 1 < n && s[i + 1]->lower) {
            m.triples.expect(CrfModel::triple(s[i - 1]->lower, s[i]->lower, s[i + 1]->lower));
            trigrams.push_back(i + 1);
        }
    }
    for (const size_t i : trigrams)
        if (m.triples.find(CrfModel::triple(s[i - 2]->lower, s[i - 1]->lower, s[i]->lower))) marks[i] |= kTrigram;

    // CRFsuite's Viterbi: the first label wins ties, scores are added as it adds them.
    Pair score;
    for (size_t i = 0; i < n; ++i) {
        Pair state = s[i]->own;
        if (i > 0) {
            state += s[i - 1]->as_previous;
            if (s[i - 1]->is(Syllable::kTitle)) state += m.previous_title;
            if (s[i - 1]->is(Syllable::kUpper)) state += m.previous_upper;
            if (marks[i] & kBigram) state += m.previous_bigram;
            if (marks[i] & kTrigram) state += m.previous_trigram;
        }
        if (i + 1 < n) {
            state += s[i + 1]->as_next;
            if (s[i + 1]->is(Syllable::kTitle)) state += m.next_title;
            if (s[i + 1]->is(Syllable::kUpper)) state += m.next_upper;
            if (marks[i + 1] & kBigram) state += m.next_bigram;
            if (marks[i + 2] & kTrigram) state += m.next_trigram;
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
            marks[i] |= static_cast<uint8_t>(unsigned{second} * kFromSecond << to);
            next.of[to] = (second ? from1 : from0) + state.of[to];
        }
        score = next;
    }
    int label = score.of[0] < score.of[1];
    for (size_t i = n; i-- > 1;) {
        const Syllable &here = *s[i], &before = *s[i - 1];
        continues[i] = label == m.inside && !(here.kinds & (Syllable::kPunctuation | Syllable::kDigitFirst)) &&
                       !(before.kinds & (Syllable::kPunctuation | Syllable::kDigitFirst)) &&
                       !(here.is(Syllable::kTitleFirst) && !before.is(Syllable::kTitleFirst));
        label = (marks[i] / kFromSecond) >> label & 1;
    }
}

}  // namespace smol
