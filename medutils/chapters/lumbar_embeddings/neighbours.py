"""Retrieval and clustering, which the write-up promises: what an embedding takes for alike, against chance.

Which scanner took a slice is known where a table says so (SPIDER). RSNA's JPEGs have no header, its tables no column.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.bootstrap import by_patient, interval, patient_codes, resampled
from medutils.data.lumbar import GRADES
from medutils.errors import InputError
from medutils.evaluation import Estimate, proportion
from medutils.tables import check_predictions

Array = NDArray[np.float64]
Singles = NDArray[np.float32]
Rows = NDArray[np.int64]
Votes = Callable[[Rows, NDArray[np.bool_], Array], Array]  # from rows, who may vote (rows, rows) and grades (rows, 3)

AT_ONCE = 512  # slices that look for their neighbours together
COMPONENTS = 50  # principal components that are clustered: distances in more of them cost time and change little
PARTS = 20  # of the studies, each left out once
SPLIT = "all"


# --- the nearest other slice ------------------------------------------------------------------------------------------


def nearest(
    embeddings: NDArray[np.floating], records: pd.DataFrame, attributes: Sequence[str], apart: str = ""
) -> pd.DataFrame:
    """Each slice's nearest other one by cosine, and what the two share, against any other slice.

    Parameters
    ----------
    embeddings: (slices, values)
    records: one row or more a slice: `slice` (a row of `embeddings`), `patient`, and the attributes
    attributes: columns such as the study, the level, the scanner; a slice with several levels has them all
    apart: an attribute in which the two must differ, such as the study

    Returns one row a slice: slice, patient, nearest, cosine, and for each attribute `same_<attribute>` (1.0 where the
    two share a value) and `chance_<attribute>` (the share of the slices that it might have been that do). Raises
    `InputError` when no slice has another to be held against.
    """
    unit = _unit(embeddings)
    names = dict.fromkeys([*attributes, apart] if apart else attributes)
    has = {name: _indicators(records, name, len(unit)) for name in names}
    parts = []
    for rows in _blocks(len(unit)):
        shared = {name: (one[rows] @ one.T).toarray() > 0 for name, one in has.items()}
        allowed = ~shared[apart] if apart else np.ones((len(rows), len(unit)), bool)
        allowed[np.arange(len(rows)), rows] = False
        cosine = np.where(allowed, unit[rows] @ unit.T, -np.inf)
        best = cosine.argmax(1)
        found = {"slice": rows, "nearest": best, "cosine": cosine.max(1)}
        for name in attributes:
            found[f"same_{name}"] = shared[name][np.arange(len(rows)), best].astype(float)
            found[f"chance_{name}"] = (shared[name] & allowed).sum(1) / np.maximum(allowed.sum(1), 1)
        parts.append(pd.DataFrame(found)[allowed.any(1)])
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise InputError(f"embeddings: found no two slices that differ in {apart}; expected some")
    table.insert(1, "patient", table["slice"].map(records.groupby("slice")["patient"].first()))
    return table


def of_patients(
    embeddings: Mapping[str, pd.DataFrame], discs: pd.DataFrame, columns: Sequence[str] = ("manufacturer", "sex")
) -> tuple[Array, pd.DataFrame]:
    """One slice a patient and series (SPIDER's) as `nearest` takes them, the columns of their patient beside `series`.

    embeddings: by series, one row a patient (the index); discs: one row or more a patient
    """
    patient = np.concatenate([found.index for found in embeddings.values()])
    series = np.repeat(list(embeddings), [len(found) for found in embeddings.values()])
    records = pd.DataFrame({"slice": np.arange(len(patient)), "patient": patient, "series": series})
    known = discs.groupby("patient")[list(columns)].first()
    return np.vstack([found.to_numpy(float) for found in embeddings.values()]), records.join(known, on="patient")


def shared(table: pd.DataFrame, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """Of what `nearest` gave, by attribute: `share` of the slices, by `chance`, and the difference, `lift`."""
    names = [str(column).removeprefix("same_") for column in table if str(column).startswith("same_")]
    return {
        name: _over_chance(table[f"same_{name}"], table[f"chance_{name}"], table["patient"], resamples, seed)
        for name in names
    }


def _over_chance(
    same: pd.Series, chance: pd.Series, patients: pd.Series, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Means over rows, with intervals by patient; those that are searched stay as they are."""
    code, count = patient_codes(patients)
    values = np.c_[same, chance, same - chance, np.ones(len(same))].astype(float)
    sums = by_patient(values, code, count)

    def means(weights: Array) -> Array:
        total = weights.T @ sums
        return (total[:, :-1] / total[:, -1:]).T

    found = resampled(means, count, resamples, seed, count)
    fixed = ("the slices that are searched",)
    names = ("share", "chance", "lift")
    every = {
        name: Estimate(float(x[0]), *interval(x[1:]), count, SPLIT, fixed) for name, x in zip(names, found, strict=True)
    }
    if same.isin([0, 1]).all() and same.nunique() == 1:  # no resample would differ
        every["share"] = proportion(count * int(same.iloc[0]), count, SPLIT)
    return every


def _unit(embeddings: NDArray[np.floating]) -> Singles:
    """Embeddings of length 1 in single precision, so that a product is the cosine; a vector of zeros stays one."""
    values = np.asarray(embeddings, np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _blocks(count: int) -> Iterator[Rows]:
    for start in range(0, count, AT_ONCE):
        yield np.arange(start, min(start + AT_ONCE, count))


def _indicators(records: pd.DataFrame, column: str, slices: int) -> Any:
    """Sparse (slices, values): which values of a column each slice has; "" and NaN are none."""
    from scipy.sparse import csr_array

    known = records[records[column].notna() & records[column].ne("")].drop_duplicates(["slice", column])
    value, names = pd.factorize(known[column])
    ones = np.ones(len(known), np.float32)
    return csr_array((ones, (known["slice"].to_numpy(), value)), shape=(slices, max(len(names), 1)))


# --- the grade of the nearest slice of another study ------------------------------------------------------------------


def neighbour_grades(embeddings: NDArray[np.floating], records: pd.DataFrame, k: int = 1) -> pd.DataFrame:
    """Predictions of each annotation from the grades of the `k` nearest slices of other studies at the same level.

    records: annotations: record_id, patient, target, level, label (one of `GRADES`) and slice

    A probability is the share of the neighbours with that grade; `by_level` gives the same of all slices of other
    studies at the level. A level that one study alone has is left out.
    """
    unit, place = _unit(embeddings), records["slice"].to_numpy()

    def votes(rows: Rows, allowed: NDArray[np.bool_], grade: Array) -> Array:
        x = unit[place[rows]]
        cosine = np.where(allowed, x @ x.T, -np.inf)
        near = np.argpartition(-cosine, min(k, len(x)) - 1, axis=1)[:, :k]
        counted = np.isfinite(np.take_along_axis(cosine, near, 1))  # fewer where there are no more
        return (grade[near] * counted[..., None]).sum(1)

    return _by_level(records, votes)


def by_level(records: pd.DataFrame) -> pd.DataFrame:
    """Predictions of each annotation from all of other studies at its level: what a neighbour by chance would say.

    Its probabilities fall where a study has more of a grade than others, since its own are left out: take the mean
    probability of the true grade from it, no ranking.
    """
    return _by_level(records, lambda rows, allowed, grade: allowed @ grade)


def _by_level(records: pd.DataFrame, votes: Votes) -> pd.DataFrame:
    """Predictions from votes (rows, grades) among the annotations of each level, own study excluded."""
    tables = []
    grade = np.eye(len(GRADES))[records["label"].map(GRADES.index)]
    for _, rows in sorted(records.groupby("level").indices.items()):
        some = records.iloc[rows]
        code = pd.factorize(some["patient"])[0]
        allowed = code[:, None] != code
        if not allowed.any():
            continue
        counts = votes(rows, allowed, grade[rows])
        table = some[["record_id", "patient", "target"]].assign(y_true=some["label"])
        table[[f"prob_{name}" for name in GRADES]] = counts / counts.sum(1, keepdims=True)
        tables.append(table)
    if not tables:
        raise InputError("records: found no level that two studies have; expected one at least")
    return check_predictions(pd.concat(tables, ignore_index=True))


def same_grade(
    near: pd.DataFrame, chance: pd.DataFrame, resamples: int = 2000, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """How often a neighbour has the annotation's own grade, over all (`all`) and by grade: share, chance and lift.

    near, chance: what `neighbour_grades` and `by_level` give for the same annotations
    """
    true = near["y_true"].map(GRADES.index).to_numpy()
    columns = [f"prob_{name}" for name in GRADES]
    one, two = (pd.Series(table[columns].to_numpy()[np.arange(len(true)), true]) for table in (near, chance))
    found = {"all": _over_chance(one, two, near["patient"], resamples, seed)}
    for number, name in enumerate(GRADES):
        if (true == number).any():
            rows = true == number
            found[name] = _over_chance(one[rows], two[rows], near["patient"][rows], resamples, seed)
    return found


# --- clusters ---------------------------------------------------------------------------------------------------------


class Agreement(NamedTuple):
    """Adjusted mutual information of clusters with something known, beside what shuffled labels give.

    information: 1 where the clusters are that, about 0 where they have nothing to do with it; its interval is of a
        jackknife that leaves out a twentieth of the studies at a time, since a bootstrap would hold some studies twice,
        and those agree with themselves
    shuffled, shuffled_high: mean and 97.5 % quantile over shuffled labels
    p: the share of the shuffles, and the labels as they are, that agree as well or better
    """

    information: Estimate
    shuffled: float
    shuffled_high: float
    p: float


def clusters(embeddings: NDArray[np.floating], count: int, seed: int = 0) -> Rows:
    """The k-means cluster of each slice, by direction, as the cosine takes them."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    unit = _unit(embeddings)
    with threadpool_limits(1):
        reduced = PCA(min(COMPONENTS, *unit.shape), random_state=seed).fit_transform(unit)
        return KMeans(count, n_init=4, random_state=seed).fit_predict(reduced).astype(np.int64)


def agreements(cluster: Rows, records: pd.DataFrame, shuffles: int = 200, seed: int = 0) -> dict[str, Agreement]:
    """How the clusters of slices agree with the `study`, the `level` and the `grade` of the annotations.

    cluster: (slices,); records: annotations with patient, target, level, label and slice

    Shuffled are: studies among all annotations, levels within a study, and whole studies' grades among the studies, so
    that each level keeps its share of every grade and the grades of a study stay together.
    """
    of = {"study": "patient", "level": "level", "grade": "label"}
    place = cluster[records["slice"].to_numpy()]
    return {name: _agreement(place, records, column, shuffles, seed) for name, column in of.items()}


def _agreement(place: Rows, records: pd.DataFrame, column: str, shuffles: int, seed: int) -> Agreement:
    label = pd.factorize(records[column])[0]
    value = _information(label, place)
    rng = np.random.default_rng(seed)
    code, count = patient_codes(records["patient"])
    parts = min(PARTS, count)
    part = (rng.permutation(count) % parts)[code]
    without = np.array([_information(label[part != number], place[part != number]) for number in range(parts)])
    half = 1.96 * np.sqrt((parts - 1) / parts * ((without - without.mean()) ** 2).sum())
    chance = np.array([_information(*_shuffled(records, column, place, rng)) for _ in range(shuffles)])
    estimate = Estimate(value, value - half, value + half, count, SPLIT, ("the clusters",))
    p = (1 + (chance >= value).sum()) / (1 + shuffles)
    return Agreement(estimate, float(chance.mean()), float(np.quantile(chance, 0.975)), float(p))


def _information(label: Rows, place: Rows) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(label, place))


def _shuffled(records: pd.DataFrame, column: str, place: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Labels that have nothing to do with the slices, and the clusters that go with them."""
    if column == "patient":
        return rng.permutation(pd.factorize(records[column])[0]), place
    if column == "level":
        order = np.lexsort((rng.random(len(records)), records["patient"]))
        by_study = np.argsort(records["patient"].to_numpy(), kind="stable")
        label = np.empty(len(records), np.int64)
        label[by_study] = pd.factorize(records[column])[0][order]
        return label, place
    wide = records.pivot(index="patient", columns="target", values=column)
    other = pd.Series(rng.permutation(wide.index), wide.index)
    said = wide.stack().reindex(pd.MultiIndex.from_arrays([records["patient"].map(other), records["target"]]))
    there = said.notna().to_numpy()
    return pd.factorize(said[there])[0], place[there]
