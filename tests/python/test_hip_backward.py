"""Gradients of backend="hip": the package's own kernels, executed in the emulator."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from guard_bands import guarded_allocations, guarded_copy

pytestmark = hip_emulator.needs_emulator

TILE = (32, 128)  # rows and columns, up to head_dim 128
ORDERS = [
    "work_groups=reverse",
    "waves=reverse",
    "waves=reverse interleave=1 completion=early",
    "work_groups=random waves=random interleave=7 completion=random seed=5",
]


@pytest.fixture(autouse=True)
def emulated(monkeypatch) -> Iterator[None]:
    hip_emulator.set_environment(monkeypatch)
    yield
    hip_emulator.configure("")


def assert_right(call: Call, tensors: Tensors | None = None, **options) -> None:
    """The mask is a new one each time: what a kernel found of a mask's live tiles is kept with the mask."""
    call = replace(call, mask=None if call.mask is None else replace(call.mask))
    tensors = make_tensors(call) if tensors is None else tensors
    results = run(call, tensors, backend="hip", **options)
    assert_matches_reference(call, tensors, results._asdict())


bf16, fp16 = torch.bfloat16, torch.float16
CALLS = [
    Call(masks.Causal(), bf16, 128, seqlens=(150, 170), heads=(2, 2), batch=1),
    Call(masks.Causal("bottom-right"), fp16, 64, 40, (170, 150), (4, 2), layout="bshd"),
    Call(masks.Window(60, 50), bf16, 200, 256, (140, 100), (1, 1), batch=1),
    Call(masks.Causal(), fp16, 24, 32, (100, 260), (3, 1), scale=-0.3),
    Call(masks.Causal(), bf16, 64, seqlens=(70, 140), scale=0.0, memory="batch expanded"),
    Call(masks.Causal(), bf16, 64, seqlens=(70, 40), memory="heads inside"),
    Call(masks.Causal(), bf16, 64, seqlens=(70, 40), memory="last stride 2"),
    Call(masks.Causal(), bf16, 128, seqlens=(1, 300), batch=1),
    Call(masks.BigBird(32, 3, 1, 1, seed=3), bf16, 64, seqlens=(300, 300), batch=1),
    Call(masks.Lengths([50, 0], [70, 9]), fp16, 128, seqlens=(90, 200)),
]


# One of each kind, of few kernels: what a fault in a kernel is tried on first.
EVERYTHING = masks.Window(-1, -1)  # the structure of the others
SMALL = {
    "causal": Call(masks.Causal("bottom-right"), fp16, 64, seqlens=(150, 170), heads=(1, 1), batch=1),
    "wide": Call(masks.Causal("bottom-right"), fp16, 256, seqlens=(70, 140), heads=(1, 1), batch=1),
    "sparse": Call(masks.Window(20, 5, num_sinks=1), fp16, 64, seqlens=(300, 300), heads=(1, 1), batch=1),
    "ragged": Call(EVERYTHING, fp16, 64, seqlens=(70, 90), heads=(2, 2), batch=1),
    "padded head_dim": Call(EVERYTHING, fp16, 24, 40, seqlens=(70, 90), heads=(2, 2), batch=1),
    "grouped heads": Call(EVERYTHING, fp16, 64, seqlens=(70, 150), heads=(4, 2), batch=1),
    "empty rows": Call(masks.Causal("bottom-right"), fp16, 64, seqlens=(140, 70), heads=(1, 1), batch=1),
    "cut columns": Call(masks.Causal(), fp16, 64, seqlens=(1100, 70), heads=(1, 1), batch=1),
    "cut rows": Call(masks.Causal("bottom-right"), fp16, 64, seqlens=(70, 1100), heads=(2, 2), batch=1),
    "tiles far apart": Call(masks.Longformer(20, [4690]), fp16, 64, seqlens=(4700, 150), heads=(1, 1), batch=1),
}


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_small_calls(name, deterministic):
    assert_right(SMALL[name], deterministic=deterministic)


@pytest.mark.parametrize("name, deterministic", [("causal", False), ("causal", True), ("wide", False)])
def test_orders_of_waves_and_memory_do_not_matter(name, deterministic):
    for order in ORDERS:
        hip_emulator.configure(order)
        assert_right(SMALL[name], deterministic=deterministic)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_gradients(call):
    assert_right(call)


@pytest.mark.parametrize("call", CALLS[:4], ids=str)
def test_deterministic_gradients(call):
    assert_right(call, deterministic=True)


