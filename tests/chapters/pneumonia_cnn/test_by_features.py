"""Experiments on features: how films are divided for them, and that what is kept is what the films hold."""

from dataclasses import replace

import numpy as np
import pytest

from medutils.chapters.pneumonia_cnn import by_features
from medutils.data.films import Films
from medutils.evaluation import binary
from medutils.evidence import Results

SIZE = 32


@pytest.fixture
def results(films: Films) -> Results:
    given = {"profile": "smoke", "seed": 0, "resamples": 20}
    return Results("pneumonia_cnn", given, films.located, binary(films.positive, films.classes[0]))


def in_one_series(films: Films) -> Films:
    """The same films; no normal one is named as those of the second series are."""
    names = films.records["record_id"].str.replace(by_features.SERIES, "normal")
    return replace(films, records=films.records.assign(record_id=names))


@pytest.mark.parametrize("way", by_features.WAYS)
def test_films_are_divided_anew_by_film_or_by_patient_or_not_at_all(films: Films, way: str):
    train, test = by_features.divided_anew(films, way, 1)
    patient = films.records["patient"].to_numpy()
    assert not set(train) & set(test)
    assert bool(set(patient[train]) & set(patient[test])) == (way == "film")
    assert (set(test) == set(films.rows("test"))) == (way == "official")
    if way != "official":
        assert abs(len(test) / len(films.records) - 0.1) < 0.05


def test_a_threshold_is_set_by_a_series_that_training_has_not_seen(films: Films):
    for held, second in zip(by_features.series(films, 0), (True, False), strict=True):
        for rows, wanted in ((held.held, second), (held.train, not second)):
            part = films.records.iloc[rows]
            normal = part[part["label"] == films.classes[0]]
            assert (normal["record_id"].str.contains(by_features.SERIES) == wanted).all()
        patient = films.records["patient"].to_numpy()
        assert not set(patient[held.held]) & set(patient[held.train])
        assert not set(films.rows("test")) & {*held.held, *held.train}
    assert by_features.series(in_one_series(films), 0) == []
    x = by_features.grey_levels(films, 8)
    assert set(by_features.thresholds(films, x, 0).by) == {"folds", "series"}


def test_folds_hold_out_every_training_patient_once(films: Films):
    patient = films.records["patient"].to_numpy()
    found = [set(patient[part.held]) for part in by_features.folds(films, 0)]
    assert sum(map(len, found)) == len(set.union(*found))
    assert set.union(*found) == set(patient[films.rows("train")])


def test_halves_of_the_test_films_share_no_patient(films: Films):
    study, judge = by_features.halves(films, 0)
    patient = films.records["patient"].iloc[films.rows("test")].to_numpy()
    assert not set(patient[study]) & set(patient[judge])
    assert len(study) + len(judge) == len(patient)


def test_the_share_of_the_ill_is_found_from_probabilities():
    rng = np.random.default_rng(0)
    y = rng.random(20000) < 0.2
    share = 1 / (1 + np.exp(-(2 * (rng.normal(size=20000) + 2 * y) - 2)))  # right where one half is ill
    new, found = by_features.for_prevalence(share, 0.5)
    assert abs(found - 0.2) < 0.02
    assert abs(new.mean() - 0.2) < 0.02


def test_films_are_brought_to_the_grey_levels_of_others(films: Films):
    x = films.pixels(SIZE)[:8]
    dark = (x // 2).byte()
    away, near = (
        float((one.float().mean() - x.float().mean()).abs())
        for one in (dark, by_features.matched(dark, by_features.mean_levels(x)))
    )
    assert near < away / 5


def test_a_change_of_look_is_told_in_deviations(films: Films):
    table = by_features.statistics(films, SIZE)
    before = by_features.shifts(table, films.positive)
    table.loc[table["split"] == "test", "mean"] += 100.0
    after = by_features.shifts(table, films.positive)
    assert after.loc["mean", "normal"] > before.loc["mean", "normal"] + 1
    assert after.loc["sharpness", "normal"] == before.loc["sharpness", "normal"]


def test_features_on_their_own_scale_have_the_mean_of_the_training_films():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    train, test = np.arange(20), np.arange(20, 40)
    moved = by_features.on_own_scale(x + (np.arange(40) >= 20)[:, None] * 5, train, test)
    assert np.allclose(moved[test].mean(0), x[train].mean(0), atol=1e-4)
    assert np.allclose(moved[train], x[train])


@pytest.mark.slow
def test_all_is_kept_under_the_names_that_the_page_asks_for(results: Results, films: Films):
    best = by_features.record(results, films, SIZE, repeats=2)
    by_features.record_inputs(results, films, SIZE)
    wanted = {f"split.{way}.{name}.accuracy" for way in by_features.WAYS for name in ("lite0", "thumbnails")}
    wanted |= {f"repair.{name}.judge.accuracy" for name in ("as_it_is", "matched", "own_scale", "prevalence")}
    wanted |= {"repair.local_threshold.gain.accuracy", "features.at_folds.specificity", "features.ppv_at_0.1"}
    wanted |= {"input.raw.auroc", "input.right_minus_raw.auroc"}
    assert wanted <= results.metrics.keys()
    assert list(best["record_id"]) == list(films.records["record_id"].iloc[films.rows("test")])
    assert results.experiments["curve_lite0"]["rows"] == sorted(results.experiments["curve_lite0"]["rows"])
    right, raw = (results.metrics[f"input.{given}.auroc"].value for given in ("right", "raw"))
    assert results.metrics["input.right_minus_raw.auroc"].value == pytest.approx(right - raw)
