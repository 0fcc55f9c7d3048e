"""What a run of the six-class chapter chooses to say. Each clause takes the numbers of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medutils.chapters.lung_six_class.arithmetic import NAMES
from medutils.chapters.lung_six_class.experiments import most_confused
from medutils.chapters.lung_six_class.plan import WRITTEN
from medutils.data.films import Films
from medutils.evaluation import Estimate, metric_name, number, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import Clause, Folded, share
from medutils.tables import markdown_safe

PAIRS = {  # a difference: the first course minus the second
    "large_minus_small": ("large", "small"),
    "not_normalised_minus_small": ("not_normalised", "small"),
    "default_augmentation_minus_small": ("default_augmentation", "small"),
    "heavy_augmentation_minus_small": ("heavy_augmentation", "small"),
    "decoy_minus_small": ("decoy", "small"),
    "copies_minus_small": ("copies_before_split", "small"),
    "rates_times_ten_minus_small": ("rates_times_ten", "small"),
    "unfrozen_minus_frozen_low": ("unfrozen_low", "frozen_low"),
    "unfrozen_minus_frozen_high": ("unfrozen_high", "frozen_high"),
    "high_minus_low_unfrozen": ("unfrozen_high", "unfrozen_low"),
    "progressive_minus_same_time": ("large", "large_alone_same_time"),
    "progressive_minus_same_epochs": ("large", "large_alone_same_epochs"),
    "copies_minus_everything": ("everything_and_copies_frozen", "everything_frozen"),
    "everything_minus_subset": ("everything", "subset"),
}


def points(value: float) -> str:
    """A difference of shares in percentage points."""
    return f"{number(100 * value, '+.1f')} points"


def points_of(estimate: Estimate) -> str:
    """The same with its interval."""
    ends = f"({number(100 * estimate.low, '+.1f')} to {number(100 * estimate.high, '+.1f')})"
    return f"{points(estimate.value)} {ends}"


def percent(estimate: Estimate) -> str:
    """A share with its interval, in percent."""
    low, high = (number(100 * end, ".1f") for end in (estimate.low, estimate.high))
    return f"{share(estimate.value)} ({low} to {high})"


def origin(films: Films, on_what: str) -> str:
    """What this run was made from, and what of it was left out or cannot be told."""
    said = {
        "phantom": "**This run was made from a phantom**: films drawn by a program, in the folders, sizes and shares "
        "of the real set, each made-up hospital with a look of its own. It says nothing about patients.",
        "real data": f"This run was made from real data ({markdown_safe(films.located.name)}).",
    }
    records = films.records
    found = [said[on_what], *films.notes]
    if films.skipped:
        name, why = films.skipped[0]
        found.append(f"Files left out: {len(films.skipped)}, the first {markdown_safe(name)} ({markdown_safe(why)}).")
    if films.copies:
        found.append(f"Films that are copies of another one: {films.copies}; copies stay on one side of the split.")
    two = records.groupby("patient")["label"].nunique().gt(1).sum()
    if two:
        found.append(f"Patients with films of more than one class: {two}; all films of a patient are on one side.")
    return " ".join(found)


def sources(films: Films) -> str:
    """Which sources can tell a class, and which cannot be told from theirs."""
    classes = films.records.groupby("source")["label"].unique()
    if len(classes) == 1:
        return "All films come from one source, so the source tells nothing, and no experiment on sources can be made."
    alone = [
        f"{markdown_safe(str(name))} ({markdown_safe(found[0])})" for name, found in classes.items() if len(found) == 1
    ]
    if not alone:
        return "Each source gives several classes."
    return (
        f"{len(alone)} of {len(classes)} sources give one class only: {', '.join(alone)}. Within such a source there "
        "is nothing to tell apart: whoever knows the source knows the class. Add films of another class from it, or "
        "take it out."
    )


def answer(n: Numbers, told: float) -> str:
    """The first screen."""
    return (
        f"The write-up reports {told:.1%}. By its own counts, **{share(n.number('arithmetic/right_without_a_pixel'))} "
        "of its films are named rightly by who knows the source and sees no pixel**. On "
        f"{number(n.number('data/films'), ',.0f')} films put together by the same recipe, the source's name alone is "
        f"right in {percent(n.metric('source_alone.accuracy'))} of the test films, an 8 x 8 thumbnail in "
        f"{percent(n.metric('thumbnail.accuracy'))}, and our network, trained the write-up's way, in "
        f"{percent(n.metric('large.accuracy'))}. Take one hospital's healthy films out of training, and it calls them "
        f"ill: of the healthy children it recognises {percent(n.metric('without_kermany_walia.called_healthy'))}, "
        f"where "
        f"it had {percent(n.metric('without_kermany_walia.called_healthy_with_them'))} before."
    )


def takeaways(n: Numbers) -> list[str]:
    """What a reader should keep, each with its number."""
    inside, commonest = n.metric("within_nih1000_dinbe_large.accuracy"), "within_sources/nih1000_dinbe/commonest"
    return [
        "The features know the hospital: from healthy films alone they name it in "
        f"{percent(n.metric('probe_after.source'))}; the commonest is right in {share(n.number('probe/commonest'))}.",
        "Among the children, AUROC of healthy against diseased is "
        f"{n.metric('unseen_kermany_walia.auroc')} when training has seen none of their hospital's films, and "
        f"{n.metric('unseen_kermany_walia.auroc_with_it')} when it has.",
        f"Inside one hospital little is left: {share(inside.value)} against {share(n.number(commonest))} for its "
        f"commonest class in one, {share(n.metric('within_kermany_walia_large.accuracy').value)} against "
        f"{share(n.metric('within_kermany_walia_thumbnail.accuracy').value)} for thumbnails in the children's.",
        f"To find {share(n.metric('triage.sensitivity').value)} of the diseased, it calls all but "
        f"{share(n.metric('triage.specificity').value)} of the healthy diseased.",
        "Heavy augmentation changes accuracy by "
        f"{points_of(n.metric('heavy_augmentation_minus_small.accuracy'))}, rates ten times as high by "
        f"{points_of(n.metric('rates_times_ten_minus_small.accuracy'))}.",
        *_null(n),
    ]


def _null(n: Numbers) -> list[str]:
    """What had no effect that the test films could show, where there is such a thing."""
    differences = {
        "progressive resizing against large films alone for the same work": "progressive_minus_same_time.accuracy",
        "validation films that stage 1 had trained on": "redraw.gap",
        "the decoy class": "decoy_minus_small.accuracy",
    }
    found = [
        f"{words} ({points_of(n.metric(name))})"
        for words, name in differences.items()
        if verdict(n.metric(name)) == "holds 0"
    ]
    return [f"Without an effect that we could measure: {'; '.join(found)}."] if found else []


def composed(n: Numbers) -> str:
    """Films and patients."""
    return f"{number(n.number('data/films'), ',.0f')} films of {number(n.number('data/patients'), ',.0f')} patients"


def stages(n: Numbers) -> str:
    """Accuracy after each size."""
    return (
        f"test accuracy is {percent(n.metric('small.accuracy'))} after the small size and "
        f"{percent(n.metric('large.accuracy'))} after the large one"
    )


def recalls(n: Numbers) -> str:
    """The share of each class that is found."""
    found = {
        name.removeprefix("large.sensitivity[").removesuffix("]"): None
        for name in n.results.get("metrics", {})
        if name.startswith("large.sensitivity[")
    }
    if not found:
        return "no recall was measured"
    each = {name: n.metric(f"large.sensitivity[{name}]").value for name in found}
    low, high = min(each, key=lambda name: each[name]), max(each, key=lambda name: each[name])
    return (
        f"recall lies between {share(each[low])} ({markdown_safe(low)}) and {share(each[high])} "
        f"({markdown_safe(high)}), macro-F1 is {n.metric('large.macro_f1')} and macro-AUROC "
        f"{n.metric('large.macro_auroc')}"
    )


def no_pixel(n: Numbers) -> str:
    """What the source, a thumbnail and the commonest class get right."""
    return (
        f"the source's name is right in {percent(n.metric('source_alone.accuracy'))}, a thumbnail in "
        f"{percent(n.metric('thumbnail.accuracy'))}, the commonest class in "
        f"{share(n.metric('majority.accuracy').value)}"
    )


def inside(n: Numbers) -> str:
    """Accuracy within each source, beside its commonest class."""
    found = []
    for source in n.names("within_sources"):
        network, commonest = n.metric(f"within_{source}_large.accuracy"), n.number(f"within_sources/{source}/commonest")
        found.append(f"{share(network.value)} in {markdown_safe(source)} (commonest class {share(commonest)})")
    return (
        f"inside a single source the network is right in {'; '.join(found)}" if found else "no source has two classes"
    )


def without(n: Numbers) -> str:
    """Healthy films called healthy, with and without such films of their source in training."""
    found = []
    for source in n.names("sources_left_out"):
        with_them, after = (
            share(n.metric(f"without_{source}.called_healthy{end}").value) for end in ("_with_them", "")
        )
        found.append(f"{markdown_safe(source)} {with_them} and {after}")
    return (
        f"healthy films called healthy, with such films in training and without: {'; '.join(found)}"
        if found
        else "this was not trained"
    )


def unseen(n: Numbers) -> str:
    """AUROC of ill against healthy on a hospital that training has, and has not, seen."""
    found = [
        f"{markdown_safe(source)} {number(n.metric(f'unseen_{source}.auroc_with_it').value, '.2f')} and "
        f"{number(n.metric(f'unseen_{source}.auroc').value, '.2f')}"
        for source in n.names("unseen_sources")
    ]
    return f"AUROC with its films in training and without: {'; '.join(found)}" if found else "this was not trained"


def normals(n: Numbers) -> str:
    """Where all healthy films are the children's: accuracy, and what the source alone tells."""
    return (
        f"accuracy is {percent(n.metric('childrens_normals.accuracy'))} on that set's test films, against "
        f"{percent(n.metric('small.accuracy'))}; the source's name alone is right in "
        f"{share(n.metric('source_alone_childrens_normals.accuracy').value)}, against "
        f"{share(n.metric('source_alone.accuracy').value)}"
    )


