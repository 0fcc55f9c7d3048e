"""What was reported, what the reference run gave, what this run gives: results.json and the table of three columns."""

import json
import math
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medutils import NOT_FOR_CLINICAL_USE, __version__
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.evaluation import Estimate, binary, compare, evaluate
from medutils.files import BOOK, explain, sha256, write_json, write_text, written_whole
from medutils.tables import check_predictions

LIBRARIES = ("torch", "torchvision", "timm", "fastai", "scikit-learn", "numpy", "pandas")


class Claim(BaseModel):
    """One number a write-up states, the words that state it, and the result of ours that answers it, if one does.

    `result` is a path into results.json, such as `metrics/mlp.f1`. A `unit` of `%` means that ours, a share between 0
    and 1, is shown times 100.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    what: str
    value: float | list[float] | list[list[float]]
    unit: str = ""
    section: str
    words: str
    result: str | None = None


class Reported(BaseModel):
    """All the numbers of one write-up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    write_up: str
    title: str
    claims: list[Claim]


def reported_path(chapter: str) -> Path:
    """Where the numbers that a chapter's write-ups state lie."""
    return BOOK / "reported" / f"{chapter}.yaml"


def load_reported(chapter: str) -> Reported:
    """Read and check `book/reported/<chapter>.yaml`."""
    path = reported_path(chapter)
    try:
        return Reported.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def reported(chapter: str, claim: str) -> Claim:
    """One claim of a write-up, by its id."""
    return next(entry for entry in load_reported(chapter).claims if entry.id == claim)


def reported_value(chapter: str, claim: str) -> float:
    """The number of one claim, as a share when it is given in percent."""
    found = reported(chapter, claim)
    if not isinstance(found.value, float):
        raise TypeError(f"{claim} is not a single number")
    return found.value / 100 if found.unit == "%" else found.value


def reported_values(chapter: str) -> dict[str, Any]:
    """All the numbers of a chapter's claims by id, those in percent as shares."""
    claims = load_reported(chapter).claims
    return {
        claim.id: claim.value / 100 if claim.unit == "%" and isinstance(claim.value, float) else claim.value
        for claim in claims
    }


def reference_path(chapter: str) -> Path:
    """Where the results of our own run on real data lie."""
    return BOOK / "reference" / f"{chapter}.json"


def load_reference(chapter: str) -> dict[str, Any] | None:
    """The results of our own run on real data, or None when there was none yet."""
    path = reference_path(chapter)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


