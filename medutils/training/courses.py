"""Stages of fastai training that are kept: many at once, one after another where one begins with another's weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from medutils.errors import InputError
from medutils.evaluation import fit_temperature
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier
from medutils.models.weights import weights_of
from medutils.tables import check_predictions
from medutils.training import stages
from medutils.training.loop import Progress, load_weights, one_thread, probabilities
from medutils.training.stages import Pictures, Stage
from medutils.training.workers import each_apart

FEW = 5_000  # films at 64 px that one process trains with in the time that other processes take to start


@dataclass(frozen=True, eq=False)
class Course:
    """A stage and the films it is trained on.

    records: the films, with `label` and `split` as this course has them; a film in no split has no part in it
    classes: what the network tells apart; those of `records` and perhaps more
    x: uint8 (films, size, size), in the order of `records`
    after: the name of the course whose weights it begins with; empty for weights of its own
    once: whether one seed is enough, however many the others have
    """

    stage: Stage
    records: pd.DataFrame
    classes: tuple[str, ...]
    x: Tensor
    after: str = ""
    once: bool = False

    @cached_property
    def pictures(self) -> Pictures:
        """As `stages.run` takes them."""
        y = self.records["label"].map(self.classes.index).to_numpy()
        rows = {side: np.flatnonzero(self.records["split"] == side) for side in ("train", "validation", "test")}
        return Pictures(self.x, y, self.classes, rows)

    @cached_property
    def content(self) -> list[Any]:
        """What a training of it depends on, but for the stage: hash of the films, classes, sides."""
        pictures = self.pictures
        rows = {side: numbers.tolist() for side, numbers in pictures.rows.items()}
        return [cache.array_hash(pictures.x.numpy()), pictures.y.tolist(), list(pictures.classes), rows]


@dataclass(frozen=True, eq=False)
class Trained:
    """What one training of a course gave.

    history: a row an epoch: phase, train_loss, validation_loss, validation_accuracy
    logits: for each phase those of `validation` and `test`, (films, classes)
    path: of the file it is kept in, with its weights
    """

    course: Course
    history: pd.DataFrame
    logits: list[dict[str, Tensor]]
    seconds: float
    path: Path

    @property
    def state(self) -> stages.State:
        """The weights, read from disk each time they are asked for."""
        return load_weights(self.path)["state"]

    @cached_property
    def temperature(self) -> float:
        """What the logits of the last phase are divided by to be calibrated; chosen on the validation films."""
        pictures = self.course.pictures
        return fit_temperature(self.logits[-1]["validation"].numpy(), pictures.y[pictures.rows["validation"]])

    def network(self) -> FilmClassifier:
        """The trained network with its preprocessing, in evaluation mode: it takes uint8 films and gives logits."""
        stage = self.course.stage
        mean, deviation = stages.statistics(stage.network, stage.pretrained) if stage.normalise else ((0.0,), (1.0,))
        design = Architecture(
            size=stage.size, backbone=stage.network, frozen=False, head="fastai", mean=mean, deviation=deviation
        )
        network = make_classifier(design, len(self.course.classes))
        body, head = "0.model.", "1."
        for name, value in self.state.items():
            inside, part = (network.backbone, body) if name.startswith(body) else (network.head, head)
            inside.state_dict()[name.removeprefix(part)].copy_(value)
        return network.eval()

    def predictions(self, split: str = "test", phase: int = -1, calibrated: bool = False) -> pd.DataFrame:
        """Predictions of the validation or the test films after a phase."""
        logits = self.logits[phase][split] / (self.temperature if calibrated else 1)
        rows = self.course.records.iloc[self.course.pictures.rows[split]]
        table = rows[["record_id", "patient"]].assign(y_true=rows["label"]).reset_index(drop=True)
        table[[f"prob_{name}" for name in self.course.classes]] = probabilities(logits)
        return check_predictions(table)


def train(course: Course, seed: int, start: Path | None = None) -> Trained:
    """Train a course with one seed, or find it in the package's cache under a key of all it depends on.

    start: the file of the training whose weights it begins with
    """
    path = _path(course, seed, start)
    if not path.exists():
        pictures, state = course.pictures, load_weights(start)["state"] if start else None
        with stages.quiet():
            import fastai.vision.all  # noqa: F401 - its import draws random numbers, so it must not come after the seed

        def make(part: Path) -> None:
            torch.save(stages.run(course.stage, pictures, seed, state), part)

        cache.kept("stages", make, path.stem, path.suffix)
    found: dict[str, Any] = {name: value for name, value in load_weights(path).items() if name != "state"}
    return Trained(course, pd.DataFrame(found.pop("history")), path=path, **found)


def _path(course: Course, seed: int, start: Path | None) -> Path:
    """Where a training lies when it is kept."""
    weights = None
    if course.stage.pretrained and (installed := weights_of(course.stage.network)):
        weights = installed.sha256
    versions = [version(library) for library in ("torch", "fastai", "timm")]
    depends = [asdict(course.stage), course.content, seed, weights, start.stem if start else "", versions]
    return cache.place("stages", cache.key_of(stages.run, *depends), ".pt")


def train_all(
    courses: Mapping[str, Course], seeds: int, seed: int, progress: Progress | None = None
) -> dict[str, list[Trained]]:
    """Train every course with as many seeds, from `seed` on; by name, in the order of the seeds.

    On a CPU each training has one core, and as many run at once as there are, so that the number of cores changes no
    result. On CUDA they run one after the other. What is kept is not trained again: a run that was interrupted goes on.
    Raises `InputError` where a course comes after one that is not among them, or after itself.
    """
    found: dict[str, list[Trained]] = {}
    counts = {name: 1 if course.once else seeds for name, course in courses.items()}
    total, done = sum(counts.values()), 0
    ahead = dict(courses)
    while ahead:
        ready = {name: course for name, course in ahead.items() if not course.after or course.after in found}
        if not ready:
            circle = ", ".join(f"'{name}' after '{course.after}'" for name, course in ahead.items())
            raise InputError(f"courses: found {circle}; expected each after one that is trained before it")
        work = {
            name: [
                (course, seed + number, found[course.after][number].path if course.after else None)
                for number in range(counts[name])
            ]
            for name, course in ready.items()
        }
        missing = [one for some in work.values() for one in some if not _path(*one).exists()]
        few = sum(_films(course) for course, *_ in missing) < FEW
        for _ in each_apart([partial(train, *one) for one in missing], alone=few or torch.cuda.is_available()):
            done += 1
            if progress:
                progress(done, total)
        with one_thread():
            found |= {name: [train(*one) for one in some] for name, some in work.items()}
        ahead = {name: course for name, course in ahead.items() if name not in found}
        done = sum(counts[name] for name in found)
        if progress:
            progress(done, total)
    return {name: found[name] for name in courses}


def _films(course: Course) -> float:
    """How many films at 64 px take as long as a course."""
    epochs = sum(phase.epochs for phase in course.stage.phases)
    return epochs * len(course.pictures.rows["train"]) * (course.stage.size / 64) ** 2


def stacked(trainings: list[Trained], split: str = "test", phase: int = -1, calibrated: bool = False) -> pd.DataFrame:
    """Predictions of one course's trainings below each other, the seed's number in `repeat`."""
    tables = [one.predictions(split, phase, calibrated) for one in trainings]
    return pd.concat([table.assign(repeat=number) for number, table in enumerate(tables)], ignore_index=True)


def accuracy(trained: Trained, split: str = "test", phase: int = -1) -> float:
    """Share of right decisions of one training, by the most probable class."""
    pictures = trained.course.pictures
    right: NDArray[np.bool_] = trained.logits[phase][split].argmax(1).numpy() == pictures.y[pictures.rows[split]]
    return float(right.mean())
