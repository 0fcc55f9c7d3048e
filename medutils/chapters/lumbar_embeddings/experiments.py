"""What this chapter measures, written into its results. Each function takes what a run has and keeps its numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from medutils import cache
from medutils.chapters import names_of
from medutils.chapters.lumbar_embeddings import (
    chosen_slice,
    discs,
    grid,
    imputation,
    missing,
    neighbours,
    ours,
    protocol,
    whole,
)
from medutils.chapters.lumbar_embeddings.arithmetic import arithmetic
from medutils.chapters.lumbar_embeddings.plan import (
    FORAMINA,
    Floats,
    Setup,
    grid_table,
    kept,
)
from medutils.data.lumbar import GRADES, LEVELS, SERIES, load_coordinates, load_rsna_targets, load_series
from medutils.data.mri import Grey, read_grey
from medutils.data.slices import DESCRIPTIONS, GRADED
from medutils.data.spider import Spider
from medutils.data.studies import Studies
from medutils.evaluation import calibration
from medutils.evidence import Results
from medutils.models.loading import medicalnet_into_resnet
from medutils.training.attention_pooling import Lesson, train_attention
from medutils.training.embeddings import embed
from medutils.training.grade_baselines import Fit, on_annotated, regressions
from medutils.training.grading import Graded, averaged, by_studies, train_all
from medutils.training.loop import Progress
from medutils.training.series import numbered

Tables = dict[str, pd.DataFrame]

SOME = 300  # studies whose slices stand as rows where rows are split: SVC on thousands of rows takes hours
FAULTS = ("all", "drops_moderate", "swaps_labels", "fills_empty", "skips_smote")
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "kappa_linear",
    "log_loss",
    "weighted_log_loss",
)
AXIAL = "Axial T2"


def _measure(results: Results, name: str, table: pd.DataFrame) -> None:
    """Evaluate predictions of test studies, and keep `METRICS`: all, of a hundred models, would be many thousand."""
    found = results.evaluate(table, "test")
    results.add(name, {metric: found[metric] for metric in METRICS})


def _difference(results: Results, name: str, first: pd.DataFrame, second: pd.DataFrame) -> None:
    found = results.difference(first, second, "test")
    results.add(name, {metric: found[metric] for metric in METRICS})


# --- the data ---------------------------------------------------------------------------------------------------------


def data(results: Results, setup: Setup) -> None:
    """Studies, slices, annotations, and the share of each grade at each level."""
    records = setup.slices.records
    by_level = pd.crosstab(records["level"], records["label"], normalize="index")
    shares = by_level.reindex(index=LEVELS, columns=GRADES, fill_value=0.0).fillna(0.0)
    results.experiment(
        "data",
        studies=records["patient"].nunique(),
        slices=len(setup.slices.files),
        annotations=len(records),
        **{
            side: records.loc[records["split"] == side, "patient"].nunique() for side in ("train", "validation", "test")
        },
        shares=shares.to_dict("index"),
    )


def tables(results: Results, folder: Path | None) -> None:
    """What the challenge's tables hold and lack, what needs no picture in them, and the write-up's arithmetic."""
    told = dict.fromkeys(("three_grades", "two_grades", "noise_f1"), float("nan"))
    if folder is not None:
        targets, series = load_rsna_targets(folder), load_series(folder).records
        annotations = load_coordinates(folder)
        of_condition = annotations["condition"].value_counts()
        of_level = annotations["level"].value_counts()
        normal = protocol.majority(targets, fills_empty=True).loc["mean"]
        results.experiment(
            "tables",
            annotations=len(annotations),
            annotations_by_condition=[int(of_condition.get(name, 0)) for name in CONDITIONS_AS_TOLD],
            annotations_by_level=[int(of_level.get(name, 0)) for name in LEVELS_AS_TOLD],
            series=[int((series["label"] == kind).sum()) for kind in SERIES_AS_TOLD],
            studies=len(targets),
            complete=missing.complete_studies(targets),
            empty=int(missing.empty_cells(targets).to_numpy().sum()),
            empty_together=int(missing.empty_together(targets)[True]),
            two_grades=float(normal["accuracy"]),
            two_grades_f1=float(normal["macro_f1"]),
            three_grades=float(normal["accuracy_three_grades"]),
        )
        noise = noise_scores(results, folder)
        told = {
            "three_grades": float(normal["accuracy_three_grades"]),
            "two_grades": float(normal["accuracy"]),
            "noise_f1": noise["as_written"]["f1"],
        }
    found = arithmetic(**told)
    if folder is None:  # nothing is below what was not measured
        found = {name: one for name, one in found.items() if not name.startswith(("below_", "of_"))}
    results.experiment("arithmetic", **found)


# The orders in which the write-up's notebook prints its counts.
CONDITIONS_AS_TOLD = (
    "left_neural_foraminal_narrowing",
    "right_neural_foraminal_narrowing",
    "spinal_canal_stenosis",
    "right_subarticular_stenosis",
    "left_subarticular_stenosis",
)
LEVELS_AS_TOLD = ("l3_l4", "l4_l5", "l5_s1", "l2_l3", "l1_l2")
SERIES_AS_TOLD = ("Axial T2", "Sagittal T1", "Sagittal T2/STIR")


def noise_scores(results: Results, folder: Path) -> dict[str, dict[str, float]]:
    """Noise in place of embeddings on the challenge's tables: as written, with one row a study, and done rightly."""
    targets, series = load_rsna_targets(folder), load_series(folder).records
    seed = results.parameters["seed"]
    ways: dict[str, dict[str, Any]] = {
        "as_written": {},
        "one_row_a_study": {"one_row_a_study": True},
        "correct": {"protocol": protocol.CORRECT},
    }

    def make() -> dict[str, dict[str, float]]:
        found = {}
        for name, how in ways.items():
            tables = protocol.noise_control(targets, series, seed=seed, **how)
            found[name] = protocol.mean_over_series(tables)
            if AXIAL in tables:  # the only kind of which a study may have two series
                found[name] |= {"f1_axial": protocol.scores_as_written(tables[AXIAL])["f1"]}
        return found

    depends = [(folder / name).read_text(encoding="utf-8") for name in (GRADED, DESCRIPTIONS)]
    found = kept(protocol.noise_control, [*depends, seed, AXIAL], make)
    results.experiment("noise", **found)
    return found


