"""The forward kernels on an NVIDIA GPU against the reference."""

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

import ck_fmha
import cuda_calls
import reference
from calls import Call, make_tensors
from ck_fmha import masks
from cuda_calls import assert_right, explain
from error_rule import assert_close_by_rule
from gpu_calls import CALLS, DTYPES, HEAD_DIMS, MASKS, padded, tensors_in
from mask_cases import materialized
from pairwise import pairwise

pytestmark = cuda_calls.needs_gpu

KERNELS: dict[str, list[Any]] = {"dtype": DTYPES, "head_dim": HEAD_DIMS}


def cases_of_pairs() -> list[dict]:
    """The pairs of a mask and the parameters of calls, dealt out to four kernels of each mask."""
    dealt = Counter[str]()
    calls = pairwise({"mask": list(MASKS), **CALLS})
    random.Random(0).shuffle(calls)  # the greedy order has a rhythm, and that of the kernels would chime with it
    cases = []
    for case in calls:
        dealt[case["mask"]] += 1
        number, n = list(MASKS).index(case["mask"]), dealt[case["mask"]] % 4
        cases.append(case | {"dtype": DTYPES[(n + number // 4) % 2], "head_dim": HEAD_DIMS[(n + number) % 4]})
    return sorted(cases, key=lambda case: (case["mask"], case["head_dim"], str(case["dtype"])))


def name_of(case: dict) -> str:
    return " ".join(str(value).replace("torch.", "").replace(", ", ",") for value in case.values())


def run(case: dict) -> None:
    head_dim, head_dim_v = padded(case["head_dim"], case["padding"])
    sizes = {name: case[name] for name in ("dtype", "seqlens", "heads", "batch", "scale", "layout")}
    call = Call(head_dim=head_dim, head_dim_v=head_dim_v, **sizes)
    call = replace(call, mask=MASKS[case["mask"]](call))
    tensors = tensors_in(case["memory"], call, "cuda")
    told = explain(call, tensors)
    assert told.backend == "cuda" and told.gpu is not None
    assert all(f"head_dim {case['head_dim']} " in launch.instance for launch in told.gpu.launches)
    assert_right(call, tensors)


@pytest.mark.parametrize("case", cases_of_pairs(), ids=name_of)
def test_pairs_of_parameters(case):
    run(case)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("mask", MASKS)
def test_all_kernels(mask, head_dim, dtype):
    """The full product of masks, head_dim and dtype; of each the pairs of what a call can vary."""
    for case in pairwise(CALLS):
        run(case | {"mask": mask, "dtype": dtype, "head_dim": head_dim})


# Rows of more than 512 columns are cut, and the pieces merged.
CUT = [
    Call(masks.Full(), torch.bfloat16, 64, seqlens=(40, 1100), heads=(3, 1), batch=1),
    Call(masks.Causal("bottom-right"), torch.float16, 64, 40, seqlens=(150, 1300), heads=(4, 2), layout="bshd"),
    Call(masks.Longformer(40, 3), torch.float16, 64, seqlens=(1000, 1200), heads=(1, 1), batch=1),
    Call(masks.Causal("bottom-right"), torch.bfloat16, 256, 200, seqlens=(150, 900), heads=(2, 1)),
    Call(masks.Lengths([30, 64], [1200, 700]), torch.float16, 128, seqlens=(64, 1200)),  # rows that attend nothing
    Call(masks.per_sample([masks.Causal("bottom-right"), masks.Full()]), torch.float16, 32, seqlens=(1, 2000)),
]


@pytest.mark.parametrize("call", CUT, ids=str)
def test_cut_rows_are_merged(call):
    tensors = make_tensors(call)
    assert explain(call, tensors).gpu.num_merges > 0
    assert_right(call, tensors)


EMPTY_ROWS = [
    (masks.Causal("bottom-right"), (300, 70)),
    (masks.Documents([0, 40, 60], [0, 70, 70]), (70, 70)),
    (masks.Lengths([70, 5]), (70, 80)),
    (~masks.Full(), (130, 70)),
]


@pytest.mark.parametrize("mask, seqlens", EMPTY_ROWS, ids=str)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_rows_that_attend_nothing_are_zero(mask, seqlens, head_dim):
    call = Call(mask, torch.bfloat16, head_dim, seqlens=seqlens)
    out, lse = assert_right(call)
    empty = ~materialized(mask, 2, 2, seqlens).any(3).expand(2, 2, -1)
    assert empty.any() and (out[empty] == 0).all() and (lse[empty] == -math.inf).all()


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("heads", [(4, 4), (4, 1)], ids=str)
def test_up_to_64_heads(batch, heads):
    call = Call(masks.BigBird(32, 1, seed=1) & masks.Causal(), torch.bfloat16, 128, seqlens=(300, 300), batch=batch)
    assert_right(replace(call, heads=heads))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_scores_of_any_size(dtype, head_dim):
    """Maxima that grow from tile to tile and fall: what was summed is rescaled, by less than an underflow and more."""
    call = Call(masks.Full(), dtype, head_dim, seqlens=(140, 448), heads=(1, 1), batch=1, scale=1.0)
    tensors = make_tensors(call)
    steps = torch.tensor([0.0, 2.0, 13.0, 13.5, 9.0, 40.0, -200.0])  # of tiles of 64 keys
    tensors.q[..., 0] = 1
    tensors.q[:, :, ::3, 0] = -1
    tensors.k[..., 0] = steps.repeat_interleave(64)
    assert_right(call, tensors)


LARGE = {
    "causal": (masks.Causal(), lambda i, j, n: j <= i),
    "longformer": (masks.Longformer(512, 64), lambda i, j, n: ((i - j).abs() <= 256) | (i < 64) | (j < 64)),
    "window and sinks": (
        masks.Window(1024, 0, num_sinks=4),
        lambda i, j, n: ((j < 4) | (j >= i - 1024)) & (j <= i),
    ),
    "big_bird & causal": (
        masks.BigBird(64, num_random_blocks=0) & masks.Causal(),
        lambda i, j, n: (
            (((i // 64 - j // 64).abs() <= 1) | (j < 64) | (j >= n - 64) | (i < 64) | (i >= n - 64)) & (j <= i)
        ),
    ),
}


def assert_rows_are_right(name: str, seqlen: int, heads: tuple[int, int], head_dim: int) -> None:
    """A few rows of the first and the last head, which lies past 4 GiB where there are many."""
    mask, attended = LARGE[name]
    generator = torch.Generator("cuda").manual_seed(1)
    q, k, v = (
        torch.randn(1, h, seqlen, head_dim, dtype=torch.bfloat16, device="cuda", generator=generator)
        for h in (heads[0], heads[1], heads[1])
    )
    with torch.no_grad():
        out, lse = ck_fmha.attention(q, k, v, mask, return_lse=True, enable_gqa=True)
    middle = seqlen // 2
    rows = torch.tensor([0, 1, 63, 64, 127, 128, middle - 1, middle, middle + 777, seqlen - 65, seqlen - 1])
    rows = rows.to("cuda")
    for head in (0, heads[0] - 1):
        kv = head // (heads[0] // heads[1])
        one = q[:, head : head + 1, rows], k[:, kv : kv + 1], v[:, kv : kv + 1]
        allowed = attended(rows[:, None], torch.arange(seqlen, device="cuda"), seqlen)
        with torch.device("cuda"):
            ref = reference.attention(*one, allowed)
            naive = reference.attention(*one, allowed, compute=torch.float32, storage=torch.bfloat16)
        # Row by row, for those that attend few keys have far larger results than the others.
        for n, row in enumerate(rows.tolist()):
            for what, result, slack in (("out", out, 0.0), ("lse", lse, 4e-6)):
                expected = getattr(naive, what)[:, 0, n], getattr(ref, what)[:, 0, n]
                eps = torch.finfo(result.dtype).eps
                about = f"{what} of {name}, head {head}, row {row}"
                assert_close_by_rule(result[:, head, row], *expected, eps, slack=slack, what=about)


@pytest.mark.parametrize("name", LARGE)
def test_spot_rows_of_65536(name):
    assert_rows_are_right(name, 2**16, (2, 1), 128)


@pytest.mark.parametrize("name", [name for name in LARGE if name != "causal"])
def test_spot_rows_of_1048576_past_4_gib(name):
    free, _ = torch.cuda.mem_get_info()
    if free < 30 * 2**30:
        pytest.skip(f"needs 30 GiB of free memory on the GPU, {free / 2**30:.0f} GiB are")
    assert_rows_are_right(name, 2**20, (17, 17), 128)  # 256 MiB a head
