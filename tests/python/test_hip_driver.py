"""What the driver refuses reaches the caller in its own words, and several devices serve one process."""

import ctypes
import gc
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, Results, bits_equal, make_tensors, run
from ck_fmha import _gpu, _instances, masks
from hip_calls import plans_made_anew

pytestmark = hip_emulator.needs_emulator

# Cut rows and columns: every kernel and every copy of a call is needed.
CALL = Call(masks.Window(700, 5), torch.bfloat16, 32, seqlens=(150, 1100), heads=(2, 1), batch=1)


@pytest.fixture(autouse=True)
def emulated(monkeypatch) -> Iterator[None]:
    hip_emulator.set_environment(monkeypatch)
    monkeypatch.setattr(_instances, "_modules", _instances._Modules(most=16))  # nothing is loaded yet
    with plans_made_anew():
        yield
    hip_emulator.configure("")


def compute() -> Results:
    call = replace(CALL, mask=replace(CALL.mask))  # see plans_made_anew
    return run(call, make_tensors(call), backend="hip", deterministic=True)


# --- Errors -----------------------------------------------------------------------------------------------------------

# Some entry points of the emulator are others underneath.
UNDERNEATH = {"hipMemcpyAsync": "hipMemcpy", "hipEventCreateWithFlags": "hipEventCreate"}
CALLS = [
    "hipGetDevice",
    "hipSetDevice",
    "hipModuleLoadData",
    "hipModuleGetFunction",
    "hipMalloc",
    "hipMemcpyAsync",
    "hipEventCreateWithFlags",
    "hipEventRecord",
    "hipEventQuery",
    "hipModuleLaunchKernel",
]


@pytest.mark.parametrize("entry_point", CALLS)
def test_an_error_of_the_driver_is_an_exception_with_its_text(entry_point, raises):
    failing = UNDERNEATH.get(entry_point, entry_point)
    said = (f"{entry_point} failed: hipErrorOutOfMemory: out of memory", f"{failing} is told to fail")
    hip_emulator.configure(f"fail={failing}:2")
    raises(RuntimeError, compute, *said)
    hip_emulator.configure("fail=:0")
    compute()


def test_an_error_that_is_seen_in_the_backward_is_an_exception_too(raises):
    q, k, v, *_ = make_tensors(CALL)
    out = ck_fmha.attention(*(t.requires_grad_() for t in (q, k, v)), CALL.mask, backend="hip", enable_gqa=True)
    hip_emulator.configure("fail=hipModuleLaunchKernel:719")
    raises(RuntimeError, lambda: out.sum().backward(), "hipModuleLaunchKernel failed: hipErrorLaunchFailure")
    hip_emulator.configure("fail=:0")
    out.sum().backward()
    assert q.grad.isfinite().all()


def test_to_let_go_of_modules_and_memory_never_raises():
    code = f"""
import gc, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch, ck_fmha, hip_emulator
from ck_fmha import _instances, masks
q = torch.zeros(1, 1, 40, 32, dtype=torch.bfloat16)
mask = masks.Window(9, 9)
ck_fmha.attention(q, q, q, mask, backend="hip")
for entry_point in ("hipSetDevice", "hipGetDevice", "hipFree", "hipModuleUnload"):
    hip_emulator.configure("fail=" + entry_point + ":101")
    _instances._modules = _instances._Modules(most=1)
    del mask
    ck_fmha.masks._native_masks._recent.__init__(1, 1)
    gc.collect()
    hip_emulator.configure("")
    mask = masks.Window(9, 8)
    ck_fmha.attention(q, q, q, mask, backend="hip")
print("alive")
"""
    done = hip_emulator.run_python(code, hip_emulator.environment())
    assert done.stdout.strip() == "alive", done.stderr


