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
    """out (B, H, Sq, Dv), lse (B, H, Sq), the gradients, and the probabilities (B, H, Sq, Sk)."""

    out: Tensor
    lse: Tensor
    dq: Tensor
    dk: Tensor
    dv: Tensor
    probs: Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    allowed: Tensor | None = None,
    *,
    scale: float | None = None,
    dout: Tensor | None = None,
    dlse: Tensor | None = None,
    compute: torch.dtype = torch.float64,
    storage: torch.dtype | None = None,
) -> Attention:
    """q (B, H, Sq, D), k (B, Hkv, Sk, D), v (B, Hkv, Sk, Dv), allowed bool (Sq, Sk) or (H, Sq, Sk).

    A row that attends nothing has out 0, lse -inf and passes no gradient on.
    """
    groups = q.shape[1] // k.shape[1]
    q, k, v = (t.detach().to(compute) for t in (q, k, v))
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    batch, heads, seqlen_q, head_dim = q.shape
    seqlen_k = k.shape[2]
    scale = 1 / math.sqrt(head_dim) if scale is None else scale
    if allowed is None:
        allowed = torch.ones(seqlen_q, seqlen_k, dtype=torch.bool)

    def rounded(t: Tensor) -> Tensor:
        return t if storage is None else t.to(storage).to(compute)

    s = (q @ k.transpose(-1, -2) * scale).masked_fill(~allowed, -math.inf)
    none = torch.full((batch, heads, seqlen_q, 1), -math.inf, dtype=compute)
    m = torch.cat([s, none], -1).amax(-1, keepdim=True)  # the extra column: amax refuses seqlen_k = 0
    empty = m == -math.inf
    m = m.masked_fill(empty, 0)
    p = torch.exp(s - m)
    total = p.sum(-1, keepdim=True)
    lse = (m + total.log()).squeeze(-1)
    total = total.masked_fill(empty, 1)
    out = rounded(rounded(p) @ v / total)

    # The backward has the statistics only, that is lse, and computes P from it again.
    p = torch.exp(s - lse.unsqueeze(-1).masked_fill(empty, 0))
    dout = torch.zeros_like(out) if dout is None else dout.detach().to(compute)
    dlse = torch.zeros_like(lse) if dlse is None else dlse.detach().to(compute)
    dlse = dlse[..., None].masked_fill(empty, 0)
    dp = dout @ v.transpose(-1, -2)
    delta = (dout * out).sum(-1, keepdim=True)
    ds = rounded(p * (dp - delta + dlse))

    def over_group(t: Tensor) -> Tensor:
        return t.unflatten(1, (-1, groups)).sum(2)

    return Attention(
        out=out,
        lse=lse,
        dq=rounded(scale * (ds @ k)),
        dk=rounded(over_group(scale * (ds.transpose(-1, -2) @ q))),
        dv=rounded(over_group(rounded(p).transpose(-1, -2) @ dout)),
        probs=p,
    )
