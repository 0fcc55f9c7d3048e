"""Embeddings of slices: ours in batches and kept, beside write-up 001's loop of one slice at a time."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import nn
from torchvision import models, transforms

from bench.report import Rounds, show, spread
from medutils.models.embedders import IMAGENET_DEVIATION, IMAGENET_MEAN, embedder
from medutils.models.transfer import installed_network
from medutils.models.weights import weights_manifest
from medutils.training.embeddings import embed

SLICES, SIDE, ROUNDS = 64, 250, 3
AS_WRITTEN, OURS, AGAIN = "one slice at a time, as written", "ours, in batches", "ours, a second run"
LEAST, CLOSEST, LONGEST = 1.8, 1e-4, 0.02  # times as fast; difference over the largest value; share of the first run

Result = TypeVar("Result")


def main() -> dict[str, Rounds]:
    """Measure and print, for each network, seconds a slice, whether embeddings agree, and what a warm cache takes."""
    slices, kind = _slices()
    with _own_cache():
        return {name: _measure(name, network, slices, kind) for name, network in _networks().items()}


def _networks() -> dict[str, tuple[nn.Module, tuple[Any, Any]]]:
    """Networks as the write-up makes them, with their mean and deviation, and the weights that the embedder has."""
    torch.manual_seed(0)
    weights = models.ResNet50_Weights.IMAGENET1K_V1 if embedder("resnet50").weights == "ImageNet" else None
    resnet = nn.Sequential(*list(models.resnet50(weights=weights).children())[:-1])
    manifest = weights_manifest("efficientnet_lite0")
    lite = installed_network(manifest)
    lite.reset_classifier(0)
    return {
        "resnet50": (resnet.eval(), (IMAGENET_MEAN, IMAGENET_DEVIATION)),
        "lite0": (lite.eval(), (manifest.mean, manifest.std)),
    }


def _measure(name: str, written: tuple[nn.Module, tuple[Any, Any]], slices: np.ndarray, kind: str) -> Rounds:
    x, rounds = torch.from_numpy(slices), Rounds()
    warm = embedder(name)
    embed(warm, x[:2], "first steps, which do not count")
    _loop(*written, slices[:2])
    for number in range(ROUNDS):
        fingerprint = f"round {number}"  # a new one, so that nothing is found kept
        with rounds.round() as found:
            found[AS_WRITTEN], expected = _timed(partial(_loop, *written, slices))
            found[OURS], ours = _timed(partial(embed, warm, x, fingerprint))
            found[AGAIN], _ = _timed(partial(_second_run, name, x, fingerprint))
    for side in rounds.sides.values():
        side[:] = [seconds / len(slices) for seconds in side]
    show(f"Embeddings by {name} ({warm.weights} weights), {len(slices)} {kind} slices", rounds, AS_WRITTEN, "s a slice")
    away = float(np.abs(ours - expected).max())
    share = away / float(np.abs(expected).max())
    again = [1 / ratio for ratio in rounds.ratios(OURS, AGAIN)]
    faster = rounds.ratios(AS_WRITTEN, OURS)
    rates = ", ".join(f"{side} {1 / rounds.cost(side):.1f}" for side in (AS_WRITTEN, OURS))
    Console().print(
        f"slices a second: {rates}\n"
        f"at least {LEAST} times as fast: {_met(sorted(faster)[ROUNDS // 2] >= LEAST)}\n"
        f"largest difference {away:.1e}, as a share of the largest value {share:.1e}; "
        f"at most {CLOSEST:g}: {_met(share <= CLOSEST)}\n"
        f"a second run takes {spread(again)} of the first; at most {LONGEST:.0%}: {_met(max(again) <= LONGEST)}"
    )
    return rounds


def _second_run(name: str, x: torch.Tensor, fingerprint: str) -> np.ndarray:
    """With an embedder of its own, so that nothing of the first is in memory."""
    return embed(embedder(name), x, fingerprint)


def _loop(network: nn.Module, statistics: tuple[Any, Any], slices: np.ndarray) -> np.ndarray:
    """Write-up 001's method 1, its pixels divided by 255."""
    prepare = transforms.Compose([transforms.Resize((224, 224)), transforms.Normalize(*statistics)])
    embeddings = []
    for slice_data in slices:
        stacked = np.stack([slice_data] * 3, axis=0)
        input_tensor = prepare(torch.from_numpy(stacked).float() / 255).unsqueeze(0)
        with torch.no_grad():
            embeddings.append(network(input_tensor).view(-1).numpy())
    return np.stack(embeddings)


def _slices() -> tuple[np.ndarray, str]:
    """Real sagittal T1 slices when `$MEDUTILS_DATA` has them, else drawn ones of their size: uint8 (slices, H, W)."""
    if given := os.environ.get("MEDUTILS_DATA"):
        paths = sorted(Path(given, "rsna_lumbar_t1").glob("*/*/*.jpg"))[:SLICES]
        if paths:
            return np.stack([np.asarray(Image.open(path).convert("L").resize((SIDE, SIDE))) for path in paths]), "real"
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)) for _ in range(SLICES)]
    return np.stack([np.asarray(one.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in coarse]), "drawn"


@contextmanager
def _own_cache() -> Iterator[None]:
    """A cache that ends with the measurement."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        try:
            yield
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _met(kept: bool) -> str:
    return "kept" if kept else "NOT KEPT"


if __name__ == "__main__":
    main()