def probed(n: Numbers) -> str:
    """How far the features tell the source, before and after training."""
    return (
        f"they name the source in {percent(n.metric('probe_before.source'))} before training on the classes and in "
        f"{percent(n.metric('probe_after.source'))} after it; the commonest source is right in "
        f"{share(n.number('probe/commonest'))}"
    )


def one_size(n: Numbers) -> str:
    """What is left of it once all films have been through one size."""
    return (
        f"a logistic regression on ImageNet's features is right in {percent(n.metric('features_before.accuracy'))} of "
        f"the "
        f"films, and in {percent(n.metric('features_one_size.accuracy'))} when all films were small first; from "
        f"healthy films "
        f"alone these name the source in {share(n.metric('probe_one_size.source').value)}"
    )


def looked(n: Numbers) -> str:
    """How much of the heat lies at the edge of the film."""
    return (
        f"{share(n.number('heat/outer'))} of the heat lies in the outer {share(n.number('heat/outer_area'))} of the "
        "film, where hardly any lung is"
    )


def _letter(n: Numbers) -> str:
    shown = {how: share(n.number(f"phantom_letter/with_{how}")) for how in ("own", "none", "moved")}
    return (
        f"a network that learned with the letter is right in {shown['own']} with it, {shown['none']} without it, "
        f"{shown['moved']} with it moved; one that learned without it, in "
        f"{share(n.number('phantom_letter/without_none'))}"
    )


