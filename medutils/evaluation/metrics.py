"""Every metric, from sums over patients and from rankings, for many weightings of the patients at once."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medutils.bootstrap import by_patient
from medutils.errors import InputError
from medutils.evaluation.ranking import Ranking
from medutils.evaluation.task import Array, Cells, Task
from medutils.tables import few

METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "precision": "Precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "macro_f1": "Macro-F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "weighted_log_loss": "Weighted log loss",
    "kappa_linear": "Linearly weighted kappa",
    "auroc_over_targets": "AUROC, mean over targets",
}
PER_CLASS = ("sensitivity", "specificity", "precision", "npv", "f1", "auroc", "auprc", "brier")
LEAST_PROBABILITY = 1e-7  # a probability of 0 for what was true costs no more than this one

Prevalence = float | Mapping[str, float] | None


def metric_name(key: str) -> str:
    """A key of a result in words: `macro_f1`, `auroc[Severe]`, `ppv_at_0.1`."""
    name, _, of = key.partition("[")
    if of:
        return f"{metric_name(name)}, {of.removesuffix(']')}"
    if name in METRICS:
        return METRICS[name]
    if name.startswith("macro_"):
        return f"{METRICS.get(name.removeprefix('macro_'), name)}, macro"
    value, _, share = name.partition("_at_")
    return f"{value.upper()} at a prevalence of {float(share):.4g}" if share else key


class Pooled:
    """Cells pooled and made ready once, so that all metrics of many weightings are a few products each.

    `code` numbers the patient of each cell among `patients`.
    """

    def __init__(
        self, cells: Cells, task: Task, prevalence: Prevalence, code: NDArray[np.int64], patients: int
    ) -> None:
        self.task, self.prevalence = task, _prevalences(task, prevalence)
        self.sums = by_patient(_summed(cells, task), code, patients)
        self.rankings = _rankings(cells, task, code, patients)
        self.by_target = []
        if cells.target is not None:
            for number in np.unique(cells.target):
                chosen = cells.target == number
                self.by_target.append(_rankings(cells.rows(chosen), task, code[chosen], patients))

    @property
    def groups(self) -> int:
        """The most groups of a ranking: the longest array that a weighting needs."""
        return max(ranking.groups for ranking in self.rankings)

    def metrics(self, weights: Array) -> dict[str, Array]:
        """Each metric, (weightings,), for weights (patients, weightings)."""
        names = self.task.classes
        counts, squares, loss, weighted, weight = _parts(weights.T @ self.sums, len(names))
        areas = np.array([ranking.areas(weights) for ranking in self.rankings])  # (classes, 2, weightings)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = counts.sum((1, 2))
            each = _from_counts(counts) | {"brier": squares / total[:, None]}
            each |= {"auroc": areas[:, 0].T, "auprc": areas[:, 1].T}
            found = {
                "accuracy": np.trace(counts, axis1=1, axis2=2) / total,
                "balanced_accuracy": _macro(each["sensitivity"], counts),
                "log_loss": loss / total,
            }
            if self.task.kind == "grades":
                found |= {"weighted_log_loss": weighted / weight, "kappa_linear": _kappa(counts)}
            if self.task.kind == "binary":
                found |= {name: each[name][:, -1] for name in PER_CLASS}
                found |= {"macro_f1": _macro(each["f1"], counts)}
            else:
                found |= {f"macro_{name}": _macro(each[name], counts) for name in PER_CLASS}
                found |= {f"{name}[{of}]": each[name][:, k] for name in PER_CLASS for k, of in enumerate(names)}
            found |= _at_prevalence(each, self.prevalence, self.task)
        return found | self._over_targets(weights)

    def _over_targets(self, weights: Array) -> dict[str, Array]:
        """AUROC of each target alone, averaged over the targets that have a class and its rest."""
        if not self.by_target:
            return {}
        each = np.array([[one.areas(weights)[0] for one in rankings] for rankings in self.by_target])
        found = {"auroc_over_targets": _mean(_mean(each, 1), 0)}
        if self.task.kind == "binary":
            return found
        over = _mean(each, 0)
        return found | {f"auroc_over_targets[{of}]": over[k] for k, of in enumerate(self.task.classes)}


def _rankings(cells: Cells, task: Task, code: NDArray[np.int64], patients: int) -> list[Ranking]:
    """Of the positive class, or of each class against the rest."""
    numbers = [1] if task.kind == "binary" else range(len(task.classes))
    return [Ranking(cells.y == k, cells.p[:, k], code, patients) for k in numbers]


def _summed(cells: Cells, task: Task) -> Array:
    """All that is summed over cells: decisions by true class, squared errors by class, losses, weights of grades."""
    count, rows = len(task.classes), np.arange(len(cells.y))
    confusion = np.zeros((len(rows), count * count))
    confusion[rows, cells.y * count + cells.said] = 1
    p = cells.p if task.kind != "binary" else np.stack([1 - cells.p[:, 1], cells.p[:, 1]], axis=1)
    true = np.eye(count)[cells.y]
    loss = -np.log(np.clip(p[rows, cells.y], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    weight = np.array(task.weights or (1,) * count, dtype=float)[cells.y]
    return np.column_stack([confusion, (p - true) ** 2, loss, loss * weight, weight])


def _parts(sums: Array, count: int) -> tuple[Array, Array, Array, Array, Array]:
    """Weighted sums (weightings, columns of `_summed`) taken apart again."""
    counts, squares, loss, weighted, weight = np.split(sums, np.cumsum([count * count, count, 1, 1]), axis=1)
    return counts.reshape(-1, count, count), squares, loss[:, 0], weighted[:, 0], weight[:, 0]


def _from_counts(counts: Array) -> dict[str, Array]:
    """Measures of each class against the rest, (weightings, classes), from (weightings, true, decided)."""
    tp = np.einsum("bkk->bk", counts)
    fn, fp = counts.sum(2) - tp, counts.sum(1) - tp
    tn = counts.sum((1, 2))[:, None] - tp - fn - fp
    return {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        # With no such decision precision and NPV are taken as 0, as scikit-learn does.
        "precision": tp / np.where(tp + fp > 0, tp + fp, 1),
        "npv": tn / np.where(tn + fn > 0, tn + fn, 1),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def _macro(each: Array, counts: Array) -> Array:
    """Mean over the classes that occur, (weightings,), as scikit-learn's balanced accuracy; NaN when one alone does."""
    occurs = counts.sum(2) > 0
    number = occurs.sum(1)
    return np.where(number > 1, np.where(occurs, each, 0).sum(1) / np.maximum(number, 1), np.nan)


