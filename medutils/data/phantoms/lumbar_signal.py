"""The lumbar phantom's pictures: tissues laid over each other in a slice, as T1, T2 or STIR shows them.

Every part is a distance in mm, below 0 inside, computed where the points of the slice lie along the spine. Signal is
spin-echo like: by tissue and weighting, times the reach of a surface coil, plus Rician noise.
"""

from functools import cache

import numpy as np

from medutils.data.lumbar import CONDITIONS
from medutils.data.phantoms.lumbar_anatomy import DISC, GRADED, L1, L4, S1, Plane

WEIGHTINGS = ("T1", "T2", "STIR")
SIGNAL = {
    "air": (0.0, 0.0, 0.0),
    "fat": (0.88, 0.74, 0.10),
    "marrow": (0.46, 0.33, 0.13),
    "cortex": (0.05, 0.04, 0.03),
    "ligament": (0.10, 0.07, 0.06),
    "annulus": (0.22, 0.13, 0.12),
    "nucleus": (0.27, 0.52, 0.58),
    "fluid": (0.13, 0.98, 1.0),
    "nerve": (0.33, 0.40, 0.42),
    "muscle": (0.27, 0.15, 0.20),
    "vessel": (0.06, 0.05, 0.06),
    "organ": (0.30, 0.36, 0.40),
}


class Canvas:
    """A slice being painted, tissue over tissue, what lies deepest first."""

    def __init__(self, shape: tuple[int, ...], weighting: str, mm: float, rng: np.random.Generator) -> None:
        self.column = WEIGHTINGS.index(weighting)
        self.image = np.full(shape, SIGNAL["fat"][self.column], dtype=np.float32)
        self.edge = 1.3 * mm
        self.rng = rng

    def paint(self, inside: np.ndarray, tissue: str | np.ndarray, share: float | np.ndarray = 1.0) -> None:
        """Lay a tissue, or an array of signal, over the points where the distance `inside` is below 0."""
        if inside.min() >= self.edge / 2:  # the part lies in other slices
            return
        signal = SIGNAL[tissue][self.column] if isinstance(tissue, str) else tissue
        weight = inside * np.float32(-1 / self.edge)
        weight += np.float32(0.5)
        np.clip(weight, 0, 1, out=weight)
        if isinstance(share, np.ndarray) or share < 1:
            weight = weight * share
        self.image += weight * (signal - self.image)

    def rim(self, inside: np.ndarray, width: float, tissue: str = "cortex") -> None:
        """Lay a line of `width` mm along the edge of a part; thinner than a pixel it gets fainter."""
        share = np.minimum(1, width / self.edge)
        self.paint(np.abs(inside) - max(width, self.edge) / 2, tissue, float(share))

    def mix(self, one: str, other: str, share: np.ndarray | float) -> np.ndarray:
        """Signal of two tissues mixed: `share` of the other."""
        a, b = SIGNAL[one][self.column], SIGNAL[other][self.column]
        return np.float32(a) + np.float32(b - a) * np.asarray(share, dtype=np.float32)

    def texture(self, scale: str) -> np.ndarray:
        """A random window of smooth noise, mean 0 and standard deviation 1."""
        field = _noise(scale)
        down, right = self.rng.integers(0, [n - m + 1 for n, m in zip(field.shape, self.image.shape, strict=True)])
        return field[down : down + self.image.shape[0], right : right + self.image.shape[1]]


