// A bounded memory of words: bytes of a word -> its rows.
//
// Partial sums would be shorter, but floats added in another order give other bits, so rows are remembered and added
// one by one. Keys are compared byte by byte. A full memory is emptied; what is in use comes back at the cost of a miss.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "key.hpp"
#include "large_pages.hpp"

namespace smol::language {

class Memo {
  public:
    // An entry in units of four bytes: the key's length and the number of rows, the key's head, the rows, the key's rest.
    struct Entry {
        uint32_t key_bytes : 8;
        uint32_t num_rows : 24;
        uint32_t head[2];
        const uint32_t* rows() const { return reinterpret_cast<const uint32_t*>(this + 1); }
        bool is(const Key& key) const {
            return key_bytes == key.bytes.size() && std::memcmp(head, &key.head, sizeof head) == 0 &&
                   key.has_rest(reinterpret_cast<const char*>(rows() + num_rows));
        }
    };
    static constexpr size_t kHead = sizeof(Entry) / 4;
    static_assert(sizeof(Entry) == 4 * kHead, "whole units");
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
    const Entry* find(const Key& word, uint64_t hash) const {
        const uint32_t tag = static_cast<uint32_t>(hash >> 32);
        for (size_t i = tag & mask_;; i = (i + 1) & mask_) {
            const Slot slot = slots_[i];
            if (slot.unit == 0) return nullptr;
            if (slot.tag != tag) continue;
            const Entry* entry = reinterpret_cast<const Entry*>(&units_[slot.unit]);
            if (entry->is(word)) return entry;
        }
    }
    // Words up to kLongestKey only. Entries found before may be gone afterwards.
    void insert(const Key& word, uint64_t hash, const uint32_t* rows, size_t num_rows) {
        if (bytes() > max_bytes_) clear();
        if ((count_ + 1) * 2 > slots_.size()) grow();
        const size_t unit = units_.size() - kSlack, n = word.bytes.size(), rest = n > 8 ? n - 8 : 0;
        units_.resize(units_.size() + kHead + num_rows + (rest + 3) / 4);
        uint32_t* block = &units_[unit];
        Entry entry{static_cast<uint32_t>(n) & 0xFF, static_cast<uint32_t>(num_rows) & 0xFFFFFF, {}};
        std::memcpy(entry.head, &word.head, sizeof entry.head);
        std::memcpy(block, &entry, sizeof entry);
        if (num_rows) std::memcpy(block + kHead, rows, num_rows * sizeof *rows);
        if (rest) std::memcpy(block + kHead + num_rows, word.bytes.data() + 8, rest);
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
