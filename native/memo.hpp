// A bounded memory of chunks: bytes of a chunk -> its pieces.
//
// Keys are compared byte by byte, so two chunks are never mistaken for each other. Entries lie in one block each
// (head, pieces, rest of the key), which a hit reads in one go. Between two texts, a memory that has reached its limit is emptied; what
// is in use comes back at the cost of a miss.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "key.hpp"
#include "large_pages.hpp"
#include "polynomial.hpp"

namespace smol {

struct Piece {
    uint16_t offset;  // bytes from the chunk's start
    uint16_t bytes, chars;
    uint8_t flags;  // union of the characters' CharTable flags, and kNotPunct
    uint8_t unused;
    uint64_t hash;  // polynomial.hpp; in Vietnamese the address of the Syllable, which knows the rest
};

// Chunks and their pieces must fit.
constexpr size_t kMaxKeyBytes = 0xFFFF, kMaxPieces = 0x7FFF;

struct Entry {
    uint16_t key_bytes;
    uint16_t pieces : 15;
    uint16_t special : 1;  // spaCy's second pass changed or might have changed this chunk
    uint16_t first, last;  // Split::first, Split::last
    uint64_t head;         // of the key

    const Piece* begin() const { return reinterpret_cast<const Piece*>(this + 1); }
    const Piece* end() const { return begin() + pieces; }
    const char* rest() const { return reinterpret_cast<const char*>(end()); }  // of the key
    bool is(const Key& key) const {
        return key_bytes == key.bytes.size() && head == key.head && key.has_rest(rest());
    }
};
static_assert(sizeof(Entry) == 16 && sizeof(Piece) == 16, "blocks are laid out in units of eight bytes");

class Memo {
  public:
    explicit Memo(size_t max_bytes) : max_bytes_(max_bytes) { clear(); }
    bool full(size_t others) const { return bytes() + others > max_bytes_; }

    const Entry* find(const Key& key, uint64_t hash) const {
        const uint32_t tag = static_cast<uint32_t>(hash >> 32);
        for (size_t i = tag & mask_;; i = (i + 1) & mask_) {
            const Slot slot = slots_[i];
            if (slot.unit == 0) return nullptr;
            if (slot.tag != tag) continue;
            const Entry* entry = at(slot.unit);
            if (entry->is(key)) return entry;
        }
    }

    // A look-up is two reads from memory, one after the other: a slot, then its entry. Asked for some chunks ahead, they
    // overlap with the work on the chunks before.
    SMOL_FETCHES void expect_slot(uint64_t hash) const { __builtin_prefetch(&slots_[hash >> 32 & mask_]); }
    // An entry is seldom more than a few slots from its place.
    SMOL_FETCHES void expect_entry(uint64_t hash) const {
        const uint32_t tag = static_cast<uint32_t>(hash >> 32);
        for (size_t i = 0; i < 6; ++i) {
            const Slot slot = slots_[(tag + i) & mask_];
            if (slot.unit == 0) return;
            if (slot.tag != tag) continue;
            __builtin_prefetch(&units_[slot.unit]);
            __builtin_prefetch(reinterpret_cast<const char*>(&units_[slot.unit]) + 64);
            return;
        }
    }

    // Pointers to entries hold until the next call of `insert`, `pass` or `clear`.
    const Entry* insert(const Key& key, uint64_t hash, const std::vector<Piece>& pieces, uint16_t first,
                        uint16_t last, bool special) {
        if ((count_ + 1) * 3 > slots_.size() * 2) grow();
        const size_t unit = units_.size();
        write(units_, key, pieces, first, last, special);
        place({static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(unit)});
        ++count_;
        return at(static_cast<uint32_t>(unit));
    }

    // An entry that is not remembered, for the rest of a text that filled the memory.
    const Entry* pass(const std::vector<Piece>& pieces, uint16_t first, uint16_t last, bool special) {
        passing_.clear();
        write(passing_, Key(" "), pieces, first, last, special);
        return reinterpret_cast<const Entry*>(passing_.data());
    }

    void clear() {
        units_.assign(1, 0);  // unit 0 marks a free slot
        units_.shrink_to_fit();
        slots_.assign(1 << 12, Slot{});
        mask_ = slots_.size() - 1;
        count_ = 0;
    }

    size_t bytes() const { return units_.size() * 8 + slots_.size() * sizeof(Slot); }
    size_t count() const { return count_; }

  private:
    struct Slot {  // its place follows from the tag, so growing reads no entries
        uint32_t tag = 0, unit = 0;
    };
    static void write(Table<uint64_t>& units, const Key& key, const std::vector<Piece>& pieces, uint16_t first,
                      uint16_t last, bool special) {
        const size_t unit = units.size(), n = key.bytes.size();
        const size_t body = sizeof(Entry) + pieces.size() * sizeof(Piece);
        units.resize(unit + (body + (n > 8 ? n - 8 : 0) + 7) / 8);
        char* block = reinterpret_cast<char*>(&units[unit]);
        Entry entry{};
        entry.key_bytes = static_cast<uint16_t>(n);
        entry.pieces = static_cast<uint16_t>(pieces.size()) & kMaxPieces;
        entry.special = special;
        entry.first = first;
        entry.last = last;
        entry.head = key.head;
        std::memcpy(block, &entry, sizeof entry);
        if (!pieces.empty()) std::memcpy(block + sizeof entry, pieces.data(), pieces.size() * sizeof(Piece));
        if (n > 8) std::memcpy(block + body, key.bytes.data() + 8, n - 8);
    }
    const Entry* at(uint32_t unit) const { return reinterpret_cast<const Entry*>(&units_[unit]); }
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
    Table<uint64_t> units_, passing_;
    Table<Slot> slots_;
    size_t mask_ = 0, count_ = 0;
};

}  // namespace smol
