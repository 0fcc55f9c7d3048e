"""Write-up 000: its split, its way of taking metrics, and what each of its shortcuts is worth."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.data.spine import features
from medutils.data.splits import given_split
from medutils.errors import InputError
from medutils.evaluation import Estimate, binary, choose_threshold, values
from medutils.export import About, ExportedModel, TableInput, TrainedOn, model_card
from medutils.models.mlp import SpineMLP
from medutils.tables import predictions_table
from medutils.training.kept_replicas import kept_replicas
from medutils.training.loop import Fit, Progress, Settings, one_thread
from medutils.training.replicas import ReplicaFit

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

Rows = NDArray[np.int64]

SHARE, RANDOM_STATE = 0.20, 13  # the write-up's validation share and the seed of its split
ASKED = ("accuracy", "f1", "recall", "precision")  # the metrics its training is told to keep
FOLDS = 5  # of the outer and of the inner cut of a nested cross-validation
LARGE = 10_000  # patients above which a table of one row each is cut without asking for patients, which takes long
LOG_COLUMNS = ["epoch", "train_loss", "validation_loss", "train_f1", "validation_f1"]
BRANCHES = ("accuracy", "f1", "recall")  # the metrics its epoch function takes


@dataclass(frozen=True)
class Task:
    """A table of measurements made ready: records, (rows, features) values, and 1 where the class is positive."""

    records: pd.DataFrame
    negative: str
    positive: str

    @property
    def columns(self) -> list[str]:
        return features(self.records)

    @property
    def x(self) -> NDArray[np.float64]:
        return self.records[self.columns].to_numpy(dtype=float)

    @property
    def y(self) -> NDArray[np.float64]:
        return self.records["label"].eq(self.positive).to_numpy(dtype=float)

    def divided(self, split: str) -> "Task":
        """The task on the split that a run saved in the file `split`, for `own_split`; "" leaves it as it is.

        Raises `InputError` when the split is none, was saved for other rows, has a side that is empty or a test side,
        or trains on one class alone.
        """
        if not split:
            return self
        task = replace(self, records=given_split(self.records, Path(split), ("train", "validation")))
        _check_trainable(task, own_split(task)[0])
        return task

    def predictions(self, rows: Rows, probability: NDArray[np.float64], **columns: object) -> pd.DataFrame:
        """The predictions table for some rows, with further columns."""
        table = predictions_table(self.records.iloc[rows], probability, self.negative, self.positive)
        return table.assign(**columns)


def own_split(task: Task) -> tuple[Rows, Rows]:
    """Training and validation rows of the chapter: those of a split that was given, or else the write-up's.

    The rows of each side come in the order in which the write-up's split takes them: batches follow it, so that a run
    on the split that another one saved gives the same network.
    """
    side = task.records["split"].to_numpy()
    if not (side != "").any():
        return writeup_split(task)
    order = np.concatenate(_drawn(task, RANDOM_STATE, stratified=False))
    train, validation = (order[side[order] == name] for name in ("train", "validation"))
    return train, validation


def writeup_split(task: Task, seed: int = RANDOM_STATE, stratified: bool = False) -> tuple[Rows, Rows]:
    """The write-up's training and validation rows: a fifth for validation, `random_state=13`, not stratified.

    A patient with several rows, whom the write-up's table does not have, stays on one side: then it is a fifth of the
    patients. Raises `InputError` when the training rows are all of one class.
    """
    train, validation = _drawn(task, seed, stratified)
    _check_trainable(task, train)
    return train, validation


def _drawn(task: Task, seed: int, stratified: bool) -> tuple[Rows, Rows]:
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

    patient, rows = task.records["patient"], np.arange(len(task.y))
    if patient.is_unique:
        labels = task.y if stratified else None
        train, validation = train_test_split(rows, test_size=SHARE, random_state=seed, shuffle=True, stratify=labels)
    else:
        by_chance = GroupShuffleSplit(1, test_size=SHARE, random_state=seed)
        by_class = StratifiedGroupKFold(round(1 / SHARE), shuffle=True, random_state=seed)
        parts = next((by_class if stratified else by_chance).split(rows, task.y, patient))
        train, validation = map(np.random.default_rng(seed).permutation, parts)
    return train, validation


def _check_trainable(task: Task, train: Rows) -> None:
    patients, classes = (task.records.iloc[train][column].nunique() for column in ("patient", "label"))
    if classes < 2 or patients < FOLDS:
        raise InputError(
            f"{task.records['path'].iloc[0]}: found a training part of {patients} patients and {classes} classes; "
            f"expected at least {FOLDS} patients and both classes, so more patients, or rows spread more evenly"
        )


def split_effect(task: Task, threshold: float = 0.5, splits: int = 200) -> dict[str, NDArray[np.float64]]:
    """F1 of logistic regression on the validation rows of many splits, not stratified and stratified: (splits,) each.

    Beside them the share of the positive class in the validation rows, under the same names with `, share`.
    """
    found: dict[str, list[float]] = {}
    for name, stratified in (("not stratified", False), ("stratified", True)):
        for seed in range(splits):
            train, held = writeup_split(task, seed, stratified)
            guess = logistic_regression(task, train, held)
            found.setdefault(name, []).append(scores(task.y[held], guess - threshold)["f1"])
            found.setdefault(f"{name}, share", []).append(task.y[held].mean())
    return {name: np.array(values) for name, values in found.items()}


def spread_of_splits(f1: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Mean and deviation over the splits of `split_effect`, by the names that results are kept under."""
    return {
        f"{name.replace(' ', '_')}_{what}": float(value)
        for name in ("not stratified", "stratified")
        for what, value in (("mean", f1[name].mean()), ("sd", f1[name].std()))
    }


