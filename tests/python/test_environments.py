"""Calls inside torch's modes and transforms: default devices, fake tensors, autocast, torch.func, compiled graphs."""

import os
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ck_fmha import _call, attention, explain, masks


def qkv(requires_grad=False):
    return [torch.randn(1, 2, 20, 8, requires_grad=requires_grad) for _ in range(3)]


@pytest.mark.parametrize("mode", [lambda: torch.device("meta"), FakeTensorMode], ids=["meta", "fake"])
def test_masks_are_written_out_on_the_cpu_whatever_the_mode(mode):
    mask = masks.Window(2, 1)
    expected, status = mask.materialize(9, 7).tolist(), mask.tile_status(9, 7, (2, 2)).tolist()
    with mode():
        inside, inside_status = mask.materialize(9, 7), mask.tile_status(9, 7, (2, 2))
        assert mask.materialize(0, 7).shape == (0, 7)
    assert inside.device.type == "cpu" and inside.tolist() == expected
    assert inside_status.tolist() == status


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, q: torch.func.grad(lambda x: f(x).sum())(q),
        lambda f, q: torch.func.jvp(f, (q,), (torch.ones_like(q),)),
        lambda f, q: torch.func.vmap(f)(q[None]),
    ],
    ids=["grad", "jvp", "vmap"],
)
def test_torch_func_is_refused(raises, transform):
    """Its forward mode would take an operator without a forward derivative for a constant."""
    q, k, v = qkv()
    raises(NotImplementedError, lambda: transform(lambda x: attention(x, k, v), q), r"torch\.func", "autograd")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    """It casts q, k and v as torch's own attention does, mixed ones too, and serves explain."""
    q, k, v = qkv(requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        out, lse = attention(q, k.half(), v.bfloat16(), return_lse=True)
        assert explain(q, k.half(), v.bfloat16()).backend == "cpu"
    assert out.dtype == dtype and lse.dtype == torch.float32
    by_hand = attention(q.to(dtype), k.half().to(dtype), v.bfloat16().to(dtype))
    assert torch.equal(out, by_hand)
    grads = torch.autograd.grad(out.float().sum(), (q, k, v))
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in grads)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_beside_a_bias_and_slopes(dtype):
    bias = torch.randn(20, 20, requires_grad=True)
    options = {"alibi_slopes": torch.tensor([0.5, 0.25]), "softcap": 3.0, "dropout_p": 0.2, "dropout_seed": 1}
    with torch.autocast("cpu", dtype=dtype):
        out = attention(*qkv(), bias=bias, **options)
    assert out.dtype == dtype
    (dbias,) = torch.autograd.grad(out.float().square().sum(), bias)
    assert dbias.dtype == torch.float32 and dbias.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_float64_alone(dtype):
    with torch.autocast("cpu", dtype=dtype):
        out, lse = attention(*(t.double() for t in qkv()), return_lse=True)
    assert out.dtype == lse.dtype == torch.float64


def test_autocast_leaves_bad_arguments_to_the_checks(raises):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        raises(TypeError, lambda: attention(qkv()[0], None, [1]), r"\bk\b", "NoneType")


@pytest.mark.parametrize("dynamic", [None, True])
def test_numbers_may_change_inside_a_compiled_function(dynamic):
    def call(q, k, v, scale, left):
        return attention(q, k, v, masks.Window(left, 0), scale=scale)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    q, k, v = qkv()
    for scale, left in ((0.5, 3), (0.25, 4), (-1.5, 9)):
        assert torch.equal(compiled(q, k, v, scale, left), call(q, k, v, scale, left))


def test_modes_around_the_backward_alone_see_the_operator():
    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.name())
            return function(*args, **(kwargs or {}))

    seen = []
    q, k, v = qkv(requires_grad=True)
    out = attention(q, k, v)
    d_out = torch.randn_like(out)
    expected = torch.autograd.grad(out, (q, k, v), d_out, retain_graph=True)
    with Names():
        actual = torch.autograd.grad(out, (q, k, v), d_out)
    assert "ck_fmha::attention_backward" in seen
    assert all(map(torch.equal, actual, expected))


def test_more_threads_than_the_core_takes():
    q, k, v = qkv()
    expected = attention(q, k, v)
    torch.set_num_threads(5000)
    assert torch.equal(attention(q, k, v), expected)


def test_other_devices_are_refused(raises):
    raises(NotImplementedError, lambda: _call.check_backend("auto", torch.device("cuda:1")), "cuda:1", r"\.cpu\(\)")
    q, k, v = qkv()
    raises(ValueError, lambda: attention(q, k.to("meta"), v), "one device", "cpu", "meta", r"k\.to")


def test_unknown_instruction_set_is_refused():
    code = "from ck_fmha import _native; _native.isa_name()"
    environment = {**os.environ, "CK_FMHA_CPU_ISA": "mmx"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "CK_FMHA_CPU_ISA is 'mmx'" in done.stderr and "generic" in done.stderr and "unset" in done.stderr
