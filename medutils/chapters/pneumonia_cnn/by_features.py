"""Experiments on features that stay as they are: each takes a logistic regression, seconds in place of a training.

The features are those of a network that learned from photographs, averaged over each of its maps, and for comparison
the grey levels of a thumbnail. Nothing here chooses by a test film.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from medutils import cache
from medutils.chapters.pneumonia_cnn.experiments import add_few, add_gap, by_cause
from medutils.data.films import Films
from medutils.data.splits import split_by_patient
from medutils.evaluation import Task, binary, choose_threshold, evaluate, operating_points, values
from medutils.evidence import Results
from medutils.models.cnn import Architecture
from medutils.models.transfer import make_classifier, own_preprocessing, own_size
from medutils.tables import check_predictions
from medutils.training.features import averaged_features

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

NETWORK = "tf_efficientnet_lite0"
STRENGTH = 0.01  # scikit-learn's C, which patient-grouped folds chose for each kind of features in the reference run
SHARES = {"train": 0.9, "test": 0.1}  # of all films, about as in papers that split them anew
WAYS = ("official", "patient", "film")
PARTS = (16, 8, 4, 2, 1)  # what is left of the training patients: a sixteenth to all
SERIES = "NORMAL2"  # how the names of one series of normal films begin
FOLDS = 3
PREVALENCE = 0.1  # share of pneumonia in a clinic, for the predictive values
THRESHOLDS = np.r_[0.005, 0.01, np.round(np.arange(0.02, 1, 0.02), 2), 0.99, 0.995, 0.999]


# --- features ---------------------------------------------------------------------------------------------------------


def features(films: Films, size: int = 0, given: str = "right") -> NDArray[np.float32]:
    """What the network sees in films with ImageNet's weights, (films, channels); computed once and kept.

    size: of the films, in pixels; 0 for the network's own
    given: `right` for the preprocessing that its weights know; `raw` for 0 to 255, as write-up 002 gives it, `shares`
        for 0 to 1, as the notebook behind write-up 003 does
    """
    size = size or own_size(NETWORK)
    return averaged_features(_network(size, given), films.pixels(size), films.fingerprint(size))


def _network(size: int, given: str = "right") -> Any:
    design = own_preprocessing(Architecture(size=size, backbone=NETWORK, dense=0, average=True))
    deviation = {"right": design.deviation, "raw": (1 / 255,) * 3, "shares": (1.0,) * 3}[given]
    mean = design.mean if given == "right" else (0.0,) * 3
    return make_classifier(replace(design, mean=mean, deviation=deviation), 2, pretrained=True)


def grey_levels(films: Films, size: int = 16) -> NDArray[np.uint8]:
    """Films as thumbnails, (films, size * size)."""
    return films.pixels(size).numpy().reshape(len(films.records), -1)


def fitted(films: Films, x: NDArray[Any], train: Rows, test: Rows) -> Array:
    """Probabilities of the positive class for some films, by a logistic regression on others; kept."""
    positive = len(films.classes) - 1
    y = (films.y[train].numpy() == positive).astype(int)
    key = cache.key_of(_fit, cache.array_hash(x[train]), cache.array_hash(x[test]), y.tolist(), STRENGTH)

    def make(part: Path) -> None:
        with threadpool_limits(1):
            part.write_text(json.dumps(_fit(x[train], y, x[test]).tolist()), encoding="utf-8")

    return np.array(json.loads(cache.kept("regressions", make, key, ".json").read_text(encoding="utf-8")))


def _fit(x: NDArray[Any], y: Rows, new: NDArray[Any]) -> Array:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=5000))
    return model.fit(x.astype(float), y).predict_proba(new.astype(float))[:, 1]


def table_of(films: Films, rows: Rows, probability: Array, threshold: float = 0.5) -> pd.DataFrame:
    """A predictions table of some films, the positive class against the rest."""
    records = films.records.iloc[rows]
    label = records["label"].where(records["label"].eq(films.positive), films.two[0])
    table = records[["record_id", "patient"]].assign(y_true=label, threshold=threshold)
    table[[f"prob_{name}" for name in films.two]] = np.c_[1 - probability, probability]
    return check_predictions(table.reset_index(drop=True))


# --- where the literature's 99 % come from ----------------------------------------------------------------------------


def divided_anew(films: Films, way: str, seed: int) -> tuple[Rows, Rows]:
    """Row numbers of training and test films: by `film`, by `patient`, or of the `official` folders.

    `official` takes nine tenths of the training patients, so that the three train on about as many films.
    """
    records = films.undivided().records
    if way == "film":
        order = np.random.default_rng(seed).permutation(len(records))
        cut = round(SHARES["test"] * len(records))
        return order[cut:], order[:cut]
    keep = ("test",) if way == "official" else ()
    parts = {"train": SHARES["train"], "validation": SHARES["test"]} if way == "official" else SHARES
    blank = records["split"].where(records["split"].isin(keep), "")
    split = split_by_patient(records.assign(split=blank), parts, seed, keep)["split"].to_numpy()
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "test")


def by_way(films: Films, x: NDArray[Any], seed: int, repeats: int) -> dict[str, pd.DataFrame]:
    """Predictions of the test films of each way to divide them, the number of the division in `repeat`."""
    found = {}
    for way in WAYS:
        tables = []
        for number in range(repeats):
            train, test = divided_anew(films, way, seed + number)
            tables.append(table_of(films, test, fitted(films, x, train, test)).assign(repeat=number))
        found[way] = pd.concat(tables, ignore_index=True)
    return found


# --- how many films ---------------------------------------------------------------------------------------------------


def curve(films: Films, x: NDArray[Any], seed: int, repeats: int) -> dict[int, pd.DataFrame]:
    """Predictions of the test films by how many training films there were, each from `repeats` draws of patients."""
    films = films.undivided()
    records, test = films.records, films.rows("test")
    blank = records.assign(split=records["split"].where(records["split"].eq("test"), ""))
    found = {}
    for part in PARTS:
        sizes, tables = [], []
        for number in range(repeats if part > 1 else 1):
            train = films.rows("train")
            if part > 1:
                shares = {"train": 1 / part, "validation": 1 - 1 / part}
                split = split_by_patient(blank, shares, seed + number, ("test",))["split"]
                train = np.flatnonzero(split == "train")
            sizes.append(len(train))
            tables.append(table_of(films, test, fitted(films, x, train, test)).assign(repeat=number))
        found[round(float(np.mean(sizes)))] = pd.concat(tables, ignore_index=True)
    return found


# --- a threshold that no test film has set ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Thresholds:
    """Thresholds from the training folder, and how well films were ranked by which they were set.

    by: `folds`, training films by a regression without their patients; `series`, films of a series of normal films that
        the regression had not seen
    """

    by: dict[str, float]
    auroc: dict[str, float]
    specificity: dict[str, float]


class Held(NamedTuple):
    """Row numbers of the films that train, and of those held out from them."""

    train: Rows
    held: Rows


def folds(films: Films, seed: int) -> list[Held]:
    """The training patients in parts, each held out in turn."""
    from sklearn.model_selection import StratifiedGroupKFold

    train = films.undivided().rows("train")
    patients = films.records["patient"].iloc[train].to_numpy()
    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return [Held(train[a], train[b]) for a, b in parts.split(train, films.y[train].numpy(), patients)]


def series(films: Films, seed: int) -> list[Held]:
    """Training films without one of two series of normal films, and that series, once for each.

    Half of the patients with pneumonia train and the other half is held out, and the other way round. Empty where the
    training folder does not hold two series.
    """
    films = films.undivided()
    records = films.records
    train, normal = records["split"].eq("train"), records["label"].ne(films.positive)
    second = records["record_id"].str.contains(SERIES, regex=False)
    if min(int((train & normal & one).sum()) for one in (second, ~second)) < 2:
        return []
    ill = records[train & ~normal].assign(split="")
    half = split_by_patient(ill, {"train": 0.5, "test": 0.5}, seed)["split"].reindex(records.index)
    found = []
    for one, side in ((second, "test"), (~second, "train")):
        held = train & ((normal & one) | half.eq(side))
        found.append(Held(np.flatnonzero(train & ~held), np.flatnonzero(held)))
    return found


def without_a_series(films: Films, seed: int) -> list[Films]:
    """The films of each of `series`, with what is held out as their validation films."""
    films = films.undivided()
    found = []
    for part in series(films, seed):
        split = films.records["split"].to_numpy(dtype=object).copy()
        split[part.held] = "validation"
        found.append(replace(films, records=films.records.assign(split=split), divided=True))
    return found


def thresholds(films: Films, x: NDArray[Any], seed: int) -> Thresholds:
    """The thresholds of the highest balanced accuracy on held-out training films."""
    by, auroc, specificity = {}, {}, {}
    for name, parts in (("folds", folds(films, seed)), ("series", series(films, seed))):
        if not parts:
            continue
        tables = [table_of(films, part.held, fitted(films, x, part.train, part.held)) for part in parts]
        by[name] = cut(pd.concat(tables, ignore_index=True), films.positive)
        scores = mean_scores(tables, binary(films.positive, films.two[0]))
        auroc[name], specificity[name] = scores["auroc"], scores["specificity"]
    return Thresholds(by, auroc, specificity)


def cut(table: pd.DataFrame, positive: str) -> float:
    """The threshold of the highest balanced accuracy on a predictions table."""
    y = table["y_true"].eq(positive).to_numpy(dtype=float)
    return choose_threshold(y, table[f"prob_{positive}"].to_numpy(), "balanced accuracy")


def mean_scores(tables: Sequence[pd.DataFrame], task: Task) -> dict[str, float]:
    """AUROC and specificity at one half, each the mean over the tables."""
    scores = [values(table, task, 0.5) for table in tables]
    return {name: float(np.mean([one[name] for one in scores])) for name in ("auroc", "specificity")}


# --- why specificity fails, and what repairs it -----------------------------------------------------------------------


def halves(films: Films, seed: int) -> tuple[Rows, Rows]:
    """The test films in two parts by patient, as places among them: to study by, and to judge repairs by."""
    test = films.records.iloc[films.rows("test")].assign(split="")
    split = split_by_patient(test, {"train": 0.5, "test": 0.5}, seed)["split"].to_numpy()
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "test")


def on_own_scale(x: NDArray[Any], train: Rows, test: Rows) -> NDArray[np.float32]:
    """Features with those of the test films brought to the mean and deviation of the training films, without labels."""
    moved = x.astype(np.float32).copy()
    own, wanted = ((x[rows].mean(0), x[rows].std(0)) for rows in (test, train))
    moved[test] = (x[test] - own[0]) / np.maximum(own[1], 1e-6) * wanted[1] + wanted[0]
    return moved


def matched(x: Tensor, levels: Array) -> Tensor:
    """Films each with the grey levels of a mean film, in the order of its own: `levels` are its 256 quantiles."""
    flat = x.flatten(1).long()
    counts = torch.zeros(len(x), 256).scatter_add_(1, flat, torch.ones(flat.shape))
    rank = (counts.cumsum(1) - counts / 2) / flat.shape[1]
    new = torch.from_numpy(np.interp(rank.numpy(), np.linspace(0, 1, len(levels)), levels)).round().byte()
    return new.gather(1, flat).view_as(x)


def mean_levels(x: Tensor) -> Array:
    """256 quantiles of the grey levels of films, averaged over them."""
    return np.quantile(x.flatten(1).numpy(), np.linspace(0, 1, 256), axis=1).mean(1)


def with_matched_films(films: Films, x: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Features with the test films first brought to the grey levels of the mean training film."""
    size = size or own_size(NETWORK)
    pixels, test = films.pixels(size), films.rows("test")
    levels = mean_levels(pixels[films.rows("train")[::8]])
    new = matched(pixels[test], levels)
    moved = x.astype(np.float32).copy()
    moved[test] = averaged_features(_network(size), new, cache.array_hash(new.numpy()))
    return moved