# --- from priors to a fine-tuned network ------------------------------------------------------------------------------


def judge_ladder(results: Results, found: Mapping[str, pd.DataFrame]) -> None:
    """Evaluate each step, and each pair of steps of which the second knows one thing more."""
    for name, table in found.items():
        results.judge(name, table, "test")
    for name, (first, second) in ours.PAIRS.items():
        if first in found and second in found:
            results.compare(name, *_alike(found[second], found[first]), "test")
    best = next(name for name in ("fine_tuned_averaged", "annotated_level") if name in found)
    for level in LEVELS:
        for name in (best, "prior_level"):
            rows = found[name][found[name]["target"].str.endswith(level)]
            if len(rows):
                _measure(results, f"{name.removesuffix('_averaged')}_at_{level}", rows)


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables with the same repeats: one that has no seeds stands beside each of the other's."""
    if ("repeat" in one) == ("repeat" in other):
        return one, other
    if "repeat" in one:
        return one, _again(other, one)
    return _again(one, other), other


def _again(table: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.assign(repeat=one) for one in sorted(seeds["repeat"].unique())], ignore_index=True)


def fine_tuned(results: Results, trainings: Sequence[Graded]) -> None:
    """Losses by epoch, seconds of a training, and how the averaged networks' probabilities fit the grades."""
    table = averaged(trainings)
    results.experiment(
        "fine_tuning",
        seeds=len(trainings),
        seconds=float(np.mean([one.seconds for one in trainings])),
        temperature=float(np.mean([one.temperature() for one in trainings])),
        **{
            column: np.mean([one.history[column] for one in trainings], axis=0).round(4).tolist()
            for column in ("train_loss", "validation_loss")
        },
        calibration={name: calibration(table, name).to_dict("list") for name in GRADES},
    )


