"""What a run of a chapter finds, gathered as it goes: results.json, predictions.csv and the tables that compare."""

import json
import math
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medutils import NOT_FOR_CLINICAL_USE, __version__
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.evaluation import Estimate, Task, compare, difference_of_differences, evaluate, one_against_rest
from medutils.evidence.claims import load_reported, reported_values
from medutils.evidence.reference import Numbers, load_reference, look_up, real_numbers
from medutils.evidence.status import status
from medutils.evidence.words import Clause, far_from_real, on_both, on_phantoms, other_than_real
from medutils.files import explain, sha256, write_json, write_text
from medutils.tables import check_predictions
from medutils.told import Told

LIBRARIES = ("torch", "torchvision", "timm", "fastai", "scikit-learn", "numpy", "pandas")
PARTS = ("value", "low", "high")
NAME = re.compile(r"[\w.-]+")


@dataclass
class Results:
    """What a run of a chapter found, gathered as the chapter goes and written at its end.

    parameters: of the run; `resamples` and `seed` are used for every interval
    task: what is predicted; tables of more classes are held against its positive one, as that one against the rest
    """

    chapter: str
    parameters: dict[str, Any]
    located: Located
    task: Task
    metrics: dict[str, Estimate] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    predictions: list[pd.DataFrame] = field(default_factory=list)
    split: pd.DataFrame | None = None
    started: float = field(default_factory=time.monotonic)
    data: dict[str, str] = field(init=False)  # name, kind and content hash, taken before anything is computed

    def __post_init__(self) -> None:
        try:
            digest = sha256(self.located.path)
        except OSError as error:
            raise explain(error, self.located.path) from error
        self.data = {"name": self.located.name, "kind": self.located.kind, "sha256": digest}

    @property
    def on_what(self) -> str:
        """`phantom` or `real data`, to stand on every table and figure."""
        return "phantom" if self.located.kind == "phantom" else "real data"

    @property
    def numbers(self) -> Numbers:
        """The numbers of this run so far."""
        return Numbers(self.as_dict())

    def tell(self, clause: Clause, difference: str = "", share: str = "", needs: str = "") -> Told:
        """A result told of the reference run, then of this run, with a warning where the two disagree.

        difference: a metric that is a difference; in this run it may lie on another side of 0 than on real data
        share: an experiment's number between 0 and 1; in this run it may lie far from that of real data
        needs: a metric, or the path of an experiment's number, that a run may lack, because what it is of was not asked
            for: nothing is told of such a run
        """
        real, run = real_numbers(self.chapter), self.numbers
        text = on_both(clause, real, run, self.on_what, needs)
        if difference:
            text += other_than_real(real.metric(difference), run.metric(difference), self.on_what)
        if share:
            text += far_from_real(real.number(share), run.number(share), self.on_what)
        return text

    def tell_of_phantoms(self, clause: Clause, needs: str) -> Told:
        """A result of phantom studies told of both runs: the reference run's, too, is no evidence about patients."""
        return on_phantoms(clause, real_numbers(self.chapter), self.numbers, needs)

    def evaluate(
        self, table: pd.DataFrame, split: str, threshold: float | str | None = None, resamples: int | None = None
    ) -> dict[str, Estimate]:
        """All metrics of a predictions table, by the run's own parameters; nothing is kept.

        `threshold` is a number or the name of a column; when it is not given, the run's parameter
        `threshold`, or else the table's column of that name, or else 0.5.
        """
        resamples = self.parameters["resamples"] if resamples is None else resamples
        table = self._of_task(table)
        cut = self._threshold(table, threshold)
        return evaluate(table, self.task, split, cut, resamples, self.parameters["seed"])

    def judge(
        self, model: str, table: pd.DataFrame, split: str, threshold: float | str | None = None, keep_rows: bool = True
    ) -> dict[str, Estimate]:
        """Evaluate a predictions table; keep its metrics as `model.metric`, and its rows for predictions.csv."""
        found = self.evaluate(table, split, threshold)
        self.add(model, found)
        if keep_rows:
            self.predictions.append(check_predictions(table.assign(model=model, rows=split)))
        return found

    def difference(
        self, first: pd.DataFrame, second: pd.DataFrame, split: str, threshold: float | str | None = None
    ) -> dict[str, Estimate]:
        """`first` minus `second` in each metric, paired by patient; nothing is kept."""
        one, two = self._of_task(first), self._of_task(second)
        cut = self._threshold(one, threshold)
        return compare(one, two, self.task, split, cut, self.parameters["resamples"], self.parameters["seed"])

    def compare(
        self, name: str, first: pd.DataFrame, second: pd.DataFrame, split: str, threshold: float | str | None = None
    ) -> dict[str, Estimate]:
        """The same, kept as `name.metric`."""
        found = self.difference(first, second, split, threshold)
        self.add(name, found)
        return found

    def contrast(
        self,
        name: str,
        first: tuple[pd.DataFrame, pd.DataFrame],
        second: tuple[pd.DataFrame, pd.DataFrame],
        split: str,
    ) -> dict[str, Estimate]:
        """How far the difference within `first` exceeds that within `second`; kept as `name.metric`."""
        (a, b), (c, d) = (tuple(map(self._of_task, pair)) for pair in (first, second))
        cut, resamples = self._threshold(a, None), self.parameters["resamples"]
        found = difference_of_differences((a, b), (c, d), self.task, split, cut, resamples, self.parameters["seed"])
        self.add(name, found)
        return found

    def add(self, name: str, metrics: Mapping[str, Estimate]) -> None:
        """Keep metrics as `name.metric`. Names are no display text: letters, digits, `_`, `-` and `.`."""
        self.metrics |= {f"{_name(name)}.{metric}": estimate for metric, estimate in metrics.items()}

    def experiment(self, name: str, **numbers: Any) -> None:
        """Keep the numbers of one experiment."""
        self.experiments[_name(name)] = numbers

    def as_dict(self) -> dict[str, Any]:
        """The content of results.json."""
        return _plain(
            {
                "notice": NOT_FOR_CLINICAL_USE,
                "chapter": self.chapter,
                "profile": self.parameters["profile"],
                "data": self.data,
                "parameters": {name: value for name, value in self.parameters.items() if name != "out"},
                "seed": self.parameters["seed"],
                "versions": {
                    "python": platform.python_version(),
                    "medutils": __version__,
                    **{library: version(library) for library in LIBRARIES},
                },
                "seconds": round(time.monotonic() - self.started, 1),
                "metrics": {name: asdict(estimate) for name, estimate in self.metrics.items()},
                "experiments": self.experiments,
            }
        )

    def write(self, out: str) -> None:
        """Write results.json, predictions.csv and the split, if there is one, into `out`; nothing when it is empty."""
        if not out:
            return
        none = pd.DataFrame(columns=["record_id", "patient", "y_true", "model", "rows"])
        table = pd.concat(self.predictions, ignore_index=True) if self.predictions else none
        write_text(Path(out) / "predictions.csv", table.to_csv(index=False, float_format="%.6g"))
        if self.split is not None:
            from medutils.data.splits import save_split

            save_split(self.split, Path(out) / "split.json")
        write_json(Path(out) / "results.json", self.as_dict())

    def ledger(self) -> pd.DataFrame:
        """Every number the write-ups state beside ours; see `ledger`."""
        return ledger(self.chapter, self.as_dict())

    def against_reference(
        self, names: Mapping[str, str] | Sequence[str], claims: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Numbers of the reference run and of this run: a row a name, `reference`, `run`, each with `_low` and `_high`.

        names: metrics, or paths into results.json; a mapping gives each row the name it is to have
        claims: by the name of a row, the claim whose number stands beside it in the column `reported`, as a share
        """
        return _beside(self.chapter, names, claims or {}, {"run": self.as_dict()})

    def _of_task(self, table: pd.DataFrame) -> pd.DataFrame:
        return one_against_rest(table, self.task.positive) if self.task.kind == "binary" else table

    def _threshold(self, table: pd.DataFrame, given: float | str | None) -> float | str:
        if given is not None:
            return given
        return self.parameters.get("threshold", "threshold" if "threshold" in table else 0.5)


def ledger(chapter: str, run: dict[str, Any] | None = None) -> pd.DataFrame:
    """Every number a chapter's write-ups state, what the reference run gave, and what `run`, a results.json, gave.

    A row a claim, named by its id. Columns: `what`, `unit`, `section` and `words` of the write-up, `reported` (as it
    was written), `reference` and `run` (a number or a list), each with `_low` and `_high` where there is an interval,
    and the `status` of the reported number against the reference run with its `reason`; see `medutils.evidence.status`.
    """
    reference = load_reference(chapter)
    rows = {}
    for claim in load_reported(chapter).claims:
        found = status(claim, reference)
        sides = _side_by_side({"reference": reference, "run": run}, claim.result or "")
        told = {name: getattr(claim, name) for name in ("what", "unit", "section", "words")} | {"reported": claim.value}
        rows[claim.id] = told | sides | {"status": found.word, "reason": found.reason}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")


def reported_and_reference(chapter: str, names: Mapping[str, str], claims: Mapping[str, str]) -> pd.DataFrame:
    """Numbers of a chapter's reference run beside reported ones, without a run; see `Results.against_reference`."""
    return _beside(chapter, names, claims, {})


def _beside(
    chapter: str, names: Mapping[str, str] | Sequence[str], claims: Mapping[str, str], more: dict[str, Any]
) -> pd.DataFrame:
    runs = {"reference": load_reference(chapter), **more}
    named = names if isinstance(names, Mapping) else {name: name for name in names}
    paths = {row: name if "/" in name else f"metrics/{name}" for row, name in named.items()}
    table = pd.DataFrame.from_dict({row: _side_by_side(runs, path) for row, path in paths.items()}, orient="index")
    if claims:
        told = reported_values(chapter)
        table.insert(0, "reported", [told[claims[row]] if row in claims else math.nan for row in table.index])
    return table


def _side_by_side(runs: Mapping[str, dict[str, Any] | None], path: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, results in runs.items():
        found = look_up(results, path) if path else None
        value = found if isinstance(found, dict) else {"value": found}
        row |= {name if part == "value" else f"{name}_{part}": value.get(part) for part in PARTS}
    return row


def shown(table: pd.DataFrame, on_what: str = "") -> pd.DataFrame:
    """A table of `ledger` or `against_reference` as text, to be read: numbers with their intervals, a dash for none.

    on_what: what this run was made from; without it there is no column of this run
    """
    columns = {"reference": "Reference run (real data)"} | ({"run": f"This run ({on_what})"} if on_what else {})
    units = table["unit"] if "unit" in table else pd.Series("", table.index)
    text = pd.DataFrame(
        {
            words: [_text(*numbers) for numbers in zip(*(table[part] for part in _parts(side)), units, strict=True)]
            for side, words in columns.items()
        },
        table.index,
    )
    if "status" in table:
        text.insert(0, "Reported", [_as_written(*pair) for pair in zip(table["reported"], units, strict=True)])
        text = text.assign(Status=table["status"], Because=table["reason"]).set_axis(table["what"])
    return text.rename_axis(None)


def _parts(side: str) -> tuple[str, str, str]:
    return side, f"{side}_low", f"{side}_high"


def _text(value: Any, low: Any, high: Any, unit: str) -> str:
    """A number of ours; a share is shown in percent where the write-up does so."""
    if isinstance(value, list):
        return _listed(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str):
        return value
    by = 100 if unit == "%" else 1
    number = f"{by * value:.4g}" if unit not in ("rows", "films") else f"{value:.12g}"
    if low is None or math.isnan(low):
        return f"{number} {unit}".strip()
    return f"{by * value:.3f} ({by * low:.3f} to {by * high:.3f})" if by == 1 else f"{number} {unit}"


def _as_written(value: Any, unit: str) -> str:
    """What was reported, to the digit."""
    if value == []:
        return "left blank"
    return f"{_listed(value) if isinstance(value, list) else f'{value:.12g}'} {unit}".strip()


def _listed(value: list[Any]) -> str:
    text = re.sub(r"\.0\b", "", json.dumps(value))
    return text if len(text) <= 48 else f"{' × '.join(map(str, np.shape(value)))} numbers"


def table_of(metrics: Mapping[str, Mapping[str, Estimate]], names: Sequence[str]) -> pd.DataFrame:
    """Models in the rows, metrics in the columns, each with its interval."""
    return pd.DataFrame({name: {model: str(found[name]) for model, found in metrics.items()} for name in names})


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(f"results: found the name '{name}'; expected letters, digits, '_', '-' and '.'")
    return name


def _plain(value: Any) -> Any:
    """The same with NumPy's numbers as Python's and NaN as null, which is all that JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
