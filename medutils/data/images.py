"""Images: one file read strictly, and many decoded once into a uint8 array on disk."""

import hashlib
import json
import os
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medutils.cache import key_of, locked
from medutils.data.dicom import MAX_PIXELS, read_dicom
from medutils.errors import InputError
from medutils.files import cache_dir, explain, sha256, written_whole

Mode = Literal["L", "RGB"]
Aspect = Literal["keep", "squash"]

# Pillow is told to try no other format: one of those it knows (EPS) starts an outside program to be read.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".dcm"})
VOLUMES = (".mha", ".nii", ".gz")
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # the tag of a TIFF file that says what 0 means, and its value for white
MAX_SIZE = 4096
LIBRARIES = ("pillow", "pydicom", "python-gdcm")
PIXELS = "pixels.npy"
BATCH = 16
# Starting processes costs more than a second, which small sets do not win back.
PROCESSES_FROM_BYTES = 200_000_000
MAX_PROCESSES = 8
PROGRESS_FROM = 500


@dataclass(frozen=True, eq=False)
class ImageArray:
    """Decoded images.

    pixels: uint8 of shape (n, size, size), or (n, size, size, 3) for RGB; a read-only memory map
    kept: int of shape (n,); `pixels[i]` is the image at position `kept[i]` of the paths that were given
    skipped: the files that could not be read, each with what was found and what was expected
    blank: int, those of `kept` whose picture is of one value all over: it was read, and shows nothing
    file: where the pixels lie, as NumPy stores an array; those of `kept` come first
    digest: SHA-256 of that file, as it was checked when the array was opened
    """

    pixels: np.ndarray
    kept: np.ndarray
    skipped: tuple[tuple[Path, str], ...]
    blank: np.ndarray
    file: Path
    digest: str


class _Row(NamedTuple):
    """The bytes of one picture in the array, and whether the picture is of one value all over."""

    pixels: bytes
    blank: bool


# The rows of an array, by position the reasons of the images that have none, the positions of the blank ones, and the
# hash of the rows' file.
_Stored = tuple[np.ndarray, dict[int, str], list[int], str]


def read_image(path: Path, mode: Mode = "L") -> Image.Image:
    """Read one image file (PNG, JPEG, BMP, GIF, TIFF, WebP or DICOM) whole, as 8-bit grey (`L`) or `RGB`.

    A picture of more than 8 bits is scaled linearly, its own smallest value to 0 and its own largest to 255: nothing
    is clipped, and 12 bits stored in 16 do not come out black. A DICOM file, with whatever name, is read by
    `read_dicom`: from its 1st to its 99th percentile. What is stored with white as zero (TIFF WhiteIsZero,
    MONOCHROME1) is inverted, and what is stored turned (the orientation of EXIF) is turned upright. A JPEG read as `L`
    gives the luminance it stores. CMYK, palettes and the like are converted; transparency is dropped.

    Raises `InputError` for a file that is absent, unreadable, empty, damaged, cut short, of another format or animated,
    and, before it is decoded, for one of more than `MAX_PIXELS` pixels.
    """
    return _decode(path, mode)


def build_array(
    paths: Sequence[Path],
    size: int,
    mode: Mode = "L",
    aspect: Aspect = "keep",
    *,
    strict: bool = False,
    cache: Path | None = None,
) -> ImageArray:
    """Decode images once into a uint8 array on disk, and give it back as a memory map.

    Parameters
    ----------
    paths: the image files; what `read_image` refuses is skipped and named, or with `strict` refused here too
    size: height and width of the result, in pixels
    mode: `L` (grey) or `RGB`
    aspect: `keep` pads the shorter side with black, in equal parts; `squash` stretches the picture to a square
    cache: the folder that keeps the arrays; `arrays` in the package's cache unless given

    The array is found again by the content of the files, whatever their names, the parameters and the code that reads
    them. It may be asked for by several processes at once: one builds it and the others wait; a build that is killed
    leaves nothing that counts, and an array that was changed on disk is built again. A JPEG four or more times as large
    as `size` is decoded at a half, a quarter or an eighth of its resolution, never below twice `size`, before it is
    resized (bilinear, with antialiasing); this changes a film by less than one grey level on average.

    Raises `InputError` when a parameter is wrong, no image can be read, or the cache cannot be written.
    """
    _check_parameters(len(paths), size, mode, aspect)
    folder = (cache or cache_dir() / "arrays") / _key(paths, size, mode, aspect)
    stored = _load(folder) or _build(folder, paths, size, mode, aspect)
    pixels, reasons, blank, digest = stored
    skipped = tuple((paths[position], reason) for position, reason in sorted(reasons.items()))
    if skipped and (strict or len(skipped) == len(paths)):
        path, reason = skipped[0]
        raise InputError(f"{path}: {reason} ({len(skipped)} of {len(paths)} images cannot be read)")
    kept = np.setdiff1d(np.arange(len(paths)), list(reasons))
    return ImageArray(pixels[: len(kept)], kept, skipped, np.array(blank, dtype=int), folder / PIXELS, digest)