def _kappa(counts: Array) -> Array:
    """Cohen's kappa with linear weights: 1 minus the observed disagreement over that of independent decisions."""
    grade = np.arange(counts.shape[1])
    apart = np.abs(grade[:, None] - grade)
    expected = np.einsum("bi,bj->bij", counts.sum(2), counts.sum(1)) / counts.sum((1, 2))[:, None, None]
    return 1 - (apart * counts).sum((1, 2)) / (apart * expected).sum((1, 2))


def _prevalences(task: Task, prevalence: Prevalence) -> dict[str, float]:
    """The share of each class that is named; a single number is that of the positive class."""
    if prevalence is None:
        return {}
    if not isinstance(prevalence, Mapping):
        prevalence = {task.positive: prevalence}
    for name, share in prevalence.items():
        if name not in task.classes or not 0 < share < 1:
            raise InputError(f"prevalence: found {share} of '{name}'; expected 0 to 1 of one of {few(task.classes)}")
    return dict(prevalence)


def _at_prevalence(each: Mapping[str, Array], prevalence: Mapping[str, float], task: Task) -> dict[str, Array]:
    """PPV and NPV where a class is as frequent as is said."""
    found: dict[str, Array] = {}
    for name, share in prevalence.items():
        sensitivity, specificity = (each[m][:, task.classes.index(name)] for m in ("sensitivity", "specificity"))
        of = "" if task.kind == "binary" and name == task.positive else f"[{name}]"
        ppv, npv = predictive_values(sensitivity, specificity, share)
        found |= {f"ppv_at_{share:g}{of}": ppv, f"npv_at_{share:g}{of}": npv}
    return found


def predictive_values(sensitivity: Array, specificity: Array, prevalence: float) -> tuple[Array, Array]:
    """PPV and NPV where a share `prevalence` has the condition, by Bayes' rule; NaN where nobody is called so."""
    hit, alarm = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    cleared, missed = (1 - prevalence) * specificity, prevalence * (1 - sensitivity)
    with np.errstate(invalid="ignore"):
        return hit / (hit + alarm), cleared / (cleared + missed)


def _mean(values: Array, axis: int) -> Array:
    """Mean of the numbers along an axis that are defined; NaN where none is."""
    defined = np.isfinite(values)
    number = defined.sum(axis)
    return np.where(number > 0, np.where(defined, values, 0).sum(axis) / np.maximum(number, 1), np.nan)
