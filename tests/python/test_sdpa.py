"""scaled_dot_product_attention: torch's signature, with masks as code beside dense ones."""

import inspect

import pytest
import torch
from torch.nn import functional as F

import ck_fmha
from calls import bits_equal
from ck_fmha import masks

OURS, TORCH = ck_fmha.scaled_dot_product_attention, F.scaled_dot_product_attention
TOLERANCE = {
    torch.float32: {"rtol": 1e-3, "atol": 5e-5},
    torch.bfloat16: {"rtol": 3e-2, "atol": 3e-2},
    torch.float16: {"rtol": 1e-2, "atol": 1e-2},
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
}


def tensors(*leading: int, seqlens=(33, 47), head_dims=(24, 24), dtype=torch.float32, heads_kv: int | None = None):
    kv = leading if heads_kv is None else (*leading[:-1], heads_kv)
    shapes = [
        (*leading, seqlens[0], head_dims[0]),
        (*kv, seqlens[1], head_dims[0]),
        (*kv, seqlens[1], head_dims[1]),
    ]
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


def assert_same_with_gradients(inputs, ours, theirs, dtype=torch.float32) -> None:
    out, expected = ours(*inputs), theirs(*inputs)
    assert out.shape == expected.shape and out.dtype == expected.dtype
    torch.testing.assert_close(out, expected, **TOLERANCE[dtype])
    dout = torch.randn_like(expected)
    for mine, other in zip(
        torch.autograd.grad(out, inputs, dout), torch.autograd.grad(expected, inputs, dout), strict=True
    ):
        torch.testing.assert_close(mine, other, **TOLERANCE[dtype])


def test_signature_is_torchs():
    parameters = inspect.signature(OURS).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "query": inspect.Parameter.empty,
        "key": inspect.Parameter.empty,
        "value": inspect.Parameter.empty,
        "attn_mask": None,
        "dropout_p": 0.0,
        "is_causal": False,
        "scale": None,
        "enable_gqa": False,
    }
    assert list(parameters)[:6] == ["query", "key", "value", "attn_mask", "dropout_p", "is_causal"]


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3), (0,), (2, 0), (0, 3), (1, 1, 1, 1, 2)])
@pytest.mark.parametrize("is_causal", [False, True])
def test_any_number_of_leading_dimensions(leading, is_causal, dtype):
    inputs = tensors(*leading, dtype=dtype)
    assert_same_with_gradients(
        inputs,
        lambda q, k, v: OURS(q, k, v, is_causal=is_causal),
        lambda q, k, v: TORCH(q, k, v, is_causal=is_causal),
        dtype,
    )


@pytest.mark.parametrize("seqlens", [(33, 47), (47, 33), (40, 40)])
@pytest.mark.parametrize(
    "mask",
    [
        masks.Causal(),
        masks.Window(9, 2),
        masks.Longformer(8, 2),
        masks.BigBird(block_size=8, num_random_blocks=0),
        masks.Window(9, 0) & ~masks.Window(3, 0),
        masks.Window(3, 0, "bottom-right"),
    ],
)
@pytest.mark.parametrize("is_causal", [False, True])
def test_mask_objects_stand_for_dense_masks(mask, seqlens, is_causal):
    """A mask object together with is_causal means both."""
    dense = mask.materialize(*seqlens)
    if is_causal:
        dense = dense & masks.Causal().materialize(*seqlens)
    inputs = tensors(2, 3, seqlens=seqlens)
    assert_same_with_gradients(
        inputs,
        lambda q, k, v: OURS(q, k, v, attn_mask=mask, is_causal=is_causal),
        lambda q, k, v: TORCH(q, k, v, attn_mask=dense),
    )


@pytest.mark.parametrize("leading", [(), (3,), (2, 1, 3)])
def test_mask_objects_with_other_leading_dimensions(leading):
    mask = masks.Longformer(8, 2)
    assert_same_with_gradients(
        tensors(*leading),
        lambda q, k, v: OURS(q, k, v, mask),
        lambda q, k, v: TORCH(q, k, v, mask.materialize(33, 47)),
    )


