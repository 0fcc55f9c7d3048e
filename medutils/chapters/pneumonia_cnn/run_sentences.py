"""What is said of the run at hand alone: its films, its trainings, its limits; and what the reference run trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medutils.chapters.pneumonia_cnn.sentences import CLINIC
from medutils.data.films import Films, Scheme
from medutils.evaluation import Estimate, at_bound, number, predictive_values, verdict
from medutils.tables import few, markdown_safe
from medutils.training.kept import Training


def origin(films: Films, on_what: str) -> str:
    """What the chapter's numbers are made of, and what must be known of these films."""
    made = (
        "**This run was made from a phantom**: films drawn by a program, named and laid out as the real ones. It shows "
        "how the chapter works. It says nothing about children."
        if on_what == "phantom"
        else f"This run was made from real films ({markdown_safe(films.located.name)})."
    )
    return " ".join([made, *films.notes])


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
        f"weighs errors so that the classes count alike (here {weights}), write-up 003 does not."
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


def not_in_reference(reference: Mapping[str, Any] | None, known: Sequence[str]) -> str:
    """What the reference run trained, how, and which networks it left out."""
    if reference is None:
        return "The reference run on real films has not been made yet."
    given, found = reference["parameters"], reference["experiments"]
    left = ", ".join(name for name in known if f"{name}.auroc" not in reference["metrics"] and name != "mild")
    seeds = {name: len(runs) for name, runs in found["seeds"].items()}
    other = ", ".join(f"{name} ({count})" for name, count in seeds.items() if count != given["seeds"])
    return (
        f"The reference run trained each network with {given['seeds']} seeds{f', but {other}' if other else ''}, "
        f"{_sizes_of(given)}, in {given['precision']}, with `weights={given['weights']}` for its backbones, and with "
        f"validation by {given['validation']}. Its {found['data']['films']} films were {found['data']['sizes']} pixels "
        "as they were found: a network that takes more sees no more. "
        f"{f'Not run on real films in this form: {left}.' if left else 'All of them were run.'}"
    )


def conclusion(over_thumbnails: Estimate, sensitivity: Estimate, specificity: Estimate) -> list[str]:
    """Three questions to a network on films of one's own, answered; the first is its AUROC minus that of thumbnails."""
    above = verdict(over_thumbnails) == "above"
    right = predictive_values(np.array([sensitivity.value]), np.array([specificity.value]), CLINIC)[0][0]
    return [
        f"1. AUROC minus that of thumbnails: {over_thumbnails}. "
        + ("It sees more than a thumbnail does." if above else "It has not been shown to see more. Stop here."),
        f"2. Specificity: {specificity}. Where {CLINIC:.0%} are ill, {number(100 * float(right), '.0f')} of 100 alarms "
        "are right. Ask those who would act on them whether that is enough.",
        "3. The threshold was set on films held out of this folder. Another clinic sets its own, on films of its own.",
    ]


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
