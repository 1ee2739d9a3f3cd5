"""Instructions that the AMD kernels execute, counted in the emulator, beside those of ROCm's own CK Tile.

Nothing here is a time: no AMD GPU is involved. Cycles are modelled from the counts: what the units of a SIMD would be
busy with if nothing had to wait.

    make amd-counts                                        # sets everything up; or, with the emulator's library:
    python benchmarks/amd_instructions.py --emulator build/native/tests/amd_emulator/libck_fmha_amd_emulator.so
"""

from __future__ import annotations

import argparse
import bisect
import collections
import ctypes
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ck_fmha import _gpu, _instances, _native, attention, masks
from ck_fmha._call import sizes_of
from ck_fmha._compiler_base import INCLUDE
from ck_fmha._instance import Instance

# What the units of a compute unit are busy for, in cycles of one SIMD per wave instruction. Vector operations take four
# cycles for 64 lanes, transcendental ones sixteen; a 32x32x8 product its 16,384 operations at 512 (gfx942) or 256
# (gfx90a) a cycle. Shared memory moves 128 bytes a cycle for four SIMDs: a SIMD's share is 32 bytes, hence 64 lanes of
# 16 bytes take 32 cycles. The path to vector memory moves 64 bytes a cycle for four: 16 for each.
VECTOR, TRANSCENDENTAL = 4, 16
PRODUCT = {"gfx942": 32, "gfx90a": 64}
SHARED_BYTES, MEMORY_BYTES = 32, 16

CLASSES = (
    "mfma", "vector_alu", "transcendental", "accumulator_move", "lds", "vector_memory", "scalar_alu", "scalar_memory",
    "branch", "wait", "barrier",
)  # fmt: skip


class Reference(NamedTuple):
    """CK Tile of late 2024, executed the same way on gfx942, seqlen 1024, two heads."""

    total: int
    mfma: int
    vector_alu: int
    transcendental: int
    accumulator_move: int = 0
    product: int = PRODUCT["gfx942"]  # cycles of a product

    def cycles(self) -> int:
        """Return the modelled ones of products and vector operations."""
        vector = VECTOR * (self.vector_alu + self.accumulator_move) + TRANSCENDENTAL * self.transcendental
        return self.product * self.mfma + vector


class Case(NamedTuple):
    name: str
    mask: masks.Mask
    dtype: torch.dtype
    head_dim: int
    seqlen: int
    num_heads: int
    reference: Reference | None = None


def cases() -> list[Case]:
    bf16, fp16 = torch.bfloat16, torch.float16
    full, causal, window = masks.Full(), masks.Causal(), masks.Window(left=127, right=0)
    longformer, big_bird = masks.Longformer(window=512, global_tokens=64), masks.BigBird(block_size=64)
    return [
        Case("full", full, bf16, 128, 1024, 2, Reference(458560, 65536, 208128, 33536)),
        Case("causal", causal, bf16, 128, 1024, 2, Reference(303040, 36864, 146048, 18976)),
        Case("window 127", window, bf16, 128, 1024, 2, Reference(189528, 15360, 101584, 8056)),
        Case("full", full, bf16, 64, 1024, 2, Reference(363648, 32768, 183168, 34048)),
        Case("full", full, fp16, 128, 1024, 2, Reference(491904, 65536, 211712, 33536)),
        Case("causal", causal, fp16, 128, 1024, 2, Reference(323168, 36864, 149184, 18976)),
        Case("BigBird 64", big_bird, bf16, 128, 4096, 1),
        Case("Longformer 512", longformer, bf16, 128, 4096, 1),
        Case("BigBird 64", big_bird, bf16, 64, 4096, 1),
        Case("Longformer 512", longformer, bf16, 64, 4096, 1),
    ]


