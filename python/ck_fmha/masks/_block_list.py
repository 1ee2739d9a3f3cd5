"""Any block pattern as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch

from ck_fmha._arguments import check_int
from ck_fmha.masks._base import Description, Mask, put, put_int
from ck_fmha.masks._snapshot import (
    Integers,
    Snapshot,
    first_descent,
    from_tensor,
    leave_graph,
    plain_tensors,
    readable,
    snapshot,
    stored,
)

BlockSize: TypeAlias = "int | tuple[int, int]"
Bitmaps: TypeAlias = "torch.Tensor | tuple[Integers, Integers]"

_MAX_BLOCKS = 2**26  # along one axis; bounds what a wrong number can allocate; as in the native core
_LARGEST_BLOCK = 2**20  # elements
_AT_ONCE = 2**22  # elements that are looked at together


@dataclass(frozen=True, repr=False)
class BlockList(Mask):
    """Any pattern of blocks as data: sorted rows of blocks (CSR), and an element bitmap for blocks attended in part.

    (i, j) is attended iff its block is listed and either has no bitmap or has the element's bit set. Made by
    `from_tensor` or `from_csr`; memory is O(listed blocks). Heads and samples are alike: `per_head` and `per_sample`
    give each its own.

    Source: block-sparse layouts, as in Gray et al., "GPU Kernels for Block-Sparse Weights", 2017.
    """

    source: ClassVar[str] = "block-sparse layouts (CSR)"

    row_offsets: Integers
    columns: Integers
    num_block_cols: int
    block_size: BlockSize = 64
    seqlen_q: int | None = None
    seqlen_k: int | None = None
    bitmaps: tuple[Integers, Integers] | None = None

    @classmethod
    def from_tensor(cls, mask: torch.Tensor, block_size: BlockSize = 64) -> BlockList:
        """List the blocks of a bool tensor that have an attended element. Exact, element by element.

        Args:
            mask: Bool (seqlen_q, seqlen_k) on any device, True = attended. The result fits calls of these lengths.
            block_size: Rows and columns of a block, or a pair of them, >= 1. The kernels' tiles are a good choice:
                smaller blocks are more of them, larger ones have more bitmaps.

        Raises:
            TypeError: `mask` is no bool tensor.
            ValueError: `mask` does not have 2 dimensions, or a block has more than 2**20 elements.
        """
        name = "BlockList.from_tensor: mask"
        leave_graph(name)
        if not isinstance(mask, torch.Tensor):
            raise TypeError(f"{name} must be a bool tensor, got {type(mask).__name__}")
        mask = readable(name, mask).detach()
        if mask.dtype != torch.bool:
            raise TypeError(
                f"{name} must be a bool tensor, got one of {mask.dtype}: compare it, e.g. mask != 0, or bias > -inf"
            )
        if mask.dim() != 2:
            raise ValueError(
                f"{name} must have 2 dimensions (seqlen_q, seqlen_k), got shape {tuple(mask.shape)}: make one of each "
                "head or sample and join them by per_head or per_sample"
            )
        height, width = _check_block_size(block_size)
        if height * width > _LARGEST_BLOCK:  # a bitmap has room for all elements of a block
            raise ValueError(
                f"BlockList.from_tensor: block_size must have at most {_LARGEST_BLOCK:,} elements, got {block_size!r}: "
                "take smaller blocks, e.g. 64"
            )
        (rows, columns), bits = mask.shape, _Bitmaps()
        row_blocks, column_blocks = -(-rows // height), -(-columns // width)
        offsets, listed = [0], []
        with plain_tensors():
            widths = _existing(torch.arange(column_blocks, device="cpu"), width, columns)
            band = max(1, _AT_ONCE // max(1, height * width * column_blocks))  # rows of blocks
            for first in range(0, row_blocks, band):
                numbers = torch.arange(first, min(first + band, row_blocks), device="cpu")
                elements = mask[first * height : (first + band) * height].cpu()
                padded = elements.new_zeros(len(numbers) * height, column_blocks * width)
                padded[: len(elements), :columns] = elements
                blocks = padded.view(len(numbers), height, column_blocks, width).transpose(1, 2)
                attended = blocks.sum((2, 3))
                whole = attended == _existing(numbers, height, rows)[:, None] * widths
                live = attended > 0
                offsets += (offsets[-1] + live.sum(1).cumsum(0)).tolist()
                listed.append(live.nonzero()[:, 1])
                bits.append(blocks[live & ~whole], ~whole[live])
            found = from_tensor(torch.cat(listed)) if listed else snapshot("columns", ())
        return cls(snapshot("row_offsets", offsets), found, column_blocks, (height, width), rows, columns, bits.get())

    @classmethod
    def from_csr(
        cls,
        row_offsets: Integers,
        columns: Integers,
        num_block_cols: int,
        block_size: BlockSize = 64,
        *,
        seqlen_q: int | None = None,
        seqlen_k: int | None = None,
        bitmaps: Bitmaps | None = None,
    ) -> BlockList:
        """List blocks by rows: those of row I are columns[row_offsets[I] : row_offsets[I + 1]].

        Args:
            row_offsets: One more number than there are rows of blocks, from 0 to the number of blocks, nondecreasing.
            columns: Of each block its column, in [0, num_block_cols), ascending inside a row.
            num_block_cols: Number of columns of blocks.
            block_size: Rows and columns of a block, or a pair of them, >= 1.
            seqlen_q: The only number of query rows that calls may have; None: any that makes as many rows of blocks.
            seqlen_k: The same for key columns.
            bitmaps: Which elements of the blocks are attended; None: all. Either a bool tensor (blocks, rows of a
                block, columns of a block), or a pair of integer lists: of each block the number of its bitmap, -1 for
                a whole block; and the bitmaps, each row of a block in 2 * ceil(columns / 64) words of 32 bits, low
                bits first. Blocks that attend nothing are dropped from the list.

        Raises:
            TypeError, ValueError: The lists do not describe blocks; the message says where.
        """
        whole = cls(row_offsets, columns, num_block_cols, block_size, seqlen_q, seqlen_k)
        return whole if bitmaps is None else whole._with_bitmaps(_given_bits(whole, bitmaps))

    def _with_bitmaps(self, given: Callable[[slice], torch.Tensor]) -> BlockList:
        """Return these blocks with bitmaps where they say something, and without those that attend nothing."""
        height, width = self._block
        bits, live_parts = _Bitmaps(), []
        with plain_tensors():
            columns = stored(self.columns).tensor
            rows = _rows_of(stored(self.row_offsets))
            heights = _existing(rows, height, self.seqlen_q)
            widths = _existing(columns, width, self.seqlen_k)
            step = max(1, _AT_ONCE // (height * width))
            for first in range(0, len(columns), step):
                part = slice(first, first + step)
                exists = (torch.arange(height, device="cpu") < heights[part, None])[:, :, None] & (
                    torch.arange(width, device="cpu") < widths[part, None]
                )[:, None, :]
                attended = given(part) & exists
                live = attended.flatten(1).any(1)
                partial = live & (attended != exists).flatten(1).any(1)
                bits.append(attended[partial], partial[live])
                live_parts.append(live)
            live = torch.cat([torch.zeros(0, dtype=torch.bool, device="cpu"), *live_parts])
            counts = torch.bincount(rows[live], minlength=len(stored(self.row_offsets)) - 1)
            offsets = from_tensor(torch.nn.functional.pad(counts.cumsum(0), (1, 0)))
            return BlockList(
                offsets,
                from_tensor(columns[live]),
                self.num_block_cols,
                self.block_size,
                self.seqlen_q,
                self.seqlen_k,
                bits.get(),
            )

    @property
    def _block(self) -> tuple[int, int]:
        assert isinstance(self.block_size, tuple)
        return self.block_size

    def _check(self) -> None:
        put(self, "block_size", _check_block_size(self.block_size))
        put_int(self, "num_block_cols", 0, _MAX_BLOCKS)
        offsets = snapshot("BlockList: row_offsets", self.row_offsets)
        columns = snapshot("BlockList: columns", self.columns, 0, self.num_block_cols - 1)
        put(self, "row_offsets", offsets)
        put(self, "columns", columns)
        ends = offsets.tolist()[:: max(1, len(offsets) - 1)]
        if not ends or ends[0] != 0 or ends[-1] != len(columns):
            raise ValueError(
                f"BlockList: row_offsets must begin with 0 and end with the number of columns, {len(columns)}, got "
                f"{offsets!r}"
            )
        if len(offsets) > _MAX_BLOCKS + 1:
            raise ValueError(f"BlockList: row_offsets must list at most {_MAX_BLOCKS} rows, got {len(offsets) - 1}")
        descent = first_descent(offsets)
        if descent is not None:
            raise ValueError(
                f"BlockList: row_offsets must be nondecreasing, got a smaller number at position {descent}"
            )
        with plain_tensors():
            rows = _rows_of(offsets)
            same_row, step = rows[1:] == rows[:-1], columns.tensor.diff()
            for n in (same_row & (step <= 0)).nonzero()[:1].flatten().tolist():
                raise ValueError(
                    "BlockList: columns must be ascending inside a row, each once, got "
                    f"{columns.tolist()[n + 1]} after {columns.tolist()[n]} in row {int(rows[n])}"
                )
        self._check_seqlen("seqlen_q", self.seqlen_q, "rows", len(offsets) - 1, self._block[0])
        self._check_seqlen("seqlen_k", self.seqlen_k, "columns", self.num_block_cols, self._block[1])
        if self.bitmaps is not None:
            put(self, "bitmaps", _check_bitmaps(self.bitmaps, len(columns), self._block))

    def _check_seqlen(self, name: str, seqlen: int | None, what: str, blocks: int, size: int) -> None:
        if seqlen is None:
            return
        put_int(self, name)
        made = -(-seqlen // size)
        if made != blocks:
            raise ValueError(
                f"BlockList: {name} must make the {blocks} {what} of blocks that are listed, got {seqlen}, which makes "
                f"{made} of {size} {what}"
            )

    def _describe(self) -> Description:
        offsets, columns = stored(self.row_offsets), stored(self.columns)
        lengths = [-1 if seqlen is None else seqlen for seqlen in (self.seqlen_q, self.seqlen_k)]
        if self.bitmaps is None:
            numbers, words = Snapshot((len(columns),), b"\xff\xff\xff\xff" * len(columns)), Snapshot((0,), b"")
        else:
            numbers, words = stored(self.bitmaps[0]), stored(self.bitmaps[1])
        params = (*self._block, len(offsets) - 1, self.num_block_cols, *lengths)
        return "block_list", params, (offsets, columns, numbers, words)

    def __str__(self) -> str:
        return f"BlockList(<{len(stored(self.columns))} blocks of {self._block[0]}×{self._block[1]}>)"

    def __repr__(self) -> str:
        arrays = [stored(self.row_offsets), stored(self.columns), *map(stored, self.bitmaps or ())]
        # If one of them is not written out, the others are no use.
        write = Snapshot.summary if any(array.is_long for array in arrays) else repr
        offsets, columns, *bitmaps = map(write, arrays)
        return (
            f"BlockList.from_csr(row_offsets={offsets}, columns={columns}, num_block_cols={self.num_block_cols}, "
            f"block_size={self.block_size}, seqlen_q={self.seqlen_q}, seqlen_k={self.seqlen_k}, "
            f"bitmaps={f'({bitmaps[0]}, {bitmaps[1]})' if bitmaps else None})"
        )


class _Bitmaps:
    """Collects the bitmaps of blocks attended in part."""

    def __init__(self) -> None:
        self._partial: list[torch.Tensor] = []
        self._words: list[torch.Tensor] = []

    def append(self, attended: torch.Tensor, partial: torch.Tensor) -> None:
        """Add blocks: `attended` bool (bitmaps, rows, columns), and of every block whether it has one of these."""
        self._words.append(_pack(attended))
        self._partial.append(partial)

    def get(self) -> tuple[Snapshot, Snapshot] | None:
        """Return of each block the number of its bitmap or -1, and the bitmaps' words; None if all are whole."""
        if not any(len(words) for words in self._words):
            return None
        partial = torch.cat(self._partial)
        numbers = torch.where(partial, partial.cumsum(0) - 1, -1)
        return from_tensor(numbers), from_tensor(torch.cat(self._words))


