"""What many trainings of several networks come to: pooled predictions, spread of seeds, choices and mistakes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.data.films import Films, Scheme
from medutils.evaluation import Rule, binary, counts, one_against_rest, values
from medutils.training.kept import Training
from medutils.training.loop import probabilities

Array = NDArray[np.float64]


def pooled(trainings: Sequence[Training], split: str = "test", as_written: bool = False) -> pd.DataFrame:
    """Predictions of one variant's trainings below each other, the seed's number in `repeat`."""
    tables = [training.as_written(split) if as_written else training.predictions(split) for training in trainings]
    return pd.concat([table.assign(repeat=number) for number, table in enumerate(tables)], ignore_index=True)


def decisions(predictions: pd.DataFrame, positive: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True classes and decisions of a table as 0 and 1, at the table's own threshold."""
    y = predictions["y_true"].eq(positive).to_numpy().astype(int)
    return y, (predictions[f"prob_{positive}"] >= predictions["threshold"]).to_numpy().astype(int)


def right(predictions: pd.DataFrame, positive: str) -> Array:
    """Which decisions of a table are right, 1 or 0."""
    return np.equal(*decisions(predictions, positive)).astype(float)


def most_probable(training: Training) -> pd.DataFrame:
    """Counts of the most probable class by the true one, on the test films."""
    y = training.films.y[training.films.rows("test")].numpy()
    return counts(y, probabilities(training.test_logits).argmax(1), training.films.classes)


def collapsed(predictions: pd.DataFrame, positive: str) -> bool:
    """Whether a table's decisions are all the same."""
    return len(set(decisions(predictions, positive)[1])) == 1


def count_collapsed(trainings: Sequence[Training], positive: str) -> int:
    """How many of one variant's trainings ended with one answer, as written."""
    return sum(collapsed(training.as_written(), positive) for training in trainings)


def spread(trainings: Mapping[str, Sequence[Training]], positive: str) -> pd.DataFrame:
    """Test accuracy as written of every training: a row a variant, a column a seed."""
    return pd.DataFrame(
        {
            name: [float(right(training.as_written(), positive).mean()) for training in group]
            for name, group in trainings.items()
        }
    ).T.rename_axis("variant")


def accuracy_by_rule(trainings: Mapping[str, Sequence[Training]], positive: str) -> pd.DataFrame:
    """Mean test accuracy of each network by what its threshold is: one half, or fixed on validation by each rule."""
    ways: dict[str, Callable[[Training], pd.DataFrame]] = {"one_half": Training.as_written} | {
        rule.lower().replace(" ", "_"): partial(_by_rule, rule=rule) for rule in get_args(Rule)
    }
    return pd.DataFrame(
        {
            way: {
                name: float(np.mean([right(decide(one), positive) for one in group]))
                for name, group in trainings.items()
            }
            for way, decide in ways.items()
        }
    )


def _by_rule(training: Training, rule: Rule) -> pd.DataFrame:
    return replace(training, variant=replace(training.variant, rule=rule)).predictions()


