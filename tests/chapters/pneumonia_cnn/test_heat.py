"""The share of a heat map inside the lungs."""

import numpy as np

from medutils.chapters.pneumonia_cnn.experiments import coloured
from medutils.chapters.pneumonia_cnn.heat import Heat, on_phantoms
from medutils.models.cnn import Architecture, FilmClassifier


def test_heat_inside_the_lungs_is_counted():
    lungs = np.zeros((2, 4, 4), dtype=bool)
    lungs[:, :2] = True
    heat = np.zeros((2, 4, 4), dtype=np.float32)
    heat[0, :2] = 1
    heat[1] = 1
    found = Heat(np.zeros((2, 4, 4), dtype=np.uint8), heat, lungs, ["a", "b"])
    assert found.inside == 0.75
    assert found.area == 0.5
    assert np.isnan(found._replace(heat=np.zeros_like(heat)).inside)


def test_phantoms_of_a_seed_are_the_same_and_show_lungs():
    network = FilmClassifier(Architecture(size=48, channels=1, widths=(4, 4), dense=8)).eval()
    one, again = (on_phantoms(network, 4, 0) for _ in range(2))
    assert (one.films == again.films).all()
    assert one.films.shape == one.heat.shape == one.lungs.shape == (4, 48, 48)
    assert 0.1 < one.area < 0.7
    assert coloured(one.films, one.heat).shape == (4, 48, 48, 3)
