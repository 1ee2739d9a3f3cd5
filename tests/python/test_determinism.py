"""The same bits: over repeats, thread counts, concurrent callers, and in a child after fork."""

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from calls import FEATURES, Call, Results, bits_equal, make_tensors, run
from ck_fmha import masks
from random_calls import DTYPES
from scripts import run_script

# Long rows and columns among short ones: the ones that a schedule cuts into ranges.
CALLS = [
    Call(mask, dtype, head_dim=32, seqlens=seqlens, heads=(4, 2), batch=2)
    for dtype in DTYPES
    for mask, seqlens in [
        (None, (300, 300)),
        (masks.Causal(), (777, 777)),
        (masks.Longformer(32, global_tokens=3), (1500, 1500)),
        (masks.BigBird(block_size=32), (900, 1000)),
        (masks.Window(40, 0, "bottom-right", num_sinks=4), (1, 3000)),
        (masks.Longformer(8, global_tokens=1), (3000, 2)),
        (masks.Documents([0, 500, 510, 777]) | masks.Strided(9, 40), (777, 777)),
        (masks.per_sample([masks.Causal().T, masks.Neighborhood((30, 30), 9)]), (900, 900)),
    ]
] + [
    Call(mask, dtype, head_dim=32, seqlens=seqlens, heads=(4, 2), batch=2, **feature)
    for feature, dtype in zip(FEATURES[1:], itertools.cycle(DTYPES))
    for mask, seqlens in [(masks.Longformer(32, global_tokens=3), (700, 900)), (masks.Causal(), (1, 2000))]
]
IDS = [f"{number} {call.mask} {call.seqlens} {call.dtype}" for number, call in enumerate(CALLS)]


def assert_same(a: Results, b: Results, what: str) -> None:
    different = [name for name, x, y in zip(Results._fields, a, b, strict=True) if not bits_equal(x, y)]
    assert not different, f"{what}: other bits in {different}"


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_repeats(call):
    tensors = make_tensors(call)
    first = run(call, tensors)
    for attempt in range(3):
        assert_same(run(call, tensors), first, f"repeat {attempt}")


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_thread_counts(call):
    tensors = make_tensors(call)
    torch.set_num_threads(1)
    alone = run(call, tensors)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        assert_same(run(call, tensors), alone, f"{threads} threads")


def test_the_global_switch_of_torch_changes_nothing():
    call = CALLS[2]
    tensors = make_tensors(call)
    expected = run(call, tensors)
    torch.use_deterministic_algorithms(True)
    assert_same(run(call, tensors), expected, "torch.use_deterministic_algorithms")


@pytest.mark.parametrize("call", [CALLS[2], CALLS[-1]], ids=["plain", "everything"])
def test_the_argument_changes_nothing_either(call):
    tensors = make_tensors(call)
    expected = run(call, tensors)
    for deterministic in (True, False):
        assert_same(run(call, tensors, deterministic=deterministic), expected, f"deterministic={deterministic}")


@pytest.mark.parametrize("bias", ["", "h11", "k", "bhq1", "1hqk"])
def test_gradients_of_broadcast_biases(bias):
    """Sums over samples, heads, rows or columns, in the same order for any number of threads."""
    call = Call(masks.Longformer(64, 2), seqlens=(600, 700), heads=(4, 2), bias=bias)
    tensors = make_tensors(call)
    torch.set_num_threads(1)
    alone = run(call, tensors)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        assert_same(run(call, tensors), alone, f"{threads} threads")


def test_concurrent_callers():
    """Eight Python threads, different calls at once, forward and backward."""
    tensors = [make_tensors(call) for call in CALLS]
    expected = [run(call, t) for call, t in zip(CALLS, tensors, strict=True)]
    work = list(range(len(CALLS))) * 4
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: run(CALLS[i], tensors[i]), work))
    for i, result in zip(work, results, strict=True):
        assert_same(result, expected[i], IDS[i])


def test_concurrent_callers_with_the_same_new_mask():
    """The first use of a (mask, shape) fills caches; several threads may be first."""
    for seed in range(10):
        call = Call(masks.BigBird(block_size=8, seed=1000 + seed) & masks.Causal(), seqlens=(200, 200 + seed))
        tensors = make_tensors(call)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _, c=call, t=tensors: run(c, t), range(4)))
        for result in results:
            assert_same(result, run(call, tensors), f"seed {seed}")


FORK = """
import os, pickle, signal, torch
import ck_fmha
from calls import Call, make_tensors

torch.set_num_threads(2)
call = Call(ck_fmha.masks.Longformer(32, 3), head_dim=32, seqlens=(900, 900), heads=(4, 2))
tensors = make_tensors(call)

def result():
    # autograd is not used here: what torch's own backward threads do after fork is torch's business
    out, lse = ck_fmha.attention(*tensors[:3], call.mask, enable_gqa=True, return_lse=True)
    return [t.numpy().tobytes() for t in (out, lse)]

{warm_up}
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(60)  # a hanging child ends by itself
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        pickle.dump(result(), pipe)
    os._exit(0)
os.close(write)
with os.fdopen(read, "rb") as pipe:
    data = pipe.read()
_, status = os.waitpid(child, 0)
assert status == 0, f"the child ended with status {{status}} (14: it hung)"
assert pickle.loads(data) == result(), "the child computed other bits"
assert pickle.loads(data) == result(), "the parent computes other bits after the fork"
print("same bits")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason=f"no os.fork on {sys.platform}")
@pytest.mark.parametrize("warm_up", ["", "result()"], ids=["parent idle", "parent has computed"])
def test_after_fork_the_child_computes_the_same_bits(warm_up):
    assert run_script(FORK.format(warm_up=warm_up), timeout=120).strip() == "same bits"


FORK_BACKWARD = """
import os, signal, numpy, torch
import ck_fmha
from calls import Call, make_tensors, run

torch.set_num_threads(2)
call = Call(ck_fmha.masks.Longformer(32, 3), head_dim=32, seqlens=(900, 900), heads=(4, 2))
tensors = make_tensors(call)
before = ck_fmha.attention(*tensors[:3], call.mask, enable_gqa=True).numpy()
child = os.fork()
if child == 0:
    signal.alarm(60)
    # numpy compares: torch's own large element-wise operations may hang after a fork
    results = [t.numpy() for t in run(call, tensors)]
    os._exit(0 if all(numpy.isfinite(t).all() for t in results) and (results[0] == before).all() else 1)
_, status = os.waitpid(child, 0)
assert status == 0, f"the child ended with status {status} (14: it hung)"
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason=f"no os.fork on {sys.platform}")
def test_after_fork_the_child_can_train():
    assert run_script(FORK_BACKWARD, timeout=120).strip() == "done"


def test_other_processes_get_the_same_bits():
    """Nothing depends on object identity or on Python's hash randomisation."""
    script = """
import hashlib, torch, ck_fmha
torch.manual_seed(0)
q, k, v = (torch.randn(1, 2, 200, 16) for _ in range(3))
out = ck_fmha.attention(q, k, v, ck_fmha.masks.BigBird(block_size=8) | ck_fmha.masks.Window(3, 3))
print(hashlib.sha256(out.numpy().tobytes()).hexdigest())
"""
    assert len({run_script(script) for _ in range(2)}) == 1
