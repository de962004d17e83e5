// The permutations of MinHash, on the widest registers that this machine has.
#pragma once
#include <cstddef>
#include <cstdint>

namespace smol {

constexpr uint64_t kMersenne = (uint64_t{1} << 61) - 1;

struct Permutations {
    const uint64_t *a, *b;
    size_t count;
    uint64_t mask;  // applied to each value after the modulus
};

// best[j] = min(best[j], ((hashes[i] * a[j] + b[j]) mod (2^61 - 1)) & mask) over all i, as numpy computes it.
void permute(const Permutations& p, const uint64_t* hashes, size_t num_hashes, uint64_t* best);

}  // namespace smol
