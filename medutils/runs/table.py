"""One row a run: its parameters, metrics with their intervals, seconds and versions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from medutils.errors import InputError
from medutils.files import explain, written_whole
from medutils.tables import few

RESULTS, POINT = "results.json", "point.json"
ENDS = ("low", "high")
OWN = ("run", "chapter", "data", "kind", "seconds")  # columns that are neither parameters nor metrics


def found_runs(place: Path) -> list[Path]:
    """The folders at or below `place` that hold a run's results.json; `InputError` where there is none."""
    if not place.is_dir():
        raise InputError(f"{place}: found no folder; expected one with runs in it")
    folders = sorted(path.parent for path in place.rglob(RESULTS))
    # What a sweep is writing just now lies in a hidden folder.
    shown = [folder for folder in folders if not any(part[0] == "." for part in folder.relative_to(place).parts)]
    if not shown:
        raise InputError(f"{place}: found no {RESULTS}, here or in a folder below; expected runs of chapters")
    return shown


def find_run(place: Path, name: str) -> Path:
    """The one run at or below `place` whose folder's name begins so; `InputError` where there is none or several."""
    named = {folder.relative_to(place).as_posix(): folder for folder in found_runs(place)}
    fitting = [path for path in named if path == name or Path(path).name.startswith(name)]
    if len(fitting) != 1:
        raise InputError(f"run '{name}': found {few(fitting)} in {place}; expected the beginning of one run's name")
    return named[fitting[0]]


def read_results(folder: Path) -> dict[str, Any]:
    """The results.json of a run; `InputError` when it is none."""
    path = folder / RESULTS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in ("parameters", "metrics", "versions", "data"):
            content[name].items()
        return dict(content)
    except OSError as error:
        raise explain(error, path) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: found no results of a run; expected JSON as a chapter writes it") from error


def runs_table(place: Path) -> pd.DataFrame:
    """The runs at or below `place`, a row each, in the order of their folders.

    Columns: `run`, the folder below `place`; `chapter`, `data`, `kind` and `seconds`; each parameter; each metric, with
    `<metric>_low` and `<metric>_high`; `version_<library>`. A cell is empty where a run has no such thing.
    `DataFrame.attrs` names the columns of `parameters` and `metrics`. Raises `InputError` for a file that is no
    results.json.
    """
    rows = [_row(folder, place) for folder in found_runs(place)]
    kinds = {kind: list(dict.fromkeys(name for row in rows for name in row[kind])) for kind in rows[0]}
    table = pd.DataFrame([{name: value for part in row.values() for name, value in part.items()} for row in rows])
    table = table[[name for names in kinds.values() for name in names]].astype(dict.fromkeys(kinds["metrics"], float))
    ends = {f"{name}_{end}" for name in kinds["metrics"] for end in ENDS}
    table.attrs = {
        "parameters": kinds["parameters"],
        "metrics": [name for name in kinds["metrics"] if name not in ends],
    }
    return table


def _row(folder: Path, place: Path) -> dict[str, dict[str, Any]]:
    """The cells of a run, by kind. Data of the user's own travelled under another path, which says nothing."""
    found = read_results(folder)
    own = {
        "run": folder.relative_to(place).as_posix(),
        "chapter": found.get("chapter"),
        "data": found["data"].get("name"),
        "kind": found["data"].get("kind"),
        "seconds": found.get("seconds"),
    }
    parameters = {name: value for name, value in found["parameters"].items() if name not in OWN}
    metrics = {}
    for name, estimate in found["metrics"].items():
        metrics[name] = estimate.get("value")
        metrics |= {f"{name}_{end}": estimate.get(end) for end in ENDS}
    versions = {f"version_{name}": version for name, version in found["versions"].items()}
    return {"own": own, "parameters": parameters, "metrics": metrics, "versions": versions}


def varied(table: pd.DataFrame) -> list[str]:
    """The parameters in which the runs of a table differ."""
    names: list[str] = table.attrs["parameters"]
    return [name for name in names if table[name].astype(str).nunique() > 1]


def column_of(table: pd.DataFrame, name: str, model: str = "") -> str:
    """The column that a name means: its own, or the one metric that ends with it, of `model` where that is given.

    Raises `InputError` for a name that means none, or several.
    """
    if name in table:
        return name
    base, _, end = name.rpartition("_")
    if base and end in ENDS:
        return f"{column_of(table, base, model)}_{end}"
    metrics: list[str] = table.attrs["metrics"]
    if model:
        fitting = [metric for metric in metrics if metric == f"{model}.{name}"]
    else:
        fitting = [metric for metric in metrics if metric.rpartition(".")[2] == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f"{name}: found that metric of {len(fitting)} models ({few(fitting)}); expected one of them, or --model"
        )
    known = [*OWN, *table.attrs["parameters"], *metrics]
    raise InputError(f"{name}: found no parameter and no metric of that name; expected one of {few(known, 12)}")


def export(table: pd.DataFrame, csv: Path | None = None, parquet: Path | None = None) -> None:
    """Write a table to files, whole or not at all."""
    if csv:
        with written_whole(csv) as part:
            table.to_csv(part, index=False)
    if parquet:
        with written_whole(parquet) as part:
            _one_kind_a_column(table).to_parquet(part, index=False)


def _one_kind_a_column(table: pd.DataFrame) -> pd.DataFrame:
    """Parquet knows one type a column: text where the runs of several chapters have no other one in common."""
    mixed: Mapping[str, Any] = {
        name: values.map(lambda value: None if value is None else str(value))
        for name, values in table.items()
        if values.dtype == object
    }
    plain = table.assign(**mixed)
    plain.attrs = {}
    return plain
