// Short keys: reading and comparing a few bytes without a call or a loop.
#pragma once
#include <cstdint>
#include <cstring>

namespace smol {

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

// Whether two runs of n bytes (n > 0) are equal.
inline bool same_bytes(const char* a, const char* b, size_t n) {
    if (n > 16) return std::memcmp(a, b, n) == 0;
    if (n > 8) return load<uint64_t>(a) == load<uint64_t>(b) && load<uint64_t>(a + n - 8) == load<uint64_t>(b + n - 8);
    return short_key(a, n) == short_key(b, n);
}

}  // namespace smol
