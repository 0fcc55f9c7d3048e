import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from medutils.data.chest_xray import load_class_folders, load_composed, load_kermany
from medutils.errors import InputError
from medutils.tables import RECORD_COLUMNS

KERMANY = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0115-0001.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "train/PNEUMONIA/person1_virus_6.jpeg",
    "test/NORMAL/IM-0001-0001.jpeg",
    "test/PNEUMONIA/person1_virus_9.jpeg",
)
INDEX = "file,label,source,patient,finding\nTB/a.png,TB,hospital,p1,TB\nNormal/b.png,Normal,clinic,p2,clear lungs\n"


def touch(root: Path, *files: str) -> Path:
    """Make empty files: no loader opens an image."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def composed(root: Path, index: str = INDEX, encoding: str = "utf-8") -> Path:
    touch(root, "TB/a.png", "Normal/b.png")
    (root / "index.csv").write_text(index, encoding=encoding)
    return root


def by_file(records: pd.DataFrame) -> pd.DataFrame:
    return records.set_index("record_id")


@pytest.mark.parametrize("inside", [".", "chest_xray", "chest_xray_pneumonia", "chest_xray/chest_xray"])
def test_kermany_is_found_in_the_folder_or_in_one_inside_it(tmp_path: Path, inside: str) -> None:
    touch(tmp_path / inside, *KERMANY, "val/NORMAL/IM-0009-0001.jpeg", "val/PNEUMONIA/person9_virus_3.jpeg")
    records = by_file(load_kermany(tmp_path).records)
    assert sorted(records.index) == list(records.index) and len(records) == 9
    assert records["split"].value_counts().to_dict() == {"train": 5, "test": 2, "validation": 2}
    assert set(records["source"]) == {"kermany"}
    assert all(Path(path).is_file() for path in records["path"])


def test_kermany_without_val_has_two_splits(tmp_path: Path) -> None:
    assert set(load_kermany(touch(tmp_path, *KERMANY)).records["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    ("name", "patient", "cause"),
    [
        ("PNEUMONIA/person1_bacteria_2", "bacteria-person1", "bacterial"),
        ("PNEUMONIA/person1_virus_6", "virus-person1", "viral"),
        ("PNEUMONIA/person447_virus_921_1", "virus-person447", "viral"),
        ("NORMAL/IM-0001-0001", "normal-IM-0001", "normal"),
        ("NORMAL/IM-0011-0001-0002", "normal-IM-0011", "normal"),
        ("NORMAL/NORMAL2-IM-0001-0001-0002", "normal-NORMAL2-IM-0001", "normal"),
        ("NORMAL/NORMAL-1049278-0001", "normal-1049278", "normal"),
        ("PNEUMONIA/BACTERIA-7422-0003", "bacteria-7422", "bacterial"),
        ("PNEUMONIA/VIRUS-614452-0001", "virus-614452", "viral"),
    ],
)
def test_kermany_patient_and_cause_come_from_the_name(tmp_path: Path, name: str, patient: str, cause: str) -> None:
    loaded = load_kermany(touch(tmp_path, *KERMANY, f"train/{name}.jpeg"))
    row = by_file(loaded.records).loc[f"train/{name}.jpeg"]
    assert (row["patient"], row["cause"], row["label"]) == (patient, cause, name.split("/")[0])
    assert loaded.unmatched == ()


def test_a_name_of_no_known_kind_is_a_patient_of_its_own_and_listed(tmp_path: Path) -> None:
    odd = ["train/NORMAL/holiday.jpeg", "train/PNEUMONIA/person1.jpeg"]
    loaded = load_kermany(touch(tmp_path, *KERMANY, *odd))
    assert list(loaded.unmatched) == odd
    rows = by_file(loaded.records).loc[odd]
    assert rows["patient"].tolist() == ["holiday", "person1"] and rows["cause"].tolist() == ["normal", "unknown"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["NORMAL/IM-0001-0001.jpeg", "PNEUMONIA/person1_virus_1.jpeg"], "found the folders NORMAL, PNEUMONIA"),
        (["train/NORMAL/IM-0001-0001.jpeg"], "found the class folders NORMAL;"),
        (
            [*KERMANY, "val/NORMAL/IM-0003-0001.jpeg"],
            "val: found the class folders NORMAL; expected NORMAL and PNEUMONIA",
        ),
        ([*KERMANY, "train/COVID/a.jpeg"], "found the class folders COVID, NORMAL, PNEUMONIA"),
        ([*KERMANY, "train/NORMAL/person3_virus_3.jpeg"], r"person3_virus_3\.jpeg: its name says viral.*NORMAL"),
        ([*KERMANY, "train/PNEUMONIA/IM-0003-0001.jpeg"], r"IM-0003-0001\.jpeg: its name says normal.*PNEUMONIA"),
        ([*KERMANY, "val/NORMAL/IM-0003-0001.jpeg", "val/PNEUMONIA/notes.txt"], r"PNEUMONIA: found no image"),
    ],
)
def test_kermany_refuses_another_layout(tmp_path: Path, files: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_kermany(touch(tmp_path, *files))


def test_composed_reads_the_index_with_its_own_columns(tmp_path: Path) -> None:
    records = by_file(load_composed(composed(tmp_path)).records)
    row = records.loc["Normal/b.png"]
    assert list(records.index) == ["TB/a.png", "Normal/b.png"]
    assert (row["label"], row["source"], row["patient"], row["split"]) == ("Normal", "clinic", "p2", "")
    assert row["finding"] == "clear lungs" and row["path"] == str(tmp_path / "Normal/b.png")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_composed_understands_separators_and_a_byte_order_mark(tmp_path: Path, separator: str, encoding: str) -> None:
    plain = load_composed(composed(tmp_path / "plain")).records
    other = load_composed(composed(tmp_path / "other", INDEX.replace(",", separator), encoding)).records
    pd.testing.assert_frame_equal(plain.drop(columns="path"), other.drop(columns="path"))


def test_composed_takes_the_split_from_the_index(tmp_path: Path) -> None:
    index = "file,label,source,patient,split\nTB/a.png,TB,x,p1,val\nNormal/b.png,Normal,x,p2,Train\n"
    assert load_composed(composed(tmp_path, index)).records["split"].tolist() == ["validation", "train"]


def test_composed_leaves_out_columns_without_a_name(tmp_path: Path) -> None:
    padded = "".join(f"{line},,\n" for line in INDEX.splitlines())
    assert list(load_composed(composed(tmp_path, padded)).records.columns) == [*RECORD_COLUMNS, "finding"]


def test_composed_names_files_that_are_absent_and_images_without_a_line(tmp_path: Path) -> None:
    index = INDEX + "TB/gone.png,TB,hospital,p3,TB\nTB/../../secret.png,TB,hospital,p4,TB\n"
    touch(composed(tmp_path / "set", index), "TB/stray.png")
    touch(tmp_path, "secret.png")
    loaded = load_composed(tmp_path / "set")
    assert len(loaded.records) == 2
    assert [file for file, _ in loaded.skipped] == ["TB/gone.png", "TB/../../secret.png", "TB/stray.png"]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("", "no header line"),
        (INDEX.splitlines()[0], "found 0 rows"),
        (INDEX.replace("patient", "who"), "no column 'patient'"),
        (INDEX.replace("finding", "label"), "column 'label' more than once"),
        (INDEX.replace("p2", " "), "line 3: patient is empty"),
        (INDEX.replace("clear", "cle,ar"), "line 3: found a row of 6 cells; expected 5"),
        (INDEX + "TB/a.png,TB,hospital,p1,TB\n", r"line 4: TB/a\.png comes again"),
        (INDEX.replace("Normal/b.png,Normal", "Normal/b.png,TB"), r"line 3: the label of Normal/b\.png is TB.*1 of 2"),
        (INDEX.split("Normal")[0], "found the classes TB; expected two or more"),
        (INDEX.replace(".png", ".gif"), "found none of its 2 files"),
        (INDEX.replace("finding", "split"), "line 2: split is 'TB'"),
        ('file,label,source,patient\n"' + "x" * 200_000, "field larger"),
    ],
)
def test_composed_refuses_a_wrong_index(tmp_path: Path, index: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load_composed(composed(tmp_path, index))
    assert str(caught.value).startswith(str(tmp_path / "index.csv"))


def test_composed_refuses_a_set_of_which_one_class_is_there(tmp_path: Path) -> None:
    (composed(tmp_path) / "Normal/b.png").unlink()
    with pytest.raises(InputError, match=f"^{tmp_path}: found the classes TB; expected two or more"):
        load_composed(tmp_path)


def test_composed_refuses_an_index_that_is_absent_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.csv: no such file"):
        load_composed(tmp_path)
    (tmp_path / "index.csv").write_bytes(b"file\x00\xff")
    with pytest.raises(InputError, match="byte 5 is not UTF-8"):
        load_composed(tmp_path)


def test_class_folders_are_any_classes_in_one_folder(tmp_path: Path) -> None:
    files = ["cat/1.png", "cat/2.JPG", "dog/1.png", "hen/1.tif"]
    records = load_class_folders(touch(tmp_path / "zoo", *files)).records
    assert records["record_id"].tolist() == files == records["patient"].tolist()
    assert records["label"].tolist() == ["cat", "cat", "dog", "hen"]
    assert set(records["split"]) == {""} and set(records["source"]) == {"zoo"}


def test_class_folders_may_lie_in_split_folders(tmp_path: Path) -> None:
    splits = {"train": "train", "val": "validation", "validation": "validation", "Test": "test"}
    records = load_class_folders(
        touch(tmp_path, *(f"{name}/{label}/1.png" for name in splits for label in "ab"))
    ).records
    found = {record.split("/")[0]: split for record, split in zip(records["record_id"], records["split"], strict=True)}
    assert found == splits and set(records["label"]) == {"a", "b"}


def test_the_pattern_names_the_patient_across_classes(tmp_path: Path) -> None:
    touch(tmp_path, "sick/p07_front.png", "well/p07_side.png", "well/p11_front.png", "well/odd.png")
    loaded = load_class_folders(tmp_path, r"^p(\d+)_")
    assert by_file(loaded.records)["patient"].to_dict() == {
        "sick/p07_front.png": "07",
        "well/p07_side.png": "07",
        "well/p11_front.png": "11",
        "well/odd.png": "well/odd.png",
    }
    assert loaded.unmatched == ("well/odd.png",)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "expected a regular expression"),
        (r"p\d+", "has 0 groups"),
        (r"(p)(\d+)", "has 2 groups"),
        (r"patient(\d+)", r"fits no file name.*'p1\.png'"),
        (r"(x*)", "fits no file name"),
        (r"(a{99999999999999999999})", "expected a regular expression"),
    ],
)
def test_a_wrong_pattern_is_refused(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^patient_pattern: .*{said}"):
        load_class_folders(touch(tmp_path, "a/p1.png", "b/p2.png"), pattern)


def link_to_class(root: Path) -> None:
    touch(root, "a/1.png")
    (root / "b").symlink_to(root / "a")


def loop(root: Path) -> None:
    touch(root, "a/1.png")
    (root / "b").symlink_to(root / "b")


def not_there(root: Path) -> None:
    root.rmdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (not_there, "set: no such file or directory"),
        (lambda root: touch(root, "a/1.png"), "found the classes a; expected two or more"),
        (lambda root: touch(root, "1.png"), "found the classes none"),
        (lambda root: touch(root, "TB/1.png", "tb/1.png"), "found the classes TB and tb"),
        (lambda root: touch(root, "train/TB/1.png", "train/N/1.png", "test/tb/1.png"), "found the classes TB and tb"),
        (lambda root: touch(root, "caf\u00e9/1.png", "cafe\u0301/1.png"), "found the classes"),
        (lambda root: touch(root, "a/1.png", "b/notes.txt"), "b: found no image"),
        (lambda root: touch(root, "train/a/1.png", "train/b/1.png", "c/1.png"), "found c beside train"),
        (link_to_class, "links are not followed"),
        (loop, "links are not followed"),
    ],
)
def test_class_folders_refuse(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    (tmp_path / "set").mkdir()
    make(tmp_path / "set")
    with pytest.raises(InputError, match=said):
        load_class_folders(tmp_path / "set")


def test_what_is_no_image_is_skipped_with_a_reason_or_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", "a/report.pdf", "a/more/2.png", "a/.DS_Store", "a/Thumbs.db", "notes.txt")
    touch(tmp_path, "__MACOSX/a/1.png", "a/index.csv", ".git/x.png")
    (tmp_path / "a/out.png").symlink_to(tmp_path / "b/1.png")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "a/pipe.png")
    (tmp_path / os.fsdecode(b"a/\xff.png")).touch()
    loaded = load_class_folders(tmp_path)
    assert loaded.records["record_id"].tolist() == ["a/1.png", "b/1.png"]
    assert sorted(loaded.skipped) == [
        ("a/\\udcff.png", "its name is not UTF-8"),
        ("a/loop", "a link, which is not followed"),
        ("a/more", "a folder inside a class folder"),
        ("a/out.png", "a link, which is not followed"),
        ("a/pipe.png", "neither a file nor a folder"),
        ("a/report.pdf", "no image by its name"),
        ("notes.txt", "no image by its name"),
    ]


def test_every_patient_is_unknown_without_a_pattern(tmp_path: Path) -> None:
    assert load_class_folders(touch(tmp_path, "a/1.png", "b/2.jfif")).unmatched == ("a/1.png", "b/2.jfif")


def test_a_dicom_file_is_an_image_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.dcm", "b/1.png", "a/DICOMDIR", "a/notes")
    (tmp_path / "a/IM01").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "a/1.2.840.5").write_bytes(bytes(128) + b"DICM")
    loaded = load_class_folders(tmp_path)
    assert loaded.records["record_id"].tolist() == ["a/1.2.840.5", "a/1.dcm", "a/IM01", "b/1.png"]
    assert loaded.skipped == (("a/notes", "no image by its name"),)


@pytest.mark.parametrize("load", [load_kermany, load_composed, load_class_folders])
def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[Path], pd.DataFrame]
) -> None:
    composed(touch(tmp_path, *KERMANY)) if load is load_kermany else composed(tmp_path)
    closed = tmp_path / ("train/NORMAL" if load is load_kermany else "Normal")
    scan = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(closed))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=f"{closed}: permission denied"):
        load(tmp_path)


def test_the_order_of_the_records_is_not_the_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(f"{label}/{number}.png" for label in "ba" for number in range(20))
    touch(tmp_path, *reversed(names))
    assert load_class_folders(tmp_path).records["record_id"].tolist() == names


@pytest.mark.real
def test_real_kermany_counts_and_patients(real_data: Path) -> None:
    loaded = load_kermany(real_data)
    records = loaded.records
    assert records.groupby(["split", "label", "cause"]).size().to_dict() == {
        ("train", "NORMAL", "normal"): 1341,
        ("train", "PNEUMONIA", "bacterial"): 2530,
        ("train", "PNEUMONIA", "viral"): 1345,
        ("test", "NORMAL", "normal"): 234,
        ("test", "PNEUMONIA", "bacterial"): 242,
        ("test", "PNEUMONIA", "viral"): 148,
    }
    assert records.groupby("patient")["split"].nunique().max() == 1
    assert records.groupby("patient")["label"].nunique().max() == 1
    assert (loaded.skipped, loaded.unmatched) == ((), ())


@pytest.mark.real
def test_real_six_classes(real_data: Path) -> None:
    loaded = load_composed(real_data / "lung_six_class")
    records = loaded.records
    assert records["label"].value_counts().to_dict() == {
        "Bacterial Pneumonia": 616,
        "Viral Pneumonia": 616,
        "Normal": 613,
        "Other Findings": 490,
        "TB": 304,
        "COVID-19": 243,
    }
    assert records["source"].nunique() == 5 and "finding" in records
    assert records.groupby("patient")["source"].nunique().max() == 1
    assert loaded.skipped == ()
