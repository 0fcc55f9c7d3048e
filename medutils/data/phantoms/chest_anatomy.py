"""The anatomy of the chest phantom: what attenuates the beam, as maps of path length.

Lengths are in half widths of the rib cage, as on the `Plate`. A map holds attenuation as path length through soft
tissue; an aerated lung takes away from it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from medutils.data.phantoms.chest_plate import Curves, Map, Plate, Strokes, plate

RIBS = 12
LUNG_DEPTH = 1.15  # lung's share of the path through the chest, front to back
TISSUE_DEPTH = 1.72
SCAPULA = np.array([[0.84, 0.04], [1.2, 0.1], [1.16, 0.3], [1.06, 0.6], [0.98, 0.76], [0.9, 0.5], [1.2, -0.03]])


@dataclass(frozen=True)
class Anatomy:
    """One patient: what stays the same from film to film. Lengths in half widths of the rib cage.

    `seed` fixes what is too fine to list: the branching of the vessels, the bowel gas, where disease settles.
    """

    seed: int
    child: bool
    height: float  # from the apices to the right dome of the diaphragm
    wall: float  # thickness of the chest wall
    heart: float  # 1 is normal, above about 1.25 the heart is enlarged
    tilt: float  # of the heart's long axis, radians below the horizontal
    mediastinum: float  # half width of the upper mediastinum
    slope: float  # how far a rib descends from the spine to its front end
    rib: float  # breadth of a rib
    bone: float  # density of bone
    dome: float  # how much lower the left dome is
    narrowing: float  # how pointed the upper chest is
    asymmetry: float  # left against right
    breast: float
    gas: float
    arms: float  # angle of the upper arms above the horizontal, radians
    chin: float  # its height
    collar: float  # how far a clavicle rises to the shoulder
    curve: float  # of the spine


def draw_anatomy(seed: int, child: bool) -> Anatomy:
    """Draw one patient with the proportions of a young child or of an adult."""
    rng = np.random.default_rng([seed, 101])
    u = rng.uniform
    return Anatomy(
        seed=seed,
        child=child,
        height=u(1.28, 1.55) if child else u(1.5, 1.85),
        wall=u(0.08, 0.16) if child else u(0.10, 0.24),
        heart=u(0.95, 1.10) if child else u(0.86, 1.06),
        tilt=u(0.5, 0.8) if child else u(0.45, 0.75),
        mediastinum=u(0.20, 0.30) if child else u(0.17, 0.23),
        slope=u(0.50, 0.70) if child else u(0.62, 0.82),
        rib=u(0.062, 0.078) if child else u(0.062, 0.08),
        bone=u(0.8, 1.1) if child else u(0.5, 0.85),
        dome=u(0.03, 0.09),
        narrowing=u(0.40, 0.50) if child else u(0.34, 0.45),
        asymmetry=u(-0.03, 0.03),
        breast=0.0 if child or u() < 0.5 else u(0.1, 0.35),
        gas=float(u() < 0.75) * u(0.4, 1.0),
        arms=u(-1.2, 0.9) if child else u(-1.4, -1.2),
        chin=u(-0.5, -0.16),
        collar=u(0.08, 0.30) if child else u(0.18, 0.40),
        curve=rng.normal(0, 0.02),
    )


@dataclass(frozen=True)
class Chest:
    """A patient breathing in, laid on a plate: the maps that findings need.

    `solid` is attenuation without air, `lung` what an aerated lung takes away from it, both of the plate's shape.
    """

    plate: Plate
    anatomy: Anatomy
    dome: float  # height of the right dome in this breath
    solid: Map
    lung: Map


def chest(anatomy: Anatomy, columns: int, breath: float = 1.0) -> Chest:
    """Lay out a patient on a plate `columns` pixels wide; `breath` below 1 raises the diaphragm."""
    on = plate(columns, 2.9 if anatomy.child else 3.35)
    dome = anatomy.height * breath
    spread = 1 + 0.3 * (1 - breath)  # a heart on a high diaphragm lies flatter and wider
    lung = np.maximum(_lungs(on, anatomy, dome) - _heart(on, anatomy, dome, spread), 0)
    solid = _body(on, anatomy) + _skeleton(on, anatomy) + _abdomen(on, anatomy, dome) - _airway(on, anatomy)
    solid += (0.32 if anatomy.child else 0.42) * vessels(on, anatomy, dome) * np.minimum(lung * 2, 1)
    grain = on.cloud(np.random.default_rng([anatomy.seed, 106]), 0.05)
    solid += 0.025 * grain * lung
    return Chest(on, anatomy, dome, solid, lung)


def wall(anatomy: Anatomy, y: Map | float) -> Map:
    """Half width of the rib cage's inside at height y."""
    u = np.clip(y / (0.92 * anatomy.height), 0, 1)
    return np.maximum((1 - (1 - u) ** 2.3) ** anatomy.narrowing, 1e-3)


