// datatrove's Gopher rules on words that are already split: same order of checks, same arithmetic, same reasons.
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "words.hpp"

namespace smol {

// A threshold of None or 0 switches a rule off, as Python's truth does in stock.
struct Limit {
    double value = 0;
    explicit operator bool() const { return value != 0; }
};

struct Verdict {
    enum { kKept, kDropped, kStock } result = kKept;  // kStock: stock would raise or warn here; ask it
    std::string reason = {};
};

struct NGramLimit {
    uint32_t n;
    double share;
};

struct RepetitionRules {
    Limit dup_line, dup_para, dup_line_char, dup_para_char;
    std::vector<NGramLimit> top, duplicated;

    // The rules that need no words, then those that do: stock's order.
    Verdict judge_lines(const CharTable& chars, std::string_view text, uint64_t text_chars) const;
    Verdict judge_words(const Document& doc) const;
    // The same verdict in less memory per word, for documents of very many.
    Verdict judge_many_words(const Document& doc) const;
};

struct QualityRules {
    Limit min_doc_words, max_doc_words, min_avg_word_length, max_avg_word_length, max_symbol_word_ratio;
    Limit max_bullet_lines_ratio, max_ellipsis_lines_ratio, max_non_alpha_words_ratio, min_stop_words;
    std::vector<std::string> stop_words;  // distinct

    void finish();
    Verdict judge(const CharTable& chars, const Document& doc) const;

  private:
    bool too_few_stop_words(const Document& doc) const;
    std::vector<uint32_t> stop_slots_;  // index + 1 into stop_words by hash, a power of two
    size_t longest_stop_word_ = 0;
};

}  // namespace smol
