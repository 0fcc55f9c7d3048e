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


COUNTS = pd.DataFrame({"a<b>": [1, 2], "c": [3, 0]}, index=["x$", "y"])


def test_bars_are_stacked_in_a_bar_a_row_in_the_order_of_the_table():
    figure = plots.stacked_bars(COUNTS, "films", "Where from")
    assert [(bar.name, list(bar.x)) for bar in figure.data] == [("a&lt;b&gt;", [1, 2]), ("c", [3, 0])]
    assert {tuple(bar.y) for bar in figure.data} == {("x&#36;", "y")}
    assert (figure.layout.barmode, figure.layout.yaxis.autorange) == ("stack", "reversed")
    assert figure.layout.xaxis.title.text == "films"


def test_bars_are_grouped_by_row_with_a_colour_a_column():
    figure = plots.grouped_bars(COUNTS, "accuracy", "Three ways")
    assert [(bar.name, list(bar.y)) for bar in figure.data] == [("a&lt;b&gt;", [1, 2]), ("c", [3, 0])]
    assert len({bar.marker.color for bar in figure.data}) == 2
    assert figure.layout.yaxis.title.text == "accuracy" and figure.layout.barmode is None
    counted = plots.class_bars_by(COUNTS, "Films")
    assert [list(bar.text) for bar in counted.data] == [[1, 2], [3, 0]]


def test_more_columns_than_colours_go_round():
    wide = pd.DataFrame([range(7)], columns=list("abcdefg"))
    for bars in (plots.stacked_bars(wide, "films", "Seven"), plots.grouped_bars(wide, "films", "Seven")):
        assert len(bars.data) == 7


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
    wordy = results().rename({"one": "one, in, three lines"})
    assert plots.side_by_side_height(results()) < plots.side_by_side_height(wordy)


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


def test_heat_maps_share_a_scale_and_show_their_numbers():
    table = pd.DataFrame({"T1": [0.5, 0.75], "T2": [0.625, np.nan]}, index=["zeros", "nothing"])
    figure = plots.heat_maps({"one": table, "two": table + 0.1}, "AUROC", "Remedies")
    assert [one.coloraxis for one in figure.data] == ["coloraxis"] * 2
    assert figure.data[0].text.tolist() == [["0.50", "0.62"], ["0.75", "\u2013"]]
    assert plots.heat_map_words({"one": table}) == "one: zeros (T1 0.50, T2 0.62); nothing (T1 0.75)"


def test_a_slider_changes_all_panels_together():
    frames = {
        str(count): {
            "a": pd.DataFrame({"x": [1, 2], "low": [0.1, 0.2 * count], "high": [0.2, 0.3 * count]}),
            "b": pd.DataFrame({"looks": [1, 5], "gain": [0.0, float(count)]}),
        }
        for count in (1, 2)
    }
    figure = plots.stepped(frames, {"a": "share", "b": "points"}, "What films tell", "films: ", 1)
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == ["1", "2"] and figure.layout.sliders[0].active == 1
    moved, traces = steps[0].args
    assert list(traces) == [0, 1, 2] and moved["y"][2] == [0.0, 1.0]
    assert list(figure.data[2].y) == steps[1].args[0]["y"][2]
    assert figure.layout.yaxis2.range[1] == pytest.approx(2.1)
