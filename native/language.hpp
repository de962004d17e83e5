// Language identification as fastText 0.9.2 does it (Joulin et al. 2016, arXiv:1607.01759; 1612.03651 for .ftz files).
//
// fastText adds up one row of floats per word and per character n-gram of a text, in the order of the text, divides by
// their number, and asks a tree or a layer of outputs for the best label. Everything that decides a bit of the result is
// kept: which rows, the order of the additions, floats where it has floats. What is faster is how the rows are found:
// the row numbers of a word are remembered, quantised rows are multiplied out once, and only the part of the tree that
// can hold the best label is visited.
#pragma once
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "language_memo.hpp"

namespace smol::language {

enum class Loss { kHierarchical = 1, kNegative = 2, kSoftmax = 3, kOneVsAll = 4 };  // fastText's args.h

// A float at any address: a model file aligns nothing.
using LooseFloat = float __attribute__((aligned(1), may_alias));

// word -> number, by fastText's own hash; a word's number is its row.
class Dictionary {
  public:
    // Raises std::invalid_argument when two words are the same.
    void build(std::vector<std::string_view> words);
    int32_t find(std::string_view word, uint32_t hash) const {  // -1: unknown
        for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
            if (slots_[i] < 0 || words_[static_cast<size_t>(slots_[i])] == word) return slots_[i];
        }
    }

  private:
    std::vector<std::string_view> words_;
    std::vector<int32_t> slots_;
    size_t mask_ = 0;
};

// n-gram bucket -> row. In a pruned model most buckets have none: a bit each says so before the table is asked.
class Buckets {
  public:
    void keep_all(uint32_t num_buckets, uint32_t first_row) {
        count(num_buckets);
        first_row_ = first_row;
        all_ = true;
    }
    void keep(uint32_t num_buckets, const std::vector<std::pair<uint32_t, uint32_t>>& rows);
    // hash % num_buckets_ by two products (Lemire, Kaser, Kurz 2019, arXiv:1902.01961): exact for 32 bits.
    uint32_t bucket(uint32_t hash) const {
        return static_cast<uint32_t>(static_cast<unsigned __int128>(inverse_ * hash) * num_buckets_ >> 64);
    }
    SMOL_FETCHES void prefetch(uint32_t bucket) const {
        if (!all_) __builtin_prefetch(&kept_[bucket >> 6]);
    }
    // Replaces the n buckets by the rows of those that have one, in their order; returns how many.
    size_t to_rows(uint32_t* buckets, size_t n) const;

  private:
    struct Slot {
        uint32_t bucket, row;
    };
    size_t place(uint32_t bucket) const { return bucket * 0x9E3779B9u >> 7 & mask_; }
    void count(uint32_t num_buckets) {
        num_buckets_ = num_buckets;
        inverse_ = num_buckets ? UINT64_MAX / num_buckets + 1 : 0;
    }

    uint64_t inverse_ = 0;
    uint32_t num_buckets_ = 0, first_row_ = 0;
    bool all_ = false;
    Table<uint64_t> kept_;
    Table<Slot> slots_;
    size_t mask_ = 0;
};

// The last layer: from the mean of the rows to labels. language_output.cpp
class Output {
  public:
    // weights: one row of `dim` floats per label; scale: what a row's product is multiplied with at the end.
    void build(Loss loss, size_t dim, std::vector<float> weights, std::vector<float> scale,
               const std::vector<int64_t>& label_counts);
    // False when the best label does not stand out enough for its place among equals not to matter.
    bool best(const float* hidden, uint32_t& label, float& score) const;
    // The score of one label; 0 where fastText leaves the label out.
    void scores(const float* hidden, const std::vector<uint32_t>& labels, std::vector<float>& out) const;

  private:
    struct Step {
        uint32_t row;
        bool right;
    };
    void build_tree(const std::vector<int64_t>& label_counts);
    float right_share(const float* hidden, size_t row) const;
    bool best_leaf(const float* hidden, uint32_t& label, float& score) const;
    std::vector<float> layer(const float* hidden) const;

    Loss loss_ = Loss::kHierarchical;
    size_t dim_ = 0, num_labels_ = 0;
    std::vector<float> weights_;  // by row for a tree, else by column: labels side by side
    std::vector<float> scale_, sigmoid_;
    std::vector<std::pair<int32_t, int32_t>> children_;  // of inner nodes; leaves are numbers below num_labels_
    std::vector<std::vector<Step>> paths_;               // from the root to each label
    float margin_ = 0;
};

class Model {
  public:
    // Reads a model; `data` must outlive it. Raises std::invalid_argument: not a model that is handled here.
    Model(const char* data, size_t size, size_t memo_bytes);

    const std::vector<std::string_view>& labels() const { return labels_; }
    Loss loss() const { return loss_; }

    // The best label, as fastText's predict(text, k=-1) orders them; the text's newlines count as spaces.
    // False: fastText must decide (no rows at all, or two labels too close to each other).
    bool best(std::string_view text, uint32_t& label, float& score);
    // The scores of given labels in predict(text, k=-1). False as above.
    bool scores(std::string_view text, const std::vector<uint32_t>& labels, std::vector<float>& out);

    Memo& memo() { return memo_; }
    std::mutex& mutex() { return mutex_; }

  private:
    class Sum;
    bool hidden(std::string_view text, std::vector<float>& mean);
    bool hidden(std::string_view text, std::vector<float>& mean, Memo& memo) const;
    bool find_rows(const Key& key, uint64_t hash, Sum& sum, Memo* memo) const;
    void find_ngrams(std::string_view word, Sum& sum) const;

    Loss loss_;
    size_t dim_;
    int32_t minn_, maxn_;
    uint32_t num_words_;
    Dictionary dictionary_;  // words first, then labels
    Buckets buckets_;
    std::vector<std::string_view> labels_;
    const LooseFloat* rows_;
    Table<float> own_rows_;  // what rows_ points to in a quantised model
    Output output_;
    std::mutex mutex_;  // over memo_
    Memo memo_;
};

// fastText's hash of words and n-grams: FNV-1a, but bytes are sign-extended.
constexpr uint32_t kHashStart = 2166136261u;
inline uint32_t hash_byte(uint32_t hash, char byte) {
    return (hash ^ static_cast<uint32_t>(static_cast<int8_t>(byte))) * 16777619u;
}
inline uint32_t hash_word(std::string_view word) {
    uint32_t hash = kHashStart;
    for (char c : word) hash = hash_byte(hash, c);
    return hash;
}

}  // namespace smol::language
