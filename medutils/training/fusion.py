"""Training networks that fuse series: all of one architecture at once, on reduced tokens, each as if it were alone.

The networks of one architecture differ in what stands for a missing series and in which series they may look at, not in
their shape. So one step trains them all: products of matrices with one more axis. Every network sees the same batches
and the same draws, so that what tells two of them apart is what they were made to differ in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from medutils.errors import InputError
from medutils.models.fusion import Fusion, FusionConfig, FusionNet, averaged
from medutils.training.fused import FusedSet, Rows
from medutils.training.loop import one_thread
from medutils.training.pseudo import Predicted, train_pseudo

MOST_TOKENS = 20_000  # that principal components are learned from
LEAST_SPREAD = 1e-3  # of the largest deviation: below it a direction is one in which few studies do not differ
WHOLE = "nothing"  # the way to live without a series that learns from whole studies only


@dataclass(frozen=True)
class Fitting:
    """How networks are trained.

    epochs: of which the one with the lowest loss on held-out training studies is taken
    weight_decay: strengths of L2 regularisation, of which each network takes the one with the lowest such loss
    held_out: the share of the training studies that chooses
    balance: to which power a grade's rarity counts in the loss: 0 for not at all, 1 for grades that count alike. What a
        network says is given back as frequencies.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: tuple[float, ...] = (2.0, 8.0)
    held_out: float = 0.2
    balance: float = 0.5


@dataclass(frozen=True)
class Job:
    """A network to be trained.

    config: what it is; dropout may be another one than that of the networks beside it
    visible: the series it may look at, all of them unless named
    weight_decay: strengths of L2 regularisation to choose from, those of `Fitting` unless named
    """

    config: FusionConfig
    visible: tuple[str, ...] = ()
    weight_decay: tuple[float, ...] = ()

    @property
    def sees(self) -> list[bool]:
        """For each series whether it may be looked at."""
        return [not self.visible or name in self.visible for name in self.config.series]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    loss: the lowest on held-out training studies; epoch: when; weight_decay: which was taken
    history: loss on held-out training studies by epoch
    pseudo_error: of the autoencoder, see `Predicted`; NaN without one
    """

    network: FusionNet
    job: Job
    loss: float
    epoch: int
    weight_decay: float
    history: NDArray[np.float64]
    pseudo_error: float = float("nan")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Studies reduced to principal components that were learned from training studies.

    mean: (series, inputs); components: (series, inputs, features); x: (studies, series, tokens, features)
    """

    mean: Tensor
    components: Tensor
    x: Tensor
    mask: Tensor
    averages: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "averages", averaged(self.x, self.mask))

    def first(self, features: int) -> "Prepared":
        """The same with the first so many components alone."""
        if features == self.x.shape[-1]:
            return self
        return Prepared(self.mean, self.components[..., :features], self.x[..., :features].contiguous(), self.mask)