def lungs_of_phantoms(n: Numbers) -> str:
    """Where the heat of both networks lies, on phantoms."""
    return (
        f"inside the lungs, {share(n.number('phantom_letter/lungs'))} of the film, lies "
        f"{share(n.number('phantom_letter/with_in_lungs'))} of the heat of the network that learned with the letter, "
        f"and {share(n.number('phantom_letter/without_in_lungs'))} of the other's"
    )


def redrawn(n: Numbers) -> str:
    """Validation films that the first stage had trained on."""
    return (
        f"validation films that stage 1 had trained on are right in {share(n.metric('redraw.seen').value)}, those it "
        f"had not in {share(n.metric('redraw.new').value)}: {points_of(n.metric('redraw.gap'))}"
    )


def changed(n: Numbers) -> str:
    """What normalisation, augmentation and the rates change."""
    names = {
        "default augmentation": "default_augmentation_minus_small",
        "heavy augmentation": "heavy_augmentation_minus_small",
        "no normalisation": "not_normalised_minus_small",
        "rates ten times as high": "rates_times_ten_minus_small",
    }
    return "accuracy changes by " + ", ".join(
        f"{points_of(n.metric(f'{path}.accuracy'))} with {words}" for words, path in names.items()
    )


def rates(n: Numbers) -> str:
    """Unfreezing, by learning rate."""
    return (
        f"unfrozen minus frozen gives {points_of(n.metric('unfrozen_minus_frozen_low.accuracy'))} at 1e-5 to 1e-4 and "
        f"{points_of(n.metric('unfrozen_minus_frozen_high.accuracy'))} at 1e-2; the high rate minus the low ones, both "
        f"unfrozen, gives {points_of(n.metric('high_minus_low_unfrozen.accuracy'))}"
    )


