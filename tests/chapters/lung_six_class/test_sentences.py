"""What the six-class chapter says of a run: every number is the run's own, and none is said where none was measured."""

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medutils.chapters.lung_six_class import plan, sentences
from medutils.chapters.lung_six_class.arithmetic import arithmetic
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.evaluation import Estimate, verdict
from medutils.evidence import Numbers, load_reference, quoted, real_numbers, reported_values

CHAPTER = "lung_six_class"
REFERENCE = pytest.mark.skipif(load_reference(CHAPTER) is None, reason="there is no reference run yet")
TOLD: list[Callable[[Numbers], str]] = [
    *sentences.CLAUSES,
    lambda n: sentences.answer(n, 0.898),
    lambda n: " ".join(sentences.takeaways(n)),
    lambda n: sentences.phantom_letter(n, n),
    lambda n: sentences.missing(n, {"total": 11276.0, "total_subset": 3142.0}),
]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return reported_values(CHAPTER)


def numbers(experiments: dict[str, Any] | None = None, **metrics: float) -> Numbers:
    """A run with some experiments and some metrics, each with an interval of 2 points; `__` stands for a point."""
    estimates = {
        name.replace("__", "."): asdict(Estimate(value, value - 0.01, value + 0.01, 100, "test"))
        for name, value in metrics.items()
    }
    return Numbers({"experiments": experiments or {}, "metrics": estimates})


@REFERENCE
@pytest.mark.parametrize("told_of", TOLD)
def test_the_reference_run_holds_every_number_that_is_told_of_it(told_of: Callable[[Numbers], str]) -> None:
    said = told_of(real_numbers(CHAPTER))
    assert not re.search(r"not defined|not trained|no recall|no learning curve|no source has|\bnan\b", said)


@REFERENCE
def test_the_reference_run_has_every_difference_and_every_row_of_the_table(told: dict[str, Any]) -> None:
    real = real_numbers(CHAPTER)
    assert [name for name in sentences.PAIRS if not real.metric(f"{name}.accuracy").n] == []
    assert (sentences.eleven_rows(real, Numbers({}), told, "phantom")["reference run"] != "–").all()
    assert not sentences.rates_tried(real).empty and sentences.confused(real, Numbers({}), "phantom")


@pytest.mark.parametrize("told_of", TOLD)
def test_a_run_that_measured_nothing_is_told_without_a_number(told_of: Callable[[Numbers], str]) -> None:
    said = told_of(Numbers({}))
    assert not re.search(r"\bnan\b|\binf\b", said)


def test_tables_of_a_run_that_measured_nothing_are_empty(told: dict[str, Any]) -> None:
    nothing = Numbers({})
    assert sentences.matrix(nothing).empty and sentences.rates_tried(nothing).empty
    assert sentences.confused(nothing, nothing, "phantom") == ""
    assert set(sentences.eleven_rows(nothing, nothing, told, "phantom")["reference run"]) == {"–"}
    assert set(sentences.counts_table(nothing, nothing, told, "phantom")["reference run"]) == {"not defined"}


WITHIN = {"within_sources": {"a_b": {"films": 9, "commonest": 0.5}}}
LEFT_OUT = {"sources_left_out": {"a_b": {"films": 9, "classes": ["TB"]}}}