def for_prevalence(probability: Array, before: float, rounds: int = 200) -> tuple[Array, float]:
    """Probabilities for the share of ill films that they themselves imply, and that share {cite}`saerens2002`.

    before: the share of ill films for which the probabilities hold
    """
    share, new = before, probability
    for _ in range(rounds):
        odds = probability / (1 - probability).clip(1e-12) * (share / before) / ((1 - share) / (1 - before))
        new = odds / (1 + odds)
        share = float(new.mean().clip(1e-3, 1 - 1e-3))
    return new, share


def statistics(films: Films, size: int = 224) -> pd.DataFrame:
    """What films look like, whatever is on them: a row a film, its `split`, `label` and numbers of its grey levels.

    `mean` and `deviation` of the grey levels, `black` and `white` (shares of pixels below 10 and above 245), `edge`
    (mean of the outer eighth minus that of the middle), `sharpness` (mean absolute difference of neighbours).
    """
    band = size // 8
    inside = torch.zeros(size, size, dtype=torch.bool)
    inside[band:-band, band:-band] = True
    parts = []
    for some in films.pixels(size).split(256):
        x = some.float()
        found = {
            "mean": x.mean((1, 2)),
            "deviation": x.std((1, 2)),
            "black": (x < 10).float().mean((1, 2)),
            "white": (x > 245).float().mean((1, 2)),
            "edge": x[:, ~inside].mean(1) - x[:, inside].mean(1),
            "sharpness": (x[:, :, 1:] - x[:, :, :-1]).abs().mean((1, 2)),
        }
        parts.append(pd.DataFrame({name: value.numpy() for name, value in found.items()}))
    columns = films.records[["split", "label"]].reset_index(drop=True)
    return pd.concat([columns, pd.concat(parts, ignore_index=True)], axis=1)


