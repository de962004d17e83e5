// See affixes.hpp.
#include "affixes.hpp"

#include <algorithm>
#include <tuple>

namespace smol {
namespace {

class Splitter {
  public:
    Splitter(const Rules& rules, std::u32string_view chunk, Split& out)
        : r_(rules), s_(chunk.data()), n_(static_cast<int>(chunk.size())), tokens_(out.tokens) {}

    void run() {
        int begin = 0, end = n_;
        strip(begin, end);
        if (begin < end) attach(begin, end);
        tokens_.insert(tokens_.end(), suffixes_.rbegin(), suffixes_.rend());
    }

    std::u32string_view view(int begin, int end) const {
        return {s_ + begin, static_cast<size_t>(end - begin)};
    }

  private:
    const std::vector<uint32_t>* special(int begin, int end) const {
        if (!r_.special_texts.may_hold(view(begin, end))) return nullptr;
        auto found = r_.specials.find(view(begin, end));
        return found == r_.specials.end() ? nullptr : &found->second;
    }
    bool matches(const std::unique_ptr<Pattern>& pattern, int begin, int end) {
        if (!pattern) return false;
        Pattern::Run run(*pattern, s_ + begin, end - begin, steps_);
        return run.possible() && run.match(0) >= 0;
    }
    int find(const std::unique_ptr<Pattern>& pattern, int begin, int end) {
        if (!pattern) return 0;
        auto [from, to] = Pattern::Run(*pattern, s_ + begin, end - begin, steps_).search(0);
        return to - from;
    }

    // spaCy's _split_affixes on [begin, end), which shrinks to the middle.
    void strip(int& begin, int& end) {
        int last_size = 0;
        while (begin < end && end - begin != last_size) {
            if (matches(r_.token_match, begin, end) || special(begin, end)) return;
            last_size = end - begin;
            const int prefix = find(r_.prefix, begin, end);
            if (prefix && begin + prefix < end && special(begin + prefix, end)) {
                tokens_.emplace_back(begin, begin + prefix);
                begin += prefix;
                return;
            }
            const int suffix = find(r_.suffix, begin + prefix, end);
            if (suffix && begin < end - suffix && special(begin, end - suffix)) {
                suffixes_.emplace_back(end - suffix, end);
                end -= suffix;
                return;
            }
            // The suffix is looked for behind the prefix, so the two never overlap.
            if (prefix) tokens_.emplace_back(begin, begin + prefix);
            if (suffix) suffixes_.emplace_back(end - suffix, end);
            begin += prefix;
            end -= suffix;
        }
    }

    // The first half of spaCy's _attach_tokens: the middle is a special case, one token, or split at infixes.
    void attach(int begin, int end) {
        if (const auto* lengths = special(begin, end)) {
            for (uint32_t length : *lengths) {
                tokens_.emplace_back(begin, begin + static_cast<int>(length));
                begin += static_cast<int>(length);
            }
            return;
        }
        if (matches(r_.token_match, begin, end) || matches(r_.url_match, begin, end) || !r_.infix) {
            tokens_.emplace_back(begin, end);
            return;
        }
        Pattern::Run infixes(*r_.infix, s_ + begin, end - begin, steps_);
        int start = 0;  // as in spaCy, positions count from the middle's start
        for (auto [from, to] = infixes.search(0); from >= 0; std::tie(from, to) = infixes.search(to, from == to)) {
            if (from == 0) continue;  // an infix at the very start is not split off
            if (from != start) tokens_.emplace_back(begin + start, begin + from);
            if (from != to) tokens_.emplace_back(begin + from, begin + to);
            start = to;
        }
        if (begin + start < end) tokens_.emplace_back(begin + start, end);
    }

