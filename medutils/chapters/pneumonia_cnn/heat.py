"""How much of a heat map lies inside the lungs: on phantoms, which know where their lungs are."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medutils.data.phantoms.chest_anatomy import draw_anatomy
from medutils.data.phantoms.chest_film import HOSPITALS, expose, lung_mask
from medutils.export.heat_maps import heat_maps
from medutils.models.cnn import FilmClassifier

HOSPITAL = replace(HOSPITALS["kermany_walia"], marker="")
KINDS = ("Bacterial Pneumonia", "Viral Pneumonia")


class Heat(NamedTuple):
    """Films of ill phantoms, their heat maps, where they show lung, and their titles.

    films: uint8; heat: 0 to 1; lungs: bool; each (films, size, size)
    """

    films: NDArray[np.uint8]
    heat: NDArray[np.float32]
    lungs: NDArray[np.bool_]
    titles: list[str]

    @property
    def inside(self) -> float:
        """The mean share of the heat inside the lungs; NaN where no film has any heat."""
        total = self.heat.sum((1, 2))
        warm = total > 0
        return float(((self.heat * self.lungs).sum((1, 2))[warm] / total[warm]).mean()) if warm.any() else float("nan")

    @property
    def area(self) -> float:
        """The mean share of the film that is lung: what heat spread evenly would have inside."""
        return float(self.lungs.mean())


def on_phantoms(network: FilmClassifier, count: int, seed: int) -> Heat:
    """Grad-CAM of the positive class on `count` new phantoms with pneumonia."""
    size, films, lungs, titles = network.design.size, [], [], []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        drawn = int(np.random.default_rng([seed, 977, number]).integers(2**62))
        patient = draw_anatomy(drawn, HOSPITAL.child)
        films.append(expose(drawn, kind, (size, size), patient, HOSPITAL))
        lungs.append(lung_mask(drawn, kind, (size, size), patient, HOSPITAL))
        titles.append(kind)
    pictures = np.stack(films)
    return Heat(pictures, heat_maps(network, pictures, [-1] * count), np.stack(lungs), titles)
