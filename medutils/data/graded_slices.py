"""Annotated slices of lumbar MRI with their grades: found, read, decoded once and divided by study."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.data import registry
from medutils.data.images import build_array
from medutils.data.loaded import Loaded
from medutils.data.lumbar import TARGETS, load_rsna_targets, read_table
from medutils.data.manifest import Located, data_roots
from medutils.data.slices import GRADED, INDEX, LEFT_OUT, NOTES, TREE, cut_once
from medutils.data.splits import given_split
from medutils.data.studies import TABLES, TEST, VALIDATION, divided_by_study, left_out
from medutils.errors import InputError
from medutils.tables import check_records, read_csv

Rows = NDArray[np.int64]

INDEX_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "file")


@dataclass(frozen=True, eq=False)
class GradedSlices:
    """Annotated slices with their grades.

    records: one row an annotation with a grade: `record_id` is `<study>:<target>` and `patient` the study; own columns
        are study_id, series_id, instance (int), condition, level, side (`left`, `right`, or "" of the canal), target
        and slice (int, a row of `pixels`)
    files: the slices, each once, in the order of `slice`
    grades: one row a study (index `study_id`) and a column a target of all 25; NaN where it is not graded
    skipped: what was left out: the study, the file or the annotation, and the reason
    notes: what a reader of this run is to be told, each one sentence in Markdown
    divided: whether the split was given, and is to stay what it is
    """

    records: pd.DataFrame
    files: tuple[Path, ...]
    grades: pd.DataFrame
    located: Located
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    divided: bool = False
    _arrays: dict[int, tuple[Path, str]] = field(default_factory=dict)  # by size: where the pixels lie, and their hash

    def pixels(self, size: int) -> Tensor:
        """uint8 (slices, size, size), grey, squashed to a square; decoded once, kept on disk and mapped."""
        return torch.from_numpy(np.load(self._array(size)[0], mmap_mode="c", allow_pickle=False))

    def fingerprint(self, size: int) -> str:
        """Hash of `pixels(size)`, taken once."""
        return self._array(size)[1]

    def _array(self, size: int) -> tuple[Path, str]:
        if size not in self._arrays:
            array = build_array(self.files, size, aspect="squash", strict=True)
            self._arrays[size] = array.file, array.digest
        return self._arrays[size]

    def rows(self, split: str) -> Rows:
        """Places in `records` of the annotations of a split."""
        return np.flatnonzero(self.records["split"] == split)

    def hold_out(self, test: int | float, validation: float, seed: int) -> "GradedSlices":
        """The same slices divided by study; see `divided_by_study`. Those whose split was given stay as they are."""
        if self.divided:
            return self
        return replace(self, records=divided_by_study(self.records, test, validation, seed, self.located.path))


def open_slices(data: str = "auto", seed: int = 0, split: str = "") -> GradedSlices:
    """Find annotated slices, look whether each can be read, join their grades and divide them by study.

    Parameters
    ----------
    data: `auto`, `phantom`, or the user's own folder: as `medutils data slices` writes it, the challenge's own tree, or
        DICOM studies with a table of grades, of which the slices are cut once and kept (see `cut_slices`)
    seed: draws the studies; see `GradedSlices.hold_out`, which divides them otherwise
    split: the path of a split of the same annotations that a run wrote; "" for a drawn one

    Raises `InputError` when the folder is no such thing, no annotation has a grade and a slice, or `split` was saved
    for others.
    """
    located = registry.find("rsna_lumbar_t1", data)
    folder = located.path if (located.path / INDEX).is_file() else _cut(located.path)
    loaded = load_graded_slices(folder)
    records, files, unread = _readable(loaded.records)
    targets = load_rsna_targets(grades_folder(folder))
    grades = targets.loc[targets.index.isin(records["study_id"])]
    skipped = (*loaded.skipped, *unread)
    found = GradedSlices(records, files, grades, located, _notes(folder, loaded, targets, grades, skipped), skipped)
    if split:
        return replace(found, records=given_split(records, Path(split), ("train", "validation", "test")), divided=True)
    return found.hold_out(TEST, VALIDATION, seed)


def _cut(folder: Path) -> Path:
    if not (folder / TREE).is_dir() and not any((folder / name).is_file() for name in TABLES):
        raise InputError(
            f"{folder}: found neither {INDEX} nor {TREE} nor {TABLES[0]}; expected annotated slices, or DICOM studies "
            "with their grades to cut them from"
        )
    return cut_once(folder)


def load_graded_slices(folder: Path) -> Loaded:
    """Read `index.csv` and the grades of its studies as records, one an annotation; see `GradedSlices`.

    The grades are in `train.csv`, in the same folder or in the RSNA set (see `grades_folder`). `Loaded.skipped` names
    studies without a row of grades, annotations that come twice (the first is kept), slices that are not there and what
    was left out when they were cut; `Loaded.unlabelled` counts annotations whose cell is empty. Raises `InputError`
    when none is left.
    """
    index = _read_index(folder / INDEX)
    targets = load_rsna_targets(grades_folder(folder))
    skipped = _left_out(folder / LEFT_OUT)
    known = index["study_id"].isin(targets.index)
    skipped += [(study, f"{GRADED} has no such study") for study in index.loc[~known, "study_id"].unique()]
    twice = index.duplicated(["study_id", "target"])
    skipped += [(row.record_id, f"annotated again, on {row.file}") for row in index[twice & known].itertuples()]
    index = index[known & ~twice]
    there = {file: (folder / file).is_file() for file in index["file"].unique()}
    skipped += [(file, "is not there; the index names it") for file, found in there.items() if not found]
    index = index[index["file"].map(there).astype(bool)]
    label = [targets.at[row.study_id, row.target] for row in index.itertuples()]
    records = index.assign(label=label).dropna(subset="label")
    if records.empty:
        first = f"; the first fault is in {': '.join(skipped[0])}" if skipped else ""
        raise InputError(f"{folder}: found no annotated slice with a grade; expected some{first}")
    return Loaded(_as_records(records, folder), tuple(skipped), unlabelled=len(index) - len(records))


def grades_folder(folder: Path) -> Path:
    """Where the grades of slices in `folder` lie: there, in `rsna_lumbar` beside it, or where datasets are looked for.

    Raises `InputError` when `train.csv` is in none of them.
    """
    places = [folder, folder.parent / "rsna_lumbar", *(root / "rsna_lumbar" for root in data_roots())]
    found = next((place for place in places if (place / GRADED).is_file()), None)
    if found is None:
        raise InputError(f"{folder}: found no {GRADED} with the grades; expected it there or in rsna_lumbar beside it")
    return found


def _left_out(path: Path) -> list[tuple[str, str]]:
    """What was left out when the slices were cut."""
    if not path.is_file():
        return []
    table = read_csv(path, ("file", "reason"))
    return list(zip(table["file"], table["reason"], strict=True))


def _read_index(path: Path) -> pd.DataFrame:
    """Read `index.csv` with the targets spelt as in `TARGETS`, `instance` as a number and `record_id`."""
    index = read_table(path, INDEX_COLUMNS)
    index["target"] = index["condition"] + "_" + index["level"]
    if (unknown := ~index["target"].isin(TARGETS)).any():
        raise InputError(
            f"{path}: line {unknown.idxmax()}: found the target '{index.loc[unknown.idxmax(), 'target']}'; expected "
            f"one of the 25, such as {TARGETS[0]}"
        )
    named = index["study_id"] + "/" + index["series_id"] + "/" + index["instance_number"] + ".jpg"
    if (other := (index["file"] != named) | ~index["instance_number"].str.fullmatch(r"\d{1,9}")).any():
        raise InputError(
            f"{path}: line {other.idxmax()}: found the file '{index.loc[other.idxmax(), 'file']}'; expected "
            "<study_id>/<series_id>/<instance_number>.jpg of its own row"
        )
    return index.assign(
        instance=index["instance_number"].astype(int), record_id=index["study_id"] + ":" + index["target"]
    )


def _as_records(index: pd.DataFrame, folder: Path) -> pd.DataFrame:
    side = index["condition"].str.extract(r"^(left|right)", expand=False).fillna("")
    records = pd.DataFrame(
        {
            "record_id": index["record_id"],
            "patient": index["study_id"],
            "label": index["label"],
            "source": "rsna_lumbar",
            "split": "",
            "path": str(folder) + "/" + index["file"],
            **{name: index[name] for name in ("study_id", "series_id", "instance", "condition", "level")},
            "side": side,
            "target": index["target"],
        }
    )
    return check_records(records.reset_index(drop=True))


def _readable(records: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Path, ...], list[tuple[str, str]]]:
    """The records whose slice can be read, with the column `slice`; the slices, and why others are left out."""
    files = [Path(path) for path in records["path"].unique()]
    array = build_array(files, 32, aspect="squash")
    kept = [str(files[place]) for place in array.kept]
    records = records[records["path"].isin(kept)].reset_index(drop=True)
    records["slice"] = records["path"].map({path: place for place, path in enumerate(kept)})
    unread = [("/".join(path.parts[-3:]), why) for path, why in array.skipped]
    return records, tuple(map(Path, kept)), unread


def _notes(
    folder: Path, loaded: Loaded, targets: pd.DataFrame, grades: pd.DataFrame, skipped: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    notes, told = [], []
    if (folder / NOTES).is_file():
        told = (folder / NOTES).read_text(encoding="utf-8").splitlines()
    if without := len(targets) - len(grades):
        notes.append(f"Of {len(targets):,} graded studies, {without:,} have no annotated slice here and are left out.")
    if loaded.unlabelled:
        notes.append(f"Annotations without a grade, which are left out: {loaded.unlabelled:,}.")
    return (*told, *notes, *left_out(skipped))
