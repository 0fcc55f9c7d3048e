"""Sentences of the pneumonia chapter that a run chooses: none of them can say what the run does not show."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medutils.chapters.pneumonia_cnn.experiments import Matrix, highest_recall, read_matrix
from medutils.data.films import Films, Scheme
from medutils.evaluation import Estimate, at_bound, fixed_sentence, number, verdict
from medutils.tables import few, markdown_safe
from medutils.training.kept import Training

Scores = Mapping[str, Mapping[str, Estimate]]

WORDS = {
    "fresh": "from fresh weights",
    "shared": "from the baseline's weights",
    "mild": "mild augmentation, fresh weights",
    "none": "no augmentation",
    "right": "right preprocessing",
    "raw": "raw 0 to 255",
    "one_half": "one half",
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
    "002-augmented.shared": "002-augmented, going on",
    "002-xception.raw": "002-xception, raw 0 to 255",
    "frozen_longer": "one epoch more, frozen",
    "thawed": "one epoch more, last blocks thawed",
}

# What each error is worth: results by the path they are kept under, in the words of the table that compares them.
WORTH = {
    "experiments/shared_weights/auroc/fresh": "AUROC, augmented, fresh weights",
    "experiments/shared_weights/auroc/shared": "AUROC, baseline's weights",
    "mild_minus_strong.auroc": "AUROC, mild minus strong augmentation",
    "experiments/raw_pixels/auroc/right": "AUROC, right preprocessing",
    "experiments/raw_pixels/auroc/raw": "AUROC, raw 0 to 255",
    "experiments/threshold_rule/one_half": "accuracy, threshold one half",
    "experiments/threshold_rule/f1": "accuracy, threshold by F1",
    "experiments/threshold_rule/balanced_accuracy": "accuracy, threshold by balanced accuracy",
    "experiments/patient_in_training/file": "children known, by film",
    "experiments/validation_scheme/file/auroc_gap": "AUROC, validation minus test, by film",
    "experiments/validation_scheme/patient/auroc_gap": "AUROC, validation minus test, by patient",
    "experiments/sixteen_films/widest": "16 films: 90 % of draws within",
    "experiments/picked_on_test/optimism": "accuracy won by choosing on test",
    "experiments/collapsed/all": "trainings that collapsed",
    "experiments/seed_spread/widest": "accuracy, widest spread of seeds",
    "fine_tuned_minus_frozen.auroc": "AUROC, fine-tuned minus frozen",
}


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose rows and columns are called by words, not by the names that results are kept under."""
    return table.rename(index=WORDS, columns=WORDS)


def origin(films: Films, on_what: str) -> str:
    """What the chapter's numbers are made of, and what must be known of these films."""
    made = (
        "**These numbers are made from a phantom**: films drawn by a program, named and laid out as the real ones. "
        "They show how the chapter works. They say nothing about children, and little about the networks."
        if on_what == "phantom"
        else f"These numbers are made from real films ({markdown_safe(films.located.name)})."
    )
    return " ".join([made, *films.notes])


def sizes(table: pd.DataFrame) -> str:
    """Whether the films that were looked at differ in size, and what becomes of their shape."""
    alike, square = len(table.drop_duplicates()) == 1, table["width"].eq(table["height"]).all()
    start = f"The {len(table)} films looked at {'are all of one size' if alike else 'differ in size'}."
    if square:
        return f"{start} They are square already: no film is squashed further, as both write-ups squash theirs."
    return f"{start} Each is squashed to a square, as in both write-ups, which changes how wide a chest looks."


def class_shares(shares: pd.Series, positive: str) -> str:
    """The share of the positive class in each split."""
    name = markdown_safe(positive)
    listed = " and ".join(f"{share:.1%} of the {split} films" for split, share in shares.items())
    apart = 100 * (shares["train"] - shares["test"])
    share = f"is {abs(apart):.1f} points {'higher' if apart > 0 else 'lower'}" if abs(apart) >= 0.05 else "is the same"
    share = "is not defined" if math.isnan(apart) else share
    return (
        f"{name} is {listed}. Whoever calls every test film {name} is right in {shares['test']:.1%} of them; "
        f"the training share {share}."
    )


