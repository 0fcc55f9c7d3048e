"""What our own runs on real data gave: a reference run a chapter, and what was added to it in parts."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medutils.errors import InputError
from medutils.evaluation import Estimate
from medutils.files import BOOK, explain

NUMBERS = ("metrics", "experiments")


def reference_path(chapter: str, part: str = "") -> Path:
    """Where the results of a chapter's reference run lie, or those of a part that was run for itself."""
    return BOOK / "reference" / f"{chapter}{f'.{part}' if part else ''}.json"


def reference_paths(chapter: str) -> list[Path]:
    """The files that hold a chapter's reference run: the run, then its parts by name; those that are there."""
    whole = reference_path(chapter)
    parts = sorted(whole.parent.glob(f"{chapter}.*.json"))
    return [path for path in (whole, *parts) if path.is_file()]


def load_reference(chapter: str) -> dict[str, Any] | None:
    """The results of our own runs on real data, or None when there was none yet.

    Metrics and experiments of parts stand among those of the run, a further model's numbers within an experiment too;
    `parts` holds each part's own parameters, versions, seconds and data. Raises `InputError` when a part has a number
    that is there already, or is not of real data.
    """
    found: dict[str, Any] | None = None
    for path in reference_paths(chapter):
        content = _read(path)
        if found is None:
            found = content | {"parts": {}}
            continue
        for kind in NUMBERS:
            found[kind] = _joined(found[kind], content[kind], kind, path)
        found["parts"][path.stem.partition(".")[2]] = {
            name: value for name, value in content.items() if name not in NUMBERS
        }
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind, numbers = content["data"]["kind"], [content[name] for name in NUMBERS]
    except OSError as error:
        raise explain(error, path) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: found no results of a run; expected JSON as results.json holds it") from error
    if kind != "real":
        raise InputError(f"{path}: found results of a {kind}; expected those of real data")
    if not all(isinstance(part, dict) for part in numbers):
        raise InputError(f"{path}: found {' or '.join(NUMBERS)} without names; expected numbers by name")
    return content


def _joined(there: Any, more: Any, key: str, path: Path) -> Any:
    if not (isinstance(there, dict) and isinstance(more, dict)):
        raise InputError(f"{path}: found {key}, which another reference run gives; expected it once")
    both = sorted(there.keys() & more.keys())
    return there | more | {name: _joined(there[name], more[name], f"{key}/{name}", path) for name in both}


def new_numbers(results: dict[str, Any], reference: dict[str, Any], only: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a results.json, of its numbers only those that a reference run does not have yet.

    only: how the names of those that are kept begin; none for all
    """
    starts = tuple(only) or ("",)
    asked = {kind: {name: one for name, one in results[kind].items() if name.startswith(starts)} for kind in NUMBERS}
    return results | {kind: _not_in(reference[kind], asked[kind]) for kind in NUMBERS}


def _not_in(there: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    within = {
        name: _not_in(there[name], value)
        for name, value in more.items()
        if isinstance(value, dict) and isinstance(there.get(name), dict)
    }
    return {name: within.get(name, value) for name, value in more.items() if name not in there or within.get(name)}


def look_up(results: dict[str, Any] | None, path: str) -> Any:
    """What lies at a path into results.json, such as `metrics/mlp.f1`; None when it is not there.

    A part of the path may be a number, the place in a list.
    """
    found: Any = results
    for key in path.split("/"):
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and re.fullmatch(r"\d+", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


@dataclass(frozen=True)
class Numbers:
    """The numbers of a run, for prose, tables and figures: of a reference run, or of the run at hand.

    A number that was not measured is NaN, and a list of such numbers is empty: a reference run is made by the very
    notebook that shows it, so that a new experiment must be able to run before it has a reference.
    """

    results: dict[str, Any]

    def metric(self, name: str) -> Estimate:
        """A metric with its interval, by its name in results.json, such as `mlp_nested.f1`."""
        found = look_up(self.results, f"metrics/{name}")
        return Estimate(**found) if found else Estimate(math.nan, math.nan, math.nan, 0, "not measured")

    def number(self, path: str) -> float:
        """A number of an experiment, by its path below `experiments`, such as `ten_rows/chance`."""
        found = look_up(self.results, f"experiments/{path}")
        return math.nan if found is None else float(found)

    def numbers(self, path: str) -> list[Any]:
        """A list of an experiment."""
        return look_up(self.results, f"experiments/{path}") or []

    def names(self, path: str) -> Sequence[str]:
        """The names of what lies at a path of the experiments, in the order in which it was kept."""
        return tuple(look_up(self.results, f"experiments/{path}") or ())


def real_numbers(chapter: str) -> Numbers:
    """Those of a chapter's reference run, on real data; of a chapter that has none yet, all of them NaN."""
    return Numbers(load_reference(chapter) or {})
