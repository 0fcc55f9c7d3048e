"""Every remedy for a missing series, by every architecture and subset of series, held against what needs no fusion."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medutils import cache
from medutils.evaluation import Estimate, Task, binary, compare, evaluate, grades
from medutils.training.fused import FusedSet
from medutils.training.fused_sets import ABSENT, PFIRRMANN, PRESENT
from medutils.training.fusion_trials import ONLY, Floats, Found, predictions, subsets

SPLIT = "cross-validation"
WORN = 3  # from this Pfirrmann grade on, counted from 0, a disc counts as worn where all findings are pooled
ALL = "all"  # the findings together
METRICS = ("auroc_over_targets", "log_loss", "weighted_log_loss", "kappa_linear", "macro_auroc", "balanced_accuracy")
SHOWN = ("auroc_over_targets", "log_loss")
BARE, PARTLY = "unregularised", ("dropout", "l2")  # dynamic weights with less regularisation than all the others
LESS = (BARE, *PARTLY)
# A difference that an experiment shows with a power of 80 % at a level of 5 %, in standard errors; and an interval's
# width in the same.
DETECTED, WIDTH = 2.80, 3.92


class Cell(NamedTuple):
    """One network asked of one subset of the series."""

    architecture: str
    network: str
    left: str


def tables(found: Found, cell: Cell, findings: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """Predictions by finding, and of all findings together under `ALL`: each there or not."""
    shares = found.shares[cell]
    names = list(findings) or list(dict.fromkeys(found.data.findings))
    whole = predictions(as_found_or_not(found), yes_or_no(found.data, shares))
    return {ALL: whole, **{name: predictions(found, shares, [name]) for name in names}}


def pooled(found: Found, cell: Cell) -> pd.DataFrame:
    """Predictions of all findings, each there or not."""
    return predictions(as_found_or_not(found), yes_or_no(found.data, found.shares[cell]))


def yes_or_no(data: FusedSet, shares: Floats) -> Floats:
    """Shares (..., targets, grades) as those of a finding that is not there and of one that is: (..., targets, 2)."""
    cut = [from_grade(names) for names in data.classes]
    there = np.stack([shares[..., place, first:].sum(-1) for place, first in enumerate(cut)], -1)
    return np.stack([1 - there, there], -1).clip(0, 1)


def from_grade(classes: Sequence[str]) -> int:
    """The number of the grade from which on a finding is there: worn discs, moderate narrowing, any other finding."""
    return WORN if tuple(classes) == PFIRRMANN else 1


def as_found_or_not(found: Found) -> Found:
    """The same studies with all targets as two classes."""
    data = found.data
    cut = np.array([from_grade(names) for names in data.classes])
    y = np.where(data.y < 0, -1, data.y >= cut)
    classes = ((ABSENT, PRESENT),) * len(data.targets)
    two = replace(data, y=y.astype(np.int64), classes=classes)
    return Found(two, found.shares, found.weights, found.fold, found.trained)


def task_of(table: pd.DataFrame) -> Task:
    """What a predictions table asks: there or not, SPIDER's five grades alike, or the challenge's three by weight."""
    classes = [column.removeprefix("prob_") for column in table if column.startswith("prob_")]
    if classes == [ABSENT, PRESENT]:
        return binary(PRESENT, ABSENT)
    return grades(classes, (1.0,) * 5) if len(classes) == 5 else grades(classes)


def cells(found: Found) -> Iterator[Cell]:
    """All networks and subsets that studies were asked of."""
    for cell in found.shares:
        if np.isfinite(found.shares[cell]).any():
            yield Cell(*cell)


def measured(
    found: Found, chosen: Sequence[Cell], resamples: int = 2000, seed: int = 0
) -> dict[Cell, dict[str, Estimate]]:
    """The metrics of all findings together, by cell, with intervals by patient; kept."""
    every = list(dict.fromkeys(found.data.findings))
    return {cell: of_findings(found, cell, every, resamples, seed) for cell in chosen}


def differences(
    found: Found, pairs: Mapping[str, tuple[Cell, Cell]], resamples: int = 2000, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """The first minus the second cell of each pair, see `between`."""
    return {name: between((found, first), (found, second), resamples, seed) for name, (first, second) in pairs.items()}


def between(
    first: tuple[Found, Cell], second: tuple[Found, Cell], resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """A cell of one set of trials minus one of another, on the patients that are in both, paired by patient; kept."""

    def make() -> dict[str, Estimate]:
        a, b = in_common(pooled(*first), pooled(*second))
        every = compare(a, b, task_of(a), SPLIT, resamples=resamples, seed=seed)
        return {name: every[name] for name in SHOWN}

    return kept(between, [table_key(*first), table_key(*second), resamples, seed], make)


def of_findings(
    found: Found, cell: Cell, findings: Sequence[str], resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """The metrics of some findings together, each there or not, with intervals by patient; kept."""

    def make() -> dict[str, Estimate]:
        table = predictions(as_found_or_not(found), yes_or_no(found.data, found.shares[cell]), findings)
        every = evaluate(table, task_of(table), SPLIT, resamples=resamples, seed=seed)
        return {name: every[name] for name in SHOWN}

    return kept(of_findings, [table_key(found, cell), list(findings), resamples, seed], make)


def without(
    found: Found, architecture: str, network: str, gone: int, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """The metrics of studies that lack `gone` of their series, whichever: the mean over those subsets; kept."""
    series = found.data.series
    left = ["+".join(part) for part in subsets(series) if len(part) == len(series) - gone]
    asked = [Cell(architecture, network, part) for part in left]

    def make() -> dict[str, Estimate]:
        tables = [pooled(found, cell) for cell in asked]
        # A subset is a question of its own: studies are compared within it, as they are within a target.
        named = [one.assign(target=one["target"] + f", {part}") for one, part in zip(tables, left, strict=True)]
        table = pd.concat(named, ignore_index=True)
        every = evaluate(table, task_of(table), SPLIT, resamples=resamples, seed=seed)
        return {name: every[name] for name in SHOWN}

    return kept(without, [[table_key(found, cell) for cell in asked], resamples, seed], make)


def in_common(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both tables that are of patients who are in both."""
    both = set(first["patient"]) & set(second["patient"])
    return first[first["patient"].isin(both)], second[second["patient"].isin(both)]