def diaphragm(on: Plate, anatomy: Anatomy, dome: float) -> Map:
    """Height of the diaphragm at each x, shape (1, columns)."""
    x = np.abs(on.x)
    right = on.x < 0
    top = np.where(right, dome, dome + anatomy.dome)
    centre = np.where(right, 0.42, 0.46)
    drop = np.where(x > centre, 0.36 / (1 - centre) ** 2, 0.10 / centre**2)
    return (top + drop * (x - centre) ** 2).astype(np.float32)


def _lungs(on: Plate, anatomy: Anatomy, dome: float) -> Map:
    """Path through aerated lung, the heart not yet there."""
    half = wall(anatomy, on.y) * np.where(on.x < 0, 1 + anatomy.asymmetry, 1 - anatomy.asymmetry).astype(np.float32)
    across = np.abs(on.x) / half
    depth = np.sqrt(np.maximum(1 - across**2.6, 0))
    depth *= np.clip(0.62 + 0.8 * on.y / anatomy.height, 0.4, 1)
    medial = anatomy.mediastinum * 0.75 + 0.24 * np.clip(1 - on.y / 0.22, 0, 1.5) ** 2  # round apices
    depth *= on.step(np.abs(on.x - anatomy.curve) - medial, 0.015)
    above = diaphragm(on, anatomy, dome) - on.y
    recess = 0.13 * np.clip(1 + above / 0.35, 0, 1)  # lung behind the dome
    return LUNG_DEPTH * depth * np.maximum(on.step(above), recess) * on.step(half - np.abs(on.x))


def _body(on: Plate, anatomy: Anatomy) -> Map:
    """Path through soft tissue: neck, shoulders, chest wall, arms, breasts, and a child's jaw."""
    y = on.y
    chest_wall = 1 + anatomy.wall + 0.05 * np.clip(y - 1, 0, 1)
    neck, reach = (0.40, 1.16) if anatomy.child else (0.38, 1.62)
    rise = np.clip((y + 0.42) / 0.55, 0, 1)
    shoulder = neck + (reach - neck) * (0.35 * rise + 0.65 * rise**2 * (3 - 2 * rise))
    fall = np.clip((y - 0.25) / (0.65 if anatomy.child else 0.85), 0, 1)
    half = shoulder + (chest_wall - shoulder) * fall**2 * (3 - 2 * fall)
    profile = np.sqrt(np.maximum(1 - (np.abs(on.x) / half) ** 2.4, 0))
    body = TISSUE_DEPTH * (0.62 + 0.38 * np.clip((y + 0.25) / 0.75, 0, 1)) * profile
    for sign in (-1, 1):
        body = np.maximum(body, _arm(on, anatomy, sign))
        if anatomy.breast:
            body = body + anatomy.breast * on.ellipse(sign * 0.58, anatomy.height * 0.92, 0.46, 0.40)
    if anatomy.child:
        jaw = on.ellipse(3 * anatomy.curve, anatomy.chin - 0.55, 0.52, 0.55)
        body = body + 0.55 * np.minimum(jaw * 2.2, 1) + 0.45 * jaw
    return body


