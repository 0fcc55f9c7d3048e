"""Embeddings in batches: the same as one by one, computed once, resumed; series, and their file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medutils import cache
from medutils.errors import InputError
from medutils.models.embedders import Embedder, embedder
from medutils.training import embeddings as module
from medutils.training.embeddings import embed
from medutils.training.series import Embeddings, as_volumes, embed_series, pool, read_parquet, write_parquet

X = torch.randint(0, 256, (10, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SERIES = ["s2", "s2", "s1", "s1", "s1", "s2", "s3", "s4", "s4", "s4"]
ROWS = pd.DataFrame(
    {
        "study_id": ["b", "b", "a", "a", "a", "b", "c", "c", "c", "c"],
        "series_id": SERIES,
        "plane": "sagittal",
        "condition": "neural_foraminal_narrowing",
        "instance": range(10),
        "split": ["test", "test", "train", "train", "train", "test", *["train"] * 4],
    }
)


@pytest.fixture(autouse=True)
def new_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "CHUNK", 4)


def projection(seed: int = 0) -> Embedder:
    return embedder("projection", seed)


def test_batches_give_what_one_call_gives_and_no_chunk_is_left() -> None:
    np.testing.assert_allclose(embed(projection(), X, "x"), projection().embed(X), rtol=1e-5, atol=1e-6)
    assert len(list((cache.cache_dir() / module.KIND).glob("*.npy"))) == 1


def test_embeddings_are_computed_once_for_weights_and_pixels(monkeypatch) -> None:
    seen: list[int] = []
    features = Embedder.features
    monkeypatch.setattr(Embedder, "features", lambda self, x, names: seen.append(len(x)) or features(self, x, names))
    for asked, new in (((0, "x"), True), ((0, "x"), False), ((1, "x"), True), ((0, "y"), True)):
        seen.clear()
        embed(projection(asked[0]), X, asked[1])
        assert bool(seen) is new, asked


def test_embedders_that_differ_in_their_head_share_what_is_kept(monkeypatch) -> None:
    first = embed(embedder("lite0", size=32), X, "x")
    monkeypatch.setattr(Embedder, "features", None)
    for other in (embedder("lite0_attention", 7, size=32), embedder("lite0", size=32, first=512)):
        np.testing.assert_array_equal(embed(other, X, "x"), first)


def test_an_interrupted_run_goes_on_where_it_was(monkeypatch) -> None:
    whole = embed(projection(), X, "whole")
    seen: list[int] = []
    features = Embedder.features

    def break_off(self, x, names):
        if torch.equal(x[0], X[6]):
            raise KeyboardInterrupt
        seen.append(len(x))
        return features(self, x, names)

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(Embedder, "features", break_off)
        embed(projection(), X, "x")
    seen.clear()
    monkeypatch.setattr(Embedder, "features", lambda self, x, names: seen.append(len(x)) or features(self, x, names))
    told: list[tuple[int, int]] = []
    found = embed(projection(), X, "x", progress=lambda done, of: told.append((done, of)))
    assert sum(seen) == 6  # of ten slices, four were kept
    assert told == [(4, 10), (8, 10), (10, 10)]
    np.testing.assert_array_equal(found, whole)


def test_series_come_in_their_order_with_what_is_the_same_for_all_their_slices() -> None:
    found = embed_series(projection(), X, ROWS, "x", variant="GSL")
    assert found.rows["series_id"].tolist() == ["s2", "s1", "s3", "s4"]
    assert found.rows.columns.tolist() == ["study_id", "series_id", "plane", "condition", "split"]
    slices = projection().embed(X).numpy()
    expected = [slices[[name == one for name in SERIES]].mean(0) for one in ("s2", "s1", "s3", "s4")]
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)
    assert (found.embedder, found.weights, found.pooling, found.variant) == ("projection", "fresh", "mean", "GSL")


def test_attention_pools_with_the_embedders_own_layer_or_another_draw() -> None:
    attentive = embedder("lite0_attention", size=32)
    values = [embed_series(attentive, X, ROWS, "x", draw=draw).values for draw in (None, 0, 1)]
    np.testing.assert_array_equal(values[0], values[1])
    assert values[0].shape == (4, 512) and not np.allclose(values[0], values[2])
    expected = pool(embed(attentive, X, "x"), SERIES, attentive.attention())
    np.testing.assert_array_equal(values[0], expected)


def test_noise_of_a_series_is_its_own_vector_however_many_slices_it_has() -> None:
    noise = embedder("noise", 2)
    found = embed_series(noise, X, ROWS, "x").values
    alone = embed_series(noise, X[6:7], ROWS.iloc[6:7], "x").values
    np.testing.assert_allclose(found[2], alone[0], atol=1e-6)
    assert abs(found.std() - 1) < 0.05


def test_a_network_of_volumes_takes_each_series_as_one() -> None:
    deep = embedder("medicalnet", depth=10, size=32)
    found = embed_series(deep, X, ROWS, "x")
    expected = deep.embed(as_volumes(X, SERIES)[:1])
    np.testing.assert_allclose(found.values[:1], expected, rtol=1e-3, atol=1e-3)
    assert found.values.shape == (4, 512)


def test_a_volume_goes_from_its_first_slice_to_its_last_and_one_slice_is_repeated() -> None:
    ramp = torch.arange(0, 100, 10, dtype=torch.uint8)[:, None, None].expand(-1, 2, 2)
    volume, single = as_volumes(torch.cat([ramp, ramp[3:4]]), ["a"] * 10 + ["b"], depth=20)
    assert volume[0, 0, 0] == 0 and volume[-1, 0, 0] == 90 and (volume[1:, 0, 0] >= volume[:-1, 0, 0]).all()
    assert (single == 30).all()


def test_all_embedders_go_into_one_file_and_come_back(tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = ROWS.drop_duplicates("series_id")[["study_id", "series_id", "plane", "condition"]].reset_index(drop=True)
    sets = [
        Embeddings(rows, rng.normal(size=(4, 1280)).astype(np.float32), "lite0", "ImageNet", "mean", "GSL"),
        Embeddings(rows[:3].assign(age=50), rng.normal(size=(3, 512)).astype(np.float32), "noise", "fresh", "mean"),
    ]
    write_parquet(tmp_path / "all.parquet", sets)
    table = pd.read_parquet(tmp_path / "all.parquet")
    assert {"study_id", "series_id", "plane", "condition", "embedder", "values"} <= set(table) and len(table) == 7
    for found, given in zip(read_parquet(tmp_path / "all.parquet"), sets, strict=True):
        np.testing.assert_array_equal(found.values, given.values)
        assert found.rows.astype(str).equals(given.rows.astype(str).replace("50", "50.0"))
        assert (found.embedder, found.weights, found.pooling, found.variant) == (
            (given.embedder, given.weights, given.pooling, given.variant)
        )


def test_what_does_not_fit_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="rows: found 9 for 10 slices; expected one for each"):
        embed_series(projection(), X, ROWS[:9], "x")
    with pytest.raises(InputError, match="rows: found no column 'plane'"):
        embed_series(projection(), X, ROWS.drop(columns="plane"), "x")
    with pytest.raises(InputError, match="x: found no slice"):
        embed(projection(), X[:0], "x")
    (tmp_path / "other.parquet").write_text("study_id\n")
    with pytest.raises(InputError, match=r"other\.parquet: found no Parquet file"):
        read_parquet(tmp_path / "other.parquet")
    ROWS.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=r"rows\.parquet: found no column 'embedder'"):
        read_parquet(tmp_path / "rows.parquet")