def progressive(n: Numbers) -> str:
    """Small films first, against large ones alone."""
    cost = {name: number(n.number(f"cost/{name}"), ".1f") for name in n.names("cost")}
    return (
        f"small films first give {points_of(n.metric('progressive_minus_same_time.accuracy'))} against large ones "
        "alone for about the same work, and "
        f"{points_of(n.metric('progressive_minus_same_epochs.accuracy'))} against as many epochs at the large size, "
        f"which cost {cost.get('large_alone_same_epochs', 'not defined')} in place of "
        f"{cost.get('large', 'not defined')} such epochs"
    )


def residual(n: Numbers) -> str:
    """The write-up's own network."""
    return (
        f"the write-up's network, ResNet-34, without ImageNet's weights and once, reaches "
        f"{percent(n.metric('resnet34_small.accuracy'))} at the small size and then "
        f"{percent(n.metric('resnet34_large.accuracy'))} at the large one"
    )


def copied(n: Numbers) -> str:
    """Copies on both sides of the split."""
    return (
        f"copied films in validation are found in {percent(n.metric('copies.in_validation'))}, test films of the "
        f"class in "
        f"{percent(n.metric('copies.in_test'))}; without copies in {percent(n.metric('copies.in_test_without'))}"
    )


def decoyed(n: Numbers) -> str:
    """A category that is none."""
    return (
        f"accuracy on the six classes changes by {points_of(n.metric('decoy_minus_small.accuracy'))}; "
        f"{share(n.number('decoy/called'))} of the test films are given to the category that is none"
    )


def enough(n: Numbers) -> str:
    """Accuracy by the number of training films."""
    curve = dict(zip(n.numbers("learning_curve/rows"), n.numbers("learning_curve/value"), strict=False))
    if len(curve) < 2:
        return "no learning curve was measured"
    last, before = sorted(curve)[-1], sorted(curve)[-2]
    return (
        f"from {number(before, '.0f')} to {number(last, '.0f')} training films in the largest class accuracy still "
        f"moves by {points(curve[last] - curve[before])}"
    )


def milestone(n: Numbers) -> str:
    """All films at hand."""
    return (
        f"with all films at hand, judged on the same test films, accuracy is "
        f"{percent(n.metric('everything.accuracy'))}, "
        f"with the balanced subset {percent(n.metric('subset.accuracy'))}; were the classes as frequent as in the "
        f"write-up, the first would be right in {share(n.number('shares/everything'))}. After the same four frozen "
        f"epochs "
        f"copies of the rarest class give {points_of(n.metric('copies_minus_everything.accuracy'))}. With copies, more "
        f"epochs and rates up to 1e-2 it is {percent(n.metric('everything_and_copies.accuracy'))}, which experiment 2 "
        f"puts "
        "down to the rates"
    )


def triaged(n: Numbers) -> str:
    """Ill against healthy, at the threshold of a triage."""
    return (
        f"the threshold finds {percent(n.metric('triage.sensitivity'))} of the diseased test films and leaves "
        f"{percent(n.metric('triage.specificity'))} of the healthy ones without an alarm (AUROC "
        f"{n.metric('triage.auroc')})"
    )


def tested_twice(n: Numbers) -> str:
    """What a second test would be worth if it erred by itself, and what it is worth."""
    text = (
        f"at a prevalence of {share(n.number('twice/prevalence'))} one positive test means disease in "
        f"{share(n.number('twice/once'))}, two tests that err independently would mean it in "
        f"{share(n.number('twice/independent'))}"
    )
    both = n.number("twice/same_film")  # there are no two networks where one was trained
    return text if pd.isna(both) else f"{text}, and two networks that read the same film mean it in {share(both)}"


