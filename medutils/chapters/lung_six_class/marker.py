"""An exact shortcut: phantom films of one hospital whose letter at the edge tells the class, and is then moved."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medutils.data.phantoms.chest_anatomy import Anatomy, draw_anatomy
from medutils.data.phantoms.chest_film import HOSPITALS, Hospital, expose, lung_mask
from medutils.training.courses import Course
from medutils.training.stages import Stage

Marker = Literal["own", "none", "moved"]

CLASSES = ("Bacterial Pneumonia", "Normal", "Viral Pneumonia")
# The same letter near three corners, so far inside that the hospital's unsteady hand leaves it on every film.
CORNERS = {"Bacterial Pneumonia": (0.04, 0.20), "Normal": (0.90, 0.20), "Viral Pneumonia": (0.04, 0.84)}
PARTS = {"train": 80, "validation": 20, "test": 60}  # films of each class, each of another patient
PLAIN = replace(HOSPITALS["kermany_walia"], marker="", gamma=2.6)


def site(label: str, marker: Marker) -> Hospital:
    """The one hospital, with the letter of a class, with none, or with that of the next class."""
    if marker == "none":
        return PLAIN
    shown = CLASSES[(CLASSES.index(label) + (marker == "moved")) % len(CLASSES)]
    return replace(PLAIN, marker="R", marker_at=CORNERS[shown], marker_rate=1.0)


def records(seed: int) -> pd.DataFrame:
    """A row a film: its class, its split, and the number that it is drawn from."""
    rows = [
        {"label": label, "split": split, "number": number}
        for split, count in PARTS.items()
        for number in range(count)
        for label in CLASSES
    ]
    table = pd.DataFrame(rows)
    name = [f"marker-{seed}-{place}" for place in range(len(table))]
    return table.assign(record_id=name, patient=name, source="one hospital", path="", drawn=np.arange(len(table)))


def films(table: pd.DataFrame, size: int, marker: Marker, seed: int) -> torch.Tensor:
    """uint8 (films, size, size): the same patients and findings whatever the marker."""
    drawn = [
        expose(_seed(seed, row.drawn), row.label, (size, size), _patient(seed, row.drawn), site(row.label, marker))
        for row in table.itertuples()
    ]
    return torch.from_numpy(np.stack(drawn))


def lungs(table: pd.DataFrame, size: int, seed: int) -> NDArray[np.bool_]:
    """(films, size, size): where each film shows lung."""
    return np.stack(
        [
            lung_mask(_seed(seed, row.drawn), row.label, (size, size), _patient(seed, row.drawn), PLAIN)
            for row in table.itertuples()
        ]
    )


def course(stage: Stage, marker: Marker, seed: int) -> Course:
    """A stage on films with the letter of their class, or with none."""
    table = records(seed)
    return Course(stage, table, CLASSES, films(table, stage.size, marker, seed))


def _seed(seed: int, number: int) -> int:
    return int(np.random.default_rng([seed, 811, number]).integers(2**62))


def _patient(seed: int, number: int) -> Anatomy:
    return draw_anatomy(_seed(seed, number), PLAIN.child)
