"""Manifests: one YAML file says all there is to know of a dataset, and where a dataset is found."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from medutils import cache
from medutils.errors import InputError
from medutils.files import MANIFESTS, cache_dir, explain
from medutils.schema import ADDRESS, Address, Count, Licence, Named, Strict, Text, read_named

PHANTOM_MARK = "PHANTOM.json"

Version = Annotated[dict[Text, Count], Field(min_length=1)]
Counts = Annotated[
    Annotated[Count, Tag("number")] | Annotated[Version, Tag("version")],
    Discriminator(lambda value: "version" if isinstance(value, dict) else "number"),
]


class Archive(Strict):
    """A zip or tar file to fetch: its name, direct address, SHA-256 where known, and the folder in it to take."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    url: Address
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    root: str = ""


class Source(Strict):
    """One place a dataset can be had from.

    `archive` is the file that `medutils data fetch` downloads without an account. `steps` are what a reader does who
    gets it by hand. `account` says that this way needs one. The address is a number on OpenML, and words where the
    dataset is `composed`.
    """

    name: Text
    kind: Literal["openml", "url", "zenodo", "mendeley", "kaggle", "rsna", "nih", "uci", "github", "composed"]
    address: Text
    account: bool = False
    archive: Archive | None = None
    steps: list[Text] = Field(min_length=1)

    @model_validator(mode="after")
    def _address_is_of_its_kind(self) -> "Source":
        if self.kind == "openml" and not re.fullmatch("[0-9]+", self.address):
            raise ValueError(f"address is '{self.address}'; expected the number of a data set on OpenML")
        if self.kind not in ("openml", "composed") and not re.search(ADDRESS, self.address):
            raise ValueError(f"address is '{self.address}'; expected https:// and a place")
        return self


class Films(Strict):
    """Films of one class of a composed set that come from one place, or from several that are not told apart.

    `datasets` have a manifest, `others` are the addresses of those that have none. `source` is their value in the set's
    own column of that name. `measured` counts the films in the set measured for this book, `write_up` those of the
    write-up; without a number, none is known to be from there.
    """

    datasets: list[Text] = Field(default_factory=list)
    others: list[Address] = Field(default_factory=list)
    source: Text | None = None
    measured: Count | None = None
    write_up: Count | None = None

    @model_validator(mode="after")
    def _films_are_from_somewhere(self) -> "Films":
        if not (self.datasets or self.others):
            raise ValueError("datasets and others are empty; expected one of them to name a place")
        if (self.source is None) != (self.measured is None):
            raise ValueError("source and measured do not go together; expected both or neither")
        return self


class Manifest(Named):
    """What a dataset is: its classes, licence, citation, sources, layout, counts, faults and stand-in.

    `counts` says how many there are, or, where a dataset is known in several versions, how many in each version. A key
    is a class (counts records), the name of a CSV file (counts its rows) or a pattern such as `train/NORMAL/*.jpeg`
    (counts files; `*` matches `/` too). `files` names tables that must be there; where it names one, that table is the
    dataset. `optional` lists patterns of files that may be there but are not counted, `recipe` where a composed set
    takes the films of each class from. `classes` is empty where nothing is labelled.
    """

    title: Text
    task: Text
    classes: list[Text]
    positive: str | None = None
    licence: Licence
    citation: list[Text] = Field(min_length=1)
    sources: list[Source] = Field(min_length=1)
    folder: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    files: list[Text] = Field(default_factory=list)
    optional: list[Text] = Field(default_factory=list)
    layout: Text
    counts: dict[Text, Counts] = Field(min_length=1)
    patient: Text
    patient_pattern: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    recipe: dict[str, Annotated[list[Films], Field(min_length=1)]] = Field(default_factory=dict)
    faults: list[Text] = Field(default_factory=list)
    phantom: Text

    @field_validator("patient_pattern")
    @classmethod
    def _pattern_finds_a_patient(cls, pattern: str | None) -> str | None:
        try:
            groups = {"patient": 1} if pattern is None else re.compile(pattern).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"'{pattern}' is no regular expression ({error})") from error
        if groups != {"patient": 1}:
            raise ValueError(f"'{pattern}' has the groups {', '.join(groups) or 'none'}; expected patient alone")
        return pattern

    @model_validator(mode="after")
    def _classes_are_told_apart(self) -> "Manifest":
        if twice := [name for name in self.classes if self.classes.count(name) > 1]:
            raise ValueError(f"classes names '{twice[0]}' more than once; expected each once")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive is '{self.positive}'; expected one of the classes {', '.join(self.classes)}")
        return self

    @model_validator(mode="after")
    def _counts_are_of_something(self) -> "Manifest":
        nested = {isinstance(value, dict) for value in self.counts.values()}
        if len(nested) > 1:
            raise ValueError("counts mixes numbers and versions; expected one or the other")
        for key in {key for counts in self.versions().values() for key in counts}:
            if not (key in self.classes or "*" in key or key.endswith(".csv")):
                raise ValueError(f"counts has the key '{key}'; expected a class, a CSV file or a pattern with *")
        if unknown := set(self.recipe) - set(self.classes):
            raise ValueError(f"recipe names {', '.join(sorted(unknown))}; expected classes")
        return self

    def versions(self) -> dict[str, dict[str, int]]:
        """The expected counts by the name of the version; one version, `expected`, where the manifest names none."""
        named = {name: value for name, value in self.counts.items() if isinstance(value, dict)}
        return named or {"expected": {key: value for key, value in self.counts.items() if isinstance(value, int)}}

    def made_of(self) -> set[str]:
        """The datasets with a manifest that a composed set takes films from; none for any other."""
        return {name for rows in self.recipe.values() for films in rows for name in films.datasets}


