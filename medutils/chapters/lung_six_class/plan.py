"""What this chapter trains: the write-up's two stages, and beside them one course for each thing that is changed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medutils.chapters import known_names
from medutils.chapters.lung_six_class import sets
from medutils.chapters.lung_six_class.parameters import LungSixClass
from medutils.data.films import Films, open_films, says_normal
from medutils.data.images import build_array
from medutils.errors import InputError
from medutils.models.cnn import FilmClassifier
from medutils.models.transfer import check_backbone, make_classifier
from medutils.models.weights import content, weights_manifest, weights_names, weights_of
from medutils.training.courses import Course
from medutils.training.stages import Phase, Stage

WRITTEN = ("Bacterial Pneumonia", "COVID-19", "Normal", "Other Findings", "TB", "Viral Pneumonia")  # its classes
DEFAULT = 3e-3  # the highest rate of fastai 1's `fit_one_cycle` where none is given
HELD_OUT = 0.2  # share of the films outside of test that validate


@dataclass(frozen=True, eq=False)
class Setup:
    """The films and the sizes of this run.

    films: with their fixed split into train, validation and test
    children: the children's films of chapter 2, where they are at hand and the films are the six-class set
    small, large: pixels a side of the two stages
    frozen, unfrozen: epochs of each stage with the body frozen, then unfrozen
    rate, low: the highest learning rate of the last layers while frozen, and of the first layers once unfrozen
    """

    films: Films
    small: int
    large: int
    frozen: int
    unfrozen: int
    network: str
    pretrained: bool
    batch_size: int
    seed: int
    rate: float = 1e-3
    low: float = 5e-5
    children: Films | None = None

    @property
    def records(self) -> pd.DataFrame:
        return self.films.records

    def stage(self, size: int, phases: tuple[Phase, ...], **changes: Any) -> Stage:
        """A stage of the run's network."""
        plain = Stage(size, phases, self.network, self.pretrained, batch_size=self.batch_size)
        return replace(plain, **changes)

    def as_written(self, size: int, factor: float = 1.0, **changes: Any) -> Stage:
        """The write-up's stage at a size: frozen, then unfrozen with a half (64 px) or a quarter of the rate (128)."""
        part = 2 if size == self.small else 4
        frozen = Phase(self.frozen, True, self.rate * factor)
        unfrozen = Phase(self.unfrozen, False, self.rate / part * factor, self.low * factor)
        return self.stage(size, (frozen, unfrozen), **changes)

    def course(self, stage: Stage, records: pd.DataFrame | None = None, after: str = "") -> Course:
        """A stage on the films, or on records of them with another split or other labels."""
        records = self.records if records is None else records
        classes = self.films.classes
        more = sorted(set(records["label"]) - set(classes))
        own = records["path"].equals(self.records["path"])
        x = self.films.pixels(stage.size) if own else pixels(records, stage.size)
        return Course(stage, records, (*classes, *more), x, after)

    @cached_property
    def more_children(self) -> pd.DataFrame:
        """The children's films that the six-class set lacks."""
        assert self.children is not None
        return sets.children(self.children, self.records)


def opened(p: LungSixClass) -> Setup:
    """The films that a run's parameters name, with a split into train, validation and test, and its sizes.

    Raises `InputError` for what `check` refuses, and for films that cannot be used; see `open_films`.
    """
    check(p)
    films = open_films(p.data, None, p.patient_pattern, p.seed, dataset="lung_six_class", split=p.split)
    films = films.hold_out("patient", HELD_OUT, p.seed)
    return Setup(
        films,
        p.small,
        p.large,
        p.frozen,
        p.unfrozen,
        p.network,
        p.weights == "imagenet",
        p.batch_size,
        p.seed,
        p.rate,
        p.low,
        _children(films, p.data),
    )


def _children(films: Films, data: str) -> Films | None:
    """The children's set of chapter 2: real where the films are the real six-class set and both are at hand."""
    if data != "auto" or films.located.kind != "real":
        return None
    try:
        found = open_films("auto", dataset="kermany_chest_xray")
    except InputError:
        return None
    return found if found.located.kind == "real" else None


