"""Random mask expressions over all definitions and combinations, drawn by hypothesis.

The shape is drawn first: tables, documents and lengths have to fit the call that they are drawn for, and inside of
``.T`` and ``.shift`` the call that their mask is bound to there.
"""

import torch
from hypothesis import strategies as st

import mask_cases
from mask_cases import Case
from mask_expressions import Expression, expression_of, per_head, per_sample
from mask_predicates import Where

_ALIGNMENT = st.sampled_from(["top-left", "bottom-right"])
_ATTENTION = st.sampled_from(["bidirectional", "unidirectional"])


@st.composite
def wheres(draw, longest: int = 70, heads: int = 3, batch: int = 2) -> Where:
    """A shape, and one sample and head of a call with that many."""
    length = st.integers(0, longest)
    return Where(draw(length), draw(length), draw(st.integers(0, batch - 1)), draw(st.integers(0, heads - 1)))


@st.composite
def expressions(draw, shape: tuple[int, int], *, heads: int = 3, batch: int = 2, depth: int = 4) -> Expression:
    """Mask expressions for calls of this shape, with operators nested up to ``depth`` deep."""
    inner = {"heads": heads, "batch": batch, "depth": depth - 1}

    def part(seqlen_q: int = shape[0], seqlen_k: int = shape[1]) -> Expression:
        return draw(expressions((seqlen_q, seqlen_k), **inner))

    kind = draw(st.sampled_from(_COMBINATIONS)) if depth > 0 else "definition"
    if kind == "or":
        return part() | part()
    if kind == "and":
        return part() & part()
    if kind == "not":
        return ~part()
    if kind == "transpose":
        return part(shape[1], shape[0]).T
    if kind == "shift":
        dq, dk = draw(st.integers(-9, 20)), draw(st.integers(-9, 20))
        return part(max(shape[0] - dq, 0), max(shape[1] - dk, 0)).shift(dq, dk)
    if kind == "per_head" and heads > 0:
        return per_head(_repeated([part(), part()], heads))
    if kind == "per_sample" and batch > 0:
        return per_sample(_repeated([part(), part()], batch))
    return draw(_definitions(shape, heads, batch))


_COMBINATIONS = ["definition", "definition", "or", "and", "not", "transpose", "shift", "per_head", "per_sample"]


def _repeated(parts: list[Expression], count: int) -> list[Expression]:
    return [parts[number % len(parts)] for number in range(count)]


@st.composite
def _definitions(draw, shape: tuple[int, int], heads: int, batch: int) -> Expression:
    name = draw(st.sampled_from(sorted(_PARAMETERS)))
    if name == "Lengths" and batch == 0:
        name = "Full"
    parameters = draw(_PARAMETERS[name](shape, heads, batch))
    return expression_of(Case(name, parameters))


def _free(**parameters):
    """Parameters that fit any call."""
    return lambda shape, heads, batch: st.fixed_dictionaries(parameters)


def _longformers(shape, heads, batch):
    positions = st.lists(st.integers(0, 80), max_size=5)
    dilation = st.integers(1, 5)
    return st.fixed_dictionaries(
        {
            "window": st.integers(0, 12).map(lambda half: 2 * half),
            "global_tokens": st.one_of(st.integers(0, 6), positions, positions.map(torch.LongTensor)),
            "dilation": st.one_of(dilation, st.lists(dilation, min_size=heads, max_size=heads)) if heads else dilation,
            "causal": st.booleans(),
        }
    )


@st.composite
def _documents(draw, shape, heads, batch) -> dict:
    num_documents = draw(st.integers(0, 5))

    def offsets(length: int) -> list[int]:
        numbers = st.lists(st.integers(0, length), min_size=num_documents, max_size=num_documents)
        return [0, *sorted(draw(numbers))]

    same = draw(st.booleans())
    cu_seqlens_q = offsets(min(shape) if same else shape[0])
    cu_seqlens_k = None if same else offsets(shape[1])
    causal = draw(st.sampled_from([None, "top-left", "bottom-right"]))
    return {"cu_seqlens_q": cu_seqlens_q, "cu_seqlens_k": cu_seqlens_k, "causal": causal}


@st.composite
def _lengths(draw, shape, heads, batch) -> dict:
    def lengths(limit: int) -> list[int]:
        return draw(st.lists(st.integers(0, limit), min_size=batch, max_size=batch))

    given = draw(st.sampled_from(["q", "k", "qk"]))
    return {
        "lengths_q": lengths(shape[0]) if "q" in given else None,
        "lengths_k": lengths(shape[1]) if "k" in given else None,
        "padding": draw(st.sampled_from(["right", "left"])),
    }


@st.composite
def _neighborhoods(draw, shape, heads, batch) -> dict:
    grid = draw(st.one_of(*(st.tuples(*[st.integers(1, n)] * d) for d, n in [(1, 80), (2, 9), (3, 5)])))

    def per_axis(value):
        return draw(st.one_of(value, st.tuples(*[value] * len(grid))))

    return {
        "grid": grid,
        "window": per_axis(st.integers(0, 5).map(lambda half: 2 * half + 1)),
        "dilation": per_axis(st.integers(1, 4)),
        "causal": per_axis(st.booleans()),
        "border": draw(st.sampled_from(["shift", "clip"])),
    }