def calibrated(n: Numbers) -> str:
    """What a temperature does to the log loss."""
    return (
        f"log loss is {n.metric('large.log_loss')} as trained and {n.metric('large_calibrated.log_loss')} once the "
        "logits are divided by one number chosen on validation films"
    )


# --- tables and paragraphs --------------------------------------------------------------------------------------------


def phantom_letter(real: Numbers, run: Numbers) -> str:
    """The exact shortcut, which is a phantom's in every run."""
    text = f"On phantoms of this run {_letter(run)}."
    if real.names("phantom_letter"):
        text += f" On phantoms of the reference run, with its sizes and epochs, {_letter(real)}."
    return text


def by_hospital(real: Numbers, run: Numbers, kept: str, names: Mapping[str, str]) -> dict[str, str]:
    """Rows of a figure, a metric each: for every source among those `kept` by either run, each of `names` of it.

    names: the metric by the words for it, `{}` in place of the source
    """
    sources = dict.fromkeys([*real.names(kept), *run.names(kept)])
    return {f"{source}, {words}": name.format(source) for source in sources for words, name in names.items()}


def letter_bars(n: Numbers) -> pd.DataFrame:
    """Accuracy on phantom test films: a row for what is shown, a column for what was learned."""
    shown = {"letter of its class": "own", "no letter": "none", "letter of another class": "moved"}
    columns = {
        f"learned {words}": [n.number(f"phantom_letter/{name}_{how}") for how in shown.values()]
        for name, words in (("with", "with the letter"), ("without", "without it"))
    }
    return pd.DataFrame(columns, index=list(shown))


def rates_tried(n: Numbers) -> pd.DataFrame:
    """Losses by learning rate of a run, where it has them."""
    rates, losses = n.numbers("lr_find/rates"), n.numbers("lr_find/losses")
    table = pd.DataFrame({"learning rate": rates, "loss": losses})
    return table[table["loss"] < 3 * table["loss"].iloc[0]] if len(table) else table


def suggested(n: Numbers) -> str:
    """The learning rate that fastai suggests."""
    return f"the suggested rate is {number(n.number('lr_find/suggested'), '.1e')}"


def by_source(n: Numbers) -> pd.DataFrame:
    """Films of a run by class and source; empty where it has none."""
    found = n.results.get("experiments", {}).get("data", {}).get("by_source", {})
    return pd.DataFrame(found).T.reindex(list(found)).fillna(0).astype(int)


def by_source_words(table: pd.DataFrame) -> str:
    """The same as text."""
    rows = (
        f"{label}: {', '.join(f'{count} {source}' for source, count in row.items() if count)}"
        for label, row in table.iterrows()
    )
    return f"Films by class and source: {'; '.join(rows)}"


def each_class(real: Numbers, run: Numbers, on_what: str, classes: Sequence[str]) -> pd.DataFrame:
    """Recall, precision, F1 and AUROC of each class, of both runs."""
    rows = [
        {
            "class": name,
            **{
                metric_name(metric): str(numbers.metric(f"large.{metric}[{name}]"))
                for metric in ("sensitivity", "precision", "f1", "auroc")
            },
            "of": of,
        }
        for of, numbers in (("reference run", real), (f"this run ({on_what})", run))
        for name in classes
    ]
    return pd.DataFrame(rows).set_index("class")


def matrix(n: Numbers) -> pd.DataFrame:
    """The confusion matrix of a run."""
    classes = n.numbers("confusion/classes")
    return pd.DataFrame(n.numbers("confusion/films"), index=classes, columns=classes)


def confused(real: Numbers, run: Numbers, on_what: str) -> str:
    """The most frequent confusions of both runs."""
    found = []
    for words, numbers in (("On real data", real), (f"In this run ({on_what})", run)):
        worst = [
            f"{films:.0f} films of {markdown_safe(true)} called {markdown_safe(said)}"
            for true, said, films in most_confused(matrix(numbers))[:4]
        ]
        if worst:
            found.append(f"{words}, on average over the seeds: {'; '.join(worst)}.")
    return " ".join(found)


