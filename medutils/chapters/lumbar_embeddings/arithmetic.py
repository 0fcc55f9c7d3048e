"""What follows from the numbers of write-up 001, and of the table behind it, without a picture.

The table stands in the repository that the text leads to: 42 configurations, each the mean over three kinds of series
of the mean over their targets. Five notebooks there print the series one by one; of the sixth, with weighted loss, the
printed run is not the one behind the table, and one row of SVC is not in its notebook either.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from medutils.evidence import reported_values

Told = Mapping[str, Any]

PREPROCESSING = ("gsl", "hist")  # grey levels, and histogram equalisation
EMBEDDERS = ("aal", "rn50", "mn152")  # ResNet-50 with attention, ResNet-50 averaged, "MedicalNet152" with attention
CLASSIFIERS = ("svc_2048", "svc_512", "lgbm", "xgboost", "bagging", "ann_wls", "ann_ns")
METRICS = ("accuracy", "f1", "auc")
SCORES = ("calculated", "readme")
SERIES = ("at2", "st1", "st2")
COLUMNS_OF = {"ann_wls": (0, 4, 5), "ann_ns": (0, 4, 5)}  # accuracy, macro-F1, AUC in a table by series; else the first
VALIDATION, BEST_FOLD = 1, 2  # the same for the two columns that only the networks' tables have
FOLDS = 5
COLUMNS = {"at2": 30, "st1": 30, "st2": 15}  # one-hot columns of a series: its targets, three grades each


def arithmetic(three_grades: float, two_grades: float, noise_f1: float) -> dict[str, Any]:
    """Numbers by name, shares between 0 and 1. What each is stands at the function that gives it.

    three_grades, two_grades, noise_f1: see `below`
    """
    told = reported_values("lumbar_embeddings")
    rows = table(told)
    return (
        means(rows)
        | extremes(rows)
        | scores(rows)
        | named(rows)
        | comparisons(rows)
        | below(rows, three_grades, two_grades, noise_f1)
        | rebuilt(told, rows)
        | validation(told)
        | merged(told)
        | random_predictions(told)
    )


def table(told: Told) -> pd.DataFrame:
    """The 42 rows by name: preprocessing, embedder, classifier, model, sampling, accuracy, f1, auc and two scores.

    model: the classifier, whatever its values or its loss; sampling: smote, or of the networks ns (none) or wls
    calculated: the table's own score, .25 accuracy + .25 F1 + .5 AUC; readme: (accuracy / 2 + F1 + AUC) / 2.5
    """
    found = []
    for preprocessing, embedder, classifier in product(PREPROCESSING, EMBEDDERS, CLASSIFIERS):
        name = f"{preprocessing}_{embedder}_{classifier}"
        model, _, kind = classifier.partition("_")
        row = {"name": name, "preprocessing": preprocessing, "embedder": embedder, "classifier": classifier}
        row |= {"model": model, "sampling": kind if model == "ann" else "smote"}
        found.append(row | {metric: told[f"{name}_{metric}"] for metric in METRICS})
    rows = pd.DataFrame(found).set_index("name")
    return rows.assign(
        calculated=0.25 * rows["accuracy"] + 0.25 * rows["f1"] + 0.5 * rows["auc"],
        readme=(rows["accuracy"] / 2 + rows["f1"] + rows["auc"]) / 2.5,
    )


def means(rows: pd.DataFrame) -> dict[str, float]:
    """mean_<value>_<metric>: over all rows of a preprocessing, an embedder, a model or a sampling; and of svc_2048."""
    groups = {
        value: group
        for axis in ("preprocessing", "embedder", "model", "sampling")
        for value, group in rows.groupby(axis)
    }
    groups["svc_2048"] = rows[rows["classifier"] == "svc_2048"]
    return {
        f"mean_{value}_{metric}": float(group[metric].mean()) for value, group in groups.items() for metric in METRICS
    }


def extremes(rows: pd.DataFrame) -> dict[str, Any]:
    """best_<of>, worst_<of> and the names of their rows, best_<of>_row, worst_<of>_row: of a metric or a score."""
    found: dict[str, Any] = {}
    for of in (*METRICS, *SCORES):
        for end, row in (("best", rows[of].idxmax()), ("worst", rows[of].idxmin())):
            found |= {f"{end}_{of}": float(rows.at[row, of]), f"{end}_{of}_row": row}
    return found


def scores(rows: pd.DataFrame) -> dict[str, Any]:
    """calculated_scores, readme_scores: by their formulas, times 100, of the 42 rows in the order of `table`.

    scores_disagree: rows whose place among the 42 is not the same by both
    """
    places = rows[list(SCORES)].rank(ascending=False, method="min")
    return {f"{score}_scores": (100 * rows[score]).tolist() for score in SCORES} | {
        "scores_disagree": int((places["calculated"] != places["readme"]).sum())
    }


def named(rows: pd.DataFrame) -> dict[str, float]:
    """The rows that the text seems to speak of where it gives a number without naming a row of the table.

    said_weighted_accuracy_row, said_weighted_auc_row: weighted loss on equalised slices, of the two embedders on
        ResNet-50 the one whose number is nearest; these are two different rows
    said_svc_auc_row, said_ensemble_auc_row: the best SVC with attention, the best bagging
    accuracy_of_best_f1, f1_of_best_accuracy: of the row with the best F1, of that with the best accuracy
    """
    return {
        "said_weighted_accuracy_row": float(rows.at["hist_aal_ann_wls", "accuracy"]),
        "said_weighted_auc_row": float(rows.at["hist_rn50_ann_wls", "auc"]),
        "said_svc_auc_row": float(rows.loc[(rows["embedder"] == "aal") & (rows["model"] == "svc"), "auc"].max()),
        "said_ensemble_auc_row": float(rows.loc[rows["model"] == "bagging", "auc"].max()),
        "accuracy_of_best_f1": float(rows.at[rows["f1"].idxmax(), "accuracy"]),
        "f1_of_best_accuracy": float(rows.at[rows["accuracy"].idxmax(), "f1"]),
    }


def pairs(rows: pd.DataFrame, axis: str, first: str, second: str) -> pd.DataFrame:
    """`first` minus `second` of an axis in each metric, all else equal: a row for each pair, by its two other axes."""
    others = [other for other in ("preprocessing", "embedder", "classifier") if other != axis]
    one, two = (rows[rows[axis] == value].set_index(others)[list(METRICS)] for value in (first, second))
    return (one - two).dropna()


def comparisons(rows: pd.DataFrame) -> dict[str, float]:
    """Pairs with all else equal: <name>_pairs; of each metric <name>_<metric>_higher of them, and <name>_<metric>_mean.

    attention: slice attention against the average, both of ResNet-50; attention_svc and attention_lgbm: the text's two
    weighted: weighted loss against none, which the table has for the networks alone
    hist: histogram equalisation against grey levels
    values_2048: SVC on 2,048 against 512 values
    svc_bagging: SVC on 512 values against bagging
    SMOTE has no pair with the weighted loss: no classifier of the table has both.
    """
    attention = pairs(rows, "embedder", "aal", "rn50")
    classifier = attention.index.get_level_values("classifier")
    found = {
        "attention": attention,
        "attention_svc": attention[classifier.str.startswith("svc")],
        "attention_lgbm": attention[classifier == "lgbm"],
        "weighted": pairs(rows, "classifier", "ann_wls", "ann_ns"),
        "hist": pairs(rows, "preprocessing", "hist", "gsl"),
        "values_2048": pairs(rows, "classifier", "svc_2048", "svc_512"),
        "svc_bagging": pairs(rows, "classifier", "svc_512", "bagging"),
    }
    numbers = {f"{name}_pairs": float(len(differences)) for name, differences in found.items()}
    for (name, differences), metric in product(found.items(), METRICS):
        numbers[f"{name}_{metric}_higher"] = float((differences[metric] > 0).sum())
        numbers[f"{name}_{metric}_mean"] = float(differences[metric].mean())
    return numbers


def below(rows: pd.DataFrame, three_grades: float, two_grades: float, noise_f1: float) -> dict[str, float]:
    """Rows below what needs no picture.

    three_grades: accuracy of calling every case Normal/Mild; two_grades: the same without the Moderate grade, which the
        code leaves out for SVC; noise_f1: macro-F1 of noise under the protocol of SVC on 512 values
    below_three_grades, of_three_grades: rows that are less accurate, of all that have three grades;
        below_three_grades_<model>: by model
    below_two_grades, of_two_grades: the same for SVC, whose best row is as good as level: .9221 against .9222
    below_noise_f1, of_noise_f1: rows of SVC on 512 values with a lower F1, of all
    """
    three, two = rows[rows["model"] != "svc"], rows[rows["model"] == "svc"]
    noise = rows[rows["classifier"] == "svc_512"]
    low = three["accuracy"] < three_grades
    return {
        "below_three_grades": float(low.sum()),
        "of_three_grades": float(len(three)),
        **{f"below_three_grades_{model}": float(those.sum()) for model, those in low.groupby(three["model"])},
        "below_two_grades": float((two["accuracy"] < two_grades).sum()),
        "of_two_grades": float(len(two)),
        "below_noise_f1": float((noise["f1"] < noise_f1).sum()),
        "of_noise_f1": float(len(noise)),
    }


def by_series(told: Told) -> pd.DataFrame:
    """The 36 rows on 512 values as the notebooks print them: `METRICS`, indexed by the row's name and the series."""
    found = {}
    for classifier in CLASSIFIERS[1:]:
        of = told[f"{classifier.removesuffix('_512')}_by_series"]
        printed = dict(zip(product(EMBEDDERS, SERIES, PREPROCESSING), of, strict=True))
        for (embedder, series, preprocessing), numbers in printed.items():
            chosen = [numbers[column] for column in COLUMNS_OF.get(classifier, (0, 1, 2))]
            found[f"{preprocessing}_{embedder}_{classifier}", series] = chosen
    return pd.DataFrame.from_dict(found, orient="index", columns=list(METRICS)).set_axis(
        pd.MultiIndex.from_tuples(found, names=["name", "series"])
    )


