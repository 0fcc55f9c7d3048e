"""What one fine-tuning on graded slices computes, and nothing else: a kept training hangs on this code alone.

One network reads a slice once and says the grade of every level; the annotation's level chooses the answer that counts.
A slice with several annotations is read once for all of them.

**Left and right are mirror images, and the mirror lies across the picture, not in it.** The slices of a sagittal series
are cut from one side of the body to the other: a mirror at the middle of the body turns a slice of the left into one
of the right and moves no pixel. So both sides share the five heads, the side is no input, and a slice of the right is
one more example for the left. A flip of the picture would swap belly and back, which no patient shows: there is none.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.errors import InputError
from medutils.files import written_whole
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier, own_preprocessing
from medutils.training.loop import batches, best_device, keep_memory, load_weights, mixed, predict, seed_everything

State = dict[str, Tensor]

# Small turns, zooms and shifts: the patient never lies twice the same. No flip: see above.
SMALL = Augmentation(degrees=8, zoom=0.1, shift=0.05, contrast=0.15, fill="border")


@dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned.

    size: pixels a side
    network: the name of a network of the timm library; all of its layers learn
    pretrained: whether it begins with ImageNet's weights
    rate, weight_decay: the highest learning rate of the one-cycle policy, and AdamW's decoupled weight decay
    dropout: the share of the averaged feature maps that is left out before the heads
    weights: what an annotation of each grade counts in the loss
    """

    size: int
    epochs: int
    rate: float
    network: str = "tf_efficientnet_lite0"
    pretrained: bool = True
    batch_size: int = 32
    weight_decay: float = 1e-2
    dropout: float = 0.2
    weights: tuple[float, ...] = (1.0, 2.0, 4.0)
    augmentation: Augmentation = SMALL


@dataclass(frozen=True, eq=False)
class Annotated:
    """Slices, and the annotations on them.

    x: uint8 (slices, size, size)
    slice, level, y: (annotations,) the slice of each, the number of its level and of its grade
    rows: the annotations of `train`, `validation` and `test`
    levels: how many there are
    """

    x: Tensor
    slice: NDArray[np.int64]
    level: NDArray[np.int64]
    y: NDArray[np.int64]
    rows: Mapping[str, NDArray[np.int64]]
    levels: int

    def slices(self, side: str) -> NDArray[np.int64]:
        """The slices that have an annotation on a side of the split, each once, in their order."""
        return np.unique(self.slice[self.rows[side]])

    def counts(self, side: str, grades: int) -> Tensor:
        """How many annotations of each grade the slices of a side have at each level: (slices, levels, grades)."""
        rows = self.rows[side]
        found = np.zeros((len(self.x), self.levels, grades), np.float32)
        np.add.at(found, (self.slice[rows], self.level[rows], self.y[rows]), 1)
        return torch.from_numpy(found[self.slices(side)])


def build(recipe: Recipe, levels: int, seed: int = 0) -> FilmClassifier:
    """The network before its training: uint8 slices (n, size, size) to logits (n, levels * grades)."""
    torch.manual_seed(seed)
    design = Architecture(
        recipe.size, 1, recipe.network, frozen=False, flatten_dropout=recipe.dropout, dense=0, average=True
    )
    answers = levels * len(recipe.weights)
    return make_classifier(own_preprocessing(design), answers, recipe.augmentation, recipe.pretrained)


def train(recipe: Recipe, data: Annotated, seed: int, checkpoint: Path | None = None) -> dict[str, Any]:
    """Train to the end with one seed, and let the network say its logits of all validation and test slices once.

    checkpoint: a file that takes the whole state after each epoch; where it is there, training goes on from it, to the
        very numbers that an uninterrupted one gives on the same machine

    Returns `history` (a row an epoch: epoch, train_loss, validation_loss, both weighted), `logits` (of `validation`
    and `test`, (slices, levels, grades), the slices as `Annotated.slices` names them), `state` (the weights) and
    `seconds`. Raises `InputError` where the loss is no longer finite.
    """
    learner = learn(recipe, data, seed, recipe.epochs, checkpoint)
    logits = {side: said(learner.network, data, side) for side in ("validation", "test")}
    return {
        "history": {name: [row[name] for row in learner.history] for name in learner.history[0]},
        "logits": logits,
        "state": {name: value.contiguous().cpu() for name, value in learner.network.state_dict().items()},
        "seconds": learner.seconds,
    }


