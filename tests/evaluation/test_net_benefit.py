"""Decision curves: by hand, and where acting on everybody is as good."""

import numpy as np
import pandas as pd
import pytest

from medutils.evaluation import binary
from medutils.evaluation.net_benefit import EVERYBODY, MODEL, OVER, decision_curve


def table(probability: list[float]) -> pd.DataFrame:
    y = ["ill", "ill", "well", "well", "well"]
    rows = pd.DataFrame({"record_id": list("abcde"), "patient": list("abcde"), "y_true": y})
    return rows.assign(prob_well=1 - np.array(probability), prob_ill=probability)


def test_net_benefit_is_hits_minus_priced_alarms() -> None:
    curve = decision_curve(table([0.9, 0.3, 0.6, 0.1, 0.1]), binary("ill"), [0.2, 0.5], 50)
    value = curve.set_index(["strategy", "threshold"])["value"]
    assert value[MODEL, 0.5] == pytest.approx(1 / 5 - 1 / 5)
    assert value[MODEL, 0.2] == pytest.approx(2 / 5 - 1 / 5 * 0.25)
    assert value[EVERYBODY, 0.2] == pytest.approx(2 / 5 - 3 / 5 * 0.25)
    assert value[OVER, 0.2] == pytest.approx(value[MODEL, 0.2] - value[EVERYBODY, 0.2])
    assert value[OVER, 0.5] == pytest.approx(value[MODEL, 0.5])  # acting on nobody is the better of the two
    assert (curve["low"] <= curve["value"]).all() and (curve["value"] <= curve["high"]).all()