def split(parts: Mapping[str, int], balance: Sequence[float], films: Films, scheme: Scheme) -> str:
    """How many films are where, whose split that is, and what an error on each class counts."""
    names = map(markdown_safe, films.classes)
    weights = " and ".join(f"{weight:.2f} ({name})" for weight, name in zip(balance, names, strict=True))
    own = films.own_validation
    whose = ""
    if films.divided:
        whose = " This split was given with `split`."
    elif own and not films.keeps_validation(scheme):
        whose = f" The folder's own {own} validation films are too few to choose by, so they train."
    return (
        f"{parts['train']} films train, {parts['validation']} validate, {parts['test']} test.{whose} Write-up 002 "
        f"weighs errors so that the classes count alike; on these training films the weights are {weights}. Write-up "
        "003 does not."
    )


def bar(judged: Scores, positive: str) -> str:
    """What the baselines reach."""
    line, name = judged["thumbnails"], markdown_safe(positive)
    answer = name if judged["majority"]["sensitivity"].value > 0.5 else f"not {name}"
    return (
        f"Calling every film {answer} has an accuracy of {number(judged['majority']['accuracy'].value)}. Logistic "
        f"regression on thumbnails has an AUROC of {line['auroc']} and an accuracy of {line['accuracy']}. "
        "In brackets stands the 95 % interval, from patients drawn again with replacement."
    )


def trained(trainings: Mapping[str, Sequence[Training]], p: Any) -> str:
    """How much was trained, and with what of the write-ups' own."""
    count = sum(map(len, trainings.values()))
    seconds = sum(one.seconds for group in trainings.values() for one in group)
    return f"{count} trainings, {_sizes_of(vars(p))}, took {seconds:.0f} s in all when they were run."


def _sizes_of(p: Mapping[str, Any]) -> str:
    """The size of the films and the epochs that a run gave to every network, in words."""
    size = f"at {p['image_size']} pixels" if p["image_size"] else "at each network's own size"
    epochs = f"{p['epochs']} epoch{'s' if p['epochs'] > 1 else ''}" if p["epochs"] else "its own epochs"
    return f"{size} and for {epochs}"


