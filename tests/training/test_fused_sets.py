"""Patients and studies as sets of tokens: every series in its place, what is missing masked, every grade its own."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medutils.data.manifest import Located
from medutils.data.phantoms.lumbar import make_rsna
from medutils.data.spider import Spider
from medutils.data.studies import open_studies
from medutils.errors import InputError
from medutils.models.embedders import embedder
from medutils.training.fused_sets import DISCS, FINDINGS, spider_set, study_set

PATIENTS = {"t1": ("1", "2"), "t2": ("2", "3")}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def spider(tmp_path: Path) -> Spider:
    """Three patients: one with T1 alone, one with both, one with T2 alone, whose lowest disc is not graded."""
    rng = np.random.default_rng(0)
    series: dict[str, dict[str, Path]] = {}
    for kind, patients in PATIENTS.items():
        for patient in patients:
            path = tmp_path / f"{patient}_{kind}.png"
            Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(path)
            series.setdefault(kind, {})[patient] = path
    rows = [
        {"patient": patient, "disc": disc, **{column: (int(patient) + disc) % 2 for column in FINDINGS.values()}}
        for patient in ("1", "2", "3")
        for disc in DISCS
        if (patient, disc) != ("3", 1)
    ]
    discs = pd.DataFrame(rows).assign(pfirrmann_grade=[1 + row["disc"] % 5 for row in rows], modic=3)
    return Spider(discs, series, Located("x", "phantom", tmp_path))


def test_a_series_that_a_patient_lacks_is_masked(spider: Spider) -> None:
    one = embedder("lite0", size=64)
    data = spider_set(spider, {"t1": one, "t2": one, "t2_space": one}, 64)
    assert data.x.shape == (3, 3, 4, 1280) and data.patients == ("1", "2", "3")
    assert data.present.tolist() == [[True, False, False], [True, True, False], [False, True, False]]
    assert (data.x[~data.mask] == 0).all() and data.embedder == "lite0 (ImageNet)"


def test_every_grade_stands_under_its_target(spider: Spider) -> None:
    data = spider_set(spider, dict.fromkeys(("t1", "t2"), embedder("projection")), 64)
    table = pd.DataFrame(data.y, index=data.patients, columns=data.targets)
    assert table.loc["2", [f"pfirrmann_disc_{disc}" for disc in DISCS]].tolist() == [1, 2, 3, 4, 0]
    assert table.loc["1", [f"herniation_disc_{disc}" for disc in DISCS]].tolist() == [0, 1, 0, 1, 0]
    assert (table["modic_disc_2"] == 1).all()  # of any type
    assert (table.loc["3", [f"{finding}_disc_1" for finding in FINDINGS]] == -1).all() and (table.loc["2"] >= 0).all()
    assert data.findings[data.targets.index("modic_disc_4")] == "modic"


@pytest.mark.parametrize(("name", "values"), [("lite0", 1280), ("lite0_attention", 512), ("noise", 512)])
def test_a_whole_slice_is_one_token_of_any_embedder(name: str, values: int, spider: Spider) -> None:
    one = embedder(name, size=64)
    data = spider_set(spider, {"t1": one, "t2": one}, 64, whole=True)
    assert data.x.shape == (3, 2, 1, values)
    if name == "noise":
        drawn = data.x[data.mask]
        assert len(drawn.unique(dim=0)) == 4  # each series of each patient its own
    else:
        there, pixels = spider.pixels("t2", 64)
        torch.testing.assert_close(data.x[1:, 1, 0], one.embed(pixels), rtol=1e-3, atol=1e-4)
        assert there == ("2", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantom studies; the second has no T1."""
    made = tmp_path_factory.mktemp("made")
    make_rsna(made, studies=2, size=24)
    series = open_studies(str(made)).series
    study = sorted(series["study_id"].unique())[1]
    gone = series[(series["study_id"] == study) & (series["description"] == "Sagittal T1")].iloc[0]
    shutil.rmtree(gone["slices"][0].parent)
    return made


def test_slices_of_a_study_are_tokens_in_the_order_of_their_place(folder: Path) -> None:
    studies, one = open_studies(str(folder)), embedder("projection")
    data = study_set(studies, one, 24)
    assert data.present.tolist() == [[True, True, True], [False, True, True]] and len(data.targets) == 25
    rows = studies.series[studies.series["study_id"] == data.patients[1]]
    axial = rows[rows["description"] == "Axial T2"].iloc[0]
    pixels = studies.pixels(24)[axial["first"] : axial["first"] + len(axial["slices"])]
    torch.testing.assert_close(data.x[1, 2][data.mask[1, 2]], one.features(pixels), rtol=1e-3, atol=1e-3)
    grades = studies.grades.loc[list(data.patients)]
    assert (data.y == -1).sum() == grades.isna().to_numpy().sum()
    assert ((data.y == 2) == (grades == "Severe").to_numpy()).all()


def test_studies_without_a_grade_are_left_out_and_none_is_refused(folder: Path) -> None:
    studies = open_studies(str(folder))
    grades = studies.grades.copy()
    grades.iloc[0] = np.nan
    left = study_set(replace(studies, grades=grades), embedder("projection"), 24)
    assert left.patients == (grades.index[1],)
    with pytest.raises(InputError, match="found no graded study with a Sagittal T1 or"):
        study_set(replace(studies, grades=grades.iloc[:1]), embedder("projection"), 24)
