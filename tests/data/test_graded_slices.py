"""Annotated slices joined with their grades, from either layout, and divided by study."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medutils.data import graded_slices
from medutils.data.graded_slices import GradedSlices, load_graded_slices, open_slices
from medutils.data.lumbar import GRADES, TARGETS
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.slices import cut_slices
from medutils.data.splits import save_split
from medutils.errors import InputError
from medutils.tables import check_records


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "rsna_lumbar"
    folder.mkdir()
    make_rsna(folder, studies=10, size=48)
    return folder


@pytest.fixture(scope="module")
def cut(tree: Path) -> Path:
    cut_slices(tree, tree.parent / "rsna_lumbar_t1")
    return tree.parent / "rsna_lumbar_t1"


@pytest.fixture(scope="module")
def found(cut: Path) -> GradedSlices:
    return open_slices(str(cut))


@pytest.fixture
def own(cut: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut, tmp_path / "own"))


def test_records_are_annotations_with_the_grade_of_their_study(found: GradedSlices) -> None:
    records = check_records(found.records)
    assert list(records["record_id"]) == list(records["study_id"] + ":" + records["target"])
    assert set(records["label"]) <= set(GRADES) and found.located.kind == "phantom"
    assert all(found.grades.at[row.study_id, row.target] == row.label for row in records.itertuples())
    assert list(found.grades) == list(TARGETS) and set(found.grades.index) == set(records["study_id"])
    assert [str(found.files[place]) for place in records["slice"]] == list(records["path"])
    assert (records["side"] == records["condition"].str.split("_").str[0]).all()
    assert all(
        Path(path).stem == str(instance) for path, instance in zip(records["path"], records["instance"], strict=True)
    )
    assert found.notes == found.skipped == ()


def test_pixels_are_decoded_once_in_the_order_of_the_files(found: GradedSlices) -> None:
    pixels = found.pixels(40)
    assert pixels.dtype == torch.uint8 and pixels.shape == (len(found.files), 40, 40)
    assert found.fingerprint(40) == found.hold_out(2, 0.2, 3).fingerprint(40) != found.fingerprint(41)


def test_the_tree_itself_is_cut_once_and_gives_the_same(
    tree: Path, found: GradedSlices, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_slices(str(tree))
    monkeypatch.setattr("medutils.data.slices.grey_slice", None)
    again = open_slices(str(tree))
    for one in (first, again):
        pd.testing.assert_frame_equal(one.records.drop(columns="path"), found.records.drop(columns="path"))
        assert one.located.path == tree and torch.equal(one.pixels(40), found.pixels(40))


@pytest.mark.parametrize(("test", "count"), [(3, 3), (0.2, 2)])
def test_studies_are_held_out_whole(found: GradedSlices, test: int | float, count: int) -> None:
    held = found.hold_out(test, 0.25, 1)
    sides = held.records.groupby("patient")["split"].unique()
    assert sides.map(len).max() == 1
    assert sides.map(lambda one: one[0]).value_counts().to_dict() == {
        "train": 8 - count + 0,
        "test": count,
        "validation": 2,
    }
    assert sum(len(held.rows(split)) for split in ("train", "validation", "test")) == len(held.records)
    assert held.hold_out(test, 0.25, 1).records.equals(held.records)
    assert not found.hold_out(test, 0.25, 2).records.equals(held.records)


def test_each_worst_grade_has_its_share_of_the_test_studies() -> None:
    grades = [*["Normal/Mild"] * 60, *["Moderate"] * 30, *["Severe"] * 10]
    records = pd.DataFrame({"patient": [str(number) for number in range(100)], "label": grades})
    split = graded_slices.divided_by_study(records, 20, 0.25, 0, Path())["split"]
    assert records["label"][split == "test"].value_counts().to_dict() == {"Normal/Mild": 12, "Moderate": 6, "Severe": 2}
    assert split.value_counts().to_dict() == {"train": 60, "test": 20, "validation": 20}


@pytest.mark.parametrize(("test", "validation"), [(0, 0.2), (10, 0.2), (9, 0.5)])
def test_a_side_without_a_study_is_refused(found: GradedSlices, test: int, validation: float) -> None:
    with pytest.raises(InputError, match=r"10 studies give .* for test, .* expected some in each"):
        found.hold_out(test, validation, 0)


def test_a_split_that_was_given_stays(found: GradedSlices, cut: Path, tmp_path: Path) -> None:
    kept = found.hold_out(4, 0.5, 5)
    save_split(kept.records, tmp_path / "split.json")
    given = open_slices(str(cut), split=str(tmp_path / "split.json"))
    assert given.records["split"].tolist() == kept.records["split"].tolist()
    assert given.hold_out(1, 0.1, 9) is given


def test_what_cannot_be_used_is_counted_and_named(own: Path) -> None:
    index = pd.read_csv(own / "index.csv", dtype=str)
    table = pd.read_csv(own / "train.csv", dtype=str)
    first, gone, broken = index["file"].unique()[:3]
    (own / gone).unlink()
    (own / broken).write_bytes(b"no picture")
    lost = index["study_id"].unique()[-1]
    target = (index["condition"] + "_" + index["level"])[0]
    table.loc[table["study_id"] == index.loc[0, "study_id"], target] = ""
    table[table["study_id"] != lost].to_csv(own / "train.csv", index=False)
    pd.concat([index, index[1:2]]).to_csv(own / "index.csv", index=False)
    pd.DataFrame({"file": ["train_images/17"], "reason": ["is not there"]}).to_csv(own / "left_out.csv", index=False)
    found = open_slices(str(own))
    again = f"{index.loc[1, 'study_id']}:{index.loc[1, 'condition']}_{index.loc[1, 'level']}"
    assert [where for where, _ in found.skipped] == ["train_images/17", lost, again, gone, broken]
    assert found.notes[0] == "Annotations without a grade, which are left out: 1."
    assert found.notes[1].startswith("Left out, 5 in all: `train_images/17` (is not there), ")
    used = index[~index["file"].isin([gone, broken]) & (index["study_id"] != lost)]
    assert len(found.records) == len(used) - (first == index.loc[0, "file"])
    assert lost not in found.grades.index


def test_studies_that_are_graded_and_have_no_slice_are_counted(own: Path) -> None:
    index = pd.read_csv(own / "index.csv", dtype=str)
    index[index["study_id"] != index["study_id"][0]].to_csv(own / "index.csv", index=False)
    assert open_slices(str(own)).notes == ("Of 10 graded studies, 1 have no annotated slice here and are left out.",)


def test_grades_are_taken_from_the_rsna_set_beside_the_slices(own: Path, tree: Path) -> None:
    (own.parent / "rsna_lumbar").mkdir()
    shutil.move(own / "train.csv", own.parent / "rsna_lumbar/train.csv")
    assert len(load_graded_slices(own).records)
    (own.parent / "rsna_lumbar/train.csv").unlink()
    with pytest.raises(
        InputError, match=r"own: found no train\.csv with the grades; expected it there or in rsna_lumbar"
    ):
        load_graded_slices(own)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("file", "../../secret.jpg", r"line 2: found the file '\.\./\.\./secret\.jpg'; expected <study_id>/"),
        ("level", "l9_l9", "line 2: found the target 'left_neural_foraminal_narrowing_l9_l9'; expected one of the 25"),
        ("study_id", "one", "found 'one' in column study_id; expected a whole number"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(own: Path, column: str, value: str, said: str) -> None:
    index = pd.read_csv(own / "index.csv", dtype=str)
    index.loc[0, ["condition", column]] = ["left_neural_foraminal_narrowing", value]
    index.to_csv(own / "index.csv", index=False)
    with pytest.raises(InputError, match=said):
        open_slices(str(own))


def test_a_folder_of_neither_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found neither index\.csv nor train_images"):
        open_slices(str(tmp_path))


@pytest.mark.real
def test_the_real_slices(real_data: Path) -> None:
    found = open_slices()
    assert (len(found.records), len(found.files), len(found.grades)) == (16_723, 7_023, 1_675)
    assert found.records["label"].value_counts().to_dict() == {"Normal/Mild": 13_069, "Moderate": 3_001, "Severe": 653}
    assert found.located.kind == "real" and found.skipped == ()
    held = found.hold_out(400, 0.1, 0)
    assert held.records.groupby("split")["patient"].nunique().to_dict() == {
        "test": 400,
        "train": 1147,
        "validation": 128,
    }
    assert np.ptp(held.records[held.records["label"] == "Severe"]["split"].value_counts(normalize=True)) > 0
