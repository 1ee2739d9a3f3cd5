#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

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

// Memory of a call. A thread keeps the block that its last call used for its next one, because fresh memory costs a
// page fault every 4 KiB; it gives it back when it ends.
class Block {
public:
    // What a thread keeps is at most this large.
#if defined(__SANITIZE_ADDRESS__)
    static constexpr size_t kMaxKept = 0; // a block of exactly the size that is used shows what is read past it
#else
    static constexpr size_t kMaxKept = size_t{64} << 20;
#endif

    Block() = default;
    Block(Block&& other) noexcept : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
    Block& operator=(Block&& other) noexcept
    {
        memory_ = std::move(other.memory_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    // At least `size` bytes: the kept block or a new one; throws std::bad_alloc.
    static Block of(size_t size);
    static void keep(Block block);

    std::byte* data() const { return memory_.get(); }

private:
    struct Free {
        void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{Arena::kAlignment}); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    size_t size_ = 0;
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
        block_ = Block::of(sizes.used());
        Arena parts(block_.data());
        lay_out(parts);
    }
    ~Workspace() { Block::keep(std::move(block_)); }
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

private:
    Block block_;
};

} // namespace ck_fmha::cpu