def _arm(on: Plate, anatomy: Anatomy, sign: int) -> Map:
    """Upper arm with its bone; `arms` is its angle above the horizontal."""
    joint = (sign * (1.16 if anatomy.child else 1.42), 0.10 if anatomy.child else 0.16)
    lift = anatomy.arms + 0.15 * sign * anatomy.asymmetry / 0.03
    end = (joint[0] + sign * 1.3 * math.cos(lift), joint[1] - 1.3 * math.sin(lift))
    thick, shaft = (0.25, 0.065) if anatomy.child else (0.33, 0.08)
    bone = on.tube(joint, end, shaft) + on.ellipse(*joint, 0.14, 0.14)
    return 0.78 * on.tube(joint, end, thick) + 0.30 * anatomy.bone * bone


def _heart(on: Plate, anatomy: Anatomy, dome: float, spread: float) -> Map:
    """Lung that the heart, its apex at the patient's left, the great vessels and the mediastinum displace."""
    size = anatomy.heart * spread
    ventricle = on.ellipse(0.19 * size, dome - 0.22 * size, 0.54 * size, 0.37 * size, anatomy.tilt)
    atrium = on.ellipse(-0.07, dome - 0.36 * size, 0.29 * size, 0.47 * size)
    outflow = on.ellipse(0.10, dome * 0.56, 0.25 * size, 0.42, -0.25)
    heart = np.maximum(np.maximum(ventricle, atrium), 0.85 * outflow)
    arch = 0.25 * anatomy.height
    knob = on.ellipse(0.17, arch, 0.125, 0.135) * (0.3 if anatomy.child else 0.7)
    across = np.abs(on.x - anatomy.curve) / (anatomy.mediastinum * (1 + 0.15 * np.clip(on.y / dome, 0, 1)))
    column = np.sqrt(np.maximum(1 - across**2, 0))
    aorta = np.sqrt(np.maximum(1 - ((on.x - 0.15) / 0.1) ** 2, 0)) * on.step(on.y - arch, 0.05)
    return 0.92 * heart + knob + 0.8 * column + 0.12 * aorta


def _abdomen(on: Plate, anatomy: Anatomy, dome: float) -> Map:
    """Liver, and gas in the stomach and the bowel, below the diaphragm."""
    below = on.step(on.y - diaphragm(on, anatomy, dome), 0.02)
    inside = below * on.step(1 - np.abs(on.x))
    liver = 0.12 * inside * np.clip(0.6 - on.x, 0, 1)
    rng = np.random.default_rng([anatomy.seed, 102])
    left = dome + anatomy.dome
    gas = on.ellipse(rng.uniform(0.42, 0.6), left + rng.uniform(0.17, 0.26), rng.uniform(0.14, 0.26), 0.1, -0.15)
    for _ in range(4 if anatomy.child else 2):
        x, y = rng.uniform(-0.1, 0.75), left + rng.uniform(0.3, 0.75)
        gas = np.maximum(gas, on.ellipse(x, y, rng.uniform(0.08, 0.17), rng.uniform(0.06, 0.1), rng.uniform(-1, 1)))
    return liver - 0.45 * anatomy.gas * gas * inside


def _airway(on: Plate, anatomy: Anatomy) -> Map:
    """Air in the trachea and the main bronchi."""
    carina = 0.36 * anatomy.height
    middle, width = 0.6 * anatomy.curve - 0.01, 0.085 if anatomy.child else 0.105
    tubes: Strokes = [
        (np.array([[middle, -0.6], [middle - 0.01, 0.1], [middle, carina]]), width),
        (np.array([[middle, carina], [-0.14, carina + 0.13], [-0.22, carina + 0.26]]), 0.8 * width),
        (np.array([[middle, carina], [0.17, carina + 0.13], [0.3, carina + 0.2]]), 0.7 * width),
    ]
    air = on.stroked(tubes)
    return 0.22 * cv2.GaussianBlur(air, (0, 0), 0.025 * on.density)


