"""What the chapter measures: every number under its name, each difference with its sign, and on what it was made."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from medutils.chapters.lumbar_fusion import experiments
from medutils.chapters.lumbar_fusion.plan import EMBEDDERS, PLAIN
from medutils.data.manifest import Located
from medutils.evaluation import Estimate, binary
from medutils.evidence import Results
from medutils.training.fused import FusedSet
from medutils.training.fusion_trials import AS_IS, AT_RANDOM, BEST, LATE, PRIOR, Found

STUDIES, AREA = 40, "auroc_over_targets"
# How much of the truth each network knows; what it knows of T1 is half of it.
KNOWN = {
    "dynamic": 0.2,
    "pseudo": 0.45,
    "zero": 0.1,
    "unregularised": 0.05,
    "dropout": 0.12,
    "l2": 0.0,
    LATE: 0.3,
    BEST: 0.2,
    PRIOR: 0.0,
}
FINDINGS = ("herniation", "left_subarticular_stenosis", "right_subarticular_stenosis")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    parameters = {"profile": "smoke", "seed": 0, "resamples": 20, "repeats": 1}
    return Results("lumbar_fusion", parameters, Located("spider", "phantom", tmp_path), binary("present", "absent"))


def found(more: float = 0.0, seed: int = 0) -> Found:
    """Trials of one architecture in which each network knows so much, and `more` of it."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (STUDIES, len(FINDINGS)))
    mask = torch.ones(STUDIES, 2, 1, dtype=torch.bool)
    mask[:6, 0] = False
    names, classes = tuple(f"p{number}" for number in range(STUDIES)), (("absent", "present"),) * len(FINDINGS)
    targets = tuple(f"{name}_disc_1" for name in FINDINGS)
    x = torch.full((STUDIES, 2, 1, 3), float(seed))
    data = FusedSet(("t1", "t2"), names, x, mask, y, targets, classes, FINDINGS, f"embedder {seed}")
    noise, shares = rng.random(y.shape), {}
    for network, known in KNOWN.items():
        for left, part in {"t1+t2": 1, "t1": 0.5, "t2": 1, AS_IS: 1, AT_RANDOM: 0.8}.items():
            knows = known * part + more
            there = knows * y + (1 - knows) * (noise if network != PRIOR else 0.5)
            said = np.stack([1 - there, there], -1).astype(np.float32)
            if left in ("t1+t2", "t1"):
                said[~data.present.all(1).numpy()] = np.nan
            shares["sets", network, left] = said[None]
    trained = pd.DataFrame(
        {"network": ["dynamic", "pseudo"] * 2, "pseudo_error": [np.nan, 0.5, np.nan, 0.7], "features": [8, 8, 16, 16]}
    ).assign(learning_rate=0.01)
    return Found(data, shares, {}, np.arange(STUDIES)[None] % 2, trained)


def area(results: Results, name: str) -> float:
    return results.metrics[f"{name}.{AREA}"].value


def test_phantom_studies_are_called_so_and_their_predictions_are_not_among_the_patients(results: Results) -> None:
    experiments.trials(results, experiments.PHANTOMS, found())
    assert area(results, "phantoms_sets_dynamic_as_it_is") > 0.5
    assert results.experiments[experiments.PHANTOMS]["kind"] == "phantom" and not results.predictions


def test_what_is_missing_is_told_by_number_as_the_mean_over_the_subsets_of_that_size(results: Results) -> None:
    experiments.trials(results, "spider", found())
    experiments.by_number(results, "spider", found())
    t1, t2 = area(results, "spider_sets_dynamic_t1"), area(results, "spider_sets_dynamic_t2")
    assert area(results, "spider_sets_dynamic_1_missing") == pytest.approx((t1 + t2) / 2)
    assert "spider_sets_dropout_1_missing.auroc_over_targets" not in results.metrics


def test_trials_are_kept_with_what_they_were_made_on(results: Results) -> None:
    experiments.trials(results, "spider", found())
    assert area(results, "spider_sets_pseudo_t1_t2") > area(results, "spider_sets_zero_t1_t2")
    assert {name for table in results.predictions for name in table["model"]} == {"spider_sets_dynamic_as_it_is"}
    told = results.experiments["spider"]
    assert told["kind"] == "phantom" and told["having"] == {"t1": STUDIES - 6, "t2": STUDIES}
    assert told["pseudo_error"] == {"pseudo": pytest.approx(0.6)}
    assert told["chosen"] == {"8 components, rate 0.01": 1, "16 components, rate 0.01": 1}


