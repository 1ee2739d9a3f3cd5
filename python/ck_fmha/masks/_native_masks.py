"""Native masks, found again by what they are made of."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import torch

from ck_fmha import _native
from ck_fmha.masks._snapshot import content_of

Key = tuple[str, tuple[int, ...], tuple[bytes, ...]]


class _RecentlyUsed:
    """The native masks used last: a bounded number of them, holding a bounded amount of data."""

    def __init__(self, max_masks: int, max_bytes: int) -> None:
        self._max_masks, self._max_bytes = max_masks, max_bytes
        self._masks: OrderedDict[Key, tuple[_native.Mask, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, key: Key, data: Sequence[torch.Tensor]) -> _native.Mask:
        with self._lock:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key][0]
        mask = _native.Mask(key[0], list(key[1]), [(t.data_ptr(), t.numel()) for t in data])
        size = sum(t.numel() * t.element_size() for t in data)
        with self._lock:
            if key not in self._masks:  # another thread may have been faster
                self._masks[key] = (mask, size)
                self._bytes += size
            while len(self._masks) > self._max_masks or (self._bytes > self._max_bytes and len(self._masks) > 1):
                self._bytes -= self._masks.popitem(last=False)[1][1]
        return mask


_recent = _RecentlyUsed(max_masks=256, max_bytes=256 * 2**20)


def native_mask(
    structure: str,
    params: tuple[int, ...],
    data: Sequence[torch.Tensor] = (),
    digests: tuple[bytes, ...] | None = None,
) -> _native.Mask:
    """Return the native mask of a structure, its numbers and its data (see `Mask.structure`).

    Args:
        structure: Which definitions, combined how.
        params: Their numbers.
        data: Their arrays: contiguous int32 tensors on the CPU. The native mask has its own copy.
        digests: Those of `data` if they are known; else they are computed, which reads all of `data`.
    """
    if digests is None:
        digests = tuple(digest_of(t) for t in data)
    return _recent.find((structure, params, digests), data)


def digest_of(t: torch.Tensor) -> bytes:
    """Return the digest of a contiguous CPU tensor's bytes, equal to `Snapshot.digest`."""
    return hashlib.blake2b(content_of(t), digest_size=16).digest()
