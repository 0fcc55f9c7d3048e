"""Lumbar phantoms: studies with graded stenoses, written to disk as RSNA 2024 and SPIDER are.

A grade is seen only in the kind of series it is given on: the canal in sagittal T2 or STIR, the foramina in sagittal
T1, the lateral recesses in axial T2. Worn discs are seen in all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from medutils.data.dicom import apply_window
from medutils.data.lumbar import CONDITIONS, GRADES, LEVELS, SERIES, SERIES_OF_CONDITION, TARGETS
from medutils.data.manifest import mark_phantom
from medutils.data.phantoms.lumbar_anatomy import GRADED, Patient, Plane, bend, draw_patient
from medutils.data.phantoms.lumbar_signal import render

if TYPE_CHECKING:
    from pydicom import Dataset

NOTE = "PHANTOM: drawn by a program, no patient. Not for clinical use."

# Share of Moderate and of Severe at L1/L2 to L5/S1 (RSNA 2024 training table, left and right taken together).
PREVALENCE = {
    "canal": ([0.034, 0.076, 0.117, 0.120, 0.026], [0.011, 0.027, 0.062, 0.129, 0.010]),
    "foraminal": ([0.032, 0.086, 0.209, 0.320, 0.258], [0.004, 0.005, 0.021, 0.069, 0.100]),
    "subarticular": ([0.056, 0.131, 0.230, 0.316, 0.204], [0.014, 0.041, 0.099, 0.234, 0.082]),
}
KIND = ("canal", "foraminal", "foraminal", "subarticular", "subarticular")
KIND_OF = dict(zip(CONDITIONS, KIND, strict=True))
# Share of studies without a grade: the axial series often starts below L1/L2, so both of its sides lack it.
UNGRADED = {"canal": [0.0005] * 5, "foraminal": [0.0025] * 5, "subarticular": [0.083, 0.042, 0.002, 0.002, 0.005]}
# Variance of a target's score that it shares with the whole study, its level, and its condition at other levels.
SHARED = {"study": 0.30, "level": 0.18, "condition": 0.17}
NARROWING = np.array([0.0, 0.4, 0.8])  # least narrowing of each grade; the spread above it is SPREAD
SPREAD = 0.2
LEVEL_WEAR = np.array([-0.5, -0.3, 0.0, 0.4, 0.3])

SAGITTAL_X = np.arange(24.0, -25.0, -4.0)  # mm, from left to right
AXIAL_OFFSETS = (-4.0, 0.0, 4.0)  # mm from the middle of each graded disc
SAGITTAL_FOV, AXIAL_FOV = 250.0, 175.0  # mm
MAX_STORED = 4095
MANY, PROCESSES = 32, 8  # studies that pay for the start of processes, and those at most

Description = tuple[int, int, str]  # a row of the table of series
Coordinate = tuple[int, int, int, str, str, float, float]  # a row of the table of coordinates


@dataclass(frozen=True)
class Study:
    """One examination: a patient, a grade for each condition and level (-1 where nobody graded it), and its seed."""

    number: int
    study_id: int
    series_ids: tuple[int, ...]
    patient: Patient
    grades: np.ndarray
    spread: np.ndarray  # 0 to 1, by condition and level: where within its grade a narrowing lies
    ungraded: np.ndarray  # True where the table has an empty cell
    seed: int


class Slab(NamedTuple):
    """A slice to be cut: its points, and its place in the patient as DICOM tells it (mm, unit vectors)."""

    number: int
    plane: Plane
    x: np.ndarray
    corner: np.ndarray
    along_row: np.ndarray
    along_column: np.ndarray
    mm: float


def make_rsna(folder: Path, *, studies: int = 24, seed: int = 0, size: int = 192) -> None:
    """Write phantom studies in the layout of RSNA 2024: three tables, and DICOM files of `size` x `size` pixels.

    Every study has a sagittal T1, a sagittal T2 or STIR and an axial T2 series; in every sixth the axial series comes
    in two. File names follow the slices' places in one series of three only, and every eighth study is MONOCHROME1.
    """
    drawn = draw_studies(studies, seed)
    written = list(_written(folder, drawn, size))
    descriptions = [row for rows, _ in written for row in rows]
    coordinates = [row for _, rows in written for row in rows]
    labels = [np.where(study.ungraded, "", np.array(GRADES)[study.grades]).ravel() for study in drawn]
    table = pd.DataFrame(labels, columns=list(TARGETS))
    table.insert(0, "study_id", [study.study_id for study in drawn])
    table.to_csv(folder / "train.csv", index=False)
    head = ["study_id", "series_id", "series_description"]
    pd.DataFrame(descriptions, columns=head).to_csv(folder / "train_series_descriptions.csv", index=False)
    head = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    pd.DataFrame(coordinates, columns=head).to_csv(folder / "train_label_coordinates.csv", index=False)
    mark_phantom(folder, name="rsna_lumbar", studies=studies, seed=seed, size=size)


def make_slices(folder: Path, *, patients: int = 12, seed: int = 0) -> None:
    """Write five mid-sagittal T2 slices of 256 x 320 pixels for each phantom patient, as `<patient>/*.png`."""
    from PIL import Image

    mm = 0.95
    for study in draw_studies(patients, seed + 1):
        name = str(study.number + 1)
        (folder / name).mkdir()
        y, z = np.meshgrid((np.arange(256) - 148) * mm, (190 - np.arange(320)) * mm)
        plane = Plane(study.patient, y.astype(np.float32), z.astype(np.float32))
        for number, x in enumerate((1.8, 0.9, 0.0, -0.9, -1.8)):
            rng = np.random.default_rng([study.seed, 4, study.number, number])
            signal = render(
                plane, np.asarray(x, dtype=np.float32), "T2", narrowing_shown(study, "Sagittal T2/STIR"), mm, rng
            )
            image = Image.fromarray(apply_window(signal, 0.0, 1.15 * float(np.percentile(signal, 99.5))))
            image.save(folder / name / f"{name}_t2_SPACE_slice{58 + number}.png")
    mark_phantom(folder, name="spider_lumbar", patients=patients, seed=seed)


def draw_studies(studies: int, seed: int) -> list[Study]:
    """Draw patients and their grades, with the real table's prevalence and about its correlation within a study.

    Scores of the studies are spread evenly over a normal distribution, so that few studies already hold all grades.
    """
    rng = np.random.default_rng([seed, 0])
    normal = NormalDist()
    overall = [normal.inv_cdf((rank + 0.5) / studies) for rank in rng.permutation(studies)]
    ids = np.sort(rng.choice(4_000_000_000, size=studies, replace=False)) + 4_000_000
    return [_draw_study(number, int(ids[number]), overall[number], seed) for number in range(studies)]


def _draw_study(number: int, study_id: int, overall: float, seed: int) -> Study:
    rng = np.random.default_rng([seed, 1, number])
    by_level = np.sqrt(SHARED["study"]) * overall + np.sqrt(SHARED["level"]) * rng.standard_normal(len(LEVELS))
    by_kind = dict(zip(PREVALENCE, np.sqrt(SHARED["condition"]) * rng.standard_normal(len(PREVALENCE)), strict=True))
    own = np.sqrt(1 - sum(SHARED.values())) * rng.standard_normal((len(CONDITIONS), len(LEVELS)))
    score = by_level + np.array([[by_kind[kind]] for kind in KIND]) + own
    share = np.vectorize(NormalDist().cdf)(score)
    moderate, severe = (np.array([PREVALENCE[kind][grade] for kind in KIND]) for grade in (0, 1))
    lost = {kind: rng.random(len(LEVELS)) < UNGRADED[kind] for kind in UNGRADED}
    wear = by_level / np.sqrt(SHARED["study"] + SHARED["level"]) + LEVEL_WEAR
    return Study(
        number=number,
        study_id=study_id,
        series_ids=tuple(int(one) for one in rng.choice(4_000_000_000, size=4, replace=False)),
        patient=draw_patient(rng, wear),
        grades=(share > 1 - severe).astype(int) + (share > 1 - severe - moderate),
        spread=rng.random((len(CONDITIONS), len(LEVELS)), dtype=np.float32),
        ungraded=np.array([lost[kind] for kind in KIND]),
        seed=seed,
    )


def narrowing_shown(study: Study, description: str) -> np.ndarray:
    """Narrowing, 0 to 1, by condition and level, of the conditions that this kind of series shows; 0 for all others."""
    shown = [[SERIES_OF_CONDITION[condition] == description] for condition in CONDITIONS]
    return np.where(shown, NARROWING[study.grades] + SPREAD * study.spread, 0).astype(np.float32)


def draw_slice(study: Study, description: str, slab: Slab) -> np.ndarray:
    """Signal (H, W) of one slice of a study's series."""
    weighting = description.split(" ")[1]
    if weighting == "T2/STIR":
        weighting = "STIR" if study.patient.stir else "T2"
    rng = np.random.default_rng([study.seed, 2, study.number, SERIES.index(description), slab.number])
    return render(slab.plane, slab.x, weighting, narrowing_shown(study, description), slab.mm, rng)


