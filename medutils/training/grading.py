"""Fine-tunings on graded slices that are kept: many at once, gone on with after each epoch, and their predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.data.graded_slices import GradedSlices
from medutils.data.lumbar import GRADES, LEVELS
from medutils.errors import InputError
from medutils.evaluation import fit_temperature
from medutils.models.cnn import FilmClassifier
from medutils.models.weights import weights_of
from medutils.tables import check_predictions
from medutils.training import grader
from medutils.training.grader import Annotated, Recipe
from medutils.training.loop import Progress, load_weights, one_thread, probabilities
from medutils.training.workers import each_apart

KIND = "gradings"  # the folder of the cache

# Chosen by three folds of the training and validation studies among some twenty recipes: one of the two best that half
# an hour of one core allows. The other, at a higher rate, was ahead by less than a hundredth. The test studies had no
# part in it.
FINE_TUNED = Recipe(size=288, epochs=3, rate=2e-3)


@dataclass(frozen=True, eq=False)
class Course:
    """A recipe and the graded slices, split by study, that it is applied to.

    slices: with the split in `records`; an annotation in no split has no part in it
    """

    recipe: Recipe
    slices: GradedSlices

    @property
    def data(self) -> Annotated:
        """As `grader.train` takes them. Made anew each time: the pixels are not to travel to another process."""
        records = self.slices.records
        return Annotated(
            self.slices.pixels(self.recipe.size),
            records["slice"].to_numpy(np.int64),
            records["level"].map(LEVELS.index).to_numpy(np.int64),
            records["label"].map(GRADES.index).to_numpy(np.int64),
            {side: self.slices.rows(side) for side in ("train", "validation", "test")},
            len(LEVELS),
        )

    @cached_property
    def content(self) -> list[Any]:
        """What a training of it depends on, but for the recipe: pixels, slices, levels, grades, sides."""
        data = self.data
        rows = {side: numbers.tolist() for side, numbers in data.rows.items()}
        annotations = [part.tolist() for part in (data.slice, data.level, data.y)]
        return [cache.array_hash(data.x.numpy()), *annotations, rows]


@dataclass(frozen=True, eq=False)
class Graded:
    """What one training gave.

    history: a row an epoch: epoch, train_loss, validation_loss (both weighted)
    logits: of the slices of `validation` and `test`, (slices, levels, grades)
    path: of the file it is kept in, with its weights
    """

    course: Course
    history: pd.DataFrame
    logits: Mapping[str, Tensor]
    seconds: float
    path: Path

    @property
    def state(self) -> grader.State:
        """The weights, read from disk each time they are asked for."""
        return load_weights(self.path)["state"]

    def temperature(self, pooled: bool = False) -> float:
        """What logits are divided by for the lowest weighted log loss on the validation annotations."""
        data = self.course.data
        y = data.y[data.rows["validation"]]
        # An annotation that counts four times is one that is there four times.
        times = np.repeat(np.arange(len(y)), np.array(self.course.recipe.weights, int)[y])
        return fit_temperature(self.of_annotations("validation", pooled).numpy()[times], y[times])

    def of_annotations(self, split: str, pooled: bool = False) -> Tensor:
        """Logits (annotations, grades) of a side, in the order of its records.

        pooled: those of the annotation's level averaged over all slices of its study, as where the slice is not known
        """
        data = self.course.data
        rows = data.rows[split]
        slices = data.slices(split)
        places, said = np.searchsorted(slices, data.slice[rows]), self.logits[split]
        if pooled:
            study = self.course.slices.records.iloc[rows].groupby("slice")["patient"].first().loc[slices]
            codes = torch.from_numpy(pd.factorize(study)[0])
            sums = torch.zeros(int(codes.max()) + 1, *said.shape[1:]).index_add_(0, codes, said)
            said = (sums / codes.bincount()[:, None, None])[codes]
        return said[places, data.level[rows]]

    def predictions(self, split: str = "test", calibrated: bool = True, pooled: bool = False) -> pd.DataFrame:
        """Predictions of the annotations of a side: record_id, patient, target, y_true, prob_<grade>.

        They are made for the weighted log loss, in which a severe grade counts as often as its weight says; see
        `as_frequencies`. pooled: see `of_annotations`
        """
        logits = self.of_annotations(split, pooled) / (self.temperature(pooled) if calibrated else 1)
        return table_of(self.course.slices.records.iloc[self.course.slices.rows(split)], probabilities(logits))

    def network(self) -> FilmClassifier:
        """The trained network in evaluation mode: uint8 slices (n, size, size) to logits (n, levels * grades)."""
        network = grader.build(replace(self.course.recipe, pretrained=False), len(LEVELS))
        network.load_state_dict(self.state)
        return network.eval()


def table_of(records: pd.DataFrame, probability: NDArray[np.float64]) -> pd.DataFrame:
    """A predictions table of annotations from probabilities (annotations, grades)."""
    table = records[["record_id", "patient", "target"]].assign(y_true=records["label"]).reset_index(drop=True)
    table[[f"prob_{name}" for name in GRADES]] = probability
    return check_predictions(table)


def as_frequencies(predictions: pd.DataFrame, weights: tuple[float, ...] = Recipe.weights) -> pd.DataFrame:
    """Predictions made for a loss with weights as what they say of the grades' frequencies.

    What has the lowest weighted log loss gives each grade its probability times its weight; calibration is asked of the
    probability alone.
    """
    columns = [f"prob_{name}" for name in GRADES]
    shares = predictions[columns] / np.array(weights)
    return predictions.assign(**shares.div(shares.sum(axis=1), axis=0))


def train(course: Course, seed: int) -> Graded:
    """Train a course with one seed, or find it in the package's cache under a key of all it depends on.

    On a CPU it takes one core, so that the number of cores changes no result. One that was interrupted goes on after
    its last whole epoch.
    """
    path = _path(course, seed)

    def make(part: Path) -> None:
        torch.save(grader.train(course.recipe, course.data, seed, _checkpoint(path)), part)

    with one_thread():
        cache.kept(KIND, make, path.stem, path.suffix)
    _checkpoint(path).unlink(missing_ok=True)
    found = {name: value for name, value in load_weights(path).items() if name != "state"}
    return Graded(course, pd.DataFrame(found.pop("history")), path=path, **found)


def _path(course: Course, seed: int) -> Path:
    """Where a training lies when it is kept."""
    recipe = course.recipe
    weights = installed.sha256 if recipe.pretrained and (installed := weights_of(recipe.network)) else None
    depends = [asdict(recipe), course.content, seed, weights, version("torch"), version("timm")]
    return cache.place(KIND, cache.key_of(grader.train, *depends), ".pt")


def _checkpoint(path: Path) -> Path:
    return path.with_suffix(".checkpoint")


def _up_to(course: Course, seed: int, epoch: int) -> None:
    """Bring a training to the end of an epoch, and keep it there; the last epoch ends it."""
    path = _path(course, seed)
    if epoch == course.recipe.epochs:
        train(course, seed)
    elif not path.exists():
        with cache.locked(_checkpoint(path)):
            grader.learn(course.recipe, course.data, seed, epoch, _checkpoint(path))


def train_all(
    courses: Mapping[str, Course], seeds: int, seed: int, progress: Progress | None = None
) -> dict[str, list[Graded]]:
    """Train every course with as many seeds, from `seed` on; by name, in the order of the seeds.

    On a CPU each training has one core, and as many run at once as there are; on CUDA they run one after the other. All
    do one epoch before any does the next, so that `progress` is told of epochs, and a run that was interrupted goes on.
    """
    wanted = [(course, seed + number) for course in courses.values() for number in range(seeds)]
    missing = [(course, number) for course, number in wanted if not _path(course, number).exists()]
    missing.sort(key=lambda one: -len(one[0].slices.rows("train")))  # the long ones first: the cores end together
    total, done = sum(course.recipe.epochs for course, _ in wanted), 0
    done = total - sum(course.recipe.epochs for course, _ in missing)
    for epoch in range(1, 1 + max((course.recipe.epochs for course, _ in missing), default=0)):
        work = [partial(_up_to, *one, epoch) for one in missing if epoch <= one[0].recipe.epochs]
        for _ in each_apart(work, alone=torch.cuda.is_available()):
            done += 1
            if progress:
                progress(done, total)
    return {name: [train(course, seed + number) for number in range(seeds)] for name, course in courses.items()}


def stacked(trainings: Sequence[Graded], split: str = "test", **how: bool) -> pd.DataFrame:
    """Predictions of one course's trainings below each other, the seed's number in `repeat`; `how` as `predictions`."""
    tables = [one.predictions(split, **how) for one in trainings]
    return pd.concat([table.assign(repeat=number) for number, table in enumerate(tables)], ignore_index=True)


def averaged(trainings: Sequence[Graded], split: str = "test", **how: bool) -> pd.DataFrame:
    """Predictions with the mean of the probabilities that one course's trainings give."""
    columns = [f"prob_{name}" for name in GRADES]
    tables = [one.predictions(split, **how) for one in trainings]
    mean = np.mean([table[columns].to_numpy() for table in tables], axis=0)
    return tables[0].assign(**dict(zip(columns, mean.T, strict=True)))


