"""The predictions contract, with and without many targets."""

import numpy as np
import pandas as pd
import pytest

from medutils.errors import InputError
from medutils.tables import check_predictions, graded


@pytest.fixture
def predictions():
    table = {"record_id": ["a", "a", "b"], "patient": "p", "target": ["x", "y", "x"], "y_true": ["ill", "", np.nan]}
    return pd.DataFrame(table).assign(prob_well=[0.5, 0.2, 1], prob_ill=[0.5, 0.8, 0])


def test_of_many_targets_some_may_have_no_true_class(predictions):
    assert graded(check_predictions(predictions))["record_id"].tolist() == ["a"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="target").fillna(""), "'y_true'"),
        (lambda table: table.drop(columns="target"), "'y_true' contains null"),
        (lambda table: table.assign(target=["x", "", "x"]), "'target'"),
        (lambda table: table.assign(prob_well=0.4), "do not sum to 1"),
    ],
)
def test_what_is_no_predictions_table_is_refused(predictions, change, words):
    with pytest.raises(InputError, match=f"the predictions table is not valid: .*{words}"):
        check_predictions(change(predictions))
