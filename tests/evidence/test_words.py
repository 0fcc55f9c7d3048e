"""A result told twice: of real data and of this run, with a warning where they disagree."""

import pytest

from medutils.evaluation import Estimate
from medutils.evidence import Numbers, far_from_real, on_both, on_real, other_than_real

NAN = float("nan")


def found(numbers: Numbers) -> str:
    return f"it is {numbers.number('a')}"


def test_real_data_come_first_and_a_phantom_is_called_one():
    real, run = Numbers({"experiments": {"a": 1}}), Numbers({"experiments": {"a": 2}})
    assert on_both(found, real, run, "phantom") == "On real data it is 1.0. In this run, on a phantom, it is 2.0."
    assert on_both(found, real, run, "real data") == "In the reference run it is 1.0. In this run it is 2.0."
    assert on_real(found, real) == "On real data it is 1.0."


@pytest.mark.parametrize(
    ("low", "words"),
    [(0.1, "above 0 in it, and below 0 on real data"), (-0.3, ""), (-0.05, "not told from 0"), (NAN, "")],
)
def test_a_run_that_disagrees_with_real_data_says_so(low: float, words: str):
    real = Estimate(-0.2, -0.3, -0.1, 310, "")
    said = other_than_real(real, Estimate(low + 0.1, low, low + 0.2, 310, ""), "phantom")
    assert words in said if words else said == ""


@pytest.mark.parametrize(("run", "words"), [(0.01, "The phantom says otherwise"), (0.3, ""), (NAN, "")])
def test_a_share_far_from_that_of_real_data_is_said_to_be(run: float, words: str):
    said = far_from_real(0.42, run, "phantom")
    assert words in said if words else said == ""
