#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "cpu/ranges.hpp"
#include "cpu/tile_kernels.hpp"
#include "cpu_call.hpp"

// The CPU back end against float64, at the level of the native core. Run once per instruction set (CK_FMHA_CPU_ISA) and
// under the sanitizers.

namespace ck_fmha::test {
namespace {

struct MaskCase {
    const char* structure;
    std::vector<int64_t> params;
    std::vector<IndexArray> data = {};
};

IndexArray array(std::vector<index_t> numbers)
{
    return std::make_shared<const std::vector<index_t>>(std::move(numbers));
}

const MaskCase kMasks[] = {
    {"full", {}},
    {"diagonal", {-1, 0, 0, 0}},
    {"diagonal", {5, 3, 1, 2}},
    {"longformer", {20, 3, 1}},
    {"longformer", {8, 0, 3}},
    {"big_bird", {16, 3, 1, 1, 7}},
    {"and(big_bird,diagonal)", {8, 3, 1, 2, 1, -1, 0, 0, 0}},
    {"or(not(longformer),diagonal)", {90, 0, 1, 4, 0, 0, 0}},
    {"not(full)", {}},
};

void expect_near(const char* name, const TestTensor& actual, const std::vector<double>& expected, int64_t batch,
                 int64_t heads, int64_t seqlen, int64_t head_dim, double eps)
{
    double largest = 0, error = 0;
    bool nan = false;
    int64_t n = 0;
    for (int64_t b = 0; b < batch; ++b)
        for (int64_t h = 0; h < heads; ++h)
            for (int64_t i = 0; i < seqlen; ++i)
                for (int64_t d = 0; d < head_dim; ++d, ++n) {
                    const double x = actual.at(b, h, i, d);
                    nan = nan || std::isnan(x);
                    largest = std::max(largest, std::abs(expected[n]));
                    error = std::max(error, std::abs(x - expected[n]));
                }
    EXPECT_FALSE(nan) << name << " has a NaN";
    EXPECT_LE(error, eps * (largest + 1e-3)) << name << ", largest value " << largest;
    EXPECT_TRUE(actual.gaps_are_nan()) << name << ": a stride gap was written";
}

double tolerance(int32_t dtype)
{
    const double of_dtype[] = {4e-5, 3e-2, 4e-3, 1e-13};
    return of_dtype[dtype];
}

void check(const Shape& s, const MaskCase& m, uint32_t seed)
{
    SCOPED_TRACE(std::string(m.structure) + " batch " + std::to_string(s.batch) + " heads " +
                 std::to_string(s.num_heads) + "/" + std::to_string(s.num_heads_kv) + " seqlen " +
                 std::to_string(s.seqlen_q) + "x" + std::to_string(s.seqlen_k) + " head_dim " +
                 std::to_string(s.head_dim) + "/" + std::to_string(s.head_dim_v) + " dtype " + std::to_string(s.dtype) +
                 " threads " + std::to_string(s.num_threads));
    CpuCall c(s, build_mask(m.structure, m.params, m.data), seed);
    c.run();
    const Reference r(c);
    // Generous: the exact error rule is applied in the Python tests. dS subtracts numbers of the size of dO V^T, and O
    // enters it rounded to its dtype.
    const double eps = tolerance(s.dtype);
    expect_near("o", c.o, r.o, s.batch, s.num_heads, s.seqlen_q, s.head_dim_v, eps);
    expect_near("dq", c.dq, r.dq, s.batch, s.num_heads, s.seqlen_q, s.head_dim, eps);
    expect_near("dk", c.dk, r.dk, s.batch, s.num_heads_kv, s.seqlen_k, s.head_dim, eps);
    expect_near("dv", c.dv, r.dv, s.batch, s.num_heads_kv, s.seqlen_k, s.head_dim_v, eps);
    const double lse_eps = s.dtype == CK_FMHA_FLOAT64 ? 1e-14 : 2e-5;
    for (size_t n = 0; n < r.lse.size(); ++n) {
        if (std::isinf(r.lse[n]))
            ASSERT_EQ(c.lse.at(n), r.lse[n]) << "lse of empty row " << n;
        else
            ASSERT_NEAR(c.lse.at(n), r.lse[n], lse_eps * (1 + std::abs(r.lse[n]))) << "lse of row " << n;
    }
    if (!c.backward_args().dbias.tensor.data) return;
    // Sums of numbers of both signs.
    double largest = 1;
    for (double x : r.dbias)
        largest = std::max(largest, std::abs(x));
    for (size_t n = 0; n < r.dbias.size(); ++n)
        ASSERT_NEAR(c.dbias.at(n), r.dbias[n], 4 * eps * largest) << "dbias, number " << n;
}

TEST(CpuAttention, EveryMaskAndShape)
{
    const std::vector<std::array<int64_t, 2>> seqlens = {{64, 64}, {1, 1}, {130, 67}, {63, 200}, {0, 5}, {5, 0}};
    uint32_t seed = 0;
    for (const MaskCase& mask : kMasks)
        for (const auto& seqlen : seqlens) {
            Shape s;
            s.seqlen_q = seqlen[0];
            s.seqlen_k = seqlen[1];
            s.dtype = static_cast<int32_t>(++seed % 4);
            s.gap = seed % 3;
            s.num_threads = 1 + static_cast<int32_t>(seed % 3);
            check(s, mask, seed);
        }
}

TEST(CpuAttention, EveryHeadDim)
{
    std::mt19937 rng(1);
    for (int64_t head_dim : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 64, 80, 96, 127, 128, 160, 256}) {
        Shape s;
        s.seqlen_q = 70;
        s.seqlen_k = 65;
        s.head_dim = head_dim;
        s.head_dim_v = std::uniform_int_distribution<int64_t>(1, 256)(rng);
        s.softmax_scale = 1 / std::sqrt(static_cast<double>(head_dim));
        check(s, kMasks[3], static_cast<uint32_t>(head_dim));
        s.dtype = CK_FMHA_BFLOAT16;
        check(s, kMasks[6], static_cast<uint32_t>(head_dim));
        s.dtype = CK_FMHA_FLOAT64;
        check(s, kMasks[2], static_cast<uint32_t>(head_dim));
    }
}

TEST(CpuAttention, GroupedHeads)
{
    for (const MaskCase& mask : kMasks) {
        Shape s;
        s.batch = 2;
        s.num_heads = 6;
        s.num_heads_kv = 2;
        s.head_dim = 16;
        s.head_dim_v = 24;
        s.gap = 5;
        check(s, mask, 11);
    }
}

// Softcap, bias in every broadcast, ALiBi, bytes that say what is attended, dropout: alone and together.
TEST(CpuAttention, EveryChangeOfTheScores)
{
    std::vector<Changes> all;
    for (int dims = 0; dims < 16; ++dims) {
        Changes c;
        c.bias = true;
        c.bias_dims = {(dims & 1) != 0, (dims & 2) != 0, (dims & 4) != 0, (dims & 8) != 0};
        all.push_back(c);
    }
    all.push_back({});
    all.back().bias = all.back().bias_transposed = true;
    all.push_back({});
    all.back().alibi = true;
    all.push_back({});
    all.back().attended = true;
    all.push_back({});
    all.back().softcap = 0.7f;
    for (double p : {1e-5, 0.25, 0.9}) {
        all.push_back({});
        all.back().dropout_p = p;
    }
    for (int n = 0; n < 8; ++n)
        all.push_back({n % 3 != 0, {true, n % 2 == 0, true, n % 3 == 1}, false, n % 2 == 0, n % 4 < 2, 2.5f, 0.3});
    uint32_t seed = 0;
    for (const Changes& changes : all) {
        SCOPED_TRACE("change " + std::to_string(seed));
        Shape s;
        s.changes = changes;
        s.batch = 2;
        s.num_heads = 4;
        s.num_heads_kv = 1 + seed % 2;
        s.seqlen_q = 100;
        s.seqlen_k = 140;
        s.head_dim = 24;
        s.head_dim_v = 16;
        s.dtype = static_cast<int32_t>(seed % 4);
        s.num_threads = 1 + static_cast<int32_t>(seed % 3);
        check(s, kMasks[seed % 7], seed);
        ++seed;
    }
}

// Heads and samples with masks of their own, in every combination of what differs, and definitions with data.
TEST(CpuAttention, MasksPerHeadAndPerSample)
{
    const MaskCase masks[] = {
        {"per_head(diagonal,full,not(full),strided,transpose(diagonal),longformer)",
         {-1, 0, 0, 0, 3, 9, 4, 0, 0, 0, 10, 2, 3}},
        {"per_sample(diagonal,shift(big_bird))", {9, 0, 1, 1, 20, -7, 8, 1, 1, 1, 3}},
        {"per_sample(per_head(full,full,full,full,diagonal,diagonal),not(diagonal))",
         {-1, 0, 0, 0, 3, 0, 0, 0, -1, 0, 0, 0}},
        {"and(lengths,per_head(full,big_bird,full,full,fixed,full))",
         {1, 1, 1, 8, 3, 1, 1, 9, 10, 2},
         {array({60, 0}), array({100, 77})}},
        {"documents", {1}, {array({0, 30, 31, 90}), array({0, 66, 80, 100})}},
        {"block_list",
         {40, 100, 3, 1, -1, -1},
         {array({0, 1, 1, 2}), array({0, 0}), array({-1, 0}), array(std::vector<index_t>(160, 0x55330f01))}},
        {"neighborhood", {2, 0, 10, 3, 1, 0, 10, 5, 2, 0}},
    };
    uint32_t seed = 0;
    for (const MaskCase& mask : masks)
        for (const int32_t num_threads : {1, 3}) {
            Shape s;
            s.batch = 2;
            s.num_heads = 6;
            s.num_heads_kv = ++seed % 2 ? 3 : 6;
            s.head_dim = 16;
            s.head_dim_v = 8;
            s.num_threads = num_threads;
            check(s, mask, seed);
        }
}

TEST(CpuAttention, RefusesAnotherNumberOfHeadsOrSamples)
{
    Shape s;
    s.batch = 3;
    for (const char* structure : {"per_head(full,full,full)", "per_sample(full,full)"}) {
        CpuCall c(s, build_mask(structure, {}), 1);
        EXPECT_THROW(cpu::attention_forward(c.forward_args(), *c.mask), std::invalid_argument);
        EXPECT_THROW(cpu::attention_backward(c.backward_args(), *c.mask), std::invalid_argument);
    }
}

TEST(CpuAttention, ScaleOfAnySign)
{
    for (double scale : {0.0, -0.3, 1.0}) {
        Shape s;
        s.head_dim = 8;
        s.softmax_scale = scale;
        check(s, kMasks[1], 5);
    }
}

// One row (column) of tiles is much longer than the rest: it is cut and its parts merged.
TEST(CpuAttention, LongRowsAndColumnsAreCut)
{
    Shape s;
    s.num_heads = s.num_heads_kv = 1;
    s.seqlen_q = s.seqlen_k = 70 * 64;
    s.head_dim = s.head_dim_v = 4;
    const auto expr = build_mask("longformer", {2, 1, 1});
    ck_fmha_problem problem{};
    problem.batch = problem.num_heads = 1;
    problem.seqlen_q = problem.seqlen_k = s.seqlen_q;
    const cpu::MaskedHeads masks(*expr, problem);
    int row_parts = 0, col_parts = 0;
    cpu::LineCounts<cpu::Axis::rows>(masks, problem).cut(masks, 0, 0, [&](const cpu::TileRange&) { ++row_parts; });
    cpu::LineCounts<cpu::Axis::cols>(masks, problem).cut(masks, 0, 0, [&](const cpu::TileRange&) { ++col_parts; });
    ASSERT_EQ(row_parts, 5);
    ASSERT_EQ(col_parts, 5);
    CpuCall one(s, expr, 3);
    one.run();
    const Reference r(one);
    expect_near("o", one.o, r.o, 1, 1, s.seqlen_q, 4, 4e-5);
    expect_near("dq", one.dq, r.dq, 1, 1, s.seqlen_q, 4, 4e-5);
    expect_near("dk", one.dk, r.dk, 1, 1, s.seqlen_k, 4, 1e-4);
    expect_near("dv", one.dv, r.dv, 1, 1, s.seqlen_k, 4, 1e-4);
    // Where lines are cut does not depend on the number of threads, so neither do the bits.
    s.num_threads = 5;
    CpuCall five(s, expr, 3);
    five.run();
    for (int64_t i = 0; i < s.seqlen_q; ++i)
        for (int64_t d = 0; d < 4; ++d) {
            ASSERT_EQ(one.o.at(0, 0, i, d), five.o.at(0, 0, i, d));
            ASSERT_EQ(one.dq.at(0, 0, i, d), five.dq.at(0, 0, i, d));
            ASSERT_EQ(one.dk.at(0, 0, i, d), five.dk.at(0, 0, i, d));
            ASSERT_EQ(one.dv.at(0, 0, i, d), five.dv.at(0, 0, i, d));
        }
}

// Calls from several threads at once, on one mask and the same inputs: nothing is shared but what is read.
TEST(CpuAttention, CallsFromSeveralThreads)
{
    Shape s;
    s.seqlen_q = s.seqlen_k = 300;
    s.head_dim = s.head_dim_v = 16;
    s.num_threads = 2;
    s.dtype = CK_FMHA_BFLOAT16;
    s.changes.bias = true;
    s.changes.dropout_p = 0.2;
    const auto mask = build_mask("and(big_bird,diagonal)", {8, 3, 1, 2, 1, -1, 0, 0, 0});
    CpuCall expected(s, mask, 5);
    expected.run();
    std::vector<std::unique_ptr<CpuCall>> calls;
    for (int n = 0; n < 3; ++n)
        calls.push_back(std::make_unique<CpuCall>(s, mask, 5));
    std::vector<std::thread> threads;
    for (auto& call : calls)
        threads.emplace_back([&call] { call->run(); });
    for (std::thread& thread : threads)
        thread.join();
    for (const auto& call : calls)
        for (int64_t i = 0; i < s.seqlen_q; ++i) {
            ASSERT_EQ(call->o.at(0, 1, i, 3), expected.o.at(0, 1, i, 3));
            ASSERT_EQ(call->dq.at(0, 1, i, 3), expected.dq.at(0, 1, i, 3));
            ASSERT_EQ(call->dk.at(0, 1, i, 3), expected.dk.at(0, 1, i, 3));
            ASSERT_EQ(call->dbias.at(i), expected.dbias.at(i));
        }
}

TEST(CpuAttention, GradientsThatNobodyWants)
{
    for (int wanted = 0; wanted < 8; ++wanted) {
        CpuCall c(Shape{}, build_mask("longformer", {20, 3, 1}), 2), all(Shape{}, c.mask, 2);
        all.run();
        cpu::attention_forward(c.forward_args(), *c.mask);
        ck_fmha_bwd_args a = c.backward_args();
        if (!(wanted & 1)) a.dq.data = nullptr;
        if (!(wanted & 2)) a.dk.data = nullptr;
        if (!(wanted & 4)) a.dv.data = nullptr;
        cpu::attention_backward(a, *c.mask);
        for (int64_t i = 0; i < c.s.seqlen_q; ++i) {
            EXPECT_TRUE(wanted & 1 ? c.dq.at(0, 1, i, 3) == all.dq.at(0, 1, i, 3) : std::isnan(c.dq.at(0, 1, i, 3)));
            EXPECT_TRUE(wanted & 2 ? c.dk.at(0, 1, i, 3) == all.dk.at(0, 1, i, 3) : std::isnan(c.dk.at(0, 1, i, 3)));
            EXPECT_TRUE(wanted & 4 ? c.dv.at(0, 1, i, 3) == all.dv.at(0, 1, i, 3) : std::isnan(c.dv.at(0, 1, i, 3)));
        }
    }
}

TEST(CpuAttention, RunsTheAskedInstructionSet)
{
    const char* wanted = std::getenv("CK_FMHA_CPU_ISA");
    int count = 0;
    const char* const* names = cpu::available_isas(&count);
    ASSERT_GE(count, 1);
    EXPECT_STREQ(names[0], "generic");
    EXPECT_STREQ(cpu::isa_kernels().name, wanted ? wanted : names[count - 1]);
}

std::string message_of(const ck_fmha_fwd_args& a, const MaskExpr& mask)
{
    try {
        cpu::attention_forward(a, mask);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "";
}

TEST(CpuAttention, RefusesArgumentsThatItCouldNotServe)
{
    CpuCall c(Shape{}, build_mask("full", {}), 1);
    const ck_fmha_fwd_args good = c.forward_args();
    const auto refuse = [&](auto change) {
        ck_fmha_fwd_args a = good;
        change(a);
        return message_of(a, *c.mask);
    };
    const auto contains = [](const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                    : ::testing::AssertionFailure() << "'" << text << "'";
    };
    EXPECT_EQ(message_of(good, *c.mask), "");
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.version = 99; }), "version 99"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.size = 8; }), "size 8"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.dtype = 7; }), "got 7"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.num_threads = 0; }), "num_threads"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.batch = -1; }), "batch"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.head_dim = 257; }), "[1, 256], got 257"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.head_dim_v = 0; }), "head_dim_v"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.seqlen_k = int64_t{1} << 31; }), "seqlen_k"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.num_heads = 3; }), "multiple of num_heads_kv"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.num_heads_kv = 0; }), "num_heads_kv"));
    EXPECT_TRUE(
        contains(refuse([](auto& a) { a.problem.softmax_scale = NAN; }), "softmax_scale must be a finite float32"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.k.data = nullptr; }), "k.data is null"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.lse = nullptr; }), "lse is null"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.v.stride_seq = int64_t{1} << 60; }), "v has strides"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.extras.softcap = -1; }), "softcap must be"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.extras.softcap = NAN; }), "softcap must be"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.extras.dropout_p = 1.5; }), "dropout_p must be in [0, 1]"));
    EXPECT_TRUE(contains(refuse([](auto& a) {
                             a.problem.extras.bias.tensor = a.q;
                             a.problem.extras.bias_dtype = CK_FMHA_FLOAT64;
                         }),
                         "bias_dtype must be"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.extras.bias = {a.q, int64_t{1} << 60}; }), "bias has strides"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.batch = 1 << 30; }), "batch * num_heads must be below 2^31"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.num_heads = 0; }), "multiple of num_heads_kv, got 0 and 2"));
    EXPECT_TRUE(contains(refuse([](auto& a) { a.problem.softmax_scale = 1e39; }), "finite float32"));
    EXPECT_TRUE(
        contains(refuse([](auto& a) { a.q.data = static_cast<char*>(a.q.data) + 1; }), "q.data must be aligned"));

    ck_fmha_bwd_args backward = c.backward_args();
    backward.d_o.data = nullptr;
    try {
        cpu::attention_backward(backward, *c.mask);
        ADD_FAILURE() << "accepted";
    } catch (const std::invalid_argument& e) {
        EXPECT_TRUE(contains(e.what(), "d_o.data is null"));
    }
    backward = c.backward_args();
    backward.dbias = {c.dq.args(), 1};
    EXPECT_THROW(cpu::attention_backward(backward, *c.mask), std::invalid_argument) << "dbias without a bias";
}

} // namespace
} // namespace ck_fmha::test
