"""Calls of backend="hip" on the emulator: their masks and memory, and the kernels that they are computed with."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ck_fmha
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, make_tensors, place
from ck_fmha import _compiler, _instances, masks
from ck_fmha.masks import _native_masks
from mask_cases import random_mask, random_table

ARCHS = list(hip_emulator.ARCHS)
DTYPES = [torch.float16, torch.bfloat16]
HEAD_DIMS = [32, 64, 128, 256]  # that there are kernels for; others are padded to the next


def _lengths(call: Call) -> masks.Mask:
    (seqlen_q, seqlen_k), odd = call.seqlens, [n % 2 for n in range(call.batch)]
    lengths_q = [seqlen_q - n * (seqlen_q // 3) for n in odd]
    lengths_k = [seqlen_k - (1 - n) * (seqlen_k // 2) for n in odd]
    return masks.Lengths(lengths_q, lengths_k, padding="left")


def _documents(call: Call) -> masks.Mask:
    q, k = call.seqlens
    return masks.Documents([0, q // 3, q // 2, q - q // 5], [0, k // 2, k // 2, k - k // 7], causal="bottom-right")


def _table(call: Call, block: int) -> Tensor:
    rows, columns = (-(-seqlen // block) for seqlen in call.seqlens)
    return random_table(1, rows, 1, min(rows, columns))


def _block_list(call: Call) -> masks.Mask:
    return masks.BlockList.from_tensor(random_mask(*call.seqlens, 40, seed=1), (32, 24))


def _repeated(parts: list[masks.Mask], count: int) -> list[masks.Mask]:
    return [parts[n % len(parts)] for n in range(count)]


# Every definition, and every way to combine them, for calls of any size. Empty, full and edge tiles of the kernels
# (128 rows, 32 or 64 columns) occur in a few hundred tokens.
MASKS: dict[str, Callable[[Call], masks.Mask]] = {
    "full": lambda _: masks.Full(),
    "causal": lambda _: masks.Causal(),
    "window": lambda _: masks.Window(37, 5, "bottom-right", num_sinks=3),
    "prefix_lm": lambda _: masks.PrefixLM(70, alignment="bottom-right"),
    "longformer": lambda _: masks.Longformer(30, 5, 2),
    "longformer by head": lambda call: masks.Longformer(16, 0, tuple(1 + 2 * n for n in range(call.heads[0]))),
    "longformer_tokens": lambda _: masks.Longformer(24, [3, 40, 141], causal=True),
    "big_bird": lambda _: masks.BigBird(block_size=32, num_random_blocks=1, seed=5),
    "big_bird_table": lambda call: masks.BigBird(
        block_size=20, num_global_blocks=0, num_random_blocks=1, random_blocks=_table(call, 20)
    ),
    "strided": lambda _: masks.Strided(30, 50),
    "fixed": lambda _: masks.Fixed(48, 0),
    "documents": _documents,
    "lengths": _lengths,
    "neighborhood": lambda _: masks.Neighborhood((12, 15), (5, 7), (1, 2), border="clip"),
    "block_list": _block_list,
    "deepspeed_fixed": lambda _: masks.DeepSpeedFixed(16, num_local_blocks=4, num_different_global_patterns=2),
    "deepspeed_variable": lambda _: masks.DeepSpeedVariable(16, [2, 3], [0, 4]),
    "deepspeed_longformer": lambda _: masks.DeepSpeedLongformer(16, global_block_indices=[1, 5]),
    "deepspeed_big_bird": lambda _: masks.DeepSpeedBigBird(16, num_random_blocks=1, seed=7),
    "deepspeed_big_bird_table": lambda call: masks.DeepSpeedBigBird(
        block_size=32, num_random_blocks=1, random_blocks=_table(call, 32)
    ),
    "and": lambda _: masks.BigBird(block_size=32, num_random_blocks=1, seed=3) & masks.Causal(),
    "or, not": lambda _: masks.Longformer(20, [60]) | ~masks.Strided(70, 130),
    "transpose, shift": lambda _: (~masks.Causal() & masks.Strided(20, 33).T).shift(-8, 4) | masks.Window(2, 2),
    "per_head": lambda call: masks.per_head(
        _repeated([masks.Causal(), _block_list(call), masks.Window(9, 9)], call.heads[0])
    ),
    "per_sample": lambda call: masks.per_sample(_repeated([masks.Window(60, 0), _documents(call)], call.batch)),
    "empty": lambda _: ~masks.Full(),
}

# How q, k and v lie in memory: what other back ends are tested with, some of which is copied first, and what is not.
_UNCOPIED: dict[str, Callable[[Tensor], Tensor]] = {
    "aligned gaps": lambda t: t.new_full((*t.shape[:-1], t.shape[-1] + 8), torch.nan)[..., : t.shape[-1]].copy_(t),
    "every third row": lambda t: t.new_full((*t.shape[:2], 3 * t.shape[2], t.shape[3]), torch.nan)[:, :, ::3].copy_(t),
    "rows expanded": lambda t: t[:, :, :1].expand(t.shape),
    "batch innermost": lambda t: t.permute(1, 2, 0, 3).contiguous().permute(2, 0, 1, 3),
}
HIP_MEMORY = ["contiguous", "heads inside", "batch expanded", "heads expanded", "last stride 2", *_UNCOPIED]


def tensors_in(memory: str, call: Call) -> Tensors:
    """The call's tensors; their gaps are NaN."""
    tensors = make_tensors(replace(call, memory="contiguous"))
    move = _UNCOPIED.get(memory, functools.partial(place, memory=memory))
    q, k, v = (move(t) for t in tensors[:3])
    return tensors._replace(q=q, k=k, v=v)


_headers: Path | None = None  # what kernels are made of; None: those of the package


@contextlib.contextmanager
def plans_made_anew() -> Iterator[None]:
    """While open, masks are new to the runtime, which keeps what a kernel found of a mask's live tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_native_masks, "_recent", type(_native_masks._recent)(max_masks=256, max_bytes=2**20))
        yield


@contextlib.contextmanager
def kernels_made_of(headers: Path) -> Iterator[None]:
    """While open, `use` takes kernels compiled from these headers."""
    global _headers
    _headers = headers
    try:
        with plans_made_anew():
            yield
    finally:
        _headers = None


@functools.lru_cache(2)
def _modules(_headers: Path | None) -> _instances._Modules:
    return _instances._Modules(most=64)


def use(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
    """Compute on the emulator's device of this architecture."""
    hip_emulator.set_environment(monkeypatch, arch)
    monkeypatch.setenv(_compiler.FLAGS_VARIABLE, "" if _headers is None else f"-I{_headers}")
    # Loaded modules are found by what they are compiled for, not by what they are made of.
    monkeypatch.setattr(_instances, "_modules", _modules(_headers))


def on_hip(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    q, k, v, *_ = tensors
    if _headers is not None and call.mask is not None:
        call = replace(call, mask=replace(call.mask))  # see plans_made_anew
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, backend="hip", **call.options())


def explain(call: Call, tensors: Tensors) -> ck_fmha.Explanation:
    q, k, v, *_ = tensors
    return ck_fmha.explain(q, k, v, call.mask, backend="hip", **call.options())


def assert_right(call: Call, tensors: Tensors | None = None) -> tuple[Tensor, Tensor]:
    tensors = make_tensors(call) if tensors is None else tensors
    out, lse = on_hip(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})
    return out, lse