    const Rules& r_;
    const char32_t* s_;
    const int n_;
    std::vector<std::pair<int, int>>& tokens_;
    std::vector<std::pair<int, int>> suffixes_;
    int64_t steps_ = kMaxSteps;
};

}  // namespace

bool token_numbers(const Rules& rules, std::u32string_view chunk, std::vector<uint16_t>& numbers) {
    Split split;
    if (!split_affixes(rules, chunk, split)) return false;
    numbers.insert(numbers.end(), split.numbers.begin(), split.numbers.end());
    return true;
}

bool pattern_across(const Rules& rules, const std::vector<uint16_t>& left, const std::vector<uint16_t>& right) {
    for (const auto& pattern : rules.sequences) {
        const size_t n = pattern.size();
        for (size_t before = 1; before < n; ++before) {  // tokens of the pattern on the left
            if (before > left.size() || n - before > right.size()) continue;
            if (std::equal(left.end() - static_cast<std::ptrdiff_t>(before), left.end(), pattern.begin()) &&
                std::equal(pattern.begin() + static_cast<std::ptrdiff_t>(before), pattern.end(), right.begin()))
                return true;
        }
    }
    return false;
}

namespace {

// spaCy's second pass (_apply_special_cases): special cases as sequences of tokens, the longest first,
// then the leftmost; each hides its tokens from those behind it, also when it is hidden itself at one end.
void second_pass(const Rules& rules, std::u32string_view text, const std::vector<uint16_t>& numbers,
                 std::vector<std::pair<int, int>>& tokens) {
    struct Match {
        size_t start, size;
    };
    std::vector<Match> matches;
    for (size_t start = 0; start < numbers.size(); ++start) {
        auto found = rules.by_first.find(numbers[start]);
        if (found == rules.by_first.end()) continue;
        for (const uint32_t index : found->second) {
            const auto& pattern = rules.sequences[index];
            if (pattern.size() <= numbers.size() - start &&
                std::equal(pattern.begin(), pattern.end(), numbers.begin() + static_cast<std::ptrdiff_t>(start)))
                matches.push_back({start, pattern.size()});
        }
    }
    std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
        return a.size != b.size ? a.size > b.size : a.start < b.start;
    });
    std::vector<bool> seen(numbers.size());
    std::vector<size_t> taken(numbers.size(), 0);  // by start: the number of tokens
    for (const Match& match : matches) {
        if (!seen[match.start] && !seen[match.start + match.size - 1]) taken[match.start] = match.size;
        for (size_t i = 0; i < match.size; ++i) seen[match.start + i] = true;
    }
    std::vector<std::pair<int, int>> out;
    for (size_t i = 0; i < tokens.size();) {
        const size_t size = std::max<size_t>(taken[i], 1);
        int begin = tokens[i].first;
        const int end = tokens[i + size - 1].second;
        auto rule = taken[i] ? rules.specials.find(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)))
                             : rules.specials.end();
        if (rule == rules.specials.end()) {
            out.insert(out.end(), tokens.begin() + static_cast<std::ptrdiff_t>(i),
                       tokens.begin() + static_cast<std::ptrdiff_t>(i + size));
        } else {
            for (const uint32_t length : rule->second) {
                out.emplace_back(begin, begin + static_cast<int>(length));
                begin += static_cast<int>(length);
            }
        }
        i += size;
    }
    tokens = std::move(out);
}

}  // namespace

bool split_affixes(const Rules& rules, std::u32string_view text, Split& out) {
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find(U' ', begin), text.size());
        if (end - begin > kMaxChunkChars) return false;
        const size_t before = out.tokens.size();
        try {
            Splitter(rules, text.substr(begin, end - begin), out).run();
        } catch (const OutOfSteps&) {
            return false;
        }
        for (size_t i = before; begin > 0 && i < out.tokens.size(); ++i) {
            out.tokens[i].first += static_cast<int>(begin);
            out.tokens[i].second += static_cast<int>(begin);
        }
        begin = end + 1;
    }
    for (const auto& token : out.tokens) {
        uint16_t number = 0;
        const std::u32string_view of =
            text.substr(static_cast<size_t>(token.first), static_cast<size_t>(token.second - token.first));
        if (rules.token_texts.may_hold(of)) {
            auto found = rules.pattern_tokens.find(of);
            if (found != rules.pattern_tokens.end()) number = found->second;
        }
        if (number && rules.singles.count(number)) out.special = true;
        if (number && !out.numbers.empty() && rules.pairs.count(uint32_t{out.numbers.back()} << 16 | number))
            out.special = true;
        out.numbers.push_back(number);
    }
    if (out.special) second_pass(rules, text, out.numbers, out.tokens);
    return true;
}

}  // namespace smol
