"""Sentences of the pneumonia chapter that a run chooses: none of them can say what the run does not show.

Those that take `numbers` are clauses without a full stop, to be told of the reference run and of the run at hand by
`Results.tell`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medutils.chapters.pneumonia_cnn.comparison_sentences import WAYS, extremes, helps, meant
from medutils.evaluation import Estimate, number, predictive_values, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import as_start, one_by_one

Scores = Mapping[str, Mapping[str, Estimate]]
LITE0 = "frozen.tf_efficientnet_lite0"
TEST_SHARE = 0.625  # of the ill among the test films of the official folders
CLINIC = 0.1  # and among children in a clinic, as an example
AUGMENTED = "002-augmented_minus_002-baseline", "003-augmented_minus_003-base"
HALVES = {
    "matched": "grey levels of the training films",
    "own_scale": "features on their own scale",
    "prevalence": "share of the ill estimated",
    "local_threshold": "threshold from the first half",
}
GIVEN = {
    "imagenet": "ImageNet's weights",
    "raw": "the write-up's numbers",
    "phantom": "phantom weights",
    "none": "random weights",
}
TRAINED = {
    "features.at_folds": "frozen features",
    "whole": "whole network, one training",
    "whole.ensemble": "whole network, three together",
}
LOOKS = {
    "mean": "brightness",
    "deviation": "contrast",
    "black": "black area",
    "white": "white area",
    "edge": "edge minus middle",
    "sharpness": "sharpness",
}


def points(share: float, form: str = ".1f") -> str:
    """A share in points of a hundred."""
    return f"{number(100 * share, form)} points"


def value(numbers: Numbers, name: str) -> str:
    """A metric without its interval."""
    return number(numbers.metric(name).value)


def _three(numbers: Numbers, name: str) -> str:
    """Accuracy, sensitivity and specificity of a model."""
    accuracy, ill, well = (value(numbers, f"{name}.{what}") for what in ("accuracy", "sensitivity", "specificity"))
    return f"{accuracy} (sensitivity {ill}, specificity {well})"


# --- the answer -------------------------------------------------------------------------------------------------------


def answer(real: Numbers, told: Mapping[str, Any]) -> str:
    """The chapter's question, answered by the reference run."""
    right, random = (real.metric(f"head.003.{name}.auroc") for name in ("imagenet", "imagenet_minus_none"))
    return (
        "**Transfer learning helps.** Write-up 003's dense head on a frozen EfficientNet-Lite0 has an AUROC of "
        f"{right} on the real test films with ImageNet's weights; that minus random weights is {random} "
        f"({meant(random)}). With all its layers trained, by a recipe chosen on training films, three networks "
        f"together have {real.metric('whole.ensemble.auroc')}.\n\n"
        f"Write-up 002 found otherwise: it reports an accuracy of {told['002-xception_test_accuracy']:.3f} for a large "
        f"pretrained network, less than the {told['002-augmented_test_accuracy']:.3f} of a small one. Its network was "
        f"given pixel values that it had never seen. {spoiled(real)}\n\n"
        f"**{helps(real) or 'Does augmentation help?'}** {extremes(real)} Write-up 003 credits it with "
        f"{points(told['003_aug_accuracy'] - told['003_base_accuracy'])} of accuracy, from one run each."
    )


def spoiled(real: Numbers) -> str:
    """Whether raw numbers can be why a pretrained network did worse."""
    gap = real.metric("head.002.imagenet_minus_raw.auroc")
    words = {"above": "That can be the reason", "below": "That is not the reason"}
    right, raw = (number(real.number(f"raw_pixels/auroc/{name}")) for name in ("right", "raw"))
    return (
        f"{words.get(verdict(gap), 'Whether that is the reason cannot be told')}: under its head our Lite0 with the "
        f"right numbers, minus the same with raw ones, has {gap} in AUROC; a frozen Xception whose weights were "
        f"learnt on phantoms goes from {right} to {raw}."
    )


