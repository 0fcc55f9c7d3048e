"""Folders of chest films: Kermany's, a set composed from several hospitals, and the reader's own class folders.

Each loader lists files and reads their names; it opens no image, but looks at the first bytes of a file whose name does
not tell what it is. Links are not followed. What lies in or beside the class folders and is left out is named in
`Loaded.skipped`.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from medutils.data.images import SUFFIXES, is_dicom
from medutils.data.loaded import Loaded
from medutils.data.manifest import PHANTOM_MARK
from medutils.errors import InputError
from medutils.files import explain
from medutils.tables import RECORD_COLUMNS, check_records, few, read_csv

SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
# What lies beside images and is no data, besides names that begin with a dot.
NO_DATA = frozenset({"__macosx", "thumbs.db", "desktop.ini", "dicomdir", "index.csv", PHANTOM_MARK.lower()})

KERMANY_CLASSES = ("NORMAL", "PNEUMONIA")
KERMANY_FOLDERS = ("chest_xray", "chest_xray_pneumonia")
KERMANY_NAMES = (
    re.compile(r"(?P<person>person\d+)_(?P<cause>bacteria|virus)_\d+(_\d+)?"),  # Kaggle
    re.compile(r"(?P<person>(NORMAL2-)?IM-\d+)-\d+(-\d+)?"),  # Kaggle, normal
    re.compile(r"(?P<cause>BACTERIA|VIRUS|NORMAL)-(?P<person>\d+)-\d+"),  # Mendeley
)
CAUSES = {"normal": "normal", "bacteria": "bacterial", "virus": "viral"}

INDEX, INDEX_COLUMNS = "index.csv", ("file", "label", "source", "patient")

Skipped = list[tuple[str, str]]


class _ClassFolder(NamedTuple):
    path: Path
    label: str
    split: str


def load_films(folder: Path, patient_pattern: str = "") -> Loaded:
    """Read a folder of films by what it holds: an `index.csv`, Kermany's layout and names, or plain class folders.

    `patient_pattern` finds the patient in a file's name (see `load_class_folders`); files are then read as those of
    plain class folders. Raises `InputError` when it is given beside an `index.csv`, which names the patients itself.
    """
    if (folder / INDEX).is_file():
        if patient_pattern:
            raise InputError(
                f"patient_pattern: found '{patient_pattern}' and {folder / INDEX}, which names the patients; "
                "expected one of them"
            )
        return load_composed(folder)
    if not patient_pattern and _is_kermany(folder):
        loaded = load_kermany(folder)
        if len(loaded.unmatched) < len(loaded.records):  # else only the class folders are called as Kermany's
            return loaded
    return load_class_folders(folder, patient_pattern or None)


def load_kermany(folder: Path) -> Loaded:
    """Read the folders of Kermany et al.'s children's films (Kaggle or Mendeley) into records.

    Layout: `train`, `test` and perhaps `val`, each with `NORMAL` and `PNEUMONIA`; `folder` may also be the one above.
    Labels are the folders' names. The column `cause` is `normal`, `bacterial`, `viral` or `unknown`, by the file name.

    The patient is read from the name, with the cause before it: `person1_bacteria_2` is `bacteria-person1` and
    `person1_virus_6` is `virus-person1`, two people. `IM-0001-0001` is `normal-IM-0001`, and `NORMAL2-IM-0001-0001` is
    `normal-NORMAL2-IM-0001`, someone else: of the 328 numbers that both series of Kaggle's names use, 94 have one film
    in train and the other in test, while no number of one series does, and such pairs look no more alike than two
    films chosen at random. In Mendeley's names `VIRUS-614452-0001` is `virus-614452`.

    A name that fits none of these is a patient of its own, and is in `Loaded.unmatched`.

    Raises `InputError` when the layout is another, a class folder holds no image or a name contradicts its folder.
    """
    root = _kermany_root(_root(folder))
    classes, skipped = _class_folders(root, _splits(root, _listing(root)[0]))
    for split in sorted({folder.path.parent for folder in classes}) or [root]:
        if tuple(labels := _labels(folder for folder in classes if folder.path.parent == split)) != KERMANY_CLASSES:
            raise InputError(
                f"{split}: found the class folders {few(labels)}; expected {' and '.join(KERMANY_CLASSES)}"
            )
    rows, inside = _rows(root, classes)
    skipped += inside
    _check_filled(classes, rows)
    unmatched = []
    for row in rows:
        stem, normal = Path(row["path"]).stem, row["label"] == "NORMAL"
        identity = _kermany_identity(stem)
        if identity is None:
            unmatched.append(row["record_id"])
        cause, patient = identity or ("normal" if normal else "unknown", stem)
        if (cause == "normal") != normal:
            raise InputError(f"{row['path']}: its name says {cause}; expected a film of its folder, {row['label']}")
        row |= {"patient": patient, "source": "kermany", "cause": cause}
    return _loaded(pd.DataFrame(rows), _below(_root(folder), root, skipped), unmatched)


def load_composed(folder: Path) -> Loaded:
    """Read a set composed from several hospitals, class folders with an `index.csv`, into records.

    `index.csv` has the columns `file` (`<class>/<name>`), `label`, `source`, `patient`, perhaps `split` (train, val,
    validation, test or empty), and any of its own, such as `finding`, which are kept. Commas, semicolons and tabs are
    understood, with or without a byte-order mark. A patient named by two sources counts as one.

    `Loaded.skipped` also lists the files that the index names and that are not there, and images it does not name.

    Raises `InputError` when a column is missing or a cell of it empty, a file is named twice, a label is not the name
    of the file's folder, fewer than two classes are named or there, or no file of the index is there.
    """
    root = _root(folder)
    index = _read_index(root / INDEX)
    _check_classes(root / INDEX, sorted(set(index["label"])))
    classes, skipped = _class_folders(root)
    rows, inside = _rows(root, classes)
    skipped += inside
    paths = {row["record_id"]: row["path"] for row in rows}
    named = index["file"]
    skipped += [(file, f"{INDEX} names it, but it is not there") for file in named if file not in paths]
    skipped += [(file, f"an image that {INDEX} does not name") for file in sorted(paths.keys() - set(named))]
    table = index.rename(columns={"file": "record_id"}).assign(path=named.map(paths))
    table = table[table["path"].notna()].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{root / INDEX}: found none of its {len(index)} files; expected them as <class>/<name>")
    _check_classes(root, sorted(set(table["label"])))
    return _loaded(table, skipped)


def load_class_folders(folder: Path, patient_pattern: str | None = None) -> Loaded:
    """Read the user's own images, a folder with one folder for each class, into records.

    The class folders lie in `folder` or, all of them, in `train`, `val` or `validation`, and `test` inside it. Labels
    are the folders' names and the source is the name of `folder`.

    patient_pattern: a regular expression searched for in each file's name; its one group is the patient. A file whose
        name it does not fit is a patient of its own (`Loaded.unmatched`); without a pattern every file is.

    Raises `InputError` when there are fewer than two classes, two that differ only by case, a class without images,
    class folders beside `train` or `test`, `Train` beside `train`, a folder that cannot be read, or a pattern that is
    invalid or fits no name.
    """
    root = _root(folder)
    pattern = None if patient_pattern is None else _compiled(patient_pattern)
    folders = _listing(root)[0]
    splits = _splits(root, folders)
    if splits and (others := [name for name in folders if name not in splits]):
        raise InputError(f"{root}: found {few(others)} beside {few(splits)}; expected splits only, or classes only")
    classes, skipped = _class_folders(root, splits)
    _check_classes(root, _labels(classes))
    rows, inside = _rows(root, classes)
    skipped += inside
    _check_filled(classes, rows)
    unmatched = []
    for row in rows:
        match = pattern.search(Path(row["path"]).name) if pattern else None
        if not (match and match[1]):
            unmatched.append(row["record_id"])
        patient = match[1] if match else ""
        row |= {"patient": patient or row["record_id"], "source": root.name or "folder"}
    if pattern and len(unmatched) == len(rows):
        first = Path(rows[0]["path"]).name
        raise InputError(
            f"patient_pattern: '{patient_pattern}' fits no file name; expected it to fit such as '{first}'"
        )
    return _loaded(pd.DataFrame(rows), skipped, unmatched)


def _loaded(table: pd.DataFrame, skipped: Skipped, unmatched: Iterable[str] = ()) -> Loaded:
    own = [name for name in table if name not in RECORD_COLUMNS]
    return Loaded(check_records(table[[*RECORD_COLUMNS, *own]]), tuple(skipped), tuple(unmatched))


def _root(folder: Path) -> Path:
    root = folder.absolute()
    if not _is_text(str(root)):
        raise InputError(f"{str(root)!a}: found a name that is not UTF-8; expected one that is")
    return root


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: for bytes that are not, Python stands in lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listing(folder: Path) -> tuple[list[str], list[str], Skipped]:
    """Names of the folders and of the images in `folder`, sorted, and what else lies there, with the reason."""
    folders, images, others = [], [], []
    for name, kind in _entries(folder):
        if name.startswith(".") or name.lower() in NO_DATA:
            continue
        if kind == "folder":
            folders.append(name)
        elif kind == "file" and (Path(name).suffix.lower() in SUFFIXES or is_dicom(folder / name)):
            images.append(name)
        else:
            others.append((name, "no image by its name" if kind == "file" else kind))
    return folders, images, others


def _entries(folder: Path) -> list[tuple[str, str]]:
    """Name and kind of all that is in a folder, sorted by name: `folder`, `file`, or why it can be used as neither."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_text(entry.name):
                    found.append((ascii(entry.name)[1:-1], "its name is not UTF-8"))
                elif entry.is_symlink():
                    found.append((entry.name, "a link, which is not followed"))
                elif entry.is_dir(follow_symlinks=False):
                    found.append((entry.name, "folder"))
                else:
                    plain = entry.is_file(follow_symlinks=False)
                    found.append((entry.name, "file" if plain else "neither a file nor a folder"))
    except OSError as error:
        raise explain(error, folder) from error
    return sorted(found)