def backward_cases() -> list[Case]:
    """Calls whose backward is counted; of CK Tile's at head_dim 64 the vector operations are known to three digits."""
    bf16, full, causal = torch.bfloat16, masks.Full(), masks.Causal()
    of_16x16x16 = PRODUCT["gfx942"] // 2  # products of half the operations
    return [
        Case("full", full, bf16, 64, 1024, 2, Reference(1528000, 163840, 783000, 32832, 189440, of_16x16x16)),
        Case("full", full, bf16, 128, 1024, 2, Reference(2062848, 327680, 973568, 32832, 121856, of_16x16x16)),
        Case("causal", causal, bf16, 128, 1024, 2, Reference(1240392, 184320, 595984, 18496, 78912, of_16x16x16)),
        Case("BigBird 64", masks.BigBird(block_size=64), bf16, 128, 4096, 1),
        Case("Longformer 512", masks.Longformer(window=512, global_tokens=64), bf16, 128, 4096, 1),
    ]


def bytes_a_lane(mnemonic: str) -> int:
    """Of a memory instruction."""
    wide = re.search(r"(?:dwordx|_b)(\d+)$", mnemonic)
    if wide is None:
        return 4
    number = int(wide[1])
    return 4 * number if "dwordx" in mnemonic else number // 8


def cycles(kernel: dict[str, Any], arch: str) -> dict[str, int]:
    """What each unit is busy for."""
    counts = collections.Counter(kernel["classes"])
    busy = {
        "products": PRODUCT[arch] * counts["mfma"],
        "vector": VECTOR * (counts["vector_alu"] + counts["accumulator_move"])
        + TRANSCENDENTAL * counts["transcendental"],
        "lds": 0,
        "memory": 0,
    }
    for mnemonic, executed in kernel["mnemonics"].items():
        if mnemonic.startswith("ds_"):
            busy["lds"] += executed * 64 * bytes_a_lane(mnemonic) // SHARED_BYTES
        elif mnemonic.startswith(("buffer_", "global_", "flat_")):
            busy["memory"] += executed * 64 * bytes_a_lane(mnemonic) // MEMORY_BYTES
    return busy


# What an instruction is there for, by the functions that it was inlined from, each as "name file".
PURPOSES = (
    ("edge elements", r"^(row_bits|keep|edge) "),
    ("finding tiles", r"^\w+ (live_tiles|banded_mask|index_iterator)\.hpp"),
    ("rounding", r"^pack "),
)
# The comparisons and branches of the loop itself, by the lines of the pipeline that the compiler made them of. To find
# tiles are: is there another one? has this wave anything in it? once more? Besides, copies that were made of no line,
# as of a tile's code from turn to turn, and all jumps, which the compiler puts where it likes.
LINES = (
    ("edge elements", re.compile(r"\bwork\.edge\(")),
    ("finding tiles", re.compile(r"\bwalk\.|\bwork\.live\(")),
)
COPY_OR_JUMP = re.compile(r"s_mov_b\d+ s\S+ s|s_branch")
PIPELINE = INCLUDE / "gpu/pipeline/fwd_pipeline_qr_ks_vs.hpp"


def purpose_of(instruction: str, frames: list[tuple[str, str, int]], pipeline: list[str]) -> str:
    """Say what an instruction is there for: `frames` are (function, file, line) of what it was inlined from."""
    functions = "\n".join(f"{function} {file}" for function, file, _ in frames)
    for name, pattern in PURPOSES:
        if re.search(pattern, functions, re.MULTILINE):
            return name
    _, file, line = frames[0]
    if COPY_OR_JUMP.match(instruction) and (line == 0 or instruction.startswith("s_branch")):
        return "finding tiles"
    if file == PIPELINE.name:
        for name, text in LINES:
            if text.search(pipeline[line - 1]):
                return name
    return "the rest"