@dataclass(frozen=True)
class Located:
    """A dataset on disk: which one, where, and whether its content is real or a phantom.

    name: of the dataset, or of the reader's own data
    dataset: the one as which it is looked for and read, by its name in `data_manifests`
    """

    name: str
    kind: Literal["real", "phantom"]
    path: Path
    dataset: str = ""


class NotAtHand(InputError):
    """A dataset is in none of the places where it is looked for, and there is no phantom of it."""


def manifest_names() -> list[str]:
    """Names of all datasets that have a manifest, sorted."""
    return sorted(path.stem for path in MANIFESTS.glob("*.yaml"))


def load_manifest(name: str) -> Manifest:
    """Read and check `data_manifests/<name>.yaml`; `InputError` when there is none or it does not fit the schema."""
    if name not in (known := manifest_names()):
        raise InputError(f"dataset '{name}' is not known; there are {', '.join(known)}")
    return read_named(MANIFESTS / f"{name}.yaml", Manifest)


def kind_of(path: Path) -> Literal["real", "phantom"]:
    """`phantom` when the folder of `path`, or one above it, bears the mark that phantoms are written with."""
    folder = path.resolve()
    return "phantom" if any((up / PHANTOM_MARK).is_file() for up in (folder, *folder.parents)) else "real"


def mark_phantom(folder: Path, **made_with: object) -> None:
    """Write the mark into `folder` that says its content is a phantom, with what it was made with."""
    (folder / PHANTOM_MARK).write_text(json.dumps({"phantom": True, **made_with}, indent=1) + "\n")


def locate(name: str, data: str = "auto", make: Callable[[Path], None] | None = None) -> Located:
    """Find a dataset: what the user named, else `$MEDUTILS_DATA`, else the download cache, else a phantom.

    Parameters
    ----------
    name: the dataset's name, as in `data_manifests`
    data: `auto`, `phantom`, or the path of a file or folder of the user's own
    make: writes the phantom into the folder it is given; called once, the result is kept in the cache

    Raises `InputError` when the path, or the folder that `$MEDUTILS_DATA` names, does not exist or cannot be read.
    """
    try:
        return _found(load_manifest(name), data, make)
    except OSError as error:
        raise explain(error, Path(data)) from error


def _found(manifest: Manifest, data: str, make: Callable[[Path], None] | None) -> Located:
    name = manifest.name
    if data not in ("auto", "phantom"):
        path = Path(data).expanduser()
        if not (path.is_file() or path.is_dir()):
            found = "is neither a file nor a folder" if path.exists() else "does not exist"
            words = ["auto", "phantom", *(["openml"] if any(s.kind == "openml" for s in manifest.sources) else [])]
            raise InputError(f"data: {path} {found}; expected a file, a folder, or one of {', '.join(words)}")
        inside = _step_into(path, manifest)
        return Located(path.stem if path.is_file() else path.resolve().name, kind_of(inside), inside, name)
    if data == "auto":
        for root in data_roots():
            if holds_files(root / manifest.folder):
                path = _step_into(root / manifest.folder, manifest)
                return Located(name, kind_of(path), path, name)
    if make is None:
        raise NotAtHand(f"data: {name} is neither in $MEDUTILS_DATA nor in the cache, and there is no phantom of it")
    return Located(name, "phantom", _step_into(_phantom(manifest.folder, make), manifest), name)


def _phantom(folder: str, make: Callable[[Path], None]) -> Path:
    """The phantom's folder, made unless it is kept; its name holds a hash of the code that makes it."""

    def into(part: Path) -> None:
        part.mkdir()
        make(part)

    return cache.kept("phantoms", into, f"{folder}-{cache.code_of(make)[:12]}")


def holds_files(folder: Path) -> bool:
    """Whether a folder holds a file at any depth, hidden ones aside, or what cannot be looked into without more ado."""
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append) if folder.is_dir() else ():
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(not name.startswith(".") for name in names) or any(Path(place, name).is_symlink() for name in folders):
            return True
    return bool(closed)


def data_roots() -> list[Path]:
    """Where datasets are looked for; `InputError` when `$MEDUTILS_DATA` names no folder."""
    roots = [cache_dir() / "datasets"]
    if given := os.environ.get("MEDUTILS_DATA"):
        if not Path(given).is_dir():
            raise InputError(f"MEDUTILS_DATA: {given} is not a folder; expected the folder that holds the datasets")
        roots.insert(0, Path(given))
    return roots


def _step_into(path: Path, manifest: Manifest) -> Path:
    """From the folder above a dataset to its own folder, and to the one file of a dataset that is a single table."""
    if len(manifest.files) == 1 and path.is_dir():
        inside = [path / manifest.files[0], path / manifest.folder / manifest.files[0]]
        found = next((file for file in inside if file.is_file()), None)
        if found is None:
            raise InputError(f"{path}: found no {manifest.files[0]}; expected it there or in {manifest.folder}/")
        return found
    return path / manifest.folder if (path / manifest.folder).is_dir() else path
