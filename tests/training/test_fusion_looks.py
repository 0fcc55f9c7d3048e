"""Attention over slices: of networks that did not see the study, kept, and held against equal weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medutils.training import fusion_looks as module
from medutils.training.fused import FusedSet
from medutils.training.fusion import Fitting
from medutils.training.fusion_choice import Setting
from medutils.training.fusion_looks import looked_near, token_weights
from medutils.training.fusion_trials import Trials

TRIALS = Trials(
    fitting=Fitting(epochs=2, weight_decay=(0.1,)),
    folds=2,
    settings=(("width", 4), ("hidden", 4)),
    grid=(Setting(2, 0.01), Setting(3, 0.01)),
)


def fused() -> FusedSet:
    """Studies of four slices a series; the first six lack one."""
    rng = np.random.default_rng(0)
    mask = torch.ones(16, 2, 4, dtype=torch.bool)
    mask[:6, 1, 3] = False
    x = torch.where(mask[..., None], torch.randn(16, 2, 4, 5, generator=torch.Generator().manual_seed(0)), 0.0)
    y = rng.integers(0, 2, (16, 1))
    names = tuple(f"p{number}" for number in range(16))
    return FusedSet(("t1", "t2"), names, x, mask, y, ("q",), (("no", "yes"),), ("q",), "lite0")


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> np.ndarray:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return token_weights(fused(), "slices", "modality_dropout", TRIALS)


def test_weights_of_the_slices_that_are_there_sum_to_1(weights: np.ndarray) -> None:
    mask = fused().mask.numpy()
    np.testing.assert_allclose(weights.sum(2), 1, rtol=1e-5)
    assert (weights[~mask] == 0).all() and (weights[mask] > 0).all()


def test_weights_are_made_once(weights: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit_all", None)
    np.testing.assert_array_equal(weights, token_weights(fused(), "slices", "modality_dropout", TRIALS))
    with pytest.raises(TypeError):
        token_weights(fused(), "slices", "dynamic", TRIALS)


def test_weight_near_something_is_held_against_equal_weights() -> None:
    weights = np.array([[0.7, 0.2, 0.1, 0.0], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
    near = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    found = looked_near(weights, mask, near, 50, 0)
    assert found["weight"].value == pytest.approx((0.9 + 0.5) / 2)
    assert found["uniform"].value == pytest.approx(0.5)
    assert found["over_uniform"].value == pytest.approx(0.2) and found["weight"].n == 2


def test_where_no_study_has_anything_to_look_at_nothing_is_said() -> None:
    none = np.zeros((2, 3), bool)
    found = looked_near(np.ones((2, 3), np.float32) / 3, ~none, none, 50, 0)
    assert all(np.isnan(one.value) and one.n == 0 for one in found.values())