def test_what_a_series_costs_is_below_0(results: Results) -> None:
    experiments.losses(results, "spider", found())
    assert area(results, "spider_sets_t1_over_all") < 0 and area(results, "spider_sets_t2_over_all") == 0
    assert results.metrics[f"spider_sets_t1_over_all.{AREA}"].n == STUDIES - 6


def test_remedies_are_held_against_dynamic_weights_and_late_fusion(results: Results) -> None:
    experiments.remedies(results, "spider", found())
    assert area(results, "spider_sets_pseudo_at_random_over_dynamic") > 0
    assert area(results, "spider_sets_zero_at_random_over_dynamic") < 0
    assert area(results, "spider_sets_pseudo_at_random_over_late_fusion") > 0
    names = {name for name in results.metrics if "unregularised" in name or "_l2_" in name or "_dropout_" in name}
    assert not names  # they are asked another question
    shown = results.experiments["spider_power"]["detectable"]
    assert shown["spider_sets_zero_at_random_over_dynamic"] > 0


def test_dropout_and_l2_are_held_against_neither(results: Results) -> None:
    experiments.regularisation(results, "spider", found())
    gains = {name: area(results, f"spider_sets_{name}_at_random_over_unregularised") for name in ("dropout", "dynamic")}
    assert gains["dynamic"] > gains["dropout"] > 0 > area(results, "spider_sets_l2_at_random_over_unregularised")


def test_every_finding_is_measured_alone(results: Results) -> None:
    experiments.findings(results, "spider", found(), "sets", ["dynamic", PRIOR])
    assert {f"spider_{name}_{network}.{AREA}" for name in FINDINGS for network in ("dynamic", PRIOR)} <= set(
        results.metrics
    )
    assert area(results, "spider_herniation_prior") == 0.5 < area(results, "spider_herniation_dynamic")


def test_both_sides_of_a_condition_are_one(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "CONDITIONS", {"recess": FINDINGS[1:]})
    experiments.which_series(results, found(), "sets", "dynamic")
    assert set(results.metrics) >= {f"phantoms_needs_recess_{left}.{AREA}" for left in ("t1_t2", "t1", "t2")}
    assert area(results, "phantoms_needs_recess_t2") > area(results, "phantoms_needs_recess_t1")


def test_a_decision_curve_has_a_row_a_threshold_and_strategy(results: Results) -> None:
    experiments.decisions(results, found(), "sets", "dynamic")
    curve = pd.DataFrame(results.experiments["decisions"]["curve"])
    assert not curve.duplicated(["threshold", "strategy"]).any()
    assert set(curve["threshold"]) == set(experiments.THRESHOLDS)


def test_embedders_are_compared_on_the_same_networks(results: Results) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def run(data: FusedSet, progress: object, **other: Any) -> Found:
        place = int(data.embedder.split()[1])
        asked.append((EMBEDDERS[place], other))
        return found(0.2 if EMBEDDERS[place] == "resnet50" else 0.0, place)

    setup = SimpleNamespace(embedded=lambda name, _: found(seed=EMBEDDERS.index(name)).data, run=run)
    experiments.embedders(results, setup)  # type: ignore[arg-type]
    assert asked == [(name, {**PLAIN, "architectures": ("sets",)}) for name in EMBEDDERS]
    assert (
        area(results, "embedders_resnet50_dynamic_over_lite0")
        > 0
        == area(results, "embedders_noise_dynamic_over_lite0")
    )
    assert {f"embedders_{name}_late_fusion.{AREA}" for name in EMBEDDERS} <= set(results.metrics)
    assert "embedders_lite0_dynamic_over_lite0" not in results.metrics
    assert results.experiments["embedders"]["weights"]["lite0"] == "embedder 0"


