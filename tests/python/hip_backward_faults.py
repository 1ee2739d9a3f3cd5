"""Faults to put into the backward's kernels for AMD GPUs, which test notices each of them, and harmless changes."""

from collections.abc import Sequence

import test_hip_backward as tests
from hip_faults import ATOM, ROWS, SHARED, Change, Check, Fault, check

PIPELINE = "pipeline/bwd_pipeline_dq_dk_dv.hpp"
BY_ROWS = "pipeline/bwd_pipeline_dq.hpp"
QUERIES = "tile/bwd_query_tiles_amd.hpp"
KEYS = "tile/bwd_key_tiles_amd.hpp"
COLUMNS = "pipeline/banded_columns.hpp"
WAVE = "tile/bwd_wave_mfma.hpp"
KERNEL = "kernel/bwd_kernel.hpp"
ROWS_KERNEL = "kernel/bwd_dq_kernel.hpp"
DOT = "kernel/bwd_dot_do_o.hpp"
CONVERT = "kernel/bwd_convert.hpp"
SUMS = "kernel/sum_partials.hpp"


def small(name: str, deterministic: bool = False) -> Check:
    return check(tests.test_small_calls, name, deterministic)


def orders(name: str, deterministic: bool = False) -> Check:
    return check(tests.test_orders_of_waves_and_memory_do_not_matter, name, deterministic)


causal, ragged, by_rows = small("causal"), small("ragged"), small("causal", deterministic=True)

FAULTS: dict[str, Fault] = {
    "no barrier before a tile is overwritten": Fault(
        # Where dQ is added, the barrier before that suffices.
        QUERIES,
        "barrier(); // the tile before is no longer read",
        "",
        orders("causal", deterministic=True),
    ),
    "no barrier before a tile is read": Fault(
        QUERIES,
        "if constexpr (!kInTurns) store_transposed(load_next);\n        barrier();",
        "if constexpr (!kInTurns) store_transposed(load_next);",
        orders("causal"),
    ),
    "rows are overwritten by their transposition while they are read": Fault(
        QUERIES, "barrier(); // the rows are no longer read", "", orders("wide")
    ),
    "dS is read before all waves have stored it": Fault(
        PIPELINE, "if constexpr (!Exchange::kBeforeGradients) barrier(); // dS of all", "//", orders("causal")
    ),
    "by rows, no barrier before K is transposed": Fault(
        KEYS, "barrier(); // the rows are no longer read", "", orders("causal", deterministic=True)
    ),
    "no check of elements": Fault(PIPELINE, "Wave::keep(s, attended);", "", causal),
    "by rows, no check of elements": Fault(
        BY_ROWS, "Wave::keep(p, attended >> part * KeyTiles::kPartKeys);", "", by_rows
    ),
    "keys past the last one are attended": Fault(
        COLUMNS,
        "if ((band + 1) * kKeys > this->num_rows()) bits.edge = bits.live;",
        "",
        check(tests.test_keys_past_the_end_count_for_nothing),
    ),
    "elements of the queries of the other half": Fault(
        WAVE, "value_of_lane(word, kQuery + 4)", "value_of_lane(word, kQuery)", causal
    ),
    "bits of another band": Fault(
        COLUMNS, "const index_t first = this->band() * kKeys;", "const index_t first = this->row() * kKeys;", causal
    ),
    "keys of dS in their natural order": Fault(
        WAVE, "key / 16 * 16 + key / 4 % 2 * 8 + key / 8 % 2 * 4 + key % 4", "key", causal
    ),
    "halves of K^T exchanged": Fault(
        SHARED, "(2 * chunk + lane_index() / 32) ^", "(2 * chunk + 1 - lane_index() / 32) ^", causal
    ),
    "the wave's dimensions of dK and dV, all from the first": Fault(
        WAVE, "wave_index<kWaveSize>() / kBands * kOwnDims", "0 * kOwnDims", small("wide")
    ),
    "dimensions of two waves' dQ on top of each other": Fault(
        WAVE, "first_block() * 32 + lane_index() % 32", "lane_index() % 32", causal
    ),
    "bands that a wave skips are added": Fault(
        WAVE, "if (!live(static_cast<index_t>(share() * kOwnBands) + band)) return;", "", small("sparse")
    ),
    "delta is left out": Fault(DOT, "Float2{reference, -delta}", "Float2{reference, 0.f}", causal),
    "the gradient of the LSE is left out": Fault(
        DOT, "sum - (args.d_lse == nullptr ? 0.f : args.d_lse[number])", "sum", causal
    ),
    "LSE in base e": Fault(DOT, "lse * kLogToLog2 - exponent", "lse - exponent", causal),
    "sums of dQ start anywhere": Fault(DOT, "sums[n] = Float4{};", ";", causal),
    "dimensions past head_dim_v count for delta": Fault(
        DOT, "if (dim < args.head_dim_v) sum =", "sum =", small("padded head_dim"), shows="out of bounds"
    ),
    "dQ without the scale": Fault(CONVERT, "args.scale * exp2(", "exp2(", causal),
    "by rows, dQ without the scale": Fault(ROWS_KERNEL, "args.scale * exp2(", "exp2(", by_rows),
    "dK without the scale": Fault(KERNEL, "factor_dk = args.scale * factor;", "factor_dk = factor;", causal),
    "keys past the last one are stored": Fault(
        KERNEL, "if (key >= args.seqlen_k) return;", "", ragged, shows="out of bounds"
    ),
    "by rows, queries past the last one are stored": Fault(
        ROWS_KERNEL, "if (row >= args.seqlen_q) return;", "", small("ragged", True), shows="out of bounds"
    ),
    "another head's K and V": Fault(
        KERNEL,
        "const index_t head_kv = head / args.heads_per_kv;",
        "const index_t head_kv = head % (args.num_heads / args.heads_per_kv);",
        small("grouped heads"),
    ),
    "partial results in each other's slots": Fault(
        ROWS, "return slot * args.num_shared + shared;", "return slot + shared;", small("grouped heads")
    ),
    "one query head of a group is not summed": Fault(
        SUMS, "for (index_t g = 0; g < heads; ++g)", "for (index_t g = 0; g < 1; ++g)", small("grouped heads")
    ),
    "a piece of a column is not summed": Fault(
        SUMS,
        "for (index_t n = 0; n < merge.num_slots; ++n)",
        "for (index_t n = 1; n < merge.num_slots; ++n)",
        small("cut columns"),
    ),
    "by rows, a piece of a row is not summed": Fault(
        SUMS,
        "for (index_t n = 0; n < merge.num_slots; ++n)",
        "for (index_t n = 1; n < merge.num_slots; ++n)",
        small("cut rows", True),
    ),
    "probabilities below the smallest half": Fault(
        ATOM,
        "kGradientExponent = 4.f",
        "kGradientExponent = 0.f",
        lambda *_: tests.assert_right(tests.SMALL_PROBABILITIES),
        "gfx90a",
    ),
}

# What must not change a bit.
HARMLESS: dict[str, Sequence[Change]] = {
    "elements are checked in every tile": [(PIPELINE, "if (work.edge()) {", "{")],
    "by rows, elements are checked in every tile": [(BY_ROWS, "if (work.edge()) {", "{")],
}
