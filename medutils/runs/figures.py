"""A sweep in figures: which parameters go with which result, and how far seeds alone move it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from medutils.plots import BLUE, GREY, LEGEND_ROOM, ORANGE
from medutils.tables import figure_safe


def parallel_coordinates(runs: pd.DataFrame, parameters: Sequence[str], metric: str, title: str) -> go.Figure:
    """A line a run, from axis to axis: its parameters, then its metric, which also colours it.

    An axis holds the values of a parameter that occur, at equal distances, in their order; the metric's goes from the
    lowest to the highest. Drawn with plain lines: plotly's own figure of this kind needs WebGL.
    """
    names = [*parameters, metric]
    axes = [_axis(runs[name]) for name in parameters] + [_scale(runs[metric])]
    shade = sample_colorscale([[0, ORANGE], [1, BLUE]], axes[-1][0].tolist())
    figure = go.Figure().update_layout(title=title, showlegend=False, margin={"l": 20, "r": 60, "b": 45})
    across = list(range(len(names)))
    for row, colour in enumerate(shade):
        told = "<br>".join(f"{figure_safe(name)}: {_word(runs[name].iloc[row])}" for name in names)
        line = {"color": colour, "width": 2}
        figure.add_scatter(
            x=across, y=[axis[0][row] for axis in axes], mode="lines", line=line, text=told, hoverinfo="text"
        )
    for place, (_, ticks) in enumerate(axes):
        figure.add_vline(x=place, line={"color": GREY, "width": 1})
        for height, word in ticks:
            figure.add_annotation(
                x=place, y=height, text=word, showarrow=False, xanchor="left", xshift=4, bgcolor="white"
            )
    figure.update_xaxes(
        tickvals=across, ticktext=list(map(figure_safe, names)), showgrid=False, range=[-0.1, len(names) - 0.6]
    )
    return figure.update_yaxes(visible=False, range=[-0.08, 1.08])


Axis = tuple[
    NDArray[np.float64], list[tuple[float, str]]
]  # where each run is, from 0 to 1, and where which word stands


def _axis(values: pd.Series) -> Axis:
    known = sorted(values.unique())
    heights = dict(zip(known, np.linspace(0, 1, len(known)) if len(known) > 1 else [0.5], strict=True))
    return values.map(heights).to_numpy(dtype=float), [(float(heights[value]), _word(value)) for value in known]


def _scale(values: pd.Series) -> Axis:
    low, high = float(values.min()), float(values.max())
    spread = (high - low) or 1.0
    return ((values - low) / spread).to_numpy(dtype=float), [
        (0.0, f"{low:.3f}"),
        ((high - low) / spread, f"{high:.3f}"),
    ]


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else figure_safe(str(value))


def by_setting(runs: pd.DataFrame, parameters: Sequence[str], metric: str) -> pd.DataFrame:
    """A row a setting of the parameters, by its mean: `seeds`, and `mean`, `lowest` and `highest` of the metric."""
    found = runs.groupby(list(parameters))[metric].agg(seeds="size", mean="mean", lowest="min", highest="max")
    found.index = [settings(key, parameters) for key in found.index]
    return found.sort_values("mean")


def settings(values: object, parameters: Sequence[str]) -> str:
    """A setting in words."""
    each = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{name} {_word(value)}" for name, value in zip(parameters, each, strict=True))


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
