"""Autoencoders that predict a missing series: they look at what is there, and at nothing else."""

from typing import get_args

import pytest
import torch

from medutils.errors import InputError
from medutils.models.pseudo import Pseudo, PseudoModality


@pytest.mark.parametrize("kind", get_args(Pseudo))
def test_a_hidden_series_cannot_change_what_is_predicted(kind: Pseudo) -> None:
    torch.manual_seed(0)
    network = PseudoModality(3, 4, kind)
    values, present = torch.randn(5, 3, 4), torch.ones(5, 3, dtype=torch.bool)
    present[:, 1] = False
    hidden = values.clone()
    hidden[:, 1] = torch.nan
    found = network(values, present)
    assert found.shape == values.shape and torch.equal(found, network(hidden, present))
    hidden[:, 0] += 1
    assert not torch.allclose(found, network(hidden, present))


def test_the_last_layer_reaches_any_number() -> None:
    network = PseudoModality(2, 4)
    torch.nn.init.constant_(network.decode[-1].bias, 50.0)  # type: ignore[arg-type]
    assert network(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool)).min() > 10


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="pseudo: found 'gan'"):
        PseudoModality(2, 4, "gan")  # type: ignore[arg-type]