@pytest.mark.parametrize(
    "entry_point, error, said",
    [
        ("hipInit", 3, "hipInit failed: hipErrorNotInitialized: initialization error"),
        ("hipGetDeviceCount", 101, "hipGetDeviceCount failed: hipErrorInvalidDevice"),
        ("hipGetDevicePropertiesR0600", 101, "hipGetDeviceProperties failed: hipErrorInvalidDevice"),
    ],
)
def test_a_driver_that_does_not_start_says_why(entry_point, error, said):
    code = (
        "import torch, ck_fmha\n"
        "q = torch.zeros(1, 1, 4, 32, dtype=torch.bfloat16)\n"
        "try:\n    ck_fmha.attention(q, q, q, backend='hip')\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    options = {"CK_FMHA_EMULATOR_OPTIONS": f"fail={entry_point}:{error}"}
    done = hip_emulator.run_python(code, {**hip_emulator.environment(), **options})
    assert said in done.stdout and 'backend="cpu"' in done.stdout, done.stdout + done.stderr


def test_a_stream_that_cannot_be_made_is_an_exception_with_its_text():
    """The one that plans are prepared on: made once in a process."""
    code = (
        "import torch, ck_fmha\n"
        "q = torch.zeros(1, 1, 4, 32, dtype=torch.bfloat16)\n"
        "try:\n    ck_fmha.attention(q, q, q, backend='hip')\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    options = {"CK_FMHA_EMULATOR_OPTIONS": "fail=hipStreamCreate:2"}
    done = hip_emulator.run_python(code, {**hip_emulator.environment(), **options})
    assert "hipStreamCreateWithFlags failed: hipErrorOutOfMemory: out of memory" in done.stdout, done.stderr


# --- Where the library is found ---------------------------------------------------------------------------------------

# Loads the driver that the arguments describe, and says which one it is: what is loaded already, or "", the path that
# is asked for, or "", and torch's folder.
FIND = """
import ctypes, sys
from ck_fmha import _native
loaded, asked, folder = sys.argv[1:]
if loaded:
    ctypes.CDLL(loaded)
print(_native.GpuDriver.load("hip", asked, [folder]).path)
"""


@pytest.mark.parametrize("first", ["asked", "loaded", "torch", "loader"])
def test_the_driver_is_looked_for_in_this_order(first, tmp_path):
    places = ["asked", "loaded", "torch", "loader"]
    library = {}
    for place in places:
        (tmp_path / place).mkdir()
        # The process's copy and the loader's may have a version, as where no package for development is.
        name = "libamdhip64.so.6" if place in ("loaded", "loader") else "libamdhip64.so"
        library[place] = tmp_path / place / name
        if places.index(place) >= places.index(first):
            shutil.copy(hip_emulator.library(), library[place])
    arguments = [str(library[place]) if library[place].exists() else "" for place in ("loaded", "asked")]
    environment = {"LD_LIBRARY_PATH": str(tmp_path / "loader")}
    done = hip_emulator.run_python(FIND, environment, *arguments, str(tmp_path / "torch"))
    expected = library[first].name if first == "loader" else str(library[first])
    assert done.stdout.strip() == expected, done.stderr


# --- Devices ----------------------------------------------------------------------------------------------------------


def current_device() -> int:
    """Of this thread."""
    device = ctypes.c_int(-1)
    assert ctypes.CDLL(str(hip_emulator.library())).hipGetDevice(ctypes.byref(device)) == 0
    return device.value


def same(one: Results, other: Results) -> bool:
    return all(bits_equal(a, b) for a, b in zip(one, other, strict=True) if a is not None)


def test_a_thread_that_set_no_device_computes_on_the_tensors_own(monkeypatch):
    expected = compute()
    monkeypatch.setenv("CK_FMHA_HIP_DEVICE", "1")  # the emulator refuses kernels of a device that is not the thread's
    results = []

    def in_thread() -> None:
        results.append((current_device(), compute(), current_device()))

    for _ in range(2):  # with modules and plans that are made here, and that another thread has made
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
    assert [(before, after) for before, _, after in results] == [(0, 0)] * 2
    assert all(same(result, expected) for _, result, _ in results)


def test_autograd_s_thread_sets_the_device(monkeypatch):
    monkeypatch.setenv("CK_FMHA_HIP_DEVICE", "1")
    q, k, v, *_ = make_tensors(CALL)
    leaves = [t.requires_grad_() for t in (q, k, v)]
    out = ck_fmha.attention(*leaves, CALL.mask, backend="hip", enable_gqa=True, deterministic=True)

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(out, leaves, torch.ones_like(out), retain_graph=True)

    expected = gradients()
    with ThreadPoolExecutor(1) as pool:  # as autograd's thread for another device does
        assert all(bits_equal(*pair) for pair in zip(pool.submit(gradients).result(), expected, strict=True))


def test_threads_use_their_devices_at_the_same_time(monkeypatch):
    chosen = threading.local()
    monkeypatch.setattr(_gpu, "device_index", lambda backend, t: chosen.device)

    def compute_on(device: int) -> Results:
        chosen.device = device
        return compute()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(compute_on, [0, 1, 0, 1]))
    gc.collect()
    assert all(same(result, results[0]) for result in results[1:])
