"""From a network that fuses series to a model to take away: calibrated, and measured with every series missing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.data.lumbar import GRADES
from medutils.data.mri import Grey
from medutils.data.studies import Studies
from medutils.errors import InputError
from medutils.evaluation import Estimate, choose_threshold, compare, evaluate, fit_temperature, grades
from medutils.export.about import About, TrainedOn
from medutils.export.model import save_model
from medutils.export.study import EMBEDDER, Evaluated, StudyInput
from medutils.models.embedders import LITE_MANIFEST, embedder
from medutils.models.fusion import FusionNet
from medutils.models.weights import weights_manifest
from medutils.tables import check_predictions
from medutils.training import loop
from medutils.training.fused import FusedSet, Rows
from medutils.training.fused_sets import study_set
from medutils.training.fusion import Fitting, Job, fit_all, prepare
from medutils.training.fusion_choice import Setting, choose, most_features
from medutils.training.fusion_trials import subsets
from medutils.training.loop import Progress

RULE, NO_RULE = "the highest F1 on the validation studies", "not chosen, since no validation target is so"
TITLE = "Lumbar stenosis from the MRI series that are there"
FITTING = Fitting()
METRICS = ("log_loss", "weighted_log_loss", "auroc[Severe]", "auroc_over_targets[Severe]", "kappa_linear")


def study_about(
    network: FusionNet,
    data: FusedSet,
    validation: Rows,
    test: Rows,
    trained_on: TrainedOn,
    *,
    title: str,
    size: int,
    grey: Grey = "gsl",
    resamples: int = 2000,
) -> About:
    """What is to be known of a network that fuses the series of whole studies, so that it can be exported.

    Parameters
    ----------
    data: studies of RSNA 2024's kind, embedded (`study_set`)
    validation: rows that temperatures and the threshold are chosen on; test: rows that it is measured on, once
    size, grey: pixels a side, and the preprocessing, that slices were embedded with

    Each finding has its temperature. It is fitted on the validation studies with each subset of their series in turn,
    since a study that lacks a series is to have calibrated probabilities too. What a missing series costs is measured
    on the test studies that have all of them: with each subset, against all. Raises `InputError` when validation or
    test holds no graded target.
    """
    for name, rows in (("validation", validation), ("test", test)):
        if not (data.y[rows] >= 0).any():
            raise InputError(f"{name}: found no graded target in {len(rows)} studies; expected some")
    reads = StudyInput(
        design=network.config,
        weights=weights_manifest(LITE_MANIFEST).sha256,
        size=size,
        grey=grey,
        temperatures=_temperatures(network, data, validation),
    )
    table = _predictions(reads, network, data, validation)
    severe = (table["y_true"] == GRADES[-1]).to_numpy(float)
    graded = (table["y_true"] != "").to_numpy()
    threshold = choose_threshold(severe[graded], table.loc[graded, f"prob_{GRADES[-1]}"].to_numpy())
    found = evaluate(_predictions(reads, network, data, test), grades(GRADES), "test", resamples=resamples)
    evaluated = _by_series(reads, network, data, test, resamples)
    return About(
        title=title,
        reads=reads.model_copy(update={"evaluated": evaluated}),
        classes=GRADES,
        threshold=threshold,
        threshold_rule=RULE if severe.any() else NO_RULE,
        data=trained_on,
        metrics={name: found[name] for name in METRICS if name in found},
    )


def fit_study_model(
    path: Path,
    studies: Studies,
    trained_on: TrainedOn,
    job: dict[str, object],
    *,
    size: int = 224,
    seed: int = 0,
    fitting: Fitting = FITTING,
    resamples: int = 2000,
    progress: Progress | None = None,
) -> About:
    """Embed divided studies, train a network on them, and write it to `path`; see `fit_studies`.

    Raises what `study_set`, `fit_studies` and `save_model` raise.
    """
    data = study_set(studies, embedder(EMBEDDER, size=size), size, progress)
    network, about = fit_studies(
        studies, data, trained_on, job, size=size, seed=seed, fitting=fitting, resamples=resamples
    )
    save_model(path, network, about)
    return about


def fit_studies(
    studies: Studies,
    data: FusedSet,
    trained_on: TrainedOn,
    job: dict[str, object],
    *,
    size: int,
    seed: int = 0,
    fitting: Fitting = FITTING,
    grid: Sequence[Setting] = (),
    resamples: int = 2000,
) -> tuple[FusionNet, About]:
    """Train a network on the training studies, calibrate it on the validation studies, measure it on the test studies.

    data: the studies, embedded (`study_set`); job: settings of `FusionConfig`, such as `architecture` and `missing`
    grid: settings of which the training studies choose one, see `choose`

    Raises `InputError` when the studies are not divided, and what `fit_all` and `study_about` raise.
    """
    train, validation, test = (_rows(studies, data, split) for split in ("train", "validation", "test"))
    design = data.config(**job)
    widest = prepare(data, train, most_features(design, grid))
    design, fitting = choose(data, design, train, seed, fitting, grid, widest)
    ready = widest.first(design.features)
    network = fit_all(data, {"model": Job(design)}, train, seed, fitting, ready)["model"].network
    about = study_about(network, data, validation, test, trained_on, title=TITLE, size=size, resamples=resamples)
    return network, about


def _rows(studies: Studies, data: FusedSet, split: str) -> Rows:
    """Places of the studies of a split among those embedded."""
    named = set(studies.records.loc[studies.records["split"] == split, "patient"])
    rows = np.flatnonzero([patient in named for patient in data.patients])
    if not len(rows):
        raise InputError(f"studies: found none in {split}; expected studies that are divided (`Studies.hold_out`)")
    return rows


def _left(data: FusedSet, rows: Rows, series: Sequence[str]) -> tuple[Rows, Tensor]:
    """The studies that have one of the series, and which of their tokens are left: bool (studies, series, tokens)."""
    mask = data.mask[rows] & torch.tensor([name in series for name in data.series])[:, None]
    some = mask.flatten(1).any(1)
    return rows[some.numpy()], mask[some]


def _temperatures(network: FusionNet, data: FusedSet, rows: Rows) -> dict[str, float]:
    """The temperature of each finding, over its targets and over all subsets of series; 1 where none is graded."""
    parts = [_left(data, rows, series) for series in subsets(data.series)]
    with torch.inference_mode():
        logits = torch.cat([network(data.x[kept], mask) for kept, mask in parts]).double().numpy()
    y = np.concatenate([data.y[kept] for kept, _ in parts])
    found = {}
    for finding in dict.fromkeys(data.findings):
        of = np.array(data.findings) == finding
        graded = y[:, of] >= 0
        found[finding] = fit_temperature(logits[:, of][graded], y[:, of][graded]) if graded.any() else 1.0
    return found


def _predictions(
    reads: StudyInput, network: FusionNet, data: FusedSet, rows: Rows, series: Sequence[str] = ()
) -> pd.DataFrame:
    """A predictions table, a row a study and target, by what would be exported."""
    rows, mask = _left(data, rows, series or data.series)
    x = torch.where(mask[..., None], data.x[rows], torch.nan)
    probability: NDArray[np.float64] = loop.probabilities(reads.logits(network, x))
    y = data.y[rows].ravel()
    patients = np.repeat(np.array(data.patients, object)[rows], len(data.targets))
    targets = np.tile(np.array(data.targets, object), len(rows))
    table = pd.DataFrame(
        {
            "record_id": [f"{patient}:{target}" for patient, target in zip(patients, targets, strict=True)],
            "patient": patients,
            "y_true": np.where(y < 0, "", np.array(GRADES, object)[y]),
            "target": targets,
            **{f"prob_{grade}": probability[:, place] for place, grade in enumerate(GRADES)},
        }
    )
    return check_predictions(table)


def _by_series(
    reads: StudyInput, network: FusionNet, data: FusedSet, rows: Rows, resamples: int
) -> tuple[Evaluated, ...]:
    """How well it does with each subset of series, on the studies that have all of them."""
    rows = rows[data.present[rows].all(1).numpy()]
    if not (data.y[rows] >= 0).any():
        return ()
    task, severe = grades(GRADES), f"auroc[{GRADES[-1]}]"
    whole = _predictions(reads, network, data, rows)
    found = []
    for series in subsets(data.series):
        table = _predictions(reads, network, data, rows, series)
        values = evaluate(table, task, "test", resamples=resamples)
        changes: dict[str, Estimate] = compare(table, whole, task, "test", resamples=resamples)
        found.append(
            Evaluated(
                series=series,
                log_loss=values["log_loss"],
                auroc=values[severe],
                log_loss_change=changes["log_loss"],
                auroc_change=changes[severe],
            )
        )
    return tuple(found)