def _splits(root: Path, folders: Iterable[str]) -> list[str]:
    """Those of the folders in `root` that are splits, `Train` like `train`; one split in two spellings is refused."""
    splits: dict[str, str] = {}
    for name in folders:
        if (split := name.lower()) in SPLIT_FOLDERS and splits.setdefault(split, name) != name:
            raise InputError(f"{root}: found the folders {splits[split]} and {name}; expected one of them")
    return list(splits.values())


def _class_folders(root: Path, splits: Collection[str] = ()) -> tuple[list[_ClassFolder], Skipped]:
    """The class folders in `root`, or in each of its split folders, and what else lies beside them."""
    folders, skipped = _folders(root, root)
    if not splits:
        return [_ClassFolder(root / name, name, "") for name in folders], skipped
    skipped += [(name, "a folder beside the splits") for name in folders if name not in splits]
    classes = []
    for split in splits:
        labels, others = _folders(root, root / split)
        classes += [_ClassFolder(root / split / name, name, SPLIT_FOLDERS[split.lower()]) for name in labels]
        skipped += others
    return classes, skipped


def _folders(root: Path, folder: Path) -> tuple[list[str], Skipped]:
    """Names of the folders in `folder`, and what else lies there."""
    folders, images, others = _listing(folder)
    return folders, _below(root, folder, others + [(name, "an image outside a class folder") for name in images])


