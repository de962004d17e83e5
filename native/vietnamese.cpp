// See vietnamese.hpp.
#include "vietnamese.hpp"

#include <cstddef>

namespace smol {

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