def purposes(code: bytes, kernel: dict[str, Any]) -> collections.Counter[str]:
    """Executed instructions by what they are there for, from the code's line tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.co"
        path.write_bytes(code)

        def tool(*command: str, text: str = "") -> str:
            return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout

        symbols = tool("llvm-readelf-19", "--symbols", "--wide", str(path))
        base = next(int(line.split()[1], 16) for line in symbols.splitlines() if line.endswith(" " + kernel["name"]))
        listing = tool("llvm-objdump-19", "--disassemble", "--no-show-raw-insn", str(path))
        instructions = re.findall(r"^\s+(\S.*?)\s*// ([0-9A-F]{12})", listing, re.MULTILINE)
        stacks = tool(
            "llvm-symbolizer-19", f"--obj={path}", "--inlines", "--demangle",
            text="\n".join(f"0x{address}" for _, address in instructions),
        )  # fmt: skip
    blocks = sorted((block["offset"], block["executed"], block["instructions"]) for block in kernel["blocks"])
    starts = [start for start, *_ in blocks]
    pipeline = PIPELINE.read_text().splitlines()
    seen: collections.Counter[int] = collections.Counter()
    executed: collections.Counter[str] = collections.Counter()
    for (instruction, address), stack in zip(instructions, stacks.strip().split("\n\n"), strict=True):
        number = bisect.bisect_right(starts, int(address, 16) - base) - 1
        if number < 0 or seen[number] == blocks[number][2]:
            continue  # before the kernel, or after a block's end: code that was not executed
        seen[number] += 1
        lines = stack.splitlines()
        frames = []
        for function, place in zip(lines[::2], lines[1::2], strict=True):
            file, line, _ = place.rsplit(":", 2)
            frames.append((function, Path(file).name, int(line)))
        executed[purpose_of(instruction, frames, pipeline)] += blocks[number][1]
    return executed


class Emulator:
    """The emulator's own entry points, in the library that this process drives."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.ck_fmha_emulator_counters.restype = ctypes.c_char_p

    def reset(self) -> None:
        self._library.ck_fmha_emulator_reset_counters()

    def kernel(self, name: str) -> dict[str, Any]:
        counters = json.loads(self._library.ck_fmha_emulator_counters())
        return next(kernel for kernel in counters["kernels"] if kernel["name"] == name and kernel["launches"])


