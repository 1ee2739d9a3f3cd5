"""Gradients against finite differences, in float64."""

import torch

import ck_fmha
from calls import Call, Tensors, make_tensors, one_thread


def assert_gradients_are_numerical(call: Call, tensors: Tensors | None = None) -> None:
    """torch's gradcheck of out and lse in q, k, v and bias, which asks for the same bits from both backwards, too."""
    q, k, v, _, _, bias, slopes = make_tensors(call) if tensors is None else tensors
    fixed = {} if slopes is None else {"alibi_slopes": slopes}
    leaves = [t.detach().requires_grad_() for t in (q, k, v, bias) if t is not None]

    def attend(q, k, v, bias=None):
        with_bias = {} if bias is None else {"bias": bias}
        out, lse = ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options(), **fixed, **with_bias)
        return out, lse.masked_fill(lse.isneginf(), 0)  # finite differences of -inf are NaN

    with one_thread():  # thousands of tiny calls
        assert torch.autograd.gradcheck(attend, leaves)
