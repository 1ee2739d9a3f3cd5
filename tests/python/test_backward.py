"""Gradients of q, k and v, from out and from lse, against the reference."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ck_fmha
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from mask_cases import materialized
from random_calls import DTYPES, draw_call
from test_forward import EMPTY_ROWS, calls_of_pairs

CASES = calls_of_pairs(seed=1)


@pytest.mark.parametrize("call", CASES, ids=range(len(CASES)))
def test_pairs_of_parameters(call):
    tensors = make_tensors(call)
    results = run(call, tensors)
    for name, like in [("dq", tensors.q), ("dk", tensors.k), ("dv", tensors.v), ("dbias", tensors.bias)]:
        assert like is None or getattr(results, name).shape == like.shape
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "mask",
    [
        None,
        masks.Longformer(128, global_tokens=16),
        masks.BigBird(block_size=64),
        masks.BigBird() & masks.Causal(),
    ],
)
def test_seven_hundred_tokens(mask, dtype):
    call = Call(mask, dtype, head_dim=64, seqlens=(700, 700), heads=(4, 2), batch=1)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


@given(data=st.data())
def test_random_shapes_and_masks(data):
    check_random_call(data, st.integers(0, 80), st.integers(1, 48), depth=3)


@pytest.mark.slow
@given(data=st.data())
def test_larger_random_shapes_and_masks(data):
    check_random_call(data, st.integers(0, 400), st.integers(1, 256), depth=4)


def check_random_call(data, lengths, head_dims, depth) -> None:
    call, allowed = draw_call(data, lengths, head_dims, depth)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict(), allowed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask, seqlens", EMPTY_ROWS)
def test_rows_without_keys_pass_nothing_on(mask, seqlens, dtype):
    call = Call(mask, dtype, seqlens=seqlens)
    tensors = make_tensors(call)
    results = run(call, tensors)
    elements = materialized(mask, 2, 2, seqlens)
    empty_rows, empty_cols = ~elements.any(3), ~elements.any(2)
    assert (results.dq[empty_rows] == 0).all()
    assert (results.dk[empty_cols] == 0).all() and (results.dv[empty_cols] == 0).all()
    assert_matches_reference(call, tensors, results._asdict())


SUBSETS = [subset for n in (1, 2, 3) for subset in itertools.combinations("qkv", n)]


@pytest.mark.parametrize("wanted", SUBSETS, ids="".join)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_subset_of_inputs_that_require_grad(wanted, dtype):
    """What is asked for is what asking for everything gives; the others get nothing."""
    call = Call(masks.Longformer(20, 3), dtype, seqlens=(90, 70), heads=(4, 2))
    tensors = make_tensors(call)
    everything = run(call, tensors)
    q, k, v = (t.clone().requires_grad_(name in wanted) for name, t in zip("qkv", tensors[:3], strict=True))
    out = ck_fmha.attention(q, k, v, call.mask, enable_gqa=True, return_lse=True)
    assert all(t.requires_grad for t in out[: 2 if {"q", "k"} & set(wanted) else 1])
    if {"q", "k"} & set(wanted):
        torch.autograd.backward(out, (tensors.dout, tensors.dlse))
    else:
        out[0].backward(tensors.dout)
    for name, t in zip("qkv", (q, k, v), strict=True):
        if name not in wanted:
            assert t.grad is None
        else:
            assert bits_equal(t.grad, getattr(everything, f"d{name}"))


def test_nothing_requires_grad():
    q, k, v, *_ = make_tensors(Call())
    assert not ck_fmha.attention(q, k, v).requires_grad
    q.requires_grad_()
    with torch.no_grad():
        assert not ck_fmha.attention(q, k, v).requires_grad
    with torch.inference_mode():
        assert bits_equal(ck_fmha.attention(q, k, v).clone(), ck_fmha.attention(q.detach(), k, v).clone())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("kind", ["sum", "one row", "transposed", "row gaps", "last stride 2", "broadcast heads"])
def test_gradients_that_arrive_with_odd_strides(kind, layout, dtype):
    call = Call(masks.Causal(), dtype, seqlens=(50, 60), layout=layout)
    tensors = make_tensors(call)
    plain = tensors.dout
    gradient = {
        "sum": lambda: torch.ones((), dtype=dtype).expand_as(plain),
        "one row": lambda: plain[:, :1].expand_as(plain),
        "transposed": lambda: plain.mT.contiguous().mT,
        "row gaps": lambda: torch.nn.functional.pad(plain, (0, 3), value=torch.nan)[..., : plain.shape[-1]],
        "last stride 2": lambda: plain.repeat_interleave(2, -1)[..., ::2],
        "broadcast heads": lambda: plain[:1, :1].expand_as(plain),
    }[kind]()
    tensors = tensors._replace(dout=gradient)
    assert not gradient.is_contiguous()
    results = run(call, tensors)
    assert_matches_reference(call, tensors, results._asdict())
    contiguous = run(call, tensors._replace(dout=gradient.contiguous()))
    assert all(bits_equal(a, b) for a, b in zip(results, contiguous, strict=True))


def test_sum_backward_on_leaves():
    q, k, v = (torch.randn(2, 2, 30, 16, requires_grad=True) for _ in range(3))
    ck_fmha.attention(q, k, v, masks.Causal()).sum().backward()
    ours = [t.grad for t in (q, k, v)]
    q, k, v = (t.detach().clone().requires_grad_() for t in (q, k, v))
    torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
    for mine, theirs in zip(ours, (q.grad, k.grad, v.grad), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("expanded", [False, True])
def test_gradients_through_lse_alone(dtype, expanded):
    call = Call(masks.Window(9, 0, "bottom-right"), dtype, seqlens=(60, 50), heads=(4, 2))
    tensors = make_tensors(call)
    dlse = torch.ones(()).expand_as(tensors.dlse) if expanded else tensors.dlse
    tensors = tensors._replace(dout=torch.zeros_like(tensors.dout), dlse=dlse)
    q, k, v = (t.clone().requires_grad_() for t in tensors[:3])
    _, lse = ck_fmha.attention(q, k, v, call.mask, enable_gqa=True, return_lse=True)
    dq, dk, dv = torch.autograd.grad(lse, (q, k, v), dlse, materialize_grads=True)
    assert (dv == 0).all() and dq.abs().max() > 0 and dk.abs().max() > 0
    assert_matches_reference(call, tensors, {"dq": dq, "dk": dk, "dv": dv})


def test_gradients_through_out_alone_while_lse_is_returned():
    call = Call(masks.Causal(), seqlens=(60, 50))
    tensors = make_tensors(call)
    tensors = tensors._replace(dlse=torch.zeros_like(tensors.dlse))
    with_zero = run(call, tensors)
    q, k, v = (t.clone().requires_grad_() for t in tensors[:3])
    out, _ = ck_fmha.attention(q, k, v, call.mask, return_lse=True)
    grads = torch.autograd.grad(out, (q, k, v), tensors.dout)
    assert_matches_reference(call, tensors, dict(zip(("dq", "dk", "dv"), grads, strict=True)))
    assert all(bits_equal(a, b) for a, b in zip(grads, with_zero[2:5], strict=True))


def test_gradient_through_a_view_of_one_tensor():
    """Packed q, k and v: three strided views of one leaf."""
    packed = torch.randn(2, 30, 3, 2, 16, requires_grad=True)
    parts = packed.unbind(2)
    ck_fmha.attention(*parts, masks.Causal(), layout="bshd").square().sum().backward()
    ours, packed.grad = packed.grad, None
    q, k, v = (t.transpose(1, 2) for t in packed.unbind(2))
    torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).square().sum().backward()
    torch.testing.assert_close(ours, packed.grad, rtol=1e-4, atol=1e-5)


def test_the_same_tensor_thrice():
    x = torch.randn(1, 2, 40, 16, requires_grad=True)
    ck_fmha.attention(x, x, x, masks.Window(5, 5)).square().sum().backward()
    ours, x.grad = x.grad, None
    allowed = masks.Window(5, 5).materialize(40, 40)
    torch.nn.functional.scaled_dot_product_attention(x, x, x, allowed).square().sum().backward()
    torch.testing.assert_close(ours, x.grad, rtol=1e-4, atol=1e-5)


def test_backward_twice_over_a_kept_graph():
    q, k, v = (torch.randn(1, 2, 40, 16, requires_grad=True) for _ in range(3))
    out = ck_fmha.attention(q, k, v, masks.Causal())
    first = torch.autograd.grad(out.sum(), (q, k, v), retain_graph=True)
    second = torch.autograd.grad(out.sum(), (q, k, v))
    assert all(bits_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_input_changed_after_the_forward_is_noticed():
    q, k, v = (torch.randn(1, 2, 40, 16) for _ in range(3))
    q.requires_grad_()
    out = ck_fmha.attention(q, k, v, masks.Causal())
    k.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_checkpointing_recomputes_the_same():
    q, k, v = (torch.randn(1, 2, 40, 16, requires_grad=True) for _ in range(3))

    def attend(q, k, v):
        return ck_fmha.attention(q, k, v, masks.BigBird(block_size=4))

    plain = torch.autograd.grad(attend(q, k, v).square().sum(), (q, k, v))
    kept = torch.utils.checkpoint.checkpoint(attend, q, k, v, use_reentrant=False)
    again = torch.autograd.grad(kept.square().sum(), (q, k, v))
    assert all(bits_equal(a, b) for a, b in zip(plain, again, strict=True))


def test_rows_whose_scores_are_all_minus_infinity_count_as_empty():
    q = torch.ones(1, 1, 5, 4, requires_grad=True)
    k = torch.full((1, 1, 6, 4), -float("inf"), requires_grad=True)
    v = torch.randn(1, 1, 6, 4, requires_grad=True)
    out, lse = ck_fmha.attention(q, k, v, return_lse=True)
    assert torch.isneginf(lse).all() and torch.equal(out, torch.zeros_like(out))
    _, dk, dv = torch.autograd.grad(out, (q, k, v), torch.randn_like(out))
    assert torch.equal(dk, torch.zeros_like(k)) and torch.equal(dv, torch.zeros_like(v))
