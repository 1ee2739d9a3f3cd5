"""The backward kernels on an NVIDIA GPU against the reference."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

import ck_fmha
import cuda_calls
from calls import Call, Results, Tensors, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from cuda_calls import gradients_on_cuda
from error_rule import assert_close_by_rule
from gpu_calls import CALLS, DTYPES, HEAD_DIMS, MASKS, padded, tensors_in
from guard_bands import guarded_allocations, guarded_copy
from pairwise import pairwise

pytestmark = cuda_calls.needs_gpu

bf16, fp16 = torch.bfloat16, torch.float16


def assert_right(call: Call, tensors: Tensors | None = None, **options: bool) -> None:
    tensors = make_tensors(call) if tensors is None else tensors
    results = gradients_on_cuda(call, tensors, **options)
    assert_matches_reference(call, tensors.map(torch.Tensor.cpu), results._asdict())


def cases_of_pairs() -> list[dict]:
    """The pairs of a mask and the parameters of calls, dealt out to two kernels of each mask."""
    dealt = Counter[str]()
    # P comes from the LSE, a float32, which tells scores past some 2^17 apart by no less than 2^-7.
    scales = [scale for scale in CALLS["scale"] if scale != 3e4]
    calls = pairwise({"mask": list(MASKS), **CALLS, "scale": scales})
    random.Random(1).shuffle(calls)
    cases = []
    for case in calls:
        dealt[case["mask"]] += 1
        number, n = list(MASKS).index(case["mask"]), dealt[case["mask"]] % 2
        kernel = {"dtype": DTYPES[(n + number // 2) % 2], "head_dim": HEAD_DIMS[(2 * n + number) % 4]}
        cases.append(case | kernel | {"deterministic": dealt[case["mask"]] % 3 == 0})
    return sorted(cases, key=lambda case: (case["mask"], case["head_dim"], str(case["dtype"])))


def name_of(case: dict) -> str:
    return " ".join(str(value).replace("torch.", "").replace(", ", ",") for value in case.values())


@pytest.mark.parametrize("case", cases_of_pairs(), ids=name_of)
def test_pairs_of_parameters(case):
    head_dim, head_dim_v = padded(case["head_dim"], case["padding"])
    sizes = {name: case[name] for name in ("dtype", "seqlens", "heads", "batch", "scale", "layout")}
    call = Call(head_dim=head_dim, head_dim_v=head_dim_v, **sizes)
    call = replace(call, mask=MASKS[case["mask"]](call))
    assert_right(call, tensors_in(case["memory"], call, "cuda"), deterministic=case["deterministic"])


BUSY = [
    Call(masks.Causal("bottom-right"), fp16, 32, seqlens=(1300, 140), heads=(1, 1), batch=1),  # cut columns
    Call(masks.Causal("bottom-right"), fp16, 32, seqlens=(1300, 140), heads=(4, 2), batch=1),
    Call(masks.Causal(), bf16, 128, seqlens=(900, 700), heads=(2, 1)),
    Call(masks.BigBird(64, 3, 1, 2, seed=3), bf16, 128, seqlens=(700, 700), batch=1),
    Call(masks.Longformer(90, 40), bf16, 256, seqlens=(500, 500), batch=1),
    Call(masks.Lengths([50, 0], [70, 9]), fp16, 128, seqlens=(90, 200)),
    Call(
        masks.per_head([masks.Causal(), masks.Window(9, 9), masks.BigBird(32, 1, 1, 1), masks.Window(-1, 40)]),
        bf16,
        64,
        seqlens=(200, 200),
        heads=(4, 2),
    ),
]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("call", BUSY, ids=str)
def test_busy_calls(call, deterministic):
    assert_right(call, deterministic=deterministic)


@pytest.mark.parametrize("seqlen", [5, 40, 70, 200])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_keys_past_the_last_one_have_no_weight(head_dim, seqlen):
    """Bands of a tile that begin behind the last key, where exp(0 - lse) would be more than a half holds."""
    call = Call(masks.Causal(), fp16, head_dim, seqlens=(seqlen, seqlen), heads=(1, 1), batch=1, scale=1 / 8)
    tensors = make_tensors(call)
    tensors.q.fill_(2)
    tensors.k.fill_(-2 * 64 / head_dim)  # every score is -32
    assert_right(call, tensors)


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_a_hundred_deterministic_runs_give_the_same_bits(head_dim):
    call = Call(masks.Longformer(90, 140), bf16, head_dim, seqlens=(700, 700), heads=(4, 2))
    tensors = make_tensors(call).map(torch.Tensor.cuda)
    expected = run(call, tensors, deterministic=True)
    for _ in range(99):
        again = run(call, tensors, deterministic=True)
        assert all(bits_equal(a, b) for a, b in zip(again, expected, strict=True))


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("head_dim", [64, 256])
def test_what_is_not_attended_is_not_read(head_dim, deterministic):
    """The poison rule; dQ that is summed by atomic additions may differ by its rounding, but not be NaN."""
    mask = masks.BigBird(128, 1, 1, 0) & masks.Causal()
    call = Call(mask, bf16, head_dim, seqlens=(520, 520), heads=(1, 1), batch=1)
    tensors = make_tensors(call)
    rows, columns = 64, 64 if head_dim > 128 else 128  # of the kernel's tiles
    if deterministic:
        rows = 128  # dQ by rows has the forward's
    status = mask.tile_status(520, 520, (rows, columns))
    assert (status == 0).any() and (status != 0).any()
    clean = gradients_on_cuda(call, tensors, deterministic=deterministic)

    def poisoned(names: str, first: int, count: int) -> Results:
        changed = {name: getattr(tensors, name).clone() for name in names.split()}
        for values in changed.values():
            values[:, :, first : first + count] = torch.nan
        return gradients_on_cuda(call, tensors._replace(**changed), deterministic=deterministic)

    for column in range(status.shape[1]):
        dq = poisoned("k v", column * columns, columns).dq
        blind = (status[:, column] == 0).repeat_interleave(rows)[:520]
        assert not dq[:, :, blind].isnan().any()
        if deterministic:
            assert bits_equal(dq[:, :, blind], clean.dq[:, :, blind])
    for row in range(status.shape[0]):
        results = poisoned("q dout", row * rows, rows)
        blind = (status[row] == 0).repeat_interleave(columns)[:520]
        for name in ("dk", "dv"):
            assert bits_equal(getattr(results, name)[:, :, blind], getattr(clean, name)[:, :, blind])


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("head_dim, head_dim_v", [(64, 40), (128, 120), (256, 200)])
def test_nothing_is_touched_outside_of_the_tensors(head_dim, head_dim_v, deterministic):
    call = Call(masks.Causal("bottom-right"), fp16, head_dim, head_dim_v, (1100, 140), (2, 1), layout="bshd", batch=1)
    plain = make_tensors(call)
    guarded = [guarded_copy(t, device="cuda") for t in plain[:5]]
    with guarded_allocations() as made:
        results = run(call, Tensors(*(g.tensor for g in guarded)), deterministic=deterministic)
    assert len(made) >= 7, "out, lse, workspace; dq, dk, dv, workspace"
    for g in guarded:
        g.assert_intact()
    assert_matches_reference(call, plain, {name: t.cpu() for name, t in results._asdict().items()})


def test_cuda_graphs_of_forward_and_backward():
    call = Call(masks.Longformer(40, 75), bf16, 64, seqlens=(700, 900), heads=(4, 2))
    tensors = make_tensors(call).map(torch.Tensor.cuda)
    run(call, tensors, deterministic=True)  # loads the kernels, plans
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run(call, tensors, deterministic=True)
    tensors.q.add_(0.25)
    graph.replay()
    torch.cuda.synchronize()
    expected = run(call, tensors, deterministic=True)
    assert all(bits_equal(a, b) for a, b in zip(results, expected, strict=True))


def test_compiled_calls_have_gradients_too():
    call = Call(masks.Causal(), bf16, 64, seqlens=(70, 40))
    tensors = make_tensors(call).map(torch.Tensor.cuda)
    expected = run(call, tensors, deterministic=True)
    leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    attend = torch.compile(
        lambda q, k, v: ck_fmha.attention(q, k, v, call.mask, return_lse=True, deterministic=True),
        backend="aot_eager",
        fullgraph=True,
    )
    gradients = torch.autograd.grad(attend(*leaves), leaves, (tensors.dout, tensors.dlse))
    assert all(bits_equal(a, b) for a, b in zip(gradients, expected[2:5], strict=True))


@pytest.mark.parametrize("seqlen", [2**16, 2**20])
def test_spot_keys_of_long_sequences(seqlen):
    """dK and dV of a few keys, from the LSE and the output of the forward; dQ of a few queries is finite."""
    mask = masks.BigBird(64, num_random_blocks=0) & masks.Causal()
    generator = torch.Generator("cuda").manual_seed(1)
    q, k, v, dout = (
        torch.randn(1, 1, seqlen, 64, dtype=bf16, device="cuda", generator=generator) for _ in range(4)
    )  # fmt: skip
    leaves = [t.requires_grad_() for t in (q, k, v)]
    out, lse = ck_fmha.attention(*leaves, mask, return_lse=True)
    dq, dk, dv = torch.autograd.grad(out, leaves, dout)
    assert dq.isfinite().all() and dk.isfinite().all() and dv.isfinite().all()
    keys = torch.tensor([0, 63, 64, seqlen // 2 - 1, seqlen // 2, seqlen - 65, seqlen - 1], device="cuda")
    i, j = torch.arange(seqlen, device="cuda")[:, None], keys
    near = (i // 64 - j // 64).abs() <= 1
    allowed = (near | (j < 64) | (j >= seqlen - 64) | (i < 64) | (i >= seqlen - 64)) & (j <= i)
    results = {}
    for compute, rounded in ((torch.float64, False), (torch.float32, True)):
        q_, k_, v_, dout_, out_ = (t.detach()[0, 0].to(compute) for t in (q, k, v, dout, out))
        p = torch.exp(q_ @ k_[keys].T / 8 - lse.detach()[0, 0, :, None].to(compute)).masked_fill(~allowed, 0)
        ds = p * (dout_ @ v_[keys].T - (dout_ * out_).sum(-1, keepdim=True))
        if rounded:
            p, ds = p.to(bf16).to(compute), ds.to(bf16).to(compute)
        storage = bf16 if rounded else compute
        results[compute] = (ds.T @ q_ / 8).to(storage), (p.T @ dout_).to(storage)
    eps = torch.finfo(bf16).eps
    for n, key in enumerate(keys.tolist()):
        for number, (what, got) in enumerate({"dk": dk, "dv": dv}.items()):
            ref, naive = (results[compute][number][n] for compute in (torch.float64, torch.float32))
            assert_close_by_rule(got[0, 0, key], naive, ref, eps, what=f"{what} of key {key}")
