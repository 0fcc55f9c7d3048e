"""Building the book: nothing is done twice."""

import subprocess
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.export import load_model
from medutils.run import executed_page
from medutils.site import build as site
from medutils.site.build import build_book

KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("reading\npage.md:3: WARNING: unknown term\ndone\n", "WARNING: unknown term"),
        ("reading\nno space left on device\n\n", "1: no space left on device"),
        ("", "1: it said nothing"),
    ],
)
def test_a_renderer_that_fails_is_quoted(printed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(command: list[str], stdout, **_) -> subprocess.CompletedProcess:
        stdout.write(printed)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match=said):
        site._jupyter_book(tmp_path, tmp_path, tmp_path / "log")


def test_a_notebook_in_the_table_of_contents_that_is_no_chapter_is_shown_executed(tmp_path: Path, monkeypatch):
    (tmp_path / "book").mkdir()
    for name in ("spine_mlp", "evidence", "left_out"):
        (tmp_path / "book" / f"{name}.ipynb").touch()
    (tmp_path / "_toc.yml").write_text(
        "root: book/intro\nchapters:\n  - file: book/spine_mlp\n  - file: book/evidence\n"
    )
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "BOOK", tmp_path / "book")
    assert [path.stem for path in site._other_notebooks()] == ["evidence"]
    pages = site._pages(tmp_path)
    assert pages["book/evidence.ipynb"] == tmp_path / "pages" / "evidence" / "notebook.ipynb"
    assert pages["book/spine_mlp.ipynb"] == tmp_path / "chapters" / "spine_mlp" / "notebook.ipynb"


@pytest.mark.slow
def test_a_page_is_executed_again_only_when_its_cells_or_its_code_changed(tmp_path: Path):
    page = tmp_path / "page.ipynb"
    for source, ran in (("1 + 1", True), ("1 + 1", False), ("1 + 2", True)):
        cell = nbformat.v4.new_code_cell(source, id="one")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=KERNEL), page)
        assert executed_page(page, tmp_path / "out").run(progress=False) is ran
    assert nbformat.read(tmp_path / "out" / "notebook.ipynb", 4).cells[0].outputs[0]["data"]["text/plain"] == "3"


@pytest.mark.slow
def test_a_second_build_does_nothing_and_a_changed_profile_is_a_change(tmp_path: Path):
    said: list[str] = []
    build_book("smoke", "phantom", tmp_path, said.append)
    notebooks = len(all_chapters()) + len(site._other_notebooks())
    assert [line.split()[-3] for line in said[:-1]] == ["executed"] * notebooks + ["rendered"]
    chapter = tmp_path / "_build" / "chapters" / "spine_mlp"
    judged = pd.read_csv(chapter / "predictions.csv").groupby("rows")["model"].unique().map(set)
    assert judged["validation, write-up split"] == {"majority", "logistic_regression", "mlp"}
    assert "clinical use" in load_model(chapter).card
    written = (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns
    said.clear()
    start = time.monotonic()
    build_book("smoke", "phantom", tmp_path, said.append)
    assert time.monotonic() - start < 20
    assert [line.split()[-3] for line in said[:-1]] == ["unchanged"] * (notebooks + 1)
    assert (tmp_path / "_build" / "html" / "index.html").stat().st_mtime_ns == written
    assert said[-1] == f"open {tmp_path / '_build' / 'html' / 'index.html'}"
