"""What a page of the book shows: figures, tables, quotations, questions. Each says what its numbers were made from."""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

from medutils.plots import side_by_side, side_by_side_height, side_by_side_words
from medutils.told import Told, parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Whose numbers a figure or a table holds; those of a phantom may stand in a run on real data too.
Of = Literal["run", "reference", "both", "phantom", "reference and phantom", "arithmetic"]
THIS_RUN = "This run, on a phantom"  # above what a run on a phantom gave, where the real result stands before it


class Quoted(Protocol):
    """Words of a write-up and where they stand."""

    words: str
    section: str
    write_up: str


class Compared(Protocol):
    """Results of a run that can be held against the reference run."""

    def against_reference(self, names: Mapping[str, str]) -> pd.DataFrame: ...

    def tell(self, clause: Callable[[Any], str], *, needs: str) -> Told: ...


class Named(Protocol):
    """A write-up by its title, and where a section is that is a file of the code behind it."""

    title: str

    def code_address(self, section: str) -> str: ...


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
        caption = Told(told["caption"], told["of_run"])
        return {"text/html": _figure(framed, caption), "text/plain": _in_words(told["alt"], caption)}


class _TextRenderer(MimetypeRenderer):
    """Only the text alternative: for comparing runs, where coordinates carry more digits than two machines agree on."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        told = fig_dict["layout"]["meta"]
        return {"text/plain": _in_words(told["alt"], Told(told["caption"], told["of_run"]))}


pio.renderers["book"] = _BookRenderer()
pio.renderers["text"] = _TextRenderer()


def _figure(html: str, caption: str) -> str:
    shown, run = parts(caption)
    told = f'<p class="told">{_html(shown)}</p>{_of_run(run)}'
    return f'<div class="figure">{html}{told}</div>' if caption else html


def _of_run(text: str) -> str:
    """What this run gave, behind a click; nothing of nothing."""
    return f'<details class="run"><summary>{THIS_RUN}</summary><p>{_html(text)}</p></details>' if text else ""


def _in_words(alt: str, caption: str) -> str:
    return f"Figure: {alt}\n{caption}".strip()


def _html(text: str) -> str:
    """Markdown of one paragraph as HTML; no tag in it is taken for one."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).renderInline(text)


