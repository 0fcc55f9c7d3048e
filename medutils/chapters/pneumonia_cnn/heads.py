"""The write-ups' dense heads on a frozen network, by what its weights know and what numbers it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from medutils.chapters.pneumonia_cnn.experiments import add_each, add_gap, by_seed, raw_pixels
from medutils.chapters.pneumonia_cnn.variants import VARIANTS
from medutils.data.films import Films
from medutils.evidence import Results
from medutils.training.kept import Plan, Training, Variant, train_all
from medutils.training.loop import Progress

HEADS = {"002": "002-xception", "003": "003-inception"}
PENALISED = {"003_l1": "003-inception-l1", "003_l2": "003-inception-l2", "003_l1_l2": "003-inception-l1-l2"}
WEIGHTS = ("imagenet", "phantom", "none")
RAW = "raw"  # ImageNet's weights, and numbers that they do not know


def train(films: Films, plan: Plan, seeds: int, progress: Progress | None = None) -> dict[str, list[Training]]:
    """Each head with each kind of weights and, with ImageNet's, on the numbers as its write-up gives them.

    By `<write-up>.<kind of weights>` and `<write-up>.raw`; write-up 003's with each penalty too, with ImageNet's.
    `plan` names the network and the size of the films.
    """
    found: dict[str, list[Training]] = {}
    for weights in WEIGHTS:
        given = {f"{name}.{weights}": VARIANTS[head] for name, head in HEADS.items()}
        if weights == "imagenet":
            given |= {f"{name}.{RAW}": as_given(name) for name in HEADS}
            given |= {f"{name}.{weights}": VARIANTS[head] for name, head in PENALISED.items()}
        found |= train_all(films, given, replace(plan, weights=weights), seeds, progress)
    return found


def as_given(write_up: str) -> Variant:
    """A write-up's head on a network that gets 0 to 255, as in 002, or 0 to 1, as in the notebook behind 003."""
    variant = VARIANTS[HEADS[write_up]]
    if write_up == "002":
        return raw_pixels(variant)
    return replace(variant, design=replace(variant.design, mean=(0.0,) * 3, deviation=(1.0,) * 3))


def record(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Keep each as `head.<name>`, at one half, the mean over its seeds, and ImageNet's weights minus each other kind.

    The experiment `heads` holds each seed's first loss and AUROC, and how many of them say one thing of all films.
    """
    tables = add_each(results, "head", trained)
    for name, table in tables.items():
        write_up, _, kind = name.partition(".")
        if kind != "imagenet":
            right = tables[f"{write_up}.imagenet"]
            add_gap(results, f"head.{write_up}.imagenet_minus_{kind}", right, table, "test", 0.5)
        elif write_up in PENALISED:
            add_gap(results, f"head.{write_up}_minus_003", table, tables["003.imagenet"], "test", 0.5)
    results.experiment("heads", **by_seed(trained, results.task.positive))