def at_hand(setup: Setup) -> float:
    """How many films there are with the pneumonia films of the children's training folder; NaN without that."""
    if setup.children is None:
        return float("nan")
    more = setup.more_children
    return float(len(setup.records) + more["label"].ne("Normal").sum())


def untrained(network: FilmClassifier) -> FilmClassifier:
    """The same network with ImageNet's weights in its body, where a package holds them, else with fresh ones."""
    return make_classifier(network.design, network.logits, pretrained=weights_of(network.design.backbone) is not None)


def pixels(records: pd.DataFrame, size: int) -> Tensor:
    """The same as `Films.pixels` for records that are not those of one `Films`."""
    array = build_array([Path(path) for path in records["path"]], size, aspect="squash", strict=True)
    return torch.from_numpy(np.load(array.file, mmap_mode="c", allow_pickle=False))


Made = Mapping[str, Course]


def base(setup: Setup) -> Made:
    """Progressive resizing as written, but for its split, which stays: the small stage, then the large one."""
    return {
        "small": setup.course(setup.as_written(setup.small)),
        "large": setup.course(setup.as_written(setup.large), after="small"),
    }


def _normalise(setup: Setup) -> Made:
    return {"not_normalised": setup.course(setup.as_written(setup.small, normalise=False))}


def _augmentation(setup: Setup) -> Made:
    stage = setup.as_written
    return {f"{how}_augmentation": setup.course(stage(setup.small, augmentation=how)) for how in ("default", "heavy")}


def _redrawn(setup: Setup) -> Made:
    records = sets.redrawn(setup.records, setup.seed + 1)
    return {"redrawn": setup.course(setup.as_written(setup.large), records, after="small")}


def _copies(setup: Setup) -> Made:
    label = sets.rarest(setup.records)
    records, x = sets.with_copies(setup.records, setup.films.pixels(setup.small), label, setup.seed)
    first = setup.course(setup.as_written(setup.small))
    mixed = sets.by_file(records, setup.seed)
    return {"copies_before_split": replace(first, records=mixed, x=x)}


def _decoy(setup: Setup) -> Made:
    counts = setup.records["label"].value_counts().sort_index()
    labels = counts.nsmallest(2, keep="first").index.tolist()
    records = sets.with_decoy(setup.records, labels, setup.seed)
    return {"decoy": setup.course(setup.as_written(setup.small), records)}


def _rates(setup: Setup) -> Made:
    """Rates ten times as high; and frozen or unfrozen, with low or high rates, after the same four frozen epochs."""
    first = setup.stage(setup.small, (Phase(4, True, DEFAULT, DEFAULT),))
    ends = {"low": (1e-4, 1e-5), "high": (1e-2, 1e-2)}
    after = {
        f"{state}_{rate}": setup.stage(setup.small, (Phase(2, state == "frozen", *ends[rate]),))
        for state in ("frozen", "unfrozen")
        for rate in ends
    }
    return {
        "rates_times_ten": setup.course(setup.as_written(setup.small, factor=10)),
        "four_frozen": setup.course(first),
        **{name: setup.course(stage, after="four_frozen") for name, stage in after.items()},
    }


def _sources(setup: Setup) -> Made:
    """Without the healthy films of one source, where the class has others and the source has other classes."""
    healthy = healthy_class(setup.films.classes)
    stage = setup.as_written(setup.small)
    return {
        f"without_{key_of(source)}": setup.course(stage, sets.without(setup.records, source, healthy))
        for source in sets.shared_sources(setup.records, healthy)
    }


def _unseen(setup: Setup) -> Made:
    """Without any film of one source, for each that has healthy films and others, while others have healthy films."""
    stage = setup.as_written(setup.small)
    return {
        f"unseen_{key_of(source)}": setup.course(stage, sets.without(setup.records, source))
        for source in sets.shared_sources(setup.records, healthy_class(setup.films.classes))
    }


def _films(setup: Setup) -> Made:
    largest = setup.records[setup.records["split"] == "train"]["label"].value_counts().max()
    return {
        f"films_{number}": setup.course(setup.as_written(setup.small), sets.fewer(setup.records, number, setup.seed))
        for number in (25, 50, 100, 200)
        if number < largest
    }


