"""What the lumbar chapter says of a run: every number is the run's own, and none is said where none was measured."""

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from medutils.chapters.lumbar_embeddings import grid, sentences
from medutils.data.lumbar import GRADES
from medutils.evaluation import Estimate
from medutils.evidence import Numbers, load_reference, quoted, real_numbers, reported_values
from medutils.evidence.words import NOT_RUN, NOT_YET, on_both

CHAPTER = "lumbar_embeddings"
REFERENCE = pytest.mark.skipif(load_reference(CHAPTER) is None, reason="there is no reference run yet")
TOLD: list[Callable[[Numbers], str]] = [*sentences.CLAUSES, lambda n: " ".join(sentences.takeaways(n))]


def numbers(experiments: dict[str, Any] | None = None, **metrics: float) -> Numbers:
    """A run with some experiments and some metrics, each with an interval of .02; `__` stands for a point."""
    estimates = {
        name.replace("__", "."): asdict(Estimate(value, value - 0.01, value + 0.01, 100, "test"))
        for name, value in metrics.items()
    }
    return Numbers({"experiments": experiments or {}, "metrics": estimates})


@REFERENCE
@pytest.mark.parametrize("told_of", TOLD)
def test_the_reference_run_holds_every_number_that_is_told_of_it(told_of: Callable[[Numbers], str]) -> None:
    assert not re.search(r"not defined|no grid|no recall|no disc|nothing was|\bnan\b", told_of(real_numbers(CHAPTER)))


@pytest.mark.parametrize("told_of", TOLD)
def test_a_run_that_measured_nothing_is_told_without_a_number(told_of: Callable[[Numbers], str]) -> None:
    said = told_of(Numbers({}))
    assert "nan" not in said and not re.search(r"\d\.\d", said)


def test_without_a_reference_run_the_page_says_so_first():
    assert sentences.answer(Numbers({}), 0.9221) == sentences.NOT_YET
    assert sentences.takeaways(Numbers({})) == []


def test_what_needs_an_experiment_is_told_of_the_run_that_has_it():
    run = numbers({"loading": {"depth": 18}})
    said = on_both(sentences.loaded, Numbers({}), run, "phantom", needs="loading/depth")
    assert said.startswith(NOT_YET) and "18 layers" in said
    assert on_both(sentences.loaded, run, Numbers({}), "phantom", needs="loading/depth").endswith(NOT_RUN)


def test_a_fault_is_told_as_the_mean_over_its_splits():
    run = numbers({"fault_drops_moderate": {"accuracy_with": [0.9, 0.92], "accuracy_without": [0.7, 0.72]}})
    assert sentences.moderate(run) == "accuracy is 91.0% with it and 71.0% without"


def test_an_effect_whose_interval_holds_0_is_a_takeaway():
    found = sentences.takeaways(numbers(embedding_beside_level__weighted_log_loss=-0.005))
    assert found[-1].startswith("Without an effect that we could measure: the mean embedding of a study")


def test_the_grid_is_told_by_its_best_rows_and_stands_beside_all_that_were_reported():
    run = numbers(
        grid_gsl_lite0_lgbm__macro_auroc=0.7,
        grid_gsl_lite0_lgbm__accuracy=0.6,
        grid_gsl_lite0_xgboost__macro_auroc=0.6,
        grid_gsl_lite0_xgboost__accuracy=0.8,
    )
    said = sentences.gridded(run)
    assert "of 2 configurations" in said and "(gsl_lite0_lgbm)" in said and "(gsl_lite0_xgboost)" in said
    rows = sentences.grid_rows(Numbers({}), run, reported_values(CHAPTER))
    assert len(rows) == len(grid.REPORTED) + 2
    assert "0.922" in set(rows["accuracy, reported"]) and rows.loc["gsl_lite0_lgbm", "accuracy, reported"] == "–"
    assert rows.loc["gsl_lite0_lgbm", "auc, this run"] == "0.700"


def test_recall_is_told_of_every_grade_though_one_has_a_stroke_in_its_name():
    names = ["macro_auroc", *(f"sensitivity[{grade}]" for grade in GRADES)]
    run = numbers(**{f"annotated_level__{name}": 0.5 for name in names})
    assert all(grade in sentences.worst(run) for grade in GRADES)


def test_each_fold_quotes_words_that_there_are_and_has_a_title_of_its_own():
    titles = [one.title for one in sentences.FOLDED]
    assert len(set(titles)) == len(titles)
    for one in sentences.FOLDED:
        assert one.needs
        if one.quote:
            assert quoted(CHAPTER, one.quote)


def test_a_fault_whose_splits_disagree_is_told_as_such():
    added = {"accuracy_with": [0.6, 0.7], "accuracy_without": [0.65, 0.65], "accuracy_added": [-0.05, 0.05]}
    run = numbers({"fault_drops_moderate": added})
    assert sentences.moderate(run).endswith("the difference has no one sign")


def test_what_faults_add_stands_in_the_order_of_its_size_with_the_ends_of_its_splits():
    run = numbers(
        {
            "fault_swaps_labels": {"f1_added": [0.01, -0.02]},
            "fault_drops_moderate": {"f1_added": [0.1, 0.2]},
            "noise": {"as_written": {"f1": 0.58}, "one_row_a_study": {"f1": 0.51}},
        }
    )
    found = sentences.fault_effects(run)
    assert list(found) == [
        sentences.FAULT_WORDS["drops_moderate"],
        "2. merge that copies rows (on noise)",
        sentences.FAULT_WORDS["swaps_labels"],
    ]
    assert (next(iter(found.values())).low, next(iter(found.values())).high) == (10, 20)


def test_the_two_scores_of_the_write_up_differ():
    row = {"accuracy": 0.9104, "f1": 0.628, "auc": 0.6271}
    table, text = (round(100 * score(**row), 2) for score in sentences.SCORES.values())
    assert (table, text) == (69.81, 68.41)


def test_a_finding_that_gains_nothing_is_named():
    run = numbers(
        {"spider": {"findings": ["narrowing", "herniation"]}},
        spider_narrowing_both_over_prior__auroc_over_targets=0.2,
        spider_herniation_both_over_prior__auroc_over_targets=0.003,
    )
    assert sentences.spider(run).endswith("No gain could be shown for herniation")


@pytest.mark.parametrize(("given", "words"), [("fresh", "random ones"), ("ImageNet", "ImageNet weights")])
def test_it_is_told_whether_the_weights_of_resnet50_were_to_be_had(given: str, words: str):
    said = sentences.weights(numbers({"weights": {"resnet50": given}}))
    assert words in said and ("say nothing" in said) == (given == "fresh")


@REFERENCE
def test_each_reported_row_has_a_number_from_real_slices():
    real = real_numbers(CHAPTER)
    assert [cell.name for cell in grid.REPORTED if f"grid_{cell.name}.macro_auroc" not in real.results["metrics"]] == []
