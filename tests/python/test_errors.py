"""Every refusal of attention(): the type, the argument's name, the value received, the way out."""

import pytest
import torch

import ck_fmha
from ck_fmha import attention, masks

VALUE_OR_TYPE = (ValueError, TypeError)


def qkv(heads=(2, 2), seqlens=(6, 6), head_dims=(8, 8), dtype=torch.float32):
    return (
        torch.zeros(2, heads[0], seqlens[0], head_dims[0], dtype=dtype),
        torch.zeros(2, heads[1], seqlens[1], head_dims[0], dtype=dtype),
        torch.zeros(2, heads[1], seqlens[1], head_dims[1], dtype=dtype),
    )


@pytest.mark.parametrize("position, name", list(enumerate("qkv")))
@pytest.mark.parametrize("other, received", [(None, "None"), ([[1.0]], "list"), (3.0, "float"), ("q", "str")])
def test_not_a_tensor(raises, position, name, other, received):
    arguments = list(qkv())
    arguments[position] = other
    raises(TypeError, lambda: attention(*arguments), rf"\b{name}\b", received, "tensor")


@pytest.mark.parametrize("position, name", list(enumerate("qkv")))
@pytest.mark.parametrize("shape", [(), (6,), (2, 6, 8), (1, 2, 2, 6, 8)])
def test_not_four_dimensions(raises, position, name, shape):
    arguments = list(qkv())
    arguments[position] = torch.zeros(shape)
    received = r"\(?\[?" + r",\s*".join(map(str, shape)) if shape else r"0|\(\)|\[\]"
    raises(ValueError, lambda: attention(*arguments), rf"\b{name}\b", received, r"4|head_dim")


@pytest.mark.parametrize(
    "dtype",
    [
        torch.int32,
        torch.int64,
        torch.bool,
        torch.complex64,
        torch.float8_e4m3fn,
    ],
    ids=str,
)
def test_dtypes_that_are_not_covered(raises, dtype):
    arguments = qkv(dtype=dtype)
    refused = (NotImplementedError, TypeError)
    raises(refused, lambda: attention(*arguments), r"\bq\b", str(dtype)[6:], r"float32.*bfloat16|bfloat16.*float32")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("position, name", [(1, "k"), (2, "v")])
def test_mixed_dtypes(raises, position, name, dtype):
    arguments = list(qkv())
    arguments[position] = arguments[position].to(dtype)
    raises(VALUE_OR_TYPE, lambda: attention(*arguments), rf"\b{name}\b", str(dtype)[6:], "float32")


@pytest.mark.parametrize(
    "shapes, names",
    [
        (((2, 2, 6, 8), (3, 2, 6, 8), (2, 2, 6, 8)), (r"\bk\b", "batch", "2", "3")),
        (((2, 2, 6, 8), (2, 2, 6, 8), (1, 2, 6, 8)), (r"\bv\b", "batch", "2", "1")),
        (((2, 2, 6, 8), (2, 2, 6, 8), (2, 1, 6, 8)), (r"\bv\b", "num_heads|heads", "2", "1")),
        (((2, 2, 6, 8), (2, 2, 7, 8), (2, 2, 6, 8)), (r"\bv\b", "seqlen_k|seqlen", "7", "6")),
        (((2, 2, 6, 8), (2, 2, 6, 9), (2, 2, 6, 8)), (r"\bk\b", "head_dim", "8", "9")),
    ],
)
def test_shapes_that_do_not_fit(raises, shapes, names):
    raises(ValueError, lambda: attention(*(torch.zeros(shape) for shape in shapes)), *names)


def test_shapes_are_read_in_the_layout(raises):
    """(batch, seqlen, heads, head_dim) read as bhsd: the message must let the user see the mix-up."""
    q, k, v = (t.transpose(1, 2) for t in qkv(seqlens=(6, 7)))
    attention(q, k, v, layout="bshd")
    raises(ValueError, lambda: attention(q, k, v), "6", "7")


@pytest.mark.parametrize(
    "head_dims, name, received", [((257, 8), "head_dim", "257"), ((8, 300), "head_dim(_v| of v)", "300")]
)
def test_head_dim_too_large(raises, head_dims, name, received):
    refused = (ValueError, NotImplementedError)
    raises(refused, lambda: attention(*qkv(head_dims=head_dims)), name, received, r"\b256\b")


@pytest.mark.parametrize("head_dims, name", [((0, 8), "head_dim"), ((8, 0), "head_dim(_v| of v)")])
def test_head_dim_zero(raises, head_dims, name):
    refused = (ValueError, NotImplementedError)
    raises(refused, lambda: attention(*qkv(head_dims=head_dims)), name, r"\b0\b", r"\b1\b")


@pytest.mark.parametrize("backend", ["hip", "cuda"])
def test_gpu_back_ends_do_not_take_cpu_tensors(raises, backend):
    """No silent fallback: asking for a GPU never runs on the CPU."""
    refused = (NotImplementedError, ValueError, RuntimeError)
    raises(refused, lambda: attention(*qkv(), backend=backend), "backend", backend, "cpu")


