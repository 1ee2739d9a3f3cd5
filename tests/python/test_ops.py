"""The registered operators, and what traces them: torch.compile, torch.export, fake tensors, dispatch modes."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import ck_fmha
from calls import Call, Results, bits_equal, make_tensors, run
from ck_fmha import masks
from random_calls import DTYPES

MASKS = [
    None,
    masks.Window(5, 0, "bottom-right", num_sinks=2),
    masks.BigBird(block_size=8, seed=3) & ~masks.Causal() | masks.Longformer(4, 1, causal=True),
    masks.Documents([0, 7, 20], [0, 13, 20], causal="bottom-right") & masks.Lengths([5, 20], [20, 11]),
    ~masks.per_sample([masks.Longformer(4, [1, 9]).T, masks.Neighborhood((4, 6), 3)]).shift(2, -1),
]
IDS = ["none", "window", "expression", "data", "samples"]

# What fits the call of recorded() alone.
BLOCKS = torch.rand(20, 33, generator=torch.Generator().manual_seed(0)) < 0.5
FITTED = [
    masks.BlockList.from_tensor(BLOCKS, 8),
    masks.per_head([masks.BigBird(8, random_blocks=[[[1], [2], [0]]]), *[masks.BlockList.from_tensor(BLOCKS, 5)] * 3]),
]
FITTED_IDS = ["blocks", "heads"]


class Recorder(TorchDispatchMode):
    """Keeps the calls of this library's operators that pass by."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "ck_fmha":
            self.calls.append((function, args, kwargs or {}))
        return function(*args, **(kwargs or {}))


def recorded(mask, dtype, layout="bhsd"):
    """The operator calls behind one forward and one backward, whatever arguments the operators have."""
    call = Call(mask, dtype, head_dim=16, head_dim_v=12, seqlens=(20, 33), heads=(4, 2), layout=layout)
    recorder = Recorder()
    with recorder:
        results = run(call, make_tensors(call))
    return call, results, recorder.calls


def fresh(arguments, requires_grad: bool):
    """Tensors among the arguments (also in lists) as leaves of their own."""

    def leaf(x):
        if isinstance(x, torch.Tensor):
            return x.detach().clone().requires_grad_(requires_grad and x.is_floating_point())
        return [leaf(y) for y in x] if isinstance(x, list | tuple) else x

    return tuple(map(leaf, arguments))


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS + FITTED, ids=IDS + FITTED_IDS)
def test_dispatch_modes_see_both_operators_and_get_the_same_bits(mask, dtype, layout):
    call, results, calls = recorded(mask, dtype, layout)
    names = [function._schema.name for function, _, _ in calls]
    assert names == ["ck_fmha::attention_forward", "ck_fmha::attention_backward"]
    direct = run(call, make_tensors(call))
    different = [name for name, a, b in zip(Results._fields, results, direct, strict=True) if not bits_equal(a, b)]
    assert not different


@pytest.mark.parametrize(
    "mask, dtype",
    [(mask, torch.float32) for mask in MASKS + FITTED] + [(MASKS[2], torch.bfloat16), (FITTED[1], torch.bfloat16)],
    ids=[*IDS, *FITTED_IDS, "expression in bfloat16", "heads in bfloat16"],
)
def test_opcheck(mask, dtype):
    """torch's own checks of an operator: its schema, fake implementation, autograd registration, and compilation."""
    for function, args, kwargs in recorded(mask, dtype)[2]:
        # The backward's own derivative is refused, so there is nothing to differentiate in its check.
        differentiable = function._schema.name.endswith("forward")
        torch.library.opcheck(function, fresh(args, differentiable), kwargs)


def test_gradients_that_nobody_asked_for_pass_opcheck_too():
    q, k, v, *_ = make_tensors(Call(seqlens=(20, 33), head_dim=16))
    recorder = Recorder()
    with recorder:
        ck_fmha.attention(q, k, v.requires_grad_(), masks.Causal()).sum().backward()
    for function, args, kwargs in recorder.calls:
        torch.library.opcheck(function, fresh(args, False), kwargs)


