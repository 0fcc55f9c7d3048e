"""Notebooks of the book executed side by side, within the cores and the memory there are, in one display."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.run import NOTEBOOK, Executed, Supervision, failing_cell, fitting
from medutils.sweep.show import clock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Say = Callable[[str], None]
Tell = Callable[[int, int], None]


def execute(notebooks: Sequence[Executed], say: Say) -> None:
    """Execute those that have changed, those that took longest first; `InputError` when one fails.

    As many run at once as there are cores and memory for, and share the cores: with one core each a chapter takes less
    than twice the time of two cores, so that two at once are faster than one after the other. One that fails stops none
    of the others.
    """
    changed = [one for one in notebooks if one.changed]
    for one in notebooks:
        if one not in changed:
            say(_line(one, "unchanged", 0.0))
    if not changed:
        return
    former = {one.name: former_seconds(one.out / NOTEBOOK) for one in changed}
    changed.sort(key=lambda one: -sum(former[one.name]) if former[one.name] else float("-inf"))
    jobs = min(fitting(), len(changed))
    stop = threading.Event()

    def run(one: Executed, tell: Tell) -> None:
        if not stop.is_set():
            halt = Supervision(max(1, cpu_count() // jobs), tell, lambda _: "interrupted" if stop.is_set() else "")
            one.run(progress=False, under=halt)

    with _display() as lines, ThreadPoolExecutor(jobs) as pool:
        running = {}
        for one in changed:
            line = lines.add(one.name, former[one.name])
            running[pool.submit(_timed_run, run, one, line)] = one
        try:
            failed = [end for future in as_completed(running) if (end := _ended(running[future], future, say))]
        except BaseException:  # an interrupt: the kernels end, and with them the threads
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    for name, sentence in failed:
        say(f"{name}: {sentence}")
    if failed:
        names = ", ".join(name for name, _ in failed)
        raise InputError(f"{len(failed)} of {len(notebooks)} notebooks failed ({names}), as told above; expected none")


def _timed_run(run: Callable[[Executed, Tell], None], one: Executed, line: "_Line") -> float:
    """Seconds that it took; an error is given them too."""
    start = time.monotonic()
    line.begin()
    try:
        run(one, line.tell)
    except Exception as error:
        error.add_note(f"{time.monotonic() - start}")
        raise
    finally:
        line.end()
    return time.monotonic() - start


def _ended(one: Executed, future: "Future[float]", say: Say) -> tuple[str, str] | None:
    """Say how a notebook ended; its name and its error when it failed."""
    from papermill.exceptions import PapermillExecutionError

    error = future.exception()
    if error is None:
        say(_line(one, "executed", future.result()))
        return None
    say(_line(one, "failed", float(error.__notes__[-1])))
    if isinstance(error, PapermillExecutionError):
        return one.name, failing_cell(error)
    if isinstance(error, InputError | OSError):
        return one.name, str(error)
    raise error


def _line(one: Executed, outcome: str, seconds: float) -> str:
    kind = "chapter" if one.name in all_chapters() else "page"
    return _told(f"{kind} {one.name}", outcome, seconds)


def _told(what: str, outcome: str, seconds: float) -> str:
    return f"{what:<28}{outcome:<12}{seconds:7.1f} s"


@contextmanager
def timed(say: Say, what: str) -> Iterator[Callable[[str], None]]:
    """Say what became of the block, which tells it, and how long it took."""
    start = time.monotonic()
    outcome: list[str] = []
    yield outcome.append
    say(_told(what, outcome[0], time.monotonic() - start))


def former_seconds(notebook: Path) -> list[float]:
    """How long each cell took when a notebook was last executed; empty where that is not known."""
    import nbformat

    try:
        cells = nbformat.read(notebook, 4).cells
    except Exception:  # none there, or none that can be read: it only tells how long the next one may take
        return []
    return [float(cell.metadata.get("papermill", {}).get("duration") or 0) for cell in cells]


def remaining(done: int, cells: int, elapsed: float, former: Sequence[float]) -> float | None:
    """Seconds that a notebook still needs: as long as its cells took before, or else as long as those that are done."""
    if len(former) == cells:
        return sum(former[done:])
    return elapsed / done * (cells - done) if done else None


class _Lines:
    """Shows nothing."""

    def add(self, name: str, former: Sequence[float]) -> "_Line":
        return _Line()


class _Line:
    """A notebook's line in the display; this one shows nothing."""

    def begin(self) -> None:
        """It has started."""

    def tell(self, done: int, cells: int) -> None:
        """So many cells are done."""

    def end(self) -> None:
        """It has ended."""


@contextmanager
def _display() -> Iterator[_Lines]:
    """One display in a terminal: a line a notebook. Elsewhere nothing is shown until a notebook has ended."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=None),
        TextColumn("cell {task.completed} of {task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        yield _Shown(progress)


class _Shown(_Lines):
    def __init__(self, progress: "Progress") -> None:
        self.progress = progress

    def add(self, name: str, former: Sequence[float]) -> _Line:
        task = self.progress.add_task(name, total=len(former) or None, start=False, left="waiting")
        return _ShownLine(self.progress, task, former)


class _ShownLine(_Line):
    def __init__(self, progress: "Progress", task: "TaskID", former: Sequence[float]) -> None:
        self.progress, self.task, self.former = progress, task, former
        self.started = time.monotonic()

    def begin(self) -> None:
        self.started = time.monotonic()
        self.progress.start_task(self.task)
        self.progress.update(self.task, left="")

    def tell(self, done: int, cells: int) -> None:
        left = remaining(done, cells, time.monotonic() - self.started, self.former)
        words = "" if left is None else f"{clock(left)} remaining"
        self.progress.update(self.task, completed=done, total=cells, left=words)

    def end(self) -> None:
        self.progress.remove_task(self.task)
