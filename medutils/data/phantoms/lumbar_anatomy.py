"""The lumbar phantom's anatomy: a patient's measures, and where the points of a slice lie along the spine.

The spine is a curve; a point in the patient is told by `s` (mm along the curve, downwards), `p` (mm behind the back
wall of the vertebral bodies) and `x` (mm to the patient's left). With them, sagittal and axial slices are cuts through
one patient.
"""

from dataclasses import dataclass

import numpy as np

# From T10 to S4, in mm (means of adults, rounded): half heights of the bodies and of the discs below them, depth of the
# back wall behind the curve, half widths, depths of the canal, half widths of the sac and its distance from the back
# wall, distances of the pedicles from the middle, lengths of the spinous processes, depths of the back muscles.
BODY = np.array([21, 22, 24, 26, 27, 27.5, 27.5, 27, 27, 21, 17, 14]) / 2
DISC = np.array([4.5, 5, 6, 8, 9.5, 10.5, 11, 10, 2, 1.4, 1]) / 2
BEFORE = np.array([11, 12, 12.5, 13, 13.5, 14, 14.5, 14.5, 13, 8.5, 5.5, 4])
WIDTH = np.array([16, 17, 19, 21, 22, 23, 24.5, 26, 34, 34, 30, 26])
CANAL = np.array([15, 15, 16, 16.5, 16, 15.5, 15.5, 15.5, 13, 9, 5, 3])
SAC = np.array([9, 9, 9, 9.5, 9.5, 9.5, 9, 8, 6.5, 5, 4, 4])
GAP = np.array([0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 1, 2.5, 5, 4, 3, 3])
PEDICLE = np.array([13.5, 13.5, 14, 14.5, 15, 15.5, 16.5, 18, 19, 19, 19, 19])
SPINOUS = np.array([20, 22, 25, 28, 30, 30, 28, 21, 10, 6, 4, 3])
BACK = np.array([44, 45, 48, 52, 54, 54, 52, 46, 36, 28, 24, 20])
TILT = np.array([-8, -11, -14, -15, -13, -8, 2, 18, 40, 46, 42, 30])  # degrees; above 0 the curve runs backwards
L1, L4, S1 = 3, 6, 8
GRADED = slice(3, 8)  # the discs L1/L2 to L5/S1


@dataclass(frozen=True)
class Patient:
    """One patient's anatomy: lengths in mm, arrays from T10 (or the disc below it) downwards."""

    sizes: dict[str, np.ndarray]  # by body: before, width, canal, sac, gap, pedicle, spinous
    half_body: np.ndarray
    half_disc: np.ndarray
    s_body: np.ndarray
    s_disc: np.ndarray
    curve: np.ndarray  # rows s, y, z, angle (radians)
    skin: np.ndarray  # polynomial of y by z
    fat: float
    scoliosis: float
    conus: float
    degeneration: np.ndarray  # 0 to 1, by disc
    bulge: np.ndarray
    modic: np.ndarray  # by disc: share of fat in the marrow beside it, below 0 for oedema
    shape: np.ndarray  # by body, standard normal: how its outline departs from the mean
    stir: bool
    gain: float
    noise: float
    coil: float
    band: float


def draw_patient(rng: np.random.Generator, burden: np.ndarray) -> Patient:
    """Draw a patient whose five graded discs are as worn as `burden`, standard normal scores, says."""
    scale = rng.normal(1.0, 0.05)
    worn = np.full(len(DISC), burden[0] - 0.5)
    worn[GRADED] = burden
    degeneration = np.clip(0.42 + 0.28 * worn + rng.normal(0, 0.12, len(DISC)), 0, 1)
    half_body = BODY * scale * rng.normal(1, 0.02, len(BODY))
    half_disc = DISC * scale * (1.12 - 0.5 * degeneration)
    ends = np.cumsum(np.c_[2 * half_body, np.r_[2 * half_disc, 0]].ravel())
    s_body, s_disc = ends[::2] - half_body, ends[1:-1:2] - half_disc
    curve = _curve(s_body, np.radians(TILT * rng.uniform(0.7, 1.15) + rng.normal(0, 3)))
    fat = float(np.clip(rng.lognormal(2.7, 0.45), 6, 38))
    return Patient(
        sizes={
            "before": BEFORE * scale,
            "width": WIDTH * scale,
            "canal": CANAL * scale * rng.normal(1, 0.05),
            "sac": SAC * scale,
            "gap": GAP * rng.uniform(0.7, 1.4),
            "pedicle": PEDICLE * scale,
            "spinous": SPINOUS * scale * rng.normal(1, 0.06, len(SPINOUS)),
        },
        half_body=half_body.astype(np.float32),
        half_disc=half_disc.astype(np.float32),
        s_body=s_body.astype(np.float32),
        s_disc=s_disc.astype(np.float32),
        curve=curve,
        skin=_skin(curve, s_body, (BACK + BEFORE) * scale + fat * np.linspace(0.8, 1.3, len(BACK))),
        fat=fat,
        scoliosis=rng.normal(0, 2.0),
        conus=float(s_body[L1]) + rng.uniform(-10, 18),
        degeneration=degeneration.astype(np.float32),
        bulge=(0.3 + 1.6 * degeneration * rng.uniform(0.4, 1, len(DISC))).astype(np.float32),
        modic=_modic(rng, degeneration),
        shape=rng.standard_normal(len(BODY), dtype=np.float32),
        stir=bool(rng.random() < 0.12),
        gain=rng.uniform(500, 1100),
        noise=rng.uniform(0.010, 0.026),
        coil=rng.uniform(80, 240),
        band=rng.uniform(0.3, 0.9),
    )


