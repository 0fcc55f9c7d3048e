"""Whole DICOM studies: the challenge's own tree and folders of one's own, with all that can be odd in them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch

from medutils.data.lumbar import SERIES, TARGETS
from medutils.data.mri import equalised, read_grey
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.splits import save_split
from medutils.data.studies import Studies, open_studies
from medutils.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "rsna_lumbar"
    folder.mkdir()
    make_rsna(folder, studies=6, size=32)
    return folder


@pytest.fixture(scope="module")
def found(made: Path) -> Studies:
    return open_studies(str(made))


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "rsna_lumbar"))


def of(study: Path, kind: str) -> Path:
    """The folder of a study's series whose description begins so (`T1`, `T2`, `STIR`)."""
    return next(
        folder
        for folder in sorted(study.iterdir())
        if pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesDescription.startswith(kind)
    )


def changed(path: Path, **tags: object) -> None:
    data = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)


# --- the challenge's own tree -----------------------------------------------------------------------------------------


def test_the_tree_gives_each_series_in_place_order_and_the_grades(made: Path, found: Studies) -> None:
    described = pd.read_csv(made / "train_series_descriptions.csv", dtype=str)
    series = found.series
    assert len(series) == len(described) and set(series["description"]) == set(SERIES)
    told = described.set_index(["study_id", "series_id"])["series_description"]
    assert all(told[row.study_id, row.series_id] == row.description for row in series.itertuples())
    assert all(np.all(np.diff(places) > 0) for places in series["position_mm"])
    assert series["slices"].map(len).equals(series["position_mm"].map(len))
    assert list(found.grades) == list(TARGETS) and len(found.grades) == 6
    assert len(found.records) == found.grades.count().sum() and found.notes == found.skipped == ()
    assert series.groupby("study_id")["description"].first().eq("Sagittal T1").all()


def test_pixels_are_those_of_each_slice_in_order(found: Studies) -> None:
    pixels = found.pixels(24)
    assert pixels.dtype == torch.uint8 and pixels.shape == (len(found.files), 24, 24)
    row = found.series.iloc[4]
    volume = found.volume(4, 24)
    assert torch.equal(volume, pixels[row["first"] : row["first"] + len(row["slices"])])
    assert np.array_equal(volume[2].numpy(), read_grey(row["slices"][2], 24))
    assert torch.equal(found.pixels(24, "hist"), torch.from_numpy(equalised(pixels.numpy())))
    assert torch.equal(found.volume(4, 24, "hist"), torch.from_numpy(equalised(volume.numpy())))
    assert np.array_equal(found.volume(4, 24, "clipped")[0].numpy(), read_grey(row["slices"][0], 24, "clipped"))
    assert len({found.fingerprint(24), found.fingerprint(25), found.fingerprint(24, "clipped")}) == 3


def test_studies_are_divided_whole_and_a_given_split_stays(made: Path, found: Studies, tmp_path: Path) -> None:
    held = found.hold_out(2, 0.25, 1)
    sides = held.records.groupby("patient")["split"].unique().map(tuple)
    assert sorted(sides) == [("test",)] * 2 + [("train",)] * 3 + [("validation",)]
    save_split(held.records, tmp_path / "split.json")
    given = open_studies(str(made), split=str(tmp_path / "split.json"))
    assert given.hold_out(1, 0.5, 7).records["split"].tolist() == held.records["split"].tolist()


# --- a folder of one's own --------------------------------------------------------------------------------------------


def test_a_folder_of_dicom_studies_with_a_table_of_grades(tree: Path, tmp_path: Path, found: Studies) -> None:
    own = tmp_path / "own"
    for number, study in enumerate(sorted((tree / "train_images").iterdir())):
        (own / f"case {number}").mkdir(parents=True)
        for place, path in enumerate(sorted(study.rglob("*.dcm"))):
            shutil.copy(path, own / f"case {number}/IM{place:04}")
    names = {study.name: f"case {number}" for number, study in enumerate(sorted((tree / "train_images").iterdir()))}
    table = pd.read_csv(tree / "train.csv", dtype=str, usecols=["study_id", *TARGETS[:3]])
    table["study_id"] = table["study_id"].map(names)
    table.assign(remark="none").to_csv(own / "grades.csv", index=False)
    read = open_studies(str(own))
    assert read.located.name == "own" and set(read.grades.index) == set(names.values())
    assert read.grades[[*TARGETS[3:]]].isna().all(axis=None)
    assert len(read.series) == len(found.series) and set(read.series["description"]) == set(SERIES)
    expected = sorted(tuple(np.round(places, 3)) for places in found.series["position_mm"])
    assert sorted(tuple(np.round(places, 3)) for places in read.series["position_mm"]) == expected


def test_what_is_odd_and_stays_is_counted_and_named(tree: Path) -> None:
    studies = sorted((tree / "train_images").iterdir())
    shutil.rmtree(of(studies[0], "T1"))
    for path in sorted(of(studies[1], "T1").iterdir())[1:]:
        path.unlink()
    odd = sorted(of(studies[2], "T1").iterdir())[3]
    data = pydicom.dcmread(odd)
    data.set_pixel_data(data.pixel_array[:-4, :-2].copy(), "MONOCHROME2", 12)
    data.save_as(odd)
    table = pd.read_csv(tree / "train.csv", dtype=str)
    table.loc[table["study_id"] == studies[3].name, [*TARGETS]] = ""
    table.to_csv(tree / "train.csv", index=False)
    found = open_studies(str(tree))
    assert [note.partition(",")[0] for note in found.notes] == [
        f"Studies without a Sagittal T1 series: 1 (`{studies[0].name}`).",
        f"Series of one slice: 1 (`{studies[1].name}/{of(studies[1], 'T1').name}`).",
        "Series of slices of several sizes",
        "Studies without a single grade",
    ]
    assert f"square: 1 (`{studies[2].name}/{odd.parent.name}`)." in found.notes[2] and studies[3].name in found.notes[3]
    assert found.pixels(16).shape == (len(found.files), 16, 16)
    assert len(found.grades) == 6 and found.records["patient"].nunique() == 5 and found.skipped == ()


