"""Empty grades: never invented unless asked for, and the write-up's own function fills none."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import imputation
from medutils.data.lumbar import GRADES
from medutils.evaluation import grades as task_of
from medutils.evaluation import values

NORMAL, MODERATE, SEVERE = GRADES
GIVEN = pd.DataFrame(
    {"a": [NORMAL, None, SEVERE, NORMAL], "b": [MODERATE, NORMAL, None, NORMAL]}, index=["s1", "s2", "s3", "s4"]
)


def linked(studies: int = 150, targets: int = 4) -> pd.DataFrame:
    """Targets that all have the grade of their study."""
    grade = np.random.default_rng(0).choice(GRADES, studies, p=[0.5, 0.3, 0.2])
    return pd.DataFrame({f"t{number}": grade for number in range(targets)}, index=[f"s{n}" for n in range(studies)])


def test_codes_follow_severity_or_the_alphabet_and_leave_empty_grades_empty() -> None:
    assert imputation.codes(GIVEN).tolist() == [[0, 1], [-1, 0], [2, -1], [0, 0]]
    assert imputation.codes(GIVEN, imputation.ALPHABETICAL).tolist() == [[1, 0], [-1, 1], [2, -1], [1, 1]]


def test_one_hot_columns_are_named_as_the_write_ups_and_know_nothing_of_an_empty_grade() -> None:
    found = imputation.one_hot(GIVEN)
    assert list(found) == [f"{target}_{grade}" for target in "ab" for grade in (MODERATE, NORMAL, SEVERE)]
    assert found.filter(like="a_").loc["s2"].isna().all()
    assert found.filter(like="b_").sum(axis=1).tolist() == [1, 1, 0, 1]


def test_the_write_ups_forest_is_asked_for_no_column_since_an_empty_cell_became_a_class() -> None:
    assert imputation.processed_as_written(GIVEN) == []
    assert imputation.classes_as_written(GIVEN) == {"a": [NORMAL, SEVERE, "nan"], "b": [MODERATE, NORMAL, "nan"]}


@pytest.mark.parametrize("how", ["masked", "mode", "random_forest"])
def test_filling_touches_empty_cells_alone_and_leaves_a_target_without_a_grade(how: imputation.Imputation) -> None:
    y = np.c_[imputation.codes(linked()), np.full(150, -1)]
    y[:20, 0] = -1
    found = imputation.filled(y, how)
    known = y != imputation.UNGRADED
    assert (found[known] == y[known]).all() and (found[:, -1] == imputation.UNGRADED).all()
    assert (found[:20, 0] == imputation.UNGRADED).all() == (how == "masked")
    assert (y[:20, 0] == imputation.UNGRADED).all(), "what was given is not changed"


def test_a_forest_recovers_what_other_targets_tell_and_the_mode_does_not() -> None:
    task = task_of(GRADES)
    kappa = {
        how: values(imputation.recovered(linked(), how, 0.1), task)["kappa_linear"] for how in ("mode", "random_forest")
    }
    assert kappa["random_forest"] > 0.95 and abs(kappa["mode"]) < 0.05


def test_no_filled_cell_is_scored_that_has_no_grade_of_its_own() -> None:
    grades = linked()
    grades.iloc[:50, 0] = None
    found = imputation.recovered(grades, "mode", 1.0)
    assert not (found["target"].eq("t0") & found["record_id"].isin([f"s{n}" for n in range(50)])).any()
    assert imputation.recovered(grades, "masked", 0.2).empty