def _words_in_row(width: int) -> int:
    return 2 * -(-width // 64)


def _pack(attended: torch.Tensor) -> torch.Tensor:
    """Return bool (blocks, rows, columns) as int32 words, low bits first, the words of all rows in one line."""
    count, height, width = attended.shape
    words = _words_in_row(width)
    bits = torch.nn.functional.pad(attended, (0, 32 * words - width)).view(count * height * words, 32)
    values = torch.tensor([*(2**n for n in range(31)), -(2**31)], dtype=torch.int32, device="cpu")
    return (bits * values).sum(1, dtype=torch.int32)


def _unpack(words: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return what `_pack` packed, of int32 (blocks, words)."""
    bits = (words.view(len(words), height, -1, 1) >> torch.arange(32, dtype=torch.int32, device="cpu")) & 1
    return bits.flatten(2)[:, :, :width].bool()


def _rows_of(offsets: Snapshot) -> torch.Tensor:
    """Return of each block its row."""
    return torch.repeat_interleave(offsets.tensor.diff())


def _existing(blocks: torch.Tensor, size: int, seqlen: int | None) -> torch.Tensor:
    """Return how many positions of these blocks exist: fewer than `size` in the last one."""
    return torch.full_like(blocks, size) if seqlen is None else (seqlen - blocks * size).clamp(max=size)


def _given_bits(blocks: BlockList, bitmaps: Bitmaps) -> Callable[[slice], torch.Tensor]:
    """Return what gives bool (blocks, rows, columns) for a slice of the blocks."""
    count, (height, width) = len(stored(blocks.columns)), blocks._block
    if isinstance(bitmaps, torch.Tensor):
        tensor = readable("BlockList: bitmaps", bitmaps)
        if tensor.dtype != torch.bool or tuple(tensor.shape) != (count, height, width):
            raise ValueError(
                "BlockList: bitmaps as a tensor must be bool (blocks, rows of a block, columns of a block) = "
                f"{(count, height, width)}, got {tensor.dtype} {tuple(tensor.shape)}"
            )
        return lambda part: tensor[part].cpu()
    numbers, words = _check_bitmaps(bitmaps, count, (height, width))
    table = words.tensor.view(-1, height * _words_in_row(width))

    def given(part: slice) -> torch.Tensor:
        chosen = numbers.tensor[part].long()
        attended = torch.ones(len(chosen), height, width, dtype=torch.bool, device="cpu")
        attended[chosen >= 0] = _unpack(table[chosen[chosen >= 0]], height, width)
        return attended

    return given


def _check_bitmaps(bitmaps: object, count: int, block: tuple[int, int]) -> tuple[Snapshot, Snapshot]:
    if not isinstance(bitmaps, (tuple, list)) or len(bitmaps) != 2:
        raise TypeError(
            "BlockList: bitmaps must be a bool tensor or a pair (number of each block's bitmap, words), got "
            f"{type(bitmaps).__name__}"
        )
    words = snapshot("BlockList: bitmaps[1]", bitmaps[1], -(2**31))
    of_one = block[0] * _words_in_row(block[1])
    if len(words) % of_one:
        raise ValueError(
            f"BlockList: bitmaps[1] must have {of_one} words for each bitmap of {block[0]} x {block[1]} elements, got "
            f"{len(words)}"
        )
    numbers = snapshot("BlockList: bitmaps[0]", bitmaps[0], -1, len(words) // of_one - 1)
    if len(numbers) != count:
        raise ValueError(
            f"BlockList: bitmaps[0] must have one number for each of the {count} blocks, got {len(numbers)}"
        )
    return numbers, words


def _check_block_size(block_size: object) -> tuple[int, int]:
    if not isinstance(block_size, (tuple, list)):
        size = check_int("BlockList: block_size", block_size, 1)
        return size, size
    if len(block_size) != 2:
        raise ValueError(f"BlockList: block_size must be an int or a pair (rows, columns), got {block_size!r}")
    return (
        check_int("BlockList: block_size[0]", block_size[0], 1),
        check_int("BlockList: block_size[1]", block_size[1], 1),
    )
