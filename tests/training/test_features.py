"""Features of a network that is not trained here, and a logistic regression on them."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from medutils.data.films import Films, open_films
from medutils.data.phantoms.chest import make_kermany
from medutils.evaluation import binary, values
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.training import features as module
from medutils.training.features import averaged_features
from medutils.training.probe import STRENGTHS, linear_probe


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Films]:
    folder = tmp_path_factory.mktemp("films")
    make_kermany(folder, films=(80, 40), size=32)
    yield open_films(str(folder))


def network(seed: int = 0) -> FilmClassifier:
    torch.manual_seed(seed)
    return FilmClassifier(Architecture(size=32, widths=(4, 8), dense=0)).eval()


def test_features_are_the_means_of_the_feature_maps_and_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(256, (40, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network().features(x).mean((2, 3)).numpy()
    np.testing.assert_allclose(averaged_features(network(), x, "x"), expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(module, "_write", None)
    np.testing.assert_allclose(averaged_features(network(), x, "x"), expected, rtol=1e-5, atol=1e-6)
    for other in ((network(1), "x"), (network(), "y")):
        with pytest.raises(TypeError):  # asked to compute
            averaged_features(other[0], x, other[1])


def test_a_probe_predicts_test_films_and_takes_its_threshold_from_other_patients(films: Films) -> None:
    y = films.y.numpy()
    told = np.random.default_rng(0).normal(size=(len(y), 20)) + 0.8 * y[:, None]
    probe = linear_probe(films, told)
    assert len(probe.predictions) == len(films.rows("test"))
    assert len(probe.out_of_fold) == len(films.rows("train"))
    assert probe.c in STRENGTHS and probe.predictions["threshold"].nunique() == 1
    assert values(probe.predictions, binary(films.positive))["auroc"] > 0.9


def test_a_probe_of_noise_finds_nothing_even_where_each_patient_can_be_told(films: Films) -> None:
    patients, code = np.unique(films.records["patient"], return_inverse=True)
    named = np.random.default_rng(0).normal(size=(len(patients), 50))[code]
    found = values(linear_probe(films, named).out_of_fold, binary(films.positive))["auroc"]
    assert 0.2 < found < 0.8


def test_test_films_choose_nothing(films: Films) -> None:
    told = np.random.default_rng(0).normal(size=(len(films.y), 20)) + 0.5 * films.y.numpy()[:, None]
    first = linear_probe(films, told)
    told[films.rows("test")] *= -3
    again = linear_probe(films, told)
    assert again.c == first.c and again.out_of_fold.equals(first.out_of_fold)
    assert again.predictions["threshold"].equals(first.predictions["threshold"])
