"""Features of many slices or volumes: in batches, computed once and kept. What is kept hangs on this module alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.errors import InputError
from medutils.models.embedders import Embedder
from medutils.training.loop import Progress, keep_memory

KIND = "embeddings"
BATCH, CHUNK = 8, 256  # slices: in a batch (more is slower on a CPU), and in a part that an interrupted run keeps
VOLUMES_BATCH, VOLUMES_CHUNK = 1, 8


def embed(
    embedder: Embedder, x: Tensor, fingerprint: str, series: Sequence[str] = (), progress: Progress | None = None
) -> NDArray[np.float32]:
    """What an embedder's network gives for slices or volumes, before any head: float32 (n, features).

    x: uint8 slices (n, H, W) or volumes (n, depth, H, W); fingerprint: hash of `x`
    series: the series of each slice, which noise in place of a network is drawn by

    Kept under the weights' hash (or the seed they are drawn with), the pixels' fingerprint and the code. A run that is
    interrupted loses one chunk at most: the next one goes on. Embedders that differ in their head alone share what is
    kept. Raises `InputError` for pixels that do not fit the embedder, or none.
    """
    if not len(x):
        raise InputError("x: found no slice; expected at least one")
    named = list(series) if embedder.name == "noise" else []
    key = cache.key_of(embed, embedder.identity, fingerprint, len(x), named, torch.__version__)
    path = cache.kept(KIND, partial(_write, embedder, x, list(series), key, progress), key, ".npy")
    for left in path.parent.glob(f"{key}.*.npy*"):  # chunks, once they are joined
        left.unlink(missing_ok=True)
    return np.load(path, allow_pickle=False)


def _write(embedder: Embedder, x: Tensor, series: list[str], key: str, progress: Progress | None, path: Path) -> None:
    keep_memory()
    embedder.network.eval()  # made here, and not by several threads at once
    chunk = VOLUMES_CHUNK if embedder.volume else CHUNK
    chunks = []
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        make = partial(_write_chunk, embedder, x[rows], series[rows])
        chunks.append(cache.kept(KIND, make, f"{key}.{start:08d}", ".npy"))
        if progress:
            progress(min(start + chunk, len(x)), len(x))
    _save(path, np.concatenate([np.load(part, allow_pickle=False) for part in chunks]))


def _write_chunk(embedder: Embedder, x: Tensor, series: list[str], path: Path) -> None:
    batch = VOLUMES_BATCH if embedder.volume else BATCH
    starts = range(0, len(x), batch)

    def features(start: int) -> Tensor:
        return embedder.features(x[start : start + batch], series[start : start + batch])

    _save(path, torch.cat(_each(features, starts)).numpy())


def _each(work: Callable[[int], Tensor], starts: Sequence[int]) -> list[Tensor]:
    """Work on each batch: on a CPU as many at once as there are threads, each on one of them.

    Threads that share one batch wait for each other at every layer. So, too, the number of cores changes no result.
    """
    threads = torch.get_num_threads()
    at_once = 1 if torch.cuda.is_available() else threads
    try:
        with ThreadPoolExecutor(at_once, initializer=partial(torch.set_num_threads, 1)) as pool:
            return list(pool.map(work, starts))
    finally:
        torch.set_num_threads(threads)


def _save(path: Path, values: NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)
