"""The book: execute every chapter, lay the pages out in a staging folder, render them with Jupyter Book."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from medutils import cache
from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.files import BOOK, ROOT, sha256
from medutils.run import NOTEBOOK, REQUIREMENTS, check_out, executed_chapter, executed_page
from medutils.site.side_by_side import Say, execute, timed

SPHINX = "medutils.site.sphinx_ext"  # the package's part in rendering
LEFT_OUT = ("reported", "reference")


def build_book(profile: str = "demo", data: str = "auto", out: Path = ROOT, say: Say = print) -> Path:
    """Execute what has changed, render what has changed, and return the path of the site's first page.

    The executed chapters lie in `out/_build/chapters`, other executed notebooks in `out/_build/pages`, the site in
    `out/_build/html`. Notebooks run side by side; an interrupted build goes on with those that it was in. Raises
    `InputError` when one fails, once the others have ended; `say` has told its cell and its error.
    """
    check_out(out)
    build = out / "_build"
    notebooks = [executed_chapter(name, {"data": data}, _executed(build, name), profile) for name in all_chapters()]
    notebooks += [executed_page(path, _executed(build, path.stem)) for path in _other_notebooks()]
    execute(notebooks, say)
    index = build / "html" / "index.html"
    with timed(say, "site") as done:
        done("rendered" if _render_if_changed(build, out) else "unchanged")
    say(f"open {index}")
    return index


def _render_if_changed(build: Path, out: Path) -> bool:
    pages = _pages(build)
    sources = [f"{target} {sha256(source)}" for target, source in pages.items()]
    numbers = [path for folder in LEFT_OUT for path in sorted((BOOK / folder).iterdir())]  # the cover tells of them
    modules = [SPHINX, *(chapter.parameters.__module__ for chapter in all_chapters().values())]
    code = cache.hash_of([*cache.sources_of(modules), REQUIREMENTS, *numbers])
    index = build / "html" / "index.html"
    return cache.unless_made(
        build / "site-key.txt", cache.digest([code, *sources]), [index], lambda: _render(pages, build, out)
    )


def _render(pages: dict[str, Path], build: Path, out: Path) -> None:
    stage = build / "stage"
    for folder in (stage, build / "html", build / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    for target, source in pages.items():
        (stage / target).parent.mkdir(parents=True, exist_ok=True)
        if source.name == NOTEBOOK:
            _without_injected_cell(source, stage / target)
        else:
            shutil.copyfile(source, stage / target)
    _jupyter_book(stage, out, build / "jupyter-book.log")


def _pages(build: Path) -> dict[str, Path]:
    """Where each file of the staging folder comes from: notebooks from their executed copies, the rest from book/."""
    pages = {name: ROOT / name for name in ("_config.yml", "_toc.yml")}
    for path in sorted(BOOK.rglob("*")):
        if path.is_file() and not set(path.relative_to(BOOK).parts) & {*LEFT_OUT, ".ipynb_checkpoints"}:
            executed = _executed(build, path.stem) / NOTEBOOK
            pages[f"book/{path.relative_to(BOOK).as_posix()}"] = executed if path.suffix == ".ipynb" else path
    return pages


def _executed(build: Path, name: str) -> Path:
    """The folder of an executed notebook."""
    return build / ("chapters" if name in all_chapters() else "pages") / name


def _other_notebooks() -> list[Path]:
    """The notebooks of the book that are no chapters, in the order of its table of contents."""
    named = re.findall(r"^\s*(?:- file|root): (\S+)$", (ROOT / "_toc.yml").read_text(encoding="utf-8"), re.M)
    notebooks = [ROOT / f"{name}.ipynb" for name in named]
    return [path for path in notebooks if path.is_file() and path.stem not in all_chapters()]


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
