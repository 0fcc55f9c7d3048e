"""What disease adds to the chest phantom: a map of attenuation for each finding.

Disease of the lung is air replaced by fluid or cells, so it can show only where the lung map has air to lose.
"""

from collections.abc import Callable

import cv2
import numpy as np

from medutils.data.phantoms.chest_anatomy import Chest, diaphragm, tree, vessels, wall
from medutils.data.phantoms.chest_plate import Map

Drawer = Callable[[Chest, np.random.Generator, float], Map]

AERATION = 0.82  # share of an aerated lung's deficit that a fully consolidated lung loses


def finding_map(chest: Chest, finding: str, severity: float) -> Map:
    """Attenuation that `finding` adds, of the plate's shape; several findings are joined by `|`.

    Where the disease sits is the patient's, so all films of a patient show it in one place; `severity` from 0 (barely
    there) to 1 (florid) is the film's.
    """
    added = np.zeros_like(chest.lung)
    for name in finding.split("|"):
        rng = np.random.default_rng([chest.anatomy.seed, 104, list(DRAWERS).index(name)])
        added += DRAWERS[name](chest, rng, severity)
    return added


def _filled(chest: Chest, share: Map) -> Map:
    """Attenuation when `share` (0 to 1) of the air at each place is lost."""
    return AERATION * chest.lung * np.clip(share, 0, 1)


def _patch(chest: Chest, cloud: Map, x: float, y: float, a: float, b: float, tilt: float = 0.0) -> Map:
    """A patch with an uneven soft edge: 1 in the middle, 0 outside."""
    on, c, s = chest.plate, float(np.cos(tilt)), float(np.sin(tilt))
    dx, dy = on.x - x, on.y - y
    squared = ((dx * c + dy * s) / a) ** 2 + ((dy * c - dx * s) / b) ** 2
    edge = np.clip(1.25 - squared + 0.45 * cloud, 0, 1)
    return edge * edge * (3 - 2 * edge)


def _side(rng: np.random.Generator) -> float:
    """-1 for the patient's right lung, 1 for the left."""
    return -1.0 if rng.uniform() < 0.5 else 1.0


