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
from rich.console import Console
from rich.table import Table

from medutils.data.images import SUFFIXES, build_array

SIZE, BATCH, REPEATS, DRAWN = 128, 64, 3, 1000

Result = TypeVar("Result")


def main() -> dict[str, float | int | str]:
    """Measure and print both ratios; the fastest of several alternating runs counts for each side."""
    with tempfile.TemporaryDirectory() as scratch:
        paths, films = _films(Path(scratch) / "films")
        one_by_one, built, reading = [], [], []
        for repeat in range(REPEATS):
            one_by_one.append(_timed(partial(_decode_one_by_one, paths))[0])
            cache = Path(scratch) / f"cache-{repeat}"  # an empty one, so that nothing is found built
            seconds, array = _timed(partial(build_array, paths, SIZE, aspect="squash", cache=cache))
            built.append(seconds)
            reading.append(_timed(partial(_read_epoch, array.pixels))[0])
    result: dict[str, float | int | str] = {
        "films": films,
        "images": len(paths),
        "one_by_one_s": min(one_by_one),
        "build_s": min(built),
        "epoch_s": min(reading),
        "build_ratio": min(one_by_one) / min(built),
        "epoch_ratio": min(one_by_one) / min(reading),
    }
    _print(result)
    return result


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


def _print(result: dict[str, float | int | str]) -> None:
    table = Table("what", "seconds", "times as fast", title=f"{result['images']} {result['films']} films at {SIZE} px")
    table.add_row("Pillow, one by one", f"{result['one_by_one_s']:.2f}", "1.0")
    table.add_row("building the array", f"{result['build_s']:.2f}", f"{result['build_ratio']:.1f}")
    table.add_row("reading an epoch from it", f"{result['epoch_s']:.3f}", f"{result['epoch_ratio']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
