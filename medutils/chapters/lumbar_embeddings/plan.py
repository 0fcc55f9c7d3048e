"""What this chapter computes: the slices it opens, what they are embedded by, the grid and the fine-tuning."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.chapters import known_names, names_of
from medutils.chapters.lumbar_embeddings import grid
from medutils.chapters.lumbar_embeddings.classifiers import RECIPES
from medutils.chapters.lumbar_embeddings.parameters import LumbarEmbeddings
from medutils.data import registry
from medutils.data.graded_slices import GradedSlices, open_slices
from medutils.data.lumbar import TARGETS
from medutils.data.mri import equalised
from medutils.data.slices import DESCRIPTIONS, GRADED
from medutils.data.spider import Spider
from medutils.data.studies import Studies
from medutils.errors import InputError
from medutils.models.attention import Pooling, SliceAttention
from medutils.models.embedders import DEPTHS, Embedder, embedder
from medutils.training.embeddings import embed
from medutils.training.grading import FINE_TUNED, Course
from medutils.training.loop import Progress
from medutils.training.series import pool

Floats = NDArray[np.float32]
Found = TypeVar("Found", Studies, Spider)

PARTS = (
    "protocol",
    "attention",
    "pixels",
    "grid",
    "finetune",
    "curve",
    "studies",
    "targets",
    "spider",
    "neighbours",
    "chosen",
)
FORAMINA = tuple(target for target in TARGETS if "neural" in target)
# Of the grid: the network, how its slices become one, and its settings. A deep network that is fresh has no running
# averages that fit it, so that ResNet-152 runs as the write-up's code runs it, by each slice's own.
NETWORKS: dict[str, tuple[str, Pooling, dict[str, Any]]] = {
    "rn50": ("resnet50", "mean", {}),
    "aal": ("resnet50", "attention", {}),
    "mn152": ("resnet152", "raw attention", {"batch_norm": "train"}),
    "lite0": ("lite0", "mean", {}),
}


@dataclass(frozen=True, eq=False)
class Setup:
    """The slices and the parameters of a run.

    slices: annotated slices with their grades, divided by study
    """

    slices: GradedSlices
    p: LumbarEmbeddings

    @property
    def parts(self) -> list[str]:
        return names_of(self.p.parts)

    @cached_property
    def study(self) -> list[str]:
        """The study of each slice, in the order of the pixels."""
        return self.slices.records.groupby("slice")["patient"].first().astype(str).tolist()

    @cached_property
    def studies(self) -> pd.Index:
        """The studies in the order in which `by_study` has them."""
        return pd.Index(dict.fromkeys(self.study))

    def pixels(self, grey: str = "gsl") -> tuple[Tensor, str]:
        """uint8 (slices, size, size), as they are or equalised, and their fingerprint."""
        x, name = self.slices.pixels(self.p.size), self.slices.fingerprint(self.p.size)
        return (x, name) if grey == "gsl" else (torch.from_numpy(equalised(x.numpy())), cache.digest([name, grey]))

    def embedder(self, name: str, **settings: Any) -> Embedder:
        return embedder(name, self.p.seed, size=self.p.size, **settings)

    def embedded(
        self, name: str = "lite0", grey: str = "gsl", progress: Progress | None = None, **settings: Any
    ) -> Floats:
        """What an embedder's network gives for each slice, (slices, features); computed once and kept."""
        return embed(self.embedder(name, **settings), *self.pixels(grey), self.study, progress)

    def by_study(self, features: Floats, attention: SliceAttention | None = None) -> Floats:
        """One vector a study, (studies, values): the mean over its slices, or weighted by an attention layer."""
        return pool(features, self.study, attention)

    def course(self) -> Course:
        """The fine-tuning. With the values of the profile `full` its recipe is `FINE_TUNED` itself."""
        return Course(replace(FINE_TUNED, size=self.p.fine_size, epochs=self.p.epochs), self.slices)

    def numbers(self) -> list[int]:
        """The numbers of training studies of the learning curve, those that there are."""
        train = self.slices.records.iloc[self.slices.rows("train")]["patient"].nunique()
        return [number for number in sorted(map(int, names_of(self.p.studies))) if number < train]


