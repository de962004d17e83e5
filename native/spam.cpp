// See spam.hpp.
#include "spam.hpp"

#include <algorithm>
#include <stdexcept>

namespace smol {

namespace {

constexpr unsigned kMaxDepth = 6;
constexpr uint8_t kRun = 64;    // of pairs_: white space after white space
constexpr uint8_t kStop = 128;  // of pairs_: the second character ends the search

// Characters in classes, so that pairs fit a small table: 0 is in no phrase and no word, kOtherWord in no phrase but in
// words. Phrases with more characters share classes, which costs time and changes nothing.
constexpr uint8_t kSymbolClasses = 250, kOtherWord = 251, kSpaceClass = 252, kStopClass = 253;
constexpr size_t kClasses = 256;

}  // namespace

uint8_t SpamPhrases::class_of(uint16_t entry) {
    const uint16_t symbol = entry & kSpamSymbols;
    if (entry & kSpamSpace) return kSpaceClass;
    if (symbol) return static_cast<uint8_t>(1 + (symbol - 1) % kSymbolClasses);
    return entry & kSpamWord ? kOtherWord : 0;
}

const SpamPhrases::Block& SpamPhrases::unknown_block() {
    static const auto block = [] {
        Block unknown;
        unknown.entries.fill(kSpamUnknown);
        for (auto& classes : unknown.classes) classes.fill(kStopClass);
        return unknown;
    }();
    return block;
}

SpamPhrases::SpamPhrases(const std::vector<std::vector<uint16_t>>& phrases, const std::vector<uint16_t>& alphabet)
    : nodes_(1), pairs_(kClasses * kClasses), depth_(kMaxDepth) {
    for (auto& block : blocks_) block.store(&unknown_block(), std::memory_order_relaxed);
    const auto to_class = [&](uint16_t symbol) { return class_of(alphabet.at(symbol)); };
    const auto mark = [&](uint8_t first, uint8_t second, unsigned bits) {
        pairs_[first * kClasses + second] |= static_cast<uint8_t>(bits);
    };
    for (size_t first = 0; first < kClasses; ++first) mark(static_cast<uint8_t>(first), kStopClass, kStop);
    mark(kSpaceClass, kSpaceClass, kRun);
    for (const auto& phrase : phrases)
        if (phrase.size() < depth_) depth_ = static_cast<unsigned>(phrase.size());
    for (size_t number = 0; number < phrases.size(); ++number) {
        const auto& phrase = phrases[number];
        if (phrase.empty()) throw std::invalid_argument("a phrase of no characters");
        uint32_t at = 0;
        for (const uint16_t symbol : phrase) {
            if (symbol == 0 || symbol > kSpamSymbols) throw std::out_of_range("the number of a character");
            const Node* next = child(nodes_[at], symbol);
            if (next) {
                at = static_cast<uint32_t>(next - nodes_.data());
                continue;
            }
            const auto fresh = static_cast<uint32_t>(nodes_.size());
            nodes_[at].edges.push_back({symbol, fresh});
            nodes_.emplace_back();
            at = fresh;
        }
        nodes_[at].phrase = static_cast<int32_t>(number);
        mark(0, to_class(phrase[0]), 1);
        mark(kSpaceClass, to_class(phrase[0]), 1);
        for (const uint16_t symbol : alphabet)
            if (!(symbol & kSpamWord)) mark(class_of(symbol), to_class(phrase[0]), 1);
        for (unsigned k = 1; k < depth_; ++k) mark(to_class(phrase[k - 1]), to_class(phrase[k]), 1u << k);
    }
}

void SpamPhrases::learn(size_t number, const std::array<uint16_t, kBlock>& entries) {
    if (number >= kNumBlocks) throw std::out_of_range("a block of characters");
    if (blocks_[number].load(std::memory_order_acquire) != &unknown_block()) return;
    store_.emplace_back();
    Block& block = store_.back();
    for (size_t i = 0; i < kBlock; ++i) {
        block.entries[i] = entries[i] & static_cast<uint16_t>(~kSpamUnknown);
        block.classes[1][i] = class_of(block.entries[i]);
        block.classes[0][i] = entries[i] & kSpamSpecial ? kStopClass : block.classes[1][i];
    }
    blocks_[number].store(&block, std::memory_order_release);
}

const SpamPhrases::Node* SpamPhrases::child(const Node& node, uint16_t symbol) const {
    for (const Edge& edge : node.edges)
        if (edge.symbol == symbol) return &nodes_[edge.node];
    return nullptr;
}

// Adds the phrases that start at `start` and end at a boundary. False where a block is not known.
template <class Char>
bool SpamPhrases::walk(const Char* text, size_t chars, size_t start, std::vector<Span>& spans, size_t& unknown) const {
    const Node* node = &nodes_[0];
    uint16_t here = 0;
    for (size_t i = start; i < chars; ++i) {
        const uint16_t next = entry(text[i]);
        if (next & kSpamUnknown) return unknown = text[i] / kBlock, false;
        if (here & next & kSpamSpace) continue;  // a run of white space counts as one
        if (node->phrase >= 0 && !(next & kSpamWord)) spans.push_back({start, i, static_cast<uint32_t>(node->phrase)});
        node = child(*node, next & kSpamSymbols);
        if (!node) return true;
        here = next;
    }
    if (node->phrase >= 0) spans.push_back({start, chars, static_cast<uint32_t>(node->phrase)});
    return true;
}

template <class Char>
SpamPhrases::Found SpamPhrases::find(const Char* text, size_t chars, bool normalised) const {
    Found found;
    std::vector<Span> spans;
    const uint8_t* const latin = block_of(0).classes[normalised].data();
    const uint8_t* const pairs = pairs_.data();
    const unsigned enough = 1u << (depth_ - 1);
    size_t before = 0;
    unsigned state = 0;
    for (size_t i = 0; i < chars; ++i) {
        size_t here;
        if constexpr (sizeof(Char) == 1)
            here = latin[text[i]];
        else
            here = block_of(text[i]).classes[normalised][text[i] % kBlock];
        const unsigned next = (state << 1 | 1 | kRun | kStop) & pairs[before * kClasses + here];
        before = here;
        if (!(next & (enough | kRun | kStop))) {
            state = next;
            continue;
        }
        if (next & kRun) continue;  // counts as one character
        if (next & kStop) {
            const bool unknown = entry(text[i]) & kSpamUnknown;
            return {unknown ? Outcome::kUnknownBlock : Outcome::kSpecial, static_cast<size_t>(text[i] / kBlock), {}};
        }
        state = next;
        size_t start = i, unknown = 0;
        for (unsigned back = 1; back < depth_; ++back)
            do --start;
            while (start && entry(text[start]) & entry(text[start - 1]) & kSpamSpace);
        if (!walk(text, chars, start, spans, unknown)) return {Outcome::kUnknownBlock, unknown, {}};
    }
    // The automaton reports matches in order of their ends, the longest first; each that starts after the last one taken
    // counts.
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.end != b.end ? a.end < b.end : a.start < b.start; });
    size_t free_from = 0;
    for (const Span& span : spans) {
        if (span.start < free_from) continue;
        found.phrases.push_back(span.phrase);
        free_from = span.end;
    }
    return found;
}

template <class Char>
size_t SpamPhrases::count_words(const Char* text, size_t chars) const {
    size_t words = 0;
    uint16_t before = kSpamSpace;
    for (size_t i = 0; i < chars; ++i) {
        const uint16_t here = entry(text[i]);
        if (here & kSpamUnknown) throw std::logic_error("a block of characters that is not known");
        words += (before & kSpamSpace) && !(here & kSpamSpace);
        before = here;
    }
    return words;
}

template SpamPhrases::Found SpamPhrases::find(const uint8_t*, size_t, bool) const;
template SpamPhrases::Found SpamPhrases::find(const uint16_t*, size_t, bool) const;
template SpamPhrases::Found SpamPhrases::find(const uint32_t*, size_t, bool) const;
template size_t SpamPhrases::count_words(const uint8_t*, size_t) const;
template size_t SpamPhrases::count_words(const uint16_t*, size_t) const;
template size_t SpamPhrases::count_words(const uint32_t*, size_t) const;

}  // namespace smol