@pytest.mark.parametrize("mask", MASKS + FITTED, ids=IDS + FITTED_IDS)
def test_a_backward_alone_under_a_mode(mask):
    """The forward ran without the dispatcher; the backward's operator gets the whole mask all the same."""
    call = Call(mask, head_dim=16, head_dim_v=12, seqlens=(20, 33), heads=(4, 2))
    tensors = make_tensors(call)
    q, k, v = (t.clone().requires_grad_() for t in tensors[:3])
    out = ck_fmha.attention(q, k, v, mask, enable_gqa=True)
    expected = torch.autograd.grad(out, (q, k, v), tensors.dout, retain_graph=True)
    recorder = Recorder()
    with recorder:
        grads = torch.autograd.grad(out, (q, k, v), tensors.dout)
    assert [function._schema.name for function, _, _ in recorder.calls] == ["ck_fmha::attention_backward"]
    assert all(bits_equal(a, b) for a, b in zip(grads, expected, strict=True))


def losses(q, k, v, mask, attend):
    out, lse = attend(q, k, v, mask)
    return out.float().square().sum() + lse.sum()


def attend(q, k, v, mask):
    return ck_fmha.attention(q, k, v, mask, enable_gqa=True, return_lse=True, scale=0.3)


@pytest.mark.parametrize(
    "mask, dynamic",
    [(mask, True) for mask in MASKS] + [(mask, False) for mask in (MASKS[0], MASKS[2], MASKS[3])],
)
def test_compile_in_one_graph(mask, dynamic):
    def function(q, k, v):
        return losses(q * 2, k, v, mask, attend)

    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for seqlens in [(40, 40), (23, 57)]:
        call = Call(mask, head_dim=16, seqlens=seqlens, heads=(4, 2))
        q, k, v = (t.requires_grad_() for t in make_tensors(call)[:3])
        expected = function(q, k, v)
        loss = compiled(q, k, v)
        torch.testing.assert_close(loss, expected)
        for mine, theirs in zip(
            torch.autograd.grad(loss, (q, k, v)), torch.autograd.grad(expected, (q, k, v)), strict=True
        ):
            torch.testing.assert_close(mine, theirs)


def test_compile_drop_in():
    def function(q, k, v):
        return ck_fmha.scaled_dot_product_attention(q, k, v, masks.Window(7, 7), is_causal=True)

    torch.compiler.reset()
    q, k, v = (torch.randn(2, 3, 30, 16) for _ in range(3))
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(q, k, v), function(q, k, v))


def test_another_mask_does_not_reuse_the_graph_of_the_first():
    torch.compiler.reset()
    compiled = torch.compile(ck_fmha.attention, fullgraph=True, backend="aot_eager")
    q, k, v = (torch.randn(1, 2, 30, 16) for _ in range(3))
    for mask in [
        masks.Window(3, 0),
        masks.Window(9, 0),
        masks.Causal(),
        None,
        masks.Window(3, 0) | masks.Longformer(2),
    ]:
        torch.testing.assert_close(compiled(q, k, v, mask), ck_fmha.attention(q, k, v, mask))


def test_other_data_do_not_reuse_the_graph_of_the_first():
    """The same structure and parameters, other data; and back again."""
    torch.compiler.reset()
    compiled = torch.compile(ck_fmha.attention, fullgraph=True, backend="aot_eager")
    q, k, v = (torch.randn(1, 2, 30, 16) for _ in range(3))
    ones = torch.ones(30, 30, dtype=torch.bool)
    for mask in [
        masks.Documents([0, 9, 20]),
        masks.Documents([0, 10, 20]),
        masks.Documents([0, 9, 20]),
        masks.Documents([0, 9, 14, 20]),
        masks.BlockList.from_tensor(ones.tril(), 8),
        masks.BlockList.from_tensor(ones.tril().flip(0, 1), 8),
    ]:
        torch.testing.assert_close(compiled(q, k, v, mask), ck_fmha.attention(q, k, v, mask))


def test_gradients_of_compiled_calls_with_other_data():
    torch.compiler.reset()
    compiled = torch.compile(ck_fmha.attention, fullgraph=True, backend="aot_eager")
    q, k, v = (torch.randn(2, 2, 30, 16, requires_grad=True) for _ in range(3))
    for lengths in ([3, 30], [30, 4]):
        mask = masks.Lengths(lengths_k=lengths)
        for mine, theirs in zip(
            torch.autograd.grad(compiled(q, k, v, mask).square().sum(), (q, k, v)),
            torch.autograd.grad(ck_fmha.attention(q, k, v, mask).square().sum(), (q, k, v)),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs)


