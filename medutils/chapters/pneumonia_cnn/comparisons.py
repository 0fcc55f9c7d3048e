"""Trainings held against each other, all with one budget: augmentation, ways to divide the films, what was proposed.

Each side begins with its own weights and ends after the same epochs; several seeds each. No test film chooses anything.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from medutils.chapters.pneumonia_cnn.by_features import WAYS, divided_anew
from medutils.chapters.pneumonia_cnn.experiments import add_few, add_gap
from medutils.chapters.pneumonia_cnn.variants import MILD, NONE, STRONG_003, VARIANTS
from medutils.data.films import Films
from medutils.evaluation import binary, values
from medutils.evidence import Results
from medutils.training import summaries
from medutils.training.kept import Plan, Training, Variant, train_all
from medutils.training.loop import Progress, probabilities

LEVELS = {"none": NONE, "mild": MILD, "heavy": STRONG_003}
NETWORKS = {"002": "002-baseline", "003": "003-base", "lite0": "lite0"}
TRANSFER = "lite0_imagenet"  # the third network with ImageNet's weights
MORE = 2  # seeds of a small network beyond those of a large one
AS_IT_IS = "as it is"
ANCHOR = "003-base"  # the network that every proposal changes in one place


# --- augmentation -----------------------------------------------------------------------------------------------------


def train_augmented(
    films: Films, plan: Plan, seeds: int, progress: Progress | None = None
) -> dict[str, list[Training]]:
    """Each network with each level of augmentation: by `<network>.<level>`.

    plan: the size of the films and the epochs, alike for all levels; the large network has half of the epochs
    seeds: of the large network; the small ones have `MORE` than that
    """
    plan = replace(plan, weights="none", backbone="")
    found = train_all(films, _levels("002") | _levels("003"), plan, seeds + MORE, progress)
    half = replace(plan, epochs=max(1, plan.epochs // 2))
    found |= train_all(films, _levels("lite0"), half, seeds, progress)
    return found | train_all(films, _levels("lite0", TRANSFER), replace(half, weights="imagenet"), seeds, progress)


def _levels(network: str, called: str = "") -> dict[str, Variant]:
    own = replace(VARIANTS[NETWORKS[network]], held_out=0.1)
    return {f"{called or network}.{level}": replace(own, augmentation=how) for level, how in LEVELS.items()}


def record_augmented(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Keep each as `augment.<network>.<level>`, the mean over its seeds, and each level minus none.

    The experiment `augment` holds each seed's AUROC and how many seeds say one thing of all films.
    """
    tables = {name: summaries.pooled(group, as_written=True) for name, group in trained.items()}
    for name, table in tables.items():
        add_few(results, f"augment.{name}", table, 0.5)
        network, _, level = name.rpartition(".")
        if level != "none":
            add_gap(results, f"augment.{name}_minus_none", table, tables[f"{network}.none"], "test", 0.5)
    results.experiment("augment", **_by_seed(trained, results.task.positive))


def _by_seed(trained: Mapping[str, Sequence[Training]], positive: str) -> dict[str, dict[str, object]]:
    task = binary(positive)
    return {
        name: {
            "auroc": [round(values(one.as_written(), task, 0.5)["auroc"], 4) for one in group],
            "collapsed": summaries.count_collapsed(group, positive),
            "seconds": round(float(np.mean([one.seconds for one in group])), 1),
        }
        for name, group in trained.items()
    }


# --- ways to divide the films -----------------------------------------------------------------------------------------


