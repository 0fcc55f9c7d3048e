"""Dataset cards: the committed page is what the manifests and audits say now, and what a card holds."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from medutils.data.manifest import load_manifest, manifest_names
from medutils.data.registry import DATASETS
from medutils.files import BOOK
from medutils.site.cards import PAGE, card, page, section

NAMES = manifest_names()
AUDITS = sorted((BOOK / "reference").glob("audit_*.json"))
AUDITED: dict[str, Any] = {
    "numbers": {
        "records": 90,
        "patients": 40,
        "pictures": 88,
        "unreadable": 2,
        "distinct": 71,
        "identical_groups": 9,
        "identical_groups_across_splits": 4,
        "identical_groups_across_labels": 3,
        "identical_groups_across_patients": 5,
        "near_pairs": 8,
        "near_pairs_across_splits": 2,
        "near_pairs_across_labels": 1,
        "near_pairs_across_patients": 6,
    },
    "near": {"bits": 7, "correlation": 0.93},
    "prevalence": [
        {"split": "test", "label": "PNEUMONIA", "records": 12, "patients": 7, "share": 0.4},
        {"split": "test", "label": "NORMAL", "records": 18, "patients": 6, "share": 0.6},
        {"split": "train", "label": "PNEUMONIA", "records": 45, "patients": 20, "share": 0.75},
        {"split": "train", "label": "NORMAL", "records": 15, "patients": 9, "share": 0.25},
    ],
    "overlap": [{"first": "train", "second": "test", "patients": 1, "files": 3}],
    "association": [
        {"predictor": "source", "measure": "accuracy", "value": 0.59, "low": 0.556, "high": 0.62},
        {"predictor": "source", "measure": "balanced accuracy", "value": 0.68, "low": 0.66, "high": 0.7},
        {"predictor": "source", "measure": "baseline accuracy", "value": 0.214, "low": None, "high": None},
        {"predictor": "source", "measure": "baseline balanced accuracy", "value": 0.167, "low": None, "high": None},
        {"predictor": "source", "measure": "Cramer's V", "value": 0.799, "low": None, "high": None},
    ],
    "appearance": [
        {"label": "NORMAL", "pictures": 33, "sizes": 2, "height": 128.0, "width": 96.0, "mean": 148.04, "sd": 65.5},
        {"label": "PNEUMONIA", "pictures": 55, "sizes": 1, "height": 64.0, "width": 61.0, "mean": 121.2, "sd": 52.5},
    ],
}


def told(name: str, audited: dict[str, Any]) -> str:
    """The section of a dataset, with plain spaces before its percent signs."""
    return section(load_manifest(name), audited).replace("\u00a0", " ")


def test_the_committed_page_is_what_is_written_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m medutils.site.cards`"


def test_the_page_holds_every_dataset_once_and_those_that_chapters_read_first() -> None:
    held = re.findall(r"^\((\w+)\)=$", page(), re.M)
    assert sorted(held) == NAMES
    assert held[: len(DATASETS)] == list(DATASETS)


@pytest.mark.parametrize("path", AUDITS, ids=lambda path: path.stem)
def test_a_committed_audit_is_of_real_data_and_holds_no_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    audited = json.loads(text)
    assert (audited["name"], audited["kind"]) == (path.stem.removeprefix("audit_"), "real")
    known = {"name", "kind", "split", "label", "first", "second", "predictor", "measure"}
    assert {key for key, _ in re.findall(r'"(\w+)": (")', text)} <= known
    assert not re.search(r"\.(jpe?g|png|dcm|mha|csv)\b|/(?!Mild)", text)


def test_the_sets_that_chapters_read_are_audited() -> None:
    assert {path.stem.removeprefix("audit_") for path in AUDITS} == set(DATASETS)


@pytest.mark.parametrize(
    ("name", "numbers", "words"),
    [
        ("kermany_chest_xray", ("records", "distinct"), "Of the {:,}, {:,} files differ in content"),
        ("kermany_chest_xray", ("identical_groups",), "There are {} groups of identical files"),
        ("rsna_lumbar", ("cells", "unlabelled"), "Of the {:,} cells, {} are empty"),
    ],
)
def test_a_fault_states_the_numbers_of_the_audit(name: str, numbers: tuple[str, ...], words: str) -> None:
    audited = json.loads((BOOK / "reference" / f"audit_{name}.json").read_text(encoding="utf-8"))["numbers"]
    assert words.format(*(audited[number] for number in numbers)) in " ".join(load_manifest(name).faults)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_the_manifest_says(name: str) -> None:
    manifest = load_manifest(name)
    for text in (card(manifest), section(manifest).replace("{cite}`datasets-", "{cite}`")):
        assert text.startswith(f"({name})=\n## {manifest.title}\n")
        assert all(fault in text for fault in manifest.faults)
        assert all(step in text for source in manifest.sources for step in source.steps)
        assert all(f"{{cite}}`{key}`" in text for key in manifest.citation)
        assert manifest.licence.name in text and manifest.licence.allows.strip() in text
        assert manifest.patient.strip() in text and manifest.phantom.strip() in text


def test_counts_stand_under_their_version_and_are_summed() -> None:
    text = card(load_manifest("kermany_chest_xray"))
    assert "| Kaggle | Kaggle, without val | Mendeley, version 2 |" in text
    assert "| `train/PNEUMONIA/BACTERIA*.jpeg` |  |  | 2,538 |" in text
    assert "| in all | 5,856 | 5,840 | 5,856 |" in text


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("shenzhen_tb", "no account needed, and `medutils data fetch` downloads it"),
        ("spine", "(https://www.openml.org/d/1524): no account needed, and `medutils data fetch`"),
        ("rsna_lumbar", "an account is needed"),
        (
            "nih_chest_sample",
            "the list of the sample is on Kaggle)](https://nihcc.app.box.com/v/ChestXray-NIHCC): an acc",
        ),
    ],
)
def test_a_card_says_who_can_get_the_data(name: str, place: str) -> None:
    assert place in card(load_manifest(name))


@pytest.mark.parametrize(
    "row",
    [
        "| Bacterial Pneumonia | [kermany_chest_xray](#kermany_chest_xray) | `kermany_walia` | 616 | 2,530 |",
        "| Normal | [nih_chest_sample](#nih_chest_sample) | `nih1024_talo` | 53 |  |",
        "| TB | [shenzhen_tb](#shenzhen_tb), [montgomery_tb](#montgomery_tb) | `xtbtorch` | 304 | 394 |",
        "(https://www.kaggle.com/nabeelsajid917/covid-19-x-ray-10000-images) |  |  | 288 |",
    ],
)
def test_a_composed_set_says_how_many_films_come_from_where(row: str) -> None:
    assert row in card(load_manifest("lung_six_class"))
    assert "Composed from" not in card(load_manifest("spine"))


def test_only_the_book_folds_the_steps_away() -> None:
    manifest = load_manifest("shenzhen_tb")
    assert ":::" not in card(manifest)
    assert re.search(r"^:::\{dropdown\}.*?^1\. No account is needed.*?^:::$", section(manifest), re.M | re.S)


@pytest.mark.parametrize(
    "words",
    [
        "There are 90 records of 40 patients.",
        "| train | PNEUMONIA | 45 | 20 | 75.0 % |",
        "In train, the majority class is PNEUMONIA: always naming it is right for 75.0 % of the labels.",
        "In test, the majority class is NORMAL: always naming it is right for 60.0 % of the labels.",
        "The splits train and test share 1 patient and 3 identical files.",
        "2 of 90 picture files could not be opened. There are 71 different contents.",
        "| found | 9 | 8 |",
        "| across splits | 4 | 2 |",
        "| across classes | 3 | 1 |",
        "| across patients | 5 | 6 |",
        "at most 7 of 64 bits and their thumbnails correlate by 0.93 or more. 6 of them lie on both sides of a split.",
        "In 11 of them the copies bear different patients' names",
        "| source | accuracy | 59.0 % | 55.6 % to 62.0 % | 21.4 % |",
        "| source | balanced accuracy | 68.0 % | 66.0 % to 70.0 % | 16.7 % |",
        "of 68.0 %, where the majority class has 16.7 %",
        "is 0.80 for the source.",
        "| NORMAL | 33 | 96x128 | 2 | 148.0 | 65.5 |",
        "from 61 to 96, so size can tell the class. The mean grey level of a class runs from 121.2 to 148.0.",
    ],
)
def test_a_section_tells_what_an_audit_found(words: str) -> None:
    assert words in told("kermany_chest_xray", AUDITED)


def test_splits_and_classes_come_in_the_order_of_work_and_of_the_manifest() -> None:
    text = told("kermany_chest_xray", AUDITED)
    assert re.findall(r"^\| (train|test) \| (\w+)", text, re.M) == [
        ("train", "NORMAL"),
        ("train", "PNEUMONIA"),
        ("test", "NORMAL"),
        ("test", "PNEUMONIA"),
    ]


def test_without_copies_or_splits_the_section_says_so() -> None:
    numbers = {key: 0 if "_" in key or key == "unreadable" else number for key, number in AUDITED["numbers"].items()}
    rows = [row | {"split": ""} for row in AUDITED["prevalence"] if row["split"] == "train"]
    found = AUDITED | {"numbers": numbers, "prevalence": rows, "overlap": []}
    text = told("kermany_chest_xray", found)
    assert "No copy was found." in text and "All 88 files could be opened." in text
    assert "across splits" not in text and "| Split |" not in text and "The majority class is PNEUMONIA" in text


def test_copies_within_patients_are_told_from_copies_across_them() -> None:
    numbers = AUDITED["numbers"] | {
        f"{kind}_across_{what}": 0 for kind in ("identical_groups", "near_pairs") for what in ("splits", "patients")
    }
    text = told("kermany_chest_xray", AUDITED | {"numbers": numbers})
    assert "None crosses a split. Each is of one patient" in text


def test_empty_cells_are_told_and_left_out_of_the_majority() -> None:
    found = {
        "numbers": {"records": 80, "patients": 4, "targets": 25, "cells": 100, "unlabelled": 20},
        "near": AUDITED["near"],
        "prevalence": [
            {"split": "", "label": "Normal/Mild", "records": 60, "patients": 4, "share": 0.6},
            {"split": "", "label": "Severe", "records": 20, "patients": 2, "share": 0.2},
            {"split": "", "label": "Not labelled", "records": 20, "patients": 0, "share": 0.2},
        ],
        "overlap": [],
        "association": [],
        "appearance": [],
    }
    text = told("rsna_lumbar", found)
    assert "Of 100 cells (25 targets a study), 20 are empty (20.0 %)." in text
    assert "right for 75.0 % of the labels" in text
    assert "| Not labelled | 20 |  | 20.0 % |" in text


def test_each_term_of_the_glossary_is_linked_where_it_first_stands() -> None:
    text = re.sub(r"```[^`]*```|`[^`\n]*`|\[[^\]]*\]\([^)]*\)|^[|#(:].*$|\*\*[^*]*\*\*", "", page(), flags=re.M)
    prose, linked = text.replace("{term}", ""), re.findall(r"\{term\}`([^`]+)`", page())
    terms = re.findall(r"^(\w.*)\n {2}\S", (BOOK / "glossary.md").read_text(encoding="utf-8"), re.M)
    assert len(linked) == len(set(linked)) and {"phantom", "majority class", "sensitivity"} <= set(linked)
    left = {term for term in terms if term not in linked and re.search(rf"\b{re.escape(term)}\b", prose)}
    assert not left
    assert page().index("{term}`phantom`") < page().index("## ")
