"""Write-up 001's protocol as its code has it (notebooks 4 to 9), against a correct one: one fault at a time.

Rows are embeddings of series (or of slices), each of a study; grades are a table with one row a study. A function gives
predictions with a fault and without it, all else equal, or the scores that the write-up's code takes from predictions.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.chapters.lumbar_embeddings.classifiers import COUNT, Array, Recipe, network_outputs, predict_one
from medutils.chapters.lumbar_embeddings.imputation import ALPHABETICAL, UNGRADED, Codes, codes, filled
from medutils.data.lumbar import CONDITIONS, LEVELS, SERIES, SERIES_OF_CONDITION
from medutils.errors import InputError
from medutils.tables import check_predictions

SEED, SHARE = 42, 0.2  # of the write-up's splits
SAMPLE = 600  # rows that its SVC notebook asks for
MODERATE, NORMAL, SEVERE = range(COUNT)  # the codes of an alphabetical encoder
SVC = Recipe("svc", "smote", calibrated=False)


# --- one protocol, and its faults -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Protocol:
    """What is done before a classifier learns; each field is a fault of the write-up's code, absent by default.

    drops_moderate: rows of the alphabetically first class, Moderate, are drawn until there are 600, so that none is
        drawn where the other two classes have 600 already
    multiplies_rows: embeddings and labels are merged on the study alone, which makes k * k rows of its k series
    splits_rows: rows are split and not studies
    swaps_labels: axial T2 series get the foraminal grades, sagittal T1 series the subarticular ones
    fills_empty: an empty grade becomes the commonest of its target, is learnt and is scored
    skips_smote: SMOTE does not run where one of the three classes has no row (`classifiers.sampled_as_written`)
    """

    drops_moderate: bool = False
    multiplies_rows: bool = False
    splits_rows: bool = False
    swaps_labels: bool = False
    fills_empty: bool = False
    skips_smote: bool = False


CORRECT = Protocol()
AS_WRITTEN = Protocol(True, True, True, True, True, True)
FAULTS = {  # with the fault, without it
    "all": (AS_WRITTEN, CORRECT),
    "drops_moderate": (Protocol(drops_moderate=True), CORRECT),
    "splits_rows": (Protocol(splits_rows=True), CORRECT),
    # Copies of a row leak only where rows are split.
    "multiplies_rows": (Protocol(splits_rows=True, multiplies_rows=True), Protocol(splits_rows=True)),
    "swaps_labels": (Protocol(swaps_labels=True), CORRECT),
    "fills_empty": (Protocol(fills_empty=True), CORRECT),
    # SMOTE is skipped only where a class is missing.
    "skips_smote": (Protocol(drops_moderate=True, skips_smote=True), Protocol(drops_moderate=True)),
}


def targets_of(kind: str, swapped: bool = False) -> tuple[str, ...]:
    """The targets that a kind of series (of `SERIES`) is asked for: those it shows, or those the write-up gave it."""
    other = {"Axial T2": "Sagittal T1", "Sagittal T1": "Axial T2"} if swapped else {}
    conditions = [name for name in CONDITIONS if SERIES_OF_CONDITION[name] == other.get(kind, kind)]
    return tuple(f"{condition}_{level}" for condition in conditions for level in LEVELS)


def merged(series: pd.DataFrame, on_study_alone: bool) -> pd.DataFrame:
    """Embeddings beside labels, both with a row for each series: columns `row` (of the embedding), study_id, record_id.

    series: study_id and series_id of each embedding
    """
    labels = series[["study_id", "series_id"]]
    rows = labels.assign(row=np.arange(len(labels)))
    if not on_study_alone:
        return rows.assign(record_id=rows["study_id"] + "/" + rows["series_id"]).drop(columns="series_id")
    both = rows.merge(labels, on="study_id")
    names = both["study_id"] + "/" + both["series_id_x"] + "/" + both["series_id_y"]
    return both.assign(record_id=names)[["study_id", "row", "record_id"]]


def run(
    protocol: Protocol,
    x: Array,
    series: pd.DataFrame,
    grades: pd.DataFrame,
    kind: str = "Sagittal T1",
    recipe: Recipe = SVC,
    seed: int = SEED,
) -> pd.DataFrame:
    """Predictions of the fifth of the rows that a protocol holds out, target by target, each with its own split.

    x: (rows, values); series: study_id and series_id of each row, text; grades: index study_id, the 25 targets
    A target is left out where a class has fewer than two rows, as in the write-up's code. Raises `InputError` when none
    is left.
    """
    rows = merged(series, protocol.multiplies_rows)
    given = grades.loc[rows["study_id"], list(targets_of(kind, protocol.swaps_labels))]
    y = codes(given, ALPHABETICAL)
    if protocol.fills_empty:
        y = filled(y, "mode")
    recipe = replace(recipe, sampling="as_written") if protocol.skips_smote else recipe
    tables = []
    for number, target in enumerate(given):
        chosen = _chosen(y[:, number], protocol.drops_moderate)
        code, at = y[chosen, number], rows.iloc[chosen]
        if np.unique(code, return_counts=True)[1].min() >= 2:
            train, test = _split(code, at["study_id"].to_numpy(), protocol.splits_rows, seed)
            values = x[at["row"].to_numpy()]
            found = predict_one(recipe, values[train], code[train], values[test], seed)
            tables.append(_table(at.iloc[test], str(target), code[test], found))
    if not tables:
        raise InputError(
            f"grades: found no target of {kind} with two rows of each of its classes; expected one at least"
        )
    return check_predictions(pd.concat(tables, ignore_index=True))


def with_and_without(
    fault: str,
    x: Array,
    series: pd.DataFrame,
    grades: pd.DataFrame,
    kind: str = "Sagittal T1",
    recipe: Recipe = SVC,
    seed: int = SEED,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions with a fault of `FAULTS` and without it; see `run`."""
    first, second = (run(protocol, x, series, grades, kind, recipe, seed) for protocol in FAULTS[fault])
    return first, second


