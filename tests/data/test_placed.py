"""Slices of studies that nobody marked: where they are taken, and what is left out."""

import shutil
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from medutils.data.graded_slices import open_slices
from medutils.data.lumbar import LEVELS, load_coordinates, read_slice
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.placed import BESIDE_MM, placed
from medutils.data.slices import COORDINATES, TREE, cut_slices
from medutils.data.studies import open_studies
from medutils.errors import InputError

SIDES = ("left_neural_foraminal_narrowing", "right_neural_foraminal_narrowing")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "studies"
    make_rsna(folder, studies=8, size=64)
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A clinic's own folder: a folder of DICOM files a study, and a table of some of the grades."""
    folder = tmp_path / "clinic"
    shutil.copytree(made / TREE, folder)
    table = pd.read_csv(made / "train.csv", dtype={"study_id": str})
    columns = [f"{side}_{level}" for side in SIDES for level in LEVELS]
    table[["study_id", *columns]].to_csv(folder / "grades.csv", index=False)
    return folder


def t1_of(folder: Path) -> pd.Series:
    series = open_studies(str(folder)).series
    return series[series["description"] == "Sagittal T1"].iloc[0]


def test_left_is_the_patients_left_and_lies_beside_the_middle(own: Path):
    wanted = placed(own).annotations
    assert len(wanted) == 8 * 10 and set(wanted["condition"]) == set(SIDES)
    for study, rows in wanted.groupby("study_id"):
        left, right = (read_slice(own / rows.loc[rows["condition"] == side, "dicom"].iloc[0]) for side in SIDES)
        assert left.centre[0] > right.centre[0], study
        apart = left.centre[0] - right.centre[0]
        assert apart == pytest.approx(2 * BESIDE_MM, abs=8)


def test_the_slices_lie_where_the_challenge_marked_them(made: Path, own: Path):
    marked = load_coordinates(made)
    marked = marked[marked["condition"].isin(SIDES)]
    wanted = placed(own).annotations
    both = wanted.merge(marked, on=["study_id", "series_id", "condition", "level"], suffixes=("", "_marked"))
    assert len(both) and (both["instance_number"] - both["instance_number_marked"]).abs().median() <= 2


def test_a_folder_of_studies_with_grades_is_opened_and_says_how_its_slices_were_taken(own: Path):
    found = open_slices(str(own))
    assert found.records["patient"].nunique() == 8 and len(found.files) == 16
    assert any("beside the middle" in note for note in found.notes)


def test_what_cannot_be_used_is_named_and_left_out(own: Path, tmp_path: Path):
    folders = sorted(path for path in own.iterdir() if path.is_dir())
    no_t1, single, unknown, absent = folders[:4]
    series = open_studies(str(own)).series
    t1 = series[series["description"] == "Sagittal T1"].set_index("study_id")["slices"]
    shutil.rmtree(t1[no_t1.name][0].parent)
    for path in t1[single.name][1:]:
        path.unlink()
    unknown.rename(own / "nobody")
    shutil.rmtree(absent)
    cut = cut_slices(own, tmp_path / "out")
    said = dict(cut.skipped)
    assert said[no_t1.name] == "has no Sagittal T1 series"
    assert "has 1 slices" in next(why for where, why in said.items() if where.startswith(single.name))
    assert "has no such study" in said["nobody"]
    assert any(absent.name in note for note in cut.notes)
    assert not any(note.startswith("Left out") for note in cut.notes)
    assert len(pd.read_csv(tmp_path / "out" / "index.csv")["study_id"].unique()) == 4


def test_two_studies_of_one_name_are_left_out(own: Path):
    first, second = sorted(path for path in own.iterdir() if path.is_dir())[:2]
    for path in second.rglob("*.dcm"):
        header = pydicom.dcmread(path)
        header.StudyInstanceUID = pydicom.dcmread(next(first.rglob("*.dcm"))).StudyInstanceUID
        header.save_as(path)
    assert any("again, by its StudyInstanceUID" in why for _, why in placed(own).skipped)


def test_all_grades_missing_is_one_sentence(own: Path):
    table = pd.read_csv(own / "grades.csv", dtype=str)
    table.iloc[:, 1:] = ""
    table.to_csv(own / "grades.csv", index=False)
    with pytest.raises(InputError, match=r"with 0 grades; expected"):
        open_slices(str(own))


def test_neither_slices_nor_studies_is_one_sentence(tmp_path: Path):
    with pytest.raises(InputError, match=r"found neither index.csv nor train_images nor grades.csv; expected"):
        open_slices(str(tmp_path))


def test_coordinates_are_used_where_they_are(made: Path):
    assert list(made.glob(COORDINATES)) and not any(
        "beside the middle" in note for note in open_slices(str(made)).notes
    )
