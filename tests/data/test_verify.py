"""Verify: counts against the manifest's versions, every file opened, every fault named."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from medutils.data import verify as verify_module
from medutils.data.manifest import PHANTOM_MARK, Located, Manifest, load_manifest
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.rsna_match import _gaps
from medutils.data.verify import Fault, Verification, list_files, report, verify

GREY = np.linspace(0, 255, 64).reshape(8, 8).astype(np.uint8)


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GREY).save(path)


def manifest_with(**fields: object) -> Manifest:
    """A manifest of a two-class set of films, with the fields given."""
    counts = {"with c": {"a/*.png": 2, "b/*.png": 1, "c/*.png": 1}, "without c": {"a/*.png": 2, "b/*.png": 1}}
    spine = load_manifest("spine").model_dump()
    return Manifest.model_validate(
        spine | {"name": "films", "files": [], "counts": counts, "optional": ["notes.txt"]} | fields
    )


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        write_picture(tmp_path / "set" / name)
    return tmp_path / "set"


def check(folder: Path, **fields: object) -> Verification:
    return verify(manifest_with(**fields), Located("films", "real", folder))


def test_counts_that_fit_a_version_are_no_fault_and_the_other_version_is_stated(films: Path) -> None:
    counts = {"with c": {"a/*.png": 2, "b/*.png": 1, "c/*.png": 0}, "large": {"a/*.png": 2, "b/*.png": 2}}
    found = check(films, counts=counts)
    assert (found.version, found.counts, found.total) == ("with c", {"a/*.png": 2, "b/*.png": 1}, 3)
    assert (found.faults, found.opened) == ((), 3)
    assert found.differences == {}  # one film of four is more than a tenth: another set altogether


def test_a_version_that_differs_little_is_stated(films: Path) -> None:
    for number in range(3, 30):
        write_picture(films / f"a/{number}.png")
    counts = {"all": {"a/*.png": 29, "b/*.png": 1}, "with val": {"a/*.png": 29, "b/*.png": 1, "c/*.png": 2}}
    found = check(films, counts=counts)
    assert (found.version, found.differences, found.faults) == ("all", {"with val": {"c/*.png": -2}}, ())


def test_a_count_that_fits_no_version_is_a_fault(films: Path) -> None:
    (films / "a/2.png").unlink()
    found = check(films)
    assert found.faults == (Fault("count", "a/*.png", "found 1, expected 2 (without c)"),)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_corrupt_picture_is_named(films: Path, content: bytes | None) -> None:
    path = films / "a/2.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    (fault,) = check(films).faults
    assert (fault.kind, fault.where) == ("corrupt", "a/2.png")
    assert str(films) not in fault.what


def test_unexpected_and_missing_files_are_named_and_optional_ones_are_not(films: Path) -> None:
    (films / "stray.txt").write_text("-")
    (films / "notes.txt").write_text("-")
    found = check(films, files=["table.csv", "other.csv"])
    assert {(fault.kind, fault.where) for fault in found.faults} == {
        ("unexpected", "stray.txt"),
        ("missing", "table.csv"),
        ("missing", "other.csv"),
    }


def test_what_the_loader_skips_or_refuses_is_a_fault(films: Path) -> None:
    write_picture(films / "b/2.png")
    (films / "a/new\nline.png").touch()  # corrupt, and skipped as one that the index does not name: one fault
    rows = ("a/1.png;a;x;p1", "a/2.png;a;x;p2", "b/1.png;b;x;p3", "b/9.png;b;x;p3")
    index = "\n".join(["\ufefffile;label;source;patient", *rows])
    (films / "index.csv").write_text(index, encoding="utf-8")
    counts = {"only": {"a/[12]*.png": 2, "b/*.png": 2}}
    composed = {"name": "lung_six_class", "optional": ["index.csv", "a/new*"], "counts": counts}
    assert {(fault.kind, fault.where) for fault in check(films, **composed).faults} == {
        ("skipped", "b/9.png"),
        ("skipped", "b/2.png"),
        ("corrupt", "a/new\nline.png"),
    }
    (films / "a/new\nline.png").unlink()
    (films / "index.csv").write_text(index.replace("label", "class"), encoding="utf-8")
    (fault,) = check(films, **composed).faults
    assert (fault.kind, fault.where) == ("refused", "set") and "index.csv: found no column 'label'" in fault.what


def test_a_phantom_is_opened_and_its_counts_are_compared_with_nothing(films: Path) -> None:
    (films / PHANTOM_MARK).write_text(json.dumps({"phantom": True}))
    (films / "b/1.png").write_bytes(b"")
    found = verify(manifest_with(), Located("films", "phantom", films))
    assert (found.version, found.counts) == ("phantom", {"a/*.png": 2, "b/*.png": 1})
    assert [fault.kind for fault in found.faults] == ["corrupt"]


def test_a_table_is_counted_by_class_and_a_refused_one_is_a_fault(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{x:.6f},{'Abnormal' if row < 210 else 'Normal'}" for row, x in enumerate(rng.normal(size=310))]
    path = tmp_path / "Dataset_spine.csv"
    path.write_text("\n".join(["Col1,Class_att", *rows]))
    found = verify(load_manifest("spine"), Located("spine", "real", path))
    assert (found.counts, found.faults) == ({"Abnormal": 210, "Normal": 100}, ())
    path.write_text("\n".join(["Col1,Class_att", "x,Normal", *rows]))
    kinds = [fault.kind for fault in verify(load_manifest("spine"), Located("spine", "real", path)).faults]
    assert kinds == ["refused", "count", "count"]


def test_many_files_are_opened_by_two_processes_with_the_same_result(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (films / "a/2.png").write_bytes(b"")
    alone = check(films)
    monkeypatch.setattr(verify_module, "MANY", 1)
    assert check(films) == alone


def test_a_folder_that_cannot_be_read_is_a_fault(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(folder: str) -> object:
        if Path(folder) == films / "a":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list_files(films) == (["b/1.png"], [Fault("unreadable", "a", "permission denied")])


def test_links_and_pipes_are_named_and_a_loop_of_links_ends(films: Path) -> None:
    (films / "a/loop").symlink_to(films, target_is_directory=True)
    (films / "a/itself.png").symlink_to(films / "a/itself.png")
    os.mkfifo(films / "a/pipe.png")  # opened, it would be waited for without end
    files, faults = list_files(films)
    assert files == ["a/1.png", "a/2.png", "b/1.png"]
    assert {fault.where: fault.what[:6] for fault in faults} == {
        "a/loop": "a link",
        "a/itself.png": "a link",
        "a/pipe.png": "neithe",
    }


def test_rows_of_a_table_are_counted_and_one_that_is_none_is_corrupt(films: Path) -> None:
    (films / "table.csv").write_text("\ufeffa;b\n1,5;2\n", encoding="utf-8")
    counted = {"counts": {"only": {"table.csv": 1, "*.png": 3}}}
    assert (check(films, **counted).counts, check(films, **counted).faults) == ({"table.csv": 1, "*.png": 3}, ())
    (films / "table.csv").write_text("a,b\n1,2,3\n")
    assert [(fault.kind, fault.where) for fault in check(films, **counted).faults] == [
        ("corrupt", "table.csv"),
        ("count", "table.csv"),
    ]


def test_the_genuine_metadata_of_figure_1_is_read_as_windows_text(tmp_path: Path) -> None:
    folder = tmp_path / "figure1_covid"
    (folder / "images").mkdir(parents=True)
    names = [f"COVID-{number:05}" for number in range(1, 56)]
    for name in names:
        Image.new("L", (4, 4)).save(folder / f"images/{name}.jpg")
    rows = [f'{name},,,,COVID-19,,38°,"low 90’s, then better"' for name in names]
    table = "\n".join(["patientid,offset,sex,age,finding,view,temperature,notes", *rows])
    (folder / "metadata.csv").write_bytes(table.encode("cp1252"))
    found = verify(load_manifest("figure1_covid"), Located("figure1_covid", "real", folder))
    assert found.faults == () and found.counts == {"metadata.csv": 55, "images/*": 55}
    assert "cp1252" in found.notes["metadata.csv"]


def test_the_report_states_counts_and_version(films: Path) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report(check(films)))
    text = console.export_text()
    assert "films (real), files opened: 3" in text and "a/*.png" in text and "without c" in text


def test_a_fault_is_a_line_that_any_terminal_can_show(films: Path) -> None:
    (films / "a" / os.fsdecode(b"\xff\x1b[2J.png")).write_bytes(b"")
    (line,) = [str(fault) for fault in check(films).faults if fault.kind == "corrupt"]
    assert line.startswith(r"corrupt: a/\udcff\x1b[2J.png: found an empty file")


@pytest.fixture(scope="module")
def rsna_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_rsna(folder, studies=2, size=16)
    return folder


@pytest.fixture
def rsna(rsna_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rsna_made, tmp_path / "rsna"))


def rsna_faults(folder: Path) -> list[Fault]:
    return list(verify(load_manifest("rsna_lumbar"), Located("rsna_lumbar", "phantom", folder)).faults)


def sagittal_t2(folder: Path) -> Path:
    rows = (folder / "train_series_descriptions.csv").read_text().splitlines()
    study, series, _ = next(row for row in rows if row.endswith("T2/STIR")).split(",")
    return folder / "train_images" / study / series


def without_instance(folder: Path, number: int) -> None:
    from medutils.data.dicom import read_header

    next(path for path in folder.iterdir() if read_header(path).InstanceNumber == number).unlink()


def named_also(table: Path, study: str, series: str = "") -> None:
    """Repeat the table's last row for another study or series."""
    cells = table.read_text().splitlines()[-1].split(",")
    with table.open("a") as file:
        file.write(",".join([study, series or cells[1], *cells[2:]]) + "\n")