@pytest.mark.parametrize(
    ("clause", "run", "words"),
    [
        (sentences.composed, numbers({"data": {"films": 2882, "patients": 1900}}), "2,882 films of 1,900 patients"),
        (
            sentences.recalls,
            numbers(**{"large__sensitivity[a*b]": 0.5, "large__sensitivity[TB]": 0.9, "large__macro_f1": 0.7}),
            r"between 50.0% (a\*b) and 90.0% (TB), macro-F1 is 0.700",
        ),
        (sentences.inside, numbers(WITHIN, within_a_b_large__accuracy=0.8), "80.0% in a_b (commonest class 50.0%)"),
        (sentences.inside, numbers(), "no source has two classes"),
        (
            sentences.without,
            numbers(LEFT_OUT, without_a_b__called_healthy=0.1, without_a_b__called_healthy_with_them=0.9),
            "with such films in training and without: a_b 90.0% and 10.0%",
        ),
        (sentences.without, numbers(), "this was not trained"),
        (
            sentences.unseen,
            numbers({"unseen_sources": {"a_b": {}}}, unseen_a_b__auroc=0.6, unseen_a_b__auroc_with_it=0.9),
            "with its films in training and without: a_b 0.90 and 0.60",
        ),
        (sentences.unseen, numbers(), "this was not trained"),
        (sentences.redrawn, numbers(redraw__gap=-0.02), "-2.0 points (-3.0 to -1.0)"),
        (sentences.enough, numbers({"learning_curve": {"rows": [5, 50, 9], "value": [0.2, 0.9, 0.8]}}), "9 to 50"),
        (sentences.enough, numbers({"learning_curve": {"rows": [5, 50, 9], "value": [0.2, 0.9, 0.8]}}), "+10.0 points"),
        (sentences.enough, numbers({"learning_curve": {"rows": [5], "value": [0.2]}}), "no learning curve"),
        (sentences.suggested, numbers({"lr_find": {"suggested": 0.0012}}), "1.2e-03"),
        (sentences.decoyed, numbers({"decoy": {"called": 0.03}}), "3.0% of the test films"),
    ],
)
def test_the_words_follow_the_numbers(clause: Callable[[Numbers], str], run: Numbers, words: str) -> None:
    assert words in clause(run)


@REFERENCE
@pytest.mark.parametrize(
    ("difference", "found"),
    [
        ("heavy_augmentation_minus_small.accuracy", "below"),
        ("rates_times_ten_minus_small.accuracy", "above"),
        ("redraw.gap", "holds 0"),
        ("progressive_minus_same_time.accuracy", "holds 0"),
        ("without_kermany_walia.change", "below"),
        ("unseen_kermany_walia.change", "below"),
    ],
)
def test_what_is_typed_into_takeaways_and_headings_is_what_the_reference_run_found(difference: str, found: str) -> None:
    assert verdict(real_numbers(CHAPTER).metric(difference)) == found


def test_the_letter_is_told_of_the_reference_run_only_where_it_has_one() -> None:
    run, real = (numbers({"phantom_letter": {"with_own": share}}) for share in (0.9, 0.7))
    assert "90.0%" in sentences.phantom_letter(Numbers({}), run)
    assert "reference run" not in sentences.phantom_letter(Numbers({}), run)
    both = sentences.phantom_letter(real, run)
    assert both.index("90.0%") < both.index("reference run") < both.index("70.0%")


def test_each_hospital_of_either_run_has_its_rows() -> None:
    real, run = (numbers({"left_out": {name: {} for name in names}}) for names in ("ab", "bc"))
    rows = sentences.by_hospital(real, run, "left_out", {"new": "x_{}.auroc"})
    assert rows == {f"{name}, new": f"x_{name}.auroc" for name in "abc"}


def test_a_curve_of_rates_ends_where_the_loss_has_exploded() -> None:
    run = numbers({"lr_find": {"rates": [1e-4, 1e-3, 1e-2], "losses": [2.0, 1.5, 6.0]}})
    assert sentences.rates_tried(run)["learning rate"].tolist() == [1e-4, 1e-3]


def test_the_most_frequent_confusions_are_named_with_the_most_first() -> None:
    run = numbers({"confusion": {"classes": ["a", "b<i>"], "films": [[9, 3.2], [7, 1]]}})
    assert sentences.confused(Numbers({}), run, "phantom") == (
        r"In this run (phantom), on average over the seeds: 7 films of b\<i\> called a; 3 films of a called b\<i\>."
    )


# --- the write-up's own numbers ---------------------------------------------------------------------------------------


def test_the_first_list_of_confusions_is_told_with_what_it_means(told: dict[str, Any]) -> None:
    said = sentences.wrong_way(told, arithmetic())
    for words in (
        "59 diseased films are called Normal, and 7 normal ones diseased",
        "about 43% are found (between 35% and 48%",
        "at an accuracy of 87.5%",
        "250 of its 281 errors lie, so that accuracy there is about 75%",
    ):
        assert words in said


