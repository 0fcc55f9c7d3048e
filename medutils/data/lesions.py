"""Where in its series each narrowing was marked: for what is asked whether it looks there."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.data.lumbar import GRADES, SERIES, load_coordinates, read_slice
from medutils.data.studies import Studies

BESIDE_MM = 6.0


def slices_near(studies: Studies, names: list[str], beside: float = BESIDE_MM) -> dict[str, list[NDArray[np.bool_]]]:
    """By kind of series, for each of the named studies which of its slices lie near a narrowing that series shows.

    beside: mm along the series' normal, from the slice that the table of coordinates marks

    Slices come as in `study_set`: series of one kind after each other, each in the order of place. Narrowings are
    targets graded Moderate or Severe. All False where the series shows none.
    """
    marked = _marked(studies)
    rows = studies.series[studies.series["description"].isin(SERIES)]
    found: dict[str, list[NDArray[np.bool_]]] = {kind: [] for kind in SERIES}
    for study in names:
        for kind in SERIES:
            of = rows[(rows["study_id"] == study) & (rows["description"] == kind)]
            near = [_near(row, marked.get((study, str(row.series_id)), set()), beside) for row in of.itertuples()]
            found[kind].append(np.concatenate(near) if near else np.zeros(0, bool))
    return found


def _marked(studies: Studies) -> dict[tuple[str, str], set[int]]:
    """By study and series the instance numbers of slices on which a narrowing is marked."""
    table = load_coordinates(studies.located.path)
    grades = studies.grades.stack()
    keys = pd.MultiIndex.from_arrays([table["study_id"].astype(str), table["target"]])
    ill = grades.reindex(keys).isin(GRADES[1:]).to_numpy()
    groups = table[ill].groupby([table["study_id"][ill].astype(str), table["series_id"][ill].astype(str)])
    return {(str(study), str(series)): set(group["instance_number"]) for (study, series), group in groups}


def _near(row: Any, instances: set[int], beside: float) -> NDArray[np.bool_]:
    """Of one series, which slices lie within `beside` mm of one of the instances."""
    place = np.array(row.position_mm, float)
    marked = [number for number, path in enumerate(row.slices) if _instance(path) in instances] if instances else []
    if not marked:
        return np.zeros(len(place), bool)
    near: NDArray[np.bool_] = (np.abs(place[:, None] - place[marked]) <= beside).any(1)
    return near


def _instance(path: Path) -> int:
    """A slice's instance number: its file's name in the challenge's tree, else what its header says."""
    return int(path.stem) if path.stem.isdecimal() else read_slice(path).instance
