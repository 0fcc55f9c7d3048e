"""Verify: does a dataset on disk hold what its manifest says, and can every file of it be opened?"""

import csv
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, TypeVar

from medutils.data.images import SUFFIXES, read_image
from medutils.data.manifest import PHANTOM_MARK, Located, Manifest
from medutils.errors import InputError
from medutils.files import explain

Result = TypeVar("Result")

if TYPE_CHECKING:
    from rich.table import Table

WORKERS = 2
MANY = 500  # files, from which on a second process pays for its start
VOLUMES = (".mha", ".nii", ".gz")


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a dataset on disk."""

    kind: Literal["corrupt", "missing", "unexpected", "count"]
    where: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What was found: how many files were opened, the counts, the version they fit, and the faults."""

    located: Located
    opened: int
    counts: dict[str, int]
    version: str
    differences: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def total(self) -> int:
        """How many pictures or records were counted; the rows of tables beside them are not added."""
        return total_of(self.counts)


def total_of(counts: dict[str, int]) -> int:
    """The sum of counts of files and records, without those of tables' rows."""
    return sum(number for key, number in counts.items() if not key.endswith(".csv"))


def verify(manifest: Manifest, located: Located) -> Verification:
    """Open every file of a dataset and compare its counts with the manifest.

    A difference between two known versions is stated in `differences` (version, key, how many more than it), and is no
    fault; a count that fits no version is one. The counts of a phantom are stated and compared with nothing.
    """
    root, files, known, faults = _look(manifest, located)
    reasons = dict(zip(known, over_files(why_unreadable, [root / file for file in known]), strict=True))
    bad = _filled(reasons)
    faults += [Fault("corrupt", file, reason) for file, reason in bad.items()]
    if "index.csv" in known and "index.csv" not in bad:
        faults += _index_faults(root, files)
    counts = {key: _count(key, root, files, bad) for key in _patterns(manifest)}
    if len(counts) < len(_keys(manifest)) and not bad:
        counts |= _class_counts(manifest, located, faults)
    if located.kind == "phantom":
        return Verification(located, len(known), _filled(counts), "phantom", {}, tuple(faults))
    version, off = _nearest(manifest, counts)
    expected = manifest.versions()[version]
    faults += [
        Fault("count", key, f"found {counts[key]:,}, expected {expected[key]:,} ({version})")
        for key in off.pop(version, {})
    ]
    found = _filled({key: counts[key] for key in expected})
    return Verification(located, len(known), found, version, off, tuple(faults))


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
    """Paths of all files below `root`, relative and sorted, and a fault for each folder that cannot be read.

    Links to folders are not followed, so a loop of links ends.
    """
    faults: list[Fault] = []

    def unreadable(error: OSError) -> None:
        faults.append(Fault("corrupt", str(error.filename), (error.strerror or str(error)).lower()))

    files = []
    for folder, _, names in os.walk(root, onerror=unreadable):
        files += [(Path(folder) / name).relative_to(root).as_posix() for name in names]
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
    if suffix in SUFFIXES:
        read_image(path)
    elif suffix == ".dcm":
        from medutils.data.dicom import read_dicom

        read_dicom(path)
    elif suffix in VOLUMES:
        from medutils.data.lumbar import read_volume

        read_volume(path)
    elif suffix == ".csv":
        count_rows(path)
    else:
        path.read_bytes()


def count_rows(path: Path) -> int:
    """Rows of a CSV file below its header; `InputError` when it is no text, has no header or has too long a row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=_separator(file))
            header = next(rows, [])
            lengths = [len(row) for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV table ({error})") from error
    if not any(header):
        raise InputError(f"{path}: found no header line; expected a CSV table")
    if max(lengths, default=0) > len(header):
        raise InputError(f"{path}: found a row of {max(lengths)} cells; expected at most the header's {len(header)}")
    return len(lengths)


def _separator(file: TextIO) -> str:
    """Comma, semicolon or tab, whichever the header line has most of; the file is read from its start again."""
    separator = max(",;\t", key=file.readline().count)
    file.seek(0)
    return separator


def report(verification: Verification) -> "Table":
    """The verification as a rich table: counts first, then differences to other versions, then faults."""
    from rich.markup import escape
    from rich.table import Column, Table

    located = verification.located
    title = f"{located.name} ({located.kind}): {verification.opened:,} files opened"
    table = Table(*(Column(name, overflow="fold") for name in ("what", "where", "found")), title=title)
    for key, number in verification.counts.items():
        table.add_row("count", key, f"{number:,}")
    table.add_row("version", verification.version, f"{verification.total:,}" if verification.total else "")
    for version, keys in verification.differences.items():
        for key, more in keys.items():
            table.add_row(f"than {version}", key, f"{more:+,}")
    for fault in verification.faults:
        table.add_row(f"[red]{fault.kind}[/red]", escape(fault.where), escape(fault.what))
    return table


def _keys(manifest: Manifest) -> list[str]:
    return list(dict.fromkeys(key for version in manifest.versions().values() for key in version))


def _patterns(manifest: Manifest) -> list[str]:
    return [key for key in _keys(manifest) if key not in manifest.classes]


def _filled(values: dict[str, Result]) -> dict[str, Result]:
    return {key: value for key, value in values.items() if value}


def _index_faults(root: Path, files: list[str]) -> list[Fault]:
    """A composed set names its films in index.csv: each must be there, and each film must be named."""
    with (root / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = {row.get("file") or "" for row in csv.DictReader(file, delimiter=_separator(file))}
    films = {file for file in files if Path(file).suffix.lower() in SUFFIXES}
    return [
        *(Fault("missing", file, "index.csv names it") for file in sorted(listed - films)),
        *(Fault("unexpected", file, "index.csv does not name it") for file in sorted(films - listed)),
    ]


def _count(key: str, root: Path, files: list[str], bad: Collection[str]) -> int:
    """How many files there are of a pattern, or rows of a table."""
    if "*" in key:
        return sum(fnmatchcase(file, key) for file in files)
    return count_rows(root / key) if key in files and key not in bad else 0


def _class_counts(manifest: Manifest, located: Located, faults: list[Fault]) -> dict[str, int]:
    """Records of each class, as the loader reads them; a table that it refuses becomes one of `faults`."""
    from medutils.data.registry import dataset

    try:
        labels = dataset(manifest.name).load(located.path)["label"]
    except InputError as error:
        faults.append(Fault("corrupt", located.path.name, str(error).removeprefix(f"{located.path}: ")))
        return dict.fromkeys(manifest.classes, 0)
    return {name: int((labels == name).sum()) for name in manifest.classes}


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
