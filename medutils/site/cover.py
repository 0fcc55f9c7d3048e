"""What the book found, for its cover: from the reference runs of all chapters that have one."""

from html import escape

import pandas as pd

from medutils import plots
from medutils.chapters import Finding, all_chapters
from medutils.evidence import WORDS, ledger
from medutils.page import Page, as_html, dressed


def findings() -> list[Finding]:
    """What each chapter's reference run found, in the order of the book."""
    return [chapter.finding() for chapter in all_chapters().values() if chapter.finding]


def counts() -> str:
    """How the numbers that the write-ups state fare, all chapters together."""
    status = pd.concat([ledger(name) for name in all_chapters()])["status"].value_counts().reindex(WORDS, fill_value=0)
    return (
        f"Of {status.sum()} numbers that the write-ups state, {status['agrees']} agree with our runs and "
        f"{status['differs']} differ; for {status['too few to tell']} our runs are too few, and "
        f"{status['cannot be answered']} cannot be answered."
    )


def found_html() -> str:
    """One figure of what was reported and what real data gave, and a sentence a chapter, as HTML."""
    every = findings()
    table = pd.concat([finding.rows for finding in every])
    figure = plots.side_by_side(table, "F1, accuracy or AUROC", "Reported, and in our reference runs", "")
    words = plots.side_by_side_words(table, "")
    made_from = Page("real data").made_from("reference")
    dressed(figure, words, 130 + 60 * len(table), "Bars: 95 % intervals over patients.", made_from)
    sentences = "".join(f"<li>{escape(text)}</li>" for text in [*(finding.sentence for finding in every), counts()])
    return f"{as_html(figure)}<ul>{sentences}</ul>"
