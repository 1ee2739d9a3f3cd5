"""Gradients of backend="hip" over pairs of parameters, and over their full product, executed by the emulator."""

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest

import hip_calls
import hip_emulator
from calls import Call, assert_matches_reference, run
from gpu_calls import DTYPES, HEAD_DIMS, MASKS, padded, tensors_in
from hip_calls import ARCHS
from pairwise import pairwise
from test_hip_forward import kernels_of_pairs, name_of

pytestmark = hip_emulator.needs_emulator

# What differs from call to call of a kernel. Tiles have 32 rows and 64 or 128 columns.
CALLS: dict[str, list[Any]] = {
    "seqlens": [(200, 200), (33, 300), (300, 33), (1, 150), (150, 1)],
    "heads": [(2, 2), (4, 2), (3, 1), (1, 1)],
    "batch": [1, 2],
    "scale": [None, 0.0, -0.3],
    "memory": ["contiguous", "heads inside", "batch expanded", "aligned gaps", "rows expanded"],
    "layout": ["bhsd", "bshd"],
    "padding": ["none", "q and k", "v", "both"],
}
KERNELS: dict[str, list[Any]] = {
    "arch": ARCHS,
    "dtype": DTYPES,
    "head_dim": HEAD_DIMS,
    "deterministic": [False, True],
}


def kernels_of_mask(mask: str) -> list[dict]:
    """Of those that the forward's test takes one, which walks rows and columns of tiles; for every third mask another
    one besides, which adds dQ up while it walks columns.
    """
    number, kernels = list(MASKS).index(mask), kernels_of_pairs()[mask]
    first = number // 8 % 2
    chosen = [kernels[first] | {"deterministic": True}]
    return chosen if number % 3 else [*chosen, kernels[1 - first] | {"deterministic": False}]


def cases_of_pairs() -> list[dict]:
    dealt = Counter[str]()
    calls = pairwise({"mask": list(MASKS), **CALLS})
    random.Random(0).shuffle(calls)  # the greedy order has a rhythm, and that of the kernels would chime with it
    cases = []
    for case in calls:
        kernels = kernels_of_mask(case["mask"])
        dealt[case["mask"]] += 1
        cases.append(case | kernels[dealt[case["mask"]] % len(kernels)])
    return cases


CASES = cases_of_pairs()


def check(case: dict) -> None:
    head_dim, head_dim_v = padded(case["head_dim"], case["padding"])
    sizes = {name: case[name] for name in ("dtype", "seqlens", "heads", "batch", "scale", "layout")}
    call = Call(head_dim=head_dim, head_dim_v=head_dim_v, **sizes)
    call = replace(call, mask=MASKS[case["mask"]](call))
    tensors = tensors_in(case["memory"], call)
    results = run(call, tensors, backend="hip", deterministic=case["deterministic"])
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_pairs_of_parameters(case, monkeypatch):
    hip_calls.use(monkeypatch, case["arch"])
    check(case)


def test_every_pair_of_parameters_is_among_the_cases():
    """But for a mask and a kernel: one or two for each mask are what there is time for."""
    parameters = {"mask": list(MASKS)} | KERNELS | CALLS
    met = {(a, str(case[a]), b, str(case[b])) for case in CASES for a, b in combinations(parameters, 2)}
    for a, b in combinations(parameters, 2):
        if a == "mask" and b in KERNELS:
            continue
        missing = [(x, y) for x, y in product(parameters[a], parameters[b]) if (a, str(x), b, str(y)) not in met]
        assert not missing, f"{a}, {b}"


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("mask", MASKS)
def test_all_kernels(mask, head_dim, dtype, arch, monkeypatch):
    """The full product of masks, head_dim, dtype and architecture; of each the pairs of what a call can vary."""
    hip_calls.use(monkeypatch, arch)
    for case in pairwise(CALLS | {"deterministic": [False, True]}):
        check(case | {"mask": mask, "arch": arch, "dtype": dtype, "head_dim": head_dim})
