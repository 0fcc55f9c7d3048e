"""The steps from shares to a fine-tuned network: on the same annotations, each beside one that knows less."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.chapters.lumbar_embeddings.ours import PAIRS, frozen_by_studies, ladder
from medutils.data.lumbar import GRADES, LEVELS
from medutils.tables import check_predictions
from medutils.training import workers
from medutils.training.grading import FINE_TUNED, Course, Graded

SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Slices:
    """What the steps need of `GradedSlices`, without files."""

    records: pd.DataFrame

    def pixels(self, size: int) -> Tensor:
        return torch.zeros(self.records["slice"].max() + 1, 1, 1, dtype=torch.uint8)

    def rows(self, split: str) -> NDArray[np.int64]:
        return np.flatnonzero(self.records["split"] == split)


@pytest.fixture
def slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slices:
    """30 studies of two slices with five levels each, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(workers, "cpu_count", lambda: 1)
    draws = np.random.default_rng(0)
    rows = [
        (
            f"s{study}:{side}_{level}",
            f"s{study}",
            draws.choice(GRADES),
            split,
            level,
            f"{side}_{level}",
            2 * study + place,
        )
        for study, split in enumerate(["train"] * 18 + ["validation"] * 6 + ["test"] * 6)
        for (place, side), level in product(enumerate(SIDES), LEVELS)
    ]
    return Slices(pd.DataFrame(rows, columns=["record_id", "patient", "label", "split", "level", "target", "slice"]))


def test_every_step_is_on_the_same_annotations(slices: Slices, tmp_path: Path) -> None:
    embedded = np.random.default_rng(0).standard_normal((60, 4))
    course = Course(FINE_TUNED, slices)  # type: ignore[arg-type]
    logits = {side: torch.randn(12, 5, 3) for side in ("validation", "test")}
    trainings = [Graded(course, pd.DataFrame(), logits, 0.0, tmp_path)] * 2
    found = ladder(slices, embedded, trainings, 0)  # type: ignore[arg-type]
    ids = slices.records.loc[slices.rows("test"), "record_id"].tolist()
    for name, table in found.items():
        seeds = table["repeat"].nunique() if "repeat" in table else 1
        assert check_predictions(table)["record_id"].tolist() == ids * seeds, name
    assert {name for pair in PAIRS.values() for name in pair} <= set(found)
    without = ladder(slices, embedded, [], 0)  # type: ignore[arg-type]
    assert set(found) - set(without) == {"fine_tuned", "fine_tuned_pooled", "fine_tuned_averaged"}


def test_the_frozen_curve_is_by_number_of_studies(slices: Slices) -> None:
    embedded = np.random.default_rng(0).standard_normal((60, 4))
    found = frozen_by_studies(slices, embedded, (6, 18), 0)  # type: ignore[arg-type]
    assert list(found) == [6, 18] and not found[6].equals(found[18])
