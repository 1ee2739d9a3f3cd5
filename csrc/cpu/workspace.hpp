#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace ck_fmha::cpu {

// One aligned block of memory, laid out by a first pass of `take` calls that only add up sizes and cut by a second one:
//
//     float* rows;
//     const Workspace memory([&](Arena& arena) { rows = arena.take<float>(count); }); // owns what `rows` points to
class Arena {
public:
    explicit Arena(std::byte* base) : base_(base) {}

    template <class T>
    T* take(size_t count)
    {
        T* p = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
        used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment + kStagger;
        return p;
    }
    size_t used() const { return used_; }

    static constexpr size_t kAlignment = 64; // a cache line, and the widest vector
    // Tiles are multiples of 4 KiB. Were they a multiple of 4 KiB apart as well, a load would wait for every recent
    // store with the same lower 12 bits of the address: a third of the speed of the products.
    static constexpr size_t kStagger = 5 * kAlignment;

private:
    std::byte* base_;
    size_t used_ = 0;
};

// Memory for `lay_out(arena)`; throws std::bad_alloc.
class Workspace {
public:
    template <class LayOut>
    explicit Workspace(const LayOut& lay_out)
    {
        Arena sizes(nullptr);
        lay_out(sizes);
        if (sizes.used() == 0) return;
        memory_.reset(static_cast<std::byte*>(::operator new(sizes.used(), std::align_val_t{Arena::kAlignment})));
        Arena parts(memory_.get());
        lay_out(parts);
    }

private:
    struct Free {
        void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{Arena::kAlignment}); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

} // namespace ck_fmha::cpu