@one_thread()  # so that the number of cores changes no result
def prepare(data: FusedSet, train: Rows, features: int) -> Prepared:
    """Learn the reduction from training studies, and apply it to all.

    Of each series the principal components of its tokens, each divided by the deviation of the studies' averages, so
    that average embeddings have mean 0 and deviation 1.
    """
    series, inputs = len(data.series), data.x.shape[3]
    mean, components = torch.zeros(series, inputs), torch.zeros(series, inputs, features)
    for number in range(series):
        rows = torch.from_numpy(train)[data.present[train, number]]
        if not len(rows):
            continue
        mask = data.mask[rows, number]
        averages = averaged(data.x[rows, number][:, None], mask[:, None])[:, 0]
        mean[number] = averages.mean(0)
        tokens = data.x[rows, number][mask]
        step = -(-len(tokens) // MOST_TOKENS)
        found = _principal(tokens[::step] - mean[number], features)
        spread = ((averages - mean[number]) @ found).square().mean(0).sqrt()
        there = spread > LEAST_SPREAD * spread.max()
        components[number, :, : found.shape[1]] = torch.where(there, found / spread, 0.0)
    return Prepared(mean, components, _reduced(data.x, data.mask, mean, components), data.mask)


def fit_all(
    data: FusedSet,
    jobs: Mapping[str, Job],
    train: Rows,
    seed: int = 0,
    fitting: Fitting = Fitting(),
    prepared: Prepared | None = None,
) -> dict[str, Fitted]:
    """Train the networks of one architecture together; the same to rounding as each of them alone.

    Parameters
    ----------
    data: all studies; those in no row of `train` are not looked at
    jobs: networks of one architecture and one size
    train: rows that may be learned from; a part of them, drawn by `seed`, chooses the epoch and the regularisation
    prepared: what `prepare` gave for the same rows, where it is there already

    Raises `InputError` when the configurations are of other data or of several shapes, or no row is left to learn from.
    """
    _check(data, jobs, train)
    first = next(iter(jobs.values())).config
    ready = prepared or prepare(data, train, first.features)
    with one_thread():
        learned, held = (torch.from_numpy(rows) for rows in _held_out(train, fitting.held_out, seed))
        autoencoders: dict[str, Predicted] = {
            kind: train_pseudo(ready.averages, data.present, learned, held, kind, seed)
            for kind in dict.fromkeys(one.config.pseudo for one in jobs.values() if one.config.missing == "pseudo")
        }
        runs = [(name, job, decay) for name, job in jobs.items() for decay in job.weight_decay or fitting.weight_decay]
        batch = _Batch.of([job for _, job, _ in runs], data, ready, autoencoders, fitting, learned, seed)
        decays = torch.tensor([decay for *_, decay in runs])
        state, history = _trained(batch, learned, held, decays, fitting, seed)
    found: dict[str, Fitted] = {}
    for place, (name, job, decay) in enumerate(runs):
        losses = history[:, place]
        lowest = float(np.nanmin(losses)) if np.isfinite(losses).any() else float("nan")
        if name not in found or lowest < found[name].loss:
            own = {key: value[place] for key, value in state.items()}
            pseudo = autoencoders[job.config.pseudo] if job.config.missing == "pseudo" else None
            network = _assembled(job.config, ready, own, batch.frequencies, pseudo)
            error = pseudo.error if pseudo else float("nan")
            epoch = int(np.nanargmin(losses)) if np.isfinite(lowest) else len(losses) - 1
            found[name] = Fitted(network, job, lowest, epoch, decay, losses, error)
    return found


def probabilities_of(
    fitted: Sequence[Fitted], prepared: Prepared, rows: Rows, present: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shares of grades (networks, rows, targets, grades) and weights of series (networks, rows, series).

    fitted: networks of one architecture that were trained together; prepared: what they were trained on
    present: bool (rows, series), what each study is left with; a network looks at those of them that it may see
    """
    shares, weights = [], []
    x, mask, averages = prepared.x[rows], prepared.mask[rows], prepared.averages[rows]
    with torch.no_grad(), one_thread():
        for one in fitted:
            seen = present & torch.tensor(one.job.sees)
            pseudo = one.network.pseudo
            filled = torch.zeros_like(averages) if pseudo is None else pseudo(averages, seen)
            shares.append(one.network.fusion(x, mask, seen, filled).softmax(-1))
            weights.append(one.network.fusion.series_weights(x, mask, seen, filled))
    return torch.stack(shares).numpy(), torch.stack(weights).numpy()


# --- one step for all -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Batch:
    """Networks side by side and what they learn from: with a first axis of networks where they differ.

    present: bool (networks, studies, series); filled: (networks, studies, series, features)
    counts: (networks, studies), 1 where a study may be learned from; removes: (networks,), 1 for modality dropout
    keeps: (networks, 1, 1), the share of a classifier's inputs that dropout leaves
    weights: (targets, grades) of the loss; frequencies: (targets, grades), logarithms of the shares in training
    """

    core: Fusion
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    ready: Prepared
    y: Tensor
    present: Tensor
    filled: Tensor
    counts: Tensor
    removes: Tensor
    keeps: Tensor
    weights: Tensor
    frequencies: Tensor

    @classmethod
    def of(
        cls,
        jobs: Sequence[Job],
        data: FusedSet,
        ready: Prepared,
        autoencoders: Mapping[str, Predicted],
        fitting: Fitting,
        learned: Tensor,
        seed: int,
    ) -> "_Batch":
        y = torch.from_numpy(data.y)
        frequencies, weights = _frequencies(y[learned], jobs[0].config.grades, fitting.balance)
        modules = [_fresh(job.config, seed, frequencies + weights.log()) for job in jobs]
        parameters, buffers = stack_module_state(modules)
        present = torch.stack([data.present & torch.tensor(job.sees) for job in jobs])
        nothing = torch.zeros_like(ready.averages)
        filled = [
            autoencoders[job.config.pseudo].network(ready.averages, present[place])
            if job.config.missing == "pseudo"
            else nothing
            for place, job in enumerate(jobs)
        ]
        counts = [
            present[place][:, job.sees].all(1) if job.config.missing == WHOLE else present[place].any(1)
            for place, job in enumerate(jobs)
        ]
        removes = torch.tensor([job.config.missing == "modality_dropout" for job in jobs])
        keeps = torch.tensor([1 - job.config.dropout for job in jobs])[:, None, None]
        return cls(
            modules[0],
            parameters,
            buffers,
            ready,
            y,
            present,
            torch.stack(filled),
            torch.stack(counts).float(),
            removes,
            keeps,
            weights,
            frequencies,
        )

    def losses(self, rows: Tensor, draws: "_Draws | None" = None) -> Tensor:
        """Weighted loss of each network on some studies, (networks,); NaN where it may learn from none of them."""
        present, kept = self.present[:, rows], None
        if draws is not None:
            left = present & draws.stays
            left = torch.where(left.any(-1, keepdim=True), left, present)
            present, kept = torch.where(self.removes[:, None, None], left, present), draws.kept
        y = self.y[rows]
        graded = (y >= 0) * self.weights[torch.arange(y.shape[1]), y.clamp(min=0)]
        x, mask = self.ready.x[rows], self.ready.mask[rows]

        def one(parameters: Any, buffers: Any, present: Tensor, filled: Tensor, counts: Tensor, kept: Any) -> Tensor:
            logits = functional_call(self.core, (parameters, buffers), (x, mask, present, filled, kept))
            return masked_loss(logits, y, graded * counts[:, None])

        inputs = (present, self.filled[:, rows], self.counts[:, rows], kept)
        along = (0, 0, 0, 0, 0, None if kept is None else 0)
        found: Tensor = vmap(one, along)(self.parameters, self.buffers, *inputs)
        return found


@dataclass(frozen=True)
class _Draws:
    """What is drawn for a step, of the same random numbers for all networks.

    kept: what dropout multiplies by, see `Fusion.forward`, with a first axis of networks
    stays: bool (studies, series), which series modality dropout leaves
    """

    kept: tuple[Tensor, Tensor]
    stays: Tensor

    @classmethod
    def of(cls, config: FusionConfig, keeps: Tensor, rows: int, random: torch.Generator) -> "_Draws":
        kept = [
            (torch.rand(rows, numbers, generator=random) >= 1 - keeps) / keeps
            for numbers in (config.width, config.hidden)
        ]
        stays = torch.rand(rows, len(config.series), generator=random) >= config.removed
        return cls((kept[0], kept[1]), stays)


def masked_loss(logits: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Mean cross-entropy over weighted cells; 0 where no cell counts.

    logits: (studies, targets, grades); y: int64 (studies, targets), -1 where not graded; weights: (studies, targets),
    0 for cells that count nothing
    """
    said = logits.log_softmax(-1).gather(-1, y.clamp(min=0)[..., None])[..., 0]
    return -(said * weights).sum() / weights.sum().clamp(min=1e-9)


def _trained(
    batch: _Batch, learned: Tensor, held: Tensor, decays: Tensor, fitting: Fitting, seed: int
) -> tuple[dict[str, Tensor], NDArray[np.float64]]:
    """Each network's weights at its best epoch, and the losses on held-out studies (epochs, networks)."""
    random = torch.Generator().manual_seed(seed)
    parameters = batch.parameters
    optimiser = torch.optim.Adam([*parameters.values()], fitting.learning_rate)
    best = {name: part.detach().clone() for name, part in parameters.items()}
    lowest, history = torch.full((len(decays),), float("inf")), []
    for _ in range(fitting.epochs):
        order = learned[torch.randperm(len(learned), generator=random)]
        for rows in order.split(fitting.batch_size):
            draws = _Draws.of(batch.core.config, batch.keeps, len(rows), random)
            optimiser.zero_grad()
            batch.losses(rows, draws).sum().backward()
            optimiser.step()
            with torch.no_grad():
                for part in parameters.values():
                    part.mul_(1 - fitting.learning_rate * decays.view(-1, *(1,) * (part.ndim - 1)))
        with torch.no_grad():
            losses = torch.where(batch.counts[:, held].sum(1) > 0, batch.losses(held), float("nan"))
            better = ~(losses >= lowest)  # where no held-out study counts, the last epoch is taken
            lowest = torch.where(better, losses, lowest)
            for name, part in parameters.items():
                best[name] = torch.where(better.view(-1, *(1,) * (part.ndim - 1)), part, best[name])
        history.append(losses.double().numpy())
    return best, np.stack(history)


def _fresh(config: FusionConfig, seed: int, prior: Tensor) -> Fusion:
    """A network before training: the same weights for all of one architecture and seed; it says what is frequent."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Fusion(config)
    network.prior.copy_(prior)
    return network


def _assembled(
    config: FusionConfig, ready: Prepared, state: Mapping[str, Tensor], frequencies: Tensor, pseudo: Predicted | None
) -> FusionNet:
    """The whole network; what it says is a frequency again, and not what the weighted loss asked for."""
    network = FusionNet(config)
    network.mean.copy_(ready.mean)
    network.components.copy_(ready.components)
    network.fusion.load_state_dict({**network.fusion.state_dict(), **state, "prior": frequencies})
    if pseudo is not None:
        network.pseudo = pseudo.network
    return network.eval().requires_grad_(False)


def _frequencies(y: Tensor, grades: Sequence[int], balance: float) -> tuple[Tensor, Tensor]:
    """Logarithms of the grades' shares by target, and what a cell of each grade counts in the loss; each has one more.

    Of a target's unknown grades the logarithm is that of `Fusion.prior`, and the weight 1.
    """
    counts = torch.stack([(y == grade).sum(0) for grade in range(max(grades))], 1) + 1.0
    known = torch.arange(max(grades)) < torch.tensor(grades)[:, None]
    shares = torch.where(known, counts, 0.0)
    shares = shares / shares.sum(1, keepdim=True)
    frequencies = torch.where(known, shares.clamp(min=1e-9).log(), torch.tensor(-1e9))
    weights = torch.where(known, (1 / (shares.clamp(min=1e-9) * torch.tensor(grades)[:, None])) ** balance, 1.0)
    return frequencies, weights


def _held_out(train: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Rows to learn from and rows that choose."""
    order = np.random.default_rng(seed).permutation(train)
    count = max(round(share * len(train)), 1)
    return np.sort(order[count:]), np.sort(order[:count])


def _principal(tokens: Tensor, features: int) -> Tensor:
    """The first principal directions of centred tokens, (inputs, at most features), the largest first.

    The sign of each is that of its largest number, so that it is the same on every machine.
    """
    size, inputs = tokens.shape
    if size < inputs:
        _, _, right = torch.linalg.svd(tokens, full_matrices=False)
        directions = right[:features].T
    else:
        directions = torch.linalg.eigh(tokens.T @ tokens)[1].flip(1)[:, :features]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return directions * largest.sign()


def _reduced(x: Tensor, mask: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    centred = torch.where(mask[..., None], x - mean[:, None], 0.0)
    return torch.einsum("nsti,sif->nstf", centred, components)


def _check(data: FusedSet, jobs: Mapping[str, Job], train: Rows) -> None:
    if not jobs:
        raise InputError("jobs: found none; expected at least one network to train")
    if len(train) < 2:
        raise InputError(
            f"train: found {len(train)} studies; expected two at least, one to learn from and one to choose"
        )
    first = next(iter(jobs.values())).config
    for name, job in jobs.items():
        if replace(job.config, missing=first.missing, pseudo=first.pseudo, dropout=first.dropout) != first:
            raise InputError(
                f"jobs: found '{name}' of another shape than the first; expected one architecture and size"
            )
        if unknown := [series for series in job.visible if series not in job.config.series]:
            raise InputError(f"visible: found '{unknown[0]}' of '{name}'; expected {', '.join(job.config.series)}")
    if (first.series, first.targets) != (data.series, data.targets):
        raise InputError("jobs: found other series or targets than the studies have; expected `FusedSet.config`")
    if first.inputs != data.x.shape[3] or first.embedder != data.embedder:
        raise InputError(
            f"embedder: found {data.x.shape[3]} numbers of '{data.embedder}'; expected {first.inputs} of "
            f"'{first.embedder}'"
        )
