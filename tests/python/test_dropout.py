"""Dropout: which elements the generator keeps, that both directions keep the same ones, and what they are worth."""

import itertools
import math

import pytest
import torch

import ck_fmha
import philox
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import _native, masks
from gradients import assert_gradients_are_numerical
from random_calls import DTYPES
from scripts import run_script

SEEDS = [0, 1, 7, 2**32 - 1, 2**32, 2**32 + 1, 0x0123456789ABCDEF, 2**63 - 1]
ONES = philox.WORD


def test_published_vectors_of_the_generator():
    """Of the plain one that everything here is held against, on ints and on tensors."""
    zeros, ones = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    pi = ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))
    of_pi = (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    for counter, key, expected in [((0,) * 4, (0, 0), zeros), ((ONES,) * 4, (ONES, ONES), ones), (*pi, of_pi)]:
        assert philox.philox4x32(counter, key) == expected
        words = philox.philox4x32([torch.tensor([c]) for c in counter], key)
        assert tuple(map(int, words)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_known_answers(p, seed):
    """Element by element in Python's ints."""
    kept = ck_fmha.dropout_mask(2, 3, 5, 70, p, seed)
    assert kept.dtype == torch.bool and kept.shape == (2, 3, 5, 70)
    for b, h, i, j in itertools.product(range(2), range(3), range(5), range(70)):
        assert bool(kept[b, h, i, j]) == (philox.sixteen_bits(b, h, i, j, seed) >= round(p * 65536)), (b, h, i, j)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 2, 300, 257), (3, 1, 64, 1000), (0, 2, 3, 4), (2, 3, 4, 0)])
@pytest.mark.parametrize("seed", [5, 2**63 - 1])
def test_larger_masks(sizes, seed):
    assert torch.equal(ck_fmha.dropout_mask(*sizes, 0.3, seed), philox.keep_mask(*sizes, 0.3, seed))


def test_an_element_does_not_depend_on_the_sizes():
    large = ck_fmha.dropout_mask(3, 4, 100, 130, 0.4, 11)
    for sizes in [(1, 1, 1, 1), (2, 3, 7, 33), (3, 4, 100, 129), (3, 1, 99, 16)]:
        b, h, i, j = sizes
        assert torch.equal(ck_fmha.dropout_mask(*sizes, 0.4, 11), large[:b, :h, :i, :j])


def test_a_larger_probability_drops_more_of_the_same():
    kept = [ck_fmha.dropout_mask(1, 2, 50, 70, p, 3) for p in (0.0, 0.1, 0.35, 0.8, 1.0)]
    assert kept[0].all() and not kept[-1].any()
    for more, fewer in itertools.pairwise(kept):
        assert not (fewer & ~more).any()


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("seed", SEEDS)
def test_rate(p, seed):
    """Within five standard deviations of the binomial, over everything and over every slice of one dimension."""
    kept = ck_fmha.dropout_mask(2, 4, 256, 256, p, seed).double()
    exact = 1 - round(p * 65536) / 65536
    for dimensions in [(0, 1, 2, 3), (1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]:
        rates = kept.mean(dimensions)
        count = kept.numel() // rates.numel()
        # Bernstein's bound: below 1e-8 for each slice, also where few are expected.
        bound = 6.2 * math.sqrt(exact * (1 - exact) / count) + 13 / count
        assert (rates - exact).abs().max() <= bound, dimensions


def correlation(one: torch.Tensor, two: torch.Tensor) -> float:
    """Of two equally distributed arrays of bits; of independent ones normal with a variance of 1 / size."""
    one, two = one.double().flatten() - one.double().mean(), two.double().flatten() - two.double().mean()
    return float((one * two).mean() / (one.std() * two.std())) * math.sqrt(one.numel())


@pytest.mark.parametrize("dimension", range(4), ids=["batch", "head", "query", "key"])
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16])
def test_neighbours_are_independent(dimension, lag):
    kept = ck_fmha.dropout_mask(20, 20, 48, 64, 0.3, 12345)
    length = kept.shape[dimension]
    assert abs(correlation(kept.narrow(dimension, 0, length - lag), kept.narrow(dimension, lag, length - lag))) < 5.5