@dataclass
class Results:
    """What a run of a chapter found, gathered as the chapter goes and written at its end as results.json."""

    chapter: str
    parameters: dict[str, Any]
    located: Located
    metrics: dict[str, Estimate] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    predictions: list[pd.DataFrame] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    data: dict[str, str] = field(init=False)  # name, kind and content hash, taken before anything is computed

    def __post_init__(self) -> None:
        try:
            digest = sha256(self.located.path)
        except OSError as error:
            raise explain(error, self.located.path) from error
        self.data = {"name": self.located.name, "kind": self.located.kind, "sha256": digest}

    def add(self, model: str, metrics: dict[str, Estimate]) -> None:
        """Keep the metrics of one model under `model.metric`."""
        self.metrics |= {f"{model}.{name}": estimate for name, estimate in metrics.items()}

    def judge(self, model: str, table: pd.DataFrame, split: str) -> dict[str, Estimate]:
        """Evaluate a predictions table by the run's own parameters; keep its metrics and its rows under `model`."""
        p = self.parameters
        found = evaluate(table, binary(p["positive"]), split, p["threshold"], p["resamples"], p["seed"])
        self.add(model, found)
        self.predict(table, model=model, rows=split)
        return found

    def compare(self, name: str, first: pd.DataFrame, second: pd.DataFrame, split: str) -> dict[str, Estimate]:
        """Compare two predictions tables, paired by patient, by the run's own parameters; keep the differences."""
        p = self.parameters
        found = compare(first, second, binary(p["positive"]), split, p["threshold"], p["resamples"], p["seed"])
        self.add(name, found)
        return found

    def experiment(self, name: str, **numbers: Any) -> None:
        """Keep the numbers of one experiment."""
        self.experiments[name] = numbers

    def predict(self, table: pd.DataFrame, **columns: str) -> None:
        """Keep a predictions table for predictions.csv, with columns that say which model and which rows these are."""
        self.predictions.append(check_predictions(table.assign(**columns)))

    @property
    def on_what(self) -> str:
        """`phantom` or `real data`, to stand on every table and figure."""
        return "phantom" if self.located.kind == "phantom" else "real data"

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
        """Write results.json, predictions.csv and `files` into the folder `out`; nothing when `out` is empty."""
        if not out:
            return
        table = pd.concat(self.predictions, ignore_index=True)
        write_text(Path(out) / "predictions.csv", table.to_csv(index=False, float_format="%.6g"))
        for name, content in self.files.items():
            with written_whole(Path(out) / name) as part:
                part.write_bytes(content)
        write_json(Path(out) / "results.json", self.as_dict())

    def against_reported(self) -> pd.DataFrame:
        """The three columns for every claim: reported, reference run, this run; a dash where nothing answers it."""
        reference, mine = load_reference(self.chapter), self.as_dict()
        rows = [
            (claim.what, _show(claim.value, claim), _answer(reference, claim), _answer(mine, claim))
            for claim in load_reported(self.chapter).claims
        ]
        columns = ["", "Reported", "Reference run (real data)", f"This run ({self.on_what})"]
        return pd.DataFrame(rows, columns=columns).set_index("").rename_axis(None)

    def against_reference(self, names: Mapping[str, str]) -> pd.DataFrame:
        """Numbers of the reference run and of this run, metrics with their intervals; `names` gives each its words.

        A name is that of a metric, or a path into results.json.
        """
        runs = {"Reference run (real data)": load_reference(self.chapter), f"This run ({self.on_what})": self.as_dict()}
        claims = {
            words: Claim(
                id=name, what=words, value=0, section="", words="", result=name if "/" in name else f"metrics/{name}"
            )
            for name, words in names.items()
        }
        return pd.DataFrame(
            {run: {words: _answer(found, claim) for words, claim in claims.items()} for run, found in runs.items()}
        )


def table_of(metrics: dict[str, dict[str, Estimate]], names: list[str]) -> pd.DataFrame:
    """Models in the rows, metrics in the columns, each with its interval."""
    return pd.DataFrame({name: {model: str(found[name]) for model, found in metrics.items()} for name in names})


def _answer(results: dict[str, Any] | None, claim: Claim) -> str:
    """What a results.json has to say to a claim: a number, with its interval when it has one."""
    if not claim.result:
        return "–"
    if results is None:
        return "not run yet"
    found: Any = results
    for key in claim.result.split("/"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return "not run"
    if isinstance(found, dict):
        value, low, high = (
            "undefined" if found[key] is None else f"{found[key]:.3f}" for key in ("value", "low", "high")
        )
        return f"{value} ({low} to {high})"
    return _show(found, claim, ours=True)


def _show(value: Any, claim: Claim, ours: bool = False) -> str:
    if value == []:
        return "left blank"
    if isinstance(value, list):
        text = re.sub(r"\.0\b", "", json.dumps(value))
        size = " × ".join(map(str, np.shape(value)))
        return text if len(text) <= 48 else f"{size} numbers"
    if value is None:
        return "undefined"
    number = value * 100 if ours and claim.unit == "%" else value
    # What was reported stands as it was written.
    text = f"{number:.4g}" if ours and claim.unit not in ("rows", "films") else f"{number:.12g}"
    return f"{text} {claim.unit}".strip()


def _plain(value: Any) -> Any:
    """The same with NumPy's numbers as Python's and NaN as null, which is all that JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
