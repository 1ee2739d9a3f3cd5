"""Faults to put into the kernels for AMD GPUs: which test notices each of them, and changes that no test may notice.

A change is (file under csrc/gpu, text that occurs once in it, what takes its place).
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import hip_calls
import test_hip_extras
import test_hip_forward
import test_hip_orders
import test_hip_work
from ck_fmha._compiler import INCLUDE
from hip_calls import ARCHS

Change = tuple[str, str, str]
Check = Callable[[pytest.MonkeyPatch, str], None]


def check(test: Callable, *arguments) -> Check:
    """A test, whose further arguments are among the fixtures monkeypatch and arch."""
    wanted = test.__code__.co_varnames[len(arguments) : test.__code__.co_argcount]

    def run(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
        fixtures = {"monkeypatch": monkeypatch, "arch": arch}
        test(*arguments, *(fixtures[name] for name in wanted))

    return run


class Fault(NamedTuple):
    """A change and the test that it fails; `shows`: what the failure says, if it is not a wrong result."""

    file: str
    old: str
    new: str
    noticed_by: Check
    arch: str = ARCHS[0]
    shows: str = ""


PIPELINE = "pipeline/fwd_pipeline_qr_ks_vs.hpp"
SOFTMAX = "pipeline/online_softmax.hpp"
TILES = "pipeline/live_tiles.hpp"
MASK = "pipeline/banded_mask.hpp"
KERNEL = "kernel/fwd_kernel.hpp"
COMBINE = "kernel/fwd_combine.hpp"
PLAN = "kernel/plan_tiles.hpp"
ROWS = "kernel/rows_of.hpp"
WAVE = "tile/wave_mfma.hpp"
SHARED = "tile/shared_tiles_amd.hpp"
COPY = "tile/copy_amd.hpp"
ATOM = "tile/mfma_32x32x8.hpp"

EXTRAS = "pipeline/score_extras.hpp"
DROPOUT = "pipeline/dropout.hpp"
TANH = "pipeline/tanh.hpp"
BACKWARD = "pipeline/bwd_pipeline_dq_dk_dv.hpp"
BACKWARD_KERNEL = "kernel/bwd_kernel.hpp"
ELEMENTS = "tile/elements_in_memory.hpp"

BARRIERS = "barrier();\n        key_copy_.store(keys_);\n"
STORES = "value_copy_.store(values_);\n        barrier();\n"

ragged = check(test_hip_forward.test_small_calls, "ragged")
padded = check(test_hip_forward.test_small_calls, "padded head_dim")
grouped = check(test_hip_forward.test_small_calls, "grouped heads")
causal = check(test_hip_forward.test_small_calls, "causal")
sparse = check(test_hip_forward.test_small_calls, "sparse")
empty_rows = check(test_hip_forward.test_small_calls, "empty rows")
cut = check(test_hip_forward.test_small_calls, "cut rows")
growing = check(test_hip_forward.test_maxima_that_grow_from_tile_to_tile)
far_apart = check(test_hip_forward.test_pieces_of_a_row_whose_scores_are_far_apart)
subnormal = check(test_hip_forward.test_probabilities_below_the_normal_halves)
orders = check(test_hip_orders.test_orders_do_not_change_bits, "causal")
tanh = check(test_hip_extras.test_tanh_is_accurate_from_tiny_to_huge)
capped = check(test_hip_extras.test_softcaps_of_any_size, 2.0, -0.5)
flat = check(test_hip_extras.test_slopes_of_any_size_and_sign, -0.25)
steep = check(test_hip_extras.test_a_reference_that_comes_from_far_below)
dropped = check(test_hip_extras.test_dropout_keeps_what_dropout_mask_shows, 0.4, 2**63 - 1)
almost_kept = check(test_hip_extras.test_dropout_keeps_what_dropout_mask_shows, 2**-16, 91)
half_kept = check(test_hip_extras.test_rows_that_are_cut)
biased = check(test_hip_extras.test_bias_may_lie_anywhere, "offset")
of_keys = check(test_hip_extras.test_bias_that_queries_or_keys_share, "h1k")
one_order = check(test_hip_extras.test_the_gradient_of_a_shared_bias_is_deterministic_on_request)
attended = check(test_hip_extras.test_attn_mask_of_bool)
work = check(test_hip_work.test_work_is_that_of_live_tiles, "sinks")

FAULTS: dict[str, Fault] = {
    "no barrier before a tile is overwritten": Fault(COPY, BARRIERS, "key_copy_.store(keys_);\n", orders),
    "no barrier before a tile is read": Fault(COPY, STORES, "value_copy_.store(values_);\n", orders),
    "the tile after the one that is walked": Fault(
        TILES, "return tile_of(code_);", "return tile_of(code_) + (tile_of(code_) == 1);", causal
    ),
    "a tile left out": Fault(
        TILES, "place.at += sizeof(TileCode);", "place.at += tile_of(code_) == 0 ? 8 : 4;", causal
    ),
    "a tile twice, and the next one never": Fault(
        PLAN, "tile_code(base + n)", "tile_code(base + n - (n == 1))", causal
    ),
    "a row's last tile left out": Fault(PLAN, "mask.live(base, work.end)", "mask.live(base, work.end - 1)", causal),
    "a band's tiles are those of the next band": Fault(
        PLAN, "mask.band_bits(mask.band(band), base)", "mask.band_bits(mask.band(band ^ 1), base)", sparse
    ),
    "tiles of the work-group's rows that are empty": Fault(
        MASK, "ballot(tile < end && tiles.TileMask(row, tile))", "ballot(tile < end)", work
    ),
    "a band's empty tiles, unmasked": Fault(PIPELINE, "if (!work.live()) continue;", "", sparse),
    "rows of Q in other lanes": Fault(
        WAVE,
        "offset_in_buffer(rows, Atom::query_of_lane(), byte)",
        "offset_in_buffer(rows, Atom::query_of_lane() ^ 1, byte)",
        causal,
    ),
    "halves of K's operand exchanged": Fault(
        SHARED,
        "place(row, 2 * chunk + half)",
        "place(row, 2 * chunk + 1 - half)",
        causal,
    ),
    "halves of V's operand exchanged": Fault(
        SHARED,
        "dim * kRowBytes + ((2 * n + half)",
        "dim * kRowBytes + ((2 * n + 1 - half)",
        causal,
    ),
    "selectors of V's transposition exchanged": Fault(
        COPY, "0x05040100u : 0x07060302u", "0x07060302u : 0x05040100u", causal
    ),
    "dimensions of O in other lanes": Fault(
        WAVE, "store(kEight + 4 * half, Float4", "store(kEight + 4 * (1 - half), Float4", causal
    ),
    "keys past the last one are loaded": Fault(
        COPY, "n == rows.last_tile ? rows.last_size : rows.full_size", "rows.full_size", ragged, shows="out of bounds"
    ),
    "dimensions past head_dim are loaded": Fault(
        COPY, "(byte < rows.used_bytes ? byte : Buffer::kOutside)", "byte", padded, shows="out of bounds"
    ),
    "rows past the last one are stored": Fault(
        KERNEL, "if (row >= args.seqlen_q) return;", "", ragged, shows="out of bounds"
    ),
    "keys past the last one are attended": Fault(
        MASK, "status == TileStatus::edge || short_of_keys", "status == TileStatus::edge", ragged
    ),
    "no check of elements": Fault(PIPELINE, "if (!work.edge()) return;", "return;", causal),
    "elements of the other half of the lanes": Fault(
        WAVE, "bits >> (4 * Atom::half())", "bits >> (4 * (1 - Atom::half()))", causal
    ),
    "another head's K and V": Fault(
        KERNEL, "head / args.heads_per_kv", "head % (args.num_heads / args.heads_per_kv)", grouped
    ),
    "O is not rescaled": Fault(SOFTMAX, "Wave::scale(o, factor);", "", growing),
    "sums are not rescaled": Fault(SOFTMAX, "Wave::scale(sums_, factor);", "", growing),
    "the first maximum rescales": Fault(SOFTMAX, "is_first ? 1.f : exp2(-by[n] ", "exp2(-by[n] ", far_apart),
    "probabilities past the largest half": Fault(ATOM, "kExponentSlack = 1.f", "kExponentSlack = 3.f", growing),
    "probabilities below the smallest half": Fault(
        ATOM, "kProbabilityExponent = 14.f", "kProbabilityExponent = 0.f", subnormal, "gfx90a"
    ),
    "rows without keys are divided by zero": Fault(
        KERNEL,
        "const float factor = sum[n] == 0.f ? 0.f : kept / sum[n];",
        "const float factor = kept / sum[n];",
        empty_rows,
    ),
    "LSE in base 2": Fault(KERNEL, "= log_sum * Extras::Unit::kInBaseE;", "= log_sum;", causal),
    "partial results in each other's slots": Fault(
        ROWS, "return slot * args.num_shared + shared;", "return slot + shared;", cut
    ),
    "pieces are weighed without their maximum": Fault(
        COMBINE, "largest == -kInfinity ? 0.f : largest;", "0.f;", far_apart
    ),
    "pieces are not weighed": Fault(
        COMBINE, "exp2((args.partial_lse[partial] - reference) * Unit::kInBase2);", "1.f;", cut
    ),
}

FAULTS |= {
    "tanh of small numbers cancels": Fault(TANH, "size < kSmall ? small : large", "large", tanh),
    "the cap's derivative left out": Fault(
        BACKWARD, "if constexpr (Extras::kHasSoftcap) Wave::multiply(dp, slope);", "", capped
    ),
    "a reference that forgets what is near": Fault(
        SOFTMAX, "reference_[n] = moves ? moved : reference_[n];", "reference_[n] += by[n];", steep
    ),
    "distances from the first key": Fault(EXTRAS, "args.seqlen_k - args.seqlen_q +", "", flat),
    "random bits of the other lanes' keys": Fault(DROPOUT, "kLanes == 2 ? share", "kLanes == 2 ? 1 - share", dropped),
    "a probability off by one": Fault(
        DROPOUT, "(random - threshold_) >> 31", "(random - threshold_ + 1) >> 31", almost_kept
    ),
    "what is kept is not scaled": Fault(KERNEL, "0.f : kept / sum[n];", "0.f : 1.f / sum[n];", half_kept),
    "dropout of P alone": Fault(BACKWARD, "dp = Wave::dropped(dp, kept);", "", half_kept),
    "elements past the last one are read": Fault(
        ELEMENTS,
        "offset_ | (((last_query_ - query) | (last_key_ - key)) & Buffer::kOutside)",
        "offset_",
        biased,
        shows="out of bounds",
    ),
    "another sample's bias": Fault(ELEMENTS, "batch * t.stride_batch + ", "", biased),
    "a bias times the scale": Fault(EXTRAS, "if constexpr (!kHasSoftcap) x *= factor_;", "", biased),
    "the gradient of a bias of keys from one query": Fault(
        EXTRAS, "sum[key / Wave::kKeyStep] += out", "sum[key / Wave::kKeyStep] = out", of_keys
    ),
    "launches in order that compute everything": Fault(
        BACKWARD_KERNEL, "line_of_group(args) != args.extras.only_line) return;", "false) return;", one_order
    ),
    "attn_mask turned round": Fault(
        EXTRAS, "attended.load(query, key) ? x", "!attended.load(query, key) ? x", attended
    ),
}


# What must not change a bit.
HARMLESS: dict[str, Sequence[Change]] = {
    "elements are checked in every tile": [(PIPELINE, "if (!work.edge()) return;", "")],
    "no wave skips a tile": [
        (PIPELINE, "if (!work.live()) continue;", ""),
        (PIPELINE, "if (!work.edge()) return;", ""),
    ],
}


class Wait(NamedTuple):
    """A wait that the compiler has put in: where it is in the assembly of the kernel, the first such place."""

    pattern: str
    shows: str


WAITS = {
    "for K and V to come": Wait(
        r"\ts_waitcnt vmcnt\(0\)\n(?=(?:\t(?!s_waitcnt vmcnt).*\n){0,9}\ts_barrier\n\tds_write)",
        "missing wait",
    ),
    "for writes to shared memory before a barrier": Wait(
        r"\ts_waitcnt lgkmcnt\(0\)\n(?=\ts_barrier\n(?!\tds_write))",
        "never written",
    ),
    "for operands out of shared memory": Wait(
        r"\ts_waitcnt lgkmcnt\(\d\)\n(?=(?:\t(?!s_waitcnt).*\n){0,3}\tv_mfma)",
        "missing wait",
    ),
}

_COMPILER = '''#!{python}
"""Compiles as {clang} does, and leaves out one wait of the forward kernel."""
import re, subprocess, sys
arguments = sys.argv[1:]
if "-o" not in arguments:
    sys.exit(subprocess.run(["{clang}", *arguments]).returncode)
at = arguments.index("-o")
code = arguments[at + 1]
subprocess.run(["{clang}", *arguments[:at], *arguments[at + 2 :], "-S", "-o", "kernel.s"], check=True)
before, start, rest = open("kernel.s").read().partition("\\nck_fmha_fwd:")
kernel, end, after = rest.partition(".Lfunc_end")
kernel, removed = re.subn({pattern!r}, "", kernel, count=1)
if removed != 1:
    sys.exit("no such wait in the assembly: its pattern has to be written anew")
open("kernel.s", "w").write(before + start + kernel + end + after)
arch = next(a for a in arguments if a.startswith("--offload-arch=")).partition("=")[2]
target = ["-target", "amdgcn-amd-amdhsa", "-mcpu=" + arch, "-mcode-object-version=5"]
subprocess.run(["{clang}", *target, "kernel.s", "-o", code], check=True)
'''


def every_second_fast(faults: Iterable[str]) -> list:
    """For parametrize: each fault costs a compilation, so half of them wait for `make sweep`."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (n % 2)) for n, name in enumerate(faults)]


