"""Products of pairs of bfloat16: the instructions and their emulation, each in a process of its own."""

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


@pytest.mark.parametrize("isa", EVERY)
def test_against_the_reference(isa):
    """Every feature, head_dims that fill no pair or no vector, every order in memory."""
    script = (
        CHOOSE.format(require(isa))
        + """
import itertools, torch
from calls import FEATURES, MEMORY, Call, assert_matches_reference, make_tensors, run
from ck_fmha import masks
shapes = itertools.cycle([(64, 64), (1, 3), (33, 80), (128, 16)])
lengths = itertools.cycle([(130, 67), (63, 200), (1, 65), (64, 64)])
layouts = itertools.cycle(["bhsd", "bshd"])
chosen = itertools.cycle([masks.Causal(), None, masks.Longformer(20, 3), masks.BigBird(block_size=16)])
for memory, features in itertools.product(MEMORY, FEATURES):
    head_dim, head_dim_v = next(shapes)
    call = Call(next(chosen), torch.bfloat16, head_dim, head_dim_v, next(lengths), heads=(4, 2), memory=memory,
                layout=next(layouts), **features)
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())
"""
    )
    run_script(script, timeout=600)


@pytest.mark.parametrize("isa", [VECTORS, TILES])
def test_the_emulation_is_exact(isa):
    script = """
import torch
from calls import Call, make_tensors, run
from ck_fmha import masks
for seed, head_dim in enumerate((64, 128, 33, 7)):
    call = Call(masks.Longformer(100, 5), torch.bfloat16, head_dim, seqlens=(300, 300), heads=(4, 2), seed=seed)
    for result in run(call, make_tensors(call)):
        numbers = result.float().nan_to_num(0, 1e9, -1e9)
        print(numbers.view(torch.int32).to(torch.int64).sum().item(), numbers.double().sum().item())
"""
    outputs = {run_script(CHOOSE.format(require(name)) + script) for name in (isa, f"{isa}_emulated")}
    assert len(outputs) == 1


@pytest.mark.parametrize("isa, dtype", [(VECTORS, torch.float32), (TILES, torch.float16)])
def test_other_dtypes_compute_as_before(dtype, isa):
    script = f"""
import torch
from calls import Call, make_tensors, run
call = Call(None, {dtype}, 40, seqlens=(100, 90))
for result in run(call, make_tensors(call)):
    print(result.double().sum().item())
"""
    outputs = {run_script(CHOOSE.format(name) + script) for name in ("avx512", require(f"{isa}_emulated"))}
    assert len(outputs) == 1


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
