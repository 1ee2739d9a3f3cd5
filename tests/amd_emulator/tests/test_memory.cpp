// Memory instructions against what they must read and leave behind.
#include "case_runner.hpp"

#include <numeric>

namespace {

using u32 = uint32_t;
using u64 = uint64_t;

struct MemoryRun {
    std::vector<u32> source, result; ///< result: four dwords a lane, then what else the kernel writes
    hipError_t error;
    u32 at(int lane, int i) const { return result[static_cast<size_t>(lane * 4 + i)]; }
    u32 from(int index) const { return source[static_cast<size_t>(index)]; }
};

class Memory : public ::testing::TestWithParam<const char*> {
protected:
    MemoryRun run(const std::string& kernel, std::vector<u32> initial_result = std::vector<u32>(512, 0xabababab),
                  u32 first = 0, u32 second = 0)
    {
        MemoryRun run;
        std::mt19937 random(1);
        for (int i = 0; i < 512; ++i) {
            run.source.push_back(static_cast<u32>(random()));
        }
        for (int lane = 0; lane < 64; ++lane) {
            run.source[static_cast<size_t>(256 + lane)] = static_cast<u32>(lane * 29 % 64 * 4);
        }
        DeviceArray<u32> source(run.source), result(std::move(initial_result));
        run.error = loaded_module("memory_cases", GetParam())
                        .launch(kernel, 1, 1, 64, source.device(), result.device(), first, second);
        EXPECT_EQ(run.error, hipSuccess) << ck_fmha_emulator_last_failure();
        run.result = result.fetch();
        return run;
    }
};
INSTANTIATE_TEST_SUITE_P(Architectures, Memory, ::testing::ValuesIn(kArchitectures),
                         [](const auto& info) { return info.param; });

TEST_P(Memory, LoadsMayOverwriteTheirAddress)
{
    const MemoryRun r = run("overlapping_load");
    for (int i = 0; i < 256; ++i) {
        ASSERT_EQ(r.result[static_cast<size_t>(i)], r.from(i)) << i;
    }
}

TEST_P(Memory, NarrowLoads)
{
    const MemoryRun r = run("narrow_loads");
    for (int lane = 0; lane < 64; ++lane) {
        const u32 x = r.from(lane);
        EXPECT_EQ(r.at(lane, 0), x >> 8 & 0xffu);
        EXPECT_EQ(r.at(lane, 1), static_cast<u32>(static_cast<int16_t>(x >> 16)));
        EXPECT_EQ(r.at(lane, 2), x);
        EXPECT_EQ(r.at(lane, 3), static_cast<u32>(static_cast<int8_t>(x >> 24)));
    }
}

TEST_P(Memory, NarrowStores)
{
    const MemoryRun r = run("narrow_stores");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), __builtin_bswap32(r.from(lane)));
        EXPECT_EQ(r.at(lane, 1), r.from(lane));
    }
}

TEST_P(Memory, BuffersEndWhereTheySay)
{
    constexpr u32 size = 984; // the last lanes are beyond it, one before them in part
    const MemoryRun r = run("buffer_range", std::vector<u32>(512, 0xabababab), size, 1032);
    for (int lane = 0; lane < 64; ++lane) {
        for (int i = 0; i < 4; ++i) {
            const int dword = lane * 4 + i + 3;
            EXPECT_EQ(r.at(lane, i), static_cast<u32>(dword) * 4 + 4 <= size ? r.from(dword) : 0u) << lane << ", " << i;
        }
    }
    // The store of lane l goes to byte 1024 + 4 l of a buffer of 1032 bytes.
    EXPECT_EQ(r.result[256], 0u);
    EXPECT_EQ(r.result[257], 1u);
    EXPECT_EQ(r.result[258], 0xababababu);
}

TEST_P(Memory, BuffersOfRecords)
{
    const MemoryRun r = run("buffer_records", std::vector<u32>(512), 20, 12);
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), lane < 20 ? r.from(lane * 3 + 1) : 0u);
        EXPECT_EQ(r.at(lane, 1), lane < 20 ? r.from(lane * 3) & 0xffffu : 0u);
    }
}

TEST_P(Memory, ScalarLoads)
{
    const MemoryRun r = run("scalar_loads", std::vector<u32>(512), 16);
    EXPECT_EQ(r.at(5, 0), r.from(2));
    EXPECT_EQ(r.at(5, 1), r.from(6));
    EXPECT_EQ(r.at(5, 2), r.from(2));
    EXPECT_EQ(r.at(5, 3), 0u) << "beyond the buffer";
}

