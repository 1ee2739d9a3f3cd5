"""Faults to put into the kernels for AMD GPUs: which test notices each of them, and changes that no test may notice.

A change is (file under csrc/gpu, text that occurs once in it, what takes its place).
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

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
WINDOW = "pipeline/live_tile_window.hpp"
KERNEL = "kernel/fwd_kernel.hpp"
COMBINE = "kernel/fwd_combine.hpp"
PLAN = "kernel/plan_windows.hpp"
ROWS = "kernel/rows_of.hpp"
WAVE = "tile/wave_mfma.hpp"
SHARED = "tile/shared_tiles_amd.hpp"
COPY = "tile/copy_amd.hpp"
ATOM = "tile/mfma_32x32x8.hpp"

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
work = check(test_hip_work.test_work_is_that_of_live_tiles, "sinks")

FAULTS: dict[str, Fault] = {
    "no barrier before a tile is overwritten": Fault(COPY, BARRIERS, "key_copy_.store(keys_);\n", orders),
    "no barrier before a tile is read": Fault(COPY, STORES, "value_copy_.store(values_);\n", orders),
    "the tile after the one that is walked": Fault(
        WINDOW, "return code >> kFlags;", "return (code >> kFlags) + (from == 1);", causal
    ),
    "a tile of a window twice": Fault(
        WINDOW, "place.left &= place.left - 1;", "if (from != 0) place.left &= place.left - 1;", causal
    ),
    "a window's last tile left out": Fault(
        WINDOW,
        "if (__builtin_expect(place.left == 0, 0))",
        "if (place.left == 0 || (from > 0 && (place.left & (place.left - 1)) == 0))",
        causal,
    ),
    "tiles of the work-group's rows that are empty": Fault(
        WINDOW, "ballot(tile < end && tiles.TileMask(row, tile))", "ballot(tile < end)", work
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
        COPY, "n == last_tile_ ? last_size_ : full_size_", "full_size_", ragged, shows="out of bounds"
    ),
    "dimensions past head_dim are loaded": Fault(
        COPY, "(byte < rows.used_bytes ? byte : Buffer::kOutside)", "byte", padded, shows="out of bounds"
    ),
    "rows past the last one are stored": Fault(
        KERNEL, "if (row >= args.seqlen_q) return;", "", ragged, shows="out of bounds"
    ),
    "keys past the last one are attended": Fault(
        WINDOW, "status == TileStatus::edge || short_of_keys", "status == TileStatus::edge", ragged
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
    "the first maximum rescales": Fault(SOFTMAX, "is_first ? 1.f : exp2(-by[n])", "exp2(-by[n])", far_apart),
    "probabilities past the largest half": Fault(ATOM, "kExponentSlack = 1.f", "kExponentSlack = 3.f", growing),
    "probabilities below the smallest half": Fault(
        ATOM, "kProbabilityExponent = 14.f", "kProbabilityExponent = 0.f", subnormal, "gfx90a"
    ),
    "rows without keys are divided by zero": Fault(
        KERNEL,
        "const float factor = sum[n] == 0.f ? 0.f : 1.f / sum[n];",
        "const float factor = 1.f / sum[n];",
        empty_rows,
    ),
    "LSE in base 2": Fault(KERNEL, "= log2_sum * kLog2ToLog;", "= log2_sum;", causal),
    "partial results in each other's slots": Fault(
        ROWS, "return slot * args.num_shared + shared;", "return slot + shared;", cut
    ),
    "pieces are weighed without their maximum": Fault(
        COMBINE, "largest == -kInfinity ? 0.f : largest;", "0.f;", far_apart
    ),
    "pieces are not weighed": Fault(
        COMBINE, "const float weight = exp2(args.partial_lse[partial] - reference);", "const float weight = 1.f;", cut
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
        r"\ts_waitcnt vmcnt\(0\)\n(?=(?:\t(?!s_waitcnt).*\n){0,9}\ts_barrier\n\tds_write)",
        "missing wait",
    ),
    "for writes to shared memory before a barrier": Wait(
        r"\ts_waitcnt lgkmcnt\(0\)\n(?=\ts_barrier\n)",
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