@st.composite
def _tensors_of_blocks(draw, shape, heads, batch) -> dict:
    block, seed = draw(st.integers(1, 20)), draw(st.integers(0, 1000))
    block_size = draw(st.one_of(st.just(block), st.integers(1, 70), st.tuples(st.integers(1, 30), st.integers(1, 80))))
    return {"mask": mask_cases.random_mask(*shape, block, seed), "block_size": block_size}


@st.composite
def _csr(draw, shape, heads, batch) -> dict:
    rows, cols = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    nq, nk = -(-shape[0] // rows), -(-shape[1] // cols)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    layout = torch.rand(nq, nk, generator=generator) < 0.4
    row_offsets = [0, *layout.sum(1).cumsum(0).tolist()]
    blocks = int(layout.sum())
    bitmaps = torch.rand(blocks, rows, cols, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    known = draw(st.booleans())
    return {
        "row_offsets": row_offsets,
        "columns": layout.nonzero()[:, 1].tolist(),
        "num_block_cols": nk,
        "block_size": (rows, cols),
        "seqlen_q": shape[0] if known else None,
        "seqlen_k": shape[1] if known else None,
        "bitmaps": draw(st.sampled_from([None, bitmaps])),
    }


def _big_birds(drawn: dict, with_table: dict, default_block: int):
    """Random blocks drawn by seed or, where the call has blocks, given as a table."""

    @st.composite
    def parameters(draw, shape, heads, batch) -> dict:
        block_size = draw(st.one_of(st.integers(1, 20), st.just(default_block)))
        nq, nk = -(-shape[0] // block_size), -(-shape[1] // block_size)
        if draw(st.booleans()) or not (nq and nk and heads):
            return {"block_size": block_size, **draw(st.fixed_dictionaries(drawn))}
        rows = draw(st.sampled_from([nq, nq - 2] if nq > 2 else [nq]))
        sizes = draw(st.sampled_from([1, heads])), rows, draw(st.integers(1, 3))
        table = mask_cases.random_table(*sizes, nk, seed=draw(st.integers(0, 1000)))
        return {"block_size": block_size, "random_blocks": table, **draw(st.fixed_dictionaries(with_table))}

    return parameters


_our_blocks = {"num_window_blocks": st.sampled_from([1, 3, 5]), "num_global_blocks": st.integers(0, 2)}
_their_blocks = {
    "num_sliding_window_blocks": st.integers(1, 5),
    "num_global_blocks": st.integers(0, 2),
    "attention": _ATTENTION,
}
_random_blocks = {"num_random_blocks": st.integers(0, 3), "seed": st.integers(0, 2**31 - 1)}


@st.composite
def _fixed_layouts(draw, shape, heads, batch) -> dict:
    num_global_blocks, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    attention = draw(_ATTENTION)
    return {
        "block_size": draw(st.integers(1, 9)),
        "num_local_blocks": num_global_blocks * groups,
        "num_global_blocks": num_global_blocks,
        "num_different_global_patterns": draw(st.integers(1, groups)),
        "attention": attention,
        "horizontal_global_attention": attention == "bidirectional" and draw(st.booleans()),
    }


@st.composite
def _global_blocks(draw) -> dict:
    """Ascending blocks, or intervals that do not overlap."""
    numbers = sorted(draw(st.sets(st.integers(0, 25), max_size=6)))
    if draw(st.booleans()):
        return {"global_block_indices": numbers}
    numbers = numbers[: len(numbers) // 2 * 2]
    return {"global_block_indices": numbers[::2], "global_block_end_indices": numbers[1::2]}


@st.composite
def _variable_layouts(draw, shape, heads, batch) -> dict:
    attention = draw(_ATTENTION)
    return {
        "block_size": draw(st.integers(1, 9)),
        "local_window_blocks": draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)),
        **draw(_global_blocks()),
        "attention": attention,
        "horizontal_global_attention": attention == "bidirectional" and draw(st.booleans()),
    }


@st.composite
def _longformer_layouts(draw, shape, heads, batch) -> dict:
    return {
        "block_size": draw(st.integers(1, 9)),
        "num_sliding_window_blocks": draw(st.integers(1, 6)),
        **draw(_global_blocks()),
        "attention": draw(_ATTENTION),
    }


@st.composite
def _fixed_patterns(draw, shape, heads, batch) -> dict:
    local = draw(st.integers(1, 30))
    return {"local": local, "summary": draw(st.integers(0, local))}


_bound = st.integers(-1, 40)
_PARAMETERS = {
    "Full": _free(),
    "Causal": _free(alignment=_ALIGNMENT),
    "Window": _free(left=_bound, right=_bound, alignment=_ALIGNMENT, num_sinks=st.integers(0, 9)),
    "PrefixLM": _free(prefix=st.integers(0, 40), alignment=_ALIGNMENT),
    "Longformer": _longformers,
    "BigBird": _big_birds(_our_blocks | _random_blocks, _our_blocks, 64),
    "Strided": _free(local=st.integers(1, 20), stride=st.integers(1, 30)),
    "Fixed": _fixed_patterns,
    "Documents": _documents,
    "Lengths": _lengths,
    "Neighborhood": _neighborhoods,
    "BlockList.from_tensor": _tensors_of_blocks,
    "BlockList.from_csr": _csr,
    "DeepSpeedFixed": _fixed_layouts,
    "DeepSpeedVariable": _variable_layouts,
    "DeepSpeedLongformer": _longformer_layouts,
    "DeepSpeedBigBird": _big_birds(_their_blocks | _random_blocks, _their_blocks, 16),
}
