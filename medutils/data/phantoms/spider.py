"""Phantom of SPIDER's mid-sagittal slices: drawn patients, and gradings that follow what was drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from medutils.data.dicom import apply_window
from medutils.data.manifest import mark_phantom
from medutils.data.phantoms.lumbar import Study, draw_studies, narrowing_shown, render
from medutils.data.phantoms.lumbar_anatomy import GRADED, Plane
from medutils.data.spider import COLUMNS, GRADINGS, IMAGES, OVERVIEW, SUFFIX

DRAWN = {"t1": ("T1", "Sagittal T1"), "t2": ("T2", "Sagittal T2/STIR")}
LOWEST, DISCS = GRADED.stop - 1, 7  # place of the lowest disc in a patient's arrays, and how many are graded
NARROWED, BULGING, WORN_PLATE, SEVERE = 0.55, 1.1, 0.62, 2
MM = 0.95


def make_spider(folder: Path, *, patients: int = 24, seed: int = 0) -> None:
    """Write a T1 and a T2 slice of 256 x 320 pixels for each phantom patient, and the two tables."""
    (folder / IMAGES).mkdir()
    overview, gradings = [], []
    for study in draw_studies(patients, seed + 2):
        name = study.number + 1
        for kind in DRAWN:
            _draw(study, kind).save(folder / IMAGES / f"{name}_{kind}{SUFFIX}", quality=90)
            sex, strength = "FM"[study.number % 2], (1.5, 3.0)[study.number // 2 % 2]
            overview.append((f"{name}_{kind}", DISCS, DISCS, sex, strength, "medutils phantom"))
        gradings += [(name, disc, *_gradings(study, disc)) for disc in range(1, DISCS + 1)]
    head = ["new_file_name", "num_vertebrae", "num_discs", "sex", "MagneticFieldStrength", "Manufacturer"]
    pd.DataFrame(overview, columns=head).to_csv(folder / OVERVIEW, index=False)
    pd.DataFrame(gradings, columns=[*COLUMNS]).to_csv(folder / GRADINGS, index=False)
    mark_phantom(folder, name="spider_midsagittal", patients=patients, seed=seed)


def _draw(study: Study, kind: str) -> Image.Image:
    y, z = np.meshgrid((np.arange(256) - 148) * MM, (190 - np.arange(320)) * MM)
    plane = Plane(study.patient, y.astype(np.float32), z.astype(np.float32))
    weighting, description = DRAWN[kind]
    rng = np.random.default_rng([study.seed, 5, study.number, [*DRAWN].index(kind)])
    signal = render(plane, np.asarray(0, dtype=np.float32), weighting, narrowing_shown(study, description), MM, rng)
    return Image.fromarray(apply_window(signal, 0.0, 1.15 * float(np.percentile(signal, 99.5))))


def _gradings(study: Study, disc: int) -> tuple[int, ...]:
    """What a radiologist would grade on one disc, counted from below, in the order of the table."""
    place = LOWEST + 1 - disc
    patient = study.patient
    worn, marrow = float(patient.degeneration[place]), float(patient.modic[place])
    canal = study.grades[0, place - GRADED.start] if place >= GRADED.start else 0
    plate = int(worn > WORN_PLATE)
    modic = 0 if marrow == 0 else 2 if marrow > 0 else 1
    pfirrmann = 1 + min(int(worn * 5), 4)
    return (
        modic,
        plate,
        plate,
        0,
        int(canal == SEVERE),
        int(worn > NARROWED),
        int(patient.bulge[place] > BULGING),
        pfirrmann,
    )
