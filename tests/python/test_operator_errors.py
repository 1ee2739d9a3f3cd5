"""What the operators refuse when they are called directly."""

import pytest
import torch

from ck_fmha import masks

PLAIN = (None, None, None, None, 0.0, 0.0)  # bias, attended, alibi_slopes, dropout_seed, softcap, dropout_p
FULL = ("full", [], [], 0.5, "bhsd", "auto", False)


def tensors():
    q, k, v = (torch.randn(1, 2, 5, 4) for _ in range(3))
    out, lse = torch.ops.ck_fmha.attention_forward(q, k, v, *PLAIN, *FULL)
    return q, k, v, out, lse


def test_unknown_structure(raises):
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    raises(ValueError, lambda: call(q, k, v, *PLAIN, "fool", *FULL[1:]), "fool", "no such mask")
    raises(ValueError, lambda: call(q, k, v, *PLAIN, "full", [3], *FULL[2:]), "0 parameters, got 1")


@pytest.mark.parametrize(
    "structure, params, data, patterns",
    [
        ("full", [], [torch.zeros(3, dtype=torch.int32)], ("full|data", r"\b0\b", r"\b1\b")),
        ("documents", [0], [], ("documents", "cu_seqlens_q", "missing")),
        ("documents", [0], [torch.zeros(1, dtype=torch.int32)] * 3, ("documents|data", r"\b2\b", r"\b3\b")),
        ("documents", [3], [torch.zeros(1, dtype=torch.int32)] * 2, ("documents|causal", r"\b3\b")),
        ("documents", [0], [torch.tensor([0, 4, 2], dtype=torch.int32)] * 2, ("documents|cu_seqlens", r"\b2\b|\b4\b")),
        ("longformer_tokens", [4, 1], [torch.tensor([3, 3], dtype=torch.int32)], ("longformer|tokens|positions", "3")),
        ("lengths", [0, 1, 0], [torch.tensor([-3], dtype=torch.int32)], ("lengths", "-3")),
    ],
)
def test_mask_data(raises, structure, params, data, patterns):
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    raises(ValueError, lambda: call(q, k, v, *PLAIN, structure, params, data, *FULL[3:]), *patterns)


@pytest.mark.parametrize(
    "data",
    [
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1),
        torch.zeros(1, dtype=torch.int32, device="meta"),
    ],
    ids=["int64", "float32", "meta"],
)
def test_mask_data_of_another_kind(raises, data):
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    refused = (TypeError, ValueError, NotImplementedError)
    raises(refused, lambda: call(q, k, v, *PLAIN, "documents", [0], [data, data], *FULL[3:]), "mask_data|int32|meta")


def test_mask_data_may_lie_anywhere():
    """Strided data are read as their numbers, not as the memory behind the first."""
    q, k, v, *_ = tensors()
    call = torch.ops.ck_fmha.attention_forward
    offsets = torch.tensor([0, 9, 2, 9, 5, 9], dtype=torch.int32)[::2]
    out, _ = call(q, k, v, *PLAIN, "documents", [0], [offsets, offsets], *FULL[3:])
    expected, _ = call(q, k, v, *PLAIN, "documents", [0], [offsets.contiguous()] * 2, *FULL[3:])
    assert torch.equal(out, expected)


def test_mask_data_are_told_apart():
    """The operators find masks again by their data: as they are now, array by array."""
    q, k, v, *_ = tensors()

    def attend(mask, data):
        return torch.ops.ck_fmha.attention_forward(q, k, v, *PLAIN, mask.structure, mask.params, data, *FULL[3:])[0]

    one, two = (
        masks.Longformer(0, a) | masks.Longformer(0, b) & masks.Causal() for a, b in [([1, 3], [4]), ([1], [3, 4])]
    )
    assert one.structure == two.structure and one.params == two.params
    assert torch.equal(torch.cat(one.data), torch.cat(two.data))
    assert not torch.equal(attend(one, list(one.data)), attend(two, list(two.data)))

    written_to = [t.clone() for t in one.data]
    before = attend(one, written_to)
    written_to[0].copy_(torch.tensor([0, 2]))
    other = masks.Longformer(0, [0, 2]) | masks.Longformer(0, [4]) & masks.Causal()
    assert torch.equal(attend(one, written_to), attend(other, list(other.data)))
    assert not torch.equal(attend(one, written_to), before)


@pytest.mark.parametrize(
    "name, position, change",
    [
        ("d_out", 0, lambda t: t[..., :3]),
        ("d_lse", 1, lambda t: t.double()),
        ("out", 6, lambda t: t.bfloat16()),
        ("lse", 7, lambda t: t[:, :1]),
    ],
)
def test_gradients_that_do_not_fit(raises, name, position, change):
    q, k, v, out, lse = tensors()
    arguments = [torch.ones_like(out), torch.ones_like(lse), q, k, v, None, out, lse, [True] * 4, *PLAIN[1:], *FULL]
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
    raises(
        ValueError, lambda: call(out, None, q, k, v, None, out, lse, [True], *PLAIN[1:], *FULL), "needs", r"\[True\]"
    )


def test_structure_and_parameters_of_a_mask_are_what_the_operators_take():
    q, k, v, *_ = tensors()
    mask = ~masks.Window(1, 0) & masks.Documents([0, 3, 5]) | masks.Longformer(2, [4]).T
    out, _ = torch.ops.ck_fmha.attention_forward(
        q, k, v, *PLAIN, mask.structure, mask.params, list(mask.data), *FULL[3:]
    )
    dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.materialize(5, 5), scale=0.5)
    torch.testing.assert_close(out, dense)
