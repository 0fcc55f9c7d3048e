"""The weights of a fine-tuned network as an embedder takes them."""

from types import SimpleNamespace

import torch
from torch.nn.functional import conv2d

from medutils.models.embedders import embedder
from medutils.training.tuned import FIRST, tuned_embedder, tuned_weights

STATE = {
    "backbone.conv_stem.weight": torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0)),
    "backbone.bn1.bias": torch.arange(4.0),
    "heads.weight": torch.ones(2, 4),
}
GRADED = SimpleNamespace(state=STATE)


def test_heads_are_left_and_names_are_the_embedders() -> None:
    assert set(tuned_weights(GRADED)) == {FIRST, "bn1.bias"}  # type: ignore[arg-type]


def test_a_repeated_slice_gives_what_one_channel_gave() -> None:
    first = tuned_weights(GRADED)[FIRST]  # type: ignore[arg-type]
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(conv2d(x.expand(-1, 3, -1, -1), first), conv2d(x, STATE["backbone.conv_stem.weight"]))


def test_other_weights_are_another_embedder() -> None:
    found = tuned_embedder(GRADED, 64)  # type: ignore[arg-type]
    assert (found.name, found.weights) == ("lite0", "given") and found.identity != embedder("lite0", size=64).identity
