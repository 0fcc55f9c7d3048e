"""Audit: overlap, identical and near-identical pictures, and how well the source alone tells the class."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter
from rich.console import Console

from medutils.data import registry
from medutils.data.audit import (
    _candidates,
    _how_to_read,
    _interval,
    association,
    audit,
    near_identical,
    perceptual_hashes,
    read_folder,
    report,
)
from medutils.data.loaded import Loaded
from medutils.errors import InputError


def film(seed: int, size: int = 96) -> Image.Image:
    """A smooth picture that differs from seed to seed."""
    coarse = np.random.default_rng(seed).integers(20, 235, (9, 9)).astype(np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def make_records(folder: Path, rows: list[tuple[str, str, str, str, Image.Image]]) -> pd.DataFrame:
    """Records from (patient, label, source, split, picture), written as PNG files."""
    for number, (*_, picture) in enumerate(rows):
        picture.save(folder / f"{number}.png")
    return pd.DataFrame(
        {
            "record_id": [f"{number}.png" for number in range(len(rows))],
            "patient": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "source": [row[2] for row in rows],
            "split": [row[3] for row in rows],
            "path": [f"{number}.png" for number in range(len(rows))],
        }
    )


@pytest.fixture
def records(tmp_path: Path) -> pd.DataFrame:
    rows = [
        ("p1", "ill", "here", "train", film(1)),
        ("p1", "ill", "here", "test", film(2)),
        ("p2", "well", "here", "test", film(1)),
        ("p3", "well", "here", "train", film(3)),
        ("p4", "well", "here", "test", film(3).resize((48, 48)).filter(ImageFilter.GaussianBlur(1))),
    ]
    return make_records(tmp_path, rows)


def test_a_picture_that_records_share_is_opened_once_and_counts_for_each(records: pd.DataFrame, tmp_path: Path) -> None:
    again = records[:2].assign(record_id=["a", "b"], label=["well", "ill"])
    found = audit(Loaded(pd.concat([records, again], ignore_index=True)), tmp_path)
    assert (found.numbers["records"], found.numbers["pictures"], found.numbers["distinct"]) == (7, 5, 4)
    assert found.identical["files"].tolist() == [("0.png", "2.png")]
    assert found.appearance.set_index("label")["pictures"].to_dict() == {"ill": 2, "well": 4}


def test_patients_and_files_that_two_splits_share_are_counted(records: pd.DataFrame, tmp_path: Path) -> None:
    (row,) = audit(Loaded(records), tmp_path).overlap.to_dict("records")
    assert row == {"first": "train", "second": "test", "patients": 1, "files": 1}


def test_identical_and_near_identical_pictures_are_found_across_splits_and_classes(
    records: pd.DataFrame, tmp_path: Path
) -> None:
    found = audit(Loaded(records), tmp_path)
    assert found.identical["files"].tolist() == [("0.png", "2.png")]
    assert found.near[["first", "second"]].to_numpy().tolist() == [["3.png", "4.png"]]
    expected = {"pictures": 5, "distinct": 4, "identical_groups": 1, "near_pairs": 1, "unreadable": 0}
    expected |= {"identical_groups_across_splits": 1, "identical_groups_across_labels": 1}
    expected |= {"near_pairs_across_splits": 1, "near_pairs_across_labels": 0, "near_pairs_across_patients": 1}
    assert expected.items() <= found.numbers.items()


def test_a_file_that_cannot_be_opened_is_counted_named_and_left_out(records: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes(b"no picture")
    (tmp_path / "4.png").unlink()
    found = audit(Loaded(records, (("loop", "a link, which is not followed"),)), tmp_path)
    assert (found.numbers["pictures"], found.numbers["unreadable"], found.numbers["near_pairs"]) == (3, 2, 0)
    assert found.left_out["file"].tolist() == ["loop", "3.png", "4.png"]
    assert "no image in it" in found.left_out["reason"][1] and "no such file" in found.left_out["reason"][2]


@pytest.mark.parametrize(
    ("change", "near"),
    [
        (lambda picture: picture.resize((40, 40)), True),
        (lambda picture: ImageEnhance.Brightness(picture).enhance(0.8), True),
        (lambda picture: picture.filter(ImageFilter.GaussianBlur(2)), True),
        (lambda picture: film(12), False),
        (lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), False),
    ],
)
def test_a_changed_copy_is_near_and_another_film_is_not(change: object, near: bool) -> None:
    pair = [film(11), change(film(11))]  # type: ignore[operator]
    pictures = pd.DataFrame(
        {
            "record_id": ["a", "b"],
            "patient": ["p", "q"],
            "label": "x",
            "split": "",
            "sha256": ["a", "b"],
            "thumbnail": [np.asarray(one.resize((32, 32))) for one in pair],
        }
    )
    assert bool(len(near_identical(pictures))) == near


def test_hashes_that_differ_in_eight_bits_are_candidates_and_in_nine_are_not() -> None:
    found = _candidates(np.array([0, 0xFF, 0x1FF00], np.uint64))
    assert [column.tolist() for column in found] == [[0], [1], [8]]


@pytest.mark.parametrize(("correlation", "near"), [(0.981, True), (0.979, False)])
def test_pictures_that_correlate_by_098_are_near(correlation: float, near: bool) -> None:
    waves = np.cos(np.pi * np.outer(np.arange(32), 2 * np.arange(32) + 1) / 64)
    smooth = np.einsum("ab,ai,bj", np.random.default_rng(0).normal(size=(7, 7)), waves[1:8], waves[1:8])
    fine = np.outer(waves[20], waves[20])  # a frequency that no hash looks at, and unlike all that is in `smooth`
    fine *= np.sqrt(1 / correlation**2 - 1) * np.linalg.norm(smooth) / np.linalg.norm(fine)
    pictures = pd.DataFrame({"record_id": ["a", "b"], "patient": "p", "label": "x", "split": "", "sha256": ["a", "b"]})
    found = near_identical(pictures.assign(thumbnail=[smooth, smooth + fine]))
    assert found["correlation"].round(6).tolist() == ([correlation] if near else [])


def test_every_pair_is_compared_across_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [(f"p{n}", "x", "here", "", film(n % 7)) for n in range(7)]
    rows += [(f"q{n}", "x", "here", "", film(n).resize((64, 64))) for n in range(7)]
    records = make_records(tmp_path, rows)
    monkeypatch.setattr("medutils.data.audit.BLOCK", 3)
    near = audit(Loaded(records), tmp_path).near
    assert sorted(zip(near["first"], near["second"], strict=True)) == sorted(
        (f"{n}.png", f"{n + 7}.png") for n in range(7)
    )


def test_a_hash_has_64_bits_of_which_half_are_set() -> None:
    hashes = perceptual_hashes(np.random.default_rng(0).uniform(0, 255, (20, 32, 32)))
    assert hashes.dtype == np.uint64
    assert (np.bitwise_count(hashes) == 32).all()
    assert len(set(hashes.tolist())) == 20


def sources(rows: list[tuple[str, str]], patients: int | None = None) -> pd.DataFrame:
    """Records of (label, source), each of its own patient or dealt out to so many patients."""
    return pd.DataFrame(
        {
            "patient": [f"p{number % (patients or len(rows))}" for number in range(len(rows))],
            "label": [label for label, _ in rows],
            "source": [source for _, source in rows],
        }
    )


def measured(table: pd.DataFrame) -> dict[str, float]:
    return dict(zip(table["measure"], table["value"], strict=True))


def test_a_source_that_is_the_class_tells_it_fully() -> None:
    found = measured(association(sources([("ill", "A"), ("well", "B")] * 50), "source"))
    assert found["accuracy"] == found["balanced accuracy"] == found["Cramer's V"] == 1
    assert found["baseline accuracy"] == found["baseline balanced accuracy"] == 0.5


def test_a_source_that_knows_nothing_is_no_better_than_the_baseline() -> None:
    rng = np.random.default_rng(0)
    rows = [
        ("ill" if ill else "well", str(source))
        for ill, source in zip(rng.random(600) < 0.3, rng.integers(3, size=600), strict=True)
    ]
    table = association(sources(rows), "source").set_index("measure")
    assert table.loc["accuracy", "value"] == pytest.approx(table.loc["baseline accuracy", "value"], abs=0.03)
    assert table.loc["balanced accuracy", "value"] == pytest.approx(0.5, abs=0.03)
    assert table.loc["Cramer's V", "value"] < 0.15


def test_a_source_of_one_patient_each_is_not_called_from_that_patient_itself() -> None:
    rows = [("ill" if number % 2 else "well", f"s{number}") for number in range(100)]
    assert measured(association(sources(rows), "source"))["accuracy"] < 0.7


def test_a_class_of_too_few_patients_has_no_association(records: pd.DataFrame, tmp_path: Path) -> None:
    two_sources = records.assign(source=["here", "there", "here", "there", "here"])
    assert audit(Loaded(two_sources), tmp_path).association.empty


def test_the_interval_holds_the_value_and_is_wider_with_fewer_patients() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.random(60) < 0.5, 10)
    told = np.repeat(rng.random(60) < 0.8, 10)
    rows = [("ill" if ill else "well", "A" if ill == right else "B") for ill, right in zip(labels, told, strict=True)]
    records = sources(rows)
    of_few = records.assign(patient=[f"p{number // 10}" for number in range(600)])

    def width(table: pd.DataFrame) -> float:
        row = table.set_index("measure").loc["accuracy"]
        assert row["low"] <= row["value"] <= row["high"]
        return row["high"] - row["low"]

    assert width(association(of_few, "source")) > 2 * width(association(records, "source"))


def test_the_json_holds_no_file_name_and_no_nan(records: pd.DataFrame, tmp_path: Path) -> None:
    text = json.dumps(audit(Loaded(records), tmp_path).to_json(), allow_nan=False)
    assert ".png" not in text


def test_the_report_shows_what_was_found(records: pd.DataFrame, tmp_path: Path) -> None:
    titles = [table.title for table in report(audit(Loaded(records), tmp_path))]
    assert {"Numbers", "Labels", "What splits share", "Identical files", "Near-identical pictures"} <= set(titles)


def test_the_report_shows_no_code_of_a_file_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("p1", "x", "here", "train", film(1)), ("p2", "x", "here", "test", film(1))]
    records = make_records(tmp_path, rows).assign(record_id=["evil\x1b[2J.png", "[red]\udcff.png"])
    for table in report(audit(Loaded(records), tmp_path)):
        Console(width=200).print(table)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and r"evil\x1b[2J.png" in shown and r"[red]\udcff.png" in shown


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=80), min_size=2, max_size=2), st.sampled_from([".png", ".dcm", ".mha", ".nii.gz"]))
def test_garbage_for_pictures_is_counted_and_not_raised(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    for name, content in zip("ab", contents, strict=True):
        (folder / f"{name}{suffix}").write_bytes(content)
    records = pd.DataFrame({"record_id": ["a", "b"], "label": "x", "source": "y", "split": ""})
    records = records.assign(patient=records["record_id"], path=records["record_id"] + suffix)
    assert audit(Loaded(records), folder).numbers["unreadable"] == 2


@pytest.mark.real
def test_real_kermany_films() -> None:
    found = audit(registry.load("kermany_chest_xray")[0])
    expected = {"pictures": 5840, "distinct": 5808, "identical_groups": 30}
    expected |= {"identical_groups_across_splits": 0, "identical_groups_across_labels": 0}
    assert expected.items() <= found.numbers.items()
    assert found.overlap[["patients", "files"]].to_numpy().sum() == 0


@pytest.mark.real
def test_real_six_class_source_tells_the_class() -> None:
    found = audit(registry.load("lung_six_class")[0]).association.set_index(["predictor", "measure"])
    assert found.loc[("source", "balanced accuracy"), "low"] > 0.6
    assert found.loc[("source", "accuracy"), "low"] > 2 * found.loc[("source", "baseline accuracy"), "value"]


@pytest.mark.real
def test_real_lumbar_table() -> None:
    found = audit(registry.load("rsna_lumbar")[0])
    expected = {"patients": 1975, "targets": 25, "cells": 49375, "unlabelled": 572}
    assert expected.items() <= found.numbers.items()
    shares = found.prevalence.set_index("label")["share"]
    assert shares[["Normal/Mild", "Moderate", "Severe"]].round(3).tolist() == [0.765, 0.161, 0.063]


def test_the_interval_is_as_wide_as_that_of_a_binomial_share() -> None:
    right = np.arange(400) % 2 == 0
    value, low, high = _interval(right, np.zeros(400, int), pd.Series([f"p{number}" for number in range(400)]), 0)
    assert value == 0.5
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 400), rel=0.1)


def films(folder: Path, sources: dict[str, dict[str, int]]) -> Loaded:
    """A folder of class folders with an index: so many films, each of its own patient, by source and class.

    The films of the class "ill" are brighter.
    """
    lines, seed = ["file,label,source,patient"], 0
    for source, classes in sources.items():
        for label, number in classes.items():
            (folder / label).mkdir(parents=True, exist_ok=True)
            for _ in range(number):
                seed += 1
                picture = film(seed, 32).point(lambda grey, more=100 * (label == "ill"): grey / 2 + more)
                picture.save(folder / label / f"{seed}.png")
                lines.append(f"{label}/{seed}.png,{label},{source},p{seed}")
    (folder / "index.csv").write_text("\n".join(lines))
    return read_folder(folder)


def said(loaded: Loaded) -> str:
    return "\n".join(audit(loaded).said)


BOTH = {"ill": 8, "well": 8}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"A": BOTH}, ["there is one source, 'A'", "test it on films of a second source"]),
        ({"A": BOTH, "B": BOTH}, ["test it inside one source ('A', 'B'), and on one that was left out of training"]),
        (
            {"A": BOTH, "B": {"ill": 8}},
            ["Sources with one class only: 'B' ('ill')", "the source is the class", "inside one source ('A')"],
        ),
        ({"A": {"ill": 8}, "B": {"well": 8}}, ["'A' ('ill'), 'B' ('well')", "no source here has two"]),
    ],
)
def test_what_the_sources_allow_is_said(
    sources: dict[str, dict[str, int]], expected: list[str], tmp_path: Path
) -> None:
    text = said(films(tmp_path, sources))
    assert all(words in text for words in expected)


def test_the_last_sentence_names_the_predictor_that_comes_nearest_to_a_model(tmp_path: Path) -> None:
    found = audit(films(tmp_path, {"A": BOTH}))
    accuracy = found.association[found.association["measure"] == "accuracy"].set_index("predictor")["value"]
    assert f"the {accuracy.idxmax()} comes nearest to a model's accuracy with {accuracy.max():.1%}" in found.said[-1]


@pytest.mark.parametrize(("low", "words"), [(0.61, "against"), (0.59, "no better than")])
def test_a_predictor_whose_interval_holds_the_majority_class_is_no_better(low: float, words: str) -> None:
    kept = sources([("ill", "A"), ("well", "A"), ("ill", "A"), ("well", "A"), ("ill", "A")])
    told = pd.DataFrame({"predictor": ["border"], "measure": ["accuracy"], "value": [0.7], "low": [low], "high": [0.8]})
    assert f"{words} 60.0% for always saying 'ill'" in _how_to_read(kept, told)


def test_of_a_table_only_the_majority_class_is_named() -> None:
    records = sources([("ill", "A"), ("well", "A"), ("ill", "A")] * 10).assign(split="", path="table.csv")
    text = said(Loaded(records.assign(record_id=records.index.astype(str))))
    assert "no shortcut could be tried, so compare your model with 66.7% for always saying 'ill'" in text


def test_a_class_that_is_too_small_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    loaded = films(tmp_path, {"A": {**BOTH, "rare": 1}})
    found = audit(loaded)
    assert "need 5 patients a class" in found.said[0] and "'rare' has 1;" in found.said[0]
    alone = audit(Loaded(loaded.records[loaded.records["label"] != "rare"]))
    pd.testing.assert_frame_equal(found.association, alone.association)
    assert set(found.appearance["label"]) == {"ill", "rare", "well"}


def test_where_nothing_can_be_judged_the_last_sentence_says_so(tmp_path: Path) -> None:
    found = audit(films(tmp_path, {"A": {"ill": 8, "well": 4}}))
    assert found.association.empty and "could not be judged" in found.said[-1]


def test_a_class_of_which_no_film_can_be_opened_has_no_patient(tmp_path: Path) -> None:
    loaded = films(tmp_path, {"A": BOTH})
    for path in (tmp_path / "well").iterdir():
        path.write_bytes(b"no picture")
    text = said(loaded)
    assert "Left out: 8, the first well/9.png: found no image" in text and "'well' has 0;" in text


def test_every_predictor_is_judged_on_the_films_that_can_be_opened(tmp_path: Path) -> None:
    loaded = films(tmp_path, {"A": BOTH, "B": BOTH})
    (tmp_path / "ill/3.png").write_bytes(b"no picture")
    found = audit(loaded)
    baseline = found.association.loc[found.association["measure"] == "baseline accuracy", "value"]
    assert len(baseline) == 5 and np.allclose(baseline, 16 / 31)  # the source, and four that see the file
    assert found.left_out["file"].tolist() == ["ill/3.png"] and found.numbers["left_out"] == 1


def test_a_patient_in_two_classes_is_counted_and_said(records: pd.DataFrame, tmp_path: Path) -> None:
    both = records.assign(patient=["p1", "p2", "p2", "p3", "p4"])
    found = audit(Loaded(both), tmp_path)
    assert found.numbers["patients_in_two_classes"] == 1
    assert any("two classes or more: 1 (p2); keep a patient's films together" in sentence for sentence in found.said)


def test_patients_that_are_not_known_are_said(records: pd.DataFrame, tmp_path: Path) -> None:
    found = audit(Loaded(records, unmatched=("0.png", "1.png")), tmp_path)
    assert any("The patient of 2 of 5 records is not known" in sentence for sentence in found.said)


def test_files_that_the_index_names_and_that_are_not_there_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    films(tmp_path, {"A": {**BOTH, "gone": 2}})
    for path in [tmp_path / "ill/2.png", *(tmp_path / "gone").iterdir()]:
        path.unlink()
    (tmp_path / "empty").mkdir()
    text = said(read_folder(tmp_path))
    assert "Left out: 3, the first ill/2.png: index.csv names it, but it is not there." in text
    assert "Left out: 2, the first empty: a class folder without a film of index.csv." in text
    for path in tmp_path.glob("*/*.png"):
        path.unlink()
    with pytest.raises(InputError, match="found none of its 18 files"):
        read_folder(tmp_path)


def test_class_folders_need_no_index(tmp_path: Path) -> None:
    films(tmp_path, {"A": BOTH})
    (tmp_path / "index.csv").unlink()
    assert len(read_folder(tmp_path, r"(\d+)").records) == 16
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: found no image"):
        read_folder(tmp_path)


def test_the_table_of_what_tells_the_class_has_a_row_a_predictor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {table.title: table for table in report(audit(films(tmp_path, {"A": BOTH, "B": BOTH})))}
    Console(width=200).print(tables["What tells the class"])
    shown = capsys.readouterr().out
    order = ["majority class", "source", "border", "8 x 8 thumbnail", "grey levels", "file"]
    assert [shown.count(name) for name in order] == [1] * 6
    assert sorted(order, key=shown.index) == order
