"""Numbers of the write-up's pseudo-modality learning: errors with intervals by patient, counts, its own arithmetic.

Errors are summed by patient before anything is divided. A relative error of 1 is that of the training patients' mean
for the kind of series that is asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medutils.bootstrap import Array, by_patient, interval, patient_codes, resampled
from medutils.chapters.lumbar_fusion.as_written import DROPPED, MENDED, VALUES
from medutils.errors import InputError
from medutils.evaluation import Estimate
from medutils.evidence import Results, reported_values

SUMS = ("error", "variance", "square", "floor", "cosine", "outside")  # columns of a table of `pseudo.given_back`
LARGE = (
    "dae_as_written",
    "dae_tanh",
    "dae_tanh-clip",
    "vae_as_written",
    "vae_tanh",
)  # what is run on embeddings of the write-up's size


def written_mean_square() -> float:
    """About the mean square of the write-up's embeddings: the error of its third network, whose output is near 0."""
    return float(reported_values("lumbar_fusion")["unseen_mse"][2])


# --- numbers with intervals -------------------------------------------------------------------------------------------

METRICS: dict[str, tuple[str, str]] = {  # a sum over a sum; "" counts the rows
    "mse": ("error", ""),
    "relative": ("error", "variance"),
    "cosine": ("cosine", ""),
}
OF_TARGETS: dict[str, tuple[str, str]] = {
    "outside": ("outside", ""),
    "floor": ("floor", ""),
    "floor_relative": ("floor", "variance"),
    "mean_square": ("square", ""),
}


