"""What `medutils runs` shows in a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from medutils.errors import InputError
from medutils.files import printable
from medutils.runs import compare_runs, filtered, find_run, runs_table
from medutils.runs.table import column_of, varied

NAME = 12  # characters of a run's name in a table


def show_runs(place: Path, where: str, model: str, metrics: Sequence[str], sort: str) -> pd.DataFrame:
    """Print the runs that fit: the parameters in which they differ, and some metrics; return them with all columns."""
    whole = runs_table(place)
    table = filtered(whole, where, model) if where else whole
    if sort:
        name = column_of(table, sort, model)
        table = table.sort_values(name, ascending=False, kind="stable")
    shown = [metric for name in metrics for metric in _of(whole, name, model)]
    names = varied(whole)
    rows = [
        [
            _short(row["run"]),
            *(str(row[name]) for name in names),
            *(_estimate(row, one) for one in shown),
            _seconds(row),
        ]
        for row in table.to_dict("records")
    ]
    heads = ["run", *names, *shown, "seconds"]
    _print(heads, rows, f"{len(table)} of {len(whole)} runs in {place}" if where else f"{len(table)} runs in {place}")
    return table


def show_comparison(place: Path, names: tuple[str, str], model: str) -> pd.DataFrame:
    """Print what two runs were told apart and how far their metrics differ; return the latter."""
    parameters, metrics = compare_runs(find_run(place, names[0]), find_run(place, names[1]))
    heads = [_short(name) for name in names]
    _print(["parameter", *heads], [[name, *map(str, row)] for name, *row in parameters.itertuples()], "Told apart")
    if model:
        metrics = metrics[metrics["metric"].str.rpartition(".")[0] == model]
        if not len(metrics):
            raise InputError(f"--model: found no metric of '{model}' in both runs; expected a model of theirs")
    rows = [
        [row["metric"], f"{row['first']:.4f}", f"{row['second']:.4f}", _difference(row)]
        for row in metrics.to_dict("records")
    ]
    _print(["metric", *heads, "first minus second"], rows, "95 % intervals: paired, by patient")
    return metrics


def _of(table: pd.DataFrame, name: str, model: str) -> list[str]:
    """The columns that a metric's name means: of one model, or of each."""
    if model or name in table:
        return [column_of(table, name, model)]
    every = [metric for metric in table.attrs["metrics"] if metric.rpartition(".")[2] == name]
    return every or [column_of(table, name)]


def _short(run: str) -> str:
    name = Path(run).name
    return name[:NAME] if len(name) == 32 else run


def _estimate(row: dict[Any, Any], metric: str) -> str:
    value, low, high = (row.get(name) for name in (metric, f"{metric}_low", f"{metric}_high"))
    if value is None or pd.isna(value):
        return "–"
    ends = f" ({low:.3f} to {high:.3f})" if low is not None and pd.notna(low) and high is not None else ""
    return f"{value:.3f}{ends}"


def _seconds(row: dict[Any, Any]) -> str:
    return f"{row['seconds']:.1f}" if pd.notna(row["seconds"]) else ""


def _difference(row: dict[Any, Any]) -> str:
    said = f"{row['difference']:+.4f}"
    return f"{said} ({row['paired']})" if row["paired"] else f"{said} ({row['low']:+.4f} to {row['high']:+.4f})"


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    table = Table(*(Column(printable(head), overflow="fold") for head in heads), title=printable(title))
    for row in rows:
        table.add_row(*map(printable, row))
    Console(markup=False, emoji=False, highlight=False).print(table)
