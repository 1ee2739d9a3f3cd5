"""Masks on the command line: ``python -m ck_fmha.masks``.

python -m ck_fmha.masks show "BigBird(block_size=64) & Causal()" --seqlen 4096 --out mask.png
python -m ck_fmha.masks list
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from ck_fmha.masks import per_head, per_sample
from ck_fmha.masks._definitions import DEFINITIONS
from ck_fmha.masks._parse import parse

_COMBINATIONS = (
    ("a & b", "Attended by both."),
    ("a | b", "Attended by one of the two."),
    ("~a", "Attended where a is not."),
    ("a.T", "Rows and columns exchanged."),
    ("a.shift(dq, dk)", "Placed with its first element at row dq and column dk; negative: cut off."),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _tile(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,10})x(\d{1,10})", text)
    if sides is None:
        raise argparse.ArgumentTypeError(f"must be ROWSxCOLUMNS, e.g. 64x64, got {text!r}")
    return int(sides[1]), int(sides[2])


def _arguments() -> _Parser:
    parser = _Parser(prog="python -m ck_fmha.masks", description="Look at the masks of ck_fmha.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{show,list}")
    show = commands.add_parser("show", help="describe a mask, and draw it", description="Describe a mask, and draw it.")
    show.add_argument("mask", metavar="EXPR", help='an expression, e.g. "BigBird(block_size=64) & Causal()"')
    show.add_argument("--seqlen", type=int, required=True, metavar="N", help="number of query rows")
    show.add_argument("--seqlen-k", type=int, metavar="M", help="number of key columns (default: as many)")
    show.add_argument("--head", type=int, default=0, metavar="H", help="which query head (default: 0)")
    show.add_argument("--batch", type=int, default=0, metavar="B", help="which sample (default: 0)")
    show.add_argument("--tile", type=_tile, metavar="64x64", help="tiles to count, and to draw (default: 64x64)")
    show.add_argument("--out", metavar="FILE", help="save a picture there, e.g. mask.png or mask.svg")
    commands.add_parser("list", help="list all definitions", description="List all definitions.")
    return parser


def _show(arguments: argparse.Namespace) -> None:
    mask = parse(arguments.mask)
    seqlen_k = arguments.seqlen if arguments.seqlen_k is None else arguments.seqlen_k
    lengths, of = (arguments.seqlen, seqlen_k), {"head": arguments.head, "batch": arguments.batch}
    print(mask.explain(*lengths, arguments.tile or (64, 64), **of))
    if arguments.out is not None:
        mask.plot(*lengths, tile=arguments.tile, path=arguments.out, **of)
        print(f"\npicture    {arguments.out}")


def _list() -> None:
    for name, definition in DEFINITIONS.items():
        calls = [getattr(definition, call) for call in ("from_tensor", "from_csr") if hasattr(definition, call)]
        for call in calls or [definition]:
            print(f"{name}{'.' + call.__name__ if calls else ''}{_parameters(call)}")
        print(f"    {_first_line(definition)}")
        if definition.source:
            print(f"    Source: {definition.source}")
    for function in (per_head, per_sample):
        print(f"{function.__name__}{_parameters(function)}\n    {_first_line(function)}")
    for expression, meaning in _COMBINATIONS:
        print(f"{expression}\n    {meaning}")


def _parameters(call: object) -> str:
    """Return the parameters with their defaults, without their types."""
    assert callable(call)
    parameters = inspect.signature(call).parameters.values()
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(plain))


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").split("\n", 1)[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, or 2 after one line that says what is wrong."""
    parser = _arguments()
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "show":
            _show(arguments)
        else:
            _list()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; what Python flushes at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (TypeError, ValueError, NotImplementedError, ImportError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
