"""Definitions by what a sequence consists of: packed documents, padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ck_fmha._arguments import check_choice
from ck_fmha.masks._base import Description, Mask, put
from ck_fmha.masks._patterns import ALIGNMENTS
from ck_fmha.masks._snapshot import Integers, Snapshot, first_descent, snapshot, stored

_PADDINGS = ("right", "left")


@dataclass(frozen=True)
class Documents(Mask):
    """Documents packed into one sequence: a row attends the columns of its own document.

    Document n has the rows [cu_seqlens_q[n], cu_seqlens_q[n + 1]) and the columns [cu_seqlens_k[n], cu_seqlens_k[n +
    1]). Positions before the first and past the last offset attend nothing. Every sample is packed alike;
    `per_sample` gives each its own.

    Args:
        cu_seqlens_q: Where the rows of the documents begin, and where the last one ends: one more number than there
            are documents, nondecreasing, >= 0. A call needs seqlen_q at least as large as the last one.
        cu_seqlens_k: The same for columns; default: as the rows.
        causal: Also causal inside each document: ``"top-left"`` (local column <= local row) or ``"bottom-right"``
            (local column <= local row + columns - rows of the document); None: not.

    Source: Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021; cu_seqlens as in
    FlashAttention's calls for sequences of varying length.
    """

    source: ClassVar[str] = "Krell et al., 2021"

    cu_seqlens_q: Integers
    cu_seqlens_k: Integers | None = None
    causal: str | None = None

    def _check(self) -> None:
        put(self, "cu_seqlens_q", _offsets("Documents: cu_seqlens_q", self.cu_seqlens_q))
        if self.cu_seqlens_k is not None:
            put(self, "cu_seqlens_k", _offsets("Documents: cu_seqlens_k", self.cu_seqlens_k))
            rows, columns = len(stored(self.cu_seqlens_q)), len(stored(self.cu_seqlens_k))
            if rows != columns:
                raise ValueError(
                    "Documents: cu_seqlens_q and cu_seqlens_k must have the same length (documents + 1), got "
                    f"{rows} and {columns}"
                )
        if self.causal is not None:
            check_choice("Documents: causal (if not None)", self.causal, ALIGNMENTS)

    def _describe(self) -> Description:
        rows = stored(self.cu_seqlens_q)
        columns = rows if self.cu_seqlens_k is None else stored(self.cu_seqlens_k)
        return "documents", (0 if self.causal is None else 1 + ALIGNMENTS.index(self.causal),), (rows, columns)


def _offsets(name: str, values: object) -> Snapshot:
    offsets = snapshot(name, values)
    if len(offsets) == 0:
        raise ValueError(f"{name} must have at least 1 number, where the first document begins, got none")
    n = first_descent(offsets)
    if n is not None:
        before, after = offsets.tolist()[n - 1 : n + 1]
        raise ValueError(
            f"{name} must be nondecreasing, got {after} after {before} at position {n}: give the running sums of the "
            "documents' lengths, not the lengths"
        )
    return offsets


@dataclass(frozen=True)
class Lengths(Mask):
    """Padded samples: in sample b the first (or last) lengths[b] positions are valid, and valid attends valid.

    Args:
        lengths_q: Valid rows of each sample, >= 0; None: all of them.
        lengths_k: Valid columns of each sample, >= 0; None: all of them. At least one of the two is given. A call
            needs as large a batch, and no length may be past seqlen_q or seqlen_k.
        padding: Where the invalid positions are: ``"right"``, after the valid ones, or ``"left"``, before them.

    Source: common practice; as the key padding mask of torch.nn.MultiheadAttention.
    """

    source: ClassVar[str] = "common practice"

    lengths_q: Integers | None = None
    lengths_k: Integers | None = None
    padding: str = "right"

    def _check(self) -> None:
        if self.lengths_q is None and self.lengths_k is None:
            raise ValueError("Lengths: lengths_q or lengths_k must be given, got neither: use Full() for no padding")
        if self.lengths_q is not None:
            put(self, "lengths_q", _lengths("Lengths: lengths_q", self.lengths_q))
        if self.lengths_k is not None:
            put(self, "lengths_k", _lengths("Lengths: lengths_k", self.lengths_k))
        counts = [len(lengths) for lengths in self._given()]
        if counts[0] != counts[-1]:
            raise ValueError(
                "Lengths: lengths_q and lengths_k must have one number for each sample, got "
                f"{counts[0]} and {counts[-1]} of them"
            )
        check_choice("Lengths: padding", self.padding, _PADDINGS)

    def _given(self) -> tuple[Snapshot, ...]:
        return tuple([stored(lengths) for lengths in (self.lengths_q, self.lengths_k) if lengths is not None])

    def _describe(self) -> Description:
        has_q, has_k = int(self.lengths_q is not None), int(self.lengths_k is not None)
        return "lengths", (_PADDINGS.index(self.padding), has_q, has_k), self._given()


def _lengths(name: str, values: object) -> Snapshot:
    lengths = snapshot(name, values)
    if len(lengths) == 0:
        raise ValueError(f"{name} must have one number for each sample, got none")
    return lengths
