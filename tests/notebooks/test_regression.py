"""nbval: every chapter, on the smoke profile and the phantom, must print what it printed when its outputs were kept.

papermill's parameters are not known to nbval, so a copy of the notebook is prepared with them, the kept outputs are
laid into it by cell id, and nbval runs that copy.
"""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

from medutils.chapters import all_chapters, resolve
from medutils.run import run_chapter

HERE = Path(__file__).parent
GIVEN = {"data": "phantom", "out": ""}
# Pictures are not compared, and plotly figures only by their text alternative.
COMPARED = ("text/plain", "text/markdown", "text/html")


def key(cell: nbformat.NotebookNode) -> str:
    return "injected" if "injected-parameters" in cell.metadata.get("tags", []) else cell.id


def prepared(name: str, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the smoke profile's parameters injected, not run."""
    parameters = resolve(name, GIVEN, "smoke").model_dump()
    return papermill.execute_notebook(
        all_chapters()[name].notebook, folder / "prepared.ipynb", parameters, prepare_only=True, progress_bar=False
    )


def kept_outputs(notebook: nbformat.NotebookNode) -> dict[str, dict]:
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


@pytest.mark.slow
@pytest.mark.parametrize("name", all_chapters())
def test_a_chapter_prints_what_it_printed(name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch):
    monkeypatch.setenv("MEDUTILS_RENDERER", "text")
    reference = HERE / f"{name}.json"
    if request.config.getoption("--update-outputs"):
        run_chapter(name, GIVEN, tmp_path / "run", "smoke", progress=False, renderer="text")
        executed = nbformat.read(tmp_path / "run" / "notebook.ipynb", 4)
        reference.write_text(json.dumps(kept_outputs(executed), indent=1, ensure_ascii=False) + "\n")
    kept = json.loads(reference.read_text())
    notebook = prepared(name, tmp_path)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code" and key(cell) != "injected"):
        assert kept.get(key(cell), {}).get("source") == cell.source, (
            f"cell {key(cell)} changed since its outputs were kept: look at them, then run with --update-outputs"
        )
        cell.outputs = [nbformat.from_dict(output) for output in kept[key(cell)]["outputs"]]
        cell.execution_count = 1
    copy = tmp_path / f"{name}.ipynb"
    nbformat.write(notebook, copy)
    command = [sys.executable, "-m", "pytest", "--nbval", f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}", copy.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:]
