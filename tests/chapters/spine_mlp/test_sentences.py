"""What the spine chapter says of a run, in every branch: no sentence says what the run does not show."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.spine_mlp import sentences
from medutils.chapters.spine_mlp.experiments import Task
from medutils.evaluation import Estimate

NAN = float("nan")


def around(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, value - half, value + half, 310, "")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(-1, 1, "cannot tell"), (-2, -1, "is lower"), (1, 2, "is higher"), (NAN, NAN, "not defined"), (0, 0, "holds 0")],
)
def test_a_difference_is_told_by_its_interval(low: float, high: float, words: str):
    assert words in sentences.difference(Estimate((low + high) / 2, low, high, 62, ""))


@pytest.mark.parametrize(
    ("alone", "words"),
    [
        (0.4, "lies below the 0.5"),
        (0.5, "holds the 0.5"),
        (0.7, "lies above the 0.5"),
        (NAN, "its interval is not defined"),
    ],
)
def test_what_added_columns_tell_is_told_by_their_interval(alone: float, words: str):
    areas = {"all_columns": 0.8, "first_six": 0.9, "last_six": alone}
    ablation = {name: {"network": around(value), "logistic_regression": around(value)} for name, value in areas.items()}
    assert words in sentences.added_columns(ablation)


@pytest.mark.parametrize(("every", "words"), [(0.8, "costs it 0.1"), (0.95, "gains it 0.05"), (NAN, "is not defined")])
def test_what_added_columns_do_to_the_network(every: float, words: str):
    areas = {"all_columns": every, "first_six": 0.9, "last_six": 0.5}
    ablation = {name: {"network": around(value), "logistic_regression": around(value)} for name, value in areas.items()}
    assert words in sentences.added_columns(ablation)
    assert "nan" not in sentences.added_columns(ablation)


@pytest.mark.parametrize(("patients", "words"), [("abcd", "taken for one patient"), ("aabb", "names 2 patients")])
def test_nothing_is_said_of_patients_that_a_table_does_not_name(patients: str, words: str):
    task = Task(pd.DataFrame({"patient": list(patients)}), "Normal", "Abnormal")
    assert words in sentences.split_by(task, 0)
    assert ("on both sides" in sentences.split_by(task, 0)) == (patients == "aabb")
    assert ("taken for one patient" in sentences.rows_are_patients(task)) == (patients == "abcd")


def test_a_table_without_the_added_columns_has_none_to_take_away():
    assert "nothing to take away" in sentences.added_columns({"all_columns": {}})


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
        (3.4, 0.1, 0.2, ("3.4 points higher", "looks smaller")),
        (-3.4, 0.2, 0.1, ("3.4 points lower", "no smaller")),
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
    table = sentences.column_table(pd.DataFrame({"column": ["a"], "auroc": [0.9], "class_p": [p], "explained": [0.0]}))
    assert table.loc["a"].to_dict() == {"auroc": "0.900", "class_p": words, "explained": "0.000"}


def test_the_order_of_rows_is_said_to_matter_only_where_it_does():
    order = {"pooled": 0.9, "as_written": 0.9, "lowest": 0.8, "highest": 0.95, "orders": 20}
    assert "from 80.00% to 95.00%" in sentences.order_of_rows(order)
    assert "the same written F1" in sentences.order_of_rows({**order, "highest": 0.8})


@pytest.mark.parametrize(("difference", "words"), [(1e-8, "redundant"), (0.5, "not the sum"), (NAN, "not the sum")])
def test_a_column_is_redundant_only_when_it_is_the_sum(difference: float, words: str):
    assert words in sentences.redundant(difference)


def test_another_split_is_told_with_its_spread():
    ways = {"not stratified": np.array([0.8, 0.9]), "stratified": np.array([0.85, 0.87])}
    text = sentences.chance_of_a_split({**ways, "not stratified, share": np.array([0.6, 0.7])})
    assert "from 0.800 to 0.900" in text
    assert "from 60% to 70%" in text
