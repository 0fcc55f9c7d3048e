"""Two runs side by side: what they were told apart, and their metrics, paired by patient where rows are the same."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from medutils.errors import InputError
from medutils.evaluation import Estimate, Task, binary, compare, grades, multiclass, one_against_rest, values
from medutils.evaluation.task import classes_of
from medutils.runs.table import read_results
from medutils.tables import graded

PREDICTIONS = "predictions.csv"
ROWS = ("record_id", "target", "repeat")  # what names a row of one model's predictions
TEXT = dict.fromkeys(("record_id", "patient", "y_true", "target", "model", "rows"), str)
SAME = 1e-4  # predictions.csv holds six digits


def compare_runs(first: Path, second: Path, resamples: int = 2000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What two runs of one chapter were told apart, and each metric that both have: `first` minus `second`.

    The first table has a row a parameter: `first`, `second`. The second has a row a metric: `first`, `second`,
    `difference`, `low` and `high` (95 %, of resamples that take the same patients in both), `n` patients, and `paired`:
    why there is no interval, or "" where there is one. An interval needs predictions of both runs on the same rows,
    from which the metrics of both come out as their results.json tells them. Raises `InputError` for runs of two
    chapters.
    """
    one, two = read_results(first), read_results(second)
    if one.get("chapter") != two.get("chapter"):
        raise InputError(
            f"--compare: found runs of {one.get('chapter')} and {two.get('chapter')}; expected one chapter"
        )
    told = {name: (value, two["parameters"].get(name)) for name, value in one["parameters"].items()}
    apart = {name: pair for name, pair in told.items() if pair[0] != pair[1]}
    parameters = pd.DataFrame.from_dict(apart, orient="index", columns=["first", "second"])
    paired, why = _paired(first, second, one, two, resamples)
    rows = []
    for name in one["metrics"]:
        if name in two["metrics"]:
            a, b = (run["metrics"][name].get("value") for run in (one, two))
            rows.append(_row(name, a, b, paired.get(name), why.get(name.rpartition(".")[0], "no predictions of both")))
    return parameters, pd.DataFrame(rows)


def _row(name: str, one: float | None, two: float | None, found: Estimate | None, why: str) -> dict[str, Any]:
    a, b = (math.nan if value is None else value for value in (one, two))
    if found is None:
        return {"metric": name, "first": a, "second": b, "difference": a - b, "paired": why}
    ends = {"low": found.low, "high": found.high, "n": found.n}
    return {"metric": name, "first": a, "second": b, "difference": found.value, **ends, "paired": ""}


def _paired(
    first: Path, second: Path, one: dict[str, Any], two: dict[str, Any], resamples: int
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Differences by metric, and by model why it has none."""
    tables = [_predictions(folder) for folder in (first, second)]
    found: dict[str, Estimate] = {}
    why: dict[str, str] = {}
    for model in dict.fromkeys(name for name in tables[0] if name in tables[1]):
        a, b = tables[0][model], tables[1][model]
        if not _same_rows(a, b):
            why[model] = "other rows"
            continue
        asked = _asked(model, (a, b), (one, two))
        if asked is None:
            why[model] = "judged in a way that predictions.csv does not tell"
            continue
        task, (a, b), cut = asked
        split = str(a["rows"].iloc[0])
        seed = one["parameters"].get("seed", 0)
        found |= {f"{model}.{name}": each for name, each in compare(a, b, task, split, cut, resamples, seed).items()}
    return found, why


def _predictions(folder: Path) -> dict[str, pd.DataFrame]:
    """Predictions by model; none of a model with several sets of rows, since its metrics are of one of them."""
    path = folder / PREDICTIONS
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=TEXT, keep_default_na=True)
    if "model" not in table or not len(table):
        return {}
    by_model = {str(name): rows.dropna(axis="columns", how="all") for name, rows in table.groupby("model", sort=False)}
    return {name: rows for name, rows in by_model.items() if rows["rows"].nunique() == 1}


def _same_rows(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    names = [name for name in (*ROWS, "patient", "y_true") if name in one]
    if not set(names) <= {*two} or len(one) != len(two):
        return False
    sides = [table[names].astype(str).sort_values(names).reset_index(drop=True) for table in (one, two)]
    return sides[0].equals(sides[1])


def _asked(
    model: str, tables: tuple[pd.DataFrame, pd.DataFrame], runs: tuple[dict[str, Any], dict[str, Any]]
) -> tuple[Task, tuple[pd.DataFrame, pd.DataFrame], float | str] | None:
    """The task, the tables as it takes them, and the threshold with which both runs' own metrics come out."""
    cuts = [runs[0]["parameters"].get("threshold", 0.5), *(["threshold"] if "threshold" in tables[0] else [])]
    for task in _tasks(tables[0], runs[0]["parameters"]):
        pair = tuple(one_against_rest(table, task.positive) if task.kind == "binary" else table for table in tables)
        for cut in cuts:
            if all(_as_told(model, table, task, cut, run) for table, run in zip(pair, runs, strict=True)):
                return task, (pair[0], pair[1]), cut
    return None


def _tasks(table: pd.DataFrame, parameters: dict[str, Any]) -> list[Task]:
    """What the table may have been asked: each class against the rest, or all of them."""
    classes = classes_of(table)
    named = [name for name in (parameters.get("positive"), *reversed(classes)) if name in classes]
    tasks = [binary(name) for name in dict.fromkeys(named)]
    return tasks if len(classes) == 2 else [*tasks, grades(classes, [1.0] * len(classes)), multiclass(classes)]


def _as_told(model: str, table: pd.DataFrame, task: Task, cut: float | str, run: dict[str, Any]) -> bool:
    if not len(graded(table)):
        return False
    told = {
        name.rpartition(".")[2]: one.get("value")
        for name, one in run["metrics"].items()
        if name.rpartition(".")[0] == model
    }
    try:
        again = values(table, task, cut)
    except (InputError, KeyError):
        return False
    both = [(told[name], again[name]) for name in again if told.get(name) is not None]
    return bool(both) and all(math.isnan(b) or abs(a - b) < SAME * max(1, abs(a)) for a, b in both)
