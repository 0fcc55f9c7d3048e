"""Networks trained together are those trained alone, look at what they may, and learn from graded cells only."""

from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch

from medutils.errors import InputError
from medutils.models.fusion import Kind
from medutils.models.pseudo import Pseudo
from medutils.training.fused import FusedSet
from medutils.training.fusion import Fitted, Fitting, Job, fit_all, masked_loss, prepare, probabilities_of
from medutils.training.pseudo import train_pseudo
from medutils.training.remedies import REMEDIES

SERIES, STUDIES = ("t1", "t2", "axial"), 48
FITTING = Fitting(epochs=6, weight_decay=(0.1, 1.0))
SMALL = {"features": 3, "width": 6, "hidden": 6}
TRAIN = np.arange(36)


@cache
def fused() -> FusedSet:
    """Studies of which a fourth lack a series; the second series shows the second target."""
    rng = np.random.default_rng(0)
    mask = torch.ones(STUDIES, 3, 4, dtype=torch.bool)
    mask[::4, 1], mask[2::8, 0] = False, False
    y = rng.integers(0, 2, (STUDIES, 3))
    x = torch.randn(STUDIES, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    x[:, 1, :, 0] += 4 * torch.from_numpy(y[:, 1])[:, None]
    y[::5, 2] = -1
    names = tuple(f"p{number}" for number in range(STUDIES))
    classes = (("1", "2", "3"), ("absent", "present"), ("absent", "present"))
    targets, findings = ("p_1", "q_1", "q_2"), ("p", "q", "q")
    return FusedSet(SERIES, names, torch.where(mask[..., None], x, 0), mask, y, targets, classes, findings, "lite0")


def jobs(architecture: Kind) -> dict[str, Job]:
    config = replace(fused().config(**SMALL), architecture=architecture)
    found = {name: remedy.job(config) for name, remedy in REMEDIES.items()}
    return found | {"t2 alone": Job(config, ("t2",))}


@cache
def fitted(architecture: Kind) -> dict[str, Fitted]:
    return fit_all(fused(), jobs(architecture), TRAIN, 3, FITTING)


@pytest.mark.parametrize("architecture", get_args(Kind))
def test_networks_trained_together_are_those_trained_alone(architecture: Kind) -> None:
    together = fitted(architecture)
    for name in ("modality_dropout", "pseudo_vae", "unregularised", "l2", "t2 alone"):
        alone = fit_all(fused(), {name: jobs(architecture)[name]}, TRAIN, 3, FITTING)[name]
        assert (alone.epoch, alone.weight_decay) == (together[name].epoch, together[name].weight_decay)
        for key, value in alone.network.state_dict().items():
            torch.testing.assert_close(together[name].network.state_dict()[key], value, rtol=1e-4, atol=1e-5)


def test_a_training_study_s_absent_series_and_the_test_studies_change_nothing() -> None:
    data = fused()
    y = data.y.copy()
    y[36:] = 1 - y[36:].clip(0)
    x = data.x.clone()
    x[36:] += 1
    other = replace(data, x=torch.where(data.mask[..., None], x, 5.0), y=y)
    found = fit_all(other, {"neutral": jobs("sets")["neutral"]}, TRAIN, 3, FITTING)["neutral"]
    for key, value in found.network.state_dict().items():
        torch.testing.assert_close(fitted("sets")["neutral"].network.state_dict()[key], value, rtol=1e-4, atol=1e-5)


def test_what_is_learned_shows_and_is_lost_with_its_series() -> None:
    data, ready = fused(), prepare(fused(), TRAIN, 3)
    job = {"dynamic": Job(replace(data.config(**SMALL), architecture="slices"))}
    one = fit_all(data, job, TRAIN, 0, Fitting(epochs=60, learning_rate=0.02, weight_decay=(0.1,)), ready)["dynamic"]
    test = np.array([row for row in range(36, STUDIES) if data.present[row].all()])
    whole, _ = probabilities_of([one], ready, test, data.present[test])
    part, _ = probabilities_of([one], ready, test, data.present[test] & torch.tensor([True, False, True]))
    true = data.y[test, 1] == 1
    gap = [shares[0, true, 1, 1].mean() - shares[0, ~true, 1, 1].mean() for shares in (whole, part)]
    assert gap[0] > 0.2 and gap[0] > 2 * abs(gap[1])


def test_the_network_alone_says_what_it_said_among_the_others() -> None:
    data, ready = fused(), prepare(fused(), TRAIN, 3)
    test = np.arange(36, STUDIES)
    for one in fitted("regions").values():
        if one.job.visible:
            continue
        shares, _ = probabilities_of([one], ready, test, data.present[test])
        torch.testing.assert_close(
            one.network.probabilities(data.x[test], data.mask[test]), torch.from_numpy(shares[0]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("architecture", get_args(Kind))
def test_a_neutral_vector_is_learned(architecture: Kind) -> None:
    learned, decayed = (fitted(architecture)[name].network.fusion.neutral for name in ("neutral", "zero"))
    ratio = learned / decayed
    assert ratio[:2].std() > 1e-3  # of a series that nobody lacks it only decays
    torch.testing.assert_close(ratio[2], ratio[2, :1].expand_as(ratio[2]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "decays", "drops"), [("unregularised", 0, 0), ("dropout", 0, 1), ("l2", 1, 0)])
def test_dropout_and_l2_are_those_of_each_network(name: str, decays: bool, drops: bool) -> None:
    found, bare = fitted("sets")[name], fitted("sets")["unregularised"]
    unused = found.network.fusion.neutral.norm() / bare.network.fusion.neutral.norm()  # only L2 ever moves it
    assert (unused < 0.999) == decays and (found.weight_decay > 0) == decays
    assert (found.network.config.dropout > 0) == drops
    own = replace(jobs("sets")[name], config=replace(found.job.config, dropout=0.0 if drops else 0.3))
    other = fit_all(fused(), {name: own}, TRAIN, 3, FITTING)[name]
    assert not np.allclose(found.history, other.history, rtol=1e-4)


def test_the_first_components_are_those_of_a_smaller_preparation() -> None:
    wide, narrow = prepare(fused(), TRAIN, 5), prepare(fused(), TRAIN, 3)
    torch.testing.assert_close(wide.first(3).x, narrow.x)
    torch.testing.assert_close(wide.first(3).averages, narrow.averages)
    assert wide.first(5) is wide


def test_cells_without_a_grade_have_no_gradient() -> None:
    logits = torch.randn(4, 3, 2, requires_grad=True)
    y = torch.tensor([[0, 1, -1]] * 4)
    masked_loss(logits, y, (y >= 0).float()).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[:, 2] == 0).all() and (logits.grad[:, :2] != 0).all()
    assert masked_loss(logits, y, torch.zeros(4, 3)) == 0


def test_average_embeddings_of_training_studies_are_standardised() -> None:
    data, ready = fused(), prepare(fused(), TRAIN, 3)
    for number in range(3):
        values = ready.averages[TRAIN][data.present[TRAIN, number], number]
        torch.testing.assert_close(values.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(values.square().mean(0), torch.ones(3), atol=1e-3, rtol=0)


def test_few_studies_do_not_blow_up_what_they_do_not_differ_in() -> None:
    data = fused()
    one_token = replace(data, x=data.x[:, :, :1], mask=data.mask[:, :, :1])
    ready = prepare(one_token, TRAIN[:4], 6)  # at most three directions in which four studies differ
    assert ready.x.abs().max() < 100


@pytest.mark.parametrize("kind", get_args(Pseudo))
def test_an_autoencoder_predicts_a_series_that_follows_from_another(kind: Pseudo) -> None:
    rng = torch.Generator().manual_seed(0)
    first = torch.randn(200, 4, generator=rng)
    values = torch.stack([first, first.flip(1), torch.randn(200, 4, generator=rng)], 1)
    present = torch.ones(200, 3, dtype=torch.bool)
    found = train_pseudo(values, present, torch.arange(150), torch.arange(150, 200), kind, 0)
    with torch.no_grad():
        said = found.network(values[150:], torch.tensor([True, False, True]).expand(50, 3))
    assert (said[:, 1] - values[150:, 1]).square().mean() < 0.7
    assert 0.3 < found.error < 1


def test_what_cannot_be_trained_is_refused() -> None:
    data, config = fused(), fused().config(**SMALL)
    job = Job(config)
    for said, given, rows in (
        ("jobs: found none", {}, TRAIN),
        ("train: found 1 studies", {"a": job}, TRAIN[:1]),
        ("jobs: found 'b' of another shape", {"a": job, "b": Job(replace(config, width=7))}, TRAIN),
        ("visible: found 'other' of 'a'", {"a": Job(config, ("other",))}, TRAIN),
        ("jobs: found other series or targets", {"a": Job(replace(config, series=("a", "b", "c")))}, TRAIN),
        (
            "embedder: found 8 numbers of 'lite0'; expected 8 of 'noise'",
            {"a": Job(replace(config, embedder="noise"))},
            TRAIN,
        ),
        ("embedder: found 8 numbers of 'lite0'; expected 9", {"a": Job(replace(config, inputs=9))}, TRAIN),
    ):
        with pytest.raises(InputError, match=said):
            fit_all(data, given, rows)


@pytest.mark.parametrize(("fault", "said"), [("nan", "x: found a number"), ("none", "mask: found no series of 'p3'")])
def test_studies_that_cannot_be_used_are_refused(fault: str, said: str) -> None:
    data = fused()
    x, mask = data.x.clone(), data.mask.clone()
    if fault == "nan":
        x[0, 0, 0, 0] = torch.nan
    else:
        mask[3] = False
    with pytest.raises(InputError, match=said):
        replace(data, x=x, mask=mask)