def compiler_without(pattern: str, folder: Path) -> Path:
    """A compiler that leaves out the wait of this pattern."""
    clang = shutil.which(os.environ["CK_FMHA_HIP_COMPILER"])
    script = folder / "compiler"
    script.write_text(_COMPILER.format(python=sys.executable, clang=clang, pattern=pattern))
    script.chmod(0o700)
    return script


def changed_headers(folder: Path, changes: Sequence[Change]) -> Path:
    """A copy of the kernels' headers with the changes in it."""
    headers = folder / "include"
    shutil.copytree(INCLUDE, headers)
    for name, old, new in changes:
        file = headers / "gpu" / name
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in csrc/gpu/{name}: write the fault anew"
        file.write_text(text.replace(old, new))
    return headers


def assert_noticed(fault: Fault, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that is named passes without the fault, and fails with it as `shows` says."""
    hip_calls.use(monkeypatch, fault.arch)
    fault.noticed_by(monkeypatch, fault.arch)
    with hip_calls.kernels_made_of(changed_headers(folder, [(fault.file, fault.old, fault.new)])):
        hip_calls.use(monkeypatch, fault.arch)
        with pytest.raises((AssertionError, RuntimeError)) as noticed:
            fault.noticed_by(monkeypatch, fault.arch)
    assert "could not compile" not in str(noticed.value)
    noticed.match(fault.shows)