def shifts(table: pd.DataFrame, positive: str) -> pd.DataFrame:
    """How far test films lie from the training films of their class, in deviations of those: a row a number.

    Columns `normal` and `ill`; `apart` is how far ill training films lie from normal ones.
    """
    table = table.assign(split=table["split"].replace("validation", "train"))
    numbers = [name for name in table if name not in ("split", "label")]
    parts = {
        (side, split): table[(table["label"].eq(positive) == (side == "ill")) & table["split"].eq(split)][numbers]
        for side in ("normal", "ill")
        for split in ("train", "test")
    }
    found = {
        side: (parts[side, "test"].mean() - parts[side, "train"].mean()) / parts[side, "train"].std()
        for side in ("normal", "ill")
    }
    found["apart"] = (parts["ill", "train"].mean() - parts["normal", "train"].mean()) / parts["normal", "train"].std()
    return pd.DataFrame(found)


# --- kept in the results ----------------------------------------------------------------------------------------------


def record(results: Results, films: Films, size: int = 0, repeats: int = 3) -> pd.DataFrame:
    """Measure all of the above and keep it; the predictions of the test films at the threshold by folds.

    size: of the films that the network takes, in pixels; 0 for its own
    """
    seed = results.parameters["seed"]
    seen: dict[str, NDArray[Any]] = {"lite0": features(films, size), "thumbnails": grey_levels(films)}
    for name, x in seen.items():
        for way, table in by_way(films, x, seed, repeats).items():
            add_few(results, f"split.{way}.{name}", table, 0.5)
        by_count = curve(films, x, seed, repeats)
        areas = [results.evaluate(table, "test", 0.5)["auroc"] for table in by_count.values()]
        parts = {part: [getattr(area, part) for area in areas] for part in ("value", "low", "high")}
        results.experiment(f"curve_{name}", rows=list(by_count), **parts)
    whole = films.undivided()
    train, test = whole.rows("train"), whole.rows("test")
    x = seen["lite0"]
    probability = fitted(whole, x, train, test)
    cuts = thresholds(films, x, seed)
    results.experiment("thresholds", by=cuts.by, auroc=cuts.auroc, specificity=cuts.specificity)
    for name, cut in {**cuts.by, "one_half": 0.5}.items():
        add_few(results, f"features.at_{name}", table_of(whole, test, probability), cut)
    best = table_of(whole, test, probability, cuts.by["folds"])
    _record_decisions(results, best, films.positive, cuts.by["folds"])
    results.add("features.cause", by_cause(best, films, results))
    judge = test[halves(whole, seed)[1]]
    looked = statistics(whole).drop(index=judge)  # the half that judges repairs is not looked at
    results.experiment("look_of_test_films", **shifts(looked, films.positive).round(3).to_dict("index"))
    _record_repairs(results, whole, x, size, best)
    return best


