"""What an eager call costs besides the native call it makes."""

from __future__ import annotations

import torch

import ck_fmha
from ck_fmha import _native
from ck_fmha.bench.aims import OVERHEAD
from ck_fmha.bench.measuring import Key, Timed, measure
from ck_fmha.bench.ratios import RatioRow, make_row
from ck_fmha.bench.settings import Settings
from ck_fmha.masks import Causal

_SEQLEN, _HEAD_DIM = 16, 16  # one tile: the native call is short


def measure_overhead(settings: Settings) -> list[RatioRow]:
    """Time tiny eager forward calls, without and with gradients asked for, beside the same native call."""
    mask = Causal()
    q, k, v = torch.randn(3, 1, 1, _SEQLEN, _HEAD_DIM).unbind()
    leaves = q.clone().requires_grad_(), k.clone().requires_grad_(), v.clone().requires_grad_()
    out, lse = torch.empty_like(q), torch.empty(1, 1, _SEQLEN)
    sizes = (1, 1, 1, _SEQLEN, _SEQLEN, _HEAD_DIM, _HEAD_DIM)
    scale, threads = _HEAD_DIM**-0.5, settings.threads

    def address(t: torch.Tensor) -> _native.Tensor:
        return (t.data_ptr(), *t.stride()[:3])  # type: ignore[return-value]

    at_q, at_k, at_v, at_out = map(address, (q, k, v, out))

    def native() -> None:
        _native.attention_forward(
            mask.native, _native.FLOAT32, sizes, scale, threads, at_q, at_k, at_v, at_out, lse.data_ptr(), None
        )

    native()
    torch.testing.assert_close(out, ck_fmha.attention(q, k, v, mask), rtol=0.0, atol=0.0)  # the same call
    calls: dict[Key, Timed] = {
        ("native",): Timed(native, threads),
        ("without grad",): Timed(lambda: ck_fmha.attention(q, k, v, mask), threads),
        ("with grad",): Timed(lambda: ck_fmha.attention(*leaves, mask), threads),
    }
    times = measure(calls, seconds=min(settings.seconds, 2.0), max_rounds=100)
    rows = []
    for name in ("without grad", "with grad"):
        detail = f"{times.median((name,)) * 1e6:.1f} µs a call; native call {times.median(('native',)) * 1e6:.1f} µs"
        rows.append(make_row("overhead", name, times.difference((name,), ("native",)) * 1e6, detail, OVERHEAD))
    return rows
