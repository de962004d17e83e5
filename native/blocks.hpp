// Finding the ends of words without a branch for each: which bytes of a block may end one is known before the first of
// them is looked at. A loop that goes from byte to byte is told wrong by the processor at the end of nearly every word,
// and one that searches for the next end cannot begin before it has found the last.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace smol {

// Eight bytes, the first one lowest, and what can be asked of all of them at once: 0x80 in those for which it holds.
struct Eight {
    static constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = kOnes * 0x80;
    explicit Eight(const char* p) {
        for (int i = 0; i < 8; ++i) v |= uint64_t{static_cast<unsigned char>(p[i])} << 8 * i;  // compilers make it one read
    }
    static uint64_t zeros(uint64_t x) { return ~(((x & ~kHigh) + ~kHigh) | x) & kHigh; }
    uint64_t up_to_space() const { return ~((v & ~kHigh) + kOnes * (0x80 - 0x21)) & ~v & kHigh; }  // <= 0x20
    uint64_t are(uint8_t byte) const { return zeros(v ^ kOnes * byte); }
    uint64_t are(uint8_t byte, uint8_t mask) const { return zeros((v & kOnes * mask) ^ kOnes * byte); }
    // The byte behind it, masked; of the last one it is not known, and it holds for none.
    uint64_t followed_by(uint8_t byte, uint8_t mask) const { return zeros((v >> 8 & kOnes * mask) ^ kOnes * byte); }
    uint64_t v = 0;
};

// Calls visit(place) for all bytes of which may(Eight) holds, until it returns false.
template <class May, class Visit>
void for_each_byte(std::string_view text, May may, Visit visit) {
    constexpr size_t kBlock = 64;
    char rest[kBlock];
    for (size_t block = 0; block < text.size(); block += kBlock) {
        const char* p = text.data() + block;
        if (text.size() - block < kBlock) {
            std::memset(rest, 'a', kBlock);
            std::memcpy(rest, p, text.size() - block);
            p = rest;
        }
        uint64_t hits = 0;  // a bit for each byte
        for (size_t i = 0; i < kBlock; i += 8) hits |= ((may(Eight(p + i)) >> 7) * 0x0102040810204080u >> 56) << i;
        for (; hits; hits &= hits - 1)
            if (!visit(block + static_cast<size_t>(__builtin_ctzll(hits)))) return;
    }
}

}  // namespace smol
