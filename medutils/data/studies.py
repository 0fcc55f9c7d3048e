"""Whole lumbar MRI studies from DICOM with their grades: the challenge's own tree, or a folder of one's own."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.data import registry
from medutils.data.lumbar import (
    GRADES,
    NOT_DESCRIBED,
    SERIES,
    TARGETS,
    Skipped,
    Slice,
    each_place_once,
    graded_cells,
    graded_targets,
    in_place_order,
    listing,
    load_series,
    read_slice,
)
from medutils.data.manifest import Located, data_roots
from medutils.data.mri import Grey, equalised, read_grey
from medutils.data.slices import DESCRIPTIONS, TREE, shown
from medutils.data.splits import given_split
from medutils.errors import InputError
from medutils.tables import check_records, few, read_csv

TABLES = ("grades.csv", "train.csv")  # the first that is there holds the grades
WHOLE = "rsna_lumbar_studies"  # a folder with some studies of RSNA 2024 whole
TEST, VALIDATION = 0.2, 0.1  # of all studies, and of those that are left
LEAST = 3  # studies, so that each side has one
DEPTH = 4  # folders below a study
BATCH, PROCESSES, MANY = 32, 8, 2000  # slices decoded at once; processes at most; slices that pay for their start
# What a series shows, by its plane and the words of its own description.
WEIGHTINGS = {
    ("sagittal", "T1"): "Sagittal T1",
    ("sagittal", "T2"): "Sagittal T2/STIR",
    ("sagittal", "STIR"): "Sagittal T2/STIR",
    ("axial", "T2"): "Axial T2",
}


@dataclass(frozen=True, eq=False)
class Studies:
    """Whole DICOM studies with their grades.

    series: one row a series, by study, then by kind: study_id, series_id, description (one of `SERIES`, else as found),
        orientation, slices (tuple of paths in place order), position_mm (tuple of places along the series' normal),
        first (row of `pixels` that its first slice is)
    grades: one row a study (index `study_id`) and a column a target of all 25; NaN where it is not graded
    records: one row a study and target with a grade (see `lumbar.graded_targets`), `split` filled
    skipped: what was left out: the study or file, and the reason
    notes: what a reader of this run is to be told, each one sentence in Markdown
    divided: whether the split was given, and is to stay what it is
    """

    series: pd.DataFrame
    grades: pd.DataFrame
    records: pd.DataFrame
    located: Located
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    divided: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """All slices, series after series, in the order of `pixels`."""
        return tuple(path for slices in self.series["slices"] for path in slices)

    def pixels(self, size: int, grey: Grey = "gsl") -> Tensor:
        """uint8 (slices, size, size) of all series, squashed to squares; read once, kept on disk and mapped.

        Raises `InputError`, which names the file, where a slice's pixels are damaged.
        """
        mapped = torch.from_numpy(np.load(self._array(size, grey), mmap_mode="c", allow_pickle=False))
        return torch.from_numpy(equalised(mapped.numpy())) if grey == "hist" else mapped

    def volume(self, place: int, size: int, grey: Grey = "gsl") -> Tensor:
        """uint8 (slices, size, size) of one series, a row of `series`, in place order."""
        row = self.series.iloc[place]
        mapped = np.load(self._array(size, grey), mmap_mode="c", allow_pickle=False)
        slices = mapped[row["first"] : row["first"] + len(row["slices"])]
        return torch.from_numpy(equalised(slices) if grey == "hist" else slices)

    def fingerprint(self, size: int, grey: Grey = "gsl") -> str:
        """Hash of all that `pixels(size, grey)` depends on: the files' places, sizes and times, and the code."""
        stats = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in self.files]
        return cache.key_of(read_grey, stats, size, grey)

    def _array(self, size: int, grey: Grey) -> Path:
        kept: Grey = "gsl" if grey == "hist" else grey  # equalising is quicker than reading an array of it
        return cache.kept(
            "studies", lambda part: _write(part, self.files, size, kept), self.fingerprint(size, kept), ".npy"
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Places in `records` of the grades of a split."""
        return np.flatnonzero(self.records["split"] == split)

    def hold_out(self, test: int | float, validation: float, seed: int) -> "Studies":
        """The same studies divided; see `divided_by_study`. Studies whose split was given stay as they are."""
        if self.divided:
            return self
        return replace(self, records=divided_by_study(self.records, test, validation, seed, self.located.path))


class _Found(NamedTuple):
    """The series of one study: place-ordered slices with the series' name, and its study's."""

    study: str
    series: str
    slices: list[tuple[Slice, float]]


def open_studies(data: str = "auto", seed: int = 0, split: str = "") -> Studies:
    """Find whole DICOM studies and their grades, order their slices by place, and divide them by study.

    Parameters
    ----------
    data: `auto` (the RSNA set where its images are there, else `rsna_lumbar_studies`, else the phantom), `phantom`, or
        a folder: the challenge's own tree, or a table `grades.csv` or `train.csv` (study_id and some of `TARGETS`)
        beside a folder of DICOM files for each study, named as in the table
    seed: draws the studies; see `Studies.hold_out`, which divides them otherwise
    split: the path of a split of the same studies that a run wrote; "" for a drawn one

    A slice that is no readable image, a folder that holds two studies, one without a row of grades, and studies that
    come twice with other grades are left out and named in `skipped`. Series of one slice or of mixed sizes, and studies
    without one of the kinds of series or without any grade, stay, and `notes` counts them. Fewer than three graded
    studies cannot be divided, and `split` stays "". Raises `InputError` when
    the folder is no such thing or no study has both images and a grade.
    """
    located = _located(data)
    folder = located.path
    skipped: Skipped = []
    grades, table = _grades(folder, skipped)
    root = folder / TREE if (folder / TREE).is_dir() else folder
    series = _series(_found(root, skipped), folder)
    there = set(series["study_id"])
    skipped += [(root / study, f"{table.name} has no such study") for study in sorted(there - set(grades.index))]
    absent = [study for study in grades.index if study not in there]
    series = _numbered(series[series["study_id"].isin(grades.index)])
    grades = grades[grades.index.isin(there)]
    records = graded_targets(grades, table)
    if records.empty:
        what = f"the studies {few(sorted(there), 3)}" if there else "no readable DICOM study"
        raise InputError(
            f"{folder}: found {what} and {len(grades):,} of them in {table.name} with {grades.count().sum():,} grades; "
            "expected a folder of DICOM files named as each study, and grades"
        )
    records = check_records(records.reset_index(drop=True))
    named = tuple((path.relative_to(folder).as_posix(), why) for path, why in skipped)
    notes = (*_absent(absent, table), *_odd(series, grades), *left_out(named))
    found = Studies(series, grades, records, located, notes, named)
    if split:
        return replace(found, records=given_split(records, Path(split), ("train", "validation", "test")), divided=True)
    if (count := records["patient"].nunique()) < LEAST:
        return replace(found, notes=(*notes, f"Graded studies, too few to divide: {count}."))
    return found.hold_out(TEST, VALIDATION, seed)


def divided_by_study(
    records: pd.DataFrame, test: int | float, validation: float, seed: int, where: Path
) -> pd.DataFrame:
    """`records` of graded studies with `split` filled with train, validation and test.

    Parameters
    ----------
    test: how many studies, or which share of them, are test studies
    validation: share of the other studies; 0 for none
    seed: draws the studies, on every machine the same; those of each worst grade in their share
    where: what an error names

    Raises `InputError` when training, test, or a validation that was asked for, is left without a study.
    """
    worst = records["label"].map(GRADES.index).groupby(records["patient"]).max()
    studies = sorted(worst.index, key=lambda study: (worst[study], _hash(seed, study)))
    held = _spread(studies, test if isinstance(test, int) else round(test * len(studies)))
    others = [study for study in studies if study not in held]
    chosen = _spread(others, max(round(validation * len(others)), int(validation > 0)))
    if not (held and len(others) > len(chosen)):
        raise InputError(
            f"{where}: {len(studies)} studies give {len(held)} for test, {len(chosen)} for validation and "
            f"{len(others) - len(chosen)} for training; expected some in each"
        )
    patient = records["patient"]
    return records.assign(
        split=np.select([patient.isin(held), patient.isin(chosen)], ["test", "validation"], "train").astype(object)
    )


def left_out(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence that counts what was left out and names the first three, where there is something."""
    named = [f"`{where}` ({why})" for where, why in skipped]
    return [f"Left out, {len(named):,} in all: {few(named, 3)}."] if named else []


def _spread(studies: Sequence[str], count: int) -> set[str]:
    """`count` of the studies, evenly spaced: of studies in order of a grade, each grade has its share."""
    count = min(count, len(studies))
    return {studies[int((place + 0.5) * len(studies) / count)] for place in range(count)}


def _hash(seed: int, study: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{study}".encode()).digest()


def _located(data: str) -> Located:
    if data == "auto":
        folders = [root / name for name in ("rsna_lumbar", WHOLE) for root in data_roots()]
        whole = next((folder for folder in folders if (folder / TREE).is_dir()), None)
        if whole is None:
            return registry.find("rsna_lumbar", "phantom")
        return replace(registry.find("rsna_lumbar", str(whole)), name=whole.name)
    return registry.find("rsna_lumbar", data)


def _grades(folder: Path, skipped: Skipped) -> tuple[pd.DataFrame, Path]:
    """The wide table of grades by study, and its path; studies that come twice with other grades are left out."""
    path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder}: found no {' or '.join(TABLES)}; expected a table of grades by study_id")
    table = read_csv(path, ("study_id",), min_rows=1)
    known = [target for target in TARGETS if target in table]
    if not known:
        raise InputError(f"{path}: found none of the 25 targets among its columns; expected some, such as {TARGETS[0]}")
    table = table[["study_id", *known]].drop_duplicates()
    if (unnamed := table["study_id"] == "").any():
        raise InputError(f"{path}: line {unnamed.idxmax()}: study_id is empty; expected the name of a study")
    twice = table["study_id"].duplicated(keep=False)
    skipped += [(folder / study, f"comes twice in {path.name}") for study in table.loc[twice, "study_id"].unique()]
    grades = graded_cells(table[~twice].set_index("study_id"), path)
    return grades.reindex(columns=list(TARGETS)), path


def _found(root: Path, skipped: Skipped) -> list[_Found]:
    """The series of all studies below a folder; what is no readable slice or no study of its own is left out."""
    folders = [path for path in listing(root, skipped) if path.is_dir()]
    seen: dict[str, str] = {}
    found: list[_Found] = []
    for study in shown(folders, len(folders), "Reading studies"):
        slices = list(_slices(study, skipped, DEPTH))
        uids = {one.study for one in slices}
        if len(uids) > 1:
            skipped.append((study, f"holds {len(uids)} studies of one name, by their StudyInstanceUID"))
        elif (uid := next(iter(uids), "")) and (other := seen.setdefault(uid, study.name)) != study.name:
            skipped.append((study, f"is the study {other} again, by its StudyInstanceUID"))
        else:
            found += _in_series(study, slices, skipped)
    return found


def _slices(folder: Path, skipped: Skipped, depth: int) -> Iterator[Slice]:
    for path in listing(folder, skipped):
        if path.is_dir():
            if depth:
                yield from _slices(path, skipped, depth - 1)
            else:
                skipped.append((path, f"lies more than {DEPTH} folders below its study"))
            continue
        try:
            yield read_slice(path)
        except InputError as error:
            skipped.append((path, str(error).removeprefix(f"{path}: ")))


def _in_series(study: Path, slices: Collection[Slice], skipped: Skipped) -> list[_Found]:
    """The series of a study: a folder each, or by SeriesInstanceUID where several lie in one folder.

    Of slices of one series at one place the first counts, as when a model is asked.
    """
    parts: dict[tuple[Path, str], list[Slice]] = {}
    for one in slices:
        parts.setdefault((one.path.parent, one.series), []).append(one)
    folders = [folder for folder, _ in parts]
    names = [
        folder.relative_to(study).as_posix() if folders.count(folder) == 1 and folder != study else uid or study.name
        for folder, uid in parts
    ]
    found = []
    for name, part in zip(names, parts.values(), strict=True):
        kept, copies = each_place_once(in_place_order(part))
        skipped += [(one.path, "lies where another slice of its series does") for one in copies]
        found.append(_Found(study.name, name, kept))
    return found


def _series(found: Iterable[_Found], folder: Path) -> pd.DataFrame:
    described: dict[str, str] = {}
    if (folder / DESCRIPTIONS).is_file():
        table = load_series(folder).records
        described = dict(zip(table["record_id"], table["label"], strict=True))
    rows = [
        {
            "study_id": study,
            "series_id": series,
            "description": described.get(f"{study}/{series}") or _described(slices[0][0]),
            "orientation": slices[0][0].plane,
            "slices": tuple(one.path for one, _ in slices),
            "position_mm": tuple(position for _, position in slices),
            "sizes": len({one.size for one, _ in slices}),
        }
        for study, series, slices in found
    ]
    columns = ["study_id", "series_id", "description", "orientation", "slices", "position_mm", "sizes"]
    return pd.DataFrame(rows, columns=columns)


def _described(first: Slice) -> str:
    """The kind of a series by its plane and what its description says of its weighting, else the description."""
    words = re.findall(r"STIR|T[12]", first.description.upper())
    return WEIGHTINGS.get((first.plane, words[0] if words else "")) or first.description or NOT_DESCRIBED


def _numbered(series: pd.DataFrame) -> pd.DataFrame:
    kind = series["description"].map({name: place for place, name in enumerate(SERIES)}).fillna(len(SERIES))
    series = series.assign(kind=kind).sort_values(["study_id", "kind", "series_id"], ignore_index=True)
    counts = series["slices"].map(len).astype(int)
    return series.drop(columns="kind").assign(first=counts.cumsum() - counts)


def _absent(absent: Sequence[str], table: Path) -> list[str]:
    if not absent:
        return []
    return [f"Studies of `{table.name}` without images, which are left out: {len(absent):,} ({few(absent, 3)})."]


def _odd(series: pd.DataFrame, grades: pd.DataFrame) -> list[str]:
    """Sentences on what is unlike a whole study and stays: missing series, single slices, mixed sizes, no grade."""
    name = series["study_id"] + "/" + series["series_id"]
    of_kind = {kind: set(series.loc[series["description"] == kind, "study_id"]) for kind in SERIES}
    found = {f"Studies without a {kind} series": grades.index.difference([*there]) for kind, there in of_kind.items()}
    found |= {
        "Series of one slice": name[series["slices"].map(len) == 1],
        "Series of slices of several sizes, each squashed to the same square": name[series["sizes"] > 1],
        "Series of a kind that shows no graded condition": name[~series["description"].isin(SERIES)],
        "Studies without a single grade, which count nowhere": grades.index[grades.isna().all(axis=1)],
    }
    return [
        f"{what}: {len(names):,} ({few([f'`{one}`' for one in names], 3)})."
        for what, names in found.items()
        if len(names)
    ]


def _write(path: Path, files: Sequence[Path], size: int, grey: Grey) -> None:
    """Write the slices as NumPy stores an array: written, not mapped, so that a full disk is an error."""
    with path.open("wb") as out:
        head = {"descr": "|u1", "fortran_order": False, "shape": (len(files), size, size)}
        np.lib.format.write_array_header_2_0(out, head)
        for rows in shown(_read(files, size, grey), -(-len(files) // BATCH), "Reading slices"):
            out.write(rows)


def _read(files: Sequence[Path], size: int, grey: Grey) -> Iterable[bytes]:
    """The pixels of each batch of files in order; in processes of their own where there are many."""
    from joblib import Parallel, cpu_count, delayed

    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    processes = 1 if len(files) < MANY else min(cpu_count(), PROCESSES)
    return Parallel(n_jobs=processes, return_as="generator")(delayed(_batch)(batch, size, grey) for batch in batches)


def _batch(files: Sequence[Path], size: int, grey: Grey) -> bytes:
    return b"".join(read_grey(path, size, grey).tobytes() for path in files)
