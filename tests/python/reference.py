"""Attention written as its formula, with the mask as a dense bool tensor: what kernels are held against.

Run with ``compute=float64`` it is the reference of the error rule. Run with ``compute=float32`` and
``storage`` the dtype of the inputs it is the rule's *naive*: float32 products and softmax statistics, and
P, O and dS rounded to the working dtype where a matrix unit would take them in that dtype.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Attention(NamedTuple):
    """out (B, H, Sq, Dv), lse (B, H, Sq), the gradients, if asked for, and the probabilities (B, H, Sq, Sk)."""

    out: Tensor
    lse: Tensor
    dq: Tensor | None
    dk: Tensor | None
    dv: Tensor | None
    dbias: Tensor | None
    probs: Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    allowed: Tensor | None = None,
    *,
    scale: float | None = None,
    bias: Tensor | None = None,
    slopes: Tensor | None = None,
    softcap: float = 0.0,
    kept: Tensor | None = None,
    dropout_p: float = 0.0,
    dout: Tensor | None = None,
    dlse: Tensor | None = None,
    compute: torch.dtype = torch.float64,
    storage: torch.dtype | None = None,
    gradients: bool = True,
) -> Attention:
    """q (B, H, Sq, D), k (B, Hkv, Sk, D), v (B, Hkv, Sk, Dv); bool allowed and kept, and bias, broadcast to S.

    slopes (H,) or (B, H); dropout_p is the exact probability behind ``kept``. A row that attends nothing has
    out 0, lse -inf and passes no gradient on.
    """
    groups = q.shape[1] // k.shape[1]
    q, k, v = (t.detach().to(compute) for t in (q, k, v))
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    (batch, heads, seqlen_q, head_dim), seqlen_k = q.shape, k.shape[2]
    scale = head_dim**-0.5 if scale is None else scale

    def rounded(t: Tensor, dtype: torch.dtype | None = storage) -> Tensor:
        return t if storage is None else t.to(dtype).to(compute)

    s = q @ k.mT * scale
    d_cap = torch.ones_like(s)  # the cap's derivative
    if softcap > 0:
        s, d_cap = softcap * torch.tanh(s / softcap), 1 - torch.tanh(s / softcap) ** 2
    if bias is not None:
        s = s + bias.detach().to(compute)
    if slopes is not None:
        distance = (torch.arange(seqlen_q)[:, None] + seqlen_k - seqlen_q - torch.arange(seqlen_k)).abs()
        s = s - slopes.to(compute)[..., None, None] * distance
    if allowed is not None:
        s = s.masked_fill(~allowed, -math.inf)
    none = torch.full((batch, heads, seqlen_q, 1), -math.inf, dtype=compute)
    m = torch.cat([s, none], -1).amax(-1, keepdim=True)  # the extra column: amax refuses seqlen_k = 0
    empty = m == -math.inf
    p = torch.exp(s - m.masked_fill(empty, 0))
    total = p.sum(-1, keepdim=True)
    lse = (m + total.log()).squeeze(-1)
    d = torch.ones_like(p) if kept is None else kept.to(compute)
    factor = 1 / (1 - dropout_p) if dropout_p < 1 else 0.0
    out = rounded(factor * (rounded(p * d) @ v) / total.masked_fill(empty, 1))

    # The backward has the statistics only, that is lse, and computes P from it again.
    p = torch.exp(s - lse.unsqueeze(-1).masked_fill(empty, 0))
    if not gradients:
        return Attention(out, lse, None, None, None, None, p)
    dout = torch.zeros_like(out) if dout is None else dout.detach().to(compute)
    dlse = torch.zeros_like(lse) if dlse is None else dlse.detach().to(compute)
    dp = factor * d * (dout @ v.mT)
    ds = p * (dp - (dout * out).sum(-1, keepdim=True) + dlse[..., None].masked_fill(empty, 0))
    dbias = None if bias is None else rounded(ds.sum_to_size(bias.shape), bias.dtype)
    ds = rounded(ds * d_cap)

    def over_group(t: Tensor) -> Tensor:
        return t.unflatten(1, (-1, groups)).sum(2)

    dq, dk = rounded(scale * (ds @ k)), rounded(over_group(scale * (ds.mT @ q)))
    dv = rounded(over_group(factor * (rounded(p * d).mT @ dout)))
    return Attention(out, lse, dq, dk, dv, dbias, p)
