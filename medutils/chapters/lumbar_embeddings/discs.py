"""What an embedding of the mid-sagittal slice knows of each disc: SPIDER's gradings, by probes that know the disc.

The set names discs by number and says nowhere in the slice where a disc lies, and an embedding of the slice is one
vector for all discs. A crop of each disc would need its place, which the pictures come without.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medutils.chapters.lumbar_embeddings.probes import FOLDS, KNOWN, Array, Design, Rows, cross_validated
from medutils.errors import InputError
from medutils.evaluation import Estimate, Task, binary, compare, evaluate, grades
from medutils.tables import read_csv

PFIRRMANN = ("1", "2", "3", "4", "5")
ABSENT, PRESENT = "absent", "present"
FINDINGS = {  # the publisher's column of each, and what is asked of it
    "pfirrmann": "pfirrmann_grade",
    "narrowing": "disc_narrowing",
    "bulging": "disc_bulging",
    "herniation": "disc_herniation",
    "modic": "modic",  # of four types two are rare: any change, or none
    "spondylolisthesis": "spondylolisthesis",
}
CLINICAL = ("sex", "field_strength")
ASKED = ("sex", "birth_date", "MagneticFieldStrength")
COMPONENTS = 16  # principal components of an embedding: some hundred patients carry no more
SPLIT = "cross-validation"
METRICS = ("kappa_linear", "macro_auroc", "auroc", "auroc_over_targets", "balanced_accuracy", "log_loss")


class Input(NamedTuple):
    """What a probe is given beside the number of the disc."""

    series: tuple[str, ...] = ()  # whose embeddings
    clinical: bool = False
    per_disc: bool = False  # whether an embedding means something else at each disc


INPUTS = {
    "prior": Input(),
    "clinical": Input(clinical=True),
    "noise": Input(("noise",)),
    "t1": Input(("t1",)),
    "t2": Input(("t2",)),
    "both": Input(("t1", "t2")),
    "both_clinical": Input(("t1", "t2"), clinical=True),
    "both_per_disc": Input(("t1", "t2"), per_disc=True),
}


def task_of(finding: str) -> Task:
    """Five grades from the mildest to the most severe, all of one weight; else present against absent."""
    return grades(PFIRRMANN, (1.0,) * 5) if finding == "pfirrmann" else binary(PRESENT, ABSENT)


def labels_of(finding: str, discs: pd.DataFrame) -> pd.Series:
    """The classes of `task_of` for each disc."""
    value = discs[FINDINGS[finding]].astype(int)
    return value.astype(str) if finding == "pfirrmann" else value.gt(0).map({True: PRESENT, False: ABSENT})


def with_series(discs: pd.DataFrame, embeddings: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The discs of patients who have all the series, so that all probes are held against each other on the same."""
    there = [discs["patient"].isin(found.index) for found in embeddings.values()]
    kept = discs[np.logical_and.reduce(there)].reset_index(drop=True)
    if kept["patient"].nunique() < FOLDS:
        raise InputError(
            f"discs: found {kept['patient'].nunique()} patients with all of {', '.join(embeddings)}; "
            f"expected at least {FOLDS}"
        )
    return kept


def recorded(overview: Path) -> pd.DataFrame:
    """For how many patients the publisher's `overview.csv` fills a clinical column: the clinical input that there is.

    One row a manufacturer and `all`; columns `patients` and `ASKED`. A column that is filled at one manufacturer alone
    tells the scanner.
    """
    table = read_csv(overview, ("new_file_name", "Manufacturer"), min_rows=1)
    table["patient"] = table["new_file_name"].str.partition("_")[0]
    by_patient = table.replace("", np.nan).groupby("patient").first()
    filled = by_patient.reindex(columns=list(ASKED)).notna().assign(patients=True)[["patients", *ASKED]]
    by_maker = filled.groupby(by_patient["Manufacturer"].fillna("not named")).sum()
    return pd.concat([by_maker, filled.sum().to_frame("all").T]).astype(int)


