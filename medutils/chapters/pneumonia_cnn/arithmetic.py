"""What follows by arithmetic, without a film: how far few films and many looks mislead, what a decision is worth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medutils.chapters.pneumonia_cnn.sentences import CLINIC, TEST_SHARE
from medutils.evaluation import number, proportion


def by_validation_films(accuracy: float, films: Sequence[int] = (16, 50, 100, 200, 500, 1000, 2000)) -> pd.DataFrame:
    """Wilson's interval of an accuracy by the number of films it was taken on, and its width in points."""
    found = {count: proportion(round(accuracy * count), count, "", "wilson") for count in films}
    return pd.DataFrame(
        {
            "low": {count: number(one.low) for count, one in found.items()},
            "high": {count: number(one.high) for count, one in found.items()},
            "points wide": {count: number(100 * (one.high - one.low), ".1f") for count, one in found.items()},
        }
    ).rename_axis("films")


def interval_by_accuracy(films: int) -> pd.DataFrame:
    """Wilson's interval of each accuracy, as shares, that so many films can give from one half on."""
    rights = np.unique(np.linspace(films / 2, films, 21).round().astype(int))
    found = [proportion(int(right), films, "", "wilson") for right in rights]
    return pd.DataFrame(
        {
            "accuracy": rights / films,
            "lowest": [one.low for one in found],
            "highest": [one.high for one in found],
        }
    )


def optimism_by_looks(films: int, accuracy: float = 0.9) -> pd.DataFrame:
    """By how many points the best of some networks of one true accuracy seems better than it is, on so many films."""
    from scipy.stats import binom

    below = binom.cdf(np.arange(films), films, accuracy)
    looks = np.array([1, 2, 5, 10, 20, 50, 100])
    highest = np.array([films - (below**count).sum() for count in looks]) / films
    return pd.DataFrame({"networks": looks, "best of them": 100 * (highest - accuracy)})


def looks_told(counts: Sequence[int], looks: int = 20) -> str:
    """What twenty looks are worth with the fewest and with the most films."""
    parts = []
    for count in (counts[0], counts[-1]):
        table = optimism_by_looks(count).set_index("networks")["best of them"]
        parts.append(f"{number(float(table[looks]), '.1f')} points with {count:,} films")
    return f"The best of {looks} networks that are all right nine times in ten seems better by {' and '.join(parts)}."


def net_benefit(points: pd.DataFrame, share: float) -> pd.DataFrame:
    """Net benefit of the network, of treating all and of treating none, by the risk at which one would treat.

    points: `threshold`, `sensitivity`, `specificity`; the network's threshold at each risk is the one with the highest
        net benefit there, so that its probabilities need not be calibrated for this share of the ill
    share: of the ill
    """
    risks = np.round(np.arange(0.02, 0.62, 0.02), 2)
    odds = risks / (1 - risks)
    hits, false_alarms = points["sensitivity"] * share, (1 - points["specificity"]) * (1 - share)
    network = [float((hits - false_alarms * one).max()) for one in odds]
    return pd.DataFrame(
        {
            "risk at which to treat": risks,
            "network": network,
            "treat all": share - (1 - share) * odds,
            "treat none": np.zeros(len(risks)),
        }
    )


def decision(points: pd.DataFrame, risk: float = 0.2) -> str:
    """What the network adds to the better of treating all and treating none, at one risk and two prevalences."""
    parts = []
    for share in (TEST_SHARE, CLINIC):
        table = net_benefit(points, share)
        row = table.iloc[(table["risk at which to treat"] - risk).abs().argmin()]
        gain = row["network"] - max(row["treat all"], row["treat none"])
        parts.append(f"{number(100 * gain, '.1f')} per 100 children where {share:.1%} are ill")
    return (
        f"For a doctor who treats from a risk of {risk:.0%} on, the network is worth as many true findings without a "
        f"false alarm as {' and '.join(parts)}, beyond treating all or none. The threshold is the best for each risk, "
        "taken on the same films, so this is an upper end."
    )
