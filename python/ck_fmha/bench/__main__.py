"""The benchmark on the command line: ``python -m ck_fmha.bench``.

python -m ck_fmha.bench --quick
python -m ck_fmha.bench --json bench.json --plot bench.png
python -m ck_fmha.bench --sections rates --seqlens 4096 --head-dims 128 --dtypes float16 float32
python -m ck_fmha.bench --device cuda --json bench.json --plot bench.png
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ck_fmha.bench.cases import DTYPES, MASKS
from ck_fmha.bench.chart import check_path, draw, require_matplotlib
from ck_fmha.bench.peers import PEERS
from ck_fmha.bench.report import run
from ck_fmha.bench.settings import DEVICES, SECTIONS, Settings, check_names, preset, product
from ck_fmha.bench.table import render

_GIB = 2**30


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _arguments() -> _Parser:
    parser = _Parser(
        prog="python -m ck_fmha.bench",
        description="Time attention as ratios to torch's float32 matmul and to SDPA and FlexAttention in the same "
        "rounds, and say which aims this run reaches. What is not given comes from the preset.",
    )
    presets = parser.add_mutually_exclusive_group()
    presets.add_argument("--quick", action="store_true", help="a preset of under a minute on two cores")
    presets.add_argument("--full", action="store_true", help="all masks, sizes and dtypes: hours (default: 5 minutes)")
    listed = "; ".join(f"{name}: {what}" for name, what in SECTIONS.items())
    parser.add_argument("--sections", nargs="+", metavar="NAME", help=f"what to measure (default: all). {listed}")
    _names(parser, "--masks", MASKS, "masks of all sections that take one")
    _names(parser, "--dtypes", DTYPES, 'dtypes of the section "rates"')
    _names(parser, "--peers", PEERS, 'peers of the sections "rates" and "short"; none: no peers', "*")
    _names(parser, "--peer-dtypes", DTYPES, "dtypes in which peers are timed (default: float32)")
    _ints(parser, "--seqlens", 'tokens, of the section "rates"')
    _ints(parser, "--head-dims", 'elements, of the section "rates"')
    _ints(parser, "--tile-seqlens", 'tokens, a short and a long sequence of the section "tiles" (default: 2048 32768)')
    _ints(parser, "--memory-seqlens", 'tokens, ascending, of the section "memory"')
    parser.add_argument(
        "--section-seqlen", type=int, metavar="N", help='tokens, of "edges" and "threads" (default: 4096)'
    )
    parser.add_argument("--heads", type=int, metavar="N", help="number of heads (default: 4)")
    parser.add_argument("--batch", type=int, metavar="N", help="number of samples (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: torch's)")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="seconds that the rounds of one group of calls may take; at least three rounds are made (default: 8)",
    )
    parser.add_argument("--max-rounds", type=int, metavar="N", help="at most so many rounds (default: 15)")
    parser.add_argument(
        "--peer-memory",
        type=float,
        metavar="GIB",
        help="GiB; peers whose mask needs more are left out, and the table says so (default: 2)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where to run (default: cpu); cuda: an NVIDIA GPU "
        "beside FlexAttention and SDPA, with --quick, --masks, --seqlens, --seconds, --max-rounds, --json, --plot",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything there, as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw a chart there, .png or .svg")
    return parser


def _names(parser: _Parser, option: str, known: Iterable[str], what: str, count: str = "+") -> None:
    parser.add_argument(option, nargs=count, metavar="NAME", help=f"{what}: {', '.join(known)}")


def _ints(parser: _Parser, option: str, what: str) -> None:
    parser.add_argument(option, nargs="+", type=int, metavar="N", help=what)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings of the preset with what the command line gives in place of it."""
    settings = preset("quick" if arguments.quick else "full" if arguments.full else "default")
    groups, first = settings.groups, settings.groups[0]
    if arguments.seqlens or arguments.head_dims or arguments.dtypes:
        groups = product(
            arguments.seqlens or (first.seqlen,),
            arguments.head_dims or (first.head_dim,),
            first.masks,
            tuple(arguments.dtypes or first.dtypes),
            first.peers,
        )
    short = settings.short
    given: dict[str, Any] = {}
    for name in ("masks", "peers", "peer_dtypes"):
        values = getattr(arguments, name)
        if values is not None:
            given[name] = tuple(values)
    masks = given.get("masks")
    changes: dict[str, Any] = {
        "groups": tuple(replace(group, **given) for group in groups),
        "short": replace(short, **given),
        "device": arguments.device,
    }
    if masks is not None:
        changes.update(ratio_masks=masks, memory_masks=masks)
    for name in ("sections", "tile_seqlens", "memory_seqlens"):
        if getattr(arguments, name) is not None:
            changes[name] = tuple(getattr(arguments, name))
    for name in ("section_seqlen", "heads", "batch", "threads", "seconds", "max_rounds"):
        if getattr(arguments, name) is not None:
            changes[name] = getattr(arguments, name)
    if arguments.peer_memory is not None:
        if not 0 <= arguments.peer_memory < 2**20:
            raise ValueError(f"--peer-memory must be in [0, 2**20) GiB, got {arguments.peer_memory}")
        changes["peer_memory"] = int(arguments.peer_memory * _GIB)
    return replace(settings, **changes)


def _check_files(*files: Path | None) -> None:
    """Find out before the run, not after it, whether the results can be written."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise ValueError(f"there is no folder {str(file.parent)!r} to write {file.name!r} into")


_OF_CUDA = {"device", "quick", "masks", "seqlens", "seconds", "max_rounds", "json", "plot"}


def _run_cuda(arguments: argparse.Namespace) -> None:
    from ck_fmha.bench import cuda, cuda_table

    for name, value in vars(arguments).items():
        if name not in _OF_CUDA and value not in (None, False):
            raise ValueError(f"--{name.replace('_', '-')} is of --device cpu: leave it out")
    sizes = tuple(seqlen for seqlen, _ in cuda.SHAPES)
    names = tuple(arguments.masks or cuda.MASKS)
    seqlens = tuple(arguments.seqlens or (sizes[-1:] if arguments.quick else sizes))
    check_names("masks", names, cuda.MASKS)
    check_names("seqlens", map(str, seqlens), map(str, sizes))
    _check_files(arguments.json, arguments.plot)
    if arguments.plot is not None:
        check_path(arguments.plot)
        require_matplotlib()
    seconds = 4.0 if arguments.seconds is None else arguments.seconds
    rounds = 30 if arguments.max_rounds is None else arguments.max_rounds
    report = cuda.run(names, seqlens, seconds, rounds, lambda text: print(text, file=sys.stderr))
    print(cuda_table.render(report))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")
    if arguments.plot is not None:
        cuda_table.draw(report, arguments.plot)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status: 0, or 2 after one line that says what is wrong."""
    parser = _arguments()
    arguments = parser.parse_args(argv)
    try:
        if arguments.device == "cuda":
            _run_cuda(arguments)
            return 0
        settings = settings_of(arguments)
        _check_files(arguments.json, arguments.plot)
        if arguments.plot is not None:
            check_path(arguments.plot)
            require_matplotlib()
        report = run(settings)
        print(render(report))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")
        if arguments.plot is not None:
            draw(report, arguments.plot)
    except (TypeError, ValueError, NotImplementedError, ImportError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
