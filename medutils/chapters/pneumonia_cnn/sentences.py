"""Sentences of the pneumonia chapter that a run chooses: none of them can say what the run does not show."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medutils.chapters.pneumonia_cnn.experiments import Matrix, read_matrix, recommend
from medutils.data.films import MIN_HELD, Films
from medutils.evaluation import Estimate
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


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose rows and columns are called by words, not by the names that results are kept under."""
    return table.rename(index=WORDS, columns=WORDS)


def origin(films: Films, on_what: str) -> str:
    """What the chapter's numbers are made of."""
    if on_what == "phantom":
        return (
            "**These numbers are made from a phantom**: films drawn by a program, named and laid out as the real ones. "
            "They show how the chapter works. They say nothing about children, and little about the networks."
        )
    return f"These numbers are made from real films (`{films.located.name}`)."


def sizes(table: pd.DataFrame) -> str:
    """Whether the films differ in size."""
    alike = len(table.drop_duplicates()) == 1
    start = "These films are all of one size." if alike else "The films differ in size and shape."
    return f"{start} Each is squashed to a square, as in both write-ups, which changes how wide a chest looks."


def class_shares(shares: pd.Series, positive: str) -> str:
    """The share of the positive class in each split."""
    listed = " and ".join(f"{share:.1%} of the {split} films" for split, share in shares.items())
    return (
        f"{positive} is {listed}. Whoever calls every test film {positive} is right in {shares['test']:.1%} of them; "
        "the training share says nothing about that."
    )


def split(parts: Mapping[str, int], balance: Sequence[float], films: Films) -> str:
    """How many films are where, and what an error on each class counts."""
    weights = " and ".join(f"{weight:.2f} ({name})" for weight, name in zip(balance, films.classes, strict=True))
    own = films.own_validation
    few = (
        f" The folder's own {own} validation films are too few to choose by, so they train."
        if 0 < own < MIN_HELD
        else ""
    )
    return (
        f"{parts['train']} films train, {parts['validation']} validate, {parts['test']} test.{few} Write-up 002 weighs "
        f"errors so that the classes count alike; on these training films the weights are {weights}. Write-up 003 does "
        "not."
    )


def bar(judged: Scores, positive: str) -> str:
    """What the baselines reach."""
    line = judged["thumbnails"]
    answer = positive if judged["majority"]["sensitivity"].value > 0.5 else f"not {positive}"
    return (
        f"Calling every film {answer} has an accuracy of {judged['majority']['accuracy'].value:.3f}. Logistic "
        f"regression on thumbnails has an AUROC of {line['auroc']} and an accuracy of {line['accuracy']}. "
        "In brackets stands the 95 % interval, from patients drawn again with replacement."
    )


def trained(trainings: Mapping[str, Sequence[Training]], p: Any) -> str:
    """How much was trained, and with what of the write-ups' own."""
    count = sum(map(len, trainings.values()))
    own = (
        "their own sizes and epochs"
        if not p.image_size and not p.epochs
        else "smaller films or other epochs than theirs"
    )
    seconds = sum(one.seconds for group in trainings.values() for one in group)
    return f"{count} trainings, with {own}, took {seconds:.0f} s in all when they were run."


def as_written(scores: Scores, majority: Mapping[str, Estimate]) -> str:
    """The best accuracy as written, and who does not beat the majority class."""
    best = max(scores, key=lambda name: scores[name]["accuracy"].value)
    below = [name for name, found in scores.items() if found["accuracy"].value <= majority["accuracy"].value]
    more = f" Not above the majority class: {', '.join(below)}." if below else " All are above the majority class."
    return f"The highest accuracy is that of {best}: {scores[best]['accuracy']}.{more}"


def fixed(written: Scores, found: Scores) -> str:
    """What fixing the threshold on validation changes."""
    gains = {name: found[name]["accuracy"].value - written[name]["accuracy"].value for name in found}
    most = max(gains, key=lambda name: abs(gains[name]))
    return (
        f"The threshold changes accuracy by {gains[most]:+.3f} at most ({most}). It cannot change AUROC, the share of "
        "pairs of a positive and a negative film that are ranked rightly."
    )


def rules(accuracies: pd.DataFrame, ill: Mapping[str, float]) -> str:
    """What the threshold's rule is worth, and what F1 hangs on."""
    listed = ", ".join(f"{share:.3f} ({WORDS[way]})" for way, share in accuracies.mean().items())
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
        + ", ".join(f"{one['brier'].value:.3f} ({name})" for name, one in found.items())
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


def difference_of(what: str, found: Estimate) -> str:
    """A difference, and whether its interval holds 0."""
    side = "above" if found.value > 0 else "below"
    verdict = (
        "The interval holds 0: these films cannot tell."
        if found.low <= 0 <= found.high
        else f"The interval lies {side} 0, for these trainings; other seeds are not in it."
    )
    return f"{what}: {found} in AUROC. {verdict}"


