// Runs the kernels that begin_case of kernels/kernel.inc makes: some instructions on given registers.
#pragma once

#include "float_formats.hpp"
#include "kernel_runner.hpp"

#include <array>
#include <cstdint>
#include <random>

/// The registers before: sources a, b, c and the destination d of each lane, and sixteen scalars.
struct CaseInput {
    struct Lane {
        std::array<uint32_t, 4> a, b, c, d;
    };
    std::array<Lane, 64> lanes;
    std::array<uint32_t, 16> scalars;

    uint64_t vcc() const { return scalars[12] | uint64_t{scalars[13]} << 32; }
    bool scc() const { return scalars[14] != 0; }
    uint64_t pair(int sgpr) const
    {
        return scalars[static_cast<size_t>(sgpr - 16)] | uint64_t{scalars[static_cast<size_t>(sgpr - 15)]} << 32;
    }
    uint32_t sgpr(int index) const { return scalars[static_cast<size_t>(index - 16)]; }
};

struct CaseOutput {
    std::array<std::array<uint32_t, 4>, 64> lanes{};
    std::array<uint32_t, 16> scalars{};
    hipError_t error = hipSuccess;

    uint32_t sgpr(int index) const { return scalars[static_cast<size_t>(index - 16)]; }
    uint64_t pair(int index) const { return sgpr(index) | uint64_t{sgpr(index + 1)} << 32; }
    uint64_t vcc() const { return pair(26); }
    uint64_t exec() const { return pair(28); }
    bool scc() const { return sgpr(30) != 0; }
};

inline CaseOutput run_case(const KernelModule& module, const std::string& kernel, const CaseInput& input)
{
    std::vector<uint32_t> in;
    for (const auto& lane : input.lanes) {
        for (const auto* source : {&lane.a, &lane.b, &lane.c, &lane.d}) {
            in.insert(in.end(), source->begin(), source->end());
        }
    }
    std::vector<uint32_t> scalars(32);
    std::copy(input.scalars.begin(), input.scalars.end(), scalars.begin());
    DeviceArray<uint32_t> device_in(in), device_scalars(scalars);
    DeviceArray<uint32_t> device_out(std::vector<uint32_t>(256, 0xabababab));
    CaseOutput output;
    output.error =
        module.launch(kernel, 1, 1, 64, device_in.device(), device_out.device(), device_scalars.device(), uint64_t{0});
    const auto& out = device_out.fetch();
    for (size_t i = 0; i < 256; ++i) {
        output.lanes[i / 4][i % 4] = out[i];
    }
    const auto& after = device_scalars.fetch();
    std::copy(after.begin() + 16, after.end(), output.scalars.begin());
    return output;
}

enum class Numbers { integers, floats, halves, doubles };

/// Random registers with many special values: small numbers, extremes, zeros, subnormals, infinities, NaN.
inline CaseInput random_input(Numbers numbers, unsigned seed)
{
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, 3);
    const auto pick = [&](std::initializer_list<uint32_t> values) {
        return *(values.begin() + random() % values.size());
    };
    const auto word = [&]() -> uint32_t {
        const bool is_special = random() % 4 == 0;
        switch (numbers) {
        case Numbers::floats:
            if (is_special) {
                return pick({0, 0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 1, 0x80000001u, 0x007fffffu,
                             0x00800000u, 0x7f7fffffu, 0x3f800000u});
            }
            return amd_emulator::bit_cast<uint32_t>(static_cast<float>(normal(random)));
        case Numbers::halves: {
            const auto half = [&]() -> uint32_t {
                if (random() % 4 == 0) {
                    return pick(
                        {0, 0x8000u, 0x7c00u, 0xfc00u, 0x7e00u, 1, 0x8001u, 0x03ffu, 0x0400u, 0x7bffu, 0x3c00u});
                }
                return amd_emulator::half_nearest(normal(random)).bits;
            };
            return half() | half() << 16;
        }
        default:
            return is_special ? pick({0, 1, 2, 7, 31, 32, 33, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xffff8000u})
                              : static_cast<uint32_t>(random());
        }
    };
    CaseInput input;
    for (auto& lane : input.lanes) {
        for (auto* source : {&lane.a, &lane.b, &lane.c, &lane.d}) {
            for (uint32_t& value : *source) {
                value = word();
            }
            if (numbers == Numbers::doubles) {
                const auto bits = amd_emulator::bit_cast<uint64_t>(normal(random));
                (*source)[0] = static_cast<uint32_t>(bits);
                (*source)[1] = static_cast<uint32_t>(bits >> 32);
            }
        }
    }
    for (uint32_t& scalar : input.scalars) {
        scalar = numbers == Numbers::floats ? word() : static_cast<uint32_t>(random());
    }
    return input;
}