def curve(results: Results, setup: Setup, features: Floats, progress: Progress | None = None) -> None:
    """Frozen and fine-tuned by the number of training studies."""
    numbers = setup.numbers()
    courses = {str(number): one for number, one in by_studies(setup.course(), numbers, setup.p.seed).items()}
    trained = train_all(courses, 1, setup.p.seed, progress)
    frozen = ours.frozen_by_studies(setup.slices, features, numbers, setup.p.seed)
    for number in numbers:
        _measure(results, f"studies_{number}_frozen", frozen[number])
        table = trained[str(number)][0].predictions()
        _measure(results, f"studies_{number}_fine_tuned", table)
    results.experiment("curve", studies=numbers)


# --- the protocol -----------------------------------------------------------------------------------------------------


def faults(results: Results, setup: Setup, features: Floats) -> None:
    """What each fault of the protocol adds to the write-up's scores on real or phantom slices, over several splits."""
    x = setup.by_study(features)[:, : grid.FIRST]
    rows = pd.DataFrame({"study_id": setup.studies, "series_id": "t1"})
    few = set(setup.studies[:SOME])
    inside = np.array([study in few for study in setup.study])
    slices = pd.DataFrame({"study_id": np.array(setup.study, object), "series_id": np.arange(len(inside)).astype(str)})
    seeds = [protocol.SEED + number for number in range(setup.p.splits)]
    given = dict.fromkeys(FAULTS, (x, rows)) | {
        "splits_rows": (features[inside, : grid.FIRST], slices[inside].reset_index(drop=True))
    }
    for name, (values, series) in given.items():
        results.experiment(f"fault_{name}", **_effect(name, values, series, setup.slices.grades, seeds))


def _effect(
    fault: str, x: Floats, series: pd.DataFrame, table: pd.DataFrame, seeds: Sequence[int]
) -> dict[str, list[float]]:
    """The scores with a fault and without it, a number a split."""

    def make() -> dict[str, list[float]]:
        return protocol.effect(fault, x, series, table, seeds=seeds).to_dict("list")

    depends = [fault, cache.array_hash(x), series.to_csv(), table.to_csv(), list(seeds)]
    return kept(protocol.effect, depends, make)


def network_protocol(results: Results, setup: Setup, features: Floats) -> None:
    """Scores of the write-up's network: Keras's accuracy, absent classes counted as 1, folds of rows that validate."""
    table = grid_table(setup)
    x = setup.by_study(features)[:, : grid.FIRST]

    def make() -> dict[str, Any]:
        folds = protocol.network_folds(x, table.y, table.patient)
        scores = protocol.network_table(table.y, folds)
        return {"mean": scores.mean().to_dict(), "best": scores.max().to_dict()}

    depends = [cache.array_hash(x), cache.array_hash(table.y), table.patient.tolist()]
    results.experiment("network", **kept(protocol.network_folds, depends, make))


def loading(results: Results, depth: int) -> None:
    """What `strict=False` takes from the weights of a 3-D network."""
    found = kept(
        medicalnet_into_resnet, [depth], lambda: {n: vars(x) for n, x in medicalnet_into_resnet(depth).items()}
    )
    results.experiment("loading", depth=depth, **found)


def filling(results: Results, setup: Setup) -> None:
    """Empty grades: what the write-up's forest fills, and how often filled cells are right where the truth is known."""
    table = setup.slices.grades[list(FORAMINA)]
    seed = setup.p.seed

    def make() -> dict[str, float]:
        found: dict[str, float] = {}
        for how in ("mode", "random_forest"):
            hidden = imputation.recovered(table, how, seed=seed)
            right = hidden[[f"prob_{name}" for name in GRADES]].to_numpy().argmax(1)
            true = hidden["y_true"].map(GRADES.index).to_numpy()
            found[how] = float((right == true).mean())
            ill = true > 0
            found[f"{how}_ill"] = float((right == true)[ill].mean()) if ill.any() else float("nan")
        return found

    found = kept(imputation.recovered, [table.to_csv(), seed], make)
    results.experiment("filling", processed=len(imputation.processed_as_written(table)), columns=len(FORAMINA), **found)


# --- pixels and attention ---------------------------------------------------------------------------------------------


