"""The reference against torch's attention and autograd in float64, and the tools against plain loops."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import reference
from calls import FEATURES, Call, make_tensors
from guard_bands import GUARD, carve, guarded_allocations
from pairwise import pairwise


def tensors(heads_kv: int):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 9, 5), (2, heads_kv, 13, 5), (2, heads_kv, 13, 3), (2, 4, 9, 3), (2, 4, 9)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("heads_kv", [4, 2, 1])
@pytest.mark.parametrize("scale", [None, 0.0, -0.7, 2.0])
@pytest.mark.parametrize("per_head", [False, True])
def test_reference_agrees_with_torch_autograd(heads_kv, scale, per_head):
    q, k, v, dout, dlse = tensors(heads_kv)
    generator = torch.Generator().manual_seed(1)
    allowed = torch.rand((4, 9, 13) if per_head else (9, 13), generator=generator) < 0.4
    allowed[..., 0] = True  # torch's gradients of empty rows are not what is compared here
    q, k, v = (t.requires_grad_() for t in (q, k, v))
    ours = reference.attention(q, k, v, allowed, scale=scale, dout=dout, dlse=dlse)

    out = scaled_dot_product_attention(q, k, v, allowed, scale=scale, enable_gqa=True)
    factor = 1 / math.sqrt(5) if scale is None else scale
    scores = factor * q @ k.repeat_interleave(4 // heads_kv, 1).mT
    lse = scores.masked_fill(~allowed, -math.inf).logsumexp(-1)
    grads = torch.autograd.grad((out, lse), (q, k, v), (dout, dlse))
    assert_same(ours[:5], (out, lse, *grads))


def assert_same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 4, 9, 13), (4, 1, 13), (9, 1), (13,), (1, 1, 1, 1), ()])
@pytest.mark.parametrize("heads_kv", [4, 2])
def test_bias_is_the_float_mask_of_torch(shape, heads_kv):
    q, k, v, dout, _ = tensors(heads_kv)
    generator = torch.Generator().manual_seed(1)
    bias = torch.randn(shape, generator=generator, dtype=torch.float64)
    if shape[-1:] == (13,):
        bias[..., 3] = -math.inf
    ours = reference.attention(q, k, v, bias=bias, dout=dout)
    inputs = [t.requires_grad_() for t in (q, k, v, bias)]
    out = scaled_dot_product_attention(q, k, v, bias.expand(2, 4, 9, 13), enable_gqa=True)
    assert ours.dbias.shape == shape
    assert_same((ours.out, *ours[2:6]), (out, *torch.autograd.grad(out, inputs, dout)))


@pytest.mark.parametrize("slopes", [[0.5, 0.25, 0.0, -1.0], [[0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 0.0]]])
def test_slopes_are_a_bias_of_distances(slopes):
    """The last query stands at the last key, as in FlashAttention."""
    q, k, v, dout, dlse = tensors(4)
    bias = torch.zeros(2, 4, 9, 13, dtype=torch.float64)
    for i in range(9):
        for j in range(13):
            bias[:, :, i, j] = -torch.tensor(slopes, dtype=torch.float64) * abs(i + 13 - 9 - j)
    ours = reference.attention(q, k, v, slopes=torch.tensor(slopes), dout=dout, dlse=dlse)
    theirs = reference.attention(q, k, v, bias=bias, dout=dout, dlse=dlse)
    for mine, other in zip(ours[:5], theirs[:5], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)  # slopes are float32
    assert (bias[:, :, 8, 12] == 0).all()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: "-".join(feature) or "plain")
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_every_feature_agrees_with_autograd_through_its_formula(feature, heads):
    call = Call(dtype=torch.float64, head_dim=5, head_dim_v=3, seqlens=(9, 13), heads=heads, **feature)
    q, k, v, dout, dlse, bias, slopes = make_tensors(call)
    bias = bias if bias is None else bias.double()
    allowed = torch.ones(9, 13, dtype=torch.bool).tril(6)
    kept = call.kept()
    ours = reference.attention(
        q,
        k,
        v,
        allowed,
        bias=bias,
        slopes=slopes,
        softcap=call.softcap,
        kept=kept,
        dropout_p=call.dropout_p,
        dout=dout,
        dlse=dlse,
    )
    inputs = [t.requires_grad_() for t in (q, k, v, bias) if t is not None]
    groups = heads[0] // heads[1]
    scores = q @ k.repeat_interleave(groups, 1).mT / math.sqrt(5)
    if call.softcap:
        scores = call.softcap * (scores / call.softcap).tanh()
    if bias is not None:
        scores = scores + bias
    if slopes is not None:
        scores = scores - slopes.double()[..., None, None] * (torch.arange(9)[:, None] + 4 - torch.arange(13)).abs()
    scores = scores.masked_fill(~allowed, -math.inf)
    p = scores.softmax(-1)
    if kept is not None:
        p = p * kept / (1 - call.dropout_p)
    out, lse = p @ v.repeat_interleave(groups, 1), scores.logsumexp(-1)
    grads = torch.autograd.grad((out, lse), inputs, (dout, dlse))
    assert_same(ours[: 2 + len(grads)], (out, lse, *grads))


def test_the_cap_holds_and_dropout_of_everything_is_zero():
    q, k, v, dout, dlse = tensors(4)
    capped = reference.attention(100 * q, k, v, softcap=0.5)
    assert (capped.lse - math.log(13)).abs().max() <= 0.5
    nothing = torch.zeros(2, 4, 9, 13, dtype=torch.bool)
    dropped = reference.attention(q, k, v, kept=nothing, dropout_p=1.0, dout=dout, dlse=dlse)
    assert (dropped.out == 0).all() and (dropped.dv == 0).all() and dropped.dq.abs().max() > 0
    torch.testing.assert_close(dropped.lse, reference.attention(q, k, v).lse)


@pytest.mark.parametrize("compute", [torch.float64, torch.float32])
def test_empty_rows_give_zero_and_pass_nothing_on(compute):
    q, k, v, dout, dlse = tensors(2)
    allowed = torch.ones(9, 13, dtype=torch.bool)
    allowed[4:] = False
    with_empty = reference.attention(q, k, v, allowed, dout=dout, dlse=dlse, compute=compute)
    alone = reference.attention(
        q[:, :, :4], k, v, allowed[:4], dout=dout[:, :, :4], dlse=dlse[:, :, :4], compute=compute
    )
    assert (with_empty.out[:, :, 4:] == 0).all() and (with_empty.dq[:, :, 4:] == 0).all()
    assert (with_empty.lse[:, :, 4:] == -math.inf).all()
    for name in ("dk", "dv"):
        torch.testing.assert_close(getattr(with_empty, name), getattr(alone, name), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(with_empty.out[:, :, :4], alone.out)


def test_no_keys_and_no_rows():
    q, k, v, dout, dlse = tensors(4)
    none = reference.attention(q, k[:, :, :0], v[:, :, :0], dout=dout, dlse=dlse)
    assert (none.out == 0).all() and (none.lse == -math.inf).all() and (none.dq == 0).all()
    assert none.dk.shape == (2, 4, 0, 5)
    assert reference.attention(q[:, :, :0], k, v).out.shape == (2, 4, 0, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_naive_rounds_to_the_working_dtype(dtype):
    q, k, v, dout, dlse = (t.to(dtype) for t in tensors(4))
    arguments = {"bias": torch.randn(9, 13).to(dtype), "dout": dout, "dlse": dlse}
    exact = reference.attention(q, k, v, **arguments)
    naive = reference.attention(q, k, v, **arguments, compute=torch.float32, storage=dtype)
    for name in ("out", "dq", "dk", "dv", "dbias"):
        value = getattr(naive, name)
        assert torch.equal(value, value.to(dtype).float())
        error = (value - getattr(exact, name)).abs().max() / getattr(exact, name).abs().max()
        assert torch.finfo(dtype).eps / 64 < error < 4 * torch.finfo(dtype).eps


def test_pairwise_brings_all_pairs_together():
    parameters = {"a": [1, 2, 3], "b": ["x", "y"], "c": [None, 0.5, 1.5, 2.5], "d": [True, False]}
    cases = pairwise(parameters)
    for one in parameters:
        for two in parameters:
            if one < two:
                met = {(case[one], case[two]) for case in cases}
                assert met == {(x, y) for x in parameters[one] for y in parameters[two]}
    assert len(cases) < 20  # all combinations would be 48


def test_guard_bands_notice_a_write():
    for offset in (-1, -GUARD, 12, 12 + GUARD - 1):
        guarded = carve((3, 4))
        assert guarded.tensor.isnan().all()
        guarded.tensor.fill_(1)
        guarded.assert_intact()
        guarded.buffer[GUARD + offset] = 0
        with pytest.raises(AssertionError, match="guard bands"):
            guarded.assert_intact()


def test_guarded_allocations_stand_in_for_torch():
    with guarded_allocations() as made:
        one, two = torch.empty(2, 3), torch.zeros_like(torch.ones(4))
        three = one.new_empty((2, 2))
    assert [g.tensor.data_ptr() for g in made] == [one.data_ptr(), two.data_ptr(), three.data_ptr()]
    assert one.isnan().all() and three.isnan().all() and (two == 0).all()
    with pytest.raises(AssertionError, match="guard bands"), guarded_allocations():
        torch.empty(5).as_strided((1,), (1,), GUARD + 5).fill_(0)
