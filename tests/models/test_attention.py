"""Pooling over the slices of series that have different numbers of them."""

import pytest
import torch

from medutils.errors import InputError
from medutils.models.attention import SliceAttention, mean_within, softmax_within

SERIES = torch.tensor([1, 0, 1, 2, 1])
SLICES = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def as_written(layer: SliceAttention, slices: torch.Tensor) -> torch.Tensor:
    """One series by write-up 001's own lines, methods 2 and 3."""
    values = layer.head(slices)[None]
    scores = layer.score(values)
    weights = torch.softmax(scores, dim=1) if layer.pooling == "attention" else scores
    return torch.sum(values * weights, dim=1)[0]


@pytest.mark.parametrize("pooling", ["attention", "raw attention"])
def test_attention_is_the_write_ups_for_each_series(pooling) -> None:
    layer = SliceAttention(6, 4, pooling)
    values, weights = layer(SLICES, SERIES)
    expected = torch.stack([as_written(layer, SLICES[number == SERIES]) for number in range(3)])
    torch.testing.assert_close(values, expected)
    sums = torch.zeros(3).index_add(0, SERIES, weights)
    assert torch.allclose(sums, torch.ones(3)) == (pooling == "attention")


def test_mean_pooling_of_the_head_is_the_head_of_the_mean() -> None:
    layer = SliceAttention(6, 4, "mean")
    torch.testing.assert_close(layer(SLICES, SERIES)[0], layer.head(mean_within(SLICES, SERIES)))


def test_a_softmax_over_very_large_scores_is_still_a_softmax() -> None:
    weights = softmax_within(torch.tensor([1e6, 1e6, -1e6]), torch.tensor([0, 0, 1]))
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 1.0]))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(InputError, match="pooling: found 'max'; expected mean, attention, raw attention"):
        SliceAttention(6, 4, "max")  # type: ignore[arg-type]
