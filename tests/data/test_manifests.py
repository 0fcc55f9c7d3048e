"""Manifests: the schema, what each says, and that code, books and facts agree with them."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medutils.data.chest_xray import load_kermany
from medutils.data.lumbar import load_slices
from medutils.data.manifest import load_manifest, manifest_names
from medutils.data.registry import DATASETS, dataset
from medutils.data.verify import total_of
from medutils.errors import InputError
from medutils.files import BOOK, MANIFESTS

NAMES = manifest_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_manifest_fits_the_schema_and_bears_its_own_name(name: str) -> None:
    assert load_manifest(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_citation_is_in_the_bibliography(name: str) -> None:
    keys = re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.M)
    assert set(load_manifest(name).citation) <= set(keys)


@pytest.mark.parametrize("name", NAMES)
def test_sources_that_need_no_account_come_first(name: str) -> None:
    manifest = load_manifest(name)
    keyless_first = [source.account for source in manifest.sources]
    assert keyless_first == sorted(keyless_first)


@pytest.mark.parametrize(
    ("name", "file", "patient"),
    [
        ("figure1_covid", "COVID-00003b.jpg", "COVID-00003"),
        ("shenzhen_tb", "CHNCXR_0327_1.png", "CHNCXR_0327"),
        ("montgomery_tb", "MCUCXR_0001_0.png", "MCUCXR_0001"),
        ("nih_chest_sample", "00000013_005.png", "00000013"),
        ("spider_lumbar", "11_t2_SPACE_slice62.png", "11"),
        ("spider_lumbar", "11_t2.mha", "11"),
    ],
)
def test_a_patient_is_read_from_a_name(name: str, file: str, patient: str) -> None:
    match = re.search(load_manifest(name).patient_pattern or "", file)
    assert match and match["patient"] == patient


def test_the_loader_of_kermany_names_patients_as_its_manifest_says(tmp_path: Path) -> None:
    said = dict(re.findall(r"(\S+-\d+|person\S+) is (\S+-\w+)", load_manifest("kermany_chest_xray").patient))
    assert len(said) == 5
    for stem in (*said, "person9_virus_9"):
        path = tmp_path / "train" / ("NORMAL" if "IM-" in stem else "PNEUMONIA") / f"{stem}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    records = load_kermany(tmp_path).records
    read = {Path(file).stem: patient for file, patient in zip(records["path"], records["patient"], strict=True)}
    assert said.items() <= read.items()


def test_the_loader_of_spider_names_patients_as_its_manifest_says(tmp_path: Path) -> None:
    for file in ("11/11_t2_SPACE_slice62.png", "12_t1.mha"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"-")
    pattern = load_manifest("spider_lumbar").patient_pattern or ""
    records = load_slices(tmp_path).records
    named = [re.search(pattern, Path(file).name) for file in records["path"]]
    assert [match and match["patient"] for match in named] == list(records["patient"])


@pytest.mark.parametrize(
    ("name", "version", "total"),
    [
        ("kermany_chest_xray", "Kaggle", 5856),
        ("kermany_chest_xray", "Kaggle, without val", 5840),
        ("kermany_chest_xray", "Mendeley, version 2", 5856),
        ("lung_six_class", "measured for this book", 2882),
        ("lung_six_class", "write-up 004, all films", 11276),
        ("lung_six_class", "write-up 004, with augmented COVID-19 copies", 11677),
        ("lung_six_class", "write-up 004, balanced subset", 3142),
        ("shenzhen_tb", "as published", 662),
        ("montgomery_tb", "as published", 138),
    ],
)
def test_counts_sum_to_what_is_stated_of_a_version(name: str, version: str, total: int) -> None:
    assert total_of(load_manifest(name).versions()[version]) == total


def test_the_tb_films_of_write_up_004_are_those_of_its_two_sources() -> None:
    of_sources = [load_manifest(name).versions()["as published"] for name in ("shenzhen_tb", "montgomery_tb")]
    with_tb = sum(number for counts in of_sources for key, number in counts.items() if key.endswith("_1.png"))
    assert with_tb == load_manifest("lung_six_class").versions()["write-up 004, all films"]["TB/*"]


def test_a_recipe_names_datasets_that_have_a_manifest() -> None:
    manifest = load_manifest("lung_six_class")
    assert manifest.made_of() <= set(NAMES)
    assert set(manifest.recipe) == set(manifest.classes)


@pytest.mark.parametrize(
    ("films", "version"), [("measured", "measured for this book"), ("write_up", "write-up 004, all films")]
)
def test_a_recipe_makes_up_the_counts_of_each_class(films: str, version: str) -> None:
    manifest = load_manifest("lung_six_class")
    made = {f"{label}/*": sum(getattr(row, films) or 0 for row in rows) for label, rows in manifest.recipe.items()}
    counts = manifest.versions()[version]
    assert made == {key: number for key, number in counts.items() if key != "index.csv"}


@pytest.mark.real
def test_a_recipe_names_the_sources_of_the_real_index(real_data: Path) -> None:
    index = pd.read_csv(real_data / "lung_six_class" / "index.csv", dtype=str)
    counted = index.groupby(["label", "source"]).size().to_dict()
    recipe = load_manifest("lung_six_class").recipe
    assert counted == {
        (label, row.source): row.measured for label, rows in recipe.items() for row in rows if row.source
    }


SPINE = (MANIFESTS / "spine.yaml").read_text(encoding="utf-8")
ARCHIVE = {"name": "a.zip", "url": "https://example.org/a.zip"}


def refused(folder: Path, text: str, name: str = "spine") -> str:
    """Write a manifest; the sentence it is refused with, without the path it begins with."""
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError) as error:
        patch.setattr("medutils.data.manifest.MANIFESTS", folder)
        load_manifest(name)
    start, sentence = f"{folder / name}.yaml: ", str(error.value)
    assert sentence.startswith(start) and "\n" not in sentence
    return sentence.removeprefix(start)


@pytest.mark.parametrize(
    ("change", "key", "fault"),
    [
        ({"colour": "red"}, "colour", "not permitted"),
        ({"title": ""}, "title", "at least 1 character"),
        ({"citation": []}, "citation", "at least 1 item"),
        ({"classes": ["Normal", "Abnormal", "Normal"]}, "classes", "'Normal' more than once"),
        ({"positive": "Ill"}, "positive", "'Ill'; expected one of the classes Normal, Abnormal"),
        ({"counts": {}}, "counts", "at least 1 item"),
        ({"counts": {"first": {}}}, "counts", "at least 1 item"),
        ({"counts": {"Bnormal": 3}}, "counts", "'Bnormal'"),
        ({"counts": {"Normal": 3, "other": {"Normal": 2}}}, "counts", "mixes"),
        ({"counts": {"Normal": -3}}, "counts.Normal", "greater than or equal to 0; found -3"),
        ({"counts": {"Normal": True}}, "counts.Normal", "valid integer; found True"),
        ({"counts": {"Normal": "100"}}, "counts.Normal", "valid integer; found '100'"),
        ({"counts": {"first": {"Normal": 1.5}}}, "counts.first", "valid integer; found 1.5"),
        ({"patient_pattern": "(?P<patient>"}, "patient_pattern", "no regular expression"),
        ({"patient_pattern": "a+"}, "patient_pattern", "groups none; expected patient alone"),
        ({"folder": "../spine"}, "folder", "found '../spine'"),
        ({"folder": "/spine"}, "folder", "found '/spine'"),
        ({"folder": ".."}, "folder", "found '..'"),
        ({"licence": {"name": "a", "url": "https://", "allows": "b"}}, "licence.url", "found 'https://'"),
        ({"recipe": {"Bnormal": [{"datasets": ["spine"]}]}}, "recipe", "Bnormal"),
        ({"recipe": {"Normal": []}}, "recipe.Normal", "at least 1 item"),
        ({"recipe": {"Normal": [{"measured": 3}]}}, "recipe.Normal.0", "expected one of them"),
        ({"recipe": {"Normal": [{"datasets": ["spine"], "measured": 3}]}}, "recipe.Normal.0", "source and measured"),
        ({"sources": []}, "sources", "at least 1 item"),
        ({"name": "spines"}, "name", "found 'spines'; expected 'spine'"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], key: str, fault: str) -> None:
    sentence = refused(tmp_path, yaml.safe_dump(yaml.safe_load(SPINE) | change))
    assert sentence.startswith(key) and fault in sentence


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"address": "1524a"}, "sources.0: address"),
        ({"kind": "url", "address": "https://"}, "sources.0: address"),
        ({"kind": "url", "address": "1524"}, "sources.0: address"),
        ({"account": True, "steps": []}, "sources.0.steps"),
        ({"archive": ARCHIVE | {"url": "http://example.org/a.zip"}}, "sources.0.archive.url"),
        ({"archive": ARCHIVE | {"url": "https://"}}, "sources.0.archive.url"),
        ({"archive": ARCHIVE | {"name": "../a.zip"}}, "sources.0.archive.name"),
        ({"archive": ARCHIVE | {"sha256": "abc"}}, "sources.0.archive.sha256"),
    ],
)
def test_a_source_that_leads_nowhere_is_refused(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    content = yaml.safe_load(SPINE)
    content["sources"][0] |= change
    assert refused(tmp_path, yaml.safe_dump(content)).startswith(key)


@pytest.mark.parametrize("line", ["title: again", "counts:\n  Normal: 1\n  Normal: 2"])
def test_a_key_that_comes_twice_is_refused(tmp_path: Path, line: str) -> None:
    sentence = refused(tmp_path, f"{SPINE.partition('counts:')[0]}{line}\n")
    assert re.match("(title|Normal): found more than once", sentence)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.binary(max_size=60)
    | st.text(alphabet=":-[]{}?!&*#|>'\"%@`,~= \n01ax.", max_size=60).map(str.encode)
    | st.tuples(st.integers(0, len(SPINE)), st.text(alphabet=":-[]{}?!&*\n1a", max_size=4)).map(
        lambda cut: (SPINE[: cut[0]] + cut[1] + SPINE[cut[0] :]).encode()
    )
)
@example(b"")
@example(b"[" * 5000)
@example(b"name: 2001-99-99")
@example(b"name: !!bool x")
@example(b"name: !!int ''")
@example(b"name: !!timestamp x")
@example(b"? [a]\n: 1")
def test_garbage_is_a_manifest_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "garbage"
    folder.mkdir(exist_ok=True)
    (folder / "spine.yaml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medutils.data.manifest.MANIFESTS", folder)
        try:
            load_manifest("spine")
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("name", DATASETS)
def test_the_registry_names_a_loader_and_a_phantom_that_exist(name: str) -> None:
    assert callable(DATASETS[name].load)
    assert callable(DATASETS[name].make)


@pytest.mark.parametrize(
    ("name", "words"), [("shenzhen_tb", "a source of lung_six_class"), ("lungs", "'lungs' is not known")]
)
def test_a_dataset_without_a_loader_is_refused_with_a_reason(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        dataset(name)
