"""The grid: its cells, folds by patient, what is kept, and what an axis is worth."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings import classifiers, grid
from medutils.chapters.lumbar_embeddings.grid import Cell
from medutils.data.lumbar import GRADES
from medutils.errors import InputError
from medutils.evaluation import compare
from medutils.evaluation import grades as task_of

STUDIES = [f"s{number}" for number in range(40)]
TARGETS = ["left_l4", "right_l4"]


def some_grades() -> pd.DataFrame:
    drawn = np.random.default_rng(1).choice(GRADES, (len(STUDIES), 2), p=[0.5, 0.3, 0.2]).astype(object)
    drawn[:7, 0] = None
    return pd.DataFrame(drawn, index=STUDIES, columns=TARGETS)


def test_the_reported_table_has_42_configurations_not_the_full_product() -> None:
    assert len(set(grid.REPORTED)) == 42
    assert Counter(cell.recipe for cell in grid.REPORTED) == {
        "svc": 12, "lgbm": 6, "xgboost": 6, "bagging": 6, "ann_wls": 6, "ann_ns": 6,
    }  # fmt: skip
    assert {cell.recipe for cell in grid.REPORTED if cell.values == 2048} == {"svc"}
    assert {(cell.values, cell.embedder) for cell in grid.LITE0} == {(1280, "lite0"), (512, "lite0")}
    assert {cell.recipe for cell in [*grid.REPORTED, *grid.LITE0]} <= set(classifiers.RECIPES)
    assert set(grid.SLOWEST) <= set(classifiers.RECIPES)


def test_cells_are_named_as_the_reported_rows() -> None:
    from medutils.evidence import reported_values

    told = reported_values("lumbar_embeddings")
    assert all(f"{cell.name}_accuracy" in told for cell in grid.REPORTED)


def test_no_patient_is_on_both_sides_and_every_row_is_held_out_once() -> None:
    patient = [study[:-1] or study for study in STUDIES]
    record = [f"{study}/1" for study in STUDIES]
    table = grid.graded(some_grades(), patient, record, folds=4)
    for train, test in table.folds:
        assert not set(table.patient[train]) & set(table.patient[test])
    assert sorted(np.concatenate([test for _, test in table.folds])) == list(range(40))
    (train, test), = table.split({patient[0]}).folds  # fmt: skip
    assert set(table.patient[test]) == {patient[0]} and patient[0] not in table.patient[train]
    with pytest.raises(InputError, match="held out"):
        table.split(["nobody"])
    with pytest.raises(InputError, match="folds"):
        grid.graded(some_grades().head(3))


def test_a_cell_predicts_graded_cells_alone_is_kept_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    table = grid.graded(some_grades(), folds=2, seed=1)
    x = np.random.default_rng(2).normal(size=(40, 6))
    x[:, :3] += 3 * np.eye(3)[np.maximum(table.y[:, 1], 0)]
    cells = [Cell(pixels, "lite0", 6, "svc") for pixels in grid.PREPROCESSING] + [Cell("gsl", "rn50", 6, "svc")]
    features = {("gsl", "lite0", 6): x, ("hist", "lite0", 6): -x}
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(grid, "each_apart", here)
    found = grid.run(features, table, cells, progress=lambda *step: steps.append(step))
    assert list(found) == ["gsl_lite0_svc_6", "hist_lite0_svc_6"] and steps == [(1, 2), (2, 2)]
    rows = found["gsl_lite0_svc_6"]
    assert len(rows) == 80 - 7 and not rows.query("target == 'left_l4'")["record_id"].isin(STUDIES[:7]).any()
    said = rows[[f"prob_{grade}" for grade in GRADES]].to_numpy().argmax(axis=1)
    right = rows["y_true"].map(GRADES.index) == said
    assert right[rows["target"] == "right_l4"].mean() > 0.7
    monkeypatch.setattr(grid, "held_out", lambda *given: pytest.fail("it was kept"))
    pd.testing.assert_frame_equal(grid.run(features, table, cells)["gsl_lite0_svc_6"], rows)


@pytest.mark.slow
def test_two_processes_give_what_one_gives() -> None:
    table = grid.graded(some_grades(), folds=2, seed=5)
    x = np.random.default_rng(3).normal(size=(40, 6))
    cells = [Cell("gsl", "lite0", 6, "ann_ns"), Cell("gsl", "lite0", 6, "svc")]
    found = grid.run({("gsl", "lite0", 6): x}, table, cells, seed=1)
    for cell in cells:
        here_found = table.predictions(grid.held_out(x, table, cell.recipe, seed=1))
        columns = [f"prob_{grade}" for grade in GRADES]
        np.testing.assert_allclose(found[cell.name][columns], here_found[columns], atol=1e-6)


def here(work, alone=False):
    for piece in work:
        piece()
        yield


def test_embeddings_of_other_rows_are_refused() -> None:
    table = grid.graded(some_grades(), folds=2)
    with pytest.raises(InputError, match="gsl_lite0_ann_ns: found embeddings 39 x 6; expected 40 x 6"):
        grid.run({("gsl", "lite0", 6): np.zeros((39, 6))}, table, [Cell("gsl", "lite0", 6, "ann_ns")])


def test_the_first_512_values_are_cut_from_longer_ones() -> None:
    found = grid.cut({("gsl", "rn50"): np.zeros((3, 2048)), ("gsl", "mn152"): np.zeros((3, 512))})
    assert {name: x.shape[1] for name, x in found.items()} == {
        ("gsl", "rn50", 2048): 2048, ("gsl", "rn50", 512): 512, ("gsl", "mn152", 512): 512,
    }  # fmt: skip


def test_every_axis_pairs_cells_that_differ_in_it_alone() -> None:
    cells = [*grid.REPORTED, *grid.LITE0]
    for axis, (field, *_) in grid.AXES.items():
        found = list(grid.pairs(axis, cells))
        assert found, axis
        for pair in found:
            assert [name for name in vars(pair[0]) if len({getattr(cell, name) for cell in pair}) > 1] == [field]
    assert len(list(grid.pairs("preprocessing", grid.REPORTED))) == 21


def test_an_axis_is_worth_the_mean_difference_of_its_pairs() -> None:
    table = grid.graded(some_grades(), folds=2)
    right, wrong = np.eye(3)[np.maximum(table.y, 0)], np.eye(3)[(np.maximum(table.y, 0) + 1) % 3]
    cells = [Cell(pixels, "lite0", 512, recipe) for pixels in grid.PREPROCESSING for recipe in ("svc", "ann_ns")]
    found = {cell.name: table.predictions(right if cell.name == "hist_lite0_svc_512" else wrong) for cell in cells}
    first, second = grid.along("preprocessing", cells, found)
    assert compare(first, second, task_of(GRADES), "test", resamples=20)["accuracy"].value == 0.5
    with pytest.raises(InputError, match="trees"):
        grid.along("trees", cells, found)