def train_divided(
    films: Films, plan: Plan, repeats: int, progress: Progress | None = None
) -> dict[str, list[Training]]:
    """The whole pretrained network on each way to divide all films, once a division; see `by_features.divided_anew`."""
    plan = replace(plan, weights="imagenet", backbone="", epochs=max(1, plan.epochs // 2))
    variant = VARIANTS["lite0"]
    found: dict[str, list[Training]] = {way: [] for way in WAYS}
    for number in range(repeats):
        for way in WAYS:
            own = divided(films, way, plan.seed + number)
            found[way] += train_all(own, {way: variant}, replace(plan, seed=plan.seed + number), 1, progress)[way]
    return found


def divided(films: Films, way: str, seed: int) -> Films:
    """All films with test films of one way, and a tenth of the training films for validation, drawn by the same."""
    films = films.undivided()
    train, test = divided_anew(films, way, seed)
    split = np.full(len(films.records), "", object)
    split[train], split[test] = "train", "test"
    held = np.random.default_rng(seed).permutation(_units(films, train, way))
    held = held[: max(1, len(held) // 10)]
    names = films.records.index if way == "film" else films.records["patient"]
    split[(split == "train") & np.isin(names, held)] = "validation"
    return replace(films, records=films.records.assign(split=split), divided=True)


def _units(films: Films, rows: np.ndarray, way: str) -> np.ndarray:
    """What is held out as a whole: films, or patients."""
    return rows if way == "film" else films.records["patient"].iloc[rows].unique()


def record_divided(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Keep each way as `trained_split.<way>`, its divisions together, and `.at_half`; `trained_split` has each of them.

    At the threshold that its own held-out films give, and at one half.
    """
    for way, group in trained.items():
        add_few(results, f"trained_split.{way}", summaries.pooled(group), "threshold")
        add_few(results, f"trained_split.{way}.at_half", summaries.pooled(group, as_written=True), 0.5)
    task = binary(results.task.positive)
    each = {way: [values(one.predictions(), task, "threshold") for one in group] for way, group in trained.items()}
    results.experiment(
        "trained_split",
        **{
            way: {name: [round(one[name], 4) for one in found] for name in ("accuracy", "auroc")}
            for way, found in each.items()
        },
    )


# --- what the write-ups propose next ----------------------------------------------------------------------------------


def proposals(plan: Plan) -> dict[str, dict[str, tuple[Variant, Plan]]]:
    """What to try next, by the proposal and the setting: the network of write-up 003, changed in one place."""
    base = replace(VARIANTS[ANCHOR], held_out=0.1)
    epochs, size = plan.epochs or base.settings.epochs, plan.image_size or base.design.size

    def rate(value: float) -> Variant:
        return replace(base, settings=replace(base.settings, learning_rate=value))

    def penalty(l1: float, l2: float) -> Variant:
        return replace(base, design=replace(base.design, l1=l1, l2=l2, penalised=(f"conv{len(base.design.widths)}",)))

    return {
        AS_IT_IS: {f"{epochs} epochs, rate 0.001, {size} pixels": (base, plan)},
        "more epochs": {f"{2 * epochs} epochs": (base, replace(plan, epochs=2 * epochs))},
        "learning rate": {f"rate {value:g}": (rate(value), plan) for value in (3e-4, 3e-3)},
        "image size": {
            f"{round(size * by)} pixels": (base, replace(plan, image_size=round(size * by))) for by in (0.75, 1.5)
        },
        "L2": {f"L2 of {value:g}": (penalty(0, value), plan) for value in (1e-3, 1e-2)},
        "L1": {f"L1 of {value:g}": (penalty(value, 0), plan) for value in (1e-4, 1e-3)},
    }


def train_proposed(
    films: Films, plan: Plan, seeds: int, progress: Progress | None = None
) -> dict[tuple[str, str], list[Training]]:
    """Every setting of every proposal, by both names."""
    plan = replace(plan, weights="none", backbone="")
    found = {}
    for proposal, settings in proposals(plan).items():
        for setting, (variant, own) in settings.items():
            found[proposal, setting] = train_all(films, {"one": variant}, own, seeds, progress)["one"]
    return found


def record_proposed(results: Results, trained: Mapping[tuple[str, str], Sequence[Training]]) -> None:
    """Keep each setting as `proposed.<number>`, and minus the network as it is; `proposed` names the numbers."""
    tables = {names: summaries.pooled(group, as_written=True) for names, group in trained.items()}
    first = next(iter(tables))
    rows = []
    for number, (names, table) in enumerate(tables.items()):
        add_few(results, f"proposed.{number}", table, 0.5)
        if names != first:
            add_gap(results, f"proposed.{number}_minus_first", table, tables[first], "test", 0.5)
        seconds = round(float(np.mean([one.seconds for one in trained[names]])), 1)
        rows.append({"proposal": names[0], "setting": names[1], "seconds": seconds})
    results.experiment("proposed", rows=rows)


# --- what tells beforehand how a network will do ----------------------------------------------------------------------


def record_proxies(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Rank correlation over all trainings between what held-out training films say and AUROC on the test films.

    The experiment `proxies`: `correlation` by proxy (Spearman's), and each training's numbers.
    """
    rows = pd.DataFrame([measured(one) for group in trained.values() for one in group])
    names = [name for name in rows if name != "test"]
    correlation = rows[names].corrwith(rows["test"], method="spearman")
    results.experiment(
        "proxies",
        trainings=len(rows),
        correlation={name: round(float(correlation[name]), 3) for name in names},
        of=[name for name, group in trained.items() for _ in group],
        **{name: rows[name].round(4).tolist() for name in rows},
    )


def measured(training: Training) -> dict[str, float]:
    """AUROC of one training on its validation films, as they are and under each of `STRESSES`, and on its test films.

    `log_loss` is that of the validation films with its sign turned, so that more is better for every number.
    """
    films, network = training.films, training.network()
    positive, task = films.positive, binary(films.positive)
    rows = films.rows("validation")
    x, own = films.pixels(network.design.size)[rows], training.as_written("validation")
    scores = values(own, task, 0.5)
    found = {"validation": scores["auroc"], "log_loss": -scores["log_loss"]}
    for name, change in STRESSES.items():
        with torch.inference_mode():
            logits = torch.cat([network(part) for part in change(x).split(64)]).squeeze(1)
        table = own.assign(**{f"prob_{films.two[0]}": 1 - (share := probabilities(logits)[:, -1])})
        found[name] = values(table.assign(**{f"prob_{positive}": share}), task, 0.5)["auroc"]
    stressed = [found[name] for name in STRESSES]
    return found | {
        "all_stresses": float(np.mean(stressed)),
        "test": values(training.as_written(), task, 0.5)["auroc"],
    }


def paler(x: Tensor) -> Tensor:
    """uint8 films (films, height, width) with half of their contrast."""
    return (x.float() / 2 + 64).round().byte()


def coarser(x: Tensor) -> Tensor:
    """Films of half as many pixels a side, brought back to their size."""
    side = x.shape[-1]
    small = nn.functional.interpolate(x[:, None].float(), size=side // 2, mode="area")
    return nn.functional.interpolate(small, size=side, mode="bilinear")[:, 0].round().byte()


def compressed(x: Tensor, quality: int = 15) -> Tensor:
    """Films once written as JPEG of a low quality."""
    found = []
    for film in x.numpy():
        file = io.BytesIO()
        Image.fromarray(film).save(file, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(found))


STRESSES = {"contrast": paler, "size": coarser, "compression": compressed}
