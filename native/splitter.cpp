// See splitter.hpp.
#include "splitter.hpp"

#include <algorithm>

#include "blocks.hpp"
#include "polynomial.hpp"

namespace smol {
namespace {

// Longer stretches of chunks that one special case after the other can reach across send their document to stock.
constexpr size_t kMaxStretch = 20'000;

// A text of more chunks gives back what was allocated for it.
constexpr size_t kLargeText = 1 << 20;

}  // namespace

std::vector<Piece> Splitter::pieces(std::string_view chunk,
                                    const std::vector<std::pair<int, int>>& tokens) const {
    std::vector<Piece> out;
    out.reserve(tokens.size());
    const char* p = chunk.data();
    int at = 0;  // characters before p
    for (auto [start, end] : tokens) {
        for (; at < start; ++at) next_char(p);
        const char* begin = p;
        for (; at < end; ++at) next_char(p);
        const std::string_view token(begin, static_cast<size_t>(p - begin));
        Piece piece{};
        piece.offset = static_cast<uint16_t>(begin - chunk.data());
        piece.bytes = static_cast<uint16_t>(token.size());
        piece.chars = static_cast<uint16_t>(end - start);
        piece.flags = flags_of(*chars_, token);
        piece.hash = polynomial(token);
        out.push_back(piece);
    }
    return out;
}

void Splitter::find_chunks(std::string_view text) {
    chunks_.clear();
    const char* const begin = text.data();
    size_t start = 0, last_end = 0;  // of the chunk at hand; of the one before
    auto add = [&](size_t end) {
        const bool only_a_space = !chunks_.empty() && start - last_end == 1 && begin[last_end] == ' ';
        const size_t bytes = end - start;
        chunks_.push_back({static_cast<uint32_t>(start), static_cast<uint32_t>(bytes) & 0x7FFFFFFF, only_a_space,
                           Key({begin + start, bytes}, begin + text.size()).hash()});
        memo_.expect_slot(chunks_.back().hash);
        last_end = end;
    };
    // As may_start_space; and the E1 of most Vietnamese vowels is told by the B_ behind it, which no white space has.
    auto may = [](Eight bytes) {
        return bytes.up_to_space() | bytes.are(0xC2) | (bytes.are(0xE0, 0xFC) & ~bytes.followed_by(0xB0, 0xF0));
    };
    for_each_byte(text, may, [&](size_t place) {
        if (const unsigned space = space_at(*chars_, begin + place)) {
            if (place > start) add(place);
            start = place + space;
        }
        return true;
    });
    if (text.size() > start) add(text.size());
}

Splitter::Outcome Splitter::split(Document& doc, std::vector<std::string>& unknown) {
    const std::lock_guard<std::mutex> lock(mutex_);
    doc.words.clear();
    doc.words.reserve(doc.text.size() / 4);
    find_chunks(doc.text);
    // What was just learned for this text has to stay until it is used.
    if (full() && !learned_) forget_all();
    const Outcome outcome = crf ? split_vietnamese(doc, unknown) : split_rules(doc);
    learned_ = outcome == Outcome::kUnknown;
    if (chunks_.size() > kLargeText) {
        chunks_ = {};
        ends_ = {};
    }
    return outcome;
}

const Entry* Splitter::keep(std::string_view chunk, uint64_t hash, const std::vector<Piece>& pieces,
                            const Split& split) {
    if (full()) return memo_.pass(pieces, split.first(), split.last(), split.special);
    return memo_.insert(Key(chunk), hash, pieces, split.first(), split.last(), split.special);
}

const Entry* Splitter::take_chunk(std::string_view chunk, uint64_t hash) {
    Split split;
    if (chunk.size() > kMaxWordBytes || !split_affixes(*rules, decode(chunk), split)) return nullptr;
    return keep(chunk, hash, pieces(chunk, split.tokens), split);
}

// A stretch is asked for only as a whole, so what stands at its ends matters to nobody.
const Entry* Splitter::take_stretch(std::string_view stretch, uint64_t hash) {
    Split split;
    if (stretch.size() > kMaxKeyBytes || !split_affixes(*rules, decode(stretch), split)) return nullptr;
    if (split.tokens.size() > kMaxPieces) return nullptr;
    split.numbers.clear();
    return keep(stretch, hash, pieces(stretch, split.tokens), split);
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

// Finds the stretch of chunks around chunk i that spaCy's second pass sees as one: on both sides it ends where no pattern
// has the two tokens at the border as neighbours, or where more than a space lies between. No match reaches over such a
// border, and matches compete only where they overlap. False: too long, or a chunk that cannot be split here.
bool Splitter::find_stretch(std::string_view text, size_t i, size_t& from, size_t& to) {
    auto bound = [this](const Ends& left, const Ends& right) {
        return left.last && right.first && rules->pairs.count(uint32_t{left.last} << 16 | right.first);
    };
    for (from = i; from > 0 && chunks_[from].only_a_space && bound(ends_[from - 1], ends_[from]); --from) {
    }
    for (to = i + 1; to < chunks_.size() && chunks_[to].only_a_space; ++to) {
        const Entry* entry = memo_.find(Key(chunks_[to].of(text)), chunks_[to].hash);
        if (!entry) entry = take_chunk(chunks_[to].of(text), chunks_[to].hash);
        if (!entry || chunks_[to].offset - chunks_[from].offset > kMaxStretch) return false;
        ends_[to] = {entry->first, entry->last, 0};
        if (!bound(ends_[to - 1], ends_[to])) break;
    }
    return true;
}

Splitter::Outcome Splitter::split_rules(Document& doc) {
    auto add_words = [&doc](const Entry& entry, size_t offset) {
        for (const Piece& piece : entry)
            doc.words.emplace_back(static_cast<uint32_t>(offset) + piece.offset, piece.bytes, piece.chars, piece.flags,
                                   piece.hash);
    };
    ends_.resize(chunks_.size());
    uint16_t last = 0;
    bool last_special = false;
    for (size_t i = 0; i < chunks_.size(); ++i) {
        const Chunk& chunk = chunks_[i];
        const Entry* entry = recall(doc.text, i);
        if (!entry) entry = take_chunk(chunk.of(doc.text), chunk.hash);
        if (!entry) return Outcome::kStock;
        ends_[i] = {entry->first, entry->last, static_cast<uint32_t>(doc.words.size())};
        if (chunk.only_a_space && last && entry->first &&
            joined_by_a_rule(doc.text, chunk.offset, uint32_t{last} << 16 | entry->first,
                             last_special || entry->special)) {
            size_t from, to;
            if (!find_stretch(doc.text, i, from, to)) return Outcome::kStock;
            const size_t start = chunks_[from].offset;
            const std::string_view stretch =
                doc.text.substr(start, chunks_[to - 1].offset + chunks_[to - 1].bytes - start);
            const Key key(stretch);
            const uint64_t hash = key.hash();
            const Entry* whole = memo_.find(key, hash);
            if (!whole) whole = take_stretch(stretch, hash);
            if (!whole) return Outcome::kStock;
            doc.words.resize(ends_[from].words_before);
            add_words(*whole, start);
            last = 0;
            i = to - 1;
            continue;
        }
        last = entry->last;
        last_special = entry->special;
        add_words(*entry, chunk.offset);
    }
    return Outcome::kDone;
}

void Splitter::forget_all() {
    memo_.clear();
    syllables_.clear();
    places_.clear();
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
