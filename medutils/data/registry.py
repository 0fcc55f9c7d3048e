"""The one interface to every dataset: by its name, its records and where they were found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from medutils.data.manifest import Located, load_manifest, locate, manifest_names
from medutils.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """How a dataset is read, and how its phantom is made: named, so that only what is used gets imported."""

    loader: str
    maker: str

    @property
    def load(self) -> "Callable[[Path], pd.DataFrame]":
        """Reads the dataset at a path into records."""
        return self._named(self.loader)

    @property
    def make(self) -> Callable[..., None]:
        """Writes the phantom into a folder that is there; takes `seed`."""
        return self._named(f"phantoms.{self.maker}")

    def _named(self, name: str) -> Any:
        return resolve_name(f"medutils.data.{name}")


DATASETS = {
    "spine": Dataset("spine:load_spine", "spine:make_spine"),
    "kermany_chest_xray": Dataset("chest_xray:load_kermany", "chest:make_kermany"),
    "lung_six_class": Dataset("chest_xray:load_composed", "chest:make_six_class"),
    "rsna_lumbar": Dataset("lumbar:load_rsna_tables", "lumbar:make_rsna"),
    "spider_lumbar": Dataset("lumbar:load_slices", "lumbar:make_slices"),
}


def dataset(name: str) -> Dataset:
    """The loader and phantom of a dataset; `InputError` for one that is only a source of a composed set."""
    load_manifest(name)
    if name not in DATASETS:
        composed = [other for other in manifest_names() if name in load_manifest(other).made_of()]
        raise InputError(f"dataset '{name}' is not read on its own; it is a source of {' and '.join(composed)}")
    return DATASETS[name]


def load(name: str, data: str = "auto") -> "tuple[pd.DataFrame, Located]":
    """Find a dataset, or make its phantom, and read its records.

    `data` is `auto` ($MEDUTILS_DATA, then the download cache, then the phantom), `phantom`, or a path.
    """
    found = dataset(name)
    located = locate(name, data, found.make)
    return found.load(located.path), located
