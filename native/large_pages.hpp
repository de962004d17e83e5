// An allocator for tables that are read at random places: they lie on pages of 2 MB where the system has such.
//
// A look-up in a table of many megabytes misses the processor's memory of page addresses as often as its caches; with
// large pages it does not. Small tables, and systems without madvise(MADV_HUGEPAGE), take the usual memory. Gives up: up
// to 2 MB for each table.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace smol {

template <class T>
struct LargePages {
    using value_type = T;
    LargePages() = default;
    template <class U>
    LargePages(const LargePages<U>&) {}

    T* allocate(size_t n) {
#if defined(MADV_HUGEPAGE)
        if (n >= kFrom / sizeof(T)) {
            if (n > (SIZE_MAX - kPage) / sizeof(T)) throw std::bad_alloc();
            const size_t bytes = (n * sizeof(T) + kPage - 1) / kPage * kPage;
            void* place = std::aligned_alloc(kPage, bytes);
            if (!place) throw std::bad_alloc();
            madvise(place, bytes, MADV_HUGEPAGE);  // advice: without it the table is as before
            return static_cast<T*>(place);
        }
#endif
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* place, size_t n) {
#if defined(MADV_HUGEPAGE)
        if (n >= kFrom / sizeof(T)) return std::free(place);
#endif
        std::allocator<T>().deallocate(place, n);
    }
    friend bool operator==(const LargePages&, const LargePages&) { return true; }
    friend bool operator!=(const LargePages&, const LargePages&) { return false; }

  private:
    static constexpr size_t kPage = size_t{2} << 20, kFrom = size_t{1} << 20;
};

template <class T>
using Table = std::vector<T, LargePages<T>>;

}  // namespace smol
