"""Reading one DICOM image, from any hospital, or saying in one sentence why it cannot be read."""

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from medutils.errors import InputError
from medutils.files import explain

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_PIXELS = 64_000_000  # 8,000 x 8,000: above any film scanner or mammography detector
MAX_BYTES = 1_000_000_000
GDCM = "gdcm"  # as pydicom calls it
PERCENTILES = (1.0, 99.0)
GREY = ("MONOCHROME1", "MONOCHROME2")
IMAGE_TAGS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)

Window = Literal["header"] | tuple[float, float] | None


def write_film(path: Path, pixels: np.ndarray, kind: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2") -> None:
    """Write uint8 or uint16 pixels (H, W) as an X-ray unit stores a film; of MONOCHROME1 the lowest value is white."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = generate_uid(entropy_srcs=[path.name, kind])
    made.set_pixel_data(pixels, kind, 8 * pixels.itemsize)
    made.save_as(path, enforce_file_format=True)


def read_dicom(path: Path, window: Window = None) -> np.ndarray:
    """Read a grey single-frame DICOM file as uint8 of shape (H, W), bright where the film is bright.

    Rescale slope and intercept are applied, the window maps values to 0..255, and MONOCHROME1 is inverted after that.

    Parameters
    ----------
    path: the file; compressed syntaxes are read where pydicom finds a decoder for them, JPEG Lossless and JPEG-LS by
        GDCM
    window: None for the range between the image's own 1st and 99th percentiles; "header" for the file's WindowCenter
        and WindowWidth, by PS3.3 C.11.2.1.2 and its VOILUTFunction (percentiles when it has none); or (centre, width)
        in rescaled units, from centre - width / 2 to centre + width / 2

    Raises `InputError` when the file is no readable grey image (see `read_values`) or the window is none.
    """
    values, header = read_values(path)
    image = apply_window(values, *_window_limits(values, header, window, path))
    return 255 - image if header.PhotometricInterpretation == "MONOCHROME1" else image


def read_values(path: Path) -> "tuple[np.ndarray, Dataset]":
    """Read the rescaled values of a grey DICOM file, float32 of shape (H, W), and its data set.

    Values are in the file's own units and not inverted: with MONOCHROME1 low is bright.

    Raises `InputError` when the file is not DICOM, lacks pixel data or a tag (named), is in colour, holds several
    frames, has more than 64 million pixels, is truncated, or is compressed in a syntax that cannot be decoded here.
    """
    from pydicom.pixels import apply_modality_lut, pixel_array

    header = read_header(path, pixels=True)
    check_image(header, path)
    if "PixelData" not in header:
        raise InputError(f"{path}: found no pixel data; expected an image")
    decoder = _decoder(header, path)
    with damage_named(path, "pixel data"):
        stored = _by_gdcm(path) if decoder == GDCM else pixel_array(header, decoding_plugin=decoder)
        values = apply_modality_lut(stored, header).astype(np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(f"{path}: found rescaled values that are no finite grey image; expected (rows, columns)")
    return values, header


def read_header(path: Path, *, pixels: bool = False) -> "Dataset":
    """Read a DICOM file's data set, its pixels only if asked for; `InputError` when it is no readable DICOM file."""
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with damage_named(path, "DICOM data set"):
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path}: found {size:,} bytes; expected at most {MAX_BYTES:,}")
        try:
            syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
        except InvalidDicomError as error:
            raise InputError(f"{path}: is not a DICOM file; expected the letters DICM after 128 bytes") from error
        # pydicom would inflate the whole file before anything of it is known: a small one could fill the memory.
        if syntax == DeflatedExplicitVRLittleEndian:
            raise InputError(f"{path}: its transfer syntax is {syntax.name}, which is not read; expected another one")
        with warnings.catch_warnings(record=True, action="always") as said:
            header = pydicom.dcmread(path, stop_before_pixels=not pixels)
        if any("End of file reached" in str(one.message) for one in said):
            raise InputError(f"{path}: is cut off: its data set has no end")
        return header


def check_image(header: "Dataset", path: Path) -> None:
    """Raise an `InputError` unless the data set describes one grey frame of a bearable size."""
    require_tags(header, IMAGE_TAGS, path)
    with damage_named(path, "description of its pixels"):
        if header.SamplesPerPixel != 1 or header.PhotometricInterpretation not in GREY:
            found = header.PhotometricInterpretation
            raise InputError(f"{path}: its PhotometricInterpretation is {found}; expected {' or '.join(GREY)}")
        if (frames := header.get("NumberOfFrames") or 1) > 1:
            raise InputError(f"{path}: holds {frames} frames; expected one")
        if header.Rows * header.Columns > MAX_PIXELS:
            raise InputError(f"{path}: has {header.Rows} x {header.Columns} pixels; expected at most {MAX_PIXELS:,}")


