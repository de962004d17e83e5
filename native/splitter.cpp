// See splitter.hpp.
#include "splitter.hpp"

#include <algorithm>
#include <unordered_set>

#include "polynomial.hpp"

namespace smol {
namespace {

// Longer rows of chunks that only spaCy can split send their document to stock.
constexpr size_t kMaxRow = 20'000;

// The chunks from `start` on that have nothing but single spaces between them.
std::string_view row_of_chunks(const CharTable& chars, std::string_view text, size_t start) {
    size_t end = start;
    while (end < text.size()) {
        if (space_at(chars, text.data() + end)) {
            const bool one = text[end] == ' ' && end + 1 < text.size() && !space_at(chars, text.data() + end + 1);
            if (!one) break;
        }
        ++end;
    }
    return text.substr(start, end - start);
}

}  // namespace

std::vector<Piece> Splitter::pieces(std::string_view chunk,
                                    const std::vector<std::pair<uint32_t, uint32_t>>& tokens) const {
    std::vector<Piece> out;
    out.reserve(tokens.size());
    const char* p = chunk.data();
    uint32_t at = 0;  // characters before p
    for (auto [start, length] : tokens) {
        for (; at < start; ++at) next_char(p);
        const char* begin = p;
        for (; at < start + length; ++at) next_char(p);
        const std::string_view token(begin, static_cast<size_t>(p - begin));
        Piece piece{};
        piece.offset = static_cast<uint16_t>(begin - chunk.data());
        piece.bytes = static_cast<uint16_t>(token.size());
        piece.chars = static_cast<uint16_t>(length);
        piece.flags = flags_of(*chars_, token);
        piece.hash = polynomial(token);
        out.push_back(piece);
    }
    return out;
}

void Splitter::find_chunks(std::string_view text) {
    chunks_.clear();
    const char *begin = text.data(), *p = begin, *end = begin + text.size();
    while (p < end) {
        const char* gap = p;
        while (p < end) {
            const unsigned n = space_at(*chars_, p);
            if (!n) break;
            p += n;
        }
        if (p == end) break;
        const bool only_a_space = !chunks_.empty() && p - gap == 1 && *gap == ' ';
        const char* chunk = p;
        for (;;) {
            // All bytes that can start no white space are skipped without a look at the table.
            while (p < end && !may_start_space(static_cast<unsigned char>(*p))) ++p;
            if (p == end || space_at(*chars_, p)) break;
            ++p;
        }
        const size_t bytes = static_cast<size_t>(p - chunk);
        chunks_.push_back({static_cast<uint32_t>(chunk - begin), static_cast<uint32_t>(bytes), only_a_space,
                           hash_bytes(chunk, bytes)});
        memo_.expect_slot(chunks_.back().hash);
    }
}

Splitter::Outcome Splitter::split(Document& doc, std::vector<std::string>& unknown) {
    const std::lock_guard<std::mutex> lock(mutex_);
    doc.words.clear();
    doc.words.reserve(doc.text.size() / 4);
    find_chunks(doc.text);
    // What was just learned for this text has to stay until it is used.
    if (full() && !learned_) forget_all();
    const Outcome outcome = crf ? split_vietnamese(doc, unknown) : split_rules(doc, unknown);
    learned_ = outcome == Outcome::kUnknown;
    return outcome;
}

const Entry* Splitter::keep(std::string_view chunk, uint64_t hash, const std::vector<Piece>& pieces,
                            const Split& split) {
    if (full()) return memo_.pass(pieces, split.first(), split.last(), split.special);
    return memo_.insert(chunk, hash, pieces, split.first(), split.last(), split.special);
}

const Entry* Splitter::take_chunk(std::string_view chunk, uint64_t hash) {
    Split split;
    if (chunk.size() > kMaxKeyBytes) return nullptr;
    const std::u32string chars = decode(chunk);
    if (!split_affixes(*rules, chars, split)) return nullptr;
    std::vector<std::pair<uint32_t, uint32_t>> tokens;
    for (auto [begin, end] : split.tokens)
        tokens.emplace_back(static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin));
    return keep(chunk, hash, pieces(chunk, tokens), split);
}

