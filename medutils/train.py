"""Training: one loop for a network, and its twin for many small networks at once."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from medutils.models.mlp import ReplicatedMLP, binary_loss

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to train, and how large a network: the values of write-up 000 unless said otherwise."""

    epochs: int = 200
    batch_size: int = 16
    learning_rate: float = 1e-4
    factor: float = 0.5
    patience: int = 20
    hidden: int = 64
    dropout: float = 0.1


@dataclass
class Fit:
    """What a training left behind.

    history: a row an epoch: `epoch`, `learning_rate`, `train_loss` (as the write-up takes it, while the weights move),
        `train_loss_after` (the same rows afterwards, in evaluation mode), `validation_loss`
    train_logits, train_targets: (epochs, rows), in the order the rows were seen, while the weights moved
    train_logits_after: (epochs, rows), in the table's order, in evaluation mode
    validation_logits: (epochs, rows)
    best_epoch: the epoch, counted from 1, whose weights the model bears now: the lowest validation loss
    """

    history: pd.DataFrame
    train_logits: np.ndarray
    train_targets: np.ndarray
    train_logits_after: np.ndarray
    validation_logits: np.ndarray
    best_epoch: int


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch with one number."""
    import random

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from NumPy's global generator
    torch.manual_seed(seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run small networks on one thread: handing 16 rows to a second one costs more than it gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(rows: int, size: int) -> list[slice]:
    """Cut rows into batches; a last batch of one row is left out, since it has no variance to normalise by."""
    return [slice(start, start + size) for start in range(0, rows, size) if rows - start > 1]


def fit(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
) -> Fit:
    """Train a binary classifier as write-up 000 does, and leave it with the weights of its best validation loss.

    Adam; binary cross-entropy with logits; the learning rate is multiplied by `factor` when the validation loss has not
    fallen for `patience` epochs, and the best weights so far are loaded again then. Adam keeps its moments across that
    reload, as in the write-up. `train` and `validation` are (rows, features) and (rows,) tensors on the model's device.
    """
    seed_everything(seed)
    (x, y), (x_val, y_val) = train, validation
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    plateau = ReduceLROnPlateau(optimiser, factor=settings.factor, patience=settings.patience)
    loss = nn.functional.binary_cross_entropy_with_logits
    best_loss, best_epoch, best = float("inf"), 0, copy.deepcopy(model.state_dict())
    rows, logits, seen, after, val = [], [], [], [], []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order = torch.randperm(len(y), device=y.device)
        shuffled_x, shuffled_y = x[order], y[order]
        outputs = []
        for batch in _batches(len(y), settings.batch_size):
            optimiser.zero_grad()
            output = model(shuffled_x[batch]).squeeze(1)
            loss(output, shuffled_y[batch]).backward()
            optimiser.step()
            outputs.append(output.detach())
        model.eval()
        with torch.inference_mode():
            logits.append(torch.cat(outputs))
            seen.append(shuffled_y[: len(logits[-1])])
            after.append(model(x).squeeze(1))
            val.append(model(x_val).squeeze(1))
            losses = [float(loss(*pair)) for pair in ((logits[-1], seen[-1]), (after[-1], y), (val[-1], y_val))]
        rate = optimiser.param_groups[0]["lr"]
        rows.append((epoch, rate, *losses))
        if losses[-1] < best_loss:
            best_loss, best_epoch, best = losses[-1], epoch, copy.deepcopy(model.state_dict())
        plateau.step(losses[-1])
        if optimiser.param_groups[0]["lr"] != rate:
            model.load_state_dict(best)
        if progress:
            progress(epoch, settings.epochs)
    model.load_state_dict(best)
    columns = ["epoch", "learning_rate", "train_loss", "train_loss_after", "validation_loss"]
    moving, targets, afterwards, held_out = (torch.stack(part).cpu().numpy() for part in (logits, seen, after, val))
    return Fit(pd.DataFrame(rows, columns=columns), moving, targets, afterwards, held_out, best_epoch)


@dataclass
class ReplicaFit:
    """What training many replicas left behind; every array's first dimension is the replica.

    model: the networks, with the weights of their best validation loss
    scaling: standardises a table, (rows, features), to (replicas, rows, features)
    validation_loss, validation_f1: (replicas, epochs), pooled over the replica's own validation rows, threshold 0.5
    best_epoch: (replicas,), counted from 1
    """

    model: ReplicatedMLP
    scaling: "_Scaling"
    validation_loss: np.ndarray
    validation_f1: np.ndarray
    best_epoch: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of the positive class, (replicas, rows), for a table of (rows, features)."""
        with torch.no_grad():
            return torch.sigmoid(self.model(self.scaling(x))).numpy()


class _Scaling:
    """Standardise a table for each replica by the mean and deviation of that replica's own training rows."""

    def __init__(self, x: np.ndarray, picked: Tensor, columns: np.ndarray | None) -> None:
        own = torch.tensor(x, dtype=torch.float64)[picked]
        deviation = own.std(1, keepdim=True, correction=0)
        self.mean = own.mean(1, keepdim=True)
        self.factor = 1 / torch.where(deviation == 0, 1.0, deviation)
        if columns is not None:  # a feature that may not be seen is held at its mean
            self.factor *= torch.as_tensor(columns)[:, None, :]

    def __call__(self, x: np.ndarray) -> Tensor:
        return ((torch.tensor(x, dtype=torch.float64) - self.mean) * self.factor).float()


