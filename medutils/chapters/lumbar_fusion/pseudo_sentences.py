"""What is said of the write-up's pseudo-modality learning. Each clause takes the numbers of a run."""

from math import isnan

import pandas as pd

from medutils.chapters.lumbar_fusion.as_written import MENDED
from medutils.evaluation import Estimate, number, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import Clause, Folded, share

NETWORKS = {"dae": "denoising autoencoder", "vae": "VAE", "attention": "VAE with attention"}
FAULTS = {
    "tanh": "an output without bounds",
    "clip": "training inputs that are not clipped",
    "tanh-clip": "an output without bounds, with inputs that are not clipped,",
    "noise": "the test's noise in training too",
    "first": "a row of any kind learnt, and not the first",
    "optimiser": "its own weights in its optimiser",
}


def moved(change: Estimate) -> str:
    """A change with what its interval allows to be said."""
    said = {
        "above": "it is higher for it",
        "below": "it is lower for it",
        "holds 0": "the interval holds 0",
        "undefined": "no interval",
    }
    return f"{change} ({said[verdict(change)]})" if not isnan(change.value) else str(change)


def _relative(n: Numbers, name: str) -> Estimate:
    return n.metric(f"{name}.relative")


def reported(n: Numbers) -> str:
    """What follows from the notebook's own numbers."""
    at = "pseudo_arithmetic"
    return (
        f"the error of the trained autoencoder is {share(n.number(f'{at}/gain'))} below that of the network that was "
        f"never trained, and the VAE's {share(n.number(f'{at}/gain_vae'))}; no output between -1 and 1 could have "
        f"brought it below {number(n.number(f'{at}/floor'), '.1f')}. The training losses of the two, over the number "
        f"of values, are {number(n.number(f'{at}/dae_loss_a_value'), '.2f')} and "
        f"{number(n.number(f'{at}/vae_loss_a_value'), '.2f')}"
    )


def itself(n: Numbers) -> str:
    """The error in an absent series, by way."""
    parts = []
    for given, asked in n.numbers("absent/pairs"):
        at = f"absent_{given}_{asked}"
        parts.append(
            f"{asked} from {given}: {_relative(n, f'{at}_dae_as_written')} as written, "
            f"{_relative(n, f'{at}_dae_itself')} where the autoencoder learns to predict the absent series, all else "
            f"the same, {_relative(n, f'{at}_dae_correct')} with all its faults mended, "
            f"{_relative(n, f'{at}_copy')} for the series that is there, as it is, and {_relative(n, f'{at}_ridge')} "
            "for a linear regression"
        )
    if not parts:
        return "no absent series was asked for"
    return f"the squared error in the absent series, over that of the training patients' mean, is, {'; '.join(parts)}"


def absent_gain(n: Numbers) -> str:
    """Which ways are better than the training mean, and which are not, by number."""
    pairs = n.numbers("absent/pairs")
    if not pairs:
        return "no absent series was asked for"
    (given, asked), *others = pairs
    first = _against_mean(n, given, asked)
    told = "; ".join(
        f"{words}: {', '.join(ABSENT_WAYS[way] for way, one in first.items() if one == side) or 'none'}"
        for side, words in (("below", "better"), ("above", "worse"), ("holds 0", "not to be told apart"))
    )
    said = f"asked for the absent {asked.upper()}, against the training mean, {told}"
    for one, other in others:
        alike = sum(first[way] == verdict for way, verdict in _against_mean(n, one, other).items())
        said += f". Asked for the {other.upper()}, {alike} of {len(first)} ways have the same verdict"
    return said


def _against_mean(n: Numbers, given: str, asked: str) -> dict[str, str]:
    return {way: verdict(n.metric(f"absent_{given}_{asked}_{way}_over_mean.relative")) for way in ABSENT_WAYS}


