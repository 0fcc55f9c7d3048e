"""Each fault does on noise what theory says, and the scores are those of the write-up's code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import protocol
from medutils.chapters.lumbar_embeddings.classifiers import COUNT
from medutils.chapters.lumbar_embeddings.imputation import UNGRADED
from medutils.chapters.lumbar_embeddings.protocol import CORRECT, Protocol
from medutils.data.lumbar import GRADES, SERIES, TARGETS

NORMAL, MODERATE, SEVERE = GRADES
KIND = "Sagittal T1"
CANAL = "Sagittal T2/STIR"  # five targets, so half the time


def study_data(studies: int = 240, series: int = 1, values: int = 60) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Noise for each series, and grades that no pixel can know."""
    rng = np.random.default_rng(4)
    names = [f"s{number}" for number in range(studies)]
    drawn = rng.choice(GRADES, (studies, len(TARGETS)), p=[0.6, 0.2, 0.2])
    table = pd.DataFrame(
        {"study_id": np.repeat(names, series), "series_id": [f"r{number}" for number in range(studies * series)]}
    )
    return rng.normal(size=(len(table), values)), table, pd.DataFrame(drawn, index=names, columns=list(TARGETS))


def score(given: Protocol, data: tuple[np.ndarray, pd.DataFrame, pd.DataFrame]) -> dict[str, float]:
    return protocol.scores_as_written(protocol.run(given, *data, CANAL))


def test_a_series_is_asked_for_what_it_shows_or_for_what_the_write_up_gave_it() -> None:
    assert {name.rpartition("_l")[0].partition("_")[2] for name in protocol.targets_of(KIND)} >= {
        "neural_foraminal_narrowing_l1"
    }
    assert protocol.targets_of("Axial T2", swapped=True) == protocol.targets_of(KIND)
    assert protocol.targets_of(KIND, swapped=True) == protocol.targets_of("Axial T2") == TARGETS[15:]
    assert protocol.targets_of("Sagittal T2/STIR", swapped=True) == TARGETS[:5]


def test_a_merge_on_the_study_alone_squares_its_series() -> None:
    series = pd.DataFrame({"study_id": ["a", "b", "b", "b"], "series_id": ["1", "2", "3", "4"]})
    many, right = protocol.merged(series, True), protocol.merged(series, False)
    assert len(many) == 1 + 9 and many["record_id"].is_unique and many["row"].value_counts()[2] == 3
    assert right["row"].tolist() == [0, 1, 2, 3] and right["record_id"].tolist() == ["a/1", "b/2", "b/3", "b/4"]


def test_on_noise_the_correct_protocol_is_at_chance_and_copied_rows_leak() -> None:
    data = study_data(60, series=3, values=200)
    assert abs(score(CORRECT, data)["auroc"] - 0.5) < 0.1
    assert abs(score(Protocol(splits_rows=True), data)["auroc"] - 0.5) < 0.1, "each series has noise of its own"
    assert score(Protocol(splits_rows=True, multiplies_rows=True), data)["auroc"] > 0.8
    assert abs(score(Protocol(multiplies_rows=True), data)["auroc"] - 0.5) < 0.1, "no leak where studies are split"


def test_rows_of_one_study_leak_where_they_are_alike() -> None:
    x, series, grades = study_data(60, series=3, values=80)
    alike = x[::3].repeat(3, axis=0) + 0.1 * x
    assert abs(score(CORRECT, (alike, series, grades))["auroc"] - 0.5) < 0.1
    assert score(Protocol(splits_rows=True), (alike, series, grades))["auroc"] > 0.8


def test_moderate_is_dropped_where_the_other_two_have_600_rows() -> None:
    x, series, grades = study_data(1000, values=3)
    found = protocol.run(Protocol(drops_moderate=True), x, series, grades, CANAL)
    assert set(found["y_true"]) == {NORMAL, SEVERE} and (found[f"prob_{MODERATE}"] == 0).all()
    few = protocol.run(Protocol(drops_moderate=True), x[:240], series[:240], grades, CANAL)
    assert set(few["y_true"]) == set(GRADES), "240 rows of all classes: every one is drawn"


def test_empty_grades_are_left_out_unless_the_fault_is_asked_for() -> None:
    x, series, grades = study_data()
    target = protocol.targets_of(KIND)[0]
    grades.loc[grades.index[:200], target] = None
    for given, scored in ((CORRECT, False), (Protocol(fills_empty=True), True)):
        found = protocol.run(given, x, series, grades, KIND)
        assert found.loc[found["target"] == target, "patient"].isin(grades.index[:200]).any() == scored


@pytest.mark.parametrize("fault", ["all", "skips_smote", "swaps_labels"])
def test_an_effect_is_what_a_fault_adds_split_by_split(fault: str) -> None:
    found = protocol.effect(fault, *study_data(40, series=2, values=5), CANAL, seeds=(1, 2))
    assert found.index.tolist() == [1, 2]
    np.testing.assert_allclose(found["f1_added"], found["f1_with"] - found["f1_without"])


# --- scores -----------------------------------------------------------------------------------------------------------


