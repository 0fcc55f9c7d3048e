"""One lumbar MRI study from a folder of DICOM files in any layout: its series sorted by what their headers say."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medutils.data.dicom import read_header
from medutils.data.lumbar import (
    PLANES,
    SERIES,
    TARGETS,
    Skipped,
    Slice,
    each_place_once,
    graded_cells,
    in_place_order,
    listing,
    read_slice,
)
from medutils.data.mri import Grey, read_grey
from medutils.data.slices import TREE
from medutils.data.studies import DEPTH, TABLES, WEIGHTINGS, left_out
from medutils.errors import InputError
from medutils.files import explain
from medutils.tables import few, read_csv

if TYPE_CHECKING:
    from pydicom import Dataset

KINDS = ("sagittal_t1", "sagittal_t2", "axial_t2")
WORDS = dict(zip(KINDS, SERIES, strict=True))  # a kind as the challenge calls it
KIND_OF = {words: kind for kind, words in WORDS.items()}
# Planes as series' descriptions and folders are called; a weighting may follow at once, as in `SAGT2`.
SPOKEN = {
    "sagittal": "SAG(?:ITT?AL)?",
    "axial": "AX(?:I(?:AL)?)?|TRA(?:NS(?:VERS(?:E|AL))?)?",
    "coronal": "COR(?:ONAL)?",
}
CALLED = {plane: re.compile(rf"(?<![A-Z])(?:{words})(?![A-SU-Z]|T(?!\d))") for plane, words in SPOKEN.items()}
WEIGHTED = re.compile(r"STIR|TIRM|(?<![A-Z])T[12](?!\d)|(?<=SAG|TRA|COR)T[12](?!\d)|(?<=AX)T[12](?!\d)")
LOCALISER = re.compile(r"(?<![A-Z])(?:LOC(?:ALI[SZ]ER)?|SCOUT|SURVEY)(?![A-Z])")
# Degrees that slices of one series may be turned against each other: axial ones tilt from disc to disc.
TURNED = {"sagittal": 30.0, "axial": 60.0}
# ms: echo and repetition times that tell the weighting of a spin echo, and the inversion time of a STIR series.
LONG_ECHO, SHORT_ECHO, SHORT_REPETITION, STIR_INVERSION = 60.0, 30.0, 1500.0, (80.0, 300.0)
MOST_FAULTS = 5000  # files that are no slice, after which a folder is no study


class Series(NamedTuple):
    """All series of a kind: the folders or UIDs that they are named by, their slices in place order, and their places.

    Several series of a kind follow each other, as `Studies.series` has them for training.
    position_mm: of each slice's centre along the mean normal of its own series
    """

    name: str
    slices: tuple[Path, ...]
    position_mm: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Study:
    """The series of one study that can be used.

    series: by kind, in the order of `KINDS`; a kind that is missing is not there
    notes: what a reader is to be told of what was found, each one sentence in Markdown
    """

    folder: Path
    series: dict[str, Series]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Kinds of series that the study lacks."""
        return tuple(kind for kind in KINDS if kind not in self.series)


class _Part(NamedTuple):
    """The slices of a series in place order, and the header of its first instance, which speaks for all of them.

    folder: the name of the folder that holds this series and no other one, "" where there is none
    """

    name: str
    folder: str
    placed: list[tuple[Slice, float]]
    header: "Dataset"

    @property
    def plane(self) -> str:
        """The plane of the series: that of its mean normal, whatever single slices that tilt come nearest to."""
        normals = np.array([one.normal for one, _ in self.placed])
        return PLANES[int(np.abs(normals).mean(0).argmax())]

    @property
    def described(self) -> str:
        return self.placed[0][0].description


def open_study(folder: Path) -> Study:
    """Find the series of one study in a folder of DICOM files, by their headers alone.

    folder: files of one study in any layout: a folder a series, all in one folder, or with more folders between

    A series is a SeriesInstanceUID; where a file has none, a folder and a description. Its plane is that of its slices
    (ImageOrientationPatient). Its weighting is what SeriesDescription says, else what echo time, repetition time and
    ScanningSequence say. Several series of a kind follow each other, by their names, as in training. Localisers, other
    planes and weightings, and files that are no slice are left aside; `Study.notes` says so. Raises `InputError` when
    the folder holds no readable slice, slices of two studies or two patients, or no series of a kind that is known; and
    when a series is called by another plane than its slices lie in, or its slices lie in two.
    """
    skipped: Skipped = []
    slices = list(_slices(folder, skipped, DEPTH))
    named = tuple((_below(path, folder), why) for path, why in skipped)
    if not slices:
        first = f"; the first of {len(named):,} faults is in {': '.join(named[0])}" if named else ""
        raise InputError(f"{folder}: found no readable DICOM slice; expected those of one study{first}")
    parts = _parts(folder, slices)
    if len(studies := sorted({one.study for one in slices} - {""})) > 1:
        raise InputError(
            f"{folder}: found {len(studies):,} studies, by their StudyInstanceUID ({few(studies, 3)}); expected one"
        )
    if len(patients := {name for part in parts for name in _values(part.header, "PatientID")}) > 1:
        raise InputError(f"{folder}: found {len(patients):,} patients, by their PatientID; expected one")
    found: dict[str, list[_Part]] = {kind: [] for kind in KINDS}
    aside = []
    for part in parts:
        kind = _kind(folder, part)
        if kind in found:
            found[kind].append(part)
        else:
            aside.append(f"`{part.name}` ({kind})")
    if not any(found.values()):
        raise InputError(
            f"{folder}: found no series of {', '.join(SERIES)} among {few(aside, 3)}; expected at least one of them"
        )
    notes = [f"Series that are not used: {few(aside, 6)}."] if aside else []
    series = {}
    for kind, of_kind in found.items():
        if of_kind:
            series[kind] = _series(kind, of_kind, notes)
    return Study(folder, series, (*notes, *left_out(named)))


