"""Write-up 002's training in Keras beside ours, and an epoch on features computed once beside its epoch on films."""

import json
import os
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from torch import Tensor, nn

from bench.report import Rounds, show
from medutils.chapters.pneumonia_cnn.variants import VARIANTS, Variant
from medutils.files import ROOT
from medutils.models.cnn import FilmClassifier
from medutils.models.transfer import make_backbone
from medutils.training.loop import fit

FILMS, EPOCHS, ROUNDS = 128, 3, 3  # epochs beside a first one that does not count
FEATURES, FORWARD = 1024, 64  # films: of an epoch on features, and of the one on films that is scaled up to it
KERAS = "Keras, as written, float32"
INSTALL = "Keras is not there: `make bench KERAS=1` installs it into .venv-bench (2 GB) and measures it too"


def main() -> None:
    """Measure and print both; sides alternate within a round."""
    _training()
    _frozen()


def _training() -> Rounds:
    """Milliseconds an image in training on write-up 002's baseline."""
    variant = VARIANTS["002-baseline"]
    keras = _keras()
    rounds = Rounds()
    for _ in range(ROUNDS):
        with rounds.round() as found:
            if keras:
                found[KERAS] = median(_as_written(keras, "baseline", FILMS, EPOCHS)) / FILMS
            for precision in ("float32", "bfloat16"):
                settings = replace(variant.settings, precision=precision, class_weights=(1.94, 0.67))
                network = FilmClassifier(variant.design)
                epochs = _epochs(network, _films(FILMS, variant), replace(variant, settings=settings))
                found[f"ours, {precision}"] = median(epochs) / FILMS
    against = KERAS if keras else "ours, float32"
    show("Write-up 002's baseline in training, 256 px, batch 32", rounds, against, "s an image")
    rates = ", ".join(f"{name} {1 / rounds.cost(name):.1f}" for name in rounds.sides)
    Console().print(f"images a second: {rates}" + ("" if keras else f"\n{INSTALL}"))
    return rounds


def _frozen() -> Rounds:
    """Seconds a film of an epoch on write-up 002's frozen Xception; the weights do not change them."""
    variant = VARIANTS["002-xception"]
    network = FilmClassifier(variant.design, backbone=make_backbone(variant.design))
    x, y = _films(FORWARD, variant)
    maps = network.eval().features(x[:1]).shape[1:]
    features = torch.rand(FEATURES, *maps).half()
    keras, ours = _keras(), f"ours, the backbone for every batch (from {FORWARD} films)"
    rounds = Rounds()
    for _ in range(ROUNDS):
        with rounds.round() as found:
            if keras:
                found[KERAS] = median(_as_written(keras, "frozen", FORWARD, 1)) / FORWARD
            found[ours] = median(_epochs(network, (x, y), variant, epochs=1)) / FORWARD
            epochs = _epochs(network.head, (features, torch.arange(FEATURES) % 2), variant)
            found["ours, on features computed once"] = median(epochs) / FEATURES
    show("An epoch of write-up 002's frozen Xception, 256 px", rounds, KERAS if keras else ours, "s a film")
    return rounds


def _films(count: int, variant: Variant) -> tuple[Tensor, Tensor]:
    """Films of noise and classes; what they show does not change the speed."""
    size = variant.design.size
    return torch.randint(0, 256, (count, size, size), dtype=torch.uint8), torch.arange(count) % 2


def _epochs(model: nn.Module, rows: tuple[Tensor, Tensor], variant: Variant, epochs: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of `fit` but the first; two rows are validated, since Keras validates none here."""
    ends: list[float] = []
    settings = replace(variant.settings, epochs=epochs + 1)
    held = rows[0][:2], rows[1][:2]
    fit(model, rows, held, settings, 0, lambda *_: ends.append(time.perf_counter()), score_training=False)
    return [end - start for start, end in pairwise(ends)]


def _keras() -> Path | None:
    """A Python that has Keras: the one `$KERAS_PYTHON` names, or that of `.venv-bench`."""
    python = Path(os.environ.get("KERAS_PYTHON") or ROOT / ".venv-bench" / "bin" / "python")
    return python if python.is_file() else None


def _as_written(python: Path, network: str, films: int, epochs: int) -> list[float]:
    """Seconds of so many epochs after a first one, in a process of its own with TensorFlow's own settings."""
    script = Path(__file__).with_name("writeup_002.py")
    command = [str(python), str(script), network, str(films), str(epochs + 1)]
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "PYTHONPATH")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(seconds) for seconds in json.loads(ended.stdout)]


if __name__ == "__main__":
    main()
