"""Whole studies with all their series: every embedder on every series, and the write-up's task with all targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medutils.chapters import names_of
from medutils.chapters.lumbar_embeddings import grid
from medutils.chapters.lumbar_embeddings.plan import Setup
from medutils.chapters.lumbar_embeddings.protocol import targets_of
from medutils.data.lumbar import SERIES, SERIES_OF_CONDITION
from medutils.data.studies import Studies
from medutils.errors import InputError
from medutils.training.embeddings import embed
from medutils.training.grading import Graded
from medutils.training.loop import Progress
from medutils.training.series import Embeddings, embed_series, pool
from medutils.training.tuned import tuned_weights

ALWAYS = ("lite0", "lite0_attention", "medicalnet", "projection", "noise")
OF_THE_GRID = {"rn50": ("resnet50",), "aal": ("resnet50_attention",), "mn152": ("resnet152", "i3resnet152")}
FOLDS = 4
EMBEDDERS = ("lite0", "noise")  # of the whole task: a network, and what knows nothing


@dataclass(frozen=True, eq=False)
class Found:
    """Sets of embeddings, and the embedders that cannot be had here, each with the reason."""

    sets: tuple[Embeddings, ...]
    missing: tuple[tuple[str, str], ...]


def slices_of(series: pd.DataFrame) -> pd.DataFrame:
    """A row a slice, in the order of `Studies.pixels`: study_id, series_id, plane, condition.

    condition: what is graded on such a series, with commas between; empty for one of another kind
    """
    shown = {kind: ",".join(name for name, of in SERIES_OF_CONDITION.items() if of == kind) for kind in SERIES}
    rows = series.assign(plane=series["orientation"], condition=series["description"].map(shown).fillna(""))
    return _each_slice(rows)[["study_id", "series_id", "plane", "condition"]]


def _each_slice(series: pd.DataFrame) -> pd.DataFrame:
    """The row of its series for each slice, in the order of `Studies.pixels`."""
    return series.iloc[np.repeat(np.arange(len(series)), series["slices"].map(len))].reset_index(drop=True)


def embedded(
    setup: Setup, studies: Studies, trainings: Sequence[Graded] = (), progress: Progress | None = None
) -> Found:
    """One vector a series by every embedder; with trainings, also by the network that the first of them left."""
    x, rows = studies.pixels(setup.p.size), slices_of(studies.series)
    fingerprint = studies.fingerprint(setup.p.size)
    grid_names = names_of(setup.p.embedders)
    wanted = [*ALWAYS, *(name for short, names in OF_THE_GRID.items() if short in grid_names for name in names)]
    sets, missing = [], []
    for name in wanted:
        try:
            found = embed_series(setup.embedder(name, depth=setup.p.depth), x, rows, fingerprint, progress=progress)
        except InputError as error:  # an extra that is not installed
            missing.append((name, str(error)))
            continue
        sets.append(found)
    if trainings:
        own = setup.embedder("lite0", weights=tuned_weights(trainings[0]))
        sets.append(embed_series(own, x, rows, fingerprint, variant="fine-tuned here", progress=progress))
    return Found(tuple(sets), tuple(missing))


def task(setup: Setup, studies: Studies, progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Predictions of all graded targets, each from the kind of series that shows it, by configuration.

    Cross-validated by study, grey levels as they are; empty where there are too few studies for the folds.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    if studies.grades.shape[0] < 2 * FOLDS:
        return {}
    slices = _each_slice(studies.series)
    names = slices["study_id"].astype(str).tolist()
    x, fingerprint = studies.pixels(setup.p.size), studies.fingerprint(setup.p.size)
    recipes = names_of(setup.p.recipes) or grid.WRITTEN
    for embedder in EMBEDDERS:
        values = embed(setup.embedder(embedder), x, fingerprint, names, progress)
        for kind in SERIES:
            rows = (slices["description"] == kind).to_numpy()
            of_kind = np.array(names, object)[rows]
            known = list(dict.fromkeys(of_kind))
            grades = studies.grades.loc[known, list(targets_of(kind))]
            table = grid.graded(grades, folds=FOLDS, seed=setup.p.seed)
            features = grid.cut({("gsl", embedder): pool(values[rows], of_kind.tolist())})
            cells = [grid.Cell("gsl", embedder, grid.FIRST, recipe) for recipe in recipes]
            for name, predictions in grid.run(features, table, cells, setup.p.seed).items():
                found.setdefault(name, []).append(predictions)
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}