def pixel_faults(results: Results, setup: Setup, known: pd.DataFrame, progress: Progress | None = None) -> None:
    """Batch normalisation left in train mode, and pixels of 0 to 255, each against the annotated slice with its level.

    known: predictions of the regression on the annotated slice with its level
    """
    fits = {
        "batch_norm": setup.embedded(progress=progress, batch_norm="train"),
        "scale": setup.embedded(progress=progress, scale="0-255"),
        "equalised": setup.embedded(grey="hist", progress=progress),
    }
    found = regressions({name: Fit(setup.slices, on_annotated(setup.slices, x)) for name, x in fits.items()})
    for name, table in found.items():
        _measure(results, name, table)
        _difference(results, f"{name}_minus_annotated", table, known)


def attention(results: Results, setup: Setup, features: Floats, mean: pd.DataFrame) -> None:
    """Attention that was never trained, drawn many times, each for all studies; and trained; against the mean.

    mean: predictions of the regression on the mean over a study's slices, which knows no level
    """
    slices, embedder = setup.slices, setup.embedder("lite0_attention")
    place = setup.studies.get_indexer(slices.records["patient"].astype(str))
    found = regressions(
        {
            f"draw_{number}": Fit(slices, setup.by_study(features, embedder.attention(number))[place], "nothing")
            for number in range(setup.p.draws)
        }
    )
    losses = [results.evaluate(table, "test", resamples=10)["weighted_log_loss"].value for table in found.values()]
    results.experiment("draws", weighted_log_loss=losses)
    _measure(results, "attention_untrained", found["draw_0"])
    _measure(results, "attention_trained", _trained(setup, features))
    _difference(results, "attention_untrained_minus_mean", found["draw_0"], mean)


def _trained(setup: Setup, features: Floats) -> pd.DataFrame:
    """Predictions of the test studies by an attention that was trained, with a linear head, on the others."""
    table = grid_table(setup)
    (train, test), lesson = table.folds[0], Lesson()
    may = np.isin(np.arange(len(table.y)), train)
    found = train_attention(
        features, numbered(setup.study).numpy(), table.y, table.patient.tolist(), may, lesson, setup.p.seed
    )
    held = np.full(found.probabilities.shape, np.nan)
    held[test] = found.probabilities[test]
    predictions = table.predictions(held)
    records = setup.slices.records
    key = predictions["patient"] + ":" + predictions["target"]
    there = key.isin(set(records["record_id"]))
    return predictions[there].assign(record_id=key[there]).reset_index(drop=True)


# --- the grid ---------------------------------------------------------------------------------------------------------


def judge_grid(results: Results, cells: Sequence[grid.Cell], found: Tables) -> list[str]:
    """Evaluate each configuration as `grid_<name>` and each axis as `axis_<name>`; returns the axes that were run."""
    for name, table in found.items():
        _measure(results, f"grid_{name}", table)
    axes = []
    for axis in grid.AXES:
        if any(a.name in found and b.name in found for a, b in grid.pairs(axis, cells)):
            _difference(results, f"axis_{axis}", *grid.along(axis, cells, found))
            axes.append(axis)
    if found:
        results.experiment("grid", configurations=len(found), axes=axes)
    return axes


def weights(results: Results, setup: Setup) -> None:
    """Whether the grid's ResNet-50 has ImageNet's weights or fresh ones; nothing where it has no part in it."""
    if {"rn50", "aal"} & set(names_of(setup.p.embedders)):
        results.experiment("weights", resnet50=setup.embedder("resnet50").weights)


# --- beyond -----------------------------------------------------------------------------------------------------------