def record_inputs(results: Results, films: Films, size: int = 0) -> None:
    """Measure what features are worth where the network gets the numbers that the write-ups give it, and keep it."""
    whole = films.undivided()
    train, test = whole.rows("train"), whole.rows("test")
    tables = {
        given: table_of(whole, test, fitted(whole, features(films, size, given), train, test))
        for given in ("right", "raw", "shares")
    }
    for given, table in tables.items():
        add_few(results, f"input.{given}", table, 0.5)
        if given != "right":
            add_gap(results, f"input.right_minus_{given}", tables["right"], table, "test", 0.5)


def _record_decisions(results: Results, best: pd.DataFrame, positive: str, cut: float) -> None:
    at = results.parameters["resamples"], results.parameters["seed"]
    found = evaluate(best, results.task, "test", cut, *at, PREVALENCE)
    results.add(
        "features", {name: one for name, one in found.items() if "_at_" in name or name in ("precision", "npv")}
    )
    results.experiment("operating_points", **decided(best, positive))


def decided(table: pd.DataFrame, positive: str) -> dict[str, list[float]]:
    """What each of `THRESHOLDS` gives on a predictions table; see `operating_points`."""
    y = table["y_true"].eq(positive).to_numpy(dtype=float)
    points = operating_points(y, table[f"prob_{positive}"].to_numpy(), THRESHOLDS)
    return {name: points[name].round(4).tolist() for name in points}


