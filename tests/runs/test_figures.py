"""A sweep in figures."""

import pandas as pd
import pytest

from medutils.runs import figures

RUNS = pd.DataFrame(
    {
        "rate": [0.1, 0.1, 0.01, 0.01],
        "rule": ["youden", "youden", "f1", "f1"],
        "seed": [0, 1, 0, 1],
        "network.auroc": [0.6, 0.8, 0.9, 0.92],
    }
)


def test_a_line_a_run_goes_through_its_parameters_to_its_metric():
    figure = figures.parallel_coordinates(RUNS, ["rate", "rule", "seed"], "network.auroc", "Runs")
    assert list(figure.data[0].y) == [1, 1, 0, 0]
    assert list(figure.data[3].y) == [0, 0, 1, 1]
    assert list(figure.layout.xaxis.ticktext) == ["rate", "rule", "seed", "network.auroc"]
    words = [(one.x, one.y, one.text) for one in figure.layout.annotations]
    assert words == [
        *((0, 0, "0.01"), (0, 1, "0.1")),
        *((1, 0, "f1"), (1, 1, "youden")),
        *((2, 0, "0"), (2, 1, "1")),
        *((3, 0, "0.600"), (3, 1, "0.920")),
    ]
    assert len({line.line.color for line in figure.data}) == 4


def test_settings_stand_in_the_order_of_their_means_each_with_its_seeds():
    table = figures.by_setting(RUNS, ["rate", "rule"], "network.auroc")
    assert list(table.index) == ["rate 0.1, rule youden", "rate 0.01, rule f1"]
    assert table.iloc[0].to_dict() == pytest.approx({"seeds": 2, "mean": 0.7, "lowest": 0.6, "highest": 0.8})
    dots, means = figures.seed_spread(RUNS, ["rate", "rule"], "network.auroc", "Seeds").data
    assert len(dots.x) == 4
    assert dict(zip(means.y, means.x, strict=True)) == pytest.approx(table["mean"].to_dict())
    assert set(dots.y) == set(means.y)


def test_one_parameter_is_a_setting_too():
    assert list(figures.by_setting(RUNS, ["rule"], "network.auroc").index) == ["rule youden", "rule f1"]