def takeaways(real: Numbers) -> list[str]:
    """What to remember, with the numbers of the reference run."""
    best = value(real, "003-augmented.auroc")
    lines = [
        "**Run thumbnails first.** Logistic regression on 16 × 16 pixels has an AUROC of "
        f"{value(real, 'thumbnails.auroc')}; the best network of the write-ups has {best}.",
        f"**The test films are another population.** {as_start(specificity(real))}.",
    ]
    ways, halves = (
        [value(real, f"trained_split.{way}.{name}") for way in WAYS] for name in ("accuracy", "at_half.accuracy")
    )
    if not np.isnan(real.metric("trained_split.film.accuracy").value):
        lines.append(
            f"**A threshold does not travel.** One trained network, at the threshold of its own held-out films, has an "
            f"accuracy of {ways[0]} on the official test films, {ways[1]} where all films are divided by patient, "
            f"{ways[2]} by film; at one half {halves[0]}, {halves[1]} and {halves[2]}."
        )
    return [
        *lines,
        f"**One training is one draw.** {as_start(seeds(real))}.",
        "**Read a report twice.** Exchange its arguments, or read the other row, and specificity passes for precision: "
        "both write-ups draw a conclusion from such a number.",
    ]


# --- data -------------------------------------------------------------------------------------------------------------


def class_shares(numbers: Numbers) -> str:
    """The share of the positive class in training and test films."""
    train, test = (numbers.number(f"shares/{split}") for split in ("train", "test"))
    return (
        f"of the training films {number(100 * train, '.1f')} % show pneumonia, of the test films "
        f"{number(100 * test, '.1f')} %. Whoever calls every test film ill is right in as many"
    )


def bar(numbers: Numbers) -> str:
    """What thumbnails reach, beside the networks of the write-ups."""
    thumbnails = numbers.metric("thumbnails.auroc")
    ran = [name for name in numbers.names("seeds") if name[:3] in ("002", "003")]
    beaten = [name for name in ran if numbers.metric(f"{name}.auroc").value <= thumbnails.value]
    return (
        f"logistic regression on thumbnails has an AUROC of {thumbnails} and an accuracy of "
        f"{numbers.metric('thumbnails.accuracy')}; {len(beaten)} of {len(ran)} networks of the write-ups have no "
        "higher AUROC"
    )


# --- experiments told in full -----------------------------------------------------------------------------------------


def raw(numbers: Numbers) -> str:
    """What raw numbers do to a frozen network."""
    right, wrong = (numbers.number(f"raw_pixels/auroc/{name}") for name in ("right", "raw"))
    losses = [number(numbers.number(f"raw_pixels/first_loss/{name}"), ".3g") for name in ("right", "raw")]
    return (
        f"the frozen network has an AUROC of {number(right)} with its own preprocessing and of {number(wrong)} with "
        f"raw numbers; the loss of its first epoch is {losses[0]} and {losses[1]}"
    )


def heads(numbers: Numbers) -> str:
    """What ImageNet's weights and the right numbers are worth to the write-ups' heads on a frozen network."""
    parts = []
    for write_up in ("002", "003"):
        area, random, raw = (
            numbers.metric(f"head.{write_up}.{name}.auroc")
            for name in ("imagenet", "imagenet_minus_none", "imagenet_minus_raw")
        )
        parts.append(
            f"write-up {write_up}'s head with ImageNet's weights has an AUROC of {area}; that minus random weights is "
            f"{random}, minus the write-up's own numbers {raw}"
        )
    return one_by_one(parts)


def head_gaps(numbers: Numbers) -> str:
    """The same minus each other kind of weights and numbers, and how many seeds have not learnt."""
    parts: list[str] = []
    for write_up in ("002", "003"):
        area = numbers.metric(f"head.{write_up}.imagenet.auroc")
        gaps = []
        for kind, words in list(GIVEN.items())[1:]:
            gap = numbers.metric(f"head.{write_up}.imagenet_minus_{kind}.auroc")
            fallen = numbers.number(f"heads/{write_up}.{kind}/collapsed")
            note = f", where {fallen:.0f} of the seeds say one thing of all films" if fallen > 0 else ""
            gaps.append(f"{words} {gap}{note}")
        parts.append(f"write-up {write_up}'s head with ImageNet's weights has {area}; that minus {'; '.join(gaps)}")
    return f"in AUROC, {one_by_one(parts)}"