@pytest.mark.parametrize("other", [1, 2, 2**31, 2**32, 2**62])
def test_seeds_are_independent(other):
    one, two = (ck_fmha.dropout_mask(2, 4, 256, 256, 0.3, seed) for seed in (0, other))
    assert abs(correlation(one, two)) < 5.5


def test_exchanged_coordinates_are_independent():
    """A counter that adds its coordinates up would be symmetric."""
    kept = ck_fmha.dropout_mask(8, 8, 64, 64, 0.5, 9)
    off = ~torch.eye(64, dtype=torch.bool)
    assert abs(correlation(kept[..., off], kept.mT[..., off])) < 8  # each pair twice: a larger variance
    assert abs(correlation(kept[0, 1:], kept[1:, 0])) < 5.5


def kept_by_attention(call: Call, **options) -> torch.Tensor:
    """Read off the output: equal scores, and values that are the unit vectors."""
    batch, heads, (seqlen_q, seqlen_k) = call.batch, call.heads[0], call.seqlens
    q = torch.zeros(batch, heads, seqlen_q, 8, dtype=call.dtype)
    k = torch.zeros(batch, call.heads[1], seqlen_k, 8, dtype=call.dtype)
    v = torch.eye(seqlen_k, dtype=call.dtype).expand(batch, call.heads[1], seqlen_k, seqlen_k)
    if call.layout == "bshd":
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    out = ck_fmha.attention(q, k, v, call.mask, **call.options(), **options)
    out = out if call.layout == "bhsd" else out.transpose(1, 2)
    kept = out != 0
    # Each kept element is worth 1 / (1 - p) of what it was.
    attended = 1 if call.mask is None else call.mask.materialize(*call.seqlens)
    value = attended / (attended * torch.ones(call.seqlens)).sum(1, keepdim=True) / (1 - call.exact_dropout_p)
    torch.testing.assert_close(out.double(), (kept * value).double(), rtol=2 * torch.finfo(call.dtype).eps, atol=1e-7)
    return kept


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("heads", [(4, 4), (4, 1)])
@pytest.mark.parametrize("mask", [None, masks.Window(90, 90), masks.Causal("bottom-right")])
def test_attention_keeps_what_the_mask_says(mask, heads, dtype, layout):
    call = Call(mask, dtype, seqlens=(150, 201), heads=heads, layout=layout, dropout_p=0.3, dropout_seed=2**40 + 9)
    expected = ck_fmha.dropout_mask(2, 4, 150, 201, 0.3, 2**40 + 9)
    if mask is not None:
        expected &= mask.materialize(150, 201)
    assert torch.equal(kept_by_attention(call), expected)


def test_threads_draw_the_same():
    call = Call(None, seqlens=(250, 250), heads=(4, 2), dropout_p=0.3, dropout_seed=4)
    tensors = make_tensors(call)
    torch.set_num_threads(1)
    kept, alone = kept_by_attention(call), run(call, tensors)
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert torch.equal(kept_by_attention(call), kept)
        assert all(bits_equal(a, b) for a, b in zip(run(call, tensors), alone, strict=True))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_instruction_sets_draw_the_same(isa):
    script = f"""
import os
os.environ["CK_FMHA_CPU_ISA"] = "{isa}"
import torch, philox
from calls import Call
from test_dropout import kept_by_attention
for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
    call = Call(None, dtype, seqlens=(70, 201), dropout_p=0.4, dropout_seed=77)
    assert torch.equal(kept_by_attention(call), philox.keep_mask(2, 2, 70, 201, 0.4, 77)), dtype
from ck_fmha import _native
print(_native.isa_name())
"""
    assert run_script(script).strip() == isa


