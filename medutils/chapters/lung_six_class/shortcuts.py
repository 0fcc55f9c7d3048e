"""What tells the class without a look at a lung, and whether a network learned that."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medutils.bootstrap import by_patient, interval, patient_codes, resampled
from medutils.data import shortcuts
from medutils.data.films import Films
from medutils.data.images import is_dicom, read_image
from medutils.evaluation import Estimate, proportion
from medutils.export.heat_maps import heat_maps
from medutils.models.cnn import FilmClassifier
from medutils.training.baselines import of_test_films

Array = NDArray[np.float64]

CENTRE = 0.15  # what lies nearer to an edge of the film than this share of its side counts as outside
FILMS_AT_ONCE = 64


def by_source(films: Films) -> pd.DataFrame:
    """Predictions of the test films that know the name of their source alone: the shares of its classes in training."""
    films = films.undivided()
    train, test = (films.records.iloc[films.rows(side)] for side in ("train", "test"))
    overall = train["label"].value_counts(normalize=True)
    shares = pd.crosstab(train["source"], train["label"], normalize="index").reindex(columns=films.classes).fillna(0)
    rows = [shares.loc[source] if source in shares.index else overall for source in test["source"]]
    return of_test_films(films, np.stack([row.reindex(films.classes).fillna(0) for row in rows]))


def without_looking(films: Films, small: Tensor) -> dict[str, pd.DataFrame]:
    """Test predictions of logistic regressions on what `medutils.data.shortcuts` sees of a film.

    small: uint8 (films, size, size), all films brought to one size, so that only `file` knows what size they had
    """
    films = films.undivided()
    looked = pd.DataFrame([_file(Path(path)) for path in films.records["path"]])
    found = shortcuts.features(looked.assign(thumbnail=list(_shrunk(small))))
    return {name.rpartition("8 x 8 ")[2].replace(" ", "_"): regression(films, x) for name, x in found.items()}


def _file(path: Path) -> dict[str, int | str]:
    """Size and format of a film's file, where it can be by its header alone."""
    if is_dicom(path):
        width, height = read_image(path, "L").size
    else:
        with Image.open(path) as image:
            width, height = image.size
    return {"height": height, "width": width, "bytes": path.stat().st_size, "format": path.suffix.lower()}


def _shrunk(films: Tensor) -> NDArray[np.uint8]:
    """Films of any size as thumbnails of 32 pixels a side."""
    return np.stack(
        [np.asarray(Image.fromarray(film).resize((32, 32), Image.Resampling.BOX)) for film in films.numpy()]
    )


def regression(films: Films, x: Array) -> pd.DataFrame:
    """Test predictions of a logistic regression on features (films, numbers) of all other films."""
    films = films.undivided()
    train, test = films.rows("train"), films.rows("test")
    probability, classes = _fitted(x, films.records["label"].to_numpy(), train, test)
    order = [list(classes).index(name) for name in films.classes]
    return of_test_films(films, probability[:, order].astype(float))


def _fitted(
    x: Array, label: NDArray[np.object_], train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[Array, NDArray[np.object_]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    # As heavy a penalty as keeps a few hundred correlated pixels from being learnt by heart.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    with threadpool_limits(1):
        model.fit(x[train], label[train])
        return model.predict_proba(x[test]), model.classes_


def enlarged(small: Tensor, size: int) -> Tensor:
    """uint8 films (films, size, size) that were all brought to one smaller size first, so that none is sharper."""
    wide = torch.nn.functional.interpolate(small[:, None].float(), (size, size), mode="bilinear", antialias=True)
    return wide[:, 0].round().clamp(0, 255).to(torch.uint8)


class Named(NamedTuple):
    """How well features name the source of films of one class: the share of test films, and the commonest source's."""

    share: Estimate
    commonest: float


def source_named(films: Films, x: Array, label: str, resamples: int, seed: int) -> Named | None:
    """Whether features (films, numbers) tell the source of films of one class, in which no class can help.

    None where the class has one source only.
    """
    films = films.undivided()
    of_class = films.records["label"].eq(label).to_numpy()
    train, test = (np.intersect1d(films.rows(side), np.flatnonzero(of_class)) for side in ("train", "test"))
    source = films.records["source"].to_numpy()
    if len(set(source[train])) < 2 or not len(test):
        return None
    probability, names = _fitted(x, source, train, test)
    rows = films.records.iloc[test].assign(right=names[probability.argmax(1)] == source[test])
    commonest = pd.Series(source[train]).mode()[0]
    return Named(share(rows, resamples, seed), float((source[test] == commonest).mean()))


def share(rows: pd.DataFrame, resamples: int, seed: int, split: str = "test") -> Estimate:
    """The share of films that are `right`, with its interval by `patient`; the exact one where all are, or none is."""
    code, count = patient_codes(rows["patient"])
    if rows["right"].nunique() == 1:
        return proportion(count * int(rows["right"].iloc[0]), count, split)
    sums = by_patient(np.c_[rows["right"], np.ones(len(rows))].astype(float), code, count)
    draws = resampled(lambda weights: np.divide(*(weights.T @ sums).T), count, resamples, seed, count)
    return Estimate(float(draws[0]), *interval(draws[1:]), count, split)


def share_gap(rows: pd.DataFrame, first: pd.Series, resamples: int, seed: int, split: str) -> Estimate:
    """The share of films that are `right` among those of `first` minus that among the others, by `patient`."""
    code, count = patient_codes(rows["patient"])
    right, one = rows["right"].to_numpy(dtype=float), first.to_numpy(dtype=float)
    sums = by_patient(np.c_[right * one, one, right * (1 - one), 1 - one], code, count)

    def statistic(weights: Array) -> Array:
        total = weights.T @ sums
        return total[:, 0] / total[:, 1] - total[:, 2] / total[:, 3]

    with np.errstate(divide="ignore", invalid="ignore"):
        draws = resampled(statistic, count, resamples, seed, count)
    return Estimate(float(draws[0]), *interval(draws[1:]), count, split)


def maps(network: FilmClassifier, films: Tensor, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Grad-CAM of films (n, size, size) for a class each: (n, size, size), 0 to 1."""
    parts = [
        heat_maps(
            network, films[start : start + FILMS_AT_ONCE].numpy(), classes[start : start + FILMS_AT_ONCE].tolist()
        )
        for start in range(0, len(films), FILMS_AT_ONCE)
    ]
    return np.concatenate(parts)


def outer(size: int) -> NDArray[np.bool_]:
    """(size, size): what lies at the edge of a film, where hardly any lung is."""
    edge = round(CENTRE * size)
    mask = np.ones((size, size), dtype=bool)
    mask[edge : size - edge, edge : size - edge] = False
    return mask


def mass_inside(heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> Array:
    """The share of each heat map (n, size, size) that lies inside a mask, one for all or one each; NaN for none."""
    total = heat.sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (heat * mask).sum((1, 2)) / total, np.nan)


def mean_of(shares: Array) -> float:
    """The mean of those that are defined; NaN where none is."""
    defined = shares[np.isfinite(shares)]
    return float(defined.mean()) if len(defined) else float("nan")


def called(table: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """The most probable class of each row."""
    return pd.Series(np.array(classes, dtype=object)[table[[f"prob_{name}" for name in classes]].to_numpy().argmax(1)])


def rows_of(table: pd.DataFrame, records: pd.DataFrame, chosen: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a predictions table whose films have the values of `chosen` in their records."""
    fits = np.logical_and.reduce([records[column].eq(value) for column, value in chosen.items()])
    names = set(records.loc[fits, "record_id"])
    return table[table["record_id"].isin(names)].reset_index(drop=True)
