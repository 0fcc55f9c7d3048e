"""Annotated slices cut from the challenge's own tree: the layout, what is not there, and a cut that was interrupted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from medutils.data import slices
from medutils.data.lumbar import load_coordinates
from medutils.data.manifest import kind_of
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.slices import cut_slices, grey_slice
from medutils.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "rsna_lumbar"
    folder.mkdir()
    make_rsna(folder, studies=4, size=48)
    return folder


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "rsna_lumbar"))


def foraminal(folder: Path) -> pd.DataFrame:
    places = load_coordinates(folder)
    return places[places["condition"].str.contains("foraminal")]


def test_the_annotated_slices_of_one_kind_of_series_are_cut(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep/t1"
    cut = cut_slices(made, out)
    index, wanted = pd.read_csv(out / "index.csv"), foraminal(made)
    assert list(index) == ["study_id", "series_id", "instance_number", "condition", "level", "file"]
    assert cut == (index["file"].nunique(), len(wanted), (), ()) and len(index) == len(wanted)
    assert {*index["condition"]} == {*wanted["condition"]}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")} == {*index["file"]}
    assert all(
        Image.open(out / file).size == (250, 250) and Image.open(out / file).mode == "L" for file in index["file"]
    )
    assert (out / "train.csv").read_text() == (made / "train.csv").read_text()
    assert kind_of(out) == "phantom" and [path.name for path in out.parent.iterdir()] == ["t1"]


def test_another_kind_of_series_is_cut_with_its_own_conditions(made: Path, tmp_path: Path) -> None:
    cut_slices(made, tmp_path / "t2", "Sagittal T2/STIR")
    assert {*pd.read_csv(tmp_path / "t2/index.csv")["condition"]} == {"spinal_canal_stenosis"}


def test_monochrome1_is_turned_round(tree: Path) -> None:
    path = next(iter(sorted(tree.rglob("*.dcm"))))
    data = pydicom.dcmread(path)
    before = np.asarray(grey_slice(path)).astype(int)
    was = data.PhotometricInterpretation
    data.set_pixel_data(4095 - data.pixel_array, "MONOCHROME1" if was == "MONOCHROME2" else "MONOCHROME2", 12)
    total = 4095 * float(data.RescaleSlope) + 2 * float(data.RescaleIntercept)
    if "WindowCenter" in data:
        data.WindowCenter = round(total - float(data.WindowCenter), 1)
    data.save_as(path)
    assert np.abs(np.asarray(grey_slice(path)).astype(int) - before).mean() < 1


def test_a_cut_that_was_interrupted_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cut_slices(made, tmp_path / "whole")
    read: list[Path] = []

    def until(last: int) -> Callable[[Path], Image.Image]:
        def read_one(path: Path) -> Image.Image:
            if len(read) == last:
                raise KeyboardInterrupt
            read.append(path)
            return grey_slice(path)

        return read_one

    monkeypatch.setattr(slices, "grey_slice", until(5))
    monkeypatch.setattr(slices, "THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        cut_slices(made, tmp_path / "t1")
    assert not (tmp_path / "t1").exists() and (tmp_path / ".t1.part").is_dir()
    monkeypatch.setattr(slices, "grey_slice", until(10_000))
    assert cut_slices(made, tmp_path / "t1") == whole and len(read) == len(set(read)) == whole.slices
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t1", "whole"]
    files = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "t1") for path in (tmp_path / "t1").rglob("*") if path.is_file()}
    assert all((tmp_path / "whole" / file).read_bytes() == (tmp_path / "t1" / file).read_bytes() for file in files)


def test_what_was_begun_from_other_files_is_begun_again(tree: Path, tmp_path: Path) -> None:
    (tmp_path / ".t1.part/1/2").mkdir(parents=True)
    (tmp_path / ".t1.part/source.txt").write_text("another")
    (tmp_path / ".t1.part/1/2/3.jpg").write_bytes(b"-")
    cut_slices(tree, tmp_path / "t1")
    assert not (tmp_path / "t1/1").exists()


def test_what_tables_and_tree_do_not_share_is_counted_and_named(tree: Path, tmp_path: Path) -> None:
    rows = foraminal(tree).drop_duplicates(["study_id", "instance_number"])
    study, other = rows["study_id"].unique()[:2]
    gone, broken = rows[rows["study_id"] == study].head(2).itertuples()
    names = [f"train_images/{row.study_id}/{row.series_id}/{row.instance_number}.dcm" for row in (gone, broken)]
    (tree / names[0]).unlink()
    (tree / names[1]).write_bytes(b"no DICOM")
    shutil.rmtree(tree / "train_images" / other)
    (tree / "train_images/17").mkdir()
    cut = cut_slices(tree, tmp_path / "t1")
    assert [where for where, _ in cut.skipped] == [
        f"train_images/{other}",
        "train_images/17",
        *sorted(names, key=names.index),
    ]
    assert "is not there; the coordinates name it" in dict(cut.skipped)[names[0]]
    assert "is not a DICOM file" in dict(cut.skipped)[names[1]]
    assert (
        cut.slices
        == len(list((tmp_path / "t1").rglob("*.jpg")))
        == len(pd.read_csv(tmp_path / "t1/index.csv")["file"].unique())
    )
    assert list(pd.read_csv(tmp_path / "t1/left_out.csv")["file"]) == [where for where, _ in cut.skipped]


def only_other_studies(tree: Path) -> None:
    shutil.rmtree(tree / "train_images")
    (tree / "train_images/17").mkdir(parents=True)


def no_slice_at_all(tree: Path) -> None:
    for path in tree.rglob("*.dcm"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda tree: shutil.rmtree(tree / "train_images"), "found no folder train_images; expected the DICOM files"),
        (lambda tree: (tree / "train.csv").unlink(), "train.csv: no such file"),
        (lambda tree: (tree / "train_label_coordinates.csv").unlink(), "train_label_coordinates.csv: no such file"),
        (only_other_studies, "of 4 studies, and none of them is among the 1 in train_images"),
        (no_slice_at_all, "found none of the .* slices that the coordinates name"),
        (lambda tree: (tree.parent / "t1").mkdir(), "t1: is there already"),
    ],
)
def test_bad_input_is_one_sentence(tree: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(tree)
    with pytest.raises(InputError, match=said) as caught:
        cut_slices(tree, tree.parent / "t1")
    assert "\n" not in str(caught.value)


def test_a_kind_of_series_that_is_none_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="series: found 'T1'; expected Sagittal T1, "):
        cut_slices(made, tmp_path / "t1", "T1")


@pytest.mark.real
def test_the_slices_of_two_real_studies_are_those_the_book_was_measured_on(real_data: Path, tmp_path: Path) -> None:
    cut_slices(real_data / "rsna_lumbar_studies", tmp_path / "t1")
    there = [path.relative_to(tmp_path / "t1") for path in (tmp_path / "t1").rglob("*.jpg")]
    shared = [file for file in there if (real_data / "rsna_lumbar_t1" / file).is_file()]
    assert len(shared) == len(there) == 9
    for file in shared:
        ours, theirs = (
            np.asarray(Image.open(root / file), float) for root in (tmp_path / "t1", real_data / "rsna_lumbar_t1")
        )
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
        assert np.abs(ours - theirs).mean() < 2
