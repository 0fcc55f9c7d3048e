"""Healthy or diseased: each number beside what a hand finds."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lung_six_class import triage
from medutils.evaluation import Estimate

NAN = float("nan")


def predictions(well: list[float], healthy: int) -> pd.DataFrame:
    """Films with the probability of `Normal`, the first ones healthy, the rest of it given to two diseases."""
    rest = (1 - np.array(well)) / 2
    name = [f"film{place}" for place in range(len(well))]
    label = ["Normal"] * healthy + ["TB"] * (len(well) - healthy)
    table = pd.DataFrame({"record_id": name, "patient": name, "y_true": label, "prob_Normal": well})
    return table.assign(prob_TB=rest, prob_Viral=rest)


def trained(validation: list[float], test: list[float]) -> Any:
    """A training whose predictions of validation and test films, two of them healthy, are these."""
    told = {"validation": predictions(validation, 2), "test": predictions(test, 2)}

    def of(split: str, calibrated: bool) -> pd.DataFrame:
        assert calibrated
        return told[split]

    return SimpleNamespace(predictions=of)


def test_the_diseases_add_up_to_diseased() -> None:
    found = triage.as_two(predictions([0.9, 0.2], 1), "Normal")
    assert found["y_true"].tolist() == ["Normal", "diseased"]
    assert [str(name) for name in found if str(name).startswith("prob_")] == ["prob_Normal", "prob_diseased"]
    np.testing.assert_allclose(found["prob_diseased"], [0.1, 0.8])
    assert triage.task("Normal").classes == ("Normal", "diseased")


@pytest.mark.parametrize(("sensitivity", "missed"), [(0.99, 0), (0.75, 1), (0.5, 2)])
def test_the_threshold_finds_so_many_of_the_diseased_validation_films(sensitivity: float, missed: int) -> None:
    one = trained([0.95, 0.5, 0.8, 0.6, 0.3, 0.1], [0.5, 0.5, 0.5, 0.5])
    cut = triage.threshold(one, "Normal", sensitivity)
    ill = 1 - np.array([0.8, 0.6, 0.3, 0.1])
    assert (ill < cut).sum() == missed


def test_each_training_has_a_threshold_of_its_own() -> None:
    some = [trained([0.9, 0.9, 0.2, 0.2], [0.9, 0.1, 0.2, 0.3]), trained([0.9, 0.9, 0.6, 0.6], [0.8, 0.8, 0.5, 0.7])]
    found = triage.at_thresholds(some, "Normal", 0.9)
    assert found.groupby("repeat")["threshold"].nunique().tolist() == [1, 1]
    assert found.groupby("repeat")["threshold"].first().is_monotonic_decreasing
    assert len(found) == 8 and set(found["y_true"]) == {"Normal", "diseased"}


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "prevalence", "times", "found"),
    [
        (0.9, 0.8, 0.1, 1, 0.09 / (0.09 + 0.18)),
        (0.9, 0.8, 0.1, 2, 0.081 / (0.081 + 0.036)),
        (1.0, 1.0, 0.1, 2, 1.0),
        (0.0, 1.0, 0.1, 1, NAN),
    ],
)
def test_a_positive_test_means_what_bayes_says(
    sensitivity: float, specificity: float, prevalence: float, times: int, found: float
) -> None:
    assert triage.ppv(sensitivity, specificity, prevalence, times) == pytest.approx(found, nan_ok=True)


def decided(*runs: str) -> pd.DataFrame:
    """Decisions of some trainings on four diseased and then four healthy films, `1` where a film is called diseased."""
    tables = []
    for number, run in enumerate(runs):
        name = [f"film{place}" for place in range(8)]
        table = pd.DataFrame({"record_id": name, "y_true": [triage.ILL] * 4 + ["Normal"] * 4, "repeat": number})
        tables.append(table.assign(threshold=0.5, **{f"prob_{triage.ILL}": [float(one) for one in run]}))
    return pd.concat(tables, ignore_index=True).sample(frac=1, random_state=0)


def test_two_trainings_that_err_together_are_told_from_two_that_do_not() -> None:
    found = triage.positive_twice(decided("11101000", "11100100"), "Normal")
    assert found == pytest.approx({"ill": 3 / 4, "expected_ill": 9 / 16, "healthy": 0, "expected_healthy": 1 / 16})


def test_pairs_of_trainings_are_averaged_and_one_training_has_none() -> None:
    found = triage.positive_twice(decided("11111111", "11111111", "00001100"), "Normal")
    assert (found["ill"], found["healthy"]) == pytest.approx((1 / 3, (1 + 2 * 0.5) / 3))
    assert all(np.isnan(value) for value in triage.positive_twice(decided("11110000"), "Normal").values())


def test_two_readings_of_one_film_tell_less_than_two_tests() -> None:
    once = {"sensitivity": Estimate(0.9, 0, 1, 9, ""), "specificity": Estimate(0.8, 0, 1, 9, "")}
    found = triage.twice({"ill": 0.85, "healthy": 0.15}, once, 0.1)
    assert found == pytest.approx(
        {"once": 0.09 / 0.27, "independent": 0.081 / 0.117, "same_film": 0.085 / (0.085 + 0.135)}
    )
    assert np.isnan(triage.twice({"ill": 0.0, "healthy": 0.0}, once, 0.1)["same_film"])
