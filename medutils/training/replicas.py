"""Many small networks trained side by side, by the procedure of `medutils.training.loop.fit`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from medutils.models.mlp import ReplicatedMLP, binary_loss
from medutils.training.loop import Progress, Settings, batches


@dataclass
class ReplicaFit:
    """What training many replicas left behind; every array's first dimension is the replica.

    model: the networks, with the weights of their best validation loss
    scaling: standardises a table, (rows, features), to (replicas, rows, features)
    train_loss: (replicas, epochs), the mean over the training rows while the weights moved
    validation_loss, validation_f1: (replicas, epochs), pooled over the replica's own validation rows, threshold 0.5
    best_epoch: (replicas,), counted from 1
    """

    model: ReplicatedMLP
    scaling: "Scaling"
    train_loss: np.ndarray
    validation_loss: np.ndarray
    validation_f1: np.ndarray
    best_epoch: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of the positive class, (replicas, rows), for a table of (rows, features)."""
        with torch.no_grad():
            return torch.sigmoid(self.model(self.scaling(x))).numpy()


class Scaling:
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
    scaling = Scaling(x, picked, columns)
    inputs = scaling(x)
    target = torch.as_tensor(y, dtype=torch.float32)
    padded, weight = _padded(validation_rows)
    model = ReplicatedMLP(seeds, x.shape[1], settings.hidden, settings.dropout, generator, settings.batch_normalisation)
    plateau = _Plateau(settings, model.state_dict(), torch.full((len(seeds),), settings.learning_rate))
    optimiser = _ReplicatedAdam(list(model.parameters()), plateau.rate)
    moving, losses, f1 = [], [], []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order = picked.gather(1, torch.rand(picked.shape, generator=generator).argsort(1))
        shuffled_x, shuffled_y = inputs[replica, order], target[order]
        parts = batches(order.shape[1], settings.batch_size)
        total = torch.zeros(len(seeds))
        for batch in parts:
            loss = binary_loss(model(shuffled_x[:, batch]), shuffled_y[:, batch])
            loss.sum().backward()
            optimiser.step(plateau.rate)
            total += loss.detach() * shuffled_y[:, batch].shape[1]
        moving.append(total / sum(shuffled_y[:, batch].shape[1] for batch in parts))
        model.eval()
        with torch.no_grad():
            loss, score = _validate(model(inputs[replica, padded]), target[padded], weight)
            losses.append(loss)
            f1.append(score)
            plateau.step(loss, epoch)
        if progress:
            progress(epoch, settings.epochs)
    plateau.restore(torch.ones(len(seeds), dtype=torch.bool))
    loss_moving, loss_held, f1_held = (torch.stack(part, dim=1).numpy() for part in (moving, losses, f1))
    return ReplicaFit(model, scaling, loss_moving, loss_held, f1_held, plateau.best_epoch.numpy())


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