def effect(
    fault: str,
    x: Array,
    series: pd.DataFrame,
    grades: pd.DataFrame,
    kind: str = "Sagittal T1",
    recipe: Recipe = SVC,
    seeds: Sequence[int] = (SEED,),
) -> pd.DataFrame:
    """What a fault adds to the scores that the write-up reports, a row a split: `<score>_with`, `_without`, `_added`.

    The held-out rows differ, as they do in the write-up, so no pairing by study: the rows tell the spread over splits.
    """
    rows = []
    for seed in seeds:
        pair = with_and_without(fault, x, series, grades, kind, recipe, seed)
        first, second = map(scores_as_written, pair)
        row = {"seed": float(seed)}
        for name in ("accuracy", "f1", "auroc_of_survivors"):
            row |= {f"{name}_with": first[name], f"{name}_without": second[name]}
            row[f"{name}_added"] = first[name] - second[name]
        rows.append(row)
    return pd.DataFrame(rows).astype({"seed": int}).set_index("seed")


def _chosen(y: Codes, without_moderate: bool) -> NDArray[np.int64]:
    """The rows of a target that take part, in the order in which the write-up's code puts them below each other."""
    severe, normal, moderate = (np.flatnonzero(y == code) for code in (SEVERE, NORMAL, MODERATE))
    if without_moderate:
        number = min(len(moderate), max(SAMPLE - len(severe) - len(normal), 0))
        moderate = np.random.default_rng(SEED).choice(moderate, number, replace=False)
    return np.concatenate([severe, normal, moderate])


