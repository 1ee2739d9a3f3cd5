"""Definitions by blocks: Big Bird, and the four layouts of DeepSpeed's sparse attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ck_fmha._arguments import INDEX_MAX, check_bool, check_choice
from ck_fmha.masks._base import Description, Mask, put, put_int
from ck_fmha.masks._snapshot import Integers, Snapshot, Table, snapshot, stored

_MAX_RANDOM_BLOCKS = 1024  # every step of a walk asks all random blocks of a row
_MAX_TABLE_BLOCK = 2**24 - 1  # bounds what a wrong number can allocate; as in the native core
_ATTENTIONS = ("bidirectional", "unidirectional")


@dataclass(frozen=True)
class BigBird(Mask):
    """Big Bird: global, window and random blocks.

    With blocks I, J of `block_size` rows and columns, (I, J) is attended iff one of them is among the first or last
    `num_global_blocks`, or |I - J| <= (num_window_blocks - 1) / 2, or J is one of the random blocks of I. Random blocks
    are permutations of the blocks keyed by (seed, head): every row and every column is drawn exactly
    `num_random_blocks` times (blocks drawn twice or drawn onto the window count once). Or they are given as a table.

    Args:
        block_size: Rows and columns of a block, >= 1; independent of the kernels' tiles.
        num_window_blocks: Width of the window in blocks, odd, >= 1.
        num_global_blocks: Global blocks at each end, >= 0.
        num_random_blocks: Random blocks per row of blocks, 0 to 1024. With `random_blocks`: that of the table, or left
            at its default.
        seed: Any 64-bit integer. The same seed gives the same blocks on every back end.
        random_blocks: Table of the random blocks, integers (heads, rows, num_random_blocks): nested lists or a tensor;
            copied. One head serves all, else a call must have as many query heads. It lists either every row of blocks
            or, as published models do, all but the first and the last; no number may be past the last block of columns.
        multiplicity: Count a block as often as it is listed, as published models do. Only False is covered: a mask is
            a set.

    Source: Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020.
    """

    source: ClassVar[str] = "Zaheer et al., 2020"

    block_size: int = 64
    num_window_blocks: int = 3
    num_global_blocks: int = 1
    num_random_blocks: int = 3
    seed: int = 0
    random_blocks: Table | None = None
    multiplicity: bool = False

    def _check(self) -> None:
        put_int(self, "block_size", 1)
        put_int(self, "num_window_blocks", 1, meaning=" and odd")
        if self.num_window_blocks % 2 == 0:
            raise ValueError(
                "BigBird: num_window_blocks must be odd (the diagonal block and as many on each side), "
                f"got {self.num_window_blocks}: use {self.num_window_blocks - 1} or {self.num_window_blocks + 1}"
            )
        put_int(self, "num_global_blocks")
        _check_random_blocks(self)
        if check_bool("BigBird: multiplicity", self.multiplicity):
            raise NotImplementedError(
                "BigBird: multiplicity=True is not covered yet: a mask attends a block or does not, however often it "
                "is listed. Use multiplicity=False"
            )

    def _describe(self) -> Description:
        blocks = (self.block_size, self.num_window_blocks, self.num_global_blocks)
        if self.random_blocks is None:
            return "big_bird", (*blocks, self.num_random_blocks, self.seed), ()
        table = stored(self.random_blocks)
        return "big_bird_table", (*blocks, *table.shape), (table,)


@dataclass(frozen=True)
class DeepSpeedFixed(Mask):
    """DeepSpeed's Fixed layout: local groups of blocks, and global blocks in each group.

    Blocks I, J are attended iff they are of the same group of `num_local_blocks`, or J is global. Of each group the
    last `num_global_blocks` are global, in head h those h mod num_different_global_patterns steps before; of an
    incomplete last group, those at its end at the latest.

    Args:
        block_size: Rows and columns of a block, >= 1.
        num_local_blocks: Blocks of a group, >= 1.
        num_global_blocks: Consecutive global blocks of a group, >= 1, a divisor of `num_local_blocks`.
        num_different_global_patterns: How many heads in turn have other global blocks, 1 to num_local_blocks /
            num_global_blocks.
        attention: ``"bidirectional"``, or ``"unidirectional"``: J <= I inside a group, and a global block is seen by
            the blocks from its own on.
        horizontal_global_attention: Global blocks, as rows, also see everything; bidirectional only.

    Source: DeepSpeed, FixedSparsityConfig, after Child et al., 2019. There heads differ on request only
    (different_layout_per_head); here they do if there is more than one pattern.
    """

    source: ClassVar[str] = "DeepSpeed, FixedSparsityConfig"

    block_size: int = 16
    num_local_blocks: int = 4
    num_global_blocks: int = 1
    num_different_global_patterns: int = 1
    attention: str = "bidirectional"
    horizontal_global_attention: bool = False

    def _check(self) -> None:
        for name in ("block_size", "num_local_blocks", "num_global_blocks", "num_different_global_patterns"):
            put_int(self, name, 1)
        if self.num_local_blocks % self.num_global_blocks:
            raise ValueError(
                "DeepSpeedFixed: num_local_blocks must be a multiple of num_global_blocks, got "
                f"{self.num_local_blocks} and {self.num_global_blocks}"
            )
        patterns = self.num_local_blocks // self.num_global_blocks
        if self.num_different_global_patterns > patterns:
            raise ValueError(
                "DeepSpeedFixed: num_different_global_patterns must be at most num_local_blocks / num_global_blocks, "
                f"{self.num_local_blocks} / {self.num_global_blocks} = {patterns}, got "
                f"{self.num_different_global_patterns}"
            )
        _check_attention(self)

    def _describe(self) -> Description:
        return (
            "deepspeed_fixed",
            (
                self.block_size,
                self.num_local_blocks,
                self.num_global_blocks,
                self.num_different_global_patterns,
                _ATTENTIONS.index(self.attention),
                int(self.horizontal_global_attention),
            ),
            (),
        )


@dataclass(frozen=True)
class DeepSpeedVariable(Mask):
    """DeepSpeed's Variable layout: local windows of listed sizes, and global blocks anywhere.

    Blocks I, J are attended iff they are in the same local window, or J is global.

    Args:
        block_size: Rows and columns of a block, >= 1.
        local_window_blocks: Blocks of the local windows, one after the other, each >= 1, at least one; the last size
            repeats to the end.
        global_block_indices: The global blocks, >= 0; with `global_block_end_indices` the first ones of runs of them.
        global_block_end_indices: Where the runs end (exclusive), as many as there are indices and each larger than its
            index. None: runs of one block.
        attention: ``"bidirectional"``, or ``"unidirectional"``: J <= I inside a window, and a run of global blocks is
            seen by the blocks from its first on.
        horizontal_global_attention: Global blocks, as rows, also see everything; bidirectional only.

    Source: DeepSpeed, VariableSparsityConfig, after Child et al., 2019; its random blocks are those of
    `DeepSpeedBigBird`, to be added with ``|``.
    """

    source: ClassVar[str] = "DeepSpeed, VariableSparsityConfig"

    block_size: int = 16
    local_window_blocks: Integers = (4,)
    global_block_indices: Integers = (0,)
    global_block_end_indices: Integers | None = None
    attention: str = "bidirectional"
    horizontal_global_attention: bool = False

    def _check(self) -> None:
        put_int(self, "block_size", 1)
        windows = snapshot("DeepSpeedVariable: local_window_blocks", self.local_window_blocks, 1)
        if len(windows) == 0:
            raise ValueError("DeepSpeedVariable: local_window_blocks must have at least 1 size, got none")
        if sum(windows.tolist()) > INDEX_MAX:
            raise ValueError(
                "DeepSpeedVariable: local_window_blocks must be fewer than 2**31 blocks together, got "
                f"{sum(windows.tolist())}"
            )
        put(self, "local_window_blocks", windows)
        _check_global_blocks(self)
        _check_attention(self)
        _global_runs(self, merge=self.attention == "bidirectional")  # which may refuse

    def _describe(self) -> Description:
        flags = (_ATTENTIONS.index(self.attention), int(self.horizontal_global_attention))
        runs = _global_runs(self, merge=self.attention == "bidirectional")
        return "deepspeed_variable", (self.block_size, *flags), (stored(self.local_window_blocks), *runs)


@dataclass(frozen=True)
class DeepSpeedLongformer(Mask):
    """DeepSpeed's BSLongformer layout: a sliding window of blocks, and global blocks anywhere.

    Blocks I, J are attended iff |I - J| <= floor(num_sliding_window_blocks / 2), or one of them is global.

    Args:
        block_size: Rows and columns of a block, >= 1.
        num_sliding_window_blocks: Width of the window in blocks, >= 1.
        global_block_indices: The global blocks, >= 0; with `global_block_end_indices` the first ones of runs of them.
        global_block_end_indices: Where the runs end (exclusive), as many as there are indices and each larger than its
            index. None: runs of one block.
        attention: ``"bidirectional"``, or ``"unidirectional"``: only J <= I of all this.

    Source: DeepSpeed, BSLongformerSparsityConfig, after Beltagy et al., 2020.
    """

    source: ClassVar[str] = "DeepSpeed, BSLongformerSparsityConfig"

    block_size: int = 16
    num_sliding_window_blocks: int = 3
    global_block_indices: Integers = (0,)
    global_block_end_indices: Integers | None = None
    attention: str = "bidirectional"

    def _check(self) -> None:
        put_int(self, "block_size", 1)
        put_int(self, "num_sliding_window_blocks", 1)
        _check_global_blocks(self)
        _check_attention(self)

    def _describe(self) -> Description:
        params = (self.block_size, _odd(self.num_sliding_window_blocks), _ATTENTIONS.index(self.attention))
        return "deepspeed_longformer", params, _global_runs(self, merge=True)


@dataclass(frozen=True)
class DeepSpeedBigBird(Mask):
    """DeepSpeed's BigBird layout: global blocks at the beginning, a sliding window, and random blocks.

    Blocks I, J are attended iff |I - J| <= floor(num_sliding_window_blocks / 2), or one of them is among the first
    `num_global_blocks`, or J is one of the random blocks of I, drawn as by `BigBird` or given as a table.

    Args:
        block_size: Rows and columns of a block, >= 1.
        num_random_blocks: Random blocks per row of blocks, 0 to 1024. With `random_blocks`: that of the table, or left
            at its default.
        num_sliding_window_blocks: Width of the window in blocks, >= 1.
        num_global_blocks: Global blocks at the beginning, >= 0.
        attention: ``"bidirectional"``, or ``"unidirectional"``: only J <= I of all this.
        seed: Any 64-bit integer. The same seed gives the same blocks on every back end.
        random_blocks: Table of the random blocks, integers (heads, rows, num_random_blocks): nested lists or a tensor;
            copied. One head serves all, else a call must have as many query heads.

    Source: DeepSpeed, BigBirdSparsityConfig, after Zaheer et al., 2020.
    """

    source: ClassVar[str] = "DeepSpeed, BigBirdSparsityConfig"

    block_size: int = 16
    num_random_blocks: int = 1
    num_sliding_window_blocks: int = 3
    num_global_blocks: int = 1
    attention: str = "bidirectional"
    seed: int = 0
    random_blocks: Table | None = None

    def _check(self) -> None:
        put_int(self, "block_size", 1)
        put_int(self, "num_sliding_window_blocks", 1)
        put_int(self, "num_global_blocks")
        _check_attention(self)
        _check_random_blocks(self)

    def _describe(self) -> Description:
        blocks = (self.block_size, _odd(self.num_sliding_window_blocks), self.num_global_blocks)
        unidirectional = _ATTENTIONS.index(self.attention)
        if self.random_blocks is None:
            return "deepspeed_big_bird", (*blocks, self.num_random_blocks, self.seed, unidirectional), ()
        table = stored(self.random_blocks)
        return "deepspeed_big_bird_table", (*blocks, *table.shape, unidirectional), (table,)


def _odd(window: int) -> int:
    """Return the odd window with as many blocks on each side as DeepSpeed gives this one."""
    return window // 2 * 2 + 1


def _check_random_blocks(mask: BigBird | DeepSpeedBigBird) -> None:
    name = type(mask).__name__
    put_int(mask, "num_random_blocks", 0, _MAX_RANDOM_BLOCKS)
    put_int(mask, "seed", -(2**63), 2**63 - 1)
    if mask.random_blocks is None:
        return
    table = snapshot(f"{name}: random_blocks", mask.random_blocks, 0, _MAX_TABLE_BLOCK, dims=3)
    heads, rows, r = table.shape
    if not heads or not rows or not 1 <= r <= _MAX_RANDOM_BLOCKS:
        raise ValueError(
            f"{name}: random_blocks must have shape (heads, rows, r) with heads and rows at least 1 and r in [1, "
            f"{_MAX_RANDOM_BLOCKS}], got {table.shape}: for no random blocks use num_random_blocks=0"
        )
    if mask.num_random_blocks not in (r, type(mask).num_random_blocks):
        raise ValueError(
            f"{name}: num_random_blocks must be that of random_blocks, {r}, or be left out, got "
            f"{mask.num_random_blocks}"
        )
    if mask.seed != type(mask).seed:
        raise ValueError(
            f"{name}: seed draws random blocks, but random_blocks gives them, got seed={mask.seed}: leave one of the "
            "two out"
        )
    put(mask, "num_random_blocks", r)
    put(mask, "random_blocks", table)


def _check_attention(mask: Mask) -> None:
    name = type(mask).__name__
    attention = check_choice(f"{name}: attention", getattr(mask, "attention"), _ATTENTIONS)  # noqa: B009
    horizontal = check_bool(f"{name}: horizontal_global_attention", getattr(mask, "horizontal_global_attention", False))
    if horizontal and attention == "unidirectional":
        raise ValueError(
            f'{name}: horizontal_global_attention=True needs attention="bidirectional", got "unidirectional": rows '
            "that see everything would see the future"
        )


def _check_global_blocks(mask: DeepSpeedVariable | DeepSpeedLongformer) -> None:
    name = type(mask).__name__
    first = snapshot(f"{name}: global_block_indices", mask.global_block_indices, 0, INDEX_MAX - 1)
    put(mask, "global_block_indices", first)
    if mask.global_block_end_indices is None:
        return
    ends = snapshot(f"{name}: global_block_end_indices", mask.global_block_end_indices)
    if len(ends) != len(first):
        raise ValueError(
            f"{name}: global_block_indices and global_block_end_indices must have the same length, got {len(first)} "
            f"and {len(ends)}"
        )
    for i, (begin, end) in enumerate(zip(first, ends, strict=True)):
        if begin >= end:
            raise ValueError(
                f"{name}: global_block_end_indices must be larger than global_block_indices (they are exclusive), got "
                f"[{begin}, {end}) at position {i}"
            )
    put(mask, "global_block_end_indices", ends)


def _global_runs(mask: DeepSpeedVariable | DeepSpeedLongformer, *, merge: bool) -> tuple[Snapshot, Snapshot]:
    """Return where the runs of global blocks begin and end, ascending and disjoint.

    Args:
        mask: Whose runs.
        merge: Does only the union of the runs count? Else it matters where each of them begins.
    """
    first = stored(mask.global_block_indices).tolist()
    if mask.global_block_end_indices is None:
        runs = [(begin, begin + 1) for begin in first]
    else:
        runs = [*zip(first, stored(mask.global_block_end_indices).tolist(), strict=True)]
    begins: list[int] = []
    ends: list[int] = []
    for begin, end in sorted(runs, key=lambda run: (run[0], -run[1])):
        if ends and end <= ends[-1]:
            continue  # inside the run before
        if ends and begin < ends[-1] and not merge:
            raise ValueError(
                f'{type(mask).__name__}: runs of global blocks may not overlap with attention="unidirectional", got '
                f"[{begins[-1]}, {ends[-1]}) and [{begin}, {end}): give one mask each and combine them with |"
            )
        if ends and begin <= ends[-1] and merge:
            ends[-1] = end
            continue
        begins.append(begin)
        ends.append(end)
    return snapshot("global blocks", begins), snapshot("global blocks", ends)