def test_random_blocks_follow_the_head():
    mask = masks.BigBird(block_size=4)
    dense = torch.stack([mask.materialize(33, 47, head=head) for head in range(3)])
    assert not torch.equal(dense[0], dense[1])
    assert_same_with_gradients(
        tensors(2, 3), lambda q, k, v: OURS(q, k, v, mask), lambda q, k, v: TORCH(q, k, v, dense)
    )


@pytest.mark.parametrize("scale", [None, 0.0, -0.5, 1, 2.0])
def test_scale(scale):
    assert_same_with_gradients(tensors(2, 3), lambda *t: OURS(*t, scale=scale), lambda *t: TORCH(*t, scale=scale))


@pytest.mark.parametrize("heads_kv", [1, 2, 4])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_enable_gqa(heads_kv, dtype):
    assert_same_with_gradients(
        tensors(2, 4, heads_kv=heads_kv, dtype=dtype),
        lambda *t: OURS(*t, is_causal=True, enable_gqa=True),
        lambda *t: TORCH(*t, is_causal=True, enable_gqa=True),
        dtype,
    )


def test_head_dim_of_values_may_differ():
    assert_same_with_gradients(tensors(2, 3, head_dims=(24, 40)), OURS, TORCH)


def test_agrees_with_attention():
    q, k, v = tensors(2, 3)
    mask = masks.Window(9, 2)
    assert bits_equal(OURS(q, k, v, mask), ck_fmha.attention(q, k, v, mask))
    assert bits_equal(OURS(q, k, v, is_causal=True), ck_fmha.attention(q, k, v, masks.Causal()))
    both = ck_fmha.attention(q, k, v, mask & masks.Causal(), scale=0.3)
    assert bits_equal(OURS(q, k, v, mask, is_causal=True, scale=0.3), both)


def test_positional_arguments_in_torchs_order():
    q, k, v = tensors(2, 3)
    assert bits_equal(OURS(q, k, v, None, 0.0, True), OURS(q, k, v, is_causal=True))
    assert bits_equal(OURS(query=q, key=k, value=v), OURS(q, k, v))


def test_fully_masked_rows_are_zero():
    q, k, v = tensors(2, 3, seqlens=(60, 40))
    out = OURS(q, k, v, masks.Causal("bottom-right"))
    assert (out[:, :, :20] == 0).all() and (out[:, :, 20:] != 0).any(-1).all()
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert all(g.isfinite().all() for g in grads) and (grads[0][:, :, :20] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("enabled", [False, True])
def test_autocast_as_in_torch(enabled, dtype):
    inputs = tensors(2, 3)
    with torch.autocast("cpu", dtype=dtype, enabled=enabled):
        out, expected = OURS(*inputs, is_causal=True), TORCH(*inputs, is_causal=True)
    assert out.dtype == expected.dtype
    torch.testing.assert_close(out, expected, **TOLERANCE[expected.dtype])
    assert all(g.dtype == torch.float32 for g in torch.autograd.grad(out.sum(), inputs))


def test_stands_in_for_torch_inside_its_own_layers(monkeypatch):
    """torch.nn.MultiheadAttention calls the function by its name in torch.nn.functional."""
    layer = torch.nn.MultiheadAttention(32, 4, batch_first=True).train()
    x = torch.randn(2, 20, 32)
    expected = layer(x, x, x, need_weights=False)[0]
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return OURS(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    out = layer(x, x, x, need_weights=False)[0]
    assert len(calls) == 1
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_other_masks_are_refused(raises):
    q, k, v = tensors(2, 3)
    for other in ("causal", 3, [True], masks.Causal):
        raises(TypeError, lambda other=other: OURS(q, k, v, other), r"attn_mask", r"masks\.|mask object|Mask")


def test_messages_name_the_arguments_of_this_function(raises):
    q, k, v = (t.detach() for t in tensors(2, 3))
    refused = (TypeError, NotImplementedError)
    raises(refused, lambda: OURS(q.int(), k.int(), v.int()), r"\bquery\b", r"int32", r"float32")
    raises(TypeError, lambda: OURS(q.tolist(), k, v), r"\bquery\b", r"list")
    raises(ValueError, lambda: OURS(q, k, v[:, :, 1:]), r"\bvalue\b", r"46")
    raises(ValueError, lambda: OURS(q, k[..., 1:], v), r"\bkey\b", r"23")