def _split(
    y: Codes, study: NDArray[np.object_], by_row: bool, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of four fifths and of one fifth, each class in both as far as that goes; of rows, or of whole studies."""
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    if by_row:
        train, test = train_test_split(np.arange(len(y)), test_size=SHARE, random_state=seed, stratify=y)
        return train, test
    parts = StratifiedGroupKFold(round(1 / SHARE), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # rare grades, said by the counts
        train, test = next(parts.split(y, y, study))
    return train, test


def _table(rows: pd.DataFrame, target: str, y: Codes, probability: Array) -> pd.DataFrame:
    table = pd.DataFrame({"record_id": rows["record_id"], "patient": rows["study_id"], "target": target})
    table["y_true"] = np.array(ALPHABETICAL, dtype=object)[y]
    table[[f"prob_{grade}" for grade in ALPHABETICAL]] = probability
    return table


# --- the write-up's scores --------------------------------------------------------------------------------------------


def scores_by_target(predictions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, macro-F1 and AUROC of each target as the write-up's code takes them, a row a target.

    f1: over the classes that occur or are named, so that a target of one class, rightly named, scores 1
    f1_as_worded: "the harmonic mean of recall and accuracy" (the write-up's section 3), with the mean recall
    auroc: of the probabilities of the classes that occur, NaN where one alone does
    """
    from sklearn.metrics import f1_score, recall_score

    found = {}
    for target, rows in predictions.groupby("target", sort=False):
        p = rows[[f"prob_{grade}" for grade in ALPHABETICAL]].to_numpy()
        y, said = pd.Index(ALPHABETICAL).get_indexer(rows["y_true"]), p.argmax(axis=1)
        accuracy = float((y == said).mean())
        recall = recall_score(y, said, labels=np.unique(y), average="macro")
        found[target] = {
            "accuracy": accuracy,
            "f1": f1_score(y, said, average="macro"),
            "f1_as_worded": 2 * recall * accuracy / max(recall + accuracy, 1e-12),
            "auroc": _auroc(y, p),
            "classes": len(np.unique(y)),
            "rows": len(y),
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("target")


def _auroc(y: Codes, p: Array) -> float:
    from sklearn.metrics import roc_auc_score

    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    if len(present) == 2:
        return float(roc_auc_score(y == present[1], p[:, present[1]] - p[:, present[0]]))
    return float(np.mean([roc_auc_score(y == code, p[:, code]) for code in present]))


def scores_as_written(predictions: pd.DataFrame) -> dict[str, float]:
    """The means over targets, as the write-up reports them.

    auroc: the mean over all targets, NaN where one has none; auroc_of_survivors: over `defined` of `targets`, which is
    what a mean over the columns of a table of results makes of it
    one_class: targets whose held-out rows are all of one class
    """
    table = scores_by_target(predictions)
    means = {name: float(table[name].mean()) for name in ("accuracy", "f1", "f1_as_worded")}
    return means | {
        "auroc": float(table["auroc"].mean(skipna=False)),
        "auroc_of_survivors": float(table["auroc"].mean()),
        "defined": float(table["auroc"].notna().sum()),
        "targets": float(len(table)),
        "one_class": float((table["classes"] == 1).sum()),
    }


# --- baselines that see no picture ------------------------------------------------------------------------------------


def majority(grades: pd.DataFrame, fills_empty: bool = False) -> pd.DataFrame:
    """Always Normal/Mild, by kind of series as the write-up labels them and as their mean: no study is held out.

    fills_empty: count empty grades as the commonest of their target, as the write-up's code poses the task

    accuracy, macro_f1: with the class Moderate left out, as the write-up's SVC has it; accuracy_three_grades: with it
    normal, severe, moderate: the least number of cells of a target
    """
    found = {}
    for kind in SERIES:
        y = codes(grades[list(targets_of(kind, swapped=True))], ALPHABETICAL)
        y = filled(y, "mode") if fills_empty else y
        number = np.array([(y == code).sum(axis=0) for code in range(COUNT)])
        share = number[NORMAL] / (number[NORMAL] + number[SEVERE])
        found[kind] = {
            "accuracy": share.mean(),
            "macro_f1": (share / (1 + share)).mean(),  # F1 of Normal/Mild is 2s / (1 + s), that of Severe 0
            "accuracy_three_grades": (number[NORMAL] / number.sum(axis=0)).mean(),
            "normal": number[NORMAL].min(),
            "severe": number[SEVERE].min(),
            "moderate": number[MODERATE].min(),
        }
    table = pd.DataFrame.from_dict(found, orient="index").rename_axis("series")
    table.loc["mean", ["accuracy", "macro_f1", "accuracy_three_grades"]] = table.mean()
    return table


def noise_control(
    grades: pd.DataFrame,
    series: pd.DataFrame,
    values: int = 512,
    seed: int = 0,
    protocol: Protocol = AS_WRITTEN,
    one_row_a_study: bool = False,
) -> dict[str, pd.DataFrame]:
    """Predictions from Gaussian noise in place of embeddings, one draw a series, by kind of series; see `run`.

    series: study_id, series_id and `label` (one of `SERIES`), as `medutils.data.lumbar.load_series` gives them
    one_row_a_study: keep each study's first series of a kind, so that the merge multiplies nothing

    A kind of series without a target that can be learnt is left out; `InputError` where all are.
    """
    found = {}
    for number, kind in enumerate(SERIES):
        of_kind = series[(series["label"] == kind) & series["study_id"].isin(grades.index)]
        if one_row_a_study:
            of_kind = of_kind.drop_duplicates("study_id")
        noise = np.random.default_rng([seed, number]).normal(size=(len(of_kind), values))
        with suppress(InputError):
            found[kind] = run(protocol, noise, of_kind, grades, kind)
    if not found:
        raise InputError("grades: found no target with two rows of each of its classes; expected one at least")
    return found


def mean_over_series(found: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Scores as the write-up's table has them: the mean over the kinds of series of the means over targets."""
    each = pd.DataFrame({kind: scores_as_written(table) for kind, table in found.items()})
    return {str(name): float(value) for name, value in each.mean(axis=1).items()}


# --- the network's protocol -------------------------------------------------------------------------------------------


def network_folds(
    x: Array, y: Codes, study: NDArray[np.object_], by_row: bool = True, weighted: bool = False, seed: int = SEED
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Five folds, of rows as written or of studies: the held-out rows of each and the network's outputs for them.

    y: (rows, targets) codes, -1 for what was not graded; outputs: (epochs, rows, targets x grades)
    """
    from sklearn.model_selection import GroupKFold, KFold

    parts = KFold(5, shuffle=True, random_state=seed) if by_row else GroupKFold(5, shuffle=True, random_state=seed)
    splits = parts.split(x, groups=None if by_row else study)
    return [(test, network_outputs(x[train], y[train], x[test], seed, weighted)) for train, test in splits]


def network_scores(y: Codes, outputs: NDArray[np.float64]) -> dict[str, float]:
    """What the write-up takes from the outputs (epochs, rows, targets x grades) of a fold, beside what it means.

    keras_accuracy: Keras's `accuracy` of several outputs, which asks whether the largest of all outputs is the first
        column that is 1: the first target's grade. The other targets' grades can only be wrong
    keras_accuracy_mean, keras_accuracy_best: its mean over the epochs, the write-up's "validation accuracy", and the
        best epoch, both on the test fold
    accuracy: the share of graded cells whose largest output is their grade
    f1_absent_is_1, f1_absent_is_0: macro-F1 over the columns cut at .5, where a column without a positive that none is
        called counts 1 (`zero_division=1`) or 0; f1: over the columns that have a positive
    absent: columns without a positive
    """
    from sklearn.metrics import f1_score

    graded = y != UNGRADED
    true = (np.eye(COUNT)[np.maximum(y, 0)] * graded[..., None]).reshape(len(y), -1)
    first = true.argmax(axis=1)
    by_epoch = (outputs.argmax(axis=2) == first).mean(axis=1)
    last = outputs[-1]
    said, occurs = last > 0.5, true.any(axis=0)
    right = last.reshape(len(y), -1, COUNT).argmax(axis=2) == y
    of_columns = f1_score(true, said, average=None, zero_division=0)
    return {
        "keras_accuracy": float(by_epoch[-1]),
        "keras_accuracy_mean": float(by_epoch.mean()),
        "keras_accuracy_best": float(by_epoch.max()),
        "accuracy": float(right[graded].mean()),
        "f1_absent_is_1": float(f1_score(true, said, average="macro", zero_division=1)),
        "f1_absent_is_0": float(of_columns.mean()),
        "f1": float(of_columns[occurs].mean()),
        "absent": float((~occurs).sum()),
    }


def network_table(y: Codes, folds: list[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> pd.DataFrame:
    """`network_scores` of each fold, a row a fold: its mean is the honest figure, its largest the reported "best"."""
    return pd.DataFrame([network_scores(y[test], outputs) for test, outputs in folds])
