"""Splits: by patient, stratified, the same everywhere, refused for other records, checked for overlap."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medutils.data.splits import (
    FRACTIONS,
    check_no_overlap,
    given_split,
    load_split,
    overlap,
    records_hash,
    save_split,
    split_by_patient,
)
from medutils.errors import InputError


def make_records(patients: dict[str, list[str]]) -> pd.DataFrame:
    """Records from the labels of each patient."""
    rows = [(patient, label) for patient, labels in patients.items() for label in labels]
    return pd.DataFrame(
        {
            "record_id": [f"r{row}" for row in range(len(rows))],
            "patient": [patient for patient, _ in rows],
            "label": [label for _, label in rows],
            "source": "here",
            "split": "",
            "path": "",
        }
    )


@pytest.fixture
def records() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = {f"p{number}": ["ill" if number % 4 == 0 else "well"] * rng.integers(1, 6) for number in range(400)}
    return make_records(labels)


def test_no_patient_is_in_two_splits(records: pd.DataFrame) -> None:
    assert (split_by_patient(records).groupby("patient")["split"].nunique() == 1).all()


@pytest.mark.parametrize("fractions", [FRACTIONS, {"train": 0.5, "test": 0.5}])
def test_each_class_is_divided_by_the_fractions(records: pd.DataFrame, fractions: dict[str, float]) -> None:
    divided = split_by_patient(records, fractions)
    shares = pd.crosstab(divided["label"], divided["split"], normalize="index")
    for name, fraction in fractions.items():
        assert shares[name].to_numpy() == pytest.approx(fraction, abs=0.02)


def test_the_same_seed_gives_the_same_split_in_any_order_and_on_any_machine(records: pd.DataFrame) -> None:
    one = split_by_patient(records, seed=3)
    other = split_by_patient(records.sample(frac=1, random_state=1), seed=3)
    assert dict(zip(one["record_id"], one["split"], strict=True)) == dict(
        zip(other["record_id"], other["split"], strict=True)
    )
    small = make_records({f"p{number}": ["a"] for number in range(8)})
    # Written down once: a change of Python, NumPy or pandas must not change it.
    assert list(split_by_patient(small, seed=7)["split"]) == ["test", *["train"] * 5, "validation", "train"]


def test_another_seed_gives_another_split(records: pd.DataFrame) -> None:
    assert (split_by_patient(records, seed=1)["split"] != split_by_patient(records, seed=2)["split"]).any()


def test_a_kept_split_stays(records: pd.DataFrame) -> None:
    given_test = records.assign(split=np.where(records["patient"].isin(["p0", "p1", "p2"]), "test", "train"))
    divided = split_by_patient(given_test, {"train": 0.9, "validation": 0.1}, keep=("test",))
    assert set(divided.loc[divided["split"] == "test", "patient"]) == {"p0", "p1", "p2"}
    assert (divided["split"] == "validation").sum() == pytest.approx(0.1 * len(records), rel=0.1)


def test_a_patient_both_kept_and_not_is_refused(records: pd.DataFrame) -> None:
    first = records.index == 0
    two_films = pd.concat([records, records[first].assign(record_id="again")], ignore_index=True)
    mixed = two_films.assign(split=np.where(two_films["record_id"] == "again", "test", "train"))
    with pytest.raises(InputError, match="p0"):
        split_by_patient(mixed, {"train": 0.9, "validation": 0.1}, keep=("test",))


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        ({"train": 0.8, "test": 0.1}, "sum to 1"),
        ({"train": 1.2, "test": -0.2}, "positive"),
        ({"train": 0.8, "holdout": 0.2}, "holdout"),
        ({}, "sum to 1"),
        ({"train": 0.8, "test": float("nan")}, "positive"),
    ],
)
def test_fractions_that_make_no_whole_are_refused(
    records: pd.DataFrame, fractions: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        split_by_patient(records, fractions)


def test_a_class_with_too_few_patients_is_refused() -> None:
    few = make_records({"a": ["ill"] * 9, "b": ["ill"], **{f"p{number}": ["well"] for number in range(9)}})
    with pytest.raises(InputError, match="'ill' has 2 patients"):
        split_by_patient(few)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("ab")), min_size=3, max_size=40), st.integers(0, 5))
def test_every_class_that_can_be_divided_is_in_every_split(sizes: list[tuple[int, str]], seed: int) -> None:
    patients = {f"p{number}": [label] * size for number, (size, label) in enumerate(sizes)}
    enough = {label for _, label in sizes if sum(other == label for _, other in sizes) >= 3}
    records = make_records({name: labels for name, labels in patients.items() if labels[0] in enough})
    if len(records):
        divided = split_by_patient(records, seed=seed)
        assert (divided.groupby("label")["split"].nunique() == 3).all()


def test_a_saved_split_comes_back(records: pd.DataFrame, tmp_path: Path) -> None:
    divided = split_by_patient(records)
    save_split(divided, tmp_path / "split.json")
    shuffled = records.sample(frac=1, random_state=0).assign(path="elsewhere")
    back = load_split(shuffled, tmp_path / "split.json").sort_index()
    assert list(back["split"]) == list(divided["split"])


@pytest.mark.parametrize("change", [{"label": "other"}, {"patient": "other"}, {"record_id": "other"}])
def test_a_split_saved_for_other_records_is_refused(
    records: pd.DataFrame, tmp_path: Path, change: dict[str, str]
) -> None:
    save_split(split_by_patient(records), tmp_path / "split.json")
    ((column, value),) = change.items()
    records.loc[0, column] = value
    with pytest.raises(InputError, match=records_hash(records)[:12]):
        load_split(records, tmp_path / "split.json")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"split": 3, "records_sha256": 4}',
        '{"split": {}, "records_sha256": null}',
        '{"split": {}, "records_sha256": 4.5}',
        '{"split": [[1, "train"]], "records_sha256": "0"}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_split_is_refused(records: pd.DataFrame, tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=r"split\.json"):
        load_split(records, tmp_path / "split.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r1": "test"}, "patient p is in 'train' and 'test'"),
        ({"r0": "", "r1": "train"}, "patient p is in '' and 'train'"),
        ({"r2": None}, "found no known split of r2"),
        ({"r2": ["test"]}, "found no known split of r2"),
        ({"r2": "holdout"}, "found no known split of r2"),
    ],
)
def test_a_saved_split_that_was_changed_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    records = make_records({"p": ["x", "x"], "q": ["x"]}).assign(split=["train", "train", "test"])
    save_split(records, tmp_path / "split.json")
    saved = json.loads((tmp_path / "split.json").read_text())
    saved["split"] |= change
    (tmp_path / "split.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=rf"split\.json: {words}"):
        load_split(records, tmp_path / "split.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r9": "test"}, r"\(not in the data: r9\)"),
        ({"r2": None}, r"\(not in the split: r2\)"),
        ({"r0": None, "r1": None, "x": "test"}, r"\(not in the data: x; not in the split: r0 and 1 more\)"),
    ],
)
def test_a_saved_split_with_a_record_more_or_less_is_refused(
    tmp_path: Path, change: dict[str, str | None], words: str
) -> None:
    records = make_records({"p": ["x", "x"], "q": ["x"]}).assign(split=["train", "train", "test"])
    save_split(records, tmp_path / "split.json")
    saved = json.loads((tmp_path / "split.json").read_text())
    saved["split"] = {name: side for name, side in {**saved["split"], **change}.items() if side}
    (tmp_path / "split.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=rf"split\.json: it was saved for other records .*{words}, expected the same"):
        load_split(records, tmp_path / "split.json")


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (["train", "train"], "found no record in validation; expected some in each of train, validation"),
        (["train", "test"], "found r1 in 'test'; expected each record in train or validation"),
        (["train", ""], "found r1 in ''; expected each record in train or validation"),
    ],
)
def test_a_given_split_needs_the_sides_of_its_run_and_no_other(tmp_path: Path, sides: list[str], words: str) -> None:
    records = make_records({"p": ["x"], "q": ["x"]})
    save_split(records.assign(split=sides), tmp_path / "split.json")
    with pytest.raises(InputError, match=words):
        given_split(records, tmp_path / "split.json", ("train", "validation"))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.json", r"none\.json: no such file"),
        ("", "found a folder; expected a file"),
        ("~no.such.user/split.json", "not a saved split"),
    ],
)
def test_a_split_that_is_not_there_is_one_sentence(
    records: pd.DataFrame, tmp_path: Path, path: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load_split(records, Path(path) if path.startswith("~") else tmp_path / path)


def test_overlap_is_found_by_identity_and_by_content(tmp_path: Path) -> None:
    for name, content in {"a": b"one", "b": b"two", "c": b"one", "d": b"three"}.items():
        (tmp_path / name).write_bytes(content)
    records = make_records({"p": ["x", "x"], "q": ["x"], "r": ["x"]}).assign(path=["a", "b", "c", "d"])
    by_content = records.assign(split=["train", "train", "test", "test"])
    with pytest.raises(InputError, match="train and test share 0 patients and 1 identical files"):
        check_no_overlap(by_content, tmp_path)
    by_patient = records.assign(split=["train", "test", "train", "test"])
    with pytest.raises(InputError, match="share 1 patients and 0 identical files"):
        check_no_overlap(by_patient, tmp_path)
    check_no_overlap(records.assign(split=["train", "train", "train", "test"]), tmp_path)


def test_a_picture_named_in_two_splits_is_refused_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(b"one")
    records = make_records({"p": ["x"], "q": ["x"]}).assign(path="a.PNG", split=["train", "test"])
    with pytest.raises(InputError, match=r"a\.PNG is in train and test"):
        check_no_overlap(records, tmp_path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    records = make_records({"p": ["x"], "q": ["x"]}).assign(path=["a.png", "b.png"], split=["train", "test"])
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        check_no_overlap(records, tmp_path)


def test_rows_of_one_table_are_not_taken_for_identical_files(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    records = make_records({"p": ["x"], "q": ["x"]}).assign(path="table.csv", split=["train", "test"])
    check_no_overlap(records, tmp_path)


def test_overlap_counts_each_pair_of_splits() -> None:
    records = make_records({"p": ["x", "x", "x"]}).assign(split=["train", "validation", "test"])
    table = overlap(records, pd.Series(["h", "h", ""]))
    assert table["patients"].tolist() == [1, 1, 1]
    assert table["files"].tolist() == [1, 0, 0]
