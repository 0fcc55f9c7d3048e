"""Run a chapter with papermill: checked first, written whole, and not again when nothing changed."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from joblib import cpu_count

from medutils import cache
from medutils.chapters import Chapter, Parameters, all_chapters, get_chapter, resolve
from medutils.data import registry
from medutils.errors import InputError
from medutils.files import BOOK, MANIFESTS, ROOT, held, scratch, sha256

if TYPE_CHECKING:
    from jupyter_client import KernelManager
    from papermill.exceptions import PapermillExecutionError

NOTEBOOK = "notebook.ipynb"
OUTPUTS = (NOTEBOOK, "results.json", "predictions.csv")
KEY = "key.txt"
LOCK = ".medutils-run.lock"
GRACE = 3.0  # seconds that a kernel gets to end
# How many cores torch, scikit-learn and joblib take.
CORES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
# Reads until whoever started it is gone, however that was, and ends a process group then, in the way of `_end`.
GUARD = """
import os, signal, sys, time
sys.stdin.read()
os.killpg(int(sys.argv[1]), signal.SIGTERM)
time.sleep(float(sys.argv[2]))
os.killpg(int(sys.argv[1]), signal.SIGKILL)
"""
MEMORY = 2 * 10**9  # bytes that a run should have: what a chapter on images takes on the demo profile
ASKED_EVERY = 0.5  # seconds between two questions whether a run is to go on
REQUIREMENTS = ROOT / "requirements.txt"  # every executed page rests on it
# What becomes of a run is said in one sentence; papermill's own lines are for whoever has set up a log.
logging.getLogger("papermill").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Supervision:
    """What is asked of a run that is one of many.

    cores: that it may use; 0 for all there are
    tell: takes how many cells are done, and how many there are
    halt: asked every half second with the process id of the kernel; a sentence it gives ends the run, "" lets it go on
    """

    cores: int = 0
    tell: Callable[[int, int], None] | None = None
    halt: Callable[[int], str] | None = None


ALONE = Supervision()


def run_chapter(
    name: str,
    given: Mapping[str, Any],
    out: Path,
    profile: str | None = None,
    progress: bool = True,
    renderer: str = "",
    under: Supervision = ALONE,
) -> list[Path]:
    """Execute a chapter into the folder `out`: `OUTPUTS` and what else the chapter writes; return the files' paths.

    All of them appear when the run has ended well, and none when it has not. `renderer` is how figures are kept: as
    plotly does by itself, `book` for the rendered site, which brings its own plotly, or `text`. Raises `InputError`
    for parameters or data that cannot be used, and for a run that `under` ends.
    """
    parameters = resolve(name, given, profile)
    chapter = get_chapter(name)
    check_out(out)
    chapter.find(parameters)
    with scratch(out) as part, alone(out):
        _papermill(chapter.notebook, {**parameters.model_dump(), "out": str(part)}, part, progress, renderer, under)
        return [file.replace(out / file.name) for file in sorted(part.iterdir())]


def check_out(out: Path) -> None:
    """Raise `InputError` for what cannot be written, before anything is found or made."""
    there = next(up for up in (out, *out.parents) if up.exists())
    if not there.is_dir():
        raise InputError(f"out: {there} is a file; expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"out: found no right to write in {there}; expected another folder, which --out names")


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


def failing_cell(error: "PapermillExecutionError") -> str:
    """The cell that failed and its error, in one line."""
    said = " ".join(str(error.evalue).split())
    return f"cell {error.cell_index}: {error.ename}" + (f": {said}" if said else "")


def _papermill(
    notebook: Path,
    parameters: Mapping[str, Any],
    folder: Path,
    progress: bool,
    renderer: str,
    under: Supervision = ALONE,
) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    more: dict[str, Any] = {}
    if under.tell:
        tell, cells = under.tell, _count_cells(notebook)
        more["on_cell_start"] = lambda cell, cell_index: tell(cell_index, cells)
    with _kernel(_environment(progress, renderer, under.cores)) as kernel, _asked(kernel, under.halt) as reasons:
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
                **more,
            )
        except PapermillExecutionError as error:
            if reasons:
                raise InputError(reasons[0]) from None
            if error.ename == "InputError":  # what the chapter could not write is named by where it was to be
                raise InputError(error.evalue.replace(str(folder), str(folder.parent))) from None
            raise
        except (DeadKernelError, RuntimeError) as error:
            if not reasons and not isinstance(error, DeadKernelError):
                raise
            killed = f"{notebook.name}: its process ended before it did, as happens when a machine has no memory left"
            raise InputError(reasons[0] if reasons else killed) from None


def _count_cells(notebook: Path) -> int:
    import nbformat

    return len(nbformat.read(notebook, 4).cells) + 1  # papermill's own, with the parameters


def _environment(progress: bool, renderer: str, cores: int) -> dict[str, str]:
    """The variables of a kernel: those of this process, and what it is told of the terminal, figures and cores."""
    # A kernel's own standard error ends up in the notebook; what tells of progress goes to the terminal itself.
    terminal = f"/proc/{os.getpid()}/fd/2" if progress and Path("/proc/self/fd/2").exists() else ""
    # joblib's tracker sweeps after a run that was ended, and would warn of what it found.
    quiet = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker")))
    given = {"MEDUTILS_RENDERER": renderer, "MEDUTILS_TERMINAL": terminal, "PYTHONWARNINGS": quiet}
    return {**os.environ, **given, **(dict.fromkeys(CORES, str(cores)) if cores else {})}


@contextmanager
def _asked(kernel: "KernelManager", halt: Callable[[int], str] | None) -> Iterator[list[str]]:
    """Ask `halt` while the block runs; once it gives a reason, the reason is in the list and the kernel is ended."""
    reasons: list[str] = []
    done = threading.Event()

    def ask(halt: Callable[[int], str]) -> None:
        while not done.wait(ASKED_EVERY):
            process = getattr(kernel.provisioner, "process", None)
            if process is not None and (reason := halt(process.pid)):
                reasons.append(reason)
                return _end(kernel)

    thread = threading.Thread(target=ask, args=(halt,), daemon=True) if halt else None
    if thread:
        thread.start()
    try:
        yield reasons
    finally:
        done.set()
        if thread:
            thread.join()


@contextmanager
def _kernel(environment: Mapping[str, str]) -> Iterator["KernelManager"]:
    """A kernel to be started inside, which has ended afterwards together with every process that it started.

    Its sockets and IPython's files lie in a folder of its own: no open port, runs side by side do not meet, and no
    start-up file of the user has a part in a result.
    """
    from jupyter_client.manager import AsyncKernelManager

    with held(temporary(), "medutils-") as own:
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=f"{own}/kernel", connection_file=f"{own}/kernel.json"
        )
        guards: list[subprocess.Popen[bytes]] = []
        # Runs side by side share this process's variables, so that a kernel is given its own.
        variables = {**environment, "IPYTHONDIR": f"{own}/ipython"}
        kernel.start_kernel = partial(_guarded, kernel, kernel.start_kernel, guards, env=variables)
        try:
            yield kernel
        finally:
            for guard in guards:
                guard.kill()
                guard.communicate()
            _end(kernel)


async def _guarded(
    kernel: "KernelManager",
    start: Callable[..., Awaitable[None]],
    guards: "list[subprocess.Popen[bytes]]",
    **given: Any,
) -> None:
    """Start a kernel, and beside it what ends all of its processes when this one is killed.

    A kernel alone sees that by itself. Those that it has started to compute for it may not, and live on for minutes.
    """
    await start(**given)
    command = [sys.executable, "-ISc", GUARD, str(kernel.provisioner.process.pid), str(GRACE)]  # type: ignore[union-attr]
    guards.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True))


def temporary() -> Path:
    """The folder for temporary files, if it leaves room for a socket's name, of which a system takes 100 bytes."""
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) < 60 else "/tmp")


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