def sagittal_slabs(patient: Patient, size: int) -> list[Slab]:
    """Slices from the patient's left to the right."""
    mm = SAGITTAL_FOV / size
    y, z = np.meshgrid((np.arange(size) - 0.62 * size) * mm, (0.60 * size - np.arange(size)) * mm)
    plane = Plane(patient, y.astype(np.float32), z.astype(np.float32))
    down, back = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])
    return [
        Slab(number, plane, np.asarray(x, dtype=np.float32), np.array([x, y[0, 0], z[0, 0]]), back, down, mm)
        for number, x in enumerate(SAGITTAL_X)
    ]


def axial_slabs(patient: Patient, size: int) -> list[Slab]:
    """Slices along each graded disc, from above; stacks tilt from disc to disc."""
    mm = AXIAL_FOV / size
    x = ((np.arange(size) - (size - 1) / 2) * mm).astype(np.float32)[None, :]
    behind = (np.arange(size)[:, None] - 0.45 * size) * mm
    slabs = []
    for number, (s, offset) in enumerate(product(patient.s_disc[GRADED], AXIAL_OFFSETS)):
        y0, z0, angle = (float(np.interp(s, patient.curve[0], row)) for row in patient.curve[1:])
        back = np.array([0.0, np.cos(angle), np.sin(angle)])
        y = y0 + offset * np.sin(angle) + behind * back[1]
        z = z0 - offset * np.cos(angle) + behind * back[2]
        corner = np.array([float(x[0, 0]), y[0, 0], z[0, 0]])
        plane = Plane(patient, y.astype(np.float32), z.astype(np.float32))
        slabs.append(Slab(number, plane, x, corner, np.array([1.0, 0.0, 0.0]), back, mm))
    return slabs


