"""A setting is chosen by the loss of held-out training studies, and by nothing else."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from medutils.training import fusion_choice as module
from medutils.training.fused import FusedSet
from medutils.training.fusion import Fitting, Prepared, fit_all, prepare
from medutils.training.fusion_choice import Setting, choose, most_features
from medutils.training.remedies import REMEDIES

GRID = (Setting(2, 0.01), Setting(2, 0.1), Setting(3, 0.01))
FITTING = Fitting(epochs=3, weight_decay=(0.1,))
TRAIN = np.arange(20)


def fused() -> FusedSet:
    x = torch.randn(30, 2, 2, 5, generator=torch.Generator().manual_seed(0))
    y = np.random.default_rng(0).integers(0, 2, (30, 2))
    mask, names = torch.ones(30, 2, 2, dtype=torch.bool), tuple(map(str, range(30)))
    return FusedSet(("t1", "t2"), names, x, mask, y, ("q_1", "q_2"), (("no", "yes"),) * 2, ("q", "q"), "lite0")


def chosen(data: FusedSet, prepared: Prepared | None = None) -> Setting:
    config = data.config(width=4, hidden=4)
    ready = prepared or prepare(data, TRAIN, most_features(config, GRID))
    config, fitting = choose(data, config, TRAIN, 1, FITTING, GRID, ready)
    return Setting(config.features, fitting.learning_rate)


def test_the_setting_that_loses_least_is_taken() -> None:
    data, losses = fused(), []
    for one in GRID:
        config, fitting = one.of(data.config(width=4, hidden=4), FITTING)
        losses.append(fit_all(data, {"a": REMEDIES["dynamic"].job(config)}, TRAIN, 1, fitting)["a"].loss)
    assert len(set(losses)) == len(GRID)
    assert chosen(data) == GRID[int(np.argmin(losses))]


def test_studies_that_are_not_for_training_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(*given: Any) -> Any:
        found = fit_all(*given)
        seen.append(found["dynamic"].loss)
        return found

    monkeypatch.setattr(module, "fit_all", noted)
    data = fused()
    chosen(data)
    y, x = data.y.copy(), data.x.clone()
    y[20:], x[20:] = 1 - y[20:], x[20:] + 3
    chosen(replace(data, x=x, y=y))
    assert len(seen) == 2 * len(GRID) and seen[: len(GRID)] == pytest.approx(seen[len(GRID) :], rel=1e-5)


@pytest.mark.parametrize("grid", [(), GRID[:1]])
def test_where_there_is_nothing_to_choose_nothing_is_trained(
    grid: tuple[Setting, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fit_all", None)
    data = fused()
    config = data.config(features=4)
    found = choose(data, config, TRAIN, 0, FITTING, grid, prepare(data, TRAIN, most_features(config, grid)))
    assert found == ((config, FITTING) if not grid else grid[0].of(config, FITTING))


@pytest.mark.parametrize(("losses", "place"), [([np.nan, 0.5, 0.4], 2), ([np.nan] * 3, 0), ([0.3, 0.3, 0.4], 0)])
def test_without_a_loss_or_a_difference_the_first_is_taken(
    losses: list[float], place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = iter(losses)
    monkeypatch.setattr(module, "fit_all", lambda *given: {"dynamic": SimpleNamespace(loss=next(ahead))})
    assert chosen(fused()) == GRID[place]
