// XXH64 and XXH32 with seed 0 (Collet's specification, github.com/Cyan4973/xxHash, doc/xxhash_spec.md) and the first bytes
// of SHA-1 (FIPS 180-4), as numbers: what datatrove's hash functions say of a string's UTF-8.
//
// Written out here because the C header of xxHash cannot be had as a build dependency, and a call into Python per n-gram
// costs more than the hash.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace smol {

// Bytes are little-endian numbers in xxHash and in datatrove's reading of SHA-1, whatever the machine.
template <class Number>
Number read_little(const char* p) {
    Number n;
    std::memcpy(&n, p, sizeof n);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = sizeof n == 8 ? static_cast<Number>(__builtin_bswap64(n)) : __builtin_bswap32(static_cast<uint32_t>(n));
#endif
    return n;
}

inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }
inline uint32_t rotate(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

inline uint64_t xxh64(std::string_view s) {
    constexpr uint64_t k1 = 0x9E3779B185EBCA87u, k2 = 0xC2B2AE3D27D4EB4Fu, k3 = 0x165667B19E3779F9u,
                       k4 = 0x85EBCA77C2B2AE63u, k5 = 0x27D4EB2F165667C5u;
    auto round = [](uint64_t acc, uint64_t lane) { return rotate(acc + lane * k2, 31) * k1; };
    const char *p = s.data(), *const end = p + s.size();
    uint64_t h = k5;
    if (s.size() >= 32) {
        uint64_t acc[4] = {k1 + k2, k2, 0, 0 - k1};
        for (; end - p >= 32; p += 32)
            for (int i = 0; i < 4; ++i) acc[i] = round(acc[i], read_little<uint64_t>(p + 8 * i));
        h = rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18);
        for (uint64_t a : acc) h = (h ^ round(0, a)) * k1 + k4;
    }
    h += s.size();
    for (; end - p >= 8; p += 8) h = rotate(h ^ round(0, read_little<uint64_t>(p)), 27) * k1 + k4;
    if (end - p >= 4) {
        h = rotate(h ^ read_little<uint32_t>(p) * k1, 23) * k2 + k3;
        p += 4;
    }
    for (; p < end; ++p) h = rotate(h ^ static_cast<unsigned char>(*p) * k5, 11) * k1;
    h = (h ^ h >> 33) * k2;
    h = (h ^ h >> 29) * k3;
    return h ^ h >> 32;
}

inline uint32_t xxh32(std::string_view s) {
    constexpr uint32_t k1 = 0x9E3779B1u, k2 = 0x85EBCA77u, k3 = 0xC2B2AE3Du, k4 = 0x27D4EB2Fu, k5 = 0x165667B1u;
    const char *p = s.data(), *const end = p + s.size();
    uint32_t h = k5;
    if (s.size() >= 16) {
        uint32_t acc[4] = {k1 + k2, k2, 0, 0 - k1};
        for (; end - p >= 16; p += 16)
            for (int i = 0; i < 4; ++i) acc[i] = rotate(acc[i] + read_little<uint32_t>(p + 4 * i) * k2, 13) * k1;
        h = rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18);
    }
    h += static_cast<uint32_t>(s.size());
    for (; end - p >= 4; p += 4) h = rotate(h + read_little<uint32_t>(p) * k3, 17) * k4;
    for (; p < end; ++p) h = rotate(h + static_cast<unsigned char>(*p) * k5, 11) * k1;
    h = (h ^ h >> 15) * k2;
    h = (h ^ h >> 13) * k3;
    return h ^ h >> 16;
}

namespace sha1 {

inline void add_block(uint32_t state[5], const unsigned char* block) {
    uint32_t w[80];
    for (int i = 0; i < 16; ++i)
        w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 | uint32_t{block[4 * i + 2]} << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 80; ++i) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    auto step = [&](uint32_t f, uint32_t k, uint32_t word) {
        const uint32_t next = rotate(a, 5) + f + e + k + word;
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    };
    for (int i = 0; i < 20; ++i) step((b & c) | (~b & d), 0x5A827999u, w[i]);
    for (int i = 20; i < 40; ++i) step(b ^ c ^ d, 0x6ED9EBA1u, w[i]);
    for (int i = 40; i < 60; ++i) step((b & c) | (b & d) | (c & d), 0x8F1BBCDCu, w[i]);
    for (int i = 60; i < 80; ++i) step(b ^ c ^ d, 0xCA62C1D6u, w[i]);
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

}  // namespace sha1

// The first eight bytes of the digest as a little-endian number; its lower half is the first four.
inline uint64_t sha1_head(std::string_view s) {
    uint32_t state[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    const auto* p = reinterpret_cast<const unsigned char*>(s.data());
    size_t left = s.size();
    for (; left >= 64; left -= 64, p += 64) sha1::add_block(state, p);
    unsigned char tail[128] = {};
    if (left) std::memcpy(tail, p, left);
    tail[left] = 0x80;
    const size_t blocks = left < 56 ? 1 : 2;
    const uint64_t bits = uint64_t{s.size()} * 8;
    for (int i = 0; i < 8; ++i) tail[blocks * 64 - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
    for (size_t i = 0; i < blocks; ++i) sha1::add_block(state, tail + 64 * i);
    // The digest is big-endian words.
    return uint64_t{__builtin_bswap32(state[1])} << 32 | __builtin_bswap32(state[0]);
}

}  // namespace smol
