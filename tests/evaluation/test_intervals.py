"""Intervals by patient, pairing, and the bootstrap behind them against one that repeats rows."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from medutils.bootstrap import draws, interval
from medutils.errors import InputError
from medutils.evaluation import (
    binary,
    compare,
    difference_of_differences,
    evaluate,
    evaluate_by,
    grades,
    multiclass,
    values,
)

SICK = binary("sick")
GRADED = grades(["mild", "moderate", "severe"])


def drawn_again(table, names, weights):
    """The rows of each patient as often as the patient was drawn."""
    times = pd.Series(weights, names)[table["patient"]].astype(int).to_numpy()
    return table.loc[np.repeat(table.index.to_numpy(), times)]


def brute(tables, task, combine, resamples, seed):
    """Intervals from tables whose rows are repeated, with the bootstrap's own draws."""
    names = sorted(set().union(*(set(table["patient"]) for table in tables)))
    weights = np.hstack(list(draws(len(names), resamples, seed, 7)))[:, 1:]
    rows = [[values(drawn_again(table, names, one), task) for table in tables] for one in weights.T]
    combined = pd.DataFrame([{key: combine(*(one[key] for one in row)) for key in row[0]} for row in rows])
    return {key: interval(combined[key].to_numpy(dtype=float)) for key in combined}


def check(found, wanted):
    got = {key: (one.low, one.high) for key, one in found.items()}
    assert {k: v for k, v in got.items() if k in wanted} == {
        k: pytest.approx(v, nan_ok=True) for k, v in wanted.items()
    }
    assert set(found) == set(wanted)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "grades", "repeats"])
def test_an_interval_is_that_of_a_bootstrap_that_repeats_rows(kind, two_classes, many_targets):
    table, task = {
        "binary": (two_classes(40, films=2), SICK),
        "multiclass": (many_targets(12).drop(columns="target").query("y_true != ''"), multiclass(GRADED.classes)),
        "grades": (many_targets(12).query("y_true != ''"), GRADED),
        "repeats": (pd.concat([two_classes(40, s).assign(repeat=s) for s in range(3)], ignore_index=True), SICK),
    }[kind]
    check(
        evaluate(table, task, "test", resamples=25, seed=3), brute([table], task, lambda one: one, resamples=25, seed=3)
    )


def test_a_comparison_takes_the_same_patients_in_both(two_classes):
    a, b = two_classes(40, films=2), two_classes(40, films=2, noise=2.0)
    check(compare(a, b, SICK, "test", resamples=25), brute([a, b], SICK, lambda x, y: x - y, 25, 0))


def test_a_difference_of_differences_draws_the_patients_of_all_four_tables(two_classes):
    a, b = two_classes(40), two_classes(40, noise=2.0)
    c, d = (table.assign(patient="other " + table["patient"]) for table in (two_classes(30, 1), two_classes(30, 2)))
    found = difference_of_differences((a, b), (c, d), SICK, "test", resamples=25)
    check(found, brute([a, b, c, d], SICK, lambda a, b, c, d: a - b - (c - d), 25, 0))
    gaps = [compare(*pair, SICK, "test", resamples=0)["auroc"].value for pair in ((a, b), (c, d))]
    assert found["auroc"].value == pytest.approx(gaps[0] - gaps[1])
    assert found["auroc"].n == 70


def test_an_interval_widens_when_the_films_of_a_patient_are_copies(two_classes):
    """1,000 films of 100 patients know no more than 100 films: resampled by film the interval would be too narrow."""
    single = two_classes(100)
    copied = pd.concat([single.assign(record_id=single.record_id + f"-{i}") for i in range(10)], ignore_index=True)
    by_patient = evaluate(copied, SICK, "test")["auroc"]
    by_film = evaluate(copied.assign(patient=copied.record_id), SICK, "test")["auroc"]
    original = evaluate(single, SICK, "test")["auroc"]
    assert by_patient.high - by_patient.low == pytest.approx(original.high - original.low)
    assert (by_film.high - by_film.low) * 2.5 < by_patient.high - by_patient.low


