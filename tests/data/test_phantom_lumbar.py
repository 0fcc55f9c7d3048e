"""The lumbar phantoms: real DICOM in the real layout, grades seen in the right series and on the right side."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from medutils.data import lumbar
from medutils.data.dicom import read_dicom
from medutils.data.lumbar import CONDITIONS, LEVELS, SERIES, SERIES_OF_CONDITION
from medutils.data.manifest import kind_of
from medutils.data.phantoms.lumbar import (
    Slab,
    Study,
    axial_slabs,
    draw_slice,
    draw_studies,
    make_rsna,
    make_slices,
    sagittal_slabs,
)

SIZE = 96
L4_L5 = LEVELS.index("l4_l5")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rsna_lumbar")
    make_rsna(folder, studies=6, seed=3, size=64)
    return folder


@pytest.fixture(scope="module")
def study() -> Study:
    """A study whose 25 grades are all normal."""
    drawn = draw_studies(1, seed=5)[0]
    return replace(drawn, grades=drawn.grades * 0)


def slabs_of(study: Study, description: str) -> list[Slab]:
    """All sagittal slices of a study, or the middle one of each level's axial stack."""
    return axial_slabs(study.patient, SIZE)[1::3] if description == "Axial T2" else sagittal_slabs(study.patient, SIZE)


def change(study: Study, condition: str, description: str, grade: int = 2) -> Iterator[tuple[Slab, np.ndarray]]:
    """Each slice of a series with how much it differs when a condition gets another grade at L4/L5."""
    grades = study.grades.copy()
    grades[CONDITIONS.index(condition), L4_L5] = grade
    for slab in slabs_of(study, description):
        before, after = (draw_slice(one, description, slab) for one in (study, replace(study, grades=grades)))
        yield slab, np.abs(after - before)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("description", SERIES)
