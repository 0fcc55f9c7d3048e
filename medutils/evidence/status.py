"""Does a number of ours agree with the one that was reported? A rule that can say "too few to tell"."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from medutils.evidence.claims import Claim
from medutils.evidence.reference import look_up

Word = Literal["agrees", "differs", "too few to tell", "cannot be answered"]
WORDS: tuple[Word, ...] = get_args(Word)
SAME, WIDE = "the same", "our single runs lie too far apart"

FEWEST_RUNS = 3
SHARES = ("accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auroc", "auprc")  # and `macro_f1`
NARROW_SHARE, NARROW = 0.1, 0.25  # widest half of a prediction interval that can speak: of a share, relative otherwise


@dataclass(frozen=True)
class Status:
    """How a reported number stands to ours, and why."""

    word: Word
    reason: str


def status(claim: Claim, results: dict[str, Any] | None) -> Status:
    """Hold a reported number against the results of a run.

    A number that chance has no part in (`exact`) agrees when it is the same to the last digit that was printed. Any
    other is what one run gave, so it is held against single runs of ours, of which there must be at least three: it
    agrees when it lies within the 95 % prediction interval for one run more (Student's t, which knows how few they
    are), and differs when it lies outside. An interval wider than a tenth either way for a share, or a quarter of the
    number for anything else, would agree with almost everything: then the runs are too few to tell.

    The runs differ in their seeds alone: a write-up's own split or version of the data is not in the interval, so
    `differs` says that our runs do not give the number, and not whose fault that is.
    """
    if claim.result is None or claim.why is not None:
        return Status("cannot be answered", claim.why or "")
    ours = look_up(results, claim.result)
    ours = ours.get("value") if isinstance(ours, dict) else ours
    if ours is None or (isinstance(ours, float) and math.isnan(ours)):
        return Status("cannot be answered", "this part has not been run on real data")
    if claim.exact:
        return _exact(claim, ours)
    if claim.number is None:
        return Status("too few to tell", "a series of one run, held against one of ours by eye")
    runs = look_up(results, claim.runs) if claim.runs else None
    if not isinstance(runs, list):
        return Status("too few to tell", "the spread of our single runs is not known for this number")
    defined = [run for run in runs if run is not None and math.isfinite(run)]
    return held_against(claim.number, defined, _rounding(claim), _is_share(claim))


def held_against(reported: float, runs: Sequence[float], rounding: float, share: bool) -> Status:
    """The rule for one number and the numbers of single runs; `rounding` is half its last printed digit."""
    if len(runs) < FEWEST_RUNS:
        return Status("too few to tell", f"{len(runs)} runs of ours; at least {FEWEST_RUNS} are asked for")
    from scipy.stats import t

    mean, deviation = float(np.mean(runs)), float(np.std(runs, ddof=1))
    half = float(t.ppf(0.975, len(runs) - 1)) * deviation * math.sqrt(1 + 1 / len(runs)) + rounding
    low, high = (max(mean - half, 0.0), min(mean + half, 1.0)) if share else (mean - half, mean + half)
    interval = f"one run of ours gives {low:.3g} to {high:.3g} ({len(runs)} runs)"
    if abs(reported - mean) > half:
        return Status("differs", interval)
    if half > (NARROW_SHARE if share else NARROW * abs(reported)):
        return Status("too few to tell", f"{WIDE}: {interval}")
    return Status("agrees", interval)


def _exact(claim: Claim, ours: Any) -> Status:
    reported, found = np.asarray(claim.value, dtype=float), np.asarray(ours, dtype=float)
    if claim.unit == "%":
        found = found * 100
    same = reported.shape == found.shape and np.allclose(reported, found, rtol=0, atol=_rounding(claim, 1))
    return Status("agrees", SAME) if same else Status("differs", "a count or a setting, and not the same")


def _rounding(claim: Claim, scale: float | None = None) -> float:
    """Half a unit of the last digit that was printed, on the scale of our number."""
    numbers = np.ravel(np.asarray(claim.value, dtype=float))
    places = max((_places(abs(number), claim.words) for number in numbers), default=0)
    by = scale if scale is not None else (0.01 if claim.unit == "%" else 1)
    return 0.5 * 10.0**-places * by * (1 + 1e-9)


def _places(number: float, words: str) -> int:
    """Digits behind the point as the write-up prints them, where its words hold the number: 0.1000 has four."""
    printed = [text for text in re.findall(r"\d+(?:\.\d+)?", words) if float(text) == number]
    return max(len(text.partition(".")[2]) for text in printed or [f"{number:.12g}"])


def _is_share(claim: Claim) -> bool:
    """Whether a number lies between 0 and 1 by what it is: by its unit, or by the metric that its path ends in."""
    return claim.unit == "%" or str(claim.result).endswith(SHARES)