def logistic_regression(task: Task, train: Rows, test: Rows, columns: list[str] | None = None) -> NDArray[np.float64]:
    """Probabilities for `test` by logistic regression on standardised measurements, fitted on `train`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = task.records[columns or task.columns].to_numpy(dtype=float)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(table[train], task.y[train])
    return model.predict_proba(table[test])[:, 1]


def majority(task: Task, train: Rows, test: Rows) -> NDArray[np.float64]:
    """The same probability for every row: the share of the positive class in `train`."""
    return np.full(len(test), task.y[train].mean())


# --- the write-up's way of taking a metric ----------------------------------------------------------------------------


def scores(y: NDArray[np.float64], logits: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy, F1, recall and precision at probability 0.5, computed once over all rows given."""
    said = logits >= 0
    tp, positive, decided = float((said & (y > 0)).sum()), float((y > 0).sum()), float(said.sum())
    return {
        "accuracy": float((said == (y > 0)).mean()),
        "f1": 2 * tp / max(positive + decided, 1),
        "recall": tp / max(positive, 1),
        "precision": tp / max(decided, 1),
    }


def scores_as_written(y: NDArray[np.float64], logits: NDArray[np.float64], batch_size: int = 16) -> dict[str, float]:
    """The same four as the write-up takes them, in percent.

    Each batch is scored and rounded to a whole number, and the batches are averaged as if they were equally large.
    All four start at 0 and are added to, batch by batch, as in the write-up's epoch function, which lacks a branch for
    one of them.
    """
    total = dict.fromkeys(ASKED, 0.0)
    parts = [slice(start, start + batch_size) for start in range(0, len(y), batch_size)]
    for part in parts:
        found = scores(y[part], logits[part])
        for name in ASKED:
            if name in BRANCHES:
                total[name] += round(100 * found[name])
    return {name: value / len(parts) for name, value in total.items()}


