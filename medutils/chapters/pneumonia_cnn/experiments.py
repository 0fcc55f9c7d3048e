"""What the errors of write-ups 002 and 003 are worth, and the measures they should have taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from medutils.data.films import Films, Scheme
from medutils.evaluation import Estimate, Rule, binary, compare, counts, evaluate, one_against_rest, proportion
from medutils.export import About, ExportedModel, TrainedOn, model_card, overlay
from medutils.models.augment import Augment
from medutils.training.kept import Training, Variant
from medutils.training.loop import probabilities
from medutils.training.trainer import accuracy

THUMBNAIL = 16  # pixels a side of the films that the linear baseline sees
BATCH = 32  # of both write-ups

Array = NDArray[np.float64]
Matrix = Sequence[Sequence[float]]  # two rows of two: (TN, FP) and (FN, TP)


# --- measures ---------------------------------------------------------------------------------------------------------


def pooled(trainings: Sequence[Training], split: str = "test", as_written: bool = False) -> pd.DataFrame:
    """Predictions of one variant's trainings below each other, the seed's number in `repeat`."""
    tables = [training.as_written(split) if as_written else training.predictions(split) for training in trainings]
    return pd.concat([table.assign(repeat=number) for number, table in enumerate(tables)], ignore_index=True)


def judge(predictions: pd.DataFrame, positive: str, split: str, resamples: int, seed: int) -> dict[str, Estimate]:
    """All metrics with the thresholds of the table, averaged over seeds, intervals by patient."""
    return evaluate(one_against_rest(predictions, positive), binary(positive), split, "threshold", resamples, seed)


def difference(
    first: pd.DataFrame, second: pd.DataFrame, positive: str, resamples: int, seed: int
) -> dict[str, Estimate]:
    """`first` minus `second` on the test films, paired by patient."""
    one, two = (one_against_rest(table, positive) for table in (first, second))
    return compare(one, two, binary(positive), "test", "threshold", resamples, seed)


def by_cause(predictions: pd.DataFrame, films: Films, resamples: int, seed: int) -> dict[str, Estimate]:
    """Recall among the positive films of each cause, where the file names tell it."""
    if "cause" not in films.records:
        return {}
    cause = films.records.set_index("record_id")["cause"].loc[predictions["record_id"]].to_numpy()
    ill = (predictions["y_true"] == films.positive).to_numpy()
    return {
        str(name): judge(predictions[ill & (cause == name)], films.positive, "test", resamples, seed)["sensitivity"]
        for name in sorted(set(cause[ill]))
    }


def linear_baseline(films: Films) -> pd.DataFrame:
    """Test predictions of a logistic regression on thumbnails, with 0.5 as its threshold: the bar for any network."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = films.pixels(THUMBNAIL).numpy().reshape(len(films.records), -1).astype(float)
    train, test = films.rows("train"), films.rows("test")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000, class_weight="balanced"))
    probability = model.fit(x[train], films.y[train].numpy()).predict_proba(x[test])
    return _predictions(films, probability)


def majority_baseline(films: Films) -> pd.DataFrame:
    """Test predictions that give every film the shares of the classes in training."""
    shares = np.bincount(films.y[films.rows("train")], minlength=len(films.classes)) / len(films.rows("train"))
    return _predictions(films, np.tile(shares, (len(films.rows("test")), 1)))


def _predictions(films: Films, probability: Array) -> pd.DataFrame:
    records = films.records.iloc[films.rows("test")]
    table = records[["record_id", "patient"]].assign(y_true=records["label"], threshold=0.5).reset_index(drop=True)
    table[[f"prob_{name}" for name in films.classes]] = probability
    return table


def sizes_of(table: pd.DataFrame) -> str:
    """Widths and heights of films in pixels, from the smallest to the largest."""
    ends = ((table[side].min(), table[side].max()) for side in ("width", "height"))
    return " × ".join(str(low) if low == high else f"{low} to {high}" for low, high in ends)


# --- errors of write-up 002 -------------------------------------------------------------------------------------------


