"""Measures of the trials: which grades count as found, pairs on the same patients, and what could have been shown."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medutils.chapters.lumbar_fusion import ablation
from medutils.chapters.lumbar_fusion.ablation import Cell
from medutils.evaluation import Estimate
from medutils.training.fused import FusedSet
from medutils.training.fused_sets import PFIRRMANN
from medutils.training.fusion_trials import AS_IS, Found

STUDIES = 40


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def found() -> Found:
    """A network that knows all, and one that knows nothing; the first target has five grades."""
    rng = np.random.default_rng(0)
    y = np.stack([rng.integers(0, 5, STUDIES), rng.integers(0, 2, STUDIES)], 1)
    mask = torch.ones(STUDIES, 2, 1, dtype=torch.bool)
    names = tuple(f"p{number}" for number in range(STUDIES))
    classes = (PFIRRMANN, ("absent", "present"))
    data = FusedSet(
        ("t1", "t2"), names, torch.zeros(STUDIES, 2, 1, 3), mask, y, ("a_1", "b_1"), classes, ("a", "b"), "lite0"
    )
    knows = 0.9 * np.eye(5, dtype=np.float32)[y] + 0.1 / np.array([[5], [2]])
    knows[:, 1, 2:] = 0
    guesses = np.array([[[0.2] * 5, [0.5, 0.5, 0, 0, 0]]], np.float32).repeat(STUDIES, 0)
    half = knows.copy()
    half[::2] = np.nan
    shares = {("sets", "knows", AS_IS): knows, ("sets", "guesses", AS_IS): guesses, ("sets", "knows", "t1"): half}
    fold = np.arange(STUDIES)[None] % 2
    return Found(data, {cell: one[None].astype(np.float32) for cell, one in shares.items()}, {}, fold, pd.DataFrame())


def test_worn_discs_and_findings_are_there_or_not() -> None:
    table = ablation.pooled(found(), Cell("sets", "knows", AS_IS))
    first = table[table["record_id"].str.endswith("a_1")]
    worn = [f"p{row}" for row in range(STUDIES) if found().data.y[row, 0] >= 3]
    assert set(first.loc[first["y_true"] == "present", "patient"]) == set(worn)
    assert (first.set_index("patient").loc[worn, "prob_present"] > 0.9).all()


def test_what_knows_all_is_measured_beside_what_guesses() -> None:
    cells = [Cell("sets", name, AS_IS) for name in ("knows", "guesses")]
    areas = [of["auroc_over_targets"] for of in ablation.measured(found(), cells, 50).values()]
    assert [one.value for one in areas] == [1.0, 0.5] and [one.n for one in areas] == [STUDIES] * 2
    each = ablation.by_finding(found(), cells[0], 50)
    assert each["a"]["kappa_linear"].value == 1 and each["b"]["auroc_over_targets"].value == 1


def test_differences_are_taken_on_the_patients_of_both() -> None:
    pair = (Cell("sets", "knows", "t1"), Cell("sets", "guesses", AS_IS))
    difference = ablation.differences(found(), {"a": pair}, 50)["a"]["auroc_over_targets"]
    assert difference.n == STUDIES // 2 and difference.value == pytest.approx(0.5)


def test_a_wider_interval_shows_larger_differences_only() -> None:
    narrow, wide = (Estimate(0.0, -half, half, 100, "test") for half in (0.0196, 0.0392))
    assert ablation.detectable(narrow) == pytest.approx(0.028)
    assert ablation.detectable(wide) == pytest.approx(2 * ablation.detectable(narrow))
