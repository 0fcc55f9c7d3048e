"""What graded slices tell without a fine-tuned network: shares by level, and regressions that know more or less."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from medutils.data.lumbar import GRADES, LEVELS
from medutils.evaluation import evaluate, grades
from medutils.training import workers
from medutils.training.grade_baselines import (
    Fit,
    Knows,
    noise,
    on_annotated,
    on_studies,
    prior,
    regression,
    regressions,
)

COLUMNS = [f"prob_{name}" for name in GRADES]


@dataclass(frozen=True, eq=False)
class Slices:
    """What a baseline needs of `GradedSlices`, without files."""

    records: pd.DataFrame

    def rows(self, split: str) -> NDArray[np.int64]:
        return np.flatnonzero(self.records["split"] == split)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(workers, "cpu_count", lambda: 1)


@pytest.fixture
def slices() -> Slices:
    """60 studies of two slices with five levels each; the lower the level, the worse, and the slice turns it round."""
    rows = []
    for place in range(120):
        study, side = f"s{place // 2:02d}", ("left", "right")[place % 2]
        split = "train" if place < 80 else "validation" if place < 96 else "test"
        for number, level in enumerate(LEVELS):
            target = f"{side}_neural_foraminal_narrowing_{level}"
            worse = (number // 2 + place // 2) % 3 if place % 3 else number // 2
            rows.append((f"{study}:{target}", study, GRADES[worse], split, level, target, place))
    names = ["record_id", "patient", "label", "split", "level", "target", "slice"]
    return Slices(pd.DataFrame(rows, columns=names))


def test_the_prior_is_the_weighted_shares_of_the_level(slices: Slices) -> None:
    records = slices.records
    train = records[records["split"] == "train"]
    table = prior(slices)  # type: ignore[arg-type]
    assert table["y_true"].tolist() == records.loc[records["split"] == "test", "label"].tolist()
    times = train.loc[train["level"] == "l5_s1", "label"].value_counts() * pd.Series(
        dict(zip(GRADES, (1, 2, 4), strict=True))
    )
    found = table[table["target"].str.endswith("l5_s1")][COLUMNS].drop_duplicates()
    np.testing.assert_allclose(found, [times[list(GRADES)] / times.sum()])
    assert len(prior(slices, by_level=False)[COLUMNS].drop_duplicates()) == 1  # type: ignore[arg-type]


def test_a_level_that_training_lacks_has_the_shares_of_all(slices: Slices) -> None:
    records = slices.records
    lacking = records.assign(
        split=records["split"].mask((records["split"] == "train") & (records["level"] == "l1_l2"), "")
    )
    one, all_ = (prior(Slices(lacking), by_level) for by_level in (True, False))  # type: ignore[arg-type]
    rows = one["target"].str.endswith("l1_l2")
    assert one[rows][COLUMNS].equals(all_[rows][COLUMNS])


def test_the_prior_has_the_lowest_weighted_loss_of_all_constants(slices: Slices) -> None:
    """Where test and training are the same annotations no other constant is better."""
    same = pd.concat([slices.records.assign(split=split) for split in ("train", "test")], ignore_index=True)
    table = prior(Slices(same), by_level=False)  # type: ignore[arg-type]

    def loss(shares: NDArray[np.float64]) -> float:
        told = table.assign(**dict(zip(COLUMNS, shares, strict=True)))
        return evaluate(told, grades(GRADES, (1, 2, 4)), "test", resamples=2)["weighted_log_loss"].value

    best = table[COLUMNS].iloc[0].to_numpy()
    for step in np.array([[0.02, -0.02, 0], [0, 0.02, -0.02], [-0.02, 0, 0.02]]):
        assert loss(best) < loss(best + step) and loss(best) < loss(best - step)


def test_embeddings_are_given_to_annotations(slices: Slices) -> None:
    """Of the annotated slice, or the mean of the study, in which a slice with five annotations counts once."""
    records = slices.records.drop(index=range(1, 5)).reset_index(drop=True)  # of the first slice one annotation is left
    embedded = np.arange(120.0)[:, None] ** 2
    own, mean = (of(Slices(records), embedded)[:, 0] for of in (on_annotated, on_studies))  # type: ignore[operator]
    assert own.tolist() == (records["slice"] ** 2).tolist()
    assert set(mean[:6]) == {0.5} and mean[-1] == (118**2 + 119**2) / 2


def test_noise_is_one_draw_a_slice(slices: Slices) -> None:
    drawn = noise(slices, 4)  # type: ignore[arg-type]
    assert drawn.shape == (len(slices.records), 4)
    assert pd.DataFrame(drawn).groupby(slices.records["slice"]).nunique().eq(1).all(axis=None)
    assert np.array_equal(drawn, noise(slices, 4)) and not np.array_equal(drawn, noise(slices, 4, seed=1))  # type: ignore[arg-type]


def loss_of(table: pd.DataFrame) -> float:
    return evaluate(table, grades(GRADES, (1, 2, 4)), "test", resamples=2)["weighted_log_loss"].value


def test_who_knows_more_says_better(slices: Slices) -> None:
    """Nothing, the level, and each level apart, where what a slice shows means another grade at every level."""
    place = slices.records["slice"].to_numpy()
    shown = np.eye(9)[place % 3 * 3 + place // 2 % 3]
    knows: tuple[Knows, ...] = ("nothing", "level", "level apart")
    fits = {one: Fit(slices, 100 * shown, one) for one in knows}  # type: ignore[arg-type]
    told: list[tuple[int, int]] = []
    losses = [loss_of(table) for table in regressions(fits, lambda *done: told.append(done)).values()]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.8 * losses[0]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_noise_with_the_level_comes_to_the_prior(slices: Slices) -> None:
    table = regression(Fit(slices, noise(slices, 8)))  # type: ignore[arg-type]
    assert loss_of(table) == pytest.approx(loss_of(prior(slices)), rel=0.1)  # type: ignore[arg-type]


def test_test_annotations_choose_nothing(slices: Slices) -> None:
    """With other grades of the test annotations every probability is the same."""
    other = slices.records.assign(label=slices.records["label"].mask(slices.records["split"] == "test", GRADES[0]))
    features = noise(slices, 8)  # type: ignore[arg-type]
    one, two = (regression(Fit(of, features))[COLUMNS] for of in (slices, Slices(other)))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one, two)
