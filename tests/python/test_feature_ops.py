"""bias, alibi_slopes, softcap and dropout through the operators: opcheck, torch.compile, torch.export, fake tensors."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import ck_fmha
from calls import FEATURES, Call, Results, bits_equal, make_tensors, run
from ck_fmha import masks
from random_calls import DTYPES
from test_ops import Recorder, fresh

NAMED = {"-".join(feature): feature for feature in FEATURES if feature}
MASK = masks.BigBird(block_size=8, seed=3) & ~masks.Causal() | masks.Longformer(4, 1, causal=True)


def call_of(feature: dict, dtype=torch.float32, **options) -> Call:
    sizes: dict = {"head_dim": 16, "head_dim_v": 12, "seqlens": (20, 33), "heads": (4, 2)}
    return Call(MASK, dtype, **sizes | feature | options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("feature", NAMED.values(), ids=NAMED)
def test_dispatch_modes_see_both_operators_and_get_the_same_bits(feature, dtype):
    call = call_of(feature, dtype)
    with Recorder() as recorder:
        results = run(call, make_tensors(call))
    names = [function._schema.name for function, _, _ in recorder.calls]
    assert names == ["ck_fmha::attention_forward", "ck_fmha::attention_backward"]
    assert all(bits_equal(a, b) for a, b in zip(results, run(call, make_tensors(call)), strict=True))


@pytest.mark.parametrize(
    "feature, dtype",
    [(feature, torch.float32) for feature in NAMED.values()] + [(FEATURES[-1], dtype) for dtype in DTYPES[1:]],
    ids=[*NAMED, *(f"everything in {str(dtype)[6:]}" for dtype in DTYPES[1:])],
)
def test_opcheck(feature, dtype):
    call = call_of(feature, dtype)
    tensors = make_tensors(call)
    with Recorder() as recorder:
        run(call, tensors)
    assert len(recorder.calls) == 2
    for function, args, kwargs in recorder.calls:
        differentiable = function._schema.name.endswith("forward")
        leaves = fresh(args, differentiable)
        for t in leaves:  # nobody differentiates slopes
            if isinstance(t, torch.Tensor) and tensors.slopes is not None and t.shape == tensors.slopes.shape:
                t.requires_grad_(False)
        torch.library.opcheck(function, leaves, kwargs)


@pytest.mark.parametrize("feature", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("wanted", ["q", "bias"])
def test_a_backward_alone_under_a_mode(feature, wanted):
    call = call_of(feature)
    tensors = make_tensors(call)
    if wanted == "bias" and tensors.bias is None:
        tensors = tensors._replace(bias=torch.randn(20, 33))
    extras = {name: t.clone() for name, t in tensors.extras().items()}
    q, k, v = (t.clone() for t in tensors[:3])
    leaf = {"q": q, **extras}[wanted].requires_grad_()
    out = ck_fmha.attention(q, k, v, call.mask, **call.options(), **extras)
    (expected,) = torch.autograd.grad(out, leaf, tensors.dout, retain_graph=True)
    with Recorder() as recorder:
        (actual,) = torch.autograd.grad(out, leaf, tensors.dout)
    assert [function._schema.name for function, _, _ in recorder.calls] == ["ck_fmha::attention_backward"]
    assert bits_equal(actual, expected)


@pytest.mark.parametrize("feature", NAMED.values(), ids=NAMED)
def test_compile_in_one_graph(feature):
    dynamic = list(NAMED.values()).index(feature) % 2 == 0

    def function(q, k, v, options):
        options = call.options() | options
        out, lse = ck_fmha.attention(q * 2, k, v, MASK, return_lse=True, **options)
        return out.square().sum() + lse.where(lse.isfinite(), 0).sum()

    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for seqlens in [(40, 40), (23, 57)]:
        call = call_of(feature, seqlens=seqlens)
        tensors = make_tensors(call)
        extras = tensors.extras()
        leaves = [t.requires_grad_() for t in (*tensors[:3], tensors.bias) if t is not None]
        loss, expected = compiled(*tensors[:3], extras), function(*tensors[:3], extras)
        torch.testing.assert_close(loss, expected)
        for mine, other in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("dynamic", [None, True])
def test_numbers_may_change_inside_a_compiled_function(dynamic):
    def function(q, softcap, p, seed):
        return ck_fmha.attention(q, q, q, softcap=softcap, dropout_p=p, dropout_seed=seed)

    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    q = torch.randn(1, 2, 20, 8)
    for softcap, p, seed in [(2.0, 0.5, 1), (2.0, 0.5, 2**63 - 1), (0.5, 0.25, 7), (0.0, 0.0, 0), (9.0, 1.0, 3)]:
        assert torch.equal(compiled(q, softcap, p, seed), function(q, softcap, p, seed))


def test_a_compiled_function_draws_a_seed_each_time():
    """A seed that is drawn while tracing would be the same for ever."""
    torch.compiler.reset()
    compiled = torch.compile(lambda q: ck_fmha.attention(q, q, q, dropout_p=0.5), fullgraph=True, backend="aot_eager")
    q = torch.randn(1, 2, 60, 16, requires_grad=True)
    torch.manual_seed(1)
    first, second = compiled(q), compiled(q)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(compiled(q), first) and torch.equal(compiled(q), second)
    # The backward drops what its forward dropped: with values alike, dO of ones gives dV whose sum is out's.
    v = torch.ones(1, 2, 60, 16, requires_grad=True)
    attend = torch.compile(
        lambda v: ck_fmha.attention(q.detach(), q.detach(), v, dropout_p=0.5), fullgraph=True, backend="aot_eager"
    )
    out = attend(v)
    (dv,) = torch.autograd.grad(out.sum(), v)
    torch.testing.assert_close(dv.sum(), out.sum().detach())


def masks_of_drop_in() -> dict[str, torch.Tensor]:
    attend = torch.rand(30, 40) < 0.5
    return {"bool": attend, "float": torch.randn(3, 1, 40), "float rows": torch.randn(2, 1, 30, 1)}


@pytest.mark.parametrize("kind", ["bool", "float", "float rows"])
def test_compile_drop_in(kind):
    def function(q, k, v, mask):
        return ck_fmha.scaled_dot_product_attention(q, k, v, mask)

    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    mask = masks_of_drop_in()[kind]
    q, k, v = torch.randn(2, 3, 30, 16), torch.randn(3, 40, 16), torch.randn(1, 3, 40, 16)
    if mask.is_floating_point():
        mask.requires_grad_()
        (mine,), (other,) = (torch.autograd.grad(f(q, k, v, mask).square().sum(), mask) for f in (compiled, function))
        torch.testing.assert_close(mine, other)
    torch.testing.assert_close(compiled(q, k, v, mask), function(q, k, v, mask))


class Layer(torch.nn.Module):
    """T5's bias, a cap, slopes; dropout with a seed given."""

    def __init__(self, feature: dict):
        super().__init__()
        self.feature = feature
        self.project = torch.nn.Linear(32, 96)
        self.bias = torch.nn.Parameter(torch.randn(2, 40, 40)) if "bias" in feature else None
        self.register_buffer("slopes", torch.tensor([0.5, 0.25]) if "alibi" in feature else None)

    def forward(self, x):
        q, k, v = self.project(x).unflatten(-1, (3, 2, 16)).unbind(2)
        numbers = {name: n for name, n in self.feature.items() if name in ("softcap", "dropout_p", "dropout_seed")}
        out = ck_fmha.attention(q, k, v, MASK, layout="bshd", bias=self.bias, alibi_slopes=self.slopes, **numbers)
        return out.flatten(2)


