"""What changes the scores of a call besides its mask: bias, ALiBi, softcap and dropout; checked."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ck_fmha._arguments import check_int

SEED_MAX = 2**63 - 1


class Extras(NamedTuple):
    """Everything of them but the bias, which is differentiable and travels beside q, k and v.

    `attended` is a bool tensor that broadcasts to (batch, num_heads, seqlen_q, seqlen_k), `alibi_slopes` float32
    (num_heads,) or (batch, num_heads), `dropout_seed` int64 with one element; each None if not wanted.
    """

    attended: torch.Tensor | None = None
    alibi_slopes: torch.Tensor | None = None
    dropout_seed: torch.Tensor | None = None
    softcap: float = 0.0
    dropout_p: float = 0.0


NO_EXTRAS = Extras()


def check_bias(bias: object, q: torch.Tensor, scores: tuple[int, int, int, int], name: str = "bias") -> torch.Tensor:
    """Return the bias if it can be added to scores of shape `scores`; raise what is wrong with it."""
    if not isinstance(bias, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or None, got {type(bias).__name__}")
    if bias.dtype != q.dtype and bias.dtype != torch.float32:
        raise ValueError(
            f"{name} must have dtype {q.dtype} (that of the query) or torch.float32, got {bias.dtype}: cast it, "
            f"e.g. {name}.to(torch.float32)"
        )
    check_broadcast(name, bias, scores, q.device)
    return bias


def broadcasts_to(t: torch.Tensor, shape: tuple[int, ...]) -> bool:
    """Does `t` broadcast to `shape` without enlarging it?"""
    return t.dim() <= len(shape) and all(n in (1, m) for n, m in zip(reversed(t.shape), reversed(shape), strict=False))


def check_broadcast(name: str, t: torch.Tensor, scores: tuple[int, int, int, int], device: torch.device) -> None:
    """Raise unless `t` is a dense tensor on `device` that broadcasts to the shape of the scores."""
    if t.layout != torch.strided or t.is_nested:
        raise NotImplementedError(f"{name} must be a dense tensor, got layout {t.layout}: convert it, e.g. .to_dense()")
    if t.device != device:
        raise ValueError(f"{name} must be on the device of the query, {device}, got {t.device}: move it there")
    if not broadcasts_to(t, scores):
        raise ValueError(
            f"{name} must broadcast to (batch, num_heads, seqlen_q, seqlen_k) = {tuple(scores)}, got shape "
            f"{tuple(t.shape)}"
        )


def check_alibi_slopes(slopes: object, batch: int, num_heads: int, device: torch.device) -> torch.Tensor:
    """Return the slopes; raise what is wrong with them."""
    if not isinstance(slopes, torch.Tensor):
        raise TypeError(f"alibi_slopes must be a torch.Tensor or None, got {type(slopes).__name__}")
    if slopes.layout != torch.strided or slopes.is_nested:
        raise NotImplementedError(f"alibi_slopes must be a dense tensor, got layout {slopes.layout}: use .to_dense()")
    if slopes.requires_grad:
        raise NotImplementedError(
            "alibi_slopes has requires_grad=True, but their gradient is not covered: pass alibi_slopes.detach(), or "
            "learn a bias"
        )
    if slopes.dtype != torch.float32:
        raise ValueError(f"alibi_slopes must have dtype torch.float32, got {slopes.dtype}: use alibi_slopes.float()")
    if slopes.device != device:
        raise ValueError(f"alibi_slopes must be on the device of the query, {device}, got {slopes.device}: move them")
    if tuple(slopes.shape) not in ((num_heads,), (batch, num_heads)):
        raise ValueError(
            f"alibi_slopes must have shape ({num_heads},) or ({batch}, {num_heads}): (num_heads,) or "
            f"(batch, num_heads), got {tuple(slopes.shape)}"
        )
    return slopes


def check_softcap(softcap: object) -> float:
    """Return softcap as a float >= 0."""
    if isinstance(softcap, bool) or not isinstance(softcap, (int, float)):
        raise TypeError(f"softcap must be a float, got {softcap!r} of type {type(softcap).__name__}")
    if not 0 <= softcap <= 3.4e38:  # NaN included
        raise ValueError(f"softcap must be finite and at least 0 (0 = off), got {softcap}")
    if 0 < softcap < 1e-30:
        raise ValueError(f"softcap must be 0 (off) or at least 1e-30, got {softcap}")
    return float(softcap)


def check_dropout_p(dropout_p: object) -> float:
    """Return dropout_p as a float in [0, 1]."""
    if isinstance(dropout_p, bool) or not isinstance(dropout_p, (int, float)):
        raise TypeError(f"dropout_p must be a float, got {dropout_p!r} of type {type(dropout_p).__name__}")
    if not 0.0 <= dropout_p <= 1.0:  # NaN included
        raise ValueError(f"dropout_p must be in [0, 1], got {dropout_p}")
    return float(dropout_p)


def seed_tensor(dropout_seed: object) -> torch.Tensor:
    """Return the seed as the operators take it; None draws one from torch's default generator."""
    if dropout_seed is None:
        return torch.randint(SEED_MAX, (), dtype=torch.int64)
    return torch.full((), check_int("dropout_seed", dropout_seed, 0, SEED_MAX), dtype=torch.int64)


def check_extras(
    scores: tuple[int, int, int, int],
    device: torch.device,
    *,
    attended: torch.Tensor | None = None,
    alibi_slopes: object = None,
    softcap: object = 0.0,
    dropout_p: object = 0.0,
    dropout_seed: object = None,
) -> Extras:
    """Return what a call asks for; `scores` = (batch, num_heads, seqlen_q, seqlen_k)."""
    plain = attended is None and alibi_slopes is None and dropout_seed is None
    if plain and type(softcap) is float and type(dropout_p) is float and softcap == 0.0 and dropout_p == 0.0:
        return NO_EXTRAS
    cap, p = check_softcap(softcap), check_dropout_p(dropout_p)
    slopes = None if alibi_slopes is None else check_alibi_slopes(alibi_slopes, scores[0], scores[1], device)
    seed = None
    if p > 0:
        seed = seed_tensor(dropout_seed)
    elif dropout_seed is not None:
        check_int("dropout_seed", dropout_seed, 0, SEED_MAX)
    return Extras(attended, slopes, seed, cap, p)