@cache
def _noise(scale: str) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    size, sigma = {"fine": (0, 1.1), "streaks": (1, (6.0, 1.3)), "blobs": (2, 9.0), "wide": (3, 40.0)}[scale]
    white = np.random.default_rng([7, size]).standard_normal((1024, 1024), dtype=np.float32)
    smooth = gaussian_filter(white, sigma, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def _ellipse(a: np.ndarray, b: np.ndarray, half_a: float | np.ndarray, half_b: float | np.ndarray) -> np.ndarray:
    """About the distance to an ellipse around (0, 0)."""
    return (np.sqrt((a / half_a) ** 2 + (b / half_b) ** 2) - 1) * np.minimum(half_a, half_b).astype(np.float32)


def _both(*parts: np.ndarray, round_by: float = 0.0) -> np.ndarray:
    """Distance to where all parts overlap, with corners rounded by so many mm."""
    inside = parts[0]
    for part in parts[1:]:
        inside = np.maximum(inside, part)
    if not round_by:
        return inside
    outside = np.zeros((), dtype=np.float32)
    for part in parts:
        outside = outside + np.maximum(part + np.float32(round_by), 0) ** 2
    return np.sqrt(outside) + np.minimum(inside + np.float32(round_by), 0) - np.float32(round_by)


def _bar(a: np.ndarray, b: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Distance to the line between two points of a plane."""
    (a0, b0), (a1, b1) = start, end
    part = np.clip(((a - a0) * (a1 - a0) + (b - b0) * (b1 - b0)) / ((a1 - a0) ** 2 + (b1 - b0) ** 2), 0, 1)
    return np.sqrt((a - a0 - part * (a1 - a0)) ** 2 + (b - b0 - part * (b1 - b0)) ** 2)


def render(
    plane: Plane, x: np.ndarray, weighting: str, narrowing: np.ndarray, mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Signal (H, W) of one slice.

    `x` is mm to the left and broadcasts with the plane; `narrowing`, 0 to 1, is by condition and graded level, and zero
    for the conditions this kind of series does not show. `mm` is the size of a pixel.
    """
    x = np.asarray(x - plane.bend, dtype=np.float32)
    canvas = Canvas(np.broadcast_shapes(x.shape, plane.y.shape), weighting, mm, rng)
    by_disc = np.zeros((len(CONDITIONS), len(DISC)), dtype=np.float32)
    by_disc[:, GRADED] = narrowing
    canal, *sides = by_disc
    foramen, recess = (np.where(x > 0, left[plane.disc], right[plane.disc]) for left, right in (sides[:2], sides[2:]))
    _paint_front(canvas, plane, x)
    _paint_back(canvas, plane, np.abs(x))
    _paint_column(canvas, plane, x)
    _paint_foramina(canvas, plane, np.abs(x), foramen)
    _paint_joints(canvas, plane, np.abs(x), foramen, recess)
    _paint_processes(canvas, plane, np.abs(x))
    _paint_canal(canvas, plane, x, canal, recess)
    return _expose(canvas, plane, x)


def _paint_front(canvas: Canvas, plane: Plane, x: np.ndarray) -> None:
    """Abdomen, kidneys, great vessels and psoas, in front of and beside the spine."""
    patient, t, s = plane.patient, plane.t, plane.s
    before, width = plane.size["before"], plane.size["width"]
    front = t + before + 8
    bowel = canvas.texture("blobs") + canvas.texture("wide")
    gas = canvas.mix("organ", "vessel", np.clip(bowel - 1.2, 0, 1))
    canvas.paint(plane.ahead + 32 + 4 * canvas.texture("wide"), gas, np.clip(0.3 + 0.8 * bowel, 0, 1))
    for side in (-1, 1):
        kidney = _both(_ellipse(x - side * 76, t + 2, 20, 26), s - patient.s_body[L1 + 2])
        canvas.paint(kidney, "organ")
    size = np.clip(7 + 0.11 * np.maximum(s - patient.s_body[L1], 0), 0, 18)
    meat = canvas.mix("muscle", "fat", _marbled(canvas, 0.05))
    for side in (-1, 1):
        psoas = _ellipse(x - side * (width + 0.8 * size), t + 1, size, 1.3 * size)
        canvas.paint(_both(psoas, patient.s_disc[1] - s), meat)
    fork = np.maximum(s - patient.s_body[L4], 0)
    for side, calibre, off in ((1, 8.0, 10), (-1, 9.5, -14)):
        vessel = _ellipse(x - off - side * 0.4 * fork, front + calibre - 2, calibre, 0.85 * calibre)
        canvas.paint(vessel - 0.8, "muscle")
        canvas.paint(vessel, "vessel")


def _marbled(canvas: Canvas, fatty: float) -> np.ndarray:
    """How much fat runs through a muscle."""
    return np.clip(fatty + 0.10 * canvas.texture("streaks") + 0.07 * canvas.texture("fine"), 0, 0.9)


def _paint_back(canvas: Canvas, plane: Plane, side: np.ndarray) -> None:
    """Back muscles, the ligaments between the spinous processes, and the fat under the skin."""
    patient = plane.patient
    behind = plane.p - plane.size["canal"]
    tall = np.maximum(plane.size["spinous"] / 28, 0.3)
    fatty = 0.08 + 0.14 * float(patient.degeneration[GRADED].mean())
    meat = canvas.mix("muscle", "fat", _marbled(canvas, fatty))
    for aside, deep, half_side, half_deep in ((11.5, 17, 11.5, 15), (32, 14, 21, 20)):
        canvas.paint(_ellipse(side - aside, behind - deep * tall, half_side, half_deep * tall), meat)
    canvas.paint(_ellipse(side - 58 - 0.25 * plane.t, plane.t - 16, 10, 20), meat)
    middle = _both(side - 3.5, -behind - 2, behind - plane.size["spinous"] - 2)
    canvas.paint(middle, canvas.mix("ligament", "fat", np.clip(0.35 + 0.3 * canvas.texture("streaks"), 0, 1)))
    depth = _under_skin(plane, side)
    canvas.paint(depth - patient.fat, "fat")
    canvas.rim(depth - patient.fat, 0.7, "ligament")


def _under_skin(plane: Plane, side: np.ndarray) -> np.ndarray:
    """Mm under the skin of the back, which falls off to the sides and has a furrow in the middle."""
    return plane.depth - side**2 / 650 + 4 * np.exp(-((side / 11) ** 2)) - 4


def _paint_column(canvas: Canvas, plane: Plane, x: np.ndarray) -> None:
    """Vertebral bodies and discs."""
    patient, under, down = plane.patient, plane.under, plane.down
    half_body, half_disc = patient.half_body[plane.body], patient.half_disc[plane.disc]
    before, width = plane.size["before"], plane.size["width"]
    worn, shape = patient.degeneration[plane.disc], patient.shape[plane.body]
    waist = np.clip(1 - (down / half_body) ** 2, 0, 1)
    radius = np.sqrt((x / width) ** 2 + (plane.t / (before + 4)) ** 2)
    size = np.minimum(width, before)
    dent = np.exp(-((x / 7) ** 2))
    spur = plane.fading(1.8 * np.clip(patient.degeneration - 0.4, 0, 1), 4.0)
    back = plane.p + 1.2 * dent - plane.bulge
    column = _both((radius - 1) * size - 0.6 - spur, back - 0.3)
    canvas.paint(column - 1.0, "ligament")
    canvas.paint(column, canvas.mix("annulus", "ligament", np.clip(0.3 + 0.3 * canvas.texture("fine"), 0, 1)))
    lens = np.abs(under) - half_disc * (1.15 - 0.6 * radius**2) + 0.6
    core = _both(lens, (radius - 0.74) * size, back + 4.5, round_by=2)
    canvas.paint(0.45 * core + 0.3, canvas.mix("nucleus", "annulus", np.clip(1.5 * worn - 0.1, 0, 1)))
    canvas.paint(_both(core + 2, np.abs(under) - 0.4), "annulus", 0.35 * (1 - worn))
    bone = _both(
        (radius - 1 + (0.07 + 0.02 * shape) * waist) * size - spur,
        plane.p + (1.2 + 1.4 * waist) * dent,
        np.abs(down - 0.02 * shape * plane.t) - half_body + 1.6 * np.clip(1 - radius**2, 0, 1) - 0.3,
        round_by=2.5,
    )
    canvas.rim(bone, 1.1)
    ends = np.exp(-np.maximum(half_body - np.abs(down), 0) / 4) * patient.modic[plane.disc]
    mottle = 0.04 + 0.05 * canvas.texture("fine") + 0.05 * canvas.texture("blobs") + ends
    canvas.paint(bone + 0.5, canvas.mix("marrow", "fat", np.clip(mottle, -0.5, 1)))
    vein = _both(_ellipse(plane.p + 4.5, down, 5.5, 1.4) + 0.3 * np.abs(x), patient.s_disc[1] - plane.s)
    canvas.paint(vein, canvas.mix("marrow", "fluid", 0.5), 0.5)


def _paint_foramina(canvas: Canvas, plane: Plane, side: np.ndarray, narrowing: np.ndarray) -> None:
    """Pedicles, the fat of the canal and of the foramina, and the nerve root that leaves under each pedicle.

    Narrowing takes the fat: the disc bulges into the foramen, and the root is flattened.
    """
    patient, p, under, apart = plane.patient, plane.p, plane.under, plane.size["pedicle"]
    bony = p - 14 + 0.4 * np.maximum(side - 20, 0)
    canvas.paint(_both(side - 26, -p - 1 + plane.bulge, bony, plane.s - patient.s_disc[S1]), "fat")
    tall = np.abs(plane.down + patient.half_body[plane.body] - 9.5) - 9.5
    pedicle = _both(np.abs(side - apart) - 4.4, tall, np.abs(p - 3.5) - 9.5, round_by=2)
    canvas.paint(pedicle, canvas.mix("marrow", "fat", np.clip(0.10 + 0.06 * canvas.texture("fine"), 0, 1)))
    open_to = np.abs(side - 18) - 9.0
    drop = under + 5.0
    outline = _ellipse(drop, p - 4.5, 12.0, 7.5 - 0.14 * drop)
    canvas.paint(_both(outline - 0.8, pedicle, 1.5 - p), "cortex", 0.7)
    hole = _both(outline, open_to, -p - 0.5 + plane.bulge)
    canvas.paint(hole, "fat")
    canvas.paint(hole, canvas.mix("ligament", "muscle", 0.7), np.clip(1.35 * narrowing - 0.3, 0, 0.96))
    lip = _both(p - 7.5 * narrowing, open_to, np.abs(under) - 4.5 - 2.5 * narrowing, -p - 2, round_by=1.5)
    canvas.paint(lip, "annulus", np.clip(5 * narrowing, 0, 1))
    fall = under + 10 - 0.3 * (side - 14)
    root = _ellipse(fall, p - 5.0, 3.5 - 1.2 * narrowing, 2.8 - 0.9 * narrowing)
    canvas.paint(_both(root, np.abs(side - 20) - 10), "nerve")
    vein = _both(_ellipse(fall - 6, p - 3.0, 1.3, 0.9), np.abs(side - 17) - 5)
    canvas.paint(vein, "vessel", 0.7 * (1 - narrowing))


def _paint_joints(canvas: Canvas, plane: Plane, side: np.ndarray, foramen: np.ndarray, recess: np.ndarray) -> None:
    """Facet joints: the upper process of each vertebra in front, the lower process of its neighbour behind it.

    `across` runs along the joint from the middle outwards, `forward` at right angles to it.
    """
    under, over = plane.under, plane.over
    off_side = side - plane.size["pedicle"] + 1 + 4.0 * recess
    off_p = plane.p - plane.size["canal"] - 1 + 4.5 * recess
    across = 0.78 * off_side + 0.62 * off_p
    forward = 0.62 * off_side - 0.78 * off_p - across**2 / 30
    wide = np.abs(across) - 8 * (1 + 0.2 * recess + 0.15 * foramen)
    upper_half = 3.6 + 0.9 * foramen + 0.09 * np.clip(under - 4, -20, 8)
    upper = _both(
        wide, np.abs(forward - 0.8 - upper_half) - upper_half, -under - 13 - 2 * foramen, under - 15, round_by=3
    )
    lower_half = 3.6 - 0.06 * np.clip(over + 10, -15, 20)
    lower = _both(wide - 0.5, np.abs(forward + 0.8 + lower_half) - lower_half, -over - 26, over - 11, round_by=3)
    gap = _both(np.abs(across) - 7, np.abs(forward) - 0.8, np.abs(under) - 9)
    canvas.paint(gap, canvas.mix("annulus", "fluid", 0.5))
    marrow = canvas.mix("marrow", "fat", np.clip(0.12 + 0.06 * canvas.texture("fine"), 0, 1))
    for part in (upper, lower):
        canvas.rim(part, 0.9)
        canvas.paint(part + 0.4, marrow)


def _paint_processes(canvas: Canvas, plane: Plane, side: np.ndarray) -> None:
    """Laminae, which lean over each other like tiles, spinous processes, and the yellow ligament between laminae."""
    patient, behind = plane.patient, plane.p - plane.size["canal"]
    marrow = canvas.mix("marrow", "fat", np.clip(0.15 + 0.06 * canvas.texture("fine"), 0, 1))
    yellow = _bar(side, behind, (1, 4.5), (11, -1.0)) - 1.4
    canvas.paint(_both(yellow, np.abs(plane.under + 1) - 11), "ligament")
    lamina = _both(
        _bar(side, behind, (0, 8.5), (13, 2.0)) - 3, np.abs(plane.tile - 6 - 0.7 * behind) - 8.5, side - 13, round_by=2
    )
    length, shape = plane.size["spinous"], patient.shape[plane.process]
    drop = plane.drop - 7 - 0.5 * shape - 0.17 * (behind - 6)
    half = (5.5 + 0.22 * np.clip(behind - 6, 0, 16)) * np.clip(length / 25, 0.3, 1.1)
    spine = _both(side - 3.2, np.abs(drop) - half, 7 - behind, behind - length - shape, round_by=4)
    for part in (lamina, spine):
        canvas.rim(part, 0.9)
        canvas.paint(part + 0.4, marrow)


def _paint_canal(canvas: Canvas, plane: Plane, x: np.ndarray, canal: np.ndarray, recess: np.ndarray) -> None:
    """Fat around the sac, the sac with its fluid, the cord, and what narrows the canal and its recesses."""
    patient, p, s, side, back = plane.patient, plane.p, plane.s, np.abs(x), plane.size["canal"]
    end = patient.s_body[S1 + 1]
    tight, aside = plane.fading(canal, 5.0), plane.fading(1.0, 9.0) * recess
    pad = plane.fading(1.0, 5.5, 1.0)
    fat = _both(_ellipse(x, p - back / 2 - 1.5 * pad, 11.5 - 3 * aside, back / 2 + 2.5 * pad), -p, s - end - 20)
    canvas.paint(fat, "fat")
    front = np.maximum(plane.size["gap"], plane.bulge + 0.6) + 0.42 * tight * back
    rear = back - 0.6 - 0.38 * tight * back
    half = np.maximum((rear - front) / 2, 0.6) * np.sqrt(np.clip((end + 12 - s) / 30, 1e-3, 1))
    middle = (rear + front) / 2
    wide = plane.size["sac"] - 1.5 * tight - 4.0 * aside
    sac = _both(_ellipse(x, p - middle, wide, half), s - end - 12)
    canvas.paint(sac - 0.8, "ligament", 0.8)
    canvas.paint(sac, _sac_signal(canvas, plane, x, (p - front) / (rear - front), tight))
    thin = np.clip((patient.conus - s) / 28, 0.001, 1) ** 0.6
    canvas.paint(_both(_ellipse(x, p - middle - 0.8, 4.6 * thin, 3.6 * thin), s - patient.conus), "nerve")
    pressed = 0.15 - tight
    canvas.paint(_both(p - 0.5 - 0.42 * tight * back, -p - 1, side - 10, pressed), "annulus")
    canvas.paint(_both(back - 0.5 - p - 0.38 * tight * back, p - back - 1.5, side - 9, pressed), "ligament")
    canvas.paint(_both(_ellipse(side - 9, p, 7.0, 0.4 + 4.6 * aside), 0.1 - aside), "annulus")
    yellow = _ellipse(side - 10, p - back + 3.5, 2 + 2.5 * aside, 1 + 4.5 * aside)
    canvas.paint(_both(yellow, 0.1 - aside), canvas.mix("ligament", "muscle", 0.8))
    canvas.paint(_ellipse(side - 10 + 2.0 * aside, p - 4.5, 1.8, 1.8 - 0.6 * aside), "nerve")


def _sac_signal(canvas: Canvas, plane: Plane, x: np.ndarray, share: np.ndarray, tight: np.ndarray) -> np.ndarray:
    """Fluid with roots in it: strands along the spine, dense at the back, crowded where the canal is narrow."""
    patient, s = plane.patient, plane.s
    row, column = np.broadcast_arrays((x * 5 + 0.1 * s).astype(int), (np.clip(share, 0, 1) * 26).astype(int))
    roots = _noise("streaks")[row % 1024, column]
    hanging = np.clip((s - patient.conus + 25) / 20, 0, 1) * np.clip((patient.s_body[S1] - s) / 110 + 0.45, 0, 1)
    crowd = np.clip(0.45 * roots + 2.6 * (share - 0.47) + 1.2 * tight, 0, 0.95)
    return canvas.mix("fluid", "nerve", crowd * np.maximum(hanging, tight))


def _expose(canvas: Canvas, plane: Plane, x: np.ndarray) -> np.ndarray:
    """Skin and air, the coil's reach, the saturation band in front, and noise."""
    patient, depth = plane.patient, _under_skin(plane, np.abs(x))
    canvas.rim(depth - 0.9, 1.2, "muscle")
    canvas.paint(depth, "air")
    reach = 1.3 * np.exp(np.maximum(depth, 0) * np.float32(-1 / patient.coil)) + 0.08 * canvas.texture("wide")
    band = 1 - patient.band / (1 + np.exp((plane.ahead + 45) / 4))
    image = canvas.image * np.clip(reach, 0.02, 2) * band * (1 + 0.03 * canvas.texture("fine"))
    noise = canvas.rng.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(patient.noise)
    return np.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)
