"""Every refusal of bias, alibi_slopes and softcap: the type, the argument's name, the value received, the way out.

Those of dropout_p and dropout_seed are in test_dropout.py.
"""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ck_fmha import attention, explain

VALUE_OR_TYPE = (ValueError, TypeError)


def qkv(dtype=torch.float32):
    """Two samples of four heads, 6 queries, 7 keys."""
    q = torch.zeros(2, 4, 6, 8, dtype=dtype)
    return q, q.new_zeros(2, 4, 7, 8), q.new_zeros(2, 4, 7, 8)


def sizes(shape) -> str:
    return r",\s*".join(map(str, shape))


@pytest.mark.parametrize("bias", [0.5, [1.0], "bias", True], ids=str)
def test_bias_of_another_type(raises, bias):
    raises(TypeError, lambda: attention(*qkv(), bias=bias), r"\bbias\b", type(bias).__name__, "tensor")


@pytest.mark.parametrize("function", [attention, explain])
@pytest.mark.parametrize(
    "shape", [(6,), (7, 6), (5, 7), (3, 6, 7), (3, 1, 6, 7), (2, 2, 6, 7), (1, 1, 1, 1, 7), (2, 4, 6, 1, 1), (0,)]
)
def test_bias_that_does_not_broadcast(raises, shape, function):
    patterns = (r"\bbias\b", sizes(shape), r"2,\s*4,\s*6,\s*7", "broadcast")
    raises(ValueError, lambda: function(*qkv(), bias=torch.zeros(shape)), *patterns)


def test_bias_is_read_in_one_order_of_dimensions(raises):
    """(batch, num_heads, seqlen_q, seqlen_k) also where q is (batch, seqlen, num_heads, head_dim)."""
    q, k, v = (t.transpose(1, 2) for t in qkv())
    attention(q, k, v, layout="bshd", bias=torch.zeros(2, 4, 6, 7))
    raises(ValueError, lambda: attention(q, k, v, layout="bshd", bias=torch.zeros(2, 6, 4, 7)), "bias", sizes((2, 6)))


@pytest.mark.parametrize(
    "dtype, bias_dtype",
    [
        (torch.float32, torch.float64),
        (torch.float32, torch.float16),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.float16),
        (torch.float16, torch.bfloat16),
        (torch.float16, torch.float64),
        (torch.float64, torch.float16),
        (torch.float32, torch.bool),
        (torch.float32, torch.int32),
        (torch.float64, torch.complex128),
    ],
    ids=str,
)
def test_bias_of_another_dtype(raises, dtype, bias_dtype):
    bias = torch.zeros(6, 7, dtype=bias_dtype)
    patterns = (r"\bbias\b", str(bias_dtype)[6:], "float32")
    raises(VALUE_OR_TYPE, lambda: attention(*qkv(dtype), bias=bias), *patterns)


@pytest.mark.parametrize("name", ["bias", "alibi_slopes"])
def test_tensors_on_other_devices(raises, name):
    other = torch.zeros(4, 1, 1, device="meta") if name == "bias" else torch.zeros(4, device="meta")
    refused = (ValueError, NotImplementedError)
    raises(refused, lambda: attention(*qkv(), **{name: other}), name, "meta", "cpu")


@pytest.mark.parametrize("name", ["bias", "alibi_slopes"])
def test_sparse_tensors(raises, name):
    other = torch.ones(6, 7) if name == "bias" else torch.ones(4)
    refused = (TypeError, ValueError, NotImplementedError)
    raises(refused, lambda: attention(*qkv(), **{name: other.to_sparse()}), name, "sparse|layout", "dense|strided")


@pytest.mark.parametrize("slopes", [0.5, [1.0, 0.5, 0.25, 0.125], True])
def test_slopes_of_another_type(raises, slopes):
    patterns = ("alibi_slopes", type(slopes).__name__, "tensor")
    raises(TypeError, lambda: attention(*qkv(), alibi_slopes=slopes), *patterns)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (3, 4), (4, 2), (2, 4, 1), (1, 4)])
def test_slopes_that_do_not_fit(raises, shape):
    patterns = ("alibi_slopes", sizes(shape), r"\b4\b")
    raises(ValueError, lambda: attention(*qkv(), alibi_slopes=torch.zeros(shape)), *patterns)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_slopes_of_another_dtype(raises, dtype):
    slopes = torch.zeros(4, dtype=dtype)
    patterns = ("alibi_slopes", str(dtype)[6:], "float32")
    raises(VALUE_OR_TYPE, lambda: attention(*qkv(), alibi_slopes=slopes), *patterns)


def test_slopes_are_not_learned(raises):
    slopes = torch.zeros(4, requires_grad=True)
    patterns = ("alibi_slopes", "requires_grad|gradient", r"detach|bias")
    raises(NotImplementedError, lambda: attention(*qkv(), alibi_slopes=slopes), *patterns)
    assert attention(*qkv(), alibi_slopes=slopes.detach()).shape == (2, 4, 6, 8)


@pytest.mark.parametrize("softcap", [-1.0, -1e-30, math.nan, math.inf, -math.inf, 1e39, 10**400])
def test_softcap_outside_of_the_range(raises, softcap):
    raises(ValueError, lambda: attention(*qkv(), softcap=softcap), "softcap", "got", r"0|finite")


@pytest.mark.parametrize("softcap", ["30", None, [1.0], 1j, True, torch.ones(2)], ids=str)
def test_softcap_of_another_type(raises, softcap):
    raises(TypeError, lambda: attention(*qkv(), softcap=softcap), "softcap", type(softcap).__name__, "float|number")


@pytest.mark.parametrize(
    "options, patterns",
    [
        ({"softcap": -1.0}, ("softcap", "-1")),
        ({"dropout_p": 1.5}, ("dropout_p", r"1\.5")),
        ({"dropout_p": 0.5, "dropout_seed": -3}, ("dropout_seed", "-3")),
    ],
    ids=["softcap", "dropout_p", "dropout_seed"],
)
def test_explain_and_fake_tensors_refuse_the_same(raises, options, patterns):
    raises(ValueError, lambda: explain(*qkv(), **options), *patterns)
    with FakeTensorMode():
        q, k, v = qkv()
        raises(ValueError, lambda: attention(q, k, v, **options), *patterns)
        raises(ValueError, lambda: attention(q, k, v, bias=torch.empty(6, 6)), "bias", sizes((6, 6)))
        raises(ValueError, lambda: attention(q, k, v, alibi_slopes=torch.empty(5)), "alibi_slopes", "5")


def test_double_backward_through_a_bias(raises):
    q, k, v = (torch.randn(1, 1, 5, 4) for _ in range(3))
    bias = torch.randn(5, 5, requires_grad=True)

    def twice():
        out = attention(q, k, v, bias=bias)
        (dbias,) = torch.autograd.grad(out.square().sum(), bias, create_graph=True)
        dbias.sum().backward()

    raises(RuntimeError, twice, r"double.?backward|twice|second|once_differentiable|differentiat")