def curve(real: Numbers, run: Numbers, on_what: str) -> pd.DataFrame:
    """Accuracy by the number of training films in the largest class, of both runs."""
    columns = {}
    for words, numbers in (("reference run", real), (f"this run ({on_what})", run)):
        rows = [numbers.numbers(f"learning_curve/{part}") for part in ("rows", "value", "low", "high")]
        columns[words] = {
            int(films): f"{value:.3f} ({low:.3f} to {high:.3f})" for films, value, low, high in zip(*rows, strict=True)
        }
    return pd.DataFrame(columns).sort_index().fillna("–").rename_axis("films")


def missing(n: Numbers, told: Mapping[str, Any]) -> str:
    """How far what is at hand reaches."""
    return (
        "With the pneumonia films of the children's training folder there are "
        f"{number(n.number('data/everything'), ',.0f')} films at hand of the write-up's {told['total']:,.0f}; most of "
        f"the missing ones are Other Findings. In its balanced subset it has {told['total_subset']:,.0f}, we have "
        f"{number(n.number('data/films'), ',.0f')}."
    )


def counts_table(real: Numbers, run: Numbers, told: Mapping[str, Any], on_what: str) -> pd.DataFrame:
    """Films of each class: all and subset of the write-up, reference run, this run."""
    rows = {
        name: {
            "write-up, all": f"{told[short]:.0f}",
            "write-up, subset": f"{told[f'subset_{short}']:.0f}",
            "reference run": number(real.number(f"data/{short}"), ".0f"),
            f"this run ({on_what})": number(run.number(f"data/{short}"), ".0f"),
        }
        for name, short in zip(WRITTEN, NAMES, strict=True)
    }
    return pd.DataFrame(rows).T


def null_redraw(told: Mapping[str, Any]) -> str:
    """What the null result of the split drawn anew means for the write-up."""
    train, valid = told["large_unfrozen_log_train_loss"][-1], told["large_unfrozen_log_valid_loss"][-1]
    return (
        "That is a null result: at these rates and epochs the network has hardly learned its training films by heart. "
        f"The write-up's had, by its log (training loss {train:.3f}, validation loss {valid:.3f}), so the same fault "
        f"may "
        "have done more there. By how much its text does not tell."
    )


def other_films(n: Numbers, told: Mapping[str, Any]) -> str:
    """How our films differ from the write-up's."""
    ours = {short: number(n.number(f"data/{short}"), ",.0f") for short in ("covid", "other")}
    return (
        f"- Our set is not the write-up's: {ours['covid']} COVID-19 films of one hospital in place of "
        f"{told['covid']:.0f} of "
        f"several, {ours['other']} Other Findings in place of {told['other']:,.0f}, normal films of four sources in "
        f"place "
        "of one. The arithmetic rests on its own numbers; the experiments rest on ours."
    )


def wrong_way(told: Mapping[str, Any], found: Mapping[str, float]) -> str:
    """What its first list of confusions says of recall."""
    return (
        f"{found['diseased_called_normal']:.0f} diseased films are called Normal, and "
        f"{found['normal_called_diseased']:.0f} normal ones diseased: the reverse of what it asks for. Of the viral "
        f"films in validation about {found['viral_recall']:.0%} are found (between {found['viral_recall_low']:.0%} and "
        f"{found['viral_recall_high']:.0%}, since the draw is not printed), at an accuracy of "
        f"{told['full_frozen_accuracy']:.1%}. Within the children's three classes "
        f"{found['errors_within_children']:.0f} of its {found['errors']:.0f} errors lie, so that accuracy there is "
        f"about {found['accuracy_within_children']:.0%}."
    )


