"""python -m ck_fmha.collect_env: what a bug report needs."""

import torch

import ck_fmha
from calls import Call, make_tensors
from scripts import run_python


def test_report_names_versions_isa_threads_and_compiler():
    done = run_python("-m", "ck_fmha.collect_env", timeout=120)
    assert done.returncode == 0, done.stderr
    report = done.stdout
    assert torch.__version__ in report
    assert ck_fmha.__version__ in report
    q, k, v, *_ = make_tensors(Call())
    assert ck_fmha.explain(q, k, v).isa in report
    for word in ("python", "isa", "thread", "compiler"):
        assert word in report.lower(), f"the report does not speak of {word}:\n{report}"
    assert "Traceback" not in report + done.stderr
