"""The whole network: its recipe and threshold come from the training folder, and the test films judge it once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medutils.chapters.pneumonia_cnn import by_features, whole
from medutils.data.films import Films
from medutils.evaluation import binary
from medutils.evidence import Results
from medutils.models.cnn import Architecture
from medutils.training.kept import Plan

PLAN = Plan(epochs=1, image_size=32)


@pytest.fixture(autouse=True)
def two_small_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(whole.VARIANTS[whole.NETWORK], design=Architecture(size=32, channels=1, widths=(4,), dense=4))
    slow = replace(small, settings=replace(small.settings, learning_rate=1e-6))
    monkeypatch.setattr(whole, "candidates", lambda: {whole.FIRST: small, "slow": slow})


def test_the_recipe_that_ranks_an_unseen_series_best_is_taken_without_a_test_film(films: Films):
    choice = whole.choose(films, PLAN)
    assert choice.name == choice.table["auroc"].idxmax()
    test = films.rows("test")
    records = films.records.copy()
    records.loc[records.index[test], "label"] = np.roll(records["label"].to_numpy()[test], 7)
    assert whole.choose(replace(films, records=records), PLAN).table.equals(choice.table)


def test_without_two_series_the_first_recipe_is_taken_and_one_half(films: Films):
    names = films.records["record_id"].str.replace(by_features.SERIES, "normal")
    one_series = replace(films, records=films.records.assign(record_id=names))
    choice = whole.choose(one_series, PLAN)
    assert (choice.name, choice.threshold, len(choice.table)) == (whole.FIRST, 0.5, 0)


def test_seeds_and_their_mean_are_judged_at_each_threshold(films: Films):
    choice = replace(whole.choose(films, PLAN), threshold=0.3)
    trainings = whole.train(films, choice, PLAN, 2)
    results = Results("pneumonia_cnn", {"seed": 0, "resamples": 20}, films.located, binary(films.positive))
    whole.record(results, films, choice, trainings)
    mean = torch.stack([one.test_logits for one in trainings]).mean(0)
    ill = films.records["label"].iloc[films.rows("test")].eq(films.positive).to_numpy()
    called = torch.sigmoid(mean).numpy() >= 0.3
    assert results.metrics["whole.ensemble.accuracy"].value == pytest.approx((called == ill).mean())
    names = {name.rpartition(".")[0] for name in results.metrics}
    assert names == {f"{one}{cut}" for one in ("whole", "whole.ensemble") for cut in ("", ".at_half", ".at_validation")}
    assert len(results.experiments["whole"]["auroc"]) == 2
