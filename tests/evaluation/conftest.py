"""Predictions tables for the tests of evaluation."""

import numpy as np
import pandas as pd
import pytest

GRADES = ("mild", "moderate", "severe")


@pytest.fixture
def two_classes():
    """Makes a table of `films` rows a patient; probabilities are rounded, since ties matter."""

    def make(n=200, seed=0, noise=1.0, films=1):
        rng = np.random.default_rng(seed)
        y = rng.random(n) < 0.6
        p = np.round(1 / (1 + np.exp(-(2 * y - 1 + noise * rng.normal(size=n)))), 2)
        table = {"record_id": [f"r{i}" for i in range(n)], "patient": [f"p{i // films}" for i in range(n)]}
        return pd.DataFrame(table | {"y_true": np.where(y, "sick", "well"), "prob_well": 1 - p, "prob_sick": p})

    return make


@pytest.fixture
def many_targets():
    """Makes a table of three grades; a share of the cells is empty, and the last target has no severe one."""

    def make(studies=30, targets=4, seed=0, empty=0.2):
        rng = np.random.default_rng(seed)
        severity = (rng.normal(size=(studies, 1)) + rng.normal(size=(studies, targets))).ravel()
        study, target = np.divmod(np.arange(len(severity)), targets)
        y = np.digitize(severity, [0.5, 1.2])
        y[(y == 2) & (target == targets - 1)] = 1
        odds = np.exp(-((severity[:, None] - [-0.5, 0.8, 1.8]) ** 2) + rng.normal(size=(len(y), 3))).round(1) + 0.1
        true = np.where(rng.random(len(y)) < empty, "", np.array(GRADES)[y])
        table = pd.DataFrame({"patient": study, "target": target, "y_true": true}).astype(str)
        table[[f"prob_{name}" for name in GRADES]] = odds / odds.sum(1)[:, None]
        return table.assign(record_id=table["patient"] + ":" + table["target"])

    return make
