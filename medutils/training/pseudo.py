"""Training autoencoders that predict a missing series' embedding; see `medutils.models.pseudo`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medutils.models.pseudo import NOISE, Pseudo, PseudoModality

EPOCHS, RATE, DECAY = 150, 3e-3, 1e-2
KL = 1e-2  # what the code's divergence counts beside the squared error


@dataclass(frozen=True, eq=False)
class Predicted:
    """A trained autoencoder, and how well it predicts a hidden series of studies it did not learn from.

    error: mean squared error of hidden embeddings, in variances of an embedding, so that their mean has 1; NaN where no
        held-out study has two series
    """

    network: PseudoModality
    error: float


def train_pseudo(
    values: Tensor, present: Tensor, train: Tensor, held_out: Tensor, kind: Pseudo, seed: int
) -> Predicted:
    """Learn from training studies, each step with some of their series hidden; the best epoch is that of `held_out`.

    values: (studies, series, features), standardised over training studies; present: bool (studies, series)
    train, held_out: rows
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PseudoModality(values.shape[1], values.shape[2], kind)
        optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        best, state = float("inf"), {name: part.clone() for name, part in network.state_dict().items()}
        for _ in range(EPOCHS):
            network.train()
            optimiser.zero_grad()
            _loss(network, values[train], present[train]).backward()
            optimiser.step()
            error = hidden_error(network, values[held_out], present[held_out])
            if error < best:
                best, state = error, {name: part.clone() for name, part in network.state_dict().items()}
    network.load_state_dict(state)
    return Predicted(network.eval().requires_grad_(False), best if best < float("inf") else float("nan"))


def hidden_error(network: PseudoModality, values: Tensor, present: Tensor) -> float:
    """Mean squared error of each series hidden in turn, of studies that have another one; NaN where there is none."""
    errors = []
    with torch.no_grad():
        for series in range(values.shape[1]):
            others = present.clone()
            others[:, series] = False
            rows = present[:, series] & others.any(1)
            if rows.any():
                said = network.eval()(values[rows], others[rows])[:, series]
                errors.append((said - values[rows, series]).square().mean(1))
    return float(torch.cat(errors).mean()) if errors else float("nan")


def _loss(network: PseudoModality, values: Tensor, present: Tensor) -> Tensor:
    """Squared error of all series that are there, seen and hidden; of a VAE also its code's divergence."""
    seen = present & (torch.rand(present.shape) > 0.5)
    seen = torch.where(seen.any(1, keepdim=True), seen, present)
    given = values + NOISE * torch.randn_like(values) if network.kind == "dae" else values
    mean, spread = network.encoded(given, seen)
    drawn = mean if network.kind == "dae" else mean + torch.randn_like(mean) * (spread / 2).exp()
    error = (network.decoded(drawn) - values).square().mean(-1)
    loss = (error * present).sum() / present.sum().clamp(min=1)
    if network.kind == "dae":
        return loss
    return loss + KL * 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
