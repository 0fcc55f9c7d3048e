"""Sentences of the chapter on write-up 000 whose words depend on what a run found, so that none contradicts it.

Those that take `numbers` are clauses without a full stop, to be told of the reference run and of the run at hand by
`Results.tell`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from medutils.chapters.spine_mlp.cost import Cost
from medutils.chapters.spine_mlp.experiments import LOG_COLUMNS, Task
from medutils.evaluation import Estimate, number, predictive_values, proportion, rows_needed, verdict, verdict_sentence
from medutils.evidence import Numbers
from medutils.tables import markdown_safe

DEFEAT = "mlp_nested_minus_logistic_regression"
PARTS = {"no_dropout": "dropout", "no_batch_normalisation": "batch normalisation"}
NETWORK, LINE = "the network", "logistic regression"
TEN = proportion(10, 10, "ten rows")  # the write-up's result on its test rows, with the exact interval


def points(share: float, digits: int = 1) -> str:
    """A share in points of a hundred."""
    return f"{number(100 * share, f'.{digits}f')} points"


def more_points(share: float) -> str:
    """A difference of shares, as `1.7 points more` or `0.4 points less`."""
    return f"{points(abs(share))} {'less' if share < 0 else 'more'}"


def _which(gap: Estimate, above: str, below: str, both: str) -> str:
    """What a difference says by its interval: `above` 0, `below` 0, or nothing of `both`."""
    found = verdict(gap)
    said = {"above": above, "below": below, "holds 0": f"{both} cannot be told apart"}
    return said.get(found, f"{both} cannot be compared")


def _better(gap: Estimate) -> str:
    """Who is better by the network minus logistic regression in something of which more is better."""
    return _which(gap, f"{NETWORK} is better", f"{LINE} is better", f"{NETWORK} and {LINE}")


def _higher(gap: Estimate) -> str:
    """Where the AUROC is higher, by a network without a part minus the network with it."""
    return _which(gap, "it is higher without", "it is higher with it", "the two")


# --- the answer -------------------------------------------------------------------------------------------------------


def answer(real: Numbers, reported: float) -> str:
    """The chapter's question answered by the reference run; `reported` is the write-up's highest validation F1."""
    network, line = real.metric("mlp_nested.f1"), real.metric("logistic_regression_nested.f1")
    again = real.number("best_of_many_looks/f1_of_best_epoch")
    gap = real.metric(f"{DEFEAT}.f1")
    told = "less well than reported" if network.high < reported else "about as well as reported"
    return (
        f"Yes, but {told}, and a far simpler model does it {'better' if verdict(gap) == 'below' else 'too'}. The "
        f"write-up reports an F1 of {reported:.4g}, the highest of 200 epochs. Our runs reach {number(again)} in the "
        f"same way. On test rows, which had no part in any choice, the network reaches {network}, and logistic "
        f"regression, which the write-up never tried, {line}: {_better(gap)}. {_of_a_hundred(real)}"
    )


def _of_a_hundred(real: Numbers) -> str:
    """Sensitivity and specificity of both models as patients, beside what calling everyone positive gives."""
    found = [
        number(100 * real.metric(f"{model}_nested.{what}").value, ".0f")
        for model in ("mlp", "logistic_regression")
        for what in ("sensitivity", "specificity")
    ]
    return (
        f"Of 100 abnormal patients the network finds {found[0]} and logistic regression {found[2]}; of 100 normal ones "
        f"they clear {found[1]} and {found[3]}. To call everyone abnormal has an F1 of "
        f"{number(real.metric('majority_nested.f1').value)}."
    )


def takeaways(real: Numbers) -> list[str]:
    """What to remember, with the numbers of the reference run."""
    defeat, noise = real.metric(f"{DEFEAT}.auroc"), real.metric("noise_in_the_defeat.auroc")
    clean = real.metric("first_six_network_minus_logistic_regression.auroc")
    without = real.number("best_of_many_looks/seeds_without_error_on_ten_rows")
    seeds = real.number("best_of_many_looks/seeds")
    alone, five, line, every = (number(real.number(f"feature_sets/{name}")) for name in FEATURES_TOLD)
    return [
        f"**Run the baseline first.** The network's AUROC minus that of logistic regression is {defeat} on test rows: "
        f"{_better(defeat)}.",
        "**Then look at the columns.** Six of the twelve look like noise. Without them that difference goes from "
        f"{number(clean.value - noise.value, '+.3f')} to {clean}.",
        "**One column measures what defines most of the class.** The slip of a vertebra, `Col6`, alone gives logistic "
        f"regression an AUROC of {alone}; the network with all twelve columns has {every}. On the other five "
        f"measurements the network has {five} and logistic regression {line}.",
        f"**Ten rows are no test.** Ten right out of ten fit a true accuracy of {TEN.low:.2f}, even on new rows. These "
        f"were validation rows, as the write-up says openly, and {number(100 * without, '.0f')} % of "
        f"{number(seeds, '.0f')} seeds make no error on them.",
        f"**A chosen number tends to be too good.** {one_split(real)}",
        f"**Measure what you claim.** {batch_normalisation(real)}",
    ]


FEATURES_TOLD = (
    "Col6_alone/logistic_regression",
    "first_five/network",
    "first_five/logistic_regression",
    "all_columns/network",
)


def batch_normalisation(real: Numbers) -> str:
    """Whether the loss falls faster with batch normalisation, as is claimed, and what it does to the AUROC."""
    with_it, without = (real.number(f"speed/{name}") for name in ("as_written", "no_batch_normalisation"))
    gap = real.metric("no_batch_normalisation_minus_as_written.auroc")
    if with_it != with_it or without != without:
        return f"Left out, batch normalisation changes the AUROC by {gap}."
    return (
        f"That the loss falls faster with batch normalisation {'holds' if with_it < without else 'does not hold'}: "
        f"{number(with_it, '.0f')} epochs against {number(without, '.0f')} to the same loss. Left out, it changes the "
        f"AUROC by {gap}: {_higher(gap)}."
    )


def prevalence(real: Numbers, share: float) -> str:
    """What a positive decision means in the table, and where a share of `share` has the condition."""
    sensitivity, specificity = (real.metric(f"mlp_nested.{name}").value for name in ("sensitivity", "specificity"))
    here = real.number("data/positive_rows") / real.number("data/rows") if real.number("data/rows") else float("nan")
    rates = np.array([sensitivity]), np.array([specificity])
    found = [
        number(value.item(), ".0%").replace("%", " %")
        for at in (here, share)
        for value in predictive_values(*rates, at)
    ]
    return (
        f"At a threshold of one half, in the real table, where {number(100 * here, '.0f')} % are abnormal, {found[0]} "
        f"of the network's alarms are right, and {found[1]} of those whom it clears are normal. If sensitivity and "
        f"specificity stayed the same where {100 * share:.0f} % are abnormal, it would be {found[2]} and {found[3]}."
    )


# --- the run ----------------------------------------------------------------------------------------------------------


def time_needed(asked: Cost, done: Cost) -> str:
    """How long the chapter will take on this table, and what was scaled down for that."""
    minutes = done.seconds / 60
    estimate = "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
    text = f"By estimate this takes {estimate} on a core of a server: {asked.rows:,} rows, {done.epochs} epochs."
    changed = {name: (was, now) for name, was in vars(asked).items() if (now := getattr(done, name)) != was}
    if not changed:
        return text
    listed = ", ".join(f"{name.replace('_', ' ')} {was} to {now}" for name, (was, now) in changed.items())
    before = f"As asked it would take {asked.seconds / 60:.0f} min"
    return (
        f"{text} {before}, so these were scaled down: {listed}. Means over fewer seeds, cuts and resamples are less "
        "exact. `-p minutes=0` lifts the limit."
    )


def split_by(task: Task, shared: int) -> str:
    """Whether the rows were split as they are or by patient, and how many patients are on both sides."""
    if task.records["patient"].is_unique:
        return "Each row is taken for one patient, so the rows are split as they are."
    return (
        f"The table names {task.records['patient'].nunique()} patients, so a fifth of the patients was put aside and "
        f"not a fifth of the rows, unlike in the write-up. Patients on both sides: {shared}."
    )


def rows_are_patients(task: Task) -> str:
    """The limit that comes from a table without patients, or its absence."""
    if task.records["patient"].is_unique:
        return "No patient comes twice in the table, as far as it says: each row is taken for one patient."
    return "Rows of one patient stay together wherever the table is cut, and intervals are drawn by patient."


def training(numbers: Numbers) -> str:
    """Where the losses end, and how far the two ways to score the training rows lie apart."""
    train, held = (numbers.number(f"last_epoch/{name}") for name in ("train_loss", "validation_loss"))
    gap = numbers.number("train_mode/f1_gap")
    return (
        f"the training loss ends at {number(train)} and the validation loss at {number(held)}; scored after an epoch, "
        f"the training rows have {more_points(gap)} of F1 than scored while it runs"
    )


# --- the experiments --------------------------------------------------------------------------------------------------


def baseline(numbers: Numbers) -> str:
    """The network minus logistic regression by nested cross-validation."""
    gaps = {name: numbers.metric(f"{DEFEAT}.{name}") for name in ("auroc", "f1")}
    return (
        f"the network minus logistic regression is {gaps['auroc']} in AUROC and {gaps['f1']} in F1: "
        f"{_better(gaps['auroc'])}"
    )


def added_columns(numbers: Numbers) -> str:
    """Whether the six added columns can be told from noise, and whether they know the class."""
    names = [f"Col{place}" for place in range(7, 13)]
    found = {
        what: [numbers.number(f"columns/{name}/{what}") for name in names] for what in ("uniform_p", "class_p", "auroc")
    }
    least = min(found["uniform_p"] + found["class_p"])
    if any(value != value for values in found.values() for value in values):
        return "`Col7` to `Col12` are not in the table"
    nothing = "no test tells their values from uniform random numbers, or one class from the other by them"
    noisy = nothing if least > 0.05 else "one of the tests finds a difference"
    return (
        f"`Col7` to `Col12` have an AUROC of {min(found['auroc']):.3f} to {max(found['auroc']):.3f} each, taken alone, "
        f"and {noisy} (least p {p_value(least)})"
    )


def noise(numbers: Numbers) -> str:
    """What the six added columns cost each model, and how much of the distance between them goes with the noise."""
    gained = numbers.metric("network_first_six_minus_all_columns.auroc")
    clean = numbers.metric("first_six_network_minus_logistic_regression.auroc")
    part = numbers.metric("noise_in_the_defeat.auroc")
    if verdict(gained) == "undefined":
        return "this was not measured, since the columns are not there"
    line = [numbers.number(f"feature_sets/{name}/logistic_regression") for name in ("first_six", "all_columns")]
    return (
        f"leaving the six columns out changes the network's AUROC by {gained} and that of logistic regression by "
        f"{number(line[0] - line[1], '+.3f')}. The network minus logistic regression goes from "
        f"{number(clean.value - part.value, '+.3f')} to {clean}, a change of {part}"
    )


def defining_column(numbers: Numbers) -> str:
    """What is left when the column is left out that defines one of the two conditions."""
    values = {
        (model, subset): number(numbers.number(f"feature_sets/{subset}/{model}"))
        for subset in ("first_six", "first_five", "Col6_alone")
        for model in ("network", "logistic_regression")
    }
    return (
        f"`Col6` alone gives logistic regression an AUROC of {values['logistic_regression', 'Col6_alone']}. "
        f"Without it, the first five give {values['logistic_regression', 'first_five']} where the six give "
        f"{values['logistic_regression', 'first_six']}, and the network {values['network', 'first_five']} instead "
        f"of {values['network', 'first_six']}"
    )


def ten_rows(numbers: Numbers) -> str:
    """How many seeds make no error on the ten rows."""
    clean = numbers.number("best_of_many_looks/seeds_without_error_on_ten_rows")
    seeds = numbers.number("best_of_many_looks/seeds")
    accuracy = numbers.metric("mlp_nested.accuracy").value
    return (
        f"{number(100 * clean, '.0f')} % of {number(seeds, '.0f')} seeds make no error on these ten rows. Their "
        f"accuracy on test rows is {number(accuracy)}, with which ten rows in a row are right in "
        f"{number(100 * accuracy**10, '.0f')} % of tries"
    )


def looking(numbers: Numbers) -> str:
    """What choosing by validation rows adds to their F1, beside a model that chose nothing."""
    best, lowest, line = (
        more_points(numbers.metric(f"looking.{name}").value)
        for name in ("best_epoch", "lowest_loss", "logistic_regression")
    )
    return (
        f"the best epoch has {best} of F1 on validation rows than on test rows, the lowest loss {lowest}, and logistic "
        f"regression, which chose nothing, {line}"
    )


def one_split(real: Numbers) -> str:
    """How much of the fall from the write-up's validation rows to test rows is the looking."""
    fall = real.number("optimism/best_epoch_minus_nested")
    best, line = real.metric("looking.best_epoch"), real.metric("looking.logistic_regression").value
    mostly = (
        "Most of the distance is that choice."
        if best.value - line > fall / 2
        else "The rest we did not divide: a lucky split, fewer training rows and chance share it."
    )
    return (
        f"On the write-up's split the best epoch's F1 lies {points(fall)} above that of test rows. Over many other "
        f"cuts it lies {points(best.value)} above ({points(best.low)} to {points(best.high)} from repeat to repeat), "
        f"and that of logistic regression, which chose nothing, {points(line)}. {mostly}"
    )


