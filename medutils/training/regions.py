"""Feature maps of many slices, position by position, before they are averaged: computed once and kept."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.errors import InputError
from medutils.models.embedders import Embedder
from medutils.training.loop import Progress

KIND = "embeddings"
BATCH = 8


def embed_regions(
    embedder: Embedder, x: Tensor, fingerprint: str, progress: Progress | None = None
) -> NDArray[np.float32]:
    """What an embedder's network says of each position of its feature map: float32 (slices, positions, features).

    x: uint8 slices (n, H, W); fingerprint: hash of `x`. Positions run by row from the upper left. A network without a
    feature map (noise, a projection) gives one position. Kept as `embed` keeps its embeddings.
    """
    if embedder.volume or not len(x):
        raise InputError(f"x: found {len(x)} slices for '{embedder.name}'; expected some, and a network of slices")
    key = cache.key_of(embed_regions, embedder.identity, fingerprint, len(x), torch.__version__)
    path = cache.kept(KIND, partial(_write, embedder, x, progress), key, ".npy")
    return np.load(path, allow_pickle=False)


def _write(embedder: Embedder, x: Tensor, progress: Progress | None, path: Path) -> None:
    found = []
    for start in range(0, len(x), BATCH):
        found.append(_positions(embedder, x[start : start + BATCH]))
        if progress:
            progress(min(start + BATCH, len(x)), len(x))
    with path.open("wb") as file:
        np.save(file, torch.cat(found).numpy(), allow_pickle=False)


def _positions(embedder: Embedder, x: Tensor) -> Tensor:
    """(slices, positions, features) of one batch."""
    if embedder.kind.network in ("noise", "projection"):
        return embedder.features(x)[:, None]
    network = embedder.network
    device = next(network.parameters()).device
    with torch.inference_mode():
        maps = network.backbone(network.prepare(x.to(device)))  # type: ignore[operator]
    return maps.float().flatten(2).transpose(1, 2).cpu()
