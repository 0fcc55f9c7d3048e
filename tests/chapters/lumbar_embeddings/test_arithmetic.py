"""What follows from the write-up's own numbers and its table, held against sums worked out apart from the code."""

from typing import Any

import pandas as pd
import pytest

from medutils.chapters.lumbar_embeddings.arithmetic import (
    METRICS,
    arithmetic,
    below,
    by_series,
    pairs,
    scores,
    table,
)
from medutils.evidence import load_reported, reported_values, status

CHAPTER = "lumbar_embeddings"
MEANS = {  # accuracy, macro-F1, AUC in percent, to two places
    "gsl": (66.83, 44.89, 61.03),
    "hist": (67.89, 45.41, 60.26),
    "aal": (69.56, 48.53, 63.40),
    "rn50": (65.48, 45.12, 61.50),
    "mn152": (67.05, 41.81, 57.04),
    "svc": (89.59, 59.64, 57.62),
    "lgbm": (79.67, 44.76, 67.36),
    "xgboost": (65.69, 40.26, 62.69),
    "bagging": (56.22, 35.42, 60.98),
    "ann": (45.40, 38.17, 59.12),
    "ns": (41.42, 38.32, 58.92),
    "wls": (49.38, 38.02, 59.32),
    "smote": (76.15, 47.95, 61.26),
    "svc_2048": (89.31, 61.64, 58.33),
}
BY_HAND = {
    "best_accuracy": 0.9221,
    "best_accuracy_row": "gsl_rn50_svc_512",
    "worst_accuracy": 0.2740,
    "worst_accuracy_row": "gsl_rn50_ann_wls",
    "best_f1": 0.6420,
    "best_f1_row": "hist_aal_svc_2048",
    "worst_f1": 0.3160,
    "worst_f1_row": "gsl_mn152_ann_wls",
    "best_auc": 0.7142,
    "best_auc_row": "hist_aal_lgbm",
    "worst_auc": 0.4691,
    "worst_auc_row": "hist_mn152_svc_512",
    "best_calculated": 0.70585,
    "worst_calculated": 0.4430,
    "best_readme": 0.69308,
    "worst_readme": 0.4220,
    "f1_of_best_accuracy": 0.5345,
    "accuracy_of_best_f1": 0.9094,
    "attention_pairs": 14,
    "attention_accuracy_higher": 10,  # not with SVC on 512 values, nor the networks without weights
    "attention_f1_higher": 9,
    "attention_auc_higher": 11,
    "attention_svc_pairs": 4,
    "attention_svc_accuracy_higher": 2,  # 91.04 and 90.94, against 88.70 and 88.30 on 512 values
    "attention_svc_auc_higher": 2,
    "attention_lgbm_pairs": 2,
    "attention_lgbm_f1_higher": 0,  # 45.48 against 45.78, 44.24 against 45.59
    "weighted_pairs": 6,
    "weighted_accuracy_higher": 3,
    "weighted_f1_higher": 1,
    "weighted_auc_higher": 4,
    "weighted_accuracy_mean": (61.0 - 27.8 + 27.4 - 50.2 + 46.9 - 48.9 + 64.2 - 27.5 + 40.8 - 46.6 + 56.0 - 47.5) / 600,
    "hist_pairs": 21,
    "values_2048_pairs": 6,
    "values_2048_accuracy_higher": 3,  # 91.04, 88.60 and 90.94, against 88.70, 88.53 and 88.30
    "svc_bagging_pairs": 6,
    "svc_bagging_auc_higher": 2,  # 61.25 against 60.97 and 62.95 against 60.29
    "validation_hist_mn152_ann_wls": (0.205609 + 0.343251 + 0.137481) / 3,
    "best_validation": (0.544640 + 0.535535 + 0.495212) / 3,
    "merged_at2_least": 2981,
    "merged_at2_most": 2984,
    "merged_st1_least": 1891,
    "merged_st1_most": 1894,
    "merged_st2_least": 1876,
    "merged_st2_most": 1879,
    "rebuilt_svc_512": 5,  # not the equalised average of ResNet-50: 56.76 and 58.44 against 61.90 and 62.95
    "rebuilt_lgbm": 6,
    "rebuilt_xgboost": 6,
    "rebuilt_bagging": 6,
    "rebuilt_ann_ns": 6,
    "rebuilt_ann_wls": 0,
    "undefined_auc_svc_512": 6,
    "undefined_auc_ann_ns": 12,
    "undefined_auc_lgbm": 0,
}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return reported_values(CHAPTER)


