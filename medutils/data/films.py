"""Films in class folders, made ready for a network: found, read, decoded and split by patient."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.data import registry
from medutils.data.chest_xray import INDEX, load_films
from medutils.data.images import ImageArray, build_array
from medutils.data.loaded import Loaded
from medutils.data.manifest import Located, load_manifest
from medutils.data.splits import content_hashes, given_split, save_split, split_by_patient
from medutils.errors import InputError
from medutils.tables import encoding_note, few, markdown_safe, rest

Rows = NDArray[np.int64]
Scheme = Literal["patient", "file", "first", "sixteen"]

SHARES = {"train": 0.8, "test": 0.2}  # for films that come without a split
MIN_TRAIN, MIN_TEST = 8, 2  # patients of each class, outside of test (validation films are drawn of these) and in it
# Words of a class in which nothing was found, and words that turn what follows into its contrary.
NORMAL_WORDS = frozenset(
    {"normal", "normals", "healthy", "well", "negative", "neg", "control", "controls", "clear", "unremarkable"}
    | {"benign", "unaffected", "uninfected", "none", "nofinding", "nofindings", "0"}
)
DENIALS = frozenset({"no", "non", "not", "without"})
MIN_HELD = 50  # fewer validation films than this are taken as training films, as both write-ups take Kaggle's 16


@dataclass(frozen=True, eq=False)
class Films:
    """Films ready for a network.

    records: the films that can be read, with `split` filled with train and test, and validation if the user's has one
    classes: the classes, the positive one last
    skipped: what was left out: its path below the folder, and the reason
    copies: how many films are copies of another one
    unmatched: the films whose patient is not known; each of them counts as a patient of its own
    notes: what a reader of this run is to be told of the films, each one sentence in Markdown
    divided: whether the split was given, and its validation films are to stay what they are
    """

    records: pd.DataFrame
    classes: tuple[str, ...]
    located: Located
    skipped: tuple[tuple[str, str], ...] = ()
    copies: int = 0
    unmatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    divided: bool = False
    _arrays: dict[int, tuple[Path, str]] = field(default_factory=dict)  # by size: where the pixels lie, and their hash

    @property
    def positive(self) -> str:
        return self.classes[-1]

    @property
    def patients_known(self) -> bool:
        """Whether the patient of every film is known: without that, nothing can be said of a patient on two sides."""
        return not self.unmatched

    @property
    def two(self) -> tuple[str, str]:
        """The names of a decision: the negative class, or `not ...` where there are several, and the positive one."""
        return (self.classes[0] if len(self.classes) == 2 else rest(self.positive), self.positive)

    @cached_property
    def y(self) -> Tensor:
        """(films,) class numbers; the positive class of two is 1."""
        return torch.tensor([self.classes.index(label) for label in self.records["label"]])

    def rows(self, *splits: str) -> Rows:
        """Row numbers of the films of some splits."""
        return np.flatnonzero(self.records["split"].isin(splits))

    def pixels(self, size: int) -> Tensor:
        """uint8 (films, size, size), grey, squashed to a square as in both write-ups; decoded once and kept on disk.

        The array is mapped, not read: processes that were sent these films share its pages, and none hashes it again.
        """
        return torch.from_numpy(np.load(self._array(size)[0], mmap_mode="c", allow_pickle=False))

    def fingerprint(self, size: int) -> str:
        """Hash of `pixels(size)`, taken once."""
        return self._array(size)[1]

    def _array(self, size: int) -> tuple[Path, str]:
        if size not in self._arrays:
            array = build_array([Path(path) for path in self.records["path"]], size, aspect="squash", strict=True)
            self._arrays[size] = array.file, array.digest
        return self._arrays[size]

    @property
    def own_validation(self) -> int:
        """How many validation films the folder, or a split that was given, brings."""
        return int((self.records["split"] == "validation").sum())

    def keeps_validation(self, scheme: Scheme) -> bool:
        """Whether the validation films that came with the folder or with a given split stay what they are."""
        return self.own_validation >= (1 if scheme == "sixteen" or self.divided else MIN_HELD)

    def undivided(self) -> "Films":
        """The same films with the folder's own validation films among the training films."""
        records = self.records.assign(split=self.records["split"].replace("validation", "train"))
        return replace(self, records=records, divided=False)

    def save_split(self, path: Path) -> None:
        """Write the split of each film to a file; once films are held out, `open_films` takes it for the same films."""
        save_split(self.records, path)

    def hold_out(self, scheme: Scheme, share: float, seed: int) -> "Films":
        """The same films with a part of the training films made validation films.

        `patient` keeps all films of a patient together; `file` draws films, as write-up 002 does; `first` takes the
        first films of each class by name, as write-up 003 does; `sixteen` takes the `val` folder, or where there is
        none eight films of each class. A folder's own validation films are kept when there are at least `MIN_HELD`;
        fewer are training films, but for `sixteen`. Those of a split that was given are kept, however few. Raises
        `InputError` when too few films are left for either side.
        """
        if self.keeps_validation(scheme):
            return self
        records = self.undivided().records
        if scheme == "patient":
            parts = {"train": 1 - share, "validation": share}
            return replace(self, records=_by_patient(records, parts, seed, self.located.path, ("test",)))
        train = records[records["split"] == "train"]
        if scheme == "first":
            ordered = train.sort_values("record_id").groupby("label")
            held = [name for _, part in ordered for name in part.index[: round(share * len(part))]]
        elif scheme == "file":
            held = train.sample(frac=share, random_state=seed).index.tolist()
        else:
            if (fewest := train["label"].value_counts()).min() <= 8:
                raise InputError(
                    f"validation: found {fewest.min()} training films of {fewest.idxmin()}; expected more than 8 for "
                    "sixteen"
                )
            held = train.groupby("label").sample(8, random_state=seed).index.tolist()
        if not held or set(train["label"].drop(held)) != set(self.classes):
            raise InputError(
                f"validation: '{scheme}' leaves {len(train) - len(held)} films to train and {len(held)} to validate; "
                "expected some of every class in training, and some to validate"
            )
        return replace(
            self, records=records.assign(split=records["split"].mask(records.index.isin(held), "validation"))
        )