def _skeleton(on: Plate, anatomy: Anatomy) -> Map:
    """Spine, ribs, clavicles and scapulae."""
    inner = np.abs(on.x) / wall(anatomy, on.y)
    tangent = 1 + 1.3 * np.exp(-(((inner - 0.97) / 0.09) ** 2))  # a rib seen end on where it turns forwards
    back, front = (_ribs(on, anatomy, behind) for behind in (True, False))
    soft = np.clip((np.abs(on.x) - 0.10) / 0.1, 0, 1)
    below = 1 - 0.5 * np.clip((on.y - anatomy.height) / 0.3, 0, 1)
    cage = (back + (0.25 if anatomy.child else 0.4) * front) * tangent * soft * below
    return anatomy.bone * (0.30 * cage + _spine(on, anatomy) + _shoulder_girdle(on, anatomy))


def _pitch(anatomy: Anatomy) -> float:
    """Height of a vertebra and its disc, which is the distance between ribs."""
    return (anatomy.height + 0.42) / 11.0


def _rib_curves(anatomy: Anatomy, behind: bool) -> Curves:
    """Centre lines of the back or the front halves of the right ribs, shape (ribs, points, 2).

    A rib is an ellipse in a plane that slopes down to the front and to the side.
    """
    rib = np.arange(RIBS)[:, None]
    start = -0.06 + (rib - 0.3) * _pitch(anatomy)
    drop = anatomy.slope * (0.62 + 0.55 * np.minimum(rib, 6) / 6)
    end = np.radians(146 - 5 * np.maximum(0, rib - 5))
    part = np.linspace(0, 1, 12 if behind else 9)
    turn = np.radians(4) + (np.pi / 2 - np.radians(4)) * part if behind else np.pi / 2 + (end - np.pi / 2) * part
    y = start + drop * (1 - np.cos(turn)) / 2 + 0.14 * np.sin(turn) - 0.04 * np.sin(2 * turn) * behind
    across = np.minimum(np.sin(turn) + 0.03, 1.0)
    return np.stack([-1.015 * wall(anatomy, y + 0.04) * across, y], axis=-1)


def _ribs(on: Plate, anatomy: Anatomy, behind: bool) -> Map:
    """Ribs as bands with denser rims."""
    right = _rib_curves(anatomy, behind)
    centre = np.concatenate([right, right * [-1, 1]])
    along = np.gradient(centre, axis=1)
    normal = along[..., ::-1] * [-1, 1] / np.linalg.norm(along, axis=-1, keepdims=True)
    half = normal * anatomy.rib * (0.5 if behind else 0.58)
    bands = np.concatenate([centre + half, (centre - half)[:, ::-1]], axis=1)
    return on.filled(bands, 0.62) + 0.38 * on.stroked([(centre + half, 0.020), (centre - half, 0.020)])


def _spine(on: Plate, anatomy: Anatomy) -> Map:
    """Vertebral bodies, discs, pedicles and spinous processes."""
    pitch = _pitch(anatomy)
    near = np.abs(on.x[0]) < 0.4
    x, phase = np.abs(on.x[:, near] - anatomy.curve * np.cos(2 * on.y)), on.y * (2 * np.pi / pitch)
    half = (0.115 if anatomy.child else 0.105) * (1 + 0.2 * np.clip(on.y, 0, 2) / 2)
    across = np.sqrt(np.maximum(1 - np.square(np.square(x / half)), 0))
    bodies = 0.15 + 0.08 * np.tanh(3 * (np.cos(phase) + 0.55))
    pedicles = 0.14 * np.exp(-np.square((x - 0.075) / 0.022)) * np.maximum(np.cos(phase - 0.9), 0) ** 2
    spinous = 0.13 * np.exp(-np.square(x / 0.022)) * np.maximum(np.cos(phase + 1.6), 0) ** 3
    spine = np.zeros(on.shape, np.float32)
    spine[:, near] = across * bodies + pedicles + spinous
    return spine


