"""Draw the pictures of the documents: `make pictures`."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ck_fmha import masks

SEQLEN = 2048
SHOWN = {
    "Window(512, 0, num_sinks=64)": masks.Window(512, 0, num_sinks=64),
    "Longformer(256, global_tokens=64)": masks.Longformer(256, global_tokens=64),
    "BigBird(block_size=64)": masks.BigBird(block_size=64),
    "BigBird(block_size=64) & Causal()": masks.BigBird(block_size=64) & masks.Causal(),
}


def main() -> None:
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (title, mask) in zip(figure.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
        mask.plot(SEQLEN, SEQLEN, ax=ax)
        tiles = mask.num_tiles(SEQLEN, SEQLEN)
        ax.set_title(f"{title}\n{tiles.live} of {tiles.total} tiles computed", fontsize=9)
        ax.set_xlabel("key")
        ax.set_ylabel("query")
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    figure.savefig(Path(__file__).parent / "images" / "masks.png", dpi=100)


if __name__ == "__main__":
    main()
