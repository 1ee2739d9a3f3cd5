"""Where the headers of ROCm's CK Tile are, and what of them there is."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ck_fmha import _native

INCLUDE_VARIABLE = "CK_FMHA_CK_TILE_INCLUDE"

_FORWARD = "ck_tile/ops/fmha/kernel/fmha_fwd_kernel.hpp"
_BACKWARD = "ck_tile/ops/fmha/kernel/fmha_bwd_kernel.hpp"
_NEWER = "ck_tile/ops/fmha/block/variants.hpp"  # after ROCm 6.4


class CkTileHeaders(NamedTuple):
    """The folder that holds ck_tile/."""

    include: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """What the compiler needs to compile from them."""
        return ("-isystem", str(self.include), "-DCK_TILE_FMHA_FWD_FAST_EXP2=1")

    def digest(self) -> str:
        """Of all headers, so that code compiled from others is not taken for theirs."""
        return _digest(self.include)


def _candidates() -> Iterator[tuple[str, str]]:
    asked = os.environ.get(INCLUDE_VARIABLE)
    if asked:
        yield asked, f"the environment variable {INCLUDE_VARIABLE}"
        return  # what is asked for is not replaced in silence
    if _native.CK_TILE_INCLUDE:
        yield _native.CK_TILE_INCLUDE, "the build with CK_FMHA_WITH_CK_TILE"
    for name in ("ROCM_PATH", "ROCM_HOME", "HIP_PATH"):
        if os.environ.get(name):
            yield f"{os.environ[name]}/include", f"the environment variable {name}"
    yield "/opt/rocm/include", "where ROCm usually is"


def find_headers(backward: bool) -> CkTileHeaders:
    """Return the first folder that has the headers of the forward, and of the backward if that is wanted.

    Raises:
        NotImplementedError: There is none; the message says what is missing where, and the way out.
    """
    reasons = []
    for folder, source in _candidates():
        include = Path(folder)
        wanted = [_FORWARD, _BACKWARD] if backward else [_FORWARD]
        missing = next((name for name in wanted if not (include / name).is_file()), None)
        if missing is None and not (include / _NEWER).is_file():
            return CkTileHeaders(include)
        reason = f"{missing} is missing" if missing else f"{_NEWER} is there: newer than ROCm 6.4's"
        if missing == _BACKWARD:
            reason += " (the CK Tile of ROCm 6.2 has no backward)"
        reasons.append(f"{folder} ({source}): {reason}")
    raise NotImplementedError(
        'backend="ck_tile" compiles kernels from the headers of ROCm\'s CK Tile, written for ROCm 6.2 to 6.4 (the '
        "backward: 6.3 and 6.4), and did not find them:\n  " + "\n  ".join(reasons) + "\nInstall ROCm's package "
        f"composablekernel-dev, or name the folder that holds ck_tile/ by the environment variable {INCLUDE_VARIABLE}. "
        'Or use backend="hip", whose kernels come with ck_fmha.'
    )


@functools.cache
def _digest(include: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted((include / "ck_tile").rglob("*.hpp")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(include)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
