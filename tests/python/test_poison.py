"""The poison rule: what a mask says is not attended is not read.

Bit-equal results while the operands that must not matter are NaN; NaN in all stride gaps; guard bands round
inputs, outputs and workspaces.
"""

import itertools
import math
from dataclasses import replace

import pytest
import torch

import ck_fmha
from calls import Call, Tensors, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from guard_bands import guarded_allocations, guarded_copy
from mask_cases import materialized, random_mask
from random_calls import DTYPES


def kernel_tile(call: Call) -> tuple[int, int]:
    q, k, v, *_ = make_tensors(call)
    return tuple(ck_fmha.explain(q, k, v, call.mask, **call.options()).tile)


# What the calls below have besides their masks, in turn.
EVERYTHING: dict = {"bias": "bhqk", "alibi": "h", "softcap": 4.0, "dropout_p": 0.2, "dropout_seed": 6}
IN_TURN: list[dict] = [{}, EVERYTHING, {}, {"bias": "h1k"}]


def calls_of(rows: int, cols: int, dtype: torch.dtype) -> list[Call]:
    """Masks with empty tiles of the kernel's own size, ragged last tiles, two query heads on a key head."""
    square = (4 * rows + rows // 2 + 1, 4 * cols + cols // 2 + 1)
    near_rows = rows // 2
    cases = [
        (masks.Causal(), square),
        (masks.Causal("bottom-right"), (square[0], square[1] - 2 * cols)),
        (masks.Window(near_rows, 3), square),
        (masks.Window(cols // 4, 0, "bottom-right", num_sinks=2), square),
        (masks.Longformer(16, global_tokens=3), square),
        (masks.Longformer(8, dilation=2, causal=True), square),
        (masks.BigBird(block_size=max(rows, cols), num_random_blocks=1, num_window_blocks=1), square),
        (masks.BigBird(block_size=max(rows, cols)) & masks.Causal(), square),
        (masks.Window(5, 5) | ~masks.Causal() & masks.Window(-1, 7 * cols // 2), square),
        (~masks.Causal(), square),
        (masks.Longformer(4, global_tokens=[1, 3 * rows]) & masks.Causal(), square),
        (masks.Fixed(max(rows, cols), 0), square),
        (masks.Documents([0, rows, rows + 9, 3 * rows], [0, cols // 2, cols // 2, 3 * cols]), square),
        (masks.Lengths([9, 2 * rows], [3 * cols, 5]), square),
        (masks.Neighborhood((9, rows // 3), (3, 5), border="clip"), square),
        (masks.BlockList.from_tensor(random_mask(*square, max(rows, cols), seed=3), 40), square),
        (masks.DeepSpeedVariable(cols, [1, 2], [3], attention="unidirectional"), square),
        (masks.Causal().T.shift(rows, 2 * cols) | masks.Window(0, 0), square),
        (masks.per_head([masks.Causal(), masks.Causal().T, masks.Window(3, 3), ~masks.Full()]), square),
        (masks.per_sample([masks.Window(near_rows, 0), masks.Documents([0, rows])]), square),
    ]
    return [
        Call(mask, dtype, head_dim=24, head_dim_v=16, seqlens=seqlens, heads=(4, 2), batch=2, **feature)
        for (mask, seqlens), feature in zip(cases, itertools.cycle(IN_TURN))
    ]


def statuses(call: Call, tile: tuple[int, int]) -> torch.Tensor:
    """(sample, head, row tile, column tile), of the kernel's tiles."""
    return torch.stack(
        [
            torch.stack([call.mask.tile_status(*call.seqlens, tile, batch=b, head=h) for h in range(call.heads[0])])
            for b in range(call.batch)
        ]
    )


def cases(dtype: torch.dtype):
    """Calls whose tile is known: first asked for at one size, then confirmed at the size that is used."""
    rows, cols = kernel_tile(Call(masks.Causal(), dtype, head_dim=24, head_dim_v=16, seqlens=(512, 512), heads=(4, 2)))
    for call in calls_of(rows, cols, dtype):
        tile = kernel_tile(call)
        status = statuses(call, tile)
        assert (status == 0).any() and (status != 0).any(), f"{call.mask} leaves nothing to test with tile {tile}"
        yield call, tile, status


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_keys_of_empty_tiles_are_not_read(dtype, value):
    for call, (rows, cols), status in cases(dtype):
        tensors = make_tensors(call)
        clean, elements = run(call, tensors), call_elements(call)
        for column in range(status.shape[3]):
            here = slice(column * cols, (column + 1) * cols)
            k, v = tensors.k.clone(), tensors.v.clone()
            k[:, :, here], v[:, :, here] = value, value
            poisoned = run(call, tensors._replace(k=k, v=v))
            blind = row_elements(status[..., column] == 0, rows, call.seqlens[0])
            for name in ("out", "lse", "dq"):
                same = bits_equal(getattr(poisoned, name)[blind], getattr(clean, name)[blind])
                assert same, f"{name}, column tile {column} of {call.mask}"
            attending = elements[..., here].any(-1)
            assert not poisoned.out[attending].isfinite().any(), "the poison itself does not show"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_queries_of_empty_tiles_are_not_read(dtype, value):
    for call, (rows, cols), status in cases(dtype):
        tensors = make_tensors(call)
        clean, elements = run(call, tensors), call_elements(call)
        groups = call.heads[0] // call.heads[1]
        for row in range(status.shape[2]):
            here = slice(row * rows, (row + 1) * rows)
            q, dout = tensors.q.clone(), tensors.dout.clone()
            q[:, :, here], dout[:, :, here] = value, value
            poisoned = run(call, tensors._replace(q=q, dout=dout))
            # dK and dV sum over the query heads of a group: untouched where none of them has the tile.
            nothing = (status[:, :, row] == 0).unflatten(1, (-1, groups)).all(2)
            blind = row_elements(nothing, cols, call.seqlens[1])
            for name in ("dk", "dv"):
                same = bits_equal(getattr(poisoned, name)[blind], getattr(clean, name)[blind])
                assert same, f"{name}, row tile {row} of {call.mask}"
            attended = elements[:, :, here].any(2).unflatten(1, (-1, groups)).any(2)
            assert not poisoned.dv[attended].isfinite().any(), "the poison itself does not show"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_biases_of_empty_tiles_are_not_read(dtype, value):
    """Nor is their gradient anything but 0."""
    for call, (rows, cols), status in cases(dtype):
        call = replace(call, bias="bhqk")
        tensors = make_tensors(call)
        clean = run(call, tensors)
        empty = (status == 0).repeat_interleave(rows, 2).repeat_interleave(cols, 3)
        empty = empty[:, :, : call.seqlens[0], : call.seqlens[1]]
        poisoned = run(call, tensors._replace(bias=tensors.bias.masked_fill(empty, value)))
        different = [name for name, a, b in zip(clean._fields, poisoned, clean, strict=True) if not bits_equal(a, b)]
        assert not different, f"{different} of {call.mask}"
        assert (clean.dbias[empty] == 0).all(), f"dbias of {call.mask}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_biases_of_masked_elements_do_not_show(dtype):
    """In tiles that are live their bias is read; what it says must not matter."""
    call = Call(masks.Longformer(20, 3) & masks.Causal(), dtype, seqlens=(150, 130), heads=(4, 2), bias="bhqk")
    tensors = make_tensors(call)
    clean, masked = run(call, tensors), ~call_elements(call)
    for value in (math.nan, math.inf, -math.inf):
        poisoned = run(call, tensors._replace(bias=tensors.bias.masked_fill(masked, value)))
        assert all(bits_equal(a, b) for a, b in zip(poisoned, clean, strict=True)), value


@pytest.mark.parametrize("dtype", DTYPES)
def test_attended_nan_in_a_bias_is_not_swallowed(dtype):
    call = Call(masks.Window(70, 0), dtype, seqlens=(200, 200), bias="bhqk")
    tensors = make_tensors(call)
    tensors.bias[:, :, 150, 100] = math.nan
    results = run(call, tensors)
    assert results.out[:, :, 150].isnan().all() and results.lse[:, :, 150].isnan().all()
    others = torch.arange(200) != 150
    assert results.out[:, :, others].isfinite().all() and results.lse[:, :, others].isfinite().all()


@pytest.mark.parametrize("strides", ["rows 7 apart", "last stride 2", "heads inside, 3 apart"])
@pytest.mark.parametrize("bias", ["bhqk", "1h1k", "b1q1"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_stride_gaps_and_guard_bands_of_a_bias(dtype, bias, strides):
    call = Call(masks.Longformer(30, 2), dtype, seqlens=(77, 91), heads=(4, 2), **(EVERYTHING | {"bias": bias}))
    plain = make_tensors(call)
    guarded = [guarded_copy(plain.bias, LAYOUTS[strides](*plain.bias.shape)), guarded_copy(plain.slopes)]
    tensors = plain._replace(bias=guarded[0].tensor, slopes=guarded[1].tensor)
    with guarded_allocations() as made:
        results = run(call, tensors)
    for g in guarded:
        g.assert_intact()
    assert_matches_reference(call, tensors, results._asdict())
    assert results.dbias.data_ptr() in {g.tensor.data_ptr() for g in made}, "dbias has no guard bands"


@pytest.mark.parametrize("dtype", DTYPES)
def test_heads_and_samples_do_not_read_each_other(dtype):
    call = Call(masks.BigBird(block_size=16), dtype, seqlens=(150, 130), heads=(4, 2), batch=3)
    tensors = make_tensors(call)
    clean = run(call, tensors)
    poisoned = tensors.map(torch.Tensor.clone)
    poisoned.k[1, 1], poisoned.v[1, 1] = math.nan, math.nan
    poisoned.q[2, 0], poisoned.dout[2, 0] = math.nan, math.nan
    results = run(call, poisoned)
    for name in ("out", "lse", "dq"):
        touched = torch.zeros(3, 4, dtype=torch.bool)
        touched[1, 2:], touched[2, 0] = True, True
        assert bits_equal(getattr(results, name)[~touched], getattr(clean, name)[~touched]), name
        assert getattr(results, name)[touched].isnan().any(), name
    touched = torch.zeros(3, 2, dtype=torch.bool)
    touched[1, 1], touched[2, 0] = True, True
    for name in ("dk", "dv"):
        assert bits_equal(getattr(results, name)[~touched], getattr(clean, name)[~touched]), name


def row_elements(tiles: torch.Tensor, size: int, length: int) -> torch.Tensor:
    """Bool per (sample, head, tile) -> bool per (sample, head, element)."""
    return tiles.repeat_interleave(size, -1)[..., :length]


def call_elements(call: Call) -> torch.Tensor:
    return materialized(call.mask, call.batch, call.heads[0], call.seqlens)


LAYOUTS = {
    "rows 7 apart": lambda b, h, s, d: (h * s * (d + 7), s * (d + 7), d + 7, 1),
    "heads inside, 3 apart": lambda b, h, s, d: (s * h * (d + 3) + 11, d + 3, h * (d + 3), 1),
    "contiguous": lambda b, h, s, d: (h * s * d, s * d, d, 1),
    "last stride 2": lambda b, h, s, d: (h * s * 2 * d, s * 2 * d, 2 * d, 2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strides", LAYOUTS)
@pytest.mark.parametrize("head_dim, head_dim_v", [(1, 1), (24, 40), (65, 31), (256, 200)])
def test_stride_gaps_and_guard_bands_are_nan(strides, head_dim, head_dim_v, dtype):
    call = Call(masks.Longformer(30, 2), dtype, head_dim, head_dim_v, seqlens=(77, 91), heads=(4, 2))
    plain = make_tensors(call)
    guarded = [guarded_copy(t, LAYOUTS[strides](*t.shape)) for t in plain[:4]]
    guarded.append(guarded_copy(plain.dlse))
    tensors = Tensors(*(g.tensor for g in guarded))
    with guarded_allocations() as made:
        results = run(call, tensors)
    for g in guarded:
        g.assert_intact()
    assert_matches_reference(call, tensors, results._asdict())
    allocated = {g.tensor.data_ptr() for g in made}
    missing = [name for name, t in results._asdict().items() if t.numel() and t.data_ptr() not in allocated]
    assert not missing, f"{missing} were not allocated through torch.empty or torch.zeros: guard bands unchecked"


@pytest.mark.parametrize(
    "mask",
    [
        ~masks.Full(),
        masks.Window(3, 0, "bottom-right"),
        masks.Causal("bottom-right"),
        masks.Documents([0, 0]),
        masks.Documents([0, 40], [0, 9]),
        masks.Lengths([150, 0], [0, 90]),
        masks.per_sample([~masks.Full(), masks.Causal().shift(100, 30)]),
        masks.BlockList.from_csr([0, 0, 0], [], 1, 90),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_output_element_is_written(mask, dtype):
    """Outputs start as NaN: rows and columns that the kernels never visit must be written all the same."""
    call = Call(mask, dtype, seqlens=(150, 90), heads=(2, 1), bias="bhqk")
    tensors = make_tensors(call)
    with guarded_allocations() as made:
        results = run(call, tensors)
    assert made
    for name, t in results._asdict().items():
        assert not t.isnan().any(), name
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_empty_rows_are_not_read(dtype):
    """dO and dLSE of a row that attends nothing may be anything."""
    call = Call(masks.Causal("bottom-right"), dtype, seqlens=(300, 100))
    tensors = make_tensors(call)
    clean = run(call, tensors)
    rows, _ = kernel_tile(call)
    whole_tiles = 200 // rows * rows  # row 200 is the first that attends a key
    assert whole_tiles > 0, "no whole row tile is empty: widen the call"
    dout, dlse = tensors.dout.clone(), tensors.dlse.clone()
    dout[:, :, :whole_tiles], dlse[:, :, :whole_tiles] = math.nan, math.nan
    poisoned = run(call, tensors._replace(dout=dout, dlse=dlse))
    assert all(bits_equal(a, b) for a, b in zip(poisoned, clean, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_attended_nan_is_not_swallowed(dtype):
    """A vector maximum or a clamped exponential can turn NaN into a number; an attended NaN has to show."""
    call = Call(masks.Window(70, 0), dtype, seqlens=(200, 200))
    elements = call_elements(call)[0, 0]
    for name, index in [("q", 100), ("q", 0), ("k", 100), ("k", 0), ("v", 100)]:
        tensors = make_tensors(call)
        getattr(tensors, name)[:, :, index] = math.nan
        results = run(call, tensors)
        rows = torch.arange(200) == index if name == "q" else elements[:, index]
        assert results.out[:, :, rows].isnan().all(), (name, index)
        assert results.lse[:, :, rows].isnan().all() != (name == "v"), (name, index)
        assert results.dq[:, :, rows].isnan().all(), (name, index)
