"""Other attention functions with the same mask: what they need, and whether they compute the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import scaled_dot_product_attention

import ck_fmha
from ck_fmha.bench.cases import MASKS, distinct_heads
from ck_fmha.bench.measuring import Attention

PEERS = {
    "sdpa": "SDPA without a mask",
    "sdpa_bool": "SDPA with the mask as a bool tensor",
    "sdpa_causal": "SDPA with is_causal=True",
    "flex": "FlexAttention",
}

# Largest difference of two right results. Outputs reach about 4, where a bfloat16 is 1/64 from the next one.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Peer:
    """A peer's attention function for one mask; `backward` says whether it has a backward pass on the CPU."""

    attention: Attention
    backward: bool


@dataclass(frozen=True)
class LeftOut:
    """Why a peer that could be compared is not."""

    reason: str


def make_peer(
    peer: str, mask_name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, peer_memory: int
) -> Peer | LeftOut | None:
    """Return the peer for a mask, warmed up, or why it is left out, or None if it does not apply to the mask.

    Args:
        peer: A key of `PEERS`.
        mask_name: A key of `cases.MASKS`.
        q: (batch, heads, seqlen, head_dim); k and v are alike.
        k: See q.
        v: See q.
        peer_memory: Bytes that a mask of seqlen x seqlen elements may take in this peer.

    Raises:
        RuntimeError: The peer computes something else than `ck_fmha.attention`, so that its time says nothing.
    """
    made = _MAKERS[peer](mask_name, q, peer_memory)
    # Without a mask it is no peer of a sparse mask's result, only of what dense attention costs.
    if isinstance(made, Peer) and (peer != "sdpa" or mask_name == "full"):
        try:
            out = made.attention(q, k, v)
        except Exception as error:  # a peer that this installation cannot run must not end the run
            first = (str(error).strip().splitlines() or [""])[0]
            return LeftOut(f"failed: {type(error).__name__}: {first[:120]}")
        difference = float((out.float() - ck_fmha.attention(q, k, v, MASKS[mask_name]).float()).abs().max())
        if not difference <= _TOLERANCE[q.dtype]:
            raise RuntimeError(f"{PEERS[peer]} and ck_fmha differ by {difference} with the mask {mask_name}")
    return made


def _sdpa(mask_name: str, q: torch.Tensor, peer_memory: int) -> Peer:
    return Peer(scaled_dot_product_attention, backward=True)


def _sdpa_causal(mask_name: str, q: torch.Tensor, peer_memory: int) -> Peer | None:
    return Peer(partial(scaled_dot_product_attention, is_causal=True), True) if mask_name == "causal" else None


def _sdpa_bool(mask_name: str, q: torch.Tensor, peer_memory: int) -> Peer | LeftOut | None:
    if mask_name == "full":
        return None
    mask, (_, heads, seqlen, _) = MASKS[mask_name], q.shape
    distinct = distinct_heads(mask, heads)
    # The bool mask, and the one of q's dtype that SDPA makes of it.
    needed = distinct * seqlen * seqlen * (1 + q.element_size())
    if needed > peer_memory:
        return LeftOut(
            f"its mask takes seqlen² memory, {needed / 2**30:.2g} GiB, above the limit of {peer_memory / 2**30:.2g} GiB"
        )
    # Four dimensions: with three, torch does not take its fused kernel.
    dense = torch.stack([mask.materialize(seqlen, seqlen, head=h) for h in range(distinct)])[None]
    return Peer(partial(scaled_dot_product_attention, attn_mask=dense), backward=True)


def _flex(mask_name: str, q: torch.Tensor, peer_memory: int) -> Peer | LeftOut:
    try:
        import torch._dynamo
        from torch.nn.attention.flex_attention import flex_attention

        from ck_fmha.bench.flex_masks import block_mask
    except ImportError as error:
        return LeftOut(f"this torch does not have it: {error}")
    # One graph for each mask, size and dtype; by default the ninth would run uncompiled.
    for limit in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, limit):
            setattr(torch._dynamo.config, limit, 1024)
    blocks = block_mask(mask_name, q.shape[2], q.shape[1])
    return Peer(partial(torch.compile(flex_attention, dynamic=False), block_mask=blocks), backward=False)


_MAKERS: dict[str, Callable[[str, torch.Tensor, int], Peer | LeftOut | None]] = {
    "sdpa": _sdpa,
    "sdpa_bool": _sdpa_bool,
    "sdpa_causal": _sdpa_causal,
    "flex": _flex,
}