def test_a_grade_is_seen_in_its_own_kind_of_series_only(study: Study, condition: str, description: str) -> None:
    seen = max(float(difference.max()) for _, difference in change(study, condition, description))
    if SERIES_OF_CONDITION[condition] == description:
        assert seen > 0.2
    else:
        assert seen == 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_foramina_narrow_on_their_own_side(study: Study, side: str) -> None:
    """The patient's left has x above 0 in DICOM."""
    seen = {
        float(slab.x): float(difference.max())
        for slab, difference in change(study, f"{side}_neural_foraminal_narrowing", "Sagittal T1")
    }
    own, other = (lambda x: x > 0, lambda x: x < 0) if side == "left" else (lambda x: x < 0, lambda x: x > 0)
    assert max(value for x, value in seen.items() if own(x)) > 0.2
    assert max(value for x, value in seen.items() if other(x) or x == 0) == 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_recesses_narrow_on_their_own_side_and_level(study: Study, side: str) -> None:
    """In an axial picture the patient's left is on the right."""
    differences = [difference for _, difference in change(study, f"{side}_subarticular_stenosis", "Axial T2")]
    left, right = (differences[L4_L5][:, part] for part in (slice(SIZE // 2 + 3, None), slice(0, SIZE // 2 - 3)))
    own, other = (left, right) if side == "left" else (right, left)
    assert own.max() > 0.2 and own.sum() > 10 * other.sum()
    assert all(difference.max() < 0.05 for level, difference in enumerate(differences) if level != L4_L5)


def test_worse_canal_stenosis_leaves_less_fluid(study: Study) -> None:
    """Bright fluid in the middle slice falls from grade to grade."""
    study = replace(study, patient=replace(study.patient, stir=False))
    middle = sagittal_slabs(study.patient, SIZE)[6]
    row = CONDITIONS.index("spinal_canal_stenosis")
    bright = []
    for grade in range(3):
        grades = study.grades.copy()
        grades[row] = grade
        image = draw_slice(replace(study, grades=grades), "Sagittal T2/STIR", middle)
        plane = middle.plane
        canal = (plane.p > 0) & (plane.p < plane.size["canal"]) & (np.abs(plane.under) < 3) & (plane.disc >= 3)
        bright.append(float(image[canal & (plane.disc < 8)].mean()))
    assert bright[0] > 1.15 * bright[1] > 1.15**2 * bright[2]


def test_layout_is_read_by_the_real_loaders(made: Path) -> None:
    assert kind_of(made) == "phantom"
    assert lumbar.load_rsna_targets(made).shape == (6, 25)
    series, loaded, points = (
        lumbar.load_series(made).records,
        lumbar.load_dicom_tree(made),
        lumbar.load_coordinates(made),
    )
    tree = loaded.records
    assert series["label"].value_counts().to_dict() == {"Axial T2": 7, "Sagittal T1": 6, "Sagittal T2/STIR": 6}
    assert not loaded.skipped and len(tree) == 6 * (13 + 13 + 15)
    assert set(tree["study_id"] + "/" + tree["series_id"]) == set(series["record_id"])
    planes = tree.groupby("series_description")["orientation"].unique().map(list).to_dict()
    assert planes == {"Axial T2": ["axial"], "Sagittal T1": ["sagittal"], "Sagittal T2/STIR": ["sagittal"]}
    assert len(points) == lumbar.load_rsna_tables(made).records.shape[0]


def test_coordinates_lie_in_the_right_series_and_picture(made: Path) -> None:
    """Each point names a slice that exists; left foramina lie at x above 0, left recesses right of the middle."""
    tree = lumbar.load_dicom_tree(made).records
    points = lumbar.load_coordinates(made).astype({"instance_number": int})
    joined = points.merge(tree, left_on=["series_id", "instance_number"], right_on=["series_id", "instance"])
    assert len(joined) == len(points)
    assert (joined["series_description"] == joined["condition"].map(SERIES_OF_CONDITION)).all()
    assert joined[["x", "y"]].min().min() > 0 and joined[["x", "y"]].max().max() < 63
    foramina = joined[joined["condition"].str.contains("foraminal")]
    left = foramina["condition"].str.startswith("left")
    assert (foramina.loc[left, "position_mm"] < 0).all() and (foramina.loc[~left, "position_mm"] > 0).all()
    recesses = joined[joined["condition"].str.contains("subarticular")]
    by_side = recesses.pivot_table(index=["study_id_x", "level"], columns="condition", values="x")
    assert (by_side["left_subarticular_stenosis"] > by_side["right_subarticular_stenosis"]).dropna().all()


def test_order_by_place_is_not_the_order_of_names(made: Path) -> None:
    tree = lumbar.load_dicom_tree(made).records
    orders = {name: list(rows["instance"]) for name, rows in tree.groupby("series_id", sort=False)}
    assert all((np.diff(rows["position_mm"]) > 0).all() for _, rows in tree.groupby("series_id"))
    assert sum(order == sorted(order) for order in orders.values()) in range(1, len(orders) // 2 + 1)
    assert any(order not in (sorted(order), sorted(order)[::-1]) for order in orders.values())


def test_files_are_dicom_that_says_it_is_a_phantom(made: Path) -> None:
    paths = [Path(path) for path in lumbar.load_dicom_tree(made).records["path"]]
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert all(str(header.PatientName).startswith("PHANTOM^") for header in headers)
    assert all("Not for clinical use" in header.ImageComments for header in headers)
    assert {header.PhotometricInterpretation for header in headers} == {"MONOCHROME1", "MONOCHROME2"}
    assert {float(header.RescaleSlope) for header in headers} == {0.5, 1.0, 2.0}
    assert {header.BitsAllocated for header in headers} == {16}
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert {"WindowWidth" in header for header in headers} == {True, False}


def test_monochrome1_studies_look_like_the_others(made: Path) -> None:
    """Air behind the back is dark and the fat under the skin bright, however the file stores them."""
    tree = lumbar.load_dicom_tree(made).records
    for _, rows in tree[tree["label"] == "Sagittal T1"].groupby("study_id"):
        for window in (None, "header"):
            image = read_dicom(Path(rows["path"].iloc[6]), window)  # type: ignore[arg-type]
            assert image[:, :8].mean() < 100 < image.max()


def test_same_seed_same_files(tmp_path: Path) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        (tmp_path / name).mkdir()
        make_rsna(tmp_path / name, studies=1, seed=seed, size=64)
    files = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    }
    assert files["a"] == files["b"] != files["c"]
    assert len(files["a"]) == 41 + 4


def test_prevalence_missing_cells_and_correlation_are_the_real_ones() -> None:
    """Real: 76.5 / 16.1 / 6.3 % of all cells, 1.2 % empty, and a mean correlation of 0.26 with the diagonal."""
    drawn = draw_studies(1500, seed=0)
    grades = np.array([study.grades.ravel() for study in drawn])
    ungraded = np.array([study.ungraded.ravel() for study in drawn])
    shares = np.bincount(grades.ravel(), minlength=3) / grades.size
    np.testing.assert_allclose(shares, [0.774, 0.163, 0.063], atol=0.012)
    assert 0.009 < ungraded.mean() < 0.015
    assert 0.2 < np.corrcoef(grades.T).mean() < 0.32
    canal = pd.DataFrame(grades[:, :5], columns=list(LEVELS)).gt(0).mean()
    assert canal["l4_l5"] > canal["l3_l4"] > canal["l1_l2"]


def test_few_studies_already_hold_every_grade() -> None:
    assert {grade for study in draw_studies(24, seed=0) for grade in study.grades.ravel()} == {0, 1, 2}


def test_slices_are_in_the_layout_of_spider(tmp_path: Path) -> None:
    make_slices(tmp_path, patients=2, seed=0)
    records = lumbar.load_slices(tmp_path).records
    assert kind_of(tmp_path) == "phantom" and records["patient"].value_counts().to_dict() == {"1": 5, "2": 5}
    pictures = [np.asarray(Image.open(path)) for path in records["path"]]
    assert {(picture.shape, picture.dtype.name) for picture in pictures} == {((320, 256), "uint8")}
    assert len({picture.tobytes() for picture in pictures}) == 10
