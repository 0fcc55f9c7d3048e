"""What the spine chapter says of a run, in every branch: no sentence says what the run does not show."""

import inspect
import re
from dataclasses import asdict

import nbformat
import pandas as pd
import pytest

from medutils.chapters import get_chapter
from medutils.chapters.spine_mlp import sentences
from medutils.chapters.spine_mlp.experiments import Task
from medutils.evaluation import Estimate
from medutils.evidence import Numbers, real_numbers, reported_values

NAN = float("nan")
CHAPTER = "spine_mlp"
CLAUSES = [
    function
    for function in vars(sentences).values()
    if inspect.isfunction(function) and list(inspect.signature(function).parameters) == ["numbers"]
]
OF_REAL = [sentences.one_split, sentences.how_many_rows, lambda real: sentences.prevalence(real, 0.1)]
OF_REAL += [lambda real: " ".join(sentences.takeaways(real)), lambda real: sentences.answer(real, 0.9075)]


def with_metric(name: str, value: float, half: float = 0.01) -> Numbers:
    """The reference run with one metric another."""
    real = real_numbers(CHAPTER).results
    estimate = asdict(Estimate(value, value - half, value + half, 310, ""))
    return Numbers({**real, "metrics": {**real["metrics"], name: estimate}})


@pytest.mark.parametrize("clause", [*CLAUSES, *OF_REAL])
def test_the_reference_run_holds_every_number_that_is_told_of_it(clause):
    assert not re.search(
        r"not defined|not measured|\bnan\b|cannot be compared|too few rows", clause(real_numbers(CHAPTER))
    )


@pytest.mark.parametrize("clause", [*CLAUSES, *OF_REAL])
def test_a_run_that_measured_nothing_is_told_without_a_number(clause):
    assert not re.search(r"\bnan\b|\binf\b", clause(Numbers({})))


def test_every_number_of_the_reference_run_that_the_page_draws_is_there():
    source = "\n".join(cell.source for cell in nbformat.read(get_chapter(CHAPTER).notebook, 4).cells)
    drawn = set(
        re.findall(r'"((?:best_of_many_looks|batch_averaging|learning_curve|curves|operating_points)/\w+)', source)
    )
    assert len(drawn) >= 4
    real = real_numbers(CHAPTER)
    assert [path for path in drawn if not real.numbers(path) and real.number(path) != real.number(path)] == []


@pytest.mark.parametrize(
    ("value", "words", "simpler"),
    [(-0.05, "logistic regression is better", "better"), (0.05, "the network is better", "too")],
)
def test_the_answer_follows_the_interval(value: float, words: str, simpler: str):
    text = sentences.answer(with_metric("mlp_nested_minus_logistic_regression.f1", value), 0.9075)
    assert words in text
    assert f"a far simpler model does it {simpler}." in text
    assert "cannot be told apart" in sentences.answer(
        with_metric("mlp_nested_minus_logistic_regression.f1", value, half=0.1), 0.9075
    )


def test_the_answer_tells_the_numbers_of_the_reference_run():
    real = real_numbers(CHAPTER)
    text = sentences.answer(real, reported_values(CHAPTER)["best_validation_f1"])
    for name in ("mlp_nested.f1", "logistic_regression_nested.f1"):
        assert str(real.metric(name)) in text
    assert "0.9075" in text


@pytest.mark.parametrize(("best", "words"), [(0.01, "we did not divide"), (0.06, "distance is that choice")])
def test_the_fall_is_laid_to_the_choice_only_where_it_is_most_of_it(best: float, words: str):
    numbers = with_metric("looking.best_epoch", best)
    fall = numbers.number("best_of_many_looks/f1_of_best_epoch") - numbers.metric("mlp_nested.f1").value
    assert f"lies {100 * fall:.1f} points above" in sentences.one_split(numbers)
    assert words in sentences.one_split(numbers)


