"""Every mask through the back end, forward and backward, against the reference on its predicate."""

from itertools import pairwise, product

import pytest
import torch

import ck_fmha
from calls import Call, assert_matches_reference, make_tensors, run
from ck_fmha import masks
from mask_cases import ALL, name_of, random_mask
from mask_cases import Case as C
from mask_expressions import Expression, expression_of, leaf, per_head, per_sample
from mask_predicates import Where
from random_calls import DTYPES


def check(expression: Expression, seqlens, heads=(4, 2), batch=2, **options) -> None:
    call = Call(expression.mask, seqlens=seqlens, heads=heads, batch=batch, **options)
    tensors = make_tensors(call)
    allowed = torch.empty(batch, heads[0], *seqlens, dtype=torch.bool)
    for b, h in product(range(batch), range(heads[0])):
        allowed[b, h] = expression.attended(Where(*seqlens, batch=b, head=h))
    assert_matches_reference(call, tensors, run(call, tensors)._asdict(), allowed)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_every_definition(case, dtype):
    heads = (case.heads, max(case.heads // 2, 1))
    seqlens = case.shapes[-1] if dtype in (torch.bfloat16, torch.float64) else case.shapes[-2:][0]
    check(expression_of(case), seqlens, heads, case.batch, dtype=dtype, head_dim=20, head_dim_v=24)


def document(*offsets: int, causal: str | None = None) -> Expression:
    return leaf(C("Documents", {"cu_seqlens_q": offsets, "causal": causal}))


def blocks(seqlen_q: int, seqlen_k: int, seed: int) -> Expression:
    mask = random_mask(seqlen_q, seqlen_k, 20, seed)
    return leaf(C("BlockList.from_tensor", {"mask": mask, "block_size": 32}))


CAUSAL = leaf(C("Causal", {}))
WINDOW = leaf(C("Window", {"left": 20, "right": 7}))
STRIDED = leaf(C("Strided", {"local": 5, "stride": 16}))
LENGTHS = leaf(C("Lengths", {"lengths_q": [150, 77, 0], "lengths_k": [33, 131, 131]}))
GRID = leaf(C("Neighborhood", {"grid": (11, 13), "window": (3, 7), "causal": (True, False)}))

COMBINED = {
    "documents and lengths": (document(0, 40, 41, 131, causal="top-left") & LENGTHS, (151, 131), (4, 2), 3),
    "another mask for each head": (per_head([CAUSAL, WINDOW, STRIDED, ~CAUSAL]), (151, 131), (4, 2), 2),
    "one key head": (per_head([CAUSAL, WINDOW, GRID, ~CAUSAL, CAUSAL.T, STRIDED]), (151, 131), (6, 1), 1),
    "another mask for each sample": (
        per_sample([blocks(151, 131, 1), blocks(151, 131, 2), CAUSAL]),
        (151, 131),
        (2, 2),
        3,
    ),
    "heads inside of samples": (
        per_sample([per_head([CAUSAL, GRID]), per_head([document(0, 7, 99), WINDOW])]),
        (151, 131),
        (2, 1),
        2,
    ),
    "samples inside of heads": (
        per_head([per_sample([CAUSAL, GRID]), per_sample([document(0, 7, 99), WINDOW])]).T.shift(3, -5),
        (131, 151),
        (2, 1),
        2,
    ),
    "transposes": ((STRIDED.T | GRID) & blocks(131, 151, 3).T, (151, 131), (4, 2), 2),
    "a chunk of rows": (leaf(C("Causal", {"alignment": "bottom-right"})).shift(-100, 0), (31, 131), (4, 2), 2),
    "rows without keys": (document(0, 90, causal="bottom-right").shift(0, 30), (151, 131), (4, 2), 2),
    "complements": (~(GRID | document(0, 70, 131)) & ~LENGTHS, (151, 131), (4, 2), 3),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", COMBINED)
def test_combinations(name, dtype):
    expression, seqlens, heads, batch = COMBINED[name]
    check(expression, seqlens, heads, batch, dtype=dtype, layout="bshd", head_dim=64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "case",
    [
        C("Strided", {"local": 32, "stride": 64}),
        C("Fixed", {"local": 128, "summary": 8}),
        C("Documents", {"cu_seqlens_q": [0, 5, 300, 301, 900], "causal": "top-left"}),
        C("Neighborhood", {"grid": (27, 33), "window": (9, 7)}),
        C("BlockList.from_tensor", {"mask": random_mask(901, 901, 50, seed=4), "block_size": 64}),
        C("DeepSpeedFixed", {"num_different_global_patterns": 4, "attention": "unidirectional"}),
    ],
    ids=name_of,
)
def test_nine_hundred_tokens(case, dtype):
    check(leaf(case), (901, 901), batch=1, dtype=dtype, head_dim=64)


def test_samples_of_a_batch_match_calls_of_their_own():
    """A batch padded to one length, against each sample alone, bit for bit on the valid rows."""
    lengths = [37, 90, 1]
    q, k, v = (torch.randn(3, 2, 90, 16) for _ in range(3))
    out = ck_fmha.attention(q, k, v, masks.Lengths(lengths, lengths) & masks.Causal())
    for b, n in enumerate(lengths):
        alone = ck_fmha.attention(*(t[b : b + 1, :, :n] for t in (q, k, v)), masks.Causal())
        torch.testing.assert_close(out[b : b + 1, :, :n], alone)
        assert (out[b, :, n:] == 0).all()


def test_packed_documents_match_calls_of_their_own():
    offsets = [0, 37, 38, 38, 120]
    q, k, v = (torch.randn(1, 2, 130, 16) for _ in range(3))
    out = ck_fmha.attention(q, k, v, masks.Documents(offsets, causal="top-left"))
    for start, end in pairwise(offsets):
        alone = ck_fmha.attention(*(t[:, :, start:end] for t in (q, k, v)), masks.Causal())
        torch.testing.assert_close(out[:, :, start:end], alone)
    assert (out[:, :, 120:] == 0).all()
