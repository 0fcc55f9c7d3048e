"""What tells the class without a look at a lung: counts, shares and heat, each on tables that a hand can check."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medutils.chapters.lung_six_class import shortcuts
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.training import baselines

NAN = float("nan")


def films(rows: list[tuple[str, str, str]], classes: tuple[str, ...] = ("TB", "well")) -> Films:
    """Films of (label, source, split), each of a patient of its own."""
    records = pd.DataFrame(rows, columns=["label", "source", "split"])
    name = [f"film{place}" for place in range(len(rows))]
    records = records.assign(record_id=name, patient=name, path=name)
    return Films(records, classes, Located("own", "real", Path("own")))


MIXED = films(
    [("TB", "a", "train")] * 2
    + [("well", "a", "train"), ("well", "a", "validation")]
    + [("well", "b", "train")]
    + [("TB", "a", "test"), ("well", "b", "test"), ("TB", "unknown", "test")]
)


def probabilities(table: pd.DataFrame) -> list[list[float]]:
    return table[["prob_TB", "prob_well"]].round(6).to_numpy().tolist()


def test_who_knows_the_source_says_its_shares_in_training_and_those_of_all_where_it_is_new() -> None:
    found = shortcuts.by_source(MIXED)  # validation films teach too: they choose nothing here
    assert probabilities(found) == [[0.5, 0.5], [0.0, 1.0], [0.4, 0.6]]
    assert found["y_true"].tolist() == ["TB", "well", "TB"]


def test_who_knows_nothing_says_the_shares_of_all() -> None:
    assert probabilities(baselines.majority_baseline(MIXED)) == [[0.4, 0.6]] * 3


def test_a_regression_learns_what_tells_the_class_and_judges_test_films_alone() -> None:
    rows = [(label, "a", side) for side in ("train", "validation", "test") for label in ("TB", "well") * 10]
    given = films(rows)
    told = given.records["label"].eq("TB").to_numpy(dtype=float)
    found = shortcuts.regression(given, np.c_[told, np.zeros(len(told))])
    assert len(found) == 20
    assert shortcuts.called(found, given.classes).tolist() == found["y_true"].tolist()


def test_the_border_the_thumbnail_the_grey_levels_and_the_file_are_looked_at(tmp_path: Path) -> None:
    given = films([(label, "a", side) for side in ("train", "test") for label in ("TB", "well") * 6])
    pixels = np.random.default_rng(0).integers(256, size=(len(given.records), 40, 40), dtype=np.uint8)
    sizes = [(30, 20) if label == "TB" else (20, 30) for label in given.records["label"]]
    paths = [tmp_path / f"{place}.png" for place in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("L", size).save(path)
    given.records["path"] = list(map(str, paths))
    found = shortcuts.without_looking(given, torch.from_numpy(pixels))
    assert list(found) == ["border", "thumbnail", "grey_levels", "file"]
    assert (shortcuts.called(found["file"], given.classes) == found["file"]["y_true"]).all()


@pytest.mark.parametrize(("sources", "right"), [("ab" * 6, 1.0), ("a" * 12, None)])
def test_the_source_of_one_class_is_named_where_there_are_several(sources: str, right: float | None) -> None:
    rows = [("well", source, side) for side in ("train", "test") for source in sources]
    given = films([*rows, ("TB", "c", "train"), ("TB", "c", "test")])
    x = given.records["source"].map({"a": 0.0, "b": 1.0, "c": 5.0}).to_numpy()[:, None]
    found = shortcuts.source_named(given, x, "well", 50, 0)
    assert (found and found.share.value) == right
    assert found is None or (found.commonest == 0.5 and found.share.n == 12)


def test_the_source_of_a_class_without_test_films_is_not_named() -> None:
    given = films([("well", source, "train") for source in "ab"])
    assert shortcuts.source_named(given, np.eye(2), "well", 50, 0) is None


# --- shares -----------------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame({"patient": list("aabbcd"), "right": [True, True, False, False, True, True]})


def test_a_share_has_an_interval_by_patient() -> None:
    found = shortcuts.share(ROWS, 500, 0)
    assert (found.value, found.n, found.split) == (pytest.approx(4 / 6), 4, "test")
    assert 0 <= found.low < found.value < found.high == 1
    assert shortcuts.share(ROWS, 500, 0) == found
    alone = shortcuts.share(ROWS.assign(patient=list("abcdef")), 500, 0)
    assert alone.high - alone.low < found.high - found.low


def test_a_gap_is_that_of_the_first_rows_over_the_others() -> None:
    first = pd.Series([True, True, True, False, False, False])
    found = shortcuts.share_gap(ROWS, first, 500, 0, "validation")
    assert found.value == pytest.approx(2 / 3 - 2 / 3) and found.low < 0 < found.high and found.split == "validation"
    same = shortcuts.share_gap(ROWS.assign(right=True), first, 500, 0, "validation")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert np.isnan(shortcuts.share_gap(ROWS, pd.Series([True] * 6), 50, 0, "validation").value)


# --- heat -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "edge"), [(20, 3), (64, 10), (96, 14)])
def test_what_is_outer_is_a_frame(size: int, edge: int) -> None:
    mask = shortcuts.outer(size)
    assert mask.sum() == size**2 - (size - 2 * edge) ** 2
    assert mask[:edge].all() and mask[:, -edge:].all() and not mask[edge, edge]


def test_heat_is_counted_inside_a_mask_and_a_map_without_any_is_left_out() -> None:
    heat = np.zeros((3, 2, 2), dtype=np.float32)
    heat[0, 0, 0], heat[0, 1, 1], heat[1, 1, 1] = 1, 3, 2
    corner = np.array([[True, False], [False, False]])
    found = shortcuts.mass_inside(heat, corner)
    np.testing.assert_allclose(found, [0.25, 0, NAN])
    np.testing.assert_allclose(shortcuts.mass_inside(heat, np.stack([corner, ~corner, corner])), [0.25, 1, NAN])
    assert shortcuts.mean_of(found) == 0.125
    assert np.isnan(shortcuts.mean_of(np.array([NAN])))


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_chosen_by_what_the_records_say_of_their_films() -> None:
    table = pd.concat([baselines.majority_baseline(MIXED)] * 2, ignore_index=True)
    chosen = {"source": "a", "label": "TB"}
    found = shortcuts.rows_of(table, MIXED.records, chosen)
    assert found["record_id"].tolist() == ["film5", "film5"] and found.index.tolist() == [0, 1]
    assert shortcuts.rows_of(table, MIXED.records, {"source": "none"}).empty
