"""Batch normalisation folded away, and as it is in training mode, on networks in double precision."""

import copy

import pytest
import torch
from torch import nn
from torchvision import models

from medutils.models import batch_norm
from medutils.models.cnn import Architecture
from medutils.models.transfer import make_backbone

X = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = models.resnet18() if name == "resnet18" else make_backbone(Architecture(backbone="tf_efficientnet_lite0"))
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after a training, so that nothing is 0 or 1 by chance
            nn.init.uniform_(part.running_mean, -1, 1)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -1, 1)
    return made.double().eval()


@pytest.mark.parametrize("name", ["resnet18", "lite0"])
def test_a_folded_network_is_the_same_function_without_batch_normalisation(name) -> None:
    made = network(name)
    folded = copy.deepcopy(made)
    batch_norm.fold(folded, X[:1])
    torch.testing.assert_close(folded(X), made(X))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())


@pytest.mark.parametrize("name", ["resnet18", "lite0"])
def test_own_statistics_are_those_of_training_mode_one_slice_at_a_time(name) -> None:
    made = network(name)
    alone = copy.deepcopy(made)
    batch_norm.by_slice(alone)
    made.train()
    torch.testing.assert_close(alone(X), torch.cat([made(one[None]) for one in X]))
