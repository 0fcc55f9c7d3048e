"""One stage of fastai training: what it is fed with, what it begins with, what it changes and what it gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medutils.errors import InputError
from medutils.models.transfer import installed_network
from medutils.models.weights import weights_manifest
from medutils.training import stages
from medutils.training.stages import Phase, Pictures, Stage

SIZE, LITE = 32, "tf_efficientnet_lite0"
STILL = Phase(1, False, 0.0, 0.0)  # nothing is learnt, but batch normalisation goes on counting
FROZEN, UNFROZEN = Phase(1, True, 1e-2), Phase(1, False, 1e-2, 1e-3)
STAGE = Stage(SIZE, (UNFROZEN,), "test_resnet", pretrained=False, batch_size=8)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """24 films of three classes, 12 to train, 6 to validate and 6 to test with, in mixed order."""
    x = torch.randint(256, (24, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train, validation, test = np.split(np.random.default_rng(0).permutation(24), [12, 18])
    rows = {"train": train, "validation": validation, "test": test}
    return Pictures(x, np.arange(24) % 3, ("a", "b", "c"), rows)


def films(pictures: Pictures, side: str, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """The films of a side as they should reach a network, made by hand."""
    grey = pictures.x[pictures.rows[side]].float()[:, None] / 255
    return (grey - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(deviation).view(1, 3, 1, 1)


def fresh(stage: Stage, pictures: Pictures, seed: int) -> stages.State:
    """The weights a stage begins with, where it is given none."""
    torch.manual_seed(seed)
    learn = stages.learner(stage, stages.dataloaders(stage, pictures))
    return {name: value.clone() for name, value in learn.model.state_dict().items()}


def changed(before: stages.State, after: stages.State, part: str) -> set[bool]:
    """Whether the tensors of a network whose names hold `part` changed: all of them, none, or some."""
    named = [name for name in before if part in name]
    assert named
    return {not torch.equal(before[name], after[name]) for name in named}


# --- the films --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "rates"), [(None, slice(None, 1e-3)), (1e-5, slice(1e-5, 1e-3)), (1e-3, 1e-3)], ids=["tenth", "two", "one"]
)
def test_rates_are_those_that_fastai_takes(low: float | None, rates: "float | slice") -> None:
    assert Phase(1, False, 1e-3, low).rates == rates


@pytest.mark.parametrize(
    ("changes", "mean", "deviation"),
    [
        ({}, *stages.IMAGENET),
        ({"network": LITE}, *stages.IMAGENET),
        ({"network": LITE, "pretrained": True}, (0.5,) * 3, (0.5,) * 3),
        ({"normalise": False}, (0.0,) * 3, (1.0,) * 3),
        ({"augmentation": "default"}, *stages.IMAGENET),
        ({"augmentation": "heavy"}, *stages.IMAGENET),
    ],
    ids=["fresh", "fresh Lite0", "ImageNet's", "not normalised", "augmented", "heavily augmented"],
)
def test_validation_films_are_as_the_weights_expect_them(
    changes: dict, mean: tuple[float, ...], deviation: tuple[float, ...], pictures: Pictures
) -> None:
    x, y = stages.dataloaders(replace(STAGE, **changes), pictures).valid.one_batch()
    # Augmentation leaves validation films in place, but interpolates them all the same.
    torch.testing.assert_close(x.as_subclass(Tensor), films(pictures, "validation", mean, deviation), rtol=0, atol=1e-4)
    assert y.tolist() == pictures.y[pictures.rows["validation"]].tolist()


@pytest.mark.parametrize(("augmentation", "as_they_are"), [("none", 1.0), ("default", 0.5), ("heavy", 0.0)])
def test_training_films_are_changed_where_it_is_asked_for(
    augmentation: str, as_they_are: float, pictures: Pictures
) -> None:
    torch.manual_seed(0)
    stage = replace(STAGE, augmentation=augmentation, batch_size=64, normalise=False)
    x, y = stages.dataloaders(stage, pictures).train.one_batch()
    known = films(pictures, "train", (0.0,) * 3, (1.0,) * 3)
    away = torch.cdist(x.as_subclass(Tensor).flatten(1), known.flatten(1)).amin(1)
    assert x.shape == known.shape and sorted(y.tolist()) == sorted(pictures.y[pictures.rows["train"]].tolist())
    share = (away < 1e-2).float().mean().item()
    assert share == as_they_are if as_they_are in (0, 1) else share < as_they_are


# --- the weights ------------------------------------------------------------------------------------------------------


def test_imagenet_weights_are_those_of_the_installed_package(pictures: Pictures) -> None:
    stage = replace(STAGE, network=LITE, pretrained=True)
    body = stages.learner(stage, stages.dataloaders(stage, pictures)).model[0].model.state_dict()
    installed = installed_network(weights_manifest("efficientnet_lite0")).state_dict()
    assert {name for name in installed if name not in body} == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(value, installed[name]) for name, value in body.items())


def test_a_network_whose_weights_no_package_holds_is_named() -> None:
    with pytest.raises(InputError, match="network: found 'resnet34', whose ImageNet weights no package holds"):
        stages.imagenet("resnet34", {})


def test_a_stage_begins_with_the_weights_it_is_given(pictures: Pictures) -> None:
    start = fresh(STAGE, pictures, seed=7)
    stage = replace(STAGE, phases=(STILL,))
    assert changed(start, stages.run(stage, pictures, 0, start)["state"], "weight") == {False}
    assert changed(start, stages.run(stage, pictures, 0)["state"], "conv1.weight") == {True}


@pytest.mark.parametrize(("phase", "learns"), [(FROZEN, False), (UNFROZEN, True)], ids=["frozen", "unfrozen"])
def test_a_frozen_body_keeps_its_convolutions_and_normalises_anew(
    phase: Phase, learns: bool, pictures: Pictures
) -> None:
    start = fresh(STAGE, pictures, seed=7)
    after = stages.run(replace(STAGE, phases=(phase,)), pictures, 0, start)["state"]
    body = {name: value for name, value in start.items() if name.startswith("0.")}
    convolutions = {name: value for name, value in body.items() if value.ndim == 4}
    assert changed(convolutions, after, "conv") == {learns}
    assert changed(body, after, "running_mean") == {True}
    assert True in changed(body, after, "bn1.weight")
    assert changed(start, after, "1.4.weight") == {True}  # the head's hidden layer


# --- what a stage gives -----------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_again_and_another_seed_something_else(pictures: Pictures) -> None:
    stage = replace(STAGE, augmentation="default")
    first, again, other = (stages.run(stage, pictures, seed)["logits"][-1]["test"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_each_phase_has_its_logits_and_each_epoch_its_row(pictures: Pictures) -> None:
    found = stages.run(replace(STAGE, phases=(replace(FROZEN, epochs=2), UNFROZEN)), pictures, 0)
    history, logits = found["history"], found["logits"]
    assert set(history) == {"phase", "train_loss", "validation_loss", "validation_accuracy"}
    assert history["phase"] == [0, 0, 1] and np.isfinite(list(history.values())).all()
    assert [{side: tuple(said.shape) for side, said in phase.items()} for phase in logits] == [
        {"validation": (6, 3), "test": (6, 3)}
    ] * 2
    assert not torch.equal(logits[0]["test"], logits[1]["test"])
    assert found["seconds"] > 0
    # The logits are those of the validation films in their order: they give the loss and accuracy that fastai notes.
    y = torch.from_numpy(pictures.y[pictures.rows["validation"]])
    for phase, epoch in ((0, 1), (1, 2)):
        said = logits[phase]["validation"]
        assert (said.argmax(1) == y).float().mean().item() == pytest.approx(history["validation_accuracy"][epoch])
        loss = torch.nn.functional.cross_entropy(said, y).item()
        assert loss == pytest.approx(history["validation_loss"][epoch], rel=1e-4)


def test_logits_come_in_the_order_of_the_rows(pictures: Pictures) -> None:
    learn = stages.learner(STAGE, stages.dataloaders(STAGE, pictures))
    order = np.array([3, 17, 0, 22, 9])
    alone = torch.cat([stages.said(learn, order[[place]]) for place in range(len(order))])
    torch.testing.assert_close(stages.said(learn, order), alone, rtol=1e-4, atol=1e-5)


def test_test_films_and_their_classes_change_nothing_that_is_learnt(pictures: Pictures) -> None:
    x, y, test = pictures.x.clone(), pictures.y.copy(), pictures.rows["test"]
    x[test], y[test] = 255 - x[test], (y[test] + 1) % 3
    before, after = (stages.run(STAGE, given, 0) for given in (pictures, replace(pictures, x=x, y=y)))
    assert changed(before["state"], after["state"], "") == {False}
    assert torch.equal(before["logits"][0]["validation"], after["logits"][0]["validation"])
    assert not torch.equal(before["logits"][0]["test"], after["logits"][0]["test"])
