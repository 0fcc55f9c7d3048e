"""Networks that fuse series: all remedies and subsets of one architecture at once, beside one at a time."""

import time
from dataclasses import replace
from functools import partial
from typing import get_args

import numpy as np
import torch
from rich.console import Console

from bench.report import Rounds, show
from medutils.models.fusion import Kind
from medutils.training.fused import FusedSet
from medutils.training.fusion import Fitted, Fitting, Job, fit_all, prepare
from medutils.training.fusion_trials import subsets
from medutils.training.loop import one_thread
from medutils.training.remedies import REMEDIES

STUDIES, TOKENS, INPUTS, TARGETS, ROUNDS = 140, 49, 64, 40, 3
FITTING = Fitting(epochs=10)
ALONE, TOGETHER = "one at a time", "ours, all at once"
LEAST, CLOSEST = 3, 1e-3  # times as fast; largest difference between weights


def main() -> dict[str, Rounds]:
    """Measure and print, for each architecture, seconds a network, and whether the weights agree."""
    data = _studies()
    return {architecture: _measure(data, architecture) for architecture in get_args(Kind)}


def _measure(data: FusedSet, architecture: Kind) -> Rounds:
    config = replace(data.config(), architecture=architecture)
    # The autoencoder is trained once for all networks that ask for it, and is the same work on both sides.
    jobs = {name: one.job(config) for name, one in REMEDIES.items() if one.missing != "pseudo"}
    jobs |= {"+".join(part): Job(config, part) for part in subsets(data.series)[1:]}
    train = np.arange(len(data.patients))
    ready, rounds = prepare(data, train, config.features), Rounds()
    fit = partial(fit_all, data, train=train, prepared=ready)
    fit(jobs, fitting=replace(FITTING, epochs=1))  # first steps, which do not count
    with one_thread():
        for _ in range(ROUNDS):
            with rounds.round() as found:
                start = time.perf_counter()
                alone = {
                    name: _best([fit({name: one}, fitting=FITTING)[name] for one in _trainings(job)])
                    for name, job in jobs.items()
                }
                found[ALONE] = (time.perf_counter() - start) / len(jobs)
                start = time.perf_counter()
                together = fit(jobs, fitting=FITTING)
                found[TOGETHER] = (time.perf_counter() - start) / len(jobs)
    show(f"Fusion, architecture '{architecture}', {len(jobs)} networks", rounds, ALONE, "s a network")
    ratio = sorted(rounds.ratios(ALONE, TOGETHER))[ROUNDS // 2]
    away = max(_apart(alone[name], together[name]) for name in jobs)
    Console().print(
        f"at least {LEAST} times as fast: {_met(ratio >= LEAST)}\n"
        f"largest difference between weights {away:.1e}; at most {CLOSEST:g}: {_met(away <= CLOSEST)}"
    )
    return rounds


def _trainings(job: Job) -> list[Job]:
    """A network with each strength of L2 that it may choose: a training each."""
    return [replace(job, weight_decay=(strength,)) for strength in job.weight_decay or FITTING.weight_decay]


def _best(trainings: list[Fitted]) -> Fitted:
    """The training with the lowest loss on held-out studies, as `fit_all` chooses."""
    return min(trainings, key=lambda one: one.loss)


def _apart(one: Fitted, other: Fitted) -> float:
    """The largest difference between two networks' weights."""
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def _studies() -> FusedSet:
    """Drawn studies of SPIDER's size, of which a third lack a series."""
    rng = np.random.default_rng(0)
    mask = torch.ones(STUDIES, 3, TOKENS, dtype=torch.bool)
    mask[100:, 2], mask[130:, 1] = False, False
    x = torch.randn(STUDIES, 3, TOKENS, INPUTS, generator=torch.Generator().manual_seed(0))
    targets = tuple(f"target_{number}" for number in range(TARGETS))
    return FusedSet(
        ("t1", "t2", "t2_space"),
        tuple(map(str, range(STUDIES))),
        torch.where(mask[..., None], x, 0.0),
        mask,
        rng.integers(0, 2, (STUDIES, TARGETS)),
        targets,
        (("1", "2", "3", "4", "5"),) * 5 + (("absent", "present"),) * (TARGETS - 5),
        tuple(f"finding_{number // 5}" for number in range(TARGETS)),
        "drawn",
    )


def _met(kept: bool) -> str:
    return "kept" if kept else "NOT KEPT"


if __name__ == "__main__":
    main()