def test_what_arithmetic_tells_is_told_with_the_write_ups_numbers(told: dict[str, Any]) -> None:
    said = "\n".join(sentences.by_arithmetic(told, arithmetic()))
    for words in (
        "every third of 288 films make 768; it counts 689",
        "at least 277 of 628 validation films",
        "169 errors before unfreezing and 97 after",
        "(277 of 281, 296 of 300, 121 of 126)",
        "90.0% with copies, has no log; the times leave 23 minutes",
        "Accuracies on 2,255, 2,335 and 628 films",
        "by 1.4 points either way; 87.5% and 87.1%",
        "sum to 49 minutes (the text says about 55)",
        "**Other Findings** has 5,597 films",
    ):
        assert words in said


def test_the_table_has_the_write_ups_eleven_rows_with_what_each_course_gives(told: dict[str, Any]) -> None:
    run = numbers(small_frozen__accuracy=0.6, everything_and_copies_more__accuracy=0.8)
    table = sentences.eleven_rows(Numbers({}), run, told, "phantom")
    reported = [87.5, 89.4, 87.1, 90.0, 87.3, 79.9, 85.6, 73.0, 84.5, 83.9, 89.8]
    assert table["reported"].tolist() == [f"{value}%" for value in reported]
    assert table["minutes"].astype(int).tolist() == [54, 73, 44, 67, 88, 21, 33, 12, 23, 13, 26]
    assert table.loc["small frozen", "this run (phantom)"].startswith("0.600")
    assert table.loc["augmented more", "this run (phantom)"].startswith("0.800")


def test_films_are_counted_class_by_class(told: dict[str, Any]) -> None:
    table = sentences.counts_table(numbers({"data": {"tb": 390}}), numbers({"data": {"tb": 39}}), told, "phantom")
    assert table.index.tolist() == list(plan.WRITTEN)
    assert table.loc["TB"].tolist() == ["394", "394", "390", "39"]


@pytest.mark.parametrize("one", sentences.FOLDED, ids=lambda one: one.title)
def test_what_is_folded_quotes_words_that_there_are_and_tells_of_a_run(one: sentences.Folded) -> None:
    assert one.clause in sentences.CLAUSES
    assert not one.quote or quoted(CHAPTER, one.quote)[0].words


# --- the films --------------------------------------------------------------------------------------------------------


def films(sources: str, labels: str, patients: str = "abcd", skipped: int = 0, copies: int = 0) -> Films:
    """Four films with letters for their sources, classes and patients."""
    records = pd.DataFrame({"source": list(sources), "label": list(labels), "patient": list(patients)})
    located = Located("own_*", "real", Path("own"))
    left_out = tuple((f"no_{number}.txt", "no *image*") for number in range(skipped))
    return Films(records, ("x", "y"), located, left_out, copies, (), ("Noted.",))


@pytest.mark.parametrize(
    ("sources", "labels", "words"),
    [
        ("ssss", "xyxy", "All films come from one source"),
        ("sstt", "xyxy", "Each source gives several classes."),
        ("sstt", "xyyy", "1 of 2 sources give one class only: t (y)."),
        ("sstt", "xxyy", "2 of 2 sources give one class only: s (x), t (y)."),
    ],
)
def test_sources_that_tell_the_class_are_named(sources: str, labels: str, words: str) -> None:
    assert sentences.sources(films(sources, labels)).startswith(words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"skipped": 2}, r"Files left out: 2, the first no_0.txt (no \*image\*)."),
        ({"copies": 3}, "Films that are copies of another one: 3;"),
        ({"patients": "aacd"}, "Patients with films of more than one class: 1;"),
    ],
)
def test_what_was_left_out_or_is_odd_is_told_and_nothing_else(given: dict[str, Any], words: str) -> None:
    plain, odd = (sentences.origin(films("ssss", "xyxy", **some), "real data") for some in ({}, given))
    assert plain == r"This run was made from real data (own\_\*). Noted."
    assert odd.startswith(f"{plain} {words}")


def test_a_phantom_is_said_to_be_one() -> None:
    assert sentences.origin(films("ssss", "xyxy"), "phantom").startswith("**This run was made from a phantom**")
