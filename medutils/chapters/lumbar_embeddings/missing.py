"""What is missing in the tables of RSNA 2024, and how the grades lie over the levels."""

import pandas as pd

from medutils.data.lumbar import CONDITIONS, GRADES, LEVELS, SERIES, TARGETS


def empty_cells(targets: pd.DataFrame) -> pd.DataFrame:
    """How many studies have no grade, by condition (rows) and level (columns).

    targets: one row a study, a column a target, NaN where it is not graded
    """
    return _by_level(targets.reindex(columns=TARGETS).isna().sum())


def complete_studies(targets: pd.DataFrame) -> int:
    """How many studies have all 25 grades."""
    return int(targets.reindex(columns=TARGETS).notna().all(axis=1).sum())


def empty_together(targets: pd.DataFrame) -> pd.Series:
    """How many empty cells there are of conditions that lack all five levels of a study (True), and of others (False).

    A condition that is empty as a whole is a series that was not graded; single cells are levels not in the picture.
    """
    whole = {
        condition: targets.reindex(columns=[f"{condition}_{level}" for level in LEVELS]).isna().sum(axis=1)
        for condition in CONDITIONS
    }
    empty = pd.concat(whole.values())
    return empty.groupby(empty == len(LEVELS)).sum().reindex([True, False], fill_value=0)


def grade_shares(targets: pd.DataFrame) -> pd.DataFrame:
    """The share of each grade among the graded cells, and how many there are (`graded`), by condition and level."""
    cells = targets.reindex(columns=TARGETS)
    shares = cells.apply(lambda column: column.value_counts(normalize=True)).reindex(GRADES).fillna(0.0).T
    shares["graded"] = cells.notna().sum()
    shares.index = pd.MultiIndex.from_product([CONDITIONS, LEVELS], names=["condition", "level"])
    return shares


def series_per_study(series: pd.DataFrame, studies: pd.Index) -> pd.DataFrame:
    """How many studies have none, one, two ... series of a kind: kinds in rows, numbers of series in columns.

    series: records of series, `study_id` and `label`, one of `SERIES`; studies: all that there are
    """
    counts = pd.crosstab(series["study_id"], series["label"]).reindex(index=studies, columns=list(SERIES), fill_value=0)
    return counts.apply(lambda column: column.value_counts()).fillna(0).astype(int).T.sort_index(axis=1)


def without_place(targets: pd.DataFrame, coordinates: pd.DataFrame) -> dict[str, int]:
    """Graded cells that no annotation shows the place of (`no_place`), and annotations of empty cells (`no_grade`)."""
    graded = targets.rename_axis(columns="target").stack().dropna()
    placed = pd.MultiIndex.from_frame(coordinates[["study_id", "target"]]).unique()
    return {"no_place": len(graded.index.difference(placed)), "no_grade": len(placed.difference(graded.index))}


def _by_level(of_target: pd.Series) -> pd.DataFrame:
    values = of_target.reindex(TARGETS).to_numpy().reshape(len(CONDITIONS), len(LEVELS))
    return pd.DataFrame(values, pd.Index(CONDITIONS, name="condition"), pd.Index(LEVELS, name="level"))
