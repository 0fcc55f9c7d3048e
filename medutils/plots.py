"""Every figure of the book, in one style. A page shows them: `medutils.page`."""

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from PIL import Image
from plotly.subplots import make_subplots

from medutils.evaluation import Estimate, predictive_values
from medutils.tables import figure_safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which remain apart for readers who see colours differently.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6B6B6B"
LEGEND_ROOM = 95  # pixels below a figure whose legend lies there
COLOURS = (BLUE, ORANGE, GREEN, RED, GREY)
DASHES = ("solid", "dash", "dashdot")  # of lines, once the colours have all been used

pio.templates["book"] = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "colorway": COLOURS,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 55, "r": 15, "t": 55, "b": 55},
        "legend": {"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom", "x": 0},
        "xaxis": {"gridcolor": "#E6E6E6", "zerolinecolor": "#BBBBBB", "automargin": True},
        "yaxis": {"gridcolor": "#E6E6E6", "zerolinecolor": "#BBBBBB", "automargin": True},
        "title": {"font": {"size": 15}, "x": 0.01, "yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 18}},
    }
)


def class_bars_by(counts: pd.DataFrame, title: str) -> go.Figure:
    """Number of films in each class (columns), side by side for each split (rows)."""
    figure = grouped_bars(counts, "films", title)
    for bars, name in zip(figure.data, counts, strict=True):
        bars.text = counts[name]
    return figure


def stacked_bars(counts: pd.DataFrame, axis: str, title: str) -> go.Figure:
    """A bar a row of a table, lying, made up of its columns."""
    figure = go.Figure().update_layout(title=title, xaxis_title=axis, barmode="stack", margin_b=LEGEND_ROOM + 20)
    for colour, name in zip(cycle(COLOURS), counts, strict=False):
        names = [figure_safe(str(row)) for row in counts.index]
        figure.add_bar(x=counts[name], y=names, orientation="h", name=figure_safe(str(name)), marker_color=colour)
    return figure.update_yaxes(autorange="reversed")


def grouped_bars(values: pd.DataFrame, axis: str, title: str) -> go.Figure:
    """Bars side by side: a group a row of a table, a colour a column."""
    figure = go.Figure().update_layout(title=title, yaxis_title=axis, margin_b=LEGEND_ROOM)
    for colour, name in zip(cycle(COLOURS), values, strict=False):
        figure.add_bar(x=values.index, y=values[name], name=figure_safe(str(name)), marker_color=colour)
    return figure


def films(images: np.ndarray, titles: Sequence[str], title: str, columns: int = 5) -> go.Figure:
    """Pictures, uint8 of (n, size, size) or (n, size, size, 3), each under its title."""
    rows = -(-len(images) // columns)
    safe = [figure_safe(title) for title in titles]
    figure = make_subplots(
        rows=rows, cols=min(columns, len(images)), subplot_titles=safe, horizontal_spacing=0.02, vertical_spacing=0.12
    )
    for place, image in enumerate(images):
        colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        content = io.BytesIO()
        Image.fromarray(colour).save(content, format="png")
        source = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
        figure.add_trace(go.Image(source=source, hoverinfo="skip"), row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure.update_annotations(font_size=11).update_layout(title=title)


def counter(what: str) -> Callable[[int, int], None]:
    """A progress callback that writes to the terminal a run was started from, and nothing into the page."""

    return lambda done, total: to_terminal(f"\r{what} {done} of {total} " if done < total else "\r\x1b[K")


def to_terminal(text: str) -> None:
    """Write to the terminal a run was started from, if there is one, and nothing into the page."""
    if terminal := os.environ.get("MEDUTILS_TERMINAL"):
        with open(terminal, "w") as out:  # noqa: PTH123 - a device, not a file
            print(text, end="", file=out)


def curves(panels: Mapping[str, pd.DataFrame], x: str, title: str) -> go.Figure:
    """Line charts side by side: each panel a table whose column `x` is the abscissa and whose others are lines.

    A name that comes in several panels stands in the legend once.
    """
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels), horizontal_spacing=0.15)
    named: set[str] = set()
    for place, table in enumerate(panels.values(), start=1):
        for number, name in enumerate(table.columns.drop(x)):
            colour = COLOURS[number % len(COLOURS)]
            dash = "dot" if name.startswith("reported") else DASHES[number // len(COLOURS) % len(DASHES)]
            style = {"color": colour, "width": 2, "dash": dash}
            line = go.Scatter(x=table[x], y=table[name], name=name.replace("_", " "), line=style, legendgroup=name)
            figure.add_trace(line.update(showlegend=name not in named), row=1, col=place)
            named.add(name)
        figure.update_xaxes(title=x, row=1, col=place)
    return figure.update_layout(title=title, margin_b=LEGEND_ROOM, hovermode="x")


def intervals(
    estimates: Mapping[str, Estimate], axis: str, title: str, marks: Mapping[str, float] | None = None
) -> go.Figure:
    """Estimates with their 95 % intervals, one below the other; `marks` are vertical lines with a name."""
    names, values = [name.replace(", ", ",<br>") for name in estimates], list(estimates.values())
    value, low, high = (np.array([getattr(one, part) for one in values]) for part in ("value", "low", "high"))
    points = go.Scatter(
        x=value,
        y=names,
        error_x=_bars(value, low, high),
        mode="markers",
        marker={"size": 10, "color": BLUE},
        showlegend=False,
    )
    figure = go.Figure(points).update_layout(title=title, xaxis_title=axis, margin_b=LEGEND_ROOM if marks else None)
    figure.update_yaxes(autorange="reversed", range=[len(names) - 0.5, -0.5])
    return _marked(figure, marks or {})


def heat_maps(panels: Mapping[str, pd.DataFrame], axis: str, title: str) -> go.Figure:
    """Tables side by side as heat maps on one scale, with their numbers; panels are of the same rows and columns."""
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels), shared_yaxes=True)
    for place, table in enumerate(panels.values(), start=1):
        values = table.to_numpy(float)
        text = np.where(np.isnan(values), "–", np.char.mod("%.2f", np.nan_to_num(values)))
        names = [str(name) for name in table.columns]
        cells = go.Heatmap(
            z=values, x=names, y=list(table.index), text=text, texttemplate="%{text}", coloraxis="coloraxis"
        )
        figure.add_trace(cells, row=1, col=place)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=30)
    return figure.update_layout(title=title, coloraxis={"colorscale": "Cividis", "colorbar": {"title": axis}})


