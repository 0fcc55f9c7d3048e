"""Neighbours and clusters on slices that a hand can place."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import neighbours
from medutils.data.lumbar import GRADES
from medutils.errors import InputError


def records(rows: list[tuple[int, str, str, str]]) -> pd.DataFrame:
    """Annotations of (slice, study, level, grade)."""
    table = pd.DataFrame(rows, columns=["slice", "patient", "level", "label"])
    target = "left_neural_foraminal_narrowing_" + table["level"]
    return table.assign(study_id=table["patient"], target=target, record_id=table["patient"] + ":" + target)


def circle(*degrees: float) -> np.ndarray:
    """Directions in a plane: the nearest by cosine is the nearest by angle, whatever the lengths."""
    angles = np.deg2rad(degrees)
    return np.c_[np.cos(angles), np.sin(angles)] * np.arange(1, len(degrees) + 1)[:, None]


FOUR = records(
    [
        (0, "a", "l1_l2", "Severe"),
        (0, "a", "l2_l3", "Normal/Mild"),
        (1, "a", "l3_l4", "Severe"),
        (2, "b", "l1_l2", "Severe"),
        (3, "b", "l3_l4", "Moderate"),
    ]
)
AT = circle(0, 5, 20, 60)


def test_the_nearest_other_slice_and_what_it_shares_against_any_other() -> None:
    found = neighbours.nearest(AT, FOUR, ("study_id", "level"))
    assert found["nearest"].tolist() == [1, 0, 1, 2]
    assert found["same_study_id"].tolist() == [1, 1, 0, 1] and found["same_level"].tolist() == [0, 0, 0, 0]
    assert found["chance_study_id"].tolist() == pytest.approx([1 / 3] * 4)
    assert found["cosine"].iloc[0] == pytest.approx(np.cos(np.deg2rad(5)))
    told = neighbours.shared(found, 50)
    assert told["study_id"]["share"].value == 0.75
    assert told["study_id"]["lift"].value == pytest.approx(0.75 - 1 / 3)


def test_of_another_study_only_others_are_near() -> None:
    found = neighbours.nearest(AT, FOUR, ("level",), apart="study_id")
    assert found["nearest"].tolist() == [2, 2, 1, 1]
    assert found["same_level"].tolist() == [1, 0, 0, 1] and found["chance_level"].tolist() == [0.5] * 4
    with pytest.raises(InputError, match="no two slices that differ in study_id"):
        neighbours.nearest(AT[:2], FOUR[FOUR["patient"] == "a"], ("level",), apart="study_id")


def test_what_all_share_has_the_exact_interval_of_a_proportion() -> None:
    found = neighbours.shared(neighbours.nearest(AT, FOUR.assign(kind="t1"), ("kind",)), 50)["kind"]
    assert found["share"].value == 1 and found["share"].low < 1 and found["lift"].value == 0


def test_slices_of_patients_carry_what_the_table_says_of_them() -> None:
    discs = pd.DataFrame({"patient": ["1", "1", "2"], "manufacturer": ["A", "A", "B"], "sex": ["F", "F", ""]})
    frames = {"t1": pd.DataFrame(circle(0, 90), ["1", "2"]), "t2": pd.DataFrame(circle(1), ["1"])}
    values, table = neighbours.of_patients(frames, discs)
    assert table[["slice", "series", "manufacturer"]].to_numpy().tolist() == [
        [0, "t1", "A"],
        [1, "t1", "B"],
        [2, "t2", "A"],
    ]
    found = neighbours.nearest(values, table, ("patient", "manufacturer", "sex"))
    assert found["nearest"].tolist() == [2, 2, 0] and found["same_manufacturer"].tolist() == [1, 0, 1]
    assert found["same_patient"].tolist() == [1, 0, 1] and found["same_sex"].tolist() == [
        1,
        0,
        1,
    ]  # what is not known is not shared


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = records([(n, f"s{n // 3}", "l1_l2", "Severe") for n in range(40)])
    values = rng.normal(size=(40, 6))
    whole = neighbours.nearest(values, table, ("study_id",), "study_id")
    monkeypatch.setattr(neighbours, "AT_ONCE", 7)
    pd.testing.assert_frame_equal(whole, neighbours.nearest(values, table, ("study_id",), "study_id"))


def test_grades_of_the_nearest_at_the_level_against_all_at_the_level() -> None:
    table = records(
        [(n, f"s{n}", "l1_l2", "Severe" if n < 4 else "Normal/Mild") for n in range(8)]
        + [(n, f"s{n}", "l2_l3", "Moderate") for n in range(2)]
    )
    values = circle(0, 1, 2, 3, 90, 91, 92, 93)
    near, level = neighbours.neighbour_grades(values, table), neighbours.by_level(table)
    told = neighbours.same_grade(near, level, 50)
    assert near["record_id"].tolist() == level["record_id"].tolist() and len(near) == 10
    assert told["all"]["share"].value == 1
    assert told["Severe"]["chance"].value == pytest.approx(3 / 7)  # three others of the seven
    assert told["Moderate"]["lift"].value == 0
    assert set(told) == {"all", *GRADES}


def test_several_neighbours_vote_and_no_more_than_there_are() -> None:
    table = records([(0, "a", "l1_l2", "Severe"), (1, "b", "l1_l2", "Severe"), (2, "c", "l1_l2", "Moderate")])
    found = neighbours.neighbour_grades(circle(0, 1, 2), table, k=5)
    assert found["prob_Severe"].tolist() == [0.5, 0.5, 1.0]
    own = records([(0, "a", "l1_l2", "Severe"), (1, "a", "l2_l3", "Severe")])
    with pytest.raises(InputError, match="no level that two studies have"):
        neighbours.neighbour_grades(circle(0, 1), own)


def many(seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Two slices a study, near each other; a quarter of the studies lie apart, and are those that are severe."""
    rng = np.random.default_rng(seed)
    rows, places = [], []
    for study in range(80):
        severe = study % 4 == 0
        for place, level in enumerate(("l4_l5", "l5_s1")):
            rows.append((2 * study + place, f"s{study:02}", level, "Severe" if severe else "Normal/Mild"))
            places.append(rng.normal(size=8) / 5 + np.eye(8)[0 if severe else 1])
    return np.array(places), records(rows)


def test_clusters_agree_with_what_they_are_made_of_and_not_with_the_rest() -> None:
    values, table = many()
    cluster = neighbours.clusters(values, 2)
    found = neighbours.agreements(cluster, table, shuffles=40)
    assert found["grade"].information.value > 0.9 and found["grade"].p < 0.05
    assert found["grade"].shuffled_high < 0.2
    assert abs(found["level"].information.value) < 0.05 and found["level"].p > 0.05
    one = found["grade"].information
    assert one.low <= one.value <= one.high and one.n == 80


@pytest.mark.parametrize("column", ["patient", "level", "label"])
def test_shuffled_labels_keep_what_they_are_to_keep(column: str) -> None:
    _, table = many()
    table = table.sample(frac=1, random_state=0).reset_index(drop=True)
    place = np.arange(len(table))
    label, where = neighbours._shuffled(table, column, place, np.random.default_rng(0))
    assert len(label) == len(where)
    assert sorted(np.bincount(label)) == sorted(table[column].value_counts())
    studies = pd.Series(label).groupby(table["patient"].to_numpy())
    if column != "patient":
        assert (studies.nunique() == (2 if column == "level" else 1)).all()
