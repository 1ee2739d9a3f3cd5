// A libFuzzer target: bytes choose a mask, a call and a tile shape; the mask must keep the laws of the protocol. Or
// they choose something that is almost a mask, which build_mask must build or refuse with std::invalid_argument.
//
//     make fuzz                                                 builds it and lets it search for FUZZ_SECONDS
//     build/fuzz/fuzz_masks build/fuzz/artifacts/crash-...      replays one input, and prints what it stands for

#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "protocol_laws.hpp"

namespace mask_fuzz {
namespace {

bool replaying = false;

enum class Lengths { small, huge };

index_t pick_seqlen(ByteReader& bytes, Lengths lengths)
{
    if (lengths == Lengths::small) return static_cast<index_t>(bytes.one_in(3) ? bytes.pick(0, 70) : bytes.pick(0, 20));
    switch (bytes.pick(0, 4)) {
    case 0:
        return static_cast<index_t>(bytes.pick(1, ck_tile_masks::kIndexMax));
    case 1:
        return ck_tile_masks::kIndexMax - static_cast<index_t>(bytes.pick(0, 3));
    case 2:
        return static_cast<index_t>(bytes.pick(1, 300));
    case 3:
        return static_cast<index_t>(bytes.pick(1, 20000));
    default:
        return static_cast<index_t>((int64_t{1} << bytes.pick(0, 30)) + bytes.pick(0, 1));
    }
}

index_t pick_tile_size(ByteReader& bytes, Lengths lengths)
{
    const int64_t kind = bytes.pick(0, 7);
    if (kind == 7) return 64;
    if (lengths == Lengths::huge) return static_cast<index_t>(bytes.pick(1, 300));
    if (kind == 6) return ck_tile_masks::kIndexMax - static_cast<index_t>(bytes.pick(0, 2));
    return static_cast<index_t>(kind == 5 ? bytes.pick(1, 80) : bytes.pick(1, 8));
}

Call pick_call(ByteReader& bytes, Lengths lengths)
{
    Call call;
    call.batch = static_cast<index_t>(bytes.pick(1, 3));
    call.num_heads = static_cast<index_t>(bytes.pick(1, 3));
    call.call.batch = static_cast<index_t>(bytes.pick(0, call.batch - 1));
    call.call.head = static_cast<index_t>(bytes.pick(0, call.num_heads - 1));
    call.call.seqlen_q = pick_seqlen(bytes, lengths);
    call.call.seqlen_k = pick_seqlen(bytes, lengths);
    return call;
}

DynamicTile pick_tile(ByteReader& bytes, Lengths lengths)
{
    const index_t tile_y = pick_tile_size(bytes, lengths);
    return {tile_y, pick_tile_size(bytes, lengths)};
}

void check_laws(ByteReader& bytes, Lengths lengths)
{
    const Call call = pick_call(bytes, lengths);
    const DynamicTile tile = pick_tile(bytes, lengths);
    Draws draws(bytes);
    const WrittenMask mask = write_mask(bytes, call);
    const Subject subject{mask, call, tile};
    if (replaying) std::fputs(to_string(subject).c_str(), stderr);
    try {
        const auto expr = mask.text.build();
        expr->check_counts(call.batch, call.num_heads);
        const auto bound = expr->bind(call.call);
        if (lengths == Lengths::small)
            check_small(subject, *bound, draws);
        else
            check_huge(subject, *bound, draws);
    } catch (const std::exception& error) {
        fault(subject, std::string("a mask that must be accepted is refused: ") + error.what());
    }
}

// Whatever is accepted must be a mask: the laws hold, and a sanitizer finds nothing.
void check_refusals(ByteReader& bytes)
{
    const Call call = pick_call(bytes, Lengths::small);
    const DynamicTile tile = pick_tile(bytes, Lengths::small);
    Draws draws(bytes);
    WrittenMask mask;
    if (bytes.one_in(4)) {
        mask = {write_word_salad(bytes), {false, false}};
    } else {
        mask = write_mask(bytes, call, bytes.one_in(4) ? 2 : 0);
        corrupt(mask, bytes);
    }
    const Subject subject{mask, call, tile};
    if (replaying) std::fputs(to_string(subject).c_str(), stderr);
    try {
        const auto expr = mask.text.build();
        const auto bound = expr->bind(call.call);
        expr->check_counts(call.batch, call.num_heads);
        // Numbers without bounds may ask for 2^31 random blocks in a line: right, but not now.
        for (const int64_t value : mask.text.params)
            if (value > 1000 || value < -1000) return;
        check_small(subject, *bound, draws);
    } catch (const std::invalid_argument&) {
        // Refused: as good.
    }
}

} // namespace
} // namespace mask_fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    // A corpus is a folder.
    mask_fuzz::replaying = *argc > 1 && std::filesystem::is_regular_file((*argv)[*argc - 1]);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    using namespace mask_fuzz;
    ByteReader bytes(data, size);
    switch (bytes.pick(0, 7)) {
    case 7:
    case 6:
        check_refusals(bytes);
        break;
    case 5:
        check_laws(bytes, Lengths::huge);
        break;
    default:
        check_laws(bytes, Lengths::small);
    }
    return 0;
}