ABSENT_WAYS = {
    "dae_as_written": "the autoencoder as written",
    "dae_itself": "the autoencoder that predicts",
    "dae_correct": "the autoencoder, all faults mended",
    "vae_as_written": "the VAE as written",
    "vae_itself": "the VAE that predicts",
    "vae_correct": "the VAE, all faults mended",
    "copy": "the series that is there",
    "ridge": "linear regression",
}


def _mending(n: Numbers, network: str, fault: str, start: str = "pseudo") -> str:
    change = _relative(n, f"{start}_{network}_{fault}_change")
    return f"with {FAULTS[fault]} the relative error of the {NETWORKS[network]} changes by {moved(change)}"


def bounded(n: Numbers) -> str:
    """Targets that a tanh cannot reach, and what it costs; at the write-up's scale too, where that was run."""
    parts = []
    for start, words in (("pseudo", "as they are"), ("pseudo_large", "as large as the write-up's")):
        at = f"{start}_targets"
        if isnan(n.metric(f"{at}.outside").value):
            continue
        parts.append(
            f"of embeddings {words}, {share(n.metric(f'{at}.outside').value)} of the values lie beyond -1 and 1, and "
            f"the best bounded output has a relative error of {n.metric(f'{at}.floor_relative')}; "
            f"{_mending(n, 'dae', 'tanh-clip', start)}, "
            f"{_mending(n, 'vae', 'tanh', start)}"
        )
    return ". Then ".join(parts) if parts else "no embedding was given back"


def third(n: Numbers) -> str:
    """The third network before and after its training, as written and mended."""
    after, fixed, start = (
        n.metric(f"pseudo_attention_{way}.cosine") for way in ("as_written", "optimiser", "untrained")
    )
    moved_by = n.number("pseudo/largest_change/attention_as_written")
    return (
        f"the largest change of a weight of the {NETWORKS['attention']} is {number(moved_by, '.3g')} after its "
        f"training as written; its cosine distance is {start} before and {after} after. With its own weights in the "
        f"optimiser it is {fixed}, where the training mean has {n.metric('pseudo_mean.cosine')}"
    )


def noise(n: Numbers) -> str:
    """Noise, clipping, and the row that is learnt."""
    return "; ".join(_mending(n, "dae", fault) for fault in ("noise", "clip", "first"))


def dropped(n: Numbers) -> str:
    """Which studies the notebook's test looks at."""
    studies, tested, three = (n.number(f"dropping/{name}") for name in ("studies", "tested", "three"))
    part = tested / studies if studies else float("nan")
    return (
        f"of {number(studies, ',.0f')} studies {number(three, ',.0f')} have three series, of which one is left, so "
        f"that they are passed over; {number(tested, ',.0f')} ({share(part)}) have "
        "two or more left and are tested"
    )


def mended_table(n: Numbers, start: str = "pseudo") -> pd.DataFrame:
    """Fault by fault: relative error and cosine distance, as written and mended, and the change; empty if not run."""
    rows = {}
    for network, faults in MENDED.items():
        for fault in faults:
            found = {
                f"{metric}, {words}": n.metric(f"{start}_{network}_{way}.{metric}")
                for metric in ("relative", "cosine")
                for words, way in (("as written", "as_written"), ("mended", fault), ("change", f"{fault}_change"))
            }
            if not isnan(found["relative, change"].value):
                rows[f"{NETWORKS[network]}: {FAULTS[fault]}"] = {key: str(one) for key, one in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


CLAUSES: tuple[Clause, ...] = (reported, itself, absent_gain, bounded, third, noise, dropped)
FOLDED = (
    Folded("An output that cannot reach its targets", "tanh_fault", bounded, "pseudo_targets.outside"),
    Folded("What follows from the notebook's own numbers", "", reported, "pseudo_arithmetic/gain"),
    Folded("Noise, clipping, and the first row", "clip_fault", noise, "pseudo_dae_noise_change.relative"),
    Folded("The studies that the test passes over", "tested_fault", dropped, "dropping/studies"),
)
