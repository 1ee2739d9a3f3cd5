"""backend="cuda" on an NVIDIA GPU: streams, CUDA graphs, devices, determinism, and what is not read or written."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import ck_fmha
import cuda_calls
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from cuda_calls import assert_right, explain, on_cuda, on_gpu
from gpu_calls import DTYPES, POISONED, SEQLENS, assert_keys_of_empty_tiles_are_not_read
from guard_bands import guarded_allocations, guarded_copy

pytestmark = cuda_calls.needs_gpu

# Some of its rows are cut.
CALL = Call(masks.Longformer(40, 70), torch.bfloat16, 64, seqlens=(700, 900), heads=(4, 2), batch=2)


def attend(q, k, v, mask=CALL.mask):
    with torch.no_grad():
        return ck_fmha.attention(q, k, v, mask, enable_gqa=True)


def new_mask(number: int) -> masks.Mask:
    """A mask whose plan nobody has made, of a structure whose kernels are compiled."""
    return masks.Longformer(40, 71 + number)


def occupy(stream: torch.cuda.Stream) -> torch.cuda.Event:
    """Keep a stream busy for about a second; return the event of its end."""
    over = torch.cuda.Event()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(2_000_000_000)
        over.record()
    return over


def test_auto_takes_the_gpu_of_the_tensors():
    q, k, v = on_gpu(make_tensors(CALL))
    told = ck_fmha.explain(q, k, v, CALL.mask, enable_gqa=True)
    major, minor = torch.cuda.get_device_capability()
    assert told.backend == "cuda" and told.isa.startswith(f"sm_{major}{minor}")
    assert bits_equal(attend(q, k, v), ck_fmha.attention(q, k, v, CALL.mask, enable_gqa=True, backend="cuda"))


def test_tensors_on_the_cpu_are_refused(raises):
    q, k, v, *_ = make_tensors(CALL)
    call = lambda: ck_fmha.attention(q, k, v, enable_gqa=True, backend="cuda")  # noqa: E731
    raises(ValueError, call, r'q is on device "cpu"', r'q\.to\("cuda"\)')


@pytest.mark.parametrize("plan", ["new", "known"])
def test_calls_are_ordered_on_their_stream_and_wait_for_nothing(plan):
    q, k, v = on_gpu(make_tensors(CALL))
    mask = new_mask(1) if plan == "new" else CALL.mask
    attend(q + 1, k, v)  # loads the kernels, torch's sum too: to load one waits for the device
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    over = occupy(stream)
    with torch.cuda.stream(stream):
        later = q + 1
        began = time.perf_counter()
        out = attend(later, k, v, mask)
        took = time.perf_counter() - began
    assert not over.query(), f"the call waited for its stream: it took {took:.3f} s"
    stream.synchronize()
    assert bits_equal(out, attend(q + 1, k, v, mask))


def test_streams_at_once():
    q, k, v = on_gpu(make_tensors(CALL))
    expected = [attend(q, k, v, masks.Longformer(40, 80 + n)) for n in range(4)]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in expected]
    results = []
    for n in range(40):
        with torch.cuda.stream(streams[n % 4]):
            results.append(attend(q, k, v, masks.Longformer(40, 80 + n // 10)))
    torch.cuda.synchronize()
    assert all(bits_equal(out, expected[n // 10]) for n, out in enumerate(results))


@pytest.mark.parametrize("plan", ["new", "known"])
def test_cuda_graphs(plan):
    q, k, v = on_gpu(make_tensors(CALL))
    mask = new_mask(2) if plan == "new" else CALL.mask
    attend(q, k, v)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attend(q, k, v, mask)
    for _ in range(3):
        q.add_(0.25)
        graph.replay()
        torch.cuda.synchronize()
        assert bits_equal(out, attend(q, k, v, mask))
    for n in range(1100):  # more plans than are kept: the graph's stays
        attend(q[:, :, : 1 + n // 500], k[:, :, : 1 + n % 500], v[:, :, : 1 + n % 500], masks.Full())
    graph.replay()
    torch.cuda.synchronize()
    assert bits_equal(out, attend(q, k, v, mask))


needs_two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs here")


@needs_two_gpus
def test_several_devices_in_one_process():
    q, k, v = on_gpu(make_tensors(CALL))
    expected = attend(q, k, v)
    out = attend(q.to("cuda:1"), k.to("cuda:1"), v.to("cuda:1"))
    assert out.device.index == 1 and torch.cuda.current_device() == 0
    assert bits_equal(out.cpu(), expected.cpu())


def all_results(device: str) -> list[torch.Tensor]:
    """out, lse and gradients on a device; autograd's own threads compute the gradients."""
    leaves = [t.to(device).requires_grad_() for t in on_gpu(make_tensors(CALL))]
    out, lse = ck_fmha.attention(*leaves, CALL.mask, enable_gqa=True, return_lse=True, deterministic=True)
    assert out.device == lse.device == leaves[0].device
    return [out.detach(), lse.detach(), *torch.autograd.grad(out.float().square().sum() + lse.sum(), leaves)]


