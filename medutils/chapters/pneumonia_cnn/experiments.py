"""What the errors of write-ups 002 and 003 are worth, and the measures they should have taken."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from medutils.data.dicom import write_film
from medutils.data.films import Films
from medutils.evaluation import Estimate, binary, counts, values
from medutils.evidence import Results
from medutils.export import About, ExportedModel, FilmInput, TrainedOn, model_card
from medutils.export.heat_maps import HEAT, HEAT_OPACITY
from medutils.models.augment import Augment
from medutils.training.kept import Training, Variant
from medutils.training.summaries import count_collapsed, decisions, pooled
from medutils.training.trainer import accuracy

BATCH = 32  # of both write-ups
METRICS = ("auroc", "accuracy", "balanced_accuracy", "sensitivity", "specificity")  # kept of what is shown in passing

Array = NDArray[np.float64]
Matrix = Sequence[Sequence[float]]  # two rows of two: (TN, FP) and (FN, TP)


# --- measures ---------------------------------------------------------------------------------------------------------


def by_cause(predictions: pd.DataFrame, films: Films, results: Results) -> dict[str, Estimate]:
    """Recall among the positive films of each cause, where the file names tell it."""
    if "cause" not in films.records:
        return {}
    cause = films.records.set_index("record_id")["cause"].loc[predictions["record_id"]].to_numpy()
    ill = (predictions["y_true"] == films.positive).to_numpy()
    return {
        str(name): results.evaluate(predictions[ill & (cause == name)], "test")["sensitivity"]
        for name in sorted(set(cause[ill]))
    }


def add_few(results: Results, name: str, table: pd.DataFrame, threshold: float | str) -> None:
    """Keep `METRICS` of the test films' predictions as `name.metric`."""
    found = results.evaluate(table, "test", threshold)
    results.add(name, {metric: found[metric] for metric in METRICS})


def add_each(results: Results, prefix: str, trained: Mapping[str, Sequence[Training]]) -> dict[str, pd.DataFrame]:
    """Keep `METRICS` of each group, its seeds together, at one half, as `<prefix>.<name>.metric`; give their tables."""
    tables = {name: pooled(group, as_written=True) for name, group in trained.items()}
    for name, table in tables.items():
        add_few(results, f"{prefix}.{name}", table, 0.5)
    return tables


def add_gap(
    results: Results, name: str, first: pd.DataFrame, second: pd.DataFrame, split: str, threshold: float | str
) -> None:
    """Keep `METRICS` of the first minus the second, paired by patient, as `name.metric`."""
    gap = results.difference(first, second, split, threshold)
    results.add(name, {metric: gap[metric] for metric in METRICS})


def sizes_of(table: pd.DataFrame) -> str:
    """Widths and heights of films in pixels, from the smallest to the largest."""
    ends = ((table[side].min(), table[side].max()) for side in ("width", "height"))
    return " × ".join(str(low) if low == high else f"{low} to {high}" for low, high in ends)


def by_seed(trained: Mapping[str, Sequence[Training]], positive: str) -> dict[str, dict[str, Any]]:
    """By name: each seed's first loss and AUROC, how many seeds say one thing of all films, and their mean seconds."""
    task = binary(positive)
    return {
        name: {
            "first_loss": [round(float(one.history["train_loss"].iloc[0]), 4) for one in group],
            "auroc": [round(values(one.as_written(), task, 0.5)["auroc"], 4) for one in group],
            "collapsed": count_collapsed(group, positive),
            "seconds": round(float(np.mean([one.seconds for one in group])), 1),
        }
        for name, group in trained.items()
    }


# --- errors of write-up 002 -------------------------------------------------------------------------------------------


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


def highest_recall(recall: Mapping[str, float], precision: Mapping[str, float]) -> str:
    """The network with the highest recall, which write-up 002 puts first; of two alike, the higher precision."""
    order = {name: [-np.inf if np.isnan(one[name]) else one[name] for one in (recall, precision)] for name in recall}
    return max(order, key=lambda name: (round(order[name][0], 4), order[name][1]))


def raw_pixels(variant: Variant) -> Variant:
    """The variant with its backbone given 0 to 255, as in write-up 002."""
    return replace(variant, design=replace(variant.design, mean=(0.0,), deviation=(1 / 255,)))


# --- errors of both ---------------------------------------------------------------------------------------------------


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


def exportable(
    name: str, training: Training, data: Mapping[str, str], metrics: Mapping[str, Estimate], limits: Sequence[str]
) -> ExportedModel:
    """A trained network with all it needs to judge a film elsewhere; `metrics` are those of its test films."""
    network = training.network()
    about = About(
        title=f"Write-ups on chest films: {name}",
        reads=FilmInput(design=network.design),
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


def as_dicom(paths: Sequence[Path], folder: Path) -> None:
    """Write films into a folder as a hospital may send them: DICOM of 16 bits whose lowest value is white."""
    for path in paths:
        grey = np.asarray(Image.open(path).convert("L"), np.uint16)
        write_film(folder / f"{path.stem}.dcm", 65_535 - 257 * grey, "MONOCHROME1")


def coloured(films: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey films (films, height, width) with their heat maps, 0 to 1, over them: (films, height, width, 3)."""
    grey = np.repeat(films[..., None], 3, axis=3).astype(float)
    share = HEAT_OPACITY * heat[..., None]
    return (grey * (1 - share) + np.array(HEAT) * share).round().astype(np.uint8)
