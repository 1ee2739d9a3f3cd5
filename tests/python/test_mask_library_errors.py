"""Every refusal of the definitions that carry data or have many parameters: name, value received, way out."""

import pytest
import torch

from ck_fmha import masks

SQUARE = torch.ones(8, 8, dtype=torch.bool)
TABLE = [[[0, 1], [1, 2], [2, 0]]]


def csr(row_offsets=(0, 1, 2), columns=(0, 1), num_block_cols=2, block_size=4, **options):
    return masks.BlockList.from_csr(row_offsets, columns, num_block_cols, block_size, **options)


WRONG_VALUES = [
    (lambda: masks.Longformer(4, global_tokens=[3, -1]), "Longformer", "global_tokens", "-1"),
    (lambda: masks.Longformer(4, global_tokens=[2**31]), "global_tokens", str(2**31)),
    (lambda: masks.Longformer(4, global_tokens=torch.tensor([[1, 2]])), "global_tokens", r"1, 2|dimension|shape"),
    (lambda: masks.Longformer(4, dilation=[1, 0]), "dilation", r"\b0\b"),
    (lambda: masks.Longformer(4, dilation=[]), "dilation", r"\[\]|empty|at least|\(\)|one per head"),
    (lambda: masks.Strided(0, 4), "Strided", "local", r"\b0\b"),
    (lambda: masks.Strided(4, 0), "Strided", "stride", r"\b0\b"),
    (lambda: masks.Strided(4, -3), "stride", "-3"),
    (lambda: masks.Strided(2**31, 3), "local", str(2**31)),
    (lambda: masks.Fixed(0), "Fixed", "local", r"\b0\b"),
    (lambda: masks.Fixed(4, 5), "Fixed", "summary", r"\b5\b", r"\b4\b"),
    (lambda: masks.Fixed(4, -1), "summary", "-1"),
    (lambda: masks.Documents([]), "Documents", "cu_seqlens_q", r"\[\]|\(\)|empty|at least"),
    (lambda: masks.Documents([0, 5, 4]), "cu_seqlens_q", r"\b5\b", r"\b4\b"),
    (lambda: masks.Documents([-1, 5]), "cu_seqlens_q", "-1"),
    (lambda: masks.Documents([0, 5], [0, 3, 5]), "cu_seqlens_k", "cu_seqlens_q", r"\b3\b", r"\b2\b"),
    (lambda: masks.Documents([0, 5], [3, 1]), "cu_seqlens_k", r"\b3\b", r"\b1\b"),
    (lambda: masks.Documents([0, 2**31]), "cu_seqlens_q", str(2**31)),
    (lambda: masks.Documents(torch.tensor([[0, 5]])), "cu_seqlens_q", r"0, 5|dimension|shape"),
    (lambda: masks.Documents(torch.tensor(5)), "cu_seqlens_q", r"dimension|shape"),
    (lambda: masks.Documents([0, 5], causal="middle"), "causal", "middle", r"top-left.*bottom-right"),
    (lambda: masks.Lengths(), "Lengths", "lengths_q", "lengths_k"),
    (lambda: masks.Lengths([3, -1]), "lengths_q", "-1"),
    (lambda: masks.Lengths(lengths_k=[-4]), "lengths_k", "-4"),
    (lambda: masks.Lengths([3], [3, 4]), "lengths_q", "lengths_k", r"\b1\b", r"\b2\b"),
    (lambda: masks.Lengths([]), "lengths_q", r"\[\]|\(\)|none|at least"),
    (lambda: masks.Lengths([3], padding="middle"), "padding", "middle", r"right.*left|left.*right"),
    (lambda: masks.Lengths([2**31]), "lengths_q", str(2**31)),
    (lambda: masks.Neighborhood(0, 3), "Neighborhood", "grid", r"\b0\b"),
    (lambda: masks.Neighborhood((4, 0), 3), "grid", r"\b0\b"),
    (lambda: masks.Neighborhood((), 3), "grid", r"\(\)|1.*3"),
    (lambda: masks.Neighborhood((2, 2, 2, 2), 3), "grid", r"\b4\b|2, 2, 2, 2", r"\b3\b"),
    (lambda: masks.Neighborhood((2**20, 2**20), 3), "grid", "2.*31|1048576|1099511627776"),
    (lambda: masks.Neighborhood(9, 4), "window", "4", "odd"),
    (lambda: masks.Neighborhood(9, 0), "window", r"\b0\b"),
    (lambda: masks.Neighborhood(9, -1), "window", "-1"),
    (lambda: masks.Neighborhood((9, 9), (3, 2)), "window", "2", "odd"),
    (lambda: masks.Neighborhood((9, 9), (3, 3, 3)), "window", r"\b3\b", r"\b2\b"),
    (lambda: masks.Neighborhood(9, 3, dilation=0), "dilation", r"\b0\b"),
    (lambda: masks.Neighborhood((9, 9), 3, dilation=(1,)), "dilation", r"\b1\b", r"\b2\b"),
    (lambda: masks.Neighborhood((9, 9), 3, causal=(True,)), "causal", r"\(True,\)|\b1\b", r"\b2\b"),
    (lambda: masks.Neighborhood(9, 3, border="wrap"), "border", "wrap", "shift", "clip"),
    (lambda: masks.BlockList.from_tensor(SQUARE, 0), "block_size", r"\b0\b"),
    (lambda: masks.BlockList.from_tensor(SQUARE, (4, -4)), "block_size", "-4"),
    (lambda: masks.BlockList.from_tensor(SQUARE, (4, 4, 4)), "block_size", r"4, 4, 4|\b3\b"),
    (lambda: masks.BlockList.from_tensor(SQUARE[None]), "mask", r"1, 8, 8|dimension"),
    (lambda: masks.BlockList.from_tensor(SQUARE[0]), "mask", r"8,|dimension"),
    (lambda: csr(row_offsets=[]), "row_offsets", r"\[\]|\(\)|empty|at least"),
    (lambda: csr(row_offsets=[1, 2]), "row_offsets", r"\b1\b", r"\b0\b"),
    (lambda: csr(row_offsets=[0, 2, 1]), "row_offsets", r"\b2\b", r"\b1\b"),
    (lambda: csr(row_offsets=[0, 1, 3]), "row_offsets", r"\b3\b", r"\b2\b"),
    (lambda: csr(columns=[0, 2]), "columns", r"got 2\b", r"\b1\b|num_block_cols"),
    (lambda: csr(columns=[0, -1]), "columns", "-1"),
    (lambda: csr(row_offsets=[0, 2], columns=[1, 0]), "columns", "ascend|sorted|increas|order"),
    (lambda: csr(row_offsets=[0, 2], columns=[1, 1]), "columns", "ascend|sorted|increas|order|twice|unique"),
    (lambda: csr(num_block_cols=-1), "num_block_cols", "-1"),
    (lambda: csr(seqlen_q=9), "seqlen_q", r"\b9\b"),
    (lambda: csr(seqlen_q=4), "seqlen_q", r"\b4\b"),
    (lambda: csr(seqlen_k=3), "seqlen_k", r"\b3\b"),
    (lambda: csr(seqlen_k=-1), "seqlen_k", "-1"),
    (lambda: csr(bitmaps=torch.ones(2, 4, 4)), "bitmaps", "bool", "float32"),
    (lambda: csr(bitmaps=torch.ones(3, 4, 4, dtype=torch.bool)), "bitmaps", r"\b3\b", r"\b2\b"),
    (lambda: csr(bitmaps=torch.ones(2, 4, 5, dtype=torch.bool)), "bitmaps", r"\b5\b", r"\b4\b"),
    (lambda: csr(bitmaps=([0], [1] * 8)), "bitmaps", r"\b1\b", r"\b2\b"),
    (lambda: csr(bitmaps=([0, 1], [1] * 8)), "bitmaps"),
    (lambda: csr(bitmaps=([0, -2], [1] * 8)), "bitmaps", "-2"),
    (lambda: csr(bitmaps=([0, -1], [1] * 7)), "bitmaps", r"\b7\b", r"\b8\b"),
    (lambda: masks.BigBird(random_blocks=torch.tensor([[1, 2]])), "BigBird: random_blocks", r"heads.*rows|dimension"),
    (lambda: masks.BigBird(random_blocks=[[[1], [-2]]]), "random_blocks", "-2"),
    (lambda: masks.BigBird(random_blocks=[[[1], [2, 3]]]), "random_blocks"),
    (lambda: masks.BigBird(random_blocks=TABLE, num_random_blocks=1), "num_random_blocks", r"\b1\b", r"\b2\b"),
    (lambda: masks.BigBird(random_blocks=TABLE, seed=4), "seed", r"\b4\b", "random_blocks"),
    (lambda: masks.DeepSpeedBigBird(random_blocks=TABLE, seed=4), "seed", r"\b4\b", "random_blocks"),
    (lambda: masks.DeepSpeedBigBird(random_blocks=TABLE, num_random_blocks=3), "num_random_blocks", "3", "2"),
    (lambda: masks.DeepSpeedBigBird(random_blocks=torch.ones(2, 2, 2, 2).int()), "random_blocks", "heads.*rows|dim"),
    (lambda: masks.DeepSpeedBigBird(block_size=0), "DeepSpeedBigBird", "block_size", r"\b0\b"),
    (lambda: masks.DeepSpeedBigBird(num_random_blocks=-1), "num_random_blocks", "-1"),
    (lambda: masks.DeepSpeedBigBird(num_sliding_window_blocks=-1), "num_sliding_window_blocks", "-1"),
    (lambda: masks.DeepSpeedBigBird(num_global_blocks=-1), "num_global_blocks", "-1"),
    (lambda: masks.DeepSpeedBigBird(seed=2**63), "seed", str(2**63)),
    (lambda: masks.DeepSpeedBigBird(attention="causal"), "attention", "causal", "unidirectional"),
    (lambda: masks.DeepSpeedFixed(block_size=0), "DeepSpeedFixed", "block_size", r"\b0\b"),
    (lambda: masks.DeepSpeedFixed(num_local_blocks=0), "num_local_blocks", r"\b0\b"),
    (lambda: masks.DeepSpeedFixed(num_global_blocks=0), "num_global_blocks", r"\b0\b"),
    (lambda: masks.DeepSpeedFixed(num_local_blocks=5, num_global_blocks=2), "num_local_blocks", "5", "2"),
    (lambda: masks.DeepSpeedFixed(num_different_global_patterns=0), "num_different_global_patterns", r"\b0\b"),
    (
        lambda: masks.DeepSpeedFixed(num_global_blocks=2, num_different_global_patterns=3),
        "num_different_global_patterns",
        r"\b3\b",
        r"\b2\b",
    ),
    (lambda: masks.DeepSpeedFixed(attention="both"), "attention", "both", r"bidirectional.*unidirectional"),
    (
        lambda: masks.DeepSpeedFixed(attention="unidirectional", horizontal_global_attention=True),
        "horizontal_global_attention",
        "bidirectional",
    ),
    (lambda: masks.DeepSpeedVariable(block_size=-1), "DeepSpeedVariable", "block_size", "-1"),
    (lambda: masks.DeepSpeedVariable(local_window_blocks=[]), "local_window_blocks", r"\[\]|\(\)|empty|at least"),
    (lambda: masks.DeepSpeedVariable(local_window_blocks=[4, 0]), "local_window_blocks", r"\b0\b"),
    (lambda: masks.DeepSpeedVariable(global_block_indices=[-1]), "global_block_indices", "-1"),
    (
        lambda: masks.DeepSpeedVariable(global_block_indices=[0, 4], global_block_end_indices=[2]),
        "global_block_end_indices",
        r"\b1\b",
        r"\b2\b",
    ),
    (
        lambda: masks.DeepSpeedVariable(global_block_indices=[4], global_block_end_indices=[4]),
        "global_block_end_indices|global_block_indices",
        r"\b4\b",
    ),
    (
        lambda: masks.DeepSpeedVariable(attention="unidirectional", horizontal_global_attention=True),
        "horizontal_global_attention",
        "bidirectional",
    ),
    (lambda: masks.DeepSpeedVariable(attention="x"), "attention", "x", "unidirectional"),
    (
        # Which rows see blocks 2 and 3 would depend on which of the two runs is asked.
        lambda: masks.DeepSpeedVariable(16, [1], [0, 2], [4, 5], attention="unidirectional"),
        "overlap",
        r"\b4\b",
        r"\b2\b",
    ),
    (lambda: masks.DeepSpeedLongformer(block_size=0), "DeepSpeedLongformer", "block_size", r"\b0\b"),
    (lambda: masks.DeepSpeedLongformer(num_sliding_window_blocks=-3), "num_sliding_window_blocks", "-3"),
    (lambda: masks.DeepSpeedLongformer(global_block_indices=[3, -2]), "global_block_indices", "-2"),
    (
        lambda: masks.DeepSpeedLongformer(global_block_indices=[5], global_block_end_indices=[3]),
        "global_block_end_indices|global_block_indices",
        r"\b5\b",
        r"\b3\b",
    ),
    (lambda: masks.DeepSpeedLongformer(attention=""), "attention", "unidirectional"),
]