def by_studies(course: Course, numbers: Sequence[int], seed: int = 0) -> dict[int, Course]:
    """A course with fewer training studies, by their number.

    With the same epochs a hundred studies would give a twelfth of the steps, and the curve would show the steps; with
    the same steps each would cost as much as all. So the epochs grow as the root of what is lacking.
    """
    whole = course.slices.records.loc[course.slices.rows("train"), "patient"].nunique()
    return {
        number: Course(
            replace(course.recipe, epochs=round(course.recipe.epochs * (whole / number) ** 0.5)),
            fewer(course.slices, number, seed),
        )
        for number in numbers
    }


def fewer(slices: GradedSlices, studies: int, seed: int = 0) -> GradedSlices:
    """The same with so many training studies; a larger number holds all of a smaller one. The others are in no split.

    Raises `InputError` when there are not so many.
    """
    records = slices.records
    train = sorted(records.loc[records["split"] == "train", "patient"].unique())
    if not 1 <= studies <= len(train):
        raise InputError(f"studies: found {studies}; expected 1 to {len(train)}, the training studies")
    kept = np.random.default_rng(seed).permutation(np.array(train, object))[:studies]
    left_out = (records["split"] == "train") & ~records["patient"].isin(kept)
    return replace(slices, records=records.assign(split=records["split"].mask(left_out, "")))