def heat_map_words(panels: Mapping[str, pd.DataFrame]) -> str:
    """The numbers of `heat_maps`, for those who do not see it."""
    said = []
    for panel, table in panels.items():
        rows = [
            f"{name} ({', '.join(f'{column} {value:.2f}' for column, value in row.items() if value == value)})"
            for name, row in table.iterrows()
        ]
        said.append(f"{panel}: {'; '.join(rows)}")
    return ". ".join(said)


def side_by_side(
    table: pd.DataFrame, axis: str, title: str, run: str, marks: Mapping[str, float] | None = None
) -> go.Figure:
    """Results one below the other: reported, reference run and this run, each where it is known.

    table: a row a result, as `Results.against_reference` gives it: `reference` and `run`, each with `_low` and `_high`
        where there is an interval, and `reported` where a write-up states the number
    run: what this run was made from; marks: vertical lines with a name
    """
    kinds = {
        "reference": ("reference run (real data)", {"color": BLUE, "size": 11}),
        "run": (f"this run ({run})", {"color": GREY, "size": 9, "symbol": "circle-open", "line": {"width": 2}}),
        "reported": ("reported", {"color": RED, "size": 12, "symbol": "diamond"}),
    }
    figure = go.Figure().update_layout(title=title, xaxis_title=axis, margin_b=LEGEND_ROOM + 20)
    places = np.arange(len(table))
    for (column, (name, marker)), shift in zip(kinds.items(), (-0.08, 0.26, -0.36), strict=True):
        if column in table and table[column].notna().any():
            value, low, high = (table.get(f"{column}{end}") for end in ("", "_low", "_high"))
            bars = None if low is None else _bars(value, low, high) | {"thickness": 1.5}
            figure.add_scatter(x=value, y=places + shift, error_x=bars, mode="markers", marker=marker, name=name)
    names = [_in_lines(name) for name in table.index]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[len(table) - 0.5, -0.5], zeroline=False)
    return _marked(figure, marks or {})


def side_by_side_height(table: pd.DataFrame) -> int:
    """Pixels that `side_by_side` needs: a row is as high as the longest name, and room for two points."""
    lines = max((_in_lines(name).count("<br>") + 1 for name in table.index), default=1)
    return 190 + len(table) * max(34, 17 * lines + 6)


def _in_lines(name: object) -> str:
    return str(name).replace(", ", ",<br>")


def side_by_side_words(table: pd.DataFrame, run: str) -> str:
    """The numbers of `side_by_side`, for those who do not see it."""
    kinds = {"reported": "reported", "reference": "reference run", "run": f"this run ({run})"}
    rows = []
    for name, row in table.iterrows():
        said = [f"{words} {row[kind]:.3f}" for kind, words in kinds.items() if pd.notna(row.get(kind))]
        rows.append(f"{name}: {', '.join(said) or 'not measured'}")
    return "; ".join(rows)


