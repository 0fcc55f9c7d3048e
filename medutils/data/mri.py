"""From the values of an MRI slice to 8-bit grey: normalised, histogram-equalised, and as write-up 001 did it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medutils.data.dicom import apply_window, percentile_limits, read_dicom, read_values

Grey = Literal["gsl", "hist", "clipped"]
Greys = NDArray[np.uint8]


def grey_levels(values: NDArray[Any]) -> Greys:
    """GSL, grey-level normalisation: (..., H, W) of any range to uint8 of the same shape, each slice for itself.

    A slice's 1st percentile and below become 0, its 99th and above 255, and what lies between is linear: one bright
    vessel does not darken the rest, and nothing depends on the scanner's gain. A slice of one value becomes 0.
    """
    return _each(lambda one: apply_window(one, *percentile_limits(one)), values)


def equalised(grey: Greys) -> Greys:
    """HIST, histogram equalisation: uint8 (..., H, W) to the same shape, each slice for itself.

    `cv2.equalizeHist`, as in write-up 001: after it all grey levels are about equally frequent. A slice of one value
    stays as it is.
    """
    import cv2

    return _each(lambda one: np.asarray(cv2.equalizeHist(one), np.uint8), np.ascontiguousarray(grey))


def clipped(stored: NDArray[np.unsignedinteger[Any]]) -> Greys:
    """What PIL's `convert("L")` makes of 16-bit pixels, a fault of write-up 001: all above 255 becomes 255.

    uint16 (..., H, W) to uint8 of the same shape. For an experiment alone: of a T1 series half of the tissue can come
    out white.
    """
    return np.minimum(stored, 255).astype(np.uint8)


def read_grey(path: Path, size: int, grey: Grey = "gsl") -> Greys:
    """Read a DICOM slice as uint8 (size, size), squashed to a square (bilinear).

    grey: `gsl` (percentiles of the rescaled values, MONOCHROME1 inverted; see `grey_levels`), `hist` (the same,
        equalised at `size`), or `clipped`, a fault for an experiment: the stored pixels clipped at 255, never inverted

    Raises `InputError` for what `read_dicom` refuses.
    """
    whole = _stored_and_clipped(path) if grey == "clipped" else read_dicom(path)
    small = np.asarray(Image.fromarray(whole).resize((size, size), Image.Resampling.BILINEAR))
    return equalised(small) if grey == "hist" else small


def _stored_and_clipped(path: Path) -> Greys:
    """The stored pixels, from which the write-up began: what rescaling did is undone."""
    values, header = read_values(path)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return clipped(np.rint((values - intercept) / slope).clip(0, 65535).astype(np.uint16))


def _each(work: Callable[[NDArray[Any]], Greys], slices: NDArray[Any]) -> Greys:
    """`work` on each slice of (..., H, W)."""
    flat = slices.reshape(-1, *slices.shape[-2:])
    return np.stack([work(one) for one in flat]).reshape(slices.shape) if len(flat) else slices.astype(np.uint8)
