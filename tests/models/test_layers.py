"""Layers that are ours for their speed give what torch's own give."""

import pytest
import torch
from torch import Tensor, nn

from medutils.models.layers import WideLinear


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("of_input", [False, True])
def test_a_wide_linear_layer_gives_the_values_and_gradients_of_torchs_own(rows: int, of_input: bool) -> None:
    torch.manual_seed(0)
    wide = WideLinear(WideLinear.FEWEST, 7)
    plain = nn.Linear(WideLinear.FEWEST, 7)
    plain.load_state_dict(wide.state_dict())
    x = torch.randn(2 * WideLinear.FEWEST, rows).T[:, ::2]  # strided, as films in another order of memory are

    def found(layer: nn.Linear) -> list[Tensor]:
        given = x.clone().requires_grad_(of_input)
        y = layer(given)
        (y**2).sum().backward()
        own = [part.grad for part in (layer.weight, layer.bias, *([given] if of_input else []))]
        return [y.detach(), *(one for one in own if one is not None)]

    for ours, torchs in zip(found(wide), found(plain), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-3, atol=1e-4)


def test_a_wide_linear_layer_works_under_autocast_and_without_gradients() -> None:
    layer, x = WideLinear(WideLinear.FEWEST, 3), torch.randn(2, WideLinear.FEWEST)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-4, atol=1e-5)
