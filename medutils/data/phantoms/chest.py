"""The chest phantom's datasets: drawn films, written in the layout of the real ones.

What a film shows and how it is drawn is in `chest_film` (`film`), `chest_findings` and `chest_anatomy`.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medutils.data.manifest import mark_phantom
from medutils.errors import InputError

JPEG_QUALITY = 90
DUPLICATES = 0.005  # share of a folder's films that are a second copy of the one before
COLOUR = 0.05  # share of the pneumonia films that are stored as RGB, as in the Kaggle copy; the others are grey

# Films and patients in the real folders, as measured for this book: split -> series -> (films, patients).
KERMANY = {
    "test": {"normal": (234, 225), "bacteria": (242, 77), "virus": (148, 126)},
    "train": {"normal": (1341, 1211), "bacteria": (2530, 1353), "virus": (1345, 1090)},
}
KERMANY_FINDINGS = {"normal": "Normal", "bacteria": "Bacterial Pneumonia", "virus": "Viral Pneumonia"}
KINDS = {finding: kind for kind, finding in KERMANY_FINDINGS.items()}


class Cell(NamedTuple):
    """What one source gives to one class of the six-class set."""

    label: str
    source: str
    films: int
    patients: int
    first: int  # number of the first patient; a source's classes share patients where their numbers overlap


# Measured on the real set for this book.
SIX_CLASSES = (
    Cell("Bacterial Pneumonia", "kermany_walia", 616, 479, 1000),
    Cell("COVID-19", "hannover_covid", 243, 71, 2000),
    Cell("Normal", "kermany_walia", 250, 246, 3000),
    Cell("Normal", "nih1000_dinbe", 150, 97, 4000),
    Cell("Normal", "nih1024_talo", 53, 53, 5000),
    Cell("Normal", "xtbtorch", 160, 160, 6000),
    Cell("Other Findings", "nih1000_dinbe", 490, 132, 4060),
    Cell("TB", "xtbtorch", 304, 304, 7000),
    Cell("Viral Pneumonia", "kermany_walia", 616, 538, 8000),
)
OTHER_FINDINGS = {
    "Effusion": 0.40,
    "Nodule": 0.25,
    "Cardiomegaly": 0.20,
    "Cardiomegaly|Effusion": 0.10,
    "Effusion|Nodule": 0.05,
}


@dataclass(frozen=True)
class _Shot:
    """One film of the six-class set: its file, what it shows and of whom."""

    file: str
    finding: str
    patient: int  # seeds the anatomy
    seed: int  # seeds the rest
    label: str
    source: str
    name: str  # the patient as the source names them


def make_kermany(folder: Path, *, films: tuple[int, int] = (1100, 250), seed: int = 0, size: int = 152) -> None:
    """Write `{train,test}/{NORMAL,PNEUMONIA}/*.jpeg` as in the Kaggle copy of Kermany et al.'s children's films.

    Parameters
    ----------
    films: how many in train and in test; the shares of the kinds, and of films a patient, are the real set's
    size: typical width of a film in pixels; widths and shapes vary, and normal films are larger, as in the original

    No patient has films in both splits. A few films are there twice, within one split and class.
    """
    if min(films) < 10 or size < 32:
        raise InputError(f"films, size: found {films} and {size}; expected at least 10 films a split and 32 pixels")
    rng = np.random.default_rng([seed, 301])
    used = {"normal": 0, "bacteria": 0, "virus": 0}  # patients so far, so that numbers go on from test to train
    numbers = {"bacteria": 0, "virus": 0}  # films so far
    for split, total in zip(("test", "train"), films[::-1], strict=True):
        for kind, count in _shared(total, {kind: real[0] for kind, real in KERMANY[split].items()}).items():
            target = folder / split / ("NORMAL" if kind == "normal" else "PNEUMONIA")
            target.mkdir(parents=True, exist_ok=True)
            groups = _grouped(rng, count, KERMANY[split][kind])
            names = _kermany_names(kind, groups, used, numbers)
            _write_kermany(target, kind, names, rng, size)
    mark_phantom(folder, name="kermany_chest_xray", seed=seed, films=list(films), size=size)


def make_six_class(folder: Path, *, seed: int = 0, size: int = 160, scale: float = 0.25) -> None:
    """Write class folders and `index.csv` (file, label, source, patient, finding) as in the composed six-class set.

    Which source gives how many films of which class is in proportion to the real set (`SIX_CLASSES`, times `scale`),
    so that the class can largely be told from the source, whose marker, borders, size and contrast show in its films.

    `size` is the longest side of a film in pixels; films of the sources that are smaller keep their own 64 or 128.
    """
    if not 0 < scale <= 1 or size < 32:
        raise InputError(f"scale, size: found {scale} and {size}; expected 0 < scale <= 1 and 32 pixels or more")
    shots = [shot for cell in SIX_CLASSES for shot in _six_class_shots(cell, scale, seed)]
    for shot in shots:
        path = folder / shot.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(_drawn(shot, size), path.suffix))
    rows = [(shot.file, shot.label, shot.source, shot.name, shot.finding) for shot in shots]
    index = pd.DataFrame(rows, columns=["file", "label", "source", "patient", "finding"])
    index.sort_values("file").to_csv(folder / "index.csv", index=False)
    mark_phantom(folder, name="lung_six_class", seed=seed, size=size, scale=scale)


def _shared(total: int, parts: dict[str, int]) -> dict[str, int]:
    """Split `total` in the proportion of `parts`; the last takes what rounding leaves."""
    *others, last = parts
    shares = {part: round(total * parts[part] / sum(parts.values())) for part in others}
    return shares | {last: total - sum(shares.values())}


def _grouped(rng: np.random.Generator, films: int, real: tuple[int, int]) -> list[int]:
    """Films of each patient, with the real set's mean; they sum to `films`."""
    groups: list[int] = []
    while (left := films - sum(groups)) > 0:
        groups.append(min(left, int(rng.geometric(real[1] / real[0]))))
    return groups


