"""The cover says what the references say, and the sources page names every write-up."""

import json
import re

import pytest

from medutils.chapters import all_chapters
from medutils.evidence import WORDS, ledger, load_reference, load_reported
from medutils.files import BOOK
from medutils.site.cover import counts, findings, found_html

WRITE_UPS = {number: one for name in all_chapters() for number, one in load_reported(name).write_ups.items()}
WORD = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


@pytest.mark.parametrize("chapter", [one for one in all_chapters().values() if one.finding], ids=lambda one: one.name)
def test_a_finding_tells_the_numbers_of_the_reference_run(chapter):
    found = chapter.finding()
    ours = found.rows["reference"].tolist()
    kept = {f"{float(number):.6f}" for number in re.findall(r"-?\d+\.\d+", json.dumps(load_reference(chapter.name)))}
    assert {f"{value:.6f}" for value in ours} <= kept
    assert sum(f"{value:.3f}" in found.sentence for value in ours) >= 2
    told = found.rows.get("reported", [])  # none where a write-up promises without a number
    assert len(told) == 0 or any(f"{value:.3f}" in found.sentence or f"{value:.4g}" in found.sentence for value in told)
    assert "not defined" not in found.sentence


def test_the_cover_counts_the_numbers_that_the_write_ups_state():
    every = [row["status"] for name in all_chapters() for _, row in ledger(name).iterrows()]
    assert counts().startswith(f"Of {len(every)} numbers")
    assert re.findall(r"\d+", counts())[1:] == [str(every.count(word)) for word in WORDS]


def test_the_cover_has_one_figure_and_a_sentence_a_chapter():
    html = found_html()
    assert html.count("Plotly.newPlot") == 1
    assert html.count("<li>") == len(findings()) + 1
    assert "reference run: real data" in html


def test_the_cover_says_how_many_write_ups_are_rebuilt():
    text = (BOOK / "intro.md").read_text(encoding="utf-8").lower()
    assert f"{WORD[len(WRITE_UPS)]} write-ups are rebuilt so far, in {WORD[len(all_chapters())]} chapters" in text
    assert all(f"]({name}.ipynb)" in text for name in all_chapters())


@pytest.mark.parametrize("number", WRITE_UPS)
def test_the_sources_page_has_each_write_up_with_its_title_and_link(number: str):
    text = (BOOK / "sources.md").read_text(encoding="utf-8")
    section = text.partition(f"(write-up-{number})=")[2].partition("(write-up-")[0]
    assert WRITE_UPS[number].title in section
    assert WRITE_UPS[number].link in section
