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
from sklearn.preprocessing import StandardScaler

from bench.report import Rounds, show
from medutils.chapters.spine_mlp.experiments import Task, writeup_split
from medutils.data.spine import open_spine
from medutils.models.mlp import SpineMLP
from medutils.training.loop import Settings, fit, one_thread
from medutils.training.replicas import fit_replicas

REPLICAS, ROUNDS = 100, 3
OURS_ALONE = ("OMP_WAIT_POLICY",)  # what medutils sets in the environment, and the write-up does not


def main() -> Rounds:
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
    rounds = Rounds()
    for _ in range(ROUNDS):
        with rounds.round() as found:
            found["the write-up's loop"] = _as_written(table, Settings().epochs)
            found["ours"] = _timed(lambda: _ours(table, Settings()))
            found[f"ours, {REPLICAS} seeds at once"] = _timed(lambda: _at_once(task, rows, held))
    show("Write-up 000: 200 epochs, 248 rows", rounds, "the write-up's loop")
    return rounds


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ours(table: dict[str, np.ndarray], settings: Settings) -> None:
    x, y, x_val, y_val = (torch.tensor(part, dtype=torch.float32) for part in table.values())
    with one_thread():
        fit(SpineMLP(), (x, y), (x_val, y_val), settings, seed=0)


def _at_once(task: Task, rows: np.ndarray, held: np.ndarray) -> None:
    with one_thread():
        fit_replicas(task.x, task.y, [rows] * REPLICAS, [held] * REPLICAS, range(REPLICAS), Settings())


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
