"""Manifests: the schema, what each says, and that code, books and facts agree with them."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from medutils.data.chest_xray import load_kermany
from medutils.data.lumbar import load_slices
from medutils.data.manifest import Manifest, load_manifest, manifest_names
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
def test_every_source_without_an_archive_says_what_to_do(name: str) -> None:
    manifest = load_manifest(name)
    assert all(source.steps for source in manifest.sources)
    keyless_first = [source.account for source in manifest.sources]
    assert keyless_first == sorted(keyless_first)


@pytest.mark.parametrize("name", NAMES)
def test_a_patient_pattern_has_the_patient_as_its_one_group(name: str) -> None:
    if pattern := load_manifest(name).patient_pattern:
        assert re.compile(pattern).groupindex == {"patient": 1}


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
    records = load_kermany(tmp_path)
    read = {Path(file).stem: patient for file, patient in zip(records["path"], records["patient"], strict=True)}
    assert said.items() <= read.items()


def test_the_loader_of_spider_names_patients_as_its_manifest_says(tmp_path: Path) -> None:
    for file in ("11/11_t2_SPACE_slice62.png", "12_t1.mha"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"-")
    pattern = load_manifest("spider_lumbar").patient_pattern or ""
    records = load_slices(tmp_path)
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
    recipe = load_manifest("lung_six_class").recipe
    assert set(chain.from_iterable(recipe.values())) <= set(NAMES)
    assert list(recipe) and set(recipe) == set(load_manifest("lung_six_class").classes)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"colour": "red"}, "colour"),
        ({"counts": {"Bnormal": 3}}, "Bnormal"),
        ({"counts": {"Normal": 3, "other": {"Normal": 2}}}, "mixes"),
        ({"recipe": {"Bnormal": ["spine"]}}, "Bnormal"),
        ({"sources": []}, "sources"),
        ({"title": ""}, "title"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(change: dict[str, object], fault: str) -> None:
    content = yaml.safe_load((MANIFESTS / "spine.yaml").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match=fault):
        Manifest.model_validate(content | change)


@pytest.mark.parametrize(
    "archive",
    [
        {"name": "a.zip", "url": "http://example.org/a.zip"},
        {"name": "../a.zip", "url": "https://example.org/a.zip"},
        {"name": "a.zip", "url": "https://example.org/a.zip", "sha256": "abc"},
    ],
)
def test_an_archive_without_https_a_plain_name_or_a_whole_hash_is_refused(archive: dict[str, str]) -> None:
    content = yaml.safe_load((MANIFESTS / "spine.yaml").read_text(encoding="utf-8"))
    content["sources"][0]["archive"] = archive
    with pytest.raises(ValueError, match=r"sources\.0\.archive"):
        Manifest.model_validate(content)


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
