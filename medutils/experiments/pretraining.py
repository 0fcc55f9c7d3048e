"""Weights for backbones where ImageNet's cannot be had: trained here, on phantoms of chest films, and kept."""

import inspect
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from medutils import train
from medutils.data.phantoms import chest_film, chest_findings
from medutils.files import cache_dir, sha256, written_whole
from medutils.models import cnn
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_backbone

PHANTOM_CODE = [Path(inspect.getfile(part)) for part in (chest_film, chest_findings, cnn, train)] + [Path(__file__)]


@dataclass(frozen=True)
class Course:
    """How long a backbone is trained on phantoms: within two minutes on one core for the largest of the book."""

    films: int = 1200
    size: int = 64
    epochs: int = 2
    seed: int = 4711  # no phantom of a chapter has this one


def phantom_weights(design: Architecture, course: Course = Course()) -> dict[str, Tensor]:
    """Weights of the backbone of `design` after it has learned to tell the findings of phantom films apart.

    Made once and kept in the package's cache. They know drawn films only: whether that helps on real ones is a
    question to measure, and no substitute for ImageNet.
    """
    name = "-".join([design.backbone, str(design.channels), *(sha256(path)[:6] for path in PHANTOM_CODE)])
    path = cache_dir() / "weights" / f"{name}-{course.films}x{course.epochs}-{course.size}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            with written_whole(path) as part:
                torch.save(_learn(design, course), part)
    return train.load_weights(path)


def _learn(design: Architecture, course: Course) -> dict[str, Tensor]:
    findings = list(chest_findings.DRAWERS)
    numbers = np.arange(course.films)
    films = [
        chest_film.film(course.seed + int(number), findings[number % len(findings)], course.size) for number in numbers
    ]
    x, y = torch.from_numpy(np.stack(films)), torch.from_numpy(numbers % len(findings))
    open_design = replace(design, size=course.size, frozen=False, thawed=0, dense=0, average=True)
    network = FilmClassifier(
        open_design, len(findings), Augmentation(degrees=5, shift=0.03), make_backbone(open_design)
    ).to(train.best_device())
    settings = train.Settings(
        epochs=course.epochs, batch_size=32, learning_rate=1e-3, cycle=True, keep="last", precision="auto"
    )
    held = course.films // 10
    train.fit(network, (x[held:], y[held:]), (x[:held], y[:held]), settings, course.seed, score_training=False)
    return {name: value.cpu() for name, value in network.backbone.state_dict().items()}
