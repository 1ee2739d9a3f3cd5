"""The code objects of kernels on this machine: ``python -m ck_fmha.cache``.

python -m ck_fmha.cache list
python -m ck_fmha.cache warm "BigBird(block_size=64) & Causal()" --arch gfx942 --head-dim 128 --seqlen 8192 --backward
python -m ck_fmha.cache warm "Causal()" --arch gfx942 --seqlen 8192 --extras softcap alibi dropout
python -m ck_fmha.cache clear
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from ck_fmha import _native
from ck_fmha._code_cache import CodeCache
from ck_fmha._compiler_base import lanes_of
from ck_fmha._instance import EXTRAS, Instance, plain_arch
from ck_fmha._instances import find_code
from ck_fmha._packaged import packaged
from ck_fmha.masks import parse

_DTYPES = ("fp16", "bf16")
_BIASES = ("bias", "bias_fp32")
_GRADIENTS_OF_BIASES = ("dbias", "dbias_sum", "dbias_keys")
_COMPUTE_UNITS = 304  # which instances a call needs does not depend on it


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ck_fmha.cache", description="Look after the compiled kernels.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,warm,clear}")
    commands.add_parser("list", help="list what was compiled, the newest first, and what came with the package")
    commands.add_parser("clear", help="remove everything that was compiled, but what came with the package")
    warm = commands.add_parser("warm", help="compile what calls with a mask need, where nothing has it yet")
    warm.add_argument("mask", metavar="EXPR", help='an expression, e.g. "BigBird(block_size=64) & Causal()"')
    warm.add_argument("--arch", required=True, help="the processor, e.g. gfx942")
    warm.add_argument("--seqlen", type=int, required=True, metavar="N", help="number of query rows")
    warm.add_argument("--seqlen-k", type=int, metavar="M", help="number of key columns (default: as many)")
    warm.add_argument("--head-dim", type=int, default=128, metavar="D", help="default: 128")
    warm.add_argument("--heads", type=int, default=1, metavar="H", help="number of query heads (default: 1)")
    warm.add_argument("--batch", type=int, default=1, metavar="B", help="number of samples (default: 1)")
    warm.add_argument("--dtype", choices=_DTYPES, help="default: both")
    warm.add_argument(
        "--extras",
        nargs="+",
        choices=EXTRAS,
        default=[],
        metavar="NAME",
        help=f"what calls ask for besides the mask, of {', '.join(EXTRAS)}: bias_fp32 is a float32 bias, attended a "
        "bool attn_mask; a bias's gradient is dbias_keys if all queries share the bias, dbias_sum if heads, samples or "
        "keys do, else dbias",
    )
    warm.add_argument("--backward", action="store_true", help="for training too")
    warm.add_argument("--deterministic", action="store_true", help="for training with deterministic=True too")
    return parser


def _list(cache: CodeCache) -> None:
    entries = cache.entries()
    print(f"{cache.folder}: {len(entries)} code objects, {sum(entry.size for entry in entries) / 2**20:.1f} MiB")
    for entry in entries:
        _print_entry(entry.key, entry.size, entry.info)
    installed = packaged().entries
    if installed:
        size = sum(entry["size"] for entry in installed.values())
        print(f"{packaged().folder}: {len(installed)} code objects of the package, {size / 2**20:.1f} MiB")
    for key, info in installed.items():
        _print_entry(key, info["size"], info)


def _print_entry(key: str, size: int, info: dict[str, object]) -> None:
    defaults = Instance._field_defaults
    instance = Instance._make(info.get(name, defaults.get(name)) for name in Instance._fields)
    print(f"{key}  {size / 2**10:7.1f} KiB  {instance}")


def _extras(asked: Sequence[str]) -> tuple[str, str]:
    """Return the names of what a call asks for, in the order that instances have them, and of the bias's gradient."""
    words = [name for name in EXTRAS if name in asked]
    gradients = [name for name in words if name in _GRADIENTS_OF_BIASES]
    biases = [name for name in words if name in _BIASES]
    if len(biases) > 1 or len(gradients) > len(biases):
        raise ValueError(
            f"--extras takes one of {', '.join(_BIASES)} and with it at most one of {', '.join(_GRADIENTS_OF_BIASES)}, "
            f"got {' '.join(biases + gradients)}"
        )
    return " ".join(name for name in words if name not in gradients), "".join(f" {name}" for name in gradients)


def _warmed(arguments: argparse.Namespace) -> Iterator[Instance]:
    """Yield the instances that calls of these arguments need."""
    mask = parse(arguments.mask).native
    seqlen_k = arguments.seqlen if arguments.seqlen_k is None else arguments.seqlen_k
    batch, heads, dim = arguments.batch, arguments.heads, arguments.head_dim
    sizes = {"--seqlen": arguments.seqlen, "--seqlen-k": seqlen_k, "--heads": heads, "--batch": batch}
    for name, value in {**sizes, "--head-dim": dim}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if dim > 256:
        raise ValueError(f"--head-dim must be at most 256, got {dim}")
    mask.check_counts(batch, heads)
    arch = plain_arch(arguments.arch)
    call = (mask, (batch, heads, heads, arguments.seqlen, seqlen_k, dim, dim), _COMPUTE_UNITS, lanes_of(arch))
    rows = _native.FwdPlan(*call).groups
    plans = [("fwd", rows)]
    if arguments.backward or arguments.deterministic:
        columns = _native.FwdPlan.columns(*call).groups
        plans += [("bwd", columns)] if arguments.backward else []
        plans += [("bwd_deterministic", columns), ("bwd_dq", rows)] if arguments.deterministic else []
    head_dim = _native.instance_head_dim(dim, dim)
    extras, of_gradient = _extras(arguments.extras)
    for dtype in _DTYPES if arguments.dtype is None else (arguments.dtype,):
        for kernels, groups in plans:
            for structure, num_waves in groups:
                more = of_gradient if kernels in ("bwd", "bwd_deterministic") else ""
                yield Instance(structure, dtype, head_dim, num_waves, arch, kernels, extras + more)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    arguments = _arguments().parse_args(argv)
    cache = CodeCache.of_user()
    try:
        if arguments.command == "list":
            _list(cache)
        elif arguments.command == "clear":
            print(f"{cache.folder}: {cache.clear()} code objects removed")
        else:
            for instance in _warmed(arguments):
                code, origin = find_code(instance)
                print(f"{instance}: {len(code)} bytes, {origin}", flush=True)
    except (ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