def whole(numbers: Numbers) -> str:
    """What training all layers gives beside the frozen features, and what the threshold is worth."""
    areas = [value(numbers, f"{name}.auroc") for name in ("whole", "whole.ensemble", "features.at_folds")]
    seeds = ", ".join(f"{area:.3f}" for area in numbers.numbers("whole/auroc"))
    held = [number(area) for area in numbers.numbers("whole/validation_auroc")]
    return (
        f"with all layers trained the AUROC is {areas[0]} ({seeds} by seed), {areas[1]} for the mean of the seeds, and "
        f"{areas[2]} for the frozen features; on held-out patients of the training folder {', '.join(held)}. "
        f"Accuracy is {_three(numbers, 'whole')} at the threshold from films of an unseen series, and "
        f"{_three(numbers, 'whole.at_half')} at one half"
    )


def whole_thresholds(numbers: Numbers) -> str:
    """What the threshold of held-out patients, which look like the training films, gives the whole network."""
    return f"at the threshold that held-out patients give, its accuracy is {_three(numbers, 'whole.at_validation')}"


def recipe(numbers: Numbers) -> str:
    """What each recipe reached on films of a series that its training did not see."""
    names = numbers.names("whole/candidates")
    rows = [
        f"{name.replace('_', ' ')} {number(numbers.number(f'whole/candidates/{name}/auroc'))} (specificity "
        f"{number(numbers.number(f'whole/candidates/{name}/specificity'))})"
        for name in names
    ]
    return (
        "AUROC on the normal films of a series that was not trained on, mean of both series, by recipe: "
        f"{'; '.join(rows)}. The highest was taken, with the threshold of the highest balanced accuracy on these films"
    )


def frozen(numbers: Numbers) -> str:
    """What a frozen network's features are worth beside the controls, and what its threshold is worth."""
    against = {"random weights": "frozen.minus_random", "thumbnails": "frozen.minus_thumbnails"}
    gaps = {what: numbers.metric(f"{name}.auroc") for what, name in against.items()}
    listed = " and ".join(f"minus {what} is {gap} ({meant(gap)})" for what, gap in gaps.items())
    half = _three(numbers, f"{LITE0}.at_half")
    return (
        f"the AUROC of Lite0 with ImageNet's weights {listed}. Its accuracy is {half} at one half, and "
        f"{_three(numbers, LITE0)} at a threshold from training patients that the regression had not seen"
    )


def inputs(numbers: Numbers) -> str:
    """What the features of a network with ImageNet's weights are worth by what it is given."""
    right, wrong, shares = (numbers.metric(f"input.{name}.auroc") for name in ("right", "raw", "shares"))
    return (
        f"features with ImageNet's weights have an AUROC of {right} with the right preprocessing, {wrong} with 0 to "
        f"255 and {shares} with 0 to 1, where a logistic regression reads them, which scales every feature anew"
    )


def splits(numbers: Numbers) -> str:
    """What the same model reaches on each way to divide the films."""
    official, patient, film = (numbers.metric(f"split.{way}.lite0.accuracy") for way in ("official", "patient", "film"))
    areas = [value(numbers, f"split.{way}.lite0.auroc") for way in ("official", "patient", "film")]
    pixels = [value(numbers, f"split.{way}.thumbnails.accuracy") for way in ("official", "film")]
    return (
        f"the same frozen features have an accuracy of {official} on the official test films, {patient} where all "
        f"films are divided anew by patient and {film} by film (AUROC {areas[0]}, {areas[1]} and {areas[2]}); bare "
        f"thumbnails go from {pixels[0]} to {pixels[1]}"
    )


