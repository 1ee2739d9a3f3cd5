"""The error rule: a result may be about as far from the float64 reference as plain torch operations are.

    max  |actual - ref| <= 2   * max  |naive - ref| + 4 * eps * max |ref|
    mean |actual - ref| <= 1.1 * mean |naive - ref| +     eps * mean|ref|      (from 4,096 elements on)

NaN never passes, and an infinity passes only where the reference has the same one.
"""

import torch
from torch import Tensor

MEAN_RULE_FROM = 4096


def assert_close_by_rule(
    actual: Tensor, naive: Tensor, ref: Tensor, eps: float, *, slack: float = 0.0, what: str = "result"
) -> None:
    """Raise AssertionError unless ``actual`` obeys the rule.

    ``slack`` is an absolute allowance for results that rest on few numbers: there the naive computation may be
    exact by luck, or the exact result zero by cancellation, and the rule alone would ask for the same luck.
    """
    assert actual.shape == naive.shape == ref.shape, (
        f"{what}: shapes {tuple(actual.shape)}, naive {tuple(naive.shape)}, ref {tuple(ref.shape)}"
    )
    if ref.numel() == 0:
        return
    actual, naive, ref = (t.detach().double().flatten() for t in (actual, naive, ref))
    assert not ref.isnan().any(), f"{what}: the reference itself has NaN"
    assert not actual.isnan().any(), f"{what}: {int(actual.isnan().sum())} of {ref.numel()} elements are NaN"

    infinite = ref.isinf() | actual.isinf()
    assert torch.equal(actual[infinite], ref[infinite]), f"{what}: infinities where the reference has others"
    if infinite.any():
        actual, naive, ref = actual[~infinite], naive[~infinite], ref[~infinite]
    if ref.numel() == 0:
        return

    error, naive_error = (actual - ref).abs(), (naive - ref).abs()
    limit = 2 * naive_error.max() + 4 * eps * ref.abs().max() + slack
    at = int(error.argmax())
    # Written so that a NaN limit (a naive result with NaN) fails too.
    assert error.max() <= limit, (
        f"{what}: max error {float(error.max()):.3e} exceeds {float(limit):.3e} "
        f"(naive {float(naive_error.max()):.3e}); got {float(actual[at]):.8g}, reference {float(ref[at]):.8g}"
    )
    if ref.numel() < MEAN_RULE_FROM:
        return
    mean_limit = 1.1 * naive_error.mean() + eps * ref.abs().mean() + slack
    assert error.mean() <= mean_limit, (
        f"{what}: mean error {float(error.mean()):.3e} exceeds {float(mean_limit):.3e} "
        f"(naive {float(naive_error.mean()):.3e})"
    )
