"""The chest phantom: its anatomy, its findings, its hospitals and the two datasets made of it."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medutils.data.chest_xray import load_composed, load_kermany
from medutils.data.manifest import kind_of
from medutils.data.phantoms.chest import SIX_CLASSES, make_kermany, make_six_class
from medutils.data.phantoms.chest_anatomy import chest, draw_anatomy
from medutils.data.phantoms.chest_film import HOSPITALS, Hospital, expose, film, lung_mask
from medutils.data.phantoms.chest_findings import DRAWERS, finding_map
from medutils.errors import InputError

LUNG_FINDINGS = ["Bacterial Pneumonia", "Viral Pneumonia", "COVID-19", "TB", "Effusion", "Nodule"]
KERMANY_FILES = re.compile(r"(person\d+_(bacteria|virus)_\d+|(NORMAL2-)?IM-\d{4}-\d{4}(-\d{4})?)\.jpeg")


def plain(hospital: str) -> Hospital:
    """A hospital that marks nothing, so that only the body is in its films."""
    return replace(HOSPITALS[hospital], marker="", strip="", border=(0, 0, 0, 0), wires=False)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def kermany(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kermany")
    make_kermany(folder, films=(200, 80), size=64)
    return folder


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("six")
    make_six_class(folder, size=96, scale=0.1)
    return folder


@pytest.mark.parametrize("hospital", HOSPITALS)
@pytest.mark.parametrize("finding", [*DRAWERS, "Cardiomegaly|Effusion"])
def test_a_film_is_grey_and_the_same_for_the_same_seed(finding: str, hospital: str) -> None:
    first, again, other = (film(seed, finding, 64, hospital=hospital) for seed in (5, 5, 6))
    assert first.shape == (64, 64) and first.dtype == np.uint8
    assert (first == again).all() and (first != other).any()


def test_a_generator_gives_one_film_after_another() -> None:
    rng = np.random.default_rng(3)
    first, second = film(rng, size=48), film(rng, size=48)
    assert (first != second).any()
    assert (film(np.random.default_rng(3), size=48) == first).all()


def test_films_of_a_patient_differ_and_share_the_anatomy() -> None:
    site, patients = plain("xtbtorch"), [draw_anatomy(seed, child=False) for seed in range(6)]
    films = {
        patient.seed: [film(10 * patient.seed + shot, size=64, patient=patient, hospital=site) for shot in range(2)]
        for patient in patients
    }

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    same = [alike(shots[0], shots[1]) for shots in films.values()]
    others = [alike(films[a][0], films[b][1]) for a in films for b in films if a != b]
    assert max(same) < 1
    assert np.mean(same) > np.mean(others)


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_lungs_are_dark_between_bright_heart_and_abdomen(hospital: str) -> None:
    site = plain(hospital)
    mean = np.mean([film(seed, size=96, hospital=site) for seed in range(12)], axis=0)
    right_lung, left_lung = mean[36:52, 26:36], mean[36:52, 60:70]
    mediastinum, abdomen = mean[36:52, 45:51], mean[88:, 36:60]
    assert max(right_lung.mean(), left_lung.mean()) + 40 < min(mediastinum.mean(), abdomen.mean())


@pytest.mark.parametrize("finding", ["Normal", "Viral Pneumonia"])
@pytest.mark.parametrize("hospital", HOSPITALS)
def test_a_lung_mask_lies_on_the_lungs_of_its_film(hospital: str, finding: str) -> None:
    site, shape = plain(hospital), (64, 80)
    for seed in range(4):
        patient = draw_anatomy(seed, site.child)
        shown = expose(seed, finding, shape, patient, site)
        mask = lung_mask(seed, finding, shape, patient, site)
        assert mask.shape == shape and mask.dtype == bool and 0.1 < mask.mean() < 0.6
        assert (mask == lung_mask(seed, finding, shape, patient, HOSPITALS[hospital])).all()  # markers move no lung
        middle = np.zeros(shape, dtype=bool)
        middle[20:44, 20:60] = True  # within the body
        assert shown[mask & middle].mean() + 20 < shown[~mask & middle].mean()


def test_a_lung_mask_follows_its_film_and_keeps_what_disease_hides() -> None:
    site, patient = plain("xtbtorch"), draw_anatomy(3, child=False)
    masks = [
        lung_mask(seed, finding, (64, 64), patient, site) for seed, finding in ((5, "Normal"), (5, "TB"), (6, "TB"))
    ]
    assert (masks[0] == masks[1]).all() and (masks[1] != masks[2]).any()


@pytest.mark.parametrize("child", [True, False])
def test_the_heart_points_to_the_right_of_the_image(child: bool) -> None:
    for seed in range(8):
        laid = chest(draw_anatomy(seed, child), 144)
        rows = (laid.plate.y[:, 0] > 0.7 * laid.dome) & (laid.plate.y[:, 0] < 0.95 * laid.dome)
        right, left = laid.plate.x[0] < 0, laid.plate.x[0] > 0
        assert laid.lung[rows][:, right].sum() > 1.1 * laid.lung[rows][:, left].sum()
        stomach = laid.dome + laid.anatomy.dome  # and the right dome, left in the image, is the higher one
        assert laid.dome < stomach


def test_the_film_is_not_mirrored() -> None:
    site = plain("xtbtorch")
    mean = np.mean([film(seed, size=96, hospital=site) for seed in range(16)], axis=0)
    beside_the_spine = slice(58, 68)
    assert mean[beside_the_spine, 54:62].mean() > mean[beside_the_spine, 34:42].mean() + 15


@pytest.mark.parametrize(("hospital", "side"), [("kermany_walia", "left"), ("nih1000_dinbe", "right")])
def test_the_marker_is_on_its_side(hospital: str, side: str) -> None:
    with_marker = replace(plain(hospital), marker=HOSPITALS[hospital].marker, marker_rate=1.0)
    changed = film(4, size=96, hospital=with_marker) != film(4, size=96, hospital=plain(hospital))
    columns = np.flatnonzero(changed.any(axis=0))
    assert len(columns)
    assert columns.max() < 32 if side == "left" else columns.min() > 64


@pytest.mark.parametrize("finding", LUNG_FINDINGS)
def test_a_finding_shows_only_in_the_lungs_and_grows_with_severity(finding: str) -> None:
    for seed in range(6):
        laid = chest(draw_anatomy(seed, False), 144)
        mild, florid = (finding_map(laid, finding, severity) for severity in (0.1, 0.9))
        assert mild.min() >= 0 and 0 < mild.sum() < florid.sum()
        assert not florid[laid.lung == 0].any()


def weights(finding: str, seed: int, child: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The finding's attenuation, and for each pixel its height (0 apices, 1 dome) and x, each flat."""
    laid = chest(draw_anatomy(seed, child), 144)
    added = finding_map(laid, finding, 0.7)
    y, x = np.broadcast_arrays(laid.plate.y / laid.dome, laid.plate.x)
    return added.ravel() / added.sum(), y.ravel(), x.ravel()