def specificity(numbers: Numbers) -> str:
    """What the threshold's rule is worth over the networks."""
    ways = {"one half": "one_half", "F1": "f1", "balanced accuracy": "balanced_accuracy"}
    found = {words: numbers.number(f"threshold_rule/{name}") for words, name in ways.items()}
    listed = ", ".join(f"{number(share)} with {words}" for words, share in found.items())
    return f"mean accuracy over the networks by the rule for the threshold is {listed}"


def thresholds(numbers: Numbers) -> str:
    """What a threshold from each kind of held-out training films gives on the test films."""
    parts = [f"{_three(numbers, 'features.at_one_half')} at one half"]
    parts.append(f"{_three(numbers, 'features.at_folds')} at a threshold from patients held out of training")
    if not np.isnan(numbers.metric("features.at_series.accuracy").value):
        parts.append(f"{_three(numbers, 'features.at_series')} at one from normal films of a series held out")
    held, other = (numbers.number(f"thresholds/auroc/{name}") for name in ("folds", "series"))
    text = f"accuracy of the frozen features is {', '.join(parts)}"
    if not np.isnan(held):
        text += f"; on the held-out patients their AUROC is {number(held)}"
    return text if np.isnan(other) else f"{text}, on the held-out series {number(other)}"


def looks(numbers: Numbers) -> str:
    """How test films differ in look from training films of their class, and whether towards the ill ones."""
    found = {
        words: [numbers.number(f"look_of_test_films/{name}/{side}") for side in ("normal", "apart", "ill")]
        for name, words in LOOKS.items()
    }
    known = {words: shifts for words, shifts in found.items() if not np.isnan(shifts).any()}
    if not known:
        return "the look of the test films has not been measured"
    most = sorted(known, key=lambda words: -abs(known[words][0]))[:2]
    listed = " and ".join(f"{words} by {known[words][0]:+.2f} ({known[words][1]:+.2f})" for words in most)
    largest = max(abs(shifts[2]) for shifts in known.values())
    return (
        "the normal test films differ from the normal training films, in deviations of these, most in "
        f"{listed}; in brackets how far ill training films lie from normal ones. Ill test films lie within "
        f"{largest:.2f} of ill training films"
    )


def repairs(numbers: Numbers) -> str:
    """What each repair is worth on the half that judges."""
    base = _three(numbers, "repair.as_it_is.judge")
    parts = []
    for name, words in HALVES.items():
        gain = numbers.metric(f"repair.{name}.gain.accuracy")
        parts.append(
            f"{words} {number(gain.value, '+.3f')} ({number(gain.low, '+.3f')} to {number(gain.high, '+.3f')})"
        )
    return f"accuracy on the judging half is {base}; each repair changes it by: {'; '.join(parts)}"


def seeds(numbers: Numbers) -> str:
    """How far seeds of one network spread."""
    found = {
        name: [run for run in numbers.numbers(f"seeds/{name}") if run is not None] for name in numbers.names("seeds")
    }
    wide = {name: max(runs) - min(runs) for name, runs in found.items() if runs}
    if not wide:
        return "accuracies of single seeds are not defined"
    most = max(wide, key=lambda name: wide[name])
    usual = float(np.median(list(wide.values())))
    return (
        f"nothing but the seed moves the test accuracy of {most} from {min(found[most]):.3f} to "
        f"{max(found[most]):.3f}; the median spread of the seeds of a network is {points(usual)}"
    )


def seeds_and_gains(real: Numbers, told: Mapping[str, Any]) -> str:
    """The write-up's gains beside the spread of seeds."""
    gain = told["003_drop_accuracy"] - told["003_aug_accuracy"]
    later = told["003_split_accuracy"] - told["003_drop_accuracy"]
    return (
        f"Write-up 003 goes on with dropout after a gain of {points(gain, '.2f')}, from one run each; of the next, "
        f'{points(later, ".2f")}, it says itself that it is "not a significant performance increase overall". On real '
        f"data {seeds(real)}."
    )


