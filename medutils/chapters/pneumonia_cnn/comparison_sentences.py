"""What is said of the trainings in `comparisons`. Each clause takes the numbers of a run."""

from math import isnan

import pandas as pd

from medutils.chapters.pneumonia_cnn.comparisons import halved
from medutils.chapters.pneumonia_cnn.proxies import by_network
from medutils.evaluation import Estimate, number, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import Clause, one_by_one

NETWORKS = {
    "002": "write-up 002's network",
    "003": "write-up 003's network",
    "lite0": "Lite0 with random weights",
    "lite0_imagenet": "Lite0 with ImageNet's weights",
}
LEVELS = ("mild", "heavy")
WAYS = {"official": "on the official test films", "patient": "divided by patient", "film": "by film"}
PROXIES = {
    "validation": "AUROC on held-out patients",
    "log_loss": "log loss on them",
    "contrast": "AUROC on them with half of the contrast",
    "size": "with half of the pixels a side",
    "compression": "after strong compression",
    "all_stresses": "the mean of these three",
}
SIDES = {"above": "helps", "below": "harms"}
NOT_RUN = "–"
PROPOSALS = (
    "More epochs (002)",
    "A range of learning rates, with their time (002, 003)",
    "Other sizes of film (002)",
    "A range of L1 and L2 (003)",
)


def meant(gap: Estimate) -> str:
    """What a difference says by its interval."""
    return {
        "above": "the interval lies above 0",
        "below": "the interval lies below 0",
        "holds 0": "the interval holds 0, so these films cannot tell",
        "undefined": "its interval is not defined",
    }[verdict(gap)]


def augment_rows() -> dict[str, str]:
    """The metric of each row of the figure: a level minus none, by network."""
    return {
        f"{level}, {words}": f"augment.{network}.{level}_minus_none.auroc"
        for network, words in NETWORKS.items()
        for level in LEVELS
    }


def factorial(n: Numbers) -> str:
    """What mild and heavy augmentation change in AUROC, network by network."""
    parts = []
    for level in LEVELS:
        by_verdict: dict[str, list[str]] = {}
        for network, words in NETWORKS.items():
            gap = n.metric(f"augment.{network}.{level}_minus_none.auroc")
            by_verdict.setdefault(verdict(gap), []).append(f"{words} ({number(gap.value, '+.3f')})")
        told = [f"{words} {' and '.join(by_verdict[side])}" for side, words in SIDES.items() if side in by_verdict]
        if "holds 0" in by_verdict:
            told.append(f"shows no difference for {'the others' if told else 'any network'}")
        if told:
            parts.append(f"{level} augmentation {'; '.join(told)}")
    if not parts:
        return "no network was trained with and without augmentation on one budget"
    return f"in AUROC, minus none on the same budget{_budget(n)}, {one_by_one(parts)}"


def extremes(n: Numbers) -> str:
    """The most that augmentation takes from a network and the most that it gives to one; "" where it was not asked."""
    found = {row: n.metric(name).value for row, name in augment_rows().items()}
    known = {row: value for row, value in found.items() if not isnan(value)}
    if not known:
        return ""
    least, most = min(known, key=lambda row: known[row]), max(known, key=lambda row: known[row])
    return f"Its effect on AUROC goes from {known[least]:+.3f} ({least}) to {known[most]:+.3f} ({most})."


def helps(n: Numbers) -> str:
    """The question in a few words; empty where it was not asked."""
    found = {verdict(n.metric(name)) for name in augment_rows().values()} - {"undefined"}
    if not found:
        return ""
    if {"above", "below"} <= found:
        return "Augmentation helps some networks and harms others."
    if "above" in found:
        return "Augmentation helps some networks."
    return "Augmentation harms some networks." if "below" in found else "No effect of augmentation could be shown."


def _budget(n: Numbers, part: str = "augmentation") -> str:
    """What all had in common, in brackets."""
    size, epochs = _size_and_epochs(n, part)
    return f" (films of {size} pixels, {epochs} epochs, {halved(epochs)} of Lite0)" if size else ""


def _size_and_epochs(n: Numbers, part: str) -> tuple[int, int]:
    """The budget of a part of the reference run, or of this run; 0 where it is not known."""
    own = n.results.get("parts", {}).get(part, n.results).get("parameters", {})
    return own.get("compared_size", 0), own.get("compared_epochs", 0)


def areas(n: Numbers) -> pd.DataFrame:
    """AUROC by network (rows) and level, with intervals; empty where it was not run."""
    rows = {
        words: {level: n.metric(f"augment.{network}.{level}.auroc") for level in ("none", *LEVELS)}
        for network, words in NETWORKS.items()
    }
    return _told(rows)


