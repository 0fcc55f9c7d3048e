"""The one way from predictions to a result: pooled metrics with intervals by patient, alone and in comparison."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medutils.bootstrap import interval, patient_codes, resampled
from medutils.errors import InputError
from medutils.evaluation.estimate import Estimate
from medutils.evaluation.metrics import Pooled, Prevalence
from medutils.evaluation.task import Array, Cells, Task, cells
from medutils.tables import graded

Pair = tuple[pd.DataFrame, pd.DataFrame]


def evaluate(
    predictions: pd.DataFrame,
    task: Task,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
    prevalence: Prevalence = None,
) -> dict[str, Estimate]:
    """Every metric of a predictions table, each with a bootstrap interval resampled by patient.

    Of two classes: accuracy, balanced accuracy, log loss and macro-F1, and of the positive class sensitivity,
    specificity, precision (PPV), NPV, F1, AUROC, AUPRC and Brier score. Of several classes the latter eight are given
    for each class against the rest (`auroc[Severe]`) and as their mean over the classes that occur (`macro_auroc`); of
    grades also `kappa_linear` and `weighted_log_loss`. See `METRICS` and `metric_name`.

    A column `target` marks many targets: all graded cells are pooled, empty ones (`y_true` "" or NaN) are left out, and
    `auroc_over_targets` is the mean over those targets for which it is defined, which its `note` counts. A column
    `repeat` marks repeated cross-validation or seeds: a metric is pooled within each repeat and averaged over the
    repeats, and a resample takes the same patients in all of them.

    threshold: of two classes, a number, or the name of a column that holds one for each row; a row is called positive
        from it on (>=). Several classes are decided by the highest probability.
    prevalence: adds PPV and NPV where the positive class is as frequent as this (`ppv_at_0.1`); of several classes, a
        share for each class by its name (`ppv_at_0.1[Severe]`)

    A metric that is not defined (AUROC on one class) is NaN. Raises `InputError` when the table's classes are not the
    task's.
    """
    (found,), patients = _resampled([predictions], task, threshold, resamples, seed, prevalence)
    fixed, notes = _fixed(predictions), _notes(predictions, task)
    return {name: _estimate(draws, patients, split, fixed, notes.get(name, "")) for name, draws in found.items()}


def values(
    predictions: pd.DataFrame, task: Task, threshold: float | str = 0.5, prevalence: Prevalence = None
) -> dict[str, float]:
    """Every metric without its interval; see `evaluate`."""
    (found,), _ = _resampled([predictions], task, threshold, 0, 0, prevalence)
    return {name: float(draws[0]) for name, draws in found.items()}


def evaluate_by(
    column: str,
    predictions: pd.DataFrame,
    task: Task,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
    prevalence: Prevalence = None,
) -> dict[str, dict[str, Estimate]]:
    """`evaluate` for the rows of each value of a column (`target`, a level, a source), each with its own patients.

    In the order of the values; those without a graded cell are left out.
    """
    table = graded(predictions)
    groups = (table.drop(columns=column) if column == "target" else table).groupby(table[column])
    return {str(name): evaluate(rows, task, split, threshold, resamples, seed, prevalence) for name, rows in groups}


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    task: Task,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
    prevalence: Prevalence = None,
) -> dict[str, Estimate]:
    """The difference `first` minus `second` in each metric, paired: each resample takes the same patients in both.

    Raises `InputError` when the two tables differ in their patients.
    """
    _check_pairs((first, second))
    (one, two), patients = _resampled([first, second], task, threshold, resamples, seed, prevalence)
    fixed = _fixed(first, second)
    return {name: _estimate(one[name] - two[name], patients, split, fixed) for name in one}


def difference_of_differences(
    first: Pair,
    second: Pair,
    task: Task,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
    prevalence: Prevalence = None,
) -> dict[str, Estimate]:
    """How far the difference within `first` exceeds that within `second`, in each metric: (a - b) - (c - d).

    Both tables of a pair hold the same patients. The two pairs may hold the same patients, or others: the patients of
    all four tables are drawn together.
    """
    _check_pairs(first, second)
    (a, b, c, d), patients = _resampled([*first, *second], task, threshold, resamples, seed, prevalence)
    fixed = _fixed(*first, *second)
    return {name: _estimate(a[name] - b[name] - (c[name] - d[name]), patients, split, fixed) for name in a}


def _check_pairs(*pairs: Pair) -> None:
    for one, two in pairs:
        if set(graded(one)["patient"]) != set(graded(two)["patient"]):
            raise InputError(
                "a paired comparison needs predictions for the same patients; the two tables differ in them"
            )


def _resampled(
    tables: Sequence[pd.DataFrame],
    task: Task,
    threshold: float | str,
    resamples: int,
    seed: int,
    prevalence: Prevalence,
) -> tuple[list[dict[str, Array]], int]:
    """Each metric that all tables have, (1 + resamples,), from the same draws of the patients of all tables."""
    tasks = [task.of(table) for table in tables]
    every = [cells(table, of, threshold) for table, of in zip(tables, tasks, strict=True)]
    names = np.concatenate([one.patient for one in every])
    patients = patient_codes(names)[1]
    ready = [_by_repeat(one, of, prevalence, names) for one, of in zip(every, tasks, strict=True)]
    keys: list[str] = []

    def statistic(weights: Array) -> Array:
        found = [[pooled.metrics(weights) for pooled in repeats] for repeats in ready]
        keys[:] = [key for key in found[0][0] if all(key in repeats[0] for repeats in found)]
        return np.array([[np.mean([one[key] for one in repeats], axis=0) for key in keys] for repeats in found])

    longest = max(pooled.groups for repeats in ready for pooled in repeats)
    found = resampled(statistic, patients, resamples, seed, longest)
    return [dict(zip(keys, table, strict=True)) for table in found], patients


def _by_repeat(one: Cells, task: Task, prevalence: Prevalence, names: np.ndarray) -> list[Pooled]:
    code, patients = patient_codes(one.patient, names)
    chosen = (one.repeat == repeat for repeat in np.unique(one.repeat))
    return [Pooled(one.rows(rows), task, prevalence, code[rows], patients) for rows in chosen]


def _fixed(*tables: pd.DataFrame) -> tuple[str, ...]:
    """What a bootstrap by patient takes as given: the trainings behind the predictions."""
    repeats = max(table["repeat"].nunique() if "repeat" in table else 1 for table in tables)
    if repeats > 1:
        return (f"the {repeats} repeats",)
    return ("the trained model",) if len(tables) == 1 else ("the trained models",)


def _notes(predictions: pd.DataFrame, task: Task) -> dict[str, str]:
    """For how many targets AUROC is defined, under the name of its mean over targets."""
    table = graded(predictions)
    if "target" not in table:
        return {}
    counts = pd.crosstab(table["target"], table["y_true"])
    of = len(counts)
    notes = {"auroc_over_targets": f"defined for {int((counts.gt(0).sum(axis=1) > 1).sum())} of {of} targets"}
    for name in task.classes:
        with_class = counts[name] if name in counts else pd.Series(0, counts.index)
        defined = int(((with_class > 0) & (with_class < counts.sum(axis=1))).sum())
        notes[f"auroc_over_targets[{name}]"] = f"defined for {defined} of {of} targets"
    return notes


def _estimate(draws: Array, patients: int, split: str, fixed: tuple[str, ...], note: str = "") -> Estimate:
    """The first draw is the value; the others give the interval, as far as they are defined."""
    undefined = int(np.isnan(draws[1:]).sum())
    if undefined and np.isfinite(draws[0]):
        note = "; ".join(filter(None, (note, f"not defined in {undefined} of {len(draws) - 1} resamples")))
    return Estimate(float(draws[0]), *interval(draws[1:]), patients, split, fixed, note)
