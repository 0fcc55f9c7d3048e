"""Feature maps by position: their mean is the embedding, and they are computed once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medutils.errors import InputError
from medutils.models.embedders import embedder
from medutils.training import regions
from medutils.training.regions import BATCH, embed_regions

X = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (BATCH + 2, 64, 64), np.uint8))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_mean_over_positions_is_the_embedding() -> None:
    one = embedder("lite0", size=64)
    found = embed_regions(one, X, "pixels")
    assert found.shape == (len(X), 4, 1280)
    np.testing.assert_allclose(found.mean(1), one.features(X).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["projection", "noise"])
def test_a_network_without_a_feature_map_gives_one_position(name: str) -> None:
    assert embed_regions(embedder(name), X, "pixels").shape == (len(X), 1, 512)


def test_they_are_computed_once_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    first = embed_regions(embedder("projection"), X, "pixels", lambda done, of: told.append((done, of)))
    assert told == [(BATCH, len(X)), (len(X), len(X))]
    monkeypatch.setattr(regions, "_positions", None)
    np.testing.assert_array_equal(first, embed_regions(embedder("projection"), X, "pixels"))
    with pytest.raises(TypeError):
        embed_regions(embedder("projection", seed=1), X, "pixels")


@pytest.mark.parametrize(("name", "slices"), [("lite0", 0), ("medicalnet", 3)])
def test_no_slice_and_a_network_of_volumes_are_refused(name: str, slices: int) -> None:
    with pytest.raises(InputError, match=f"x: found {slices} slices for '{name}'"):
        embed_regions(embedder(name, depth=10), X[:slices], "pixels")
