"""python -m ck_fmha.masks: pictures and numbers of a mask from the command line."""

import inspect
import re
import runpy
import sys
import warnings

import pytest

from ck_fmha import masks
from scripts import run_python


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """The command in this process, which has torch loaded already: (exit status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ck_fmha.masks", *arguments])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the package is imported before it is run as a script
            try:
                runpy.run_module("ck_fmha.masks", run_name="__main__")
                status = 0
            except SystemExit as end:
                status = end.code or 0
        return status, *capsys.readouterr()

    return run


def definitions() -> list[str]:
    """The public classes of masks, apart from their base."""
    return [
        name
        for name in masks.__all__
        if inspect.isclass(getattr(masks, name))
        and issubclass(getattr(masks, name), masks.Mask)
        and getattr(masks, name) is not masks.Mask
    ]


def test_every_definition_is_public():
    assert set(definitions()) == {
        "BigBird",
        "BlockList",
        "Causal",
        "DeepSpeedBigBird",
        "DeepSpeedFixed",
        "DeepSpeedLongformer",
        "DeepSpeedVariable",
        "Documents",
        "Fixed",
        "Full",
        "Lengths",
        "Longformer",
        "Neighborhood",
        "PrefixLM",
        "Strided",
        "Window",
    }
    assert {"Flops", "TileCounts", "parse", "per_head", "per_sample"} <= set(masks.__all__)
    assert all(hasattr(masks, name) for name in masks.__all__)


def test_list_names_every_definition(cli):
    status, output, errors = cli("list")
    assert status == 0 and errors == ""
    for name in definitions():
        assert re.search(rf"\b{name}\b", output), name


def test_show_says_what_explain_says(cli):
    status, output, _ = cli("show", "Longformer(8, [3, 90]).T", "--seqlen", "200", "--seqlen-k", "300")
    assert status == 0
    assert masks.Longformer(8, [3, 90]).T.explain(200, 300).strip() in output


def test_show_takes_a_head_a_sample_and_tiles(cli):
    expression = "per_sample([Full(), per_head([Causal(), Window(2, 2)])])"
    options = ("--head", "1", "--batch", "1", "--tile", "16x32")
    status, output, _ = cli("show", expression, "--seqlen", "100", *options)
    assert status == 0
    assert masks.parse(expression).explain(100, 100, (16, 32), head=1, batch=1).strip() in output


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_show_draws(cli, tmp_path, suffix):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    path = tmp_path / f"mask.{suffix}"
    status, _, _ = cli("show", "Causal() & Documents([0, 30, 200])", "--seqlen", "300", "--out", str(path))
    assert status == 0 and path.stat().st_size > 1000


def test_as_its_own_process(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    path = tmp_path / "mask.png"
    expression = "BigBird(block_size=64) & Causal()"
    done = run_python("-m", "ck_fmha.masks", "show", expression, "--seqlen", "4096", "--out", str(path))
    assert done.returncode == 0 and done.stderr == ""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    counts = masks.parse(expression).num_tiles(4096, 4096)
    assert str(counts.live) in done.stdout.replace(",", "")


def test_bad_input_as_its_own_process():
    done = run_python("-m", "ck_fmha.masks", "show", "__import__('os').system('echo executed')", "--seqlen", "64")
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "__import__" in line and "Traceback" not in line


@pytest.mark.parametrize(
    "arguments, patterns",
    [
        (("show", "__import__('os').system('echo executed')", "--seqlen", "64"), ("__import__",)),
        (("show", "BigBrid()", "--seqlen", "64"), ("BigBrid",)),
        (("show", "Window(-5, 0)", "--seqlen", "64"), ("left", "-5")),
        (("show", "BigBird(multiplicity=True)", "--seqlen", "64"), ("multiplicity",)),
        (("show", "Causal(", "--seqlen", "64"), ("never closed",)),
        (("show", "Causal()\nFull()", "--seqlen", "64"), ("Full|expression",)),
        (("show", "Causal()", "--seqlen", "-4"), ("seqlen", "-4")),
        (("show", "Causal()", "--seqlen", "many"), ("seqlen", "many")),
        (("show", "Causal()", "--seqlen", str(2**31)), ("seqlen", str(2**31))),
        (("show", "Causal()", "--seqlen", "64", "--seqlen-k", "-1"), ("seqlen.k", "-1")),
        (("show", "Causal()", "--seqlen", "64", "--tile", "64x"), ("tile", "64x")),
        (("show", "Causal()", "--seqlen", "64", "--tile", "0x64"), ("tile", "0")),
        (("show", "Causal()", "--seqlen", "64", "--head", "-1"), ("head", "-1")),
        (("show", "per_head([Full()])", "--seqlen", "64", "--head", "1"), ("head", "1")),
        (("show", "Documents([0, 100])", "--seqlen", "64"), ("100", "64")),
        (("show", "Lengths([100])", "--seqlen", "64"), ("100", "64")),
        (("show", "Causal()", "--seqlen", "64", "--out", "mask.nonsense"), ("nonsense",)),
        (("show", "Causal()", "--seqlen", "64", "--out", "/nowhere/at/all/mask.png"), ("/nowhere/at/all",)),
        (("show", "Causal()", "--seqlen", "0", "--out", "mask.png"), ("seqlen", "0")),
        (("show",), ("required",)),
        (("paint",), ("paint",)),
        (("show", "Causal()", "--seqlen", "64", "--colour", "blue"), ("colour",)),
    ],
)
def test_bad_input_ends_with_status_2_and_one_line(cli, arguments, patterns):
    status, output, errors = cli(*arguments)
    assert status == 2, (status, output, errors)
    (line,) = errors.splitlines()
    assert "executed" not in output and "Traceback" not in errors
    for pattern in patterns:
        assert re.search(pattern, line), line


def test_pictures_need_matplotlib(cli, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what the import system takes for "not there"
    status, _, errors = cli("show", "Causal()", "--seqlen", "64", "--out", "mask.png")
    (line,) = errors.splitlines()
    assert status == 2 and "matplotlib" in line and "pip install" in line
    assert cli("show", "Causal()", "--seqlen", "64")[0] == 0


def test_help_says_how(cli):
    status, output, _ = cli("--help")
    assert status == 0 and "show" in output and "list" in output
    assert "--out" in cli("show", "--help")[1]