def test_each_finding_is_where_it_belongs() -> None:
    for seed in range(12):
        added, y, _ = weights("TB", seed)
        assert added[y < 0.6].sum() > 0.9  # upper lobes
        added, y, x = weights("COVID-19", seed)
        assert added[y > 0.4].sum() > 0.8 and added[np.abs(x) > 0.5].sum() > 0.8  # bases and edges
        assert 0.1 < added[x < 0].sum() < 0.9  # both lungs
        added, y, x = weights("Viral Pneumonia", seed, child=True)
        assert 0.25 < added[x < 0].sum() < 0.75  # both lungs
        assert added[np.abs(x) < 0.7].sum() > 0.7  # around the hila
        added, y, x = weights("Effusion", seed)
        assert added[y > 0.5].sum() > 0.9  # at the base
        assert added[x < 0].sum() in (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))  # of one lung


@pytest.mark.parametrize("finding", LUNG_FINDINGS)
def test_the_same_film_with_and_without_a_finding_differs_in_the_chest_alone(finding: str) -> None:
    site = replace(plain("xtbtorch"), scatter=0.0)
    for seed in range(4):
        healthy, ill = (film(seed, name, 96, hospital=site, severity=0.8).astype(int) for name in ("Normal", finding))
        change = ill - healthy
        assert change.max() > 15 and change.min() >= -1
        assert not change[:12].any() and not change[:, :4].any() and not change[:, -4:].any()
        assert healthy[change > 15].mean() < healthy.mean() + 15  # it was lung


def test_cardiomegaly_widens_the_heart() -> None:
    healthy, ill = (film(1, name, 96, hospital=plain("xtbtorch"), severity=0.5) for name in ("Normal", "Cardiomegaly"))
    wider = ill.astype(int) - healthy > 30
    assert wider[:, :48].any() and wider[:, 48:].any()
    assert wider[30:].sum() > 0.95 * wider.sum()


def test_mean_intensity_does_not_tell_pneumonia() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    findings = ["Normal", "Bacterial Pneumonia", "Normal", "Viral Pneumonia"] * 60
    films = np.stack([film(seed, finding, 48) for seed, finding in enumerate(findings)]).reshape(len(findings), -1)
    ill = np.array([finding != "Normal" for finding in findings])
    two = np.stack([films.mean(axis=1) / 100, films.std(axis=1) / 50], axis=1)
    score = cross_val_predict(LogisticRegression(C=100), two, ill, method="predict_proba", cv=5)[:, 1]
    assert roc_auc_score(ill, score) < 0.75


@pytest.mark.parametrize(
    ("given", "said"), [({"finding": "Flu"}, "finding: 'Flu'"), ({"hospital": "Mercy"}, "hospital: 'Mercy'")]
)
def test_an_unknown_name_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        film(0, **given)