def _modic(rng: np.random.Generator, degeneration: np.ndarray) -> np.ndarray:
    """Half of the badly worn discs change the marrow beside them, most often to fat."""
    share = rng.uniform(-0.3, 0.8, len(DISC)) * (rng.random(len(DISC)) < 0.5) * (degeneration > 0.6)
    return share.astype(np.float32)


def _curve(s_body: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Integrate the tangent's angle into a curve through (y, z) = (0, 0) at the middle of L4; rows s, y, z, angle."""
    s = np.arange(-60.0, s_body[-1] + 60.0, 0.5)
    angle = np.convolve(np.interp(s, s_body, tilt), np.hanning(63) / np.hanning(63).sum(), mode="same")
    y, z = np.cumsum(np.sin(angle)) * 0.5, -np.cumsum(np.cos(angle)) * 0.5
    return np.stack([s, y - np.interp(s_body[L4], s, y), z - np.interp(s_body[L4], s, z), angle])


def _skin(curve: np.ndarray, s_body: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Fit the outline of the back, y by z, through the points `depth` mm behind the vertebral bodies."""
    at = [np.interp(s_body, curve[0], row) for row in curve[1:]]
    y, z = at[0] + depth * np.cos(at[2]), at[1] + depth * np.sin(at[2])
    return np.polyfit(z, y, 3)


def bend(patient: Patient, s: np.ndarray) -> np.ndarray:
    """How far a scoliosis moves the spine to the left at `s`, mm."""
    return patient.scoliosis * np.sin((s - patient.s_body[0]) / 80)


class Plane:
    """Points of a slice in the sagittal coordinates y and z (mm, float32): where they lie along the spine.

    Nothing here hangs on x, so the sagittal slices of a series share one plane, and an axial slice is one column.
    """

    def __init__(self, patient: Patient, y: np.ndarray, z: np.ndarray) -> None:
        self.patient, self.y, self.z = patient, y, z
        self.s, self.t = _along_curve(patient.curve, y, z)
        self.size = {
            name: np.interp(self.s, patient.s_body, by_body).astype(np.float32)
            for name, by_body in patient.sizes.items()
        }
        self.p = self.t - self.size["before"]
        self.body, self.down = self._nearest_body(0)
        self.disc, self.under = self._nearest_disc(0)
        self.tile = self._nearest_body(7)[1]
        self.process, self.drop = self._nearest_body(12)
        self.over = self._nearest_disc(8)[1]
        self.bulge = self.fading(patient.bulge, 3.5)
        self.bend = bend(patient, self.s)
        self.ahead = (self.y - np.interp(-self.z, -patient.curve[2], patient.curve[1])).astype(np.float32)
        self.depth = (np.polyval(patient.skin, self.z) - self.y).astype(np.float32)

    def _nearest_body(self, above: float) -> tuple[np.ndarray, np.ndarray]:
        """Index of the body nearest to the point `above` mm higher, and mm below that body's middle."""
        body = np.searchsorted(self.patient.s_disc, self.s - above)
        return body, (self.s - self.patient.s_body[body]).astype(np.float32)

    def _nearest_disc(self, above: float) -> tuple[np.ndarray, np.ndarray]:
        """The same for discs."""
        disc = np.searchsorted(self.patient.s_body[1:-1], self.s - above)
        return disc, (self.s - self.patient.s_disc[disc]).astype(np.float32)

    def fading(self, by_disc: np.ndarray | float, reach: float, below: float = 0.0) -> np.ndarray:
        """A quantity of each disc that fades above and below it with a standard deviation of `reach` mm."""
        at_disc = by_disc if isinstance(by_disc, float) else by_disc[self.disc]
        return at_disc * np.exp(np.float32(-0.5 / reach**2) * (self.under - np.float32(below)) ** 2)


def _along_curve(curve: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mm along the curve and mm behind it, for points of a sagittal plane, by Newton's method."""
    s_of, y_of, z_of, angle_of = curve
    s = np.interp(-z, -z_of, s_of)
    bend_of = np.gradient(angle_of, s_of)
    for _ in range(8):
        angle = np.interp(s, s_of, angle_of)
        dy, dz = y - np.interp(s, s_of, y_of), z - np.interp(s, s_of, z_of)
        ahead, behind = dy * np.sin(angle) - dz * np.cos(angle), dy * np.cos(angle) + dz * np.sin(angle)
        s = np.clip(s + ahead / np.clip(1 - np.interp(s, s_of, bend_of) * behind, 0.4, 3), s_of[0], s_of[-1])
    return s.astype(np.float32), behind.astype(np.float32)