@pytest.fixture(scope="module")
def rows(told) -> pd.DataFrame:
    return table(told)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return arithmetic(three_grades=0.7932, two_grades=0.9222, noise_f1=0.587)


@pytest.mark.parametrize("value", MEANS)
def test_the_means_over_an_axis(found, value: str):
    assert [100 * found[f"mean_{value}_{metric}"] for metric in METRICS] == pytest.approx(MEANS[value], abs=0.0051)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_number_is_what_a_hand_finds(found, name: str):
    expected = BY_HAND[name]
    assert found[name] == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-9))


def test_both_scores_are_what_their_formulas_give_to_the_last_digit(told, rows):
    ours = scores(rows)
    assert ours["calculated_scores"] == pytest.approx(told["calculated_scores"], abs=1e-9)
    assert ours["readme_scores"] == pytest.approx(told["readme_scores"], abs=1e-9)
    assert ours["scores_disagree"] > 20


def test_a_pair_differs_in_one_axis_alone(rows):
    found = pairs(rows, "embedder", "aal", "rn50")
    assert found.loc[("gsl", "svc_512"), "accuracy"] == pytest.approx(0.8870 - 0.9221)
    assert found.loc[("hist", "lgbm"), "auc"] == pytest.approx(0.7142 - 0.6732)


def test_rows_below_what_needs_no_picture(rows):
    found = below(rows, three_grades=0.7932, two_grades=0.9222, noise_f1=0.587)
    assert (found["below_three_grades"], found["of_three_grades"]) == (26, 30)
    assert [found[f"below_three_grades_{model}"] for model in ("lgbm", "xgboost", "bagging", "ann")] == [2, 6, 6, 12]
    assert (found["below_two_grades"], found["of_two_grades"]) == (12, 12)
    assert (found["below_noise_f1"], found["of_noise_f1"]) == (3, 6)
    assert below(rows, 0.7932, 0.9220, 0.5)["below_two_grades"] == 11


def test_a_row_of_the_table_is_the_mean_of_the_series_that_have_an_auc(told, rows):
    single = by_series(told)
    assert len(single) == 36 * 3
    assert single.loc["gsl_rn50_svc_512", "auc"].mean() == pytest.approx((0.569653 + 0.655332) / 2)
    assert rows.at["gsl_rn50_svc_512", "auc"] == pytest.approx((0.569653 + 0.655332) / 2, abs=5e-5)
    assert single.loc[("hist_mn152_ann_ns", "st1"), "f1"] == 0.297563


def test_random_predictions_have_the_thresholds_that_seed_42_gives(told, found):
    assert [round(number, 4) for number in found["random_thresholds"]] == told["random_thresholds"]
    assert found["random_accuracy"] == [2**-30, 2**-30, 2**-15]


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        ("said_best_accuracy", "agrees"),
        ("said_best_f1", "differs"),
        ("said_best_auc", "differs"),
        ("said_best_validation", "cannot be answered"),
        ("said_weighted_accuracy", "agrees"),
        ("said_weighted_auc", "differs"),
        ("said_svc_auc", "differs"),
        ("said_ensemble_auc", "differs"),
        ("calculated_scores", "agrees"),
        ("readme_scores", "agrees"),
        ("random_thresholds", "agrees"),
        ("random_accuracy", "agrees"),
    ],
)
def test_what_the_text_says_against_the_table_behind_it(found, claim: str, word: str):
    claims = {one.id: one for one in load_reported(CHAPTER).claims}
    assert status(claims[claim], {"experiments": {"arithmetic": found}}).word == word


def test_each_claim_of_the_arithmetic_finds_its_number(found):
    paths = [one.result or "" for one in load_reported(CHAPTER).claims]
    names = [path.removeprefix("experiments/arithmetic/") for path in paths if "/arithmetic/" in path]
    assert len(names) == 12
    assert set(names) <= found.keys()
