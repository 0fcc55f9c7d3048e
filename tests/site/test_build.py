"""Building the book: nothing is done twice."""

import subprocess
from pathlib import Path

import nbformat
import pytest

from medutils.errors import InputError
from medutils.run import executed_page
from medutils.site import build as site

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
