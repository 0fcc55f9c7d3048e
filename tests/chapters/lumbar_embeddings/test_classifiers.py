"""Classifiers that learn what can be learnt, on small random data, and sampling that touches training rows alone."""

from dataclasses import replace

import numpy as np
import pytest

from medutils.chapters.lumbar_embeddings import classifiers
from medutils.chapters.lumbar_embeddings.classifiers import RECIPES, predict, predict_one

RNG = np.random.default_rng(0)
Y = RNG.choice(3, 150, p=[0.6, 0.25, 0.15])
X = RNG.normal(size=(150, 8)) + 3 * np.eye(3)[Y] @ np.eye(3, 8)
QUICK = {name: replace(recipe, rounds=min(recipe.rounds, 20)) for name, recipe in RECIPES.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_and_gives_probabilities(name: str) -> None:
    y = np.c_[Y, Y[::-1]]
    y[100:, 1] = -1
    found = predict(QUICK[name], X[:120], y[:120], X[120:])
    assert found.shape == (30, 2, 3)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)
    assert (found[:, 0].argmax(axis=1) == Y[120:]).mean() > 0.8
    np.testing.assert_array_equal(found, predict(QUICK[name], X[:120], y[:120], X[120:]))


@pytest.mark.parametrize("name", ["svc", "lgbm"])
def test_an_empty_grade_teaches_nothing(name: str) -> None:
    y = np.c_[Y, Y]
    y[:60, 1] = -1
    alone = predict(QUICK[name], X[60:], y[60:, 1:], X[:5])
    np.testing.assert_array_equal(predict(QUICK[name], X, y, X[:5])[:, 1], alone[:, 0])


def test_the_network_does_not_move_where_nothing_was_graded() -> None:
    found = classifiers.network_outputs(X, np.full((150, 2), -1), X[:5], epochs=2)
    np.testing.assert_array_equal(found[0], found[1])


def test_grades_that_are_missing_in_training() -> None:
    recipe = QUICK["svc"]
    assert (predict_one(recipe, X[Y > 0], Y[Y > 0], X[:4])[:, 0] == 0).all()
    assert (predict_one(recipe, X[Y == 2], Y[Y == 2], X[:4]) == [0, 0, 1]).all()
    assert (predict(recipe, X, np.full((150, 1), -1), X[:4]) == 1 / 3).all()


def test_the_support_vector_machine_is_that_of_the_linear_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for calibrated in (True, False):
        recipe = replace(RECIPES["svc"], calibrated=calibrated)
        quick = predict_one(recipe, X, Y, X[:10])
        with monkeypatch.context() as patched:
            patched.setattr(classifiers, "MOST_PRODUCTS", 0)
            np.testing.assert_allclose(predict_one(recipe, X, Y, X[:10]), quick, atol=1e-4)


@pytest.mark.parametrize(
    ("sampling", "rows"),
    [("none", [60, 20, 8, 1]), ("smote", [60, 60, 60, 1]), ("smote_under", [22, 22, 22, 1])],
)
def test_sampling_brings_grades_to_one_number_and_leaves_a_single_row_alone(sampling: str, rows: list[int]) -> None:
    y = np.repeat([0, 1, 2, 3], [60, 20, 8, 1])
    x = RNG.normal(size=(len(y), 3))
    new, code = classifiers.SAMPLING[sampling](x, y, 0)
    assert np.bincount(code).tolist() == rows
    assert {tuple(row) for row in new[code == 3]} == {tuple(x[-1])}


def test_smote_as_written_is_skipped_without_the_class_0_and_runs_with_it() -> None:
    x = RNG.normal(size=(50, 3))
    without, with_all = np.repeat([1, 2], [40, 10]), np.repeat([0, 1, 2], [10, 30, 10])
    assert len(classifiers.sampled_as_written(x, without, 0)[1]) == 50
    assert np.bincount(classifiers.sampled_as_written(x, with_all, 0)[1]).tolist() == [30, 30, 30]


def test_the_networks_weights_make_both_sides_of_a_column_equal() -> None:
    import torch

    positive = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    weight = classifiers._column_weights(positive, torch.ones(4, 2))
    assert weight[0, 0] == pytest.approx(weight[1:, 0].sum()) and (weight[:, 1] == 1).all()