def _record_repairs(results: Results, films: Films, x: NDArray[Any], size: int, best: pd.DataFrame) -> None:
    """Each repair on the half of the test patients for study, and on the half that judges."""
    train, test = films.rows("train"), films.rows("test")
    study, judge = halves(films, results.parameters["seed"])
    cut, positive = float(best["threshold"].iloc[0]), films.positive
    share = best[f"prob_{positive}"].to_numpy()
    y = best["y_true"].eq(positive).to_numpy(dtype=float)
    before = float((films.y[train] == len(films.classes) - 1).float().mean())
    local = choose_threshold(y[study], share[study], "balanced accuracy")
    shown = {
        "as_it_is": best,
        "own_scale": table_of(films, test, fitted(films, on_own_scale(x, train, test), train, test), cut),
        "matched": table_of(films, test, fitted(films, with_matched_films(films, x, size), train, test), cut),
        "local_threshold": best.assign(threshold=local),
    }
    implied = {}
    for half, rows in (("study", study), ("judge", judge)):
        parts = {name: table.iloc[rows].reset_index(drop=True) for name, table in shown.items()}
        new, implied[half] = for_prevalence(share[rows], before)
        parts["prevalence"] = table_of(films, test[rows], new)
        for name, part in parts.items():
            add_few(results, f"repair.{name}.{half}", part, "threshold")
            if half == "judge" and name != "as_it_is":
                add_gap(results, f"repair.{name}.gain", part, parts["as_it_is"], "test, half", "threshold")
    results.experiment(
        "repairs", study=len(study), judge=len(judge), local=local, before=before, implied=implied, true=float(y.mean())
    )