def test_what_cannot_be_used_is_left_out_and_named(tree: Path) -> None:
    root = tree / "train_images"
    studies = sorted(root.iterdir())
    broken = sorted(studies[0].rglob("*.dcm"))[0]
    broken.write_bytes(b"no DICOM")
    changed(sorted(studies[1].rglob("*.dcm"))[0], StudyInstanceUID="1.2.3")
    shutil.copytree(studies[2], root / "copy")
    table = pd.read_csv(tree / "train.csv", dtype=str)
    again = table[table["study_id"] == studies[3].name].assign(**{TARGETS[0]: "Severe", TARGETS[1]: "Moderate"})
    absent = again.assign(study_id="99")
    other = again.assign(**{TARGETS[0]: "Moderate"})
    table = table[table["study_id"] != studies[4].name]
    pd.concat([table, again, other, absent, absent]).to_csv(tree / "train.csv", index=False)
    found = open_studies(str(tree))
    said = dict(found.skipped)
    assert said[broken.relative_to(tree).as_posix()].startswith("is not a DICOM file")
    assert said[f"train_images/{studies[1].name}"] == "holds 2 studies of one name, by their StudyInstanceUID"
    copy = said.get("train_images/copy", "") or said.get(f"train_images/{studies[2].name}", "")
    assert "again, by its StudyInstanceUID" in copy
    assert said[studies[3].name] == "comes twice in train.csv"
    assert said[f"train_images/{studies[4].name}"] == "train.csv has no such study"
    assert "Studies of `train.csv` without images, which are left out: " in found.notes[0] and "99" in found.notes[0]
    assert {studies[0].name, studies[5].name} <= set(found.grades.index)
    assert not {studies[1].name, studies[3].name, studies[4].name} & set(found.series["study_id"])


def test_a_slice_that_lies_where_another_one_does_counts_once(tree: Path, found: Studies) -> None:
    row = found.series.iloc[0]
    first = tree / row["slices"][0].relative_to(found.located.path)
    shutil.copy(first, first.with_name("zzz_again.dcm"))
    again = open_studies(str(tree))
    assert again.series["slices"].map(len).tolist() == found.series["slices"].map(len).tolist()
    assert [why for path, why in again.skipped if first.parent.name in path] == [
        "lies where another slice of its series does"
    ]


def test_two_studies_are_too_few_to_divide_and_stay_undivided(tree: Path) -> None:
    for study in sorted((tree / "train_images").iterdir())[2:]:
        shutil.rmtree(study)
    found = open_studies(str(tree))
    assert set(found.records["split"]) == {""} and found.notes[-1] == "Graded studies, too few to divide: 2."
    with pytest.raises(InputError, match="2 studies give 1 for test, 1 for validation and 0 for training"):
        found.hold_out(1, 0.5, 0)


def without_grades(tree: Path) -> None:
    table = pd.read_csv(tree / "train.csv", dtype=str)
    table[[*TARGETS]] = ""
    table.to_csv(tree / "train.csv", index=False)


def of_other_studies(tree: Path) -> None:
    table = pd.read_csv(tree / "train.csv", dtype=str)
    table.assign(study_id=[str(number) for number in range(len(table))]).to_csv(tree / "train.csv", index=False)


def wrong_grade(tree: Path) -> None:
    path = tree / "train.csv"
    path.write_text(path.read_text().replace("Normal/Mild", "Mild", 1))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda tree: (tree / "train.csv").unlink(), r"found no grades\.csv or train\.csv; expected a table"),
        (without_grades, r"and 6 of them in train\.csv with 0 grades"),
        (of_other_studies, r"and 0 of them in train\.csv with 0 grades"),
        (lambda tree: shutil.rmtree(tree / "train_images"), "found no readable DICOM study"),
        (wrong_grade, "is 'Mild'; expected Normal/Mild, Moderate, Severe or an empty cell"),
        (lambda tree: (tree / "train.csv").write_text("study_id,age\n1,60\n"), "found none of the 25 targets"),
    ],
)
def test_bad_input_is_one_sentence(tree: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(tree)
    with pytest.raises(InputError, match=said) as caught:
        open_studies(str(tree))
    assert "\n" not in str(caught.value)


def test_a_slice_whose_pixels_are_damaged_is_named_when_they_are_read(tree: Path) -> None:
    path = sorted(tree.rglob("*.dcm"))[5]
    data = pydicom.dcmread(path)
    data.BitsStored = 77
    data.save_as(path)
    with pytest.raises(InputError, match=rf"{path.name}: its pixel data is damaged"):
        open_studies(str(tree)).pixels(16)


@pytest.mark.real
def test_the_two_real_studies(real_data: Path) -> None:
    found = open_studies()
    assert found.located.name == "rsna_lumbar_studies" and found.located.kind == "real"
    assert found.series["slices"].map(len).tolist() == [18, 18, 60, 18, 18, 42]
    assert found.series["description"].tolist() == [*SERIES, *SERIES]
    assert found.skipped == () and found.pixels(32).shape == (174, 32, 32)
