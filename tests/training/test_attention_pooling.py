"""Attention that is trained finds the slice that matters; what may not be seen changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medutils.errors import InputError
from medutils.training.attention_pooling import Lesson, masked_loss, train_attention

LESSON = Lesson(values=16, epochs=60, learning_rate=3e-3, weight_decay=0.01, dropout=0.1, stop_after=15)
STUDIES = 400


def drawn(seed: int = 0):
    """Series of two to nine slices, of which one bears the grade, and a mark that tells which."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 10, STUDIES)
    series = np.repeat(np.arange(STUDIES), counts)
    y = rng.integers(0, 3, (STUDIES, 2))
    features = rng.normal(size=(len(series), 8)).astype(np.float32)
    features[:, 0] = 0
    marked = np.cumsum(counts) - 1
    features[marked, 0] = 1
    features[marked, 1:3] = 2.0 * (y - 1)
    y[rng.random(y.shape) < 0.1] = -1
    studies = [f"study {number}" for number in range(STUDIES)]
    return features, series, y, studies, np.arange(STUDIES) < 300, marked


def accuracy(probabilities, y, rows) -> float:
    said, graded = probabilities[rows].argmax(2), y[rows] >= 0
    return float((said == y[rows])[graded].mean())


def test_attention_finds_the_slice_that_matters_and_beats_the_mean() -> None:
    features, series, y, studies, train, marked = drawn()
    attention = train_attention(features, series, y, studies, train, LESSON)
    mean = train_attention(features, series, y, studies, train, replace(LESSON, pooling="mean"))
    assert accuracy(attention.probabilities, y, ~train) > accuracy(mean.probabilities, y, ~train) + 0.05
    share = attention.weights[marked][~train].mean()
    assert share > 2 * mean.weights[marked][~train].mean()
    assert attention.values.shape == (STUDIES, 16)
    np.testing.assert_allclose(attention.probabilities.sum(2), 1, atol=1e-6)


def test_grades_outside_the_training_series_change_nothing_and_a_training_is_kept(monkeypatch) -> None:
    features, series, y, studies, train, _ = drawn()
    short = replace(LESSON, epochs=2)
    first = train_attention(features, series, y, studies, train, short)
    other = y.copy()
    other[~train] = 0
    np.testing.assert_array_equal(train_attention(features, series, other, studies, train, short).values, first.values)
    monkeypatch.setattr("medutils.training.attention_pooling._train", None)
    again = train_attention(features, series, y, studies, train, short)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert again.history.columns.tolist() == ["epoch", "train_loss", "validation_loss"] and len(again.history) == 2


def test_the_order_of_slices_does_not_matter() -> None:
    features, series, y, studies, train, _ = drawn()
    order = np.random.default_rng(1).permutation(len(series))
    short = replace(LESSON, epochs=2)
    first = train_attention(features, series, y, studies, train, short)
    other = train_attention(features[order], series[order], y, studies, train, short)
    np.testing.assert_allclose(other.values, first.values, atol=1e-3)


def test_cells_without_a_grade_count_nothing_and_the_rare_grades_count_more() -> None:
    logits = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([[0, 1], [2, -1], [1, 1], [-1, -1]])
    weights = (1.0, 2.0, 4.0)
    cells = [(i, j) for i in range(4) for j in range(2) if y[i, j] >= 0]
    each = [-logits[i, j].log_softmax(0)[y[i, j]] * weights[y[i, j]] for i, j in cells]
    expected = sum(each) / sum(weights[y[i, j]] for i, j in cells)
    torch.testing.assert_close(masked_loss(logits, y, weights), expected)
    assert masked_loss(logits[3:], y[3:], weights) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: given | {"studies": ["one"] * STUDIES}, "train: found study one on both sides"),
        (lambda given: given | {"y": given["y"] + 1}, "y: found 0 to 3; expected -1"),
        (lambda given: given | {"y": np.full_like(given["y"], -1)}, "y: found no grade in the training series"),
        (lambda given: given | {"series": given["series"] + 1}, "series: found other numbers than 0 to 399"),
        (lambda given: given | {"studies": ["one"]}, "studies: found 1"),
        (lambda given: given | {"train": np.arange(STUDIES) < 1}, "train: found a single study"),
    ],
)
def test_what_cannot_be_learned_from_is_named(change, said) -> None:
    features, series, y, studies, train, _ = drawn()
    y[0] = 0
    given = {"features": features, "series": series, "y": y, "studies": studies, "train": train}
    with pytest.raises(InputError, match=said):
        train_attention(**change(given))