def beside_log(history: pd.DataFrame, log: Any, what: str) -> pd.DataFrame:
    """`history`, a row an epoch, with the write-up's printed log beside it, as far as their epochs overlap.

    `log` holds rows of `LOG_COLUMNS`; `what` is `loss` or `f1`. The log's columns are `reported_train` and
    `reported_validation`.
    """
    wanted = {f"{part}_{what}": f"reported_{part}" for part in ("train", "validation")}
    printed = pd.DataFrame(log, columns=LOG_COLUMNS)[["epoch", *wanted]].rename(columns=wanted)
    return history.merge(printed, how="left", on="epoch").dropna(axis="columns", how="all")


def metric_history(
    fit: Fit, y_train: NDArray[np.float64], y_validation: NDArray[np.float64], batch: int
) -> pd.DataFrame:
    """F1 of every epoch in percent, taken five ways: a row an epoch.

    `train_as_written` and `validation_as_written` are the write-up's; `train_moving` pools the rows seen while the
    weights moved, `train_after` the same rows afterwards in evaluation mode; `validation` is pooled.
    """
    return pd.DataFrame(
        {
            "epoch": fit.history["epoch"],
            "train_as_written": [
                scores_as_written(y, z, batch)["f1"] for y, z in zip(fit.train_targets, fit.train_logits, strict=True)
            ],
            "train_moving": [
                100 * scores(y, z)["f1"] for y, z in zip(fit.train_targets, fit.train_logits, strict=True)
            ],
            "train_after": [100 * scores(y_train, z)["f1"] for z in fit.train_logits_after],
            "validation_as_written": [scores_as_written(y_validation, z, batch)["f1"] for z in fit.validation_logits],
            "validation": [100 * scores(y_validation, z)["f1"] for z in fit.validation_logits],
        }
    )


def last_epochs(fit: Fit, metric: pd.DataFrame, epochs: int) -> NDArray[np.float64]:
    """This run's log of its last epochs, as the write-up prints its own: (epochs, 5), see `LOG_COLUMNS`."""
    losses = fit.history[["epoch", "train_loss", "validation_loss"]]
    return np.c_[losses, metric[["train_as_written", "validation_as_written"]]][-epochs:]


def order_effect(
    y: NDArray[np.float64], logits: NDArray[np.float64], batch_size: int, orders: int, seed: int
) -> dict[str, Any]:
    """The write-up's F1 of the same predictions in many row orders, beside the pooled F1, which has one value.

    All as shares between 0 and 1. `f1` holds the values that came up and `counts` how often each did.
    """
    rng = np.random.default_rng(seed)
    found = [
        scores_as_written(y[order], logits[order], batch_size)["f1"] / 100
        for order in (rng.permutation(len(y)) for _ in range(orders))
    ]
    f1, counts = np.unique(np.round(found, 6), return_counts=True)
    return {
        "pooled": scores(y, logits)["f1"],
        "as_written": scores_as_written(y, logits, batch_size)["f1"] / 100,
        "mean": float(np.mean(found)),
        "lowest": min(found),
        "highest": max(found),
        "orders": orders,
        "f1": f1,
        "counts": counts,
    }


def chance_of_a_perfect_sample(errors: int, rows: int, sample: int) -> float:
    """How likely a random sample of `sample` rows holds none of the `errors` among `rows` (hypergeometric)."""
    from scipy.stats import hypergeom

    return float(hypergeom(rows, errors, sample).pmf(0))


# --- the network, to take away ----------------------------------------------------------------------------------------


def exportable(
    task: Task,
    network: SpineMLP,
    scaler: "StandardScaler",
    settings: Settings,
    threshold: float,
    data: Mapping[str, str],
    metrics: Mapping[str, Estimate],
) -> ExportedModel:
    """The write-up's network with all it needs to judge a row elsewhere; `metrics` are those of its validation rows."""
    about = About(
        title="Write-up 000: a small network on spine measurements",
        reads=TableInput(
            columns=tuple(task.columns),
            mean=tuple(scaler.mean_.tolist()),
            scale=tuple(scaler.scale_.tolist()),
            hidden=settings.hidden,
            dropout=settings.dropout,
            batch_normalisation=settings.batch_normalisation,
        ),
        classes=(task.negative, task.positive),
        threshold=threshold,
        threshold_rule="the chapter's parameter `threshold`, which was given and not chosen on any data",
        data=TrainedOn.model_validate(data),
        metrics=dict(metrics),
        limits=("The rows of these results also chose its weights, so the results are too good.",),
    )
    return ExportedModel(network, about, model_card(about))