@dataclass(frozen=True)
class Titled:
    """A table and its caption."""

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Page:
    """What a chapter shows. Each figure and each table says by itself what its numbers were made from.

    on_what: `phantom` or `real data`
    """

    on_what: Literal["phantom", "real data"]

    def made_from(self, of: Of) -> str:
        """What stands in brackets behind a title: numbers of this run, of the reference run, of both, of a phantom."""
        if of in ("phantom", "arithmetic"):
            return of
        if of == "reference and phantom":
            return "reference run: real data and phantoms"
        if of == "both":
            return f"reference run: real data, this run: {self.on_what}"
        return self.on_what if of == "run" else "reference run: real data"

    def show(
        self, figure: "go.Figure | Figure", alt: str, height: int = 380, caption: str = "", of: Of = "run"
    ) -> None:
        """Show a figure of plotly, or of matplotlib and so of seaborn, with what it was made from in its title.

        alt: what is to be seen, with the data, for those who do not see it
        height: in pixels, of a figure of plotly; one of matplotlib has its own size
        caption: one sentence or two below it that say what it shows, in Markdown
        of: whose numbers it holds
        """
        if not isinstance(figure, go.Figure):
            return self._show_static(figure, alt, caption, of)
        dressed(figure, alt, height, caption, self.made_from(of))
        renderer = os.environ.get("MEDUTILS_RENDERER")
        figure.show(renderer=renderer or None)
        if caption and renderer not in ("book", "text"):
            self.say(caption)

    def _show_static(self, figure: "Figure", alt: str, caption: str, of: Of) -> None:
        from IPython.display import display

        bundle = {"text/plain": _in_words(_attribute(alt), caption)}
        picture = self._drawn(figure, alt, of)
        if os.environ.get("MEDUTILS_RENDERER") != "text":
            bundle["text/html"] = _figure(picture, caption)
        display(bundle, raw=True)

    def _drawn(self, figure: "Figure", alt: str, of: Of) -> str:
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
        return f'<img class="drawn" src="data:image/svg+xml;base64,{drawn}" alt="{_attribute(alt)}">'

    def table(
        self, frame: pd.DataFrame, caption: str, digits: int | None = None, of: Of | Literal["write-up"] = "run"
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
        self.show(figure, words, side_by_side_height(table), caption, of="both")

    def told(
        self,
        results: Compared,
        rows: Mapping[str, str],
        axis: str,
        title: str,
        clause: Callable[[Any], str],
        needs: str,
        marks: Mapping[str, float] | None = None,
    ) -> None:
        """Show numbers of the reference run and of this run with what they say; only the words where there is none.

        rows: by the name that each row is to have, the metric or path of its number; the rest as in `beside` and `tell`
        """
        table, said = results.against_reference(rows), results.tell(clause, needs=needs)
        if table.notna().any(axis=None):
            self.beside(table, axis, title, said, marks)
        else:
            self.say(said)

    def fold(
        self,
        title: str,
        *parts: "str | Titled | tuple[Figure, str]",
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
                html.append(self._drawn(figure, alt, "run"))
                text.append(_in_words(alt, ""))
            else:
                table, words = _table(part.frame, part.caption, None)
                table = table.replace("<td></td>", "<th>Name</th>", 1)  # a heading to sort by
                html.append(table.replace('class="dataframe"', 'class="dataframe sortable"', 1))
                text.append(words)
        folded = f'<details class="{kind}"><summary>{_html(title)}</summary>{"".join(html)}</details>'
        display({"text/html": folded, "text/plain": "\n".join(text)}, raw=True)

    def titled(self, frame: pd.DataFrame, caption: str, of: Of = "run") -> Titled:
        """A table with its caption, for `fold`."""
        return Titled(frame, f"{caption} ({self.made_from(of)})")

    def say(self, text: str) -> None:
        """Show a sentence that takes its numbers from the run; of a result told twice the phantom's is folded."""
        from IPython.display import Markdown, display

        shown, run = parts(text)
        display(Markdown(shown))
        if run:
            display({"text/html": _of_run(run), "text/plain": run}, raw=True)

    def box(self, title: str, lines: Sequence[str], kind: Literal["tip", "note", "important"] = "note") -> None:
        """Show sentences in a box: one as it is, several as a list."""
        from IPython.display import display

        told = [_html(line) for line in lines]
        body = f"<p>{told[0]}</p>" if len(told) == 1 else f"<ul>{''.join(f'<li>{line}</li>' for line in told)}</ul>"
        html = f'<div class="admonition {kind}"><p class="admonition-title">{escape(title)}</p>{body}</div>'
        display({"text/html": html, "text/plain": "\n".join([title, *lines])}, raw=True)

    def drawing(self, svg: str, alt: str, caption: str) -> None:
        """Show a drawing that holds no numbers of a run, in the colour of the text around it."""
        from IPython.display import display

        told = f"<figcaption>{_html(caption)}</figcaption>"
        html = f'<figure class="drawn"><div role="img" aria-label="{escape(alt)}">{svg}</div>{told}</figure>'
        display({"text/html": html, "text/plain": f"{alt}\n{caption}"}, raw=True)

    def quote(self, quote: Quoted, write_up: Named) -> None:
        """Show words of a write-up, to the letter, with where they stand and a link to what is known of it.

        Words of the code behind it lead to the file itself.
        """
        from IPython.display import display

        code = write_up.code_address(quote.section)
        where = f"Write-up {quote.write_up}, “{write_up.title}”, {'its code' if code else 'section'} {quote.section}"
        link = f'<a href="{escape(code or f"sources.html#write-up-{quote.write_up}")}">{escape(where)}</a>'
        words = "".join(f"<p>{escape(line)}</p>" for line in quote.words.splitlines() if line.strip())
        html = f'<figure class="quoted"><blockquote>{words}</blockquote><figcaption>{link}</figcaption></figure>'
        display({"text/html": html, "text/plain": f"{quote.words}\n{where}"}, raw=True)


def dressed(figure: go.Figure, alt: str, height: int, caption: str, made_from: str) -> go.Figure:
    """A figure of plotly in the book's style, its text alternative with it, and what it was made from in its title."""
    title = figure.layout.title.text
    if not title:
        raise ValueError("a figure needs a title")
    shown, run = parts(caption)
    told = {"alt": _attribute(alt), "caption": shown, "of_run": run}
    figure.update_layout(template="book", height=height, meta=told, title_text=_two_lines(title, made_from))
    if "<br>" in figure.layout.title.text:
        figure.update_layout(margin_t=85)  # room for the titles of panels below it
    return figure


def as_html(figure: go.Figure) -> str:
    """A `dressed` figure as a page of the book holds it, for a page that is no notebook."""
    return _BookRenderer().to_mimebundle(figure.to_dict())["text/html"]


def _attribute(alt: str) -> str:
    """A text alternative within the quotes of an attribute."""
    return escape(alt.replace('"', "'"), quote=False)


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