def rebuilt(told: Told, rows: pd.DataFrame) -> dict[str, float]:
    """Is a row of the table the mean of its three series in the notebooks, an AUC that is missing left out?

    rebuilt_<classifier>, of 6: rows whose three metrics are, to .1 points
    undefined_auc_<classifier>: of the 18 AUC by series, those that are not a number
    f1_at2, f1_elsewhere: mean F1 on axial T2, whose rows the merge multiplies, and on the two other series; no networks
    auc_at2, auc_elsewhere: the same, of the classifiers of which all are defined
    """
    single = by_series(told)
    mean = single.groupby(level="name")[list(METRICS)].mean()
    same = ((mean - rows.loc[mean.index, list(METRICS)]).abs() < 0.001).all(axis=1)
    found: dict[str, float] = {}
    classifier = rows.loc[mean.index, "classifier"]
    missing = single["auc"].isna().groupby(level="name").sum()
    for name in CLASSIFIERS[1:]:
        found[f"rebuilt_{name}"] = float(same[classifier == name].sum())
        found[f"undefined_auc_{name}"] = float(missing[classifier == name].sum())
    one_target = single[~single.index.get_level_values("name").str.contains("_ann_")]
    all_defined = one_target[~one_target.index.get_level_values("name").str.endswith("svc_512")]
    for metric, of in (("f1", one_target), ("auc", all_defined)):
        at2 = of.index.get_level_values("series") == "at2"
        found |= {
            f"{metric}_at2": float(of.loc[at2, metric].mean()),
            f"{metric}_elsewhere": float(of.loc[~at2, metric].mean()),
        }
    return found


