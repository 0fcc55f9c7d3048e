"""How far a class can be told without a look at what the picture shows: from its border, a thumbnail, its grey levels
or its file.

Where one of them comes near a model's accuracy, the model may have learnt where the pictures come from.
"""

import numpy as np
import pandas as pd

from medutils.data.splits import assign_patients

FOLDS = 5
BORDER = 3  # pixels of a thumbnail's frame, about a tenth of the picture
SMALL = 8
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def features(pictures: pd.DataFrame) -> dict[str, np.ndarray]:
    """By name, (pictures, features) float arrays that know nothing of what a picture shows.

    pictures: `thumbnail` (a square uint8 array whose side is a multiple of 8), `height`, `width`, `bytes`, `format`
    """
    small = np.stack(pictures["thumbnail"].to_numpy()).astype(np.float32) / 255
    side = small.shape[1]
    frame = np.ones((side, side), dtype=bool)
    frame[BORDER:-BORDER, BORDER:-BORDER] = False
    blocks = small.reshape(len(small), SMALL, side // SMALL, SMALL, side // SMALL).mean((2, 4))
    flat = small.reshape(len(small), -1)
    levels = np.c_[flat.mean(1), flat.std(1), np.quantile(flat, QUANTILES, axis=1).T]
    size = np.log(pictures[["height", "width", "bytes"]].to_numpy(dtype=float))
    return {
        "border": small[:, frame],
        "8 x 8 thumbnail": blocks.reshape(len(small), -1),
        "grey levels": levels,
        "file": np.c_[size, pd.get_dummies(pictures["format"]).to_numpy(dtype=float)],
    }


def folds_by_patient(records: pd.DataFrame, seed: int) -> pd.Series:
    """The number of each record's fold, of five; those of a patient are in one.

    Raises `InputError` when a class has fewer patients than there are folds.
    """
    parts = {str(number): 1 / FOLDS for number in range(FOLDS)}
    return records["patient"].map(assign_patients(records, parts, seed)).astype(int)


def too_small(records: pd.DataFrame) -> dict[str, int]:
    """The patients of each class that `folds_by_patient` refuses; one counts where most of their records are."""
    sizes = records.groupby(["patient", "label", "source"]).size().reset_index(name="records")
    by_size = sizes.sort_values(["records", "label", "source"], ascending=[False, True, True])
    patients = by_size.drop_duplicates("patient")["label"].value_counts()
    return {
        label: int(patients.get(label, 0)) for label in sorted(set(records["label"])) if patients.get(label, 0) < FOLDS
    }


def called_by_regression(records: pd.DataFrame, x: np.ndarray, seed: int) -> pd.Series:
    """The class that a logistic regression gives each record, fitted on the other four of `folds_by_patient`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = folds_by_patient(records, seed).to_numpy()
    label = records["label"].to_numpy()
    called = np.empty(len(records), dtype=object)
    for number in range(FOLDS):
        held = fold == number
        # As heavy a penalty as keeps a few hundred correlated pixels from being learnt by heart.
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        called[held] = model.fit(x[~held], label[~held]).predict(x[held])
    return pd.Series(called, index=records.index, dtype=str)
