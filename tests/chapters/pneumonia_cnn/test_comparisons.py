"""Trainings on one budget: each against its own baseline, and what is held out stays whole."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from medutils.chapters.pneumonia_cnn import comparison_sentences, comparisons, proxies
from medutils.data.films import Films
from medutils.evaluation import Estimate, binary
from medutils.evidence import Numbers, Results
from medutils.models.cnn import Architecture
from medutils.training.kept import Plan

PLAN = Plan(epochs=2, image_size=32)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network of a few weights; those on a backbone keep their name in the table of trainings."""
    design = Architecture(size=32, channels=1, widths=(4,), dense=4)
    own = {name: replace(comparisons.VARIANTS[name], design=design) for name in comparisons.NETWORKS.values()}
    monkeypatch.setattr(comparisons, "VARIANTS", {**comparisons.VARIANTS, **own})


@pytest.fixture
def results(films: Films) -> Results:
    return Results(
        "pneumonia_cnn", {"profile": "smoke", "seed": 0, "resamples": 20}, films.located, binary(films.positive)
    )


@pytest.mark.slow
def test_every_level_of_augmentation_is_held_against_none_on_the_same_budget(films: Films, results: Results) -> None:
    trained = comparisons.train_augmented(films, PLAN, 1)
    assert {len(group) for name, group in trained.items() if name[0] == "0"} == {1 + comparisons.MORE}
    epochs = {name: len(group[0].history) for name, group in trained.items()}
    assert epochs["002.heavy"] == epochs["002.none"] == 2 and epochs["lite0.mild"] == epochs["lite0.none"] == 1
    comparisons.record_augmented(results, trained)
    for network in (*comparisons.NETWORKS, comparisons.TRANSFER):
        heavy, none = (results.metrics[f"augment.{network}.{level}.auroc"].value for level in ("heavy", "none"))
        assert results.metrics[f"augment.{network}.heavy_minus_none.auroc"].value == pytest.approx(heavy - none)
    proxies.record(results, trained)
    found = results.experiments["proxies"]
    assert found["trainings"] == len(found["test"]) == sum(map(len, trained.values()))
    assert set(found["correlation"]) == set(comparison_sentences.PROXIES)
    numbers = Numbers(results.as_dict())
    assert (
        "Heavy augmentation" in comparison_sentences.factorial(numbers)
        and len(comparison_sentences.areas(numbers)) == 4
    )
    assert f"over {found['trainings']} trainings" in comparison_sentences.proxies(numbers)
    assert "another look" not in comparison_sentences.proxies(numbers)

    unseen = proxies.train_unseen(films, PLAN)
    assert set(unseen) == set(trained) and {len(group) for group in unseen.values()} == {2}
    for one, other in unseen.values():
        judged = [set(part.films.records.index[part.films.rows("validation")]) for part in (one, other)]
        assert not judged[0] & judged[1]
    proxies.record_unseen(results, unseen)
    numbers = Numbers(results.as_dict())
    means = proxies.by_network(numbers)
    assert list(means.index) == list(trained) and means["unseen"].notna().all()
    assert means.loc["002.mild", "test"] == pytest.approx(
        np.mean(results.experiments["augment"]["002.mild"]["auroc"]), abs=1e-4
    )
    assert "Over the 12 networks" in comparison_sentences.proxies(numbers)


def test_a_body_learns_whole_or_with_less_of_the_rate_or_not_at_all(films: Films, results: Results) -> None:
    trained = comparisons.train_bodies(films, PLAN, 1)
    assert set(trained) == {f"{weights}.{how}" for weights in comparisons.WEIGHTS for how in comparisons.bodies()}
    comparisons.record_bodies(results, trained)
    for name in comparisons.bodies():
        assert results.metrics[f"body.none.{name}.auroc"].n > 0
    first, second = (results.metrics[f"body.none.{name}.auroc"].value for name in ("apart", "alike"))
    assert results.metrics["body.none.apart_minus_alike.auroc"].value == pytest.approx(first - second)
    assert "random weights" in comparison_sentences.bodies(Numbers(results.as_dict()))


@pytest.mark.parametrize("way", ["official", "patient", "film"])
def test_films_are_divided_anew_and_what_is_held_out_is_whole(films: Films, way: str) -> None:
    own = comparisons.divided(films, way, 3)
    records = own.records
    sides = [set(records.loc[records["split"] == side, "patient"]) for side in ("train", "validation", "test")]
    assert all(sides) and own.divided
    shared = (sides[0] & sides[1]) | (sides[0] & sides[2]) | (sides[1] & sides[2])
    assert bool(shared) == (way == "film")
    if way == "official":
        assert (records["split"].eq("test") == films.records["split"].eq("test")).all()


def test_each_way_keeps_its_divisions(films: Films, results: Results) -> None:
    comparisons.record_divided(results, comparisons.train_divided(films, PLAN, 2))
    assert {len(one["auroc"]) for one in results.experiments["trained_split"].values()} == {2}
    assert "by film (AUROC" in comparison_sentences.trained_splits(Numbers(results.as_dict()))


def test_a_proposal_changes_one_thing_and_is_told_minus_the_network_as_it_is(films: Films, results: Results) -> None:
    trained = comparisons.train_proposed(films, PLAN, 1)
    assert len({one[0].variant.design for one in trained.values()}) > 4
    comparisons.record_proposed(results, trained)
    table = comparison_sentences.proposed(Numbers(results.as_dict()))
    assert len(table) == len(trained) and table.index[0].startswith(comparisons.AS_IT_IS)
    assert table["measured"].str.contains("minus 2 epochs, rate 0.001, 32 pixels").sum() == len(trained) - 1


def test_a_stress_keeps_the_shape_and_takes_what_it_says() -> None:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8))
    for name, change in proxies.STRESSES.items():
        new = change(x)
        assert new.shape == x.shape and new.dtype == torch.uint8 and not torch.equal(new, x), name
    assert proxies.paler(x).float().std() == pytest.approx(float(x.float().std()) / 2, rel=0.02)


def test_nothing_is_told_of_what_was_not_run() -> None:
    for clause in (comparison_sentences.factorial, comparison_sentences.proxies, comparison_sentences.bodies):
        assert clause(Numbers({})).startswith("no ")
    assert comparison_sentences.areas(Numbers({})).empty
    assert set(comparison_sentences.proposed(Numbers({}))["result"]) == {comparison_sentences.NOT_RUN}


@pytest.mark.parametrize(
    ("mild", "heavy", "said"),
    [(0.05, -0.05, "some networks and harms"), (0.05, 0.001, "helps some"), (-0.05, 0.001, "harms"), (0.0, 0.0, "No")],
)
def test_augmentation_is_said_to_help_or_to_harm_by_the_intervals(mild: float, heavy: float, said: str) -> None:
    gaps = {"augment.002.mild_minus_none.auroc": mild, "augment.003.heavy_minus_none.auroc": heavy}
    metrics = {name: asdict(Estimate(one, one - 0.02, one + 0.02, 9, "test")) for name, one in gaps.items()}
    numbers = Numbers({"metrics": metrics})
    assert said in comparison_sentences.helps(numbers)
    assert not comparison_sentences.helps(Numbers({}))
    told = comparison_sentences.factorial(numbers)
    assert told.count("shows no difference for any network") == (mild, heavy).count(0.001) + (mild, heavy).count(0.0)