def batches(numbers: Numbers) -> str:
    """What averaging F1 over batches does on average, and what the order of the rows does to it."""
    found = {
        name: numbers.number(f"batch_averaging/{name}")
        for name in ("mean_gap", "pooled", "lowest", "highest", "orders")
    }
    return (
        f"the written way differs from the pooled F1 by {points(found['mean_gap'], 2)} on average over the epochs. One "
        f"model's predictions, with a pooled F1 of {number(found['pooled'])}, get {number(found['lowest'])} to "
        f"{number(found['highest'])} in {number(found['orders'], '.0f')} orders of their rows"
    )


def printed_digits(log: Any, batches: dict[str, float]) -> str:
    """How many F1 of the write-up's log are a whole number over the number of its batches, to the last digit printed.

    `log` holds rows of `LOG_COLUMNS`; `batches` the number of batches of the parts `train` and `validation`.
    """
    table = pd.DataFrame(log, columns=LOG_COLUMNS)
    half_a_digit = 0.00051  # of three places printed, and a little for the rounding of a 5
    whole = {}
    for part, count in batches.items():
        total = table[f"{part}_f1"] * count
        whole[part] = int(((total - total.round()).abs() <= half_a_digit * count).sum())
    return (
        f"The write-up's own digits show the averaging: of the {len(table)} epochs in its log, {whole['validation']} "
        f"have a validation F1 that is a whole number divided by {batches['validation']:.0f}, the number of batches, "
        f"and {whole['train']} a training F1 that is one divided by {batches['train']:.0f}."
    )


