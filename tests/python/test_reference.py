"""The reference against torch's attention and autograd in float64, and the tools against plain loops."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import reference
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
    for mine, theirs in zip(ours[:5], (out, lse, *grads), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-12, atol=1e-12)


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


def test_naive_rounds_to_the_working_dtype():
    q, k, v, dout, dlse = (t.bfloat16() for t in tensors(4))
    exact = reference.attention(q, k, v, dout=dout, dlse=dlse)
    naive = reference.attention(q, k, v, dout=dout, dlse=dlse, compute=torch.float32, storage=torch.bfloat16)
    for name in ("out", "dq", "dk", "dv"):
        value = getattr(naive, name)
        assert torch.equal(value, value.bfloat16().float())
        error = (value - getattr(exact, name)).abs().max() / getattr(exact, name).abs().max()
        assert 1e-4 < error < 3e-2


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
