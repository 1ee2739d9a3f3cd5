"""Definitions by position: no blocks, at most a few numbers, and the global tokens of Longformer."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import ClassVar

from ck_fmha._arguments import INDEX_MAX, check_bool, check_choice, check_int
from ck_fmha.masks._base import Description, Mask, put, put_int
from ck_fmha.masks._snapshot import Integers, Snapshot, snapshot

ALIGNMENTS = ("top-left", "bottom-right")


def _diagonal(left: int, right: int, alignment: str, num_sinks: int) -> Description:
    return "diagonal", (left, right, ALIGNMENTS.index(alignment), num_sinks), ()


@dataclass(frozen=True)
class Full(Mask):
    """Every query attends every key: dense attention.

    Source: Vaswani et al., "Attention Is All You Need", 2017.
    """

    source: ClassVar[str] = "Vaswani et al., 2017"

    def _describe(self) -> Description:
        return "full", (), ()


@dataclass(frozen=True)
class Causal(Mask):
    """Row i attends columns j <= i + d: no query sees the future.

    Args:
        alignment: ``"top-left"`` (d = 0, as torch's ``is_causal``) or ``"bottom-right"`` (d = seqlen_k - seqlen_q: the
            last query sees the last key, as in decoding with a cache).

    Source: Vaswani et al., "Attention Is All You Need", 2017.
    """

    source: ClassVar[str] = "Vaswani et al., 2017"

    alignment: str = "top-left"

    def _check(self) -> None:
        check_choice("Causal: alignment", self.alignment, ALIGNMENTS)

    def _describe(self) -> Description:
        return _diagonal(-1, 0, self.alignment, 0)


@dataclass(frozen=True)
class Window(Mask):
    """Sliding window with optional attention sinks: (j < num_sinks or j >= i + d - left) and j <= i + d + right.

    Args:
        left: How many columns before the diagonal are attended; -1 = all.
        right: How many columns after the diagonal are attended; -1 = all.
        alignment: ``"top-left"`` (d = 0) or ``"bottom-right"`` (d = seqlen_k - seqlen_q).
        num_sinks: The first columns that rows keep attending, >= 0.

    Source: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023.
    """

    source: ClassVar[str] = "Xiao et al., 2023 (attention sinks)"

    left: int
    right: int
    alignment: str = "top-left"
    num_sinks: int = 0

    def _check(self) -> None:
        unbounded = " (-1 = unbounded)"
        put_int(self, "left", -1, meaning=unbounded)
        put_int(self, "right", -1, meaning=unbounded)
        check_choice("Window: alignment", self.alignment, ALIGNMENTS)
        put_int(self, "num_sinks")

    def _describe(self) -> Description:
        return _diagonal(self.left, self.right, self.alignment, self.num_sinks)


@dataclass(frozen=True)
class PrefixLM(Mask):
    """Prefix language model: row i attends columns j < prefix, and j <= i + d.

    Args:
        prefix: Length of the prefix that every row attends, >= 0.
        alignment: ``"top-left"`` (d = 0) or ``"bottom-right"`` (d = seqlen_k - seqlen_q).

    Source: Raffel et al., "Exploring the Limits of Transfer Learning", 2020.
    """

    source: ClassVar[str] = "Raffel et al., 2020"

    prefix: int
    alignment: str = "top-left"

    def _check(self) -> None:
        put_int(self, "prefix")
        check_choice("PrefixLM: alignment", self.alignment, ALIGNMENTS)

    def _describe(self) -> Description:
        return "prefix_lm", (self.prefix, ALIGNMENTS.index(self.alignment)), ()


@dataclass(frozen=True)
class Longformer(Mask):
    """Longformer: a sliding window, dilated if wished, and global tokens.

    Row i attends column j iff |i - j| <= window/2 * dilation and dilation divides j - i, or one of the two is global.
    Positions of rows and columns are compared as they are when seqlen_q != seqlen_k.

    Args:
        window: Width of the window in (dilated) positions without the diagonal, even, >= 0: window/2 on each side.
        global_tokens: The positions that attend everything and are attended by everything: an int for that many
            leading ones, or the positions themselves (list, tuple, range, set or integer tensor; copied).
        dilation: Distance between attended positions of the window, >= 1; a list, tuple or integer tensor gives each
            head its own, and a call must then have as many query heads.
        causal: Keep only j <= i of all this.

    Source: Beltagy et al., "Longformer: The Long-Document Transformer", 2020. Published models project global rows by
    weights of their own; that is a second call for those rows.
    """

    source: ClassVar[str] = "Beltagy et al., 2020"

    window: int
    global_tokens: int | Integers | Set[int] = 0
    dilation: int | Integers = 1
    causal: bool = False

    def _check(self) -> None:
        put_int(self, "window")
        if self.window % 2:
            raise ValueError(
                f"Longformer: window must be even (window/2 positions on each side), got {self.window}: "
                f"use {self.window - 1} or {self.window + 1}"
            )
        if _is_several(self.global_tokens):
            put(self, "global_tokens", _positions("Longformer: global_tokens", self.global_tokens))
        else:
            put_int(self, "global_tokens")
        if _is_several(self.dilation):
            put(self, "dilation", _dilations("Longformer: dilation", self.dilation))
        else:
            put_int(self, "dilation", 1)
        check_bool("Longformer: causal", self.causal)
        put(self, "_depth", 1 + self.causal + isinstance(self.dilation, tuple))

    def _describe(self) -> Description:
        dilations = self.dilation if isinstance(self.dilation, tuple) else (self.dilation,)
        structure, params, data = self._one_head(dilations[0])
        if isinstance(self.dilation, tuple):
            structure = f"per_head({','.join([structure] * len(dilations))})"
            params = tuple([number for dilation in dilations for number in self._one_head(dilation)[1]])
            data = data * len(dilations)
        if self.causal:
            causal, causal_params, _ = Causal()._description
            structure, params = f"and({structure},{causal})", params + causal_params
        return structure, params, data

    def _one_head(self, dilation: object) -> Description:
        assert isinstance(dilation, int)
        if isinstance(self.global_tokens, Snapshot):
            return "longformer_tokens", (self.window, dilation), (self.global_tokens,)
        assert isinstance(self.global_tokens, int)
        return "longformer", (self.window, self.global_tokens, dilation), ()


def _is_several(value: object) -> bool:
    if isinstance(value, int):
        return False
    return isinstance(value, (list, tuple, range, Set, Snapshot)) or getattr(value, "ndim", 0) > 0


def _dilations(name: str, values: object) -> tuple[int, ...]:
    """Return one dilation per head."""
    if isinstance(values, (list, tuple)):  # which a traced graph can have
        dilations = [check_int(f"{name}[{head}]", dilation, 1) for head, dilation in enumerate(values)]
    else:
        dilations = snapshot(name, values, 1).tolist()
    if not dilations:
        raise ValueError(f"{name} must be an int, or one for each head, got {values!r}")
    return tuple(dilations)


def _positions(name: str, values: object) -> Snapshot:
    """Return positions of any order as ascending ones, each once."""
    if isinstance(values, Set):
        values = [*values]
    given = snapshot(name, values, 0, INDEX_MAX - 1)
    ordered = sorted(set(given.tolist()))
    return given if ordered == given.tolist() else snapshot(name, ordered)


@dataclass(frozen=True)
class Strided(Mask):
    """Strided pattern of the Sparse Transformer: j <= i and (i - j < local or (i - j) mod stride = 0).

    Args:
        local: How many columns up to the diagonal are attended, >= 1.
        stride: Distance between the attended columns before those, >= 1.

    Source: Child et al., "Generating Long Sequences with Sparse Transformers", 2019, section 4.2.
    """

    source: ClassVar[str] = "Child et al., 2019"

    local: int
    stride: int

    def _check(self) -> None:
        put_int(self, "local", 1)
        put_int(self, "stride", 1)

    def _describe(self) -> Description:
        return "strided", (self.local, self.stride), ()


@dataclass(frozen=True)
class Fixed(Mask):
    """Fixed pattern of the Sparse Transformer: j <= i and (floor(j/l) = floor(i/l) or j mod l >= l - c).

    Args:
        local: l, length of the segments, >= 1.
        summary: c, how many last columns of every segment all later rows attend, 0 to `local`.

    Source: Child et al., "Generating Long Sequences with Sparse Transformers", 2019, section 4.2.
    """

    source: ClassVar[str] = "Child et al., 2019"

    local: int
    summary: int = 1

    def _check(self) -> None:
        put_int(self, "local", 1)
        put_int(self, "summary")
        if self.summary > self.local:
            raise ValueError(
                f"Fixed: summary must be at most local, the length of a segment, got summary={self.summary} and "
                f"local={self.local}"
            )

    def _describe(self) -> Description:
        return "fixed", (self.local, self.summary), ()
