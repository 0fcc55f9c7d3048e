"""Fusion of series: a series that is not there is never looked at, weights are shares, and a configuration is JSON."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from medutils.errors import InputError
from medutils.models.fusion import FusionConfig, FusionNet, Kind, Missing, build

CONFIG = FusionConfig(
    ("t1", "t2", "axial"), ("p_1", "p_2", "q_1"), (3, 3, 2), ("p", "p", "q"), inputs=6, features=4, width=16, hidden=32
)
KINDS, REMEDIES = get_args(Kind), get_args(Missing)
RENORMALISED = ("dynamic", "modality_dropout")


def network(**settings: str) -> FusionNet:
    """A network with weights that are all at work."""
    torch.manual_seed(0)
    made = FusionNet(replace(CONFIG, **settings))  # type: ignore[arg-type]
    for part in (*made.parameters(), made.components):
        torch.nn.init.normal_(part)
    return made.eval()


def studies() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    mask = torch.ones(4, 3, 5, dtype=torch.bool)
    mask[1, 2] = False
    mask[2, :2] = False
    mask[3, 0, 3:] = False
    return torch.randn(4, 3, 5, 6), mask


@pytest.mark.parametrize("missing", REMEDIES)
@pytest.mark.parametrize("architecture", KINDS)
def test_what_is_not_there_is_never_looked_at(architecture: str, missing: str) -> None:
    one, (x, mask) = network(architecture=architecture, missing=missing), studies()
    other = torch.where(mask[..., None], x, torch.nan)
    assert torch.equal(one(x, mask), one(other, mask))
    assert not torch.allclose(one(x, mask), one(-x, mask))


@pytest.mark.parametrize("missing", REMEDIES)
@pytest.mark.parametrize("architecture", KINDS)
def test_grades_that_a_target_has_not_are_never_said(architecture: str, missing: str) -> None:
    shares = network(architecture=architecture, missing=missing).probabilities(*studies())
    assert shares.shape == (4, 3, 3) and (shares[:, 2, 2] == 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(4, 3))


@pytest.mark.parametrize("missing", REMEDIES)
@pytest.mark.parametrize("architecture", KINDS)
def test_weights_are_shares_of_what_is_there(architecture: str, missing: str) -> None:
    x, mask = studies()
    weights = network(architecture=architecture, missing=missing).attention(x, mask)
    torch.testing.assert_close(weights.tokens.sum(-1), mask.any(-1).float())
    assert (weights.tokens[~mask] == 0).all()
    torch.testing.assert_close(weights.series.sum(-1), torch.ones(4))
    absent = weights.series[~mask.any(-1)]
    assert bool((absent == 0).all()) == (missing in RENORMALISED)


def test_dynamic_weights_of_the_others_keep_their_proportion() -> None:
    one, (x, mask) = network(architecture="regions", missing="dynamic"), studies()
    whole, part = one.attention(x, mask).series[:2]
    torch.testing.assert_close(part[0] / part[1], whole[0] / whole[1])


@pytest.mark.parametrize("architecture", KINDS)
def test_only_a_learned_vector_changes_what_a_missing_series_says(architecture: str) -> None:
    x, mask = studies()
    found = {missing: network(architecture=architecture, missing=missing) for missing in ("zero", "neutral")}
    found["zero"].fusion.load_state_dict(
        {**found["neutral"].fusion.state_dict(), "learned": found["zero"].fusion.learned}
    )
    zero, neutral = found["zero"](x, mask), found["neutral"](x, mask)
    torch.testing.assert_close(zero[0], neutral[0])
    assert not torch.allclose(zero[1], neutral[1])


def test_attention_over_tokens_is_the_mean_where_sets_are_weighed() -> None:
    x, mask = studies()
    torch.testing.assert_close(
        network(architecture="sets").attention(x, mask).tokens[3, 0, :3], torch.full((3,), 1 / 3)
    )


@pytest.mark.parametrize("architecture", KINDS)
def test_a_configuration_comes_back_from_json_and_so_does_the_network(architecture: str) -> None:
    one, (x, mask) = network(architecture=architecture, missing="pseudo"), studies()
    config = FusionConfig.from_json(one.config.to_json())
    assert config == one.config
    assert torch.equal(build(config, one.state_dict())(x, mask), one(x, mask))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "configuration: found no JSON"),
        ("[]", "configuration: found"),
        (CONFIG.to_json().replace('"sets"', '"other"'), "architecture: found 'other'"),
        (CONFIG.to_json().replace('"width": 16', '"width": 0'), "width: found 0"),
        (CONFIG.to_json().replace('"width": 16', '"width": "8"'), "width: found 8"),
        (CONFIG.to_json().replace("[3, 3, 2]", "[3, 3]"), "targets: found 3, 2, 3"),
        (CONFIG.to_json().replace("[3, 3, 2]", "[3, 3, 1]"), "grades: found 1"),
        (CONFIG.to_json().replace('["t1", "t2", "axial"]', '["t1", "t1", "axial"]'), "series: found"),
        (CONFIG.to_json().replace('"dropout": 0.3', '"dropout": 1.0'), "dropout: found 1.0"),
    ],
)
def test_a_wrong_configuration_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        FusionConfig.from_json(text)


def test_wrong_studies_are_refused() -> None:
    one, (x, mask) = network(), studies()
    none = mask.clone()
    none[2] = False
    broken = x.clone()
    broken[0, 0, 0, 0] = torch.nan
    for said, given in {
        "x: found the shape": (x[..., :5], mask),
        "mask: found torch.float32": (x, mask.float()),
        "mask: found no series in study 2": (x, none),
        "x: found a number that is not finite": (broken, mask),
    }.items():
        with pytest.raises(InputError, match=said):
            one(*given)


def test_weights_of_another_configuration_are_refused() -> None:
    with pytest.raises(InputError, match="weights: found others"):
        build(replace(CONFIG, width=9), network().state_dict())