def test_tuned_features_are_held_against_plain_ones(results: Results) -> None:
    given: dict[str, object] = {}

    def patients(progress: object, **embedders: object) -> SimpleNamespace:
        given.update(embedders)
        return SimpleNamespace(only=lambda series: found(0.2, 1).data)

    setup = SimpleNamespace(
        patients=patients,
        tuned=lambda: "tuned",
        run=lambda data, progress, **other: found(0.2, 1),
        trials=SimpleNamespace(architectures=("sets",)),
    )
    experiments.tuned(results, setup, found())  # type: ignore[arg-type]
    assert given == {"t1": "tuned"}
    assert area(results, "tuned_sets_dynamic_t1") > 0 and area(results, "tuned_sets_late_fusion_t1_t2") > 0


def test_attention_is_looked_for_near_the_narrowing(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    data = found().data
    mask = torch.ones(STUDIES, 3, 2, dtype=torch.bool)
    three = SimpleNamespace(patients=data.patients, mask=mask)
    weights = np.tile(np.array([0.9, 0.1], np.float32), (STUDIES, 3, 1))
    kinds = ("Sagittal T1", "Sagittal T2/STIR", "Axial T2")
    near = {kind: [np.array([True, False])] * STUDIES for kind in kinds}
    monkeypatch.setattr(experiments, "slices_near", lambda studies, names: near)
    monkeypatch.setattr(experiments, "token_weights", lambda *given: weights)
    setup = SimpleNamespace(studies=None, trials=SimpleNamespace(architectures=("sets", "slices")))
    experiments.looks(results, setup, three)  # type: ignore[arg-type]
    assert {name.partition(".")[0] for name in results.metrics} == {
        f"looks_slices_{series}" for series in ("sagittal_t1", "sagittal_t2", "axial_t2")
    }
    assert results.metrics["looks_slices_axial_t2.over_uniform"].value == pytest.approx(0.4)


def test_autoencoders_are_given_the_mean_embedding_of_each_series(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"pairs": []}
    monkeypatch.setattr(experiments.pseudo, "all_given_back", lambda rows, *_, **__: asked.setdefault("rows", rows))
    monkeypatch.setattr(experiments.pseudo, "all_of_absent", lambda rows, pair, *_, **__: asked["pairs"].append(pair))
    for judge in ("judge_given_back", "judge_of_absent"):
        monkeypatch.setattr(experiments.pseudo_numbers, judge, lambda *_: None)
    mask = torch.ones(STUDIES, 2, 3, dtype=torch.bool)
    mask[0, 0], mask[1, 1, 2] = False, False
    x = torch.where(mask[..., None], torch.randn(STUDIES, 2, 3, 512), 0.0)
    experiments.pseudo_modality(results, replace(found().data, x=x, mask=mask))
    rows = asked["rows"]
    assert sorted(rows.series) == ["t1"] * (STUDIES - 1) + ["t2"] * STUDIES
    np.testing.assert_allclose(rows.values[rows.place("p1", "t2")], x[1, 1, :2].mean(0), rtol=1e-5, atol=1e-6)
    assert rows.place("p0", "t1") is None and asked["pairs"] == [("t1", "t2"), ("t2", "t1")]


def test_a_model_to_take_away_chooses_among_the_settings(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def fit_studies(studies: object, data: object, trained_on: Any, job: object, **rest: Any) -> tuple[str, object]:
        given.update(rest, job=job, kind=trained_on.kind)
        return "network", SimpleNamespace(metrics={"log_loss": Estimate(0.5, 0.4, 0.6, 9, "test")})

    monkeypatch.setattr(experiments, "fit_studies", fit_studies)
    records = pd.DataFrame({"split": ["train", "train", "train", "test"], "patient": ["a", "b", "a", "c"]})
    setup = SimpleNamespace(
        studies=SimpleNamespace(records=records),
        trials=SimpleNamespace(fitting="fitting"),
        grid="grid",
        p=SimpleNamespace(study_size=24, seed=0, resamples=20),
    )
    experiments.model(results, setup, found().data)  # type: ignore[arg-type]
    assert (given["grid"], given["fitting"], given["size"], given["kind"]) == ("grid", "fitting", 24, "phantom")
    assert given["job"] == {"architecture": "slices", "missing": "modality_dropout"}
    assert results.experiments["model"] == {"train": 2, "test": 1}
    assert results.metrics["model.log_loss"].value == 0.5