WRONG_TYPES = [
    (lambda: masks.Longformer(4, global_tokens="12"), "global_tokens", "str|'12'"),
    (lambda: masks.Longformer(4, global_tokens=[1, 2.5]), "global_tokens", r"2\.5"),
    (lambda: masks.Longformer(4, global_tokens=torch.tensor([1.0])), "global_tokens", "float32"),
    (lambda: masks.Longformer(4, global_tokens=torch.tensor([True])), "global_tokens", "bool"),
    (lambda: masks.Longformer(4, dilation=[1, "2"]), "dilation", "str|'2'"),
    (lambda: masks.Longformer(4, dilation=None), "dilation", "None"),
    (lambda: masks.Strided(4.0, 3), "local", r"4\.0"),
    (lambda: masks.Strided(4, None), "stride", "None"),
    (lambda: masks.Fixed("4"), "local", "str|'4'"),
    (lambda: masks.Fixed(4, True), "summary", "True"),
    (lambda: masks.Documents(5), "cu_seqlens_q", r"\b5\b|int"),
    (lambda: masks.Documents(None), "cu_seqlens_q", "None"),
    (lambda: masks.Documents([0, 1.5]), "cu_seqlens_q", r"1\.5"),
    (lambda: masks.Documents(torch.tensor([0.0, 5.0])), "cu_seqlens_q", "float32"),
    (lambda: masks.Documents([0, 5], 5), "cu_seqlens_k", r"\b5\b|int"),
    (lambda: masks.Documents([0, 5], causal=True), "causal", "True", r"top-left.*bottom-right"),
    (lambda: masks.Lengths(5), "lengths_q", r"\b5\b|int"),
    (lambda: masks.Lengths(lengths_k="ab"), "lengths_k", "str|'ab'"),
    (lambda: masks.Lengths([True]), "lengths_q", "True|bool"),
    (lambda: masks.Lengths([3], padding=None), "padding", "None"),
    (lambda: masks.Neighborhood("9", 3), "grid", "str|'9'"),
    (lambda: masks.Neighborhood((9, 9.0), 3), "grid", r"9\.0"),
    (lambda: masks.Neighborhood(9, 3.0), "window", r"3\.0"),
    (lambda: masks.Neighborhood(9, 3, dilation=1.5), "dilation", r"1\.5"),
    (lambda: masks.Neighborhood(9, 3, causal=1), "causal", r"\b1\b"),
    (lambda: masks.Neighborhood((9, 9), 3, causal=(True, "no")), "causal", "no"),
    (lambda: masks.Neighborhood(9, 3, border=2), "border", r"\b2\b"),
    (lambda: masks.BlockList.from_tensor(SQUARE.int()), "mask", "bool", "int32"),
    (lambda: masks.BlockList.from_tensor(SQUARE.tolist()), "mask", "tensor", "list"),
    (lambda: masks.BlockList.from_tensor(None), "mask", "None"),
    (lambda: masks.BlockList.from_tensor(SQUARE, 4.0), "block_size", r"4\.0"),
    (lambda: csr(row_offsets=2), "row_offsets", r"\b2\b|int"),
    (lambda: csr(columns=[0, 1.0]), "columns", r"1\.0"),
    (lambda: csr(num_block_cols="2"), "num_block_cols", "str|'2'"),
    (lambda: csr(seqlen_q=8.0), "seqlen_q", r"8\.0"),
    (lambda: masks.BigBird(random_blocks=torch.zeros(1, 4, 3)), "random_blocks", "float32"),
    (lambda: masks.BigBird(random_blocks=4), "random_blocks", r"\b4\b|int"),
    (lambda: masks.BigBird(random_blocks=[[[0.5]]]), "random_blocks", r"0\.5"),
    (lambda: masks.BigBird(random_blocks=[[1, 2]]), "BigBird", "random_blocks", "int"),
    (lambda: csr(bitmaps=3), "bitmaps", r"\b3\b|int"),
    (lambda: masks.BigBird(multiplicity="yes"), "multiplicity", "yes"),
    (lambda: masks.DeepSpeedFixed(block_size=16.0), "block_size", r"16\.0"),
    (lambda: masks.DeepSpeedFixed(horizontal_global_attention=1), "horizontal_global_attention", r"\b1\b"),
    (lambda: masks.DeepSpeedFixed(attention=None), "attention", "None"),
    (lambda: masks.DeepSpeedVariable(local_window_blocks=4), "local_window_blocks", r"\b4\b|int"),
    (lambda: masks.DeepSpeedVariable(local_window_blocks=[4.0]), "local_window_blocks", r"4\.0"),
    (lambda: masks.DeepSpeedVariable(global_block_indices=0), "global_block_indices", r"\b0\b|int"),
    (lambda: masks.DeepSpeedLongformer(num_sliding_window_blocks=None), "num_sliding_window_blocks", "None"),
    (lambda: masks.DeepSpeedLongformer(global_block_end_indices="a"), "global_block_end_indices", "str|'a'"),
    (lambda: masks.DeepSpeedBigBird(seed=0.5), "seed", r"0\.5"),
    (lambda: masks.DeepSpeedBigBird(num_random_blocks="1"), "num_random_blocks", "str|'1'"),
]


