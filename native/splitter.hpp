// From a text to its words, chunk by chunk, with a memory of chunks.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "affixes.hpp"
#include "memo.hpp"
#include "vietnamese.hpp"
#include "words.hpp"

namespace smol {

// Beyond this many unknown chunks per round, the rest waits for the next round.
constexpr size_t kMaxUnknown = 16384;

class Splitter {
  public:
    Splitter(std::shared_ptr<const CharTable> chars, size_t memo_bytes)
        : chars_(std::move(chars)), memo_(memo_bytes) {}

    enum class Outcome {
        kDone,
        kUnknown,  // `unknown` holds chunks to be learned; then try again
        kStock,    // only stock can split this text
    };
    // Thread safe. Fills doc.words; doc.text must be set.
    Outcome split(Document& doc, std::vector<std::string>& unknown);

    // The syllables that make up a chunk, with their lengths in characters.
    void learn_syllables(const std::string& chunk, const std::vector<std::pair<Syllable, uint32_t>>& syllables);
    void forget();

    size_t memo_bytes();
    size_t memo_chunks();
    const CharTable& chars() const { return *chars_; }

    // Set once, before the first split.
    std::unique_ptr<Rules> rules;
    std::unique_ptr<CrfModel> crf;

  private:
    static constexpr size_t kSyllableBytes = sizeof(Syllable) + 80;  // with its entry in places_
    static constexpr size_t kAhead = 16;
    struct Chunk {  // a run without white space
        uint32_t offset;
        uint32_t bytes : 31;
        uint32_t only_a_space : 1;  // exactly one U+0020 lies between it and the run before
        uint64_t hash;
        std::string_view of(std::string_view text) const { return text.substr(offset, bytes); }
    };
    // The tokens at both ends of a chunk (Split::first, Split::last), and the words of the text before it.
    struct Ends {
        uint16_t first, last;
        uint32_t words_before;
    };
    void find_chunks(std::string_view text);
    bool find_stretch(std::string_view text, size_t i, size_t& from, size_t& to);
    // The memory's entry of a chunk, or null. Called for one chunk after the other.
    const Entry* recall(std::string_view text, size_t i) const {
        if (i + kAhead < chunks_.size()) memo_.expect_entry(chunks_[i + kAhead].hash);
        return memo_.find(Key(chunks_[i].of(text), text.data() + text.size()), chunks_[i].hash);
    }
    Outcome split_rules(Document& doc);
    Outcome split_vietnamese(Document& doc, std::vector<std::string>& unknown);
    // The entry of a chunk that is not in the memory, or null where it cannot be made here.
    const Entry* take_chunk(std::string_view chunk, uint64_t hash);
    const Entry* take_stretch(std::string_view stretch, uint64_t hash);
    const Entry* take_syllables(std::string_view chunk, uint64_t hash);
    const Syllable* remember(std::string_view text, const Syllable& syllable);
    void forget_all();
    bool full() const { return memo_.full(syllables_.size() * kSyllableBytes); }
    const Entry* keep(std::string_view chunk, uint64_t hash, const std::vector<Piece>& pieces, const Split& split);
    std::vector<Piece> pieces(std::string_view chunk, const std::vector<std::pair<int, int>>& tokens) const;
    bool joined_by_a_rule(std::string_view text, size_t border, uint32_t pair, bool special) const;

    std::shared_ptr<const CharTable> chars_;
    std::mutex mutex_;  // over everything below
    Memo memo_;
    std::vector<Chunk> chunks_;  // of the text at hand
    std::vector<Ends> ends_;
    bool learned_ = false;
    // Vietnamese: each different syllable once, and where it is.
    Syllables syllables_;
    std::unordered_map<std::string, const Syllable*> places_;
};

}  // namespace smol