def test_masks_made_inside_of_a_compiled_function():
    def function(q, k, v, offsets):
        return ck_fmha.attention(q * 2, k, v, masks.Causal() & masks.Documents(offsets)) + 1

    torch.compiler.reset()
    compiled = torch.compile(function, backend="aot_eager")
    q, k, v = (torch.randn(1, 2, 30, 16) for _ in range(3))
    for offsets in ([0, 9, 20], [0, 10, 30], torch.tensor([0, 9, 20]), torch.tensor([0, 30, 30])):
        torch.testing.assert_close(compiled(q, k, v, offsets), function(q, k, v, offsets))


class Layer(torch.nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.mask = mask
        self.project = torch.nn.Linear(32, 96)

    def forward(self, x):
        q, k, v = self.project(x).unflatten(-1, (3, 2, 16)).unbind(2)
        return ck_fmha.attention(q, k, v, self.mask, layout="bshd").flatten(2)


@pytest.mark.parametrize("mask", MASKS, ids=IDS)
def test_export(mask):
    layer, x = Layer(mask).eval(), torch.randn(2, 40, 32)
    program = torch.export.export(layer, (x,))
    assert "ck_fmha.attention_forward" in program.graph_module.code
    torch.testing.assert_close(program.module()(x), layer(x))


def test_export_with_a_length_left_open():
    layer, x = Layer(masks.BigBird(block_size=8)).eval(), torch.randn(2, 40, 32)
    shapes = {"x": {1: torch.export.Dim("seqlen", min=2, max=4096)}}
    program = torch.export.export(layer, (x,), dynamic_shapes=shapes)
    for seqlen in (40, 77):
        x = torch.randn(2, seqlen, 32)
        torch.testing.assert_close(program.module()(x), layer(x))


@pytest.mark.parametrize("mask", MASKS[2:], ids=IDS[2:])
def test_exported_program_survives_saving(mask, tmp_path):
    layer, x = Layer(mask).eval(), torch.randn(2, 40, 32)
    torch.export.save(torch.export.export(layer, (x,)), tmp_path / "layer.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "layer.pt2").module()(x), layer(x))


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory", ["contiguous", "heads inside", "row gaps", "last stride 2", "batch expanded"])
def test_fake_tensors_look_like_the_real_ones(dtype, memory, layout):
    call = Call(MASKS[1], dtype, head_dim_v=12, seqlens=(20, 33), heads=(4, 2), memory=memory, layout=layout)
    tensors = make_tensors(call)
    real = run(call, tensors)
    with FakeTensorMode() as mode:
        fake = run(call, tensors.map(mode.from_tensor))
    for name, a, b in zip(Results._fields, fake, real, strict=True):
        assert (a.shape, a.dtype, a.stride(), a.device) == (b.shape, b.dtype, b.stride(), b.device), name


def test_fake_tensors_meet_the_same_refusals(raises):
    with FakeTensorMode():
        q, k = torch.empty(2, 4, 5, 8), torch.empty(2, 2, 5, 8)
        raises(ValueError, lambda: ck_fmha.attention(q, k, k), "enable_gqa")
        refused = (TypeError, NotImplementedError)
        raises(refused, lambda: ck_fmha.attention(q.int(), q.int(), q.int()), "int32")
        raises(ValueError, lambda: ck_fmha.attention(q, q, q, bias=torch.empty(5, 6)), "bias", "5", "6")


def test_parameters_and_subclasses():
    q, k, v = (torch.randn(1, 2, 30, 16) for _ in range(3))
    expected = ck_fmha.attention(q, k, v, masks.Causal())
    assert bits_equal(ck_fmha.attention(torch.nn.Parameter(q), k, v, masks.Causal()).detach(), expected)

    class Named(torch.Tensor):
        pass

    named = ck_fmha.attention(q.as_subclass(Named), k, v, masks.Causal())
    assert bits_equal(named.as_subclass(torch.Tensor), expected)
