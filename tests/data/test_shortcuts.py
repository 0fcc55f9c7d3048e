"""What tells a class without a look at what the picture shows: found where it is planted, and not where it is not."""

import numpy as np
import pandas as pd
import pytest

from medutils.data.shortcuts import BORDER, FOLDS, called_by_regression, features, folds_by_patient, too_small
from medutils.errors import InputError

RECORDS = 200


def pictures(marked: bool) -> pd.DataFrame:
    """Pictures of noise of two classes; where they are marked, each class has a corner of its own and a file size."""
    rng = np.random.default_rng(0)
    ill = np.arange(RECORDS) % 2 == 0
    small = rng.integers(60, 200, (RECORDS, 32, 32)).astype(np.uint8)
    size = rng.integers(900, 1100, RECORDS)
    if marked:
        small[ill, :BORDER, :BORDER] = 255
        size = np.where(ill, 5000, 1000)
    return pd.DataFrame(
        {
            "patient": [f"p{place // 2}" for place in range(RECORDS)],
            "label": np.where(ill, "ill", "well"),
            "source": "here",
            "thumbnail": list(small),
            "height": 32,
            "width": 32,
            "bytes": size,
            "format": ".png",
        }
    )


@pytest.mark.parametrize("name", ["border", "8 x 8 thumbnail", "file"])
def test_what_is_planted_is_found_and_nothing_else(name: str):
    for marked in (True, False):
        table = pictures(marked)
        right = (called_by_regression(table, features(table)[name], 0) == table["label"]).mean()
        assert right > 0.95 if marked else right < 0.65


def test_the_border_and_the_file_do_not_know_the_middle():
    table = pictures(False)
    middle = table.assign(thumbnail=[picture.copy() for picture in table["thumbnail"]])
    for picture in middle["thumbnail"]:
        picture[BORDER:-BORDER, BORDER:-BORDER] = 0
    before, after = features(table), features(middle)
    assert all(np.array_equal(before[name], after[name]) for name in ("border", "file"))
    assert not np.array_equal(before["grey levels"], after["grey levels"])


def test_too_few_patients_of_a_class_are_refused():
    table = pictures(False)
    with pytest.raises(InputError):
        called_by_regression(table[(table["label"] == "well") | (table.index == 0)], np.zeros((101, 1)), 0)


@pytest.mark.parametrize(
    ("patients", "small"),
    [
        ({"ill": ["p1"] * 9, "well": list("abcde")}, {"ill": 1}),
        ({"ill": list("vwxyz"), "well": list("abcde")}, {}),
        ({"ill": [*"abcdeabcde"], "well": [*"abcdefghij"]}, {}),  # five of the ill have one film of the well as well
        ({"ill": [*"abcde"], "well": [*"abcdefghij"]}, {}),
        ({"ill": [*"abcde"], "well": [*"abcde"]}, {"well": 0}),  # who has as many of both counts for the first
    ],
)
def test_a_class_is_too_small_where_folds_would_be_refused(patients: dict[str, list[str]], small: dict[str, int]):
    rows = [(patient, label, "here") for label, names in patients.items() for patient in names]
    records = pd.DataFrame(rows, columns=["patient", "label", "source"])
    assert too_small(records) == small
    if not small:
        assert set(folds_by_patient(records, 0)) == set(range(FOLDS))
