"""What films tell without a network: the bar that any network has to clear.

A baseline chooses nothing, so validation films, where some are set apart already, are training films.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.data.films import Films

THUMBNAIL = 16  # pixels a side of the films that the linear baseline sees


def linear_baseline(films: Films) -> pd.DataFrame:
    """Test predictions of a logistic regression on thumbnails: the bar for any network."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    films = films.undivided()
    x = films.pixels(THUMBNAIL).numpy().reshape(len(films.records), -1).astype(float)
    train, test = films.rows("train"), films.rows("test")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000, class_weight="balanced"))
    probability = model.fit(x[train], films.y[train].numpy()).predict_proba(x[test])
    return of_test_films(films, probability)


def majority_baseline(films: Films) -> pd.DataFrame:
    """Test predictions that give every film the shares of the classes in training."""
    films = films.undivided()
    shares = np.bincount(films.y[films.rows("train")], minlength=len(films.classes)) / len(films.rows("train"))
    return of_test_films(films, np.tile(shares, (len(films.rows("test")), 1)))


def of_test_films(films: Films, probability: NDArray[np.float64]) -> pd.DataFrame:
    """A predictions table of the test films from probabilities (films, classes)."""
    records = films.records.iloc[films.rows("test")]
    table = records[["record_id", "patient"]].assign(y_true=records["label"]).reset_index(drop=True)
    table[[f"prob_{name}" for name in films.classes]] = probability
    return table
