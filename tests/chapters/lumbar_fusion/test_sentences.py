"""What the fusion chapter says of a run: every number is the run's own, and none is said where none was measured."""

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from medutils.chapters.lumbar_fusion import pseudo_sentences, sentences
from medutils.evaluation import Estimate
from medutils.evidence import Numbers, load_reference, real_numbers

CHAPTER = "lumbar_fusion"
REFERENCE = pytest.mark.skipif(load_reference(CHAPTER) is None, reason="there is no reference run yet")
TOLD: list[Callable[[Numbers], str]] = [
    *sentences.CLAUSES,
    *pseudo_sentences.CLAUSES,
    lambda n: " ".join(sentences.takeaways(n)),
]
NOTHING = r"not defined|was not computed|no (network|remedy|finding|phantom study|attention|decision curve)\b|\bnan\b"


def numbers(experiments: dict[str, Any] | None = None, **areas: float) -> Numbers:
    """A run with some experiments, and AUROCs with an interval of .02."""
    metrics = {
        f"{name}.auroc_over_targets": asdict(Estimate(value, value - 0.01, value + 0.01, 100, "test"))
        for name, value in areas.items()
    }
    return Numbers({"experiments": experiments or {}, "metrics": metrics})


@REFERENCE
@pytest.mark.parametrize("told_of", TOLD)
def test_the_reference_run_holds_every_number_that_is_told_of_it(told_of: Callable[[Numbers], str]) -> None:
    assert not re.search(NOTHING, told_of(real_numbers(CHAPTER)))


@pytest.mark.parametrize("told_of", TOLD)
def test_a_run_that_measured_nothing_is_told_without_a_number(told_of: Callable[[Numbers], str]) -> None:
    said = told_of(Numbers({}))
    assert "nan" not in said and not re.search(r"\d\.\d{2}", said)


@pytest.mark.parametrize(
    ("gain", "words"), [(0.05, "1 came out better and 0 worse"), (-0.05, "0 came out better and 1")]
)
def test_a_remedy_is_called_better_or_worse_by_its_interval(gain: float, words: str) -> None:
    assert words in sentences.remedied(numbers(spider_sets_zero_at_random_over_dynamic=gain))


def test_a_remedy_whose_interval_holds_0_is_told_as_a_null() -> None:
    said = sentences.remedied(numbers(spider_sets_zero_at_random_over_dynamic=0.002))
    assert "0 came out better and 0 worse; in the other 1 no difference could be shown" in said


def test_dropout_and_l2_are_counted_against_neither() -> None:
    run = numbers(
        spider_sets_dropout_at_random_over_unregularised=0.05,
        spider_sets_l2_at_random_over_unregularised=0.002,
        spider_sets_dynamic_at_random_over_unregularised=-0.05,
    )
    said = sentences.regularised(run)
    assert "better than neither in 1 of 3 comparisons" in said and "lower" in said.partition("both minus neither is")[2]


def test_comparisons_on_patients_are_counted_and_those_on_phantoms_are_not() -> None:
    run = numbers(
        spider_sets_zero_at_random_over_dynamic=0.05,
        spider_sets_prior_at_random_over_dynamic=-0.2,
        embedders_noise_dynamic_over_lite0=0.0,
        tuned_sets_dynamic_t1=0.002,
        spider_sets_dynamic_t1=0.7,
        looks_over_uniform=0.3,
    )
    said = sentences.compared(run)
    assert said.startswith("networks are compared 3 times") and said.endswith("1 do")


def test_embedders_are_told_with_their_difference_and_their_weights() -> None:
    weights = {"lite0": "lite0 (ImageNet)", "resnet50": "resnet50 (fresh)", "noise": "noise (fresh)"}
    run = numbers(
        {"embedders": {"weights": weights}},
        embedders_resnet50_dynamic_over_lite0=-0.1,
        embedders_noise_dynamic_over_lite0=-0.2,
        embedders_noise_late_fusion_over_lite0=-0.3,
    )
    said = sentences.embedded(run)
    assert "ResNet-50 -0.100" in said and "lower; noise" in said and "-0.3" not in said
    assert said.endswith("Weights that were never trained: ResNet-50")


def test_how_often_patients_are_held_out_is_the_runs_own() -> None:
    run = Numbers(
        {"experiments": {"spider": {"patients": 9, "having": {"t1": 7}}}, "parameters": {"repeats": 2, "folds": 3}}
    )
    assert sentences.composed(run) == "of 9 patients 7 have T1; divisions into 3 folds: 2"


def test_settings_that_folds_took_are_counted() -> None:
    taken = {"8 components, rate 0.001": 2, "16 components, rate 0.001": 13}
    assert sentences.chosen(numbers({"spider": {"chosen": taken}})).endswith("; 16 components, rate 0.001 (13)")


def test_curves_have_a_panel_for_patients_and_one_for_phantom_studies() -> None:
    run = numbers(
        spider_sets_dynamic_t1_t2=0.7,
        spider_sets_dynamic_1_missing=0.6,
        phantoms_sets_dynamic_sagittal_t1_sagittal_t2_axial_t2=0.9,
        phantoms_sets_dynamic_2_missing=0.5,
    )
    panels = sentences.missing_curves(run)
    assert list(panels) == ["patients", "phantom studies"]
    assert panels["patients"].to_dict("list") == {"series missing": [0, 1], "dynamic weights": [0.7, 0.6]}
    assert panels["phantom studies"]["series missing"].tolist() == [0, 2]
    assert sentences.missing_table(run).loc["dynamic weights", "phantom studies, 2 missing"].startswith("0.500 (")
    assert not sentences.missing_curves(numbers()) and not len(sentences.missing_table(numbers()))


def test_remedies_on_phantom_studies_are_told_with_what_is_lost() -> None:
    run = numbers(phantoms_sets_dynamic_1_missing=0.6, phantoms_sets_zero_at_random_over_dynamic=0.05, phantoms_x=0.1)
    said = sentences.remedied_on_phantoms(run)
    assert "0.600" in said and "1 came out better and 0 worse" in said


def test_the_series_that_shows_a_condition_is_found_by_its_number() -> None:
    run = numbers(
        phantoms_needs_spinal_canal_stenosis_sagittal_t1=0.5,
        phantoms_needs_spinal_canal_stenosis_sagittal_t2=0.9,
        phantoms_needs_spinal_canal_stenosis_axial_t2=0.6,
    )
    assert "the canal by the sagittal T2 (0.90; the others 0.50, 0.60)" in sentences.needed(run)


def test_thresholds_at_which_a_network_helps_are_those_whose_interval_lies_above_0() -> None:
    rows = [
        {"threshold": cut, "strategy": "model minus everybody", "value": 0.01, "low": low, "high": 0.02}
        for cut, low in ((0.1, -0.01), (0.2, 0.001), (0.3, 0.002), (0.4, -0.02))
    ]
    assert sentences.decided(numbers({"decisions": {"curve": rows}})).endswith("0.20 to 0.30")
    assert "at no threshold" in sentences.decided(numbers({"decisions": {"curve": rows[:1]}}))