def read_study(study: Study, size: int, grey: Grey = "gsl") -> tuple[Study, dict[str, NDArray[np.uint8]]]:
    """The pixels of each series, uint8 (slices, size, size) by kind, and the study without what cannot be read.

    A slice whose pixels are damaged is left out and named in the study's notes, and a series without any other slice is
    missing. Raises `InputError` when no slice is left.
    """
    series, pixels, unread = {}, {}, []
    for kind, one in study.series.items():
        read, kept = [], []
        for path, place in zip(one.slices, one.position_mm, strict=True):
            try:
                read.append(read_grey(path, size, grey))
                kept.append((path, place))
            except InputError as error:
                unread.append((_below(path, study.folder), str(error).removeprefix(f"{path}: ")))
        if kept:
            kept_slices, places = zip(*kept, strict=True)
            series[kind] = Series(one.name, kept_slices, places)
            pixels[kind] = np.stack(read)
    if not series:
        raise InputError(
            f"{study.folder}: found no slice whose pixels can be read; expected some; the first of {len(unread):,} "
            f"faults is in {': '.join(unread[0])}"
        )
    return replace(study, series=series, notes=(*study.notes, *left_out(unread))), pixels


def known_grades(folder: Path) -> dict[str, str]:
    """The grades of a study by target, where a table of grades lies beside its folder; {} where there is none.

    The table is `grades.csv` or `train.csv`, beside the study's folder or, in the challenge's own tree, beside
    `train_images`. Raises `InputError` for a table that cannot be read, or a cell that is no grade.
    """
    folder = folder.resolve()
    beside = folder.parent.parent if folder.parent.name == TREE else folder.parent
    path = next((beside / name for name in TABLES if (beside / name).is_file()), None)
    if path is None:
        return {}
    table = read_csv(path)
    if "study_id" not in table:
        return {}
    rows = table[table["study_id"] == folder.name].drop_duplicates().set_index("study_id")
    grades = graded_cells(rows[[target for target in TARGETS if target in rows]], path)
    return grades.iloc[0].dropna().to_dict() if len(grades) == 1 else {}


def _slices(folder: Path, skipped: Skipped, depth: int) -> Iterator[Slice]:
    """All slices below a folder; what is none is named. Pipes and devices are not opened: they may never end."""
    if not folder.is_dir():
        reason = "found no folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {reason}; expected one of the DICOM files of a study")
    for path in listing(folder, skipped):
        if len(skipped) > MOST_FAULTS:
            raise InputError(
                f"{folder}: found more than {MOST_FAULTS:,} files that are no slice; expected a study's folder"
            )
        try:
            if path.is_dir() and depth:
                yield from _slices(path, skipped, depth - 1)
            elif path.is_dir():
                skipped.append((path, f"lies more than {DEPTH} folders below its study"))
            elif path.is_file():
                yield read_slice(path)
            else:
                skipped.append((path, "is neither file nor folder"))
        except OSError as error:
            skipped.append((path, str(explain(error, path)).removeprefix(f"{path}: ")))
        except InputError as error:
            skipped.append((path, str(error).removeprefix(f"{path}: ")))


def _parts(folder: Path, slices: Collection[Slice]) -> list[_Part]:
    """The series by SeriesInstanceUID (by folder where there is none) and description, in the order of their names."""
    groups: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
        groups.setdefault((one.series or str(one.path.parent), one.description), []).append(one)
    folders = [{one.path.parent for one in group} for group in groups.values()]
    parts = []
    for (_, description), group, places in zip(groups, groups.values(), folders, strict=True):
        place = next(iter(places))
        alone = len(places) == 1 and place != folder and sum(place in others for others in folders) == 1
        name = _below(place, folder) if alone else group[0].series or description or folder.name
        placed = in_place_order(group)
        header = read_header(min(group, key=lambda one: one.instance).path)
        parts.append(_Part(name, place.name if alone else "", placed, header))
    return sorted(parts, key=lambda part: (part.name, part.described))


