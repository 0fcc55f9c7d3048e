"""What one training of a network on films computes, and nothing else: a kept training hangs on this code alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medutils import cache
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier, own_preprocessing
from medutils.training.loop import Fit, Progress, Settings, best_device, fit, mixed, predict

State = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """A network, its augmentation and how it is trained.

    balanced: whether the rarer class counts more in the training loss, so that both count alike
    pretrained: whether a backbone starts with ImageNet's weights
    """

    design: Architecture
    augmentation: Augmentation
    settings: Settings
    balanced: bool = False
    pretrained: bool = False


@dataclass(frozen=True, eq=False)
class Parts:
    """Films to train, to validate and to test with.

    x: uint8 (films, size, size); y: (films,) class numbers
    rows: numbers of the films of `train`, `validation` and `test`
    fingerprint: hash of `x`
    """

    x: Tensor
    y: Tensor
    rows: Mapping[str, NDArray[np.int64]]
    classes: int
    fingerprint: str


def train(
    recipe: Recipe,
    parts: Parts,
    seed: int,
    start: State | None = None,
    backbone: State | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train with one seed and let the network say its logits of the validation and the test films once.

    start, backbone: weights to begin with, of the whole network or of its backbone, in place of fresh ones

    Returns `history` (a row an epoch), `validation_logits`, `test_logits`, `state` (the weights) and `seconds`.
    """
    began = time.monotonic()
    torch.manual_seed(seed)
    network = make_classifier(ready(recipe.design), parts.classes, recipe.augmentation, recipe.pretrained)
    if backbone is not None:
        network.backbone.load_state_dict(backbone)
    network = network.to(best_device())
    if start is not None:
        network.load_state_dict(start)
    model: nn.Module = network
    x, settings = parts.x, recipe.settings
    if only_head(recipe):
        model, x = network.head, frozen_features(network, x, parts.fingerprint, settings.precision)
    split = {name: (x[rows], parts.y[rows]) for name, rows in parts.rows.items()}
    if recipe.balanced:
        settings = replace(settings, class_weights=balanced_weights(split["train"][1], parts.classes))
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    found = fit(
        model,
        split["train"],
        split["validation"],
        settings,
        seed,
        progress,
        score_training=False,
        checkpoint=checkpoint,
    )
    return {
        "history": _history(found, split["validation"][1]).to_dict("list"),
        "validation_logits": predict(model, split["validation"][0], settings.precision),
        "test_logits": predict(model, split["test"][0], settings.precision),
        "state": {name: value.contiguous().cpu() for name, value in network.state_dict().items()},
        "seconds": time.monotonic() - began,
    }


def ready(design: Architecture) -> Architecture:
    """The design with its backbone's own preprocessing, if it has a backbone."""
    return own_preprocessing(design) if design.backbone else design


def only_head(recipe: Recipe) -> bool:
    """Whether a network's features never change, so that they are computed once."""
    design = recipe.design
    return bool(design.backbone) and design.frozen and not design.thawed and recipe.augmentation == Augmentation()


def balanced_weights(y: Tensor, classes: int) -> tuple[float, ...]:
    """What an error on each class must count for the classes to count alike; write-up 002's (1 / share) / 2 for two."""
    share = torch.bincount(y, minlength=classes) / len(y)
    return tuple((1 / (share * classes)).tolist())


def frozen_features(network: FilmClassifier, x: Tensor, fingerprint: str, precision: str) -> Tensor:
    """Feature maps of films by a frozen backbone, float16 (films, channels, height, width); computed once and kept."""
    state = [tensors_hash(part.state_dict()) for part in (network.backbone, network.preprocess)]
    key = cache.key_of(frozen_features, state, fingerprint, precision)
    path = cache.kept("features", lambda part: _write_features(part, network, x, precision), key, ".npy")
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _write_features(path: Path, network: FilmClassifier, x: Tensor, precision: str) -> None:
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode(), mixed(device, precision), path.open("wb") as file:
        for start in range(0, len(x), 32):
            maps = network.features(x[start : start + 32].to(device)).contiguous().to(torch.float16).cpu().numpy()
            if start == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (len(x), *maps.shape[1:])}
                np.lib.format.write_array_header_2_0(file, header)
            file.write(maps.tobytes())


def tensors_hash(state: Mapping[str, Tensor]) -> str:
    """Hash of weights, wherever they lie."""
    return cache.digest([[name, cache.array_hash(value.cpu().numpy())] for name, value in state.items()])


def _history(found: Fit, y: Tensor) -> pd.DataFrame:
    table = found.history.drop(columns="train_loss_after")
    table["train_accuracy"] = [accuracy(z, t) for z, t in zip(found.train_logits, found.train_targets, strict=True)]
    table["validation_accuracy"] = [accuracy(z, y.numpy()) for z in found.validation_logits]
    return table


def accuracy(logits: NDArray[np.floating], y: NDArray[np.int64]) -> float:
    """The share of films whose most probable class is the true one."""
    said = logits.argmax(1) if logits.ndim == 2 else logits >= 0
    return float((said == y).mean())
