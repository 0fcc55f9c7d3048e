"""What follows from the numbers that write-up 004 states, without a film.

fastai 1 lists the most confused classes "as actual, predicted, number of occurrences" (`most_confused` of
`ClassificationInterpretation` in its fastai/train.py). The write-up bears this out: five of its nine largest losses are
viral films called normal, of which the other order would have two. The list keeps every pair with at least `min_val`
films, here two, so the pairs left out have one film or none, and a count of listed films is a least.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import sqrt
from typing import Any

from medutils.evidence import reported_values

Told = Mapping[str, Any]

CLASSES = BACTERIAL, COVID, NORMAL, OTHER, TB, VIRAL = range(6)  # in the order of the write-up's list of classes
NAMES = ("bacterial", "covid", "normal", "other", "tb", "viral")
CHILDREN = (BACTERIAL, NORMAL, VIRAL)  # section 8: these three classes are of one children's hospital
DISEASED = (BACTERIAL, COVID, OTHER, TB, VIRAL)
COURSES = ("full", "augmented", "subset", "small", "large")  # each with a frozen log, then an unfrozen one
EVERY = 3  # of the COVID-19 films every third is copied


def arithmetic() -> dict[str, float]:
    """Numbers by name; shares between 0 and 1, films and minutes. What each is stands at the function that gives it."""
    told = reported_values("lung_six_class")
    return counts(told) | sources(told) | confusions(told) | stage_1(told) | comparison(told) | minutes(told)


def counts(told: Told) -> dict[str, float]:
    """Films.

    total, total_augmented, total_subset: the sum of the classes, of each of the three sets
    valid, valid_augmented, valid_subset: a fifth of each, rounded down as fastai 1 does; train: the rest of the first
    covid_after_copies: COVID-19 films and five copies of every third
    """
    full, subset = _films(told), _films(told, "subset_")
    covid = told["covid"]
    sums = {
        "": sum(full),
        "_augmented": sum(full) - covid + told["covid_augmented"],
        "_subset": sum(subset),
    }
    totals = {f"total{which}": films for which, films in sums.items()}
    valid = {f"valid{which}": float(int(told["validation_share"] * films)) for which, films in sums.items()}
    copied = covid + told["copies"] * (covid // EVERY)
    return totals | valid | {"train": sums[""] - valid["valid"], "covid_after_copies": copied}


def sources(told: Told) -> dict[str, float]:
    """Shares of all films, and of the subset, that are named rightly by who knows nothing but a film's source.

    right_without_a_pixel, right_without_a_pixel_subset: by section 8, COVID-19, TB and other findings each have sources
    of their own; every children's film is named as the largest of the children's three classes
    """
    found = {}
    for which in ("", "subset_"):
        films = _films(told, which)
        right = films[COVID] + films[OTHER] + films[TB] + max(films[of] for of in CHILDREN)
        found[f"right_without_a_pixel_{which}".removesuffix("_")] = right / sum(films)
    return found


def confusions(told: Told) -> dict[str, float]:
    """Validation films that the first three courses, frozen, took for another class.

    errors, errors_augmented, errors_subset: all, from the accuracy of the epoch before the list
    listed_confusions, listed_confusions_augmented, listed_confusions_subset: those in the list; never more than all

    Of the first course alone:
    errors_within_children: confusions among bacterial, viral and normal; all six pairs are listed, so they are exact
    accuracy_within_children: share of the children's films in validation that are not among these
    viral_recall: share of the viral films in validation that no listed pair takes for another class
    diseased_called_normal, normal_called_diseased: listed films; one each of the pairs left out may come on top

    The draw of the validation films is not printed: shares are of the films expected in it. `_low` and `_high` are
    their bounds for 95 % of draws, `_low` with a film more for each pair that is left out.
    """
    found: dict[str, float] = {}
    for which, course in (("", "full"), ("_augmented", "augmented"), ("_subset", "subset")):
        found[f"errors{which}"] = _errors(told, f"{course}_frozen", f"valid{which}")
        found[f"listed_confusions{which}"] = sum(_pairs(told, course).values())
    return (
        found
        | {
            "errors_within_children": _listed(told, CHILDREN, CHILDREN),
            "diseased_called_normal": _listed(told, DISEASED, (NORMAL,)),
            "normal_called_diseased": _listed(told, (NORMAL,), DISEASED),
        }
        | _right("accuracy_within_children", told, CHILDREN, CHILDREN)
        | _right("viral_recall", told, (VIRAL,), CLASSES)
    )


def stage_1(told: Told) -> dict[str, float]:
    """The list of the stage at 64 pixels and the accuracies beside it, in validation films.

    listed_confusions_stage_1: films in the list, whose print breaks off, so at least these
    errors_stage_1_frozen, errors_stage_1: from the last accuracy before and after unfreezing
    """
    return {
        "listed_confusions_stage_1": sum(_pairs(told, "small").values()),
        "errors_stage_1_frozen": _errors(told, "small_frozen", "valid_subset"),
        "errors_stage_1": _errors(told, "small_unfrozen", "valid_subset"),
    }


def comparison(told: Told) -> dict[str, float]:
    """How far the accuracies lie apart.

    half_width_full: half the 95 % interval, binomial, of the first course's accuracy before unfreezing
    drop, relative_drop: from all films to the subset, at the last epoch of each log, in accuracy and as a share of it
    relative_drop_rounded: the same from the 90 % and 85 % that the text rounds to
    """
    share, films = told["full_frozen_log_accuracy"][-1], counts(told)["valid"]
    full, subset = told["full_unfrozen_log_accuracy"][-1], told["subset_unfrozen_log_accuracy"][-1]
    return {
        "half_width_full": 1.96 * sqrt(share * (1 - share) / films),
        "drop": full - subset,
        "relative_drop": 1 - subset / full,
        "relative_drop_rounded": 1 - told["said_subset"] / told["said_full_again"],
    }


def minutes(told: Told) -> dict[str, float]:
    """Minutes of the epochs that are printed.

    minutes_<course>_frozen, minutes_<course>_unfrozen, minutes_<course>: each log of a course, and both
    minutes_progressive: the stages at 64 and 128 pixels together
    minutes_without_log: what the table has beyond the logs for all films and copies, where three epochs have none
    """
    found: dict[str, float] = {}
    for course in COURSES:
        frozen, unfrozen = (sum(told[f"{course}_{state}_log_seconds"]) / 60 for state in ("frozen", "unfrozen"))
        found |= {f"minutes_{course}_frozen": frozen, f"minutes_{course}_unfrozen": unfrozen}
        found[f"minutes_{course}"] = frozen + unfrozen
    found["minutes_progressive"] = found["minutes_small"] + found["minutes_large"]
    found["minutes_without_log"] = told["augmented_minutes"] - found["minutes_augmented"]
    return found


def _films(told: Told, which: str = "") -> list[float]:
    return [told[which + name] for name in NAMES]


def _errors(told: Told, log: str, valid: str) -> float:
    """Wrong films at the last epoch of a log: whole, as an accuracy of six digits tells them."""
    return float(round(counts(told)[valid] * (1 - told[f"{log}_log_accuracy"][-1])))


def _pairs(told: Told, course: str) -> dict[tuple[int, int], float]:
    """Films of the most confused pairs, by (actual, predicted)."""
    return {(int(actual), int(predicted)): films for actual, predicted, films in told[f"{course}_confused"]}


def _listed(told: Told, actual: Sequence[int], predicted: Sequence[int]) -> float:
    pairs = _pairs(told, "full")
    return sum(pairs.get(pair, 0.0) for pair in product(actual, predicted))


def _right(name: str, told: Told, actual: Sequence[int], predicted: Sequence[int]) -> dict[str, float]:
    """Share of the first course's validation films of `actual` that were not taken for another of `predicted`."""
    from scipy.stats import hypergeom

    size = counts(told)
    films = sum(_films(told)[of] for of in actual)
    few, many = hypergeom.ppf([0.025, 0.975], size["total"], films, size["valid"])
    wrong = _listed(told, actual, predicted)
    left_out = sum(
        one != other for one, other in product(actual, predicted) if (one, other) not in _pairs(told, "full")
    )
    return {
        name: 1 - wrong / (films * size["valid"] / size["total"]),
        f"{name}_low": float(1 - (wrong + left_out) / few),
        f"{name}_high": float(1 - wrong / many),
    }
