"""Estimates, and what an interval allows to say."""

import pytest

from medutils.evaluation import Estimate, fixed_sentence, number, proportion, verdict, verdict_sentence

NAN = float("nan")


def estimate(value, low, high, fixed=()):
    return Estimate(value, low, high, 50, "test", fixed)


@pytest.mark.parametrize(
    ("ends", "found", "words"),
    [
        ((0.1, 0.05, 0.2), "above", "leaves 0 out: on these films A is higher than B"),
        ((-0.1, -0.2, -0.05), "below", "leaves 0 out: on these films A is lower than B"),
        ((0.1, 0, 0.2), "holds 0", "holds 0: these films cannot tell A and B apart"),
        ((-0.1, -0.2, 0), "holds 0", "holds 0: these films cannot tell A and B apart"),
        ((0.0, 0.0, 0.0), "holds 0", "holds 0"),
        ((NAN, NAN, NAN), "undefined", "not defined on these films"),
        ((0.1, NAN, NAN), "undefined", "not defined on these films"),
        ((NAN, 0.1, 0.2), "undefined", "not defined on these films"),
    ],
)
def test_one_verdict_on_an_interval(ends, found, words):
    one = estimate(*ends)
    assert verdict(one) == found
    assert words in verdict_sentence(one, "A", "B", "these films")


def test_a_number_that_is_not_defined_is_said_in_words():
    assert (number(0.12345), number(0.5, "+.1f"), number(NAN)) == ("0.123", "+0.5", "not defined")


def test_what_the_interval_takes_as_given_is_said_where_it_leaves_0_out():
    found = verdict_sentence(estimate(0.1, 0.05, 0.2, ("the 3 repeats",)))
    assert found.endswith("The interval is over patients; it takes the 3 repeats as given.")
    assert "given" not in verdict_sentence(estimate(0.1, -0.05, 0.2, ("the 3 repeats",)))
    assert fixed_sentence(estimate(0.1, 0.05, 0.2)) == ""


def test_an_estimate_is_read_from_json_old_and_new():
    old = {"value": 0.9, "low": None, "high": None, "n": 62, "split": "test"}
    assert Estimate(**old).fixed == ()
    assert str(Estimate(**old)) == "0.900"
    assert Estimate(**old, fixed=["the trained model"]).fixed == ("the trained model",)
    assert str(Estimate(**{**old, "value": None})) == "not defined"
    assert str(Estimate(**{**old, "low": 0.8, "high": 0.95})) == "0.900 (0.800 to 0.950)"


def test_ten_of_ten_is_compatible_with_seven_of_ten():
    assert proportion(10, 10, "ten rows").low == pytest.approx(0.6915, abs=1e-4)
