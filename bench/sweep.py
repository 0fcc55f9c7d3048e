"""What a run costs beside its notebook, and what a sweep costs beside its runs.

`python -m bench.sweep FILE` keeps the numbers for the page on scaling.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
from rich.console import Console
from rich.table import Table

from bench import tiny
from bench.report import machine
from medutils.files import ROOT, write_json

COMMAND = (sys.executable, "-c", "from medutils.cli import main; main()")
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
start = time.perf_counter()
asked = Asked("tiny", {"level": [str(level) for level in range(points)]}, {"data": "phantom"})
assert sweep(asked, place, workers=2).done == points
print(time.perf_counter() - start)
"""


class Nothing:
    """In the place of a run: gives back files that are there."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def __call__(self, _: str, point: Any, *__: object) -> Any:
        from medutils.sweep.point import Outcome

        return Outcome(point.key, "here", 0.0, self.files)


def main() -> dict[str, Any]:
    """Measure, print, and return the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        root = tiny.copied(Path(folder) / "copy")
        bench = Bench(root, Path(folder))
        found = {
            "machine": machine(),
            "load": os.getloadavg()[0],
            "overhead": bench.overhead(),
            "workers": bench.workers(),
            "points": bench.points(),
            "empty": bench.empty(),
            "book": {"seconds": unchanged_book()},
        }
    table = Table("what", "measured", "to be", title="Sweeps")
    table.add_row("a run, beside its cells", f"{found['overhead']['seconds']:.2f} s", "at most 3 s")
    table.add_row(f"{POINTS} points, two workers over one", f"{found['workers']['ratio']:.2f}", "at least 1.7")
    table.add_row(f"a point of {MANY} over one of {FEW}", f"{found['points']['ratio']:.2f}", "at most 1.3")
    table.add_row(f"an empty point of {MANY}", f"{1000 * found['empty']['seconds']:.1f} ms", "")
    table.add_row("`medutils book`, unchanged", f"{found['book']['seconds']:.1f} s", "at most 10 s")
    table.caption = f"load {found['load']:.1f} at the start"
    Console().print(table)
    return found


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
        """Seconds of the command beside those of the notebook's cells."""
        beside = []
        for _ in range(RUNS):
            place = self.place()
            whole = self.timed(*COMMAND, "run", "tiny", "--data", "phantom", "--out", str(place))
            cells = nbformat.read(place / "notebook.ipynb", 4).cells
            beside.append(whole - sum(cell.metadata.papermill.duration or 0 for cell in cells))
        return {"seconds": median(beside)}

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
        """Seconds of a point that runs nothing, and the bytes that it brings back."""
        place = self.place()
        self.timed(*COMMAND, "run", "tiny", "--data", "phantom", "--out", str(place))
        (place / "model.pt").write_bytes(os.urandom(2**20))
        seconds = []
        for points in (FEW, MANY):
            done = subprocess.run(
                [sys.executable, "-c", EMPTY, str(place), str(self.place()), str(points)],
                env=self.environment,
                check=True,
                capture_output=True,
                text=True,
                cwd=self.folder,
            )
            seconds.append(float(done.stdout))
        size = sum(path.stat().st_size for path in place.iterdir())
        return {"seconds": (seconds[1] - seconds[0]) / (MANY - FEW), "bytes": size}


def unchanged_book() -> float:
    """Seconds of `medutils book` where nothing has changed."""
    seconds = []
    for _ in range(2):  # the first one builds what is not there
        start = time.perf_counter()
        subprocess.run([*COMMAND, "book"], check=True, capture_output=True, cwd=ROOT)
        seconds.append(time.perf_counter() - start)
    return seconds[-1]


if __name__ == "__main__":
    measured = main()
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        kept = json.loads(path.read_text()) if path.is_file() else {}
        write_json(path, kept | measured)
