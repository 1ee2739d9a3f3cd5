"""The instances that an installation compiles for an architecture of CK_FMHA_GPU_ARCHS."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ck_fmha._compiler_base import vendor_of
from ck_fmha._instance import Instance

# As plans name them: those of ck_fmha.masks, and what is most often combined. A test compares them with plans.
STRUCTURES = (
    "full",
    "diagonal",
    "prefix_lm",
    "longformer",
    "longformer_tokens",
    "big_bird",
    "big_bird_table",
    "strided",
    "fixed",
    "documents",
    "lengths",
    "neighborhood",
    "block_list",
    "and_<longformer, diagonal>",
    "and_<big_bird, diagonal>",
    "and_<strided, diagonal>",
    "and_<documents, diagonal>",
    "and_<lengths, diagonal>",
    "and_<big_bird, lengths>",
    "and_<longformer, lengths>",
)
DTYPES = ("fp16", "bf16")
HEAD_DIMS = (64, 128)
KERNELS = ("fwd", "bwd", "bwd_deterministic", "bwd_dq")


def default_instances(arch: str) -> Iterator[Instance]:
    """Yield them for one architecture."""
    for structure, dtype, head_dim, kernels in product(STRUCTURES, DTYPES, HEAD_DIMS, KERNELS):
        for num_waves in _waves_of_plans(arch, kernels):
            yield Instance(structure, dtype, head_dim, num_waves, arch, kernels)


def _waves_of_plans(arch: str, kernels: str) -> tuple[int, ...]:
    """Return how many waves a work-group may have: on NVIDIA half as many where that visits fewer elements."""
    if vendor_of(arch) == "amd":
        return (4,)
    return (8, 4) if kernels in ("bwd", "bwd_deterministic") else (4, 2)
