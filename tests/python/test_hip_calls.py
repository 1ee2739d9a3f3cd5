"""backend="hip": what it refuses and how it says so, the way through torch's operators, and what explain tells."""

import threading

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import _gpu_driver, _native, masks

pytestmark = hip_emulator.needs_emulator


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    hip_emulator.set_environment(monkeypatch, reference_kernel=True)
    yield
    hip_emulator.configure("")


def tensors(dtype=torch.float16, head_dim=16, head_dim_v=None, seqlens=(9, 12)):
    return make_tensors(Call(dtype=dtype, head_dim=head_dim, head_dim_v=head_dim_v, seqlens=seqlens))[:3]


def on_hip(q, k, v, mask=None, **options):
    return ck_fmha.attention(q, k, v, mask, backend="hip", **options)


REFUSED = {
    "float32": (lambda: on_hip(*tensors(torch.float32)), r"float32.*torch\.bfloat16"),
    "head_dim": (lambda: on_hip(*tensors(head_dim=12, head_dim_v=8)), r"head_dim is 12.*multiple of 8.*pad to 16"),
    "head_dim_v": (lambda: on_hip(*tensors(head_dim_v=4)), r"head_dim_v is 4.*multiple of 8"),
    "several": (lambda: on_hip(*tensors(torch.float32, 12)), r"float32.*head_dim is 12"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_by_name(raises, name):
    call, pattern = REFUSED[name]
    raises(NotImplementedError, call, r'backend="hip"', pattern, r'backend="cpu"')


def test_tensors_on_the_cpu_need_a_driver_that_takes_them(raises, monkeypatch):
    on_hip(*tensors())
    monkeypatch.setattr(_gpu_driver, "accesses_host_memory", lambda driver: False)
    raises(ValueError, lambda: on_hip(*tensors()), r'q is on device "cpu"', r'\.to\("cuda"\)')


def test_no_such_device(raises, monkeypatch):
    monkeypatch.setenv("CK_FMHA_HIP_DEVICE", "7")
    raises(RuntimeError, lambda: on_hip(*tensors()), "no HIP device 7", "has 2")
    monkeypatch.setenv("CK_FMHA_HIP_DEVICE", "-1")
    raises(ValueError, lambda: on_hip(*tensors()), "CK_FMHA_HIP_DEVICE", "-1")


def test_the_compiler_is_heard(raises, monkeypatch, tmp_path):
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", "-DCK_FMHA_NO_SUCH=1 -include no_such_header.hpp")
    raises(RuntimeError, lambda: on_hip(*tensors()), "could not compile", "no_such_header.hpp", "CK_FMHA_HIP_COMPILER")
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", str(tmp_path / "clang"))
    raises(RuntimeError, lambda: on_hip(*tensors()), "no compiler", "clang: not found", "apt-get install clang-19")


def test_the_driver_is_heard(raises):
    on_hip(*tensors())
    hip_emulator.configure("max_instructions=20")
    raises(
        RuntimeError, lambda: on_hip(*tensors()), "hipModuleLaunchKernel failed", "hipError", "in kernel ck_fmha_fwd"
    )
    hip_emulator.configure("")
    on_hip(*tensors())


def test_a_code_object_for_another_processor_is_refused(raises):
    from ck_fmha._instance import Instance
    from ck_fmha._instances import code_object

    code = code_object(Instance("full", "fp16", 32, 2, "gfx942"))
    raises(
        RuntimeError,
        lambda: _native.FwdModule(_gpu_driver.load_driver("hip"), 1, code, "what it is"),
        "hipModuleLoadData",
        "what it is",
    )


@pytest.mark.parametrize(
    "library, patterns",
    [
        ("/no/such/libamdhip64.so", ["no HIP driver library", "/no/such/libamdhip64.so"]),
        ("libc.so.6", ["libc.so.6 has no hipInit", "ROCm 6.0"]),
    ],
)
def test_without_a_driver_the_error_says_how_to_get_one(library, patterns):
    code = (
        "import torch, ck_fmha\n"
        "q = torch.zeros(1, 1, 4, 8, dtype=torch.float16)\n"
        "try:\n    ck_fmha.attention(q, q, q, backend='hip')\n"
        "except RuntimeError as error:\n    print(error)\n"
        "ck_fmha.attention(q, q, q)\n"
    )
    done = hip_emulator.run_python(code, {"CK_FMHA_HIP_LIBRARY": library})
    assert done.returncode == 0, done.stderr
    for pattern in [*patterns, "ROCm", "CK_FMHA_HIP_LIBRARY"]:
        assert pattern in done.stdout


def test_auto_stays_on_the_device_of_the_tensors():
    q, k, v = tensors()
    assert bits_equal(ck_fmha.attention(q, k, v), ck_fmha.attention(q, k, v, backend="cpu"))
    assert ck_fmha.explain(q, k, v).backend == "cpu"


def test_compiled_calls_go_through_the_operator():
    q, k, v = tensors()
    mask = masks.Causal("bottom-right")
    expected = on_hip(q, k, v, mask)
    compiled = torch.compile(lambda q, k, v: on_hip(q, k, v, mask), backend="aot_eager", fullgraph=True)
    assert bits_equal(compiled(q, k, v), expected)


def test_the_operator_s_backward_refuses_the_same(raises):
    q, k, v = tensors(torch.float32)
    needs = [True, True, True, False]

    def backward():
        call = (None, None, None, 0.0, 0.0, "full", [], [], 0.25, "bhsd", "hip", False)
        out, lse = torch.zeros_like(q), torch.zeros(q.shape[:3])
        return torch.ops.ck_fmha.attention_backward(out, None, q, k, v, None, out, lse, needs, *call)

    raises(NotImplementedError, backward, "float32", 'backend="cpu"')


def test_threads_may_call_at_once():
    calls = [Call(masks.Window(n, n), torch.float16, 8, seqlens=(70, 70), batch=1) for n in (3, 9, 30, 50)]
    inputs = [make_tensors(call)[:3] for call in calls]
    expected = [on_hip(*t, call.mask) for t, call in zip(inputs, calls, strict=True)]
    results = [None] * len(calls)

    def compute(n: int) -> None:
        for _ in range(3):
            results[n] = on_hip(*inputs[n], calls[n].mask)

    threads = [threading.Thread(target=compute, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(bits_equal(a, b) for a, b in zip(results, expected, strict=True))


def test_explain_tells_what_is_launched():
    q, k, v = tensors(head_dim=72, seqlens=(512, 512))
    mask = masks.per_head([masks.Causal(), masks.Causal() & masks.Window(9, 9)])
    told = ck_fmha.explain(q, k.transpose(2, 3).contiguous().transpose(2, 3), v, mask, backend="hip")
    assert (told.backend, told.isa, told.gpu.arch) == ("hip", "gfx942", "gfx942")
    rows, columns = told.tile
    assert (rows, columns) == (128, 64) and told.tiles.total == 2 * 4 * 8
    assert [launch.instance for launch in told.gpu.launches] == [
        "fwd diagonal fp16 head_dim 128 4 waves gfx942",
        "fwd and_<diagonal, diagonal> fp16 head_dim 128 4 waves gfx942",
    ]
    assert all("to be compiled by" in launch.code for launch in told.gpu.launches)
    assert told.gpu.copies == ("k is copied: its rows are not dense: stride 512",)
    assert told.gpu.num_work_groups == 2 * (4 + 4) and told.gpu.num_merges == 0 == told.gpu.workspace_bytes


@pytest.mark.parametrize("arch", hip_emulator.ARCHS)
def test_the_real_kernels_are_those_of_the_package(monkeypatch, arch):
    hip_emulator.set_environment(monkeypatch, arch)
    call = Call(masks.BigBird(16, seed=3), torch.bfloat16, 40, 32, (150, 130), (2, 1), batch=1)
    given = make_tensors(call)
    out, lse = on_hip(*given[:3], call.mask, return_lse=True, enable_gqa=True)
    assert_matches_reference(call, given, {"out": out, "lse": lse})