def chapter_key(chapter: Chapter, parameters: Parameters) -> str:
    """A hash of all that a chapter's outputs depend on.

    That is its notebook; the code it imports; the numbers of its write-ups and of its reference run; parameters; data
    and what the manifests say of them; a split that was given; pinned packages. Loaders and manifests of another kind
    of dataset than its own have no part in it, and a chapter on tables rests on no pretrained weights.
    """
    located = chapter.find(parameters)
    split = sha256(Path(parameters.split).expanduser()) if parameters.split else ""
    data = [located.name, located.kind, sha256(located.path), split]
    return cache.digest([chapter_code(chapter, located.dataset), parameters.model_dump_json(), data])


def chapter_code(chapter: Chapter, dataset: str) -> str:
    """A hash of what a chapter's outputs depend on beside its parameters and data; see `chapter_key`."""
    from medutils.evidence import reference_paths, reported_path  # slow to import, and no run needs it

    kind = registry.DATASETS[dataset].kind
    files = [
        REQUIREMENTS,
        chapter.notebook,
        reported_path(chapter.name),
        *reference_paths(chapter.name),
        *(MANIFESTS / f"{name}.yaml" for name, entry in registry.DATASETS.items() if entry.kind == kind),
        *((MANIFESTS / "weights").glob("*.yaml") if kind != "table" else ()),
        *notebook_sources(chapter.notebook, chapter.parameters.__module__, left_out=registry.loaders(apart_from=kind)),
    ]
    return cache.hash_of(files)