def open_films(
    data: str = "auto",
    positive: str | None = "",
    patient_pattern: str = "",
    seed: int = 0,
    *,
    dataset: str = "kermany_chest_xray",
    split: str = "",
) -> Films:
    """Find films in class folders, look whether each can be read, and divide them.

    Parameters
    ----------
    data: `auto`, `phantom`, or the user's own folder, which is read by what it holds (see `load_films`)
    positive: the class a positive decision means; where empty, see `_positive`; None where no class of
        several is
    patient_pattern: a regular expression that finds the patient in a file's name
    seed: draws the patients of the test films, where the folder sets none apart
    dataset: any dataset of films, by its name in `data_manifests`
    split: the path of a split of the same films that a run, or `Films.save_split`, wrote; "" for the folder's own or a
        drawn one

    Raises `InputError` when the folder is no such thing, a class has too few patients, `positive` is no class, or
    `split` was saved for other films or leaves a side empty.
    """
    found = _named(data, dataset, positive, patient_pattern)
    folder, records, classes = found.located.path, found.loaded.records, found.classes
    readable = build_array([Path(path) for path in records["path"]], 32, aspect="squash")
    unread = zip(records["record_id"].iloc[_unread(readable)], (why for _, why in readable.skipped), strict=True)
    skipped = (*found.loaded.skipped, *unread)
    notes = (*found.notes, *_blank(records["record_id"].iloc[readable.blank]))
    records = records.iloc[readable.kept].reset_index(drop=True)
    contents = content_hashes(records)
    records = _one_patient_a_content(records, contents)
    if split:
        records = _given_split(records, Path(split), classes)
    _check_enough(folder, records, classes, skipped)
    if not (records["split"] == "test").any():
        records = _by_patient(records.assign(split=""), SHARES, seed, folder)
    unmatched = tuple(name for name in found.loaded.unmatched if name in set(records["record_id"]))
    copies = int(contents.duplicated().sum())
    return Films(records, classes, found.located, skipped, copies, unmatched, notes, divided=bool(split))


def find_films(
    data: str = "auto", positive: str | None = "", patient_pattern: str = "", *, dataset: str = "kermany_chest_xray"
) -> Located:
    """Find the films, or make the phantom, and look at their names alone; see `open_films`."""
    return _named(data, dataset, positive, patient_pattern).located


class _Named(NamedTuple):
    """Films that were found and not looked at: their classes, the positive one last, and what is to be said of them."""

    located: Located
    loaded: Loaded
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def _named(data: str, dataset: str, positive: str | None, patient_pattern: str) -> _Named:
    entry = registry.dataset(dataset, "films")
    located = registry.find(dataset, data)
    if data in ("auto", "phantom") and not patient_pattern:
        loaded = entry.load(located.path)
    else:
        loaded = load_films(located.path, patient_pattern)
    if data not in ("auto", "phantom") and located.kind == "real":
        located = replace(located, name=located.path.name)  # the user's own folder bears its own name
    classes = sorted(set(loaded.records["label"]))
    ordered, guessed = tuple(classes), ""
    if positive is not None or len(classes) == 2:
        last, guessed = _positive(classes, positive or "", load_manifest(dataset).positive)
        ordered = (*(name for name in classes if name != last), last)
    _check_enough(located.path, loaded.records, ordered)
    notes = [guessed] if guessed else []
    index = located.path / INDEX
    if index.is_file() and (encoding := encoding_note(index)):
        notes.append(f"`{INDEX}` was {encoding}.")
    return _Named(located, loaded, ordered, tuple(notes))


