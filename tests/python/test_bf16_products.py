"""Products of pairs of bfloat16, and of float16 as sums of two: the instructions and their emulation.

In processes of their own.
"""

import functools

import pytest
import torch

from ck_fmha import _native
from scripts import run_script

VECTORS, TILES = "avx512_bf16", "avx512_amx"  # the instruction sets; each has an emulation
EVERY = [VECTORS, f"{VECTORS}_emulated", TILES, f"{TILES}_emulated"]
CHOOSE = "import os\nos.environ['CK_FMHA_CPU_ISA'] = '{}'\n"


def require(isa: str) -> str:
    if isa not in _native.available_isas():
        pytest.skip(f"{isa} is not among the instruction sets here: {_native.available_isas()} (see CONTRIBUTING)")
    return isa


BIG = 2.0**24  # 1 + BIG is BIG
SCORES_OF_BOTH = [  # query, key, their score
    ([0.0, 1.0, BIG, -BIG], [0.0, 1.0, 1.0, 1.0], 1.0),
    ([2.0**-130, 0.0, 0.0, 0.0], [2.0**100, 0.0, 0.0, 0.0], 0.0),  # a subnormal operand
    ([2.0**-126, 0.0, 0.0, 0.0], [2.0**100, 0.0, 0.0, 0.0], 2.0**-26),
    ([1.0, 1.0], [1.0, 2.0**-7], 1.0 + 2.0**-7),
    ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 6.0),  # half a pair
]
SCORES = {
    VECTORS: [  # one sum: a pair's second product before its first one
        ([1.0, -BIG, BIG, 0.0], [1.0, 1.0, 1.0, 1.0], 1.0),
        ([0.0, 1.0, -BIG, BIG], [0.0, 1.0, 1.0, 1.0], 0.0),
    ],
    TILES: [  # the sums of first and of second products apart, for 32 numbers at a time from zero
        ([1.0, -BIG, BIG, 0.0], [1.0, 1.0, 1.0, 1.0], 0.0),
        ([BIG, 1.0, -BIG, 0.0], [1.0, 1.0, 1.0, 1.0], 1.0),
        ([1.0, BIG, 0.0, -BIG], [1.0, 1.0, 1.0, 1.0], 1.0),
        ([BIG, *[0.0] * 31, 1.0, 0.0, -BIG], [1.0] * 35, 1.0),
    ],
}


@pytest.mark.parametrize("isa", EVERY)
def test_sums_of_pairs(isa):
    """The LSE of one key is its score, so it shows the order of the additions and what is flushed to zero."""
    cases = SCORES_OF_BOTH + SCORES[isa.removesuffix("_emulated")]
    script = (
        CHOOSE.format(require(isa))
        + f"""
import torch, ck_fmha
for query, key, score in {cases}:
    q, k = (torch.tensor(x).to(torch.bfloat16).view(1, 1, 1, -1) for x in (query, key))
    _, lse = ck_fmha.attention(q, k, k, scale=1.0, return_lse=True)
    assert abs(float(lse) - score) <= 2e-7 * abs(score), (query, key, score, float(lse))
"""
    )
    run_script(script)


@pytest.mark.parametrize("isa", [TILES, f"{TILES}_emulated"])
def test_scores_of_float16_are_as_exact_as_float32(isa):
    """Each float16 is the sum of two bfloat16, and all four products count: the least is 2^-18 of the whole."""
    script = (
        CHOOSE.format(require(isa))
        + """
import torch, ck_fmha
torch.manual_seed(0)
for head_dim in (1, 2, 33, 64, 100):
    q, k = torch.randn(2, 8, 64, 1, head_dim).abs().half()
    _, lse = ck_fmha.attention(q, k, k, scale=1.0, return_lse=True)
    score = (q.double() * k.double()).sum(-1)
    error = ((lse.double() - score).abs() / score).max()
    assert error <= 2.0**-21, (head_dim, float(error))
tiny, large = torch.finfo(torch.float16).smallest_normal / 1024, torch.finfo(torch.float16).max
for query, key in ((tiny, 1.0), (tiny, large), (large, large), (0.0, large), (-tiny, -tiny)):
    q, k = (torch.full((1, 1, 1, 3), x).half() for x in (query, key))
    _, lse = ck_fmha.attention(q, k, k, scale=1.0, return_lse=True)
    score = float((q.double() * k.double()).sum())
    assert abs(float(lse) - score) <= 2.0**-22 * abs(score), (query, key, score, float(lse))
"""
    )
    run_script(script)


REFERENCE_CASES = [(isa, torch.bfloat16) for isa in EVERY] + [(isa, torch.float16) for isa in EVERY if TILES in isa]


