"""Exact fused attention, forward and backward, under masks written as code.

    from ck_fmha import attention, masks

    mask = masks.BigBird(block_size=64) & masks.Causal()
    out = attention(q, k, v, mask)                      # (batch, num_heads, seqlen, head_dim), differentiable
    out, lse = attention(q, k, v, mask, return_lse=True)

`ck_fmha.scaled_dot_product_attention` has torch's signature and takes a mask object as `attn_mask`.
"""

# torch first: it loads the OpenMP runtime that the native module then shares.
import torch  # noqa: F401

from ck_fmha import masks
from ck_fmha.functional import Explanation, attention, dropout_mask, explain
from ck_fmha.sdpa import scaled_dot_product_attention

__all__ = ["Explanation", "attention", "dropout_mask", "explain", "masks", "scaled_dot_product_attention"]
__version__ = "0.1.0"
