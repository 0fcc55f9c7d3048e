"""The exported model of studies: its file, what it refuses, and what it says with one, two and three series."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch

from medutils.data.lumbar import GRADES, TARGETS
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.studies import open_studies
from medutils.data.study_folder import KINDS
from medutils.errors import InputError
from medutils.export import load_model, model_card, save_model, write_attention
from medutils.export.study import there
from medutils.export.study_fit import fit_study_model
from medutils.training.fusion import Fitting
from tests.export.study_models import DATA, FINDINGS, about, config, embedded, network, reads, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "rsna_lumbar"
    folder.mkdir()
    make_rsna(folder, studies=6, size=24)
    return folder


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.pt"
    write(path)
    return path


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sorted((made / "train_images").iterdir())[0], tmp_path / "study"))


def without(study: Path, *kinds: str) -> None:
    """Take series away."""
    for folder in sorted(study.iterdir()):
        said = pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesDescription
        kind = "axial_t2" if said.endswith("AXI") else "sagittal_t1" if said.startswith("T1") else "sagittal_t2"
        if kind in kinds:
            shutil.rmtree(folder)


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "sets", "missing": "neutral"},
        {"architecture": "regions", "missing": "pseudo", "pseudo": "vae"},
        {"missing": "modality_dropout"},
    ],
)
def test_a_model_comes_back_as_it_was(settings: dict[str, Any], tmp_path: Path) -> None:
    design = config(**settings)
    before, told = network(design), about(reads(design))
    save_model(tmp_path / "model.pt", before, told)
    after = load_model(tmp_path)
    assert after.about.model_dump_json() == told.model_dump_json() and after.about.kind == "study"
    x = told.reads.tensor(embedded(sagittal_t1=3, axial_t2=5), "lite0", told.reads.weights)
    with torch.no_grad():
        expected = before(x, there(x)).flatten(0, 1)
    divided = torch.tensor([told.reads.temperatures[finding] for finding in FINDINGS])[:, None]
    np.testing.assert_allclose(after.probabilities(x), (expected / divided).double().softmax(1).numpy(), atol=1e-6)


def test_the_card_says_what_must_be_known() -> None:
    card = model_card(about())
    for words in (
        "does on a study",
        "Slices of Sagittal T1, Sagittal T2/STIR, Axial T2 are read grey",
        "It grades 25 targets",
        "A target is called Severe from a calibrated probability of 0.300 on, given.",
        "temperatures 1.100, 1.200, 1.300, 1.400",
        "| Sagittal T2/STIR, Axial T2 | 0.550 (0.530 to 0.570) | 0.780 (0.760 to 0.800) | 40 |",
        "knows nothing of real patients",
    ):
        assert words in card, card


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temperatures": {"canal": 1.0}}, "temperatures: found those of canal"),
        ({"temperatures": {**reads().temperatures, "spinal_canal_stenosis": 0.0}}, "spinal_canal_stenosis"),
        ({"weights": "abc"}, "weights"),
        ({"size": 4}, "size"),
        ({"design": replace(config(), embedder="resnet50")}, "found 'resnet50'; expected lite0"),
        ({"design": replace(config(), series=("t1", "sagittal_t2", "axial_t2"))}, "design.series: found 't1'"),
        ({"design": replace(config(), targets=("disc", *TARGETS[1:]))}, "design.targets: found 'disc'"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reads(**given)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda design: design | {"architecture": "magic"}, "about.reads.study.design.architecture"),
        (lambda design: design | {"depth": 3}, "about.reads.study.design.depth"),
        (lambda design: design | {"width": 10**12}, "differs from what was written"),
    ],
)
def test_a_damaged_design_is_refused_in_one_sentence(
    spoil: Callable[[dict[str, Any]], dict[str, Any]], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    write(path)
    content = torch.load(path, weights_only=True)
    content["about"]["reads"]["design"] = spoil(content["about"]["reads"]["design"])
    torch.save(content, path)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert words in str(caught.value) and str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_network_is_not_saved_as_another(tmp_path: Path) -> None:
    for told, found in (
        (about(), network(config(width=7))),
        (about(classes=("no", "yes")), network(config())),
    ):
        with pytest.raises(InputError, match="another design or number of classes"):
            save_model(tmp_path / "model.pt", found, told)
    with pytest.raises(ValueError, match="expected 1 beside temperatures"):
        about(temperature=2.0)


# --- embeddings -------------------------------------------------------------------------------------------------------


def test_embeddings_are_placed_by_series_and_what_is_not_there_is_nan() -> None:
    told = reads()
    given = embedded(axial_t2=5, sagittal_t1=3)
    x = told.tensor(given, "lite0", told.weights)
    assert x.shape == (1, 3, 5, 1280) and there(x).sum(-1).tolist() == [[3, 0, 5]]
    assert np.array_equal(x[0, 0, :3].numpy(), given["sagittal_t1"])


def with_nan(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[1, 7] = np.nan
    return values


@pytest.mark.parametrize(
    ("given", "embedder", "weights", "words"),
    [
        (embedded(axial_t2=2), "resnet50", "", "found those of 'resnet50'"),
        (embedded(axial_t2=2), "lite0", "f" * 64, "with weights ffffffffffff"),
        ({"axial_t2": np.zeros((2, 512), np.float32)}, "lite0", "", r"the shape \(2, 512\)"),
        ({"axial_t2": np.zeros(1280, np.float32)}, "lite0", "", r"the shape \(1280,\)"),
        ({"axial_t2": np.zeros((0, 1280), np.float32)}, "lite0", "", r"the shape \(0, 1280\)"),
        ({"axial_t2": with_nan(embedded(axial_t2=2)["axial_t2"])}, "lite0", "", "a number that is not finite"),
        (embedded(coronal_t1=2), "lite0", "", "found the series 'coronal_t1'"),
        ({}, "lite0", "", "found no series"),
    ],
)
def test_embeddings_of_another_kind_are_refused(
    given: dict[str, np.ndarray], embedder: str, weights: str, words: str
) -> None:
    told = reads()
    with pytest.raises(InputError, match=words) as caught:
        told.tensor(given, embedder, weights or told.weights)
    assert "\n" not in str(caught.value)


# --- predictions ------------------------------------------------------------------------------------------------------


def test_a_study_has_a_row_a_target_with_probabilities_and_the_grade_beside(made: Path, model_file: Path) -> None:
    model = load_model(model_file)
    folder = sorted((made / "train_images").iterdir())[0]
    found = model.predict([folder])
    table = found.table
    assert table["target"].tolist() == list(TARGETS) and found.judged == 1
    assert (table["condition"] + "_" + table["level"]).tolist() == list(TARGETS)
    assert table["side"].value_counts().to_dict() == {"left": 10, "right": 10, "": 5}
    prob = table[[f"prob_{grade}" for grade in GRADES]].to_numpy()
    np.testing.assert_allclose(prob.sum(1), 1)
    assert table["decision"].tolist() == [GRADES[place] for place in prob.argmax(1)]
    assert (table["reaches_threshold"] == (table["prob_Severe"] >= 0.3)).all()
    grades = pd.read_csv(made / "train.csv", dtype=str).set_index("study_id").loc[folder.name]
    assert table["graded"].fillna("").tolist() == grades[list(TARGETS)].fillna("").tolist()
    assert any("None is missing" in note for note in found.notes)
    assert any("targets that are graded beside it" in note for note in found.notes)
    assert any("knows nothing of real patients" in note for note in found.notes)


def test_the_same_study_is_judged_the_same_in_any_layout(study: Path, model_file: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(study.rglob("*.dcm"), reverse=True)):
        shutil.copy(path, flat / f"{number}.dcm")
    model = load_model(model_file)
    first, again, other = (model.predict([folder]) for folder in (study, study, flat))
    assert first.table.equals(again.table) and first.attention.equals(again.attention)
    columns = [f"prob_{grade}" for grade in GRADES]
    np.testing.assert_allclose(first.table[columns], other.table[columns], atol=1e-6)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("sagittal_t1",), "log loss 0.550 (0.530 to 0.570) in place of 0.480 (0.460 to 0.500), a change of 0.070"),
        (("axial_t2",), "What that costs was not measured for this model."),
        (("sagittal_t1", "axial_t2"), "Missing: Sagittal T1, Axial T2."),
    ],
)
def test_what_is_missing_is_said_with_its_cost(
    missing: tuple[str, ...], said: str, study: Path, model_file: Path
) -> None:
    model = load_model(model_file)
    whole = model.predict([study]).table
    without(study, *missing)
    found = model.predict([study])
    left = [kind for kind in KINDS if kind not in missing]
    assert any(said in note for note in found.notes), found.notes
    assert set(found.table["series"]) == {", ".join(left)} and set(found.table["missing"]) == {", ".join(missing)}
    assert not np.allclose(whole["prob_Severe"], found.table["prob_Severe"])
    assert found.attention["series"].unique().tolist() == left


@pytest.mark.parametrize("architecture", ["sets", "regions", "slices"])
def test_attention_sums_to_1_in_each_series_and_is_written(architecture: str, study: Path, tmp_path: Path) -> None:
    without(study, "sagittal_t2")
    write(tmp_path / "model.pt", architecture=architecture)
    found = load_model(tmp_path / "model.pt").predict([study])
    write_attention(found, tmp_path / "out" / "attention.csv")
    table = pd.read_csv(tmp_path / "out" / "attention.csv")
    assert list(table) == ["study", "series", "slice", "position_mm", "weight", "series_weight"]
    by_series = table.groupby("series")
    assert by_series["weight"].sum().tolist() == pytest.approx([1, 1], abs=1e-5)
    assert by_series["series_weight"].first().sum() == pytest.approx(1, abs=1e-5)
    assert all((study / name).is_file() for name in table["slice"]) and len(table) == 28
    assert (by_series["weight"].nunique() == 1).all() == (architecture == "sets")
    assert by_series["position_mm"].apply(lambda places: places.is_monotonic_increasing).all()


def test_one_study_that_cannot_be_judged_is_named_and_the_others_are_judged(
    study: Path, model_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    model = load_model(model_file)
    found = model.predict([tmp_path / "empty", study, tmp_path / "nowhere"])
    assert found.table["study"].unique().tolist() == [str(study)] and found.judged == 1
    assert [name for name, _ in found.left_out] == [str(tmp_path / "empty"), str(tmp_path / "nowhere")]
    with pytest.raises(InputError, match=r"no readable DICOM slice.*2 of 2 studies cannot be judged"):
        model.predict([tmp_path / "empty", tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"nowhere: no such folder; expected one of the DICOM files of a study$"):
        model.predict([tmp_path / "nowhere"])


def test_embeddings_by_other_weights_are_refused(study: Path, tmp_path: Path) -> None:
    design = config()
    save_model(tmp_path / "model.pt", network(design), about(reads(design, weights="a" * 64)))
    with pytest.raises(InputError, match="expected 'lite0' with aaaaaaaaaaaa"):
        load_model(tmp_path / "model.pt").predict([study])


def test_a_series_that_the_model_does_not_take_is_not_enough(study: Path, tmp_path: Path) -> None:
    design = replace(config(), series=("axial_t2",))
    save_model(tmp_path / "model.pt", network(design), about(reads(design, evaluated=())))
    model = load_model(tmp_path / "model.pt")
    assert set(model.predict([study]).table["series"]) == {"axial_t2"}
    without(study, "axial_t2")
    with pytest.raises(
        InputError, match="found Sagittal T1, Sagittal T2/STIR; expected a series that this model takes"
    ):
        model.predict([study])


def test_a_network_that_gives_no_number_is_said(study: Path, model_file: Path) -> None:
    model = load_model(model_file)
    model.network.components.fill_(3e38)
    with pytest.raises(InputError, match="the network gives no number"):
        model.predict([study])


# --- from studies to a model ------------------------------------------------------------------------------------------


def test_a_model_is_fitted_calibrated_and_measured_with_every_series_missing(made: Path, tmp_path: Path) -> None:
    studies = open_studies(str(made)).hold_out(2, 0.4, 0)
    small = {"architecture": "slices", "features": 4, "width": 6, "hidden": 5}
    told = fit_study_model(
        tmp_path / "model.pt", studies, DATA, small, size=32, fitting=Fitting(epochs=2), resamples=20
    )
    assert isinstance(told.reads.temperatures, dict) and set(told.reads.temperatures) == set(FINDINGS)
    assert [len(one.series) for one in told.reads.evaluated] == [3, 2, 2, 2, 1, 1, 1]
    assert told.reads.evaluated[0].log_loss_change.value == 0
    assert told.reads.evaluated[1].log_loss.value == pytest.approx(
        told.reads.evaluated[0].log_loss.value + told.reads.evaluated[1].log_loss_change.value
    )
    model = load_model(tmp_path / "model.pt")
    assert model.about.model_dump_json() == told.model_dump_json()
    held = studies.records.loc[studies.records["split"] == "test", "patient"].iloc[0]
    assert len(model.predict([made / "train_images" / held]).table) == 25
    with pytest.raises(InputError, match="found none in train"):
        fit_study_model(
            tmp_path / "other.pt",
            replace(studies, records=studies.records.assign(split="")),
            DATA,
            small,
            size=32,
        )


@pytest.mark.real
def test_the_two_real_studies_with_their_grades(real_data: Path, tmp_path: Path) -> None:
    write(tmp_path / "model.pt")
    folders = sorted((real_data / "rsna_lumbar_studies" / "train_images").iterdir())
    found = load_model(tmp_path / "model.pt").predict(folders)
    assert len(found.table) == 50 and found.table["graded"].notna().all() and found.left_out == ()
    assert found.attention.groupby(["study", "series"]).size().tolist() == [60, 18, 18, 42, 18, 18]
