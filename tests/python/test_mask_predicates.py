"""The predicates that masks are held against, themselves held against small pictures drawn by hand."""

import itertools

import pytest
import torch

import mask_predicates
from mask_predicates import PREDICATES, Where, dense, shifted, tile_status, transposed


def picture(attended: torch.Tensor) -> str:
    return " ".join("".join(".#"[int(x)] for x in row) for row in attended)


ROWS = [[[1], [0], [4], [3], [0]]]
INNER_ROWS = [[[3], [0], [1]]]
PICTURES = [
    ("Full", (2, 3), {}, "### ###"),
    ("Causal", (3, 4), {}, "#... ##.. ###."),
    ("Causal", (3, 4), {"alignment": "bottom-right"}, "##.. ###. ####"),
    ("Causal", (3, 2), {"alignment": "bottom-right"}, ".. #. ##"),
    ("Window", (4, 4), {"left": 1, "right": 0}, "#... ##.. .##. ..##"),
    ("Window", (4, 4), {"left": 0, "right": 0, "num_sinks": 1}, "#... ##.. #.#. #..#"),
    ("PrefixLM", (3, 4), {"prefix": 2}, "##.. ##.. ###."),
    ("Longformer", (4, 4), {"window": 2}, "##.. ###. .### ..##"),
    ("Longformer", (4, 4), {"window": 2, "dilation": 2}, "#.#. .#.# #.#. .#.#"),
    ("Longformer", (4, 4), {"window": 0, "global_tokens": 1}, "#### ##.. #.#. #..#"),
    ("Longformer", (4, 4), {"window": 0, "global_tokens": 1, "causal": True}, "#... ##.. #.#. #..#"),
    ("Longformer", (4, 4), {"window": 0, "global_tokens": [2]}, "#.#. .##. #### ..##"),
    ("Longformer", (4, 4), {"window": 0, "global_tokens": {3, 2}, "causal": True}, "#... .#.. ###. ####"),
    ("Strided", (7, 7), {"local": 2, "stride": 3}, "#...... ##..... .##.... #.##... .#.##.. ..#.##. #..#.##"),
    ("Fixed", (7, 7), {"local": 3}, "#...... ##..... ###.... ..##... ..###.. ..####. ..#..##"),
    ("Fixed", (4, 4), {"local": 2, "summary": 0}, "#... ##.. ..#. ..##"),
    ("Documents", (3, 3), {"cu_seqlens_q": [0, 1, 3]}, "#.. .## .##"),
    (
        "Documents",
        (6, 5),
        {"cu_seqlens_q": [0, 2, 5], "cu_seqlens_k": [0, 3, 4]},
        "###.. ###.. ...#. ...#. ...#. .....",
    ),
    (
        "Documents",
        (6, 5),
        {"cu_seqlens_q": [0, 2, 5], "cu_seqlens_k": [0, 3, 4], "causal": "top-left"},
        "#.... ##... ...#. ...#. ...#. .....",
    ),
    (
        "Documents",
        (6, 5),
        {"cu_seqlens_q": [0, 2, 5], "cu_seqlens_k": [0, 3, 4], "causal": "bottom-right"},
        "##... ###.. ..... ..... ...#. .....",
    ),
    ("Lengths", (3, 4), {"lengths_q": [2], "lengths_k": [3]}, "###. ###. ...."),
    ("Lengths", (3, 4), {"lengths_q": [2], "lengths_k": [3], "padding": "left"}, ".... .### .###"),
    ("Lengths", (2, 4), {"lengths_k": [1]}, "#... #..."),
    ("Neighborhood", (6, 6), {"grid": 6, "window": 3}, "###... ###... .###.. ..###. ...### ...###"),
    ("Neighborhood", (6, 6), {"grid": 6, "window": 3, "border": "clip"}, "##.... ###... .###.. ..###. ...### ....##"),
    ("Neighborhood", (6, 6), {"grid": 6, "window": 3, "dilation": 2}, "#.#.#. .#.#.# #.#.#. .#.#.# #.#.#. .#.#.#"),
    (
        "Neighborhood",
        (6, 6),
        {"grid": 6, "window": 3, "dilation": 2, "border": "clip"},
        "#.#... .#.#.. #.#.#. .#.#.# ..#.#. ...#.#",
    ),
    ("Neighborhood", (4, 4), {"grid": 4, "window": 3, "causal": True}, "#... ##.. ###. .###"),
    ("Neighborhood", (3, 4), {"grid": 2, "window": 1}, "#... .#.. ...."),
    (
        "Neighborhood",
        (6, 6),
        {"grid": (2, 3), "window": (1, 3)},
        "###... ###... ###... ...### ...### ...###",
    ),
    ("Neighborhood", (4, 4), {"grid": (2, 2), "window": (3, 1)}, "#.#. .#.# #.#. .#.#"),
    ("Neighborhood", (4, 4), {"grid": (2, 2), "window": (3, 1), "causal": (True, False)}, "#... .#.. #.#. .#.#"),
    (
        "BlockList.from_csr",
        (3, 5),
        {"row_offsets": [0, 2, 3], "columns": [0, 2, 1], "num_block_cols": 3, "block_size": 2},
        "##..# ##..# ..##.",
    ),
    (
        "BlockList.from_csr",
        (3, 5),
        {"row_offsets": [0, 0, 0, 1], "columns": [1], "num_block_cols": 2, "block_size": (1, 3)},
        "..... ..... ...##",
    ),
    (
        "BlockList.from_csr",
        (2, 5),
        {
            "row_offsets": [0, 2],
            "columns": [0, 1],
            "num_block_cols": 2,
            "block_size": (2, 3),
            "bitmaps": torch.tensor([[[0, 1, 0], [0, 0, 0]], [[1, 0, 1], [1, 1, 1]]]) == 1,
        },
        ".#.#. ...##",
    ),
    (
        "BigBird",
        (5, 5),
        {"block_size": 1, "num_window_blocks": 1, "num_global_blocks": 0, "random_blocks": ROWS},
        "##... ##... ..#.# ...#. #...#",
    ),
    (
        "BigBird",
        (5, 5),
        {"block_size": 1, "num_window_blocks": 1, "num_global_blocks": 0, "random_blocks": INNER_ROWS},
        "#.... .#.#. #.#.. .#.#. ....#",
    ),
    ("DeepSpeedFixed", (5, 5), {"block_size": 1, "num_local_blocks": 2}, "##.## ##.## .#### .#### .#.##"),
    (
        "DeepSpeedFixed",
        (5, 5),
        {"block_size": 1, "num_local_blocks": 2, "attention": "unidirectional"},
        "#.... ##... .##.. .###. .#.##",
    ),
    (
        "DeepSpeedFixed",
        (4, 4),
        {"block_size": 1, "num_global_blocks": 2, "attention": "unidirectional"},
        "#... ##.. #### ####",
    ),
    (
        "DeepSpeedFixed",
        (2, 2),
        {"block_size": 1, "num_local_blocks": 3, "num_global_blocks": 3, "attention": "unidirectional"},
        "#. ##",
    ),
    (
        "DeepSpeedFixed",
        (5, 5),
        {"block_size": 1, "num_local_blocks": 2, "horizontal_global_attention": True},
        "##.## ##### .#### ##### #####",
    ),
    ("DeepSpeedFixed", (4, 5), {"block_size": 2, "num_local_blocks": 2}, "##### ##### ##### #####"),
    (
        "DeepSpeedVariable",
        (6, 6),
        {"block_size": 1, "local_window_blocks": [1, 2], "global_block_indices": []},
        "#..... .##... .##... ...##. ...##. .....#",
    ),
    (
        "DeepSpeedVariable",
        (6, 6),
        {
            "block_size": 1,
            "local_window_blocks": [1, 2],
            "global_block_indices": [2],
            "attention": "unidirectional",
        },
        "#..... .#.... .##... ..##.. ..###. ..#..#",
    ),
    (
        "DeepSpeedVariable",
        (4, 4),
        {
            "block_size": 1,
            "local_window_blocks": [1],
            "global_block_indices": [1],
            "global_block_end_indices": [3],
            "attention": "unidirectional",
        },
        "#... .##. .##. .###",
    ),
    (
        "DeepSpeedVariable",
        (4, 4),
        {
            "block_size": 1,
            "local_window_blocks": [1],
            "global_block_indices": [1],
            "horizontal_global_attention": True,
        },
        "##.. #### .##. .#.#",
    ),
    ("DeepSpeedLongformer", (4, 4), {"block_size": 1, "global_block_indices": [2]}, "###. ###. #### ..##"),
    (
        "DeepSpeedLongformer",
        (4, 4),
        {
            "block_size": 1,
            "num_sliding_window_blocks": 1,
            "global_block_indices": [1],
            "global_block_end_indices": [3],
        },
        "###. #### #### .###",
    ),
    (
        "DeepSpeedLongformer",
        (4, 4),
        {"block_size": 1, "global_block_indices": [2], "attention": "unidirectional"},
        "#... ##.. ###. ..##",
    ),
    (
        "DeepSpeedBigBird",
        (4, 4),
        {"block_size": 1, "num_sliding_window_blocks": 1, "random_blocks": [[[1], [1], [3], [0]]]},
        "#### ##.. #.## #..#",
    ),
    (
        "DeepSpeedBigBird",
        (4, 4),
        {
            "block_size": 1,
            "num_sliding_window_blocks": 1,
            "random_blocks": [[[1], [1], [3], [0]]],
            "attention": "unidirectional",
        },
        "#... ##.. #.#. #..#",
    ),
]


