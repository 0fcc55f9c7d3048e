"""Calibration curves and temperatures."""

import numpy as np
import pandas as pd
import pytest

from medutils.evaluation import at_bound, calibration, calibration_error, fit_temperature


def well_calibrated(n=20_000):
    rng = np.random.default_rng(0)
    p = rng.random(n)
    y = np.where(rng.random(n) < p, "sick", "well")
    return pd.DataFrame({"patient": range(n), "y_true": y, "prob_well": 1 - p, "prob_sick": p})


def test_calibration_of_true_probabilities_lies_on_the_diagonal():
    table = well_calibrated()
    curve = calibration(table, "sick")
    assert (curve.predicted - curve.observed).abs().max() < 0.03
    assert curve.n.sum() == 20_000
    ten_rows_each = calibration(table.assign(patient=table.patient % 2_000), "sick")
    assert ten_rows_each.observed.equals(curve.observed)
    assert (ten_rows_each.low < curve.low).all()
    assert (ten_rows_each.high > curve.high).all()


def test_the_calibration_error_is_the_mean_distance_from_the_diagonal():
    table = well_calibrated()
    assert calibration_error(table, "sick") < 0.02
    shifted = table.assign(prob_sick=table["prob_sick"] * 0.5)
    assert calibration_error(shifted, "sick") == pytest.approx(0.25, abs=0.02)


def test_calibration_of_a_grade_leaves_empty_cells_out(many_targets):
    table = many_targets(200)
    curve = calibration(table, "severe")
    kept = calibration(table[table["y_true"] != ""], "severe")
    pd.testing.assert_frame_equal(curve, kept)


def test_a_temperature_that_fits_lies_within_its_bounds_and_one_that_does_not_is_at_them():
    rng = np.random.default_rng(0)
    z = rng.normal(size=5000) * 2
    y = (rng.random(5000) < 1 / (1 + np.exp(-z))).astype(int)
    found = fit_temperature(3 * z, y)
    assert found == pytest.approx(3, rel=0.1)
    assert not at_bound(found)
    assert at_bound(fit_temperature(np.abs(z) * np.where(y, 1, -1), y))  # all right: the surer the better
    assert at_bound(fit_temperature(np.abs(z) * np.where(y, -1, 1), y))  # all wrong
