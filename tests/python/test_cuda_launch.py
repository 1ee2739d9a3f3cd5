"""What backend="cuda" asks of libcuda, seen by a stand-in: launches, shared memory, streams, captures."""

import functools
from dataclasses import replace

import pytest
import torch

import ck_fmha
import cuda_stand_in
from calls import Call, make_tensors
from ck_fmha import _gpu_driver, _instances, masks
from ck_fmha.bench.cuda_balance import balance
from ck_fmha.masks import _native_masks
from cuda_stand_in import calls, capture, forget, pending_events

pytestmark = cuda_stand_in.needs_stand_ins

STREAM = 4242
BEFORE_TILES = 1024  # bytes of shared memory in which warps keep things
CALL = Call(masks.Causal("bottom-right"), torch.bfloat16, 64, seqlens=(300, 700), heads=(4, 2), batch=2)


@pytest.fixture(autouse=True)
def driver(monkeypatch, tmp_path):
    """A driver that has seen nothing yet, and masks that are new to the runtime."""
    for name, value in cuda_stand_in.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_instances, "_modules", _instances._Modules(most=8))
    monkeypatch.setattr(_native_masks, "_recent", type(_native_masks._recent)(max_masks=256, max_bytes=2**20))
    monkeypatch.setattr("ck_fmha._gpu.stream_of", lambda t: STREAM)
    forget()


def on_cuda(call: Call) -> tuple[torch.Tensor, torch.Tensor]:
    q, k, v, *_ = make_tensors(call)
    call = replace(call, mask=replace(call.mask))  # its own plan
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, backend="cuda", **call.options())


def launches(kernel: str) -> list[str]:
    return [line.removeprefix(f"launch {kernel} ") for line in calls(f"launch {kernel} ")]


@pytest.mark.parametrize(
    "head_dim, threads, shared",
    # Two stages of 64 (32) keys and values; of a warpgroup, 128 queries; BEFORE_TILES before them.
    [(32, 128, 16384 + 8192), (64, 128, 32768 + 16384), (128, 128, 65536 + 32768), (256, 256, 65536)],
)
def test_launches(head_dim, threads, shared):
    on_cuda(replace(CALL, head_dim=head_dim))
    # Three rows of tiles of 128, each cut in two.
    assert launches("ck_fmha_fwd_plan") == [f"groups 6 threads {threads} shared {BEFORE_TILES} stream 7000 on 0"]
    assert launches("ck_fmha_fwd") == [
        f"groups 48 threads {threads} shared {shared + BEFORE_TILES} stream {STREAM} on 0"
    ]
    assert launches("ck_fmha_fwd_combine") == [f"groups {24 * 16} threads 256 shared 0 stream {STREAM} on 0"]


def test_what_the_kernels_may_access():
    on_cuda(CALL)
    extents = {line.split()[1]: line for line in calls("extent")}
    assert extents["q"] == "extent q access 1 sizes 2 4 300 64"
    assert extents["k"] == "extent k access 1 sizes 2 2 700 64"
    assert extents["v"] == "extent v access 1 sizes 2 2 700 64"
    assert extents["o"] == "extent o access 2 sizes 2 4 300 64"
    assert extents["lse"] == "extent lse access 2 sizes 2400"


def test_a_call_waits_for_nothing_on_the_host():
    with pending_events():
        on_cuda(CALL)
        on_cuda(CALL)
    assert not calls("synchronize")


def test_the_plan_is_prepared_once_on_a_stream_of_its_own_that_calls_wait_for():
    mask = masks.Window(90, 3)
    q, k, v, *_ = make_tensors(CALL)
    call = functools.partial(ck_fmha.attention, q, k, v, mask, enable_gqa=True, backend="cuda")
    with pending_events():
        call()
        assert [line.split()[0] for line in calls() if not line.startswith("extent")] == [
            "allocate",
            "upload",
            "load",
            "launch",  # the plan
            "record",
            "wait",
            "launch",
        ]
        assert calls("upload") == ["upload stream 7000"] and calls("record") == ["record stream 7000"]
        assert calls("wait") == [f"wait stream {STREAM}"]
        forget()
        call()
        assert [line.split()[0] for line in calls() if not line.startswith("extent")] == ["wait", "launch"]
    call()  # sees that the plan is prepared
    forget()
    call()
    assert [line.split()[0] for line in calls() if not line.startswith("extent")] == ["launch"]


