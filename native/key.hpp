// The keys of memories of words: what is compared and hashed of a short string.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bytes.hpp"

namespace smol {

// A key and its first eight bytes, which are all of it for most: neither its hash nor a comparison
// branches by its length then.
struct Key {
    explicit Key(std::string_view bytes_) : bytes(bytes_), head(head_of(bytes.data(), bytes.size())) {}
    // Of at least a byte. `end`: of the text in which it is.
    Key(std::string_view bytes_, const char* end) : bytes(bytes_), head(head_of(bytes.data(), bytes.size(), end)) {}
    uint64_t hash() const {
        auto mix = [](uint64_t h, uint64_t v) {
            h = (h ^ v) * 0xD6E8FEB86659FD93u;
            return h ^ h >> 32;
        };
        const size_t n = bytes.size();
        uint64_t h = mix(n * 0x9E3779B97F4A7C15u, head);
        if (n > 8) {
            for (size_t i = 8; i + 8 < n; i += 8) h = mix(h, load<uint64_t>(bytes.data() + i));
            h = mix(h, load<uint64_t>(bytes.data() + n - 8));
        }
        h *= 0xD6E8FEB86659FD93u;
        return h ^ h >> 29;
    }
    bool has_rest(const char* rest) const {
        const size_t n = bytes.size();
        return n <= 8 || same_bytes(rest, bytes.data() + 8, n - 8);
    }
    std::string_view bytes;
    uint64_t head;
};

}  // namespace smol