def probe(
    discs: pd.DataFrame,
    embeddings: Mapping[str, pd.DataFrame],
    repeats: int = 3,
    seed: int = 0,
    findings: Sequence[str] = tuple(FINDINGS),
    inputs: Sequence[str] = tuple(INPUTS),
) -> dict[str, dict[str, pd.DataFrame]]:
    """Predictions of each finding by each input, from repeated cross-validation by patient.

    Parameters
    ----------
    discs: one row a disc: record_id, patient, disc, the columns of `FINDINGS` and of `CLINICAL`
    embeddings: of the series `t1` and `t2`: one row a patient (the index), one column a value

    `noise` has the shape of one series and is drawn from `seed`. `target` is the disc and the fold that held it out, so
    that `auroc_over_targets` is the mean of the AUROC among patients at one disc: where the prior knows nothing, one
    half. (Pooled over folds it would lie below: a fold that holds out more than its share of a class has less of it to
    learn from.) A finding that fewer than five patients have, or lack, is left out.
    """
    discs = with_series(discs, embeddings)
    shape = embeddings["t1"].shape
    noise = pd.DataFrame(np.random.default_rng(seed).standard_normal(shape), embeddings["t1"].index)
    given = {**embeddings, "noise": noise}
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for finding in findings:
        records = discs[["record_id", "patient"]].assign(label=labels_of(finding, discs))
        patients = records.groupby("label")["patient"].nunique()
        if (patients >= FOLDS).sum() < 2:
            continue
        for name in inputs:
            design = _design(discs, given, INPUTS[name])
            table = cross_validated(design, records, task_of(finding).classes, repeats, seed)
            disc = np.tile(discs["disc"].astype(str), repeats)
            table["target"] = "disc " + disc + ", fold " + table["fold"].astype(str)
            found.setdefault(finding, {})[name] = table.drop(columns="fold")
    return found


def _design(discs: pd.DataFrame, embeddings: Mapping[str, pd.DataFrame], given: Input) -> Design:
    """The numbers of each disc; principal components are those of the training patients."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    number = _indicators(discs["disc"])
    fixed = [KNOWN * number, *(_indicators(discs[name]) for name in CLINICAL if given.clinical)]
    if not given.series:
        return lambda train: np.hstack(fixed)
    patients = pd.Index(discs["patient"].unique())
    place = patients.get_indexer(discs["patient"])
    values = np.hstack([embeddings[name].loc[patients].to_numpy(float) for name in given.series])

    def design(train: Rows) -> Array:
        learned = values[np.unique(place[train])]
        count = min(COMPONENTS, len(learned) - 1, values.shape[1])
        reduce = make_pipeline(StandardScaler(), PCA(count, whiten=True, svd_solver="full")).fit(learned)
        shared = reduce.transform(values)[place]
        own = [shared * column[:, None] for column in number.T if given.per_disc]
        return np.hstack([*fixed, shared, *own])

    return design


def _indicators(column: pd.Series) -> Array:
    return pd.get_dummies(column).to_numpy(float)


def measure(
    found: Mapping[str, Mapping[str, pd.DataFrame]], resamples: int = 2000, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """Each finding by each input as `<finding>_<input>`, and `<finding>_<input>_over_<other>`, paired by patient.

    Every input is held against the prior, and what is added to both series against both alone.
    """
    every: dict[str, dict[str, Estimate]] = {}
    for finding, tables in found.items():
        task = task_of(finding)
        for name, table in tables.items():
            every[f"{finding}_{name}"] = evaluate(table, task, SPLIT, resamples=resamples, seed=seed)
            for other in ("prior", "both"):
                if other in tables and (other == "prior" or name.startswith("both_")) and name != other:
                    gain = compare(table, tables[other], task, SPLIT, resamples=resamples, seed=seed)
                    every[f"{finding}_{name}_over_{other}"] = gain
    return {name: {key: one for key, one in each.items() if key in METRICS} for name, each in every.items()}