def _kind(folder: Path, part: _Part) -> str:
    """One of `KINDS`, or in words why the series is of none.

    Raises `InputError` when a series that names a weighting is called by another plane than it lies in, or lies in two.
    """
    described = part.described.upper()
    image_type, modality = _values(part.header, "ImageType"), _values(part.header, "Modality") or ["MR"]
    if LOCALISER.search(described) or "LOCALIZER" in image_type:
        return "a localiser"
    if modality != ["MR"]:
        return f"{modality[0]} and no MR"
    where = f"{folder}: series {part.name}"
    if not (weighting := _said(described) or _timed(part.header)):
        return f"{part.plane}, of a weighting that its header does not tell"
    _check_turned(where, part)
    _check_called(where, part)
    words = WEIGHTINGS.get((part.plane, weighting))
    return KIND_OF[words] if words else f"{part.plane} {weighting}"


def _said(words: str) -> str:
    """The weighting that words in capitals name; "" where they name none, or two."""
    found = {"STIR" if word == "TIRM" else word for word in WEIGHTED.findall(words)}
    if "STIR" in found:
        return "STIR"
    return found.pop() if len(found) == 1 else ""


def _timed(header: "Dataset") -> str:
    """The weighting that the times of a spin echo tell, "" where they tell none.

    After the usual ranges: T1 with short echo and repetition times, or a short echo after an inversion of long time
    (T1 FLAIR); T2 with a long echo; STIR with an inversion whose time is that of fat. A gradient echo is not told.
    """
    sequence = _values(header, "ScanningSequence")
    echo, repetition, inversion = (_ms(header, tag) for tag in ("EchoTime", "RepetitionTime", "InversionTime"))
    if "GR" in sequence and "SE" not in sequence:
        return ""
    if "IR" in sequence and STIR_INVERSION[0] <= inversion <= STIR_INVERSION[1]:
        return "STIR"
    if echo >= LONG_ECHO and repetition > SHORT_REPETITION:
        return "T2"
    short = 0 < repetition <= SHORT_REPETITION or ("IR" in sequence and inversion > STIR_INVERSION[1])
    return "T1" if 0 < echo <= SHORT_ECHO and short else ""


def _ms(header: "Dataset", tag: str) -> float:
    """A time of the header, the first where it names several; NaN where it names none, or no number."""
    try:
        return float(next(iter(_values(header, tag)), "nan"))
    except ValueError:
        return float("nan")


def _values(header: "Dataset", tag: str) -> list[str]:
    """What a tag holds, as text; nothing where it is not there or damaged, of which pydicom raises anything."""
    try:
        value = header.get(tag)
        return [str(one).strip() for one in ([value] if isinstance(value, str) else np.atleast_1d(value)) if one]
    except Exception:
        return []


def _check_turned(where: str, part: _Part) -> None:
    """Raise `InputError` when slices of a series are turned against each other by more than a stack's tilt."""
    normals = np.unique(np.round([one.normal for one, _ in part.placed], 3), axis=0)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    most = float(np.degrees(np.arccos(np.clip(np.abs(normals @ normals.T), 0, 1).min())))
    if most > TURNED.get(part.plane, min(TURNED.values())):
        planes = few(sorted({one.plane for one, _ in part.placed}))
        raise InputError(
            f"{where}: found slices of two orientations, {most:.0f} degrees apart ({planes}); expected those of one "
            "series in one plane"
        )


def _check_called(where: str, part: _Part) -> None:
    """Raise `InputError` when the description or the folder of a series names another plane than its slices lie in."""
    names = {"described as": part.described, "in the folder": part.folder}
    for what, name in names.items():
        called = [plane for plane, pattern in CALLED.items() if pattern.search(name.upper())]
        if len(called) == 1 and called[0] != part.plane:
            raise InputError(
                f"{where}: found {part.plane} slices, by ImageOrientationPatient, {what} '{name}'; expected "
                f"{called[0]} slices, or another name"
            )


def _series(kind: str, parts: Sequence[_Part], notes: list[str]) -> Series:
    """The series of a kind, one after the other; what is odd about them is added to `notes`."""
    if len(parts) > 1:
        counted = [f"`{part.name}` with {len(part.placed)} slices" for part in parts]
        notes.append(f"Series of {WORDS[kind]} that follow each other, as in training: {few(counted, 3)}.")
    placed = [one for part in parts for one in _once_placed(kind, part, notes)]
    name = " and ".join(part.name for part in parts)
    return Series(name, tuple(one.path for one, _ in placed), tuple(place for _, place in placed))


def _once_placed(kind: str, part: _Part, notes: list[str]) -> list[tuple[Slice, float]]:
    """The slices of one series, each place once; what is odd about it is added to `notes`."""
    placed, copies = each_place_once(part.placed)
    if copies:
        names = [one.path.name for one in copies]
        notes.append(f"`{part.name}`: slices that lie where another one does, left out: {few(names, 3)}.")
    if len(placed) == 1:
        notes.append(f"`{part.name}` is one {WORDS[kind]} slice and no stack of them.")
    said, timed = _said(part.described.upper()), _timed(part.header)
    if timed and (part.plane, timed) in WEIGHTINGS and WEIGHTINGS[part.plane, timed] != WORDS[kind]:
        notes.append(f"`{part.name}` is described as {said}, and its echo time is one of {timed}; taken as {said}.")
    return placed


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else folder.name