def by_arithmetic(told: Mapping[str, Any], found: Mapping[str, float]) -> list[str]:
    """Paragraphs on what the write-up's own numbers tell."""
    return [
        f"**Copies.** Five copies of every third of {told['covid']:.0f} films make {found['covid_after_copies']:.0f}; "
        f"it counts {told['covid_augmented']:.0f}.",
        "**The list of stage 1.** Its confusions at 64 pixels sum to at least "
        f"{found['listed_confusions_stage_1']:.0f} of {found['valid_subset']:.0f} validation films. Its accuracies "
        f"there mean {found['errors_stage_1_frozen']:.0f} errors before unfreezing and {found['errors_stage_1']:.0f} "
        "after. So the list belongs to another network or other films. Its three earlier lists fit their accuracies "
        f"({found['listed_confusions']:.0f} of {found['errors']:.0f}, {found['listed_confusions_augmented']:.0f} of "
        f"{found['errors_augmented']:.0f}, {found['listed_confusions_subset']:.0f} of {found['errors_subset']:.0f}).",
        f"**The best row of its table**, {told['augmented_more_accuracy']:.1%} with copies, has no log; the times "
        f"leave {found['minutes_without_log']:.0f} minutes for it. Its text says that copies did not help.",
        f"**Different validation films.** Accuracies on {found['valid']:,.0f}, {found['valid_augmented']:,.0f} and "
        f"{found['valid_subset']:.0f} films are compared. On the first, chance alone moves an accuracy by "
        f"{100 * found['half_width_full']:.1f} points either way; {told['full_frozen_accuracy']:.1%} and "
        f"{told['augmented_frozen_accuracy']:.1%} do not differ by that.",
        f"**Minutes.** The epochs of both stages sum to {found['minutes_progressive']:.0f} minutes (the text says "
        f"about {told['said_minutes_progressive']:.0f}).",
        f"**Other Findings** has {told['other']:,.0f} films, nearly as many as the NIH sample, more than half of which "
        "the NIH labels No Finding. If the sample was taken whole, as the count suggests, most of this class is films "
        "without a finding, counted as a disease.",
        "**No test set.** The validation films are looked at after every epoch, and give the result.",
    ]


FOLDED = (
    Folded(
        "Copies made before the split",
        "third",
        copied,
        "copies.in_test",
        "The copies are written to disk, and the validation films are drawn from all: a film and its copies lie on "
        "both sides.",
    ),
    Folded(
        "A category that is none",
        "decoy",
        decoyed,
        "decoy.accuracy",
        "The write-up finds that it does not matter much, and has no run without it.",
    ),
    Folded(
        "How many films a class are enough?",
        "sufficient",
        enough,
        "films_50.accuracy",
        "All courses have the same number of epochs, so fewer films are also fewer steps. Accuracy on the test films "
        "by training films in the largest class:",
        curve,
    ),
    Folded(
        "All films, the balanced subset, copies",
        "",
        milestone,
        "everything.accuracy",
        "The write-up compares its sets on validation films of their own.",
    ),
)


ROWS = (  # of the write-up's table: the name of its claim, and of our course
    ("full_frozen", "everything_frozen"),
    ("full", "everything"),
    ("augmented_frozen", "everything_and_copies_frozen"),
    ("augmented_more", "everything_and_copies_more"),
    ("augmented", "everything_and_copies"),
    ("subset_frozen", "subset_frozen"),
    ("subset", "subset"),
    ("small_frozen", "small_frozen"),
    ("small", "small"),
    ("large_frozen", "large_frozen"),
    ("large", "large"),
)


def eleven_rows(real: Numbers, run: Numbers, told: Mapping[str, Any], on_what: str) -> pd.DataFrame:
    """The write-up's summary table with ours beside it."""
    sizes = ["224; ours at the small size"] * 7 + ["64"] * 2 + ["128"] * 2
    rows = [
        {
            "pixels": size,
            "reported": f"{told[f'{claim}_accuracy']:.1%}",
            "minutes": f"{told[f'{claim}_minutes']:.0f}",
            "reference run": str(real.metric(f"{name}.accuracy")).replace("not defined", "–"),
            f"this run ({on_what})": str(run.metric(f"{name}.accuracy")).replace("not defined", "–"),
        }
        for (claim, name), size in zip(ROWS, sizes, strict=True)
    ]
    return pd.DataFrame(rows, index=[claim.replace("_", " ") for claim, _ in ROWS])


CLAUSES: tuple[Clause, ...] = (
    composed,
    stages,
    recalls,
    no_pixel,
    inside,
    without,
    unseen,
    normals,
    probed,
    one_size,
    looked,
    redrawn,
    changed,
    rates,
    progressive,
    residual,
    copied,
    decoyed,
    enough,
    milestone,
    triaged,
    tested_twice,
    calibrated,
    suggested,
)