# --- what was claimed or proposed -------------------------------------------------------------------------------------


def parts(numbers: Numbers) -> str:
    """What the network is without dropout, and without batch normalisation."""
    gaps = {word: numbers.metric(f"{name}_minus_as_written.auroc") for name, word in PARTS.items()}
    said = [f"leaving out {word} changes the AUROC by {gap}: {_higher(gap)}" for word, gap in gaps.items()]
    return "; ".join(said)


def faster(numbers: Numbers) -> str:
    """How many epochs the training loss takes to a level, with batch normalisation and without."""
    level, with_it, without = (
        numbers.number(f"speed/{name}") for name in ("level", "as_written", "no_batch_normalisation")
    )
    if with_it != with_it or without != without:
        return f"the training loss does not always fall to {number(level, '.2g')}, so the speeds cannot be compared"
    return (
        f"the training loss reaches {number(level, '.2g')} after {with_it:.0f} epochs with batch normalisation and "
        f"after {without:.0f} without (medians over the seeds)"
    )


def more_data(numbers: Numbers) -> str:
    """What the last doubling of the rows brought, and how few rows logistic regression needs for as much."""
    rows, network, line = (numbers.numbers(f"learning_curve/{name}") for name in ("rows", "network", "line"))
    if len(rows) < 2:
        return "there were too few rows for a curve"
    enough = [count for count, area in zip(rows, line, strict=True) if area >= network[-1]]
    text = (
        f"going from {rows[-2]} rows to {rows[-1]} changes the network's AUROC by "
        f"{network[-1] - network[-2]:+.3f}, and that of logistic regression by {line[-1] - line[-2]:+.3f}"
    )
    if enough:
        text += f". What the network reaches with {rows[-1]}, logistic regression reaches with {enough[0]}"
    return text