def _nothing(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    return np.zeros_like(chest.lung)


def _consolidation(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """Bacterial pneumonia: a lobe, or part of one, with an air bronchogram; at times a second focus."""
    on, h = chest.plate, chest.dome
    cloud = 0.7 * on.cloud(rng, 0.22) + 0.4 * on.cloud(rng, 0.09)
    share = np.zeros_like(chest.lung)
    for focus in range(1 + (rng.uniform() < 0.4)):
        sign, upper = _side(rng), rng.uniform() < 0.35
        x = sign * rng.uniform(0.42, 0.66)
        y = h * (rng.uniform(0.26, 0.42) if upper else rng.uniform(0.64, 0.88))
        size = (0.24 + 0.28 * severity) * rng.uniform(0.85, 1.2) * (1 - 0.25 * focus)
        patch = _patch(chest, cloud, x, y, size * 1.05, size * rng.uniform(0.8, 1.15), rng.uniform(-0.6, 0.6))
        if sign < 0 and rng.uniform() < 0.6:  # bounded by the horizontal fissure of the right lung
            below = on.y - (0.5 * h + 0.06 * (on.x + 0.5))
            patch = patch * on.step(-below if upper else below, 0.02)
        share = np.maximum(share, patch)
    bronchi = on.stroked([(curves, width) for curves, width in tree(chest.anatomy, h) if width > 0.02])
    bronchi = cv2.GaussianBlur(bronchi, (0, 0), 0.012 * on.density)
    return _filled(chest, (0.16 + 0.62 * severity) * share * (1 + 0.12 * cloud) * (1 - 0.5 * bronchi))


def _interstitial(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """Viral pneumonia: streaks along the bronchi of both lungs, a net of fine lines, patchy haze around the hila."""
    on, h = chest.plate, chest.dome
    near = np.exp(-(((np.abs(on.x) - 0.36) / 0.36) ** 2) - ((on.y - 0.58 * h) / (0.44 * h)) ** 2)
    cuffs = np.clip(vessels(on, chest.anatomy, h, 1.9) * 1.3, 0, 1)
    net = np.abs(on.cloud(rng, 0.075)) * 0.7
    haze = np.clip(0.55 + 0.5 * on.cloud(rng, 0.3), 0, 1)
    return _filled(chest, near * (0.10 + 0.52 * severity) * (0.55 * cuffs + 0.42 * net + 0.62 * haze))


def _ground_glass(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """COVID-19: ground glass in patches at the edge and the base of both lungs."""
    on, h = chest.plate, chest.dome
    cloud = 0.6 * on.cloud(rng, 0.2) + 0.5 * on.cloud(rng, 0.08)
    share = np.zeros_like(chest.lung)
    for index in range(6):
        sign = (-1.0, 1.0)[index % 2]
        y = h * rng.uniform(0.5, 0.98)
        x = sign * (float(wall(chest.anatomy, y)) - rng.uniform(0.08, 0.28))
        patch = _patch(chest, cloud, x, y, rng.uniform(0.14, 0.24), rng.uniform(0.18, 0.34), -sign * 0.2)
        share = share + patch * rng.uniform(0.45, 1) * np.clip(0.4 + 1.4 * severity - 0.2 * index, 0, 1)
    texture = 1 + 0.30 * np.abs(on.cloud(rng, 0.06)) - 0.15
    return _filled(chest, (0.20 + 0.42 * severity) * np.minimum(share, 1.2) * texture)


def _tuberculosis(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """TB: infiltrate of nodules and strands in an upper lobe, often with a cavity, at times in both apices."""
    on, h = chest.plate, chest.dome
    side = _side(rng)
    cloud = 0.5 * on.cloud(rng, 0.14) + 0.6 * on.cloud(rng, 0.07)
    x, y = side * rng.uniform(0.40, 0.5), h * rng.uniform(0.16, 0.26)
    share = _patch(chest, cloud, x, y, 0.17 + 0.13 * severity, 0.17 + 0.12 * severity)
    if rng.uniform() < 0.4:
        share = np.maximum(share, 0.7 * _patch(chest, cloud, -0.42 * side, 0.18 * h, 0.17, 0.15))
    share = share * (0.20 + 0.38 * severity) * (0.75 + 0.4 * np.clip(cloud, 0, 2))
    if rng.uniform() < 0.4:
        radius = rng.uniform(0.07, 0.13)
        away = np.sqrt((on.x - x) ** 2 + ((on.y - y) * rng.uniform(0.9, 1.3)) ** 2) + 0.022 * cloud
        share = share * (1 - 0.8 * on.step(radius - away, 0.03))
        share = share + (0.10 + 0.28 * severity) * np.exp(-np.square((away - radius) / 0.024)) * (1 + 0.3 * cloud)
    return _filled(chest, share)


def _effusion(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """Pleural effusion: fluid over the diaphragm whose upper edge climbs the chest wall."""
    on, anatomy = chest.plate, chest.anatomy
    side = _side(rng)
    across = np.abs(on.x) / wall(anatomy, on.y)
    base = float(np.max(diaphragm(on, anatomy, chest.dome)[np.abs(on.x) < 0.95]))
    level = base - (0.10 + 0.55 * severity) - 0.42 * np.clip(across - 0.55, 0, 1) ** 2 / 0.2 * (0.5 + severity)
    depth = np.clip((on.y - level) / 0.22, 0, 1) ** 0.7
    return _filled(chest, 1.05 * depth) * (np.sign(on.x) == side)


def _nodule(chest: Chest, rng: np.random.Generator, severity: float) -> Map:
    """One round nodule away from the hilum; severity is its size and density."""
    on, h = chest.plate, chest.dome
    x, y = _side(rng) * rng.uniform(0.42, 0.72), h * rng.uniform(0.3, 0.78)
    radius = 0.055 + 0.075 * severity
    return (0.20 + 0.25 * severity) * on.ellipse(x, y, radius, radius * rng.uniform(0.85, 1.15)) * (chest.lung > 0.2)


DRAWERS: dict[str, Drawer] = {  # their order seeds them: add at the end
    "Normal": _nothing,
    "Bacterial Pneumonia": _consolidation,
    "Viral Pneumonia": _interstitial,
    "COVID-19": _ground_glass,
    "TB": _tuberculosis,
    "Effusion": _effusion,
    "Nodule": _nodule,
    "Cardiomegaly": _nothing,  # the heart itself is drawn larger
}
