"""The sweep itself: points go out, results come back and are written whole, and what fails is tried once more."""

import json
import queue
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medutils.errors import InputError
from medutils.files import write_json, written_whole
from medutils.run import alone, check_out, fitting
from medutils.sweep.cluster import Cluster, connected
from medutils.sweep.grid import Grid, Point, checked, combined, differing
from medutils.sweep.point import CANCELLED, Outcome, compute
from medutils.sweep.sent import NAMING, Sent, at_hand, is_address, packed
from medutils.sweep.show import Display

if TYPE_CHECKING:
    from distributed import Client, Future

RUNS, FAILED, POINT = "runs", "failed.json", "point.json"  # what lies in a sweep's place, and in a run's folder
WORDS = ("", "auto", "phantom", "openml")  # what names data, and is no path
TRIES = 2  # of a point
TICK = 0.5  # seconds between two looks at the cluster


@dataclass(frozen=True)
class Asked:
    """What to sweep over.

    grid: values by parameter; given: one value each; seeds: so many from the seed given on
    """

    chapter: str
    grid: Grid
    given: Mapping[str, str]
    seeds: int = 1


@dataclass(frozen=True)
class Failure:
    """A point that failed, in words, and why."""

    point: str
    sentence: str


@dataclass
class Swept:
    """What became of a sweep: points done now, those that were done before, and those that failed."""

    points: int = 0
    done: int = 0
    before: int = 0
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Try:
    point: Point
    number: int = 1
    elsewhere: str = ""  # the worker that is to be left out


def sweep(
    asked: Asked,
    place: Path,
    *,
    workers: int = 0,
    scheduler: str = "",
    memory: str = "",
    display: Display | None = None,
) -> Swept:
    """Run a chapter over a grid; each point's outputs appear together in `place/runs/<key>`.

    Points that are there already are not run again, so that a sweep that was ended goes on. A point that fails is tried
    once more, on another worker where there is one, and stops none of the others; `place/failed.json` lists those that
    failed. `workers` is how many run here, 0 for as many as fit; see `connected` for `scheduler` and `memory`. Raises
    `InputError` for a grid that cannot be run, before anything starts, and where the cluster is lost or `place` cannot
    be written; what was done by then is kept.
    """
    display = display or Display()
    check_out(place)
    points, sent = _planned(asked, bool(scheduler), display)
    place.mkdir(parents=True, exist_ok=True)
    with alone(place):
        for left in (place / RUNS).glob(".*.part"):  # of a sweep that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        ahead = [point for point in points if not (place / RUNS / point.key).is_dir()]
        swept = Swept(len(points), before=len(points) - len(ahead))
        (place / FAILED).unlink(missing_ok=True)
        if ahead:
            with connected(min(workers or fitting(), len(ahead)), scheduler, memory) as cluster:
                _Sweeping(asked, points, place, sent, cluster, swept, display).run(ahead)
        swept.failed.sort(key=lambda one: one.point)  # and not in the order in which they happened to end
        if swept.failed:
            write_json(place / FAILED, [asdict(one) for one in swept.failed])
    return swept


def _planned(asked: Asked, apart: bool, display: Display) -> tuple[list[Point], dict[str, dict[str, Sent]]]:
    """The points, and by parameter and value what must travel to workers apart from this machine's disk."""
    every = combined(asked.grid, asked.given, asked.seeds)
    sent: dict[str, dict[str, Sent]] = {name: {} for name in NAMING}
    here: dict[tuple[str, str], str] = {}
    for name in NAMING:
        for value in dict.fromkeys(given[name] for given in every if name in given):
            if is_address(value):
                path, one = at_hand(value)
                here[name, value] = str(path)
                sent[name][value] = one
            elif value not in WORDS and (path := Path(value).expanduser()).exists():
                here[name, value] = str(path.resolve())
                if apart:
                    sent[name][value] = packed(path)
    local = [{name: here.get((name, value), value) for name, value in given.items()} for given in every]
    with display.checking(len(every)) as told:
        points = checked(asked.chapter, local, told)
    return points, {name: {here[name, value]: one for value, one in found.items()} for name, found in sent.items()}


