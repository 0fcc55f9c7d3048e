"""From predictions to a result: pooled metrics, intervals resampled by patient, calibration, thresholds.

Predictions are pooled first and a metric is computed once. The positive class is always named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.errors import InputError
from medutils.tables import rest

Array = NDArray[np.float64]
Rule = Literal["F1", "balanced accuracy"]

METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "precision": "Precision (PPV)",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "log_loss": "Log loss",
}


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, the count of patients behind it and the rows it was taken on."""

    value: float
    low: float
    high: float
    n: int
    split: str

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def evaluate(
    predictions: pd.DataFrame,
    positive: str,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All of `METRICS` for a two-class predictions table, each with a bootstrap interval resampled by patient.

    A column `repeat` marks repeated cross-validation: a metric is then pooled within each repeat and averaged over the
    repeats, and a resample takes the same patients in all of them. `threshold` is a number, or the name of a column
    that holds one for each row. A metric that is not defined (AUROC on one class) is NaN.
    """
    weights = _resampled(predictions, resamples, seed)
    values = _averaged(predictions, positive, threshold, weights)
    patients = predictions["patient"].nunique()
    return {name: _estimate(draws, patients, split) for name, draws in values.items()}


def f1(predictions: pd.DataFrame, positive: str, threshold: float | str = 0.5) -> float:
    """F1 alone, without an interval; see `evaluate`."""
    return evaluate(predictions, positive, "", threshold, resamples=0)["f1"].value


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    positive: str,
    split: str,
    threshold: float | str = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The difference `first` minus `second` in each metric, paired: each resample takes the same patients in both."""
    if set(first["patient"]) != set(second["patient"]):
        raise InputError("a paired comparison needs predictions for the same patients; the two tables differ in them")
    one, two = (_averaged(table, positive, threshold, _resampled(table, resamples, seed)) for table in (first, second))
    patients = first["patient"].nunique()
    return {name: _estimate(one[name] - two[name], patients, split) for name in METRICS}


def proportion(
    hits: int, n: int, split: str, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Estimate:
    """A proportion with its Clopper-Pearson (`exact`) or Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method)
    return Estimate(hits / n, float(interval.low), float(interval.high), n, split)


def confusion(predictions: pd.DataFrame, positive: str, threshold: float = 0.5) -> pd.DataFrame:
    """Counts with the true class in the rows and the decision in the columns, the positive class last."""
    negative = _negative(predictions, positive)
    y = predictions["y_true"].eq(positive).to_numpy(dtype=int)
    said = predictions[f"prob_{positive}"].ge(threshold).to_numpy(dtype=int)
    return counts(y, said, [negative, positive])


def counts(y: NDArray[np.int64], said: NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    """Counts of decisions by true class, from class numbers."""
    table = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(table, (y, said), 1)
    return pd.DataFrame(table, pd.Index(classes, name="true"), pd.Index(classes, name="decided"))


def calibration(predictions: pd.DataFrame, positive: str, bins: int = 8) -> pd.DataFrame:
    """Observed against predicted frequency of the positive class, in bins of about equal size.

    Columns: `predicted` (mean probability), `observed`, `low`, `high` (95 % Wilson), `n`. All repeats are binned
    together. A patient counts once in a bin, however many rows of theirs lie there: the interval takes `n` patients.
    """
    rows = predictions.assign(p=predictions[f"prob_{positive}"], hit=predictions["y_true"].eq(positive).astype(float))
    edges = pd.qcut(rows["p"].rank(method="first"), min(bins, len(rows)), labels=False)
    found = []
    for _, part in rows.groupby(edges):
        observed, patients = part["hit"].mean(), part["patient"].nunique()
        interval = proportion(round(observed * patients), patients, "", "wilson")
        found.append((part["p"].mean(), observed, interval.low, interval.high, patients))
    return pd.DataFrame(found, columns=["predicted", "observed", "low", "high", "n"])


def choose_threshold(y: Array, probability: Array, rule: Rule = "F1") -> float:
    """The threshold with the highest F1 or balanced accuracy; of several, the one nearest to 0.5.

    To be chosen on validation rows only. F1 hangs on the share of the positive class in them; balanced accuracy, the
    mean of sensitivity and specificity, does not.
    """
    edges = np.unique(probability)
    candidates = np.r_[0.5, (edges[1:] + edges[:-1]) / 2]
    said = probability[None, :] >= candidates[:, None]
    positive = y > 0.5
    hits = (said & positive).sum(1)
    if rule == "F1":
        worth = 2 * hits / np.maximum(said.sum(1) + positive.sum(), 1)
    else:
        false_alarms = said.sum(1) - hits
        worth = hits / max(positive.sum(), 1) - false_alarms / max((~positive).sum(), 1)
    best = candidates[worth >= worth.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def fit_temperature(logits: Array, y: NDArray[np.int64]) -> float:
    """The number by which logits, (rows,) or (rows, classes), are divided for the lowest log loss on these rows.

    Temperature scaling, see {cite}`guo2017`: it changes how sure a model is, never its ranking. Between 0.05 and 20.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    z = np.asarray(logits, dtype=float)
    z = np.stack([np.zeros(len(z)), z], axis=1) if z.ndim == 1 else z
    rows = np.arange(len(y))
    found = minimize_scalar(
        lambda log: -log_softmax(z / np.exp(log), axis=1)[rows, y].mean(), bounds=np.log([0.05, 20]), method="bounded"
    )
    return float(np.exp(found.x))


def one_against_rest(predictions: pd.DataFrame, positive: str) -> pd.DataFrame:
    """A predictions table of any number of classes as one of two: `positive` and what `rest` calls the others."""
    others = [column for column in predictions if column.startswith("prob_") and column != f"prob_{positive}"]
    if len(others) == 1:
        return predictions
    table = predictions.drop(columns=others)
    table["y_true"] = table["y_true"].where(table["y_true"] == positive, rest(positive))
    return table.assign(**{f"prob_{rest(positive)}": 1 - table[f"prob_{positive}"]})


def _negative(predictions: pd.DataFrame, positive: str) -> str:
    classes = [column.removeprefix("prob_") for column in predictions if column.startswith("prob_")]
    if positive not in classes or len(classes) != 2:
        raise InputError(f"positive: found '{positive}'; expected one of the two classes {', '.join(classes)}")
    return next(name for name in classes if name != positive)


def _resampled(predictions: pd.DataFrame, resamples: int, seed: int) -> Array:
    """(1 + resamples, rows): how often each row counts; first as it is, then patients drawn with replacement."""
    code = pd.Categorical(predictions["patient"], categories=sorted(predictions["patient"].unique())).codes
    patients = code.max() + 1
    drawn = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    return np.vstack([np.ones(patients), drawn]).astype(float)[:, code]


def _averaged(predictions: pd.DataFrame, positive: str, threshold: float | str, weights: Array) -> dict[str, Array]:
    """Each metric for each weighting, averaged over the repeats of a repeated cross-validation."""
    _negative(predictions, positive)
    y = predictions["y_true"].eq(positive).to_numpy(dtype=float)
    p = predictions[f"prob_{positive}"].to_numpy(dtype=float)
    cut = predictions[threshold].to_numpy(dtype=float) if isinstance(threshold, str) else np.full(len(y), threshold)
    repeat = predictions.get("repeat", pd.Series(0, index=predictions.index)).to_numpy()
    each = [
        _metrics(y[rows], p[rows], cut[rows], weights[:, rows]) for rows in (repeat == r for r in np.unique(repeat))
    ]
    return {name: np.mean([values[name] for values in each], axis=0) for name in METRICS}


def _metrics(y: Array, p: Array, threshold: Array, weights: Array) -> dict[str, Array]:
    """All metrics at once for every row of `weights`, (weightings, rows)."""
    said = (p >= threshold).astype(float)
    tp, fp = weights @ (y * said), weights @ ((1 - y) * said)
    fn, tn = weights @ (y * (1 - said)), weights @ ((1 - y) * (1 - said))
    total = weights.sum(1)
    certain = np.clip(p, 1e-7, 1 - 1e-7)
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        # With no positive decision precision is taken as 0, as scikit-learn does.
        precision = np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1e-12), 0.0)
        auroc, auprc = _ranking(y, p, weights)
        return {
            "accuracy": (tp + tn) / total,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": precision,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "auroc": auroc,
            "auprc": auprc,
            "brier": weights @ (p - y) ** 2 / total,
            "log_loss": -(weights @ (y * np.log(certain) + (1 - y) * np.log(1 - certain))) / total,
        }


def _ranking(y: Array, p: Array, weights: Array) -> tuple[Array, Array]:
    """Area under the ROC curve, ties counting half, and average precision, for every weighting at once.

    scikit-learn computes the same for one weighting a call; for 2,000 resamples that is a hundred times slower.
    """
    order = np.argsort(-p, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(p[order]) != 0])
    positives = np.add.reduceat((weights * y)[:, order], first, axis=1)
    negatives = np.add.reduceat((weights * (1 - y))[:, order], first, axis=1)
    hits, alarms = positives.cumsum(1), negatives.cumsum(1)
    all_positive, all_negative = hits[:, -1], alarms[:, -1]
    above = hits - positives / 2
    auroc = (negatives * above).sum(1) / (all_positive * all_negative)
    precision = hits / np.maximum(hits + alarms, 1e-12)
    return auroc, (positives * precision).sum(1) / all_positive


def _estimate(draws: Array, n: int, split: str) -> Estimate:
    """The first draw is the value; the others give the 2.5th and 97.5th percentile."""
    spread = draws[1:][np.isfinite(draws[1:])]
    low, high = np.percentile(spread, [2.5, 97.5]) if len(spread) else (np.nan, np.nan)
    return Estimate(float(draws[0]), float(low), float(high), n, split)