def decisions(predictions: pd.DataFrame, positive: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True classes and decisions of a table as 0 and 1, at the table's own threshold."""
    y = predictions["y_true"].eq(positive).to_numpy().astype(int)
    return y, (predictions[f"prob_{positive}"] > predictions["threshold"]).to_numpy().astype(int)


def _right(predictions: pd.DataFrame, positive: str) -> Array:
    """Which decisions of a table are right, 1 or 0."""
    return np.equal(*decisions(predictions, positive)).astype(float)


def first_batch_twice(y: NDArray[np.int64], said: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True classes and decisions as write-up 002's `get_preds` gathers them: its first batch is counted twice."""
    return np.r_[y[:BATCH], y], np.r_[said[:BATCH], said]


def decision_counts(trainings: Mapping[str, Sequence[Training]], positive: str) -> pd.DataFrame:
    """TN, FP, FN and TP of each network's first training at its fixed threshold."""
    rows = {
        name: counts(*decisions(group[0].predictions(), positive), ["no", "yes"]).to_numpy().ravel()
        for name, group in trainings.items()
    }
    return pd.DataFrame(rows, index=["true negatives", "false positives", "false negatives", "true positives"]).T


def most_probable(training: Training) -> pd.DataFrame:
    """Counts of the most probable class by the true one, on the test films."""
    y = training.films.y[training.films.rows("test")].numpy()
    return counts(y, probabilities(training.test_logits).argmax(1), training.films.classes)


def report(first: NDArray[np.int64], second: NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    """scikit-learn's report of `first`, which it takes for the truth, and `second`: precision, recall, F1, support."""
    from sklearn.metrics import classification_report

    found = classification_report(
        first, second, labels=[0, 1], target_names=list(classes), output_dict=True, zero_division=0
    )
    return pd.DataFrame({name: found[name] for name in classes}).T.rename(
        columns={"f1-score": "F1", "support": "films"}
    )


def as_published(training: Training, positive: str, seed: int) -> tuple[list[list[int]], dict[str, Any]]:
    """The matrix and the report of one training with both errors: the first batch twice, the arguments swapped."""
    y, said = decisions(training.as_written(), positive)
    order = np.random.default_rng(seed).permutation(len(y))
    y, said = first_batch_twice(y[order], said[order])
    table = report(said, y, ["0", "1"])
    numbers = {
        name: [round(value, 2) for value in row] for name, row in zip(table.index, table.to_numpy(), strict=True)
    }
    return counts(y, said, ["0", "1"]).to_numpy().tolist(), {**numbers, "accuracy": float((y == said).mean())}


def read_matrix(matrix: Matrix) -> dict[str, float]:
    """Metrics of ((TN, FP), (FN, TP)): the second row and column are the positive class."""
    (tn, fp), (fn, tp) = matrix
    return {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "precision": tp / max(tp + fp, 1),
        "negative_predictive_value": tn / max(tn + fn, 1),
        "accuracy": (tn + tp) / (tn + fp + fn + tp),
    }


def accuracies_with_intervals(correct: Mapping[str, float], films: int) -> pd.DataFrame:
    """Accuracies that were reported for so many films, as shares, with Wilson's interval."""
    found = {name: proportion(round(share * films), films, "test", "wilson") for name, share in correct.items()}
    return pd.DataFrame(
        {name: {"reported": one.value, "low": one.low, "high": one.high} for name, one in found.items()}
    ).T


def recommend(recall: Mapping[str, float], precision: Mapping[str, float]) -> str:
    """Write-up 002's stated rule: the highest recall; of two alike, the higher precision."""
    return max(recall, key=lambda name: (round(recall[name], 4), precision[name]))


def raw_pixels(variant: Variant) -> Variant:
    """The variant with its backbone given 0 to 255, as in write-up 002."""
    return replace(variant, design=replace(variant.design, mean=(0.0,), deviation=(1 / 255,)))


# --- errors of both ---------------------------------------------------------------------------------------------------


def collapsed(predictions: pd.DataFrame, positive: str) -> bool:
    """Whether a table's decisions are all the same."""
    return len(set(decisions(predictions, positive)[1])) == 1


def count_collapsed(trainings: Sequence[Training], positive: str) -> int:
    """How many of one variant's trainings ended with one answer, as written."""
    return sum(collapsed(training.as_written(), positive) for training in trainings)


def optimism(trainings: Sequence[Training], positive: str, picks: int, seed: int) -> dict[str, float]:
    """What choosing the best of several models by their test accuracy adds to that accuracy.

    Half of the test patients, drawn `picks` times, choose among all models; the other half judges the choice. `chosen`
    and `fresh` are the mean accuracies of the chosen model on the two halves.
    """
    tables = [training.as_written() for training in trainings]
    right = np.stack([_right(table, positive) for table in tables])
    patients, code = np.unique(tables[0]["patient"], return_inverse=True)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(picks):
        half = rng.permutation(len(patients))[: len(patients) // 2]
        inside = np.isin(code, half)
        best = right[:, inside].mean(1).argmax()
        found.append((right[best, inside].mean(), right[best, ~inside].mean()))
    chosen, fresh = np.mean(found, axis=0)
    return {"models": len(tables), "chosen": chosen, "fresh": fresh, "optimism": chosen - fresh, "picks": picks}


def spread(trainings: Mapping[str, Sequence[Training]], positive: str) -> pd.DataFrame:
    """Test accuracy as written of every training: a row a variant, a column a seed."""
    return pd.DataFrame(
        {
            name: [float(_right(training.as_written(), positive).mean()) for training in group]
            for name, group in trainings.items()
        }
    ).T.rename_axis("variant")


def accuracy_by_rule(trainings: Mapping[str, Sequence[Training]], positive: str) -> pd.DataFrame:
    """Mean test accuracy of each network by what its threshold is: one half, or fixed on validation by each rule."""
    ways: dict[str, Callable[[Training], pd.DataFrame]] = {"one half": Training.as_written} | {
        rule: partial(_by_rule, rule=rule) for rule in get_args(Rule)
    }
    return pd.DataFrame(
        {
            way: {
                name: float(np.mean([_right(decide(one), positive) for one in group]))
                for name, group in trainings.items()
            }
            for way, decide in ways.items()
        }
    )


def _by_rule(training: Training, rule: Rule) -> pd.DataFrame:
    return replace(training, variant=replace(training.variant, rule=rule)).predictions()


def histories(trainings: Mapping[str, Sequence[Training]]) -> dict[str, dict[str, list[float]]]:
    """Loss and accuracy of every epoch of each network's first seed."""
    return {
        name: group[0].history.drop(columns=["epoch", "learning_rate"]).round(4).to_dict("list")
        for name, group in trainings.items()
    }


def by_epoch(trainings: Mapping[str, Sequence[Training]], measure: str) -> dict[str, pd.DataFrame]:
    """`loss` or `accuracy` in training and in validation: `epoch`, and a column for each network's first seed."""
    firsts = {name: group[0].history.set_index("epoch") for name, group in trainings.items()}
    return {
        kind: pd.DataFrame({name: history[f"{kind}_{measure}"] for name, history in firsts.items()})
        .rename_axis("epoch")
        .reset_index()
        for kind in ("train", "validation")
    }


def last_epochs(trainings: Mapping[str, Sequence[Training]]) -> dict[str, dict[str, Any]]:
    """The last row of each variant's history, averaged over its seeds."""
    return {
        name: pd.DataFrame([training.history.iloc[-1] for training in group]).mean().to_dict()
        for name, group in trainings.items()
    }


def validation_and_test(trainings: Sequence[Training], positive: str) -> dict[str, float]:
    """Accuracy as written and AUROC on the validation and on the test films, and the first less the second.

    Means over the trainings; `..._spread` is how far their gaps lie apart. The shares of the classes differ between the
    two, which moves accuracy and not AUROC.
    """
    judged = {
        split: [judge(one.as_written(split), positive, split, 0, 0) for one in trainings]
        for split in ("validation", "test")
    }
    found: dict[str, float] = {}
    for measure in ("accuracy", "auroc"):
        validation, test = (np.array([one[measure].value for one in group]) for group in judged.values())
        gaps = validation - test
        found |= {
            f"validation_{measure}": float(validation.mean()),
            f"test_{measure}": float(test.mean()),
            f"{measure}_gap": float(gaps.mean()),
            f"{measure}_gap_spread": float(np.ptp(gaps)),
        }
    return found


def shared_patients(films: Films, schemes: Sequence[Scheme], share: float, seed: int) -> pd.DataFrame:
    """Validation films by each way of holding out, and the share of them whose patient is in training too."""
    rows = {}
    for scheme in schemes:
        records = films.hold_out(scheme, share, seed).records
        held, train = (records.loc[records["split"] == split, "patient"] for split in ("validation", "train"))
        rows[scheme] = {"validation_films": len(held), "patient_in_training": float(held.isin(set(train)).mean())}
    return pd.DataFrame(rows).T.astype({"validation_films": int})


def augmented_validation(training: Training, draws: int, seed: int) -> dict[str, Any]:
    """Accuracy of a trained network on its validation films as they are (`still`), and augmented, once a draw."""
    network, films = training.network(), training.films
    x, y = (part[films.rows("validation")] for part in (films.pixels(network.design.size), films.y))
    network.augment = Augment(training.variant.augmentation).train()
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = [
            accuracy(torch.cat([network(part) for part in x.split(64)]).squeeze(1).numpy(), y.numpy())
            for _ in range(draws)
        ]
    return {"still": accuracy(training.validation_logits.numpy(), y.numpy()), "augmented": found}


def small_validation(
    trainings: Mapping[str, Sequence[Training]], positive: str, films: int, draws: int, seed: int
) -> pd.DataFrame:
    """Accuracy as written of each network's first training on a few of its validation films, half of them positive.

    A row a network: its mean over the draws (with replacement), and where 5 % of them lie below and above. Networks
    with fewer validation films of either class than are drawn of it are left out.
    """
    rng = np.random.default_rng(seed)
    rows = {}
    for name, group in trainings.items():
        y, said = decisions(group[0].as_written("validation"), positive)
        if min(y.sum(), len(y) - y.sum()) < films // 2:
            continue
        drawn = np.hstack([rng.choice(np.flatnonzero(y == value), (draws, films // 2)) for value in (0, 1)])
        found = (y == said)[drawn].mean(1)
        rows[name] = {"mean": found.mean(), "low": np.quantile(found, 0.05), "high": np.quantile(found, 0.95)}
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T


def thawed(variant: Variant, parts: int = 2) -> Variant:
    """The variant with the last `parts` parts of its backbone trained too, or none, at a tenth of the rate."""
    settings = replace(variant.settings, learning_rate=variant.settings.learning_rate / 10)
    return replace(variant, design=replace(variant.design, thawed=parts), settings=settings)


def best_on_validation(trainings: Mapping[str, Sequence[Training]], positive: str) -> tuple[str, Training]:
    """The name and first training of the network with the highest mean AUROC on its validation films."""
    mean = {
        name: np.mean([judge(one.predictions("validation"), positive, "", 0, 0)["auroc"].value for one in group])
        for name, group in trainings.items()
    }
    name = max(mean, key=lambda key: float(mean[key]))
    return name, trainings[name][0]


def most_wrong(training: Training, films: int) -> pd.DataFrame:
    """The wrongly decided test films to whose true class a network gives the lowest probability.

    Two classes are decided by the threshold, more by the most probable one. Columns: `record_id`, `title`, and `sure`,
    the probability of all other classes than the true one.
    """
    table = training.predictions()
    classes = list(training.films.classes)
    probability = table[[f"prob_{name}" for name in classes]].to_numpy()
    truth = table["y_true"].map(classes.index).to_numpy()
    said = decisions(table, classes[1])[1] if len(classes) == 2 else probability.argmax(1)
    sure = 1 - probability[np.arange(len(table)), truth]
    table = table.assign(sure=sure)[said != truth].nlargest(films, "sure")
    title = [
        f"{true}, called<br>{classes[number]}" for true, number in zip(table["y_true"], said[table.index], strict=True)
    ]
    return table[["record_id"]].assign(title=title, sure=table["sure"])


def exportable(
    name: str, training: Training, data: Mapping[str, str], metrics: Mapping[str, Estimate], limits: Sequence[str]
) -> ExportedModel:
    """A trained network with all it needs to judge a film elsewhere; `metrics` are those of its test films."""
    network = training.network()
    about = About(
        title=f"Write-ups on chest films: {name}",
        design=network.design,
        classes=training.films.classes,
        threshold=training.threshold,
        threshold_rule=f"the highest {training.variant.rule} on validation films, held out by patient unless said "
        "otherwise",
        temperature=training.temperature,
        data=TrainedOn.model_validate(data),
        metrics=dict(metrics),
        limits=tuple(limits),
    )
    return ExportedModel(network, about, model_card(about))


def heat_maps(model: ExportedModel, films: Films, record_ids: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Films with their Grad-CAM over them, as pictures (height, width, 3)."""
    pixels = films.pixels(model.about.design.size)
    place = films.records.reset_index().set_index("record_id")["index"]
    chosen = [pixels[place[record_id]].numpy() for record_id in record_ids]
    return [np.asarray(overlay(Image.fromarray(film), model.heat_map(film))) for film in chosen]