def _check_parameters(images: int, size: int, mode: str, aspect: str) -> None:
    if not images:
        raise InputError("paths: found no image; expected at least one")
    if not 1 <= size <= MAX_SIZE:
        raise InputError(f"size: found {size}; expected 1 to {MAX_SIZE} pixels")
    for name, found, allowed in (("mode", mode, get_args(Mode)), ("aspect", aspect, get_args(Aspect))):
        if found not in allowed:
            raise InputError(f"{name}: found '{found}'; expected {' or '.join(allowed)}")


def _decode(path: Path, mode: Mode, enough: int | None = None) -> Image.Image:
    """Decode a file; a JPEG may come smaller than it is, but at least `enough` pixels high and wide."""
    try:
        # What a library has to say of a file is in our sentence, or does not matter.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            if os.fstat(file.fileno()).st_size == 0:
                raise InputError(f"{path}: found an empty file; expected an image")
            if _begins_as_dicom(file):
                return Image.fromarray(read_dicom(path)).convert(mode)
            return _decode_open(file, path, mode, enough)
    except OSError as error:
        raise explain(error, path) from error


def is_dicom(path: Path) -> bool:
    """Whether a file that is there begins as a DICOM file does, whatever its name."""
    try:
        with path.open("rb") as file:
            return _begins_as_dicom(file)
    except OSError:
        return False


def _begins_as_dicom(file: BinaryIO) -> bool:
    found = file.read(132)[128:] == b"DICM"
    file.seek(0)
    return found


def _decode_open(file: BinaryIO, path: Path, mode: Mode, enough: int | None) -> Image.Image:
    try:
        with Image.open(file, formats=FORMATS) as image:
            _check_header(image, path)
            image.draft(mode, (enough, enough) if enough else None)
            image.load()
            inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
            with suppress(Exception):  # a film whose EXIF block is damaged is as good as one without
                ImageOps.exif_transpose(image, in_place=True)
            return _eight_bits(image, mode, inverted)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: found no image in it that can be read; expected one of {', '.join(FORMATS)}, DICOM"
        ) from error
    except Image.DecompressionBombError as error:
        found = next((f"{int(word):,}" for word in re.findall(r"\d+", str(error))), "far too many")
        raise InputError(f"{path}: found {found} pixels; expected at most {MAX_PIXELS:,}") from error
    except Exception as error:  # Pillow raises more than a dozen types for a damaged file, SyntaxError among them
        found = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: found a damaged image ({found}); expected a whole one") from error


def _check_header(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"{path}: found {image.width} x {image.height} pixels; expected at most {MAX_PIXELS:,} in all")
    if getattr(image, "is_animated", False):
        raise InputError(f"{path}: found an animation or several pictures; expected a single one")


def _eight_bits(image: Image.Image, mode: Mode, inverted: bool) -> Image.Image:
    """A picture as 8 bits. Of those that are `inverted` (0 is white), Pillow has put right the ones of up to 8 bits."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        low, high = values.min(), values.max()
        if not np.isfinite([low, high]).all():
            raise ValueError("it holds values that are not finite")
        if inverted:
            values, low, high = -values, -high, -low
        image = Image.fromarray(np.rint((values - low) / ((high - low) or 1) * 255).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _key(paths: Iterable[Path], size: int, mode: Mode, aspect: Aspect) -> str:
    """Hash of all that decides the pixels: the files' content and order, the parameters, the code and the libraries."""
    return key_of(build_array, *map(version, LIBRARIES), size, mode, aspect, [_content(path) for path in paths])


