"""Remedies are networks of one shape that differ in what their names say."""

from typing import get_args

import pytest

from medutils.models.fusion import FusionConfig, Missing
from medutils.models.pseudo import Pseudo
from medutils.training.remedies import REFERENCE, REMEDIES

CONFIG = FusionConfig(("t1", "t2"), ("a",), (2,), ("a",), dropout=0.4)


def test_every_way_and_every_autoencoder_is_one() -> None:
    assert [one.missing for one in REMEDIES.values()][: len(get_args(Missing))] == list(get_args(Missing))
    assert {one.pseudo for one in REMEDIES.values() if one.missing == "pseudo"} == set(get_args(Pseudo))


@pytest.mark.parametrize(
    ("name", "dropout", "weight_decay"),
    [(REFERENCE, 0.4, ()), ("unregularised", 0.0, (0.0,)), ("dropout", 0.4, (0.0,)), ("l2", 0.0, ())],
)
def test_dropout_and_l2_are_switched_one_by_one(name: str, dropout: float, weight_decay: tuple[float, ...]) -> None:
    job = REMEDIES[name].job(CONFIG)
    assert (job.config.missing, job.config.dropout, job.weight_decay) == ("dynamic", dropout, weight_decay)
