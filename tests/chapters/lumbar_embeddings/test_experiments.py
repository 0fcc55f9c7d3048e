"""What the lumbar chapter measures, on a handful of annotations."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.chapters import resolve
from medutils.chapters.lumbar_embeddings import experiments, grid, plan
from medutils.data.graded_slices import GradedSlices
from medutils.data.lumbar import GRADES, LEVELS, TARGETS
from medutils.data.manifest import Located
from medutils.evaluation import grades
from medutils.evidence import Results, reported_values

CHAPTER = "lumbar_embeddings"
SIDES = {0: "test", 1: "validation"}


def slices(studies: int, folder: Path) -> GradedSlices:
    """Two slices a study, one a side, with the five levels on each; every sixth study is Severe at L5/S1."""
    rows = [
        {
            "record_id": f"{study}:{side}_neural_foraminal_narrowing_{level}",
            "patient": str(study),
            "label": GRADES[2 if study % 6 == 0 and level == "l5_s1" else study % 2],
            "split": SIDES.get(study % 5, "train"),
            "level": level,
            "side": side,
            "target": f"{side}_neural_foraminal_narrowing_{level}",
            "slice": 2 * study + place,
        }
        for study in range(studies)
        for place, side in enumerate(("left", "right"))
        for level in LEVELS
    ]
    records = pd.DataFrame(rows)
    wide = records.pivot(index="patient", columns="target", values="label").reindex(columns=TARGETS)
    files = tuple(Path(f"{number}.jpg") for number in range(2 * studies))
    return GradedSlices(records, files, wide, Located("small", "phantom", folder, "rsna_lumbar_t1"))


@pytest.fixture
def setup(tmp_path: Path) -> plan.Setup:
    return plan.Setup(slices(30, tmp_path), resolve(CHAPTER, {"resamples": 20}))


@pytest.fixture
def results(setup: plan.Setup) -> Results:
    return Results(CHAPTER, setup.p.model_dump(), setup.slices.located, grades(GRADES))


def table(setup: plan.Setup, seeds: int = 0, seed: int = 0) -> pd.DataFrame:
    """Predictions of the test annotations by chance, of so many seeds below each other."""
    test = setup.slices.records.iloc[setup.slices.rows("test")]
    tables = []
    for number in range(max(seeds, 1)):
        found = test[["record_id", "patient", "target"]].assign(y_true=test["label"])
        found[[f"prob_{grade}" for grade in GRADES]] = np.random.default_rng(seed + number).dirichlet(
            [1, 1, 1], len(test)
        )
        tables.append(found.assign(repeat=number) if seeds else found)
    return pd.concat(tables, ignore_index=True)


def test_the_data_are_counted_and_the_grades_of_each_level_are_shares(results: Results, setup: plan.Setup):
    experiments.data(results, setup)
    found = results.experiments["data"]
    assert (found["studies"], found["annotations"], found["slices"], found["test"]) == (30, 300, 60, 6)
    assert all(sum(shares.values()) == pytest.approx(1) for shares in found["shares"].values())
    assert found["shares"]["l5_s1"]["Severe"] == pytest.approx(5 / 30)


def test_the_numbers_that_the_write_up_states_follow_without_any_table(results: Results):
    experiments.tables(results, None)
    found = results.experiments["arithmetic"]
    assert found["best_accuracy"] == pytest.approx(reported_values(CHAPTER)["said_best_accuracy"])
    assert not [name for name in found if name.startswith("below_")]


def test_each_step_is_judged_and_compared_with_the_one_before_whatever_its_seeds(results: Results, setup: plan.Setup):
    ladder = {
        "prior": table(setup, seed=1),
        "prior_level": table(setup, seed=2),
        "annotated_level": table(setup, seed=3),
        "fine_tuned": table(setup, seeds=2, seed=4),
        "fine_tuned_averaged": table(setup, seed=6),
    }
    experiments.judge_ladder(results, ladder)
    loss = {name: results.metrics[f"{name}.weighted_log_loss"].value for name in ladder}
    for name, (first, second) in {
        "level_without_pixels": ("prior", "prior_level"),
        "fine_tuning": ("annotated_level", "fine_tuned"),
        "three_seeds": ("fine_tuned", "fine_tuned_averaged"),
    }.items():
        assert results.metrics[f"{name}.weighted_log_loss"].value == pytest.approx(loss[second] - loss[first])
    assert "fine_tuned_at_l5_s1.macro_auroc" in results.metrics
    assert "slice_beside_fine_tuning.weighted_log_loss" not in results.metrics


def test_the_grid_holds_out_the_studies_that_all_other_parts_hold_out(setup: plan.Setup):
    graded = plan.grid_table(setup)
    records = setup.slices.records
    (train, test), held = graded.folds[0], set(records.loc[records["split"] == "test", "patient"])
    assert set(graded.patient[test]) == held and not set(graded.patient[train]) & held
    assert graded.targets == plan.FORAMINA and graded.y.shape == (30, 10)


def test_a_study_is_the_mean_of_its_slices_in_the_order_of_the_studies(setup: plan.Setup):
    features = np.arange(60, dtype=np.float32)[:, None]
    assert setup.by_study(features).ravel().tolist() == [2 * study + 0.5 for study in range(30)]
    assert setup.studies.tolist() == [str(study) for study in range(30)]


def test_configurations_and_axes_are_kept_by_the_names_that_the_claims_have(results: Results, setup: plan.Setup):
    cells = [cell for cell in grid.REPORTED if cell.name in ("gsl_rn50_svc_512", "hist_rn50_svc_512")]
    axes = experiments.judge_grid(results, cells, {cell.name: table(setup, seed=9) for cell in cells})
    assert axes == ["preprocessing"]
    assert results.metrics["axis_preprocessing.macro_auroc"].value == pytest.approx(0)
    assert "grid_gsl_rn50_svc_512.accuracy" in results.metrics
    assert results.experiments["grid"]["configurations"] == 2
