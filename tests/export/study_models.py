"""Models of studies for tests: networks that were never trained, small, and the same each time."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from medutils.data.lumbar import GRADES, TARGETS
from medutils.data.study_folder import KINDS
from medutils.evaluation import Estimate
from medutils.export import About, Evaluated, StudyInput, TrainedOn, save_model
from medutils.models.embedders import LITE_MANIFEST
from medutils.models.fusion import FusionConfig, FusionNet
from medutils.models.weights import weights_manifest

FINDINGS = tuple(target.rsplit("_", 2)[0] for target in TARGETS)
DATA = TrainedOn(name="rsna_lumbar", kind="phantom", sha256="0" * 64)


def config(**settings: Any) -> FusionConfig:
    small = {"architecture": "slices", "features": 4, "width": 6, "hidden": 5, "channels": 2}
    return FusionConfig(KINDS, TARGETS, (3,) * 25, FINDINGS, **(small | settings))


def network(design: FusionConfig) -> FusionNet:
    """Never trained; but its reduction is one, so that it tells slices apart."""
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = FusionNet(design)
    with torch.no_grad():
        made.components.copy_(torch.randn(made.components.shape, generator=random) / 30)
        made.fusion.query.copy_(torch.randn(made.fusion.query.shape, generator=random))
        made.fusion.last.mul_(10)
    return made.eval()


def estimate(value: float, spread: float = 0.02) -> Estimate:
    return Estimate(value, value - spread, value + spread, 40, "test")


def reads(design: FusionConfig | None = None, **given: Any) -> StudyInput:
    """With an evaluation of all series, and of those without the sagittal T1."""
    whole = Evaluated(
        series=KINDS,
        log_loss=estimate(0.48),
        auroc=estimate(0.86),
        log_loss_change=estimate(0, 0),
        auroc_change=estimate(0, 0),
    )
    less = Evaluated(
        series=KINDS[1:],
        log_loss=estimate(0.55),
        auroc=estimate(0.78),
        log_loss_change=estimate(0.07),
        auroc_change=estimate(-0.08),
    )
    facts: dict[str, Any] = {
        "design": design or config(),
        "weights": weights_manifest(LITE_MANIFEST).sha256,
        "size": 32,
        "temperatures": {finding: 1 + number / 10 for number, finding in enumerate(dict.fromkeys(FINDINGS))},
        "evaluated": (whole, less),
    }
    return StudyInput(**facts | given)


def about(given: StudyInput | None = None, **facts: Any) -> About:
    told: dict[str, Any] = {
        "title": "A tiny network",
        "reads": given or reads(),
        "classes": GRADES,
        "threshold": 0.3,
        "threshold_rule": "given",
        "data": DATA,
    }
    return About(**told | facts)


def write(path: Path, **settings: Any) -> None:
    design = config(**settings)
    save_model(path, network(design), about(reads(design)))


def embedded(**lengths: int) -> dict[str, np.ndarray]:
    """Random embeddings of so many slices a series."""
    random = np.random.default_rng(0)
    return {name: random.standard_normal((slices, 1280), dtype=np.float32) for name, slices in lengths.items()}