def learn(recipe: Recipe, data: Annotated, seed: int, until: int, checkpoint: Path | None = None) -> "Learner":
    """Train up to the end of epoch `until`, from the checkpoint on where there is one."""
    keep_memory()
    learner = Learner(recipe, data, seed)
    if checkpoint is not None and checkpoint.exists():
        learner.resume(checkpoint)
    while len(learner.history) < until:
        learner.epoch()
        if checkpoint is not None:
            learner.save(checkpoint)
    return learner


def said(network: FilmClassifier, data: Annotated, side: str) -> Tensor:
    """Logits (slices, levels, grades) of the slices of a side."""
    return predict(network, data.x[data.slices(side)]).unflatten(1, (data.levels, -1))


def weighted_loss(logits: Tensor, counts: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Mean log loss of annotations, weighted by their grade; both (slices, levels, grades).

    counts: how many annotations of each grade there are; a level without one has no part in the loss
    """
    each = counts * torch.tensor(weights, device=counts.device)
    return -(each * logits.log_softmax(-1)).sum() / each.sum()


class Learner:
    """All that a training carries from one epoch to the next, and to and from a checkpoint."""

    def __init__(self, recipe: Recipe, data: Annotated, seed: int) -> None:
        self.recipe, self.data = recipe, data
        self.network = build(recipe, data.levels, seed).to(best_device())
        self.rows = torch.from_numpy(data.slices("train"))
        self.counts = {side: data.counts(side, len(recipe.weights)) for side in ("train", "validation")}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay, fused=True
        )
        steps = len(batches(len(self.rows), recipe.batch_size)) * recipe.epochs
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, recipe.rate, steps)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self.identity = json.dumps([asdict(recipe), seed, len(self.rows)])
        seed_everything(seed)

    def epoch(self) -> None:
        """See every training slice once."""
        began = time.monotonic()
        network, recipe = self.network.train(), self.recipe
        device = next(network.parameters()).device
        order = torch.randperm(len(self.rows))
        losses = []
        for batch in batches(len(self.rows), recipe.batch_size):
            some = order[batch]
            with mixed(device, "auto"):
                logits = network(self.data.x[self.rows[some]].to(device))
            answers = logits.float().unflatten(1, (self.data.levels, -1))
            loss = weighted_loss(answers, self.counts["train"][some].to(device), recipe.weights)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.cycle.step()
            losses.append(loss.detach())
        held = weighted_loss(said(network, self.data, "validation"), self.counts["validation"], recipe.weights)
        self._note(float(torch.stack(losses).mean()), float(held))
        self.seconds += time.monotonic() - began

    def _note(self, train_loss: float, validation_loss: float) -> None:
        number = len(self.history) + 1
        if not math.isfinite(train_loss + validation_loss):
            raise InputError(
                f"rate: at {self.recipe.rate} the loss is no longer finite in epoch {number}; expected a lower rate"
            )
        self.history.append({"epoch": number, "train_loss": train_loss, "validation_loss": validation_loss})

    _PARTS = ("network", "optimiser", "cycle")
    _VALUES = ("identity", "history", "seconds")

    def save(self, path: Path) -> None:
        """Write everything to `path`, whole or not at all."""
        content: dict[str, Any] = {name: getattr(self, name).state_dict() for name in self._PARTS}
        content |= {name: getattr(self, name) for name in self._VALUES}
        content["random"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        with written_whole(path) as part:
            torch.save(content, part)

    def resume(self, path: Path) -> None:
        """Go on from `path`; `InputError` when it is of another training, or damaged."""
        content = load_weights(path)
        if content.get("identity") != self.identity:
            raise InputError(f"{path}: found the checkpoint of another training; expected one of this, or none")
        for name in self._PARTS:
            getattr(self, name).load_state_dict(content[name])
        for name in self._VALUES:
            setattr(self, name, content[name])
        cpu, *cuda = content["random"]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
