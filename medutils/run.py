"""Run a chapter with papermill: checked first, written whole, and not again when nothing changed."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from medutils import cache
from medutils.chapters import Chapter, Parameters, get_chapter, resolve
from medutils.errors import InputError
from medutils.evidence import reference_paths, reported_path
from medutils.files import BOOK, MANIFESTS, ROOT, scratch, sha256

if TYPE_CHECKING:
    from jupyter_client import KernelManager

NOTEBOOK = "notebook.ipynb"
OUTPUTS = (NOTEBOOK, "results.json", "predictions.csv")
KEY = "key.txt"
LOCK = ".medutils-run.lock"
GRACE = 3.0  # seconds that a kernel gets to end
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
    with scratch(out) as part, alone(out):
        _papermill(chapter.notebook, {**parameters.model_dump(), "out": str(part)}, part, progress, renderer)
        return [file.replace(out / file.name) for file in sorted(part.iterdir())]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; `InputError` when another one writes to it now."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"out: {folder} is being written by another run; expected a folder of its own") from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def _papermill(notebook: Path, parameters: Mapping[str, Any], folder: Path, progress: bool, renderer: str) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    # A kernel's own standard error ends up in the notebook; what tells of progress goes to the terminal itself.
    terminal = f"/proc/{os.getpid()}/fd/2" if progress and Path("/proc/self/fd/2").exists() else ""
    # joblib's tracker sweeps after a run that was ended, and would warn of what it found.
    quiet = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker")))
    given = {"MEDUTILS_RENDERER": renderer, "MEDUTILS_TERMINAL": terminal, "PYTHONWARNINGS": quiet}
    with _environment(given), _kernel() as kernel:
        try:
            papermill.execute_notebook(
                notebook,
                folder / NOTEBOOK,
                parameters=parameters,
                km=kernel,
                kernel_name="python3",
                # No word from the kernel of what the command says itself: that it was interrupted, say.
                extra_arguments=["--log-level=CRITICAL"],
                progress_bar={"desc": notebook.stem, "unit": "cell", "leave": False} if progress else False,
            )
        except PapermillExecutionError as error:
            if error.ename == "InputError":  # what the chapter could not write is named by where it was to be
                raise InputError(error.evalue.replace(str(folder), str(folder.parent))) from None
            raise


@contextmanager
def _kernel() -> Iterator["KernelManager"]:
    """A kernel to be started inside, which has ended afterwards together with every process that it started.

    Its sockets lie in a folder of their own: no open port, and runs side by side do not meet.
    """
    from jupyter_client.manager import AsyncKernelManager

    with _short_folder() as sockets:
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel", connection_file=f"{sockets}/kernel.json"
        )
        try:
            yield kernel
        finally:
            _end(kernel)


@contextmanager
def _short_folder() -> Iterator[str]:
    """A temporary folder whose path leaves room for a socket's name, of which an operating system takes 100 bytes."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="medutils-", dir=usual if len(os.fsencode(usual)) < 60 else "/tmp") as path:
        yield path


def _end(kernel: "KernelManager") -> None:
    """End a kernel's process group: politely, so that joblib's tracker sweeps what the others leave, then by force."""
    process = getattr(kernel.provisioner, "process", None)
    if process is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            break


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the kernel that is started inside, which inherits them, and leave none behind."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def chapter_key(chapter: Chapter, parameters: Parameters) -> str:
    """A hash of all that a chapter's outputs depend on: notebook, code, numbers, parameters, data, split and pins."""
    stated = [reported_path(chapter.name), *reference_paths(chapter.name)]
    files = [*notebook_sources(chapter.notebook, chapter.parameters.__module__), chapter.notebook, *stated]
    located = chapter.find(parameters)
    split = sha256(Path(parameters.split).expanduser()) if parameters.split else ""
    data = [located.name, located.kind, sha256(located.path), split]
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
    key = chapter_key(get_chapter(name), resolve(name, given, profile))
    run = partial(run_chapter, name, given, out, profile, progress, renderer="book")
    return cache.unless_made(out / KEY, key, [out / output for output in OUTPUTS], run)


def run_page_if_changed(notebook: Path, out: Path, progress: bool = True) -> bool:
    """The same for a page that is a notebook without parameters, over the numbers of all chapters."""
    numbers = [path for folder in ("reported", "reference") for path in (BOOK / folder).glob("*.*")]
    key = cache.hash_of([*notebook_sources(notebook), notebook, *numbers, *SHARED])

    def run() -> None:
        with scratch(out) as part, alone(out):
            _papermill(notebook, {}, part, progress, "book")
            (part / NOTEBOOK).replace(out / NOTEBOOK)

    return cache.unless_made(out / KEY, key, [out / NOTEBOOK], run)
