"""A sweep in figures: which parameters go with which result, and how far seeds alone move it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from medutils.plots import BLUE, GREY, LEGEND_ROOM, ORANGE
from medutils.tables import figure_safe


def parallel_coordinates(runs: pd.DataFrame, parameters: Sequence[str], metric: str, title: str) -> go.Figure:
    """A line a run, from axis to axis: its parameters, then its metric, which also colours it.

    An axis holds the values of a parameter that occur, at equal distances, in their order.
    """
    axes = [_axis(runs[name], name) for name in parameters]
    values = runs[metric]
    axes.append({"label": figure_safe(metric), "values": values})
    line = {"color": values, "colorscale": [[0, ORANGE], [1, BLUE]], "showscale": False}
    figure = go.Figure(go.Parcoords(line=line, dimensions=axes, labelfont={"size": 13}))
    return figure.update_layout(title=title, margin={"l": 70, "r": 60, "t": 95, "b": 30})


def _axis(values: pd.Series, name: str) -> dict[str, object]:
    known = sorted(values.unique())
    places = values.map(dict(zip(known, range(len(known)), strict=True)))
    words = [f"{value:g}" if isinstance(value, int | float) else figure_safe(str(value)) for value in known]
    return {"label": figure_safe(name), "values": places, "tickvals": list(range(len(known))), "ticktext": words}


def by_setting(runs: pd.DataFrame, parameters: Sequence[str], metric: str) -> pd.DataFrame:
    """A row a setting of the parameters, by its mean: `seeds`, and `mean`, `lowest` and `highest` of the metric."""
    found = runs.groupby(list(parameters))[metric].agg(seeds="size", mean="mean", lowest="min", highest="max")
    found.index = [settings(key, parameters) for key in found.index]
    return found.sort_values("mean")


def settings(values: object, parameters: Sequence[str]) -> str:
    """A setting in words."""
    each = values if isinstance(values, tuple) else (values,)
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float | np.number) else f"{name} {value}"
        for name, value in zip(parameters, each, strict=True)
    )


def seed_spread(runs: pd.DataFrame, parameters: Sequence[str], metric: str, title: str) -> go.Figure:
    """A line a setting, the best on top: a dot for each seed, and a bar at their mean."""
    order = by_setting(runs, parameters, metric)
    keys = runs[list(parameters)].itertuples(index=False, name=None)
    names = [settings(key, parameters) for key in keys]
    figure = go.Figure().update_layout(title=title, xaxis_title=figure_safe(metric))
    dots = {"size": 9, "color": BLUE, "opacity": 0.6}
    figure.add_scatter(x=runs[metric], y=list(map(figure_safe, names)), mode="markers", marker=dots, name="one seed")
    bar = {"size": 20, "color": GREY, "symbol": "line-ns", "line": {"width": 3, "color": GREY}}
    rows = [figure_safe(name) for name in order.index]
    figure.add_scatter(x=order["mean"], y=rows, mode="markers", marker=bar, name="mean of the seeds")
    return figure.update_yaxes(categoryorder="array", categoryarray=rows).update_layout(margin_b=LEGEND_ROOM)
