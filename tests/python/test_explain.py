"""explain(...) says what a call would do, with the same arguments and the same refusals."""

import pytest
import torch

import ck_fmha
from calls import Call, make_tensors
from ck_fmha import masks
from random_calls import DTYPES


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize(
    "mask",
    [
        None,
        masks.Causal(),
        masks.BigBird(block_size=16),
        masks.Longformer(8, 2) & masks.Causal(),
        masks.per_head([masks.Causal(), masks.Full(), ~masks.Full(), masks.Strided(9, 30)]),
    ],
)
@pytest.mark.parametrize("seqlens", [(300, 200), (1, 500), (0, 10)])
def test_tiles_are_counted_over_the_heads(mask, seqlens, layout):
    call = Call(mask, seqlens=seqlens, heads=(4, 2), layout=layout)
    q, k, v, *_ = make_tensors(call)
    plan = ck_fmha.explain(q, k, v, mask, **call.options())
    assert plan.backend == "cpu"
    assert isinstance(plan.isa, str) and plan.isa
    rows, cols = plan.tile
    assert rows >= 1 and cols >= 1
    every = masks.Full() if mask is None else mask
    counts = [every.num_tiles(*seqlens, (rows, cols), head=head) for head in range(4)]
    assert plan.tiles == tuple(map(sum, zip(*counts, strict=True)))
    assert plan.tiles.live == plan.tiles.full + plan.tiles.edge <= plan.tiles.total


def test_tiles_are_counted_over_the_samples_where_they_differ():
    q, k, v, *_ = make_tensors(Call(seqlens=(300, 200), heads=(4, 2)))
    mask = masks.per_sample([masks.Causal().T, masks.Fixed(64)]) | masks.Lengths([0, 0], [10, 3])
    plan = ck_fmha.explain(q, k, v, mask, enable_gqa=True)
    counts = [mask.num_tiles(300, 200, plan.tile, batch=sample) for sample in (0, 1)]
    assert plan.num_samples == 2
    assert plan.tiles == tuple(4 * sum(count) for count in zip(*counts, strict=True))
    assert ck_fmha.explain(q, k, v, masks.Causal(), enable_gqa=True).num_samples == 1


def test_threads_follow_torch():
    q, k, v, *_ = make_tensors(Call(seqlens=(2000, 2000)))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert ck_fmha.explain(q, k, v).num_threads == threads


def test_takes_the_keywords_of_attention():
    q, k, v, *_ = make_tensors(Call(heads=(4, 2)))
    plan = ck_fmha.explain(
        q,
        k,
        v,
        mask=masks.Causal(),
        scale=0.5,
        enable_gqa=True,
        return_lse=True,
        layout="bhsd",
        bias=torch.zeros(40),
        alibi_slopes=torch.zeros(4),
        softcap=30.0,
        dropout_p=0.1,
        dropout_seed=3,
        deterministic=True,
        backend="cpu",
    )
    assert plan.backend == "cpu"


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_a_plan(dtype):
    q, k, v, *_ = make_tensors(Call(dtype=dtype, seqlens=(300, 300)))
    plan = ck_fmha.explain(q, k, v, masks.Causal())
    assert plan.tiles == tuple(2 * count for count in masks.Causal().num_tiles(300, 300, plan.tile))


def test_text_says_what_was_chosen():
    q, k, v, *_ = make_tensors(Call(seqlens=(300, 300)))
    plan = ck_fmha.explain(q, k, v, masks.Causal())
    text = str(plan)
    assert "cpu" in text and plan.isa in text and str(plan.tiles.live) in text


def test_the_same_refusals_as_attention(raises):
    q, k, v, *_ = make_tensors(Call(heads=(4, 2)))
    raises(ValueError, lambda: ck_fmha.explain(q, k, v), r"enable_gqa", r"4", r"2")
    refused = (TypeError, NotImplementedError)
    raises(refused, lambda: ck_fmha.explain(q.int(), k.int(), v.int()), r"int32", r"float32")
    raises(ValueError, lambda: ck_fmha.explain(q, q, q, backend="abacus"), r"backend", r"abacus", r"cpu")
