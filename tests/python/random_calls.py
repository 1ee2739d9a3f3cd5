"""Random calls: a mask expression, shapes, strides, scale and what is added to the scores, drawn by hypothesis."""

from itertools import product

import torch
from hypothesis import strategies as st
from torch import Tensor

from calls import BIAS_MEMORY, MEMORY, Call
from mask_predicates import Where
from random_masks import expressions

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@st.composite
def features(draw, dtype: torch.dtype) -> dict:
    """Bias, slopes, cap and dropout: half of the calls have none, the others any of them."""
    if draw(st.booleans()):
        return {}
    chosen: dict = {}
    if draw(st.booleans()):
        dimensions = "".join(draw(st.sampled_from([name, "1"])) for name in "bhqk")
        chosen |= {
            "bias": dimensions[draw(st.integers(0, 4)) :],
            "bias_dtype": draw(st.sampled_from([dtype, torch.float32])),
            "bias_memory": draw(st.sampled_from(BIAS_MEMORY)),
            "bias_holes": draw(st.sampled_from([0.0, 0.0, 0.3, 0.9])),
        }
    if draw(st.booleans()):
        chosen["alibi"] = draw(st.sampled_from(["h", "bh"]))
    if draw(st.booleans()):
        chosen["softcap"] = draw(st.floats(0.125, 60))
    if draw(st.booleans()):
        chosen |= {"dropout_p": draw(st.floats(0, 0.875)), "dropout_seed": draw(st.integers(0, 2**63 - 1))}
    return chosen


def draw_call(data, lengths, head_dims, depth: int) -> tuple[Call, Tensor]:
    """A call, and which elements (batch, heads, seqlen_q, seqlen_k) its mask attends by the predicates."""
    heads_kv, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    batch, heads = data.draw(st.integers(0, 2)), heads_kv * group
    seqlens = data.draw(st.tuples(lengths, lengths))
    expression = data.draw(expressions(seqlens, heads=heads, batch=batch, depth=depth))
    dtype = data.draw(st.sampled_from(DTYPES))
    call = Call(
        mask=expression.mask,
        dtype=dtype,
        head_dim=data.draw(head_dims),
        head_dim_v=data.draw(head_dims),
        seqlens=seqlens,
        heads=(heads, heads_kv),
        scale=data.draw(st.one_of(st.none(), st.floats(-2, 2))),
        memory=data.draw(st.sampled_from(MEMORY)),
        layout=data.draw(st.sampled_from(["bhsd", "bshd"])),
        batch=batch,
        seed=data.draw(st.integers(0, 1000)),
        **data.draw(features(dtype)),
    )
    allowed = torch.empty(batch, heads, *seqlens, dtype=torch.bool)
    for b, h in product(range(batch), range(heads)):
        allowed[b, h] = expression.attended(Where(*seqlens, batch=b, head=h))
    return call, allowed