@pytest.mark.parametrize("name, shape, parameters, drawn", PICTURES)
def test_pictures(name, shape, parameters, drawn):
    assert picture(dense(PREDICATES[name], Where(*shape), **parameters)) == drawn


def test_every_predicate_has_a_picture():
    tensors_speak_for_themselves = {"BlockList.from_tensor"}
    assert {name for name, *_ in PICTURES} | tensors_speak_for_themselves == set(PREDICATES)


def test_big_bird_without_its_random_part():
    fixed = dense(
        mask_predicates.big_bird_without_random, Where(7, 5), block_size=1, num_window_blocks=1, num_global_blocks=1
    )
    assert picture(fixed) == "##### ##..# #.#.# #..## #...# #...# #####"


def test_heads_and_samples():
    def of(name, where, **parameters):
        return picture(dense(PREDICATES[name], where, **parameters))

    assert of("Lengths", Where(1, 4, batch=1), lengths_k=[1, 3]) == "###."
    assert of("Longformer", Where(1, 4, head=1), window=2, dilation=[1, 3]) == "#..#"
    pattern = {"block_size": 1, "num_local_blocks": 2, "num_different_global_patterns": 2}
    assert of("DeepSpeedFixed", Where(5, 5, head=1), **pattern) == "###.# ###.# #.### #.### #.#.#"
    assert of("DeepSpeedFixed", Where(5, 5, head=2), **pattern) == of("DeepSpeedFixed", Where(5, 5), **pattern)
    tables = {"block_size": 1, "num_sliding_window_blocks": 1, "num_global_blocks": 0}
    two = [[[0], [0]], [[1], [1]]]
    assert of("DeepSpeedBigBird", Where(2, 2, head=1), random_blocks=two, **tables) == "## .#"
    assert of("DeepSpeedBigBird", Where(2, 2, head=5), random_blocks=two[:1], **tables) == "#. ##"