@needs_two_gpus
def test_gradients_on_the_second_device():
    expected = all_results("cuda:0")
    results = all_results("cuda:1")
    assert torch.cuda.current_device() == 0
    assert all(bits_equal(x.cpu(), y.cpu()) for x, y in zip(results, expected, strict=True))


@needs_two_gpus
def test_a_stream_of_the_second_device():
    q, k, v = on_gpu(make_tensors(CALL))
    expected = attend(q + 1, k, v)
    q, k, v = (t.to("cuda:1") for t in (q, k, v))
    attend(q + 1, k, v)
    torch.cuda.synchronize("cuda:1")
    stream = torch.cuda.Stream("cuda:1")
    over = occupy(stream)
    with torch.cuda.stream(stream):
        later = q + 1
        out = attend(later, k, v)
        assert torch.cuda.current_device() == 1
    assert not over.query(), "the call waited for its stream"
    stream.synchronize()
    assert bits_equal(out.cpu(), expected.cpu())


@needs_two_gpus
def test_threads_on_two_devices_at_once():
    expected = all_results("cuda:0")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(all_results, [f"cuda:{n % 2}" for n in range(16)]))
    for results in found:
        assert all(bits_equal(x.cpu(), y.cpu()) for x, y in zip(results, expected, strict=True))


@pytest.mark.parametrize("head_dim", [64, 128, 256])
def test_a_hundred_runs_give_the_same_bits(head_dim):
    call = replace(CALL, head_dim=head_dim)
    q, k, v = on_gpu(make_tensors(call))
    with torch.no_grad():
        runs = [ck_fmha.attention(q, k, v, call.mask, enable_gqa=True, return_lse=True) for _ in range(100)]
    assert all(bits_equal(out, runs[0][0]) and bits_equal(lse, runs[0][1]) for out, lse in runs)


@pytest.mark.parametrize("name", POISONED)
def test_keys_of_empty_tiles_are_not_read(name):
    number = list(POISONED).index(name)
    call = Call(POISONED[name], DTYPES[number % 2], 56, 40, seqlens=SEQLENS, heads=(4, 2), batch=2)
    value = (math.nan, math.inf)[number // 2 % 2]
    assert_keys_of_empty_tiles_are_not_read(call, value, on_cuda, explain)


@pytest.mark.parametrize("head_dim", [128, 256])
def test_those_of_large_heads_and_cut_rows_are_not_either(head_dim):
    call = Call(masks.Causal("bottom-right"), torch.float16, head_dim, seqlens=(260, 700), heads=(2, 1), batch=1)
    assert explain(call, make_tensors(call)).gpu.num_merges > 0
    assert_keys_of_empty_tiles_are_not_read(call, math.nan, on_cuda, explain)


STRIDES = {
    "rows 8 apart": lambda b, h, s, d: (h * s * (d + 8), s * (d + 8), d + 8, 1),
    "heads inside, 16 apart": lambda b, h, s, d: (s * h * (d + 16) + 8, d + 16, h * (d + 16), 1),
    "batch inside": lambda b, h, s, d: (d + 8, s * b * (d + 8), b * (d + 8), 1),
}


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("head_dim, head_dim_v", [(64, 64), (24, 40), (128, 120), (256, 200)])
def test_stride_gaps_and_guard_bands(strides, head_dim, head_dim_v):
    """Gaps and bands of NaN round inputs, outputs and the workspace, which themselves start as NaN."""
    mask = masks.Longformer(30, 140)  # its first rows are cut
    call = Call(mask, torch.bfloat16, head_dim, head_dim_v, seqlens=(330, 610), heads=(2, 1), batch=2)
    plain = make_tensors(call)
    guarded = [guarded_copy(t, STRIDES[strides](*t.shape), "cuda") for t in plain[:3]]
    tensors = plain._replace(**dict(zip("qkv", (g.tensor for g in guarded), strict=True)))
    assert not explain(call, tensors).gpu.copies
    with guarded_allocations() as made:
        out, lse = on_cuda(call, tensors)
    for g in guarded:
        g.assert_intact()
    assert len(made) == 3, "out, lse and the workspace"
    assert_matches_reference(call, plain, {"out": out, "lse": lse})


def test_compiled_calls_go_through_the_operator():
    q, k, v = on_gpu(make_tensors(CALL))
    compiled = torch.compile(lambda q, k, v: attend(q, k, v), backend="aot_eager", fullgraph=True)
    assert bits_equal(compiled(q, k, v), attend(q, k, v))


def test_the_default_stream_and_tensors_of_other_sizes():
    for seqlen in (1, 63, 64, 65, 127, 128, 129, 511, 513):
        assert_right(replace(CALL, seqlens=(seqlen, seqlen + 3), mask=masks.Causal()))
