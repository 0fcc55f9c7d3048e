"""Do the tables of RSNA 2024 and its DICOM tree fit each other?"""

from collections.abc import Iterator, Set
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from medutils.data.lumbar import load_coordinates, load_dicom_tree, load_rsna_targets, load_series

TREE = "train_images"
COORDINATES = "train_label_coordinates*.csv"


class Mismatch(NamedTuple):
    """One thing wrong, with its path below the folder."""

    kind: Literal["missing", "unexpected", "skipped"]
    where: str
    what: str


def mismatches(folder: Path) -> list[Mismatch]:
    """Read all tables, and match the DICOM tree, where there is one, to them.

    Named are what the tables name and the tree lacks, what it holds and no table names, what in it cannot be read, and
    gaps between slices. A slice missing at either end of a series is found only where a coordinate lies on it.

    Raises `InputError` when a table or the whole tree cannot be read.
    """
    studies = set(load_rsna_targets(folder).index)
    series = set(load_series(folder).records["record_id"])
    places = load_coordinates(folder) if any(folder.glob(COORDINATES)) else pd.DataFrame()
    if not (folder / TREE).is_dir():
        return []
    graded: dict[str, set[int]] = {}
    for place in places.itertuples():
        graded.setdefault(f"{place.study_id}/{place.series_id}", set()).add(place.instance_number)
    tree = load_dicom_tree(folder)
    found = [Mismatch("skipped", where, why) for where, why in tree.skipped]
    unreadable = {Path(where) for where, _ in tree.skipped}
    found += _by_folder(folder / TREE, studies, series | graded.keys())
    for (study, name), rows in tree.records.groupby(["study_id", "series_id"]):
        absent = sorted(graded.get(f"{study}/{name}", set()) - set(rows["instance"]))
        lost = {file.stem for file in unreadable if file.parent == Path(TREE, study, name)}
        whys = [f"found no readable slice {number}; the coordinates name it" for number in absent]
        found += [Mismatch("missing", f"{TREE}/{study}/{name}", why) for why in (*whys, *_gaps(rows, lost))]
    return found


def _by_folder(tree: Path, studies: Set[str], series: Set[str]) -> Iterator[Mismatch]:
    """Folders named and not there, or empty, and the other way round; a study stands for all its series."""
    named = studies | _with_studies(series)
    there = _with_studies({file.parent.relative_to(tree).as_posix() for file in tree.glob("*/*/*")})
    for name in _tops(named - there):
        yield Mismatch("missing", f"{TREE}/{name}", "found no file in it; a table names it")
    for name in _tops(there - named):
        yield Mismatch("unexpected", f"{TREE}/{name}", "no table names it")


def _tops(names: Set[str]) -> list[str]:
    """The names sorted, without series of a study that is itself among them."""
    return sorted(name for name in names if "/" not in name or name.split("/")[0] not in names)


def _with_studies(series: Set[str]) -> set[str]:
    return {*series, *(name.split("/")[0] for name in series)}


def _gaps(rows: pd.DataFrame, lost: Set[str] = frozenset()) -> Iterator[str]:
    """Where both numbers and places leap: blocks of slices may lie apart, and numbers alone may be left out.

    `lost` are the numbers of slices that are there and cannot be read: these alone make no gap.
    """
    rows = rows.sort_values("instance")
    steps = rows["position_mm"].diff().abs()
    for (before, after), step in zip(pairwise(rows["instance"]), steps.iloc[1:], strict=True):
        absent = any(str(number) not in lost for number in range(before + 1, after))
        if absent and step > 1.5 * steps.median():
            yield f"found no slice between {before} and {after}, which lie {step:.3g} mm apart"
