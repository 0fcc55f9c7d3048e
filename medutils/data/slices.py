"""The annotated slices of RSNA 2024, cut from its DICOM files into pictures that open in a moment."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image

from medutils import cache
from medutils.data.dicom import read_dicom
from medutils.data.lumbar import SERIES, SERIES_OF_CONDITION, listing, load_coordinates, load_rsna_targets, load_series
from medutils.data.manifest import kind_of, mark_phantom
from medutils.errors import InputError
from medutils.files import explain, write_text, written_whole

SIDE, QUALITY = 250, 88  # pixels, and of the JPEG: those of the slices that the book was measured on
TREE, INDEX, GRADED, LEFT_OUT, STAMP = "train_images", "index.csv", "train.csv", "left_out.csv", "source.txt"
NOTES = "notes.txt"  # what a reader of the slices is to be told, a line each
COORDINATES, DESCRIPTIONS = "train_label_coordinates*.csv", "train_series_descriptions.csv"
Skipped = list[tuple[str, str]]
COLUMNS = ["study_id", "series_id", "instance_number", "condition", "level", "file"]
THREADS = 2
PROGRESS_FROM = 100  # slices


Item = TypeVar("Item")


class Cut(NamedTuple):
    """What was cut: slices and annotations on them, what was left out (its place, and the reason), and what to tell."""

    slices: int
    annotations: int
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """What is to be cut: annotations with the paths of both files (`dicom` and `file`), and what goes with them.

    skipped: what is left out by the names alone, each with the reason
    graded: the content of the table of grades; notes: what a reader of the slices is to be told
    """

    annotations: pd.DataFrame
    skipped: Skipped
    graded: bytes
    notes: tuple[str, ...] = ()


def cut_slices(folder: Path, out: Path, series: str = SERIES[0]) -> Cut:
    """Cut the annotated slices of one kind of series from the challenge's own tree, and write them as a folder.

    Parameters
    ----------
    folder: `train.csv`, the coordinates, `train_series_descriptions.csv` and
        `train_images/<study>/<series>/<instance>.dcm`; or a table of grades and DICOM studies without coordinates, of
        which slices are taken where the foramina lie (`medutils.data.placed`)
    out: the folder to write: `index.csv` (study_id, series_id, instance_number, condition, level, file), one row an
        annotation, the slices `<study>/<series>/<instance>.jpg`, and a copy of `train.csv`; nothing may be there yet
    series: one of `SERIES`; the annotations are of the conditions that it shows

    A slice is `grey_slice`'s. Slices are written beside `out`, where a call that was interrupted goes on; the folder is
    renamed when all are there. A slice or a study that the tables name and the tree lacks, a slice that cannot be read
    and a study without an annotated slice are left out and named in `Cut.skipped` and in `left_out.csv` (file, reason).
    Raises `InputError` when `out` is there, the tables or the tree are not, or no slice is left.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; expected a folder that is not")
    return _cut(folder, out, _wanted(folder, series))


def cut_once(folder: Path) -> Path:
    """The folder that `cut_slices` makes of `folder`, kept in the cache; for its errors too."""
    wanted = _wanted(folder, SERIES[0])
    out = cache.place("slices", _source(folder, wanted))
    if not out.is_dir():
        with cache.locked(out):
            if not out.is_dir():
                _cut(folder, out, wanted)
    return out


def _cut(folder: Path, out: Path, wanted: Wanted) -> Cut:
    part = out.with_name(f".{out.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{part}.lock", timeout=0):
            cut = _cut_into(part, folder, wanted, _source(folder, wanted))
            part.replace(out)
        Path(f"{part}.lock").unlink(missing_ok=True)
    except Timeout as error:
        raise InputError(f"{out}: is being written by another process; expected to be the only one") from error
    except OSError as error:
        raise explain(error, out) from error
    return cut


