// See permute.hpp.
//
// 112 permutations of every n-gram are most of a signature's work: one loop without branches, compiled once for each
// kind of registers and chosen at run time, so that one build runs on any machine.
//
// The modulus without a division: 2^61 = 1 mod p, so v = high * 2^61 + low has the remainder of low + high, which is at
// most p + 7. Taking p away once is enough, where the sum is p or more; as a signed number, where the difference is not
// negative. True for every v of 64 bits, which is what is left of hash * a + b after it has overflowed, in numpy as here.
#include "permute.hpp"

namespace smol {
namespace {

#if defined(__x86_64__) && defined(__GNUC__)
#define SMOL_X86 1
#endif

template <bool kMasked>
#if defined(__GNUC__)
__attribute__((always_inline))
#endif
inline void
lowest(const Permutations& p, const uint64_t* hashes, size_t num_hashes, uint64_t* best) {
    for (size_t j = 0; j < p.count; ++j) {
        const uint64_t a = p.a[j], b = p.b[j], mask = p.mask;
        // All values are below 2^61: signed comparisons, which more machines have.
        int64_t least = static_cast<int64_t>(best[j]);
        for (size_t i = 0; i < num_hashes; ++i) {
            const uint64_t v = hashes[i] * a + b;
            int64_t value = static_cast<int64_t>((v & kMersenne) + (v >> 61) - kMersenne);
            value += value < 0 ? static_cast<int64_t>(kMersenne) : 0;
            if (kMasked) value &= static_cast<int64_t>(mask);
            least = value < least ? value : least;
        }
        best[j] = static_cast<uint64_t>(least);
    }
}

void any_machine(const Permutations& p, const uint64_t* hashes, size_t num_hashes, uint64_t* best) {
    ~p.mask ? lowest<true>(p, hashes, num_hashes, best) : lowest<false>(p, hashes, num_hashes, best);
}

#ifdef SMOL_X86
__attribute__((target("avx2"))) void avx2(const Permutations& p, const uint64_t* hashes, size_t num_hashes,
                                          uint64_t* best) {
    ~p.mask ? lowest<true>(p, hashes, num_hashes, best) : lowest<false>(p, hashes, num_hashes, best);
}

__attribute__((target("avx512f,avx512dq,avx512vl"))) void avx512(const Permutations& p, const uint64_t* hashes,
                                                                 size_t num_hashes, uint64_t* best) {
    ~p.mask ? lowest<true>(p, hashes, num_hashes, best) : lowest<false>(p, hashes, num_hashes, best);
}
#endif

}  // namespace

void permute(const Permutations& p, const uint64_t* hashes, size_t num_hashes, uint64_t* best) {
#ifdef SMOL_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return avx512(p, hashes, num_hashes, best);
    if (__builtin_cpu_supports("avx2")) return avx2(p, hashes, num_hashes, best);
#endif
    any_machine(p, hashes, num_hashes, best);
}

}  // namespace smol