def _written(folder: Path, studies: list[Study], size: int) -> Iterable[tuple[list[Description], list[Coordinate]]]:
    """Write the studies, those of a large set in processes of their own; the rows of their tables, study by study."""
    from joblib import Parallel, cpu_count, delayed

    processes = 1 if len(studies) < MANY else min(cpu_count(), PROCESSES)
    tasks = (delayed(_write_study)(folder, study, size) for study in studies)
    return Parallel(n_jobs=processes, return_as="generator")(tasks)


def _write_study(folder: Path, study: Study, size: int) -> tuple[list[Description], list[Coordinate]]:
    """Write the DICOM files of a study; its rows of the tables of series and of coordinates."""
    descriptions, coordinates = [], []
    for number, (series_id, description, slabs) in enumerate(_series(study, size)):
        descriptions.append((study.study_id, series_id, description))
        names = _names(study, number, len(slabs))
        place = folder / "train_images" / str(study.study_id) / str(series_id)
        place.mkdir(parents=True)
        _write_series(place, study, series_id, description, slabs, names)
        coordinates += _coordinates(study, series_id, description, slabs, names)
    return descriptions, coordinates


def _series(study: Study, size: int) -> list[tuple[int, str, list[Slab]]]:
    """Series number, description and slices of each series of a study."""
    sagittal, axial = sagittal_slabs(study.patient, size), axial_slabs(study.patient, size)
    cuts = (0, 6, len(axial)) if study.number % 6 == 5 else (0, len(axial))
    parts = [(SERIES[0], sagittal), (SERIES[1], sagittal)]
    parts += [(SERIES[2], axial[start:end]) for start, end in pairwise(cuts)]
    return [(study.series_ids[number], *part) for number, part in enumerate(parts)]


def _names(study: Study, series: int, slices: int) -> list[int]:
    """Instance numbers, which name the files: by place, against it, or in no order, as scanners do."""
    order = np.arange(1, slices + 1)
    if (study.number + series) % 3 == 1:
        order = order[::-1]
    elif (study.number + series) % 3 == 2:
        order = np.random.default_rng([study.seed, 3, study.number, series]).permutation(order)
    return [int(number) for number in order]


