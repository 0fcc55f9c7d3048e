"""All metrics of 25 targets with their intervals: our bootstrap, beside scikit-learn asked once a resample."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from rich.console import Console

from bench.report import Rounds, show, spread
from medutils.evaluation import evaluate, grades

# As many as in the RSNA 2024 Lumbar Spine Degenerative Classification challenge.
STUDIES, TARGETS, GRADED = 1975, 25, 48803
GRADES = ("Normal/Mild", "Moderate", "Severe")
RESAMPLES, ROUNDS, ASKED = 2000, 3, 2  # resamples that scikit-learn is asked for; its time is scaled up to all
OURS, THEIRS = "ours", "scikit-learn"


def main() -> Rounds:
    """Measure and print; ours runs in a process of its own, whose memory is its peak and no other measurement's."""
    rounds, peaks = Rounds(), []
    table = _predictions()
    _theirs(table)  # scikit-learn loads parts of itself at the first call
    for _ in range(ROUNDS):
        with rounds.round() as found, ProcessPoolExecutor(1, get_context("spawn")) as process:
            found[OURS], peak = process.submit(_ours).result()
            found[THEIRS] = _theirs(table)
        peaks.append(peak)
    show(f"{GRADED:,} graded cells, all metrics, {RESAMPLES:,} resamples by patient", rounds, THEIRS)
    Console().print(f"peak memory of the process: {spread(peaks)} MiB, of which libraries and table {_idle():.0f} MiB")
    return rounds


def _predictions() -> pd.DataFrame:
    """Grades from a latent severity of study and target, and probabilities that know it with noise."""
    rng = np.random.default_rng(0)
    severity = (rng.normal(size=(STUDIES, 1)) + rng.normal(size=(STUDIES, TARGETS))).ravel()
    true = np.array(GRADES, dtype=object)[np.digitize(severity, [1.1, 2.2])]
    true[rng.choice(len(true), len(true) - GRADED, replace=False)] = ""
    logits = -((severity[:, None] - [-0.5, 1.6, 2.8]) ** 2) + rng.normal(size=(len(true), 3))
    odds = np.exp(logits)
    study, target = np.divmod(np.arange(len(true)), TARGETS)
    table = pd.DataFrame({"record_id": np.arange(len(true)), "patient": study, "target": target, "y_true": true})
    table = table.astype(str)
    table[[f"prob_{name}" for name in GRADES]] = odds / odds.sum(1)[:, None]
    return table


def _ours() -> tuple[float, float]:
    """Seconds, and the most memory in MiB that the process ever held."""
    table = _predictions()
    start = time.perf_counter()
    evaluate(table, grades(GRADES), "bench", resamples=RESAMPLES)
    return time.perf_counter() - start, _peak()


def _idle() -> float:
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_loaded).result()


def _loaded() -> float:
    from scipy import sparse  # noqa: F401, what `evaluate` loads when it is called

    _predictions()
    return _peak()


def _peak() -> float:
    """MiB. Linux counts a process by itself in VmHWM; `ru_maxrss` would start at what the parent held."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def _theirs(table: pd.DataFrame) -> float:
    """Seconds for all resamples of the metrics that scikit-learn has, with a patient's count as its rows' weight."""
    rng = np.random.default_rng(0)
    graded = table[table["y_true"] != ""]
    patient = graded["patient"].astype(int).to_numpy()
    seconds = []
    for _ in range(ASKED):
        weight = rng.multinomial(STUDIES, np.full(STUDIES, 1 / STUDIES))[patient]
        start = time.perf_counter()
        _once(graded, weight)
        seconds.append(time.perf_counter() - start)
    return median(seconds) * RESAMPLES


def _once(table: pd.DataFrame, weight: np.ndarray) -> None:
    from sklearn import metrics as sk

    drawn = table[weight > 0].assign(weight=weight[weight > 0])
    y, w = drawn["y_true"].to_numpy(), drawn["weight"].to_numpy()
    p = drawn[[f"prob_{name}" for name in GRADES]].to_numpy()
    said = np.array(GRADES)[p.argmax(1)]
    sk.precision_recall_fscore_support(y, said, labels=GRADES, sample_weight=w)
    sk.cohen_kappa_score(y, said, labels=GRADES, weights="linear", sample_weight=w)
    for number, name in enumerate(GRADES):
        sk.average_precision_score(y == name, p[:, number], sample_weight=w)
        sk.brier_score_loss(y == name, p[:, number], sample_weight=w)
        for part in (drawn, *(part for _, part in drawn.groupby("target"))):
            sk.roc_auc_score(part["y_true"] == name, part[f"prob_{name}"], sample_weight=part["weight"])


if __name__ == "__main__":
    main()
