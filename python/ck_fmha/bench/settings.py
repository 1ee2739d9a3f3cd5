"""What a run measures: sections, masks and sizes; the presets of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from ck_fmha._arguments import check_int
from ck_fmha.bench.cases import DTYPES, MASKS
from ck_fmha.bench.peers import PEERS

SECTIONS = {
    "rates": "rates beside torch's matmul, and times beside the peers",
    "tiles": "time per live tile, of a long sequence beside a short one",
    "edges": "time of edge tiles beside full ones",
    "threads": "what more threads bring, beside what they bring to matmul",
    "short": "seqlen 256 beside SDPA",
    "memory": "peak extra memory of a call, by seqlen",
    "overhead": "an eager call beside the native call it makes",
}
PRESETS = ("quick", "default", "full")
DEVICES = ("cpu", "cuda")

_SPARSE = ("longformer", "big_bird", "big_bird_causal", "window")
_ALL = tuple(MASKS)
_ALL_DTYPES = tuple(DTYPES)
_ALL_PEERS = tuple(PEERS)
_SDPA = ("sdpa", "sdpa_bool", "sdpa_causal")


def check_names(name: str, values: Iterable[str], known: Iterable[str], *, empty: bool = False) -> None:
    """Raise ValueError unless every one of `values` is known, none twice, and there is one (or none is allowed)."""
    values, known = tuple(values), tuple(known)
    for value in values:
        if value not in known:
            raise ValueError(f"{name}: {value!r} is not known; choose from {', '.join(known)}")
    if len(set(values)) != len(values):
        raise ValueError(f"{name} must not repeat one, got {', '.join(values)}")
    if not values and not empty:
        raise ValueError(f"{name} must not be empty; choose from {', '.join(known)}")


@dataclass(frozen=True)
class Group:
    """Calls that are timed together, in the same rounds: all masks, dtypes and peers of one size."""

    seqlen: int
    head_dim: int
    masks: tuple[str, ...]
    dtypes: tuple[str, ...]
    peers: tuple[str, ...]
    peer_dtypes: tuple[str, ...] = ("float32",)

    def __post_init__(self) -> None:
        check_int("seqlen", self.seqlen, 1)
        check_int("head_dim", self.head_dim, 1, 256)
        check_names("masks", self.masks, MASKS)
        check_names("dtypes", self.dtypes, DTYPES)
        check_names("peers", self.peers, PEERS, empty=True)
        check_names("peer_dtypes", self.peer_dtypes, DTYPES, empty=True)


@dataclass(frozen=True)
class Settings:
    """What a run measures.

    Attributes:
        groups: Those of the section "rates".
        sections: Which sections, in this order.
        short: That of the section "short".
        ratio_masks: Masks of the sections "tiles" and "threads".
        tile_seqlens: (short, long) of the section "tiles".
        section_seqlen: That of the sections "edges" and "threads".
        memory_masks: Masks of the section "memory".
        memory_seqlens: Those of the section "memory", ascending, at least two.
        heads: Number of heads of q, k and v.
        batch: Number of samples.
        threads: Number of torch's threads.
        seconds: About how long the rounds of one group of calls may take; never fewer than three rounds.
        max_rounds: At most so many rounds.
        peer_memory: Bytes; a peer that needs more of them for its mask is left out.
        device: "cpu".
    """

    groups: tuple[Group, ...]
    sections: tuple[str, ...] = tuple(SECTIONS)
    short: Group = Group(256, 64, ("full", "causal", "window", "longformer"), ("float32",), _SDPA)
    ratio_masks: tuple[str, ...] = ("longformer", "big_bird", "window", "causal")
    tile_seqlens: tuple[int, int] = (2048, 32768)
    section_seqlen: int = 4096
    memory_masks: tuple[str, ...] = ("longformer",)
    memory_seqlens: tuple[int, ...] = (4096, 16384)
    heads: int = 4
    batch: int = 1
    threads: int = 1
    seconds: float = 10.0
    max_rounds: int = 15
    peer_memory: int = 2 << 30
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_names("sections", self.sections, SECTIONS)
        check_names("ratio_masks", self.ratio_masks, MASKS)
        check_names("memory_masks", self.memory_masks, MASKS)
        for name, low, high in (("heads", 1, 1024), ("batch", 1, 1024), ("threads", 1, 1024), ("max_rounds", 1, 10000)):
            check_int(name, getattr(self, name), low, high)
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds must be above 0 and finite, got {self.seconds}")
        check_int("peer_memory", self.peer_memory, 0, 1 << 50)
        check_int("section_seqlen", self.section_seqlen, 1)
        for name, seqlens in (("tile_seqlens", self.tile_seqlens), ("memory_seqlens", self.memory_seqlens)):
            for seqlen in seqlens:
                check_int(name, seqlen, 1)
            if len(seqlens) < 2 or sorted(set(seqlens)) != list(seqlens):
                raise ValueError(f"{name} must be two or more ascending lengths, got {seqlens}")
        if len(self.tile_seqlens) != 2:
            raise ValueError(f"tile_seqlens must be a short and a long length, got {self.tile_seqlens}")
        if self.device != "cpu":
            raise ValueError(f'device must be "cpu" here, got {self.device!r}: bench.cuda measures GPUs')


def preset(name: str = "default") -> Settings:
    """Return the settings of ``"quick"`` (under a minute on two cores), ``"default"`` (about 5) or ``"full"`` (hours).

    Threads are those torch has.
    """
    check_names("preset", (name,), PRESETS)
    threads = torch.get_num_threads()
    if name == "quick":
        masks = ("longformer", "big_bird", "causal")
        return Settings(
            groups=(Group(4096, 64, masks, ("float32",), ("sdpa", "sdpa_causal", "sdpa_bool")),),
            ratio_masks=("longformer", "big_bird"),
            threads=threads,
            seconds=1.5,
        )
    if name == "default":
        return Settings(
            groups=(
                Group(4096, 64, _ALL, _ALL_DTYPES, _ALL_PEERS),
                Group(4096, 128, _ALL, ("float32",), ("sdpa", "sdpa_bool", "sdpa_causal")),
                Group(16384, 64, (*_SPARSE, "causal"), ("float32",), ()),
            ),
            memory_seqlens=(4096, 16384, 65536),
            threads=threads,
            seconds=8.0,
        )
    groups = product((256, 2048, 4096, 16384, 32768), (64, 128), _ALL, _ALL_DTYPES, _ALL_PEERS)
    return replace(
        preset("default"),
        groups=groups,
        short=Group(256, 64, ("full", "causal", "window", "longformer"), _ALL_DTYPES, _SDPA, _ALL_DTYPES),
        memory_masks=("longformer", "big_bird", "causal"),
        memory_seqlens=(4096, 8192, 16384, 32768, 65536),
        seconds=30.0,
    )


def product(
    seqlens: Iterable[int],
    head_dims: Iterable[int],
    masks: tuple[str, ...],
    dtypes: tuple[str, ...],
    peers: tuple[str, ...],
    peer_dtypes: tuple[str, ...] = ("float32",),
) -> tuple[Group, ...]:
    """Return one group for each pair of a sequence length and a head_dim."""
    head_dims = tuple(head_dims)
    return tuple(Group(n, d, masks, dtypes, peers, peer_dtypes) for n in seqlens for d in head_dims)