def paired(gaps: Scores) -> str:
    """Which networks differ from the first."""
    if not gaps:
        return "Each write-up has one network at most here, so there is nothing to compare."
    apart = [name for name, found in gaps.items() if not found["auroc"].low <= 0 <= found["auroc"].high]
    listed = ", ".join(apart).replace("_", " ") or "none"
    return f"In AUROC the interval leaves 0 out for {len(apart)} of {len(gaps)}: {listed}."


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


def recommendation(recall: Mapping[str, float], precision: Mapping[str, float], told: Mapping[str, Any]) -> str:
    """What the stated rule picks, in the write-up and here."""
    theirs = {name: read_matrix(matrix) for name, matrix in matrices_002(told).items()}
    by_rule = recommend(
        {name: found["sensitivity"] for name, found in theirs.items()},
        {name: found["precision"] for name, found in theirs.items()},
    )
    return (
        f"The write-up puts recall first and chooses 002-augmented. By its own matrices the rule chooses {by_rule}. "
        f"On this run the rule chooses {recommend(recall, precision)}, with a recall of {max(recall.values()):.3f}. A "
        "rule that "
        "looks at recall first will choose a network that calls everything positive whenever there is one."
    )


def shared(first_epoch: Mapping[str, float], started: Scores, told: Mapping[str, Any]) -> str:
    """Where the two starts begin and end."""
    logs = [told[f"{name}_log_validation_accuracy"][0] for name in ("002-augmented", "002-baseline")]
    fresh, more = started["fresh"]["auroc"], started["shared"]["auroc"]
    return (
        f"After one epoch the model that goes on has a validation accuracy of {first_epoch['shared']:.3f}, the fresh "
        "one "
        f"{first_epoch['fresh']:.3f}. In the write-up it is {logs[0]} against the baseline's {logs[1]}. In the end "
        f"the AUROC is {more} "
        f"when it goes on, {fresh} when it starts fresh, and {started['none']['auroc']} without "
        "augmentation."
    )


def raw(first_loss: Mapping[str, float], found: Scores, weights: str, told: Mapping[str, Any]) -> str:
    """What raw pixels do, and which weights the backbone had."""
    which = {
        "imagenet": "The backbone has ImageNet's weights.",
        "phantom": "The backbone learnt on phantoms here, since ImageNet's weights need a network; it is a stand-in.",
        "none": "The backbone's weights are random, since ImageNet's need a network; it is a stand-in.",
    }[weights]
    losses = " and ".join(f"{loss:.3g} with {WORDS[name]}" for name, loss in first_loss.items())
    return (
        f"The training loss of the first epoch is {losses}; the write-up's was "
        f"{told['002-xception_log_train_loss'][0]}. In AUROC, "
        f"{found['right']['auroc']} with the right preprocessing and {found['raw']['auroc']} "
        f"with raw numbers. {which}"
    )


def leak(found: Mapping[str, Mapping[str, float]]) -> str:
    """What drawing films flatters by."""
    gap = {scheme: one["auroc_gap"] for scheme, one in found.items()}
    spread = max(one["auroc_gap_spread"] for one in found.values())
    return (
        f"Validation less test is {gap['file']:+.3f} in AUROC when films are drawn and {gap['patient']:+.3f} when "
        f"patients are: a difference of {gap['file'] - gap['patient']:+.3f}. Between the seeds of one way the gap "
        f"differs by up to {spread:.3f}. In accuracy the gaps are {found['file']['accuracy_gap']:+.3f} and "
        f"{found['patient']['accuracy_gap']:+.3f}, but there the share of the classes has its part. By patient no "
        "child is on both sides, so that gap is chance, or test films of another kind."
    )


def shared_patients(table: pd.DataFrame) -> str:
    """How many validation films have their patient in training."""
    listed = ", ".join(f"{share:.1%} ({scheme})" for scheme, share in table["patient_in_training"].items())
    return (
        f"Validation films whose patient is in training too: {listed}. `first` is write-up 003's way: the first films "
        "of each class by name, which divide a patient only at the border."
    )


def augmented_validation(name: str, found: Mapping[str, Any]) -> str:
    """What augmenting validation films changes."""
    low, high = min(found["augmented"]), max(found["augmented"])
    return (
        f"{name}, with the same weights, has an accuracy of {found['still']:.3f} on the validation films as they are, "
        f"and of {low:.3f} to {high:.3f} in {len(found['augmented'])} draws of augmented ones."
    )


