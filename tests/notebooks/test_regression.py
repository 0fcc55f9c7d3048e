"""Every chapter, on the smoke profile and the phantom, prints and finds what it did when its references were kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import papermill
import pytest
import references

from medutils.chapters import all_chapters

FILES = {
    "constants.py": 'RATE = 0.5\nLABEL = "F1"\n',
    "cell": """
import json
from pathlib import Path
import numpy as np
from constants import LABEL, RATE
score = RATE + np.random.default_rng(seed).normal() / 10
print(LABEL)
found = {"metrics": {"network.f1": {"value": score, "n": 310}}, "experiments": {"training": {"seconds": score}}}
Path(out, "results.json").write_text(json.dumps(found))
""",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> references.Reference:
    """A small notebook over a module of its own, and what it printed and found."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "constants.py").write_text(FILES["constants.py"])
    cells = [nbformat.v4.new_code_cell('seed = 0\nout = ""', metadata={"tags": ["parameters"]}, id="given")]
    cells.append(nbformat.v4.new_code_cell(FILES["cell"].strip(), id="work"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "small.ipynb")
    given = {"seed": 0, "out": str(folder)}
    executed = papermill.execute_notebook(
        folder / "small.ipynb", folder / "run.ipynb", given, cwd=folder, progress_bar=False
    )
    (folder / "prints.json").write_text(json.dumps(references.kept_outputs(executed)))
    return references.Reference(folder / "small.ipynb", {"seed": 0}, folder / "prints.json", folder / "results.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constants", "seed", "said"),
    [
        (("", ""), 0, ""),
        (("", ""), 1, "metrics.network.f1.value"),
        (("0.5", "0.53"), 0, "metrics.network.f1.value"),
        (('"F1"', '"F-score"'), 0, "F-score"),
    ],
    ids=["nothing changed", "a changed seed", "a changed constant", "a renamed label"],
)
def test_what_changed_is_found(kept: references.Reference, tmp_path: Path, constants, seed: int, said: str):
    (tmp_path / "constants.py").write_text(FILES["constants.py"].replace(*constants))
    found = references.faults(replace(kept, parameters={"seed": seed}), tmp_path)
    assert said in found if said else found == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda results: results["metrics"]["mlp.auroc"].update(value=0.5), ["metrics.mlp.auroc.value"]),
        (lambda results: results["metrics"]["mlp.auroc"].update(n=61), ["metrics.mlp.auroc.n"]),
        (lambda results: results["metrics"].update(new={"value": 1.0}), ["metrics.new.value"]),
        (lambda results: results["parameters"].update(dropout=0.2), ["parameters.dropout"]),
        (lambda results: results["metrics"]["mlp.brier"].update(value=0.1719), []),
        (lambda results: results["experiments"]["training"].update(seconds=99.5), []),
        (lambda results: results["metrics"]["mlp.auroc"].update(split="test"), ["metrics.mlp.auroc.split"]),
    ],
    ids=["a metric", "a count", "a number that is new", "a parameter", "another machine", "seconds", "words"],
)
def test_numbers_are_held_to_the_tolerance_of_their_metric(change, found: list[str]):
    old = json.loads(references.reference("spine_mlp").results.read_text())
    new = json.loads(json.dumps(old))
    change(new)
    assert references.changes(old, new)["name"].tolist() == found


def test_renewed_references_are_kept_and_what_changed_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(_: str, __: dict, out: Path, *___, **____) -> None:
        nbformat.write(nbformat.v4.new_notebook(), out / "notebook.ipynb")
        (out / "results.json").write_text(json.dumps(new))

    old = json.loads(references.reference("spine_mlp").results.read_text())
    new = json.loads(json.dumps(old)) | {"seconds": 1}
    new["metrics"]["mlp.auroc"]["value"] = 0.25
    shutil.copy(references.reference("spine_mlp").results, tmp_path)
    monkeypatch.setattr(references, "HERE", tmp_path)
    monkeypatch.setattr(references, "run_chapter", run)
    table, cells = references.renew("spine_mlp")
    [row] = table.to_dict("records")
    assert cells == []
    assert (row["name"], row["new"]) == ("metrics.mlp.auroc.value", 0.25)
    assert row["old"] == old["metrics"]["mlp.auroc"]["value"]
    assert json.loads((tmp_path / "spine_mlp.results.json").read_text())["metrics"] == new["metrics"]


def test_a_regression_that_did_not_run_is_a_fault(tmp_path: Path):
    assert "pytest ended with 4" in references._nbval(tmp_path, "absent.ipynb")


@pytest.mark.slow
@pytest.mark.parametrize("name", all_chapters())
def test_a_chapter_prints_and_finds_what_it_did(name: str, tmp_path: Path):
    found = references.faults(references.reference(name), tmp_path)
    assert not found, found


@pytest.mark.slow
def test_a_chapter_with_another_seed_is_not_what_was_kept(tmp_path: Path):
    asked = references.reference("spine_mlp")
    found = references.faults(replace(asked, parameters={**asked.parameters, "seed": 1}), tmp_path)
    assert " failed" in found  # what is printed
    assert "metrics.mlp.log_loss.value" in found  # and a number
