"""Films as the input of an exported network: how they are found and read, and the network that takes them."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medutils.data.images import SUFFIXES, build_array
from medutils.errors import InputError
from medutils.export.reading import Input, Rows, check_path
from medutils.files import explain
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier

TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".parquet"})


class FilmInput(Input):
    """Films, read as those of the training were: grey, squashed to the square that `design` takes."""

    noun: ClassVar[str] = "film"
    plural: ClassVar[str] = "films"
    judged: ClassVar[str] = "film"
    limit: ClassVar[str] = (
        "Films of another hospital, age group, projection or scanner can lower its results, unnoticed."
    )

    kind: Literal["film"] = "film"
    design: Architecture
    mode: Literal["L"] = "L"
    aspect: Literal["squash"] = "squash"

    def network(self, classes: int) -> nn.Module:
        """The network of this design, its weights yet to be loaded."""
        return make_classifier(self.design, classes)

    def describes(self, network: nn.Module, classes: int) -> bool:
        """Whether a network is of this design and gives the logits of so many classes."""
        if not isinstance(network, FilmClassifier) or network.design != self.design:
            return False
        return network.logits == (1 if classes == 2 and self.design.head == "dense" else classes)

    def example(self) -> Tensor:
        """One film of an even grey, (1, size, size)."""
        return torch.full((1, self.design.size, self.design.size), 128, dtype=torch.uint8)

    def read(self, given: Sequence[Path]) -> Rows:
        """Read films, and those in folders, to uint8 (n, size, size); nothing of them stays on disk.

        A film that cannot be read is left out, and so is one of a single grey value, which a network would judge all
        the same. Raises `InputError` when none can be read.
        """
        for path in given:
            if path.suffix.lower() in TABLES:
                raise InputError(f"{path}: found a table; expected films, which are what this model judges")
        images = image_files(given)
        with tempfile.TemporaryDirectory() as folder:
            found = build_array(images, self.design.size, self.mode, self.aspect, cache=Path(folder))
            shows = np.setdiff1d(np.arange(len(found.kept)), found.blank)
            x = torch.from_numpy(np.array(found.pixels[shows]))
        nothing = "found a blank film, of one value all over; expected one that shows something"
        blank = [(images[place], nothing) for place in found.kept[found.blank]]
        left_out = sorted([*found.skipped, *blank], key=lambda one: images.index(one[0]))
        named = pd.DataFrame({"file": [str(images[place]) for place in found.kept[shows]]})
        return Rows(named, x, tuple((str(path), reason) for path, reason in left_out))

    def in_words(self) -> str:
        """For the model card: the network, and how it reads a film."""
        design = self.design
        what = f"`{design.backbone}` of the timm library" if design.backbone else f"{len(design.widths)} convolutions"
        size = f"{design.size} x {design.size}"
        return f"A network with {what}. A film is read grey and squashed to {size} pixels."


def image_files(given: Iterable[Path]) -> list[Path]:
    """The files given, and all images in the folders given and below, each once; links to folders are not followed.

    Raises `InputError` when a folder holds no image or cannot be read, or one given is neither file nor folder.
    """
    found: dict[Path, None] = {}
    for path in given:
        check_path(path, "an image")
        files = _images_below(path) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: found no image; expected some of {', '.join(sorted(SUFFIXES))}")
        found |= dict.fromkeys(files)
    return list(found)


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise explain(error, folder) from error

    inside = [Path(here) / name for here, _, names in os.walk(folder, onerror=refuse) for name in names]
    named = (path for path in inside if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in named if path.is_file() or not path.exists())
