"""Tasks, and tables that do not answer them."""

import pytest

from medutils.errors import InputError
from medutils.evaluation import binary, confusion, grades, multiclass, values


def test_the_other_class_of_two_is_found_in_the_table(two_classes):
    assert binary("sick").of(two_classes()) == binary("sick", "well")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (binary("Sick"), "positive: found 'Sick'; expected one of the two classes well, sick"),
        (multiclass(["well", "ill"]), "predictions: found the classes well, sick; expected well, ill"),
    ],
)
def test_classes_that_the_table_has_not_are_refused(two_classes, task, words):
    with pytest.raises(InputError, match=words):
        values(two_classes(), task)


@pytest.mark.parametrize("label", ["", "healthy"])
def test_a_true_class_that_the_task_does_not_name_is_refused(two_classes, label):
    table = two_classes()
    table.loc[3, "y_true"] = label
    with pytest.raises(InputError, match=f"y_true: found '{label}'; expected one of well, sick"):
        values(table, binary("sick"))


def test_a_graded_cell_without_a_probability_is_refused(many_targets):
    table = many_targets()
    table.loc[table["y_true"] == "", "prob_mild"] = float("nan")
    values(table, grades(["mild", "moderate", "severe"]))
    table.loc[table["y_true"] != "", "prob_mild"] = float("nan")
    with pytest.raises(InputError, match="a true class and no probability"):
        values(table, grades(["mild", "moderate", "severe"]))


def test_a_table_of_empty_cells_is_refused(many_targets):
    with pytest.raises(InputError, match="no row with a true class"):
        values(many_targets().assign(y_true=""), grades(["mild", "moderate", "severe"]))


@pytest.mark.parametrize("make", [lambda: grades(["a", "b"]), lambda: multiclass(["a", "a"]), lambda: multiclass("a")])
def test_a_task_that_makes_no_sense_is_refused(make):
    with pytest.raises(InputError, match="expected"):
        make()


def test_only_two_classes_have_a_positive_one():
    with pytest.raises(InputError, match="task: found grades"):
        _ = grades(["a", "b", "c"]).positive


def test_confusion_counts_true_classes_in_rows_in_the_tasks_order(two_classes, many_targets):
    two = confusion(two_classes(), binary("sick"))
    assert list(two.index) == list(two.columns) == ["well", "sick"]
    assert two.loc["sick"].sum() == (two_classes().y_true == "sick").sum()
    table = many_targets()
    three = confusion(table, grades(["mild", "moderate", "severe"]))
    assert three.loc["severe"].sum() == (table["y_true"] == "severe").sum()
    assert three.to_numpy().sum() == (table["y_true"] != "").sum()
