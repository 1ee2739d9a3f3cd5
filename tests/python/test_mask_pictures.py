"""What masks show of themselves: plot, explain, flops."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ck_fmha import masks
from random_masks import expressions, wheres

SHORT, LONG = (40, 50), (3000, 2000)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to plot with")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def image_of(axes):
    (image,) = axes.get_images()
    return image


def numbers_in(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")))


def test_plot_draws_and_saves(plt, tmp_path):
    path = tmp_path / "mask.png"
    mask = masks.BigBird(block_size=4) & masks.Causal()
    axes = mask.plot(40, 50, path=path)
    assert isinstance(axes, plt.Axes)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and path.stat().st_size > 1000
    mask.plot(40, 50, path=str(tmp_path / "string.png"))
    assert (tmp_path / "string.png").exists()

    _, mine = plt.subplots()
    assert mask.plot(40, 50, ax=mine, head=1) is mine
    assert mine.has_data()


@pytest.mark.parametrize(
    "mask",
    [
        masks.Causal(),
        masks.Documents([0, 9, 40]),
        masks.Lengths([7, 40], [50, 9]),
        masks.per_head([masks.Causal(), masks.Full()]).T,
        masks.Neighborhood((5, 8), 3).shift(2, 2),
    ],
    ids=repr,
)
def test_short_sequences_show_their_elements(plt, mask):
    axes = mask.plot(*SHORT)
    drawn = image_of(axes).get_array()
    attended = mask.materialize(*SHORT)
    assert drawn.shape == SHORT and ((drawn > 0) == attended.numpy()).all()
    title = numbers_in(axes.get_title())
    assert str(int(attended.sum())) in title
    assert f"{100 * mask.density(*SHORT):.2f}" in title


@pytest.mark.parametrize(
    "mask",
    [masks.Causal(), masks.Documents([0, 900, 2000]), masks.Strided(200, 500), masks.Longformer(64, [5, 1999])],
    ids=repr,
)
def test_long_sequences_show_their_tiles(plt, mask):
    axes = mask.plot(*LONG)
    drawn = image_of(axes).get_array()
    rows, cols = drawn.shape
    tile = next((t, u) for t in (64, 128) for u in (64, 128) if (-(-3000 // t), -(-2000 // u)) == (rows, cols))
    status, counts = mask.tile_status(*LONG, tile), mask.num_tiles(*LONG, tile)
    assert {0, 1} <= set(drawn.flatten().tolist()) and drawn.max() <= 2
    assert (drawn == status.numpy()).all()
    title = numbers_in(axes.get_title())
    assert {str(counts.live), str(counts.total), str(counts.full), str(counts.edge)} <= title
    assert f"{100 * mask.density(*LONG):.2f}" in title


def test_colours_tell_empty_edge_and_full_apart(plt):
    axes = masks.Causal().plot(1000, 1000)
    image = image_of(axes)
    colours = {tuple(image.cmap(image.norm(value))) for value in (0, 1, 2)}
    assert len(colours) == 3
    labels = " ".join(text.get_text() for text in axes.get_legend().get_texts())
    assert all(word in labels for word in ("empty", "edge", "full"))


def test_pictures_are_of_the_head_and_sample_asked_for(plt):
    mask = masks.per_head([masks.Causal(), ~masks.Causal()]) & masks.per_sample([masks.Full(), ~masks.Full()])
    drawn = image_of(mask.plot(*SHORT, head=1)).get_array()
    assert ((drawn > 0) == mask.materialize(*SHORT, head=1).numpy()).all()
    drawn = image_of(mask.plot(*SHORT, head=1, batch=1)).get_array()
    assert not (drawn > 0).any()


def test_long_data_do_not_fill_the_title(plt):
    axes = masks.Documents([0, *range(1, 2000, 3)]).plot(*LONG)
    assert len(axes.get_title()) < 600


def test_lengths_that_do_not_fit_are_refused_before_anything_is_drawn(plt, tmp_path):
    path = tmp_path / "mask.png"
    with pytest.raises(ValueError, match="2000"):
        masks.Documents([0, 2000]).plot(*SHORT, path=path)
    assert not path.exists()


def test_tiles_of_a_chosen_size(plt):
    axes = masks.Causal().plot(*SHORT, tile=(8, 16))
    drawn = image_of(axes).get_array()
    assert (drawn == masks.Causal().tile_status(*SHORT, (8, 16)).numpy()).all()


def live_elements(mask: masks.Mask, shape, tile, **place) -> int:
    """Elements inside of the live tiles, those past the end of the sequence left out."""
    status = mask.tile_status(*shape, tile, **place)
    rows = [min(tile[0], shape[0] - row * tile[0]) for row in range(status.shape[0])]
    cols = [min(tile[1], shape[1] - col * tile[1]) for col in range(status.shape[1])]
    return sum(rows[row] * cols[col] for row, col in (status != 0).nonzero().tolist())


@pytest.mark.parametrize("shape", [(300, 200), (64, 64), (1, 500), (0, 7)])
@pytest.mark.parametrize("tile", [(64, 64), (32, 48)])
def test_flops_are_those_of_the_live_tiles(shape, tile):
    for mask in (masks.Full(), masks.Causal(), masks.Strided(3, 90), masks.Neighborhood((9, 9), 3).T):
        flops = mask.flops(*shape, 40, tile=tile)
        elements = live_elements(mask, shape, tile)
        assert flops.forward == elements * (2 * 40 + 2 * 40)
        assert flops.backward == pytest.approx(2.5 * flops.forward)
        assert flops.dense_forward == math.prod(shape) * 4 * 40
        assert mask.flops(*shape, 40, 24, tile=tile).forward == elements * (2 * 40 + 2 * 24)
    assert masks.Full().flops(*shape, 8).forward == masks.Full().flops(*shape, 8).dense_forward


def test_flops_of_heads_and_samples_add_up():
    mask = masks.per_head([masks.Causal(), ~masks.Full(), masks.Full()]) & masks.Lengths([100, 30])
    flops = mask.flops(100, 90, 16, num_heads=3, batch=2)
    expected = sum(live_elements(mask, (100, 90), (64, 64), head=h, batch=b) for h in range(3) for b in range(2))
    assert flops.forward == expected * 64 and flops.dense_forward == 6 * 100 * 90 * 64
    assert masks.Causal().flops(100, 90, 16, num_heads=3, batch=2).forward == 6 * masks.Causal().flops(100, 90, 16)[0]
    for num_heads, batch in [(4, 2), (2, 2), (3, 1), (3, 3)]:
        with pytest.raises(ValueError):
            mask.flops(100, 90, 16, num_heads=num_heads, batch=batch)


@given(data=st.data(), where=wheres(longest=200))
def test_flops_of_any_expression(data, where):
    mask = data.draw(expressions(where[:2], depth=2)).mask
    expected = sum(live_elements(mask, where[:2], (32, 16), head=h, batch=b) for h in range(3) for b in range(2))
    assert mask.flops(*where[:2], 8, num_heads=3, batch=2, tile=(32, 16)).forward == expected * 32


def test_masks_as_deep_as_can_be_still_show_themselves():
    mask = masks.Causal()
    for left in range(199):
        mask = mask | masks.Window(left, 0)
    assert mask.flops(90, 90, 8).forward == live_elements(mask, (90, 90), (64, 64)) * 32
    assert repr(mask) in mask.explain(90, 90) and len(str(mask)) < len(repr(mask))


def test_flops_of_long_sequences_are_exact_integers():
    flops = masks.Full().flops(2**16, 2**16, 128, num_heads=2**10, batch=2**4)
    assert flops.forward == 2**55 and isinstance(flops.forward, int)
    assert (flops.backward, flops.dense_forward) == (5 * 2**54, 2**55)


@pytest.mark.parametrize("name, value", [("head_dim", 0), ("head_dim_v", -1), ("num_heads", -1), ("batch", -2)])
def test_flops_refuses(raises, name, value):
    arguments = {"seqlen_q": 9, "seqlen_k": 9, "head_dim": 8, name: value}
    raises(ValueError, lambda: masks.Full().flops(**arguments), name, str(value))


def test_explain_says_what_there_is():
    mask = masks.Causal() & masks.per_head([masks.Documents([0, 9, 300]), masks.Strided(4, 70)]).shift(1, 2)
    text = mask.explain(400, 500, (32, 16), head=1)
    counts = mask.num_tiles(400, 500, (32, 16), head=1)
    assert repr(mask) in text and mask.structure in text
    (tiles,) = (line for line in text.splitlines() if line.startswith("tiles"))
    assert {str(counts.live), str(counts.total), str(counts.full), str(counts.edge)} <= numbers_in(tiles)
    (density,) = (line for line in text.splitlines() if line.startswith("density"))
    assert f"{100 * mask.density(400, 500, head=1):.4f}" in density
    (varies,) = (line for line in text.splitlines() if line.startswith("varies"))
    assert "head" in varies and "sample" not in varies
    for part in ("Causal", "per_head", "Documents", "Strided", "shift"):
        assert part in text
    assert text == mask.explain(400, 500, (32, 16), head=1) != mask.explain(400, 500, (32, 16), head=0)


@given(data=st.data(), where=wheres(longest=200))
def test_explain_of_anything(data, where):
    mask = data.draw(expressions(where[:2], depth=3)).mask
    text = mask.explain(*where[:2], batch=where.batch, head=where.head)
    counts = mask.num_tiles(*where[:2], batch=where.batch, head=where.head)
    assert repr(mask) in text and mask.structure in text
    assert {str(counts.live), str(counts.total)} <= numbers_in(text)
