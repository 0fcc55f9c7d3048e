"""Run a chapter with papermill: checked first, written whole, and not again when nothing changed."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medutils import cache
from medutils.chapters import Chapter, Parameters, get_chapter, resolve
from medutils.errors import InputError
from medutils.evidence import reference_paths, reported_path
from medutils.files import MANIFESTS, ROOT, scratch, sha256, write_text

OUTPUTS = ("notebook.ipynb", "results.json", "predictions.csv")
KEY = "key.txt"
SHARED = (ROOT / "requirements.txt", *sorted(MANIFESTS.rglob("*.yaml")))  # what every executed page rests on


def run_chapter(
    name: str,
    given: Mapping[str, Any],
    out: Path,
    profile: str | None = None,
    progress: bool = True,
    renderer: str = "",
) -> list[Path]:
    """Execute a chapter into the folder `out`: `OUTPUTS` and what else the chapter writes; return the files' paths.

    All of them appear when the run has ended well, and none when it has not. `renderer` is how figures are kept: as
    plotly does by itself, `book` for the rendered site, which brings its own plotly, or `text`. Raises `InputError`
    for parameters or data that cannot be used.
    """
    parameters = resolve(name, given, profile)
    chapter = get_chapter(name)
    chapter.find(parameters)
    if out.exists() and not out.is_dir():
        raise InputError(f"out: {out} is a file; expected a folder")
    with scratch(out) as part:
        _papermill(chapter, parameters, part, progress, renderer)
        return [file.replace(out / file.name) for file in sorted(part.iterdir())]


def _papermill(chapter: Chapter, parameters: Parameters, folder: Path, progress: bool, renderer: str) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # A kernel's own standard error ends up in the notebook; what tells of progress goes to the terminal itself.
    terminal = f"/proc/{os.getpid()}/fd/2" if progress and Path("/proc/self/fd/2").exists() else ""
    # The kernel's sockets lie in a folder of their own: no open port, and runs side by side do not meet.
    with (
        tempfile.TemporaryDirectory(prefix="medutils-") as sockets,
        _environment(MEDUTILS_RENDERER=renderer, MEDUTILS_TERMINAL=terminal),
    ):
        kernel = {
            "KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"},
            # No word from the kernel of what the command says itself: that it was interrupted, say.
            "NotebookClient": {"extra_arguments": ["--log-level=CRITICAL"]},
        }
        try:
            papermill.execute_notebook(
                chapter.notebook,
                folder / "notebook.ipynb",
                parameters={**parameters.model_dump(), "out": str(folder)},
                kernel_name="python3",
                config=Config(kernel),
                progress_bar={"desc": chapter.name, "unit": "cell", "leave": False} if progress else False,
            )
        except PapermillExecutionError as error:
            if error.ename == "InputError":  # what the chapter could not write is named by where it was to be
                raise InputError(error.evalue.replace(str(folder), str(folder.parent))) from None
            if error.ename == "KeyboardInterrupt":
                raise KeyboardInterrupt from None
            raise


@contextmanager
def _environment(**given: str) -> Iterator[None]:
    """Set variables for the kernel that is started inside, which inherits them, and leave none behind."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def chapter_key(chapter: Chapter, parameters: Parameters) -> str:
    """A hash of all that a chapter's outputs depend on: notebook, code it imports, numbers, parameters, data, pins."""
    stated = [reported_path(chapter.name), *reference_paths(chapter.name)]
    files = [*notebook_sources(chapter.notebook, chapter.parameters.__module__), chapter.notebook, *stated]
    located = chapter.find(parameters)
    data = [located.name, located.kind, sha256(located.path)]
    return cache.digest([cache.hash_of([*files, *SHARED]), parameters.model_dump_json(), data])


def notebook_sources(notebook: Path, *modules: str) -> frozenset[Path]:
    """The files of this package that a notebook's cells, or `modules` beside them, import, directly or not."""
    import nbformat

    cells = [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    return cache.sources_of({*modules, *cache.imports_of("\n".join(cells))})


def run_if_changed(
    name: str, given: Mapping[str, Any], out: Path, profile: str | None = None, progress: bool = True
) -> bool:
    """Run a chapter for the site unless `out` holds what the same inputs gave before; True when it was run."""
    parameters = resolve(name, given, profile)
    key = chapter_key(get_chapter(name), parameters)
    kept = out / KEY
    if kept.is_file() and kept.read_text() == key and all((out / output).is_file() for output in OUTPUTS):
        return False
    kept.unlink(missing_ok=True)
    run_chapter(name, given, out, profile, progress, renderer="book")
    write_text(kept, key)
    return True
