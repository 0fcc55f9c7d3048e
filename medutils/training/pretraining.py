"""Weights for backbones where ImageNet's cannot be had: trained here, on phantoms of chest films, and kept."""

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from medutils import cache
from medutils.data.phantoms import chest_film, chest_findings
from medutils.errors import InputError
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_backbone, own_preprocessing
from medutils.training import loop

FINDINGS = list(chest_findings.DRAWERS)


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
    question to measure, and no substitute for ImageNet. Where the backbone cannot take films of the course's size, they
    are of the design's.
    """
    sizes = dict.fromkeys((course.size, design.size))
    keys = {
        size: cache.key_of(phantom_weights, design.backbone, design.channels, asdict(course), size) for size in sizes
    }
    path = next((kept for key in keys.values() if (kept := cache.place("weights", key, ".pt")).is_file()), None)
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(course.seed)
            try:
                network = _network(design, course.size)
            except InputError:
                network = _network(design, design.size)
        learn = partial(_learn, network, course)
        path = cache.kept("weights", lambda part: torch.save(learn(), part), keys[network.design.size], ".pt")
    return loop.load_weights(path)


def _network(design: Architecture, size: int) -> FilmClassifier:
    """A design's backbone, free to learn from films of a size, with its own preprocessing and the plainest head."""
    plain = Architecture(
        size=size, channels=design.channels, backbone=design.backbone, frozen=False, dense=0, average=True
    )
    return FilmClassifier(
        own_preprocessing(plain), len(FINDINGS), Augmentation(degrees=5, shift=0.03), make_backbone(plain)
    )


def _learn(network: FilmClassifier, course: Course) -> dict[str, Tensor]:
    numbers = np.arange(course.films)
    films = [
        chest_film.film(course.seed + int(number), FINDINGS[number % len(FINDINGS)], network.design.size)
        for number in numbers
    ]
    x, y = torch.from_numpy(np.stack(films)), torch.from_numpy(numbers % len(FINDINGS))
    settings = loop.Settings(
        epochs=course.epochs, batch_size=32, learning_rate=1e-3, cycle=True, keep="last", precision="auto"
    )
    network.to(loop.best_device())
    held = course.films // 10
    loop.fit(network, (x[held:], y[held:]), (x[:held], y[:held]), settings, course.seed, score_training=False)
    return {name: value.cpu() for name, value in network.backbone.state_dict().items()}
