"""Pseudo-modality learning as write-up 001's fusion notebook has it, and the same with one of its faults mended.

Three networks learn to give back an embedding that noise was added to. The embeddings of all series stand below each
other, a row a series; a study's rows are found by its name alone. Half of a held-out study's rows are dropped, and the
first of those that are left is the test: it is the input, with noise, and it is the target too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medutils.errors import InputError

Floats = NDArray[np.float32]
Name = Literal["dae", "vae", "attention"]
Groups = dict[str, NDArray[np.int64]]  # by study, the places of its rows

VALUES, HIDDEN = 512, 256  # of an embedding, and of the hidden layers
LATENT: dict[str, int] = {"vae": 256, "attention": 128}
RATE: dict[Name, float] = {"dae": 1e-4, "vae": 1e-3, "attention": 1e-3}
NOISE: dict[Name, float] = {"dae": 0.2, "vae": 0.3, "attention": 0.3}  # standard deviation in training
TEST_NOISE = 0.3
EPOCHS, DROPPED = 20, 0.5


@dataclass(frozen=True)
class Faults:
    """What the notebook's training and test have; each field is a fault of it, and `mended` takes one away.

    itself: the target is the very series that is the input, and not an absent one
    tanh: the output is bounded by -1 and 1, whatever the targets are
    clip: the denoising autoencoder's training inputs are clipped to 0 and 1, its test inputs are not
    noise: its noise has a deviation of .2 in training and of .3 in the test
    first: a study's first row is what is learnt (one kind of series), and the test is a row of any kind
    optimiser: that of the third network holds the weights of the second
    """

    itself: bool = True
    tanh: bool = True
    clip: bool = True
    noise: bool = True
    first: bool = True
    optimiser: bool = True


AS_WRITTEN = Faults()
CORRECT = Faults(**{field.name: False for field in fields(Faults)})
# What is mended of each network; `itself` is measured apart, on series that are absent. Two faults stand together where
# one hides the other: a network that learnt from clipped inputs gives to others, once it is unbounded, any number.
MENDED: dict[Name, tuple[str, ...]] = {
    "dae": ("tanh", "clip", "tanh-clip", "noise", "first"),
    "vae": ("tanh", "first"),
    "attention": ("optimiser",),
}


def mended(which: str) -> Faults:
    """The notebook's way without a fault, or without several that a hyphen joins; `InputError` for one not known."""
    known = [field.name for field in fields(Faults)]
    names = which.split("-")
    for name in names:
        if name not in known:
            raise InputError(f"fault: found '{name}'; expected one of {', '.join(known)}")
    return replace(AS_WRITTEN, **dict.fromkeys(names, False))


# --- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rows:
    """Embeddings of series below each other.

    values: float32 (rows, 512); study, series: (rows,) text, the study and the kind of series of each row
    """

    values: Floats
    study: NDArray[np.str_]
    series: NDArray[np.str_]

    def of(self, studies: NDArray[np.str_]) -> "Rows":
        """The rows of some studies."""
        chosen = np.isin(self.study, studies)
        return Rows(self.values[chosen], self.study[chosen], self.series[chosen])

    @cached_property
    def groups(self) -> Groups:
        """The places of each study's rows, studies in the order of their names."""
        return {str(name): np.flatnonzero(self.study == name) for name in np.unique(self.study)}

    def place(self, study: str, series: str) -> int | None:
        """Where the first row of a study's series of a kind is; None where it has none."""
        found = np.flatnonzero((self.study == study) & (self.series == series))
        return int(found[0]) if len(found) else None


def concatenated(embeddings: Mapping[str, pd.DataFrame], mean_square: float | None = None) -> Rows:
    """The first 512 values of each kind's embeddings, kind after kind, as `pd.concat([csv1, csv2, csv3])` has them.

    embeddings: by kind of series, a row a study (its index, text), a column a value
    mean_square: all values are multiplied by one number so that the mean of their squares is this; None leaves them
    Raises `InputError` when a kind has fewer than 512 values, or one that is not a number.
    """
    if not embeddings:
        raise InputError("embeddings: found no kind of series; expected at least one")
    for kind, table in embeddings.items():
        if table.shape[1] < VALUES:
            raise InputError(f"{kind}: found {table.shape[1]} values in an embedding; expected at least {VALUES}")
        if not np.isfinite(table.to_numpy()).all():
            raise InputError(f"{kind}: found an embedding with a value that is no number; expected numbers alone")
    values = np.concatenate([table.to_numpy(dtype=np.float32)[:, :VALUES] for table in embeddings.values()])
    if mean_square is not None:
        values = values * np.float32(np.sqrt(mean_square / np.mean(values**2)))
    kinds = np.concatenate([np.full(len(table), kind) for kind, table in embeddings.items()])
    studies = np.concatenate([table.index.to_numpy().astype(str) for table in embeddings.values()])
    return Rows(values, studies, kinds)


def left_after_dropping(groups: Groups, rng: np.random.Generator, rate: float = DROPPED) -> Groups:
    """What `simulate_missing_modalities` leaves of a study: `max(1, int(rows * (1 - rate)))` rows in random order."""
    return {
        study: rng.choice(places, max(1, int(len(places) * (1 - rate))), replace=False)
        for study, places in groups.items()
    }


# --- the networks -----------------------------------------------------------------------------------------------------


class DenoisingAutoencoder(nn.Module):
    """512 values to 256, 256, 256 and back to 512; between -1 and 1 when it is `bounded`."""

    def __init__(self, bounded: bool = True) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(VALUES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
        self.decoder = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, VALUES))
        self.bounded = bounded

    def forward(self, x: Tensor) -> Tensor:
        """(n, 512) to (n, 512)."""
        given = self.decoder(self.encoder(x))
        return torch.tanh(given) if self.bounded else given

    def loss(self, x: Tensor, target: Tensor) -> Tensor:
        """The mean squared error, over all values."""
        return nn.functional.mse_loss(self(x), target)