MISMATCHES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "series missing": (shutil.rmtree, "missing", "{study}/{series}", "a table names it"),
    "series empty": (lambda at: [file.unlink() for file in at.iterdir()], "missing", "{study}/{series}", "no file"),
    "study missing": (lambda at: shutil.rmtree(at.parent), "missing", "{study}", "a table names it"),
    "series of a coordinate missing": (
        lambda at: named_also(at.parents[2] / "train_label_coordinates.csv", at.parent.name, "9"),
        *("missing", "{study}/9", "a table names it"),
    ),
    "study of a grade missing": (
        lambda at: named_also(at.parents[2] / "train.csv", "9"),
        *("missing", "9", "a table names it"),
    ),
    "series not named": (lambda at: shutil.copytree(at, at.parent / "9"), "unexpected", "{study}/9", "no table names"),
    "study not named": (lambda at: shutil.copytree(at, at.parents[1] / "9/9"), "unexpected", "9", "no table names it"),
    "inner slice missing": (lambda at: without_instance(at, 4), "missing", "{study}/{series}", "between 3 and 5"),
    "graded slice missing": (lambda at: without_instance(at, 7), "missing", "{study}/{series}", "slice 7; the coor"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_tree_that_does_not_fit_its_tables_is_a_fault(rsna: Path, name: str) -> None:
    assert rsna_faults(rsna) == []
    change, kind, where, what = MISMATCHES[name]
    at = sagittal_t2(rsna)
    change(at)
    where = f"train_images/{where.format(study=at.parent.name, series=at.name)}"
    faults = rsna_faults(rsna)
    assert {(fault.kind, fault.where) for fault in faults} == {(kind, where)}
    assert any(what in fault.what for fault in faults)


@pytest.mark.parametrize(
    ("instances", "places", "found"),
    [
        ([1, 2, 3, 5, 6], [0, 4, 8, 16, 20], ["found no slice between 3 and 5, which lie 8 mm apart"]),
        ([6, 5, 3, 2, 1], [20, 16, 8, 4, 0], ["found no slice between 3 and 5, which lie 8 mm apart"]),
        ([1, 2, 3, 7, 8], [0, 4, 8, 12, 16], []),  # numbers alone were left out
        ([1, 2, 3, 4, 5], [0, 4, 8, 30, 34], []),  # two blocks
        ([1], [0], []),
    ],
)
def test_a_gap_is_one_in_numbers_and_places(instances: list[int], places: list[float], found: list[str]) -> None:
    rows = pd.DataFrame({"instance": instances, "position_mm": places})
    assert list(_gaps(rows)) == found
    assert list(_gaps(rows, {"4"})) == []  # it is there and cannot be read, which is named already


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("train_series_descriptions.csv", "Sagittal T1", "Coronal T1"),
        ("train_label_coordinates.csv", "L1/L2", "L6/S1"),
    ],
)
def test_the_tables_beside_the_grades_are_read(rsna: Path, table: str, old: str, new: str) -> None:
    (rsna / table).write_text((rsna / table).read_text().replace(old, new))
    (fault,) = rsna_faults(rsna)
    assert fault.kind == "refused" and fault.what.startswith(f"{table}: found ")