def said(target: str, y_true: list[str], decided: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"target": target, "y_true": y_true})
    table["record_id"] = table["patient"] = [f"{target}{place}" for place in range(len(y_true))]
    for grade in GRADES:
        table[f"prob_{grade}"] = [0.8 if grade == one else 0.1 for one in decided]
    return table


def test_a_target_of_one_class_scores_1_and_its_missing_auroc_is_left_out_of_the_mean() -> None:
    table = pd.concat(
        [said("a", [NORMAL] * 4, [NORMAL] * 4), said("b", [NORMAL, NORMAL, SEVERE, SEVERE], [NORMAL] * 3 + [SEVERE])]
    )
    by_target = protocol.scores_by_target(table)
    assert by_target.loc["a", "f1"] == 1 and np.isnan(by_target.loc["a", "auroc"])
    assert by_target.loc["b", "auroc"] == 0.75
    found = protocol.scores_as_written(table)
    assert np.isnan(found["auroc"]) and found["auroc_of_survivors"] == 0.75
    assert (found["defined"], found["targets"], found["one_class"]) == (1, 2, 1)


def test_f1_as_worded_is_no_f1() -> None:
    rows = protocol.scores_by_target(said("b", [NORMAL] * 3 + [SEVERE], [NORMAL] * 4)).loc["b"]
    assert rows["f1_as_worded"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert rows["f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_the_majority_is_the_share_of_normal_cells() -> None:
    grades = pd.DataFrame({target: [NORMAL] * 6 + [SEVERE] * 2 + [MODERATE, None] for target in TARGETS})
    found = protocol.majority(grades)
    assert found.loc["mean", ["accuracy", "accuracy_three_grades"]].tolist() == pytest.approx([6 / 8, 6 / 9])
    assert found.loc["mean", "macro_f1"] == pytest.approx((2 * 0.75 / 1.75) / 2)
    assert protocol.majority(grades, fills_empty=True).loc["mean", "accuracy"] == pytest.approx(7 / 9)


# --- the network ------------------------------------------------------------------------------------------------------


def test_keras_accuracy_looks_at_the_first_target_alone() -> None:
    y = np.array([[0, 1], [2, 1], [1, 1]])
    perfect = np.eye(COUNT)[y].reshape(3, -1)
    second_louder = perfect.copy()
    second_louder[:, COUNT:] *= 1.1
    found = [protocol.network_scores(y, outputs[None]) for outputs in (perfect, second_louder)]
    assert [one["accuracy"] for one in found] == [1, 1]
    assert [one["keras_accuracy"] for one in found] == [1, 0], "right in every cell, and 0 by Keras's accuracy"


def test_the_mean_and_the_best_of_the_epochs_are_of_the_test_fold() -> None:
    y = np.array([[0], [0]])
    right, wrong = np.array([[0.9, 0.1, 0.1]] * 2), np.array([[0.1, 0.9, 0.1]] * 2)
    found = protocol.network_scores(y, np.stack([wrong, right, wrong, wrong]))
    assert [found[f"keras_accuracy{of}"] for of in ("", "_mean", "_best")] == [0, 0.25, 1]


def test_an_absent_grade_counts_1_0_or_nothing() -> None:
    y = np.array([[0, UNGRADED], [0, UNGRADED]])
    found = protocol.network_scores(y, np.array([[[0.9, 0.1, 0.1, 0.1, 0.1, 0.1]] * 2]))
    assert found["absent"] == 5
    assert (found["f1_absent_is_1"], found["f1_absent_is_0"], found["f1"]) == (1, pytest.approx(1 / 6), 1)


def test_folds_of_studies_keep_them_whole_and_folds_of_rows_do_not() -> None:
    study = np.repeat([f"s{number}" for number in range(20)], 2).astype(object)
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.tile([[0, 1]], (40, 1))
    by_row, by_study = (protocol.network_folds(x, y, study, by_row) for by_row in (True, False))
    torn = [
        sum(set(study[test]) & set(np.delete(study, test)) != set() for test, _ in found)
        for found in (by_row, by_study)
    ]
    assert torn[0] == 5 and torn[1] == 0
    table = protocol.network_table(y, by_study)
    assert len(table) == 5 and table["accuracy"].between(0, 1).all()


# --- real tables ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.real
def test_noise_in_place_of_embeddings_scores_as_the_reported_rows_do(real_data: Path) -> None:
    from medutils.data.lumbar import load_rsna_targets, load_series

    folder = real_data / "rsna_lumbar"
    grades, series = load_rsna_targets(folder), load_series(folder).records
    majority = protocol.majority(grades, fills_empty=True)
    assert majority.loc["mean", "accuracy"] == pytest.approx(0.9222, abs=5e-5)
    assert majority.loc["mean", "accuracy_three_grades"] == pytest.approx(0.7932, abs=5e-5)
    assert majority["normal"].min() >= 887
    axial = series[series["label"] == "Axial T2"]
    assert (len(axial), len(protocol.merged(axial, True))) == (2340, 3132)
    found = protocol.noise_control(grades, series)
    assert list(found) == list(SERIES) and set(found["Axial T2"]["y_true"]) == {NORMAL, SEVERE}
    scores = protocol.mean_over_series(found)
    assert scores["accuracy"] == pytest.approx(0.867, abs=0.01) and scores["f1"] == pytest.approx(0.587, abs=0.02)
