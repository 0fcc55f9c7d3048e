"""Features of slices to one vector a series: their mean, or a sum that an attention layer weights."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from medutils.errors import InputError

Pooling = Literal["mean", "attention", "raw attention"]


class SliceAttention(nn.Module):
    """A linear head on the features of each slice, and a weighted sum over the slices of each series.

    features: numbers a slice; values: numbers that the head makes of them, 512 in write-up 001
    pooling: `attention`, where a softmax over the slices of a series makes weights of the scores that
        `Linear(values, 1)` gives (write-up 001, method 2); `raw attention`, where those scores are the weights,
        whatever their sign and sum (method 3: `attention_weights = self.attention_layer(x)`); `mean`, where all slices
        of a series count alike
    """

    def __init__(self, features: int, values: int = 512, pooling: Pooling = "attention") -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise InputError(f"pooling: found '{pooling}'; expected {', '.join(get_args(Pooling))}")
        self.pooling = pooling
        self.head = nn.Linear(features, values)
        self.score = nn.Linear(values, 1)

    def forward(self, slices: Tensor, series: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the series, (series, values), and what each slice counted in its own, (slices,).

        slices: (slices, features); series: (slices,) the number of each slice's series, from 0, none left out
        """
        values = self.head(slices)
        weights = self._weights(values, series)
        return sum_within(values * weights[:, None], series), weights

    def _weights(self, values: Tensor, series: Tensor) -> Tensor:
        if self.pooling == "mean":
            return 1 / slices_of(series)[series]
        scores = self.score(values).squeeze(1)
        return softmax_within(scores, series) if self.pooling == "attention" else scores


def mean_within(slices: Tensor, series: Tensor) -> Tensor:
    """The mean over the slices of each series: (slices, features) to (series, features)."""
    return sum_within(slices, series) / slices_of(series)[:, None]


def sum_within(slices: Tensor, series: Tensor) -> Tensor:
    """The sum over the slices of each series: (slices, ...) to (series, ...)."""
    return slices.new_zeros(int(series.max()) + 1, *slices.shape[1:]).index_add(0, series, slices)


def slices_of(series: Tensor) -> Tensor:
    """How many slices each series has, as floats."""
    return torch.bincount(series).float()


def softmax_within(scores: Tensor, series: Tensor) -> Tensor:
    """A softmax over the slices of each series: (slices,) scores to (slices,) weights that sum to 1 in each series."""
    highest = scores.new_zeros(int(series.max()) + 1).scatter_reduce(
        0, series, scores.detach(), "amax", include_self=False
    )
    shares = (scores - highest[series]).exp()
    return shares / sum_within(shares, series)[series]
