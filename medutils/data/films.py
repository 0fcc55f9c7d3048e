"""Films in class folders, made ready for a network: found, read, decoded and split by patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.cache import array_hash
from medutils.data.chest_xray import KERMANY_CLASSES, load_class_folders, load_kermany
from medutils.data.images import build_array
from medutils.data.manifest import Located, locate
from medutils.data.registry import dataset
from medutils.data.splits import content_hashes, split_by_patient
from medutils.errors import InputError
from medutils.tables import few, rest

Rows = NDArray[np.int64]
Scheme = Literal["patient", "file", "first", "sixteen"]

SHARES = {"train": 0.8, "test": 0.2}  # for films that come without a split
MIN_HELD = 50  # fewer validation films than this are taken as training films, as both write-ups take Kaggle's 16


@dataclass(frozen=True, eq=False)
class Films:
    """Films ready for a network.

    records: the films that can be read, with `split` filled with train and test, and validation if the user's has one
    classes: the classes, the positive one last
    skipped: what was left out, each with the reason
    copies: how many films are copies of another one
    """

    records: pd.DataFrame
    classes: tuple[str, ...]
    located: Located
    skipped: tuple[tuple[str, str], ...] = ()
    copies: int = 0
    _pixels: dict[int, Tensor] = field(default_factory=dict)
    _fingerprints: dict[int, str] = field(default_factory=dict)

    @property
    def positive(self) -> str:
        return self.classes[-1]

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
        """uint8 (films, size, size), grey, squashed to a square as in both write-ups; decoded once and kept on disk."""
        if size not in self._pixels:
            paths = [Path(path) for path in self.records["path"]]
            self._pixels[size] = torch.from_numpy(
                np.array(build_array(paths, size, aspect="squash", strict=True).pixels)
            )
        return self._pixels[size]

    def fingerprint(self, size: int) -> str:
        """Hash of `pixels(size)`."""
        if size not in self._fingerprints:
            self._fingerprints[size] = array_hash(self.pixels(size).numpy())
        return self._fingerprints[size]

    def without_pixels(self) -> "Films":
        """The same films without what is decoded, to be sent to another process."""
        return replace(self, _pixels={})

    @property
    def own_validation(self) -> int:
        """How many validation films the folder brings."""
        return int((self.records["split"] == "validation").sum())

    def undivided(self) -> "Films":
        """The same films with the folder's own validation films among the training films."""
        return replace(self, records=self.records.assign(split=self.records["split"].replace("validation", "train")))

    def hold_out(self, scheme: Scheme, share: float, seed: int) -> "Films":
        """The same films with a part of the training films made validation films.

        `patient` keeps all films of a patient together; `file` draws films, as write-up 002 does; `first` takes the
        first films of each class by name, as write-up 003 does; `sixteen` takes the `val` folder, or where there is
        none eight films of each class. A folder's own validation films are kept when there are at least `MIN_HELD`;
        fewer are training films, but for `sixteen`. Raises `InputError` when too few films are left for either side.
        """
        if self.own_validation >= MIN_HELD or (self.own_validation and scheme == "sixteen"):
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


def open_films(data: str = "auto", positive: str = "", patient_pattern: str = "", seed: int = 0) -> Films:
    """Find films in class folders and read their names: Kermany's, the phantom, or the user's own folder.

    Raises `InputError` when the folder is no such thing, a class is not in every split, or `positive` is no class.
    """
    located, records, classes = _named(data, positive, patient_pattern)
    readable = build_array([Path(path) for path in records["path"]], 32, aspect="squash")
    skipped = [*records.attrs["skipped"], *((str(path), reason) for path, reason in readable.skipped)]
    records = records.iloc[readable.kept].reset_index(drop=True)
    contents = content_hashes(records)
    records = _one_patient_a_content(records, contents)
    unread = f" ({len(skipped)} files cannot be read, such as {skipped[0][0]}: {skipped[0][1]})" if skipped else ""
    divided = (records["split"] == "test").any()
    parts = {f" in {split}": records["split"] == split for split in ("train", "test")}
    for where, rows in parts.items() if divided else [("", slice(None))]:
        there = set(records.loc[rows, "label"])
        if missing := [name for name in classes if name not in there]:
            raise InputError(
                f"{located.path}: found no film of {missing[0]}{where} that can be read{unread}; expected some of "
                "every class"
            )
    if not divided:
        records = _by_patient(records.assign(split=""), SHARES, seed, located.path)
    return Films(records, classes, located, tuple(skipped), int(contents.duplicated().sum()))


def find_films(data: str = "auto", positive: str = "", patient_pattern: str = "") -> Located:
    """Find the films, or make the phantom, and look at their names alone; see `open_films`."""
    return _named(data, positive, patient_pattern)[0]


def _named(data: str, positive: str, patient_pattern: str) -> tuple[Located, pd.DataFrame, tuple[str, ...]]:
    """Where films were found, their records, and their classes, the positive one last."""
    located = _located(data)
    records = _records(located, patient_pattern)
    classes = sorted(set(records["label"]))
    positive = positive or ("PNEUMONIA" if "PNEUMONIA" in classes else classes[-1])
    if positive not in classes:
        raise InputError(f"positive: found '{positive}'; expected one of the classes {few(classes)}")
    return located, records, (*(name for name in classes if name != positive), positive)


def _located(data: str) -> Located:
    """Where the films are, see `locate`; the user's own folder bears its own name."""
    located = locate("kermany_chest_xray", data, dataset("kermany_chest_xray").make)
    if data in ("auto", "phantom") or located.kind == "phantom":
        return located
    return replace(located, name=located.path.name)


def _records(located: Located, patient_pattern: str) -> pd.DataFrame:
    records = load_class_folders(located.path, patient_pattern or None)
    kermany = set(records["label"]) == set(KERMANY_CLASSES) and (records["split"] == "test").any()
    return load_kermany(located.path) if kermany and not patient_pattern else records


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