class _ReplicatedAdam:
    """torch's Adam with a learning rate for each replica.

    Adam's step is proportional to the rate, so all replicas take a step at the first rate, and those whose rate has
    fallen are drawn back to their share of it.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: Tensor) -> None:
        self.parameters, self.first = parameters, float(rate.max())
        self.adam = torch.optim.Adam(parameters, lr=self.first, fused=True)

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        share = (rate / self.first).view(-1, 1, 1)
        some_fell = bool((share < 1).any())
        before = [parameter.clone() for parameter in self.parameters] if some_fell else []
        self.adam.step()
        if some_fell:
            for parameter, start in zip(self.parameters, before, strict=True):
                torch.lerp(start, parameter, share, out=parameter.data)
        self.adam.zero_grad()


@dataclass
class _Plateau:
    """`ReduceLROnPlateau` for each replica on its own (relative threshold 1e-4), and the best weights so far."""

    settings: Settings
    state: dict[str, Tensor]
    rate: Tensor
    best_loss: Tensor = field(init=False)
    best_epoch: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.best_loss = torch.full_like(self.rate, float("inf"))
        self.reference = self.best_loss.clone()
        self.bad = torch.zeros_like(self.rate, dtype=torch.long)
        self.best_epoch = torch.zeros_like(self.bad)
        self.best = {name: value.clone() for name, value in self.state.items()}

    def step(self, loss: Tensor, epoch: int) -> None:
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best_epoch[better] = epoch
        for name, value in self.state.items():
            self.best[name][better] = value[better]
        fell = loss < self.reference * (1 - 1e-4)
        self.reference = torch.where(fell, loss, self.reference)
        self.bad = torch.where(fell, 0, self.bad + 1)
        drop = self.bad > self.settings.patience
        self.rate[drop] *= self.settings.factor
        self.bad[drop] = 0
        self.restore(drop)

    def restore(self, which: Tensor) -> None:
        for name, value in self.state.items():
            value[which] = self.best[name][which]


def fit_replicas(
    x: np.ndarray,
    y: np.ndarray,
    train_rows: Sequence[np.ndarray],
    validation_rows: Sequence[np.ndarray],
    seeds: Sequence[int],
    settings: Settings,
    columns: np.ndarray | None = None,
    progress: Progress | None = None,
) -> ReplicaFit:
    """Train one `SpineMLP` for each seed by the procedure of `fit`, all of them at once.

    Parameters
    ----------
    x, y: the whole table, (rows, features) and (rows,) of 0 and 1
    train_rows, validation_rows: row numbers for each replica; the training sets must have one size. A replica's
        measurements are standardised by its own training rows.
    columns: (replicas, features) of bool: the features a replica may see; the others are held at their mean
    """
    if len({len(rows) for rows in train_rows}) != 1:
        raise ValueError("replicas trained at once need training sets of one size")
    generator = torch.Generator().manual_seed(seeds[0])
    picked = torch.as_tensor(np.stack(train_rows))
    replica = torch.arange(len(seeds))[:, None]
    scaling = _Scaling(x, picked, columns)
    inputs = scaling(x)
    target = torch.as_tensor(y, dtype=torch.float32)
    padded, weight = _padded(validation_rows)
    model = ReplicatedMLP(seeds, x.shape[1], settings.hidden, settings.dropout, generator)
    plateau = _Plateau(settings, model.state_dict(), torch.full((len(seeds),), settings.learning_rate))
    optimiser = _ReplicatedAdam(list(model.parameters()), plateau.rate)
    losses, f1 = [], []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order = picked.gather(1, torch.rand(picked.shape, generator=generator).argsort(1))
        shuffled_x, shuffled_y = inputs[replica, order], target[order]
        for batch in _batches(order.shape[1], settings.batch_size):
            binary_loss(model(shuffled_x[:, batch]), shuffled_y[:, batch]).sum().backward()
            optimiser.step(plateau.rate)
        model.eval()
        with torch.no_grad():
            loss, score = _validate(model(inputs[replica, padded]), target[padded], weight)
            losses.append(loss)
            f1.append(score)
            plateau.step(loss, epoch)
        if progress:
            progress(epoch, settings.epochs)
    plateau.restore(torch.ones(len(seeds), dtype=torch.bool))
    loss_history, f1_history = (torch.stack(part, dim=1).numpy() for part in (losses, f1))
    return ReplicaFit(model, scaling, loss_history, f1_history, plateau.best_epoch.numpy())


def _padded(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Row numbers of unequal length as one (replicas, longest) tensor, and the weights that leave the padding out."""
    longest = max(map(len, rows))
    padded = torch.stack([torch.as_tensor(np.resize(part, longest)) for part in rows])
    weight = torch.stack([(torch.arange(longest) < len(part)).float() for part in rows])
    return padded, weight


def _validate(logits: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled loss and F1 at threshold 0.5 for each replica."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    said = (logits >= 0).float() * weight
    hits = (said * target).sum(1)
    f1 = 2 * hits / (said.sum(1) + (target * weight).sum(1)).clamp(min=1)
    return (loss * weight).sum(1) / weight.sum(1), f1
