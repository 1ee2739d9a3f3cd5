"""Each of the faults in hip_faults.py is noticed by the test that is named there, and harmless changes by none."""

import pytest

import hip_calls
import hip_emulator
from calls import bits_equal, make_tensors
from hip_calls import ARCHS, on_hip
from hip_faults import (
    FAULTS,
    HARMLESS,
    WAITS,
    assert_noticed,
    causal,
    changed_headers,
    compiler_without,
    every_second_fast,
)
from test_hip_forward import SMALL

pytestmark = hip_emulator.needs_emulator


@pytest.fixture(autouse=True)
def no_endless_loops():
    hip_emulator.configure("max_instructions=20000000")
    yield
    hip_emulator.configure("")


@pytest.mark.parametrize("name", every_second_fast(FAULTS))
def test_fault_is_noticed(name, tmp_path, monkeypatch):
    assert_noticed(FAULTS[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_change_changes_no_bit(name, tmp_path, monkeypatch):
    hip_calls.use(monkeypatch, "gfx942")
    expected = {small: on_hip(call, make_tensors(call)) for small, call in SMALL.items()}
    with hip_calls.kernels_made_of(changed_headers(tmp_path, HARMLESS[name])):
        hip_calls.use(monkeypatch, "gfx942")
        for small, call in SMALL.items():
            actual = on_hip(call, make_tensors(call))
            assert all(bits_equal(a, b) for a, b in zip(actual, expected[small], strict=True)), small


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", WAITS)
def test_missing_wait_is_noticed(name, arch, tmp_path, monkeypatch):
    """The compiler puts waits in; leaving one out is noticed by the small calls."""
    hip_calls.use(monkeypatch, arch)
    causal(monkeypatch, arch)
    compiler = compiler_without(WAITS[name].pattern, tmp_path)
    with hip_calls.kernels_made_of(changed_headers(tmp_path, [])):
        hip_calls.use(monkeypatch, arch)
        monkeypatch.setenv("CK_FMHA_HIP_COMPILER", str(compiler))
        with pytest.raises((AssertionError, RuntimeError)) as noticed:
            causal(monkeypatch, arch)
    assert "could not compile" not in str(noticed.value)
    noticed.match(WAITS[name].shows)
