"""SPIDER's mid-sagittal slices and gradings, real and drawn."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from medutils.data.phantoms.spider import make_spider
from medutils.data.spider import GRADED, load_spider, open_spider, read_gradings
from medutils.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "spider_midsagittal"
    folder.mkdir()
    make_spider(folder, patients=8)
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "own"))


def test_discs_come_with_their_gradings_and_their_patient(made: Path) -> None:
    found = open_spider(str(made))
    discs = found.discs
    assert len(discs) == 8 * 7 and set(GRADED) | {"sex", "manufacturer", "field_strength"} <= set(discs)
    assert list(discs["record_id"]) == list(discs["patient"] + ":" + discs["disc"].astype(str))
    assert set(discs["sex"]) == {"F", "M"} and set(discs["field_strength"]) == {1.5, 3.0}
    assert found.located.kind == "phantom" and found.skipped == ()
    assert discs["pfirrmann_grade"].between(1, 5).all() and discs["pfirrmann_grade"].nunique() >= 3
    assert discs.groupby("pfirrmann_grade")["disc_narrowing"].mean().is_monotonic_increasing


def test_pixels_are_of_the_patients_who_have_the_series(own: Path) -> None:
    (own / "images/3_t1.jpg").unlink()
    found = open_spider(str(own))
    patients, pixels = found.pixels("t1", 40)
    assert patients == ("1", "2", "4", "5", "6", "7", "8")
    assert pixels.dtype == torch.uint8 and pixels.shape == (7, 40, 40)
    assert set(found.series) == {"t1", "t2"} and len(found.series["t2"]) == 8


def test_what_cannot_be_used_is_named(own: Path) -> None:
    (own / "images/1_t1.jpg").unlink()
    (own / "images/1_t2.jpg").write_bytes(b"no picture")
    shutil.copy(own / "images/2_t1.jpg", own / "images/2_t9.jpg")
    table = pd.read_csv(own / "radiological_gradings.csv")
    table[table["Patient"] != 8].to_csv(own / "radiological_gradings.csv", index=False)
    found = open_spider(str(own))
    assert [where for where, _ in found.skipped] == ["images/1_t2.jpg", "images/2_t9.jpg", "1", "8"]
    assert sorted(set(found.discs["patient"])) == ["2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Pfirrman grade", "6", "line 2: pfirrmann_grade is '6'; expected a whole number of 0 to 5"),
        ("Disc bulging", "yes", "line 2: disc_bulging is 'yes'; expected a number"),
        ("IVD label", "2", "disc 2 of patient 1 comes twice"),
    ],
)
def test_a_grading_that_is_none_is_refused(own: Path, column: str, value: str, said: str) -> None:
    path = own / "radiological_gradings.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=said):
        open_spider(str(own))


def test_a_folder_without_pictures_is_refused(own: Path) -> None:
    shutil.rmtree(own / "images")
    with pytest.raises(InputError, match=r"images: found no picture; expected <patient>_<t1 or t2 or t2_SPACE>\.jpg"):
        open_spider(str(own))


@pytest.mark.real
def test_the_real_gradings(real_data: Path) -> None:
    found = open_spider()
    assert len(found.discs) == 1_231 and found.discs["patient"].nunique() == 177 and found.skipped == ()
    assert {kind: len(of_kind) for kind, of_kind in found.series.items()} == {"t1": 159, "t2": 169, "t2_SPACE": 34}
    assert set(found.discs["sex"]) == {"F", "M"} and found.discs["field_strength"].notna().all()
    records = load_spider(real_data / "spider_midsagittal").records
    assert records["label"].value_counts().sort_index().tolist() == [229, 283, 332, 243, 144]
    assert len(read_gradings(real_data / "spider_midsagittal/radiological_gradings.csv")) == 1_231
