"""Every way to live without a series, by every architecture, on studies that no network learned from.

Cross-validated by study, in folds of their own for each repeat. It is nested: what is chosen, settings of the networks,
their epoch and their regularisation, is chosen in each fold on a part of its training studies. One trained network is
asked of every subset of the series, as if the others had not been taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medutils import cache
from medutils.errors import InputError
from medutils.models.fusion import FusionConfig, Kind
from medutils.tables import check_predictions
from medutils.training.fused import FusedSet, Rows
from medutils.training.fusion import Fitted, Fitting, Job, Prepared, fit_all, prepare, probabilities_of
from medutils.training.fusion_choice import Setting, choose, most_features
from medutils.training.loop import Progress, one_thread
from medutils.training.remedies import REFERENCE, REMEDIES
from medutils.training.workers import each_apart

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

KIND = "fusion_trials"
ARCHITECTURES: tuple[Kind, ...] = get_args(Kind)
AS_IS, AT_RANDOM = "as it is", "at random"
PRIOR, LATE, BEST = "prior", "late fusion", "best single series"
ONLY = "trained on "  # a network that never saw another series, as `ONLY` + its series
FACTS = ("loss", "epoch", "weight_decay", "pseudo_error", "features", "learning_rate")  # of a trained network
LEFT = 0.5  # the share of series that are left where they are missing at random


@dataclass(frozen=True)
class Trials:
    """What is trained, and how often.

    folds, repeats, seeds: each repeat divides the studies anew; in each fold each architecture is trained `seeds` times
    remedies: names of `REMEDIES`
    settings: of the networks, where they are other than `FusionConfig`'s
    grid: settings of which each architecture takes one in each fold, see `choose`; none for those of `settings`
    subsets: whether networks are trained on each subset of the series, too, or on each single series alone
    """

    architectures: tuple[Kind, ...] = ARCHITECTURES
    remedies: tuple[str, ...] = tuple(REMEDIES)
    fitting: Fitting = field(default_factory=Fitting)
    folds: int = 5
    repeats: int = 3
    seeds: int = 1
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()
    grid: tuple[Setting, ...] = ()
    subsets: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """What networks said of studies that they did not learn from.

    shares: by (architecture, network, what is left): float32 (runs, studies, targets, grades), NaN where a study is not
        asked; a run is a repeat and a seed
    weights: the same for the weights of the series, (runs, studies, series)
    fold: (runs, studies) which fold held a study out
    trained: a row a network: run, fold, architecture, network, and `FACTS`
    """

    data: FusedSet
    shares: Mapping[tuple[str, str, str], Floats]
    weights: Mapping[tuple[str, str, str], Floats]
    fold: Rows
    trained: pd.DataFrame

    def networks(self, architecture: str) -> list[str]:
        """The networks of an architecture, baselines too."""
        return list(dict.fromkeys(network for of, network, _ in self.shares if of == architecture))

    @property
    def left(self) -> list[str]:
        """What studies are left with, in the order of `left_with`."""
        return list(dict.fromkeys(left for *_, left in self.shares))


def subsets(series: Sequence[str]) -> list[tuple[str, ...]]:
    """All subsets of the series but the empty one, the largest first."""
    return [part for size in range(len(series), 0, -1) for part in combinations(series, size)]


def left_with(data: FusedSet, seed: int = 0) -> dict[str, Bools]:
    """By name, which series each study is left with, bool (studies, series); none where a study is not asked.

    Each subset of the series, by their names, asked of studies that have them all; `AS_IS`; and `AT_RANDOM`, where each
    series of a study is taken away with a chance of one half, and one at least is left.
    """
    present = data.present.numpy()
    found: dict[str, Bools] = {}
    for part in subsets(data.series):
        wanted = np.array([name in part for name in data.series])
        found["+".join(part)] = wanted & present[:, wanted].all(1, keepdims=True)
    random = np.random.default_rng(seed)
    stays = present & (random.random(present.shape) < LEFT)
    one = np.eye(present.shape[1], dtype=bool)[(random.random(present.shape) + present).argmax(1)]
    return {**found, AS_IS: present, AT_RANDOM: np.where(stays.any(1, keepdims=True), stays, one)}


def run(data: FusedSet, trials: Trials = Trials(), progress: Progress | None = None) -> Found:
    """Train every network in every fold and ask it of the fold's studies, with every subset of their series.

    One fold of one repeat is one piece of work, kept under all that it depends on: a run that was interrupted goes on.
    """
    if len(data.patients) < 2 * trials.folds:
        raise InputError(
            f"data: found {len(data.patients)} studies; expected {2 * trials.folds} for {trials.folds} folds"
        )
    division = [divided(data, trials.folds, trials.seed + repeat) for repeat in range(trials.repeats)]
    pieces = [(repeat, fold) for repeat in range(trials.repeats) for fold in range(trials.folds)]
    paths = [_path(data, trials, *piece) for piece in pieces]
    work = [
        partial(_kept, path, data, trials, division[repeat], repeat, fold)
        for path, (repeat, fold) in zip(paths, pieces, strict=True)
        if not path.exists()
    ]
    for done, _ in enumerate(each_apart(work), start=len(pieces) - len(work) + 1):
        if progress:
            progress(done, len(pieces))
    return _joined(data, trials, np.repeat(division, trials.seeds, axis=0), zip(pieces, paths, strict=True))


def divided(data: FusedSet, folds: int, seed: int) -> Rows:
    """The fold of each study: drawn by patient, each with its share of every pattern of missing series."""
    pattern = data.present.long() @ (2 ** torch.arange(len(data.series)))
    names = {name: place for place, name in enumerate(dict.fromkeys(data.patients))}
    first = {name: int(pattern[row]) for row, name in reversed([*enumerate(data.patients)])}
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = sorted(names, key=lambda name: (first[name], drawn[names[name]]))
    of = {name: place % folds for place, name in enumerate(order)}
    return np.array([of[name] for name in data.patients], np.int64)


def predictions(found: Found, shares: Floats, findings: Sequence[str] = ()) -> pd.DataFrame:
    """A predictions table of some findings of one number of classes, a row a graded cell and run.

    `target` is the target and the fold that held it out, so that `auroc_over_targets` compares studies that one network
    graded: pooled over folds, a fold with more than its share of a class would have had less of it to learn from.
    """
    data = found.data
    places = [place for place, name in enumerate(data.findings) if not findings or name in findings]
    classes = data.classes[places[0]]
    if any(data.classes[place] != classes for place in places):
        raise InputError("findings: found some of other classes than the first; expected one table for each set")
    tables = []
    for run_number, said in enumerate(shares):
        asked = np.isfinite(said[..., 0]).all(1)
        for place in places:
            rows = np.flatnonzero(asked & (data.y[:, place] >= 0))
            patients = np.array(data.patients, object)[rows]
            table = pd.DataFrame(
                {"record_id": [f"{one}:{data.targets[place]}" for one in patients], "patient": patients}
            )
            table["target"] = [f"{data.targets[place]}, fold {fold}" for fold in found.fold[run_number, rows]]
            table["y_true"] = np.array(classes, object)[data.y[rows, place]]
            table["repeat"] = run_number
            table[[f"prob_{name}" for name in classes]] = said[rows, place, : len(classes)].astype(float)
            tables.append(table)
    return check_predictions(pd.concat(tables, ignore_index=True))


# --- one fold ---------------------------------------------------------------------------------------------------------


def _path(data: FusedSet, trials: Trials, repeat: int, fold: int) -> Path:
    depends = [data.fingerprint, {**asdict(trials), "repeats": 0}, repeat, fold, torch.__version__]
    return cache.place(KIND, cache.key_of(run, *depends), ".npz")


def _kept(path: Path, data: FusedSet, trials: Trials, folds: Rows, repeat: int, fold: int) -> None:
    def make(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **_fold(data, trials, folds, repeat, fold))

    cache.kept(KIND, make, path.stem, path.suffix)


@one_thread()  # so that the number of cores changes no result
def _fold(data: FusedSet, trials: Trials, folds: Rows, repeat: int, fold: int) -> dict[str, NDArray[Any]]:
    """All that one fold gives, by name: arrays `kind|architecture|network|left|seed`."""
    train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    config = data.config(**dict(trials.settings))
    widest = prepare(data, train, most_features(config, trials.grid))
    left = {name: part[test] for name, part in left_with(data, trials.seed).items()}
    prior = _prior(data, train, test)
    found: dict[str, NDArray[Any]] = {}
    for architecture in trials.architectures:
        own = replace(config, architecture=architecture)
        first = trials.seed + 1000 * repeat
        own, fitting = choose(data, own, train, first, trials.fitting, trials.grid, widest)
        jobs, ready = _jobs(own, trials), widest.first(own.features)
        for number in range(trials.seeds):
            fitted = fit_all(data, jobs, train, first + number, fitting, ready)
            for name, one in fitted.items():
                chosen = [own.features, fitting.learning_rate]
                facts = [one.loss, one.epoch, one.weight_decay, one.pseudo_error, *chosen]
                found[f"trained|{architecture}|{name}||{number}"] = np.array(facts)
            for name, present in left.items():
                for network, (shares, weights) in _asked(fitted, ready, test, present, prior).items():
                    found[f"shares|{architecture}|{network}|{name}|{number}"] = shares
                    if weights is not None:
                        found[f"weights|{architecture}|{network}|{name}|{number}"] = weights
    return found


def _jobs(config: FusionConfig, trials: Trials) -> dict[str, Job]:
    """Every remedy, and a network for each subset of the series that it alone ever sees."""
    jobs = {remedy: REMEDIES[remedy].job(config) for remedy in trials.remedies}
    parts = subsets(config.series)[1:] if trials.subsets else [(name,) for name in config.series]
    alone = REMEDIES[REFERENCE].job(config)
    return jobs | {f"{ONLY}{'+'.join(part)}": replace(alone, visible=part) for part in parts}


def _asked(
    fitted: Mapping[str, Fitted], ready: Prepared, test: Rows, present: Bools, prior: Floats
) -> dict[str, tuple[Floats, Floats | None]]:
    """What each network and baseline says of the test studies; NaN where one is left without any series it sees."""
    names = list(fitted)
    seen = torch.from_numpy(present)
    shares, weights = probabilities_of([fitted[name] for name in names], ready, test, seen)
    for place, name in enumerate(names):
        sees = (present & np.array(fitted[name].job.sees)).sum(1) > 0
        shares[place, ~sees], weights[place, ~sees] = np.nan, np.nan
    found: dict[str, tuple[Floats, Floats | None]] = {
        name: (shares[place], weights[place]) for place, name in enumerate(names)
    }
    single = [name for name in names if sum(fitted[name].job.sees) == 1]
    single = [name for name in single if name.startswith(ONLY)] or names
    alone = np.stack([found[name][0] for name in single])
    asked = (present.sum(1) > 0)[:, np.newaxis, np.newaxis]
    found[LATE] = np.where(asked, _mean_defined(alone), np.nan).astype(np.float32), None
    ranked = np.argsort([np.nan_to_num(fitted[name].loss, nan=np.inf) for name in single])
    best = np.full_like(prior, np.nan)
    for place in ranked[::-1]:  # the best last, over the others
        best = np.where(np.isfinite(alone[place]), alone[place], best)
    found[BEST] = best, None
    found[PRIOR] = np.where(asked, prior, np.nan).astype(np.float32), None
    return found


def _mean_defined(values: Floats) -> Floats:
    """Mean over the first axis of what is defined."""
    defined = np.isfinite(values)
    mean: Floats = np.where(defined, values, 0).sum(0) / np.maximum(defined.sum(0), 1)
    return mean


def _prior(data: FusedSet, train: Rows, test: Rows) -> Floats:
    """How frequent each grade is at each target among training studies, for each test study; each has one more."""
    most = max(map(len, data.classes))
    counts = np.stack([(data.y[train] == grade).sum(0) for grade in range(most)], 1) + 1.0
    counts *= np.arange(most) < np.array([[len(names)] for names in data.classes])
    shares = counts / counts.sum(1, keepdims=True)
    return np.broadcast_to(shares, (len(test), *shares.shape)).astype(np.float32)


def _joined(data: FusedSet, trials: Trials, fold: Rows, pieces: Iterable[tuple[tuple[int, int], Path]]) -> Found:
    """The folds of all repeats as whole arrays."""
    runs, shape = trials.repeats * trials.seeds, (len(data.patients), len(data.targets), max(map(len, data.classes)))
    arrays: dict[str, dict[tuple[str, str, str], Floats]] = {"shares": {}, "weights": {}}
    rows = []
    for (repeat, number), path in pieces:
        with np.load(path, allow_pickle=False) as piece:
            for name in piece.files:
                kind, architecture, network, left, seed = name.split("|")
                at = repeat * trials.seeds + int(seed)
                if kind == "trained":
                    rows.append([at, number, architecture, network, *piece[name]])
                    continue
                size = shape if kind == "shares" else (shape[0], len(data.series))
                key = (architecture, network, left)
                whole = arrays[kind].setdefault(key, np.full((runs, *size), np.nan, np.float32))
                whole[at, fold[at] == number] = piece[name]
    columns = ["run", "fold", "architecture", "network", *FACTS]
    return Found(data, arrays["shares"], arrays["weights"], fold, pd.DataFrame(rows, columns=columns))
