"""What a sweep shows of itself while it runs: points done, running and failed, the time, and Dask's dashboard."""

import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Counts(Protocol):
    """How far a sweep is."""

    points: int
    done: int
    before: int

    @property
    def failed(self) -> Sized: ...


class Display:
    """Shows nothing."""

    @contextmanager
    def checking(self, points: int) -> Iterator[Callable[[int, int], None] | None]:
        """While the points are checked; gives a callback of how many are, and of how many."""
        yield None

    @contextmanager
    def sweeping(self, counts: Counts, dashboard: str) -> Iterator[None]:
        """While the points run."""
        yield

    def update(self, counts: Counts, running: int) -> None:
        """Take in how far the sweep is."""


class Terminal(Display):
    """Shows it in a terminal; where there is none, such as in a batch job's log, one line at the start."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self.started = time.monotonic()

    @contextmanager
    def checking(self, points: int) -> Iterator[Callable[[int, int], None] | None]:
        if not self.console.is_terminal:
            yield None
            return
        with self.console.status(f"checking {points} points") as status:
            yield lambda done, total: status.update(f"checking {total} points: {done}")

    @contextmanager
    def sweeping(self, counts: Counts, dashboard: str) -> Iterator[None]:
        from rich.progress import BarColumn, Progress, TextColumn

        there = f", {counts.before} of them done before" if counts.before else ""
        self.console.print(f"{counts.points} points{there}; dashboard {dashboard}", soft_wrap=True)
        self.started = time.monotonic()
        if not self.console.is_terminal:
            yield
            return
        columns = (BarColumn(bar_width=None), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True, expand=True) as self.progress:
            self.progress.add_task("", total=counts.points)
            yield

    def update(self, counts: Counts, running: int) -> None:
        if not self.progress:
            return
        ended = counts.done + len(counts.failed)
        elapsed = time.monotonic() - self.started
        left = counts.points - counts.before - ended
        remaining = clock(elapsed / ended * left) if ended else "-:--"
        words = (
            f"{counts.before + counts.done} done, {running} running, {len(counts.failed)} failed, "
            f"{clock(elapsed)} elapsed, {remaining} remaining"
        )
        self.progress.update(self.progress.task_ids[0], completed=counts.before + ended, description=words)


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