def small_validation(table: pd.DataFrame) -> str:
    """How wide sixteen films leave an accuracy, beside how far networks lie apart."""
    if table.empty:
        return "There are fewer than eight validation films of a class, so sixteen cannot be drawn."
    wide = (table["high"] - table["low"]).max()
    apart = table["mean"].max() - table["mean"].min()
    return (
        f"With the same weights, accuracy on 16 films moves by up to {100 * wide:.1f} points between draws. On average "
        f"over the draws the best and the worst network lie {100 * apart:.1f} points apart."
    )


def not_in_reference(reference: Mapping[str, Any] | None, known: Sequence[str]) -> str:
    """What the reference run trained, how, and which networks it left out."""
    if reference is None:
        return "The reference run on real films has not been made yet."
    given, data = reference["parameters"], reference["experiments"]["data"]
    ran = [name.strip() for name in given["variants"].split(",")]
    left = ", ".join(name for name in known if name not in ran and name != "mild")
    size = f"at {given['image_size']} pixels" if given["image_size"] else "at its own size"
    epochs = f"for {given['epochs']} epochs" if given["epochs"] else "for its own epochs"
    return (
        f"The reference run trained each network with {given['seeds']} seeds, {size} and {epochs}, in "
        f"{given['precision']}, with `weights={given['weights']}` for its backbones, and with validation by "
        f"{given['validation']}. Its {data['films']} films were {data['sizes']} pixels as they were found: a network "
        "that takes more sees no more. Not run on real films, for want of time on two cores: "
        f"{left or 'none'}."
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
        f"its accuracy, at a threshold fixed on validation, {accuracy}, with a sensitivity of {ill.value:.3f} and a "
        f"specificity of {well.value:.3f}. We had aimed for 0.97 and 0.92."
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
        f"The best of {found['models']} trainings has an accuracy of {found['chosen']:.3f} on the patients that chose "
        f"it and {found['fresh']:.3f} on the others, over {found['picks']} draws: a difference of "
        f"{100 * found['optimism']:+.1f} points."
    )


def mild(found: Estimate, fallen: int, trainings: int) -> str:
    """What milder augmentation changes, and whether a collapse decides it."""
    more = (
        f" {fallen} of {trainings} trainings with mild augmentation gave one answer to all films; their AUROC is in it."
    )
    return difference_of("Mild less strong augmentation", found) + (more if fallen else "")


def collapsed(found: Mapping[str, int], scores: Scores) -> str:
    """Which networks collapsed."""
    names = [name for name, count in found.items() if count]
    if not names:
        return "None of these trainings collapsed."
    return (
        "; ".join(
            f"{WORDS.get(name, name)} collapsed in {found[name]} of its trainings (over all of them the mean accuracy "
            f"is {scores[name]['accuracy'].value:.3f}, the mean specificity {scores[name]['specificity'].value:.3f})"
            for name in names
        )
        + "."
    )


def seeds(accuracies: pd.DataFrame, told: Mapping[str, Any]) -> str:
    """How far seeds spread."""
    spread = accuracies.max(axis=1) - accuracies.min(axis=1)
    gain = told["003_drop_accuracy"] - told["003_aug_accuracy"]
    return (
        f"Between the seeds of one network accuracy differs by {100 * spread.min():.1f} to {100 * spread.max():.1f} "
        "points. "
        f"The gain that write-up 003 sees in dropout is {100 * gain:.2f} points, from one run each."
    )


def failures(best: Training, worst: pd.DataFrame) -> str:
    """How sure the network was where it was wrong."""
    if worst.empty:
        return "It made no mistake on these test films."
    return (
        f"It gave the wrong class a probability of up to {worst['sure'].max():.3f}. The heat map shows where a film "
        "spoke for "
        f"{best.films.positive}; it explains nothing, it points."
    )


def limits(films: Films, p: Any) -> list[str]:
    """What holds for this run's films alone."""
    lines = []
    if films.located.name == "kermany_chest_xray":
        lines.append("One hospital and one age group. Nothing here says how any network does elsewhere.")
    else:
        lines.append(f"One collection, `{films.located.name}`. Nothing here says how any network does elsewhere.")
    if len(films.classes) > 2:
        lines.append(
            f"With {len(films.classes)} classes the tables judge {films.positive} against all others together; the "
            "learning curves and the matrix of the most probable class take the classes one by one."
        )
    if films.copies:
        lines.append(f"{films.copies} films are copies of another one; copies stay on one side of every split.")
    if films.records["patient"].nunique() == len(films.records):
        lines.append("Every film counts as a patient of its own; if one has several, the intervals are too narrow.")
    if films.skipped:
        lines.append(f"Files left out because they cannot be read or are no films: {len(films.skipped)}.")
    if p.validation == "patient":
        lines.append("Films of one patient stayed together in every split.")
    else:
        lines.append(f"Validation films were held out by `{p.validation}`: patients can be on both sides.")
    return lines
