"""Verify: does a dataset on disk hold what its manifest says, and can every file of it be opened?"""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from medutils.data.images import SUFFIXES, VOLUMES, read_image
from medutils.data.manifest import PHANTOM_MARK, Located, Manifest
from medutils.errors import InputError
from medutils.files import explain, printable
from medutils.tables import encoding_note, read_csv

Result = TypeVar("Result")

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

WORKERS = 2
MANY = 500  # files, from which on a second process pays for its start


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a dataset on disk."""

    kind: Literal["corrupt", "missing", "unexpected", "unreadable", "refused", "skipped", "count"]
    where: str
    what: str

    def __str__(self) -> str:
        return printable(f"{self.kind}: {self.where}: {self.what}")


@dataclass(frozen=True)
class Verification:
    """What was found: files opened, counts, the version they fit, the faults, and notes (where, what), no faults."""

    located: Located
    opened: int
    counts: dict[str, int]
    version: str
    differences: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many pictures or records were counted; the rows of tables beside them are not added."""
        return total_of(self.counts)


def total_of(counts: dict[str, int]) -> int:
    """The sum of counts of files and records, without those of tables' rows."""
    return sum(number for key, number in counts.items() if not key.endswith(".csv"))


def verify(manifest: Manifest, located: Located) -> Verification:
    """Open every file of a dataset, read its records, and compare its counts with the manifest.

    What the loader refuses or skips is a fault, and so is what in RSNA's DICOM tree does not fit its tables. A
    difference between two known versions is stated in `differences` (version, key, how many more than it), and is no
    fault; a count that fits no version is one. The counts of a phantom are stated and compared with nothing.
    """
    root, files, known, faults = _look(manifest, located)
    reasons = dict(zip(known, over_files(why_unreadable, [root / file for file in known]), strict=True))
    bad = _filled(reasons)
    faults += [Fault("corrupt", file, reason) for file, reason in bad.items()]
    records = _records(manifest, located, faults)
    notes = {file: encoding_note(root / file) for file in known if file.lower().endswith(".csv") and file not in bad}
    if manifest.name == "rsna_lumbar" and records is not None:
        notes |= _matched(located, faults)
    notes = _filled(notes)
    counts = {key: _count(key, root, files, bad) for key in _patterns(manifest)}
    if classes := [key for key in _keys(manifest) if key in manifest.classes]:
        labels = [] if records is None else list(records["label"])
        counts |= {name: labels.count(name) for name in classes}
    if located.kind == "phantom":
        return Verification(located, len(known), _filled(counts), "phantom", {}, tuple(faults), notes)
    version, off = _nearest(manifest, counts)
    expected = manifest.versions()[version]
    faults += [
        Fault("count", key, f"found {counts[key]:,}, expected {expected[key]:,} ({version})")
        for key in off.pop(version, {})
    ]
    found = _filled({key: counts[key] for key in expected})
    return Verification(located, len(known), found, version, off, tuple(faults), notes)


def _look(manifest: Manifest, located: Located) -> tuple[Path, list[str], list[str], list[Fault]]:
    """The folder, all files in it, those that the manifest knows, and the faults that their names show."""
    if located.path.is_file():
        return located.path.parent, [located.path.name], [located.path.name], []
    files, faults = list_files(located.path)
    expected = [*manifest.files, *manifest.optional, PHANTOM_MARK, *_patterns(manifest)]
    known = [file for file in files if any(fnmatchcase(file, pattern) for pattern in expected)]
    faults += [
        Fault("unexpected", file, "a file that the manifest does not know") for file in sorted({*files} - {*known})
    ]
    faults += [Fault("missing", file, "the manifest names it") for file in manifest.files if file not in files]
    return located.path, files, known, faults


def list_files(root: Path) -> tuple[list[str], list[Fault]]:
    """Paths of all files below `root`, relative and sorted, and a fault for all that is no file to be read.

    Links to folders are not followed, so a loop of links ends.
    """
    faults: list[Fault] = []

    def unreadable(error: OSError) -> None:
        where = Path(error.filename).relative_to(root).as_posix()
        faults.append(Fault("unreadable", where, (error.strerror or str(error)).lower()))

    files = []
    for folder, folders, names in os.walk(root, onerror=unreadable):
        for path in (Path(folder) / name for name in (*folders, *names)):
            inside = path.relative_to(root).as_posix()
            if path.is_file():
                files.append(inside)
            elif path.is_symlink():
                faults.append(Fault("unexpected", inside, "a link to a folder, or to nothing; it is not followed"))
            elif not path.is_dir():
                faults.append(Fault("unexpected", inside, "neither a file nor a folder"))
    return sorted(files), faults


