"""Every figure of the book, in one style. Each takes the sentence that stands in for it when it cannot be seen."""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle, islice
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from PIL import Image
from plotly.io.base_renderers import MimetypeRenderer
from plotly.subplots import make_subplots

from medutils.evaluation import Estimate

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
        "title": {"font": {"size": 15}, "x": 0.01},
    }
)


class _BookRenderer(MimetypeRenderer):
    """A div and one `newPlot`, for a page that loads plotly's script itself; the same figure gives the same text."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        alt = fig_dict["layout"]["meta"]["alt"]
        name = "fig-" + hashlib.sha256(pio.to_json(fig_dict, validate=False).encode()).hexdigest()[:12]
        height = f"{fig_dict['layout']['height']}px"
        options: dict[str, Any] = {"include_plotlyjs": False, "include_mathjax": False, "full_html": False}
        config = {"responsive": True, "displayModeBar": False}
        html = pio.to_html(fig_dict, **options, validate=False, div_id=name, default_height=height, config=config)
        return {"text/html": f'<div role="img" aria-label="{alt}">{html}</div>', "text/plain": f"Figure: {alt}"}


class _TextRenderer(MimetypeRenderer):
    """Only the text alternative: for comparing runs, where coordinates carry more digits than two machines agree on."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        return {"text/plain": f"Figure: {fig_dict['layout']['meta']['alt']}"}


pio.renderers["book"] = _BookRenderer()
pio.renderers["text"] = _TextRenderer()


@dataclass(frozen=True)
class Page:
    """What a chapter shows. Each figure and each table says by itself what its numbers were made from.

    on_what: `phantom` or `real data`
    """

    on_what: Literal["phantom", "real data"]

    def show(self, figure: go.Figure, alt: str, height: int = 380) -> None:
        """Show a figure, its title with `on_what` added; its text alternative must say what is to be seen."""
        title = figure.layout.title.text
        if not title:
            raise ValueError("a figure needs a title")
        figure.update_layout(
            template="book", height=height, meta={"alt": alt.replace('"', "'")}, title_text=f"{title} ({self.on_what})"
        )
        figure.show(renderer=os.environ.get("MEDUTILS_RENDERER") or None)

    def table(
        self, frame: pd.DataFrame, caption: str, digits: int | None = None, of: Literal["run", "write-up"] = "run"
    ) -> None:
        """Show a table under a caption.

        digits: gives numbers that many significant ones, so that measurements of any scale can be read
        of: the numbers of this run, whose caption gets `on_what` added, or of the write-ups alone, which it must name
        """
        from IPython.display import display

        if of == "write-up" and "write-up" not in caption.lower():
            raise ValueError(f"'{caption}' does not say that its numbers are a write-up's")
        caption = f"{caption} ({self.on_what})" if of == "run" else caption
        shown: dict[str, Any] = {"na_rep": "–", "float_format": f"{{:.{digits}g}}".format if digits else None}
        with pd.option_context("display.max_colwidth", None):
            html = frame.to_html(border=0, **shown)
        html = html.replace(">", f">\n  <caption>{escape(caption)}</caption>", 1).replace("<th></th>", "<td></td>")
        display({"text/html": html, "text/plain": f"{caption}\n{frame.to_string(**shown)}"}, raw=True)

    def say(self, text: str) -> None:
        """Show a sentence that takes its numbers from the run."""
        from IPython.display import Markdown, display

        display(Markdown(text))


def class_bars(labels: pd.Series) -> go.Figure:
    """Number of records in each class."""
    counts = labels.value_counts()
    colours = list(islice(cycle(COLOURS), len(counts)))
    bars = go.Bar(x=counts.index, y=counts, text=counts, marker_color=colours)
    return go.Figure(bars).update_layout(title="Rows by class", yaxis_title="rows")


def class_bars_by(counts: pd.DataFrame, title: str) -> go.Figure:
    """Number of films in each class (columns), side by side for each split (rows)."""
    figure = go.Figure().update_layout(title=title, yaxis_title="films", margin_b=LEGEND_ROOM)
    for colour, name in zip(cycle(COLOURS), counts, strict=False):
        figure.add_bar(x=counts.index, y=counts[name], text=counts[name], name=name, marker_color=colour)
    return figure


def films(images: np.ndarray, titles: Sequence[str], title: str, columns: int = 5) -> go.Figure:
    """Pictures, uint8 of (n, size, size) or (n, size, size, 3), each under its title."""
    rows = -(-len(images) // columns)
    figure = make_subplots(
        rows=rows, cols=min(columns, len(images)), subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.12
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
    error = {
        "type": "data",
        "symmetric": False,
        "array": [e.high - e.value for e in values],
        "arrayminus": [e.value - e.low for e in values],
    }
    points = go.Scatter(
        x=[e.value for e in values],
        y=names,
        error_x=error,
        mode="markers",
        marker={"size": 10, "color": BLUE},
        showlegend=False,
    )
    figure = go.Figure(points).update_layout(title=title, xaxis_title=axis, margin_b=LEGEND_ROOM if marks else None)
    figure.update_yaxes(autorange="reversed", range=[len(names) - 0.5, -0.5])
    return _marked(figure, marks or {})


def spread(
    values: Mapping[str, np.ndarray], axis: str, title: str, counted: str, marks: Mapping[str, float] | None = None
) -> go.Figure:
    """Histograms on top of each other, with named vertical lines; `counted` says what there is one value of."""
    figure = go.Figure().update_layout(barmode="overlay", title=title, margin_b=LEGEND_ROOM)
    figure.update_layout(xaxis_title=axis, yaxis_title=counted)
    for colour, (name, part) in zip(cycle(COLOURS), values.items(), strict=False):
        figure.add_histogram(x=part, name=name, opacity=0.65, marker_color=colour, xbins={"size": 0.005})
    return _marked(figure, marks or {})


def _marked(figure: go.Figure, marks: Mapping[str, float]) -> go.Figure:
    """Draw named vertical lines; their names stand in the legend, where no width of the screen can cut them."""
    for (name, value), colour in zip(marks.items(), (RED, GREY), strict=False):
        figure.add_vline(value, line={"color": colour, "dash": "dash"}, name=name, showlegend=True)
    return figure


def confusion_matrix(counts: pd.DataFrame, title: str) -> go.Figure:
    """Counts of decisions by true class."""
    heat = go.Heatmap(
        z=counts.to_numpy(),
        x=[f"decided {name}" for name in counts.columns],
        y=[f"truly {name}" for name in counts.index],
        text=counts.to_numpy(),
        texttemplate="%{text}",
        colorscale="Blues",
        showscale=False,
    )
    return go.Figure(heat).update_layout(title=title).update_yaxes(autorange="reversed")


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
        error = {
            "type": "data",
            "array": curve["high"] - curve["observed"],
            "arrayminus": curve["observed"] - curve["low"],
        }
        figure.add_scatter(
            x=curve["predicted"], y=curve["observed"], error_y=error, mode="lines+markers", name=name, line_color=colour
        )
    labels = {"xaxis_title": "predicted probability", "yaxis_title": "observed frequency"}
    figure.update_layout(title=title, margin_b=LEGEND_ROOM, **labels)
    return figure
