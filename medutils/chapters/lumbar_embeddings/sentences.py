"""What a run of the lumbar chapter chooses to say. Each clause takes the numbers of a run."""

from collections.abc import Callable, Mapping
from math import isnan
from typing import Any

import pandas as pd

from medutils.chapters.lumbar_embeddings import grid
from medutils.data.graded_slices import GradedSlices
from medutils.data.lumbar import GRADES, LEVELS
from medutils.evaluation import Estimate, number, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import Clause, Folded, share
from medutils.tables import markdown_safe

LOSS, AREA = "weighted_log_loss", "macro_auroc"
NOT_YET = "**The claims of this chapter have not been run on real data yet.** What stands below is of this run."


def points(value: float) -> str:
    """A difference of shares in percentage points."""
    return f"{number(100 * value, '+.1f')} points"


def two(n: Numbers, name: str) -> str:
    """Weighted log loss and macro-AUROC of a model."""
    loss, area = n.metric(f"{name}.{LOSS}").value, n.metric(f"{name}.{AREA}").value
    return f"{number(loss, '.3f')} and {number(area, '.3f')}"


def mean(values: list[Any]) -> float:
    """The mean of the numbers that are defined; NaN where none is."""
    known = [value for value in values if value is not None and not isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def origin(slices: GradedSlices, on_what: str) -> str:
    """What this run was made from, and what of it was left out."""
    said = {
        "phantom": "**This run was made from a phantom**: spines computed by a program, written as DICOM studies, from "
        "which the annotated slices were cut. It says nothing about patients.",
        "real data": f"This run was made from real data ({markdown_safe(slices.located.name)}).",
    }
    return " ".join([said[on_what], *slices.notes])


# --- the first screen -------------------------------------------------------------------------------------------------


def answer(n: Numbers, told: float) -> str:
    """The first screen."""
    if isnan(n.metric(f"prior_level.{AREA}").value):
        return NOT_YET
    text = (
        f"The write-up's best row has an accuracy of {told:.2%}. Its code drops every Moderate grade there, and "
        "**whoever then calls every foramen, canal and recess Normal/Mild is right in "
        f"{share(n.number('tables/two_grades'), 2)}**. Noise in place of embeddings reaches "
        f"{share(n.number('noise/as_written/accuracy'))}. On real slices, with all three grades, the level alone and "
        f"no picture gives a macro-AUROC of {n.metric(f'prior_level.{AREA}')}; a frozen ImageNet embedding of the "
        f"annotated slice brings it to {n.metric(f'annotated_level.{AREA}')}"
    )
    fine = n.metric(f"fine_tuned.{AREA}")
    return text + (f", a network that was fine-tuned on such slices to {fine}." if not isnan(fine.value) else ".")


def takeaways(n: Numbers) -> list[str]:
    """What a reader should keep, each with its number; empty without a reference run."""
    found = [
        ("embedding_beside_level", "The mean embedding of a study, beside the level, changes weighted log loss by"),
        ("slice_beside_embedding", "The annotated slice in place of that mean changes it by"),
        ("fine_tuning", "Fine-tuning on annotated slices changes it by"),
        ("slice_beside_fine_tuning", "Knowing the slice, and not the study alone, is worth, after fine-tuning,"),
    ]
    said = [
        f"{words} {n.metric(f'{name}.{LOSS}')}." for name, words in found if not isnan(n.metric(f"{name}.{LOSS}").value)
    ]
    if not isnan(n.number("noise/as_written/f1")):
        said.insert(
            0,
            f"Noise has an F1 of {share(n.number('noise/as_written/f1'))} under the write-up's protocol, and of "
            f"{share(n.number('noise/one_row_a_study/f1'))} with one row a study; "
            f"{number(n.number('arithmetic/below_noise_f1'), '.0f')} of its "
            f"{number(n.number('arithmetic/of_noise_f1'), '.0f')} SVC rows on 512 values lie below the first.",
        )
    if nulls := _null(n):
        said.append(f"Without an effect that we could measure: {'; '.join(nulls)}.")
    return said


def _null(n: Numbers) -> list[str]:
    names = {
        "the mean embedding of a study beside its level": f"embedding_beside_level.{LOSS}",
        "histogram equalisation, over the grid": f"axis_preprocessing.{AREA}",
        "attention that was never trained, over the grid": f"axis_attention.{AREA}",
        "SMOTE for SVC": f"axis_smote_svc.{AREA}",
    }
    return [
        f"{words} ({n.metric(name)})"
        for words, name in names.items()
        if not isnan(n.metric(name).value) and verdict(n.metric(name)) == "holds 0"
    ]


# --- the data ---------------------------------------------------------------------------------------------------------


def composed(n: Numbers) -> str:
    """Annotations, studies, slices."""
    return (
        f"{number(n.number('data/annotations'), ',.0f')} annotations of {number(n.number('data/studies'), ',.0f')} "
        f"studies lie on {number(n.number('data/slices'), ',.0f')} slices; "
        f"{number(n.number('data/test'), ',.0f')} studies are held out for the test"
    )


def prevalence(n: Numbers) -> str:
    """How common Normal/Mild is at the ends of the spine."""
    shares = n.results.get("experiments", {}).get("data", {}).get("shares", {})
    normal = {level: of.get("Normal/Mild", float("nan")) for level, of in shares.items()}
    low, high = normal.get("l5_s1", float("nan")), normal.get("l1_l2", float("nan"))
    return f"{share(high)} of the foramina at L1/L2 are Normal/Mild, and {share(low)} of those at L5/S1"


def shares_by_level(n: Numbers) -> pd.DataFrame:
    """The share of each grade (columns) at each level (rows); empty where a run has none."""
    found = n.results.get("experiments", {}).get("data", {}).get("shares", {})
    table = pd.DataFrame(found).T.reindex(columns=GRADES)
    return table.set_axis([str(level).upper().replace("_", "/") for level in table.index]) if len(table) else table


def emptiness(n: Numbers) -> str:
    """Complete studies and empty cells."""
    return (
        f"of {number(n.number('tables/studies'), ',.0f')} studies {number(n.number('tables/complete'), ',.0f')} have "
        f"all 25 grades; {number(n.number('tables/empty'), ',.0f')} cells are empty, "
        f"{number(n.number('tables/empty_together'), ',.0f')} of them where a whole condition was not graded"
    )


def dicom(n: Numbers) -> str:
    """White pixels by each way to grey."""
    return (
        f"the middle slices of {number(n.number('dicom/series'), '.0f')} series have "
        f"{share(n.number('dicom/white_gsl'))} white pixels by percentiles, {share(n.number('dicom/white_hist'))} once "
        f"equalised, and {share(n.number('dicom/white_clipped'))} where 16 bits are clipped at 255"
    )


# --- the honest baselines ---------------------------------------------------------------------------------------------


def baselines(n: Numbers) -> str:
    """Weighted log loss of each step without a training."""
    names = ("prior", "prior_level", "noise_level", "studies_level", "annotated_level")
    alone, level, noise, study, own = (number(n.metric(f"{name}.{LOSS}").value, ".3f") for name in names)
    return (
        f"weighted log loss is {alone} for shares alone and {level} by level; with the level known, it is {noise} for "
        f"noise, {study} for the mean over the study and {own} for the annotated slice"
    )


def level_known(n: Numbers) -> str:
    """What the level is worth beside the embedding."""
    return (
        "knowing the level, beside the study's mean, changes weighted log loss by "
        f"{n.metric(f'level_beside_embedding.{LOSS}')}"
    )


# --- the grid ---------------------------------------------------------------------------------------------------------

AXIS_WORDS = {
    "preprocessing": "HIST minus GSL",
    "attention": "attention, untrained, minus mean",
    "embedder": "ResNet-152 minus ResNet-50",
    "fourth_embedder": "Lite0 minus ResNet-50",
    "values": "2,048 minus 512 values",
    "values_lite0": "1,280 minus 512 values (Lite0)",
    "lgbm": "LightGBM minus SVC",
    "xgboost": "XGBoost minus SVC",
    "bagging": "bagging minus SVC",
    "ann": "ANN minus SVC",
    "weighted_loss": "weighted loss minus none (ANN)",
    "trees": "100 minus 10 trees",
    "smote_svc": "SMOTE minus none (SVC)",
    "smote_lgbm": "SMOTE minus none (LightGBM)",
    "under_sampling_svc": "SMOTE with under-sampling minus SMOTE (SVC)",
    "under_sampling_lgbm": "the same (LightGBM)",
    "filled_by_mode": "cells filled by mode minus masked (ANN)",
    "filled_by_forest": "filled by forest minus masked (ANN)",
}
assert list(AXIS_WORDS) == list(grid.AXES)


def gridded(n: Numbers) -> str:
    """The best configurations, beside shares by level."""
    names = _grid_names(n)
    if not names:
        return "no grid was run"
    best = max(names, key=lambda name: n.metric(f"grid_{name}.{AREA}").value)
    right = max(names, key=lambda name: n.metric(f"grid_{name}.accuracy").value)
    return (
        f"of {len(names)} configurations the highest macro-AUROC is {n.metric(f'grid_{best}.{AREA}')} ({best}) and the "
        f"highest accuracy {n.metric(f'grid_{right}.accuracy')} ({right}); shares by level, without a picture, have "
        f"{n.metric(f'prior_level.{AREA}')} and {n.metric('prior_level.accuracy')}"
    )


def weights(n: Numbers) -> str:
    """Whether ResNet-50's weights are ImageNet's."""
    given = n.results.get("experiments", {}).get("weights", {}).get("resnet50")
    if given is None:
        return "the grid has no ResNet-50"
    said = f"ResNet-50 has {given} weights"
    if given == "fresh":
        said += (
            ", random ones: no package holds ImageNet's, and there was no network to get them from. The rows of RN50 "
            "and AAL, and what attention is worth, then say nothing of the write-up's embedder, which had them"
        )
    return said


def _grid_names(n: Numbers) -> list[str]:
    ends = f".{AREA}"
    return [
        name.removeprefix("grid_").removesuffix(ends)
        for name in n.results.get("metrics", {})
        if name.startswith("grid_") and name.endswith(ends)
    ]


def grid_rows(real: Numbers, run: Numbers, told: Mapping[str, Any]) -> pd.DataFrame:
    """The reported rows and ours: accuracy, macro-F1 and AUC as reported, then those of both runs."""
    names = list(dict.fromkeys([*(cell.name for cell in grid.REPORTED), *_grid_names(real), *_grid_names(run)]))
    metrics = {"accuracy": "accuracy", "f1": "macro_f1", "auc": AREA}
    rows = {}
    for name in names:
        sides = {
            "reported": {short: told.get(f"{name}_{short}", float("nan")) for short in metrics},
            "reference": {short: real.metric(f"grid_{name}.{metric}").value for short, metric in metrics.items()},
            "this run": {short: run.metric(f"grid_{name}.{metric}").value for short, metric in metrics.items()},
        }
        for found in sides.values():
            found |= {word: score(**found) for word, score in SCORES.items()}
        rows[name] = {
            f"{short}, {which}": "–" if isnan(found[short]) else f"{found[short]:.3f}"
            for short in (*metrics, *SCORES)
            for which, found in sides.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


# Two formulas by one name: the one of the table's last column, and the one of the text beside it.
SCORES: Mapping[str, Callable[..., float]] = {
    "score of the table": lambda accuracy, f1, auc: 0.25 * accuracy + 0.25 * f1 + 0.5 * auc,
    "score of the text": lambda accuracy, f1, auc, **_: (accuracy / 2 + f1 + auc) / 2.5,
}


def axis_estimates(n: Numbers) -> dict[str, Estimate]:
    """The effect of each axis on macro-AUROC, of a run, by its words."""
    found = {words: n.metric(f"axis_{axis}.{AREA}") for axis, words in AXIS_WORDS.items()}
    return {words: one for words, one in found.items() if not isnan(one.value)}


def whole_series(n: Numbers) -> str:
    """Embedders and series of whole studies."""
    return (
        f"{number(n.number('series/sets'), '.0f')} embedders gave each of "
        f"{number(n.number('series/series'), ',.0f')} series of {number(n.number('series/studies'), ',.0f')} whole "
        f"studies a vector; the weights of {number(n.number('series/fresh'), '.0f')} were random"
    )


def whole_task(n: Numbers) -> dict[str, Estimate]:
    """Macro-AUROC over all 25 targets and three kinds of series, by configuration; empty where it was not run."""
    start, end = "whole_", f".{AREA}"
    found = [name for name in n.results.get("metrics", {}) if name.startswith(start) and name.endswith(end)]
    return {name.removeprefix(start).removesuffix(end).replace("_", " "): n.metric(name) for name in found}


def best_reported(told: Mapping[str, Any], score: str) -> float:
    """The highest accuracy, f1 or auc among the reported rows, as a share."""
    return max(told[f"{cell.name}_{score}"] for cell in grid.REPORTED)


# --- what went wrong --------------------------------------------------------------------------------------------------

FAULT_WORDS = {
    "all": "all faults at once",
    "drops_moderate": "1. class Moderate dropped",
    "splits_rows": "3. rows are split, a row a slice",
    "swaps_labels": "labels of another condition",
    "fills_empty": "empty grades filled and scored",
    "skips_smote": "SMOTE that never runs",
}


def fault_effects(n: Numbers, score: str = "f1") -> dict[str, Estimate]:
    """What each fault adds to a score, in percentage points: the mean over the splits, least and most; largest first.

    The leak of the merge is measured on noise, on one split.
    """
    found = {}
    for name, words in FAULT_WORDS.items():
        if added := [100 * one for one in n.numbers(f"fault_{name}/{score}_added")]:
            found[words] = Estimate(mean(added), min(added), max(added), len(added), "test")
    written, single = (n.number(f"noise/{way}/{score}") for way in ("as_written", "one_row_a_study"))
    if not isnan(written):
        added_on_noise = 100 * (written - single)
        found["2. merge that copies rows (on noise)"] = Estimate(
            added_on_noise, added_on_noise, added_on_noise, 1, "test"
        )
    return dict(sorted(found.items(), key=lambda item: -abs(item[1].value)))


def _fault(n: Numbers, name: str, score: str, one: str = "with it", other: str = "without") -> str:
    with_it, without = (mean(n.numbers(f"fault_{name}/{score}_{end}")) for end in ("with", "without"))
    told = (lambda value: number(value, ".3f")) if score.startswith("auroc") else share
    added = n.numbers(f"fault_{name}/{score}_added")
    unsure = "; over the splits the difference has no one sign" if added and min(added) <= 0 <= max(added) else ""
    return f"{told(with_it)} {one} and {told(without)} {other}{unsure}"


def moderate(n: Numbers) -> str:
    """Accuracy with and without the class Moderate."""
    return f"accuracy is {_fault(n, 'drops_moderate', 'accuracy')}"


TREES = ("lgbm", "xgboost", "bagging")  # the network's accuracy is another quantity


def majority(n: Numbers) -> str:
    """Always Normal/Mild, and the rows of trees below it."""
    lower = sum(n.number(f"arithmetic/below_three_grades_{model}") for model in TREES)
    rows = sum(cell.recipe in TREES for cell in grid.REPORTED)
    return (
        f"always Normal/Mild is right in {share(n.number('tables/two_grades'), 2)} without the class Moderate and in "
        f"{share(n.number('tables/three_grades'), 2)} with it; {number(lower, '.0f')} of the write-up's {rows} rows of "
        "trees, which have three grades, are less accurate"
    )


def merged(n: Numbers) -> str:
    """What noise scores with the merge and without."""
    return (
        f"noise has an F1 of {share(n.number('noise/as_written/f1'))} as written and of "
        f"{share(n.number('noise/one_row_a_study/f1'))} with one row a study; of axial T2 alone "
        f"{share(n.number('noise/as_written/f1_axial'))} and {share(n.number('noise/one_row_a_study/f1_axial'))}. With "
        f"every fault mended it is {share(n.number('noise/correct/f1'))}, over three grades and not two"
    )


def split_rows(n: Numbers) -> str:
    """Rows split, and studies split."""
    return f"macro-F1 is {_fault(n, 'splits_rows', 'f1')}, AUROC {_fault(n, 'splits_rows', 'auroc_of_survivors')}"


def swapped(n: Numbers) -> str:
    """Labels of another condition."""
    return (
        f"AUROC is {_fault(n, 'swaps_labels', 'auroc_of_survivors')}, accuracy {_fault(n, 'swaps_labels', 'accuracy')}"
    )


def attended(n: Numbers) -> str:
    """Draws of an attention that is never trained, and one that is."""
    draws, mean_loss = n.numbers("draws/weighted_log_loss"), n.metric(f"studies.{LOSS}").value
    ends = f"{number(min(draws), '.3f')} to {number(max(draws), '.3f')}" if draws else "not defined"
    worse = sum(loss > mean_loss for loss in draws)
    return (
        f"weighted log loss runs from {ends} over {len(draws)} draws; the plain mean has {number(mean_loss, '.3f')}, "
        f"and {worse} of the draws are worse. One draw minus the mean: "
        f"{n.metric(f'attention_untrained_minus_mean.{LOSS}')}. An attention that is trained, with an answer for each "
        "target, has "
        f"{n.metric(f'attention_trained.{LOSS}')}, where the mean with the level known has "
        f"{number(n.metric(f'studies_level.{LOSS}').value, '.3f')}"
    )


def loaded(n: Numbers) -> str:
    """Kernels that `strict=False` takes."""
    parts = []
    for way in ("as published", "state_dict taken out", "prefix removed"):
        at = f"loading/{way}"
        parts.append(
            f"{way}: {number(n.number(f'{at}/copied_kernels'), '.0f')} of {number(n.number(f'{at}/kernels'), '.0f')}"
        )
    return (
        f"convolution kernels that hold the given weights afterwards ({number(n.number('loading/depth'), '.0f')} "
        f"layers): {'; '.join(parts)}"
    )


def skipped(n: Numbers) -> str:
    """SMOTE skipped, and run."""
    return f"without Moderate, macro-F1 is {_fault(n, 'skips_smote', 'f1', 'as its code runs', 'with SMOTE')}"


def all_faults(n: Numbers) -> str:
    """All faults at once."""
    return (
        f"accuracy is {_fault(n, 'all', 'accuracy')}, macro-F1 {_fault(n, 'all', 'f1')}, AUROC "
        f"{_fault(n, 'all', 'auroc_of_survivors')}"
    )


def keras(n: Numbers) -> str:
    """The network's scores, as written and as meant."""
    at = "network/mean"
    return (
        f"Keras's accuracy is {share(n.number(f'{at}/keras_accuracy'))}, where {share(n.number(f'{at}/accuracy'))} of "
        f"the graded cells are right; its best epoch of the best fold, on the test rows, has "
        f"{share(n.number('network/best/keras_accuracy_best'))}. Macro-F1 is "
        f"{share(n.number(f'{at}/f1_absent_is_1'))} with absent columns as 1, {share(n.number(f'{at}/f1'))} without "
        "them"
    )


def worded(n: Numbers) -> str:
    """F1 as it is worded, and as it is."""
    at = "noise/as_written"
    return (
        "noise has, under the write-up's protocol, a harmonic mean of recall and accuracy of "
        f"{share(n.number(f'{at}/f1_as_worded'))}, and an F1 of {share(n.number(f'{at}/f1'))}"
    )


def survivors(n: Numbers) -> str:
    """The AUC over the targets that have one."""
    at = "noise/as_written"
    return (
        f"of {number(n.number(f'{at}/targets'), '.1f')} targets of a kind of series, on average, "
        f"{number(n.number(f'{at}/defined'), '.1f')} have an AUC: in the others all test rows are of one class. "
        f"The mean over those that are left is {number(n.number(f'{at}/auroc_of_survivors'), '.3f')}, for noise"
    )


def trees(n: Numbers) -> str:
    """A hundred trees and ten."""
    return (
        f"a hundred trees instead of ten change accuracy by {n.metric('axis_trees.accuracy')} and macro-AUROC by "
        f"{n.metric(f'axis_trees.{AREA}')}"
    )


def pixels(n: Numbers) -> str:
    """Faults of the pixels, each by weighted log loss."""
    return (
        f"weighted log loss changes by {n.metric(f'batch_norm_minus_annotated.{LOSS}')} with batch normalisation in "
        f"train mode, by {n.metric(f'scale_minus_annotated.{LOSS}')} with pixels of 0 to 255, and by "
        f"{n.metric(f'equalised_minus_annotated.{LOSS}')} with histogram equalisation"
    )


def filled(n: Numbers) -> str:
    """Empty grades filled: how often rightly."""
    return (
        f"its forest is asked to fill {number(n.number('filling/processed'), '.0f')} of "
        f"{number(n.number('filling/columns'), '.0f')} columns. Grades that were hidden and filled are right in "
        f"{share(n.number('filling/mode'))} by the mode and {share(n.number('filling/random_forest'))} by a forest, of "
        f"the moderate and severe ones in {share(n.number('filling/mode_ill'))} and "
        f"{share(n.number('filling/random_forest_ill'))}"
    )


# --- beyond -----------------------------------------------------------------------------------------------------------


def tuned(n: Numbers) -> str:
    """The fine-tuned networks."""
    return (
        f"weighted log loss and macro-AUROC are {two(n, 'fine_tuned')} for one network, "
        f"{two(n, 'fine_tuned_averaged')} for {number(n.number('fine_tuning/seeds'), '.0f')} averaged, and "
        f"{two(n, 'fine_tuned_pooled')} where the answers for a level are averaged over all slices of the study; "
        f"linear kappa is {n.metric('fine_tuned.kappa_linear')}"
    )


def calibrations(n: Numbers) -> dict[str, pd.DataFrame]:
    """Observed against predicted frequency of each grade, where a run has them."""
    found = n.results.get("experiments", {}).get("fine_tuning", {}).get("calibration", {})
    return {grade: pd.DataFrame(curve) for grade, curve in found.items()}


def calibrations_words(curves: Mapping[str, pd.DataFrame]) -> str:
    """The same as text."""
    parts = [
        f"{grade}: " + ", ".join(f"{row.predicted:.2f} and {row.observed:.2f}" for row in curve.itertuples())
        for grade, curve in curves.items()
    ]
    return f"Predicted and observed frequency. {'; '.join(parts)}"


def learning(n: Numbers) -> str:
    """Weighted log loss by training studies."""
    numbers = [int(one) for one in n.numbers("curve/studies")]
    parts = [
        f"{one} studies {number(n.metric(f'studies_{one}_frozen.{LOSS}').value, '.3f')} frozen and "
        f"{number(n.metric(f'studies_{one}_fine_tuned.{LOSS}').value, '.3f')} fine-tuned"
        for one in numbers
    ]
    return f"weighted log loss by training studies: {'; '.join(parts)}" if parts else "no learning curve was measured"


def learning_table(n: Numbers) -> pd.DataFrame:
    """Weighted log loss by training studies, the run's whole training set last."""
    numbers = [int(one) for one in n.numbers("curve/studies")]
    rows = {
        one: [n.metric(f"studies_{one}_{kind}.{LOSS}").value for kind in ("frozen", "fine_tuned")] for one in numbers
    }
    if rows:
        rows[int(n.number("data/train"))] = [
            n.metric(f"{name}.{LOSS}").value for name in ("annotated_level", "fine_tuned")
        ]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["frozen", "fine-tuned"])
    return table.rename_axis("training studies").reset_index()


DISCS = {"pfirrmann": "Pfirrmann", "narrowing": "disc-space narrowing", "modic": "Modic changes"}


def spider(n: Numbers) -> str:
    """What embeddings add to a disc, finding by finding."""
    parts, nulls = [], []
    for name in n.numbers("spider/findings"):
        metric = "kappa_linear" if name == "pfirrmann" else "auroc_over_targets"
        prior, both = (number(n.metric(f"spider_{name}_{given}.{metric}").value, ".2f") for given in ("prior", "both"))
        parts.append(f"{DISCS.get(name, name)} {prior} and {both}")
        if verdict(n.metric(f"spider_{name}_both_over_prior.{metric}")) == "holds 0":
            nulls.append(DISCS.get(name, name))
    if not parts:
        return "no disc was probed"
    return (
        "from the disc's number alone and with the embeddings of both series (Pfirrmann: linear kappa; others: AUROC "
        f"within a disc): {'; '.join(parts)}" + (f". No gain could be shown for {' and '.join(nulls)}" if nulls else "")
    )


def clinical(n: Numbers) -> str:
    """What sex and field strength add."""
    return (
        "beside the embeddings, sex and field strength change the kappa of the Pfirrmann grade by "
        f"{n.metric('spider_pfirrmann_both_clinical_over_both.kappa_linear')}"
    )


def _with_chance(n: Numbers, name: str) -> str:
    return f"{share(n.metric(f'{name}.share').value)} (by chance {share(n.metric(f'{name}.chance').value)})"


def nearest(n: Numbers) -> str:
    """What the nearest slice has in common."""
    return (
        f"the nearest other slice is of the same study in {_with_chance(n, 'nearest_study')}; among other studies' "
        f"slices at the level it has the annotation's grade in {_with_chance(n, 'nearest_grade_all')}, and where that "
        f"is Severe in {_with_chance(n, 'nearest_grade_severe')}"
    )


def scanners(n: Numbers) -> str:
    """What the nearest of SPIDER's slices has in common."""
    parts = [
        f"the same {name} in {_with_chance(n, f'spider_nearest_{name}')}"
        for name in ("series", "manufacturer", "sex", "person")
    ]
    return f"the nearest other slice of SPIDER shows {', '.join(parts)}"


def clustered(n: Numbers) -> str:
    """What clusters agree with."""
    parts = [
        f"{name} {number(n.metric(f'clusters_{name}.information').value, '.3f')} (shuffled "
        f"{number(n.number(f'clusters/{name}/shuffled'), '.3f')})"
        for name in n.names("clusters")
    ]
    return f"adjusted mutual information of ten clusters: {', '.join(parts)}" if parts else "nothing was clustered"


def chosen(n: Numbers) -> str:
    """What the tables tell of a grade without a pixel."""
    return (
        f"macro-AUROC is {n.metric(f'chosen_prior.{AREA}')} from the level alone and {n.metric(f'chosen_all.{AREA}')} "
        "with all that the tables say of the slice and the point"
    )


def worst(n: Numbers) -> str:
    """Recall by grade."""
    found = n.results.get("metrics", {})
    name = next((one for one in ("fine_tuned", "annotated_level") if f"{one}.{AREA}" in found), "")
    names = {grade: f"{name}.sensitivity[{grade}]" for grade in GRADES}  # a grade's name holds a stroke: no path
    parts = [f"{grade} {Estimate(**found[path])}" for grade, path in names.items() if path in found]
    return f"recall by grade is {', '.join(parts)}" if parts else "no recall was measured"


def by_level(n: Numbers) -> str:
    """Macro-AUROC within each level."""
    parts = [
        f"{level.upper().replace('_', '/')} {number(n.metric(f'fine_tuned_at_{level}.{AREA}').value, '.2f')}"
        for level in LEVELS
    ]
    return f"macro-AUROC within a level is {', '.join(parts)}, where shares by level know nothing and have one half"


CLAUSES: tuple[Clause, ...] = (
    composed,
    prevalence,
    emptiness,
    dicom,
    baselines,
    level_known,
    gridded,
    weights,
    whole_series,
    moderate,
    majority,
    merged,
    split_rows,
    swapped,
    attended,
    loaded,
    skipped,
    all_faults,
    keras,
    pixels,
    filled,
    worded,
    survivors,
    trees,
    tuned,
    learning,
    spider,
    clinical,
    nearest,
    scanners,
    clustered,
    chosen,
    worst,
    by_level,
)
FOLDED = (
    Folded("Everything at once", "", all_faults, "fault_all/accuracy_with/0"),
    Folded(
        "Labels of another condition",
        "swap_fault",
        swapped,
        "fault_swaps_labels/accuracy_with/0",
        "Axial series get the foraminal grades and sagittal T1 series the subarticular ones. Those grades are in the "
        "table, so the swap can be made on real slices.",
    ),
    Folded(
        "SMOTE that is skipped",
        "smote_skipped",
        skipped,
        "fault_skips_smote/f1_with/0",
        "As we read the notebook of the SVC: with Moderate gone, `np.bincount` still counts label 0, in 0 rows; SMOTE "
        "is asked for -1 neighbours and refuses, and an `except ValueError` goes on with the rows as they are.",
    ),
    Folded(
        "The network: Keras's accuracy, a validation that is the test, absent classes as 1",
        "validation_fault",
        keras,
        "network/mean/accuracy",
    ),
    Folded(
        "Batch normalisation in train mode, pixels of 0 to 255, equalisation",
        "pixels_code",
        pixels,
        f"batch_norm_minus_annotated.{LOSS}",
    ),
    Folded("Imputation that never runs", "imputation_fault", filled, "filling/mode"),
    Folded("An AUC over the targets that are left", "auc_fault", survivors, "noise/as_written/defined"),
    Folded("Ten trees against a hundred", "trees_fault", trees, f"axis_trees.{AREA}"),
    Folded("F1, in words a mean of recall and accuracy", "f1", worded, "noise/as_written/f1_as_worded"),
)
