"""The forward kernels for AMD GPUs against the reference, executed by the emulator."""

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hip_calls
import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from gpu_calls import CALLS, DTYPES, HEAD_DIMS, MASKS, padded, tensors_in
from hip_calls import ARCHS, assert_right, explain, on_hip
from mask_cases import materialized
from mask_predicates import Where
from pairwise import pairwise
from random_masks import expressions

pytestmark = hip_emulator.needs_emulator

KERNELS: dict[str, list[Any]] = {"mask": list(MASKS), "arch": ARCHS, "dtype": DTYPES, "head_dim": HEAD_DIMS}


def kernels_of_pairs() -> dict[str, list[dict]]:
    """Two kernels for each mask, of both architectures and dtypes: most of the time of these tests is compilation."""
    arch_and_dtype = [list(zip(ARCHS, dtypes, strict=True)) for dtypes in (DTYPES, DTYPES[::-1])]
    return {
        mask: [
            {"arch": arch, "dtype": dtype, "head_dim": HEAD_DIMS[(n + number // 2) % 4]}
            for n, (arch, dtype) in enumerate(arch_and_dtype[number % 2])
        ]
        for number, mask in enumerate(MASKS)
    }


def cases_of_pairs() -> list[dict]:
    """The pairs of a mask and the parameters of calls, dealt out to the mask's kernels."""
    kernels, dealt = kernels_of_pairs(), Counter[str]()
    calls = pairwise({"mask": list(MASKS), **CALLS})
    random.Random(0).shuffle(calls)  # the greedy order has a rhythm, and that of the kernels would chime with it
    cases = []
    for case in calls:
        dealt[case["mask"]] += 1
        cases.append(case | kernels[case["mask"]][dealt[case["mask"]] % 2])
    return cases


CASES = cases_of_pairs()


def name_of(case: dict) -> str:
    return " ".join(str(value).replace("torch.", "").replace(", ", ",") for value in case.values())


def run(case: dict) -> None:
    head_dim, head_dim_v = padded(case["head_dim"], case["padding"])
    sizes = {name: case[name] for name in ("dtype", "seqlens", "heads", "batch", "scale", "layout")}
    call = Call(head_dim=head_dim, head_dim_v=head_dim_v, **sizes)
    call = replace(call, mask=MASKS[case["mask"]](call))
    tensors = tensors_in(case["memory"], call)
    gpu = explain(call, tensors).gpu
    assert gpu is not None and gpu.arch == case["arch"]
    assert all(f"head_dim {case['head_dim']} " in launch.instance for launch in gpu.launches)
    assert_right(call, tensors)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_pairs_of_parameters(case, monkeypatch):
    hip_calls.use(monkeypatch, case["arch"])
    run(case)


def test_every_pair_of_parameters_is_among_the_cases():
    """But for a mask and a head_dim: `make sweep` has those."""
    parameters = KERNELS | CALLS
    met = {(a, str(case[a]), b, str(case[b])) for case in CASES for a, b in combinations(parameters, 2)}
    for a, b in combinations(parameters, 2):
        if (a, b) != ("mask", "head_dim"):
            missing = [(x, y) for x, y in product(parameters[a], parameters[b]) if (a, str(x), b, str(y)) not in met]
            assert not missing, f"{a}, {b}"


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("mask", MASKS)
def test_all_kernels(mask, head_dim, dtype, arch, monkeypatch):
    """The full product of masks, head_dim, dtype and architecture; of each the pairs of what a call can vary."""
    hip_calls.use(monkeypatch, arch)
    for case in pairwise(CALLS):
        run(case | {"mask": mask, "arch": arch, "dtype": dtype, "head_dim": head_dim})


@pytest.fixture(params=ARCHS)
def arch(request, monkeypatch) -> Iterator[str]:
    hip_calls.use(monkeypatch, request.param)
    yield request.param


# One of each kind, of few kernels: what a fault in a kernel is tried on first.
EVERYTHING = masks.Window(-1, -1)  # the structure of the others
SMALL = {
    "causal": Call(masks.Causal("bottom-right"), torch.float16, 64, seqlens=(140, 330), heads=(1, 1), batch=1),
    "sparse": Call(masks.Window(20, 5, num_sinks=1), torch.float16, 64, seqlens=(300, 300), heads=(2, 2), batch=1),
    "ragged": Call(EVERYTHING, torch.float16, 64, seqlens=(70, 90), heads=(2, 2)),
    "padded head_dim": Call(EVERYTHING, torch.float16, 24, 40, seqlens=(70, 90), heads=(2, 2), batch=1),
    "grouped heads": Call(EVERYTHING, torch.float16, 64, seqlens=(70, 64), heads=(4, 2), batch=1),
    "empty rows": Call(masks.Causal("bottom-right"), torch.float16, 64, seqlens=(140, 70), heads=(1, 1), batch=1),
    "cut rows": Call(masks.Causal("bottom-right"), torch.float16, 64, seqlens=(70, 1100), heads=(2, 2), batch=1),
    "tiles far apart": Call(
        masks.Window(20, 5, "bottom-right", num_sinks=1), torch.float16, 64, seqlens=(70, 9000), heads=(1, 1), batch=1
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_calls(name, arch):
    assert_right(SMALL[name], tensors_in("aligned gaps", SMALL[name]))


# Rows of more than 512 columns are cut, and the pieces merged.
CUT = [
    Call(masks.Full(), torch.bfloat16, 64, seqlens=(40, 1100), heads=(3, 1), batch=1),
    Call(masks.Causal("bottom-right"), torch.float16, 64, 40, seqlens=(150, 1300), heads=(4, 2), layout="bshd"),
    Call(masks.Longformer(40, 3), torch.float16, 64, seqlens=(1000, 1200), heads=(1, 1), batch=1),
    Call(masks.Causal("bottom-right"), torch.bfloat16, 256, 200, seqlens=(150, 900), heads=(2, 1)),
    Call(masks.Lengths([30, 64], [1200, 700]), torch.float16, 128, seqlens=(64, 1200)),  # rows that attend nothing
    Call(
        masks.per_head([masks.Full(), masks.Window(50, 0), masks.Full(), masks.BigBird(64, 3, seed=2)]),
        torch.bfloat16,
        64,
        seqlens=(70, 1400),
        heads=(4, 2),
    ),
    Call(masks.per_sample([masks.Causal("bottom-right"), masks.Full()]), torch.float16, 32, seqlens=(1, 2000)),
]


@pytest.mark.parametrize("call", CUT, ids=str)
def test_cut_rows_are_merged(call, arch):
    tensors = make_tensors(call)
    gpu = explain(call, tensors).gpu
    assert gpu.num_merges > 0 and gpu.workspace_bytes > 0
    assert_right(call, tensors)


def test_pieces_of_a_row_whose_scores_are_far_apart(arch):
    """One piece's sum of exponentials alone would overflow, or vanish, next to another's."""
    call = Call(EVERYTHING, torch.float16, 64, seqlens=(40, 1536), heads=(2, 2), batch=1, scale=1.0)
    tensors = make_tensors(call)
    tensors.q[..., 0] = 10
    tensors.k[0, 0, :, 0] = torch.repeat_interleave(torch.tensor([-20.0, 20.0, 0.0]), 512)
    tensors.k[0, 1, :, 0] = torch.repeat_interleave(torch.tensor([20.0, 19.6, -20.0]), 512)
    assert explain(call, tensors).gpu.num_merges == 2
    assert_right(call, tensors)


def test_maxima_that_grow_from_tile_to_tile(arch):
    """And fall: what was summed before has to be rescaled, by less than an underflow and by more."""
    for dtype in DTYPES:
        call = Call(EVERYTHING, dtype, 64, seqlens=(140, 448), heads=(1, 1), batch=1, scale=1.0)
        tensors = make_tensors(call)
        steps = torch.tensor([0.0, 2.0, 13.0, 13.5, 9.0, 40.0, -200.0])  # of tiles of 64 keys
        tensors.q[..., 0] = 1
        tensors.q[:, :, ::3, 0] = -1
        tensors.k[..., 0] = steps.repeat_interleave(64)
        assert_right(call, tensors)


EMPTY_ROWS = [
    (masks.Causal("bottom-right"), (300, 70)),
    (masks.Window(3, 0, "bottom-right"), (90, 70)),
    (masks.Causal().shift(1, 0), (70, 80)),
    (masks.Documents([0, 40, 60], [0, 70, 70]), (70, 70)),
    (masks.Lengths([70, 5]), (70, 80)),
    (masks.Lengths(lengths_k=[0, 9], padding="left"), (70, 80)),
    (~masks.Full(), (130, 70)),
    (masks.Causal("bottom-right"), (700, 600)),  # in rows that are cut
]


@pytest.mark.parametrize("mask, seqlens", EMPTY_ROWS)
def test_rows_without_keys_are_zero(mask, seqlens, arch):
    call = Call(mask, torch.float16, 64, seqlens=seqlens)
    empty = ~materialized(mask, 2, 2, seqlens).any(3)
    assert empty.any()
    out, lse = assert_right(call)
    assert (out[empty] == 0).all() and (lse[empty] == -math.inf).all() and (lse[~empty] > -math.inf).all()


@pytest.mark.parametrize("batch, seqlens", [(0, (9, 9)), (2, (0, 9)), (2, (9, 0)), (0, (0, 0))])
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_nothing_to_do(batch, seqlens, layout, arch):
    call = Call(masks.Causal(), torch.float16, 32, 16, seqlens=seqlens, batch=batch, layout=layout)
    out, lse = on_hip(call, make_tensors(call))
    assert out.shape == ((batch, 2, seqlens[0], 16) if layout == "bhsd" else (batch, seqlens[0], 2, 16))
    assert (out == 0).all() and (lse == -math.inf).all() and lse.shape == (batch, 2, seqlens[0])


def test_probabilities_below_the_normal_halves(arch):
    """gfx90a's products take subnormal halves for zero; exp(-10) is one.

    One score is 0 and 16,383 are -10: the probabilities sum to 1.744, or to 1.000 where the small ones are lost.
    """
    keys = 16384
    tensors = make_tensors(Call(None, torch.float16, 64, seqlens=(3, keys), heads=(1, 1), batch=1))
    zeros = [torch.arange(keys) == 0, torch.arange(keys) % 512 == 17]  # the second: one in every piece of the row
    for zero in zeros:
        call = Call(EVERYTHING, torch.float16, 64, seqlens=(3, keys), heads=(1, 1), batch=1, scale=1.0)
        tensors.q.zero_()[..., 0] = 1
        tensors.k.zero_()[..., 0] = torch.where(zero, 0, -10)
        tensors.v.zero_()[..., 0] = torch.where(zero, 0, 1)  # O: the share of the small ones
        tensors.v[..., 1] = torch.where(zero, 1, 0)
        out, lse = assert_right(call, tensors)
        total = int(zero.sum()) + int((~zero).sum()) * math.exp(-10)
        assert lse[0, 0].tolist() == pytest.approx([math.log(total)] * 3, rel=1e-5)
        assert out[0, 0, :, 0].tolist() == pytest.approx([1 - int(zero.sum()) / total] * 3, rel=1e-3)


def test_attended_nan_is_not_swallowed(arch):
    call = Call(masks.Window(70, 0), torch.bfloat16, 64, seqlens=(200, 200), heads=(1, 1), batch=1)
    attended = materialized(call.mask, 1, 1, call.seqlens)[0, 0]
    for name, index in [("q", 100), ("k", 100), ("k", 0), ("v", 100)]:
        tensors = make_tensors(call)
        getattr(tensors, name)[:, :, index] = math.nan
        out, lse = on_hip(call, tensors)
        rows = torch.arange(200) == index if name == "q" else attended[:, index]
        assert out[:, :, rows].isnan().all(), (name, index)
        assert lse[:, :, rows].isnan().all() != (name == "v"), (name, index)


def test_a_thousand_tokens(arch):
    for mask in (masks.Longformer(128, 16), masks.BigBird(64, 3, seed=1) & masks.Causal()):
        assert_right(Call(mask, torch.bfloat16, 64, seqlens=(1000, 1000), heads=(2, 1), batch=1))


def test_calls_of_a_kernel_do_not_disturb_each_other(arch):
    """The second call finds everything in caches, the third has other lengths and the same mask."""
    mask = masks.BigBird(block_size=32, num_random_blocks=1, seed=5)
    call = Call(mask, torch.bfloat16, 64, seqlens=(200, 200))
    first = assert_right(call)
    assert_right(replace(call, seqlens=(129, 300)))
    again = on_hip(call, make_tensors(call))
    assert all(bits_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.slow
@settings(max_examples=60)
@given(data=st.data())
def test_random_masks(data):
    """Any expression: every new structure is compiled."""
    seqlens = data.draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    heads, batch = data.draw(st.sampled_from([(1, 1), (2, 1), (4, 2)])), data.draw(st.integers(1, 2))
    expression = data.draw(expressions(seqlens, heads=heads[0], batch=batch, depth=3))
    call = Call(
        expression.mask,
        data.draw(st.sampled_from(DTYPES)),
        head_dim=data.draw(st.sampled_from([32, 64])),
        seqlens=seqlens,
        heads=heads,
        batch=batch,
        scale=data.draw(st.one_of(st.none(), st.floats(-2, 2))),
    )
    allowed = torch.empty(batch, heads[0], *seqlens, dtype=torch.bool)
    for b, h in product(range(batch), range(heads[0])):
        allowed[b, h] = expression.attended(Where(*seqlens, batch=b, head=h))
    with pytest.MonkeyPatch.context() as patch:
        hip_calls.use(patch, data.draw(st.sampled_from(ARCHS)))
        tensors = make_tensors(call)
        out, lse = on_hip(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse}, allowed)
