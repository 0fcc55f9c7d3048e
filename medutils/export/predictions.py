"""What an exported network says, as a table: probabilities and a decision a row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.errors import InputError
from medutils.export.about import About
from medutils.files import written_whole


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says.

    table: a row each: what it is (`file`, of tables `line` too; of studies see `judge_studies`); `prob_<class>`;
        `decision`
    left_out: what was not judged, each with the reason
    notes: sentences that belong beside the table
    attention: of studies, what each slice counted: study, series, slice, position_mm, weight, series_weight
    """

    table: pd.DataFrame
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    attention: pd.DataFrame | None = None

    @property
    def judged(self) -> int:
        """How many films, rows or studies the table tells of."""
        return self.table["study"].nunique() if self.attention is not None else len(self.table)


def few_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A table of predictions without the columns that a terminal has no room for, and that are told beside it."""
    if "target" not in table:
        return table.drop(columns="gradcam", errors="ignore")
    told = ["target", "side", "series", "missing", *(["study"] if table["study"].nunique() == 1 else [])]
    in_words = table["condition"].str.replace("_", " ")
    folders = table["study"].map(lambda path: Path(path).name)
    named = folders if folders.nunique() == table["study"].nunique() else table["study"]
    return table.assign(condition=in_words, graded=table["graded"].fillna(""), study=named).drop(columns=told)


def write_attention(found: Predictions, path: Path) -> None:
    """Write what each slice of the studies counted as a CSV file, whole or not at all.

    Columns: study, series, slice (below the study's folder), position_mm, weight (they sum to 1 in a series) and
    series_weight (that of its series). Raises `InputError` for predictions
    on anything but studies.
    """
    if found.attention is None:
        raise InputError("attention: found predictions on no studies; expected those of a model for studies")
    with written_whole(path) as part:
        found.attention.to_csv(part, index=False)


def decided(named: pd.DataFrame, probability: NDArray[np.float64], about: About) -> pd.DataFrame:
    """What is judged, a row each, with the calibrated probabilities (rows, classes) of it and the decision."""
    table = named.assign(**{f"prob_{name}": probability[:, place] for place, name in enumerate(about.classes)})
    if about.healthy:
        table[f"prob_{about.positive}"] = 1 - table[f"prob_{about.healthy}"]
    reaches = (table[f"prob_{about.positive}"] >= about.threshold).to_numpy()
    if len(about.classes) == 2:
        return table.assign(decision=np.where(reaches, about.positive, about.classes[0]))
    decision = [about.classes[place] for place in probability.argmax(1)]
    return table.assign(decision=decision, reaches_threshold=reaches)
