"""The attention over slices that write-up 001 never trained, trained here with a linear head, on fixed features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medutils import cache
from medutils.errors import InputError
from medutils.models.attention import Pooling, SliceAttention
from medutils.training.loop import load_weights, one_thread

UNGRADED = -1


@dataclass(frozen=True)
class Lesson:
    """How the attention is trained.

    values: of a series' vector; grade_weights: what a cell of each grade counts in the loss
    held_out: the share of the training studies that decide when to stop
    stop_after: end when their loss has not fallen for so many epochs
    """

    values: int = 512
    pooling: Pooling = "attention"
    grade_weights: tuple[float, ...] = (1, 2, 4)
    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 0.1
    dropout: float = 0.5
    held_out: float = 0.15
    stop_after: int = 5


@dataclass(frozen=True, eq=False)
class TrainedAttention:
    """What was learned, and what it says of every series, those it learned from too.

    values: float32 (series, values); probabilities: (series, targets, grades)
    weights: (slices,) what each slice counts in its series
    history: a row an epoch: `epoch`, `train_loss`, `validation_loss`
    """

    values: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    weights: NDArray[np.float32]
    history: pd.DataFrame


class _Grader(nn.Module):
    """Features of slices and the series they are of to logits (series, targets, grades)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, seen: Tensor, targets: int, lesson: Lesson) -> None:
        super().__init__()
        self.register_buffer("mean", seen.mean(0))
        self.register_buffer("deviation", seen.std(0).clamp(min=1e-6))
        self.attention = SliceAttention(seen.shape[1], lesson.values, lesson.pooling)
        self.drop = nn.Dropout(lesson.dropout)
        self.last = nn.Linear(lesson.values, targets * len(lesson.grade_weights))
        self.shape = (targets, len(lesson.grade_weights))

    def forward(self, slices: Tensor, series: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, weights = self.attention((slices - self.mean) / self.deviation, series)
        return self.last(self.drop(values)).unflatten(1, self.shape), values, weights


def train_attention(
    features: NDArray[np.float32],
    series: NDArray[np.int64],
    y: NDArray[np.int64],
    studies: Sequence[str],
    train: NDArray[np.bool_],
    lesson: Lesson = Lesson(),
    seed: int = 0,
) -> TrainedAttention:
    """Train head, attention and a linear classifier together on the slices of training series; made once and kept.

    Parameters
    ----------
    features: (slices, features), as `embed` gives them
    series: (slices,) the number of each slice's series, from 0; see `medutils.training.series.numbered`
    y: (series, targets) numbers of grades, -1 where none was given: such a cell counts nothing in the loss
    studies: the study of each series; train: (series,) which may be learned from

    A part of the training studies decides when to stop; the others are never looked at. The loss is the challenge's: a
    mean of cross-entropies over graded cells, weighted by the true grade. Raises `InputError` when a study has series
    both in `train` and outside, shapes disagree, or no training cell is graded.
    """
    _check(features, series, y, studies, train, lesson)
    hashes = [cache.array_hash(part) for part in (features, series, y, train)]
    key = cache.key_of(train_attention, hashes, list(studies), vars(lesson), seed, torch.__version__)
    path = cache.kept(
        "attention",
        lambda part: torch.save(
            _train(features, series, y, np.array(studies, dtype=object), train, lesson, seed), part
        ),
        key,
        ".pt",
    )
    found = load_weights(path)
    history = pd.DataFrame(found.pop("history"))
    return TrainedAttention(history=history, **{name: value.numpy() for name, value in found.items()})


def _check(
    features: NDArray[Any],
    series: NDArray[Any],
    y: NDArray[Any],
    studies: Sequence[str],
    train: NDArray[np.bool_],
    lesson: Lesson,
) -> None:
    count = len(y)
    if len(series) != len(features) or not np.array_equal(np.unique(series), np.arange(count)):
        raise InputError(f"series: found other numbers than 0 to {count - 1}, one for each of {len(features)} slices")
    if len(studies) != count or train.shape != (count,):
        raise InputError(f"studies: found {len(studies)}, and {train.shape} in train; expected {count}, one a series")
    if both := {study for study, seen in zip(studies, train, strict=True) if seen} & {
        study for study, seen in zip(studies, train, strict=True) if not seen
    }:
        raise InputError(f"train: found study {min(both)} on both sides; expected each on one")
    grades = len(lesson.grade_weights)
    if y.min() < UNGRADED or y.max() >= grades:
        raise InputError(f"y: found {y.min()} to {y.max()}; expected {UNGRADED} (no grade) to {grades - 1}")
    if not (y[train] != UNGRADED).any():
        raise InputError("y: found no grade in the training series; expected some")


def _train(
    features: NDArray[np.float32],
    series: NDArray[np.int64],
    y: NDArray[np.int64],
    studies: NDArray[np.object_],
    train: NDArray[np.bool_],
    lesson: Lesson,
    seed: int,
) -> dict[str, Any]:
    learn, held = _held_out(studies, train, lesson.held_out, seed)
    slices, numbers, grades = torch.from_numpy(features), torch.from_numpy(series), torch.from_numpy(y)
    of_series = _Slices(slices, numbers)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = _Grader(of_series.take(learn)[0], y.shape[1], lesson)
        history = _learn(network, of_series, grades, learn, held, lesson)
        with torch.inference_mode():
            logits, values, weights = network(slices, numbers)
    return {
        "values": values,
        "probabilities": logits.double().softmax(2),
        "weights": weights,
        "history": history,
    }


def _learn(
    network: _Grader, slices: "_Slices", y: Tensor, learn: Tensor, held: Tensor, lesson: Lesson
) -> dict[str, list[float]]:
    """Train until the held-out loss no longer falls, and leave the network with its best weights, to evaluate."""
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=lesson.learning_rate, weight_decay=lesson.weight_decay, fused=True
    )
    best, best_epoch, state = float("inf"), 0, network.state_dict()
    history: dict[str, list[float]] = {"epoch": [], "train_loss": [], "validation_loss": []}
    for epoch in range(1, lesson.epochs + 1):
        network.train()
        losses = []
        for batch in learn[torch.randperm(len(learn))].split(lesson.batch_size):
            optimiser.zero_grad()
            loss = masked_loss(network(*slices.take(batch))[0], y[batch], lesson.grade_weights)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        network.eval()
        with torch.no_grad():
            validation = float(masked_loss(network(*slices.take(held))[0], y[held], lesson.grade_weights))
        for name, value in zip(history, (epoch, float(torch.stack(losses).mean()), validation), strict=True):
            history[name].append(value)
        if validation < best:
            best, best_epoch = validation, epoch
            state = {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best_epoch >= lesson.stop_after:
            break
    network.load_state_dict(state)
    return history


def masked_loss(logits: Tensor, y: Tensor, grade_weights: Sequence[float]) -> Tensor:
    """Cross-entropy over the graded cells, weighted by the true grade; 0 where no cell is graded.

    logits: (series, targets, grades); y: (series, targets), -1 where no grade was given
    """
    weight = torch.tensor([*map(float, grade_weights)])[y.clamp(min=0)] * (y != UNGRADED)
    each = nn.functional.cross_entropy(logits.movedim(2, 1), y, ignore_index=UNGRADED, reduction="none")
    return (each * weight).sum() / weight.sum().clamp(min=1e-9)


class _Slices:
    """Slices by series, where series have different numbers of them."""

    def __init__(self, slices: Tensor, series: Tensor) -> None:
        self.slices, self.order = slices, series.argsort(stable=True)
        self.counts = torch.bincount(series)
        self.starts = self.counts.cumsum(0) - self.counts

    def take(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """The slices of some series, and for each its place among those."""
        counts = self.counts[series]
        place = torch.arange(len(series)).repeat_interleave(counts)
        within = torch.arange(int(counts.sum())) - (counts.cumsum(0) - counts)[place]
        return self.slices[self.order[self.starts[series][place] + within]], place


def _held_out(studies: NDArray[np.object_], train: NDArray[np.bool_], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """The training series that are learned from, and those that decide when to stop; no study in both."""
    from sklearn.model_selection import GroupShuffleSplit

    seen = np.flatnonzero(train)
    if len(np.unique(studies[seen])) < 2:
        raise InputError("train: found a single study; expected two at least, to learn and to stop by")
    split = GroupShuffleSplit(1, test_size=share, random_state=seed)
    learn, held = next(split.split(seen, groups=studies[seen]))
    return torch.from_numpy(seen[learn]), torch.from_numpy(seen[held])