// Whether spaCy's second pass could see tokens on both sides of a space as one special case. It matters where the rule
// itself contains a space, and where a chunk has a special case of the second pass inside: matches compete, the longest
// first.
//
// The pair of tokens at the border settles nearly all cases; for the rest, the tokens around it are compared with whole
// rules. `border` is where the second chunk starts.
bool Splitter::joined_by_a_rule(std::string_view text, size_t border, uint32_t pair, bool special) const {
    if (!rules->spaced_pairs.count(pair) && !(special && rules->pairs.count(pair))) return false;
    const size_t enough = rules->longest_sequence;
    std::vector<uint16_t> left, right;
    for (size_t end = border - 1; left.size() < enough;) {  // chunks before, each one space away
        size_t begin = end;
        while (begin > 0 && !space_at(*chars_, previous_char(text.data() + begin)))
            begin = static_cast<size_t>(previous_char(text.data() + begin) - text.data());
        std::vector<uint16_t> numbers;
        if (begin == end) break;
        if (!token_numbers(*rules, decode(text.substr(begin, end - begin)), numbers)) return true;
        left.insert(left.begin(), numbers.begin(), numbers.end());
        if (begin == 0 || text[begin - 1] != ' ') break;
        end = begin - 1;
    }
    for (size_t begin = border; right.size() < enough && begin < text.size();) {
        size_t end = begin;
        while (end < text.size() && !space_at(*chars_, text.data() + end)) ++end;
        if (begin == end) break;
        if (!token_numbers(*rules, decode(text.substr(begin, end - begin)), right)) return true;
        if (end == text.size() || text[end] != ' ') break;
        begin = end + 1;
    }
    return pattern_across(*rules, left, right);
}

Splitter::Outcome Splitter::split_rules(Document& doc, std::vector<std::string>& unknown) {
    std::unordered_set<std::string_view> asked;
    auto add_words = [&doc](const Entry& entry, size_t offset) {
        for (const Piece& piece : entry)
            doc.words.push_back({static_cast<uint32_t>(offset) + piece.offset, piece.bytes, piece.chars, piece.flags,
                                 piece.hash});
    };
    uint16_t last = 0;
    bool last_special = false;
    size_t row_start = 0, row_words = 0;  // the current row of chunks: its first byte, the words before it
    size_t done_until = 0;                // bytes up to here are split
    for (size_t i = 0; i < chunks_.size() && unknown.size() < kMaxUnknown; ++i) {
        const Chunk& chunk = chunks_[i];
        if (chunk.offset < done_until) continue;
        if (!chunk.only_a_space) {
            row_start = chunk.offset;
            row_words = doc.words.size();
        }
        const Entry* entry = recall(doc.text, i);
        if (!entry) {
            entry = take_chunk(chunk.of(doc.text), chunk.hash);
            if (!entry) return unknown.empty() ? Outcome::kStock : Outcome::kUnknown;
        }
        if (chunk.only_a_space && last && entry->first &&
            joined_by_a_rule(doc.text, chunk.offset, uint32_t{last} << 16 | entry->first,
                             last_special || entry->special)) {
            // The row is one piece to ask spaCy for: no special case reaches over other white space.
            const std::string_view row = row_of_chunks(*chars_, doc.text, row_start);
            if (row.size() > kMaxRow) return unknown.empty() ? Outcome::kStock : Outcome::kUnknown;
            const Entry* whole = memo_.find(row, hash_bytes(row.data(), row.size()));
            if (!whole) {
                if (asked.insert(row).second) unknown.emplace_back(row);
                continue;
            }
            doc.words.resize(row_words);
            add_words(*whole, row_start);
            done_until = row_start + row.size();
            last = 0;
            continue;
        }
        last = entry->last;
        last_special = entry->special;
        add_words(*entry, chunk.offset);
    }
    return unknown.empty() ? Outcome::kDone : Outcome::kUnknown;
}

void Splitter::learn_tokens(const std::string& chunk, const std::vector<std::pair<uint32_t, uint32_t>>& tokens) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t hash = hash_bytes(chunk.data(), chunk.size());
    if (memo_.find(chunk, hash)) return;
    memo_.insert(chunk, hash, pieces(chunk, tokens), 0, 0, true);
}

void Splitter::forget_all() {
    memo_.clear();
    syllables_.clear();
    numbers_.clear();
}

void Splitter::forget() {
    const std::lock_guard<std::mutex> lock(mutex_);
    forget_all();
}

size_t Splitter::memo_bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return memo_.bytes() + syllables_.size() * kSyllableBytes;
}

size_t Splitter::memo_chunks() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return memo_.count();
}

}  // namespace smol
