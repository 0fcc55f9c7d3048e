"""What the reference run of the spine chapter found: for its first figure, and for the cover, which needs no torch."""

import pandas as pd

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference

CHAPTER = "spine_mlp"
TOLD, TEST = "highest of 200 epochs, validation rows", "test rows"


def answer_rows() -> pd.DataFrame:
    """The F1 that was reported, and those of the reference run."""
    names = {
        TOLD: "experiments/best_of_many_looks/f1_of_best_epoch",
        f"network, {TEST}": "mlp_nested.f1",
        f"logistic regression, {TEST}": "logistic_regression_nested.f1",
        f"majority class, {TEST}": "majority_nested.f1",
    }
    return reported_and_reference(CHAPTER, names, {TOLD: "best_validation_f1"})


def finding() -> Finding:
    """What the cover tells."""
    real, rows = real_numbers(CHAPTER), answer_rows().iloc[:3]
    network, line = real.metric("mlp_nested.f1"), real.metric("logistic_regression_nested.f1")
    sentence = (
        f"A small network on spine measurements was reported with an F1 of {rows['reported'].iloc[0]:.4g}; on test "
        f"rows it has {network}, and logistic regression, which was not tried, {line}."
    )
    return Finding(
        sentence, rows.set_axis([f"spine F1, {what}" for what in ("as told", "the network", "logistic regression")])
    )