def optimism(trainings: Sequence[Training], positive: str, picks: int, seed: int) -> dict[str, float]:
    """What choosing the best of several models by their test accuracy adds to that accuracy.

    Half of the test patients, drawn `picks` times, choose among all models; the other half judges the choice. `chosen`
    and `fresh` are the mean accuracies of the chosen model on the two halves.
    """
    tables = [training.as_written() for training in trainings]
    hits = np.stack([right(table, positive) for table in tables])
    patients, code = np.unique(tables[0]["patient"], return_inverse=True)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(picks):
        half = rng.permutation(len(patients))[: len(patients) // 2]
        inside = np.isin(code, half)
        best = hits[:, inside].mean(1).argmax()
        found.append((hits[best, inside].mean(), hits[best, ~inside].mean()))
    chosen, fresh = np.mean(found, axis=0)
    return {"models": len(tables), "chosen": chosen, "fresh": fresh, "optimism": chosen - fresh, "picks": picks}


def histories(trainings: Mapping[str, Sequence[Training]]) -> dict[str, dict[str, list[float]]]:
    """Loss and accuracy of every epoch of each network's first seed."""
    return {
        name: group[0].history.drop(columns=["epoch", "learning_rate"]).round(4).to_dict("list")
        for name, group in trainings.items()
    }


def by_epoch(trainings: Mapping[str, Sequence[Training]], measure: str) -> dict[str, pd.DataFrame]:
    """`loss` or `accuracy` in training and in validation: `epoch`, and a column for each network's first seed."""
    firsts = {name: group[0].history.set_index("epoch") for name, group in trainings.items()}
    return {
        kind: pd.DataFrame({name: history[f"{kind}_{measure}"] for name, history in firsts.items()})
        .rename_axis("epoch")
        .reset_index()
        for kind in ("train", "validation")
    }


def last_epochs(trainings: Mapping[str, Sequence[Training]]) -> dict[str, dict[str, Any]]:
    """The last row of each variant's history, averaged over its seeds."""
    return {
        name: pd.DataFrame([training.history.iloc[-1] for training in group]).mean().to_dict()
        for name, group in trainings.items()
    }


def validation_and_test(trainings: Sequence[Training], positive: str) -> dict[str, float]:
    """Accuracy as written and AUROC on the validation and on the test films, and the first less the second.

    Means over the trainings; `..._spread` is how far their gaps lie apart. The shares of the classes differ between the
    two, which moves accuracy and not AUROC.
    """
    judged = {
        split: [_values(one.as_written(split), positive) for one in trainings] for split in ("validation", "test")
    }
    found: dict[str, float] = {}
    for measure in ("accuracy", "auroc"):
        validation, test = (np.array([one[measure] for one in group]) for group in judged.values())
        gaps = validation - test
        found |= {
            f"validation_{measure}": float(validation.mean()),
            f"test_{measure}": float(test.mean()),
            f"{measure}_gap": float(gaps.mean()),
            f"{measure}_gap_spread": float(np.ptp(gaps)),
        }
    return found


def shared_patients(films: Films, schemes: Sequence[Scheme], share: float, seed: int) -> pd.DataFrame:
    """Validation films by each way of holding out, and the share of them whose patient is in training too."""
    rows = {}
    for scheme in schemes:
        records = films.hold_out(scheme, share, seed).records
        held, train = (records.loc[records["split"] == split, "patient"] for split in ("validation", "train"))
        rows[scheme] = {"validation_films": len(held), "patient_in_training": float(held.isin(set(train)).mean())}
    return pd.DataFrame(rows).T.astype({"validation_films": int})


def best_on_validation(trainings: Mapping[str, Sequence[Training]], positive: str) -> tuple[str, Training]:
    """The name and first training of the network with the highest mean AUROC on its validation films."""
    mean = {
        name: np.mean([_values(one.predictions("validation"), positive)["auroc"] for one in group])
        for name, group in trainings.items()
    }
    name = max(mean, key=lambda key: float(mean[key]))
    return name, trainings[name][0]


def most_wrong(training: Training, films: int) -> pd.DataFrame:
    """The wrongly decided test films to whose true class a network gives the lowest probability.

    Two classes are decided by the threshold, more by the most probable one. Columns: `record_id`, `title`, and `sure`,
    the probability of all other classes than the true one.
    """
    table = training.predictions()
    classes = list(training.films.classes)
    probability = table[[f"prob_{name}" for name in classes]].to_numpy()
    truth = table["y_true"].map(classes.index).to_numpy()
    said = decisions(table, classes[1])[1] if len(classes) == 2 else probability.argmax(1)
    sure = 1 - probability[np.arange(len(table)), truth]
    table = table.assign(sure=sure)[said != truth].nlargest(films, "sure")
    title = [
        f"{true}, called\n{classes[number]}" for true, number in zip(table["y_true"], said[table.index], strict=True)
    ]
    return table[["record_id"]].assign(title=title, sure=table["sure"])


def _values(predictions: pd.DataFrame, positive: str) -> dict[str, float]:
    """All metrics of a table at its own thresholds, of `positive` against the rest, without intervals."""
    return values(one_against_rest(predictions, positive), binary(positive), "threshold")
