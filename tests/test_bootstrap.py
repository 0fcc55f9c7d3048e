"""The bootstrap of the package: what is drawn, and what is made of it."""

import numpy as np
import pytest

from medutils import bootstrap
from medutils.bootstrap import by_patient, draws, interval, patient_codes, resampled


def test_the_draws_do_not_depend_on_the_width_of_a_block():
    one, two = (np.hstack(list(draws(9, 20, 4, width))) for width in (1, 21))
    assert np.array_equal(one, two)
    assert one.shape == (9, 21)
    assert (one.sum(0) == 9).all() and (one[:, 0] == 1).all()


def test_patients_have_the_same_number_in_any_order_of_rows():
    code, count = patient_codes(["b", "a", "b", "c"])
    assert (code.tolist(), count) == ([1, 0, 1, 2], 3)
    assert patient_codes(["c", "a"], names=["a", "b", "c", "c"])[0].tolist() == [2, 0]


@pytest.mark.parametrize("cells", [1, 30, 10**6])
def test_a_resampled_mean_is_that_of_rows_drawn_with_their_patients(monkeypatch, cells):
    monkeypatch.setattr(bootstrap, "CELLS", cells)
    rng = np.random.default_rng(0)
    code, values = rng.permutation(np.arange(30) % 8), rng.normal(size=30)
    sums = by_patient(np.column_stack([values, np.ones(30)]), code, 8)

    def mean(weights):
        found = weights.T @ sums
        return found[:, 0] / found[:, 1]

    weights = np.hstack(list(draws(8, 12, 5, 4)))[code]
    assert resampled(mean, 8, 12, 5, rows=30) == pytest.approx((weights * values[:, None]).sum(0) / weights.sum(0))


def test_an_interval_leaves_out_what_is_not_defined():
    assert interval(np.r_[np.nan, np.arange(101.0)]) == pytest.approx((2.5, 97.5))
    assert np.isnan(interval(np.array([np.nan]))).all()
