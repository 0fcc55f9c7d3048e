"""Frozen features: every kind of them gives predictions of the same test films."""

import pytest

from medutils.chapters.pneumonia_cnn.frozen import frozen_features, record, tables
from medutils.data.films import open_films
from medutils.data.phantoms.chest import make_kermany
from medutils.evaluation import binary
from medutils.evidence import Results
from medutils.tables import check_predictions


def test_backbones_random_weights_and_thumbnails_predict_the_same_films(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("films")
    make_kermany(folder, films=(60, 30), size=32)
    films = open_films(str(folder))
    probes = frozen_features(films, ["tf_efficientnet_lite0"], seeds=2, size=32)
    found = tables(probes)
    assert list(found) == ["tf_efficientnet_lite0", "random", "thumbnails"]
    tested = list(films.records["record_id"].iloc[films.rows("test")])
    for name, table in found.items():
        check_predictions(table)
        repeats = table.groupby("repeat") if "repeat" in table else [("", table)]
        assert all(list(part["record_id"]) == tested for _, part in repeats), name
        assert table["threshold"].between(0, 1).all()
    assert found["random"]["repeat"].nunique() == 2

    parameters = {"profile": "smoke", "seed": 0, "resamples": 20}
    results = Results("pneumonia_cnn", parameters, films.located, binary(films.positive))
    record(results, probes)
    found = {**results.metrics}
    first, thumbnails = (found[f"frozen.{name}.auroc"].value for name in ("tf_efficientnet_lite0", "thumbnails"))
    assert found["frozen.minus_thumbnails.auroc"].value == pytest.approx(first - thumbnails)
    assert {"frozen.minus_random.auroc", "frozen.random.at_half.accuracy"} <= found.keys()
    assert [len(told) for told in results.experiments["frozen"].values()] == [1, 2, 1]