def _kermany_names(kind: str, groups: list[int], used: dict[str, int], numbers: dict[str, int]) -> list[list[str]]:
    """File names of each patient's films, in the style of the Kaggle copy."""
    names = []
    for group in groups:
        used[kind] += 1
        person = used[kind]
        if kind == "normal":
            stem = f"{'' if person % 2 else 'NORMAL2-'}IM-{(person + 1) // 2:04d}-0001"
            names.append([f"{stem}-{film + 1:04d}" for film in range(group)] if group > 1 else [stem])
        else:
            names.append([f"person{person}_{kind}_{numbers[kind] + film + 1}" for film in range(group)])
            numbers[kind] += group
    return names


def _write_kermany(target: Path, kind: str, names: list[list[str]], rng: np.random.Generator, size: int) -> None:
    """Write one kind's films of one split; some patients' second film is a copy of the first."""
    copies = max(1, round(DUPLICATES * sum(map(len, names))))
    for group in names:
        patient = int(rng.integers(2**62))
        content = b""
        for number, name in enumerate(group):
            if number == 1 and copies:
                copies -= 1
            else:
                image = _child(KERMANY_FINDINGS[kind], patient, rng, size)
                content = _encoded(image, ".jpeg", kind != "normal" and rng.uniform() < COLOUR)
            (target / f"{name}.jpeg").write_bytes(content)


def _child(finding: str, patient: int, rng: np.random.Generator, size: int) -> np.ndarray:
    """A film in the original's shape: landscape, nothing squashed, of a size that varies from film to film."""
    from medutils.data.phantoms.chest_anatomy import draw_anatomy
    from medutils.data.phantoms.chest_film import HOSPITALS, expose

    site = HOSPITALS["kermany_walia"]
    aspect = float(np.clip(rng.normal(site.aspect, 0.13), 1.02, 1.75))
    width = size * rng.uniform(0.85, 1.15) * (1.15 if finding == "Normal" else 0.95)
    shape = (round(width / aspect), round(width))
    seed = int(rng.integers(2**62))
    return expose(seed, finding, shape, draw_anatomy(patient, site.child), site, aspect=aspect)


def _six_class_shots(cell: Cell, scale: float, seed: int) -> Iterator[_Shot]:
    """The films that one source gives to one class."""
    rng = np.random.default_rng([seed, 302, cell.first])
    groups = _grouped(rng, max(2, round(cell.films * scale)), (cell.films, cell.patients))
    suffix = ".png" if cell.source == "nih1000_dinbe" else ".jpeg"
    for person, group in enumerate(groups, start=round(cell.first * scale)):
        patient = int(np.random.default_rng([seed, 303, person]).integers(2**62))
        for film in range(group):
            other = str(rng.choice(list(OTHER_FINDINGS), p=list(OTHER_FINDINGS.values())))
            finding = other if cell.label == "Other Findings" else cell.label
            name, stem = _six_class_name(cell, person, film)
            file = f"{cell.label}/{stem}{suffix}"
            yield _Shot(file, finding, patient, int(rng.integers(2**62)), cell.label, cell.source, name)


def _six_class_name(cell: Cell, person: int, film: int) -> tuple[str, str]:
    """The patient and the stem of the file, as the source writes them."""
    if cell.source == "kermany_walia" and cell.label == "Normal":
        return (name := f"IM-{person:04d}"), f"kermany__{name}__{name}-{film + 1:04d}"
    if cell.source == "kermany_walia":
        kind = KINDS[cell.label]
        return (name := f"{kind}-person{person}"), f"kermany__{name}__person{person}_{kind}_{100 * person + film}"
    if cell.source == "hannover_covid":
        name, study = (f"{zlib.crc32(key.encode()):08x}" for key in (f"patient {person}", f"film {person} {film}"))
        return name, f"hannover__{name}__{study}"
    if cell.source == "xtbtorch":
        name = f"{'MCUCXR' if person % 7 == 0 else 'CHNCXR'}_{person:04d}"
        return name, f"xtbtorch__{name}__aug0_{name}_{int(cell.label == 'TB')}"
    name, later = f"{person:08d}", 50 * (cell.label != "Normal")  # normal films come first
    return name, f"{cell.source.split('_')[0]}__{name}__{name}_{film + later:03d}"


def _drawn(shot: _Shot, size: int) -> np.ndarray:
    from medutils.data.phantoms.chest_anatomy import draw_anatomy
    from medutils.data.phantoms.chest_film import HOSPITALS, expose

    site = HOSPITALS[shot.source]
    scale = min(1.0, size / max(site.shape))
    shape = (round(site.shape[0] * scale), round(site.shape[1] * scale))
    return expose(shot.seed, shot.finding, shape, draw_anatomy(shot.patient, site.child), site)


def _encoded(image: np.ndarray, suffix: str, colour: bool = False) -> bytes:
    import cv2

    pixels = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if colour else image
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpeg" else []
    return cv2.imencode(suffix, pixels, options)[1].tobytes()