class VariationalAutoencoder(nn.Module):
    """512 values to 256, to the mean and log variance of a latent vector, and back; between -1 and 1 when `bounded`."""

    def __init__(self, latent: int, bounded: bool = True) -> None:
        super().__init__()
        self.hidden = nn.Linear(VALUES, HIDDEN)
        self.mean, self.log_variance = nn.Linear(HIDDEN, latent), nn.Linear(HIDDEN, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, VALUES))
        self.bounded = bounded

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent vectors, (n, latent) each."""
        hidden = torch.relu(self.hidden(x))
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """(n, latent) twice to (n, 512), from a random draw; in the test as in training, as the notebook has it."""
        given = self.decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance))
        return torch.tanh(given) if self.bounded else given

    def forward(self, x: Tensor) -> Tensor:
        """(n, 512) to (n, 512)."""
        return self.decode(*self.encode(x))

    def loss(self, x: Tensor, target: Tensor) -> Tensor:
        """The squared error and the Kullback-Leibler divergence, both as sums."""
        mean, log_variance = self.encode(x)
        error = nn.functional.mse_loss(self.decode(mean, log_variance), target, reduction="sum")
        return error - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()


Network = DenoisingAutoencoder | VariationalAutoencoder


def network(name: Name, bounded: bool = True) -> Network:
    """One of the three, with fresh weights; `InputError` for another name."""
    if name not in get_args(Name):
        raise InputError(f"network: found '{name}'; expected one of {', '.join(get_args(Name))}")
    return DenoisingAutoencoder(bounded) if name == "dae" else VariationalAutoencoder(LATENT[name], bounded)


def fused(rows: Tensor) -> Tensor:
    """A study's rows as one, (n, 512) to (512,): weights are a softmax, over the rows, of each row's sum.

    The notebook has a parameter of ones for it, which no optimiser holds, so that it stays a plain sum.
    """
    weights = torch.softmax(rows.sum(1), dim=0)
    return (weights[:, None] * rows).sum(0)


# --- training and test ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network after its training.

    change: the largest change of one of its weights; loss: what the notebook prints, the last epoch's sum over the
        number of studies
    """

    name: Name
    network: Network
    change: float
    loss: float


def fit(
    name: Name,
    rows: Rows,
    faults: Faults = AS_WRITTEN,
    seed: int = 0,
    *,
    epochs: int = EPOCHS,
    pair: tuple[str, str] | None = None,
) -> Fitted:
    """Train one of the three networks, one study a step, studies in the order of their names, as the notebook does.

    pair: the kind of series that is given and the one that is asked for; needed, and used, where `itself` is mended
    Studies with one row are left out, as in the notebook. Deterministic by `seed`. Raises `InputError` when no study is
    left, or a pair is missing.
    """
    if not faults.itself and pair is None:
        raise InputError("pair: found none; expected the kind of series given and the one asked for")
    rng = np.random.default_rng([seed, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = network(name, faults.tanh)
        before = [weight.detach().clone() for weight in found.parameters()]
        other = network("vae", faults.tanh) if name == "attention" and faults.optimiser else found
        # Fused, since it is a step of one study: most of its time is calls and not numbers.
        optimiser = torch.optim.Adam(other.parameters(), lr=RATE[name], fused=True)
        noise = NOISE["vae"] if name == "dae" and not faults.noise else NOISE[name]
        loss = 0.0
        for _ in range(epochs):
            loss = 0.0
            for given, target in _lessons(name, rows, faults, pair, rng):
                x = given + noise * torch.from_numpy(rng.standard_normal(given.shape, dtype=np.float32))
                loss += _step(found, optimiser, x.clamp(0, 1) if name == "dae" and faults.clip else x, target)
    found.eval().requires_grad_(False)
    change = max(float((now - then).abs().max()) for now, then in zip(found.parameters(), before, strict=True))
    return Fitted(name, found, change, loss / len(rows.groups))


def _step(found: Network, optimiser: torch.optim.Optimizer, x: Tensor, target: Tensor) -> float:
    optimiser.zero_grad()
    loss = found.loss(x[None], target[None])
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def _lessons(
    name: Name, rows: Rows, faults: Faults, pair: tuple[str, str] | None, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Input, before noise, and target of each study, in the order of an epoch."""
    values = torch.from_numpy(rows.values)
    count = 0
    for study, places in rows.groups.items():
        if pair is not None and not faults.itself:
            ends = [rows.place(study, kind) for kind in pair]
            lesson = None if None in ends else (values[ends[0]], values[ends[1]])
        elif len(places) < 2:
            lesson = None
        elif name == "attention":
            lesson = (fused(values[places]),) * 2
        else:
            lesson = (values[places[0] if faults.first else rng.choice(places)],) * 2
        if lesson is not None:
            count += 1
            yield lesson
    if not count:
        wanted = "one with both kinds of a pair" if pair else "one with two series"
        raise InputError(f"rows: found no study to learn from; expected {wanted} at least")


def answers(fitted: Fitted, given: Floats, seed: int = 0) -> Floats:
    """What a network gives for embeddings (n, 512) with the test's noise, float32 (n, 512)."""
    noise = np.random.default_rng([seed, 2]).standard_normal(given.shape, dtype=np.float32)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        return fitted.network(torch.from_numpy(given + np.float32(TEST_NOISE) * noise)).numpy()


def bounded_floor(target: Floats) -> Floats:
    """The least squared error that an output between -1 and 1 can have, by value; same shape as the targets."""
    return np.maximum(np.abs(target) - 1, 0) ** 2
