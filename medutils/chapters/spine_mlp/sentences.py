"""Sentences of the chapter on write-up 000 whose words depend on what a run found, so that none contradicts it."""

from dataclasses import replace
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from medutils.chapters.spine_mlp.cost import Cost
from medutils.chapters.spine_mlp.experiments import LOG_COLUMNS, Task
from medutils.evaluation import Estimate, number, verdict, verdict_sentence
from medutils.tables import markdown_safe

WORDS = {
    "all_columns": "all columns",
    "first_six": "first six",
    "last_six": "last six",
    "without_Col1": "without Col1",
    "Col6_alone": "Col6 alone",
    "logistic_regression": "logistic regression",
}


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose rows and columns are called by words, not by the names that results are kept under."""
    return table.rename(index=WORDS, columns=WORDS)


def difference(gap: Estimate) -> str:
    """What a paired difference in F1 of the network minus another model, with its interval, allows to say."""
    return verdict_sentence(gap, "the network's F1", "the other's")


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


def p_value(value: float) -> str:
    """The p-value of a test for a table: three digits, but never 0."""
    return "< 0.001" if value < 0.001 else number(value)


def column_table(report: pd.DataFrame) -> pd.DataFrame:
    """`column_report` as text, to be read."""
    shown = {
        name: report[name].map(p_value if name.endswith("_p") else number) for name in report.columns.drop("column")
    }
    return report[["column"]].assign(**shown).set_index("column")


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
        return "The table names no patient twice, so each row is taken for one patient."
    return "Rows of one patient stay together wherever the table is cut, and intervals are drawn by patient."


def training_mode(f1_gap: float, shown: float, alike: float) -> str:
    """What scoring the training rows while training does to the picture.

    `f1_gap`: training F1 in evaluation mode minus that while training, in points; `shown` and `alike`: validation loss
    minus training loss, as the write-up takes them and with both in evaluation mode.
    """
    if any(value != value for value in (f1_gap, shown, alike)):
        return "The losses or the F1 of this training are not defined, so the two ways cannot be held side by side."
    return (
        f"In the second half of the training, the F1 of the training rows is {abs(f1_gap):.1f} points "
        f"{'higher' if f1_gap > 0 else 'lower'} in evaluation mode than the write-up's way shows. Between validation "
        f"and training loss the write-up's figure shows a distance of {shown:.3f}. With both in evaluation mode it is "
        f"{alike:.3f}, so it looks {'smaller' if shown < alike else 'no smaller'} than it is."
    )


def redundant(difference: float) -> str:
    """Whether `Col1` is the sum of `Col2` and `Col4`, by the largest difference over the rows."""
    words = "any one of the three is redundant" if difference < 1e-6 else "it is not the sum here"
    return f"The largest difference between `Col1` and `Col2 + Col4` in the table is {difference:.1e}: {words}."


def added_columns(ablation: dict[str, dict[str, Estimate]]) -> str:
    """What the six added columns tell, from the AUROC of each subset and model."""
    if "last_six" not in ablation:
        return "This table does not have the six added columns, so there is nothing to take away."
    line, network = (
        {name: found[model] for name, found in ablation.items()} for model in ("logistic_regression", "network")
    )
    alone = line["last_six"]
    beyond = verdict(replace(alone, value=alone.value - 0.5, low=alone.low - 0.5, high=alone.high - 0.5))
    told = {
        "above": "its interval lies above the 0.5 of a coin",
        "below": "its interval lies below the 0.5 of a coin",
        "holds 0": "its interval holds the 0.5 of a coin",
        "undefined": "its interval is not defined",
    }[beyond]
    lost = network["first_six"].value - network["all_columns"].value
    effect = (
        "what the added columns do to it is not defined"
        if lost != lost
        else f"to have the added columns {'costs' if lost > 0 else 'gains'} it {abs(lost):.3f}"
    )
    return (
        f"By the last six columns alone, logistic regression has an AUROC of {alone}: {told}. The first six alone give "
        f"{number(line['first_six'].value)}, all twelve {number(line['all_columns'].value)}. For the network the first "
        f"six give {number(network['first_six'].value)} and all twelve {number(network['all_columns'].value)}: "
        f"{effect}."
    )


def importance(table: pd.DataFrame, at_most: int = 3) -> str:
    """The columns whose shuffling costs most, of those whose shuffling costs anything in every repeat."""
    felt = table[table["low"] > 0].nlargest(at_most, "lost")
    if felt.empty:
        return "No column is missed in every repeat."
    named = ", ".join(
        f"{markdown_safe(column)} ({lost:.3f})" for column, lost in zip(felt["column"], felt["lost"], strict=True)
    )
    return (
        f"Missed most, among those missed in every repeat: {named}. A drop of about 0, or below it, means that the "
        "network would not miss the column."
    )


def order_of_rows(order: dict[str, float]) -> str:
    """What the order of the rows does to an F1 averaged over batches; see `order_effect`."""
    if order["lowest"] == order["highest"]:
        return f"The last epoch's predictions have the same written F1 in each of {order['orders']} orders of the rows."
    return (
        f"It even depends on the order of the rows: the last epoch's predictions have one pooled F1, "
        f"{order['pooled']:.2%}, but the written way gives from {order['lowest']:.2%} to {order['highest']:.2%} in "
        f"{order['orders']} orders."
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
        f" The write-up's own digits show it: of the {len(table)} epochs in its log, {whole['validation']} have a "
        f"validation F1 that is a whole number divided by {batches['validation']:.0f}, the count of its batches, and "
        f"{whole['train']} a training F1 that is one divided by {batches['train']:.0f}."
    )


def chance_of_a_split(f1: dict[str, NDArray]) -> str:
    """What another split would have given, not stratified and stratified; see `split_effect`."""
    free, kept = f1["not stratified"], f1["stratified"]
    share = f1["not stratified, share"]
    return (
        f"Over {len(free)} random splits like the write-up's, the F1 of logistic regression is {free.mean():.3f} on "
        f"average with a standard deviation of {free.std():.3f}, and goes from {free.min():.3f} to {free.max():.3f}; "
        f"the share of the positive class among the validation rows goes from {share.min():.0%} to {share.max():.0%}. "
        f"Stratified, the mean is {kept.mean():.3f} and the standard deviation {kept.std():.3f}. What spread is "
        "left then comes from which rows were drawn."
    )