@pytest.mark.parametrize("deterministic", [False, True])
def test_gradients_on_the_other_architecture(monkeypatch, deterministic):
    hip_emulator.set_environment(monkeypatch, "gfx90a")
    assert_right(CALLS[1], deterministic=deterministic)


# 16,384 equal probabilities: just below what gfx90a's products take for zero in float16.
SMALL_PROBABILITIES = Call(
    masks.Causal("bottom-right"), fp16, 32, seqlens=(8, 16800), heads=(1, 1), batch=1, scale=1e-4
)


def test_small_probabilities_are_not_lost(monkeypatch):
    hip_emulator.set_environment(monkeypatch, "gfx90a")
    assert_right(SMALL_PROBABILITIES)


def test_keys_past_the_end_count_for_nothing():
    # Their scores would be 0, where those of the others are so low that 2^(0 - LSE) overflows.
    call = Call(masks.Window(-1, -1), bf16, 64, seqlens=(64, 70), heads=(1, 1), batch=1, scale=1.0)
    tensors = make_tensors(call)
    assert_right(call, tensors._replace(q=tensors.q.abs() * 2, k=-tensors.k.abs() * 2))


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("heads", [(1, 1), (2, 1)])
@pytest.mark.parametrize("seqlens", [(300, 70), (70, 300)])
def test_rows_and_columns_that_attend_nothing_have_gradients_of_zero(seqlens, heads, deterministic):
    """Whole tiles of them, and some in tiles of which others attend something."""
    call = Call(masks.Window(20, 5), fp16, 64, seqlens=seqlens, heads=heads, batch=1)
    allowed = call.mask.materialize(*seqlens)
    results = run(call, make_tensors(call), backend="hip", deterministic=deterministic)
    empty_rows, empty_columns = ~allowed.any(1), ~allowed.any(0)
    assert empty_rows.any() or empty_columns.any()
    assert (results.dq[:, :, empty_rows] == 0).all()
    assert (results.dk[:, :, empty_columns] == 0).all() and (results.dv[:, :, empty_columns] == 0).all()
    assert (results.dq[:, :, ~empty_rows] != 0).any(-1).all() and (results.dk[:, :, ~empty_columns] != 0).any(-1).all()


@pytest.mark.parametrize("heads", [(1, 1), (4, 2)])
def test_cut_columns_are_summed(heads):
    # 41 tiles a column: pieces of at most 16.
    call = Call(masks.Causal(), fp16, 32, seqlens=(1300, 140), heads=heads, batch=1)
    assert_right(call)


def test_heads_that_share_keys_may_have_other_masks():
    mask = masks.per_head([masks.Causal(), masks.Window(9, 9), masks.BigBird(32, 1, 1, 1), masks.Window(-1, 40)])
    assert_right(Call(mask, bf16, 64, seqlens=(200, 200), heads=(4, 2)))


def ordered(call: Call, tensors: Tensors, order: str, deterministic: bool) -> list[torch.Tensor]:
    hip_emulator.configure(order)
    return list(run(call, tensors, backend="hip", deterministic=deterministic)[:5])


LONG = Call(masks.Causal("bottom-right"), fp16, 32, seqlens=(1200, 600), heads=(2, 1), batch=1)


def test_only_deterministic_gradients_of_q_are_the_same_in_every_order():
    tensors = make_tensors(LONG)
    expected = ordered(LONG, tensors, "", True)
    added = ordered(LONG, tensors, "", False)
    for order in ORDERS:
        assert all(bits_equal(a, b) for a, b in zip(ordered(LONG, tensors, order, True), expected, strict=True)), order
    others = ordered(LONG, tensors, ORDERS[0], False)
    same = {name: bits_equal(a, b) for name, a, b in zip(["out", "lse", "dq", "dk", "dv"], added, others, strict=True)}
    assert same == {"out": True, "lse": True, "dq": False, "dk": True, "dv": True}


