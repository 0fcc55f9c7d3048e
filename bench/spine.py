"""Write-up 000's training beside ours: one network, and a hundred at once."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.preprocessing import StandardScaler

from medutils.chapters.spine_mlp.experiments import Task, many_seeds, writeup_split
from medutils.data.spine import open_spine
from medutils.models.mlp import SpineMLP
from medutils.training.loop import Settings, fit, one_thread

REPLICAS = 100
OURS_ALONE = ("OMP_WAIT_POLICY",)  # what medutils sets in the environment, and the write-up does not


def main() -> dict[str, float]:
    """Measure and print; every figure is the time of the write-up's 200 epochs on its 248 rows."""
    task = Task(open_spine("phantom")[0], "Normal", "Abnormal")
    rows, held = writeup_split(task)
    scaler = StandardScaler().fit(task.x[rows])
    table = {
        "x_train": scaler.transform(task.x[rows]),
        "y_train": task.y[rows],
        "x_val": scaler.transform(task.x[held]),
        "y_val": task.y[held],
    }
    _ours(table, Settings(epochs=2))  # torch loads parts of itself at the first step
    written = _as_written(table, Settings().epochs)
    ours = min(_timed(lambda: _ours(table, Settings())) for _ in range(3))
    many = _timed(lambda: many_seeds(task, range(REPLICAS), Settings()))
    shown = Table("what", "seconds", "of the write-up's time", title="Write-up 000: 200 epochs, 248 rows")
    for name, seconds in (("as written", written), ("ours", ours), (f"ours, {REPLICAS} seeds", many)):
        shown.add_row(name, f"{seconds:.2f}", f"{seconds / written:.3f} (1/{written / seconds:.1f})")
    Console().print(shown)
    return {"as_written_s": written, "ours_s": ours, "speedup": written / ours, "hundred_to_one": many / written}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ours(table: dict[str, np.ndarray], settings: Settings) -> None:
    x, y, x_val, y_val = (torch.tensor(part, dtype=torch.float32) for part in table.values())
    with one_thread():
        fit(SpineMLP(), (x, y), (x_val, y_val), settings, seed=0)


def _as_written(table: dict[str, np.ndarray], epochs: int) -> float:
    """In a process of its own, with torch's own settings."""
    script = Path(__file__).with_name("writeup_000.py")
    environment = {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        np.savez(path, **table)
        command = [sys.executable, str(script), str(path), str(epochs)]
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
