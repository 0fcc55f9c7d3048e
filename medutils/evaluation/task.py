"""What a model is asked: two classes, several, or grades; and the graded cells of a predictions table as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.errors import InputError
from medutils.tables import few, graded, rest

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What a predictions table answers; made by `binary`, `multiclass` or `grades`.

    kind: how a decision is made and which metrics there are
    classes: in the order of the page; of two, the positive one last, and alone when the table names the other
    weights: of grades, what a cell of each counts in the weighted log loss
    """

    kind: Literal["binary", "multiclass", "grades"]
    classes: tuple[str, ...]
    weights: tuple[float, ...] = ()

    @property
    def positive(self) -> str:
        """The positive class of a two-class task."""
        if self.kind != "binary":
            raise InputError(f"task: found {self.kind}; expected two classes, of which one is positive")
        return self.classes[-1]

    def of(self, predictions: pd.DataFrame) -> "Task":
        """The same task with both classes named; an `InputError` when the table's classes are others."""
        found = classes_of(predictions)
        if self.kind != "binary":
            if set(found) != set(self.classes):
                raise InputError(f"predictions: found the classes {few(found)}; expected {few(self.classes)}")
            return self
        if len(found) != 2 or not set(self.classes) <= set(found):
            raise InputError(f"positive: found '{self.positive}'; expected one of the two classes {', '.join(found)}")
        return replace(self, classes=(next(name for name in found if name != self.positive), self.positive))


def binary(positive: str, negative: str | None = None) -> Task:
    """Two classes, decided by a threshold on the probability of `positive`; the table may name the other."""
    return Task("binary", (positive,) if negative is None else (negative, positive))


def multiclass(classes: Sequence[str]) -> Task:
    """Several classes without an order; the most probable one is decided on."""
    return Task("multiclass", _distinct(classes))


def grades(classes: Sequence[str], weights: Sequence[float] = (1, 2, 4)) -> Task:
    """Classes from the mildest to the most severe; the most probable one is decided on.

    weights: what a cell of each true grade counts in the weighted log loss; by default those of the RSNA 2024 Lumbar
        Spine Degenerative Classification challenge (normal or mild 1, moderate 2, severe 4)
    """
    if len(weights) != len(classes):
        raise InputError(f"weights: found {len(weights)}; expected one for each of the {len(classes)} grades")
    return Task("grades", _distinct(classes), tuple(map(float, weights)))


def _distinct(classes: Sequence[str]) -> tuple[str, ...]:
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise InputError(f"classes: found {few(classes)}; expected two or more, each once")
    return tuple(classes)


def classes_of(predictions: pd.DataFrame) -> list[str]:
    """The classes that a predictions table has a probability for, in its order."""
    return [column.removeprefix("prob_") for column in predictions if column.startswith("prob_")]


def one_against_rest(predictions: pd.DataFrame, positive: str) -> pd.DataFrame:
    """A predictions table of any number of classes as one of two: `positive` and what `rest` calls the others."""
    others = [f"prob_{name}" for name in classes_of(predictions) if name != positive]
    if len(others) == 1:
        return predictions
    table = graded(predictions).drop(columns=others)
    table["y_true"] = table["y_true"].where(table["y_true"] == positive, rest(positive))
    return table.assign(**{f"prob_{rest(positive)}": 1 - table[f"prob_{positive}"]})


@dataclass(frozen=True)
class Cells:
    """The graded cells of a predictions table.

    patient: (rows,) as in the table
    y, said: (rows,) numbers of the true class and of the decision
    p: (rows, classes) probabilities
    repeat, target: (rows,) numbers from 0; `target` is None when the table has one target
    """

    patient: NDArray[np.object_]
    y: Integers
    p: Array
    said: Integers
    repeat: Integers
    target: Integers | None

    def rows(self, chosen: NDArray[np.bool_]) -> "Cells":
        """Some of the cells."""
        parts: dict[str, Any] = {name: None if part is None else part[chosen] for name, part in vars(self).items()}
        return Cells(**parts)


def cells(predictions: pd.DataFrame, task: Task, threshold: float | str = 0.5) -> Cells:
    """The graded cells of a table for a task that names all of its classes (`Task.of`).

    threshold: of two classes, a number or the name of a column that holds one for each row; from it on (>=) a row is
        called positive. Several classes are decided by the highest probability, the first of those that tie.
    """
    table = graded(predictions)
    if not len(table):
        raise InputError("predictions: found no row with a true class; expected one at least")
    y = pd.Index(task.classes).get_indexer(table["y_true"])
    if (y < 0).any():
        unknown = table["y_true"][y < 0].iloc[0]
        raise InputError(f"y_true: found '{unknown}'; expected one of {few(task.classes)}")
    p = table[[f"prob_{name}" for name in task.classes]].to_numpy(dtype=float)
    if np.isnan(p).any():
        raise InputError("predictions: found a row with a true class and no probability; expected one for each class")
    cut = table[threshold].to_numpy(dtype=float) if isinstance(threshold, str) else threshold
    return Cells(
        patient=table["patient"].to_numpy(dtype=object),
        y=y.astype(np.int64),
        p=p,
        said=(p[:, 1] >= cut).astype(np.int64) if task.kind == "binary" else p.argmax(1),
        repeat=_numbered(table, "repeat"),
        target=_numbered(table, "target") if "target" in table else None,
    )


def _numbered(table: pd.DataFrame, column: str) -> Integers:
    return pd.factorize(table[column], sort=True)[0] if column in table else np.zeros(len(table), np.int64)