def check(p: LumbarEmbeddings) -> None:
    """Raise `InputError` for a part, an embedder, a classifier, a depth or a number that there is not."""
    for parameter, known in (("parts", PARTS), ("embedders", tuple(NETWORKS)), ("recipes", tuple(RECIPES))):
        known_names(parameter, getattr(p, parameter), known)
    if p.depth not in DEPTHS:
        raise InputError(f"depth: found {p.depth}; expected one of {', '.join(map(str, DEPTHS))}")
    for name in names_of(p.studies):
        if not name.isdecimal() or not int(name):
            raise InputError(f"studies: found '{name}'; expected whole numbers from 1 on, with commas between")


def opened(p: LumbarEmbeddings) -> Setup:
    """The slices that a run's parameters name, divided by study; `InputError` for what cannot be used."""
    check(p)
    return Setup(open_slices(p.data, p.seed, p.split), p)


def beside(find: Callable[[str], Found], setup: Setup) -> Found | None:
    """Another set of the same kind as the slices, phantom beside phantom; None where real slices have no such set."""
    phantom = setup.slices.located.kind == "phantom"
    found = find("phantom" if phantom else "auto")
    return found if (found.located.kind == "phantom") == phantom else None


def tables_folder(slices: GradedSlices) -> Path | None:
    """Where the challenge's tables of grades and of series lie; None where the user's own data have no such tables."""
    located = slices.located
    if located.kind == "phantom":
        return registry.find("rsna_lumbar", "phantom").path
    places = [located.path, located.path.parent / "rsna_lumbar"]
    return next((one for one in places if (one / DESCRIPTIONS).is_file() and (one / GRADED).is_file()), None)


# --- the grid ---------------------------------------------------------------------------------------------------------


def drawn(features: int, values: int, pooling: Pooling, seed: int, draw: int = 0) -> SliceAttention | None:
    """A head and an attention layer that were never trained; None where slices are averaged."""
    if pooling == "mean":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(cache.digest([features, values, pooling, seed, draw])[:8], 16))
        return SliceAttention(features, values, pooling).eval()


def grid_features(setup: Setup, names: Collection[str], progress: Progress | None = None) -> dict[tuple[str, str], Any]:
    """One vector a study by preprocessing and embedder, whole: (studies, values)."""
    found = {}
    for grey in grid.PREPROCESSING:
        for name in names:
            network, pooling, settings = NETWORKS[name]
            x = setup.embedded(network, grey, progress, **settings)
            found[grey, name] = setup.by_study(x, drawn(x.shape[1], x.shape[1], pooling, setup.p.seed))
    return found


def grid_cells(p: LumbarEmbeddings) -> list[grid.Cell]:
    """The configurations that are asked for."""
    recipes, embedders = names_of(p.recipes) or list(RECIPES), names_of(p.embedders)
    every = (*grid.REPORTED, *grid.LITE0)
    return [cell for cell in every if cell.embedder in embedders and cell.recipe in recipes]


def grid_table(setup: Setup) -> grid.Graded:
    """The ten foraminal targets of each study, the run's test studies held out."""
    records = setup.slices.records
    held = set(records.loc[records["split"] == "test", "patient"].astype(str))
    whole = grid.graded(setup.slices.grades.loc[setup.studies, list(FORAMINA)], folds=2)
    return whole.split(held)


# --- things that take minutes and give a few numbers ------------------------------------------------------------------


def kept(function: Callable[..., Any], depends: list[Any], make: Callable[[], Any]) -> Any:
    """What `make` gives, as JSON, made once for the same inputs and the same code of `function`."""

    def write(part: Path) -> None:
        part.write_text(json.dumps(make()), encoding="utf-8")

    path = cache.kept("lumbar", write, cache.key_of(function, *depends), ".json")
    return json.loads(path.read_text(encoding="utf-8"))
