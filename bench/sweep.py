"""What a run costs beside its notebook, and what a sweep costs beside its runs.

For the page on scaling, `python -m bench.sweep keep [PART ...]` keeps what is measured, in
`book/reference/scaling.json`, and `python -m bench.sweep runs PLACE` what a sweep in that folder found and weighs.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
from rich.console import Console
from rich.table import Table

from bench import tiny
from bench.report import machine
from medutils.files import BOOK, ROOT, write_json
from medutils.runs import export, found_runs, runs_table

KEPT, KEPT_RUNS = BOOK / "reference" / "scaling.json", BOOK / "reference" / "scaling_runs.csv"
SHOWN = ("mlp_nested.auroc", "mlp_nested.f1", "mlp_nested.brier", "mlp.auroc", "mlp.f1")  # of the spine chapter
COMMAND = (sys.executable, "-c", "from medutils.cli import main; main()")
PARTS = {
    "overhead": ("a run, beside its cells", "{seconds:.2f} s; {cpu:.2f} s of a core", "at most 3 s"),
    "workers": ("16 points, two workers over one", "{ratio:.2f} times the points a second", "at least 1.7"),
    "points": ("a point of 256 over one of 16", "{ratio:.2f}", "at most 1.3"),
    "empty": ("a point that runs nothing", "{seconds:.3f} s of 256, {few:.3f} s of 16; {cpu:.3f} s of a core", ""),
    "chapter": ("the spine chapter, profile smoke", "{cpu:.1f} s of a core", ""),
    "book": ("`medutils book`, unchanged", "{seconds:.1f} s", "at most 10 s"),
}
RUNS = 3
POINTS, WORK = 16, 3.0  # points of a sweep, and seconds that each computes
FEW, MANY = 16, 256
# As `medutils sweep` does it, with nothing to run on the workers: each gives back the files of a run that is there.
EMPTY = """
import sys, time
from pathlib import Path
from bench.sweep import Nothing
from medutils.sweep import Asked, sweep, sweeping
run, place, points = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
sweeping.compute = Nothing({path.name: path.read_bytes() for path in run.iterdir()})
asked = Asked("tiny", {"level": [str(level) for level in range(points)]}, {"data": "phantom"})
times = []
write = sweeping._Sweeping._write
sweeping._Sweeping._write = lambda *given: (write(*given), times.append((time.perf_counter(), time.process_time())))
assert sweep(asked, place, workers=2).done == points
print(*((last - first) / (points - 1) for first, last in zip(times[0], times[-1])))  # without the cluster's start
"""


class Nothing:
    """In the place of a run: gives back files that are there."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def __call__(self, _: str, point: Any, *__: object) -> Any:
        from medutils.sweep.point import Outcome

        return Outcome(point.key, "here", 0.0, self.files)


