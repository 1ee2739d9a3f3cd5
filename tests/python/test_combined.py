"""Everything at once: features that are right one by one, in each other's company."""

import itertools

import pytest
import torch

from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from gradients import assert_gradients_are_numerical
from random_calls import DTYPES

SWITCHES: dict[str, dict] = {
    "bias": {"bias": "bhqk", "bias_holes": 0.1},
    "alibi": {"alibi": "bh"},
    "softcap": {"softcap": 2.5},
    "dropout": {"dropout_p": 0.35, "dropout_seed": 2**50 + 3},
}
SUBSETS = [subset for n in range(2, 5) for subset in itertools.combinations(SWITCHES, n)]


def merged(subset) -> dict:
    return {name: value for switch in subset for name, value in SWITCHES[switch].items()}


def check(call: Call) -> None:
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_subsets(subset, dtype, layout):
    """Shared key heads, ragged tiles, a head_dim for V of its own, no memory order that helps."""
    number = SUBSETS.index(subset)
    check(
        Call(
            [masks.Longformer(24, 3), None, masks.Causal("bottom-right"), masks.BigBird(block_size=16)][number % 4],
            dtype,
            head_dim=40,
            head_dim_v=72,
            seqlens=[(77, 131), (131, 77)][number % 2],
            heads=(6, 2),
            memory=["row gaps", "offset", "heads inside", "last stride 2"][number % 4],
            layout=layout,
            **merged(subset),
        )
    )


@pytest.mark.parametrize(
    "mask",
    [
        masks.Window(33, 0, "bottom-right", num_sinks=4),
        masks.per_head([masks.Causal(), masks.Strided(4, 9), ~masks.Causal(), ~masks.Full()]),
        masks.per_sample([masks.Causal().shift(20, 0), masks.Documents([0, 40, 60], causal="top-left")]),
        masks.Lengths([90, 7], [60, 80]) & masks.Causal(),
        ~masks.Full(),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_rows(mask, dtype):
    """By the mask, by the bias, and rows of which dropout leaves nothing."""
    call = Call(mask, dtype, seqlens=(90, 80), heads=(4, 1), layout="bshd", **merged(SWITCHES) | {"bias_holes": 0.7})
    check(call)


@pytest.mark.parametrize("dtype", DTYPES)
def test_seven_hundred_tokens(dtype):
    everything = merged(SWITCHES) | {"bias": "h1k"}
    check(Call(masks.BigBird(), dtype, head_dim=64, seqlens=(700, 700), heads=(4, 2), batch=1, **everything))


@pytest.mark.parametrize("subset", SUBSETS, ids="-".join)
def test_gradients_are_numerical(subset):
    call = Call(
        masks.per_head([masks.Window(4, 1, "bottom-right"), masks.Causal().shift(1, 0)]),
        torch.float64,
        head_dim=2,
        head_dim_v=3,
        seqlens=(6, 7),
        heads=(2, 1),
        layout="bshd",
        scale=-0.8,
        **merged(subset),
    )
    assert_gradients_are_numerical(call)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_agree_bit_for_bit(dtype):
    calls = [
        Call(masks.Causal(), dtype, seqlens=(70, 90), heads=(4, 2), layout=layout, **merged(SWITCHES))
        for layout in ("bhsd", "bshd")
    ]
    one, two = (run(call, make_tensors(call)) for call in calls)
    assert bits_equal(one.lse, two.lse) and bits_equal(one.dbias, two.dbias)
    for name in ("out", "dq", "dk", "dv"):
        assert bits_equal(getattr(one, name), getattr(two, name).transpose(1, 2)), name


@pytest.mark.parametrize("memory", ["row gaps", "heads inside", "last stride 2", "offset"])
def test_memory_order_changes_no_bit(memory):
    calls = [
        Call(masks.Causal(), seqlens=(70, 90), heads=(4, 2), memory=m, bias_memory=b, **merged(SWITCHES))
        for m, b in [("contiguous", "contiguous"), (memory, "transposed")]
    ]
    one, two = (run(call, make_tensors(call)) for call in calls)
    assert all(bits_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", [1, 17, 64, 128, 256])
@pytest.mark.parametrize("seqlens", [(500, 300), (300, 500), (64, 1024)])
def test_sweep(seqlens, head_dim, dtype):
    for subset, mask in itertools.product(SUBSETS, [masks.Causal(), masks.Longformer(64, 2)]):
        check(Call(mask, dtype, head_dim=head_dim, seqlens=seqlens, heads=(2, 1), batch=1, **merged(subset)))
