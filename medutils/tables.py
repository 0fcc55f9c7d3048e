"""The two contracts everything hangs on: records and predictions, as plain DataFrames with a checked schema.

A **record** is one row of a dataset: a line of a table, a film, a slice, a series.
A **prediction** is what a model said of one record.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medutils.errors import InputError

if TYPE_CHECKING:
    import pandera.pandas as pa

RECORD_COLUMNS = ("record_id", "patient", "label", "source", "split", "path")
SPLITS = ("", "train", "validation", "test")


@cache
def _schemas() -> "tuple[pa.DataFrameSchema, pa.DataFrameSchema]":
    import pandera.pandas as pa  # slow to import, so only when a table is checked

    text: dict[str, Any] = {"dtype": str, "coerce": True}
    named = pa.Check.str_length(min_value=1)
    records = pa.DataFrameSchema(
        {
            "record_id": pa.Column(**text, checks=named, unique=True),
            "patient": pa.Column(**text, checks=named),
            "label": pa.Column(**text, checks=named),
            "source": pa.Column(**text, checks=named),
            "split": pa.Column(**text, checks=pa.Check.isin(SPLITS)),
            "path": pa.Column(**text),
        },
        checks=pa.Check(lambda table: len(table) > 0, error="it has no rows"),
    )
    predictions = pa.DataFrameSchema(
        {
            "record_id": pa.Column(**text, checks=named),
            "patient": pa.Column(**text, checks=named),
            "y_true": pa.Column(**text, checks=named),
            "prob_.+": pa.Column(float, pa.Check.in_range(0, 1), regex=True),
        },
        checks=pa.Check(
            lambda table: table.filter(regex="^prob_").sum(axis=1).sub(1).abs().lt(1e-4).all(),
            error="the prob_ columns of a row do not sum to 1",
        ),
    )
    return records, predictions


def _check(schema: "pa.DataFrameSchema", table: pd.DataFrame, name: str) -> pd.DataFrame:
    import pandera.errors

    try:
        return schema.validate(table)
    except pandera.errors.SchemaError as error:
        raise InputError(f"the {name} table is not valid: {str(error).splitlines()[0]}") from error


def check_records(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` if it is a records table, else raise an `InputError`.

    Columns: `record_id` (unique), `patient`, `label`, `source`, `split` ("" when the dataset has none) and `path`, all
    text, then whatever columns the dataset has of its own.
    """
    return _check(_schemas()[0], table, "records")


def check_predictions(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` if it is a predictions table, else raise an `InputError`.

    Columns: `record_id`, `patient`, `y_true` (a class name) and one `prob_<class>` for each class, which sum to 1.
    """
    return _check(_schemas()[1], table, "predictions")


def predictions_table(records: pd.DataFrame, positive_probability: Any, negative: str, positive: str) -> pd.DataFrame:
    """Make a two-class predictions table from records and one probability of the positive class for each."""
    table = records[["record_id", "patient"]].assign(y_true=records["label"])
    table[f"prob_{negative}"] = 1 - np.asarray(positive_probability, dtype=float)
    table[f"prob_{positive}"] = np.asarray(positive_probability, dtype=float)
    return check_predictions(table.reset_index(drop=True))
