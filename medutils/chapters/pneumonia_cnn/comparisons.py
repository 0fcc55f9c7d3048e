"""Trainings held against each other on one budget: augmentation, dividing the films, frozen or not, what is proposed.

Each side begins with its own weights and ends after the same epochs; several seeds each. No test film chooses anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from medutils.chapters.pneumonia_cnn.by_features import WAYS, divided_anew
from medutils.chapters.pneumonia_cnn.experiments import add_each, add_few, add_gap, by_seed
from medutils.chapters.pneumonia_cnn.heads import WEIGHTS
from medutils.chapters.pneumonia_cnn.variants import MILD, NONE, STRONG_003, VARIANTS
from medutils.data.films import Films
from medutils.evaluation import binary, values
from medutils.evidence import Results
from medutils.training import summaries
from medutils.training.kept import Plan, Training, Variant, train_all
from medutils.training.loop import Progress

LEVELS = {"none": NONE, "mild": MILD, "heavy": STRONG_003}
NETWORKS = {"002": "002-baseline", "003": "003-base", "lite0": "lite0"}
TRANSFER = "lite0_imagenet"  # the third network with ImageNet's weights
MORE = 2  # seeds of a small network beyond those of a large one
AS_IT_IS = "as it is"
ANCHOR = "003-base"  # the network that every proposal changes in one place


def halved(epochs: int) -> int:
    """The epochs of a large network, where the small ones have so many."""
    return max(1, epochs // 2)


# --- augmentation -----------------------------------------------------------------------------------------------------


def train_augmented(
    films: Films, plan: Plan, seeds: int, progress: Progress | None = None
) -> dict[str, list[Training]]:
    """Each network with each level of augmentation: by `<network>.<level>`.

    plan: the size of the films and the epochs, alike for all levels; the large network has half of the epochs
    seeds: of the large network; the small ones have `MORE` than that
    """
    found: dict[str, list[Training]] = {}
    for variants, own, more in by_level(plan):
        found |= train_all(films, variants, own, seeds + more, progress)
    return found


def by_level(plan: Plan) -> list[tuple[dict[str, Variant], Plan, int]]:
    """Networks at every level of augmentation, their own plan, and by how many seeds they have more."""
    plan = replace(plan, weights="none", backbone="")
    half = replace(plan, epochs=halved(plan.epochs))
    return [
        (_levels("002") | _levels("003"), plan, MORE),
        (_levels("lite0"), half, 0),
        (_levels("lite0", TRANSFER), replace(half, weights="imagenet"), 0),
    ]


def _levels(network: str, called: str = "") -> dict[str, Variant]:
    own = replace(VARIANTS[NETWORKS[network]], held_out=0.1)
    return {f"{called or network}.{level}": replace(own, augmentation=how) for level, how in LEVELS.items()}


def record_augmented(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Keep each as `augment.<network>.<level>`, the mean over its seeds, and each level minus none.

    The experiment `augment` holds each seed's AUROC and how many seeds say one thing of all films.
    """
    tables = add_each(results, "augment", trained)
    for name, table in tables.items():
        network, _, level = name.rpartition(".")
        if level != "none":
            add_gap(results, f"augment.{name}_minus_none", table, tables[f"{network}.none"], "test", 0.5)
    results.experiment("augment", **by_seed(trained, results.task.positive))


# --- ways to divide the films -----------------------------------------------------------------------------------------


def train_divided(
    films: Films, plan: Plan, repeats: int, progress: Progress | None = None
) -> dict[str, list[Training]]:
    """The whole pretrained network on each way to divide all films, once a division; see `by_features.divided_anew`."""
    plan = replace(plan, weights="imagenet", backbone="", epochs=halved(plan.epochs))
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


# --- how much of a network learns -------------------------------------------------------------------------------------


def bodies() -> dict[str, Variant]:
    """Lite0 behind a new layer: frozen, or trained whole at one rate, or with less of it for the body than the head."""
    whole = VARIANTS["lite0"]
    quick = replace(whole.settings, learning_rate=3 * whole.settings.learning_rate)
    return {
        "frozen": replace(whole, design=replace(whole.design, frozen=True), settings=quick),
        "alike": whole,
        "apart": replace(whole, settings=replace(quick, body_rate=0.1)),
    }


def train_bodies(films: Films, plan: Plan, seeds: int, progress: Progress | None = None) -> dict[str, list[Training]]:
    """Each of `bodies` with each kind of weights, on one budget: by `<kind of weights>.<how>`."""
    plan = replace(plan, backbone="", epochs=halved(plan.epochs))
    found: dict[str, list[Training]] = {}
    for weights in WEIGHTS:
        given = {f"{weights}.{how}": variant for how, variant in bodies().items()}
        found |= train_all(films, given, replace(plan, weights=weights), seeds, progress)
    return found


def record_bodies(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Keep each as `body.<weights>.<how>`, each other way minus frozen, and the last minus the second.

    The experiment `body` holds each seed's AUROC and how many seeds say one thing of all films.
    """
    tables = add_each(results, "body", trained)
    for weights in WEIGHTS:
        for first, second in (("alike", "frozen"), ("apart", "frozen"), ("apart", "alike")):
            one, other = (tables[f"{weights}.{how}"] for how in (first, second))
            add_gap(results, f"body.{weights}.{first}_minus_{second}", one, other, "test", 0.5)
    results.experiment("body", **by_seed(trained, results.task.positive))


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