def _shoulder_girdle(on: Plate, anatomy: Anatomy) -> Map:
    """Clavicles and scapulae."""
    thick, low, edge = (0.055, 0.11, 0.03) if anatomy.child else (0.065, 0.27, 0.016)
    curves: Strokes = []
    blades = []
    rng = np.random.default_rng([anatomy.seed, 105])
    lean, out = rng.uniform(-0.1, 0.25), rng.uniform(-0.08, 0.02) + (0.0 if anatomy.child else 0.14)
    for sign in (-1, 1):
        t = np.linspace(0, 1, 14)
        y = low - anatomy.collar * np.sin(2.1 * t) - 0.03 * np.sin(2 * np.pi * t)
        collar = np.stack([0.09 + (1.02 if anatomy.child else 1.2) * t, y], axis=1) * [sign, 1]
        curves += [(collar, thick), (collar[:3], 1.5 * thick)]
        blade = SCAPULA + np.array([out, 0.03])
        blade[:, 0] += lean * (blade[:, 1] - 0.1)
        blade *= [sign, 1]
        blades.append(blade)
        curves += [(blade[1:5], edge), (blade[[0, 6]], 0.5 * edge), (blade[4:7], 0.7 * edge)]
    bones = 0.34 * on.stroked(curves) + on.filled(np.stack(blades), 0.09)
    return cv2.GaussianBlur(bones, (0, 0), 0.006 * on.density)


@lru_cache(maxsize=4)
def tree(anatomy: Anatomy, dome: float) -> Strokes:
    """Branches from both hila towards the edge of the lungs."""
    rng = np.random.default_rng([anatomy.seed, 103])
    sign = np.repeat([-1, 1], 8)
    hila = np.stack([0.23 * sign, np.where(sign < 0, 0.50, 0.46) * dome], axis=1)
    angle = np.tile(np.linspace(-1.3, 1.35, 8), 2) + rng.normal(0, 0.12, 16)
    reach = rng.uniform(0.36, 0.66, 16) * np.where(angle > 0.3, 1.15, 0.9)
    stems = hila[:, None] + _boughs(rng, sign, angle, reach)
    branches = [(stems[:, :2], 0.042), (stems[:, 1:4], 0.026), (stems[:, 3:6], 0.016), (stems[:, 5:], 0.009)]
    for fork in (1, 2, 3, 4, 5):
        off = angle + rng.choice((-1, 1), 16) * rng.uniform(0.3, 0.8, 16)
        twigs = stems[:, fork, None] + _boughs(rng, sign, off, rng.uniform(0.16, 0.36, 16))
        branches += [(twigs[:, :4], 0.016 if fork < 3 else 0.011), (twigs[:, 3:], 0.007)]
    return branches


def _boughs(rng: np.random.Generator, sign: np.ndarray, angle: np.ndarray, reach: np.ndarray) -> Curves:
    """Bent lines from the origin, as far as `reach`, `angle` below the horizontal to the side of `sign`."""
    t = np.linspace(0, 1, 7)[:, None]
    heading = np.stack([sign * np.cos(angle), np.sin(angle)], axis=1)[:, None]
    bend = rng.normal(0, 0.28, len(angle))[:, None, None] * heading[..., ::-1] * [-1, 1]
    return reach[:, None, None] * (t * heading + t * t * bend)


def vessels(on: Plate, anatomy: Anatomy, dome: float, widening: float = 1.0) -> Map:
    """The vessel tree and the hila, 1 on a vessel."""
    lines = on.stroked([(curves, width * widening) for curves, width in tree(anatomy, dome)])
    hila = np.maximum(on.ellipse(-0.25, 0.53 * dome, 0.09, 0.17), on.ellipse(0.25, 0.48 * dome, 0.09, 0.14))
    return 0.62 * cv2.GaussianBlur(lines, (0, 0), 0.008 * on.density) + 0.38 * hila
