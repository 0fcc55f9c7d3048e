"""What the tables alone say of an annotated slice, by hand, and that a probe finds it where it is there."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import chosen_slice
from medutils.data.lumbar import GRADES, LEVELS, TARGETS
from medutils.errors import InputError


def tables(instances: dict[str, dict[str, list[int]]], grade: str = "Normal/Mild") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coordinates and grades of studies: of each side the slice of each level; levels 30 pixels apart."""
    rows = [
        {
            "study_id": study,
            "series_id": f"{study}1",
            "instance_number": instance,
            "condition": f"{side}_neural_foraminal_narrowing",
            "level": level,
            "x": 100.0 + place,
            "y": 50.0 + 30 * place,
            "target": f"{side}_neural_foraminal_narrowing_{level}",
        }
        for study, sides in instances.items()
        for side, numbers in sides.items()
        for place, (level, instance) in enumerate(zip(LEVELS, numbers, strict=False))
    ]
    canal = {**rows[0], "condition": "spinal_canal_stenosis", "target": "spinal_canal_stenosis_l1_l2"}
    grades = pd.DataFrame(grade, pd.Index(list(instances), name="study_id"), list(TARGETS), dtype=object)
    return pd.DataFrame([*rows, canal]), grades


ONE = {"1": {"left": [14, 14, 14, 13, 13], "right": [4, 4, 5, 5, 5]}}


def test_what_is_known_of_the_choice_the_pattern_and_the_point() -> None:
    found = chosen_slice.annotations(*tables(ONE)).set_index("target")
    row = found.loc["left_neural_foraminal_narrowing_l4_l5"]
    assert len(found) == 10
    assert (row["instance"], row["from_middle"], row["from_own_side"], row["across"]) == (13, 3.5, -1, 8)
    assert (row["slices"], row["span"], row["on_slice"]) == (4, 10, 2)
    assert row["gap_above"] == row["gap_below"] == 1
    assert row["x_from_side"] == pytest.approx(1 / 30)
    assert np.isnan(found.loc["left_neural_foraminal_narrowing_l1_l2", "gap_above"])
    assert found.loc["right_neural_foraminal_narrowing_l1_l2", "from_own_side"] == 1  # outwards, to lower numbers


def test_empty_cells_doubled_annotations_and_single_sides_are_taken_for_what_they_are() -> None:
    coordinates, grades = tables({"1": {"left": [14, 14, 14, 13, 13]}})
    grades.loc["1", "left_neural_foraminal_narrowing_l1_l2"] = np.nan
    found = chosen_slice.annotations(pd.concat([coordinates, coordinates]), grades)
    assert len(found) == 4 and found[["from_middle", "across"]].isna().all(axis=None)
    grades[:] = np.nan
    with pytest.raises(InputError, match="no graded annotation of a foramen"):
        chosen_slice.annotations(coordinates, grades)


def test_facts_count_studies_by_their_slices() -> None:
    found = chosen_slice.annotations(*tables({**ONE, "2": {"left": [12] * 5, "right": [3] * 5}}))
    facts = chosen_slice.facts(found)
    assert facts["slices_4"] == facts["slices_2"] == 1 and facts["slices"] == 6
    assert facts["shared"] == 1.0 and facts["one_slice"] == 0.5
    assert facts["far"] == pytest.approx((10 + 10 + 9 + 8 + 8 + 5 * 9) / 10)


def test_a_pattern_that_goes_with_the_grade_is_found_without_a_pixel() -> None:
    crooked = {str(study): {"left": [14, 13, 12, 11, 10], "right": [4, 5, 6, 7, 8]} for study in range(30)}
    straight = {str(study): {"left": [14] * 5, "right": [4] * 5} for study in range(30, 60)}
    coordinates, grades = tables({**crooked, **straight})
    for target, study in product(TARGETS, crooked):
        grades.loc[study, target] = "Severe" if target.endswith("l5_s1") else "Moderate"
    found = chosen_slice.annotations(coordinates, grades)
    told = chosen_slice.measure(chosen_slice.probe(found, ("prior", "pattern")), 100)
    assert told["pattern_over_prior"]["macro_auroc"].low > 0.1
    assert told["pattern_over_prior"]["weighted_log_loss"].high < 0
    assert chosen_slice.by_grade(found).loc["Moderate", "slices"] == 10
    assert list(chosen_slice.by_grade(found).index) == list(GRADES)
