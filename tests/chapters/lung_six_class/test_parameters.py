"""What the six-class chapter says of films and parameters that it cannot use: one sentence, before any training."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medutils.chapters import get_chapter, resolve
from medutils.chapters.lung_six_class import plan
from medutils.data.phantoms.chest import make_six_class
from medutils.errors import InputError

NAME = "lung_six_class"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_six_class(folder, scale=0.15, size=32)
    return folder


@pytest.fixture
def given(made: Path, tmp_path: Path) -> Path:
    """A copy of a composed set, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "films"))


def opened(data: Path, **more: Any) -> plan.Setup:
    return plan.opened(resolve(NAME, {"data": str(data), **more}, "smoke"))  # type: ignore[arg-type]


def refused(data: Path, **more: Any) -> str:
    """The one sentence with which films or parameters are refused."""
    with pytest.raises(InputError) as caught:
        opened(data, **more)
    said = str(caught.value)
    assert "\n" not in said and "expected" in said
    return said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"comparisons": "redrawn,larger"}, "comparisons: found 'larger'; expected some of redrawn, sources"),
        ({"network": "resnet34"}, "network: found 'resnet34', whose ImageNet weights no package holds"),
        ({"network": "restnet34", "weights": "none"}, "restnet34"),
    ],
)
def test_parameters_are_looked_at_before_the_films(more: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path / "nowhere", **more)
    chapter = get_chapter(NAME)
    with pytest.raises(InputError, match=r"^\S+: found"):
        chapter.find(resolve(NAME, {"data": str(tmp_path / "nowhere"), **more}))


def test_a_class_with_too_few_films_is_named(given: Path) -> None:
    index = pd.read_csv(given / "index.csv")
    of_class = index["label"].eq("TB")
    kept = index[~of_class | ~of_class.duplicated()]
    kept.to_csv(given / "index.csv", index=False)
    said = refused(given)
    assert "found 1 patients of TB" in said and "expected at least" in said


def class_folders(folder: Path, **films: int) -> Path:
    """Plain class folders with so many films each."""
    rng = np.random.default_rng(0)
    for label, count in films.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            film = rng.integers(256, size=(40, 40), dtype=np.uint8)
            Image.fromarray(film).save(folder / label / f"{label}_{number}.png")
    return folder


@pytest.mark.parametrize(
    ("films", "words"), [({"ill": 20, "well": 1}, "found 1 patients of well"), ({"ill": 20, "well": 0}, "well")]
)
def test_a_class_folder_with_one_image_or_none_is_named(films: dict[str, int], words: str, tmp_path: Path) -> None:
    assert words in refused(class_folders(tmp_path / "own", **films))


def test_a_film_that_the_index_names_and_that_is_not_there_is_left_out_and_said(given: Path) -> None:
    gone = pd.read_csv(given / "index.csv")["file"].iloc[0]
    (given / gone).unlink()
    assert opened(given).films.skipped == ((gone, "index.csv names it, but it is not there"),)


def test_an_index_whose_films_are_all_gone_is_refused(given: Path) -> None:
    for name in pd.read_csv(given / "index.csv")["file"]:
        (given / name).unlink()
    assert "index.csv: found none of its" in refused(given)


def test_a_film_that_cannot_be_read_is_left_out_and_named(given: Path) -> None:
    index = pd.read_csv(given / "index.csv")["file"]
    spoilt = index.iloc[len(index) // 2]
    whole = (given / spoilt).read_bytes()
    (given / spoilt).write_bytes(whole[: len(whole) // 2])
    setup = opened(given)
    assert [name for name, _ in setup.films.skipped] == [spoilt]
    assert spoilt not in set(setup.records["record_id"]) and len(setup.records) == len(index) - 1


@pytest.mark.parametrize("classes", [("Normal", "TB"), ("TB", "Viral")])
def test_films_of_one_source_or_of_no_healthy_class_are_taken_and_no_source_is_left_out(
    classes: tuple[str, str], tmp_path: Path
) -> None:
    setup = opened(class_folders(tmp_path / "own", **dict.fromkeys(classes, 30)))
    assert setup.records["source"].nunique() == 1
    assert set(setup.records["split"]) == {"train", "validation", "test"}
    assert plan.COMPARISONS["sources"](setup) == {}