def test_captures():
    """A capture forbids to allocate and to wait on other streams; a graph must find the plan prepared."""
    with capture(STREAM), pending_events():
        on_cuda(CALL)
    assert calls("synchronize") == ["synchronize event"] and not calls("wait")
    assert len(launches("ck_fmha_fwd_plan")) == 1 and len(launches("ck_fmha_fwd")) == 1


def test_several_devices(monkeypatch):
    on_cuda(CALL)
    monkeypatch.setenv("CK_FMHA_CUDA_DEVICE", cuda_stand_in.DEVICES["sm_80"])
    on_cuda(CALL)
    on_cuda(CALL)
    assert [line[-1] for line in calls("launch ck_fmha_fwd ")] == ["0", "1", "1"]
    assert cuda_stand_in.num_contexts() == 0
    assert ck_fmha.explain(*make_tensors(CALL)[:3], enable_gqa=True, backend="cuda").isa == "sm_80"


def test_more_plans_than_are_kept():
    q, k, v, *_ = make_tensors(replace(CALL, seqlens=(1, 1100), batch=1))

    def call(seqlen: int) -> None:
        keys = slice(0, seqlen)
        ck_fmha.attention(q, k[:, :, keys], v[:, :, keys], masks.Full(), enable_gqa=True, backend="cuda")

    for seqlen in range(1, 1100):
        call(seqlen)
    # Of other tests, too; 1024 are kept.
    assert len(calls("allocate")) == 1099 and len(calls("free")) >= 1099 - 1024
    forget()
    call(1099)
    assert not calls("allocate")
    call(1)
    assert len(calls("allocate")) == 1


def test_balance_is_read_from_clocks_in_the_kernels():
    q, k, v, *_ = make_tensors(replace(CALL, heads=(2, 2), seqlens=(300, 300)))
    assert balance(masks.BigBird(32, seed=3), q, k, v, backend="cuda") == {"fwd": 1.5, "bwd": 1.5}  # 300, 100, 200
    source = _instances.find_compiler("sm_90a").flags("sm_90a")
    assert "-DCK_FMHA_CLOCKS" not in source


def test_heads_that_differ_have_launches_of_their_own():
    mask = masks.per_head([masks.Causal(), masks.Causal() & masks.Window(9, 9), masks.Causal(), masks.Full()])
    call = replace(CALL, mask=mask, seqlens=(200, 200))
    on_cuda(call)
    assert [line.split()[1] for line in launches("ck_fmha_fwd")] == ["16", "8", "8"]  # four rows of tiles of 64


def test_explain_says_what_is_launched():
    told = ck_fmha.explain(*make_tensors(CALL)[:3], CALL.mask, enable_gqa=True, backend="cuda")
    assert (told.backend, told.isa, told.tile) == ("cuda", "sm_90a", (128, 64))
    assert told.gpu.launches[0].instance == "fwd diagonal bf16 head_dim 64 4 waves sm_90a"
    assert told.gpu.launches[0].code == f"to be compiled by {cuda_stand_in.RUNTIME_COMPILERS}"
    assert told.gpu.num_work_groups == 48 and told.gpu.num_merges == 24
    assert not calls("launch")


def gradients(call: Call, *, deterministic: bool = False) -> None:
    q, k, v, dout, *_ = make_tensors(call)
    leaves = [t.requires_grad_() for t in (q, k, v)]
    mask = replace(call.mask)
    out = ck_fmha.attention(*leaves, mask, backend="cuda", deterministic=deterministic, **call.options())
    torch.autograd.grad(out, leaves, dout)


@pytest.mark.parametrize(
    "head_dim, tile_k, shared",
    # K and V of a column, two stages of 64 rows of Q and dO, P and dS.
    [(32, 128, 65536), (64, 128, 98304), (128, 128, 163840), (256, 64, 212992)],
)
def test_launches_of_the_backward(head_dim, tile_k, shared):
    call = replace(CALL, head_dim=head_dim, seqlens=(300, 256), mask=masks.Full(), heads=(2, 2))
    gradients(call)
    columns, rows, heads = 256 // tile_k, 5, 4  # 64 rows of Q to a work-group that only prepares or converts
    before = f"threads 256 shared 0 stream {STREAM} on 0"
    assert launches("ck_fmha_bwd_plan") == [f"groups {columns} threads 256 shared {BEFORE_TILES} stream 7000 on 0"]
    assert launches("ck_fmha_bwd_dot_do_o") == [f"groups {rows * heads} {before}"]
    assert launches("ck_fmha_bwd_dq_dk_dv") == [
        f"groups {columns * heads} threads 256 shared {shared + BEFORE_TILES} stream {STREAM} on 0"
    ]
    assert launches("ck_fmha_bwd_convert") == [f"groups {rows * heads} {before}"]
    assert not launches("ck_fmha_bwd_combine") and not calls("launch ck_fmha_bwd_dq ")
    extents = {line.split()[1]: line for line in calls("extent")}
    assert extents["dk"] == f"extent dk access 2 sizes 2 2 256 {head_dim}"
    assert extents["dq_sum"] == f"extent dq_sum access 1 sizes {2 * 2 * 320 * head_dim}"