def notebook_sources(notebook: Path, *modules: str, left_out: Collection[str] = ()) -> frozenset[Path]:
    """The files of this package that a notebook's cells, or `modules` beside them, import, directly or not."""
    import nbformat

    cells = [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    return cache.sources_of({*modules, *cache.imports_of("\n".join(cells))}, left_out)


@dataclass(frozen=True)
class Executed:
    """An executed notebook of the site: the folder `out` that holds it, under which key, and how it is made anew."""

    name: str
    out: Path
    key: str
    outputs: tuple[str, ...]
    execute: Callable[[bool, Supervision], object]

    @property
    def changed(self) -> bool:
        """Whether the folder lacks what this key gives."""
        stamp = self.out / KEY
        kept = stamp.is_file() and stamp.read_text() == self.key
        return not (kept and all((self.out / output).is_file() for output in self.outputs))

    def run(self, progress: bool = True, under: Supervision = ALONE) -> bool:
        """Make it unless it is there; True when it was made."""
        outputs = [self.out / output for output in self.outputs]
        return cache.unless_made(self.out / KEY, self.key, outputs, lambda: self.execute(progress, under))


def executed_chapter(name: str, given: Mapping[str, Any], out: Path, profile: str | None = None) -> Executed:
    """A chapter for the site. Raises `InputError` for parameters or data that cannot be used."""
    key = chapter_key(get_chapter(name), resolve(name, given, profile))
    return Executed(
        name,
        out,
        key,
        OUTPUTS,
        lambda progress, under: run_chapter(name, given, out, profile, progress, "book", under),
    )


def executed_page(notebook: Path, out: Path) -> Executed:
    """A page that is a notebook without parameters, over the numbers and the titles of all chapters."""
    numbers = [path for folder in ("reported", "reference") for path in (BOOK / folder).glob("*.*")]
    titles = filter(None, (cache.file_of(chapter.parameters.__module__) for chapter in all_chapters().values()))
    key = cache.hash_of([*notebook_sources(notebook), notebook, *numbers, *titles, REQUIREMENTS])

    def execute(progress: bool, under: Supervision) -> None:
        with scratch(out) as part, alone(out):
            _papermill(notebook, {}, part, progress, "book", under)
            (part / NOTEBOOK).replace(out / NOTEBOOK)

    return Executed(notebook.stem, out, key, (NOTEBOOK,), execute)


def fitting() -> int:
    """How many runs this machine has cores and memory for at once."""
    import psutil

    return max(1, min(cpu_count(), psutil.virtual_memory().available // MEMORY))
