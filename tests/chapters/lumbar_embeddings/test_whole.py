"""Whole studies: every embedder gives every series a vector, and every graded target is predicted once."""

from pathlib import Path

import pytest
import torch

from medutils.chapters import resolve
from medutils.chapters.lumbar_embeddings import plan, whole
from medutils.chapters.lumbar_embeddings.protocol import targets_of
from medutils.data.graded_slices import open_slices
from medutils.data.lumbar import SERIES
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.studies import Studies, open_studies
from medutils.training import grading
from medutils.training.tuned import tuned_weights

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rsna")
    make_rsna(made, studies=10, size=64)
    return made


@pytest.fixture(scope="module")
def studies(folder: Path) -> Studies:
    return open_studies(str(folder))


@pytest.fixture(scope="module")
def setup(folder: Path) -> plan.Setup:
    given = {"data": str(folder), "size": SIZE, "depth": 10, "recipes": "xgboost", "fine_size": SIZE, "epochs": 1}
    return plan.Setup(open_slices(str(folder)), resolve("lumbar_embeddings", given))


def test_a_slice_says_its_study_its_series_its_plane_and_what_is_graded_on_it(studies: Studies):
    rows = whole.slices_of(studies.series)
    assert len(rows) == len(studies.files) and set(rows["plane"]) == {"axial", "sagittal"}
    t1 = studies.series.loc[studies.series["description"] == "Sagittal T1", "series_id"]
    shown = rows.loc[rows["series_id"].isin(t1), "condition"].unique()
    assert shown.tolist() == ["left_neural_foraminal_narrowing,right_neural_foraminal_narrowing"]


@pytest.mark.slow
def test_every_embedder_gives_each_series_one_vector_and_the_trained_one_stands_beside(
    setup: plan.Setup, studies: Studies
):
    trained = grading.train(setup.course(), 0)
    found = whole.embedded(setup, studies, [trained])
    assert [one.embedder for one in found.sets] == [*whole.ALWAYS, "lite0"] and not found.missing
    assert all(len(one.values) == len(studies.series) for one in found.sets)
    assert found.sets[-1].weights == "given" and found.sets[-1].variant == "fine-tuned here"
    x = studies.pixels(SIZE)[:2]
    own = setup.embedder("lite0", weights=tuned_weights(trained)).embed(x)
    with torch.inference_mode():
        maps = trained.network().features(x)
    assert torch.allclose(own, maps.mean((2, 3)), atol=1e-3)


def test_each_graded_target_is_predicted_once_from_the_series_that_shows_it(setup: plan.Setup, studies: Studies):
    found = whole.task(setup, studies)
    assert set(found) == {"gsl_lite0_xgboost", "gsl_noise_xgboost"}
    for table in found.values():
        assert not table.duplicated(["record_id", "target"]).any()
        assert set(table["target"]) <= {target for kind in SERIES for target in targets_of(kind)}
        assert len(table) == studies.grades.notna().sum().sum()


def test_two_studies_are_too_few_for_the_whole_task(setup: plan.Setup, studies: Studies):
    few = Studies(studies.series, studies.grades.iloc[:2], studies.records, studies.located)
    assert whole.task(setup, few) == {}
