"""Real text that comes with every Python: the language reference behind `help()`, as bytes."""

from __future__ import annotations

import pydoc_data.topics

import torch
from torch import Tensor


def load() -> Tensor:
    """About 450,000 bytes of English and Python; their exact text depends on the version of Python."""
    topics = pydoc_data.topics.topics
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return torch.frombuffer(bytearray(text.encode("utf-8")), dtype=torch.uint8).long()


def batches(text: Tensor, *, seqlen: int, count: int, seed: int) -> Tensor:
    """`count` batches of one window each, (count, 1, seqlen + 1), at places drawn from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - seqlen, (count,), generator=generator)
    return torch.stack([text[start : start + seqlen + 1] for start in starts.tolist()]).unsqueeze(1)
