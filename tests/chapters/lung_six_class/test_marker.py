"""The exact shortcut: nothing but the letter differs between the films of one patient."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lung_six_class import marker, shortcuts
from medutils.chapters.lung_six_class.marker import CLASSES, CORNERS
from medutils.training.stages import Phase, Stage

SIZE, SEED = 64, 3
ACROSS, DOWN = 0.1, 0.25  # of the side: so far from its place a letter may reach


@pytest.fixture(scope="module")
def some() -> pd.DataFrame:
    """Twenty films of each class."""
    return marker.records(SEED).groupby("label").head(20).reset_index(drop=True)


@pytest.fixture(scope="module")
def shown(some: pd.DataFrame) -> dict[str, np.ndarray]:
    """The same films with the letter of their class, with none, and with another class's."""
    return {how: marker.films(some, SIZE, how, SEED).numpy() for how in ("own", "none", "moved")}  # type: ignore[arg-type]


def near(label: str) -> np.ndarray:
    """Where the letter of a class may be."""
    across, down = CORNERS[label]
    y, x = (np.indices((SIZE, SIZE)) + 0.5) / SIZE
    return (abs(x - across) < ACROSS) & (abs(y - down) < DOWN)


def test_films_differ_in_their_letters_alone(some: pd.DataFrame, shown: dict[str, np.ndarray]) -> None:
    for place, label in enumerate(some["label"]):
        after = CLASSES[(CLASSES.index(label) + 1) % len(CLASSES)]
        for how, seen_as in (("own", label), ("moved", after)):
            changed = shown[how][place] != shown["none"][place]
            assert changed.any() and not changed[~near(seen_as)].any()


def test_the_three_letters_are_apart() -> None:
    assert max(sum(near(label).astype(int) for label in CLASSES).ravel()) == 1


def test_every_film_is_another_patients_and_a_seed_draws_others(
    some: pd.DataFrame, shown: dict[str, np.ndarray]
) -> None:
    assert len({film.tobytes() for film in shown["none"]}) == len(some)
    assert not (marker.films(some, SIZE, "none", SEED + 1).numpy() == shown["none"]).all((1, 2)).any()


def test_lungs_are_where_a_film_is_dark(some: pd.DataFrame, shown: dict[str, np.ndarray]) -> None:
    lungs = marker.lungs(some, SIZE, SEED)
    assert lungs.shape == shown["none"].shape and lungs.dtype == bool
    assert 0.1 < lungs.mean() < 0.6
    body = ~shortcuts.outer(SIZE)  # beside it there is air
    inside, outside = (shown["none"][mask & body].mean() for mask in (lungs, ~lungs))
    assert inside + 40 < outside


def test_hardly_a_letter_lies_on_a_lung(some: pd.DataFrame, shown: dict[str, np.ndarray]) -> None:
    letters = (shown["own"] != shown["none"]) | (shown["moved"] != shown["none"])
    assert marker.lungs(some, SIZE, SEED)[letters].mean() < 0.05


def test_patients_are_in_one_split_each_and_classes_alike() -> None:
    table = marker.records(SEED)
    assert table["patient"].is_unique
    counts = pd.crosstab(table["label"], table["split"])
    assert counts.index.tolist() == sorted(CLASSES)
    assert all(set(counts[split]) == {films} for split, films in marker.PARTS.items())


def test_a_course_has_the_films_with_their_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marker, "PARTS", {"train": 2, "validation": 1, "test": 1})
    found = marker.course(Stage(32, (Phase(1, True, 1e-3),)), "own", SEED)
    assert found.classes == CLASSES and len(found.records) == len(found.x) == 12
    assert (found.x == marker.films(found.records, 32, "own", SEED)).all()
