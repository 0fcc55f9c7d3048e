"""What a worker does: run one point in a folder of its own, under its share of memory, and give the files back."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medutils.chapters import get_chapter, resolve
from medutils.errors import InputError
from medutils.files import held, sha256
from medutils.run import Supervision, chapter_code, failing_cell, run_chapter, temporary
from medutils.sweep.grid import Point
from medutils.sweep.sent import Sent

if TYPE_CHECKING:
    from distributed import Worker

CANCELLED = "cancelled"  # what nobody waits for any more


@dataclass(frozen=True)
class Outcome:
    """What became of a point on a worker.

    files: what the chapter wrote, by name
    error: one sentence, of a point that failed; "" for one that ended well
    """

    key: str
    worker: str
    seconds: float
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    error: str = ""


def compute(chapter: str, point: Point, sent: Mapping[str, Sent], cores: int) -> Outcome:
    """Run a point on the worker that calls this, which must have the code and the data that the point was planned with.

    sent: what travelled, by the parameter that names it
    cores: that the run may use

    An error of the run is part of the outcome: it ends no worker, and a worker that dies is another matter.
    """
    from distributed import get_worker
    from distributed.worker import thread_state
    from papermill.exceptions import PapermillExecutionError

    worker = get_worker()
    start = time.monotonic()
    with held(temporary(), "medutils-point-") as folder:
        out = folder / "out"
        try:
            given = {**point.given, **{name: str(one.laid_out()) for name, one in sent.items()}}
            _check_same(chapter, point, given)
            under = Supervision(cores, halt=_halt(worker, str(thread_state.key)))
            paths = run_chapter(chapter, given, out, progress=False, under=under)
            files = {path.name: path.read_bytes() for path in paths}
            return Outcome(point.key, worker.address, time.monotonic() - start, files)
        except PapermillExecutionError as error:
            said = failing_cell(error)
        except (InputError, OSError) as error:
            said = str(error)
        return Outcome(point.key, worker.address, time.monotonic() - start, error=said.replace(str(out), "out"))


def _check_same(chapter: str, point: Point, given: Mapping[str, str]) -> None:
    """Raise `InputError` where this machine's code or data are not those that the point was planned with."""
    of = get_chapter(chapter)
    located = of.find(resolve(chapter, given))
    if chapter_code(of, located.dataset) != point.code:
        raise InputError("code: found another version on the worker; expected that of the machine that sweeps")
    if sha256(located.path) != point.data:
        raise InputError(
            f"data: found another content of {located.name} on the worker; expected that of the machine that sweeps"
        )


def _halt(worker: "Worker", key: str) -> Callable[[int], str]:
    """Reasons to end a run: nobody waits for it any more, or it takes more than a thread's share of memory."""
    share = (worker.memory_manager.memory_limit or 0) // worker.state.nthreads

    def halt(process: int) -> str:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled" or worker.status.name not in ("running", "paused"):
            return CANCELLED
        if share and (used := memory_of(process)) > share:
            return f"memory: found {used / 1e9:.1f} GB in use; expected at most {share / 1e9:.1f} GB on a worker"
        return ""

    return halt


def memory_of(process: int) -> int:
    """Bytes that a process and all that it started hold in memory."""
    import psutil

    try:
        first = psutil.Process(process)
        family = [first, *first.children(recursive=True)]
    except psutil.Error:
        return 0
    used = 0
    for one in family:
        try:
            used += one.memory_info().rss
        except psutil.Error:  # it ended meanwhile
            continue
    return used
