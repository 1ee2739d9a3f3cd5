"""Random calls: a mask expression, shapes, strides and scale, drawn by hypothesis."""

from itertools import product

import torch
from hypothesis import strategies as st
from torch import Tensor

from calls import MEMORY, Call
from mask_predicates import Where
from random_masks import expressions


def draw_call(data, lengths, head_dims, depth: int) -> tuple[Call, Tensor]:
    """A call, and which elements (batch, heads, seqlen_q, seqlen_k) its mask attends by the predicates."""
    heads_kv, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    batch, heads = data.draw(st.integers(0, 2)), heads_kv * group
    seqlens = data.draw(st.tuples(lengths, lengths))
    expression = data.draw(expressions(seqlens, heads=heads, batch=batch, depth=depth))
    call = Call(
        mask=expression.mask,
        dtype=data.draw(st.sampled_from([torch.float32, torch.bfloat16])),
        head_dim=data.draw(head_dims),
        head_dim_v=data.draw(head_dims),
        seqlens=seqlens,
        heads=(heads, heads_kv),
        scale=data.draw(st.one_of(st.none(), st.floats(-2, 2))),
        memory=data.draw(st.sampled_from(MEMORY)),
        layout=data.draw(st.sampled_from(["bhsd", "bshd"])),
        batch=batch,
        seed=data.draw(st.integers(0, 1000)),
    )
    allowed = torch.empty(batch, heads, *seqlens, dtype=torch.bool)
    for b, h in product(range(batch), range(heads)):
        allowed[b, h] = expression.attended(Where(*seqlens, batch=b, head=h))
    return call, allowed