def instances(case: Case, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> list[Instance]:
    """What a call launches."""
    sizes = sizes_of(q, k, v, "bhsd")
    plan = _gpu.explain("hip", q, k, v, case.mask.native, "bhsd", sizes, "")
    dtype, head_dim = ("bf16" if case.dtype == torch.bfloat16 else "fp16"), _native.instance_head_dim(*sizes[5:])
    return [Instance(structure, dtype, head_dim, *rest, plan.arch) for structure, *rest in plan.native.groups]


def executed(case: Case, emulator: Emulator) -> tuple[dict[str, Any], Instance]:
    """Run a case; return the counters of its kernel, and the instance."""
    torch.manual_seed(0)
    shape = (1, case.num_heads, case.seqlen, case.head_dim)
    q, k, v = (torch.randn(shape).to(case.dtype) for _ in range(3))
    attention(q, k, v, mask=case.mask, backend="hip")  # finds the live tiles, too, which later calls need not
    emulator.reset()
    attention(q, k, v, mask=case.mask, backend="hip")
    (instance,) = instances(case, q, k, v)
    return emulator.kernel("ck_fmha_fwd"), instance


def count(case: Case, emulator: Emulator) -> None:
    """Run a case and print what it executed."""
    kernel, instance = executed(case, emulator)
    counts, total, arch = collections.Counter(kernel["classes"]), kernel["wave_instructions"], instance.arch

    live = sum(case.mask.num_tiles(case.seqlen, case.seqlen, head=head).live for head in range(case.num_heads))
    products = live * 2 * 2 * 2 * case.head_dim // 8  # of 32x32x8: two blocks each of queries and keys, two products
    what = f"{case.name}, {instance.dtype}, head_dim {case.head_dim}, seqlen {case.seqlen}"
    print(f"\n{what}, {case.num_heads} heads, {arch}")
    print(f"  executed {total:,}: " + ", ".join(f"{name} {counts[name]:,}" for name in CLASSES if counts[name]))
    busy = cycles(kernel, arch)
    print(
        f"  per live 64x64 tile ({live:,}): {total / live:.0f} instructions; modelled cycles "
        + ", ".join(f"{name} {cycles / live:.0f}" for name, cycles in busy.items())
    )
    print(f"  products executed: {counts['mfma'] / products:.3f} of those of the live 64x64 tiles")
    shares = purposes(_instances.code_object(instance), kernel)
    print("  " + ", ".join(f"{name} {executed / total:.1%}" for name, executed in shares.most_common()))
    if case.reference is not None and arch == "gfx942":
        theirs = case.reference
        without = (total - shares["rounding"]) / theirs.total
        both = (busy["products"] + busy["vector"]) / theirs.cycles()
        print(
            f"  of CK Tile's: instructions {total / theirs.total:.3f} ({without:.3f} without rounding), modelled "
            f"cycles of products and vector operations {both:.3f}"
        )


def executed_backward(case: Case, emulator: Emulator) -> dict[str, Any]:
    """Run a case's backward; return the counters of the kernel with the products."""
    torch.manual_seed(0)
    shape = (1, case.num_heads, case.seqlen, case.head_dim)
    q, k, v = (torch.randn(shape).to(case.dtype).requires_grad_() for _ in range(3))
    d_out = torch.randn(shape).to(case.dtype)
    attention(q, k, v, mask=case.mask, backend="hip").backward(d_out)
    out = attention(q, k, v, mask=case.mask, backend="hip")
    emulator.reset()
    out.backward(d_out)
    return emulator.kernel("ck_fmha_bwd_dq_dk_dv")


def count_backward(case: Case, emulator: Emulator) -> None:
    """Run a case's backward and print what it executed."""
    kernel = executed_backward(case, emulator)
    counts, total = collections.Counter(kernel["classes"]), kernel["wave_instructions"]
    others = sum(emulator.kernel(f"ck_fmha_bwd_{name}")["wave_instructions"] for name in ("dot_do_o", "convert"))
    live = sum(case.mask.num_tiles(case.seqlen, case.seqlen, head=head).live for head in range(case.num_heads))
    products = live * 5 * 2 * 2 * case.head_dim // 8
    arch = os.environ["CK_FMHA_EMULATOR_ARCHS"]
    busy = cycles(kernel, arch)
    print(f"\nbackward, {case.name}, head_dim {case.head_dim}, seqlen {case.seqlen}, {case.num_heads} heads, {arch}")
    print(f"  executed {total:,}: " + ", ".join(f"{name} {counts[name]:,}" for name in CLASSES if counts[name]))
    print(f"  and {others:,} for dot(dO, O) and the conversion of dQ")
    print(
        f"  per live 64x64 tile ({live:,}): {total / live:.0f} instructions; modelled cycles "
        + ", ".join(f"{name} {cycles / live:.0f}" for name, cycles in busy.items())
    )
    print(f"  products executed: {counts['mfma'] / products:.3f} of those of the live 64x64 tiles")
    if case.reference is not None and arch == "gfx942":
        both = (busy["products"] + busy["vector"]) / case.reference.cycles()
        print(
            f"  of CK Tile's: instructions {total / case.reference.total:.3f}, modelled cycles of products and vector "
            f"operations {both:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulator", type=Path, required=True, help="libck_fmha_amd_emulator.so of the C++ tests")
    parser.add_argument("--arch", choices=sorted(PRODUCT), default="gfx942", help="(default: %(default)s)")
    options = parser.parse_args()
    os.environ["CK_FMHA_HIP_LIBRARY"] = str(options.emulator.resolve())
    os.environ["CK_FMHA_EMULATOR_ARCHS"] = options.arch
    os.environ["CK_FMHA_EMULATOR_COMPUTE_UNITS"] = "1"  # no row is cut, as none of CK Tile's is
    os.environ["CK_FMHA_HIP_FLAGS"] = os.environ.get("CK_FMHA_HIP_FLAGS", "") + " -gline-tables-only"
    print(f"Executed in an emulator, {options.arch}. Cycles are modelled, not measured.")
    emulator = Emulator(options.emulator)
    for case in cases():
        count(case, emulator)
    for case in backward_cases():
        count_backward(case, emulator)


if __name__ == "__main__":
    main()