def test_the_added_columns_are_called_noise_only_while_no_test_finds_more():
    assert "no test tells their values" in sentences.added_columns(real_numbers(CHAPTER))
    real = real_numbers(CHAPTER).results
    columns = {**real["experiments"]["columns"], "Col9": {"auroc": 0.7, "class_p": 0.001, "uniform_p": 0.5}}
    told = sentences.added_columns(Numbers({"experiments": {"columns": columns}}))
    assert "one of the tests finds a difference (least p 0.001)" in told


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.02, 0.04, "holds 0"),
        (-0.04, -0.02, "Take logistic regression."),
        (0.02, 0.04, "a clinical question"),
        (NAN, NAN, "not defined"),
    ],
)
def test_the_conclusion_on_a_foreign_table_follows_the_interval(low: float, high: float, words: str):
    assert words in sentences.conclusion(Estimate((low + high) / 2, low, high, 100, "nested"))


def test_how_many_patients_an_interval_without_0_would_take():
    text = sentences.conclusion(Estimate(0.01, -0.02, 0.04, 100, "nested"))
    assert "about 900 patients" in text
    assert "more patients than anyone has" in sentences.conclusion(Estimate(0.0, -0.02, 0.02, 100, "nested"))


def test_a_curve_names_the_rows_that_logistic_regression_needs_only_where_it_gets_there():
    curve = {"rows": [50, 100], "network": [0.7, 0.8], "line": [0.82, 0.9]}
    there = sentences.more_data(Numbers({"experiments": {"learning_curve": curve}}))
    assert there.endswith("reaches with 50")
    never = sentences.more_data(Numbers({"experiments": {"learning_curve": {**curve, "line": [0.5, 0.6]}}}))
    assert "reaches with" not in never


@pytest.mark.parametrize(("patients", "words"), [("abcd", "taken for one patient"), ("aabb", "names 2 patients")])
def test_nothing_is_said_of_patients_that_a_table_does_not_name(patients: str, words: str):
    task = Task(pd.DataFrame({"patient": list(patients)}), "Normal", "Abnormal")
    assert words in sentences.split_by(task, 0)
    assert ("on both sides" in sentences.split_by(task, 0)) == (patients == "aabb")
    assert ("taken for one patient" in sentences.rows_are_patients(task)) == (patients == "abcd")


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ([0.02, 0.01], "m\\*1 (0.020), b (0.010)"),
        ([0.0, -0.1], "No column is missed in every repeat."),
        ([NAN, NAN], "No column is missed in every repeat."),
        ([NAN, 0.01], "repeat: b (0.010)"),
    ],
)
def test_columns_are_named_when_they_are_missed_in_every_repeat(lost: list[float], words: str):
    table = pd.DataFrame({"column": ["m*1", "b"], "lost": lost, "low": lost, "high": lost})
    assert words in sentences.importance(table)


@pytest.mark.parametrize(
    ("f1_gap", "shown", "alike", "words"),
    [
        (3.4, 0.1, 0.2, ("3.4 points higher", "shows less")),
        (-3.4, 0.2, 0.1, ("3.4 points lower", "shows no less")),
        (NAN, 0.2, 0.1, ("not defined",)),
        (3.4, NAN, 0.1, ("not defined",)),
    ],
)
def test_what_scoring_while_training_does(f1_gap: float, shown: float, alike: float, words: tuple[str, ...]):
    text = sentences.training_mode(f1_gap, shown, alike)
    assert all(word in text for word in words)
    assert "nan" not in text


@pytest.mark.parametrize(
    ("p", "words"), [(0.0, "< 0.001"), (0.0009, "< 0.001"), (0.001, "0.001"), (NAN, "not defined")]
)
def test_a_probability_of_a_test_is_never_shown_as_0(p: float, words: str):
    assert sentences.p_value(p) == words


@pytest.mark.parametrize(("difference", "words"), [(1e-8, "redundant"), (0.5, "not the sum"), (NAN, "not the sum")])
def test_a_column_is_redundant_only_when_it_is_the_sum(difference: float, words: str):
    assert words in sentences.redundant(difference)
