"""Products of pairs of bfloat16: the instruction and its emulation, each in a process of its own."""

import pytest
import torch

from ck_fmha import _native
from scripts import run_script

HARDWARE, EMULATED = "avx512_bf16", "avx512_bf16_emulated"
CHOOSE = "import os\nos.environ['CK_FMHA_CPU_ISA'] = '{}'\n"


def require(isa: str) -> str:
    if isa not in _native.available_isas():
        pytest.skip(f"{isa} is not among the instruction sets here: {_native.available_isas()} (see CONTRIBUTING)")
    return isa


@pytest.mark.parametrize("isa", [HARDWARE, EMULATED])
def test_sums_of_pairs(isa):
    """The LSE of one key is its score, so it shows the order of the additions and what is flushed to zero."""
    cases = [  # query, key, the score
        ([1.0, -(2.0**24), 2.0**24, 0.0], [1.0, 1.0, 1.0, 1.0], 2.0**24 - 2.0**24 + 1),
        ([0.0, 1.0, -(2.0**24), 2.0**24], [0.0, 1.0, 1.0, 1.0], 0.0),  # 1 + 2^24 is rounded before -2^24 comes
        ([0.0, 1.0, 2.0**24, -(2.0**24)], [0.0, 1.0, 1.0, 1.0], 1.0),
        ([2.0**-130, 0.0, 0.0, 0.0], [2.0**100, 0.0, 0.0, 0.0], 0.0),  # a subnormal operand
        ([2.0**-126, 0.0, 0.0, 0.0], [2.0**100, 0.0, 0.0, 0.0], 2.0**-26),
        ([1.0, 1.0], [1.0, 2.0**-7], 1.0 + 2.0**-7),
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 6.0),  # half a pair
    ]
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


@pytest.mark.parametrize("isa", [HARDWARE, EMULATED])
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


def test_the_emulation_is_exact():
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
    outputs = {run_script(CHOOSE.format(require(isa)) + script) for isa in (HARDWARE, EMULATED)}
    assert len(outputs) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_dtypes_compute_as_before(dtype):
    script = f"""
import torch
from calls import Call, make_tensors, run
call = Call(None, {dtype}, 40, seqlens=(100, 90))
for result in run(call, make_tensors(call)):
    print(result.double().sum().item())
"""
    outputs = {run_script(CHOOSE.format(isa) + script) for isa in ("avx512", require(EMULATED))}
    assert len(outputs) == 1
