"""Films made ready for a network: any dataset of films and any folder, its classes, patients and splits."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from medutils.data import manifest, registry
from medutils.data.films import Films, find_films, open_films, says_normal
from medutils.data.phantoms.chest import make_kermany, make_six_class
from medutils.data.splits import check_no_overlap
from medutils.errors import InputError
from medutils.training import baselines


def folder_of(
    root: Path, *classes: str, films: int = 12, pattern: str = "p{label}{film}", suffix: str = ".png"
) -> Path:
    """Class folders of small films, each of another patient."""
    rng = np.random.default_rng(len(root.name))
    for number, label in enumerate(classes):
        (root / label).mkdir(parents=True)
        for film in range(films):
            pixels = (rng.integers(0, 100, (40, 40)) + 50 * number).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / (pattern.format(label=label, film=film) + suffix), "PNG")
    return root


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "lung_six_class"
    folder.mkdir()
    make_six_class(folder, scale=0.15, size=48)
    return folder


# --- any dataset, any folder ------------------------------------------------------------------------------------------


def test_the_six_classes_open_by_name_with_patients_drawn_for_test(six: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDUTILS_DATA", str(six.parent))
    films = open_films(dataset="lung_six_class", positive="TB")
    assert films.classes == ("Bacterial Pneumonia", "COVID-19", "Normal", "Other Findings", "Viral Pneumonia", "TB")
    assert (films.located.name, films.located.kind, films.located.path) == ("lung_six_class", "phantom", six)
    assert films.patients_known and films.notes == ()
    assert set(films.records["split"]) == {"train", "test"}
    check_no_overlap(films.records)
    assert set(films.records["source"]) > {"nih1000_dinbe"} and "finding" in films.records


def test_a_folder_is_read_by_what_it_holds_whatever_dataset_is_asked_for(six: Path, tmp_path: Path) -> None:
    make_kermany(tmp_path / "k", films=(80, 40), size=48) if (tmp_path / "k").mkdir() is None else None
    assert "cause" in open_films(str(tmp_path / "k"), dataset="lung_six_class").records
    assert "finding" in open_films(str(six), dataset="kermany_chest_xray").records
    plain = open_films(str(folder_of(tmp_path / "own", "a", "b")), dataset="lung_six_class")
    assert plain.located.name == "own" and set(plain.records["source"]) == {"own"}


def test_a_new_dataset_of_films_needs_a_manifest_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = yaml.safe_load((manifest.MANIFESTS / "lung_six_class.yaml").read_text())
    told |= {"name": "new_set", "folder": "new_set", "classes": ["ill", "well"], "positive": "ill"}
    told |= {"counts": {"ill": 12, "well": 12}, "recipe": {}}
    shutil.copytree(manifest.MANIFESTS, tmp_path / "manifests")
    (tmp_path / "manifests/new_set.yaml").write_text(yaml.safe_dump(told))
    monkeypatch.setattr(manifest, "MANIFESTS", tmp_path / "manifests")
    entry = registry.Dataset("films", "chest_xray:load_class_folders", "chest:make_kermany")
    monkeypatch.setitem(registry.DATASETS, "new_set", entry)
    folder_of(tmp_path / "data/new_set", "ill", "well")
    monkeypatch.setenv("MEDUTILS_DATA", str(tmp_path / "data"))
    films = open_films(dataset="new_set")
    assert films.positive == "ill" and films.located.name == "new_set" and len(films.records) == 24


def test_a_dataset_of_another_kind_is_refused() -> None:
    with pytest.raises(
        InputError, match="dataset: found 'spine', of the kind table; expected one of kermany_chest_xray"
    ):
        open_films(dataset="spine")


def test_a_pattern_beside_an_index_is_refused(six: Path) -> None:
    with pytest.raises(
        InputError, match=r"patient_pattern: found '\^\(p\)' and .*index\.csv, which names the patients"
    ):
        open_films(str(six), patient_pattern="^(p)")


@pytest.mark.parametrize("spelling", ["Train", "TRAIN"])
def test_split_folders_in_another_spelling_are_read(tmp_path: Path, spelling: str) -> None:
    make_kermany(tmp_path, films=(80, 40), size=48)
    shutil.move(tmp_path / "train", tmp_path / spelling)
    films = open_films(str(tmp_path))
    assert "cause" in films.records and set(films.records["split"]) == {"train", "test"}


def test_one_split_in_two_spellings_is_refused(tmp_path: Path) -> None:
    for split in ("Train", "train", "test"):
        folder_of(tmp_path / split, "NORMAL", "PNEUMONIA")
    with pytest.raises(InputError, match=rf"{tmp_path}: found the folders Train and train; expected one of them"):
        open_films(str(tmp_path))


# --- classes, patients, sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (["ABNORMAL", "NORMAL"], "ABNORMAL"),
        (["abnormal", "normal"], "abnormal"),
        (["Healthy controls", "Asthma"], "Asthma"),
        (["COVID", "non-COVID"], "COVID"),
        (["0", "1"], "1"),
        (["TB", "healthy_lung"], "TB"),
        (["Effusion", "No Finding"], "Effusion"),
        (["Not normal", "Normal"], "Not normal"),
        (["NORMAL", "PNEUMONIA", "TB"], "PNEUMONIA"),
        (["cat", "dog"], "dog"),
    ],
)
def test_the_positive_class_is_never_one_of_nothing_found(tmp_path: Path, classes: list[str], positive: str) -> None:
    films = open_films(str(folder_of(tmp_path / "own", *classes)))
    assert films.positive == positive
    told = " ".join(films.notes)
    if positive == "PNEUMONIA":  # the dataset's own
        assert not told
    else:
        assert f"The positive class is taken to be {positive}" in told and "`positive` names another" in told
    assert ("the last by name" in told) == (classes == ["cat", "dog"])


def test_classes_that_all_say_nothing_was_found_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", "normal", "healthy")
    with pytest.raises(InputError, match="positive: each of the classes healthy, normal"):
        find_films(str(folder))
    assert open_films(str(folder), "normal").notes == ()


@pytest.mark.parametrize("name", ["Normal", "NORMAL", "noFinding", "No_Finding", "neg", "control-group", "without TB"])
def test_names_that_say_that_nothing_was_found(name: str) -> None:
    assert says_normal(name)


@pytest.mark.parametrize("name", ["Abnormal", "paranormal", "negligible", "Nodule", "nonnormal", "non-normal", "TB"])
def test_names_that_do_not(name: str) -> None:
    assert not says_normal(name)


def test_a_class_name_cannot_mark_up_the_page(tmp_path: Path) -> None:
    [note] = open_films(str(folder_of(tmp_path / "own", "normal", "*ill* `x`"))).notes
    assert r"\*ill\* \`x\`" in note


@pytest.mark.parametrize(("pattern", "known"), [("", False), (r"^p(\w+)\.", True), (r"^pa(\w+)\.", False)])
def test_whether_every_patient_is_known(tmp_path: Path, pattern: str, known: bool) -> None:
    films = open_films(str(folder_of(tmp_path / "own", "a", "b")), patient_pattern=pattern)
    assert films.patients_known == known
    if pattern.startswith("^pa"):
        assert len(films.unmatched) == 12 and all(name.startswith("b/") for name in films.unmatched)


def test_a_set_that_only_borrows_kermanys_class_names_has_no_known_patients(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder_of(tmp_path / split, "NORMAL", "PNEUMONIA", pattern=split + "{label}{film}")
    films = open_films(str(tmp_path))
    assert not films.patients_known and "cause" not in films.records


@pytest.mark.parametrize("find", [find_films, open_films])
def test_too_few_patients_are_told_before_anything_is_trained(tmp_path: Path, find: Callable) -> None:
    folder = folder_of(tmp_path / "small", "a", "b", films=9)
    with pytest.raises(InputError, match=r"small: found 9 patients of a; expected at least 10 of every class"):
        find(str(folder))
    for split, films in (("train", 8), ("test", 2)):
        folder_of(tmp_path / "sides" / split, "a", "b", films=films, pattern=split + "{label}{film}")
    find(str(tmp_path / "sides"))
    shutil.rmtree(tmp_path / "sides/test/b")
    with pytest.raises(InputError, match=r"sides: found 0 patients of b in test; expected at least 2"):
        find(str(tmp_path / "sides"))


# --- what is left out, and what shows nothing -------------------------------------------------------------------------


def test_files_left_out_are_named_below_the_folder_with_the_reason(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", "a", "b")
    (folder / "a/broken.png").write_bytes(b"not a film")
    (folder / "a/report.pdf").write_bytes(b"words")
    shutil.copy(folder / "b/pb0.png", folder / "b/other.jfif")
    films = open_films(str(folder))
    assert [name for name, _ in films.skipped] == ["a/report.pdf", "a/broken.png"]
    assert "no image by its name" in films.skipped[0][1] and "no image in it" in films.skipped[1][1]
    assert "b/other.jfif" in set(films.records["record_id"]) and films.copies == 1


def test_a_blank_film_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", "ill", "normal")
    Image.new("L", (30, 30), 200).save(folder / "ill/white.png")
    assert any("show nothing: `ill/white.png`." in note for note in open_films(str(folder)).notes)


def test_an_index_of_windows_text_is_read_and_told(six: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(six, tmp_path / "set")
    index = (folder / "index.csv").read_text()
    (folder / "index.csv").write_bytes(
        index.replace("Tuberculosis", "x").replace("TB\n", "Fièvre 38°\n").encode("cp1252")
    )
    assert any("cp1252" in note for note in open_films(str(folder)).notes)


# --- splits that are kept and given -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return open_films(str(folder_of(tmp_path_factory.mktemp("split") / "own", "a", "b", films=40)), seed=3)


def test_a_split_is_saved_and_given_to_another_run(films: Films, tmp_path: Path) -> None:
    held = films.hold_out("patient", 0.2, 7)
    held.save_split(tmp_path / "split.json")
    again = open_films(str(films.located.path), seed=4, split=str(tmp_path / "split.json"))
    assert again.records["split"].tolist() == held.records["split"].tolist()
    assert again.hold_out("patient", 0.2, 9).records["split"].tolist() == held.records["split"].tolist()
    assert again.undivided().hold_out("file", 0.2, 9).records["split"].tolist() != held.records["split"].tolist()
    other = open_films(str(films.located.path), seed=4)
    assert other.records["split"].tolist() != films.records["split"].tolist()


def test_a_split_of_other_films_is_refused(films: Films, tmp_path: Path) -> None:
    films.save_split(tmp_path / "split.json")
    other = folder_of(tmp_path / "other", "a", "b", films=20)
    with pytest.raises(InputError, match=r"split\.json: it was saved for other records \(80, .*found 40"):
        open_films(str(other), split=str(tmp_path / "split.json"))


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"a": {"test": "train"}, "b": {"test": "train"}}, "found no record in test"),
        ({"a": {"validation": "train"}, "b": {"validation": "train"}}, "found no record in validation"),
        ({"a": {"test": "train"}}, "found no film of a in test"),
        ({"b": {"train": "validation"}}, "found no film of b in train"),
    ],
)
def test_a_split_that_leaves_a_side_empty_is_refused(
    films: Films, tmp_path: Path, moved: dict[str, dict[str, str]], words: str
) -> None:
    films.hold_out("patient", 0.2, 7).save_split(tmp_path / "split.json")
    saved = json.loads((tmp_path / "split.json").read_text())
    saved["split"] = {name: moved.get(name[0], {}).get(side, side) for name, side in saved["split"].items()}
    (tmp_path / "split.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=rf"split\.json: {words}; expected some"):
        open_films(str(films.located.path), split=str(tmp_path / "split.json"))


def test_baselines_train_on_all_films_that_are_no_test_films_whoever_made_the_split(
    films: Films, tmp_path: Path
) -> None:
    films.hold_out("patient", 0.2, 7).save_split(tmp_path / "split.json")
    again = open_films(str(films.located.path), split=str(tmp_path / "split.json"))
    for baseline in (baselines.linear_baseline, baselines.majority_baseline):
        pd.testing.assert_frame_equal(baseline(again), baseline(films))


@pytest.mark.real
def test_real_six_classes_open_by_name() -> None:
    films = open_films(dataset="lung_six_class", positive="COVID-19")
    assert films.located.kind == "real" and len(films.classes) == 6 and films.patients_known
    assert len(films.records) + len(films.skipped) == 2882
    check_no_overlap(films.records)
    shares = films.records.groupby("label")["split"].agg(lambda split: (split == "test").mean())
    assert shares.between(0.15, 0.25).all()