def test_repeats_are_pooled_within_and_averaged_between(two_classes):
    a, b = two_classes(seed=1), two_classes(seed=1)
    b["prob_sick"] = a["prob_sick"].sample(frac=1, random_state=0).to_numpy()
    b["prob_well"] = 1 - b["prob_sick"]
    both = pd.concat([a.assign(repeat=0), b.assign(repeat=1)], ignore_index=True)
    one, two, mean = (evaluate(t, SICK, "cv", resamples=10)["auroc"] for t in (a, b, both))
    assert mean.value == pytest.approx((one.value + two.value) / 2)
    assert mean.n == a.patient.nunique()
    assert (one.fixed, mean.fixed) == (("the trained model",), ("the 2 repeats",))


def test_a_paired_difference_is_narrower_than_two_intervals_and_zero_with_itself(two_classes):
    a = two_classes(seed=2)
    b = a.assign(prob_sick=(a.prob_sick * 0.98).round(3)).assign(prob_well=lambda t: 1 - t.prob_sick)
    gap = compare(a, b, SICK, "test")["brier"]
    alone = evaluate(a, SICK, "test")["brier"]
    assert gap.high - gap.low < (alone.high - alone.low) / 3
    assert gap.fixed == ("the trained models",)
    assert compare(a, a, SICK, "test")["auroc"].high == 0


def test_a_comparison_of_other_patients_is_refused(two_classes):
    with pytest.raises(InputError, match="needs predictions for the same patients"):
        compare(two_classes(40), two_classes(50), SICK, "test")


def test_a_table_of_targets_is_compared_with_one_without_in_what_both_have(many_targets):
    table = many_targets(empty=0)
    found = compare(table, table.drop(columns="target"), GRADED, "test", resamples=5)
    assert found["macro_f1"].value == 0
    assert "auroc_over_targets" not in found


def test_resamples_without_a_value_are_counted(two_classes):
    table = two_classes(12)
    table = table[(table["y_true"] == "sick") | (table.groupby("y_true").cumcount() == 0)]
    found = evaluate(table, SICK, "test", resamples=200)["auroc"]
    missing = sum((draws_of == 0) for draws_of in drawn_of_the_healthy(table))
    assert found.note == f"not defined in {missing} of 200 resamples"
    assert np.isfinite([found.low, found.high]).all()


def drawn_of_the_healthy(table):
    names = sorted(table["patient"])
    row = names.index(table.loc[table["y_true"] == "well", "patient"].item())
    return np.hstack(list(draws(len(names), 200, 0, 50)))[row, 1:]


def test_a_metric_of_one_class_is_undefined_and_not_a_number_made_up(two_classes):
    found = evaluate(two_classes().query("y_true == 'sick'"), SICK, "test", resamples=10)["auroc"]
    assert np.isnan([found.value, found.low, found.high]).all()
    assert (str(found), found.note) == ("not defined", "")


def test_targets_one_by_one_and_how_many_are_defined(many_targets):
    table = many_targets()
    pooled = evaluate(table, GRADED, "test", resamples=20)
    assert pooled["auroc_over_targets[severe]"].note.startswith("defined for 3 of 4 targets")
    assert pooled["accuracy"].n == table.loc[table["y_true"] != "", "patient"].nunique()
    each = evaluate_by("target", table, GRADED, "test", resamples=20)
    assert list(each) == ["0", "1", "2", "3"]
    assert "auroc_over_targets" not in each["0"]
    alone = table[(table["target"] == "0") & (table["y_true"] != "")].drop(columns="target")
    assert str(each["0"]) == str(evaluate(alone, GRADED, "test", resamples=20))


def test_no_array_of_all_resamples_by_all_rows_is_held(many_targets):
    table = many_targets(1000, 20)
    tracemalloc.start()
    evaluate(table, GRADED, "test", resamples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 128e6 < len(table) * 1000 * 8
