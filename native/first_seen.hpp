// Which of many items are equal to an earlier one: a table of their numbers, in which the caller compares.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "bytes.hpp"

namespace smol {

// Documents of more words are judged by repetition_large.cpp, and tables of more items are kept tighter: 20 MB of text
// can have seventeen million.
constexpr size_t kManyWords = 1 << 20;

// All tables take their places from a hash times this (odd, so nothing is lost): the high bits then depend on all others.
constexpr uint64_t kSpread = 0x9E3779B97F4A7C15u;

// Finds the first earlier item equal to a new one. Items are numbered by the caller.
class FirstSeen {
  public:
    explicit FirstSeen(size_t items) {
        size_t size = 16;
        while (size < (items > kManyWords ? items + items / 3 : items * 2)) size *= 2;
        slots_.resize(size);
        shift_ = 64;
        while (size >>= 1) --shift_;
    }
    void clear() { std::memset(slots_.data(), 0, slots_.size() * sizeof(uint64_t)); }

    // The number of the first equal item, or -1 after remembering this one. `same(j)` compares with item j; `hash` is
    // a hash times kSpread.
    template <class Same>
    int64_t find_or_add(uint64_t hash, uint32_t item, Same same) {
        hash = mixed(hash);
        const uint64_t tag = hash << 32;
        for (size_t i = hash >> shift_;; i = (i + 1) & (slots_.size() - 1)) {
            uint64_t& slot = slots_[i];
            if (slot == 0) {
                slot = tag | (uint64_t{item} + 1);
                return -1;
            }
            if ((slot ^ tag) >> 32 == 0) {
                const uint32_t other = static_cast<uint32_t>(slot) - 1;
                if (same(other)) return other;
            }
        }
    }
    // Fetches what `find_or_add` will read, some items ahead.
    SMOL_FETCHES void expect(uint64_t hash) const { __builtin_prefetch(&slots_[mixed(hash) >> shift_]); }

  private:
    static uint64_t mixed(uint64_t hash) { return (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u; }
    std::vector<uint64_t> slots_;
    int shift_;
};

}  // namespace smol
