"""Hypothesis profiles and the fixtures that keep one test's settings from another."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

_common = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=60, derandomize=True, **_common)
settings.register_profile("explore", max_examples=2000, **_common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist: the others still need it
        import hip_emulator

        hip_emulator.remove_cache_folder()


@pytest.fixture(autouse=True)
def _restore_torch_settings():
    """Threads and the determinism switch are process-wide; random numbers start the same in every test."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    if torch.are_deterministic_algorithms_enabled() != deterministic:  # setting it imports much, the first time
        torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def raises():
    """``raises(exception, call, *patterns)``: the call raises it and the message matches every pattern."""

    def check(exception, call, *patterns: str) -> None:
        with pytest.raises(exception) as caught:
            call()
        for pattern in patterns:
            caught.match(f"(?is){pattern}")

    return check