def causal(where: Where) -> torch.Tensor:
    return dense(PREDICATES["Causal"], where)


def causal_from_the_end(where: Where) -> torch.Tensor:
    return dense(PREDICATES["Causal"], where, alignment="bottom-right")


def test_transposed():
    assert picture(transposed(causal, Where(3, 4))) == "#### .### ..##"
    assert picture(transposed(causal_from_the_end, Where(2, 3))) == ".## ..#"


@pytest.mark.parametrize(
    "dq, dk, drawn",
    [
        (0, 0, "#.. ##. ###"),
        (1, 0, "... #.. ##."),
        (0, 1, ".#. .## .##"),
        (-1, 0, "##. ### ###"),
        (0, -1, "... #.. ##."),
        (2, 2, "... ... ..#"),
        (1, -1, "... ... #.."),
        (3, 0, "... ... ..."),
        (0, 9, "... ... ..."),
    ],
)
def test_shifted(dq, dk, drawn):
    assert picture(shifted(causal, dq, dk, Where(3, 3))) == drawn


def test_a_chunk_of_queries_is_a_shift():
    whole = causal_from_the_end(Where(4, 6))
    assert torch.equal(shifted(causal_from_the_end, -2, 0, Where(2, 6)), whole[2:])


def test_tile_status_against_loops():
    generator = torch.Generator().manual_seed(0)
    for density in (0.0, 0.1, 0.9, 1.0):
        attended = torch.rand(11, 14, generator=generator) < density
        for ty, tx in [(1, 1), (2, 3), (4, 5), (11, 14), (50, 50)]:
            status = tile_status(attended, (ty, tx))
            assert status.shape == (-(-11 // ty), -(-14 // tx))
            for row, col in itertools.product(*map(range, status.shape)):
                piece = attended[row * ty : (row + 1) * ty, col * tx : (col + 1) * tx]
                assert status[row, col] == (2 if piece.all() else 1 if piece.any() else 0)
