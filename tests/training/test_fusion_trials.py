"""Trials by fold: nobody is asked of a study that it learned from, and each subset only of those who have it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medutils.errors import InputError
from medutils.tables import check_predictions
from medutils.training import fusion_trials as module
from medutils.training.fused import FusedSet
from medutils.training.fusion import Fitting
from medutils.training.fusion_choice import Setting
from medutils.training.fusion_trials import AS_IS, AT_RANDOM, BEST, LATE, PRIOR, Found, Trials, divided, left_with, run

STUDIES = 24
TRIALS = Trials(
    architectures=("sets",),
    remedies=("nothing", "dynamic"),
    fitting=Fitting(epochs=2, weight_decay=(0.1,)),
    folds=3,
    repeats=2,
    settings=(("features", 3), ("width", 4), ("hidden", 4)),
)


def fused() -> FusedSet:
    rng = np.random.default_rng(0)
    mask = torch.ones(STUDIES, 2, 3, dtype=torch.bool)
    mask[:4, 1], mask[4:6, 0] = False, False
    y = rng.integers(0, 2, (STUDIES, 2))
    y[::7, 1] = -1
    x = torch.randn(STUDIES, 2, 3, 6, generator=torch.Generator().manual_seed(0))
    names = tuple(f"p{number}" for number in range(STUDIES))
    classes, x = (("absent", "present"),) * 2, torch.where(mask[..., None], x, 0)
    return FusedSet(("t1", "t2"), names, x, mask, y, ("q_1", "q_2"), classes, ("q", "q"), "lite0")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patched.setattr(module, "each_apart", lambda work: (piece() for piece in work))
        return run(fused(), TRIALS)


def test_each_subset_is_asked_of_those_who_have_it(found: Found) -> None:
    present = fused().present.numpy()
    for left, asked in {"t1": present[:, 0], "t1+t2": present.all(1), AS_IS: present.any(1)}.items():
        for network in ("dynamic", LATE, BEST, PRIOR):
            said = np.isfinite(found.shares["sets", network, left]).all((0, 2, 3))
            assert (said == asked).all()
    assert np.isnan(found.shares["sets", "trained on t1", "t2"]).all()


def test_series_are_taken_at_random_and_one_is_left() -> None:
    present, left = fused().present.numpy(), left_with(fused())[AT_RANDOM]
    assert left.any(1).all() and not (left & ~present).any() and (left.sum() < present.sum())


def test_folds_hold_each_pattern_and_each_patient_once() -> None:
    data = replace(fused(), patients=tuple(f"p{number // 2}" for number in range(STUDIES)))
    fold = divided(data, 3, 0)
    assert (fold[::2] == fold[1::2]).all()
    alone = ~fused().present[:, 1].numpy()
    assert np.bincount(divided(fused(), 2, 0)[alone]).tolist() == [2, 2]
    assert (divided(data, 3, 0) != divided(data, 3, 1)).any()


def test_late_fusion_is_the_mean_and_the_best_is_one_of_them(found: Found) -> None:
    alone = [found.shares["sets", f"trained on {name}", "t1+t2"] for name in ("t1", "t2")]
    late, best = (found.shares["sets", name, "t1+t2"] for name in (LATE, BEST))
    np.testing.assert_allclose(late, np.mean(alone, 0), rtol=1e-5)
    there = np.isfinite(best).all((2, 3))
    same = [np.isclose(best, one).all((2, 3))[there] for one in alone]
    assert (same[0] | same[1]).all()


def test_the_prior_is_what_training_patients_have(found: Found) -> None:
    data, fold = fused(), found.fold[0]
    for number in range(3):
        y = data.y[fold != number, 0]
        said = found.shares["sets", PRIOR, AS_IS][0, fold == number, 0, 1]
        np.testing.assert_allclose(said, (y.sum() + 1) / (len(y) + 2), rtol=1e-5)


def test_predictions_hold_each_graded_cell_once_a_run(found: Found) -> None:
    table = check_predictions(module.predictions(found, found.shares["sets", "dynamic", AS_IS]))
    assert len(table) == 2 * (fused().y >= 0).sum()
    assert not table.duplicated(["record_id", "repeat"]).any()
    truth = {f"p{row}:q_{place + 1}": fused().y[row, place] for row in range(STUDIES) for place in range(2)}
    assert (table["y_true"] == table["record_id"].map(truth).map({0: "absent", 1: "present"})).all()


def test_a_second_run_trains_nothing(found: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "each_apart", lambda work: (piece() for piece in work))
    trials = replace(TRIALS, repeats=1)
    first, told = run(fused(), trials), list[tuple[int, int]]()
    monkeypatch.setattr(module, "fit_all", None)
    again = run(fused(), trials, lambda done, of: told.append((done, of)))
    assert not told
    np.testing.assert_array_equal(first.shares["sets", "dynamic", "t1"], again.shares["sets", "dynamic", "t1"])


def test_every_fold_takes_one_setting_of_the_grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "each_apart", lambda work: (piece() for piece in work))
    grid = (Setting(2, 0.01), Setting(4, 0.02), Setting(4, 0.03))
    trials = replace(TRIALS, architectures=("sets", "slices"), repeats=1, grid=grid)
    trained = run(fused(), trials).trained
    for _, of_fold in trained.groupby(["fold", "architecture"]):
        taken = set(of_fold[["features", "learning_rate"]].itertuples(index=False, name=None))
        assert len(taken) == 1 and Setting(*taken.pop()) in grid


def test_without_a_grid_networks_have_the_settings_given(found: Found) -> None:
    assert set(found.trained["features"]) == {3} and set(found.trained["learning_rate"]) == {
        TRIALS.fitting.learning_rate
    }


def test_too_few_studies_are_refused() -> None:
    with pytest.raises(InputError, match="data: found 24 studies; expected 26 for 13 folds"):
        run(fused(), replace(TRIALS, folds=13))