def _told(rows: dict[str, dict[str, Estimate]]) -> pd.DataFrame:
    """The rows whose every number was measured, as text."""
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table[table.map(lambda one: not isnan(one.value)).all(axis=1)].map(str)


def trained_splits(n: Numbers) -> str:
    """What one whole network reaches on each way to divide the films, and how much of that the threshold makes."""
    found = {
        name: [n.metric(f"trained_split.{way}.{name}") for way in WAYS]
        for name in ("accuracy", "auroc", "at_half.accuracy")
    }
    parts = [
        f"{accuracy} {words} (AUROC {number(area.value)})"
        for accuracy, area, words in zip(found["accuracy"], found["auroc"], WAYS.values(), strict=True)
    ]
    halves = [number(one.value) for one in found["at_half.accuracy"]]
    official, _, film = (one.value for one in found["accuracy"])
    size, epochs = _size_and_epochs(n, "splits")
    budget = f" for {halved(epochs)} epochs at {size} pixels" if size else ""
    return (
        f"all of Lite0 trained{budget} has, at the threshold that its own held-out films give, an accuracy of "
        f"{', '.join(parts)}: {number(100 * (film - official), '.1f')} points by the way of dividing alone. At one "
        f"half it is {halves[0]}, {halves[1]} and {halves[2]}"
    )


def proxies(n: Numbers) -> str:
    """Which numbers from the training folder put networks in the order that the test films give."""
    found = {words: n.number(f"proxies/correlation/{name}") for name, words in PROXIES.items()}
    known = {words: value for words, value in found.items() if not isnan(value)}
    if not known:
        return "no proxy was held against the test films"
    listed = "; ".join(f"{words} {number(value, '.2f')}" for words, value in known.items())
    told = (
        f"over {number(n.number('proxies/trainings'), '.0f')} trainings the rank correlation with AUROC on the test "
        f"films is: {listed}"
    )
    means = by_network(n)
    if means["unseen"].isna().any():
        return told
    order = means.corr(method="spearman")["test"]
    return (
        f"{told}. Over the {len(means)} networks, seeds averaged, it is {order['validation']:.2f} for held-out "
        f"patients, {order['contrast']:.2f} for half of the contrast, and {order['unseen']:.2f} for films of "
        "another look, a series of normal films that the network was not trained on"
    )


BODIES = {
    "frozen": "frozen",
    "alike": "all layers at one rate",
    "apart": "the body at a tenth of the head's rate",
}
STARTS = {"imagenet": "ImageNet's weights", "phantom": "weights learnt on phantoms", "none": "random weights"}


def body_areas(n: Numbers) -> pd.DataFrame:
    """AUROC by what of the network learns (columns) and the weights it begins with; empty where it was not run."""
    rows = {
        start: {how: n.metric(f"body.{weights}.{name}.auroc") for name, how in BODIES.items()}
        for weights, start in STARTS.items()
    }
    return _told(rows)


def bodies(n: Numbers) -> str:
    """What it changes in AUROC that the body of a network learns too, by the weights it begins with."""
    parts = []
    for weights, start in STARTS.items():
        alike, apart, between = (
            n.metric(f"body.{weights}.{pair}.auroc")
            for pair in ("alike_minus_frozen", "apart_minus_frozen", "apart_minus_alike")
        )
        if not isnan(alike.value):
            parts.append(
                f"with {start} {alike} at one rate and {apart} at two; two rates minus one {between} ({meant(between)})"
            )
    if not parts:
        return "no network was trained frozen and whole on one budget"
    gap = "the AUROC of a network trained whole, minus that of one whose body is frozen"
    return f"{gap}{_budget(n, 'body')}, is {one_by_one(parts)}"


def proposed(n: Numbers) -> pd.DataFrame:
    """What each proposal changes in the AUROC of one network: a row a setting, or a proposal where none was run."""
    rows = n.results.get("experiments", {}).get("proposed", {}).get("rows", [])
    if not rows:
        return pd.DataFrame({"measured": "not run on real films yet", "result": NOT_RUN}, index=list(PROPOSALS))
    found: dict[str, dict[str, str]] = {}
    for place, row in enumerate(rows):
        gain = n.metric(f"proposed.{place}_minus_first.auroc")
        area: Estimate = n.metric(f"proposed.{place}.auroc")
        result = f"{gain}" if place else f"{area}"
        what = "AUROC of write-up 003's network" if not place else f"AUROC minus {rows[0]['setting']}"
        found[f"{row['proposal']}: {row['setting']}"] = {
            "measured": f"{what}; {row['seconds']:.0f} s a training on a core, beside other work",
            "result": result,
        }
    return pd.DataFrame.from_dict(found, orient="index")


CLAUSES: tuple[Clause, ...] = (factorial, trained_splits, proxies, bodies)
