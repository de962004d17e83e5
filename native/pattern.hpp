// Regular expressions of Python's `re`, run without Python.
//
// A pattern arrives as the tree that `re` itself parsed (see filters/native.py), so nothing is parsed twice and
// nothing can be misread. Matching is backtracking in the order of `re`: the first alternative that leads to a match,
// the longest repetition that leads to one. Only what spaCy's tokenizer rules use is known here; `re` features
// outside of that (flags but IGNORECASE, groups that are referred to, lazy repeats) are refused when the tree is taken over, and
// such a language asks spaCy instead.
#pragma once
#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "unicode.hpp"

namespace smol {

// Raised when matching takes more steps than allowed; the caller asks spaCy, which has its own limits.
struct OutOfSteps : std::runtime_error {
    OutOfSteps() : std::runtime_error("too many steps") {}
};

// Rounds of repeated groups within each other, each of which takes about 200 bytes of the stack: a thread may have no
// more than 512 KB of it.
constexpr int kMaxDepth = 1000;

struct CharSet {
    bool negate = false;
    std::vector<std::pair<uint32_t, uint32_t>> ranges;  // inclusive
    // `\w`, `\d`, `\s` as bits of CharTable; the negated ones (`\W`...) apart
    uint8_t categories = 0, not_categories = 0;

    void finish(const CharTable& chars);
    bool contains(uint32_t c) const {
        if (c < 0x10000) return low_[c >> 6] >> (c & 63) & 1;
        return slow(c);
    }

  private:
    bool slow(uint32_t c) const;
    std::vector<uint64_t> low_;
    const CharTable* chars_ = nullptr;
};

// Where a match can begin, by its first character: ASCII one by one, all others together, and the end of the text.
constexpr unsigned kOther = 128, kEnd = 129;
using FirstSet = std::bitset<130>;

inline unsigned first_class(const char32_t* s, int pos, int n) {
    if (pos >= n) return kEnd;
    return s[pos] < 128 ? s[pos] : kOther;
}

enum class Op : uint8_t {
    kAccept,  // the end of a look ahead or behind
    kMatched,  // the end of the pattern
    kLiteral,
    kSet,
    kAny,
    kBranch,
    kRepeatSet,    // repeats one set, the frequent case
    kRepeatGroup,  // repeats anything that takes at least one character
    kLoopEnd,      // the end of a repeated group's body
    kLook,
    kAtBeginning,
    kAtEnd,
};

struct Node {
    Op op = Op::kAccept;
    bool negate = false;                // kLook
    uint32_t literal = 0;               // kLiteral
    int set = -1;                       // kSet, kRepeatSet
    int next = -1;                      // what follows
    int body = -1;                      // kRepeatGroup, kLook; kLoopEnd: its kRepeatGroup
    int behind = -1;                    // kLook: characters to step back, -1 for a look ahead
    uint32_t min = 0, max = 0;          // repeats
    std::vector<int> alternatives;      // kBranch
    // kBranch: the alternatives worth trying, by first_class and the characters that are left (left_class).
    std::vector<int> worth;
    std::vector<uint32_t> worth_from;
};

constexpr int kUnbounded = 1 << 30;

// How many characters are left, those from the last class on together.
constexpr int kLeft = 17;
inline int left_class(int pos, int n) { return std::min(n - pos, kLeft - 1); }

// Repeated groups in one pattern.
constexpr size_t kMaxLoops = 32;

class Pattern {
  public:
    explicit Pattern(const CharTable& chars) : chars_(chars) {}

    // Building: each returns the index of a node that continues with `next`.
    int terminal(Op op) {
        Node node;
        node.op = op;
        return add(std::move(node));
    }
    int add(Node node) {
        nodes_.push_back(std::move(node));
        return static_cast<int>(nodes_.size()) - 1;
    }
    int add_set(CharSet set) {
        set.finish(chars_);
        sets_.push_back(std::move(set));
        return static_cast<int>(sets_.size()) - 1;
    }
    Node& node(int index) { return nodes_[index]; }
    void finish(int start);

    // A run over one text. Not shared between threads; the Pattern is.
    class Run {
      public:
        Run(const Pattern& pattern, const char32_t* s, int n, int64_t& steps)
            : p_(pattern), s_(s), n_(n), steps_(steps) {
            std::fill_n(counts_.begin(), pattern.loops_, 0);
        }
        // The end of the match that starts at pos, or -1.
        int match(int pos) { return run(p_.start_, pos); }
        // False when no part of the text can match, because a character is missing that every match contains: "." for
        // URLs, which settles nearly all words.
        bool possible() const {
            for (const char32_t needed : p_.needed_)
                if (std::find(s_, s_ + n_, needed) == s_ + n_) return false;
            return true;
        }
        // The first match at or after pos: {start, end}, or {-1, -1}. `advance`: it must not end at pos (`finditer` asks
        // so after an empty match).
        std::pair<int, int> search(int pos, bool advance = false);

      private:
        class Depth {
          public:
            explicit Depth(int& depth) : depth_(depth) {
                if (depth_ >= kMaxDepth) throw OutOfSteps();
                ++depth_;
            }
            ~Depth() { --depth_; }

          private:
            int& depth_;
        };
        int run(int node, int pos);
        int loop(const Node& repeat, int pos);
        const Pattern& p_;
        const char32_t* s_;
        const int n_;
        int64_t& steps_;
        std::array<uint32_t, kMaxLoops> counts_;
        int refused_end_ = -1;
        int depth_ = 0;
    };

  private:
    FirstSet first(int node, int depth) const;
    std::u32string needed(int node, int until, int depth) const;
    bool begins(int node) const;
    int width(int node, std::vector<int>& known) const;
    int least(int node, std::vector<int>& known) const;
    const CharTable& chars_;
    std::vector<Node> nodes_;
    std::vector<CharSet> sets_;
    std::array<FirstSet, kLeft> starts_;  // by left_class
    std::u32string needed_;  // literals that are in every match
    int start_ = -1;
    uint32_t loops_ = 0;
    bool only_at_beginning_ = false;  // no match starts behind the first character
    int reach_ = kUnbounded;          // a match starts at most so many characters before the end
};

}  // namespace smol