def main(parts: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the parts that are named, or all; print and return the numbers, each with the load it was taken under."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(tiny.copied(Path(folder) / "copy"), Path(folder))
        found: dict[str, Any] = {}
        for part in parts or PARTS:
            found[part] = {**getattr(bench, part)(), "load": os.getloadavg()[0]}
    table = Table("what", "measured", "to be", "load", title="Sweeps")
    for part, one in found.items():
        words, number, limit = PARTS[part]
        table.add_row(words, number.format(**one), limit, f"{one['load']:.1f}")
    Console().print(table)
    return {"machine": machine(), **found}


class Bench:
    """Commands on the copy of the package, each in a place of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        path = os.pathsep.join((str(root), str(ROOT)))
        self.environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}
        self.places = 0

    def place(self) -> Path:
        self.places += 1
        return self.folder / f"place{self.places}"

    def timed(self, *command: str) -> float:
        start = time.perf_counter()
        subprocess.run(command, env=self.environment, check=True, capture_output=True, cwd=self.folder)
        return time.perf_counter() - start

    def swept(self, points: int, workers: int, act: str = "") -> float:
        """Seconds of a sweep over so many points."""
        levels = ",".join(map(str, range(points)))
        given = ("-g", f"level={levels}", "-p", f"act={act}", "--data", "phantom", "--workers", str(workers))
        return self.timed(*COMMAND, "sweep", "tiny", *given, "--out", str(self.place()))

    def overhead(self) -> dict[str, float]:
        """Seconds of the command beside those of the notebook's cells, and what it computes in all."""
        beside, computed = [], []
        for _ in range(RUNS):
            place, before = self.place(), _computed()
            whole = self.timed(*COMMAND, "run", "tiny", "--data", "phantom", "--out", str(place))
            cells = nbformat.read(place / "notebook.ipynb", 4).cells
            beside.append(whole - sum(cell.metadata.papermill.duration or 0 for cell in cells))
            computed.append(_computed() - before)
        return {"seconds": median(beside), "cpu": median(computed)}

    def workers(self) -> dict[str, float]:
        """How many times the points a second two workers do of what one does."""
        one, two = (self.swept(POINTS, workers, f"work {WORK}") for workers in (1, 2))
        return {"one": one, "two": two, "ratio": one / two}

    def points(self) -> dict[str, float]:
        """What a point costs more in a long sweep than in a short one; what a sweep costs before its first is out."""
        start = self.swept(1, 2)
        few, many = (self.swept(points, 2) - start for points in (FEW, MANY))
        each = {"few": few / (FEW - 1), "many": many / (MANY - 1)}
        return {"start": start, **each, "ratio": each["many"] / each["few"]}

    def empty(self) -> dict[str, float]:
        """Seconds of a point that runs nothing, those that the process that sweeps computes, and the bytes of it."""
        place = self.place()
        self.timed(*COMMAND, "run", "tiny", "--data", "phantom", "--out", str(place))
        (place / "model.pt").write_bytes(os.urandom(2**20))
        each = []
        for points in (FEW, MANY):
            done = subprocess.run(
                [sys.executable, "-c", EMPTY, str(place), str(self.place()), str(points)],
                env=self.environment,
                check=True,
                capture_output=True,
                text=True,
                cwd=self.folder,
            )
            each.append([float(word) for word in done.stdout.split()])
        (few, _), (many, cpu) = each
        size = sum(path.stat().st_size for path in place.iterdir())
        return {"few": few, "seconds": many, "cpu": cpu, "ratio": many / few, "bytes": size}

    def chapter(self) -> dict[str, float]:
        """What a run of the spine chapter computes: seconds of a core, which do not grow with a machine's load."""
        given = ("--profile", "smoke", "--data", "phantom", "--out", str(self.place()))
        with tempfile.TemporaryDirectory() as cache:  # nothing is kept from before
            before = _computed()
            command = (*COMMAND, "run", "spine_mlp", *given)
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=self.folder)
            return {"cpu": _computed() - before}

    def book(self) -> dict[str, float]:
        """Seconds of `medutils book` where nothing has changed."""
        seconds = []
        for _ in range(2):  # the first one builds what is not there
            start = time.perf_counter()
            subprocess.run([*COMMAND, "book"], check=True, capture_output=True, cwd=ROOT)
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds[-1]}


def _computed() -> float:
    """Seconds of a core that processes which have ended had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kept_runs(place: Path) -> dict[str, float]:
    """Keep a sweep's runs, with a few of their metrics, for the page; the median bytes of each of their files."""
    table = runs_table(place)
    metrics = [name for name in SHOWN if name in table]
    columns = ["chapter", "data", "kind", "seconds", *table.attrs["parameters"]]
    columns += [column for name in metrics for column in (name, f"{name}_low", f"{name}_high")]
    versions = [name for name in table if name.startswith("version_")]
    export(table[[*columns, *versions]], csv=KEPT_RUNS)
    files = [path for folder in found_runs(place) for path in folder.iterdir()]
    names = sorted({path.name for path in files})
    return {name: median(path.stat().st_size for path in files if path.name == name) for name in names}


if __name__ == "__main__":
    asked = sys.argv[1:]
    if asked[:1] == ["runs"]:
        measured: dict[str, Any] = {"sizes": kept_runs(Path(asked[1]))}
    else:
        measured = main(asked[1:])
    if asked:
        kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
        write_json(KEPT, kept | measured)