def _write_series(
    folder: Path, study: Study, series_id: int, description: str, slabs: list[Slab], names: list[int]
) -> None:
    from pydicom.uid import generate_uid

    header = _header(study, series_id, description)
    for slab, name in zip(slabs, names, strict=True):
        signal = draw_slice(study, description, slab)
        header.SOPInstanceUID = generate_uid(entropy_srcs=[str(study.study_id), str(series_id), str(name)])
        header.InstanceNumber = name
        header.ImagePositionPatient = [round(float(value), 4) for value in slab.corner]
        header.ImageOrientationPatient = [round(float(value), 6) for value in (*slab.along_row, *slab.along_column)]
        header.PixelSpacing = [round(slab.mm, 6)] * 2
        _set_pixels(header, study, signal)
        header.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def _header(study: Study, series_id: int, description: str) -> "Dataset":
    """What all slices of a series have in common. Every file says of itself that it is a phantom."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = MRImageStorage
    header.Modality = "MR"
    header.Manufacturer = "medutils phantom"
    header.PatientName = f"PHANTOM^{study.number:04d}"
    header.PatientID = str(study.study_id)
    header.PatientComments = header.ImageComments = NOTE
    header.PatientPosition = "HFS"
    header.StudyInstanceUID = generate_uid(entropy_srcs=["study", str(study.study_id)])
    header.SeriesInstanceUID = generate_uid(entropy_srcs=["series", str(study.study_id), str(series_id)])
    header.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", str(study.study_id)])
    plane, weighting = description.split(" ")
    header.SeriesDescription = f"{weighting.split('/')[study.patient.stir and '/' in weighting]} {plane[:3].upper()}"
    header.SliceThickness = header.SpacingBetweenSlices = 4.0
    return header


def _set_pixels(header: "Dataset", study: Study, signal: np.ndarray) -> None:
    """Store signal as 16-bit pixels with rescale tags; every eighth study is MONOCHROME1, every fifth has no window."""
    slope, intercept = ((1.0, 0.0), (0.5, 0.0), (2.0, -40.0))[study.number % 3]
    gain, inverted = study.patient.gain, study.number % 8 == 3
    stored = np.clip(np.rint((signal * gain - intercept) / slope), 0, MAX_STORED).astype(np.uint16)
    centre = gain / 2
    if inverted:
        stored = MAX_STORED - stored
        centre = MAX_STORED * slope + 2 * intercept - centre
    header.set_pixel_data(stored, "MONOCHROME1" if inverted else "MONOCHROME2", 12, generate_instance_uid=False)
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    if study.number % 5 != 4:
        header.WindowCenter, header.WindowWidth = round(centre, 1), round(gain, 1)


def _coordinates(
    study: Study, series_id: int, description: str, slabs: list[Slab], names: list[int]
) -> list[Coordinate]:
    """Slice and pixel of every graded target that a series shows, spelt as in the real table."""
    rows = []
    for (row, condition), (column, level) in product(enumerate(CONDITIONS), enumerate(LEVELS)):
        if SERIES_OF_CONDITION[condition] != description or study.ungraded[row, column]:
            continue
        point = _where(study.patient, condition, column)
        away = [abs(float((point - slab.corner) @ np.cross(slab.along_row, slab.along_column))) for slab in slabs]
        if min(away) > 2.5:  # the level lies in the other axial series
            continue
        slab, name = slabs[int(np.argmin(away))], names[int(np.argmin(away))]
        x, y = ((point - slab.corner) @ along / slab.mm for along in (slab.along_row, slab.along_column))
        title = condition.replace("_", " ").title()
        at = (round(float(x), 4), round(float(y), 4))
        rows.append((study.study_id, series_id, name, title, level.replace("_", "/").upper(), *at))
    return rows


def _where(patient: Patient, condition: str, level: int) -> np.ndarray:
    """Middle of what a condition narrows at one of the five levels, (x, y, z) in mm: canal, foramen or recess."""
    disc = level + GRADED.start
    above, p, side = {"canal": (0, 7.5, 0), "foraminal": (6, 5, 17), "subarticular": (0, 4.5, 10)}[KIND_OF[condition]]
    s = patient.s_disc[disc] - above
    y, z, angle = (float(np.interp(s, patient.curve[0], row)) for row in patient.curve[1:])
    behind = p + float(np.interp(s, patient.s_body, patient.sizes["before"]))
    x = bend(patient, s) + (side if condition.startswith("left") else -side)
    return np.array([x, y + behind * np.cos(angle), z + behind * np.sin(angle)])
