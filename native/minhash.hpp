// MinHash signatures of a text's words, as datatrove's MinhashDedupSignature makes them.
//
// Stock joins the words of each n-gram with a space, hashes the string, and takes for each pair (a, b) the smallest
// (hash * a + b) mod (2^61 - 1) over all n-grams, in 64 bits that overflow. Here the words are written once with single
// spaces between them, so an n-gram is a slice of that buffer, and the hashes go through the permutations in blocks:
// memory is that of the text, whatever its length.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "words.hpp"

namespace smol {

enum class GramHash { kXxh64, kXxh32, kSha1of64, kSha1of32 };

class MinHasher {
  public:
    // `a` and `b`: the factors and summands of the permutations, one pair for each value of a signature.
    MinHasher(size_t n, GramHash hash, std::vector<uint64_t> a, std::vector<uint64_t> b);

    size_t size() const { return a_.size(); }
    bool is_32_bits() const { return hash_ == GramHash::kXxh32 || hash_ == GramHash::kSha1of32; }

    // The signature of the words in `best`, of the size above; false when there are fewer words than an n-gram has.
    bool sign(const Document& doc, std::vector<uint64_t>& best) const;

    // The different hashes of all n-grams, sorted; none when there are fewer words than an n-gram has.
    std::vector<uint64_t> grams(const Document& doc) const;

    // Lowers `best` to the smallest value of each permutation over `count` hashes.
    void permute(const uint64_t* hashes, size_t count, uint64_t* best) const;

  private:
    uint64_t hash(std::string_view gram) const;
    // Calls take(hashes, count) for the n-grams' hashes, in order, a block at a time.
    template <class Take>
    void each_block(const Document& doc, Take take) const;

    size_t n_;
    GramHash hash_;
    std::vector<uint64_t> a_, b_;
};

}  // namespace smol