def _or_lowest(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def as_written(scores: Scores, majority: Mapping[str, Estimate]) -> str:
    """The best accuracy as written, and who does not beat the majority class."""
    best = max(scores, key=lambda name: _or_lowest(scores[name]["accuracy"].value))
    if math.isnan(scores[best]["accuracy"].value):
        return "No accuracy is defined on these films."
    below = [name for name, found in scores.items() if not found["accuracy"].value > majority["accuracy"].value]
    more = f" Not above the majority class: {', '.join(below)}." if below else " All are above the majority class."
    return f"The highest accuracy is that of {best}: {scores[best]['accuracy']}.{more}"


def fixed(written: Scores, found: Scores) -> str:
    """What fixing the threshold on validation changes."""
    gains = {name: found[name]["accuracy"].value - written[name]["accuracy"].value for name in found}
    most = max(gains, key=lambda name: _or_lowest(abs(gains[name])))
    return (
        f"The threshold changes accuracy by {number(gains[most], '+.3f')} at most ({most}). It cannot change "
        "AUROC, the share of pairs of a positive and a negative film that are ranked rightly."
    )


def rules(accuracies: pd.DataFrame, ill: Mapping[str, float]) -> str:
    """What the threshold's rule is worth, and what F1 hangs on."""
    listed = ", ".join(f"{number(share)} ({WORDS[way]})" for way, share in accuracies.mean().items())
    return (
        f"Over these networks accuracy is on average {listed}. Of the validation films {ill['validation']:.1%} are "
        f"positive, of the test films {ill['test']:.1%}. F1 hangs on that share: the more are positive, the lower the "
        "threshold it asks for. Balanced accuracy does not."
    )


def calibration(found: Scores, shares: pd.Series) -> str:
    """What the curve is to be held against."""
    return (
        "A curve below the dotted line promises more illness than there is. Probabilities learnt where "
        f"{shares['train']:.0%} are ill are used where {shares['test']:.0%} are. The Brier score, lower is better, is "
        + ", ".join(f"{number(one['brier'].value)} ({name})" for name, one in found.items())
        + "."
    )


def causes(found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Which cause is missed more often."""
    if any(len(parts) < 2 for parts in found.values()):
        return "These file names do not tell two causes, so recall cannot be taken apart."
    recall = pd.DataFrame({name: {cause: one.value for cause, one in parts.items()} for name, parts in found.items()})
    lowest = recall.eq(recall.min())
    times = lowest.loc[:, lowest.sum() == 1].sum(axis=1).sort_index()  # where two are alike, neither is the lower
    listed = " and ".join(f"that of {cause} pneumonia in {count}" for cause, count in times.items())
    return f"Of {len(found)} networks, the lower recall is {listed}."


def temperatures(trainings: Mapping[str, Sequence[Training]]) -> str:
    """The networks that no temperature calibrates; "" when there are none."""
    found = {name: sum(at_bound(one.temperature) for one in group) for name, group in trainings.items()}
    listed = ", ".join(f"{name} ({count} of {len(trainings[name])})" for name, count in found.items() if count)
    if not listed:
        return ""
    return (
        f"At the end of the range in which a temperature was looked for lie trainings of {listed}. No temperature "
        "calibrates these on their validation films; their probabilities are not to be taken at their word."
    )


def difference_of(what: str, found: Estimate) -> str:
    """A difference, and whether its interval holds 0."""
    side = verdict(found)
    if side == "undefined":
        return f"{what}: {found} in AUROC. Its interval is not defined on these films."
    if side == "holds 0":
        return f"{what}: {found} in AUROC. The interval holds 0: these films cannot tell."
    return f"{what}: {found} in AUROC. The interval lies {side} 0. {fixed_sentence(found)}".strip()


def frozen(found: Scores, backbone: str) -> str:
    """What a frozen backbone's features are worth beside the controls, and what its threshold is worth."""
    against = {"minus_random": "random weights", "minus_thumbnails": "thumbnails"}
    gaps = [difference_of(f"ImageNet's weights minus {what}", found[name]["auroc"]) for name, what in against.items()]
    half, chosen = (
        f"{number(scores['accuracy'].value)} (sensitivity {number(scores['sensitivity'].value)}, specificity "
        f"{number(scores['specificity'].value)})"
        for scores in (found[f"{backbone}.at_half"], found[backbone])
    )
    return (
        f"{' '.join(gaps)} Accuracy is {half} at one half, and {chosen} at the threshold chosen on training patients "
        "that the regression had not seen."
    )


def paired(gaps: Scores) -> str:
    """Which networks differ from the first."""
    if not gaps:
        return "Each write-up has one network at most here, so there is nothing to compare."
    sides = {name.replace("_", " "): verdict(found["auroc"]) for name, found in gaps.items()}
    apart = [name for name, side in sides.items() if side in ("above", "below")]
    unknown = [name for name, side in sides.items() if side == "undefined"]
    more = f" It is not defined for {', '.join(unknown)}." if unknown else ""
    return f"In AUROC the interval leaves 0 out for {len(apart)} of {len(gaps)}: {', '.join(apart) or 'none'}.{more}"


def twice(y: Any, y_twice: Any, told: Mapping[str, Any]) -> str:
    """How many films are counted, here and in the write-up."""
    total = {sum(map(sum, matrix)) for matrix in matrices_002(told).values()}
    tested = told["test_films"]
    return (
        f"The matrix holds {len(y_twice)} films, though {len(y)} were tested. The write-up's three matrices hold "
        f"{max(total):.0f} each, though its test set has {tested:.0f}: {max(total) - tested:.0f} more, one batch."
    )


def matrices_002(told: Mapping[str, Any]) -> dict[str, Matrix]:
    """Write-up 002's three printed matrices, from the claims by id."""
    return {claim.removesuffix("_matrix"): value for claim, value in told.items() if claim.endswith("_matrix")}


def swapped(told: Mapping[str, Any]) -> str:
    """Write-up 002's numbers, read rightly."""
    found = {name: read_matrix(matrix) for name, matrix in matrices_002(told).items()}
    lines = [
        f"{name}: recall {one['sensitivity']:.3f}, precision {one['precision']:.3f}" for name, one in found.items()
    ]
    return (
        f"From the write-up's own matrices, which still hold one batch twice, in order: {'; '.join(lines)}. The "
        f"{told['baseline_precision_read']:.2f} that it quotes as the baseline's precision stands in the row of the "
        f"normal films: it is the specificity, {found['002-baseline']['specificity']:.2f}."
    )


def recommendation(
    recall: Mapping[str, float],
    precision: Mapping[str, float],
    specificity: Mapping[str, float],
    told: Mapping[str, Any],
) -> str:
    """What the misread precision does to write-up 002's choice, and which network here has the highest recall."""
    base, chosen = (read_matrix(matrices_002(told)[name]) for name in ("002-baseline", "002-augmented"))
    first = highest_recall(recall, precision)
    here = (
        "On this run no recall is defined."
        if math.isnan(recall[first])
        else f"On this run the highest recall, {number(recall[first])}, is that of {first}, with a precision of "
        f"{number(precision[first])} and a specificity of {number(specificity[first])}."
    )
    return (
        "The write-up's rule has two halves: recall is more important, \"but we still want the model to have "
        'reasonable precision". By the second half it turns down its baseline: "the precision was only '
        f'{told["baseline_precision_read"]:.2f}". Read rightly, the baseline has a precision of '
        f"{base['precision']:.3f} and a recall of {base['sensitivity']:.3f}; 002-augmented, which it chooses, has "
        f"{chosen['precision']:.3f} and {chosen['sensitivity']:.3f}. So the reason falls away, and not the rule. "
        "Whether the baseline's precision is reasonable the write-up does not say, and its choice has the higher "
        f"accuracy. {here}"
    )


def shared(first_epoch: Mapping[str, float], started: Scores, told: Mapping[str, Any]) -> str:
    """Where the two starts begin and end."""
    logs = [told[f"{name}_log_validation_accuracy"][0] for name in ("002-augmented", "002-baseline")]
    fresh, more = started["fresh"]["auroc"], started["shared"]["auroc"]
    return (
        f"After one epoch the model that goes on has a validation accuracy of {number(first_epoch['shared'])}, the "
        f"fresh one {number(first_epoch['fresh'])}. In the write-up it is {logs[0]} against the baseline's {logs[1]}. "
        f"In the end the AUROC is {more} when it goes on, {fresh} when it starts fresh, and "
        f"{started['none']['auroc']} without augmentation."
    )


def raw(first_loss: Mapping[str, float], found: Scores, weights: str, told: Mapping[str, Any]) -> str:
    """What raw pixels do, and which weights the backbone had."""
    which = {
        "imagenet": "The backbone has ImageNet's weights.",
        "phantom": "The backbone learnt on phantoms here: a stand-in for one with ImageNet's weights.",
        "none": "The backbone's weights are random here: a stand-in for ImageNet's.",
    }[weights]
    losses = " and ".join(f"{number(loss, '.3g')} with {WORDS[name]}" for name, loss in first_loss.items())
    return (
        f"The training loss of the first epoch is {losses}; the write-up's was "
        f"{told['002-xception_log_train_loss'][0]}. In AUROC, "
        f"{found['right']['auroc']} with the right preprocessing and {found['raw']['auroc']} "
        f"with raw numbers. {which}"
    )


def leak(found: Mapping[str, Mapping[str, float]], films: Films) -> str:
    """What drawing films flatters by."""
    gap = {scheme: one["auroc_gap"] for scheme, one in found.items()}
    spread = np.nanmax([0.0, *(one["auroc_gap_spread"] for one in found.values())])
    accuracy = {scheme: number(one["accuracy_gap"], "+.3f") for scheme, one in found.items()}
    end = unknown_patients(films)
    if films.patients_known:
        end = "By patient nobody is on both sides"
        end += "." if math.isnan(gap["patient"]) else ", so that gap is chance, or test films of another kind."
    return (
        f"Validation minus test is {number(gap['file'], '+.3f')} in AUROC when films are drawn and "
        f"{number(gap['patient'], '+.3f')} when patients are: a difference of "
        f"{number(gap['file'] - gap['patient'], '+.3f')}. Between the seeds of one way the gap differs by up to "
        f"{spread:.3f}. In accuracy the gaps are {accuracy['file']} and {accuracy['patient']}; there the share of "
        f"the classes can have a part. {end}"
    )


def unknown_patients(films: Films) -> str:
    """What cannot be said where the patient of some films is not known."""
    return (
        f"The patient of {len(films.unmatched)} of {len(films.records)} films is not known, and each of these counts "
        "as a patient of its own: whether one patient is on both sides cannot be said. The parameter `patient_pattern` "
        "finds patients in file names."
    )


def shared_patients(table: pd.DataFrame, films: Films) -> str:
    """How many validation films have their patient in training."""
    if not films.patients_known:
        return unknown_patients(films)
    listed = ", ".join(f"{share:.1%} ({scheme})" for scheme, share in table["patient_in_training"].items())
    return (
        f"Validation films whose patient is in training too: {listed}. `first` is write-up 003's way: the first films "
        "of each class by name. Where a patient's films follow each other by name, it divides only the one at the "
        "border."
    )


def augmented_validation(name: str, found: Mapping[str, Any]) -> str:
    """What augmenting validation films changes."""
    low, high = number(min(found["augmented"])), number(max(found["augmented"]))
    return (
        f"{name}, with the same weights, has an accuracy of {number(found['still'])} on the validation films as they "
        f"are, and of {low} to {high} in {len(found['augmented'])} draws of augmented ones."
    )


def small_validation(table: pd.DataFrame) -> str:
    """How wide sixteen films leave an accuracy, beside how far networks lie apart."""
    if table.empty:
        return "There are fewer than eight validation films of a class, so sixteen cannot be drawn."
    wide = (table["high"] - table["low"]).max()
    apart = table["mean"].max() - table["mean"].min()
    return (
        f"With the same weights, nine in ten draws of 16 films lie within up to {number(100 * wide, '.1f')} points of "
        "accuracy. On average over the draws the best and the worst network lie "
        f"{number(100 * apart, '.1f')} points apart."
    )


def not_in_reference(reference: Mapping[str, Any] | None, known: Sequence[str]) -> str:
    """What the reference run trained, how, and which networks it left out."""
    if reference is None:
        return "The reference run on real films has not been made yet."
    given, data = reference["parameters"], reference["experiments"]["data"]
    ran = [name.strip() for name in given["variants"].split(",")]
    left = ", ".join(name for name in known if name not in ran and name != "mild")
    return (
        f"The reference run trained each network with {given['seeds']} seeds, {_sizes_of(given)}, in "
        f"{given['precision']}, with `weights={given['weights']}` for its backbones, and with validation by "
        f"{given['validation']}. Its {data['films']} films were {data['sizes']} pixels as they were found: a network "
        f"that takes more sees no more. {f'Not run on real films: {left}.' if left else 'All of them were run.'}"
    )


def best_of_reference(reference: Mapping[str, Any] | None) -> str:
    """Our own network on real films, with the threshold fixed beforehand."""
    metrics = reference["metrics"] if reference else {}
    if reference is None or "resnet.auroc" not in metrics:
        return "Our own network, `resnet`, has not been trained on the real films yet."
    auroc, accuracy, ill, well = (
        Estimate(**metrics[f"resnet.{name}"]) for name in ("auroc", "accuracy", "sensitivity", "specificity")
    )
    seconds = reference["experiments"]["training"]["seconds"]["resnet"]
    start = {
        "imagenet": "from ImageNet's weights",
        "phantom": "from weights learnt on phantoms, drawn by a program,",
        "none": "from random weights",
    }[reference["parameters"]["weights"]]
    return (
        f"Our own attempt, `resnet`, starts {start} and learns from these films for {seconds / 60:.0f} minutes a seed, "
        f"by a recipe that was settled before it met the test films. On the real test films its AUROC is {auroc} and "
        f"its accuracy, at a threshold fixed on validation, {accuracy}, with a sensitivity of {number(ill.value)} and "
        f"a specificity of {number(well.value)}. We had aimed for 0.97 and 0.92."
    )


def collapsed_in_reference(reference: Mapping[str, Any] | None) -> str:
    """What the reference run's difference between mild and strong augmentation holds."""
    if reference is None:
        return "The reference run on real films has not been made yet."
    fallen, seeds = reference["experiments"]["collapsed"]["mild"], reference["parameters"]["seeds"]
    return (
        f"On real films {fallen} of {seeds} trainings with mild augmentation collapsed to one answer. Collapsed "
        "trainings are in every mean above; none is left out."
    )


def matrix_003(told: Mapping[str, Any]) -> Matrix:
    """Write-up 003's matrix, from its words: the first row and column, and the films there are."""
    (right, row), (_, column) = told["003_row"], told["003_column"]
    return ((right, row - right), (column - right, told["test_films"] - row - (column - right)))


def readings_003(matrix: Matrix) -> tuple[dict[str, float], dict[str, float]]:
    """What write-up 003 calls precision and recall, and what they are."""
    found = read_matrix(matrix)
    (first, second), (third, fourth) = matrix
    claimed = {
        "films of the ill": first + third,
        "called ill": first + second,
        "recall": found["negative_predictive_value"],
        "precision": found["specificity"],
    }
    true = {
        "films of the ill": third + fourth,
        "called ill": second + fourth,
        "recall": found["sensitivity"],
        "precision": found["precision"],
    }
    return claimed, true


def flipped(claimed: Mapping[str, float], true: Mapping[str, float]) -> str:
    """The two readings in a sentence."""
    return (
        f"The row of {claimed['called ill']:.0f} is the normal children. What is called a precision of "
        f"{claimed['precision']:.2%} is the specificity, and a recall of {claimed['recall']:.2%} is the share of "
        f"normal among those called normal. Recall is {true['recall']:.1%} and precision {true['precision']:.1%}. What "
        "was weak is the specificity, which the write-up does not name."
    )


def picked(found: Mapping[str, float]) -> str:
    """What choosing on the test set adds."""
    return (
        f"The best of {found['models']} trainings has an accuracy of {number(found['chosen'])} on the patients that "
        f"chose it and {number(found['fresh'])} on the others, over {found['picks']} draws: a difference of "
        f"{number(100 * found['optimism'], '+.1f')} points."
    )


def mild(found: Estimate, fallen: int, trainings: int) -> str:
    """What milder augmentation changes, and whether a collapse decides it."""
    more = (
        f" {fallen} of {trainings} trainings with mild augmentation gave one answer to all films; their AUROC is in it."
    )
    return difference_of("Mild minus strong augmentation", found) + (more if fallen else "")


def collapsed(found: Mapping[str, int], scores: Scores) -> str:
    """Which networks collapsed."""
    names = [name for name, count in found.items() if count]
    if not names:
        return "None of these trainings collapsed."
    return (
        "; ".join(
            f"{WORDS.get(name, name)} collapsed in {found[name]} of its trainings (over all of them the mean accuracy "
            f"is {number(scores[name]['accuracy'].value)}, the mean specificity "
            f"{number(scores[name]['specificity'].value)})"
            for name in names
        )
        + "."
    )


def seeds(accuracies: pd.DataFrame, told: Mapping[str, Any]) -> str:
    """How far seeds spread."""
    spread = accuracies.max(axis=1) - accuracies.min(axis=1)
    gain = told["003_drop_accuracy"] - told["003_aug_accuracy"]
    later = told["003_split_accuracy"] - told["003_drop_accuracy"]
    low, high = (number(100 * end, ".1f") for end in (spread.min(), spread.max()))
    return (
        f"Between the seeds of one network accuracy differs by {low if low == high else f'{low} to {high}'} points. "
        f"Write-up 003 goes on with dropout after a gain of {100 * gain:.2f} points, from one run each; of the next, "
        f'{100 * later:.2f} points, it says itself that it is "not a significant performance increase overall".'
    )


def failures(best: Training, worst: pd.DataFrame) -> str:
    """How sure the network was where it was wrong."""
    if worst.empty:
        return "It made no mistake on these test films."
    wrong = "the wrong class" if len(best.films.classes) == 2 else "all classes but the true one"
    return (
        f"It gave {wrong} a probability of up to {number(worst['sure'].max())}. The heat map shows where a film spoke "
        f"for {markdown_safe(best.films.positive)}; it explains nothing, it points."
    )


def limits(films: Films, p: Any) -> list[str]:
    """What holds for this run's films alone."""
    lines = []
    if films.located.kind == "phantom":
        lines.append("Films drawn by a program. Nothing here says how any network does on a real one.")
    elif films.located.name == "kermany_chest_xray":
        lines.append("One hospital and one age group. Nothing here says how any network does elsewhere.")
    else:
        name = markdown_safe(films.located.name)
        lines.append(f"One collection, {name}. Nothing here says how any network does elsewhere.")
    if len(films.classes) > 2:
        lines.append(
            f"With {len(films.classes)} classes the tables judge {markdown_safe(films.positive)} against all others "
            "together; the learning curves and the matrix of the most probable class take the classes one by one."
        )
    whole = films.divided or p.validation == "patient"  # patients are whole in the split, and copies count as one's
    if films.copies:
        side = "copies stay on one side of the split" if whole else "copies count as films of one patient"
        lines.append(f"{films.copies} films are copies of another one; {side}.")
    if not films.patients_known:
        lines.append(
            f"The patient of {len(films.unmatched)} of {len(films.records)} films is not known. Each counts as a "
            "patient of its own; if one has several, the intervals are too narrow, and no split keeps them together."
        )
    if films.skipped:
        named = few([f"{markdown_safe(path)} ({markdown_safe(why)})" for path, why in films.skipped], 3)
        lines.append(f"Files left out: {named}.")
    if whole and len(films.unmatched) < len(films.records):
        lines.append("Films known to be of one patient stayed on one side of the split.")
    if not whole and films.keeps_validation(p.validation):
        lines.append("Validation films are those of the folder: patients can be on both sides.")
    elif not whole:
        lines.append(f"Validation films were held out by `{p.validation}`: patients can be on both sides.")
    return lines