def _content(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:
        return "unreadable"


def _load(folder: Path) -> _Stored | None:
    """What is stored; None when it is not as it was written.

    Hashing the array takes about a second for each gigabyte, the time that its first epoch would take to read it from
    disk; a changed pixel or a shifted row would go unseen for ever.
    """
    try:
        reasons, blank, seal = json.loads((folder / "skipped.json").read_text(encoding="utf-8"))
        digest = sha256(folder / PIXELS)
        if seal != _seal(folder.name, digest, reasons, blank):
            return None
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return pixels, {int(position): reason for position, reason in reasons.items()}, blank, digest


def _seal(key: str, digest: str, reasons: dict[str, str], blank: list[int]) -> str:
    """Hash of all that a stored array says, and of the key that it answers."""
    return hashlib.sha256(json.dumps([key, digest, reasons, blank], sort_keys=True).encode()).hexdigest()


def _build(folder: Path, paths: Sequence[Path], size: int, mode: Mode, aspect: Aspect) -> _Stored:
    with locked(folder):
        if (stored := _load(folder)) is None:
            with written_whole(folder) as part:
                said = _write(part, paths, size, mode, aspect)
                sealed = json.dumps([*said, _seal(folder.name, sha256(part / PIXELS), *said)])
                (part / "skipped.json").write_text(sealed, encoding="utf-8")
            stored = _load(folder)
    if stored is None:
        raise InputError(
            f"{folder}: the array just written cannot be read; expected a disk that keeps what it is given"
        )
    return stored


def _write(
    folder: Path, paths: Sequence[Path], size: int, mode: Mode, aspect: Aspect
) -> tuple[dict[str, str], list[int]]:
    """Write the rows of the images that can be read, one after the other.

    Returns by position why others cannot, and the positions of those that are blank.
    """
    shape = (len(paths), size, size, *((3,) if mode == "RGB" else ()))
    reasons: dict[str, str] = {}
    blank: list[int] = []
    folder.mkdir()
    # Written, not mapped: on a full disk writing is an error, while a map ends the process.
    with (folder / PIXELS).open("wb") as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for position, row in enumerate(_shown(_rows(paths, size, mode, aspect), len(paths))):
            if isinstance(row, str):
                reasons[str(position)] = row
                continue
            file.write(row.pixels)
            if row.blank:
                blank.append(position)
        file.truncate(file.tell() + len(reasons) * int(np.prod(shape[1:])))
    return reasons, blank


def _shown(rows: Iterator[_Row | str], total: int) -> Iterable[_Row | str]:
    """A progress bar around a long build, on a terminal only: a notebook's page is no place for one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = total < PROGRESS_FROM or not console.is_terminal
    return track(rows, "Decoding images", total, console=console, transient=True, disable=quiet)


def _rows(paths: Sequence[Path], size: int, mode: Mode, aspect: Aspect) -> Iterator[_Row | str]:
    """Each image's row, in order, or the reason why there is none."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    if sum(map(_bytes_on_disk, paths)) < PROCESSES_FROM_BYTES:
        return _rows_by_thread(batches, size, mode, aspect)
    from joblib import Parallel, cpu_count, delayed

    work = (delayed(_rows_of)(batch, size, mode, aspect) for batch in batches)
    done = Parallel(n_jobs=min(cpu_count(), MAX_PROCESSES), return_as="generator")(work)
    return (row for rows in done for row in rows)


def _bytes_on_disk(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _rows_by_thread(batches: Iterable[Sequence[Path]], size: int, mode: Mode, aspect: Aspect) -> Iterator[_Row | str]:
    """Decode here and resize in a thread: Pillow lets go of Python's lock for both."""
    ahead: deque[Future[list[_Row | str]]] = deque()
    with ThreadPoolExecutor(1) as resizer:
        for batch in batches:
            images = [_decoded(path, size, mode) for path in batch]
            ahead.append(resizer.submit(_fitted_all, images, size, aspect))
            if len(ahead) > 2:
                yield from ahead.popleft().result()
        for rows in ahead:
            yield from rows.result()


def _rows_of(batch: Sequence[Path], size: int, mode: Mode, aspect: Aspect) -> list[_Row | str]:
    return [_fitted(_decoded(path, size, mode), size, aspect) for path in batch]


def _fitted_all(images: Iterable[Image.Image | str], size: int, aspect: Aspect) -> list[_Row | str]:
    return [_fitted(image, size, aspect) for image in images]


def _decoded(path: Path, size: int, mode: Mode) -> Image.Image | str:
    try:
        return _decode(path, mode, enough=2 * size)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")


def _fitted(image: Image.Image | str, size: int, aspect: Aspect) -> _Row | str:
    """A picture brought to `size` x `size`; a reason in place of a picture is handed on."""
    if isinstance(image, str):
        return image
    if aspect == "squash":
        return _Row(image.resize((size, size), Image.Resampling.BILINEAR).tobytes(), _is_blank(image))
    if max(image.size) >= 2 * size * min(image.size):
        return f"found {image.width} x {image.height} pixels; expected sides that leave a pixel at size {size}"
    return _Row(ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR).tobytes(), _is_blank(image))


def _is_blank(image: Image.Image) -> bool:
    """Whether all pixels of a picture are of one value."""
    return all(low == high for low, high in (band.getextrema() for band in image.split()))
