"""What a network that is not trained here sees in films, one number a feature map. What is kept hangs on this alone."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.models.cnn import FilmClassifier
from medutils.training.loop import best_device
from medutils.training.trainer import tensors_hash

BATCH = 32


def averaged_features(network: FilmClassifier, x: Tensor, fingerprint: str) -> NDArray[np.float32]:
    """The feature maps of a network, each averaged to one number: float32 (films, channels); computed once and kept.

    x: uint8 (films, size, size); fingerprint: hash of `x`
    """
    state = [tensors_hash(part.state_dict()) for part in (network.backbone, network.preprocess)]
    key = cache.key_of(averaged_features, state, fingerprint)
    path = cache.kept("features", lambda part: _write(part, network, x), key, ".npy")
    return np.load(path, allow_pickle=False)


def _write(path: Path, network: FilmClassifier, x: Tensor) -> None:
    device = best_device()
    network.to(device).eval()
    with torch.inference_mode():
        rows = [network.features(films.to(device)).mean((2, 3)).cpu().numpy() for films in x.split(BATCH)]
    with path.open("wb") as file:
        np.save(file, np.concatenate(rows), allow_pickle=False)
