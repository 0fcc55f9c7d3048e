"""From predictions to a result: pooled metrics, intervals by patient, thresholds, calibration, comparisons."""

from medutils.evaluation.metrics import (
    METRICS,
    Estimate,
    Rule,
    calibration,
    choose_threshold,
    compare,
    confusion,
    counts,
    evaluate,
    f1,
    fit_temperature,
    one_against_rest,
    proportion,
)

__all__ = [
    "METRICS",
    "Estimate",
    "Rule",
    "calibration",
    "choose_threshold",
    "compare",
    "confusion",
    "counts",
    "evaluate",
    "f1",
    "fit_temperature",
    "one_against_rest",
    "proportion",
]
