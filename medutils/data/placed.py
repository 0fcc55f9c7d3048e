"""Slices that nobody marked, taken where the foramina lie: for DICOM studies with grades and without coordinates."""

from pathlib import Path

import numpy as np
import pandas as pd

from medutils.data.lumbar import LEVELS, SERIES, read_slice
from medutils.data.slices import Wanted
from medutils.data.studies import left_out, open_studies
from medutils.errors import InputError

# From the middle of the series to either side. Of the two whole studies of the challenge, the marked slices of left and
# right lie 33 and 36 mm apart.
BESIDE_MM = 16.0
LEAST = 3  # slices of a series, so that left and right can be two pictures
NOTE = (
    "No table says which slices were graded. So the slice nearest to {beside:g} mm beside the middle of the sagittal "
    "T1 series stands for all five foramina of its side: {count:,} studies."
)


def placed(folder: Path) -> Wanted:
    """The two slices of each study's sagittal T1 series that show the foramina of either side, with their targets.

    folder: a table of grades beside a folder of DICOM files for each study; see `open_studies`

    Left and right are those of the patient, by the DICOM axes. A study without such a series, a series of fewer than
    three slices, and one whose slices lie too close together to tell the sides apart are left out and named. Raises
    `InputError` when no study is left, and what `open_studies` raises.
    """
    studies = open_studies(str(folder))
    kind = SERIES[0]
    of_kind = studies.series[studies.series["description"] == kind].drop_duplicates("study_id").set_index("study_id")
    skipped = [*studies.skipped]
    rows: list[dict[str, object]] = []
    for study in studies.grades.index:
        if study not in of_kind.index:
            skipped.append((study, f"has no {kind} series"))
            continue
        series = of_kind.loc[study]
        name, found = f"{study}/{series['series_id']}", _of_sides(series["slices"], series["position_mm"])
        if not found:
            count = len(series["slices"])
            skipped.append(
                (name, f"has {count} slices that do not show left and right apart; expected {LEAST} or more")
            )
        for side, (path, instance) in found.items():
            rows += [
                {
                    "study_id": study,
                    "series_id": series["series_id"],
                    "instance_number": instance,
                    "condition": f"{side}_neural_foraminal_narrowing",
                    "level": level,
                    "file": f"{name}/{instance}.jpg",
                    "dicom": path.relative_to(folder).as_posix(),
                }
                for level in LEVELS
            ]
    if not rows:
        first = f"; the first fault is in {': '.join(skipped[0])}" if skipped else ""
        raise InputError(f"{folder}: found no study with a {kind} series to take slices from; expected some{first}")
    table = pd.DataFrame(rows)
    note = NOTE.format(beside=BESIDE_MM, count=table["study_id"].nunique())
    graded = studies.grades.to_csv(index_label="study_id").encode()
    said = left_out(studies.skipped)  # the slices' own reader says it, with what is left out here
    return Wanted(table, skipped, graded, (note, *(one for one in studies.notes if one not in said)))


def _of_sides(paths: tuple[Path, ...], places: tuple[float, ...]) -> dict[str, tuple[Path, int]]:
    """The slice of each side and its instance number; empty where the two would be one.

    paths, places: the slices in place order, and where each lies along the series' normal (mm)
    """
    if len(paths) < LEAST:
        return {}
    middle = (places[0] + places[-1]) / 2
    first, last = (read_slice(path).centre[0] for path in (paths[0], paths[-1]))
    leftwards = np.sign(last - first)  # DICOM's first axis points to the patient's left
    left, right = (
        paths[int(np.abs(np.array(places) - (middle + sign * leftwards * BESIDE_MM)).argmin())] for sign in (1, -1)
    )
    if left == right:
        return {}
    return {side: (path, read_slice(path).instance) for side, path in (("left", left), ("right", right))}
