"""Reference outputs of a notebook's smoke run: what it prints, and the numbers of its results.json.

`make references` renews them and shows what changed. papermill's parameters are not known to nbval, which compares what
is printed: a copy of the notebook is prepared with them, the kept outputs are laid into it by cell id, and nbval runs
that copy. The numbers that copy writes are compared here, each with the tolerance of its metric.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill

from medutils.chapters import all_chapters, resolve
from medutils.files import write_json
from medutils.run import run_chapter

HERE = Path(__file__).parent
GIVEN = {"data": "phantom"}
# Pictures are not compared, and plotly figures only by their text alternative.
COMPARED = ("text/plain", "text/markdown", "text/html")
PARTS = ("chapter", "profile", "parameters", "metrics", "experiments")  # of results.json: what a machine has no part in

# How far a number with a fraction may lie from the kept one: by the first pattern that its name fits. Whole numbers
# count something and are held exactly. Measured with both chapters, once with this processor's instructions and once
# with those of 2008 alone (ATEN_CPU_CAPABILITY=default, SSE 4.2 for oneDNN, MKL, OpenBLAS and NumPy): no decision was
# another one; losses and Brier scores moved by at most 0.00011; areas, in which a network that has hardly learned
# ranks films by their last digits, by at most 0.011.
TOLERANCES = (
    (r"\bseconds\b", math.inf),
    (r"auroc|auprc|feature_sets|permutation_importance", 0.02),
    (r"loss|brier", 0.001),
    (r"", 0.005),
)


@dataclass(frozen=True)
class Reference:
    """A notebook, what it must print and the numbers that it must find.

    prints: the file of outputs by cell id, each with the source of its cell
    results: the file of what results.json held
    """

    notebook: Path
    parameters: Mapping[str, Any]
    prints: Path
    results: Path


def reference(chapter: str) -> Reference:
    """That of a chapter, on the smoke profile and the phantom."""
    parameters = resolve(chapter, GIVEN, "smoke").model_dump()
    files = (HERE / f"{chapter}.json", HERE / f"{chapter}.results.json")
    return Reference(all_chapters()[chapter].notebook, parameters, *files)


# --- numbers ----------------------------------------------------------------------------------------------------------


def leaves(results: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value of nested results, by its name with dots."""
    if isinstance(results, Mapping | list):
        items = results.items() if isinstance(results, Mapping) else enumerate(results)
        for key, value in items:
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, results


def without_seconds(results: Any) -> Any:
    """Results without the times in them, which are others in every run."""
    if isinstance(results, list):
        return [without_seconds(value) for value in results]
    if isinstance(results, Mapping):
        return {name: without_seconds(value) for name, value in results.items() if name != "seconds"}
    return results


def tolerance(name: str, kept: Any) -> float:
    """How far a number of this name may lie from the kept one."""
    by_name = next(allowed for pattern, allowed in TOLERANCES if re.search(pattern, name))
    return by_name if isinstance(kept, float) or math.isinf(by_name) else 0.0


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> pd.DataFrame:
    """What differs by more than its tolerance: `name`, `old`, `new`, `tolerance`; missing on one side is None."""
    before, after = (dict(leaves({part: results.get(part) for part in PARTS})) for results in (old, new))
    rows = []
    for name in dict.fromkeys([*before, *after]):
        one, two, allowed = before.get(name), after.get(name), tolerance(name, before.get(name))
        there = name in before and name in after
        if not math.isinf(allowed) and not (there and _alike(one, two, allowed)):
            rows.append((name, one, two, allowed))
    return pd.DataFrame(rows, columns=["name", "old", "new", "tolerance"])


def _alike(one: Any, two: Any, allowed: float) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (one, two)]
    return abs(one - two) <= allowed + 1e-12 if all(numbers) else one == two


# --- prints -----------------------------------------------------------------------------------------------------------


def key(cell: nbformat.NotebookNode) -> str:
    return "injected" if "injected-parameters" in cell.metadata.get("tags", []) else cell.id


def kept_outputs(notebook: nbformat.NotebookNode) -> dict[str, dict[str, Any]]:
    """What is kept of a run: for each code cell its source and its outputs, less pictures."""
    kept = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and key(cell) != "injected":
            assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.outputs
            for output in cell.outputs:
                if "data" in output:
                    output["data"] = {form: text for form, text in output["data"].items() if form in COMPARED}
            kept[key(cell)] = {"source": cell.source, "outputs": cell.outputs}
    return kept


def faults(asked: Reference, folder: Path) -> str:
    """Run a notebook once, in `folder`, and say what it prints or finds that it should not; empty when all is well."""
    kept, results = (json.loads(path.read_text(encoding="utf-8")) for path in (asked.prints, asked.results))
    parameters = {**asked.parameters, "out": str(folder)}
    notebook = papermill.execute_notebook(
        asked.notebook, folder / "prepared.ipynb", parameters, prepare_only=True, progress_bar=False
    )
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code" and key(cell) != "injected"):
        if kept.get(key(cell), {}).get("source") != cell.source:
            return f"cell {key(cell)} changed since its outputs were kept: run `make references`, and look at them"
        cell.outputs = [nbformat.from_dict(output) for output in kept[key(cell)]["outputs"]]
        cell.execution_count = 1
    nbformat.write(notebook, folder / asked.notebook.name)
    printed = _nbval(folder, asked.notebook.name)
    found = folder / "results.json"
    if not found.is_file():
        return printed or f"{asked.notebook.name}: found no results.json after its run"
    differ = changes(results, json.loads(found.read_text()))
    return "\n".join([*([printed] if printed else []), *([differ.to_string()] if len(differ) else [])])


def _nbval(folder: Path, notebook: str) -> str:
    """What nbval says of a notebook whose outputs are not what they should be."""
    command = [sys.executable, "-m", "pytest", "--nbval", f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}", notebook],
        cwd=folder,
        env={**os.environ, "MEDUTILS_RENDERER": "text"},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"pytest ended with {done.returncode}\n{done.stderr[-2000:]}{done.stdout[-6000:]}" if done.returncode else ""


# --- renewal ----------------------------------------------------------------------------------------------------------


def renew(chapter: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep what a chapter prints and finds now; the numbers that changed as a table, and the cells that print anew."""
    asked = reference(chapter)
    with tempfile.TemporaryDirectory() as folder:
        run_chapter(chapter, GIVEN, Path(folder), "smoke", progress=sys.stderr.isatty(), renderer="text")
        executed = nbformat.read(Path(folder) / "notebook.ipynb", 4)
        found = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    old, printed = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {} for path in (asked.results, asked.prints)
    )
    outputs = kept_outputs(executed)
    write_json(asked.prints, outputs)
    write_json(asked.results, without_seconds({part: found[part] for part in PARTS}))
    return changes(old, found), [cell for cell, kept in outputs.items() if printed.get(cell) != kept]


def main() -> None:
    """Renew the references of the chapters named, or of all; say what changed."""
    for chapter in sys.argv[1:] or all_chapters():
        table, cells = renew(chapter)
        print(f"{chapter}: {len(table)} numbers changed by more than their tolerance")
        if len(table):
            print(table.to_string(index=False))
        print(f"{chapter}: {len(cells)} cells print or are written anew: {', '.join(cells) or 'none'}")


if __name__ == "__main__":
    main()
