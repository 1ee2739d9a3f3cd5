"""Train a byte-level model under BigBird & Causal: ck_fmha against SDPA with the same mask, dense.

    python examples/train_bytes.py [--steps 24] [--seqlen 4096] [--dense-mask bool|float] [--out demo_out]

Both variants start from equal weights, see equal batches and run one after the other, each in its own
process. Exits with 1 if their losses differ by more than the tolerance or if a future byte reaches an
earlier prediction.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from train_variant import NAMES, Result, Settings

# Largest difference of the two losses at any step, in nats. The two round differently, and Adam carries the
# difference on; where this was written it stayed below 1e-6, the last digit that a float32 loss has.
LOSS_TOLERANCE = 1e-4
MIB = 2**20


def run(variant: str, settings: Settings) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        destination = Path(folder) / "result.json"
        program = Path(__file__).with_name("train_variant.py")
        command = [
            sys.executable, str(program), variant, json.dumps(asdict(settings)), str(destination)
        ]  # fmt: skip
        subprocess.run(command, check=True)
        return Result(**json.loads(destination.read_text()))


def table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def print_losses(ours: Result, dense: Result) -> float:
    """The losses of both at the shown steps, and the largest difference over all of them."""
    differences = [abs(a - b) for a, b in zip(ours.losses, dense.losses, strict=True)]
    steps = len(differences)
    shown = sorted({0, 1, steps - 1, *range(0, steps, max(1, steps // 6))} & set(range(steps)))
    rows = [("step", NAMES["ck_fmha"], NAMES["dense"], "difference")]
    for n in shown:
        rows.append((f"{n + 1}", f"{ours.losses[n]:.6f}", f"{dense.losses[n]:.6f}", f"{differences[n]:.1e}"))
    print("\nLoss (nats per byte)\n" + table(rows))
    return max(differences)


def print_cost(ours: Result, dense: Result) -> None:
    rows = [("", NAMES["ck_fmha"], NAMES["dense"], "ratio")]
    for label, value, unit, show in (
        ("seconds per step (median)", "seconds_per_step", 1, "{:.2f} s"),
        ("peak memory above the model", "peak_bytes", MIB, "{:,.0f} MiB"),
        ("  of that, the mask", "mask_bytes", MIB, "{:,.0f} MiB"),
    ):
        a, b = getattr(ours, value) / unit, getattr(dense, value) / unit
        rows.append((label, show.format(a), show.format(b), f"{b / a:.1f}x" if a else ""))
    print(f"\nCost ({ours.num_threads} threads)\n" + table(rows))


def plot(settings: Settings, ours: Result, dense: Result, folder: Path) -> list[Path]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mask_path, curves_path = folder / "mask.png", folder / "training.png"
    settings.mask().plot(settings.seqlen, settings.seqlen, path=mask_path)

    figure, (curves, seconds, memory) = plt.subplots(
        1, 3, figsize=(11, 3.8), width_ratios=(3, 1, 1), layout="constrained"
    )
    steps = range(1, settings.steps + 1)
    curves.plot(steps, dense.losses, color="#f2a541", linewidth=5, label=NAMES["dense"])
    curves.plot(steps, ours.losses, color="#1f4e79", linewidth=1.5, label=NAMES["ck_fmha"])
    curves.set(xlabel="step", ylabel="loss (nats per byte)", title="The same losses")
    curves.legend()
    for axes, title, values in (
        (seconds, "seconds per step", (ours.seconds_per_step, dense.seconds_per_step)),
        (memory, "peak memory (MiB)", (ours.peak_bytes / MIB, dense.peak_bytes / MIB)),
    ):
        bars = axes.bar(["ck_fmha", "dense"], values, color=["#1f4e79", "#f2a541"])
        axes.bar_label(bars, fmt="{:.3g}" if axes is seconds else "{:,.0f}")
        axes.set_title(title)
        axes.margins(y=0.15)
    figure.savefig(curves_path, dpi=150)
    return [mask_path, curves_path]


def faults(ours: Result, dense: Result, worst: float) -> list[str]:
    """What went wrong, as sentences; none is success."""
    found = []
    if ours.initial_weights != dense.initial_weights or ours.data != dense.data:
        found.append("the two variants did not start from equal weights and batches")
    if not worst <= LOSS_TOLERANCE:  # also catches NaN
        found.append(f"losses differ by {worst:.1e}, more than {LOSS_TOLERANCE:g}")
    for variant, result in (("ck_fmha", ours), ("dense", dense)):
        if result.leaks:
            found.append(f"{NAMES[variant]}: changing the bytes at {result.leaks} moved earlier logits")
        if result.deaf:
            found.append(f"{NAMES[variant]}: changing the bytes at {result.deaf} moved no logit at all")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--seqlen", type=int, default=4096, help="at least 1024")
    parser.add_argument(
        "--dense-mask",
        choices=("bool", "float"),
        default="bool",
        help="dtype of SDPA's mask. On CPU torch turns bool into float in every call; float spares it that "
        "and takes four times the memory",
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"))
    arguments = parser.parse_args()
    if arguments.steps < 2 or arguments.seqlen < 1024:
        parser.error(f"needs --steps >= 2 and --seqlen >= 1024, got {arguments.steps} and {arguments.seqlen}")
    arguments.out.mkdir(parents=True, exist_ok=True)

    settings = Settings(steps=arguments.steps, seqlen=arguments.seqlen, dense_mask=arguments.dense_mask)
    mask, seqlen = settings.mask(), settings.seqlen
    print(f"Mask: {mask}\n      attends {mask.density(seqlen, seqlen):.1%} of {seqlen:,} x {seqlen:,} pairs")
    print(
        f"Model: {settings.num_layers} layers, d_model {settings.d_model}, {settings.num_heads} heads, "
        f"{settings.steps} steps of {seqlen:,} bytes of Python's own documentation\n"
        f"Dense: SDPA with the same mask as a {settings.dense_mask} tensor, "
        f"(1, {settings.num_heads}, {seqlen}, {seqlen})\n"
    )
    ours, dense = run("ck_fmha", settings), run("dense", settings)

    worst = print_losses(ours, dense)
    print_cost(ours, dense)
    found = faults(ours, dense, worst)
    print(f"\nLargest difference of the losses: {worst:.1e} (tolerance {LOSS_TOLERANCE:g})")
    if not ours.leaks and not dense.leaks:
        print("No leak: a changed byte leaves every earlier logit of both variants bit for bit as it was")
    for path in plot(settings, ours, dense, arguments.out):
        print(f"Picture: {path}")
    for fault in found:
        print(f"FAILED: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
