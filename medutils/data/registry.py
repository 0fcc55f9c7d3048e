"""The one interface to every dataset: by its name, its kind, its records and where they were found."""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from medutils.data.manifest import Located, load_manifest, locate, manifest_names
from medutils.errors import InputError

if TYPE_CHECKING:
    from medutils.data.loaded import Loaded

Kind = Literal["table", "films", "study"]


@dataclass(frozen=True)
class Dataset:
    """What a dataset is, how it is read and how its phantom is made: named, so that only what is used gets imported.

    kind: `table` (a row of measurements a record), `films` (an image a record) or `study` (several series a patient).
        A chapter opens any dataset of its kind.
    loader: reads the dataset at a path; a function of `medutils.data`, as `module:function`. That of a table also takes
        the names of the class column, of the negative and the positive class, and of the patient's column
    maker: writes the phantom; a function of `medutils.data.phantoms`
    """

    kind: Kind
    loader: str
    maker: str

    @property
    def load(self) -> "Callable[..., Loaded]":
        """Reads the dataset at a path into records."""
        return self._named(self.loader)

    @property
    def make(self) -> Callable[..., None]:
        """Writes the phantom into a folder that is there; takes `seed`."""
        return self._named(f"phantoms.{self.maker}")

    def _named(self, name: str) -> Any:
        return resolve_name(f"medutils.data.{name}")


DATASETS = {
    "spine": Dataset("table", "spine:load_spine", "spine:make_spine"),
    "kermany_chest_xray": Dataset("films", "chest_xray:load_kermany", "chest:make_kermany"),
    "lung_six_class": Dataset("films", "chest_xray:load_composed", "chest:make_six_class"),
    "rsna_lumbar": Dataset("study", "lumbar:load_rsna_tables", "lumbar:make_rsna"),
    "rsna_lumbar_t1": Dataset("study", "graded_slices:load_graded_slices", "slices:make_rsna_t1"),
    "spider_midsagittal": Dataset("study", "spider:load_spider", "spider:make_spider"),
    "spider_lumbar": Dataset("study", "lumbar:load_slices", "lumbar:make_slices"),
}


def loaders(*, apart_from: Kind) -> set[str]:
    """The modules named for datasets of other kinds alone: who opens datasets of this kind has no use for them.

    A maker's module lies among the phantoms; one of its name beside the loaders is not meant by it.
    """
    modules: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in DATASETS.values():
        named = (f"medutils.data.{name.partition(':')[0]}" for name in (entry.loader, entry.maker))
        modules[entry.kind == apart_from].update(named)
    return modules[False] - modules[True]


def dataset(name: str, kind: Kind | None = None) -> Dataset:
    """The entry of a dataset; `InputError` for one that is only a source of a composed set, or of another kind."""
    load_manifest(name)
    if name not in DATASETS:
        composed = [other for other in manifest_names() if name in load_manifest(other).made_of()]
        raise InputError(f"dataset '{name}' is not read on its own; it is a source of {' and '.join(composed)}")
    if kind not in (None, DATASETS[name].kind):
        fitting = ", ".join(other for other, entry in DATASETS.items() if entry.kind == kind)
        raise InputError(f"dataset: found '{name}', of the kind {DATASETS[name].kind}; expected one of {fitting}")
    return DATASETS[name]


def find(name: str, data: str = "auto") -> Located:
    """Find a dataset, or make its phantom: `auto` ($MEDUTILS_DATA, the cache, the phantom), `phantom`, or a path.

    One that is only a source of a composed set has no phantom: it is there or it is not.
    """
    return locate(name, data, DATASETS[name].make if name in DATASETS else None)


def load(name: str, data: str = "auto") -> "tuple[Loaded, Located]":
    """Find a dataset, or make its phantom, and read its records; see `find`."""
    entry = dataset(name)
    located = find(name, data)
    return entry.load(located.path), located
