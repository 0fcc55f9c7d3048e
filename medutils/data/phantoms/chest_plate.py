"""The plate that the chest phantom is drawn on: shapes in anatomical coordinates become maps of pixels.

Coordinates are those of a frontal film as it hangs: x grows to the right of the image, which is the patient's left,
and y grows downwards. The unit is half the inner width of the rib cage; (0, 0) lies on the midline at the height of
the lung apices.
"""

import math
from functools import lru_cache

import cv2
import numpy as np

Map = np.ndarray  # float32, shape (rows, columns)
Curves = np.ndarray  # points of one or more curves, shape (..., points, 2): x, y
Strokes = list[tuple[Curves, float]]  # curves and the width they are drawn with

EXTENT = 3.6  # width of what is drawn
ORIGIN = np.array([-EXTENT / 2, -0.75], np.float32)  # its upper left corner
SUBPIXEL = 4  # binary digits after the point in the coordinates given to OpenCV


class Plate:
    """The grid that the anatomy is drawn on: `columns` square pixels wide, and `height` high in anatomical units."""

    def __init__(self, columns: int, height: float) -> None:
        self.density = columns / EXTENT
        self.shape = (round(height * self.density), columns)
        centres = (np.arange(max(self.shape), dtype=np.float32) + 0.5) / self.density
        self.x = (centres + ORIGIN[0])[None, :columns]
        self.y = (centres + ORIGIN[1])[: self.shape[0], None]
        self.soft = 0.7 / self.density

    def step(self, distance: Map, softness: float = 0.0) -> Map:
        """1 where `distance` is well above 0, 0 where it is well below, a smooth edge between."""
        return np.clip(distance / (2 * (self.soft + softness)) + 0.5, 0, 1)

    def pixels(self, points: Curves) -> np.ndarray:
        """Points in anatomical units as OpenCV's fixed-point pixel coordinates, shape (curves, points, 2)."""
        fixed = np.rint(((points - ORIGIN) * self.density - 0.5) * (1 << SUBPIXEL)).astype(np.int32)
        return fixed.reshape(-1, *points.shape[-2:])

    def filled(self, outlines: Curves, level: float = 1.0) -> Map:
        """Polygons painted with `level`."""
        image = np.zeros(self.shape, np.uint8)
        for outline in self.pixels(outlines):
            cv2.fillPoly(image, [outline], 255, cv2.LINE_AA, SUBPIXEL)
        return image * np.float32(level / 255)

    def stroked(self, strokes: Strokes) -> Map:
        """Curves of the given widths; a width below a pixel is drawn as a fainter line."""
        image = np.zeros(self.shape, np.uint8)
        for curves, width in sorted(strokes, key=lambda stroke: stroke[1]):
            wide = width * self.density
            level = int(255 * min(1.0, wide / 1.2))
            cv2.polylines(image, list(self.pixels(curves)), False, level, max(1, round(wide)), cv2.LINE_AA, SUBPIXEL)
        return image * np.float32(1 / 255)

    def ellipse(self, x: float, y: float, a: float, b: float, tilt: float = 0.0) -> Map:
        """Path length through an ellipsoid of half axes a and b, 1 at its centre and 0 outside."""
        c, s = math.cos(tilt), math.sin(tilt)
        columns = self._around(x, math.hypot(a * c, b * s), ORIGIN[0])
        rows = self._around(y, math.hypot(a * s, b * c), ORIGIN[1])
        dx, dy = self.x[:, columns] - np.float32(x), self.y[rows] - np.float32(y)
        u, v = (dx * (c / a) + dy * (s / a)), (dy * (c / b) - dx * (s / b))
        path = np.zeros(self.shape, np.float32)
        path[rows, columns] = np.sqrt(np.maximum(1 - u * u - v * v, 0))
        return path

    def _around(self, centre: float, reach: float, origin: float) -> slice:
        """The pixels of one axis within `reach` of `centre`; `origin` is where the axis begins."""
        first, last = ((centre + sign * reach - origin) * self.density for sign in (-1, 1))
        return slice(max(0, int(first)), max(0, int(last) + 1))

    def tube(self, start: tuple[float, float], end: tuple[float, float], radius: float) -> Map:
        """Path length through a round tube with round ends, 1 on its axis and 0 outside."""
        (ax, ay), (bx, by) = start, end
        columns = self._around((ax + bx) / 2, abs(bx - ax) / 2 + radius, ORIGIN[0])
        rows = self._around((ay + by) / 2, abs(by - ay) / 2 + radius, ORIGIN[1])
        dx, dy = bx - ax, by - ay
        x, y = self.x[:, columns] - ax, self.y[rows] - ay
        along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
        squared = (x - along * dx) ** 2 + (y - along * dy) ** 2
        path = np.zeros(self.shape, np.float32)
        path[rows, columns] = np.sqrt(np.maximum(1 - squared / radius**2, 0))
        return path

    def cloud(self, rng: np.random.Generator, grain: float) -> Map:
        """Smooth noise of unit variance with features of about `grain`."""
        cells = max(3, round(EXTENT / grain))
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        rows, columns = self.shape
        return cv2.resize(coarse, (columns, columns), interpolation=cv2.INTER_CUBIC)[:rows]


plate = lru_cache(maxsize=16)(Plate)