@pytest.mark.parametrize(
    "head_dim, threads, shared",
    # As the forward's, and Q and dO in shared memory from head_dim 128 on.
    [(64, 128, 32768), (128, 128, 65536 + 65536), (256, 256, 65536 + 131072)],
)
def test_launches_of_the_deterministic_backward(head_dim, threads, shared):
    call = replace(CALL, head_dim=head_dim, seqlens=(300, 256), mask=masks.Full(), heads=(2, 1))
    gradients(call, deterministic=True)
    assert launches("ck_fmha_bwd_dq") == [
        f"groups 12 threads {threads} shared {shared + BEFORE_TILES} stream {STREAM} on 0"
    ]
    # The heads share a head of K and V, whose parts are summed.
    columns = 4 if head_dim == 256 else 2
    assert launches("ck_fmha_bwd_combine") == [f"groups {2 * columns * 16} threads 256 shared 0 stream {STREAM} on 0"]
    assert not calls("launch ck_fmha_bwd_convert")


@pytest.mark.parametrize("head_dim, forward, backward", [(64, 32768, 65536), (128, 65536, 114688)])
def test_half_work_groups_where_neighbouring_blocks_attend_others(head_dim, forward, backward):
    mask = masks.BigBird(64, num_global_blocks=0, seed=3)
    call = replace(CALL, head_dim=head_dim, seqlens=(640, 640), mask=mask, heads=(1, 1), batch=1)
    gradients(call)
    groups = "groups 10 threads"
    assert launches("ck_fmha_fwd") == [f"{groups} 128 shared {forward + BEFORE_TILES} stream {STREAM} on 0"]
    assert launches("ck_fmha_bwd_plan") == [f"{groups} 128 shared {BEFORE_TILES} stream 7000 on 0"]
    assert launches("ck_fmha_bwd_dq_dk_dv") == [f"{groups} 128 shared {backward + BEFORE_TILES} stream {STREAM} on 0"]


def test_a_backward_waits_for_nothing_on_the_host_either():
    with pending_events():
        gradients(CALL)
        gradients(CALL, deterministic=True)
    assert not calls("synchronize")


def test_what_is_not_covered_is_refused_by_name(raises):
    q, k, v, *_ = make_tensors(replace(CALL, dtype=torch.float32))
    call = functools.partial(ck_fmha.attention, q, k, v, enable_gqa=True, backend="cuda")
    raises(NotImplementedError, call, r'backend="cuda" does not cover', "float32", 'backend="cpu"')


def test_the_driver_is_heard(raises, monkeypatch):
    monkeypatch.setenv("CK_FMHA_CUDA_DEVICE", "3")
    raises(RuntimeError, lambda: on_cuda(CALL), "no CUDA device 3", "has 3")
    monkeypatch.setenv("CK_FMHA_CUDA_DEVICE", "0")
    monkeypatch.setattr(_instances, "find_code", lambda instance: (b"no code object", "made up"))
    raises(RuntimeError, lambda: on_cuda(CALL), "cuModuleLoadDataEx failed: CUDA_ERROR_INVALID_IMAGE", "fwd diagonal")


def test_gpus_without_the_instructions_are_refused(raises):
    driver = _gpu_driver.load_driver("cuda")
    check = functools.partial(_gpu_driver._check_architecture, driver, torch.device("cuda", 2), "q")
    raises(NotImplementedError, check, 'q is on device "cuda:2"', "sm_75", "sm_80 or newer")


def test_both_vendors_in_one_process():
    import hip_emulator

    if hip_emulator.why_not():
        pytest.skip(hip_emulator.why_not())
    on_cuda(CALL)
    with pytest.MonkeyPatch.context() as patch:
        hip_emulator.set_environment(patch, reference_kernel=True)
        q, k, v, *_ = make_tensors(replace(CALL, seqlens=(9, 9)))
        out = ck_fmha.attention(q, k, v, enable_gqa=True, backend="hip")
    assert not out.isnan().any()
    on_cuda(CALL)
    assert len(calls("launch ck_fmha_fwd ")) == 2
