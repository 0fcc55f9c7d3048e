"""The multilayer perceptron of write-up 000, one at a time and many at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medutils.models.layers import FastDropout, ReplicatedBatchNorm, ReplicatedLinear


class SpineMLP(nn.Sequential):
    """Linear, ReLU, batch normalisation, twice; dropout; one logit: (rows, n_features) to (rows, 1).

    Write-up 000 puts batch normalisation after the ReLU. With 12 features and 64 hidden units it has 5,057 weights
    and biases, and 256 parameters of batch normalisation, which `batch_normalisation=False` leaves out.
    """

    def __init__(
        self, n_features: int = 12, hidden: int = 64, dropout: float = 0.1, batch_normalisation: bool = True
    ) -> None:
        layers: list[nn.Module] = []
        for inputs in (n_features, hidden):
            layers += [nn.Linear(inputs, hidden), nn.ReLU()]
            if batch_normalisation:
                layers.append(nn.BatchNorm1d(hidden))
        super().__init__(*layers, nn.Dropout(dropout), nn.Linear(hidden, 1))


class ReplicatedMLP(nn.Module):
    """As many `SpineMLP` as there are seeds, trained side by side: (replicas, rows, n_features) to (replicas, rows).

    Replica r starts with the very weights that `SpineMLP` has after `torch.manual_seed(seeds[r])`. The replicas share
    nothing but the `generator` of their dropout: the gradient of a sum of their losses is each one's own gradient.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        n_features: int = 12,
        hidden: int = 64,
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
        batch_normalisation: bool = True,
    ) -> None:
        super().__init__()
        replicas = []
        with torch.random.fork_rng(devices=[]):
            for seed in seeds:
                torch.manual_seed(seed)
                replicas.append(SpineMLP(n_features, hidden, dropout, batch_normalisation))
        layers: list[nn.Module] = []
        for group in zip(*replicas, strict=True):
            if isinstance(group[0], nn.Linear):
                layers.append(ReplicatedLinear(group))
            elif isinstance(group[0], nn.BatchNorm1d):
                layers.append(ReplicatedBatchNorm(group))
            elif isinstance(group[0], nn.Dropout):
                layers.append(FastDropout(dropout, generator))
            else:
                layers.append(group[0])
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(2)


def binary_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with logits, the mean over the last dimension (rows)."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1)
