"""Manifests: one YAML file says all there is to know of a dataset, and where a dataset is found."""

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medutils.errors import InputError
from medutils.files import MANIFESTS, cache_dir, explain, written_whole

PHANTOM_MARK = "PHANTOM.json"

Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """The terms a dataset is given under, and what they let a reader do."""

    name: Text
    url: str | None = None
    allows: Text


class Archive(_Strict):
    """A zip or tar file to fetch: its name, direct address, SHA-256 where known, and the folder in it to take."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    url: Annotated[str, Field(pattern="^https://")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    root: str = ""


class Source(_Strict):
    """One place a dataset can be had from.

    `archive` is the file that `medutils data fetch` downloads without an account. Without it, a reader follows the
    `steps`.
    """

    name: Text
    kind: Literal["openml", "url", "zenodo", "mendeley", "kaggle", "rsna", "nih", "uci", "github", "composed"]
    address: Text
    account: bool = False
    archive: Archive | None = None
    steps: list[Text] = []


class Manifest(_Strict):
    """What a dataset is: its classes, licence, citation, sources, layout, counts, faults and stand-in.

    `counts` says how many there are, or, where a dataset is known in several versions, how many in each version. A key
    is a class (counts records), the name of a CSV file (counts its rows) or a pattern such as `train/NORMAL/*.jpeg`
    (counts files; `*` matches `/` too). `files` names tables that must be there; where it names one, that table is the
    dataset. `optional` lists patterns of files that may be there but are not counted, `recipe` the datasets that a
    composed set takes each class from. `classes` is empty where nothing is labelled.
    """

    name: Text
    title: Text
    task: Text
    classes: list[Text]
    positive: str | None = None
    licence: Licence
    citation: list[Text]
    sources: list[Source] = Field(min_length=1)
    folder: Text
    files: list[Text] = []
    optional: list[Text] = []
    layout: Text
    counts: dict[str, int | dict[str, int]]
    patient: Text
    patient_pattern: str | None = None
    columns: dict[str, str] = {}
    recipe: dict[str, list[Text]] = {}
    faults: list[Text] = []
    phantom: Text

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


@dataclass(frozen=True)
class Located:
    """A dataset on disk: which one, where, and whether its content is real or a phantom."""

    name: str
    kind: Literal["real", "phantom"]
    path: Path


def manifest_names() -> list[str]:
    """Names of all datasets that have a manifest, sorted."""
    return sorted(path.stem for path in MANIFESTS.glob("*.yaml"))


def load_manifest(name: str) -> Manifest:
    """Read and check `data_manifests/<name>.yaml`; `InputError` when there is none or it does not fit the schema."""
    if name not in (known := manifest_names()):
        raise InputError(f"dataset '{name}' is not known; there are {', '.join(known)}")
    path = MANIFESTS / f"{name}.yaml"
    try:
        return Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error).replace("\n", " ")
        raise InputError(f"{path}: {where}") from error


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
        return Located(path.stem if path.is_file() else path.resolve().name, kind_of(inside), inside)
    if data == "auto":
        for root in data_roots():
            if (root / manifest.folder).is_dir():
                path = _step_into(root / manifest.folder, manifest)
                return Located(name, kind_of(path), path)
    if make is None:
        raise InputError(f"data: {name} is neither in $MEDUTILS_DATA nor in the cache, and it has no phantom yet")
    return Located(name, "phantom", _step_into(_made_once(cache_dir() / "phantoms" / manifest.folder, make), manifest))


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


def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a phantom unless it is there; the folder's name holds a hash of the code that makes it."""
    folder = folder.with_name(f"{folder.name}-{_code_hash(make)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / PHANTOM_MARK).is_file():
            for left in folder.parent.glob(f".{folder.name}.*.part"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with written_whole(folder) as part:
                part.mkdir()
                make(part)
    return folder


def _code_hash(make: Callable[[Path], None]) -> str:
    """Hash of the phantoms' package, code and numbers, so that a changed phantom is made anew."""
    digest = hashlib.sha256()
    for file in sorted(Path(inspect.getfile(make)).parent.glob("*.[pj]*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