def test_torch_s_switch_asks_for_deterministic_gradients():
    tensors = make_tensors(LONG)
    expected = ordered(LONG, tensors, "", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert bits_equal(ordered(LONG, tensors, ORDERS[0], False)[2], expected[2])
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("deterministic", [False, True])
def test_what_is_not_attended_is_not_read(deterministic):
    mask = masks.BigBird(128, 1, 1, 0) & masks.Causal()
    call = Call(mask, bf16, 64, seqlens=(520, 520), heads=(1, 1), batch=1)
    tensors = make_tensors(call)
    clean = run(call, tensors, backend="hip", deterministic=deterministic)
    status = mask.tile_status(520, 520, TILE)
    assert (status == 0).any() and (status != 0).any()

    def poisoned(name: str, first: int, last: int) -> torch.Tensor:
        values = getattr(tensors, name).clone()
        values[:, :, first:last] = torch.nan
        return values

    for column in range(status.shape[1]):
        span = (column * TILE[1], (column + 1) * TILE[1])
        changed = tensors._replace(k=poisoned("k", *span), v=poisoned("v", *span))
        dq = run(call, changed, backend="hip", deterministic=deterministic).dq
        rows = (status[:, column] == 0).repeat_interleave(TILE[0])[:520]
        assert bits_equal(dq[:, :, rows], clean.dq[:, :, rows])
    for row in range(0, status.shape[0], 4):
        span = (row * TILE[0], (row + 4) * TILE[0])
        changed = tensors._replace(q=poisoned("q", *span), dout=poisoned("dout", *span))
        results = run(call, changed, backend="hip", deterministic=deterministic)
        columns = (status[row : row + 4] == 0).all(0).repeat_interleave(TILE[1])[:520]
        for name in ("dk", "dv"):
            got, expected = getattr(results, name), getattr(clean, name)
            assert bits_equal(got[:, :, columns], expected[:, :, columns])


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_is_touched_outside_of_the_tensors(deterministic):
    call = Call(masks.Causal(), fp16, 64, 40, (1100, 140), (2, 1), layout="bshd", batch=1)
    plain = make_tensors(call)
    guarded = [guarded_copy(t) for t in plain[:5]]
    with guarded_allocations() as made:
        run(call, Tensors(*(g.tensor for g in guarded)), backend="hip", deterministic=deterministic)
    # out, lse, workspace; dq, dk, dv, workspace; in the place of the gradient of the bias something empty, twice
    assert len(made) >= 7
    for g in guarded:
        g.assert_intact()


@pytest.mark.parametrize("batch, seqlens", [(0, (9, 9)), (2, (0, 9)), (2, (9, 0))])
def test_calls_without_scores_have_zero_gradients(batch, seqlens):
    assert_right(Call(dtype=fp16, head_dim=8, seqlens=seqlens, batch=batch))


def test_gradients_nobody_asks_for_are_not_there():
    call = replace(CALLS[5], memory="contiguous")
    tensors = make_tensors(call)
    expected = run(call, tensors, backend="hip")
    k = tensors.k.detach().requires_grad_()
    out = ck_fmha.attention(tensors.q, k, tensors.v, call.mask, backend="hip")
    out.backward(tensors.dout)
    without_lse = run(call, tensors._replace(dlse=torch.zeros_like(tensors.dlse)), backend="hip")
    assert bits_equal(k.grad, without_lse.dk) and not bits_equal(k.grad, expected.dk)


def test_the_gradient_of_a_sum_has_no_memory_of_its_own():
    call = replace(CALLS[5], memory="contiguous")
    tensors = make_tensors(call)
    leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    ck_fmha.attention(*leaves, call.mask, backend="hip").sum().backward()
    ones = tensors._replace(dout=torch.ones_like(tensors.dout), dlse=torch.zeros_like(tensors.dlse))
    expected = run(call, ones, backend="hip")
    assert all(bits_equal(leaf.grad, g) for leaf, g in zip(leaves, expected[2:5], strict=True))


def test_rows_that_lie_in_one_place():
    call = replace(CALLS[5], memory="contiguous")
    plain = make_tensors(call)
    q, dout = (t[:, :, :1].expand(t.shape) for t in (plain.q, plain.dout))
    expected = run(call, plain._replace(q=q.contiguous(), dout=dout.contiguous()), backend="hip", deterministic=True)
    got = run(call, plain._replace(q=q, dout=dout), backend="hip", deterministic=True)
    assert all(bits_equal(a, b) for a, b in zip(got[:5], expected[:5], strict=True))


def test_compiled_calls_have_gradients_too():
    call = replace(CALLS[5], memory="contiguous")
    tensors = make_tensors(call)
    expected = run(call, tensors, backend="hip", deterministic=True)
    leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    attend = torch.compile(
        lambda q, k, v: ck_fmha.attention(q, k, v, call.mask, return_lse=True, backend="hip", deterministic=True),
        backend="aot_eager",
        fullgraph=True,
    )
    gradients = torch.autograd.grad(attend(*leaves), leaves, (tensors.dout, tensors.dlse))
    assert all(bits_equal(a, b) for a, b in zip(gradients, expected[2:5], strict=True))