def validation(told: Told) -> dict[str, float]:
    """Validation accuracy of the networks, whose validation rows are their test rows, in the mean over three series.

    validation_hist_mn152_ann_wls: of the row that the text calls the best; best_validation: the highest of all rows
    """
    kept = {
        classifier: np.reshape([numbers[VALIDATION] for numbers in told[f"{classifier}_by_series"]], (3, 3, 2)).mean(
            axis=1
        )
        for classifier in ("ann_wls", "ann_ns")
    }
    named_row = kept["ann_wls"][EMBEDDERS.index("mn152"), PREPROCESSING.index("hist")]
    return {
        "validation_hist_mn152_ann_wls": float(named_row),
        "best_validation": float(max(of.max() for of in kept.values())),
    }


def merged(told: Told) -> dict[str, float]:
    """Rows of a series after its merge with the grades, from the accuracies of single folds to six digits.

    merged_<series>_least, merged_<series>_most: the numbers of rows of which five folds can hold such accuracies;
    embedded_<series>: the series that were embedded, as their notebook prints it
    """
    found: dict[str, float] = {}
    for place, series in enumerate(SERIES):
        folds = [
            told[f"{classifier}_by_series"][6 * embedder + 2 * place + preprocessing][BEST_FOLD]
            for classifier, embedder, preprocessing in product(("ann_wls", "ann_ns"), range(3), range(2))
        ]
        embedded = int(told["series_embedded"][place])
        fitting = [rows for rows in range(embedded, 2 * embedded) if all(map(_fits(rows), folds))]
        found |= {
            f"embedded_{series}": float(embedded),
            f"merged_{series}_least": float(min(fitting)),
            f"merged_{series}_most": float(max(fitting)),
        }
    return found


def _fits(rows: int) -> Callable[[float], bool]:
    """Whether an accuracy of six digits is a share of one of the five folds of so many rows."""
    sizes = {rows // FOLDS, -(-rows // FOLDS)}
    return lambda share: any(abs(round(share * size) / size - share) < 0.6e-6 for size in sizes)


def random_predictions(told: Told) -> dict[str, list[float]]:
    """The code's random predictions, whose accuracy is 0 by how it is taken: every one-hot column must be right.

    random_thresholds: the mean of the numbers drawn with seed 42; random_accuracy: what is expected, 2 to the minus
    number of columns
    """
    sizes = {series: (int(told["series_embedded"][place]), COLUMNS[series]) for place, series in enumerate(SERIES)}
    return {
        "random_thresholds": [float(np.random.RandomState(42).rand(*size).mean()) for size in sizes.values()],
        "random_accuracy": [0.5**columns for _, columns in sizes.values()],
    }