# --- folded away ------------------------------------------------------------------------------------------------------


def training_mode(f1_gap: float, shown: float, alike: float) -> str:
    """What scoring the training rows while training does to the picture.

    `f1_gap`: training F1 in evaluation mode minus that while training, in points; `shown` and `alike`: validation loss
    minus training loss, as the write-up takes them and with both in evaluation mode.
    """
    if any(value != value for value in (f1_gap, shown, alike)):
        return "The losses or the F1 of this training are not defined, so the two ways cannot be held side by side."
    return (
        f"In the second half of the training, the F1 of the training rows is {abs(f1_gap):.1f} points "
        f"{'higher' if f1_gap > 0 else 'lower'} in evaluation mode than taken the write-up's way. Validation minus "
        f"training loss, taken that way, is {shown:.3f}. With both in evaluation mode it is {alike:.3f}, so a figure "
        f"drawn that way shows {'less' if shown < alike else 'no less'} than there is."
    )


def redundant(difference: float) -> str:
    """Whether `Col1` is the sum of `Col2` and `Col4`, by the largest difference over the rows."""
    words = "any one of the three is redundant" if difference < 1e-6 else "it is not the sum here"
    return f"The largest difference between `Col1` and `Col2 + Col4` in the table is {difference:.1e}: {words}."