def dicom(results: Results, studies: Studies, size: int) -> np.ndarray:
    """Whole DICOM studies: counts, and the share of white pixels by each way to grey; returns one slice three ways."""
    ways: tuple[Grey, ...] = get_args(Grey)
    t1 = studies.series[studies.series["description"] == "Sagittal T1"]
    row = (t1 if len(t1) else studies.series).iloc[0]
    path = row["slices"][len(row["slices"]) // 2]
    pictures = np.stack([read_grey(path, size, way) for way in ways])
    middle = [slices[len(slices) // 2] for slices in studies.series["slices"]]
    white = {way: float(np.mean([(read_grey(one, size, way) == 255).mean() for one in middle])) for way in ways}
    results.experiment(
        "dicom",
        studies=studies.series["study_id"].nunique(),
        series=len(studies.series),
        slices=len(studies.files),
        kinds=[int((studies.series["description"] == kind).sum()) for kind in SERIES],
        **{f"white_{way}": share for way, share in white.items()},
    )
    return pictures


def embedders(results: Results, studies: Studies, found: whole.Found) -> pd.DataFrame:
    """How many embedders gave how many series a vector each; returns a row a set of embeddings, for the page."""
    results.experiment(
        "series",
        studies=studies.series["study_id"].nunique(),
        series=len(studies.series),
        sets=len(found.sets),
        fresh=sum(one.weights == "fresh" for one in found.sets),
    )
    rows = {
        f"{one.embedder}{f' ({one.variant})' if one.variant else ''}": {
            "weights": one.weights,
            "pooling": one.pooling,
            "values": one.values.shape[1],
            "series": one.values.shape[0],
        }
        for one in found.sets
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def judge_task(results: Results, found: Tables) -> None:
    """Evaluate each configuration of the whole task as `whole_<name>`."""
    for name, table in found.items():
        _measure(results, f"whole_{name}", table)


def spider_embeddings(setup: Setup, spider: Spider, progress: Progress | None = None) -> Tables:
    """Embeddings of the mid-sagittal slices, by series: a row a patient."""
    found = {}
    for kind in ("t1", "t2"):
        patients, x = spider.pixels(kind, setup.p.size)
        values = embed(setup.embedder("lite0"), x, cache.array_hash(x.numpy()), progress=progress)
        found[kind] = pd.DataFrame(values, index=pd.Index(patients))
    return found


def spider_discs(results: Results, spider: Spider, embeddings: Tables, repeats: int) -> None:
    """What the embeddings know of each disc; kept as `spider_<finding>_<input>`."""
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    found = discs.probe(spider.discs, embeddings, repeats, seed)
    for name, metrics in discs.measure(found, resamples, seed).items():
        results.add(f"spider_{name}", metrics)
    results.experiment(
        "spider", patients=spider.discs["patient"].nunique(), discs=len(spider.discs), findings=list(found)
    )


def alike(results: Results, setup: Setup, features: Floats) -> None:
    """Whose slice is the nearest, by study, patient's level and grade, and what clusters agree with."""
    records = setup.slices.records
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    near = neighbours.nearest(features, records.assign(study=records["patient"]), ("study", "level", "side"))
    for name, metrics in neighbours.shared(near, resamples, seed).items():
        results.add(f"nearest_{name}", metrics)
    same = neighbours.same_grade(
        neighbours.neighbour_grades(features, records), neighbours.by_level(records), resamples, seed
    )
    for name, metrics in same.items():
        results.add(f"nearest_grade_{name.split('/')[0].lower()}", metrics)
    found = neighbours.agreements(neighbours.clusters(features, 10, seed), records, seed=seed)
    for name, one in found.items():
        results.add(f"clusters_{name}", {"information": one.information})
    results.experiment("clusters", **{name: {"shuffled": one.shuffled, "p": one.p} for name, one in found.items()})


def alike_patients(results: Results, spider: Spider, embeddings: Tables) -> None:
    """Whose slice is the nearest among SPIDER's patients: the same series, scanner, sex."""
    values, records = neighbours.of_patients(embeddings, spider.discs)
    records = records.assign(person=records["patient"])
    near = neighbours.nearest(values, records, ("person", "series", "manufacturer", "sex"))
    for name, metrics in neighbours.shared(near, results.parameters["resamples"], results.parameters["seed"]).items():
        results.add(f"spider_nearest_{name}", metrics)


def given_away(results: Results, folder: Path) -> None:
    """What the choice of the slice and the point say of the grade without a pixel; kept as `chosen_<input>`."""
    found = chosen_slice.annotations(load_coordinates(folder), load_rsna_targets(folder))
    seed = results.parameters["seed"]
    probed = chosen_slice.probe(found, seed=seed)
    for name, metrics in chosen_slice.measure(probed, results.parameters["resamples"], seed).items():
        results.add(f"chosen_{name}", metrics)
    results.experiment("chosen", **chosen_slice.facts(found))