@pytest.mark.parametrize(
    "mask",
    [
        None,
        masks.Causal(),
        masks.Causal("bottom-right"),
        masks.Longformer(20, 3),
        masks.BigBird(block_size=16),
        masks.per_sample([masks.Causal(), ~masks.Causal()]),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.6])
def test_against_the_reference(p, dtype, mask):
    call = Call(mask, dtype, seqlens=(130, 99), heads=(4, 2), layout="bshd", dropout_p=p, dropout_seed=3, head_dim_v=24)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


@pytest.mark.parametrize("p", [0.999, 0.99999, 1e-4])
def test_rare_elements(p):
    call = Call(None, seqlens=(130, 99), dropout_p=p, dropout_seed=3)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


def test_gradients_are_numerical():
    call = Call(
        masks.Window(4, 1, "bottom-right"),
        torch.float64,
        head_dim=2,
        seqlens=(6, 9),
        heads=(2, 1),
        dropout_p=0.4,
        dropout_seed=21,
    )
    assert_gradients_are_numerical(call)


@pytest.mark.parametrize("dtype", DTYPES)
def test_everything_dropped(dtype):
    """lse does not see dropout; only its own gradient is left."""
    call = Call(masks.Causal("bottom-right"), dtype, seqlens=(70, 60), dropout_p=1.0)
    tensors = make_tensors(call)
    results = run(call, tensors)
    plain = run(Call(call.mask, dtype, seqlens=(70, 60)), tensors)
    assert (results.out == 0).all() and (results.dv == 0).all()
    assert bits_equal(results.lse, plain.lse)
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("p", [0, 0.0, 1e-6, 2.0**-18])
def test_nothing_dropped(p):
    """Below half of 2^-16 nothing is."""
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    plain = run(call, tensors)
    with_p = run(call, tensors, dropout_p=p, dropout_seed=5)
    assert all(bits_equal(a, b) for a, b in zip(with_p, plain, strict=True))
    assert ck_fmha.dropout_mask(1, 2, 70, 80, p, 5).all()


@pytest.mark.parametrize("p", [1, 1.0, 1 - 1e-6])
def test_a_probability_of_one_however_it_is_written(p):
    q, k, v = (torch.randn(1, 2, 30, 16, requires_grad=True) for _ in range(3))
    out = ck_fmha.attention(q, k, v, dropout_p=p, dropout_seed=5)
    assert (out == 0).all()
    assert all((t == 0).all() for t in torch.autograd.grad(out.sum(), (q, k, v)))
    assert not ck_fmha.dropout_mask(1, 2, 30, 30, p, 5).any()


def test_lse_does_not_see_dropout():
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    assert bits_equal(run(call, tensors, dropout_p=0.7, dropout_seed=1).lse, run(call, tensors).lse)


def test_the_mean_over_seeds_is_attention_without_dropout():
    q, k, v = (torch.randn(1, 1, 20, 8) for _ in range(3))
    outs = torch.stack([ck_fmha.attention(q, k, v, dropout_p=0.5, dropout_seed=seed) for seed in range(2000)])
    error = outs.mean(0) - ck_fmha.attention(q, k, v)
    assert (error.abs() <= 6 * outs.std(0) / math.sqrt(2000)).all()


def test_seeds_come_from_torchs_generator():
    q, k, v = (torch.randn(1, 2, 60, 16) for _ in range(3))

    def three() -> list[torch.Tensor]:
        return [ck_fmha.attention(q, k, v, dropout_p=0.5) for _ in range(3)]

    torch.manual_seed(1)
    first = three()
    torch.manual_seed(1)
    again = three()
    torch.manual_seed(2)
    other = three()
    assert all(bits_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations([*first, *other], 2))


@pytest.mark.parametrize("options", [{}, {"dropout_p": 0.0}, {"dropout_p": 0.5, "dropout_seed": 3}])
def test_calls_that_need_no_seed_draw_none(options):
    state = torch.get_rng_state()
    ck_fmha.attention(*(torch.randn(1, 2, 60, 16, generator=torch.Generator()) for _ in range(3)), **options)
    assert torch.equal(torch.get_rng_state(), state)