def operating_points(points: pd.DataFrame, prevalences: Sequence[float], start: int, title: str) -> go.Figure:
    """Sensitivity, specificity, PPV and NPV against the threshold, with a slider for the prevalence.

    points: `threshold`, `sensitivity`, `specificity`; start: the place of the prevalence that is shown first
    """
    figure = go.Figure().update_layout(title=title, xaxis_title="threshold", yaxis_title="share", hovermode="x unified")
    x, fixed = points["threshold"], points[["sensitivity", "specificity"]]
    for name, colour in (("sensitivity", BLUE), ("specificity", ORANGE)):
        figure.add_scatter(x=x, y=fixed[name], name=name, line={"color": colour, "width": 2})
    sensitivity, specificity = (fixed[name].to_numpy() for name in fixed)
    curves = [[*map(_listed, predictive_values(sensitivity, specificity, share))] for share in prevalences]
    for name, colour, y in zip(("PPV", "NPV"), (RED, GREEN), curves[start], strict=True):
        figure.add_scatter(x=x, y=y, name=name, line={"color": colour, "width": 2, "dash": "dash"})
    steps = [
        {"method": "restyle", "label": f"{share:.0%}", "args": [{"y": pair}, [2, 3]]}
        for share, pair in zip(prevalences, curves, strict=True)
    ]
    return _with_slider(figure, steps, start, "prevalence ").update_layout(yaxis_range=[0, 1.02])


def stepped(
    frames: Mapping[str, Mapping[str, pd.DataFrame]], axes: Mapping[str, str], title: str, prefix: str, start: int
) -> go.Figure:
    """Line charts side by side that a slider changes together.

    frames: by the label of a step, by panel, a table whose first column is the abscissa and whose others are lines
    axes: what each panel's ordinate is; prefix: stands before a step's label; start: the place of the first step shown
    """
    figure = make_subplots(rows=1, cols=len(axes), subplot_titles=list(axes), horizontal_spacing=0.15)
    labels = list(frames)
    for place, (panel, axis) in enumerate(axes.items(), start=1):
        table = frames[labels[start]][panel]
        for number, name in enumerate(table.columns[1:]):
            line = go.Scatter(x=table.iloc[:, 0], y=table[name], name=name, line={"color": COLOURS[number], "width": 2})
            figure.add_trace(line, row=1, col=place)
        end = max(float(steps[panel].iloc[:, 1:].max().max()) for steps in frames.values())
        figure.update_xaxes(title=table.columns[0], row=1, col=place)
        figure.update_yaxes(title=axis, range=[None, 1.05 * end], row=1, col=place)
    steps = []
    for label, of in frames.items():
        lines = [(of[panel].iloc[:, 0], of[panel][name]) for panel in axes for name in of[panel].columns[1:]]
        moved = {"x": [x.tolist() for x, _ in lines], "y": [_listed(y.to_numpy()) for _, y in lines]}
        steps.append({"method": "restyle", "label": label, "args": [moved, list(range(len(lines)))]})
    return _with_slider(figure, steps, start, prefix).update_layout(title=title)


def _with_slider(figure: go.Figure, steps: list[dict[str, Any]], start: int, prefix: str) -> go.Figure:
    """A figure with a slider below it and the room that it needs."""
    slider = {"active": start, "steps": steps, "currentvalue": {"prefix": prefix}, "pad": {"t": 70}, "len": 1.0}
    return figure.update_layout(sliders=[slider], margin_b=190)


def _listed(values: np.ndarray) -> list[float | None]:
    """Numbers for plotly, rounded; nothing where a share is not defined."""
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def weighted_spread(
    values: Mapping[str, tuple[Sequence[float], Sequence[float]]], axis: str, title: str, marks: Mapping[str, float]
) -> go.Figure:
    """Histograms side by side of values that came up so many times each, as shares, with a dashed line for each mark.

    values: by name, the values and how often each came up; marks: by the same names
    """
    figure = make_subplots(rows=1, cols=len(values), subplot_titles=list(values), shared_yaxes=True)
    for place, (colour, (name, (found, counts))) in enumerate(
        zip(cycle((BLUE, GREY)), values.items(), strict=False), 1
    ):
        shares = np.asarray(counts, dtype=float) / max(sum(counts), 1)
        options: dict[str, Any] = {"xbins": {"size": 0.005}, "histfunc": "sum", "showlegend": False, "name": name}
        figure.add_histogram(x=list(found), y=shares, marker_color=colour, **options, row=1, col=place)
        if np.isfinite(marks[name]):
            figure.add_vline(marks[name], line={"color": RED, "dash": "dash"}, row=1, col=place)
    figure.update_xaxes(title=axis).update_yaxes(title="share of the orders", col=1)
    return figure.update_layout(title=title)