@pytest.mark.parametrize(("make", "given"), [(make_kermany, {"films": (100, 0)}), (make_six_class, {"scale": 0.0})])
def test_impossible_sizes_are_refused(make: Callable[..., None], given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        make(tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_kermany_has_the_real_layout_names_and_prevalence(kermany: Path) -> None:
    files = [path.relative_to(kermany) for path in kermany.rglob("*.jpeg")]
    assert {str(path.parent) for path in files} == {
        f"{s}/{c}" for s in ("train", "test") for c in ("NORMAL", "PNEUMONIA")
    }
    assert all(KERMANY_FILES.fullmatch(path.name) for path in files)
    assert kind_of(kermany / "train") == "phantom"
    loaded = load_kermany(kermany)
    records = loaded.records
    assert not loaded.skipped and not loaded.unmatched
    share = pd.crosstab(records["split"], records["cause"], normalize="index")
    assert share.loc["train"].to_dict() == pytest.approx(
        {"normal": 0.257, "bacterial": 0.485, "viral": 0.258}, abs=0.01
    )
    assert share.loc["test"].to_dict() == pytest.approx({"normal": 0.375, "bacterial": 0.388, "viral": 0.237}, abs=0.01)


def test_kermany_patients_have_several_films_in_one_split_only(kermany: Path) -> None:
    patients = load_kermany(kermany).records.groupby("patient")["split"]
    assert patients.nunique().max() == 1
    assert patients.size().max() > 1


def test_kermany_holds_duplicates_within_a_split_and_class(kermany: Path) -> None:
    copies: dict[str, list[str]] = {}
    for file, digest in contents(kermany).items():
        copies.setdefault(digest, []).append(file)
    repeated = [files for files in copies.values() if len(files) > 1]
    assert 3 <= len(repeated) <= 8
    assert all(len({str(Path(file).parent) for file in files}) == 1 for files in repeated)


def test_kermany_films_vary_in_size_and_mode(kermany: Path) -> None:
    images = [Image.open(path) for path in sorted(kermany.rglob("*.jpeg"))]
    assert len({image.size for image in images}) > 50
    assert {image.mode for image in images} == {"L", "RGB"}
    aspects = [image.width / image.height for image in images]
    assert 1 < min(aspects) < 1.15 and 1.45 < max(aspects) < 1.8


def test_six_classes_have_the_real_table_of_class_by_source(six: Path) -> None:
    index = pd.read_csv(six / "index.csv", dtype=str)
    assert list(index.columns) == ["file", "label", "source", "patient", "finding"]
    assert sorted(index["file"]) == list(index["file"])
    found = Counter(zip(index["label"], index["source"], strict=True))
    assert found == {(cell.label, cell.source): round(cell.films * 0.1) for cell in SIX_CLASSES}
    loaded = load_composed(six)
    assert len(loaded.records) == len(index) and not loaded.skipped
    assert kind_of(six) == "phantom"


def test_six_classes_can_be_told_from_the_source(six: Path) -> None:
    index = load_composed(six).records
    by_source = index.groupby("source")["label"].agg(lambda labels: labels.value_counts().iloc[0]).sum() / len(index)
    assert by_source == pytest.approx(0.59, abs=0.02)  # as in the real set
    assert by_source > 2 * index["label"].value_counts(normalize=True).iloc[0]


def test_the_source_shows_in_size_and_border(six: Path) -> None:
    index = load_composed(six).records
    sizes = {source: {Image.open(six / file).size for file in rows["path"]} for source, rows in index.groupby("source")}
    assert sizes["nih1000_dinbe"] == {(64, 64)} and sizes["xtbtorch"] == {(96, 96)}
    assert sizes["hannover_covid"] == {(96, 78)}


def test_nih_patients_have_normal_and_abnormal_films(six: Path) -> None:
    index = load_composed(six).records
    labels = index[index["source"] == "nih1000_dinbe"].groupby("patient")["label"].nunique()
    assert 0 < (labels == 2).sum() < len(labels)


@pytest.mark.parametrize(
    ("make", "given"),
    [(make_kermany, {"films": (20, 10), "size": 48}), (make_six_class, {"scale": 0.01, "size": 48})],
)
def test_a_seed_gives_the_same_files(make: Callable[..., None], given: dict[str, Any], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        folder.mkdir()
        make(folder, seed=seed, **given)
    first, again, other = map(contents, folders)
    assert first == again
    assert not set(other.values()) & {digest for file, digest in first.items() if not file.endswith((".csv", ".json"))}


@pytest.mark.real
def test_the_cells_are_those_of_the_real_set(real_data: Path) -> None:
    real = pd.read_csv(real_data / "lung_six_class" / "index.csv", dtype=str)
    found = real.groupby(["label", "source"]).agg(films=("file", "size"), patients=("patient", "nunique"))
    assert {tuple(row) for row in found.reset_index().to_numpy()} == {tuple(cell[:4]) for cell in SIX_CLASSES}
