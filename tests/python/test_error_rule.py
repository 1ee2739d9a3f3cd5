"""The error rule must be able to fail."""

import math

import pytest
import torch

from error_rule import MEAN_RULE_FROM, assert_close_by_rule

EPS = torch.finfo(torch.float32).eps


def sample(numel: int):
    """A reference and a naive result that is off by about one rounding."""
    generator = torch.Generator().manual_seed(1)
    ref = torch.randn(numel, generator=generator, dtype=torch.float64)
    naive = ref * (1 + EPS * torch.randn(numel, generator=generator, dtype=torch.float64))
    return naive, ref


@pytest.mark.parametrize("numel", [0, 1, 100, MEAN_RULE_FROM])
def test_naive_and_exact_results_pass(numel):
    naive, ref = sample(numel)
    assert_close_by_rule(naive, naive, ref, EPS)
    assert_close_by_rule(ref, naive, ref, EPS)


@pytest.mark.parametrize("numel", [1, 100, MEAN_RULE_FROM])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e3])
def test_one_wrong_element_fails(numel, wrong):
    naive, ref = sample(numel)
    actual = naive.clone()
    actual[numel // 2] = wrong
    with pytest.raises(AssertionError):
        assert_close_by_rule(actual, naive, ref, EPS)


def test_nan_fails_even_where_the_naive_result_has_it():
    naive, ref = sample(100)
    naive[3] = math.nan
    with pytest.raises(AssertionError, match="NaN"):
        assert_close_by_rule(naive, naive, ref, EPS)
    with pytest.raises(AssertionError, match="max error"):
        assert_close_by_rule(ref, naive, ref, EPS)


def test_nan_in_the_reference_fails():
    naive, ref = sample(100)
    ref[3] = math.nan
    with pytest.raises(AssertionError, match="reference itself"):
        assert_close_by_rule(naive, naive, ref, EPS)


def test_max_error_just_above_the_limit_fails():
    naive, ref = sample(100)
    limit = 2 * (naive - ref).abs().max() + 4 * EPS * ref.abs().max()
    for factor, passes in [(0.99, True), (1.01, False)]:
        actual = ref.clone()
        actual[7] += factor * limit
        if passes:
            assert_close_by_rule(actual, naive, ref, EPS)
        else:
            with pytest.raises(AssertionError, match="max error"):
                assert_close_by_rule(actual, naive, ref, EPS)


def test_mean_error_above_the_limit_fails_from_4096_elements_on():
    for numel, passes in [(MEAN_RULE_FROM - 1, True), (MEAN_RULE_FROM, False)]:
        naive, ref = sample(numel)
        actual = ref + 3 * (naive - ref).abs().mean()  # below the limit of the maximum everywhere
        if passes:
            assert_close_by_rule(actual, naive, ref, EPS)
        else:
            with pytest.raises(AssertionError, match="mean error"):
                assert_close_by_rule(actual, naive, ref, EPS)


def test_slack_is_added_to_the_limit():
    naive, ref = sample(100)
    actual = ref.clone()
    actual[0] += 0.1
    assert_close_by_rule(actual, naive, ref, EPS, slack=0.1)
    for slack in (0.0, 0.09):
        with pytest.raises(AssertionError, match="max error"):
            assert_close_by_rule(actual, naive, ref, EPS, slack=slack)


def test_infinities_pass_only_in_their_places():
    ref = torch.tensor([-math.inf, 1.0, -math.inf])
    assert_close_by_rule(ref, ref, ref, EPS)
    for actual in ([-math.inf, 1.0, math.inf], [-math.inf, 1.0, 0.0], [-math.inf, -math.inf, -math.inf]):
        with pytest.raises(AssertionError, match="infinities"):
            assert_close_by_rule(torch.tensor(actual), ref, ref, EPS)
    none = torch.full((3,), -math.inf)
    assert_close_by_rule(none, none, none, EPS)


def test_another_shape_fails():
    with pytest.raises(AssertionError, match="shapes"):
        assert_close_by_rule(torch.zeros(3, 1), torch.zeros(3), torch.zeros(3), EPS)