class _Sweeping:
    """A sweep at work: what is ahead, what is out, and what came back."""

    def __init__(
        self,
        asked: Asked,
        points: Sequence[Point],
        place: Path,
        sent: Mapping[str, Mapping[str, Sent]],
        cluster: Cluster,
        swept: Swept,
        display: Display,
    ) -> None:
        self.asked, self.place, self.cluster, self.swept, self.display = asked, place, cluster, swept, display
        self.names = differing(points)
        self.back: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self.out: dict[Future, _Try] = {}
        # A task of its own for each thing that travels: it goes to a worker once, and is made again if that one dies.
        self.sent = {
            name: {value: self.client.submit(_itself, one, key=f"sent-{one.sha256}") for value, one in found.items()}
            for name, found in (sent.items() if not cluster.shared else ())
        }

    @property
    def client(self) -> "Client":
        return self.cluster.client

    def run(self, points: Sequence[Point]) -> None:
        """Send out as many points as there are threads, and another for each that comes back.

        None waits on a worker: Dask would take it for the one that ended that worker.
        """
        ahead = deque(_Try(point) for point in points)
        with self.display.sweeping(self.swept, self.cluster.dashboard), self._released():
            while ahead or self.out:
                threads = self._threads()
                while ahead and len(self.out) < max(1, sum(threads.values())):
                    self._send(ahead.popleft(), threads)
                self.display.update(self.swept, min(len(self.out), sum(threads.values())))
                with suppress(queue.Empty):
                    future = self.back.get(timeout=TICK)
                    if again := self._take(future, self.out.pop(future)):
                        ahead.append(again)
            self.display.update(self.swept, 0)

    @contextmanager
    def _released(self) -> Iterator[None]:
        """Let go of what is still out when the sweep ends early: workers end runs that nobody waits for."""
        try:
            yield
        finally:
            out = list(self.out)
            self.out.clear()
            with suppress(Exception):  # of a scheduler that is gone
                self.client.cancel(out, force=True)

    def _threads(self) -> dict[str, int]:
        """Threads by worker; `InputError` when the scheduler is gone."""
        if self.client.status != "running":
            raise self._lost()
        try:
            return {str(name): count for name, count in self.client.nthreads().items()}
        except (OSError, TypeError, ValueError):
            raise self._lost() from None

    def _lost(self) -> InputError:
        done = self.swept.before + self.swept.done
        return InputError(
            f"the scheduler is gone: {done} of {self.swept.points} points are done and kept; the same command goes on"
        )

    def _send(self, one: _Try, threads: Mapping[str, int]) -> None:
        others = [worker for worker in threads if worker != one.elsewhere] if one.elsewhere else []
        given = one.point.given
        sent = {name: found[given[name]] for name, found in self.sent.items() if given.get(name) in found}
        future = self.client.submit(
            compute,
            self.asked.chapter,
            one.point,
            sent,
            self.cluster.cores,
            key=f"{self.asked.chapter}-{one.point.key}-{one.number}-{time.time_ns()}",
            workers=others or None,
            allow_other_workers=bool(others),
            pure=False,
        )
        self.out[future] = one
        future.add_done_callback(self.back.put)

    def _take(self, future: "Future", one: _Try) -> _Try | None:
        """Write what came back; the same point again where it failed and may be tried once more."""
        if future.status in ("cancelled", "lost"):
            raise self._lost()
        outcome = self._outcome(future)
        if outcome is not None and not outcome.error:
            self._write(one.point, outcome)
            self.swept.done += 1
            return None
        if outcome is not None and outcome.error == CANCELLED:  # its worker was closing, which is no fault of it
            return _Try(one.point, one.number, outcome.worker)
        if outcome is not None and one.number < TRIES:
            return _Try(one.point, one.number + 1, outcome.worker)
        sentence = outcome.error if outcome else self._died(future)
        self.swept.failed.append(Failure(one.point.named(self.names), sentence))
        return None

    def _outcome(self, future: "Future") -> Outcome | None:
        """What a worker found; None where the worker died of it, again and again."""
        if future.status == "error":
            return None
        found: Outcome = future.result()
        return found

    def _died(self, future: "Future") -> str:
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            return "its worker ended each time, as happens when a machine has no memory left"
        return " ".join(f"{type(error).__name__}: {error}".split())

    def _write(self, point: Point, outcome: Outcome) -> None:
        told = {"given": dict(point.given), "key": point.key, "worker": outcome.worker, "seconds": outcome.seconds}
        with written_whole(self.place / RUNS / point.key) as part:
            part.mkdir()
            for name, content in outcome.files.items():
                (part / name).write_bytes(content)
            (part / POINT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _itself(one: Any) -> Any:
    return one