@pytest.mark.parametrize("isa, dtype", REFERENCE_CASES)
def test_against_the_reference(dtype, isa):
    """Every feature, head_dims that fill no pair or no vector, every order in memory."""
    script = (
        CHOOSE.format(require(isa))
        + f"""
import itertools, torch
from calls import FEATURES, MEMORY, Call, assert_matches_reference, make_tensors, run
from ck_fmha import masks
shapes = itertools.cycle([(64, 64), (1, 3), (33, 80), (128, 16)])
lengths = itertools.cycle([(130, 67), (63, 200), (1, 65), (64, 64)])
layouts = itertools.cycle(["bhsd", "bshd"])
chosen = itertools.cycle([masks.Causal(), None, masks.Longformer(20, 3), masks.BigBird(block_size=16)])
for memory, features in itertools.product(MEMORY, FEATURES):
    head_dim, head_dim_v = next(shapes)
    call = Call(next(chosen), {dtype}, head_dim, head_dim_v, next(lengths), heads=(4, 2), memory=memory,
                layout=next(layouts), **features)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())
"""
    )
    run_script(script, timeout=600)


@pytest.mark.parametrize("isa, dtype", [(VECTORS, torch.bfloat16), (TILES, torch.bfloat16), (TILES, torch.float16)])
def test_the_emulation_is_exact(dtype, isa):
    script = f"""
import torch
from calls import Call, make_tensors, run
from ck_fmha import masks
for seed, head_dim in enumerate((64, 128, 33, 7)):
    call = Call(masks.Longformer(100, 5), {dtype}, head_dim, seqlens=(300, 300), heads=(4, 2), seed=seed)
    for result in run(call, make_tensors(call)):
        numbers = result.float().nan_to_num(0, 1e9, -1e9)
        print(numbers.view(torch.int32).to(torch.int64).sum().item(), numbers.double().sum().item())
"""
    outputs = {run_script(CHOOSE.format(require(name)) + script) for name in (isa, f"{isa}_emulated")}
    assert len(outputs) == 1


@pytest.mark.parametrize("isa", [VECTORS, TILES])
def test_other_dtypes_compute_as_before(isa):
    script = """
import torch
from calls import Call, make_tensors, run
call = Call(None, torch.float32, 40, seqlens=(100, 90))
for result in run(call, make_tensors(call)):
    print(result.double().sum().item())
"""
    outputs = {run_script(CHOOSE.format(name) + script) for name in ("avx512", require(f"{isa}_emulated"))}
    assert len(outputs) == 1


LENGTHS = (50, 200)  # one tile, and many
NOT_FINITE = [(where, seqlen) for where in ("q", "k", "v", "dout", "dlse") for seqlen in LENGTHS]


@functools.cache
def results_of_what_is_not_finite(isa: str) -> list[str]:
    """For each of NOT_FINITE what is where in the results, in words; of one process: starting takes seconds."""
    script = f"""
import json, torch, ck_fmha
from ck_fmha import masks
torch.set_num_threads(2)

def described(result):
    numbers = result.detach().float()
    words = "".join("n" if x != x else "+" if x == float("inf") else "-" if x == float("-inf") else "."
                    for x in numbers.flatten().tolist())
    finite = numbers[numbers.isfinite()].double()
    return words + (f" {{finite.sum():.1f}} {{finite.abs().max():.2f}}" if finite.numel() else "")

for where, seqlen in {NOT_FINITE}:
    torch.manual_seed(0)
    words = []
    for number in (float("inf"), float("-inf"), float("nan")):
        q, k, v, dout = torch.randn(4, 1, 2, seqlen, 40).half()
        dlse = torch.randn(1, 2, seqlen)
        dict(q=q, k=k, v=v, dout=dout, dlse=dlse)[where][0, 1, seqlen // 2] = number
        for x in (q, k, v):
            x.requires_grad_()
        out, lse = ck_fmha.attention(q, k, v, mask=masks.Window(30, 10), return_lse=True)
        gradients = torch.autograd.grad((out, lse), (q, k, v), (dout, dlse))
        words += [described(result) for result in (out, lse, *gradients)]
    print(json.dumps(words))
"""
    return run_script(CHOOSE.format(isa) + script).splitlines()


@pytest.mark.parametrize("number", range(len(NOT_FINITE)), ids=[f"{where} {seqlen}" for where, seqlen in NOT_FINITE])
def test_what_is_not_finite_does_what_it_does_in_float32(number):
    """An infinity is no sum of two numbers: tiles with such numbers are computed in float32, and others as always."""
    results = results_of_what_is_not_finite(require(f"{TILES}_emulated"))
    assert len(results) == len(NOT_FINITE)
    assert results[number] == results_of_what_is_not_finite("avx512")[number]


def test_tile_registers_are_left_as_they_were():
    """torch multiplies bfloat16 in tile registers as well, on the same threads, and its results stay the same."""
    script = (
        CHOOSE.format(require(TILES))
        + """
import torch
from calls import Call, make_tensors, run
call = Call(None, torch.bfloat16, 64, seqlens=(300, 300), heads=(4, 2))
tensors = make_tensors(call)
a, b = torch.randn(2, 512, 512).to(torch.bfloat16)
products, results = [], []
for _ in range(5):
    products.append(a @ b)
    results.append(run(call, tensors))
    products.append(a @ b)
assert all(torch.equal(product, products[0]) for product in products)
assert all(torch.equal(one, other) for result in results for one, other in zip(result, results[0]))
"""
    )
    run_script(script)
