"""What the annotated slice gives away: the slice was chosen, and its point set, by someone who was grading it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medutils.chapters.lumbar_embeddings.probes import KNOWN, Array, Rows, cross_validated
from medutils.data.lumbar import GRADES, LEVELS
from medutils.errors import InputError
from medutils.evaluation import Estimate, compare, evaluate, grades

TASK = grades(GRADES)
SIDES = ("left", "right")
# Columns of `annotations`, by what they are of. None needs a pixel.
CHOICE = ("instance", "from_middle", "from_own_side", "across")
PATTERN = ("slices", "span", "on_slice")
POINT = ("x_from_study", "x_from_side", "gap_above", "gap_below")
INPUTS: dict[str, tuple[str, ...]] = {
    "prior": (),
    "choice": CHOICE,
    "pattern": PATTERN,
    "point": POINT,
    "all": (*CHOICE, *PATTERN, *POINT),
}
METRICS = ("weighted_log_loss", "log_loss", "macro_auroc", "kappa_linear", "balanced_accuracy")
SPLIT = "cross-validation"
STRENGTH = 0.1  # of the penalty, scikit-learn's C: some 80 numbers of many thousand annotations need no choice
FAR = 3.0  # deviations from the mean, beyond which a column is cut


def annotations(coordinates: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """One row a graded annotation of the foramina, left and right, with what the tables alone say of its slice.

    coordinates: as `load_coordinates` gives it; targets: as `load_rsna_targets` does

    Own columns, besides record_id, patient, target, level, side, label, series_id and `slice` (text):

    - of the chosen slice: `instance`, its number; `from_middle`, its distance in slices from the middle between the
      two sides; `from_own_side`, outwards from the middle of its own side's; `across`, from the other side's slice of
      that level
    - of the pattern: `slices`, how many different ones the study has; `span`, from the first to the last;
      `on_slice`, how many annotations share this one
    - of the point: `x_from_study` and `x_from_side`, its distance to the front or back of the study's and of the
      side's mean point, and `gap_above` and `gap_below`, its distance down the spine from the next levels' points, all
      in steps from level to level, since the tables do not say how many pixels a picture has

    NaN where it is not known. Raises `InputError` when no annotation of a foramen has a grade.
    """
    side = coordinates["condition"].str.extract(r"^(left|right)_neural", expand=False)
    table = coordinates.assign(patient=coordinates["study_id"], side=side)[side.notna()]
    table = table.drop_duplicates(["study_id", "target"])
    known = targets.rename_axis(columns="target").stack().rename("label").dropna()
    table = table.join(known, on=["study_id", "target"], how="inner").reset_index(drop=True)
    if table.empty:
        raise InputError("coordinates: found no graded annotation of a foramen; expected some")
    table["record_id"] = table["study_id"] + ":" + table["target"]
    table["slice"] = table["series_id"] + "/" + table["instance_number"].astype(str)
    table = table.rename(columns={"instance_number": "instance"})
    return table.assign(**_choice(table), **_pattern(table), **_point(table))


def _choice(table: pd.DataFrame) -> dict[str, pd.Series]:
    by_side = table.groupby(["patient", "side"])["instance"].median().unstack().reindex(columns=SIDES)
    middle = table["patient"].map(by_side.mean(axis=1, skipna=False))
    own = table.groupby(["patient", "side"])["instance"].transform("median")
    pair = table.groupby(["patient", "level"])["instance"]
    across = pair.transform("max") - pair.transform("min")
    both = pair.transform("size") == 2
    return {
        "from_middle": (table["instance"] - middle).abs(),
        "from_own_side": (table["instance"] - own) * np.sign(own - middle),
        "across": across.where(both),
    }


def _pattern(table: pd.DataFrame) -> dict[str, pd.Series]:
    by_study = table.groupby("patient")
    return {
        "slices": by_study["slice"].transform("nunique"),
        "span": by_study["instance"].transform("max") - by_study["instance"].transform("min"),
        "on_slice": table.groupby("slice")["slice"].transform("size"),
    }


def _point(table: pd.DataFrame) -> dict[str, pd.Series]:
    height = table.pivot(index=["patient", "side"], columns="level", values="y").reindex(columns=LEVELS)
    gaps = height.diff(axis=1)  # from the level above
    step = gaps.where(gaps > 0).median(axis=1)
    place = pd.MultiIndex.from_frame(table[["patient", "side", "level"]])
    own = step.reindex(place.droplevel("level")).to_numpy()

    def of(values: pd.DataFrame) -> pd.Series:
        return pd.Series(values.stack().reindex(place).to_numpy() / own, table.index)

    return {
        "x_from_study": (table["x"] - table.groupby("patient")["x"].transform("mean")) / own,
        "x_from_side": (table["x"] - table.groupby(["patient", "side"])["x"].transform("mean")) / own,
        "gap_above": of(gaps),
        "gap_below": of(gaps.shift(-1, axis=1)),
    }


def probe(
    found: pd.DataFrame, inputs: Sequence[str] = tuple(INPUTS), repeats: int = 1, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Predictions of the grade from `annotations`: `prior` knows the level, each other input some columns as well.

    Logistic regression on the columns, their squares and products, cross-validated by study; grades are weighted as in
    the weighted log loss.
    """
    return {name: _probe(found, list(INPUTS[name]), repeats, seed) for name in inputs}