# --- many seeds, nested cross-validation, feature sets ----------------------------------------------------------------


def many_seeds(task: Task, seeds: range, settings: Settings, progress: Progress | None = None) -> ReplicaFit:
    """The write-up's training on the chapter's split, `own_split`, once for every seed."""
    train, validation = own_split(task)
    with one_thread():
        return kept_replicas(
            task.x,
            task.y,
            [train] * len(seeds),
            [validation] * len(seeds),
            seeds,
            settings,
            progress=progress,
        )


def single_runs(seeds: ReplicaFit) -> dict[str, NDArray[np.float64]]:
    """What each seed's own run would have reported: (replicas,) each, at its last epoch and at that of its highest F1.

    F1 is pooled over the validation rows, and not averaged over batches.
    """
    best = seeds.validation_f1.argmax(1)[:, None]
    histories = {"f1": seeds.validation_f1, "validation_loss": seeds.validation_loss, "train_loss": seeds.train_loss}
    found = {f"{name}_of_best_epoch": np.take_along_axis(part, best, 1)[:, 0] for name, part in histories.items()}
    return found | {f"last_{name}": part[:, -1] for name, part in histories.items()} | {"best_epoch": best[:, 0] + 1}


@dataclass
class Folds:
    """Outer folds of a repeated cross-validation, each with an inner validation part cut from its training rows."""

    repeat: list[int]
    train: list[Rows]
    validation: list[Rows]
    test: list[Rows]

    def __iter__(self) -> Iterator[tuple[int, Rows, Rows, Rows]]:
        return iter(zip(self.repeat, self.train, self.validation, self.test, strict=True))


