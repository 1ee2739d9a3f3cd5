"""Write the gallery of masks, docs/gallery.md and its pictures, from the code: `make gallery`.

python docs/gallery.py            # the page and the pictures
python docs/gallery.py --check    # is the page what the code says now?
"""

import inspect
import re
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ck_fmha import masks
from ck_fmha.masks._definitions import DEFINITIONS

HERE = Path(__file__).parent
PAGE = HERE / "gallery.md"
PICTURES = HERE / "images" / "gallery"

# One line of use of every definition, with the length it is drawn at.
EXAMPLES: dict[str, tuple[str, int]] = {
    "Full": ("masks.Full()", 48),
    "Causal": ("masks.Causal()", 48),
    "Window": ("masks.Window(8, 0, num_sinks=3)", 48),
    "PrefixLM": ("masks.PrefixLM(12)", 48),
    "Strided": ("masks.Strided(local=8, stride=8)", 48),
    "Fixed": ("masks.Fixed(local=8, summary=2)", 48),
    "Longformer": ("masks.Longformer(12, global_tokens=[0, 20, 21], dilation=1)", 48),
    "BigBird": ("masks.BigBird(block_size=64)", 1536),
    "DeepSpeedFixed": ("masks.DeepSpeedFixed(attention='unidirectional')", 256),
    "DeepSpeedVariable": ("masks.DeepSpeedVariable(local_window_blocks=[2, 5, 3], global_block_indices=[0, 11])", 256),
    "DeepSpeedLongformer": ("masks.DeepSpeedLongformer(global_block_indices=[0, 9])", 256),
    "DeepSpeedBigBird": ("masks.DeepSpeedBigBird(num_random_blocks=2)", 256),
    "Documents": ("masks.Documents([0, 10, 17, 40], causal='top-left')", 48),
    "Lengths": ("masks.Lengths([30], [40])", 48),
    "Neighborhood": ("masks.Neighborhood((8, 12), window=5)", 96),
    "BlockList": (
        "masks.BlockList.from_csr([0, 1, 3, 4], [0, 0, 2, 1], num_block_cols=3, block_size=16)",
        48,
    ),
}

COMBINED: dict[str, tuple[str, str, int]] = {
    "Both, either, not": (
        "`a & b`, `a | b`, `~a`: element by element.",
        "(masks.BigBird(block_size=64) & masks.Causal()) | masks.Window(200, 0)",
        1536,
    ),
    "Transposed": ("`a.T`: rows and columns exchanged.", "masks.PrefixLM(12).T", 48),
    "Shifted": (
        "`a.shift(dq, dk)`: the mask of a sequence that begins dq rows and dk columns later; negative shifts cut off, "
        "so that `a.shift(-n, 0)` is the mask of the queries from n on.",
        "masks.Longformer(12, global_tokens=3).shift(6, 12)",
        48,
    ),
    "A mask for each head, or each sample": (
        "`per_head([a, b, ...])`, `per_sample([a, b, ...])`; drawn is head 1.",
        "masks.per_head([masks.Causal(), masks.Longformer(8, dilation=3)])",
        48,
    ),
}


def text_of(definition: type[masks.Mask]) -> tuple[str, str]:
    """The docstring's words before the arguments, and its source."""
    words = inspect.getdoc(definition) or ""
    body, _, source = words.partition("\nSource: ")
    return re.split(r"\n(?:Args:|Returns:)", body)[0].strip(), " ".join(source.split())


def entry(title: str, words: str, code: str, picture: str, source: str = "") -> str:
    lines = [f"## {title}", "", words, "", "```python", f"mask = {code}", "```", ""]
    lines += [f"![{title}](images/gallery/{picture})", ""]
    if source:
        lines += [f"Source: {source}", ""]
    return "\n".join(lines)


def page() -> str:
    head = (
        "# Gallery of masks\n\n"
        "Every definition of `ck_fmha.masks` with its formula, one line of use, its picture and its source. Rows are\n"
        "queries i, columns are keys j; blue is attended (in tile views: full tiles), orange are edge tiles, pale is\n"
        "skipped. Written by `make gallery` from the docstrings and the masks themselves;\n"
        '`python -m ck_fmha.masks show "BigBird(block_size=64)" --seqlen 4096 --out mask.png` draws your own.\n'
    )
    parts = [head]
    for name, (code, _) in EXAMPLES.items():
        words, source = text_of(DEFINITIONS[name])
        parts.append(entry(name, words, code, f"{name}.png", source))
    parts += [entry(title, words, code, file_of(title)) for title, (words, code, _) in COMBINED.items()]
    return "\n".join(parts)


def file_of(title: str) -> str:
    return re.sub(r"\W+", "_", title).lower() + ".png"


def draw(code: str, seqlen: int, path: Path) -> None:
    mask = masks.parse(code.replace("masks.", ""))
    figure = Figure(figsize=(4.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    head = 1 if "per_head" in code else 0
    mask.plot(seqlen, seqlen, ax=ax, head=head)
    tiles = mask.num_tiles(seqlen, seqlen) if seqlen > 256 else None
    share = f"{mask.density(seqlen, seqlen, head=head):.1%} of all elements"
    ax.set_title(f"{tiles.live} of {tiles.total} tiles, {share}" if tiles else share, fontsize=9)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})


def main() -> int:
    missing = DEFINITIONS.keys() ^ EXAMPLES.keys()
    if missing:
        print(f"docs/gallery.py: EXAMPLES and the definitions differ in {sorted(missing)}")
        return 1
    if sys.argv[1:] == ["--check"]:
        current = PAGE.read_text(encoding="utf-8") == page()
        print("docs/gallery.md is current" if current else "docs/gallery.md is out of date: run make gallery")
        return not current
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, (code, seqlen) in EXAMPLES.items():
        draw(code, seqlen, PICTURES / f"{name}.png")
    for title, (_, code, seqlen) in COMBINED.items():
        draw(code, seqlen, PICTURES / file_of(title))
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(HERE.parent)} and {len(EXAMPLES) + len(COMBINED)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
