"""python -m ck_fmha.bench --device cuda: what it reports and refuses. No test asserts on a time."""

from dataclasses import replace

import pytest
import torch

from ck_fmha.bench import __main__ as command
from ck_fmha.bench import cuda, cuda_peers, cuda_table
from mask_predicates import Where, dense


def test_the_report_of_a_gpu_has_every_number(tmp_path):
    times = {"ck_fmha": 0.25, "flex": 1.5, "cudnn dense": 4.0}
    row = cuda.Row("big_bird", "forward", 16384, 1, 0.0425, times, {"flex": 6.0, "cudnn dense": 16.0}, 0.68, 234.0)
    other = replace(row, mask="causal", left_out={"flash": "RuntimeError: no kernel"})
    report = cuda.CudaReport("a GPU", "2.11", 30, [row, other], {"schedule, ms": 0.375}, 12.0)
    text = cuda_table.render(report)
    for part in ("a GPU", "30 rounds", "seqlen 16,384, batch 1", "0.250", "6.00", "16.00", "0.68", "4.25%", "0.375"):
        assert part in text, part
    assert "causal: flash left out: RuntimeError: no kernel" in text
    assert report.to_dict()["rows"][0]["speedup"]["flex"] == 6.0
    pytest.importorskip("matplotlib")
    cuda_table.draw(report, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000


def test_without_a_gpu_its_benchmark_says_so(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        command.main(["--device", "cuda"])
    assert "--device cuda needs an NVIDIA GPU" in capsys.readouterr().err


@pytest.mark.parametrize("name", cuda.MASKS)
def test_flex_attention_gets_the_same_mask(name, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "cuda", lambda t: t)
    mask, seqlen = cuda.MASKS[name], 1500
    predicate = cuda_peers._mask_mod(name, mask, seqlen, cuda.HEADS)
    for head in (0, cuda.HEADS - 1):
        found = dense(lambda i, j, where: predicate(None, where.head, i, j), Where(seqlen, seqlen, 0, head))
        assert torch.equal(found.expand(seqlen, seqlen), mask.materialize(seqlen, seqlen, head=head))
