"""What a code object is compiled for, and from. Needs neither torch nor the native module, as installing has none."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

from ck_fmha._compiler_base import vendor_of

# Of the kernels of a code object: the header that they are compiled from, and what it is told besides the instance.
_SOURCES = {
    "fwd": ("kernel/fwd_entry.hpp", ""),
    "bwd": ("kernel/bwd_entry.hpp", "#define CK_FMHA_ADDS_DQ 1\n"),
    "bwd_deterministic": ("kernel/bwd_entry.hpp", "#define CK_FMHA_ADDS_DQ 0\n"),
    "bwd_dq": ("kernel/bwd_dq_entry.hpp", ""),
    "ck_tile_fwd": ("ck_tile/fwd_entry.hpp", "#define CK_FMHA_PADS 0\n"),
    "ck_tile_fwd_padded": ("ck_tile/fwd_entry.hpp", "#define CK_FMHA_PADS 1\n"),
    "ck_tile_bwd": ("ck_tile/bwd_entry.hpp", "#define CK_FMHA_PADS 0\n"),
    "ck_tile_bwd_padded": ("ck_tile/bwd_entry.hpp", "#define CK_FMHA_PADS 1\n"),
}

# What an instance computes besides products and mask, and its name in the kernels.
EXTRAS = {
    "softcap": "kSoftcap",
    "bias": "kBias",
    "bias_fp32": "kBias | kBiasFloat32",
    "alibi": "kAlibi",
    "attended": "kAttended",
    "dropout": "kDropout",
    "dbias": "kBiasGradient",
    "dbias_sum": "kBiasGradientSum",
    "dbias_keys": "kBiasGradientOfKeys",
}

_DTYPES = {"amd": {"fp16": "_Float16", "bf16": "__bf16"}, "nvidia": {"fp16": "f16", "bf16": "bf16"}}


class Instance(NamedTuple):
    """What a code object is compiled for."""

    structure: str  # of the mask, as a C++ type of namespace ck_fmha::gpu::structure
    dtype: str  # "fp16" or "bf16"
    head_dim: int  # 32, 64, 128 or 256
    num_waves: int  # of a work-group
    arch: str
    kernels: str = "fwd"  # a key of _SOURCES
    extras: str = ""  # words of EXTRAS

    @property
    def source(self) -> str:
        """The file that is compiled."""
        dtype = _DTYPES[vendor_of(self.arch)][self.dtype]
        entry, defines = _SOURCES[self.kernels]
        return (
            f"#define CK_FMHA_MASK {self.structure}\n"
            f"#define CK_FMHA_DTYPE {dtype}\n"
            f"#define CK_FMHA_HEAD_DIM {self.head_dim}\n"
            f"#define CK_FMHA_WAVES {self.num_waves}\n"
            f"#define CK_FMHA_EXTRAS {' | '.join(EXTRAS[word] for word in self.extras.split()) or 0}\n"
            f"{defines}"
            f'#include "gpu/{entry}"\n'
        )

    @property
    def from_ck_tile(self) -> bool:
        """Are the kernels those of ROCm's CK Tile?"""
        return self.kernels.startswith("ck_tile")

    def __str__(self) -> str:
        more = f" {self.extras}" if self.extras else ""
        what = f"{self.structure} {self.dtype} head_dim {self.head_dim} {self.num_waves} waves{more} {self.arch}"
        return f"{self.kernels} {what}"


def plain_arch(name: str) -> str:
    """Return a processor's name without the features that ROCm reports with it: gfx942 of gfx942:sramecc+:xnack-.

    Code that asks for no setting of a feature runs with every one.
    """
    return name.partition(":")[0]


@functools.cache
def headers_digest(include: Path) -> str:
    """Of all headers that kernels may be made of, below the folder `include`."""
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(include.rglob("*.hpp"))
    if not files:
        raise RuntimeError(f"ck_fmha: the kernels' headers are missing from {include}: install the package again")
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(include)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
