"""scaled_dot_product_attention with torch's tensor semantics: dense masks, broadcast leading dimensions, dropout."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

import ck_fmha
from calls import bits_equal
from ck_fmha import masks
from test_sdpa import OURS, TOLERANCE, TORCH, assert_same_with_gradients, tensors

DTYPES = list(TOLERANCE)
# For calls with query (2, 3, 33, d) and key (2, 3, 47, d).
MASK_SHAPES = [
    (33, 47),
    (1, 47),
    (33, 1),
    (1, 1),
    (3, 33, 47),
    (1, 33, 47),
    (3, 1, 1),
    (2, 3, 33, 47),
    (2, 1, 33, 47),
    (1, 3, 33, 47),
    (2, 1, 1, 47),
    (1, 1, 33, 1),
    (2, 3, 1, 1),
]


def bool_mask(shape, share: float = 0.6) -> torch.Tensor:
    """True = attend. Every row of the call keeps a key, so that torch's gradients are numbers on every version."""
    mask = torch.rand(shape) < share
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", MASK_SHAPES)
def test_bool_masks(shape, dtype):
    mask = bool_mask(shape)
    inputs = tensors(2, 3, dtype=dtype)
    assert_same_with_gradients(
        inputs, lambda *t: OURS(*t, attn_mask=mask), lambda *t: TORCH(*t, attn_mask=mask.expand(2, 3, 33, 47)), dtype
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", MASK_SHAPES)
def test_float_masks_and_their_gradients(shape, dtype):
    mask = torch.randn(shape).to(dtype).requires_grad_()
    assert_same_with_gradients(
        [*tensors(2, 3, dtype=dtype), mask],
        lambda q, k, v, m: OURS(q, k, v, m),
        lambda q, k, v, m: TORCH(q, k, v, m.expand(2, 3, 33, 47)),
        dtype,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_masks_beside_halves(dtype):
    mask = torch.randn(33, 47, requires_grad=True)
    q, k, v = tensors(2, 3, dtype=dtype)
    out = OURS(q, k, v, mask)
    (gradient,) = torch.autograd.grad(out.float().square().sum(), mask)
    assert out.dtype == dtype and gradient.dtype == torch.float32 and gradient.shape == (33, 47)
    exact = TORCH(q.double(), k.double(), v.double(), mask.double())
    torch.testing.assert_close(out.double(), exact, **TOLERANCE[dtype])


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (4, 2, 3), (2, 1, 2, 3), (0, 3), (2, 0)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_follow_any_number_of_leading_dimensions(kind, leading):
    for dimensions in range(len(leading) + 1):
        for ones in itertools.islice(itertools.product([False, True], repeat=dimensions), 8):
            lead = tuple(1 if one else n for one, n in zip(ones, leading[len(leading) - dimensions :], strict=True))
            mask = bool_mask((*lead, 33, 47)) if kind == "bool" else torch.randn(*lead, 33, 47)
            q, k, v = (t.detach() for t in tensors(*leading))
            expected = TORCH(q, k, v, mask.expand(*leading, 33, 47))
            torch.testing.assert_close(OURS(q, k, v, mask), expected, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("memory", ["transposed", "last stride 2", "expanded"])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_of_any_strides(kind, memory):
    plain = bool_mask((2, 3, 33, 47)) if kind == "bool" else torch.randn(2, 3, 33, 47)
    mask = {
        "transposed": lambda: plain.mT.contiguous().mT,
        "last stride 2": lambda: plain.repeat_interleave(2, -1)[..., ::2],
        "expanded": lambda: plain[:1, :1].expand_as(plain),
    }[memory]()
    assert not mask.is_contiguous()
    q, k, v = tensors(2, 3)
    assert bits_equal(OURS(q, k, v, mask), OURS(q, k, v, mask.contiguous()))
    torch.testing.assert_close(OURS(q, k, v, mask), TORCH(q, k, v, mask), **TOLERANCE[torch.float32])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_fully_masked_rows_are_zero(kind, dtype):
    """Whatever torch's version makes of them."""
    attend = bool_mask((33, 47))
    attend[5], attend[20:] = False, False
    mask = attend if kind == "bool" else torch.zeros(33, 47, dtype=dtype).masked_fill(~attend, -math.inf)
    q, k, v = tensors(2, 3, dtype=dtype)
    out = OURS(q, k, v, mask)
    empty = ~attend.any(1)
    assert (out[:, :, empty] == 0).all()
    expected = TORCH(q[:, :, ~empty], k, v, mask[~empty])
    torch.testing.assert_close(out[:, :, ~empty], expected, **TOLERANCE[dtype])
    dout = torch.randn_like(out)
    grads = torch.autograd.grad(out, (q, k, v), dout)
    assert (grads[0][:, :, empty] == 0).all()
    for mine, other in zip(grads, torch.autograd.grad(expected, (q, k, v), dout[:, :, ~empty]), strict=True):
        torch.testing.assert_close(mine, other, **TOLERANCE[dtype])


def test_no_keys_give_zero():
    for mask in (torch.zeros(33, 0, dtype=torch.bool), torch.zeros(3, 33, 0), None):
        out = OURS(torch.randn(2, 3, 33, 24), torch.randn(2, 3, 0, 24), torch.randn(2, 3, 0, 16), mask)
        assert out.shape == (2, 3, 33, 16) and (out == 0).all()


LEADS = [
    ((2, 3), (1, 3), (2, 3)),
    ((1, 3), (2, 3), (2, 3)),
    ((3,), (2, 3), (2, 3)),
    ((2, 3), (3,), (3,)),
    ((2, 3), (2, 1), (2, 1)),
    ((2, 1), (2, 3), (2, 1)),
    ((2, 3), (), ()),
    ((), (2, 3), ()),
    ((), (3,), (3,)),
    ((4, 1, 3), (2, 3), (4, 2, 1)),
    ((4, 2, 3), (2, 3), (1, 1, 3)),
    ((1, 0, 3), (2, 1, 3), (3,)),
    ((2, 3), (1, 3), (1, 3)),
]


@pytest.mark.parametrize("leads", LEADS, ids=str)
@pytest.mark.parametrize("is_causal", [False, True])
def test_leading_dimensions_broadcast(leads, is_causal):
    """As matmul has it, the number of heads included; gradients are summed over what was repeated."""
    inputs = [
        torch.randn(*lead, *shape, requires_grad=True)
        for lead, shape in zip(leads, [(33, 24), (47, 24), (47, 16)], strict=True)
    ]
    together = torch.broadcast_shapes(*leads)

    def expanded(q, k, v):
        return TORCH(*(t.expand(*together, *t.shape[-2:]) for t in (q, k, v)), is_causal=is_causal)

    assert_same_with_gradients(inputs, lambda *t: OURS(*t, is_causal=is_causal), expanded)


def test_broadcast_heads_are_not_grouped_heads():
    """Without enable_gqa one head stands for all; with it, groups share a head, and samples still broadcast."""
    q, k, v = torch.randn(5, 4, 33, 24), torch.randn(1, 2, 47, 24), torch.randn(1, 2, 47, 24)
    expected = TORCH(q, *(t.repeat_interleave(2, 1).expand(5, 4, 47, 24) for t in (k, v)))
    torch.testing.assert_close(OURS(q, k, v, enable_gqa=True), expected, **TOLERANCE[torch.float32])
    with pytest.raises(ValueError, match=r"(?s)4.*2|heads"):
        OURS(q, k, v)


def test_masks_beside_broadcast_operands():
    q, k, v = torch.randn(2, 3, 33, 24), torch.randn(3, 47, 24), torch.randn(1, 1, 47, 24)
    full = [q, k.expand(2, 3, 47, 24), v.expand(2, 3, 47, 24)]
    for mask in (bool_mask((2, 1, 33, 47)), torch.randn(3, 33, 47), torch.randn(33, 47)):
        expected = TORCH(*full, mask.expand(2, 3, 33, 47))
        torch.testing.assert_close(OURS(q, k, v, mask), expected, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("heads_kv", [1, 2, 4])
def test_masks_with_enable_gqa(heads_kv, dtype):
    mask = torch.randn(4, 33, 47).to(dtype).requires_grad_()
    assert_same_with_gradients(
        [*tensors(2, 4, heads_kv=heads_kv, dtype=dtype), mask],
        lambda q, k, v, m: OURS(q, k, v, m, enable_gqa=True),
        lambda q, k, v, m: TORCH(q, k, v, m.expand(2, 4, 33, 47), enable_gqa=True),
        dtype,
    )


def test_a_bool_mask_is_what_a_mask_object_materializes():
    mask = masks.Longformer(8, 2)
    q, k, v = tensors(2, 3)
    dense = OURS(q, k, v, mask.materialize(33, 47))
    torch.testing.assert_close(dense, OURS(q, k, v, mask), **TOLERANCE[torch.float32])


def test_a_float_mask_is_a_bias():
    q, k, v = (t.detach() for t in tensors(2, 3))
    mask = torch.randn(3, 1, 47)
    assert bits_equal(OURS(q, k, v, mask), ck_fmha.attention(q, k, v, bias=mask))


def test_a_tensor_together_with_is_causal_is_refused(raises):
    q, k, v = tensors(2, 3)
    for mask in (bool_mask((33, 47)), torch.zeros(33, 47)):
        raises(ValueError, lambda m=mask: OURS(q, k, v, m, is_causal=True), "attn_mask", "is_causal")


@pytest.mark.parametrize("shape", [(33, 46), (32, 47), (2, 33, 47), (3, 3, 33, 47), (2, 2, 33, 47), (33, 2)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_masks_that_do_not_broadcast(raises, shape, dtype):
    q, k, v = tensors(2, 3)
    received = r",\s*".join(map(str, shape))
    raises(ValueError, lambda: OURS(q, k, v, torch.zeros(shape, dtype=dtype)), "attn_mask", received, "33.*47")


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float64, torch.float16, torch.complex64])
def test_masks_of_other_dtypes(raises, dtype):
    q, k, v = tensors(2, 3)
    refused = (TypeError, ValueError)
    raises(refused, lambda: OURS(q, k, v, torch.zeros(33, 47, dtype=dtype)), "attn_mask", str(dtype)[6:], "bool")


@pytest.mark.parametrize(
    "shapes",
    [((5,),) * 3, ((2, 3, 4, 5), (3, 3, 4, 5), (3, 3, 4, 5)), ((2, 3, 4, 5), (2, 3, 4, 5), (4, 3, 4, 5))],
)
def test_shapes_that_do_not_broadcast(raises, shapes):
    q, k, v = (torch.zeros(shape) for shape in shapes)
    raises(ValueError, lambda: OURS(q, k, v), r"query|key|value", r"\(\d")


def test_dropout_is_that_of_attention():
    q, k, v = (t.detach() for t in tensors(2, 3))
    torch.manual_seed(3)
    ours = OURS(q, k, v, masks.Window(9, 9), 0.3)
    torch.manual_seed(3)
    assert bits_equal(ours, ck_fmha.attention(q, k, v, masks.Window(9, 9), dropout_p=0.3))
    assert not torch.equal(ours, OURS(q, k, v, masks.Window(9, 9), 0.3))
    assert (OURS(q, k, v, dropout_p=1.0) == 0).all()
    assert bits_equal(OURS(q, k, v, dropout_p=0.0), OURS(q, k, v))


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_dropout_rate_is_torchs(p):
    """Both read off the output by values that are unit vectors, and both within five standard deviations."""
    zeros, v = torch.zeros(4, 4, 100, 8), torch.eye(100).expand(4, 4, 100, 100)
    for attend in (OURS, TORCH):
        out = attend(zeros, zeros, v, dropout_p=p)
        kept = out != 0
        assert abs(float(kept.double().mean()) - (1 - p)) < 5 * math.sqrt(p * (1 - p) / kept.numel()) + 2**-16
        torch.testing.assert_close(out[kept], torch.full_like(out[kept], 0.01 / (1 - p)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("leading", [(), (3,), (2, 1, 3)])
def test_dropout_with_other_leading_dimensions(leading):
    torch.manual_seed(4)
    q, k, v = tensors(*leading)
    out = OURS(q, k, v, dropout_p=0.5)
    assert out.shape == (*leading, 33, 24) and out.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum(), (q, k, v)))


def test_dropout_probabilities_that_are_none(raises):
    q, k, v = tensors(2, 3)
    for p in (-0.1, 1.5, math.nan):
        raises(ValueError, lambda p=p: OURS(q, k, v, dropout_p=p), r"dropout_p", rf"{p}")
    raises(TypeError, lambda: OURS(q, k, v, dropout_p="0.1"), r"dropout_p", r"0\.1|str")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_masks_under_autocast(dtype):
    inputs = tensors(2, 3)
    for mask in (bool_mask((33, 47)), torch.randn(33, 47)):
        with torch.autocast("cpu", dtype=dtype):
            out, expected = OURS(*inputs, mask), TORCH(*inputs, mask)
        assert out.dtype == expected.dtype == dtype
        torch.testing.assert_close(out, expected, **TOLERANCE[dtype])


def substitute(monkeypatch) -> list:
    """Put ours where torch's own layers look the function up; the list grows with every call."""
    calls: list = []

    def counted(*args, **kwargs):
        calls.append(args)
        return OURS(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    return calls


def test_layers_of_torch_with_padding_and_causal_masks(monkeypatch):
    """torch.nn.TransformerEncoderLayer merges both into one float mask of four dimensions."""
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True).train()
    x = torch.randn(3, 20, 32)
    padding = torch.arange(20) >= torch.tensor([20, 13, 1])[:, None]
    causal = torch.nn.Transformer.generate_square_subsequent_mask(20)
    arguments = {"src_mask": causal, "src_key_padding_mask": torch.zeros(3, 20).masked_fill(padding, -math.inf)}
    expected = layer(x, **arguments)
    calls = substitute(monkeypatch)
    out = layer(x, **arguments)
    assert len(calls) == 1
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_layers_of_torch_with_dropout(monkeypatch):
    layer = torch.nn.MultiheadAttention(32, 4, dropout=0.5, batch_first=True).train()
    x = torch.randn(2, 20, 32)
    calls = substitute(monkeypatch)
    torch.manual_seed(8)
    one = layer(x, x, x, need_weights=False)[0]
    torch.manual_seed(8)
    two = layer(x, x, x, need_weights=False)[0]
    assert len(calls) == 2 and torch.equal(one, two)
    assert not torch.equal(one, layer(x, x, x, need_weights=False)[0])
