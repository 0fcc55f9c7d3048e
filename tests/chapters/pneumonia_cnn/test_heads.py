"""The write-ups' heads on a frozen network: each kind of weights and input is trained, and judged as it is."""

import math
from dataclasses import replace

import pytest

from medutils.chapters.pneumonia_cnn import heads
from medutils.data.films import Films
from medutils.evaluation import binary
from medutils.evidence import Results
from medutils.training.kept import Plan
from medutils.training.trainer import ready


@pytest.mark.parametrize(("write_up", "of_white"), [("002", 255.0), ("003", 1.0)])
def test_a_network_gets_the_numbers_that_its_write_up_gives(write_up: str, of_white: float):
    design = ready(replace(heads.as_given(write_up).design, backbone="tf_efficientnet_lite0"))
    [(mean, deviation)] = {*zip(design.mean, design.deviation, strict=True)}
    assert math.isclose((1 - mean) / deviation, of_white)
    assert mean == 0


@pytest.mark.slow
def test_each_kind_is_judged_and_the_right_one_held_against_it(films: Films, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heads, "WEIGHTS", ("imagenet", "none"))
    plan = Plan(epochs=1, image_size=32, backbone="tf_efficientnet_lite0")
    trained = heads.train(films, plan, 1)
    results = Results("pneumonia_cnn", {"seed": 0, "resamples": 20}, films.located, binary(films.positive))
    heads.record(results, trained)
    kinds = {"imagenet", "raw", "none"}
    with_penalty = {f"{name}.imagenet" for name in heads.PENALISED}
    assert {*trained} == {f"{write_up}.{kind}" for write_up in heads.HEADS for kind in kinds} | with_penalty
    gaps = {f"head.{write_up}.imagenet_minus_{kind}.auroc" for write_up in heads.HEADS for kind in kinds - {"imagenet"}}
    gaps |= {f"head.{name}_minus_003.auroc" for name in heads.PENALISED}
    assert gaps == {name for name in results.metrics if "_minus_" in name and name.endswith(".auroc")}
    assert {name: len(one["auroc"]) for name, one in results.experiments["heads"].items()} == dict.fromkeys(trained, 1)
