"""Dropout with few random numbers drops as often as it should, independently, and keeps the mean."""

import pytest
import torch

from deepjive.deep.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_units_are_dropped_independently_with_the_probability_and_the_mean_stays(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 401)
    made = Dropout(p)(x)
    dropped = (made == 0).double()
    error = (p * (1 - p) / x.numel()) ** 0.5
    assert abs(float(dropped.mean()) - p) < 6 * error
    assert abs(float(made.mean()) - 1) < 6 * error / (1 - p)
    flat = dropped.flatten()
    for lag in (1, 2, 3, 4):  # units of one number, and of neighbours
        both = float((flat[lag:] * flat[:-lag]).mean())
        assert abs(both - p**2) < 6 * p / x.numel() ** 0.5
    for place in range(4):
        assert abs(float(flat[place::4].mean()) - p) < 12 * error


def test_gradients_are_those_of_the_kept_units():
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    made = Dropout(0.3)(x)
    made.sum().backward()
    kept = made != 0
    assert torch.equal(x.grad != 0, kept)
    torch.testing.assert_close(x.grad * x.detach(), made.detach())


def test_nothing_is_dropped_in_evaluation_or_without_dropout():
    x = torch.randn(5, 3)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
