"""The figures: what they draw, and nothing that is not known."""

import json

import numpy as np
import pandas as pd
import pytest

from medutils import plots


def test_distributions_have_a_panel_a_column_and_no_empty_frame():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 5)), columns=list("abcde"))
    figure = plots.distributions(table.assign(label=["x", "y"] * 10), list("abcde"), "label", "Five columns")
    drawn = [axes.get_xlabel() for axes in figure.axes if axes.axison]
    assert drawn == list("abcde")


def results() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "reported": [0.9, np.nan],
            "reference": [0.8, 0.7],
            "reference_low": [0.7, np.nan],
            "reference_high": [0.9, np.nan],
            "run": [np.nan, np.nan],
        },
        index=["one", "two"],
    )


def test_only_what_is_known_stands_side_by_side():
    figure = plots.side_by_side(results(), "F1", "Two results", "phantom")
    assert [trace.name for trace in figure.data] == ["reference run (real data)", "reported"]
    words = plots.side_by_side_words(results(), "phantom")
    assert words == "one: reported 0.900, reference run 0.800; two: reference run 0.700"


def test_the_slider_moves_ppv_and_npv_alone():
    points = pd.DataFrame({"threshold": [0.0, 0.5, 1.0], "sensitivity": [1, 0.8, 0], "specificity": [0, 0.9, 1]})
    figure = plots.operating_points(points, [0.1, 0.5], 1, "Decisions")
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == ["10%", "50%"]
    values, traces = steps[0].args
    assert list(traces) == [2, 3]
    assert values["y"][0][1] == pytest.approx(0.08 / (0.08 + 0.09), abs=1e-4)
    assert values["y"][0][2] is None  # nobody is called positive
    assert list(figure.data[2].y) == steps[1].args[0]["y"][0]
    json.dumps(figure.to_plotly_json(), default=list)