def test_a_slice_that_cannot_be_placed_is_one_fault(rsna: Path) -> None:
    (file, *_) = sorted(sagittal_t2(rsna).iterdir())
    file.write_bytes(b"no film")
    kinds = [(fault.kind, fault.where) for fault in rsna_faults(rsna) if fault.where.endswith(".dcm")]
    assert kinds == [("corrupt", file.relative_to(rsna).as_posix())]


def test_tables_without_a_tree_are_a_note_and_no_fault(rsna: Path) -> None:
    shutil.rmtree(rsna / "train_images")
    found = verify(load_manifest("rsna_lumbar"), Located("rsna_lumbar", "phantom", rsna))
    assert (found.faults, list(found.notes)) == ((), ["train_images"])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report(found))
    assert "no images are there" in console.export_text()


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "version", "total"),
    [
        ("kermany_chest_xray", "Kaggle, without val", 5840),
        ("lung_six_class", "measured for this book", 2882),
        ("rsna_lumbar", "tables with corrected coordinates", 0),
        ("spider_lumbar", "slices measured for this book", 60),
        ("spine", "expected", 310),
    ],
)
def test_real_data_have_no_fault(name: str, version: str, total: int) -> None:
    from medutils.data.manifest import locate

    found = verify(load_manifest(name), locate(name))
    assert (found.version, found.total, found.faults) == (version, total, ())