def _below(root: Path, folder: Path, skipped: Skipped) -> Skipped:
    """What was skipped in `folder`, with its path from `root` on."""
    inside = folder.relative_to(root)
    return [((inside / name).as_posix(), reason) for name, reason in skipped]


def _labels(classes: Iterable[_ClassFolder]) -> list[str]:
    return sorted({folder.label for folder in classes})


def _check_classes(where: Path, labels: Collection[str]) -> None:
    if len(labels) < 2:
        raise InputError(f"{where}: found the classes {few(labels)}; expected two or more (links are not followed)")
    seen: dict[str, str] = {}
    for label in labels:
        twin = seen.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if twin != label:
            raise InputError(f"{where}: found the classes {twin} and {label}; expected names that differ in letters")


def _rows(root: Path, classes: Iterable[_ClassFolder]) -> tuple[list[dict[str, str]], Skipped]:
    """One row an image, with all but its patient and source, and what else lies in the class folders."""
    rows: list[dict[str, str]] = []
    skipped: Skipped = []
    for folder, label, split in classes:
        inside = folder.relative_to(root).as_posix()
        folders, images, others = _listing(folder)
        others += [(name, "a folder inside a class folder") for name in folders]
        skipped += _below(root, folder, others)
        rows += [
            {"record_id": f"{inside}/{name}", "label": label, "split": split, "path": str(folder / name)}
            for name in images
        ]
    return rows, skipped


