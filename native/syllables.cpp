// The Vietnamese half of splitter.hpp: chunks into syllables, syllables into words.
//
// Syllables are found with pyvi's own pattern, handed over as a tree like spaCy's. What the model says of a syllable is
// worked out once per syllable; those whose lower case is no matter of single characters come from Python.
#include <unordered_set>

#include "polynomial.hpp"
#include "splitter.hpp"

namespace smol {

// Where a syllable is from now on; a memory that is full remembers no texts, and forgets all before the next text.
const Syllable* Splitter::remember(std::string_view text, const Syllable& syllable) {
    if (full()) return syllables_.add(syllable);
    const auto [place, added] = places_.try_emplace(std::string(text), nullptr);
    if (added) place->second = syllables_.add(syllable);
    return place->second;
}

const Entry* Splitter::take_syllables(std::string_view chunk, uint64_t hash) {
    if (chunk.size() > kMaxWordBytes) return nullptr;
    const std::u32string chars = decode(chunk);
    if (chars.size() > kMaxWordChars) return nullptr;
    const int n = static_cast<int>(chars.size());
    std::vector<Piece> pieces;
    int64_t steps = kMaxSteps;
    const char* p = chunk.data();
    std::string text;
    try {
        for (int at = 0; at < n;) {
            const int end = Pattern::Run(*crf->syllables, chars.data(), n, steps).match(at);
            // Every character that is no white space is a word character or a syllable of its own.
            if (end <= at || pieces.size() >= kMaxPieces) return nullptr;
            const char* begin = p;
            for (int i = at; i < end; ++i) next_char(p);
            text.assign(begin, p);
            Piece piece{};
            piece.offset = static_cast<uint16_t>(begin - chunk.data());
            piece.bytes = static_cast<uint16_t>(p - begin);
            const Syllable* place;
            if (const auto known = places_.find(text); known != places_.end()) {
                place = known->second;
            } else {
                Syllable syllable;
                if (!make_syllable(*chars_, *crf, {chars.data() + at, static_cast<size_t>(end - at)}, text, syllable))
                    return nullptr;
                place = remember(text, syllable);
            }
            piece.hash = reinterpret_cast<uintptr_t>(place);
            pieces.push_back(piece);
            at = end;
        }
    } catch (const OutOfSteps&) {
        return nullptr;
    }
    return keep(chunk, hash, pieces, {});
}

Splitter::Outcome Splitter::split_vietnamese(Document& doc, std::vector<std::string>& unknown) {
    std::unordered_set<std::string_view> asked;
    std::vector<const Syllable*> syllables;
    syllables.reserve(doc.text.size() / 4);
    for (size_t i = 0; i < chunks_.size() && unknown.size() < kMaxUnknown; ++i) {
        const std::string_view chunk = chunks_[i].of(doc.text);
        const Entry* entry = recall(doc.text, i);
        if (!entry) entry = take_syllables(chunk, chunks_[i].hash);
        if (!entry) {
            if (chunk.size() > kMaxWordBytes || count_chars(chunk.data(), chunk.size()) > kMaxWordChars)
                return Outcome::kStock;
            if (asked.insert(chunk).second) unknown.emplace_back(chunk);
            continue;
        }
        const uint32_t offset = chunks_[i].offset;
        for (const Piece& piece : *entry) {
            doc.words.emplace_back(offset + piece.offset, piece.bytes, 0, 0, 0);
            syllables.push_back(reinterpret_cast<const Syllable*>(static_cast<uintptr_t>(piece.hash)));
            __builtin_prefetch(syllables.back());
        }
    }
    if (!unknown.empty()) return Outcome::kUnknown;

    for (size_t i = 0; i < syllables.size(); ++i) {
        Word& word = doc.words[i];
        const Syllable& syllable = *syllables[i];
        word.chars = syllable.chars;
        word.flags = syllable.flags;
        word.hash = syllable.hash;
    }
    std::vector<uint8_t> continues;
    find_words(*crf, syllables, continues);
    const uint8_t space_flags = flags_of(*chars_, " ");
    // Syllables of one word become one span, with the white space between them.
    size_t words = 0;
    for (size_t i = 0; i < doc.words.size(); ++i) {
        const Word syllable = doc.words[i];
        if (!continues[i]) {
            doc.words[words++] = syllable;
            continue;
        }
        Word& word = doc.words[words - 1];
        const uint32_t end = word.offset + word.bytes;
        const std::string_view gap = doc.text.substr(end, syllable.offset - end);
        size_t chars = word.chars + syllable.chars;
        unsigned flags = word.flags | syllable.flags;
        uint64_t hash;
        if (gap == " ") {
            hash = ' ' + kBase * syllable.hash;
            chars += 1;
            flags |= space_flags;
        } else {
            hash = polynomial(gap) + kPowers.of(gap.size()) * syllable.hash;
            chars += count_chars(gap.data(), gap.size());
            flags |= flags_of(*chars_, gap);
        }
        const size_t bytes = syllable.offset + syllable.bytes - word.offset;
        if (bytes > kMaxWordBytes || chars > kMaxWordChars) return Outcome::kStock;
        word = {word.offset, bytes, chars, flags, word.hash + kPowers.of(word.bytes) * hash};
    }
    doc.words.resize(words);
    return Outcome::kDone;
}

void Splitter::learn_syllables(const std::string& chunk,
                               const std::vector<std::pair<Syllable, uint32_t>>& syllables) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Key key(chunk);
    const uint64_t hash = key.hash();
    if (chunk.size() > kMaxKeyBytes || syllables.size() > kMaxPieces || memo_.find(key, hash)) return;
    std::vector<Piece> pieces;
    const char* p = chunk.data();
    for (auto [syllable, length] : syllables) {
        const char* begin = p;
        for (uint32_t i = 0; i < length; ++i) next_char(p);
        const std::string_view text(begin, static_cast<size_t>(p - begin));
        measure(*chars_, text, syllable);
        Piece piece{};
        piece.offset = static_cast<uint16_t>(begin - chunk.data());
        piece.bytes = static_cast<uint16_t>(text.size());
        piece.hash = reinterpret_cast<uintptr_t>(remember(text, syllable));
        pieces.push_back(piece);
    }
    memo_.insert(key, hash, pieces, 0, 0, false);
}

}  // namespace smol
