"""What follows from the write-up's own numbers: each worked out by hand beside the code."""

from itertools import product
from typing import Any

import pytest

from medutils.chapters.lung_six_class.arithmetic import COURSES, DISEASED, NORMAL, VIRAL, arithmetic
from medutils.evidence import reported_values

CHILDREN_EXPECTED = (2530 + 1122 + 1345) * 2255 / 11276  # 999.3; 95 % of draws hold 999.3 ± 1.96 * 21.1
VIRAL_EXPECTED = 1345 * 2255 / 11276  # 269.0; 95 % of draws hold 269.0 ± 1.96 * 13.8

BY_HAND = {
    "total": 2530 + 288 + 1122 + 5597 + 394 + 1345,
    "total_augmented": 2530 + 689 + 1122 + 5597 + 394 + 1345,
    "total_subset": 616 + 288 + 613 + 615 + 394 + 616,
    "train": 11276 - 2255,
    "valid": 2255,  # 2,255.2
    "valid_augmented": 2335,  # 2,335.4
    "valid_subset": 628,  # 628.4
    "covid_after_copies": 288 + 5 * 96,
    "right_without_a_pixel": (288 + 5597 + 394 + 2530) / 11276,
    "right_without_a_pixel_subset": (288 + 615 + 394 + 616) / 3142,
    "errors": 2255 - 1974,  # 1,974 / 2,255 = 0.875388
    "errors_augmented": 2335 - 2035,  # 2,035 / 2,335 = 0.871520
    "errors_subset": 628 - 502,  # 502 / 628 = 0.799363
    "listed_confusions": 124 + 62 + 30 + 29 + 17 + 3 + 3 + 3 + 2 + 2 + 2,
    "listed_confusions_augmented": 121 + 70 + 36 + 29 + 22 + 6 + 5 + 3 + 2 + 2,
    "listed_confusions_subset": 29 + 26 + 22 + 11 + 10 + 7 + 6 + 3 + 3 + 2 + 2,
    "errors_within_children": 124 + 62 + 30 + 29 + 3 + 2,
    "accuracy_within_children": 1 - 250 / CHILDREN_EXPECTED,
    "accuracy_within_children_low": 1 - 250 / 958,  # all six pairs are listed: nothing comes on top
    "accuracy_within_children_high": 1 - 250 / 1041,
    "viral_recall": 1 - (124 + 30) / VIRAL_EXPECTED,
    "viral_recall_low": 1 - (124 + 30 + 3) / 242,  # COVID-19, TB and other findings are not listed
    "viral_recall_high": 1 - (124 + 30) / 296,
    "diseased_called_normal": 30 + 29,
    "normal_called_diseased": 3 + 2 + 2,
    "listed_confusions_stage_1": 39 + 39 + 34 + 34 + 34 + 32 + 18 + 13 + 7 + 6 + 4 + 4 + 4 + 3 + 3 + 3,
    "errors_stage_1_frozen": 628 - 459,  # 459 / 628 = 0.730892
    "errors_stage_1": 628 - 531,  # 531 / 628 = 0.845541
    "half_width_full": 1.96 * 0.006955,  # (0.875388 * 0.124612 / 2255) ** 0.5
    "drop": 0.894900 - 0.856688,
    "relative_drop": 0.038212 / 0.894900,
    "relative_drop_rounded": 5 / 90,
    "minutes_full_frozen": 53 + 57 / 60,  # 26:42 + 9:05 + 9:04 + 9:06
    "minutes_full_unfrozen": 18 + 39 / 60,  # 9:19 + 9:20
    "minutes_full": 72 + 36 / 60,
    "minutes_augmented_frozen": 43 + 25 / 60,  # 20:34 + 7:38 + 7:37 + 7:36
    "minutes_augmented_unfrozen": 21 + 59 / 60,  # 13:36 + 8:23
    "minutes_augmented": 65 + 24 / 60,
    "minutes_subset_frozen": 20 + 57 / 60,  # 10:07 + 3:38 + 3:37 + 3:35
    "minutes_subset_unfrozen": 10 + 38 / 60,  # 3:34 + 3:32 + 3:32
    "minutes_subset": 31 + 35 / 60,
    "minutes_small_frozen": 12 + 48 / 60,  # 3:51 + 2:19 + 2:15 + 2:12 + 2:11
    "minutes_small_unfrozen": 11 + 14 / 60,  # 2:16 + 2:14 + 2:13 + 2:14 + 2:17
    "minutes_small": 24 + 2 / 60,
    "minutes_large_frozen": 12 + 16 / 60,  # 2:29 + 2:28 + 2:24 + 2:26 + 2:29
    "minutes_large_unfrozen": 12 + 50 / 60,  # 2:32 + 2:33 + 2:36 + 2:33 + 2:36
    "minutes_large": 25 + 6 / 60,
    "minutes_progressive": 49 + 8 / 60,
    "minutes_without_log": 22 + 36 / 60,  # 88 - 65:24
}


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return arithmetic()


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return reported_values("lung_six_class")


@pytest.mark.parametrize("name", BY_HAND)
def test_each_number_is_what_a_hand_finds(found, name: str):
    assert found[name] == pytest.approx(BY_HAND[name], rel=1e-4)


def test_no_number_is_left_unchecked(found):
    assert found.keys() == BY_HAND.keys()


@pytest.mark.parametrize("course", ["", "_augmented", "_subset"])
def test_a_list_of_confused_classes_leaves_out_few_of_the_errors(found, course: str):
    assert 0 <= found[f"errors{course}"] - found[f"listed_confusions{course}"] <= 5


def test_the_list_of_stage_1_fits_no_accuracy_after_its_first_epoch(found, told):
    later = told["small_frozen_log_accuracy"][1:] + told["small_unfrozen_log_accuracy"]
    most = found["valid_subset"] * (1 - min(later))
    assert found["listed_confusions_stage_1"] > most == pytest.approx(210, abs=0.01)


def test_the_largest_losses_show_that_the_actual_class_comes_first(told):
    films = {(actual, predicted): number for actual, predicted, number in told["full_confused"]}
    seen = sum((actual, predicted) == (VIRAL, NORMAL) for predicted, actual, *_ in told["full_top_losses"])
    assert films[NORMAL, VIRAL] < seen == 5 <= films[VIRAL, NORMAL]


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("state", ["frozen", "unfrozen"])
def test_each_printed_accuracy_is_a_whole_number_of_films(told, course: str, state: str):
    valid = {"full": 2255, "augmented": 2335}.get(course, 628)
    films = [valid * share for share in told[f"{course}_{state}_log_accuracy"]]
    assert films == pytest.approx([round(number) for number in films], abs=0.002)


def test_diseased_films_are_called_normal_more_often_than_the_other_way_whatever_the_list_leaves_out(found, told):
    listed = {(actual, predicted) for actual, predicted, _ in told["full_confused"]}
    left_out = sum(pair not in listed for pair in product((NORMAL,), DISEASED))
    assert found["normal_called_diseased"] + left_out == 9 < found["diseased_called_normal"]
