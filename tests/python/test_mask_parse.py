"""masks.parse: reads what repr writes, and executes nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ck_fmha import masks
from mask_cases import ALL, build, name_of
from random_masks import expressions, wheres
from test_mask_objects import COMPOSED, is_short

WRITTEN = {
    "Full()": masks.Full(),
    "  Causal ( )  ": masks.Causal(),
    "Causal('bottom-right')": masks.Causal("bottom-right"),
    'Causal(alignment="bottom-right")': masks.Causal("bottom-right"),
    "Window(3, 0)": masks.Window(3, 0),
    "Window(left=-1, right=2, num_sinks=4)": masks.Window(-1, 2, num_sinks=4),
    "BigBird(block_size=64) & Causal()": masks.BigBird(block_size=64) & masks.Causal(),
    "~Causal() | Window(1, 1) & Full()": ~masks.Causal() | masks.Window(1, 1) & masks.Full(),
    "(~Causal() | Window(1, 1)) & Full()": (~masks.Causal() | masks.Window(1, 1)) & masks.Full(),
    "Causal().T": masks.Causal().T,
    "(Causal() & Full()).T.shift(3, -2)": (masks.Causal() & masks.Full()).T.shift(3, -2),
    "Fixed(8).shift(dq=1, dk=2)": masks.Fixed(8).shift(1, 2),
    "per_head([Causal(), Window(2, 2)])": masks.per_head([masks.Causal(), masks.Window(2, 2)]),
    "per_sample([per_head([Full(), Causal()]), Full()])": masks.per_sample(
        [masks.per_head([masks.Full(), masks.Causal()]), masks.Full()]
    ),
    "Longformer(4, global_tokens=[1, 5], dilation=(1, 2), causal=True)": masks.Longformer(4, [1, 5], (1, 2), True),
    "Documents([0, 4, 9], None, causal='top-left')": masks.Documents([0, 4, 9], causal="top-left"),
    "Lengths(lengths_k=(3, 4), padding='left')": masks.Lengths(lengths_k=[3, 4], padding="left"),
    "Neighborhood((4, 6), window=(3, 5), causal=(True, False))": masks.Neighborhood(
        (4, 6), (3, 5), causal=(True, False)
    ),
    "BlockList.from_csr([0, 1, 2], [0, 1], 2, 16)": masks.BlockList.from_csr([0, 1, 2], [0, 1], 2, 16),
    "BigBird(4, random_blocks=[[[0], [2], [1]]])": masks.BigBird(4, random_blocks=[[[0], [2], [1]]]),
    "DeepSpeedVariable(16, [1, 2], [0, 4])": masks.DeepSpeedVariable(16, [1, 2], [0, 4]),
    "BigBird(seed=-9223372036854775808)": masks.BigBird(seed=-(2**63)),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_expressions_as_people_write_them(text):
    mask = masks.parse(text)
    assert mask == WRITTEN[text] and repr(mask) == repr(WRITTEN[text])


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_what_repr_writes(raises, case):
    mask = build(case)
    if is_short(mask):
        parsed = masks.parse(repr(mask))
        assert parsed == mask and type(parsed) is type(mask)
    else:
        raises(ValueError, lambda: masks.parse(repr(mask)), "digest", "pickle|again")


@pytest.mark.parametrize("make", COMPOSED)
def test_what_repr_writes_of_compositions(make):
    if is_short(make()):
        assert masks.parse(repr(make())) == make()


@given(data=st.data(), where=wheres())
def test_what_repr_writes_of_any_expression(data, where):
    mask = data.draw(expressions(where[:2])).mask
    if is_short(mask):
        assert masks.parse(repr(mask)) == mask
    else:
        with pytest.raises(ValueError):
            masks.parse(repr(mask))


ATTACKS = [
    "__import__('os')",
    "__import__('os').system('touch {marker}')",
    "open('{marker}', 'w')",
    "eval('Full()')",
    "exec('Full()')",
    "Full().__class__",
    "Full().__class__.__mro__[1].__subclasses__()",
    "Full.__init__.__globals__",
    "Full().materialize(100000, 100000)",
    "Full().plot(5, 5, path='{marker}')",
    "Full().native",
    "Full().T()",
    "Full().shift",
    "Full().__and__(Causal())",
    "masks.Full()",
    "parse('Full()')",
    "Mask()",
    "TileCounts(1, 1, 1, 1)",
    "BlockList",
    "BlockList()",
    "BlockList.__new__(BlockList)",
    "BlockList.from_tensor(open('{marker}', 'w'))",
    "torch.ones(3)",
    "lambda: Full()",
    "(lambda: Full())()",
    "[Full() for _ in (1, 2)][0]",
    "per_head([Full() for _ in (1, 2)])",
    "per_head(Full() for _ in (1, 2))",
    "[Full(), Causal()][0]",
    "{{'a': Full()}}['a']",
    "f'{{Full()}}'",
    'Causal(f\'top-{{open("{marker}", "w")}}left\')',
    "Causal('top-' + 'left')",
    "Causal('top-left' * 1)",
    "Window(1 + 1, 0)",
    "Window(2 ** 10, 0)",
    "Window(9 ** 9 ** 9, 0)",
    "Window(1 << 999999999, 0)",
    "Window(*[1, 2])",
    "Window(**{{'left': 1, 'right': 1}})",
    "Window(left := 1, 0)",
    "Window(1 if True else 2, 0)",
    "Window(True and 1, 0)",
    "Window(1 < 2, 0)",
    "Window(not 1, 0)",
    "Full() if True else Causal()",
    "Full() and Causal()",
    "not Full()",
    "Full() < Causal()",
    "Full() + Causal()",
    "Full() ^ Causal()",
    "Full() - Causal()",
    "-Full()",
    "~3",
    "Full() & 3",
    "Full() | 'a'",
    "await Full()",
    "(yield)",
    "Full(); Full()",
    "import os",
    "x = Full()",
    "Full()\nFull()",
    "Full",
    "Full() Full()",
    "3",
    "'Full()'",
    "[Full()]",
    "None",
    "...",
    "Window(..., 0)",
    "Window(1.5, 0)",
    "Window(1j, 0)",
    "Window(b'1', 0)",
    "Causal(b'top-left')",
    "Window('1', 0)",
    "Window(1)",
    "Window(1, 2, 3, 4, 5, 6)",
    "Window(1, 2, left=1)",
    "Window(1, 2, colour=1)",
    "Window(1, -2)",
    "BigBird(num_window_blocks=2)",
    "Longformer(3)",
    "per_head([])",
    "per_head(3)",
    "per_head([3])",
    "per_sample(Full())",
    "Documents([0, 5, 3])",
    "Documents([0, [5]])",
    "Documents([0, Full()])",
    "Documents({{0: 1}})",
    "BigBird(random_blocks=Full())",
    "Full(Full())",
    "Full)",
    "(Full()",
    "Full(\x00)",
    "",
    "   ",
    "#",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_anything_else_is_refused(text, tmp_path):
    marker = tmp_path / "executed"
    with pytest.raises(ValueError) as caught:
        masks.parse(text.format(marker=marker))
    assert not marker.exists()
    message = str(caught.value)
    assert message and len(message) < 600 and "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10_000,
        "Window(" + "9" * 5_000 + ", 0)",
        f"Window({2**31}, 0)",
        "Window(1" + "0" * 400 + ", 0)",
        f"BigBird(seed={2**64})",
        "Documents([0, 99999999999999999999])",
    ],
    ids=["a number", "5000 digits", "2**31", "10**400", "seed", "offset"],
)
def test_numbers_too_large(text):
    with pytest.raises(ValueError) as caught:
        masks.parse(text)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "~" * 100_000 + "Full()",
        "~" * 60_000 + "Full()",
        "(" * 30_000 + "Full()" + ")" * 30_000,
        "Full()" + ".T" * 30_000,
        "Full()" + ".shift(0, 1)" * 5_000,
        "&".join(["Full()"] * 9_000),
        "per_head([" * 5_000 + "Full()" + "])" * 5_000,
        "Documents(" + "[" * 90 + "]" * 90 + ")",
        "Documents([0" + ", 1" * 3_000_000 + "])",
        "Causal('" + "x" * 5_000_000 + "')",
        "[" * 150 + "]" * 150,
        "~" * 150 + "Full() & " + "~" * 250 + "Full()",
        " " * 5_000_000,
    ],
    ids=[
        "long not",
        "not",
        "parentheses",
        "transpose",
        "shift",
        "and",
        "choice",
        "nested list",
        "list",
        "string",
        "brackets",
        "deep",
        "blanks",
    ],
)
def test_huge_and_deep_strings_end_in_an_error_not_in_a_crash(text):
    start = time.perf_counter()
    with pytest.raises(ValueError) as caught:
        masks.parse(text)
    assert time.perf_counter() - start < 5
    assert len(str(caught.value)) < 1000


def test_what_is_not_covered_yet_says_so(raises):
    raises(NotImplementedError, lambda: masks.parse("BigBird(multiplicity=True)"), "multiplicity")


def test_depth_up_to_the_limit_of_masks_is_read():
    mask = masks.Full()
    for _ in range(60):
        mask = ~(mask.T & masks.Causal())
    assert masks.parse(repr(mask)) == mask


@pytest.mark.parametrize("text", [None, 3, b"Full()", masks.Full(), ["Full()"]])
def test_other_types(raises, text):
    raises(TypeError, lambda: masks.parse(text), "str", type(text).__name__)


@pytest.mark.parametrize(
    "text, patterns",
    [
        ("BigBrid()", ("BigBrid", "BigBird")),
        ("Full() + Causal()", (r"\+|Add", "&", r"\|")),
        ("Full().materialise(3, 3)", ("materialise", "position")),
        ("BigBird(block_size=0)", ("block_size", "0")),
        ("Window(left=1, rigth=2)", ("rigth|right",)),
        ("Causal(", ("never closed", "position")),
    ],
)
def test_messages_help(raises, text, patterns):
    raises(ValueError, lambda: masks.parse(text), *patterns)


def test_fuzzed_strings_raise_nothing_but_value_errors():
    @given(st.text(alphabet="FulCasT()[]{}&|~.,='\"0123456789- \n_:*xyzs", max_size=60))
    def check(text):
        try:
            assert isinstance(masks.parse(text), masks.Mask)
        except ValueError:
            pass

    check()
