"""A whole pretrained network, trained: its recipe and its threshold come from the training folder alone.

Held-out patients of the training folder are too easy to choose by: nearly every network ranks their films without an
error. So recipes are held against a series of normal films that their training did not see; see `by_features.series`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch

from medutils.chapters.pneumonia_cnn.by_features import cut, decided, mean_scores, table_of, without_a_series
from medutils.chapters.pneumonia_cnn.experiments import add_few
from medutils.chapters.pneumonia_cnn.variants import EXPOSED, NONE, VARIANTS
from medutils.data.films import Films
from medutils.evaluation import binary, values
from medutils.evidence import Results
from medutils.training.kept import Plan, Training, Variant, train_all
from medutils.training.loop import Progress, probabilities

NETWORK = "lite0"
FIRST = "three epochs"  # of the recipes, where a folder holds no second series of normal films to choose by


def candidates() -> dict[str, Variant]:
    """The recipes among which is chosen; all but the first have three epochs."""
    five = VARIANTS[NETWORK]
    three = replace(five, settings=replace(five.settings, epochs=3))
    return {
        "five epochs": five,
        FIRST: three,
        "a lower rate": replace(three, settings=replace(three.settings, learning_rate=3e-4)),
        "no augmentation": replace(three, augmentation=NONE),
        "more exposure": replace(three, augmentation=replace(EXPOSED, contrast=0.6)),
    }


@dataclass(frozen=True)
class Choice:
    """A recipe and its threshold.

    table: what it was chosen by, a row a candidate: `auroc` and `specificity` at one half, on films of a series that
        its training did not see, the mean over both series; empty where there are no two series
    threshold: of the highest balanced accuracy on these films; one half where there are none
    """

    name: str
    table: pd.DataFrame
    threshold: float


def choose(films: Films, plan: Plan, progress: Progress | None = None) -> Choice:
    """The candidate that ranks films of an unseen series best. No test film has a part in it."""
    parts = without_a_series(films, plan.seed)
    if not parts:
        return Choice(FIRST, pd.DataFrame(columns=["auroc", "specificity"]), 0.5)
    found = [train_all(one, candidates(), plan, 1, progress) for one in parts]
    rows, cuts = {}, {}
    for name in candidates():
        tables = [trained[name][0].as_written("validation") for trained in found]
        rows[name] = mean_scores(tables, binary(films.positive))
        cuts[name] = cut(pd.concat(tables, ignore_index=True), films.positive)
    table = pd.DataFrame.from_dict(rows, orient="index")
    best = str(table["auroc"].idxmax())
    return Choice(best, table, cuts[best])


def train(films: Films, choice: Choice, plan: Plan, seeds: int, progress: Progress | None = None) -> list[Training]:
    """The chosen recipe on the training patients, a tenth of them held out, once a seed."""
    return train_all(films, {NETWORK: candidates()[choice.name]}, plan, seeds, progress)[NETWORK]


def record(results: Results, films: Films, choice: Choice, trainings: Sequence[Training]) -> None:
    """Keep the choice and what the chosen recipe gives on the test films: its seeds, and the mean of their logits.

    `whole` and `whole.ensemble` at the threshold of the choice; `.at_half` at one half; `.at_validation` at the one
    that held-out patients would have given. The experiment `whole` holds the operating points of the mean, too.
    """
    table = choice.table.round(4).rename(index=lambda name: name.replace(" ", "_"))
    single = [_table(one, one.test_logits) for one in trainings]
    pooled = pd.concat([table.assign(repeat=n) for n, table in enumerate(single)], ignore_index=True)
    joined = _table(trainings[0], torch.stack([one.test_logits for one in trainings]).mean(0))
    own = pd.concat([one.as_written("validation") for one in trainings], ignore_index=True)
    cuts = {"": choice.threshold, ".at_half": 0.5, ".at_validation": cut(own, films.positive)}
    for name, rows in (("whole", pooled), ("whole.ensemble", joined)):
        for key, threshold in cuts.items():
            add_few(results, name + key, rows, threshold)
    results.experiment(
        "whole",
        chosen=choice.name,
        threshold=choice.threshold,
        candidates=table.to_dict("index"),
        points=decided(joined, films.positive),
        **_told(trainings),
    )


def _told(trainings: Sequence[Training]) -> Mapping[str, list[float]]:
    """Of each seed the AUROC on test and on validation films, and its seconds."""
    positive = trainings[0].films.positive
    task = binary(positive)
    areas = {
        name: [round(values(one.as_written(split), task, 0.5)["auroc"], 4) for one in trainings]
        for name, split in (("auroc", "test"), ("validation_auroc", "validation"))
    }
    return areas | {"seconds": [round(one.seconds, 1) for one in trainings]}


def _table(training: Training, logits: torch.Tensor) -> pd.DataFrame:
    """Predictions of the test films from logits."""
    films = training.films
    return table_of(films, films.rows("test"), probabilities(logits)[:, -1])