def _check_filled(classes: Iterable[_ClassFolder], rows: Iterable[dict[str, str]]) -> None:
    filled = {Path(row["path"]).parent for row in rows}
    for folder in classes:
        if folder.path not in filled:
            raise InputError(f"{folder.path}: found no image; expected some of {', '.join(sorted(SUFFIXES))}")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"patient_pattern: found '{pattern}' ({error}); expected a regular expression") from error
    if compiled.groups != 1:
        raise InputError(f"patient_pattern: '{pattern}' has {compiled.groups} groups; expected one, around the patient")
    return compiled


def _kermany_root(folder: Path) -> Path:
    """The folder that holds the splits: the one given, or one inside it by a name that it is unpacked with."""
    folders = _listing(folder)[0]
    if any(name.lower() in SPLIT_FOLDERS for name in folders):
        return folder
    inside = next((name for name in KERMANY_FOLDERS if name in folders), None)
    if inside is None:
        raise InputError(f"{folder}: found the folders {few(folders)}; expected train, test and perhaps val")
    return _kermany_root(folder / inside)


def _is_kermany(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds splits that each hold Kermany's two classes."""
    try:
        root = _kermany_root(folder)
    except InputError:
        return False
    return all(
        tuple(_listing(root / split)[0]) == KERMANY_CLASSES
        for split in _listing(root)[0]
        if split.lower() in SPLIT_FOLDERS
    )


def _kermany_identity(stem: str) -> tuple[str, str] | None:
    """Cause and patient by a file's name without extension; None when the name is of no known kind."""
    match = next(filter(None, (pattern.fullmatch(stem) for pattern in KERMANY_NAMES)), None)
    if match is None:
        return None
    word = match.groupdict().get("cause", "normal").lower()
    return CAUSES[word], f"{word}-{match['person']}"


def _read_index(path: Path) -> pd.DataFrame:
    """Read `index.csv` as text with the columns `file`, `label`, `source`, `patient`, `split` and its own."""
    index = read_csv(path, INDEX_COLUMNS, min_rows=1)
    _check_cells(index, path)
    index["split"] = _index_splits(index, path)
    index["file"] = [PurePosixPath(file).as_posix() for file in index["file"]]
    _check_files(index, path)
    return index.drop(columns=["record_id", "path"], errors="ignore").reset_index(drop=True)


def _check_cells(index: pd.DataFrame, path: Path) -> None:
    for column in INDEX_COLUMNS:
        if (empty := index[column] == "").any():
            raise InputError(f"{path}: line {empty.idxmax()}: {column} is empty; expected a value in every row")


def _index_splits(index: pd.DataFrame, path: Path) -> pd.Series:
    found = index.get("split", pd.Series("", index.index))
    split = found.str.lower().map(SPLIT_FOLDERS | {"": ""})
    if (unknown := split.isna()).any():
        line, value = unknown.idxmax(), found[unknown.idxmax()]
        raise InputError(f"{path}: line {line}: split is '{value}'; expected {', '.join(SPLIT_FOLDERS)} or nothing")
    return split


def _check_files(index: pd.DataFrame, path: Path) -> None:
    file, label = index["file"], index["label"]
    if (twice := file.duplicated()).any():
        raise InputError(f"{path}: line {twice.idxmax()}: {file[twice.idxmax()]} comes again; expected it once")
    if (differs := file.str.split("/").str[0] != label).any():
        row = differs.idxmax()
        raise InputError(
            f"{path}: line {row}: the label of {file[row]} is {label[row]}; expected the name of its folder "
            f"({differs.sum()} of {len(index)} lines differ)"
        )