def augmentation(numbers: Numbers) -> str:
    """What augmentation changes, network by network."""
    parts = []
    for name, whose in zip(AUGMENTED, ("002", "003"), strict=True):
        gap = numbers.metric(f"{name}.auroc")
        parts.append(f"that of write-up {whose}'s network by {gap} ({meant(gap)})")
    accuracy = [number(numbers.metric(f"{name}.accuracy").value, "+.3f") for name in AUGMENTED]
    return (
        f"augmentation changes the AUROC, {' and '.join(parts)}; accuracy at the threshold from validation changes by "
        f"{accuracy[0]} and {accuracy[1]}"
    )


def curve(numbers: Numbers) -> str:
    """What more films bring."""
    rows, areas = numbers.numbers("curve_lite0/rows"), numbers.numbers("curve_lite0/value")
    if len(rows) < 2:
        return "the learning curve has not been measured"
    pixels = numbers.numbers("curve_thumbnails/value")
    return (
        f"the AUROC of the frozen features is {number(areas[0])} with {rows[0]} training films and {number(areas[-1])} "
        f"with {rows[-1]}; that of thumbnails {number(pixels[0])} and {number(pixels[-1])}"
    )


# --- the clinic -------------------------------------------------------------------------------------------------------


def prevalence(numbers: Numbers) -> str:
    """What prevalence does to a positive answer, at the threshold from training films."""
    name = next(
        (
            one
            for one in ("whole.ensemble", "features.at_folds")
            if not np.isnan(numbers.metric(f"{one}.sensitivity").value)
        ),
        LITE0,
    )
    ill, well = (numbers.metric(f"{name}.{what}").value for what in ("sensitivity", "specificity"))
    folder, clinic = (
        float(predictive_values(np.array([ill]), np.array([well]), share)[0][0]) for share in (TEST_SHARE, CLINIC)
    )
    return (
        f"with a sensitivity of {number(ill)} and a specificity of {number(well)}, {number(100 * folder, '.0f')} of "
        f"100 alarms are right where {TEST_SHARE:.1%} are ill, as in the test folder, and "
        f"{number(100 * clinic, '.0f')} where {CLINIC:.0%} are"
    )


def seed_table(real: Numbers, run: Numbers) -> pd.DataFrame:
    """Test accuracies as written by network: the mean of the seeds, `_low` the lowest and `_high` the highest."""
    names = dict.fromkeys([*real.names("seeds"), *run.names("seeds")])
    rows = {}
    for name in names:
        row: dict[str, float] = {}
        for kind, numbers in (("reference", real), ("run", run)):
            runs = [float(one) for one in numbers.numbers(f"seeds/{name}") if one is not None]
            parts = (float(np.mean(runs)), min(runs), max(runs)) if runs else (np.nan, np.nan, np.nan)
            row |= dict(zip((kind, f"{kind}_low", f"{kind}_high"), parts, strict=True))
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def curve_table(real: Numbers) -> pd.DataFrame:
    """AUROC by number of training films, for frozen features and thumbnails."""
    found = {}
    for name, words in (("lite0", "frozen features"), ("thumbnails", "thumbnails")):
        parts = [real.numbers(f"curve_{name}/{part}") for part in ("rows", "value", "low", "high")]
        found[words] = {
            f"{rows:,} films": f"{value:.3f} ({low:.3f} to {high:.3f})"
            for rows, value, low, high in zip(*parts, strict=True)
        }
    return pd.DataFrame(found)


def inside(name: str, share: float, area: float) -> str:
    """How much of a network's heat lies inside the lungs."""
    more = "More than evenly spread heat would." if share > area else "No more than evenly spread heat would."
    if np.isnan(share):
        return f"No phantom has any heat for {name}."
    return f"{share:.0%} of the heat of {name} lies inside the lungs, which are {area:.0%} of the film. {more}"
