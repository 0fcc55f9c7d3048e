"""Pooled metrics against scikit-learn, intervals, pairing and thresholds."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from medutils.errors import InputError
from medutils.evaluation import binary, calibration, choose_threshold, compare, confusion, evaluate, proportion

SICK = binary("sick")


def table(n=200, seed=0, noise=1.0, films=1):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.6
    p = np.round(1 / (1 + np.exp(-(2 * y - 1 + noise * rng.normal(size=n)))), 2)  # rounded: ties matter
    return pd.DataFrame(
        {
            "record_id": [f"r{i}" for i in range(n)],
            "patient": [f"p{i // films}" for i in range(n)],
            "y_true": np.where(y, "sick", "well"),
            "prob_well": 1 - p,
            "prob_sick": p,
        }
    )


def test_every_metric_is_scikit_learns():
    t = table()
    y, p = (t.y_true == "sick").to_numpy(), t.prob_sick.to_numpy()
    said = p >= 0.5
    expected = {
        "accuracy": sk.accuracy_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "sensitivity": sk.recall_score(y, said),
        "specificity": sk.recall_score(~y, ~said),
        "precision": sk.precision_score(y, said),
        "f1": sk.f1_score(y, said),
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "brier": sk.brier_score_loss(y, p),
        "log_loss": sk.log_loss(y, p),
    }
    found = evaluate(t, SICK, "test", resamples=10)
    expected |= {"npv": sk.precision_score(~y, ~said), "macro_f1": sk.f1_score(y, said, average="macro")}
    assert {name: e.value for name, e in found.items()} == pytest.approx(expected)


def test_the_positive_class_is_the_one_named():
    t = table()
    sick, well = (
        evaluate(t, binary(name), "test", cut, resamples=10) for name, cut in (("sick", 0.505), ("well", 0.495))
    )
    assert sick["sensitivity"].value == pytest.approx(well["specificity"].value)
    assert sick["precision"].value != pytest.approx(well["precision"].value)


def test_an_interval_widens_when_the_films_of_a_patient_are_copies():
    """1,000 films of 100 patients know no more than 100 films: resampled by film the interval would be too narrow."""
    single = table(100, films=1)
    copied = pd.concat([single.assign(record_id=single.record_id + f"-{i}") for i in range(10)], ignore_index=True)
    by_patient = evaluate(copied, SICK, "test")["auroc"]
    by_film = evaluate(copied.assign(patient=copied.record_id), SICK, "test")["auroc"]
    original = evaluate(single, SICK, "test")["auroc"]
    assert by_patient.high - by_patient.low == pytest.approx(original.high - original.low)
    assert (by_film.high - by_film.low) * 2.5 < by_patient.high - by_patient.low


def test_repeats_are_pooled_within_and_averaged_between():
    a, b = table(seed=1), table(seed=1)
    b["prob_sick"] = a["prob_sick"].sample(frac=1, random_state=0).to_numpy()
    b["prob_well"] = 1 - b["prob_sick"]
    both = pd.concat([a.assign(repeat=0), b.assign(repeat=1)], ignore_index=True)
    one, two, mean = (evaluate(t, SICK, "cv", resamples=10)["auroc"] for t in (a, b, both))
    assert mean.value == pytest.approx((one.value + two.value) / 2)
    assert mean.n == a.patient.nunique()


def test_a_paired_difference_is_narrower_than_two_intervals_and_zero_with_itself():
    a = table(seed=2)
    b = a.assign(prob_sick=(a.prob_sick * 0.98).round(3)).assign(prob_well=lambda t: 1 - t.prob_sick)
    gap = compare(a, b, SICK, "test")["brier"]
    alone = evaluate(a, SICK, "test")["brier"]
    assert gap.high - gap.low < (alone.high - alone.low) / 3
    assert compare(a, a, SICK, "test")["auroc"].high == 0


def test_auroc_of_one_class_is_undefined_and_not_a_number_made_up():
    t = table().query("y_true == 'sick'")
    assert np.isnan(evaluate(t, SICK, "test", resamples=10)["auroc"].value)


def test_an_unknown_positive_class_is_refused():
    with pytest.raises(InputError, match="'Sick'; expected one of the two classes well, sick"):
        evaluate(table(), binary("Sick"), "test")


def test_confusion_counts_true_classes_in_rows_with_the_positive_class_last():
    counts = confusion(table(), SICK)
    assert list(counts.index) == list(counts.columns) == ["well", "sick"]
    assert counts.loc["sick"].sum() == (table().y_true == "sick").sum()


def test_ten_of_ten_is_compatible_with_seven_of_ten():
    assert proportion(10, 10, "ten rows").low == pytest.approx(0.6915, abs=1e-4)


def test_calibration_of_true_probabilities_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    hit = rng.random(20_000) < p
    y = np.where(hit, "sick", "well")
    t = pd.DataFrame({"patient": range(20_000), "y_true": y, "prob_well": 1 - p, "prob_sick": p})
    curve = calibration(t, "sick")
    assert (curve.predicted - curve.observed).abs().max() < 0.03
    assert curve.n.sum() == 20_000
    ten_rows_each = calibration(t.assign(patient=t.patient % 2_000), "sick")
    assert ten_rows_each.observed.equals(curve.observed)
    assert (ten_rows_each.low < curve.low).all()
    assert (ten_rows_each.high > curve.high).all()


def test_the_threshold_is_the_best_f1_and_half_when_all_are_equal():
    y = np.array([0, 0, 1, 1, 1.0])
    assert 0.2 < choose_threshold(y, np.array([0.1, 0.2, 0.3, 0.4, 0.9])) < 0.3
    assert choose_threshold(y, np.array([0.1, 0.2, 0.8, 0.9, 0.9])) == 0.5


def test_balanced_accuracy_chooses_another_threshold_than_f1_where_most_are_ill():
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], [100, 900])
    probability = 1 / (1 + np.exp(-(y + rng.normal(0, 1, 1000))))
    by_f1, by_both = (choose_threshold(y, probability, rule) for rule in ("F1", "balanced accuracy"))
    assert by_f1 < by_both

    def balanced(threshold):
        said = probability >= threshold
        return said[y == 1].mean() + (~said)[y == 0].mean()

    assert balanced(by_both) == pytest.approx(max(balanced(edge) for edge in np.r_[probability + 1e-9, 0.5]))
