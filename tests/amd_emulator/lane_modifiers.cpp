#include "lane_modifiers.hpp"

#include <cstring>

namespace amd_emulator {
namespace {

/// The lane that a lane reads its first source from, or -1 where there is none in its row.
int dpp_source(const Modifiers& modifiers, int lane)
{
    const int row = lane & ~15;
    const int in_row = lane & 15;
    const int n = modifiers.dpp_argument;
    const auto within_row = [&](int position) { return position >= 0 && position < 16 ? row + position : -1; };
    switch (modifiers.dpp) {
    case DppMove::none:
        return lane;
    case DppMove::quad_permute:
        return (lane & ~3) | (n >> (2 * (lane & 3)) & 3);
    case DppMove::row_shift_left:
        return within_row(in_row + n);
    case DppMove::row_shift_right:
        return within_row(in_row - n);
    case DppMove::row_rotate_right:
        return row + ((in_row - n) & 15);
    case DppMove::wave_shift_left:
        return lane == 63 ? -1 : lane + 1;
    case DppMove::wave_rotate_left:
        return (lane + 1) & 63;
    case DppMove::wave_shift_right:
        return lane - 1;
    case DppMove::wave_rotate_right:
        return (lane - 1) & 63;
    case DppMove::row_mirror:
        return row + (15 - in_row);
    case DppMove::row_half_mirror:
        return lane ^ 7;
    case DppMove::row_broadcast_15:
        return row == 0 ? -1 : row - 1;
    case DppMove::row_broadcast_31:
        return lane < 32 ? -1 : 31;
    case DppMove::row_new_broadcast:
        return row + n;
    }
    return -1;
}

} // namespace

uint64_t apply_dpp(const Modifiers& modifiers, uint64_t exec, Lanes& values)
{
    Lanes before;
    std::memcpy(before, values, sizeof before);
    uint64_t writable = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        const int source = dpp_source(modifiers, lane);
        const bool is_valid = source >= 0 && (exec >> source & 1) != 0;
        values[lane] = is_valid ? before[source] : 0;
        const bool is_enabled =
            (modifiers.row_mask >> (lane / 16) & 1) != 0 && (modifiers.bank_mask >> (lane % 16 / 4) & 1) != 0;
        if (is_enabled && (is_valid || modifiers.bound_control)) {
            writable |= uint64_t{1} << lane;
        }
    }
    return writable & exec;
}

uint32_t sdwa_select(uint32_t value, SdwaPart part, bool sign_extend)
{
    switch (part) {
    case SdwaPart::dword:
        return value;
    case SdwaPart::word0:
    case SdwaPart::word1: {
        const auto word = static_cast<uint16_t>(part == SdwaPart::word0 ? value : value >> 16);
        return sign_extend ? static_cast<uint32_t>(static_cast<int16_t>(word)) : word;
    }
    default: {
        const auto byte = static_cast<uint8_t>(value >> (8 * static_cast<int>(part)));
        return sign_extend ? static_cast<uint32_t>(static_cast<int8_t>(byte)) : byte;
    }
    }
}

uint32_t sdwa_merge(uint32_t value, uint32_t old, SdwaPart part, SdwaUnused unused)
{
    if (part == SdwaPart::dword) {
        return value;
    }
    const bool is_word = part == SdwaPart::word0 || part == SdwaPart::word1;
    const int shift = is_word ? (part == SdwaPart::word1 ? 16 : 0) : 8 * static_cast<int>(part);
    const uint32_t mask = (is_word ? 0xffffu : 0xffu) << shift;
    const uint32_t placed = value << shift & mask;
    if (unused == SdwaUnused::preserve) {
        return (old & ~mask) | placed;
    }
    if (unused == SdwaUnused::pad) {
        return placed;
    }
    const int bits = is_word ? 16 : 8;
    const uint32_t above = ~uint32_t{0} << (shift + bits - 1) << 1;
    return placed | ((value >> (bits - 1) & 1) != 0 ? above : 0);
}

} // namespace amd_emulator
