"""A number with its interval, what that interval leaves out, and the verdict that it allows."""

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["above", "below", "holds 0", "undefined"]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    value, low, high: NaN where it is not defined
    n: patients behind it
    split: the rows it was taken on
    fixed: what the interval takes as given, so that its own uncertainty is not in it ("the trained model")
    note: what else must be known to read it ("defined for 23 of 25 targets")
    """

    value: float
    low: float
    high: float
    n: int
    split: str
    fixed: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        """Take what JSON makes of it: null for NaN, a list for a tuple."""
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            object.__setattr__(self, name, math.nan if number is None else float(number))
        object.__setattr__(self, "fixed", tuple(self.fixed))

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def number(value: float, form: str = ".3f") -> str:
    """A number for a sentence, in Python's format `form`; "not defined" for NaN."""
    return "not defined" if math.isnan(value) else format(value, form)


def verdict(estimate: Estimate) -> Verdict:
    """Where the interval lies: above 0, below 0, or with 0 in it; `undefined` when an end of it is not a number."""
    if math.isnan(estimate.value) or not estimate.low <= estimate.high:
        return "undefined"
    if estimate.low > 0:
        return "above"
    return "below" if estimate.high < 0 else "holds 0"


def verdict_sentence(
    estimate: Estimate, first: str = "the first", second: str = "the second", what: str = "these rows"
) -> str:
    """The verdict on a difference `first` minus `second`; where 0 is left out, what the interval takes as given too."""
    found = verdict(estimate)
    if found == "undefined":
        return f"The interval is not defined on {what}."
    if found == "holds 0":
        return f"The interval holds 0: {what} cannot tell {first} and {second} apart."
    order = "higher" if found == "above" else "lower"
    words = f"The interval leaves 0 out: on {what} {first} is {order} than {second}."
    return f"{words} {fixed_sentence(estimate)}".strip()


def fixed_sentence(estimate: Estimate) -> str:
    """What the interval takes as given, in one sentence; "" when it takes nothing as given."""
    if not estimate.fixed:
        return ""
    return f"The interval is over patients; it takes {' and '.join(estimate.fixed)} as given."


def proportion(
    hits: int, n: int, split: str, method: Literal["exact", "wilson"] = "exact", confidence: float = 0.95
) -> Estimate:
    """A proportion with its Clopper-Pearson (`exact`) or Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method)
    return Estimate(hits / n, float(interval.low), float(interval.high), n, split)


def rows_needed(estimate: Estimate) -> float:
    """How many patients would give a difference of this size an interval that leaves 0 out; NaN where it has none.

    The width of an interval falls with the square root of the number of patients, so a difference of `value` needs
    `n * (half width / value)**2`. That holds when more patients bring the same difference, which nobody knows: it tells
    an order of magnitude.
    """
    half = (estimate.high - estimate.low) / 2
    return estimate.n * (half / estimate.value) ** 2 if estimate.value else math.inf