def grey_slice(path: Path) -> Image.Image:
    """A DICOM slice as a picture of 250 x 250 grey pixels: its own window to 0..255, squashed to a square, bicubic.

    Of all ways tried this one comes nearest to the slices that the book was measured on: on the nine that two studies
    have in common it differs by 1.4 grey levels on average and correlates by .999.
    """
    return Image.fromarray(read_dicom(path, "header")).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _wanted(folder: Path, series: str) -> Wanted:
    """The annotations whose study is in the tree; without coordinates, slices where the foramina lie."""
    if series not in SERIES:
        raise InputError(f"series: found '{series}'; expected {', '.join(SERIES)}")
    its_own = (folder / DESCRIPTIONS).is_file() or any(folder.glob(COORDINATES))  # the challenge's, whole or in part
    if series == SERIES[0] and not its_own:
        from medutils.data.placed import placed

        return placed(folder)
    if not (folder / TREE).is_dir():
        raise InputError(f"{folder}: found no folder {TREE}; expected the DICOM files of the challenge in it")
    load_rsna_targets(folder)
    described = load_series(folder).records.set_index("record_id")["label"]
    places = load_coordinates(folder)
    shown_on_it = places["condition"].map(SERIES_OF_CONDITION) == series
    of_series = (places["study_id"] + "/" + places["series_id"]).map(described) == series
    rows = places[shown_on_it & of_series].sort_values(["study_id", "series_id", "instance_number", "target"])
    stem = rows["study_id"] + "/" + rows["series_id"] + "/" + rows["instance_number"].astype(str)
    rows = rows.assign(file=stem + ".jpg", dicom=TREE + "/" + stem + ".dcm")
    named, there = {*rows["study_id"]}, {path.name for path in listing(folder / TREE, []) if path.is_dir()}
    if not named & there:
        raise InputError(
            f"{folder}: the coordinates name {series} slices of {len(named):,} studies, and none of them is among the "
            f"{len(there):,} in {TREE}; expected tables and images of the same studies"
        )
    skipped = [(f"{TREE}/{study}", "is not there; the coordinates name it") for study in sorted(named - there)]
    skipped += [(f"{TREE}/{study}", f"the coordinates name no {series} slice of it") for study in sorted(there - named)]
    return Wanted(rows[rows["study_id"].isin(there)], skipped, (folder / GRADED).read_bytes())


def _source(folder: Path, wanted: Wanted) -> str:
    """What the slices are cut from: a folder begun with anything else is begun again."""
    files = [folder / name for name in wanted.annotations["dicom"].unique()]
    stats = [(stat.st_size, stat.st_mtime_ns) if (stat := _stat(file)) else None for file in files]
    rows = wanted.annotations[[*COLUMNS]].to_csv(index=False)
    return cache.key_of(
        cut_slices, str(folder.resolve()), rows, wanted.skipped, stats, hashlib.sha256(wanted.graded).hexdigest()
    )


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


def _cut_into(part: Path, folder: Path, wanted: Wanted, source: str) -> Cut:
    stamp = part / STAMP
    if part.exists() and not (stamp.is_file() and stamp.read_text() == source):
        shutil.rmtree(part)
    write_text(stamp, source)
    files = wanted.annotations.drop_duplicates("file")
    work = [(folder / dicom, part / file) for dicom, file in zip(files["dicom"], files["file"], strict=True)]
    with ThreadPoolExecutor(THREADS) as pool:
        reasons = list(shown(pool.map(_cut_one, work), len(work), "Cutting slices"))
    unread = [(dicom, why) for dicom, why in zip(files["dicom"], reasons, strict=True) if why]
    rows = wanted.annotations[~wanted.annotations["dicom"].isin([dicom for dicom, _ in unread])]
    if rows.empty:
        raise InputError(
            f"{folder}: found none of the {len(work):,} slices that the coordinates name, such as "
            f"{': '.join(unread[0])}; expected tables and {TREE} of the same studies"
        )
    rows.to_csv(part / INDEX, columns=COLUMNS, index=False)
    (part / GRADED).write_bytes(wanted.graded)
    if wanted.notes:
        write_text(part / NOTES, "\n".join(wanted.notes))
    skipped = (*wanted.skipped, *unread)
    if skipped:
        pd.DataFrame(skipped, columns=["file", "reason"]).to_csv(part / LEFT_OUT, index=False)
    if kind_of(folder) == "phantom":
        mark_phantom(part, name="rsna_lumbar_t1", cut_from="phantom DICOM studies")
    for left in (stamp, *part.rglob(".*.part")):  # of a call that was killed while it wrote a slice
        left.unlink()
    return Cut(len(work) - len(unread), len(rows), skipped, wanted.notes)


def _cut_one(work: tuple[Path, Path]) -> str:
    """Write one slice, unless it is there; why it cannot be, else ""."""
    dicom, file = work
    if file.is_file():
        return ""
    if not dicom.is_file():
        return "is not there; the coordinates name it"
    try:
        picture = grey_slice(dicom)
    except InputError as error:
        return str(error).removeprefix(f"{dicom}: ")
    with written_whole(file) as part:
        picture.save(part, "JPEG", quality=QUALITY)
    return ""


def shown(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    """A progress bar on a terminal, which a command is run on; a notebook's page is no place for one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = total < PROGRESS_FROM or not console.is_terminal
    return track(items, what, total, console=console, transient=True, disable=quiet)