def test_forward_and_backward_share_a_drawn_seed():
    """Values that are the unit vectors show what the forward kept, their gradient what the backward did."""
    q, k = torch.zeros(1, 2, 100, 8), torch.zeros(1, 2, 90, 8)
    v = torch.eye(90).expand(1, 2, 90, 90).clone().requires_grad_()
    out = ck_fmha.attention(q, k, v, dropout_p=0.5)
    torch.manual_seed(99)  # what happens in between does not matter
    ck_fmha.attention(q, k, v, dropout_p=0.5)
    (dv,) = torch.autograd.grad(out[..., 0].sum(), v)
    torch.testing.assert_close(dv[..., 0], out.detach().sum(2), rtol=1e-5, atol=1e-6)


def test_checkpointing_drops_the_same_again():
    q, k, v = (torch.randn(1, 2, 40, 16, requires_grad=True) for _ in range(3))

    def attend(q, k, v):
        return ck_fmha.attention(q, k, v, masks.Causal(), dropout_p=0.3)

    torch.manual_seed(5)
    plain = torch.autograd.grad(attend(q, k, v).square().sum(), (q, k, v))
    torch.manual_seed(5)
    kept = torch.utils.checkpoint.checkpoint(attend, q, k, v, use_reentrant=False)
    again = torch.autograd.grad(kept.square().sum(), (q, k, v))
    assert all(bits_equal(a, b) for a, b in zip(plain, again, strict=True))


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan, math.inf])
def test_probabilities_outside_of_the_range(raises, p):
    q = torch.zeros(1, 1, 3, 8)
    raises(ValueError, lambda: ck_fmha.attention(q, q, q, dropout_p=p), "dropout_p", str(p), r"\[?0.*1\]?")
    raises(ValueError, lambda: ck_fmha.dropout_mask(1, 1, 3, 3, p, 0), "dropout_p", str(p))


@pytest.mark.parametrize("p", ["0.1", None, [0.1], True, torch.ones(2)])
def test_probabilities_of_other_types(raises, p):
    q = torch.zeros(1, 1, 3, 8)
    received = type(p).__name__
    raises(TypeError, lambda: ck_fmha.attention(q, q, q, dropout_p=p), "dropout_p", received)
    raises(TypeError, lambda: ck_fmha.dropout_mask(1, 1, 3, 3, p, 0), "dropout_p", received)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64])
def test_seeds_outside_of_the_range(raises, seed):
    q = torch.zeros(1, 1, 3, 8)
    raises(ValueError, lambda: ck_fmha.attention(q, q, q, dropout_p=0.5, dropout_seed=seed), "dropout_seed", str(seed))
    raises(ValueError, lambda: ck_fmha.dropout_mask(1, 1, 3, 3, 0.5, seed), "dropout_seed", str(seed))


@pytest.mark.parametrize("seed", ["3", 1.0, [1], True, torch.Generator()])
def test_seeds_of_other_types(raises, seed):
    q = torch.zeros(1, 1, 3, 8)
    call = ck_fmha.attention
    raises(TypeError, lambda: call(q, q, q, dropout_p=0.5, dropout_seed=seed), "dropout_seed", type(seed).__name__)
    raises(TypeError, lambda: ck_fmha.dropout_mask(1, 1, 3, 3, 0.5, seed), "dropout_seed", type(seed).__name__)


@pytest.mark.parametrize("position, name", list(enumerate(["batch", "num_heads", "seqlen_q", "seqlen_k"])))
def test_sizes_of_a_mask(raises, position, name):
    sizes = [1, 2, 3, 4]
    for wrong, refused in [(-1, ValueError), (2.0, TypeError), (None, TypeError)]:
        sizes[position] = wrong
        raises(refused, lambda: ck_fmha.dropout_mask(*sizes, 0.5, 0), name, str(wrong))
