"""Each of the faults in hip_backward_faults.py is noticed by the test that is named there, harmless changes by none."""

from dataclasses import replace

import pytest

import hip_calls
import hip_emulator
from calls import bits_equal, make_tensors, run
from hip_backward_faults import FAULTS, HARMLESS
from hip_faults import assert_noticed, changed_headers, every_second_fast
from test_hip_backward import SMALL

pytestmark = hip_emulator.needs_emulator


@pytest.fixture(autouse=True)
def no_endless_loops():
    hip_emulator.configure("max_instructions=20000000")
    yield
    hip_emulator.configure("")


@pytest.mark.parametrize("name", every_second_fast(FAULTS))
def test_fault_is_noticed(name, tmp_path, monkeypatch):
    assert_noticed(FAULTS[name], tmp_path, monkeypatch)


@pytest.mark.slow  # of the faults' tests, not of the kernels: none of them fails where nothing is wrong
@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_change_changes_no_bit(name, tmp_path, monkeypatch):
    def results() -> list:
        hip_calls.use(monkeypatch, "gfx942")
        small = [SMALL[name] for name in ("causal", "sparse", "ragged", "cut columns")]
        calls = [replace(call, mask=replace(call.mask)) for call in small]  # see plans_made_anew
        return [t for call in calls for t in run(call, make_tensors(call), backend="hip", deterministic=True)]

    expected = results()
    with hip_calls.kernels_made_of(changed_headers(tmp_path, HARMLESS[name])):
        actual = results()
    assert all(bits_equal(a, b) for a, b in zip(actual, expected, strict=True))
