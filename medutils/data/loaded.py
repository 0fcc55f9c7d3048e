"""What every loader gives: the records, and beside them what it left out or could not tell."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class Loaded:
    """The records of a dataset, as its loader read them.

    records: a checked records table (see `medutils.tables.check_records`)
    skipped: what was left out: its path below the dataset's folder, and the reason
    unmatched: the records whose patient is not known; each of them counts as a patient of its own
    unlabelled: of a table with several targets a patient, how many cells are empty
    """

    records: pd.DataFrame
    skipped: tuple[tuple[str, str], ...] = ()
    unmatched: tuple[str, ...] = ()
    unlabelled: int = 0
