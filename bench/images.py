"""Decoding films once into an array, beside decoding them one by one with Pillow."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from bench.report import Rounds, show
from medutils.data.images import SUFFIXES, build_array

SIZE, BATCH, ROUNDS, DRAWN = 128, 64, 3, 1000
ONE_BY_ONE = "Pillow, one by one"

Result = TypeVar("Result")


def main() -> Rounds:
    """Measure and print both ratios, round by round."""
    rounds = Rounds()
    with tempfile.TemporaryDirectory() as scratch:
        paths, films = _films(Path(scratch) / "films")
        for number in range(ROUNDS):
            cache = Path(scratch) / f"cache-{number}"  # an empty one, so that nothing is found built
            with rounds.round() as found:
                found[ONE_BY_ONE] = _timed(partial(_decode_one_by_one, paths))[0]
                built, array = _timed(partial(build_array, paths, SIZE, aspect="squash", cache=cache))
                found["building the array"] = built
                found["reading an epoch from it"] = _timed(partial(_read_epoch, array.pixels))[0]
    show(f"{len(paths)} {films} films at {SIZE} px", rounds, ONE_BY_ONE)
    return rounds


def _films(folder: Path) -> tuple[list[Path], str]:
    """The real children's films when `$MEDUTILS_DATA` has them, else drawn JPEG files of the same size."""
    if given := os.environ.get("MEDUTILS_DATA"):
        found = sorted(path for path in Path(given, "chest_xray_pneumonia").rglob("*") if path.suffix in SUFFIXES)
        if found:
            return found, "real"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(DRAWN):
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpeg")
    return sorted(folder.iterdir()), "drawn"


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _decode_one_by_one(paths: Sequence[Path]) -> np.ndarray:
    def decode(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR))

    return np.stack([decode(path) for path in paths])


def _read_epoch(pixels: np.ndarray) -> int:
    """Copy every image once into memory, in shuffled batches."""
    order = np.random.default_rng(0).permutation(len(pixels))
    return sum(pixels[order[start : start + BATCH]].nbytes for start in range(0, len(pixels), BATCH))


if __name__ == "__main__":
    main()
