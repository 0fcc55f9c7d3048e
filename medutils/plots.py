"""Every figure of the book, in one style. Each takes the sentence that stands in for it when it cannot be seen."""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from PIL import Image
from plotly.io.base_renderers import MimetypeRenderer
from plotly.subplots import make_subplots

from medutils.evaluation import Estimate, predictive_values
from medutils.tables import figure_safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Of = Literal["run", "reference", "both"]  # whose numbers a figure or a table holds

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
        "title": {"font": {"size": 15}, "x": 0.01, "yref": "container", "y": 0.98, "yanchor": "top"},
    }
)


class Quoted(Protocol):
    """Words of a write-up and where they stand."""

    words: str
    section: str
    write_up: str


class Named(Protocol):
    """A write-up by its title."""

    title: str


class _BookRenderer(MimetypeRenderer):
    """A div and one `newPlot`, for a page that loads plotly's script itself; the same figure gives the same text."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        told = fig_dict["layout"]["meta"]
        name = "fig-" + hashlib.sha256(pio.to_json(fig_dict, validate=False).encode()).hexdigest()[:12]
        height = f"{fig_dict['layout']['height']}px"
        options: dict[str, Any] = {"include_plotlyjs": False, "include_mathjax": False, "full_html": False}
        config = {"responsive": True, "displayModeBar": False}
        html = pio.to_html(fig_dict, **options, validate=False, div_id=name, default_height=height, config=config)
        # What can be moved must be reached, so that it is a group and not one picture.
        role = "group" if fig_dict["layout"].get("sliders") else "img"
        framed = f'<div role="{role}" aria-label="{told["alt"]}">{html}</div>'
        return {"text/html": _figure(framed, told["caption"]), "text/plain": _in_words(told["alt"], told["caption"])}


class _TextRenderer(MimetypeRenderer):
    """Only the text alternative: for comparing runs, where coordinates carry more digits than two machines agree on."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        told = fig_dict["layout"]["meta"]
        return {"text/plain": _in_words(told["alt"], told["caption"])}


pio.renderers["book"] = _BookRenderer()
pio.renderers["text"] = _TextRenderer()


def _figure(html: str, caption: str) -> str:
    return f'<div class="figure">{html}<p class="told">{_html(caption)}</p></div>' if caption else html


def _in_words(alt: str, caption: str) -> str:
    return f"Figure: {alt}\n{caption}".strip()


