// Short keys: reading and comparing a few bytes without a call or a loop.
#pragma once
#include <cstdint>
#include <cstring>

namespace smol {

// For functions that only fetch: gcc finds that they do nothing, and leaves their calls out.
#define SMOL_FETCHES __attribute__((always_inline)) inline

template <class T>
uint64_t load(const char* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

// Up to eight bytes (n > 0) in one number; reads nothing beyond their end.
inline uint64_t short_key(const char* p, size_t n) {
    if (n >= 4) return load<uint32_t>(p) | load<uint32_t>(p + n - 4) << 32;
    auto byte = [p](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])}; };
    return byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

// The first eight of n bytes in one number, zeros behind the last; reads nothing beyond it.
inline uint64_t head_of(const char* p, size_t n) {
    if (n == 0) return 0;
    if (n >= 8) return load<uint64_t>(p);
    if (n >= 4) return load<uint32_t>(p) | load<uint32_t>(p + n - 4) << 8 * (n - 4);
    auto byte = [p](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])} << 8 * i; };
    return byte(0) | byte(n / 2) | byte(n - 1);
}

// The same for n > 0 with nothing to foretell; may read all eight bytes, unless they reach beyond `end`.
inline uint64_t head_of(const char* p, size_t n, const char* end) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (end - p >= 8) return load<uint64_t>(p) & ~uint64_t{0} >> (64 - 8 * (n < 8 ? n : 8));
#endif
    return head_of(p, n);
}

// Whether two runs of n bytes (n > 0) are equal.
inline bool same_bytes(const char* a, const char* b, size_t n) {
    if (n > 16) return std::memcmp(a, b, n) == 0;
    if (n > 8) return load<uint64_t>(a) == load<uint64_t>(b) && load<uint64_t>(a + n - 8) == load<uint64_t>(b + n - 8);
    return short_key(a, n) == short_key(b, n);
}

}  // namespace smol