def _large(setup: Setup) -> Made:
    """The large size alone: as many epochs, and as many as take about the time of both stages.

    An epoch costs in proportion to the area of a film.
    """
    area = (setup.small / setup.large) ** 2

    def alone(factor: float) -> Stage:
        epochs = [max(1, round(number * factor)) for number in (setup.frozen, setup.unfrozen)]
        phases = (Phase(epochs[0], True, setup.rate), Phase(epochs[1], False, setup.rate / 4, setup.low))
        return setup.stage(setup.large, phases)

    return {
        "large_alone_same_time": setup.course(alone(1 + area)),
        "large_alone_same_epochs": setup.course(alone(2)),
    }


def _milestones(setup: Setup) -> Made:
    """The write-up's table before its progressive resizing, at the small size in place of 224 pixels."""
    before = {"augmentation": "default"}
    frozen = Phase(4, True, DEFAULT, DEFAULT)
    subset = setup.stage(setup.small, (frozen, Phase(3, False, 1e-4, 1e-5)), **before)
    found = {"subset": replace(setup.course(subset), once=True)}
    if setup.children is not None:
        records = sets.everything(setup.records, setup.more_children)
        x = pixels(records, setup.small)
        whole = setup.course(setup.stage(setup.small, (frozen, Phase(2, False, 1e-4, 1e-5)), **before), records)
        phases = (frozen, Phase(3, True, 1e-2, 1e-4), Phase(2, False, 1e-2, 1e-2))
        copied, with_copies = sets.with_copies(records, x, sets.rarest(setup.records), setup.seed)
        kept = copied["split"].eq("train") | copied["copy_of"].eq("")  # copies of training films alone
        copied = copied.assign(split=copied["split"].where(kept, ""))
        more = replace(whole, stage=setup.stage(setup.small, phases, **before), records=copied, x=with_copies)
        normals = sets.children_normals(setup.records, setup.more_children, setup.seed)
        found |= {"everything": replace(whole, once=True), "everything_and_copies": replace(more, once=True)}
        found |= {"childrens_normals": setup.course(setup.as_written(setup.small), normals)}
    return found


def _resnet(setup: Setup) -> Made:
    """The write-up's ResNet-34, without ImageNet's weights, which no package holds."""
    own: dict[str, Any] = {"network": "resnet34", "pretrained": False}
    return {
        "resnet34_small": replace(setup.course(setup.as_written(setup.small, **own)), once=True),
        "resnet34_large": replace(
            setup.course(setup.as_written(setup.large, **own), after="resnet34_small"), once=True
        ),
    }


COMPARISONS: dict[str, Callable[[Setup], Made]] = {
    "redrawn": _redrawn,
    "sources": _sources,
    "unseen": _unseen,
    "augmentation": _augmentation,
    "normalise": _normalise,
    "rates": _rates,
    "films": _films,
    "decoy": _decoy,
    "copies": _copies,
    "milestones": _milestones,
    "large": _large,
    "resnet": _resnet,
}


def chosen(names: str) -> list[str]:
    """The comparisons named, with commas between; `InputError` for one that is not known."""
    return list(dict.fromkeys(known_names("comparisons", names, COMPARISONS)))


def check(p: LungSixClass) -> None:
    """Raise `InputError` when a comparison or the network is not known, or its ImageNet weights are in no package."""
    chosen(p.comparisons)
    check_backbone(p.network)
    if p.weights == "imagenet":
        weights = weights_of(p.network)
        if weights is None:
            having = ", ".join(weights_manifest(name).network for name in weights_names())
            raise InputError(
                f"network: found '{p.network}', whose ImageNet weights no package holds; expected one of {having}, or "
                "weights=none"
            )
        content(weights)


def courses(setup: Setup, comparisons: list[str]) -> dict[str, Course]:
    """The two stages, and all that the comparisons ask for, by name."""
    found = dict(base(setup))
    for name in comparisons:
        found |= COMPARISONS[name](setup)
    return found


def key_of(source: str) -> str:
    """A source's name as a part of a result's name."""
    return re.sub(r"[^\w.-]+", "_", source)


def healthy_class(classes: tuple[str, ...]) -> str:
    """The class that is named as one of nothing found; empty where none, or more than one, is."""
    named = [name for name in classes if says_normal(name)]
    return named[0] if len(named) == 1 else ""