@pytest.mark.parametrize("make, patterns", [(make, patterns) for make, *patterns in WRONG_VALUES])
def test_wrong_values(raises, make, patterns):
    raises(ValueError, make, *patterns)


@pytest.mark.parametrize("make, patterns", [(make, patterns) for make, *patterns in WRONG_TYPES])
def test_wrong_types(raises, make, patterns):
    raises(TypeError, make, *patterns)


def test_multiplicity_comes_later(raises):
    """Set semantics for now: a block that a table lists twice counts once."""
    refused = ("multiplicity", "BigBird", "False|set")
    raises(NotImplementedError, lambda: masks.BigBird(random_blocks=TABLE, multiplicity=True), *refused)
    twice = masks.BigBird(4, random_blocks=[[[1, 1], [0, 0], [2, 2]]], multiplicity=False)
    assert twice.materialize(12, 12).equal(masks.BigBird(4, random_blocks=[[[1], [0], [2]]]).materialize(12, 12))


def test_blocks_are_not_made_directly(raises):
    raises(TypeError, lambda: masks.BlockList(SQUARE), "from_tensor|from_csr|argument")


def test_messages_stay_short():
    """Whatever was received, an error is no place to print a million numbers."""
    calls = [
        lambda: masks.Documents([*range(100_000), 5]),
        lambda: masks.Longformer(4, [*range(100_000), -1]),
        lambda: masks.Lengths([*range(100_000)], [3]),
        lambda: masks.Longformer(4, torch.rand(100_000)),
        lambda: masks.BlockList.from_tensor(torch.ones(300, 300)),
        lambda: masks.BigBird(random_blocks=torch.full((4, 300, 3), -1)),
        lambda: masks.Documents("x" * 100_000),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert len(str(caught.value)) < 600


def test_blocks_too_large_for_bitmaps(raises):
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    raises(ValueError, lambda: masks.BlockList.from_tensor(mask, 10_000), "block_size", "1,048,576", "10000", "64")
