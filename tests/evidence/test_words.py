"""A result told twice: of real data and of this run, with a warning where they disagree."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from medutils.data.manifest import Located
from medutils.evaluation import Estimate, multiclass
from medutils.evidence import Numbers, Results, far_from_real, on_both, on_real, other_than_real, real_or_run, recorder
from medutils.evidence.words import NOT_RUN, on_phantoms

NAN = float("nan")


def found(numbers: Numbers) -> str:
    return f"it is {numbers.number('a')}"


def test_real_data_come_first_and_a_phantom_is_called_one():
    real, run = Numbers({"experiments": {"a": 1}}), Numbers({"experiments": {"a": 2}})
    assert on_both(found, real, run, "phantom") == "On real data it is 1.0. In this run, on a phantom, it is 2.0."
    assert on_both(found, real, run, "real data") == "In the reference run it is 1.0. In this run it is 2.0."
    assert on_real(found, real) == "On real data it is 1.0."


def test_a_phantom_is_folded_beside_a_real_result_and_nothing_else_is():
    real, run = Numbers({"experiments": {"a": 1}}), Numbers({"experiments": {"a": 2}})
    assert on_both(found, real, run, "phantom").run == "In this run, on a phantom, it is 2.0."
    assert not on_both(found, real, run, "real data").run
    assert not on_both(found, Numbers({}), run, "phantom").run


MEASURED = Estimate(0.5, 0.4, 0.6, 10, "test")
NEEDED: list[tuple[bool, bool, str]] = [
    (True, True, "On real data it is 1.0. In this run, on a phantom, it is 2.0."),
    (True, False, "On real data it is 1.0. This run was not asked for it."),
    (False, True, "It has not been run on real data yet. In this run, on a phantom, it is 2.0."),
    (False, False, "It has not been run on real data yet. This run was not asked for it."),
]


def numbers(value: float, measured: bool) -> dict[str, Any]:
    return {"experiments": {"a": value}, "metrics": {"b.c": asdict(MEASURED)} if measured else {}}


@pytest.mark.parametrize(("there", "here", "words"), NEEDED)
def test_nothing_is_told_of_a_run_that_lacks_what_is_needed(
    there: bool, here: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = Numbers(numbers(1, there))
    assert on_both(found, real, Numbers(numbers(2, here)), "phantom", "b.c") == words
    monkeypatch.setattr(recorder, "real_numbers", lambda chapter: real)
    results = Results(
        "spine_mlp", {"profile": "smoke", "seed": 0}, Located("own", "phantom", tmp_path), multiclass(["x", "y", "z"])
    )
    results.experiments["a"] = 2  # type: ignore[assignment]
    results.metrics |= {"b.c": MEASURED} if here else {}
    assert results.tell(found, needs="b.c") == words


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


def test_what_the_reference_run_took_from_phantoms_is_never_told_as_real():
    run, nothing = Numbers({"experiments": {"looks": {"weight": 0.5}}}), Numbers({})
    clause = lambda n: f"the weight is {n.number('looks/weight')}"  # noqa: E731
    told = on_phantoms(clause, run, run, "looks/weight")
    assert told == (
        "In the reference run, on phantom studies, the weight is 0.5. "
        "In this run, on phantom studies, the weight is 0.5."
    )
    assert on_phantoms(clause, nothing, run, "looks/weight").startswith("In this run")
    assert on_phantoms(clause, nothing, nothing, "looks/weight") == NOT_RUN


def test_what_this_run_made_stands_where_the_reference_run_has_none():
    made = lambda n: list(n.numbers("looks/all"))  # noqa: E731
    some, nothing = Numbers({"experiments": {"looks": {"all": [1, 2]}}}), Numbers({})
    assert real_or_run(made, some, nothing) == ([1, 2], "reference")
    assert real_or_run(made, nothing, some) == ([1, 2], "run")
