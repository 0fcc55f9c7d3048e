"""Kept replicas are those that were trained, and are not trained again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medutils.training import kept_replicas
from medutils.training.kept_replicas import CURVES
from medutils.training.loop import Settings
from medutils.training.replicas import fit_replicas

SETTINGS = Settings(epochs=3, hidden=4)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), RNG.integers(2, size=40)
COLUMNS = np.array([[True, True, False], [True, True, True]])
ROWS = ([np.arange(30), np.arange(5, 35)], [np.arange(30, 40), np.arange(5)])


def test_they_are_what_was_trained_and_a_second_call_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("medutils.cache.cache_dir", lambda: tmp_path)
    trained = fit_replicas(X, Y, *ROWS, [1, 2], SETTINGS, COLUMNS)
    first = kept_replicas.kept_replicas(X, Y, *ROWS, [1, 2], SETTINGS, COLUMNS)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    second = kept_replicas.kept_replicas(X, Y, *ROWS, [1, 2], SETTINGS, COLUMNS)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")} == made
    for kept in (first, second):
        np.testing.assert_array_equal(kept.predict(X), trained.predict(X))
        for name in CURVES:
            np.testing.assert_array_equal(getattr(kept, name), getattr(trained, name))


@pytest.mark.parametrize(
    "other",
    [
        {"seeds": [1, 3]},
        {"settings": replace(SETTINGS, dropout=0.2)},
        {"columns": None},
        {"x": X + 1},
        {"train_rows": ROWS[0][::-1]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_a_training_rests_on_is_in_its_key(other: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("medutils.cache.cache_dir", lambda: tmp_path)
    given = {"x": X, "y": Y, "train_rows": ROWS[0], "validation_rows": ROWS[1], "seeds": [1, 2]}
    given |= {"settings": SETTINGS, "columns": COLUMNS}
    kept_replicas.kept_replicas(**given)
    kept_replicas.kept_replicas(**{**given, **other})
    assert len(list(tmp_path.rglob("*.pt"))) == 2
