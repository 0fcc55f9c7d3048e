"""The book: execute every chapter, lay the pages out in a staging folder, render them with Jupyter Book."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.files import BOOK, ROOT, sha256, write_text
from medutils.run import run_if_changed

Say = Callable[[str], None]
LEFT_OUT = ("reported", "reference")


def build_book(profile: str = "demo", data: str = "auto", out: Path = ROOT, say: Say = print) -> Path:
    """Execute what has changed, render what has changed, and return the path of the site's first page.

    The executed chapters lie in `out/_build/chapters`, the site in `out/_build/html`. An interrupted build goes on
    with the chapter it was in.
    """
    build = out / "_build"
    for name in all_chapters():
        with _timed(say, f"chapter {name}") as done:
            ran = run_if_changed(name, {"data": data}, build / "chapters" / name, profile, sys.stderr.isatty())
            done("executed" if ran else "unchanged")
    index = build / "html" / "index.html"
    with _timed(say, "site") as done:
        done("rendered" if _render_if_changed(build, out) else "unchanged")
    say(f"open {index}")
    return index


@contextmanager
def _timed(say: Say, what: str) -> Iterator[Callable[[str], None]]:
    start = time.monotonic()
    outcome: list[str] = []
    yield outcome.append
    say(f"{what:<24}{outcome[0]:<12}{time.monotonic() - start:7.1f} s")


def _render_if_changed(build: Path, out: Path) -> bool:
    pages = _pages(build)
    digest = hashlib.sha256(
        sha256(ROOT / "medutils" / "sphinx_ext.py").encode() + sha256(ROOT / "requirements.txt").encode()
    )
    for target, source in pages.items():
        digest.update(f"{target} {sha256(source)}\n".encode())
    key, index = build / "site-key.txt", build / "html" / "index.html"
    if index.is_file() and key.is_file() and key.read_text() == digest.hexdigest():
        return False
    key.unlink(missing_ok=True)
    stage = build / "stage"
    for folder in (stage, build / "html", build / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    for target, source in pages.items():
        (stage / target).parent.mkdir(parents=True, exist_ok=True)
        if source.name == "notebook.ipynb":
            _without_injected_cell(source, stage / target)
        else:
            shutil.copyfile(source, stage / target)
    _jupyter_book(stage, out, build / "jupyter-book.log")
    write_text(key, digest.hexdigest())
    return True


def _pages(build: Path) -> dict[str, Path]:
    """Where each file of the staging folder comes from: notebooks from their executed copies, the rest from book/."""
    pages = {name: ROOT / name for name in ("_config.yml", "_toc.yml")}
    for path in sorted(BOOK.rglob("*")):
        if path.is_file() and not set(path.relative_to(BOOK).parts) & {*LEFT_OUT, ".ipynb_checkpoints"}:
            executed = build / "chapters" / path.stem / "notebook.ipynb"
            pages[f"book/{path.relative_to(BOOK).as_posix()}"] = executed if path.stem in all_chapters() else path
    return pages


def _without_injected_cell(source: Path, target: Path) -> None:
    """Copy an executed notebook less the cell that papermill injected, which holds this machine's paths."""
    import nbformat

    notebook = nbformat.read(source, 4)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook.metadata.pop("papermill", None)
    nbformat.write(notebook, target)


def _jupyter_book(stage: Path, out: Path, log: Path) -> None:
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage), "--path-output", str(out)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(
            [*command, "-n", "-W", "--keep-going"], stdout=file, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode
    if code:
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8"))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        warnings = [line for line in lines if "WARNING" in line or "ERROR" in line]
        said = next(iter(warnings or lines[-1:]), "it said nothing")
        raise InputError(f"Jupyter Book ended with {code}: {said} (all of it in {log})")
