"""Empty grades: what write-up 001 does with them, what it says it does, and how far a filled one can be trusted.

Grades are a table with one row a study, one column a target, and NaN where nothing was graded; or codes 0, 1, 2 in the
order of `GRADES`, with -1 for what was not graded. A filled grade may teach; no metric is ever taken on one.
"""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.data.lumbar import GRADES

Codes = NDArray[np.int64]
Imputation = Literal["masked", "mode", "random_forest"]

UNGRADED = -1
ALPHABETICAL = tuple(sorted(GRADES))  # the order of scikit-learn's LabelEncoder: Moderate, Normal/Mild, Severe
TREES, ROUNDS = 50, 2  # of each forest, and how often the columns are gone through


# --- encodings --------------------------------------------------------------------------------------------------------


def codes(grades: pd.DataFrame, order: tuple[str, ...] = GRADES) -> Codes:
    """Label encoding, (rows, targets): the place of each grade in `order`, -1 where there is none.

    In the order `ALPHABETICAL` it is the write-up's encoding, which is no order of severity.
    """
    return np.column_stack([pd.Index(order).get_indexer(grades[target]) for target in grades]).astype(np.int64)


def one_hot(grades: pd.DataFrame) -> pd.DataFrame:
    """One column a target and grade, named as the write-up's encoder names it; NaN in all columns of an empty grade."""
    parts = {
        f"{target}_{grade}": grades[target].eq(grade).astype(float).where(grades[target].notna())
        for target in grades
        for grade in ALPHABETICAL
    }
    return pd.DataFrame(parts, index=grades.index)


# --- the write-up's own function --------------------------------------------------------------------------------------


def processed_as_written(grades: pd.DataFrame) -> list[str]:
    """The columns that the write-up's random forest is asked to fill: none, whatever the table.

    Its function turns every column into text, so that an empty cell becomes the text `nan`; encodes it, so that it
    becomes one more class; and only then looks for columns with empty cells (`fill_missing_values_RF`, notebook 0).
    """
    from sklearn.preprocessing import LabelEncoder

    encoded = grades.astype(object).map(str).apply(LabelEncoder().fit_transform)
    return [str(target) for target in encoded if encoded[target].isnull().sum() > 0]


def classes_as_written(grades: pd.DataFrame) -> dict[str, list[str]]:
    """The classes that its encoder finds in each column: `nan` is among them wherever a cell is empty."""
    return {str(target): sorted(set(grades[target].astype(object).map(str))) for target in grades}


# --- filling ----------------------------------------------------------------------------------------------------------


def filled(y: Codes, how: Imputation, seed: int = 0) -> Codes:
    """Codes (rows, targets) with the empty ones filled from the other rows and targets; `masked` leaves them empty.

    mode: the commonest grade of the target, as the write-up does without saying so
    random_forest: a forest a target on all others (IterativeImputer), as the write-up says it does
    A target without a single grade stays empty.
    """
    known = (y != UNGRADED).any(axis=0)
    found = y.copy()
    if how == "mode":
        for target in np.flatnonzero(known):
            column = found[:, target]
            column[column == UNGRADED] = np.bincount(column[column != UNGRADED]).argmax()
    elif how == "random_forest" and known.any():
        found[:, known] = _by_forest(y[:, known], seed)
    return found


def _by_forest(y: Codes, seed: int) -> Codes:
    import warnings

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed, n_jobs=1)
    imputer = IterativeImputer(
        forest, initial_strategy="most_frequent", max_iter=ROUNDS, skip_complete=True, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # grades are whole: they settle or they change by one
        found = imputer.fit_transform(np.where(y == UNGRADED, np.nan, y.astype(float)))
    return found.round().astype(np.int64)


def recovered(grades: pd.DataFrame, how: Imputation, share: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """What filling is worth: a share of the graded cells is hidden, filled, and put beside the truth.

    Returns predictions of the hidden cells (record_id and patient are the study, target, y_true, prob_<grade> 1 for the
    grade that was filled in). The cells that are empty in the table itself have no truth and are in no row.
    """
    y = codes(grades)
    rows, columns = np.nonzero(y != UNGRADED)
    hidden = np.random.default_rng([seed, 11]).choice(len(rows), max(1, round(share * len(rows))), replace=False)
    rows, columns = rows[np.sort(hidden)], columns[np.sort(hidden)]
    kept = y.copy()
    kept[rows, columns] = UNGRADED
    given = filled(kept, how, seed)[rows, columns]
    study = grades.index.to_numpy()[rows].astype(str)
    table = pd.DataFrame({"record_id": study, "patient": study, "target": grades.columns.to_numpy()[columns]})
    table["y_true"] = np.array(GRADES)[y[rows, columns]]
    table[[f"prob_{grade}" for grade in GRADES]] = np.eye(len(GRADES))[given]
    return table[given != UNGRADED].reset_index(drop=True)