def by_finding(found: Found, cell: Cell, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """The metrics of each finding alone, with intervals by patient; kept."""

    def all_of() -> dict[str, Estimate]:
        flat: dict[str, Estimate] = {}
        for finding, table in tables(found, cell).items():
            if table["y_true"].nunique() > 1:
                every = evaluate(table, task_of(table), SPLIT, resamples=resamples, seed=seed)
                flat |= {f"{finding}/{name}": one for name, one in every.items() if name in METRICS}
        return flat

    nested: dict[str, dict[str, Estimate]] = {}
    for name, one in kept(by_finding, [table_key(found, cell), resamples, seed], all_of).items():
        finding, _, metric = name.partition("/")
        nested.setdefault(finding, {})[metric] = one
    return nested


def detectable(difference: Estimate) -> float:
    """The difference that these patients would have shown with a power of 80 %, from the interval of the one found."""
    return DETECTED * (difference.high - difference.low) / WIDTH


def remedies_over(found: Found, architecture: str, left: str, other: str) -> dict[str, tuple[Cell, Cell]]:
    """Pairs of every remedy and baseline of an architecture and another one, asked of the same."""
    return {
        network: (Cell(architecture, network, left), Cell(architecture, other, left))
        for network in found.networks(architecture)
        if network not in (other, *LESS) and not network.startswith(ONLY)
    }


def table_key(found: Found, cell: Cell) -> list[Any]:
    """What a cell's predictions hang on."""
    return [found.data.fingerprint, list(cell), cache.array_hash(found.shares[cell]), cache.array_hash(found.fold)]


def kept(
    function: Callable[..., object], depends: list[Any], make: Callable[[], dict[str, Estimate]]
) -> dict[str, Estimate]:
    """Estimates by name, made once for the same predictions and the same code of `function`."""

    def write(part: Path) -> None:
        part.write_text(json.dumps({name: asdict(one) for name, one in make().items()}), encoding="utf-8")

    path = cache.kept("lumbar_fusion", write, cache.key_of(function, function.__name__, *depends), ".json")
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: Estimate(**{**one, "fixed": tuple(one["fixed"])}) for name, one in found.items()}