def _probe(found: pd.DataFrame, columns: list[str], repeats: int, seed: int) -> pd.DataFrame:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

    level = KNOWN * pd.get_dummies(found["level"]).to_numpy(float)
    values = found[columns].to_numpy(float)

    def design(train: Rows) -> Array:
        if not columns:
            return level
        ready = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            FunctionTransformer(np.clip, kw_args={"a_min": -FAR, "a_max": FAR}),  # products of outliers would rule
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
        )
        return np.hstack([level, ready.fit(values[train]).transform(values)])

    return cross_validated(design, found, GRADES, repeats, seed, (STRENGTH,), TASK.weights).drop(columns="fold")


def measure(tables: Mapping[str, pd.DataFrame], resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """Each input by its name, and `<input>_over_prior`, paired by study."""
    every: dict[str, dict[str, Estimate]] = {}
    for name, table in tables.items():
        every[name] = evaluate(table, TASK, SPLIT, resamples=resamples, seed=seed)
        if name != "prior" and "prior" in tables:
            gain = compare(table, tables["prior"], TASK, SPLIT, resamples=resamples, seed=seed)
            every[f"{name}_over_prior"] = gain
    return {name: {key: one for key, one in each.items() if key in METRICS} for name, each in every.items()}


def facts(found: pd.DataFrame) -> dict[str, float]:
    """Counts and shares of `annotations`.

    `slices_<n>`: studies by how many different slices they have; `shared`: the share of annotations whose slice
    holds another level; `one_slice`: of sides whose levels are all graded, those with all on one slice; `far`: the mean
    distance in slices between the two sides' of a level
    """
    studies = found.groupby("patient")["slice"].nunique().value_counts().sort_index()
    whole = found.groupby(["patient", "side"]).agg(levels=("level", "nunique"), slices=("slice", "nunique"))
    whole = whole[whole["levels"] == len(LEVELS)]
    shared = found.groupby("slice")["level"].transform("nunique") > 1
    return {
        "studies": float(found["patient"].nunique()),
        "annotations": float(len(found)),
        "slices": float(found["slice"].nunique()),
        **{f"slices_{number}": float(count) for number, count in studies.items()},
        "shared": float(shared.mean()),
        "one_slice": float(whole["slices"].eq(1).mean()),
        "far": float(found["across"].mean()),
    }


def by_grade(found: pd.DataFrame) -> pd.DataFrame:
    """The mean of each column of `annotations` for each grade (index) at each level, then averaged over the levels.

    So that a grade that is common low in the spine is not told by where it lies.
    """
    means = found.groupby(["level", "label"])[list(INPUTS["all"])].mean()
    return means.groupby("label").mean().reindex(GRADES)