def _html(text: str) -> str:
    """Markdown of one paragraph as HTML; no tag in it is taken for one."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).renderInline(text)


@dataclass(frozen=True)
class Page:
    """What a chapter shows. Each figure and each table says by itself what its numbers were made from.

    on_what: `phantom` or `real data`
    """

    on_what: Literal["phantom", "real data"]

    def made_from(self, of: "Of") -> str:
        """What stands in brackets behind a title: numbers of this run, of the reference run, or of both."""
        if of == "both":
            return f"reference run: real data, this run: {self.on_what}"
        return self.on_what if of == "run" else "reference run: real data"

    def show(
        self, figure: "go.Figure | Figure", alt: str, height: int = 380, caption: str = "", of: "Of" = "run"
    ) -> None:
        """Show a figure of plotly, or of matplotlib and so of seaborn, with what it was made from in its title.

        alt: what is to be seen, with the data, for those who do not see it
        height: in pixels, of a figure of plotly; one of matplotlib has its own size
        caption: one sentence or two below it that say what it shows, in Markdown
        of: whose numbers it holds
        """
        alt = escape(alt.replace('"', "'"), quote=False)
        if not isinstance(figure, go.Figure):
            return self._show_static(figure, alt, caption, of)
        title = figure.layout.title.text
        if not title:
            raise ValueError("a figure needs a title")
        told = {"alt": alt, "caption": caption}
        made_from = self.made_from(of)
        figure.update_layout(template="book", height=height, meta=told, title_text=_two_lines(title, made_from))
        if "<br>" in figure.layout.title.text:
            figure.update_layout(margin_t=85)  # room for the titles of panels below it
        renderer = os.environ.get("MEDUTILS_RENDERER")
        figure.show(renderer=renderer or None)
        if caption and renderer not in ("book", "text"):
            self.say(caption)

    def _show_static(self, figure: "Figure", alt: str, caption: str, of: "Of") -> None:
        from IPython.display import display

        bundle = {"text/plain": _in_words(alt, caption)}
        picture = self._drawn(figure, alt, of)
        if os.environ.get("MEDUTILS_RENDERER") != "text":
            bundle["text/html"] = _figure(picture, caption)
        display(bundle, raw=True)

    def _drawn(self, figure: "Figure", alt: str, of: "Of") -> str:
        """A figure of matplotlib as a drawing within the page, whose text is text."""
        import matplotlib as mpl

        title = figure.get_suptitle()
        if not title:
            raise ValueError("a figure needs a title: figure.suptitle(...)")
        figure.suptitle(f"{title} ({self.made_from(of)})")
        content = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": "medutils", "svg.fonttype": "none"}):
            figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None})
        drawn = base64.b64encode(content.getvalue().encode()).decode()
        return f'<img class="drawn" src="data:image/svg+xml;base64,{drawn}" alt="{alt}">'

    def table(
        self, frame: pd.DataFrame, caption: str, digits: int | None = None, of: "Of | Literal['write-up']" = "run"
    ) -> None:
        """Show a table under a caption.

        digits: gives numbers that many significant ones, so that measurements of any scale can be read
        of: whose numbers it holds; those of the write-ups alone the caption must name itself
        """
        from IPython.display import display

        if of == "write-up" and "write-up" not in caption.lower():
            raise ValueError(f"'{caption}' does not say that its numbers are a write-up's")
        caption = caption if of == "write-up" else f"{caption} ({self.made_from(of)})"
        html, text = _table(frame, caption, digits)
        display({"text/html": html, "text/plain": text}, raw=True)

    def beside(
        self,
        table: pd.DataFrame,
        axis: str,
        title: str,
        caption: str,
        marks: Mapping[str, float] | None = None,
    ) -> None:
        """Show results reported, of the reference run and of this run side by side; see `side_by_side`."""
        figure = side_by_side(table, axis, title, self.on_what, marks)
        words = f"{axis}. {side_by_side_words(table, self.on_what)}"
        self.show(figure, words, 210 + 52 * len(table), caption, of="both")

    def fold(
        self,
        title: str,
        *parts: "str | pd.DataFrame | tuple[Figure, str]",
        kind: Literal["folded", "question"] = "folded",
    ) -> None:
        """Show paragraphs, tables, and figures of this run with their text alternative, behind a click.

        The headings of a table sort it.

        kind: `question` when the title is one, so that a reader can guess before looking
        """
        from IPython.display import display

        html, text = [], [title]
        for part in parts:
            if isinstance(part, str):
                html.append(f"<p>{_html(part)}</p>")
                text.append(part)
            elif isinstance(part, tuple):
                figure, alt = part
                html.append(self._drawn(figure, escape(alt.replace('"', "'"), quote=False), "run"))
                text.append(_in_words(alt, ""))
            else:
                table, words = _table(part, part.attrs["caption"], None)
                table = table.replace("<td></td>", "<th>Name</th>", 1)  # a heading to sort by
                html.append(table.replace('class="dataframe"', 'class="dataframe sortable"', 1))
                text.append(words)
        folded = f'<details class="{kind}"><summary>{_html(title)}</summary>{"".join(html)}</details>'
        display({"text/html": folded, "text/plain": "\n".join(text)}, raw=True)

    def titled(self, frame: pd.DataFrame, caption: str, of: "Of" = "run") -> pd.DataFrame:
        """A table with its caption, for `fold`."""
        frame = frame.copy()
        frame.attrs["caption"] = f"{caption} ({self.made_from(of)})"
        return frame

    def say(self, text: str) -> None:
        """Show a sentence that takes its numbers from the run."""
        from IPython.display import Markdown, display

        display(Markdown(text))

    def box(self, title: str, lines: Sequence[str], kind: Literal["tip", "note", "important"] = "note") -> None:
        """Show sentences in a box: one as it is, several as a list."""
        from IPython.display import display

        told = [_html(line) for line in lines]
        body = f"<p>{told[0]}</p>" if len(told) == 1 else f"<ul>{''.join(f'<li>{line}</li>' for line in told)}</ul>"
        html = f'<div class="admonition {kind}"><p class="admonition-title">{escape(title)}</p>{body}</div>'
        display({"text/html": html, "text/plain": "\n".join([title, *lines])}, raw=True)

    def quote(self, quote: "Quoted", write_up: "Named") -> None:
        """Show words of a write-up, to the letter, with where they stand and a link to what is known of it."""
        from IPython.display import display

        where = f"Write-up {quote.write_up}, “{write_up.title}”, section {quote.section}"
        link = f'<a href="sources.html#write-up-{quote.write_up}">{escape(where)}</a>'
        words = "".join(f"<p>{escape(line)}</p>" for line in quote.words.splitlines() if line.strip())
        html = f'<figure class="quoted"><blockquote>{words}</blockquote><figcaption>{link}</figcaption></figure>'
        display({"text/html": html, "text/plain": f"{quote.words}\n{where}"}, raw=True)


def as_html(figure: go.Figure, alt: str, height: int, caption: str, of: "Of") -> str:
    """A figure of real data as a page of the book holds it, for a page that is no notebook."""
    figure.update_layout(
        template="book",
        height=height,
        meta={"alt": escape(alt.replace('"', "'"), quote=False), "caption": caption},
        title_text=_two_lines(figure.layout.title.text, Page("real data").made_from(of)),
    )
    return _BookRenderer().to_mimebundle(figure.to_dict())["text/html"]


def _two_lines(title: str, made_from: str) -> str:
    """A title with what it was made from; a long one in two lines, since a narrow screen cuts what does not fit."""
    return f"{title} ({made_from})" if len(made_from) < 12 else f"{title}<br><sub>{made_from}</sub>"


def _table(frame: pd.DataFrame, caption: str, digits: int | None) -> tuple[str, str]:
    """A table as HTML and as text."""
    shown: dict[str, Any] = {"na_rep": "–", "float_format": f"{{:.{digits}g}}".format if digits else None}
    with pd.option_context("display.max_colwidth", None):
        html = frame.to_html(border=0, **shown)
    html = html.replace(">", f">\n  <caption>{escape(caption)}</caption>", 1).replace("<th></th>", "<td></td>")
    return html, f"{caption}\n{frame.to_string(**shown)}"


def class_bars_by(counts: pd.DataFrame, title: str) -> go.Figure:
    """Number of films in each class (columns), side by side for each split (rows)."""
    figure = go.Figure().update_layout(title=title, yaxis_title="films", margin_b=LEGEND_ROOM)
    for colour, name in zip(cycle(COLOURS), counts, strict=False):
        figure.add_bar(x=counts.index, y=counts[name], text=counts[name], name=figure_safe(name), marker_color=colour)
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
    for (column, (name, marker)), shift in zip(kinds.items(), (-0.08, 0.2, -0.3), strict=True):
        if column in table and table[column].notna().any():
            value = table[column].astype(float)
            figure.add_scatter(
                x=value, y=places + shift, error_x=_bars(table, column), mode="markers", marker=marker, name=name
            )
    names = [str(name).replace(", ", ",<br>") for name in table.index]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[len(table) - 0.5, -0.5], zeroline=False)
    return _marked(figure, marks or {})


def _bars(table: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """The error bars of a column that has its interval beside it."""
    if f"{column}_low" not in table:
        return None
    value, low, high = (table[name].astype(float) for name in (column, f"{column}_low", f"{column}_high"))
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, "thickness": 1.5}


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
    slider = {"active": start, "steps": steps, "currentvalue": {"prefix": "prevalence "}, "pad": {"t": 70}, "len": 1.0}
    return figure.update_layout(sliders=[slider], margin_b=190, yaxis_range=[0, 1.02])


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
        bars = {
            "array": table["high"] - table["value"],
            "arrayminus": table["value"] - table["low"],
            "symmetric": False,
        }
        figure.add_scatter(
            x=table["rows"],
            y=table["value"],
            error_y=bars if first else None,
            name=name,
            mode="lines+markers",
            line=line,
        )
    ticks = sorted({int(rows) for table in curves.values() for rows in table["rows"]})
    return figure.update_xaxes(title="training rows", type="log", tickvals=ticks)


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
