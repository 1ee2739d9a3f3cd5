#include "cpu/workspace.hpp"

#include "cpu/huge_pages.hpp"

namespace ck_fmha::cpu {
namespace {

thread_local Block t_kept;

} // namespace

Block Block::of(size_t size)
{
    Block block = std::move(t_kept);
    if (block.size_ >= size) return block;
    block = Block(); // given back before more is asked for
    block.memory_.reset(static_cast<std::byte*>(::operator new(size, std::align_val_t{Arena::kAlignment})));
    block.size_ = size;
    want_huge_pages(block.data(), size);
    return block;
}

void Block::keep(Block block)
{
    if (block.size_ <= kMaxKept && block.size_ > t_kept.size_) t_kept = std::move(block);
}

} // namespace ck_fmha::cpu
