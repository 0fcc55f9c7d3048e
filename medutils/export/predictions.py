"""What an exported network says, as a table: probabilities and a decision a row."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.export.about import About


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
