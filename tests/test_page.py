"""What a page shows: every figure and table says what its numbers were made from, and says it in words too."""

import base64

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from medutils import plots
from medutils.evidence import Quote, WriteUp
from medutils.page import Page
from medutils.told import Told

PHANTOM, REAL = Page("phantom"), Page("real data")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was displayed, as a page of the book gets it."""
    bundles: list[dict[str, str]] = []

    def keep(bundle: dict[str, str], **_: object) -> None:
        bundles.append(bundle)

    monkeypatch.setenv("MEDUTILS_RENDERER", "book")
    monkeypatch.setattr("IPython.display.display", keep)
    monkeypatch.setattr(
        go.Figure, "show", lambda figure, renderer: keep(pio.renderers[renderer].to_mimebundle(figure.to_dict()))
    )
    return bundles


def drawn() -> go.Figure:
    return go.Figure(go.Scatter(x=[0, 1], y=[0, 1])).update_layout(title="A line")


@pytest.mark.parametrize(
    ("page", "of", "words"),
    [
        (PHANTOM, "run", "phantom"),
        (REAL, "run", "real data"),
        (PHANTOM, "reference", "reference run: real data"),
        (PHANTOM, "both", "reference run: real data, this run: phantom"),
        (REAL, "both", "reference run: real data, this run: real data"),
        (PHANTOM, "phantom", "phantom"),
        (REAL, "phantom", "phantom"),
    ],
)
def test_a_title_says_whose_numbers_it_holds_and_what_they_were_made_from(shown, page: Page, of, words: str):
    page.show(drawn(), "A line going up", of=of)
    page.table(pd.DataFrame({"a": [1]}), "A table", of=of)
    assert words in shown[0]["text/html"]
    assert f"<caption>A table ({words})</caption>" in shown[1]["text/html"]


def test_a_figure_without_a_title_is_refused():
    with pytest.raises(ValueError, match="needs a title"):
        PHANTOM.show(go.Figure(), "nothing")
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match="needs a title"):
        PHANTOM.show(Figure(), "nothing")


def test_a_caption_stands_below_a_figure_and_among_its_words(shown):
    PHANTOM.show(drawn(), 'A "line"', caption="It goes **up**, from <0.")
    assert '<p class="told">It goes <strong>up</strong>, from &lt;0.</p>' in shown[0]["text/html"]
    assert "aria-label=\"A 'line'\"" in shown[0]["text/html"]
    assert shown[0]["text/plain"] == "Figure: A 'line'\nIt goes **up**, from <0."


def test_what_a_phantom_gave_stands_behind_a_click_below_what_real_data_gave(shown):
    said = "First. " + Told("Real: **1**.", "Phantom: 2.") + " Mind it."
    PHANTOM.show(drawn(), "A line", caption=said)
    PHANTOM.say(said)
    PHANTOM.say("One.")
    figure, _, folded, *rest = shown
    assert '<p class="told">First. Real: <strong>1</strong>. Mind it.</p><details class="run">' in figure["text/html"]
    assert figure["text/plain"].endswith("First. Real: **1**. Mind it. Phantom: 2.")
    assert folded["text/html"] == (
        '<details class="run"><summary>This run, on a phantom</summary><p>Phantom: 2.</p></details>'
    )
    assert len(rest) == 1


@pytest.fixture
def matrix():
    counts = pd.DataFrame([[3, 1], [0, 6]], index=["a", "b"], columns=["a", "b"])
    return plots.confusion_matrix(counts, "A matrix")


def test_a_figure_of_seaborn_is_a_drawing_with_the_same_words(shown, matrix):
    PHANTOM.show(matrix, "Two by two", caption="Ones on the diagonal.")
    PHANTOM.show(plots.confusion_matrix(pd.DataFrame([[1]]), "A matrix"), "One by one")
    assert '<img class="drawn" src="data:image/svg+xml;base64,' in shown[0]["text/html"]
    assert 'alt="Two by two"' in shown[0]["text/html"]
    assert matrix.get_suptitle() == "A matrix (phantom)"
    assert shown[0]["text/plain"] == "Figure: Two by two\nOnes on the diagonal."


def test_a_folded_figure_has_its_words_and_says_phantom(shown, matrix):
    PHANTOM.fold("A matrix", (matrix, "Two by two"))
    assert 'alt="Two by two"' in shown[0]["text/html"]
    assert matrix.get_suptitle() == "A matrix (phantom)"
    assert "Figure: Two by two" in shown[0]["text/plain"]


def test_what_is_folded_away_is_behind_a_summary_and_its_table_sorts(shown):
    table = PHANTOM.titled(pd.DataFrame({"a": [1]}), "Numbers", of="both")
    PHANTOM.fold("Guess: **how many**?", "One.", table, kind="question")
    html = shown[0]["text/html"]
    assert '<details class="question"><summary>Guess: <strong>how many</strong>?</summary><p>One.</p>' in html
    assert 'class="dataframe sortable"' in html
    assert "<th>Name</th>" in html
    assert "this run: phantom" in html
    assert "Numbers (reference run" in shown[0]["text/plain"]


def test_a_quotation_stands_to_the_letter_with_its_place(shown):
    quote = Quote(words="a < b\nand c", section="3, Results", write_up="000")
    PHANTOM.quote(quote, WriteUp(title="A title", link="https://example.org"))
    html = shown[0]["text/html"]
    assert "<blockquote><p>a &lt; b</p><p>and c</p></blockquote>" in html
    assert 'href="sources.html#write-up-000"' in html
    assert "“A title”, section 3, Results" in html


def test_a_quotation_of_the_code_behind_a_write_up_leads_to_its_file_at_its_commit(shown):
    behind = WriteUp(title="A title", link="https://example.org/code", code={"a/1 (b).ipynb": "c0ffee"})
    PHANTOM.quote(Quote(words="x = 1", section="a/1 (b).ipynb", write_up="000"), behind)
    html = shown[0]["text/html"]
    assert 'href="https://example.org/code/blob/c0ffee/a/1%20%28b%29.ipynb"' in html
    assert "“A title”, its code a/1 (b).ipynb" in html


def test_lines_in_a_box_are_a_list_and_one_is_a_paragraph(shown):
    PHANTOM.box("Key", ["**One**", "two"], "tip")
    PHANTOM.box("Key", ["One"])
    assert "<ul><li><strong>One</strong></li><li>two</li></ul>" in shown[0]["text/html"]
    assert "<p>One</p>" in shown[1]["text/html"]


def test_names_of_the_users_own_are_shown_as_they_are_written(shown):
    odd = "a<b>$x$"
    bars = plots.class_bars_by(pd.DataFrame({odd: [1]}, index=["train"]), "Films")
    assert bars.data[0].name == "a&lt;b&gt;&#36;x&#36;"
    matrix = plots.confusion_matrix(pd.DataFrame([[1, 0], [0, 1]], index=[odd, "c"], columns=[odd, "c"]), "A matrix")
    PHANTOM.show(matrix, "Two by two")
    drawn = base64.b64decode(shown[0]["text/html"].partition("base64,")[2].partition('"')[0]).decode()
    assert drawn.count("a&lt;b&gt;$x$") == 2


def test_a_drawing_has_its_words_and_its_caption(monkeypatch: pytest.MonkeyPatch):
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    Page("phantom").drawing("<svg></svg>", "a box & an arrow", "What it is.")
    assert 'aria-label="a box &amp; an arrow"' in shown[0]["text/html"]
    assert "<svg></svg>" in shown[0]["text/html"] and "<figcaption>What it is.</figcaption>" in shown[0]["text/html"]
    assert shown[0]["text/plain"] == "a box & an arrow\nWhat it is."
