"""Empty cells, shares of the grades and numbers of series, on tables of two or three studies."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import missing
from medutils.data.lumbar import LEVELS, TARGETS

CANAL = "spinal_canal_stenosis"


@pytest.fixture
def targets() -> pd.DataFrame:
    """Three studies: one complete, one without canal, one without a single level."""
    table = pd.DataFrame("Normal/Mild", pd.Index(["1", "2", "3"], name="study_id"), list(TARGETS), dtype=object)
    table.loc["2", [f"{CANAL}_{level}" for level in LEVELS]] = np.nan
    table.loc["3", "left_subarticular_stenosis_l1_l2"] = np.nan
    table.loc["1", f"{CANAL}_l4_l5"] = "Severe"
    return table


def test_empty_cells_lie_by_condition_and_level(targets: pd.DataFrame) -> None:
    found = missing.empty_cells(targets)
    assert found.loc[CANAL].tolist() == [1] * 5 and found.loc["left_subarticular_stenosis", "l1_l2"] == 1
    assert found.to_numpy().sum() == 6
    assert missing.complete_studies(targets) == 1
    assert missing.empty_together(targets).to_dict() == {True: 5, False: 1}


def test_shares_of_the_grades_are_of_the_graded(targets: pd.DataFrame) -> None:
    found = missing.grade_shares(targets)
    assert found.loc[(CANAL, "l4_l5")].tolist() == [0.5, 0, 0.5, 2]
    assert found.loc[("left_subarticular_stenosis", "l1_l2"), "graded"] == 2


def test_series_of_each_kind_are_counted_over_all_studies(targets: pd.DataFrame) -> None:
    series = pd.DataFrame(
        {"study_id": ["1", "1", "1", "2"], "label": ["Axial T2", "Axial T2", "Sagittal T1", "Axial T2"]}
    )
    found = missing.series_per_study(series, targets.index)
    assert found.loc["Axial T2"].tolist() == [1, 1, 1] and found.loc["Sagittal T2/STIR"].tolist() == [3, 0, 0]


def test_grades_without_a_place_and_places_without_a_grade(targets: pd.DataFrame) -> None:
    every = pd.MultiIndex.from_product([targets.index, TARGETS], names=["study_id", "target"]).to_frame(index=False)
    assert missing.without_place(targets, every.iloc[1:]) == {"no_place": 1, "no_grade": 6}
