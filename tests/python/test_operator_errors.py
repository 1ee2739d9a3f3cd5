"""What the operators refuse when they are called directly."""

import pytest
import torch

from ck_fmha import masks

FULL = ("full", [], [], 0.5, "bhsd", "auto")


def tensors():
    q, k, v = (torch.randn(1, 2, 5, 4) for _ in range(3))
    out, lse = torch.ops.ck_fmha.attention_forward(q, k, v, *FULL)
    return q, k, v, out, lse


def test_unknown_structure(raises):
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    raises(ValueError, lambda: call(q, k, v, "fool", *FULL[1:]), "fool", "no such mask")
    raises(ValueError, lambda: call(q, k, v, "full", [3], *FULL[2:]), "0 parameters, got 1")


def test_mask_data(raises):
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    raises(NotImplementedError, lambda: call(q, k, v, "full", [], [q], *FULL[3:]), "mask_data", "got 1")


@pytest.mark.parametrize(
    "name, position, change",
    [
        ("d_out", 0, lambda t: t[..., :3]),
        ("d_lse", 1, lambda t: t.double()),
        ("out", 5, lambda t: t.bfloat16()),
        ("lse", 6, lambda t: t[:, :1]),
    ],
)
def test_gradients_that_do_not_fit(raises, name, position, change):
    q, k, v, out, lse = tensors()
    arguments = [torch.ones_like(out), torch.ones_like(lse), q, k, v, out, lse, [True] * 3, *FULL]
    torch.ops.ck_fmha.attention_backward(*arguments)
    arguments[position] = change(arguments[position])
    received = str(tuple(arguments[position].shape)).replace("(", r"\(").replace(")", r"\)")
    raises(
        ValueError,
        lambda: torch.ops.ck_fmha.attention_backward(*arguments),
        rf"^{name} must",
        "dtype",
        f"got {received}",
    )


def test_needs(raises):
    q, k, v, out, lse = tensors()
    call = torch.ops.ck_fmha.attention_backward
    raises(ValueError, lambda: call(out, None, q, k, v, out, lse, [True], *FULL), "needs", r"\[True\]")


def test_structure_and_parameters_of_a_mask_are_what_the_operators_take():
    q, k, v, *_ = tensors()
    mask = ~masks.Window(1, 0) | masks.Causal()
    out, _ = torch.ops.ck_fmha.attention_forward(q, k, v, mask.structure, mask.params, *FULL[2:])
    dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.materialize(5, 5), scale=0.5)
    torch.testing.assert_close(out, dense)
