"""The generator behind dropout, written plainly: Philox4x32-10 and which of its bits belong to which element.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

import torch
from torch import Tensor

WORD = 0xFFFFFFFF


def _product(multiplier: int, x):
    """High and low 32 bits of the product, in steps that fit 63 bits: for Python's ints and for int64 tensors."""
    upper, lower = multiplier >> 16, multiplier & 0xFFFF
    return ((x * upper) + (x * lower >> 16)) >> 16, (((x * upper & 0xFFFF) << 16) + x * lower) & WORD


def philox4x32(counter, key: tuple[int, int], rounds: int = 10):
    """Four words of 32 bits for a counter of four words and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        high0, low0 = _product(0xD2511F53, c0)
        high1, low1 = _product(0xCD9E8D57, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def place_of(j: int) -> tuple[int, int]:
    """The group of eight keys that column j belongs to, and its number there."""
    return 2 * (j // 16) + (j // 4) % 2, 4 * ((j // 8) % 2) + j % 4


def sixteen_bits(b: int, h: int, i: int, j: int, seed: int) -> int:
    """The bits of one element, in Python's ints."""
    group, number = place_of(j)
    word = philox4x32((group, i, h, b), (seed & WORD, seed >> 32))[number // 2]
    return word >> 16 if number % 2 else word & 0xFFFF


def threshold(dropout_p: float) -> int:
    """Out of 2^16: an element is kept if its bits are not below."""
    return round(dropout_p * 65536)


def keep_mask(batch: int, heads: int, seqlen_q: int, seqlen_k: int, dropout_p: float, seed: int) -> Tensor:
    """Which elements are kept, bool (batch, heads, seqlen_q, seqlen_k)."""
    groups, numbers = place_of(torch.arange(seqlen_k))
    counters = (torch.arange(n) for n in (batch, heads, seqlen_q, 2 * (seqlen_k // 16 + 1)))
    b, h, i, g = torch.meshgrid(*counters, indexing="ij")
    words = torch.stack(philox4x32((g, i, h, b), (seed & WORD, seed >> 32)))
    word = words[numbers // 2, :, :, :, groups].movedim(0, -1)
    return (word >> 16 * (numbers % 2) & 0xFFFF) >= threshold(dropout_p)