TEST_P(Memory, GlobalAtomics)
{
    std::vector<u32> initial(512, 0);
    initial[256 + 3] = 5; // the first lane's compare-and-swap succeeds and stores 0, no other does
    initial[256 + 6] = 40;
    const MemoryRun r = run("global_atomics", initial);
    std::vector<u32> old;
    for (int lane = 0; lane < 64; ++lane) {
        old.push_back(r.at(lane, 0));
    }
    std::sort(old.begin(), old.end());
    for (u32 i = 0; i < 64; ++i) {
        EXPECT_EQ(old[i], 3 * i);
    }
    EXPECT_EQ(r.result[256], 192u);
    EXPECT_EQ(amd_emulator::bit_cast<float>(r.result[257]), 64.0f);
    EXPECT_EQ(r.result[258], 63u);
    EXPECT_EQ(r.result[259], 0u);
    EXPECT_EQ(r.result[260], 7u * 64);
    EXPECT_EQ(r.result[262], 0u);
    EXPECT_EQ(r.result[263], 0u) << "0 ^ 1 ^ ... ^ 63";
}

TEST_P(Memory, LoadsIntoLds)
{
    const MemoryRun r = run("lds_dma");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane));
    }
}

TEST_P(Memory, LdsWidths)
{
    const MemoryRun r = run("lds_widths");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane * 4 + 3));
        EXPECT_EQ(r.at(lane, 1), r.from(lane * 4 + 1));
        EXPECT_EQ(r.at(lane, 2), r.from(lane * 4) & 0xffff0000u);
        EXPECT_EQ(r.at(lane, 3), static_cast<u32>(static_cast<int8_t>(r.from(lane * 4 + 3) >> 24)));
    }
}

TEST_P(Memory, LdsBelowZero)
{
    const MemoryRun r = run("lds_below_zero");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane * 4 + 1));
        EXPECT_EQ(r.at(lane, 1), r.from(lane * 4 + 2));
        EXPECT_EQ(r.at(lane, 2), r.from(lane * 4 + 3));
        EXPECT_EQ(r.at(lane, 3), r.from(lane * 4));
    }
}

TEST_P(Memory, LdsStores)
{
    const MemoryRun r = run("lds_stores");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane * 4 + 1));
        EXPECT_EQ(r.at(lane, 1), r.from(lane * 4));
        EXPECT_EQ(r.at(lane, 2), r.from(lane * 4 + 2));
        const u32 last = r.from(lane * 4 + 3);
        EXPECT_EQ(r.at(lane, 3), (last & 0xffu) | (last >> 16 & 0xffu) << 8 | r.from(lane * 4) << 16);
    }
}

TEST_P(Memory, LdsStrideOf64)
{
    const MemoryRun r = run("lds_stride_64");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane * 4 + 1));
        EXPECT_EQ(r.at(lane, 1), r.from(lane * 4));
    }
}

TEST_P(Memory, LdsAtomics)
{
    const MemoryRun r = run("lds_atomics");
    u64 sum = 0;
    for (int lane = 0; lane < 64; ++lane) {
        sum += r.at(lane, 0);
        EXPECT_EQ(r.at(lane, 2), 63u);
        EXPECT_EQ(amd_emulator::bit_cast<float>(r.at(lane, 3)), 32.0f);
        EXPECT_EQ(r.at(lane, 1), lane == 0 ? 64u : static_cast<u32>(lane - 1));
    }
    EXPECT_EQ(sum, 63u * 64 / 2);
}

TEST_P(Memory, MovesBetweenLanes)
{
    const MemoryRun r = run("lane_moves");
    for (int lane = 0; lane < 64; ++lane) {
        EXPECT_EQ(r.at(lane, 0), r.from(lane * 29 % 64));
        EXPECT_EQ(r.at(lane * 29 % 64, 1), r.from(lane));
        // The mask's letters go from bit 4 to bit 0: cleared, set, kept, inverted, kept.
        EXPECT_EQ(r.at(lane, 2), r.from((lane & 32) | (lane & 5) | 8 | ((lane & 2) ^ 2)));
        const int quad[] = {3, 0, 2, 1};
        EXPECT_EQ(r.at(lane, 3), r.from(lane / 4 * 4 + quad[lane % 4]));
    }
}

} // namespace