def shares_by_count(shares: pd.DataFrame, axis: str, counted: str, title: str) -> go.Figure:
    """Bars side by side for each column of a table whose rows are counts from 0."""
    figure = go.Figure().update_layout(title=title, xaxis_title=axis, yaxis_title=counted, margin_b=LEGEND_ROOM)
    for colour, name in zip(cycle((BLUE, GREY)), shares, strict=False):
        figure.add_bar(x=shares.index, y=shares[name], name=name, marker_color=colour)
    return figure.update_xaxes(dtick=1)


def learning_curves(curves: Mapping[str, pd.DataFrame], metric: str, title: str) -> go.Figure:
    """A metric by the number of training rows, a line a name, on a logarithmic axis.

    curves: tables of `rows`, `value`, `low` and `high`; the first half of them is drawn full, the rest thin and dotted
    """
    figure = go.Figure().update_layout(title=title, yaxis_title=metric, margin_b=LEGEND_ROOM + 30)
    for place, (name, table) in enumerate(curves.items()):
        first = place < len(curves) / 2
        line = {"color": (ORANGE, BLUE)[place % 2], "width": 2 if first else 1, "dash": "solid" if first else "dot"}
        bars = _bars(table["value"], table["low"], table["high"]) if first else None
        figure.add_scatter(x=table["rows"], y=table["value"], error_y=bars, name=name, mode="lines+markers", line=line)
    ticks = sorted({int(rows) for table in curves.values() for rows in table["rows"]})
    return figure.update_xaxes(title="training rows", type="log", tickvals=ticks)


def _bars(value: Any, low: Any, high: Any) -> dict[str, Any]:
    """Error bars of values with their intervals."""
    value, low, high = (np.asarray(part, dtype=float) for part in (value, low, high))
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}


def _marked(figure: go.Figure, marks: Mapping[str, float]) -> go.Figure:
    """Draw named vertical lines; their names stand in the legend, where no width of the screen can cut them."""
    for (name, value), colour in zip(marks.items(), (RED, GREY), strict=False):
        figure.add_vline(value, line={"color": colour, "dash": "dash"}, name=name, showlegend=True)
    return figure


def confusion_matrix(counts: pd.DataFrame, title: str) -> "Figure":
    """Counts of decisions by true class, a drawing of seaborn."""
    import seaborn as sns
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 0.9 + 0.7 * len(counts)))
    axes = figure.subplots()
    counts = counts.rename(index=_no_tex, columns=_no_tex)
    sns.heatmap(counts, annot=True, fmt="d", cmap="Blues", cbar=False, ax=axes)
    axes.set(xlabel="decided", ylabel="truly")
    axes.tick_params(axis="y", rotation=0)
    figure.suptitle(title)
    return figure


def _no_tex(name: object) -> str:
    """A name of the user's own so that matplotlib shows it as it is written, and not as TeX between dollar signs."""
    return str(name).replace("$", r"\$")


def distributions(table: pd.DataFrame, columns: Sequence[str], by: str, title: str) -> "Figure":
    """How the values of each column are distributed in each class `by`, a panel a column, drawn by seaborn."""
    import seaborn as sns
    from matplotlib.figure import Figure

    across = min(4, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(2.3 * across, 1.9 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    table = table[[*columns, by]].rename(columns=_no_tex).assign(**{_no_tex(by): table[by].map(_no_tex)})
    for axes, column in zip(panels, map(_no_tex, columns), strict=False):
        sns.stripplot(table, x=column, y=by, hue=by, palette=[BLUE, ORANGE], size=2, legend=False, ax=axes)
        axes.set(ylabel="")
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


def matrix_words(counts: pd.DataFrame) -> str:
    """A table of decisions by true class in words, for those who do not see the figure."""
    lines = [
        f"of {row.sum()} films truly {name}, " + ", ".join(f"{count} decided {said}" for said, count in row.items())
        for name, row in counts.iterrows()
    ]
    return "Confusion matrix: " + "; ".join(lines) + "."


def calibration_curves(curves: Mapping[str, pd.DataFrame], title: str) -> go.Figure:
    """Observed against predicted frequency, with 95 % intervals and the diagonal of a perfect forecast."""
    figure = go.Figure(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="perfect", line={"color": GREY, "dash": "dot"})
    )
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        bars = _bars(curve["observed"], curve["low"], curve["high"])
        figure.add_scatter(
            x=curve["predicted"], y=curve["observed"], error_y=bars, mode="lines+markers", name=name, line_color=colour
        )
    labels = {"xaxis_title": "predicted probability", "yaxis_title": "observed frequency"}
    figure.update_layout(title=title, margin_b=LEGEND_ROOM, **labels)
    return figure