@pytest.mark.parametrize("feature", NAMED.values(), ids=NAMED)
def test_exported_program_survives_saving(feature, tmp_path):
    layer, x = Layer(feature).eval(), torch.randn(2, 40, 32)
    program = torch.export.export(layer, (x,))
    assert "ck_fmha.attention_forward" in program.graph_module.code
    torch.testing.assert_close(program.module()(x), layer(x))
    torch.export.save(program, tmp_path / "layer.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "layer.pt2").module()(x), layer(x))


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias_memory", ["contiguous", "transposed", "expanded"])
def test_fake_tensors_look_like_the_real_ones(dtype, bias_memory, layout):
    call = call_of(FEATURES[-1] | {"bias_memory": bias_memory}, dtype, layout=layout)
    tensors = make_tensors(call)
    real = run(call, tensors)
    with FakeTensorMode() as mode:
        fake = run(call, tensors.map(mode.from_tensor))
    for name, a, b in zip(Results._fields, fake, real, strict=True):
        assert (a.shape, a.dtype, a.stride(), a.device) == (b.shape, b.dtype, b.stride(), b.device), name


def test_the_mask_of_dropout_is_made_under_any_mode():
    expected = ck_fmha.dropout_mask(1, 2, 5, 40, 0.5, 3)
    with torch.device("meta"):
        inside = ck_fmha.dropout_mask(1, 2, 5, 40, 0.5, 3)
    assert inside.device.type == "cpu" and torch.equal(inside, expected)
