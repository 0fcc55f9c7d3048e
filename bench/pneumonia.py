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
from rich.table import Table
from torch import Tensor, nn

from medutils.chapters.pneumonia_cnn.variants import VARIANTS, Variant
from medutils.files import ROOT
from medutils.models.cnn import FilmClassifier
from medutils.models.transfer import make_backbone
from medutils.training.loop import fit

FILMS, EPOCHS, ROUNDS = 128, 3, 3  # epochs beside a first one that does not count
FEATURES, FORWARD = 1024, 64  # films: of an epoch on features, and of the one on films that is scaled up to it
INSTALL = "Keras is not there: `make bench KERAS=1` installs it into .venv-bench (2 GB) and measures it too"


def main() -> dict[str, float]:
    """Measure and print both; sides alternate, and the median of all epochs counts for each."""
    return _training() | _frozen()


def _training() -> dict[str, float]:
    """Images a second in training on write-up 002's baseline."""
    variant = VARIANTS["002-baseline"]
    keras = _keras()
    seconds: dict[str, list[float]] = {name: [] for name in ("keras", "float32", "bfloat16")}
    for _ in range(ROUNDS):
        if keras:
            seconds["keras"] += _as_written(keras)
        for precision in ("float32", "bfloat16"):
            settings = replace(variant.settings, precision=precision, class_weights=(1.94, 0.67))
            network = FilmClassifier(variant.design)
            seconds[precision] += _epochs(network, _films(FILMS, variant), replace(variant, settings=settings))
    rates = {name: FILMS / median(found) for name, found in seconds.items() if found}
    table = Table(
        "what", "images a second", "times Keras", title="Write-up 002's baseline in training, 256 px, batch 32"
    )
    for name, rate in rates.items():
        label = "Keras, as written, float32" if name == "keras" else f"ours, {name}"
        table.add_row(label, f"{rate:.1f}", f"{rate / rates['keras']:.2f}" if keras else "")
    Console().print(table)
    if not keras:
        Console().print(INSTALL)
    return {f"{name}_images_per_second": rate for name, rate in rates.items()}


def _frozen() -> dict[str, float]:
    """Seconds a film of an epoch on write-up 002's frozen Xception; the weights do not change them."""
    variant = VARIANTS["002-xception"]
    network = FilmClassifier(variant.design, backbone=make_backbone(variant.design))
    x, y = _films(FORWARD, variant)
    maps = network.eval().features(x[:1]).shape[1:]
    features = torch.rand(FEATURES, *maps).half()
    written, ours = [], []
    for _ in range(ROUNDS):
        written += _epochs(network, (x, y), variant, epochs=1)
        ours += _epochs(network.head, (features, torch.arange(FEATURES) % 2), variant)
    result = {"frozen_as_written_s": median(written) / FORWARD, "frozen_ours_s": median(ours) / FEATURES}
    table = Table("what", "ms a film", "times as fast", title="An epoch of write-up 002's frozen Xception, 256 px")
    table.add_row(
        f"the backbone for every batch (from {FORWARD} films)", f"{1e3 * median(written) / FORWARD:.2f}", "1.0"
    )
    ratio = result["frozen_as_written_s"] / result["frozen_ours_s"]
    table.add_row("on features computed once", f"{1e3 * median(ours) / FEATURES:.2f}", f"{ratio:.0f}")
    Console().print(table)
    return result


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


def _as_written(python: Path) -> list[float]:
    """In a process of its own, with TensorFlow's own settings."""
    script = Path(__file__).with_name("writeup_002.py")
    command = [str(python), str(script), str(FILMS), str(EPOCHS + 1)]
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "PYTHONPATH")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(seconds) for seconds in json.loads(ended.stdout)]


if __name__ == "__main__":
    main()
