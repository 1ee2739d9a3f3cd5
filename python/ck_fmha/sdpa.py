"""`scaled_dot_product_attention`: torch's signature in front of `attention`."""

from __future__ import annotations

import torch

from ck_fmha import _call
from ck_fmha._arguments import check_bool
from ck_fmha._extras import broadcasts_to, check_dropout_p
from ck_fmha.functional import compute
from ck_fmha.masks import Causal, Mask

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Mask | torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Drop-in for `torch.nn.functional.scaled_dot_product_attention` that takes mask objects too.

    Args:
        query: (..., num_heads, seqlen_q, head_dim) with any number of leading dimensions, also none; float32, bfloat16,
            float16 or float64.
        key: (..., num_heads_kv, seqlen_k, head_dim). Leading dimensions and heads broadcast as in a matmul.
        value: (..., num_heads_kv, seqlen_k, head_dim_v).
        attn_mask: A mask of `ck_fmha.masks`; or a tensor that broadcasts to (..., num_heads, seqlen_q, seqlen_k): bool,
            True = attend, of which only live tiles are computed; or of the query's dtype or float32, added to the
            scores and differentiable; or None.
        dropout_p: Probability that an element of the softmax is dropped, drawn from torch's default generator (other
            elements than torch's own kernels drop).
        is_causal: Causal, aligned top-left as in torch; together with a mask object both hold; refused together with a
            tensor, as in torch.
        scale: Factor on the scores; default 1 / sqrt(head_dim).
        enable_gqa: Allow the number of query heads to be a multiple of that of key and value.

    Returns:
        (..., num_heads, seqlen_q, head_dim_v). A query that attends no key gives 0.

    Raises:
        TypeError, ValueError, NotImplementedError: As `attention`.
    """
    tensor = attn_mask if isinstance(attn_mask, torch.Tensor) else None
    mask = None if isinstance(attn_mask, torch.Tensor) else _call.check_mask(attn_mask, "attn_mask")
    check_dropout_p(dropout_p)
    check_bool("enable_gqa", enable_gqa)
    if check_bool("is_causal", is_causal):
        if tensor is not None:
            raise ValueError(
                f"attn_mask as a tensor, got shape {tuple(tensor.shape)}, together with is_causal=True is refused, as "
                "in torch: put the causal part into the tensor, or pass a mask object"
            )
        mask = Causal() if attn_mask is None or mask is None else mask & Causal()
    q, k, v, lead = _broadcast_heads(query, key, value, enable_gqa)
    bias = attended = None
    if tensor is not None:
        if tensor.dtype not in (torch.bool, torch.float32, q.dtype) and not torch.is_autocast_enabled("cpu"):
            raise ValueError(
                f"attn_mask must have dtype torch.bool, torch.float32 or {q.dtype} (that of query), got {tensor.dtype}"
                ": cast it; True or 1 of a bool mask means attend"
            )
        aligned = _align_scores(tensor, (*lead, q.shape[-2], k.shape[-2]))
        if tensor.dtype == torch.bool:
            attended = aligned
        else:
            bias = aligned
    names = ("query", "key", "value", "attn_mask")
    out, _ = compute(
        names, q, k, v, mask, scale, enable_gqa, "bhsd", "auto", bias, attended, (None, 0.0, dropout_p, None)
    )
    return out if len(lead) == 2 else out.reshape(*lead, *out.shape[-2:])


def _broadcast_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """Return query, key and value as (batch, heads, seqlen, head_dim), and what the result has before seqlen_q."""
    tensors = {"query": query, "key": key, "value": value}
    for name, t in tensors.items():
        if not isinstance(t, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(t).__name__}")
        if t.dim() < 2:
            raise ValueError(f"{name} must have at least 2 dimensions (..., seqlen, head_dim), got {tuple(t.shape)}")
    # With grouped heads the dimension of heads does not broadcast.
    kept = 3 if enable_gqa and all(t.dim() >= 3 for t in tensors.values()) else 2
    leads = [t.shape[:-kept] for t in tensors.values()]
    if not leads[0] == leads[1] == leads[2]:
        try:
            lead = torch.broadcast_shapes(*leads)
        except RuntimeError:
            shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
            raise ValueError(f"query, key and value must broadcast before (seqlen, head_dim), got {shapes}") from None
        query, key, value = (t.expand(*lead, *t.shape[-kept:]) for t in tensors.values())
    result = tuple(query.shape[:-2])
    return _as_4d(query), _as_4d(key), _as_4d(value), result


def _as_4d(t: torch.Tensor) -> torch.Tensor:
    if t.dim() == 4:
        return t
    if t.dim() == 2:
        return t[None, None]
    return t[None] if t.dim() == 3 else t.flatten(0, -4)


def _align_scores(t: torch.Tensor, scores: tuple[int, ...]) -> torch.Tensor:
    """Return an attn_mask for scores of any number of dimensions as one for (batch, heads, seqlen_q, seqlen_k)."""
    if not broadcasts_to(t, scores):
        raise ValueError(
            f"attn_mask must broadcast to (..., num_heads, seqlen_q, seqlen_k) = {tuple(scores)}, got shape "
            f"{tuple(t.shape)}"
        )
    if t.dim() < 4 or len(scores) == 4:
        return t
    own = (1,) * (len(scores) - t.dim()) + tuple(t.shape)
    return t.expand(*scores[:-3], *own[-3:]).reshape(-1, *own[-3:])