def require_tags(header: "Dataset", tags: tuple[str, ...], path: Path) -> None:
    """Raise an `InputError` that names the first of `tags` the data set lacks, or holds without a value."""
    for tag in tags:
        with damage_named(path, f"tag {tag}"):
            if header.get(tag) in (None, ""):
                raise InputError(f"{path}: found no tag {tag}; expected it in an image")


def apply_window(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map values to uint8: `low` and below to 0, `high` and above to 255, between them linearly."""
    scaled = (values - low) * (255 / max(high - low, 1e-6))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def percentile_limits(values: np.ndarray) -> tuple[float, float]:
    """The values' 1st and 99th percentiles: the window of an image that names none."""
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


def _window_limits(values: np.ndarray, header: "Dataset", window: Window, path: Path) -> tuple[float, float]:
    if window == "header":
        limits = _header_limits(header, path)
        return percentile_limits(values) if limits is None else limits
    if window is None:
        return percentile_limits(values)
    if not (isinstance(window, Sequence) and len(window) == 2) or isinstance(window, str):
        raise InputError(f"window: found {window!r}; expected None, 'header' or (centre, width)")
    return _limits(*window, path)


def _limits(centre: float, width: float, path: Path) -> tuple[float, float]:
    if not (width > 0 and np.isfinite([centre, width]).all()):
        raise InputError(f"{path}: the window's centre is {centre} and its width is {width}; expected a width above 0")
    return centre - width / 2, centre + width / 2


def _header_limits(header: "Dataset", path: Path) -> tuple[float, float] | None:
    """The limits that WindowCenter and WindowWidth give; the first pair where a file names several views.

    With the function LINEAR, which is meant where a file names none, a width counts grey values and so includes both
    limits: they are width - 1 apart, about centre - 0.5.
    """
    with damage_named(path, "window"):
        pair = [header.get(tag) for tag in ("WindowCenter", "WindowWidth")]
        if any(value in (None, "") for value in pair):
            return None
        centre, width = (float(np.atleast_1d(value)[0]) for value in pair)
        function = header.get("VOILUTFunction") or "LINEAR"
        if function not in ("LINEAR", "LINEAR_EXACT"):
            raise InputError(f"{path}: its VOILUTFunction is {function}; expected LINEAR or LINEAR_EXACT")
    low, high = _limits(centre, width, path)
    if function == "LINEAR_EXACT":
        return low, high
    if width < 1:
        raise InputError(f"{path}: the window's width is {width}; expected 1 or more with the function LINEAR")
    return low, high - 1


def _decoder(header: "Dataset", path: Path) -> str:
    """The library that decodes the file's pixels, "" where none is needed: GDCM only for what no other one can."""
    from pydicom.pixels import get_decoder

    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise InputError(f"{path}: found no tag TransferSyntaxUID; expected it in the file's meta information")
    if not syntax.is_compressed:
        return ""
    try:
        names = get_decoder(syntax).available_plugins
    except NotImplementedError:
        names = ()
    if not names:
        raise InputError(
            f"{path}: its transfer syntax is {syntax.name}, which cannot be decoded on this machine; "
            "expected an uncompressed one, JPEG, JPEG-LS, JPEG 2000 or RLE"
        )
    return min(names, key=lambda name: name == GDCM)


def _by_gdcm(path: Path) -> np.ndarray:
    """Stored pixels decoded in another process: on some damaged files GDCM does not fail, but ends its process."""
    try:
        return _other_process().submit(_decode_by_gdcm, path).result()
    except BrokenProcessPool as error:
        _other_process.cache_clear()
        raise RuntimeError("its decoder broke down over them") from error


@cache
def _other_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_serve)


def _serve() -> None:
    """Say nothing, since libraries write to the terminal past Python, and end with the process that asked."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _decode_by_gdcm(path: Path) -> np.ndarray:
    from pydicom.pixels import pixel_array

    header = read_header(path, pixels=True)
    try:
        return pixel_array(header, decoding_plugin=GDCM)
    except RuntimeError as error:  # pydicom's own, which tells of its wrapper and not of the file
        raise RuntimeError("GDCM cannot decode them") from error


@contextmanager
def damage_named(path: Path, part: str) -> Iterator[None]:
    """Turn whatever is raised inside into one sentence: on a damaged file, pydicom and the decoders raise anything.

    What they warn of is not shown: it is in the sentence, or did not keep the file from being read.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except InputError:
        raise
    except OSError as error:
        raise explain(error, path) from error
    except Exception as error:
        # pydicom puts a line before what each of its decoders said.
        lines = [line.strip() for line in str(error).splitlines() if not line.endswith(":")]
        reason = (next(filter(None, lines), "") or type(error).__name__).rstrip(".")
        raise InputError(f"{path}: its {part} is damaged or cut off ({reason})") from error
