"""From predictions to a result: pooled metrics, intervals by patient, thresholds, calibration, comparisons.

Predictions are pooled first and a metric is computed once. The task names the classes, and of two the
positive one.
"""

from medutils.evaluation.calibrate import at_bound, calibration, calibration_error, fit_temperature
from medutils.evaluation.decisions import confusion, counts
from medutils.evaluation.estimate import (
    Estimate,
    Verdict,
    fixed_sentence,
    number,
    proportion,
    rows_needed,
    verdict,
    verdict_sentence,
)
from medutils.evaluation.intervals import compare, difference_of_differences, evaluate, evaluate_by, values
from medutils.evaluation.metrics import METRICS, metric_name, predictive_values
from medutils.evaluation.task import Task, binary, grades, multiclass, one_against_rest
from medutils.evaluation.thresholds import Rule, choose_threshold, operating_points, threshold_for

__all__ = [
    "METRICS",
    "Estimate",
    "Rule",
    "Task",
    "Verdict",
    "at_bound",
    "binary",
    "calibration",
    "calibration_error",
    "choose_threshold",
    "compare",
    "confusion",
    "counts",
    "difference_of_differences",
    "evaluate",
    "evaluate_by",
    "fit_temperature",
    "fixed_sentence",
    "grades",
    "metric_name",
    "multiclass",
    "number",
    "one_against_rest",
    "operating_points",
    "predictive_values",
    "proportion",
    "rows_needed",
    "threshold_for",
    "values",
    "verdict",
    "verdict_sentence",
]