def without_the_sum(numbers: Numbers) -> str:
    """What leaving out the column that is a sum does."""
    with_it, without = (numbers.number(f"feature_sets/{name}/network") for name in ("all_columns", "without_Col1"))
    return f"the network's AUROC is {number(with_it)} with `Col1` and {number(without)} without it"


def chance_of_a_split(numbers: Numbers) -> str:
    """What another split would have given, not stratified and stratified."""
    free, kept = (
        [number(numbers.number(f"splits/{name}_{what}")) for what in ("mean", "sd")]
        for name in ("not_stratified", "stratified")
    )
    return (
        f"the F1 of logistic regression over {number(numbers.number('splits/splits'), '.0f')} random splits is "
        f"{free[0]} with a standard deviation of {free[1]}; stratified, {kept[0]} with {kept[1]}"
    )


def p_value(value: float) -> str:
    """The p-value of a test for a table: three digits, but never 0."""
    return "< 0.001" if value < 0.001 else number(value)


def importance(table: pd.DataFrame, at_most: int = 3) -> str:
    """The columns whose shuffling costs most, of those whose shuffling costs anything in every repeat."""
    felt = table[table["low"] > 0].nlargest(at_most, "lost")
    if felt.empty:
        return "No column is missed in every repeat."
    named = ", ".join(
        f"{markdown_safe(column)} ({lost:.3f})" for column, lost in zip(felt["column"], felt["lost"], strict=True)
    )
    return f"Missed most in this run, among those missed in every repeat: {named}."


def failures(numbers: Numbers) -> str:
    """How many rows are on the wrong side on average, and where those lie."""
    wrong, rows, nearer = (numbers.number(f"failures/{name}") for name in ("wrong", "rows", "nearer_the_other_class"))
    return (
        f"{number(wrong, '.0f')} of {number(rows, '.0f')} rows are called wrongly by their probability averaged over "
        f"the repeats, and {number(nearer, '.0f')} of these have measurements nearer to the mean of the other class "
        "than to that of their own"
    )


# --- a table of one's own ---------------------------------------------------------------------------------------------


def conclusion(gap: Estimate) -> str:
    """What a difference in AUROC, network minus logistic regression, allows one to do with another table."""
    found = verdict(gap)
    text = verdict_sentence(gap, "the network's AUROC", "that of logistic regression")
    if found == "holds 0":
        return (
            f"{text} That is no proof that they are equally good: the interval also holds {gap.low:+.3f} and "
            f"{gap.high:+.3f}. Take the simpler model, and say what difference you could have seen. {_needed(gap)}"
        )
    if found == "below":
        return f"{text} Take logistic regression."
    if found == "above":
        return f"{text} Whether the gain is worth a network that nobody can read is a clinical question."
    return text


def _needed(gap: Estimate) -> str:
    wanted = rows_needed(gap)
    if wanted != wanted or wanted > 1e6:
        return "A difference this small would take more patients than anyone has."
    return (
        f"If the difference found were the true one, about {wanted:,.0f} patients would give an even chance of an "
        "interval without 0."
    )


def how_many_rows(real: Numbers) -> str:
    """What the write-up's validation rows could have told, from the difference and its interval on them."""
    few, defeat = real.metric("mlp_minus_logistic_regression.f1"), real.metric(f"{DEFEAT}.f1")
    wanted = rows_needed(replace(few, value=defeat.value))
    return (
        f"How many rows does one need? On the write-up's {few.n} validation rows the network minus logistic regression "
        f"is {few} in F1, an interval of {number(few.high - few.low, '.2f')} from end to end. To see the difference of "
        f"{number(defeat.value)} that the whole table shows, with an even chance, held-out rows like these would have "
        f"to be about {number(wanted, '.0f')}."
    )


def on_few_rows(numbers: Numbers) -> str:
    """The network minus logistic regression on the validation rows."""
    gap = numbers.metric("mlp_minus_logistic_regression.f1")
    return f"the network's F1 minus that of logistic regression is {gap}: {_better(gap)} by these rows"


def calibrated(numbers: Numbers) -> str:
    """How far the probabilities lie from the frequencies, and the Brier score."""
    network, line = (number(numbers.number(f"calibration/{name}")) for name in ("mlp", "line"))
    briers = [numbers.metric(f"{name}_nested.brier") for name in ("mlp", "logistic_regression")]
    return (
        f"the network's probabilities are off by {network} on average, those of logistic "
        f"regression {line}; the Brier scores, where lower is better, are {briers[0]} and {briers[1]}"
    )
