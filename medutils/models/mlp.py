"""The multilayer perceptron of write-up 000, one at a time and many at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpineMLP(nn.Sequential):
    """Linear, ReLU, batch normalisation, twice; dropout; one logit: (rows, n_features) to (rows, 1).

    Write-up 000 puts batch normalisation after the ReLU. With 12 features and 64 hidden units it has 5,057 weights
    and biases, and 256 parameters of batch normalisation.
    """

    def __init__(self, n_features: int = 12, hidden: int = 64, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(n_features, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )


class _ReplicatedLinear(nn.Module):
    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]).contiguous())
        self.bias = nn.Parameter(torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] == 1:  # a product with one column is far slower as a batched matrix product
            return (x * self.weight.transpose(1, 2)).sum(2, keepdim=True) + self.bias
        return torch.baddbmm(self.bias, x, self.weight)


class _ReplicatedBatchNorm(nn.Module):
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layers: Sequence[nn.BatchNorm1d]) -> None:
        super().__init__()
        self.eps, self.momentum = layers[0].eps, layers[0].momentum or 0.1
        shape = (len(layers), 1, layers[0].num_features)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            # Mean and squares by hand: `torch.var_mean` over a middle dimension is six times slower on a CPU.
            mean = x.mean(1, keepdim=True)
            centred = x - mean
            variance = centred.square().mean(1, keepdim=True)
            rows = x.shape[1]
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * (rows / (rows - 1)), self.momentum)
        else:
            centred, variance = x - self.running_mean, self.running_var
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


class ReplicatedMLP(nn.Module):
    """As many `SpineMLP` as there are seeds, trained side by side: (replicas, rows, n_features) to (replicas, rows).

    Replica r starts with the very weights that `SpineMLP` has after `torch.manual_seed(seeds[r])`. The replicas share
    nothing: the gradient of a sum of their losses is each one's own gradient.
    """

    def __init__(self, seeds: Sequence[int], n_features: int = 12, hidden: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        replicas = []
        with torch.random.fork_rng(devices=[]):
            for seed in seeds:
                torch.manual_seed(seed)
                replicas.append(SpineMLP(n_features, hidden, dropout))
        layers: list[nn.Module] = []
        for group in zip(*replicas, strict=True):
            if isinstance(group[0], nn.Linear):
                layers.append(_ReplicatedLinear(group))
            elif isinstance(group[0], nn.BatchNorm1d):
                layers.append(_ReplicatedBatchNorm(group))
            else:
                layers.append(group[0])
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(2)


def binary_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with logits, the mean over the last dimension (rows)."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1)
