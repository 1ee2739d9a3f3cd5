"""Masks from text: an expression of mask constructors, read without evaluating any other code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, NoReturn

from ck_fmha.masks._algebra import per_head, per_sample
from ck_fmha.masks._base import Mask
from ck_fmha.masks._block_list import BlockList
from ck_fmha.masks._definitions import DEFINITIONS

_MAX_LENGTH = 65_536
_SHOWN = 60  # characters of a piece that a message repeats
_DIGEST = re.compile(r"<\d+ int32, digest [0-9a-f]+>")

_NAMES: dict[str, Callable[..., Mask]] = {**DEFINITIONS, "per_head": per_head, "per_sample": per_sample}
_METHODS: dict[tuple[str, str], Callable[..., Mask]] = {
    ("BlockList", "from_csr"): BlockList.from_csr,
}


def parse(text: str) -> Mask:
    """Read a mask from an expression such as ``"BigBird(block_size=64) & Causal()"``, or from a mask's repr.

    Understood are the definitions of this package, `per_head` and `per_sample`, ``BlockList.from_csr``, the operators
    ``& | ~``, ``.T`` and ``.shift(dq, dk)``, and as arguments integers, strings, True, False, None, lists and tuples.
    Nothing else is looked at, let alone run.

    Args:
        text: The expression, at most 65,536 characters.

    Raises:
        TypeError: `text` is no str.
        ValueError: The text has anything else, is nested too deeply, or its arguments are refused; the message names
            the piece and its position, the number of characters before it.
        NotImplementedError: An argument asks for what is not covered yet.
    """
    if not isinstance(text, str):
        raise TypeError(f"parse: text must be a str, got {text!r} of type {type(text).__name__}")
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"parse: text must have at most {_MAX_LENGTH} characters, got {len(text)}")
    if digest := _DIGEST.search(text):
        raise ValueError(
            f"parse: {digest[0]} at position {digest.start()} stands for numbers that the repr of a mask leaves out "
            "because they are many: make the mask from the numbers again, or pickle it"
        )
    # One line of the same length, so that columns are positions.
    line = re.sub(r"\s", " ", text)
    start = len(line) - len(line.lstrip())
    try:
        mask = _Reader(line[start:], start).read(ast.parse(line[start:], mode="eval").body)
    except SyntaxError as error:
        position = start + max((error.offset or 1) - 1, 0)
        raise ValueError(f"parse: not an expression: {error.msg} at position {position}") from None
    except (RecursionError, MemoryError):
        raise ValueError("parse: the expression is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"parse: not an expression: {error.reason} at position {start + error.start}") from None
    if not isinstance(mask, Mask):
        raise ValueError(f"parse: {_shortened(text.strip())} at position {start} is not a mask but {_kind(mask)}")
    return mask


class _Reader:
    def __init__(self, line: str, start: int) -> None:
        self._bytes = line.encode()
        self._start = start

    def read(self, node: ast.expr) -> Any:
        """Return the value of a node: a mask or an argument."""
        if isinstance(node, ast.Constant):
            if node.value is None or type(node.value) in (bool, int, str):
                return node.value
            self._refuse(node, f"is {_kind(node.value)}, not an int, str, bool or None")
        if isinstance(node, (ast.List, ast.Tuple)):
            entries = [self.read(entry) for entry in node.elts]
            return entries if isinstance(node, ast.List) else tuple(entries)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Attribute):
            if node.attr != "T":
                self._refuse(node, "is an attribute other than .T")
            return self._mask(node.value).T
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Name):
            if node.id in _NAMES:
                self._refuse(node, f"is not called: write {node.id}(...)")
            self._unknown(node)
        if isinstance(node, ast.BoolOp):
            self._refuse(node, "uses `and` or `or`: combine masks with & and |")
        self._refuse(node, "is not part of mask expressions")

    def _unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Invert):
            return ~self._mask(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and type(node.operand.value) is int:
            return -node.operand.value
        if isinstance(node.op, ast.Not):
            self._refuse(node, "uses `not`: complement masks with ~")
        self._refuse(node, "is not part of mask expressions")

    def _binary(self, node: ast.BinOp) -> Mask:
        if not isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            self._refuse(node, "uses an operator other than &, | and ~")
        left, right = self._mask(node.left), self._mask(node.right)
        return self._made(node, left.__and__ if isinstance(node.op, ast.BitAnd) else left.__or__, right)

    def _call(self, node: ast.Call) -> Mask:
        function, keywords = node.func, {}
        if isinstance(function, ast.Name):
            make = _NAMES.get(function.id) or self._unknown(function)
        elif isinstance(function, ast.Attribute):
            owner = function.value.id if isinstance(function.value, ast.Name) else ""
            if (owner, function.attr) in _METHODS:
                make = _METHODS[owner, function.attr]
            elif function.attr == "shift":
                make = self._mask(function.value).shift
            else:
                self._refuse(function, "is not a function of mask expressions")
        else:
            self._refuse(function, "is not a function of mask expressions")
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(keyword.value, "is unpacked with **: write the arguments out")
            if keyword.arg in keywords:
                self._refuse(node, f"gives {keyword.arg} twice")
            keywords[keyword.arg] = self.read(keyword.value)
        return self._made(node, make, *[self.read(argument) for argument in node.args], **keywords)

    def _mask(self, node: ast.expr) -> Mask:
        value = self.read(node)
        if not isinstance(value, Mask):
            self._refuse(node, f"is not a mask but {_kind(value)}")
        return value

    def _made(self, node: ast.expr, make: Callable[..., Mask], *arguments: Any, **keywords: Any) -> Mask:
        try:
            return make(*arguments, **keywords)
        except (TypeError, ValueError) as error:
            raise ValueError(f"parse: {self._piece(node)}: {error}") from error

    def _unknown(self, node: ast.Name) -> NoReturn:
        self._refuse(node, f"is not one of {', '.join(_NAMES)}")

    def _refuse(self, node: ast.expr, why: str) -> NoReturn:
        raise ValueError(f"parse: {self._piece(node)} {why}")

    def _piece(self, node: ast.expr) -> str:
        """Return the text of a node and its position."""
        text = self._bytes[node.col_offset : node.end_col_offset].decode()
        position = self._start + len(self._bytes[: node.col_offset].decode())
        return f"{_shortened(text)} at position {position}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
