"""Every refusal of the mask classes: the argument's name, the value received, the way out."""

import sys

import pytest
import torch

from ck_fmha import masks

WRONG_VALUES = [
    (lambda: masks.Causal("middle"), "alignment", "middle", r"top-left.*bottom-right"),
    (lambda: masks.Causal(alignment="Top-Left"), "alignment", "Top-Left", r"top-left.*bottom-right"),
    (lambda: masks.Window(1, 1, "left"), "alignment", "left", r"top-left.*bottom-right"),
    (lambda: masks.Window(-2, 0), "left", "-2", "-1"),
    (lambda: masks.Window(0, -7), "right", "-7", "-1"),
    (lambda: masks.Window(1, 1, num_sinks=-1), "num_sinks", "-1"),
    (lambda: masks.Longformer(7), "window", "7", "even"),
    (lambda: masks.Longformer(-2), "window", "-2"),
    (lambda: masks.Longformer(4, global_tokens=-1), "global_tokens", "-1"),
    (lambda: masks.Longformer(4, dilation=0), "dilation", "0"),
    (lambda: masks.Longformer(4, dilation=-3), "dilation", "-3"),
    (lambda: masks.BigBird(block_size=0), "block_size", "0"),
    (lambda: masks.BigBird(block_size=-64), "block_size", "-64"),
    (lambda: masks.BigBird(num_window_blocks=2), "num_window_blocks", "2", "odd"),
    (lambda: masks.BigBird(num_window_blocks=-1), "num_window_blocks", "-1"),
    (lambda: masks.BigBird(num_window_blocks=0), "num_window_blocks", "0", "odd"),
    (lambda: masks.BigBird(num_global_blocks=-1), "num_global_blocks", "-1"),
    (lambda: masks.BigBird(num_random_blocks=-2), "num_random_blocks", "-2"),
]

WRONG_TYPES = [
    (lambda: masks.Window("3", 0), "left", r"'?3'?|str"),
    (lambda: masks.Window(3.0, 0), "left", r"3\.0|float"),
    (lambda: masks.Window(0, None), "right", "None"),
    (lambda: masks.Window(0, 0, num_sinks=1.5), "num_sinks", r"1\.5"),
    (lambda: masks.Longformer("8"), "window", r"'?8'?|str"),
    (lambda: masks.Longformer(8, dilation=2.0), "dilation", r"2\.0|float"),
    (lambda: masks.Longformer(8, causal="yes"), "causal", "yes"),
    (lambda: masks.BigBird(block_size=64.0), "block_size", r"64\.0|float"),
    (lambda: masks.BigBird(num_window_blocks=None), "num_window_blocks", "None"),
    (lambda: masks.BigBird(num_global_blocks="1"), "num_global_blocks", r"'?1'?|str"),
    (lambda: masks.BigBird(num_random_blocks=[3]), "num_random_blocks", r"\[3\]|list"),
    (lambda: masks.BigBird(seed="a"), "seed", r"'?a'?|str"),
    (lambda: masks.BigBird(seed=0.5), "seed", r"0\.5"),
]


@pytest.mark.parametrize("make, patterns", [(make, patterns) for make, *patterns in WRONG_VALUES])
def test_wrong_values(raises, make, patterns):
    raises(ValueError, make, *patterns)


@pytest.mark.parametrize("make, patterns", [(make, patterns) for make, *patterns in WRONG_TYPES])
def test_wrong_types(raises, make, patterns):
    raises(TypeError, make, *patterns)


@pytest.mark.parametrize("alignment", [3, None, True])
def test_alignment_of_another_type(raises, alignment):
    for make in (masks.Causal, lambda alignment: masks.Window(1, 1, alignment)):
        refusal = ("alignment", str(alignment), r"top-left.*bottom-right")
        raises((TypeError, ValueError), lambda make=make: make(alignment), *refusal)


@pytest.mark.parametrize("other", [True, None, 3, "mask"])
def test_operands_that_are_no_masks(raises, other):
    for operate in (
        lambda: masks.Causal() & other,
        lambda: masks.Causal() | other,
        lambda: other & masks.Causal(),
    ):
        raises(TypeError, operate, type(other).__name__)


METHODS = ["materialize", "density", "num_tiles", "tile_status", "plot"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mask", [masks.Causal(), masks.BigBird() & ~masks.Window(1, 1)])
def test_lengths(raises, mask, method):
    call = getattr(mask, method)
    raises(ValueError, lambda: call(-1, 5), "seqlen_q", "-1")
    raises(ValueError, lambda: call(5, -3), "seqlen_k", "-3")
    raises(TypeError, lambda: call(5.0, 5), "seqlen_q", r"5\.0|float")
    raises(TypeError, lambda: call(5, "5"), "seqlen_k", r"'5'|str")
    raises(TypeError, lambda: call(None, 5), "seqlen_q", "None")


@pytest.mark.parametrize("method", METHODS)
def test_lengths_past_the_limit(raises, method):
    refused = (ValueError, OverflowError)
    raises(refused, lambda: getattr(masks.Full(), method)(2**31, 0), "seqlen_q", str(2**31))
    raises(refused, lambda: getattr(masks.Full(), method)(0, 2**40), "seqlen_k", str(2**40))


@pytest.mark.parametrize("method", METHODS)
def test_heads(raises, method):
    call = getattr(masks.BigBird(), method)
    raises(ValueError, lambda: call(5, 5, head=-1), "head", "-1")
    raises(TypeError, lambda: call(5, 5, head="a"), "head", r"'?a'?|str")
    if method != "plot":
        raises(ValueError, lambda: call(5, 5, batch=-2), "batch", "-2")


@pytest.mark.parametrize("method", ["num_tiles", "tile_status"])
def test_tiles(raises, method):
    call = getattr(masks.Causal(), method)
    raises(ValueError, lambda: call(5, 5, (0, 4)), "tile", r"\b0\b")
    raises(ValueError, lambda: call(5, 5, (4, -1)), "tile", "-1")
    raises((ValueError, TypeError), lambda: call(5, 5, (4, 4, 4)), "tile", r"4, 4, 4|3")
    raises(TypeError, lambda: call(5, 5, 64), "tile", "64|int")
    raises(TypeError, lambda: call(5, 5, (4.0, 4)), "tile", r"4\.0|float")


def test_plot_without_matplotlib(raises, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what the import system takes for "not there"
    raises(ImportError, lambda: masks.Causal().plot(5, 5), "matplotlib", "pip install")


def test_prefix(raises):
    raises(ValueError, lambda: masks.PrefixLM(-1), "PrefixLM: prefix", "at least 0", "got -1")
    raises(TypeError, lambda: masks.PrefixLM(2.5), "PrefixLM: prefix", "int", r"2\.5")
    raises(ValueError, lambda: masks.PrefixLM(3, "left"), "PrefixLM: alignment", "top-left", "left")


def test_seed_bounds_are_those_of_64_bits(raises):
    raises(ValueError, lambda: masks.BigBird(seed=2**63), "seed", rf"\[-{2**63}, {2**63 - 1}\]", f"got {2**63}")


def test_too_many_random_blocks(raises):
    raises(ValueError, lambda: masks.BigBird(num_random_blocks=10**6), "num_random_blocks", r"\[0, 1024\]", "1000000")


def test_arrays_are_not_numbers(raises):
    raises(TypeError, lambda: masks.Window(torch.tensor([3, 1]), 1), "Window: left", "int", "Tensor")


def test_a_picture_needs_something_to_show(raises):
    raises(ValueError, lambda: masks.Full().plot(0, 4), "seqlen_q", "0")