def over_files(work: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """Do `work` on each file, in two processes when there are many; the results come in the order of `paths`."""
    if len(paths) < MANY:
        return [work(path) for path in paths]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, paths, chunksize=64))


def why_unreadable(path: Path) -> str:
    """Open a file by the reader of its kind; "" when that works, else what is wrong."""
    try:
        _open(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return str(explain(error, path)).removeprefix(f"{path}: ")
    return ""


def _open(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".dcm":
        from medutils.data.dicom import read_dicom
        from medutils.data.lumbar import read_slice

        read_dicom(path)
        read_slice(path)
    elif suffix in SUFFIXES:
        read_image(path)
    elif suffix in VOLUMES:
        from medutils.data.lumbar import read_volume

        read_volume(path)
    elif suffix == ".csv":
        count_rows(path)
    else:
        path.read_bytes()


def count_rows(path: Path) -> int:
    """Rows of a CSV file below its header; `InputError` when it is no table (see `read_csv`)."""
    return len(read_csv(path))


def report(verification: Verification) -> "Table":
    """The counts and the differences to other versions as a rich table."""
    from rich.table import Column, Table

    located = verification.located
    title = f"{located.name} ({located.kind}), files opened: {verification.opened:,}"
    table = Table(*(Column(name, overflow="fold") for name in ("what", "where", "found")), title=title)
    table.min_width = len(title)
    for key, number in verification.counts.items():
        table.add_row("count", key, f"{number:,}")
    table.add_row("version", verification.version, f"{verification.total:,}" if verification.total else "")
    for version, keys in verification.differences.items():
        for key, more in keys.items():
            table.add_row(f"than {version}", key, f"{more:+,}")
    for where, what in verification.notes.items():
        table.add_row("note", where, what)
    return table


def _keys(manifest: Manifest) -> list[str]:
    return list(dict.fromkeys(key for version in manifest.versions().values() for key in version))


def _patterns(manifest: Manifest) -> list[str]:
    return [key for key in _keys(manifest) if key not in manifest.classes]


def _filled(values: dict[str, Result]) -> dict[str, Result]:
    return {key: value for key, value in values.items() if value}


def _records(manifest: Manifest, located: Located, faults: list[Fault]) -> "pd.DataFrame | None":
    """The records as the loader reads them; what it refuses or skips and no fault names yet is added to `faults`."""
    from medutils.data.registry import DATASETS

    tables_or_folders = any(fault.kind in ("missing", "unreadable") or fault.where.endswith(".csv") for fault in faults)
    if tables_or_folders or manifest.name not in DATASETS:
        return None
    try:
        loaded = DATASETS[manifest.name].load(located.path)
    except InputError as error:
        faults.append(_refused(located, error))
        return None
    named = {printable(fault.where) for fault in faults}
    more = [Fault("skipped", file, reason) for file, reason in loaded.skipped]
    more += [Fault("unexpected", file, "no patient can be read from its name") for file in loaded.unmatched]
    faults += [fault for fault in more if printable(fault.where) not in named]
    return loaded.records


def _matched(located: Located, faults: list[Fault]) -> dict[str, str]:
    """Match the RSNA tables and the DICOM tree; a note when there is no tree, which is no fault."""
    from medutils.data.rsna_match import TREE, mismatches

    named = {printable(fault.where) for fault in faults}
    try:
        faults += [Fault(*found) for found in mismatches(located.path) if found.where not in named]
    except InputError as error:
        faults.append(_refused(located, error))
    return {} if (located.path / TREE).is_dir() else {TREE: "no images are there; the tables alone were checked"}


def _refused(located: Located, error: InputError) -> Fault:
    text = str(error).removeprefix(f"{located.path}: ").replace(f"{located.path}/", "")
    return Fault("refused", located.path.name, text)


def _count(key: str, root: Path, files: list[str], bad: Collection[str]) -> int:
    """How many files there are of a pattern, or rows of a table."""
    if "*" in key:
        return sum(fnmatchcase(file, key) for file in files)
    return count_rows(root / key) if key in files and key not in bad else 0


def _nearest(manifest: Manifest, counts: dict[str, int]) -> tuple[str, dict[str, dict[str, int]]]:
    """The version whose counts differ least, and how the counts differ from it and from each version close to them."""
    versions = manifest.versions()
    off = {
        name: {key: counts[key] - number for key, number in version.items() if counts[key] != number}
        for name, version in versions.items()
    }
    apart = {name: sum(map(abs, keys.values())) for name, keys in off.items()}
    nearest = min(apart, key=apart.__getitem__)
    # A version that differs in more than a tenth is another set altogether; listing how says nothing.
    close = [name for name in off if 0 < apart[name] <= sum(versions[name].values()) / 10 or name == nearest]
    return nearest, {name: off[name] for name in close if off[name]}
