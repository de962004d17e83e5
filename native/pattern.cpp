// See pattern.hpp.
#include "pattern.hpp"

#include <algorithm>

namespace smol {

bool CharSet::slow(uint32_t c) const {
    const uint16_t flags = (*chars_)[c];
    bool in = (flags & categories) || (not_categories & ~flags);
    for (size_t i = 0; !in && i < ranges.size(); ++i) in = ranges[i].first <= c && c <= ranges[i].second;
    return in != negate;
}

void CharSet::finish(const CharTable& chars) {
    chars_ = &chars;
    low_.assign(0x10000 / 64, 0);
    std::vector<uint64_t> in(0x10000 / 64, 0);
    for (auto [low, high] : ranges)
        for (uint32_t c = low; c <= std::min<uint32_t>(high, 0xFFFF); ++c) in[c >> 6] |= uint64_t{1} << (c & 63);
    for (uint32_t c = 0; c < 0x10000; ++c) {
        const uint16_t flags = chars[c];
        const bool member = (in[c >> 6] >> (c & 63) & 1) || (flags & categories) || (not_categories & ~flags);
        if (member != negate) low_[c >> 6] |= uint64_t{1} << (c & 63);
    }
    // What lies in the table need not be searched again.
    ranges.erase(std::remove_if(ranges.begin(), ranges.end(), [](auto r) { return r.second < 0x10000; }),
                 ranges.end());
}

// An upper bound of the characters with which a match from this node can begin. Bounds that are too wide cost time,
// never correctness: the alternatives are still matched.
FirstSet Pattern::first(int index, int depth) const {
    FirstSet all;
    all.set();
    if (depth > 60) return all;
    const Node& node = nodes_[index];
    auto of_set = [this](int set) {
        FirstSet f;
        for (uint32_t c = 0; c < 128; ++c) f[c] = sets_[set].contains(c);
        f[kOther] = true;
        return f;
    };
    FirstSet f;
    switch (node.op) {
        case Op::kLiteral:
            f[node.literal < 128 ? node.literal : kOther] = true;
            return f;
        case Op::kSet:
            return of_set(node.set);
        case Op::kAny:
            f.set();
            f[kEnd] = f['\n'] = false;
            return f;
        case Op::kBranch:
            for (int alternative : node.alternatives) f |= first(alternative, depth + 1);
            return f;
        case Op::kRepeatSet:
            f = of_set(node.set);
            return node.min == 0 ? f | first(node.next, depth + 1) : f;
        case Op::kRepeatGroup:
            f = first(node.body, depth + 1);
            return node.min == 0 ? f | first(node.next, depth + 1) : f;
        case Op::kLook:
        case Op::kAtBeginning:
            return first(node.next, depth + 1);
        default:
            return all;
    }
}

// Literals on every way from a node to its pattern's (or body's) end. A lower bound: what is left out costs time only.
std::u32string Pattern::needed(int index, int until, int depth) const {
    std::u32string found;
    for (; index != until && depth < 60; index = nodes_[index].next) {
        const Node& node = nodes_[index];
        if (node.op == Op::kMatched || node.op == Op::kAccept || node.op == Op::kLoopEnd) break;
        if (node.op == Op::kLiteral) found += static_cast<char32_t>(node.literal);
        if (node.op == Op::kRepeatGroup && node.min > 0) found += needed(node.body, -1, depth + 1);
        if (node.op == Op::kBranch) {
            // Each alternative goes on behind the branch by itself, up to the end.
            std::u32string common;
            for (size_t i = 0; i < node.alternatives.size(); ++i) {
                const std::u32string one = needed(node.alternatives[i], until, depth + 1);
                if (i == 0) common = one;
                common.erase(std::remove_if(common.begin(), common.end(),
                                            [&one](char32_t c) { return one.find(c) == one.npos; }),
                             common.end());
            }
            return found + common;
        }
    }
    return found;
}

// Whether every match from a node on starts at the beginning of the text.
bool Pattern::begins(int index) const {
    const Node& node = nodes_[index];
    if (node.op == Op::kAtBeginning) return true;
    if (node.op == Op::kLook) return begins(node.next);
    return node.op == Op::kBranch && std::all_of(node.alternatives.begin(), node.alternatives.end(),
                                                 [this](int alternative) { return begins(alternative); });
}

// The most characters from a node to an "end of the text" that every way from it passes, kUnbounded where there is no
// bound or a way without one.
int Pattern::width(int index, std::vector<int>& known) const {
    if (known[index] >= 0) return known[index];
    const Node& node = nodes_[index];
    int64_t most = kUnbounded;
    switch (node.op) {
        case Op::kAtEnd:
            most = 1;  // `$` also matches before a line feed
            break;
        case Op::kLiteral:
        case Op::kSet:
        case Op::kAny:
            most = 1 + int64_t{width(node.next, known)};
            break;
        case Op::kRepeatSet:
            most = int64_t{node.max} + width(node.next, known);
            break;
        case Op::kLook:
        case Op::kAtBeginning:
            most = width(node.next, known);
            break;
        case Op::kBranch:
            most = 0;
            for (int alternative : node.alternatives) most = std::max<int64_t>(most, width(alternative, known));
            break;
        default:
            break;
    }
    return known[index] = static_cast<int>(std::min<int64_t>(most, kUnbounded));
}

// The fewest characters from a node to the end of its pattern or body. A lower bound.
int Pattern::least(int index, std::vector<int>& known) const {
    if (known[index] >= 0) return known[index];
    const Node& node = nodes_[index];
    int64_t fewest = 0;
    switch (node.op) {
        case Op::kLiteral:
        case Op::kSet:
        case Op::kAny:
            fewest = 1 + int64_t{least(node.next, known)};
            break;
        case Op::kRepeatSet:
            fewest = int64_t{node.min} + least(node.next, known);
            break;
        case Op::kRepeatGroup:
        case Op::kLook:
        case Op::kAtBeginning:
        case Op::kAtEnd:
            fewest = least(node.next, known);
            break;
        case Op::kBranch:
            fewest = kUnbounded;
            for (int alternative : node.alternatives) fewest = std::min<int64_t>(fewest, least(alternative, known));
            break;
        default:
            break;
    }
    return known[index] = static_cast<int>(std::min<int64_t>(fewest, kUnbounded));
}

void Pattern::finish(int start) {
    start_ = start;
    std::vector<int> widest(nodes_.size(), -1), narrowest(nodes_.size(), -1);
    auto fits = [&](int alternative, int left) {
        const bool enough = left == kLeft - 1 || left >= least(alternative, narrowest);
        return enough && left <= width(alternative, widest);
    };
    for (Node& node : nodes_) {
        if (node.op == Op::kRepeatGroup) node.literal = loops_++;  // its slot in Run::counts_
        if (node.op != Op::kBranch) continue;
        std::vector<FirstSet> firsts;
        for (int alternative : node.alternatives) firsts.push_back(first(alternative, 0));
        for (unsigned c = 0; c < kEnd + 1; ++c)
            for (int left = 0; left < kLeft; ++left) {
                node.worth_from.push_back(static_cast<uint32_t>(node.worth.size()));
                for (size_t i = 0; i < firsts.size(); ++i)
                    if (firsts[i][c] && fits(node.alternatives[i], left)) node.worth.push_back(node.alternatives[i]);
            }
        node.worth_from.push_back(static_cast<uint32_t>(node.worth.size()));
    }
    if (loops_ > kMaxLoops) throw std::length_error("too many repeated groups in a pattern");
    only_at_beginning_ = begins(start);
    reach_ = width(start, widest);
    const bool branches = nodes_[start].op == Op::kBranch;
    for (int left = 0; left < kLeft; ++left) {
        if (!branches && fits(start, left)) starts_[left] = first(start, 0);
        if (!branches) continue;
        for (int alternative : nodes_[start].alternatives)
            if (fits(alternative, left)) starts_[left] |= first(alternative, 0);
    }
    for (const char32_t c : needed(start, -1, 0))
        if (needed_.find(c) == needed_.npos && needed_.size() < 4) needed_ += c;
}

std::pair<int, int> Pattern::Run::search(int pos, bool advance) {
    refused_end_ = advance ? pos : -1;
    pos = std::max(pos, n_ - p_.reach_);
    for (; pos <= (p_.only_at_beginning_ ? 0 : n_); ++pos) {
        if (!p_.starts_[left_class(pos, n_)][first_class(s_, pos, n_)]) continue;
        const int end = match(pos);
        if (end >= 0) return {pos, end};
    }
    return {-1, -1};
}

int Pattern::Run::run(int index, int pos) {
    for (;;) {
        if (--steps_ < 0) throw OutOfSteps();
        const Node& node = p_.nodes_[index];
        switch (node.op) {
            case Op::kAccept:
                return pos;
            case Op::kMatched:
                return pos == refused_end_ ? -1 : pos;
            case Op::kLiteral:
                if (pos >= n_ || s_[pos] != node.literal) return -1;
                ++pos;
                break;
            case Op::kSet:
                if (pos >= n_ || !p_.sets_[node.set].contains(s_[pos])) return -1;
                ++pos;
                break;
            case Op::kAny:
                if (pos >= n_ || s_[pos] == '\n') return -1;
                ++pos;
                break;
            case Op::kBranch: {
                const size_t key = first_class(s_, pos, n_) * size_t{kLeft} + static_cast<size_t>(left_class(pos, n_));
                for (uint32_t i = node.worth_from[key]; i < node.worth_from[key + 1]; ++i) {
                    const int end = run(node.worth[i], pos);
                    if (end >= 0) return end;
                }
                return -1;
            }
            case Op::kRepeatSet: {
                const CharSet& set = p_.sets_[node.set];
                const int64_t limit = std::min<int64_t>(n_, static_cast<int64_t>(pos) + node.max);
                int far = pos;
                while (far < limit && set.contains(s_[far])) ++far;
                const int64_t near = static_cast<int64_t>(pos) + node.min;
                for (; far >= near; --far) {
                    const int end = run(node.next, far);
                    if (end >= 0) return end;
                }
                return -1;
            }
            case Op::kRepeatGroup: {
                const uint32_t outer = counts_[node.literal];
                counts_[node.literal] = 0;
                const int end = loop(node, pos);
                if (end < 0) counts_[node.literal] = outer;
                return end;
            }
            case Op::kLoopEnd:
                return loop(p_.nodes_[node.body], pos);
            case Op::kLook: {
                bool found = false;
                if (node.behind < 0) {
                    found = run(node.body, pos) >= 0;
                } else if (pos >= node.behind) {
                    found = run(node.body, pos - node.behind) >= 0;
                }
                if (found == node.negate) return -1;
                break;
            }
            case Op::kAtBeginning:
                if (pos != 0) return -1;
                break;
            case Op::kAtEnd:
                if (pos != n_ && !(pos == n_ - 1 && s_[pos] == '\n')) return -1;
                break;
        }
        index = node.next;
    }
}

// One more round of a repeated group, else what follows it. A counter holds the rounds so far; it is put back before
// going another way, also when what follows has entered the same group again.
int Pattern::Run::loop(const Node& repeat, int pos) {
    const Depth inside(depth_);
    uint32_t& count = counts_[repeat.literal];
    const uint32_t rounds = count;
    if (rounds < repeat.max) {
        count = rounds + 1;
        const int end = run(repeat.body, pos);
        if (end >= 0) return end;
        count = rounds;
    }
    if (rounds < repeat.min) return -1;
    const int end = run(repeat.next, pos);
    if (end < 0) count = rounds;
    return end;
}

}  // namespace smol
