"""What trained networks look at, in studies that they did not learn from."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medutils import cache
from medutils.bootstrap import interval, resampled
from medutils.evaluation import Estimate
from medutils.models.fusion import Kind
from medutils.training.fused import FusedSet
from medutils.training.fusion import fit_all, prepare
from medutils.training.fusion_choice import choose, most_features
from medutils.training.fusion_trials import KIND, Trials, divided
from medutils.training.remedies import REMEDIES

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def token_weights(data: FusedSet, architecture: Kind, remedy: str, trials: Trials) -> Floats:
    """Weight of each token within its series, (studies, series, tokens), by the network that did not see the study.

    One repeat of the cross-validation of `trials`, with its first seed; made once and kept.
    """
    depends = [data.fingerprint, architecture, remedy, asdict(trials), torch.__version__]
    key = cache.key_of(token_weights, *depends)
    path = cache.kept(KIND, partial(_write, data, architecture, remedy, trials), key, ".npy")
    found: Floats = np.load(path, allow_pickle=False)
    return found


def _write(data: FusedSet, architecture: Kind, remedy: str, trials: Trials, path: Path) -> None:
    config = replace(data.config(**dict(trials.settings)), architecture=architecture)
    fold = divided(data, trials.folds, trials.seed)
    found = np.zeros(data.mask.shape, np.float32)
    for number in range(trials.folds):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        widest = prepare(data, train, most_features(config, trials.grid))
        own, fitting = choose(data, config, train, trials.seed, trials.fitting, trials.grid, widest)
        ready = widest.first(own.features)
        fitted = fit_all(data, {remedy: REMEDIES[remedy].job(own)}, train, trials.seed, fitting, ready)[remedy]
        with torch.no_grad():
            found[test] = fitted.network.fusion.token_weights(ready.x[test], ready.mask[test]).numpy()
    with path.open("wb") as file:
        np.save(file, found, allow_pickle=False)


def looked_near(weights: Floats, mask: Bools, near: Bools, resamples: int, seed: int) -> dict[str, Estimate]:
    """How much weight lies on the slices that are near something, in the studies that have it in this series.

    weights, mask, near: (studies, tokens) of one series; a study counts once. `weight`, what it would be if all slices
    counted alike (`uniform`), and the first minus the second (`over_uniform`), with intervals by study.
    """
    rows = (near & mask).any(1)
    there = mask[rows] / mask[rows].sum(1, keepdims=True)
    each = np.stack([(weights[rows] * near[rows]).sum(1), (there * near[rows]).sum(1)], 1).astype(float)
    each = np.column_stack([each, each[:, 0] - each[:, 1]])
    count = len(each)
    if not count:
        nan = float("nan")
        return {name: Estimate(nan, nan, nan, 0, "cross-validation") for name in ("weight", "uniform", "over_uniform")}
    draws = resampled(lambda drawn: each.T @ drawn / drawn.sum(0), count, resamples, seed, count)
    return {
        name: Estimate(float(values[0]), *interval(values[1:]), count, "cross-validation", ("the trained models",))
        for name, values in zip(("weight", "uniform", "over_uniform"), draws, strict=True)
    }
