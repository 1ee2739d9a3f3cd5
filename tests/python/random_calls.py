"""Random calls: a mask expression, shapes, strides and scale, drawn by hypothesis."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from calls import MEMORY, Call
from mask_cases import expressions


def draw_call(data, lengths, head_dims, depth: int) -> tuple[Call, Tensor]:
    """A call, and which elements (heads, seqlen_q, seqlen_k) its mask attends by the predicates."""
    expression = data.draw(expressions(depth))
    heads_kv, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    call = Call(
        mask=expression.mask,
        dtype=data.draw(st.sampled_from([torch.float32, torch.bfloat16])),
        head_dim=data.draw(head_dims),
        head_dim_v=data.draw(head_dims),
        seqlens=data.draw(st.tuples(lengths, lengths)),
        heads=(heads_kv * group, heads_kv),
        scale=data.draw(st.one_of(st.none(), st.floats(-2, 2))),
        memory=data.draw(st.sampled_from(MEMORY)),
        layout=data.draw(st.sampled_from(["bhsd", "bshd"])),
        batch=data.draw(st.integers(0, 2)),
        seed=data.draw(st.integers(0, 1000)),
    )
    return call, torch.stack([expression.attended(*call.seqlens, head) for head in range(call.heads[0])])