def nested_folds(task: Task, repeats: int, seed: int, at_most: int = 0) -> Folds:
    """`repeats` times five stratified outer folds; a fifth of each training part becomes its inner validation part.

    Rows of one patient stay together. Training parts are cut to one size, since replicas are trained side by side, and
    to `at_most` rows, drawn at random, where that is given.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    patient = task.records["patient"]
    # To keep groups together takes a millisecond a patient; where each row is one, there is nothing to keep.
    simple = patient.is_unique and len(patient) > LARGE
    kind, groups = (StratifiedKFold, None) if simple else (StratifiedGroupKFold, patient.to_numpy())
    folds = Folds([], [], [], [])
    for repeat in range(repeats):
        outer = kind(FOLDS, shuffle=True, random_state=seed + repeat)
        for rest, test in outer.split(task.x, task.y, groups):
            _check_trainable(task, rest)
            inner = kind(FOLDS, shuffle=True, random_state=seed + repeat)
            of_rest = None if groups is None else groups[rest]
            train, validation = next(inner.split(task.x[rest], task.y[rest], of_rest))
            folds.repeat.append(repeat)
            folds.train.append(np.random.default_rng(seed).permutation(rest[train]))
            folds.validation.append(rest[validation])
            folds.test.append(test)
    size = min(map(len, folds.train))
    size = min(size, at_most) if at_most else size
    folds.train = [rows[:size] for rows in folds.train]
    for train in folds.train:
        _check_trainable(task, train)
    return folds


def nested_mlp(
    task: Task,
    folds: Folds,
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, ReplicaFit]:
    """Train the network once for each outer fold; predict each outer test part with weights it had no say in.

    The inner validation part drives the learning rate, the checkpoint and the column `threshold`. Returns the
    predictions of the test parts, with the columns `repeat` and `threshold`, and the replicas.
    """
    found, fitted = nested_by_columns(task, folds, settings, seed, {"all": task.columns}, progress)
    return found["all"], fitted


def nested_by_columns(
    task: Task,
    folds: Folds,
    settings: Settings,
    seed: int,
    sets: Mapping[str, list[str]],
    progress: Progress | None = None,
) -> tuple[dict[str, pd.DataFrame], ReplicaFit]:
    """The same for several sets of columns, all of their networks trained at once; a network's other columns are held
    at their mean."""
    count = len(folds.train)
    seen = np.stack([np.isin(task.columns, columns) for columns in sets.values()])
    with one_thread():
        fitted = kept_replicas(
            task.x,
            task.y,
            folds.train * len(sets),
            folds.validation * len(sets),
            [*range(seed, seed + count)] * len(sets),
            settings,
            columns=np.repeat(seen, count, axis=0),
            progress=progress,
        )
    probability = fitted.predict(task.x)
    found = {}
    for place, name in enumerate(sets):
        own = probability[place * count : (place + 1) * count]
        found[name] = pd.concat([_on_test(task, *fold, own[at]) for at, fold in enumerate(folds)], ignore_index=True)
    return found, fitted


def _on_test(
    task: Task, repeat: int, train: Rows, validation: Rows, test: Rows, probability: NDArray[np.float64]
) -> pd.DataFrame:
    threshold = choose_threshold(task.y[validation], probability[validation])
    return task.predictions(test, probability[test], repeat=repeat, threshold=threshold)


def nested_baseline(
    task: Task,
    folds: Folds,
    baseline: Callable[..., NDArray[np.float64]] = logistic_regression,
    with_validation: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """`logistic_regression` or `majority` on the same outer folds.

    A baseline chooses nothing, so the inner validation part is free to train it; `with_validation=False` leaves it out
    and gives the baseline the very rows the network had. `options` go to the baseline.
    """
    tables = []
    for repeat, train, validation, test in folds:
        guess = baseline(task, np.r_[train, validation] if with_validation else train, test, **options)
        tables.append(task.predictions(test, guess, repeat=repeat))
    return pd.concat(tables, ignore_index=True)


def looking(task: Task, folds: Folds, fitted: ReplicaFit) -> pd.DataFrame:
    """What choosing by the validation rows adds to their F1: F1 there minus F1 on the test part, a row a repeat.

    Columns: `best_epoch` quotes the epoch with the highest validation F1, `lowest_loss` the weights that are kept,
    and `logistic_regression`, fitted on the training rows alone, chooses nothing. The parts are cut at random in every
    fold, so that without a choice the difference is 0 on average. Means over the folds of each repeat, threshold 0.5.
    """
    probability = fitted.predict(task.x)
    rows = []
    for replica, (repeat, train, validation, test) in enumerate(folds):
        parts = np.r_[validation, test]
        line = logistic_regression(task, train, parts)
        on_test, line_held, line_test = (
            scores(task.y[part], guess - 0.5)["f1"]
            for part, guess in (
                (test, probability[replica, test]),
                (validation, line[: len(validation)]),
                (test, line[len(validation) :]),
            )
        )
        held = fitted.validation_f1[replica]
        at_lowest = held[fitted.best_epoch[replica] - 1]
        rows.append((repeat, held.max() - on_test, at_lowest - on_test, line_held - line_test))
    table = pd.DataFrame(rows, columns=["repeat", "best_epoch", "lowest_loss", "logistic_regression"])
    return table.groupby("repeat").mean()


def permutation_importance(task: Task, folds: Folds, fitted: ReplicaFit, seed: int) -> pd.DataFrame:
    """How far the pooled AUROC of the outer test parts falls when one measurement is shuffled over the rows.

    Breiman's permutation importance, taken on rows that chose nothing. A row a column: `lost`, the mean over the
    repeats, and `low` and `high`, the least and the most lost in a single repeat.
    """
    rng = np.random.default_rng(seed)
    whole = _auroc_by_repeat(task, folds, fitted, task.x)
    rows = []
    for position, column in enumerate(task.columns):
        shuffled = task.x.copy()
        shuffled[:, position] = rng.permutation(shuffled[:, position])
        lost = whole - _auroc_by_repeat(task, folds, fitted, shuffled)
        rows.append((column, lost.mean(), lost.min(), lost.max()))
    return pd.DataFrame(rows, columns=["column", "lost", "low", "high"])


def _auroc_by_repeat(task: Task, folds: Folds, fitted: ReplicaFit, x: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = fitted.predict(x)
    tables = [
        task.predictions(test, probability[replica, test], repeat=repeat)
        for replica, (repeat, _, _, test) in enumerate(folds)
    ]
    by_repeat = pd.concat(tables).groupby("repeat")
    return np.array([values(part, binary(task.positive))["auroc"] for _, part in by_repeat])


def feature_sets(columns: list[str]) -> dict[str, list[str]]:
    """The subsets the chapter compares, as far as the table has the columns of the Kaggle or the vertebral file."""
    vertebral, added = [f"Col{n}" for n in range(1, 7)], [f"Col{n}" for n in range(7, 13)]
    sets = {"all_columns": columns}
    if set(added) <= set(columns):
        sets |= {"first_six": vertebral, "last_six": added}
    if set(vertebral) <= set(columns):
        sets |= {
            "first_five": vertebral[:5],
            "without_Col1": [c for c in columns if c != "Col1"],
            "Col6_alone": ["Col6"],
        }
    return sets


def by_subset(
    task: Task, folds: Folds, settings: Settings, seed: int, progress: Progress | None = None
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Nested predictions of the network and of logistic regression for each of `feature_sets`."""
    sets = feature_sets(task.columns)
    networks, _ = nested_by_columns(task, folds, settings, seed, sets, progress)
    return {name: (networks[name], nested_baseline(task, folds, columns=columns)) for name, columns in sets.items()}


