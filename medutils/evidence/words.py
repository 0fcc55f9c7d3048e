"""Sentences that tell a result twice: what real data gave in the reference run, and what this run gives."""

from collections.abc import Callable, Sequence, Sized
from math import isnan
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from medutils.evaluation import Estimate, number, verdict
from medutils.evidence.reference import Numbers
from medutils.told import Told

if TYPE_CHECKING:
    import pandas as pd

Made = TypeVar("Made", bound=Sized)
Clause = Callable[[Numbers], str]  # tells a result of a run, without a full stop
NOT_YET, NOT_RUN = "It has not been run on real data yet.", "This run was not asked for it."
SAID = {"above": "above 0", "below": "below 0", "holds 0": "not told from 0", "undefined": "not defined"}


class Folded(NamedTuple):
    """An experiment that is told behind a click.

    title; quote: the name of the words that claim it, empty for none; clause: what is told of it
    needs: the metric, or the path of an experiment's number, that only a run with this experiment has
    remark: what else must be known of it
    table: of the reference run and this run, where there is more to tell than a sentence holds
    """

    title: str
    quote: str
    clause: Clause
    needs: str
    remark: str = ""
    table: "Callable[[Numbers, Numbers, str], pd.DataFrame] | None" = None


def share(value: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return number(value, f".{digits}%")


def one_by_one(clauses: Sequence[str]) -> str:
    """Clauses as the end of a sentence and the sentences after it, the last without its full stop."""
    return ". ".join([clauses[0], *map(as_start, clauses[1:])])


def as_start(clause: str) -> str:
    """A clause as the start of a sentence."""
    return clause[:1].upper() + clause[1:]


def on_real(clause: Clause, real: Numbers) -> str:
    """What real data gave in the reference run."""
    return f"On real data {clause(real)}."


def on_both(clause: Clause, real: Numbers, run: Numbers, on_what: str, needs: str = "") -> Told:
    """What real data gave in the reference run, then what this run gives; nothing of one that lacks `needs`.

    needs: a metric, or the path of an experiment's number. Beside a real result that of a phantom is folded.
    """
    here = "In this run" if on_what == "real data" else f"In this run, on a {on_what},"
    there = f"In the reference run {clause(real)}." if on_what == "real data" else on_real(clause, real)
    parts = ((there, real, NOT_YET), (f"{here} {clause(run)}.", run, NOT_RUN))
    lacks = [bool(needs) and isnan(_number(numbers, needs)) for _, numbers, _ in parts]
    of_real, of_run = (missing if lack else told for (told, _, missing), lack in zip(parts, lacks, strict=True))
    if on_what == "real data" or lacks[0] or not real.results:
        return Told(f"{of_real} {of_run}")
    return Told(of_real, of_run)


def on_phantoms(clause: Clause, reference: Numbers, run: Numbers, needs: str) -> Told:
    """As `on_both`, of what both runs took from phantom studies: the reference run, then this one."""
    runs = (("the reference run", reference), ("this run", run))
    told = [f"In {name}, on phantom studies, {clause(of)}." for name, of in runs if not isnan(_number(of, needs))]
    return Told(told[0], " ".join(told[1:])) if told else Told(NOT_RUN)


def _number(numbers: Numbers, name: str) -> float:
    return numbers.number(name) if "/" in name else numbers.metric(name).value


def other_than_real(real: Estimate, run: Estimate, on_what: str) -> str:
    """A warning where a difference lies elsewhere in this run than in the reference run; "" where it does not."""
    found, here = verdict(real), verdict(run)
    if found == here or "undefined" in (found, here):
        return ""
    which = "This run" if on_what == "real data" else f"The {on_what}"
    return f" {which} says otherwise: the difference is {SAID[here]} in it, and {SAID[found]} on real data."


def far_from_real(real: float, run: float, on_what: str, at_most: float = 0.2) -> str:
    """The same for a share, where the two lie more than `at_most` apart."""
    if not abs(real - run) > at_most:
        return ""
    which = "This run" if on_what == "real data" else f"The {on_what}"
    return f" {which} says otherwise than real data."


def real_or_run(
    make: Callable[[Numbers], Made], real: Numbers, run: Numbers
) -> tuple[Made, Literal["reference", "run"]]:
    """What is made of the reference run, or of this run where that has nothing; and which of them it is."""
    found = make(real)
    return (found, "reference") if len(found) else (make(run), "run")