def _positive(classes: Collection[str], given: str, usual: str | None) -> tuple[str, str]:
    """The positive class, and a sentence that says which it is where it is not clear.

    It is the one given, else the dataset's own, else the last of those whose names do not say that nothing was found.
    Raises `InputError` when the one given is no class, or every name says that nothing was found.
    """
    if given and given not in classes:
        raise InputError(f"positive: found '{given}'; expected one of the classes {few(classes)}")
    if given or usual in classes:
        return given or str(usual), ""
    ill = [name for name in classes if not says_normal(name)]
    if not ill:
        raise InputError(
            f"positive: each of the classes {few(classes)} is named as one of nothing found; expected `positive` to "
            "say which one a positive decision means"
        )
    name = markdown_safe(ill[-1])
    others = " It is the last by name of several that it could be." if len(ill) > 1 else ""
    return ill[-1], f"The positive class is taken to be {name}.{others} The parameter `positive` names another."


def says_normal(name: str) -> bool:
    """Whether a class is named as one in which nothing was found: `NORMAL`, `Healthy controls`, `no_tumour`, `0`."""
    words = re.findall(r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    denied = words[:1] and words[0] in DENIALS
    return bool(denied) != any(word in NORMAL_WORDS for word in words)


def _given_split(records: pd.DataFrame, path: Path, classes: Collection[str]) -> pd.DataFrame:
    """The films as a saved split divides them; `InputError` unless all have a side, and train and test each class."""
    records = given_split(records, path, ("train", "validation", "test"))
    for side in ("train", "test"):
        there = set(records.loc[records["split"] == side, "label"])
        if missing := [name for name in classes if name not in there]:
            raise InputError(f"{path}: found no film of {missing[0]} in {side}; expected some of every class")
    return records


def _unread(readable: ImageArray) -> Rows:
    """Positions of the films that cannot be read."""
    return np.setdiff1d(np.arange(len(readable.kept) + len(readable.skipped)), readable.kept)


def _blank(names: Sequence[str]) -> list[str]:
    """A sentence that names the films that show nothing, where there are some."""
    said = ", ".join(f"`{name}`" for name in names[:6])
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return [f"Films of one grey value all over, which show nothing: {said}{more}."] if len(names) else []


def _check_enough(
    folder: Path, records: pd.DataFrame, classes: Collection[str], skipped: Sequence[tuple[str, str]] = ()
) -> None:
    """Raise `InputError` unless each class has patients enough for training, validation and test."""
    test = records["split"] == "test"
    sides = {" outside of test": (~test, MIN_TRAIN), " in test": (test, MIN_TEST)}
    for where, (rows, least) in sides.items() if test.any() else [("", (~test, MIN_TRAIN + MIN_TEST))]:
        found = records[rows].groupby("label")["patient"].nunique().reindex(classes, fill_value=0)
        if (fewest := found.min()) < least:
            unread = f" ({len(skipped)} files were left out, such as {': '.join(skipped[0])})" if skipped else ""
            raise InputError(
                f"{folder}: found {fewest} patients of {found.idxmin()}{where}{unread}; expected at least {least} of "
                f"every class, for training, validation and test (`patient_pattern` says what a patient is)"
            )


def _by_patient(
    records: pd.DataFrame, parts: Mapping[str, float], seed: int, folder: Path, keep: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Split by patient; what cannot be split is said with the folder, and what may help."""
    try:
        return split_by_patient(records, parts, seed, keep)
    except InputError as error:
        raise InputError(f"{folder}: {error} (`patient_pattern` says what a patient is)") from error


def _one_patient_a_content(records: pd.DataFrame, contents: pd.Series) -> pd.DataFrame:
    """Give the films that are one file under several patients' names to one patient, so that no split divides them.

    Raises `InputError` when one file is in two classes, or both in test and outside.
    """
    for column, sides in (("label", records["label"]), ("split", records["split"] == "test")):
        if (torn := sides.groupby(contents).transform("nunique") > 1).any():
            same = contents == contents[torn].iloc[0]
            first, second = records.loc[sides[same].drop_duplicates().index, "path"]
            raise InputError(f"{first}: found the same film as {second}, in another {column}; expected it in one")
    shared = records.groupby(contents)["patient"].unique()
    patient = records["patient"]
    for names in shared[shared.str.len() > 1]:
        patient = patient.replace(dict.fromkeys(names, min(names)))
    return records.assign(patient=patient)