def nearer_the_other_class(task: Task, record_ids: pd.Series) -> int:
    """How many of these rows lie nearer to the mean of the other class than to that of their own, standardised."""
    x = task.records[task.columns]
    x = (x - x.mean()) / x.std().replace(0, 1)
    means = x.groupby(task.records["label"]).mean()
    rows = task.records["record_id"].isin(record_ids)
    distance = {name: ((x[rows] - means.loc[name]) ** 2).sum(axis=1) for name in (task.negative, task.positive)}
    is_positive = task.records.loc[rows, "label"] == task.positive
    nearer_positive = distance[task.positive] < distance[task.negative]
    return int((is_positive != nearer_positive).sum())


def column_report(task: Task) -> pd.DataFrame:
    """What each measurement tells on its own, a row a column.

    `auroc` of the column alone (above 0.5 whichever its direction), `class_p` (Mann-Whitney U test of the two classes),
    `uniform_p` (Kolmogorov-Smirnov test against a uniform distribution over the column's range), and `explained`, the
    share of its variance that a linear combination of the other columns explains (1 means it is redundant).
    """
    from scipy.stats import kstest, mannwhitneyu

    rows = []
    for column in task.columns:
        values = task.records[column].to_numpy()
        positive, negative = values[task.y == 1], values[task.y == 0]
        test = mannwhitneyu(positive, negative)
        area = test.statistic / (len(positive) * len(negative))
        uniform = kstest(values, "uniform", args=(values.min(), np.ptp(values) or 1))
        rows.append((column, max(area, 1 - area), test.pvalue, uniform.pvalue, _explained(task, column)))
    return pd.DataFrame(rows, columns=["column", "auroc", "class_p", "uniform_p", "explained"])


def _explained(task: Task, column: str) -> float:
    others = [other for other in task.columns if other != column]
    if not others:
        return 0.0
    design = np.c_[np.ones(len(task.records)), task.records[others].to_numpy(dtype=float)]
    values = task.records[column].to_numpy(dtype=float)
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(1 - left.var() / values.var()) if values.var() else 0.0