@pytest.mark.parametrize("heads", [(4, 2), (3, 2), (2, 4), (2, 1)])
def test_heads_differ_without_gqa(raises, heads):
    raises(
        ValueError,
        lambda: attention(*qkv(heads=heads)),
        r"heads",
        rf"\b{heads[0]}\b",
        rf"\b{heads[1]}\b",
        "enable_gqa",
    )


@pytest.mark.parametrize("heads", [(3, 2), (2, 4), (5, 3), (2, 0)])
def test_heads_that_do_not_divide(raises, heads):
    patterns = (r"num_heads_kv|heads", rf"\b{heads[0]}\b", rf"\b{heads[1]}\b", r"multiple|divi")
    raises(ValueError, lambda: attention(*qkv(heads=heads), enable_gqa=True), *patterns)


@pytest.mark.parametrize("layout", ["bsdh", "BHSD", "", None, 4])
def test_layout(raises, layout):
    patterns = ("layout", str(layout), "bhsd", "bshd")
    raises(VALUE_OR_TYPE, lambda: attention(*qkv(), layout=layout), *patterns)


@pytest.mark.parametrize("backend", ["abacus", "CPU", "", None])
def test_backend(raises, backend):
    raises(VALUE_OR_TYPE, lambda: attention(*qkv(), backend=backend), "backend", str(backend), "auto", "cpu")


@pytest.mark.parametrize(
    "mask", ["causal", 1, True, masks.Causal, torch.ones(6, 6, dtype=torch.bool), lambda q, k: q >= k]
)
def test_mask(raises, mask):
    received = "tensor" if isinstance(mask, torch.Tensor) else type(mask).__name__
    refused = (TypeError, NotImplementedError)
    raises(refused, lambda: attention(*qkv(), mask), r"\bmask\b", received, r"masks\.|ck_fmha\.masks")


@pytest.mark.parametrize("scale", ["0.5", [1.0], 1j, torch.ones(2)])
def test_scale(raises, scale):
    raises(
        TypeError,
        lambda: attention(*qkv(), scale=scale),
        r"\bscale\b",
        r"str|list|complex|tensor",
        r"float|number",
    )


@pytest.mark.parametrize("name", ["enable_gqa", "return_lse", "deterministic"])
def test_switches(raises, name):
    raises(TypeError, lambda: attention(*qkv(), **{name: "yes"}), name, r"yes|str", r"bool|True")


def test_options_go_by_keyword_only():
    with pytest.raises(TypeError):
        attention(*qkv(), None, 0.5)


def test_unknown_keywords_are_refused():
    with pytest.raises(TypeError, match="is_causal"):
        attention(*qkv(), is_causal=True)


def test_double_backward(raises):
    q, k, v = (torch.randn(1, 1, 5, 4, requires_grad=True) for _ in range(3))

    def twice():
        (dq,) = torch.autograd.grad(attention(q, k, v).square().sum(), q, create_graph=True)
        dq.sum().backward()

    raises(RuntimeError, twice, r"double.?backward|twice|second|once_differentiable|differentiat")


def test_double_backward_through_the_dispatcher(raises):
    """Under a dispatch mode the registered operator runs instead of the direct path, and refuses as well."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Passing(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    q, k, v = (torch.randn(1, 1, 5, 4, requires_grad=True) for _ in range(3))

    def twice():
        with Passing():
            (dq,) = torch.autograd.grad(attention(q, k, v).square().sum(), q, create_graph=True)
            dq.sum().backward()

    raises(RuntimeError, twice, r"double.?backward|twice|second|once_differentiable|differentiat|autograd")


def test_sparse_tensors(raises):
    q, k, v = qkv()
    refused = (TypeError, ValueError, NotImplementedError)
    raises(refused, lambda: attention(q.to_sparse(), k, v), r"\bq\b", "sparse|layout", r"dense|strided")


def test_nested_tensors(raises):
    nested = torch.nested.nested_tensor([torch.zeros(2, 3, 8), torch.zeros(2, 4, 8)])
    raises(NotImplementedError, lambda: attention(nested, *qkv()[1:]), r"\bq\b", "nested", "dense")


def test_scale_beyond_float32(raises):
    for scale in (1e39, -1e39, float("nan"), float("inf"), 10**400):
        raises(ValueError, lambda scale=scale: attention(*qkv(), scale=scale), "scale", "float32", "got")


def test_no_query_heads_for_the_keys(raises):
    """Their gradients would belong to nobody."""
    q, k, v = torch.zeros(1, 0, 5, 8), torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 5, 8)
    raises(ValueError, lambda: attention(q, k, v, enable_gqa=True), "multiple", "0 and 2")


def test_a_refused_call_leaves_the_library_working():
    with pytest.raises(ValueError):
        attention(*qkv(), layout="none")
    out = attention(*qkv(), mask=masks.Causal())
    assert out.shape == (2, 2, 6, 8)


def test_the_native_core_refuses_wrong_arguments_too():
    """Python validates first; calling the extension directly with nonsense must raise, not crash."""
    entries = [name for name in dir(ck_fmha._native) if "forward" in name or "backward" in name]
    assert entries, "the extension has no forward or backward entry point by that name"
    for name in entries:
        with pytest.raises((TypeError, ValueError)):
            getattr(ck_fmha._native, name)()
