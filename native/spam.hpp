// Phrases of a text, between word boundaries.
//
// The definition is `filters/spam.py`: phrases are compared with the text after NFC, case folding, typographic
// apostrophes made plain and runs of white space made one space. Here nothing is copied or rewritten. Each character has
// an entry that says what it comes to after folding; Python works the entries out, a block of 256 characters when one of
// them is first met, so this file knows nothing about Unicode. A phrase can only start where the character before is no
// part of a word, and only if each of the next few characters may follow the one before it; there a trie is walked.
// Whether that is so comes out of a table of pairs of characters, one bit for each place in a phrase (shift-and:
// Baeza-Yates and Gonnet 1992, doi:10.1145/135239.135243), so other characters cost two look-ups and no branch that the
// processor could guess wrong. That finds what the automaton of the definition finds, which looks everywhere and then
// throws away what is inside words.
//
// Characters that change their neighbours or become several are marked special. A text with one of them is not searched;
// Python normalises it and asks again with `normalised` set.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace smol {

constexpr uint16_t kSpamSymbols = 0x07FF;  // which character of the phrases it comes to; 0 = none of them
constexpr uint16_t kSpamUnknown = 0x0800;  // its block has not been learned
constexpr uint16_t kSpamWord = 0x1000;     // continues a word
constexpr uint16_t kSpamSpace = 0x2000;    // white space
constexpr uint16_t kSpamSpecial = 0x4000;  // its text must be normalised first

class SpamPhrases {
  public:
    static constexpr size_t kBlock = 256;
    static constexpr size_t kNumBlocks = 0x110000 / kBlock;

    enum class Outcome { kDone, kSpecial, kUnknownBlock };
    struct Found {
        Outcome outcome = Outcome::kDone;
        size_t block = 0;               // the one to learn, for kUnknownBlock
        std::vector<uint32_t> phrases;  // the occurrences that count, in order
    };

    // A phrase is the numbers of its characters, 1 to kSpamSymbols; `alphabet` has the entries of the numbers 0, 1, ...
    SpamPhrases(const std::vector<std::vector<uint16_t>>& phrases, const std::vector<uint16_t>& alphabet);

    // The entries of the characters block * 256 to block * 256 + 255. Not for two threads at once; beside `find` it is
    // safe.
    void learn(size_t block, const std::array<uint16_t, kBlock>& entries);

    template <class Char>
    Found find(const Char* text, size_t chars, bool normalised) const;

    // The number of words between white space; every block of the text must be known.
    template <class Char>
    size_t count_words(const Char* text, size_t chars) const;

  private:
    struct Edge {
        uint16_t symbol;
        uint32_t node;
    };
    struct Node {
        std::vector<Edge> edges;  // few: phrases differ early
        int32_t phrase = -1;
    };
    struct Span {
        size_t start, end;
        uint32_t phrase;
    };
    struct Block {
        std::array<uint16_t, kBlock> entries;
        std::array<uint8_t, kBlock> classes[2];  // for pairs_; [1] for a text that is normalised
    };

    static const Block& unknown_block();
    const Block& block_of(size_t c) const { return *blocks_[c / kBlock].load(std::memory_order_acquire); }
    uint16_t entry(size_t c) const { return block_of(c).entries[c % kBlock]; }
    static uint8_t class_of(uint16_t entry);
    const Node* child(const Node& node, uint16_t symbol) const;
    template <class Char>
    bool walk(const Char* text, size_t chars, size_t start, std::vector<Span>& spans, size_t& unknown) const;

    std::vector<Node> nodes_;
    // [class of a character * 256 + class of the next]: bit k where some phrase has them at the places k - 1 and k; bit 0
    // where the first is in no word and the second starts a phrase; kRun, kStop.
    std::vector<uint8_t> pairs_;
    unsigned depth_;  // how many characters of a phrase are looked at before the trie is
    std::deque<Block> store_;
    std::array<std::atomic<const Block*>, kNumBlocks> blocks_;
};

}  // namespace smol
