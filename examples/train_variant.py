"""One variant of the demo, in a process of its own so that its peak memory is its own: see train_bytes.py."""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

import byte_text
import ck_fmha
from byte_model import Attention, ByteModel
from ck_fmha import masks

NAMES = {"ck_fmha": "ck_fmha.attention", "dense": "SDPA, dense mask"}


@dataclass(frozen=True)
class Settings:
    """Equal for both variants."""

    steps: int
    seqlen: int
    num_layers: int = 2
    num_heads: int = 4
    d_model: int = 256
    dense_mask: str = "bool"  # or "float"
    learning_rate: float = 2e-3
    warmup_steps: int = 4
    seed: int = 0

    def mask(self) -> masks.Mask:
        """Big Bird over blocks of 64, cut to the past: a next-byte model must not see what it predicts."""
        return masks.BigBird(block_size=64, seed=self.seed) & masks.Causal()


@dataclass(frozen=True)
class Result:
    losses: list[float]
    seconds_per_step: float  # median, without the first step, which warms up
    peak_bytes: int  # growth of the process's peak over the state before the mask exists
    mask_bytes: int
    initial_weights: str  # digest: equal in both variants, or the comparison means nothing
    data: str
    leaks: list[int]  # positions whose change reached an earlier logit
    deaf: list[int]  # positions whose change reached nothing: the check itself would be blind there
    num_threads: int


def make_attention(variant: str, settings: Settings) -> tuple[Attention, int]:
    """The attention of a variant, and the bytes that its mask occupies."""
    mask = settings.mask()
    if variant == "ck_fmha":
        return lambda q, k, v: ck_fmha.attention(q, k, v, mask), 0

    shape = (settings.seqlen, settings.seqlen)
    # Four dimensions: with three, torch leaves its fused CPU kernel for one that is twice as slow.
    dense = torch.empty(1, settings.num_heads, *shape, dtype=torch.bool)
    for head in range(settings.num_heads):
        dense[0, head] = mask.materialize(*shape, head=head)
    if settings.dense_mask == "float":
        dense = torch.zeros(dense.shape).masked_fill_(~dense, float("-inf"))
    sdpa = torch.nn.functional.scaled_dot_product_attention
    return lambda q, k, v: sdpa(q, k, v, attn_mask=dense), dense.nbytes


def check_future(model: ByteModel, text: Tensor, attention: Attention) -> tuple[list[int], list[int]]:
    """Change one byte at a time: no earlier logit may move by a bit, the logit at the byte itself must."""
    tokens = text[:, :-1]
    seqlen = tokens.shape[1]
    leaks, deaf = [], []
    with torch.no_grad():
        before = model(tokens, attention)
        for position in (1, seqlen // 2 - 1, seqlen // 2, seqlen - 1):
            changed = tokens.clone()
            changed[:, position] = (changed[:, position] + 1) % 256
            after = model(changed, attention)
            if not torch.equal(before[:, :position], after[:, :position]):
                leaks.append(position)
            if torch.equal(before[:, position], after[:, position]):
                deaf.append(position)
    return leaks, deaf


def peak_memory() -> int:
    """Peak resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def digest(*tensors: Tensor) -> str:
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def train(variant: str, settings: Settings) -> Result:
    torch.manual_seed(settings.seed)
    data = byte_text.batches(byte_text.load(), seqlen=settings.seqlen, count=settings.steps, seed=settings.seed)
    model = ByteModel(d_model=settings.d_model, num_heads=settings.num_heads, num_layers=settings.num_layers)
    weights = digest(*model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95))
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / settings.warmup_steps, 1.0, settings.warmup_steps - 1)

    floor = peak_memory()
    attention, mask_bytes = make_attention(variant, settings)
    losses, seconds = [], []
    with tqdm(data, desc=f"{NAMES[variant]:<22}", unit="step", mininterval=1) as progress:
        for text in progress:
            start = time.perf_counter()
            loss = model.loss(text, attention)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warmup.step()
            seconds.append(time.perf_counter() - start)
            losses.append(loss.item())
            progress.set_postfix(loss=f"{losses[-1]:.4f}")
    peak = peak_memory() - floor

    leaks, deaf = check_future(model, data[0], attention)
    return Result(
        losses=losses,
        seconds_per_step=statistics.median(seconds[1:] or seconds),
        peak_bytes=peak,
        mask_bytes=mask_bytes,
        initial_weights=weights,
        data=digest(data),
        leaks=leaks,
        deaf=deaf,
        num_threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    chosen, given, destination = sys.argv[1:]
    Path(destination).write_text(json.dumps(asdict(train(chosen, Settings(**json.loads(given))))))