def measured(
    table: pd.DataFrame,
    metrics: Mapping[str, tuple[str, str]] = METRICS,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Metrics of a table of `given_back` or `of_absent`, each with its interval by patient."""
    draws, patients = _draws([table], metrics, resamples, seed)
    return {name: _estimate(draws[0, place], patients, table) for place, name in enumerate(metrics)}


def difference(first: pd.DataFrame, second: pd.DataFrame, resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """`first` minus `second` in each metric, paired by patient; `InputError` when their patients differ."""
    if set(first["patient"]) != set(second["patient"]):
        raise InputError("a paired comparison needs the same patients; the two tables differ in them")
    draws, patients = _draws([first, second], METRICS, resamples, seed)
    return {name: _estimate(draws[0, place] - draws[1, place], patients, first) for place, name in enumerate(METRICS)}


def _draws(
    tables: Sequence[pd.DataFrame], metrics: Mapping[str, tuple[str, str]], resamples: int, seed: int
) -> tuple[Array, int]:
    """Each metric of each table, (tables, metrics, 1 + resamples), from the same draws of the patients."""
    names = tables[0]["patient"].to_numpy()
    sums = []
    for table in tables:
        code, patients = patient_codes(table["patient"], names)
        sums.append(by_patient(table[[*SUMS]].assign(rows=1.0).to_numpy(), code, patients))
    columns = [*SUMS, ""]
    tops, bottoms = ([columns.index(pair[end]) for pair in metrics.values()] for end in (0, 1))

    def statistic(weights: Array) -> Array:
        totals = np.stack([each.T @ weights for each in sums])
        return totals[:, tops] / totals[:, bottoms]

    return resampled(statistic, patients, resamples, seed, len(SUMS) + 1), patients


def _estimate(draws: Array, patients: int, table: pd.DataFrame) -> Estimate:
    repeats = table["repeat"].nunique()
    fixed = (f"the {repeats} repeats",) if repeats > 1 else ("the trained model",)
    return Estimate(float(draws[0]), *interval(draws[1:]), patients, "test", fixed)


# --- into the results of a run ----------------------------------------------------------------------------------------


def judge_given_back(results: Results, found: Mapping[str, pd.DataFrame], start: str = "pseudo") -> None:
    """Keep the first question's numbers: `<start>_<network>_<way>`, `.._change` of mending a fault, `<start>_targets`.

    found: of `all_given_back`; start: what tells these embeddings apart from others
    """
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    for name, table in found.items():
        results.add(f"{start}_{name}", measured(table, METRICS, resamples, seed))
    for network, faults in MENDED.items():
        for fault in (one for one in faults if f"{network}_{one}" in found):
            pair = found[f"{network}_{fault}"], found[f"{network}_as_written"]
            results.add(f"{start}_{network}_{fault}_change", difference(*pair, resamples, seed))
    results.add(f"{start}_targets", measured(found["mean"], OF_TARGETS, resamples, seed))
    results.experiment(start, largest_change={name: float(table["change"].max()) for name, table in found.items()})


def judge_of_absent(results: Results, found: Mapping[tuple[str, str], Mapping[str, pd.DataFrame]]) -> None:
    """Keep the second question's numbers, by pair: `absent_<given>_<asked>_<way>`, and `.._over_mean`, the difference.

    found: of `all_of_absent`, by the kind of series that is given and the one that is asked for
    """
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    for (given, asked), tables in found.items():
        for way, table in tables.items():
            name = f"absent_{given}_{asked}_{way}"
            results.add(name, measured(table, METRICS, resamples, seed))
            if way != "mean":
                results.add(f"{name}_over_mean", difference(table, tables["mean"], resamples, seed))
        for network in ("dae", "vae"):
            ends = tables[f"{network}_itself"], tables[f"{network}_as_written"]
            results.add(f"absent_{given}_{asked}_{network}_itself_change", difference(*ends, resamples, seed))
    results.experiment("absent", pairs=[list(pair) for pair in found])


def judge_notebook(results: Results, series: pd.DataFrame | None) -> None:
    """Keep what needs no network: the notebook's own arithmetic, and the studies that its test looks at (`dropping`).

    series: records of `medutils.data.lumbar.load_series`, a row a series; None where there is no such table
    """
    results.experiment("pseudo_arithmetic", **arithmetic())
    if series is not None:
        results.experiment("dropping", **counted(series.groupby("study_id").size()))


# --- without a network ------------------------------------------------------------------------------------------------


def counted(series_of_study: pd.Series, rate: float = DROPPED) -> dict[str, int]:
    """How many studies the notebook's test looks at: those with two rows or more after half of them were dropped.

    series_of_study: how many series each study has, one number a study
    Returns `studies`, `learnt` (two series or more, which its training takes), `tested` (two left or more, that is four
    series or more) and `three`, the studies with three series, none of which is tested.
    """
    left = np.maximum(1, (series_of_study * (1 - rate)).astype(int))
    return {
        "studies": len(series_of_study),
        "learnt": int((series_of_study > 1).sum()),
        "tested": int((left > 1).sum()),
        "three": int((series_of_study == 3).sum()),
    }


def arithmetic(told: Mapping[str, Any] | None = None) -> dict[str, float]:
    """What follows from the notebook's own numbers.

    dae_loss_a_value, vae_loss_a_value, attention_loss_a_value: its training losses over the number of values; those of
        the last two hold the divergence, too
    gain: how much less squared error the autoencoder has than the third network, which was never trained
    floor: no output between -1 and 1 can have a mean squared error below this, whatever was learnt. The untrained
        network's output lies between -1 and 1 too, so the targets' root mean square is at least that of its error minus
        1, and the part of a target that is beyond 1 at least that minus 1.
    """
    told = reported_values("lumbar_fusion") if told is None else told
    dae, vae, third = told["unseen_mse"]
    dae_loss, vae_loss, third_loss = told["training_losses"]
    return {
        "dae_loss_a_value": dae_loss,
        "vae_loss_a_value": vae_loss / VALUES,
        "attention_loss_a_value": third_loss / VALUES,
        "gain": 1 - dae / third,
        "gain_vae": 1 - vae / third,
        "floor": max(float(np.sqrt(third)) - 2, 0.0) ** 2,
    }
