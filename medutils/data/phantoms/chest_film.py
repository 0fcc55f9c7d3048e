"""The chest phantom's films: a patient, a finding and a hospital become a picture.

A film is made as a film is: path lengths through the patient, exponential attenuation, scatter, quantum noise, the
film's response to the logarithm of exposure, and then what the hospital adds to it.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from medutils.data.phantoms.chest_anatomy import Anatomy, Chest, chest, draw_anatomy
from medutils.data.phantoms.chest_findings import DRAWERS, finding_map
from medutils.data.phantoms.chest_plate import EXTENT, ORIGIN, Map
from medutils.errors import InputError

ABSORPTION = 1.6  # of the beam, per unit of path length
LUNG_SHOWN = 0.15  # path length through air from which a place counts as lung
SUBTLE = 0.10  # share of films whose disease can hardly be seen


@dataclass(frozen=True)
class Hospital:
    """How one source's films look, whatever they show. Fractions are of the film's side."""

    child: bool
    aspect: float  # width of the field over its height
    margin: tuple[float, float]  # what the field shows above the apices and below the dome: least and most, together
    above: float  # share of the margin above the apices
    gamma: float  # steepness of the response
    speed: float  # path length that turns the film half black
    scatter: float
    blur: float  # standard deviation, fraction of the side
    noise: float
    marker: str  # the letter, "" for none
    marker_at: tuple[float, float]  # x, y of its lower left corner
    marker_rate: float = 1.0
    border: tuple[float, float, float, float] = (0, 0, 0, 0)  # most black at left, right, top, bottom
    strip: str = ""  # text burnt in at the bottom
    fog: int = 2  # grey level of unattenuated film
    equalised: bool = False
    wires: bool = False  # electrodes and lines of intensive care
    shape: tuple[int, int] = (224, 224)  # rows and columns of its files in the six-class set


HOSPITALS = {
    "kermany_walia": Hospital(
        child=True,
        aspect=1.30,
        margin=(0.65, 1.05),
        above=0.46,
        gamma=2.6,
        speed=1.02,
        scatter=0.03,
        blur=0.0012,
        noise=0.010,
        marker="R",
        marker_at=(0.04, 0.30),
        marker_rate=0.8,
    ),
    "hannover_covid": Hospital(
        child=False,
        aspect=1.22,
        margin=(0.55, 0.9),
        above=0.4,
        gamma=1.5,
        speed=0.85,
        scatter=0.15,
        blur=0.003,
        noise=0.022,
        marker="L",
        marker_at=(0.91, 0.30),
        marker_rate=0.8,
        border=(0.05, 0.05, 0.06, 0),
        fog=30,
        equalised=True,
        wires=True,
        shape=(183, 224),
    ),
    "nih1000_dinbe": Hospital(
        child=False,
        aspect=1.0,
        margin=(0.9, 1.3),
        above=0.40,
        gamma=2.3,
        speed=0.85,
        scatter=0.08,
        blur=0.008,
        noise=0.010,
        marker="L",
        marker_at=(0.88, 0.12),
        marker_rate=0.9,
        border=(0, 0.06, 0.02, 0.05),
        shape=(64, 64),
    ),
    "nih1024_talo": Hospital(
        child=False,
        aspect=1.0,
        margin=(0.8, 1.2),
        above=0.42,
        gamma=2.0,
        speed=0.66,
        scatter=0.06,
        blur=0.003,
        noise=0.010,
        marker="L",
        marker_at=(0.90, 0.10),
        marker_rate=0.9,
        border=(0.0, 0.05, 0.04, 0),
        strip="PORTABLE",
    ),
    "xtbtorch": Hospital(
        child=False,
        aspect=1.08,
        margin=(1.0, 1.3),
        above=0.46,
        gamma=2.7,
        speed=0.92,
        scatter=0.03,
        blur=0.003,
        noise=0.008,
        marker="R",
        marker_at=(0.13, 0.09),
        marker_rate=0.85,
        shape=(128, 128),
    ),
}


def film(
    seed: int | np.random.Generator,
    finding: str = "Normal",
    size: int = 128,
    *,
    patient: Anatomy | None = None,
    hospital: str | Hospital = "kermany_walia",
    severity: float | None = None,
) -> np.ndarray:
    """Take one film; uint8, shape (size, size), black is air.

    Parameters
    ----------
    seed: fixes position, breath, exposure and noise (and the patient when none is given)
    finding: a key of `DRAWERS`, or several joined by `|`
    patient: from `draw_anatomy`; films of one patient share the anatomy and the place of the disease
    hospital: a key of `HOSPITALS`, or one of your own
    severity: 0 to 1; drawn from the seed when None: mostly moderate, one in ten hardly to be seen
    """
    if isinstance(hospital, str) and hospital not in HOSPITALS:
        raise InputError(f"hospital: '{hospital}' is not known; expected one of {', '.join(HOSPITALS)}")
    site = HOSPITALS[hospital] if isinstance(hospital, str) else hospital
    if unknown := sorted(set(finding.split("|")) - set(DRAWERS)):
        raise InputError(f"finding: '{unknown[0]}' is not known; expected one of {', '.join(DRAWERS)}")
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**62))
    if patient is None:
        patient = draw_anatomy(seed, site.child)
    return expose(seed, finding, (size, size), patient, site, severity)


def expose(
    seed: int,
    finding: str,
    shape: tuple[int, int],
    patient: Anatomy,
    site: Hospital,
    severity: float | None = None,
    aspect: float | None = None,
) -> np.ndarray:
    """Take one film of `shape` (rows, columns); uint8.

    `aspect`, width over height of what the film sees, is the site's own and a little varied when None; where it is
    not that of `shape`, the picture is squashed.
    """
    pose, detector, extras = np.random.default_rng([seed, 201]).spawn(3)
    laid, severity, place = _laid(pose, finding, shape, patient, site, severity, aspect)
    path = laid.solid - laid.lung + finding_map(laid, finding, severity)
    return _finished(_developed(_cut(path, place, shape), site, detector), site, extras)


def lung_mask(seed: int, finding: str, shape: tuple[int, int], patient: Anatomy, site: Hospital) -> np.ndarray:
    """Where the film that `expose` takes with the same arguments shows lung: bool of `shape`; diseased lung is lung."""
    pose = np.random.default_rng([seed, 201]).spawn(3)[0]
    laid, _, place = _laid(pose, finding, shape, patient, site, None, None)
    return _cut(laid.lung, place, shape) > LUNG_SHOWN


def _laid(
    pose: np.random.Generator,
    finding: str,
    shape: tuple[int, int],
    patient: Anatomy,
    site: Hospital,
    severity: float | None,
    aspect: float | None,
) -> tuple[Chest, float, np.ndarray]:
    """The chest on its plate, the severity, drawn where none is given, and where on the plate the film lies."""
    usual = site.aspect * pose.uniform(0.8, 1.1)
    drawn = pose.beta(1, 9) if pose.uniform() < SUBTLE else pose.beta(2.6, 1.6)
    severity = drawn if severity is None else severity
    aspect = usual if aspect is None else aspect
    if "Cardiomegaly" in finding:
        patient = replace(patient, heart=patient.heart * (1.22 + 0.22 * severity))
    margin = pose.uniform(*site.margin)
    field, top = patient.height + margin, -site.above * margin
    columns = 8 * round(1.12 * max(shape[0], shape[1] / aspect) * EXTENT / field / 8)
    laid = chest(patient, columns, breath=pose.uniform(0.9, 1.04))
    return laid, severity, _place(laid.plate.density, shape, field, aspect, top, pose)


def _place(
    density: float, shape: tuple[int, int], field: float, aspect: float, top: float, rng: np.random.Generator
) -> np.ndarray:
    """Where on the plate the pixels of the film lie, (2, 3), with the patient a little turned and off centre."""
    rows, columns = shape
    angle = np.radians(rng.normal(0, 2.5))
    across, down = density * field * aspect / columns, density * field / rows
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([across, down])
    centre = np.array([rng.normal(0, 0.05), top + field / 2 + rng.normal(0, 0.06)])
    shift = (centre - ORIGIN) * density - 0.5 - matrix @ [(columns - 1) / 2, (rows - 1) / 2]
    return np.hstack([matrix, shift[:, None]])


def _cut(plate: Map, place: np.ndarray, shape: tuple[int, int]) -> Map:
    """Cut the field of a film out of the plate."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plate, place, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _developed(path: Map, site: Hospital, rng: np.random.Generator) -> Map:
    """From path lengths to grey levels between 0 and 1: Beer-Lambert, scatter, noise, the response to log exposure."""
    side = max(path.shape)
    exposure = np.exp(-ABSORPTION * path)
    if site.scatter:
        wide = 2 * (side // 6) + 1
        exposure = exposure + site.scatter * rng.uniform(0.3, 3) * cv2.blur(exposure, (wide, wide))
    grain = rng.standard_normal(path.shape, dtype=np.float32)
    exposure = exposure * (1 + site.noise * grain * np.minimum(exposure, 1) ** -0.4)
    exposure = cv2.GaussianBlur(exposure, (0, 0), max(0.35, site.blur * side))
    speed, gamma = site.speed + rng.normal(0, 0.12), site.gamma * rng.uniform(0.8, 1.2)
    attenuation = -np.log(np.maximum(exposure, 1e-4)) / ABSORPTION
    fog = 1 / (1 + math.exp(gamma * speed))
    return (1 / (1 + np.exp(-gamma * (attenuation - speed))) - fog) / (1 - fog)


def _finished(image: Map, site: Hospital, rng: np.random.Generator) -> np.ndarray:
    """What the hospital adds: wires, its processing, the marker, the text, black borders."""
    rows, columns = image.shape
    out = np.clip(image * (238 - site.fog) + site.fog, 0, 255).astype(np.uint8)
    if site.equalised:
        out = cv2.createCLAHE(1.2, (3, 3)).apply(out)
    if site.wires:
        _wires(out, rng)
    if site.marker and rng.uniform() < site.marker_rate:
        x, y = np.array(site.marker_at) + rng.normal(0, [0.012, 0.05])
        _text(out, site.marker, x, y, 0.042)
    if site.strip:
        _text(out, site.strip, 0.03, 0.98, 0.035)
    left, right, top, bottom = (
        int(rng.uniform(0, most) * side) for most, side in zip(site.border, (columns, columns, rows, rows), strict=True)
    )
    out[:, :left], out[:, columns - right :], out[:top], out[rows - bottom :] = 0, 0, 0, 0
    return out


def _text(image: np.ndarray, text: str, x: float, y: float, height: float) -> None:
    rows, columns = image.shape
    scale = height * rows / 21  # a capital of the Hershey simplex font is 21 px high at scale 1
    at = (int(x * columns), int(y * rows))
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 235, max(1, round(2 * scale)), cv2.LINE_AA)


def _wires(image: np.ndarray, rng: np.random.Generator) -> None:
    """Leads from electrodes on the chest."""
    rows, columns = image.shape
    t = np.linspace(0, 1, 20)[:, None]
    for _ in range(rng.integers(0, 6)):
        a, b, c = (rng.uniform(low, high, 2) for low, high in ((0.2, 0.8), (-0.1, 1.1), (-0.2, 1.2)))
        points = (a * (1 - t) ** 2 + 2 * b * t * (1 - t) + c * t**2) * [columns, rows]
        cv2.polylines(image, [np.rint(points * 16).astype(np.int32)], False, 215, 1, cv2.LINE_AA, 4)
        cv2.circle(image, (int(points[0, 0]), int(points[0, 1])), max(1, rows // 70), 235, -1, cv2.LINE_AA)
