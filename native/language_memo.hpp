// A bounded memory of words: bytes of a word -> its rows.
//
// Partial sums would be shorter, but floats added in another order give other bits, so rows are remembered and added
// one by one. Keys are compared byte by byte. A full memory is emptied; what is in use comes back at the cost of a miss.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "bytes.hpp"
#include "large_pages.hpp"

namespace smol::language {

inline uint64_t memo_hash(std::string_view word) {
    const char* p = word.data();
    const size_t n = word.size();
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    auto mix = [&h](uint64_t v) {
        h = (h ^ v) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    };
    if (n > 8) {
        for (size_t i = 0; i + 8 < n; i += 8) mix(load<uint64_t>(p + i));
        mix(load<uint64_t>(p + n - 8));
    } else {
        mix(short_key(p, n));
    }
    return h * 0xD6E8FEB86659FD93u;
}

class Memo {
  public:
    // An entry in units of four bytes: the key's length and the number of rows, the rows, the key.
    struct Entry {
        uint32_t key_bytes : 8;
        uint32_t num_rows : 24;
        const uint32_t* rows() const { return reinterpret_cast<const uint32_t*>(this + 1); }
        const char* key() const { return reinterpret_cast<const char*>(rows() + num_rows); }
    };
    static_assert(sizeof(Entry) == 4, "one unit");
    static constexpr size_t kLongestKey = 64;
    // Units behind every entry that may be read (and mean nothing).
    static constexpr size_t kSlack = 8;

    explicit Memo(size_t max_bytes) : max_bytes_(max_bytes) { clear(); }

    // A look-up waits for two places in memory, one after the other; these fetch them for several words at once.
    SMOL_FETCHES void prefetch_slot(uint64_t hash) const { __builtin_prefetch(&slots_[hash >> 32 & mask_]); }
    SMOL_FETCHES void prefetch_entry(uint64_t hash) const {
        const uint32_t tag = static_cast<uint32_t>(hash >> 32);
        size_t i = tag & mask_;
        while (slots_[i].unit != 0 && slots_[i].tag != tag) i = (i + 1) & mask_;
        __builtin_prefetch(&units_[slots_[i].unit]);
    }
    const Entry* find(std::string_view word, uint64_t hash) const {
        const uint32_t tag = static_cast<uint32_t>(hash >> 32);
        for (size_t i = tag & mask_;; i = (i + 1) & mask_) {
            const Slot slot = slots_[i];
            if (slot.unit == 0) return nullptr;
            if (slot.tag != tag) continue;
            const Entry* entry = reinterpret_cast<const Entry*>(&units_[slot.unit]);
            if (entry->key_bytes == word.size() && same_bytes(entry->key(), word.data(), word.size())) return entry;
        }
    }
    // Words up to kLongestKey only. Entries found before may be gone afterwards.
    void insert(std::string_view word, uint64_t hash, const uint32_t* rows, size_t num_rows) {
        if (bytes() > max_bytes_) clear();
        if ((count_ + 1) * 2 > slots_.size()) grow();
        const size_t unit = units_.size() - kSlack;
        units_.resize(units_.size() + 1 + num_rows + (word.size() + 3) / 4);
        uint32_t* block = &units_[unit];
        const Entry entry{static_cast<uint32_t>(word.size()), static_cast<uint32_t>(num_rows) & 0xFFFFFF};
        std::memcpy(block, &entry, sizeof entry);
        if (num_rows) std::memcpy(block + 1, rows, num_rows * sizeof *rows);
        std::memcpy(block + 1 + num_rows, word.data(), word.size());
        place({static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(unit)});
        ++count_;
    }
    void clear() {
        units_.assign(1 + kSlack, 0);  // unit 0 marks a free slot
        units_.shrink_to_fit();
        slots_.assign(1 << 12, Slot{});
        slots_.shrink_to_fit();
        mask_ = slots_.size() - 1;
        count_ = 0;
    }
    size_t bytes() const { return units_.size() * sizeof(uint32_t) + slots_.size() * sizeof(Slot); }
    size_t count() const { return count_; }

  private:
    struct Slot {  // its place follows from the tag, so growing reads no entries
        uint32_t tag = 0, unit = 0;
    };
    void place(Slot slot) {
        size_t i = slot.tag & mask_;
        while (slots_[i].unit != 0) i = (i + 1) & mask_;
        slots_[i] = slot;
    }
    void grow() {
        Table<Slot> old = std::move(slots_);
        slots_.assign(old.size() * 2, Slot{});
        mask_ = slots_.size() - 1;
        for (const Slot slot : old) {
            if (slot.unit != 0) place(slot);
        }
    }

    const size_t max_bytes_;
    Table<uint32_t> units_;
    Table<Slot> slots_;
    size_t mask_ = 0, count_ = 0;
};

}  // namespace smol::language
