"""Batch normalisation in a network that is not trained: folded away, or as it is when it was left in training mode."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold(network: nn.Module, example: Tensor) -> None:
    """Put each batch normalisation into the convolution before it: the same function, fewer passes over memory.

    example: an input that shows which follows which, in evaluation mode
    """
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    before: dict[nn.Module, Any] = {}

    def note(layer: nn.Module, _: Any, output: Tensor) -> None:
        made[id(output)] = layer, output  # held, so that no other tensor takes its number

    def pair(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        if id(inputs[0]) in made:
            before[norm] = made[id(inputs[0])][0]

    hooks: list[Any] = []
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            hooks.append(part.register_forward_pre_hook(pair))
        elif isinstance(part, nn.Conv2d | nn.Conv3d):
            hooks.append(part.register_forward_hook(note))
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    for name, norm in list(network.named_modules()):
        if (layer := before.get(norm)) is not None:
            layer.weight, layer.bias = fuse_conv_bn_weights(layer.weight, layer.bias, *_numbers_of(norm))
            network.set_submodule(name, nn.Sequential(*_after(norm)))


def by_slice(network: nn.Module) -> None:
    """Put in the place of each batch normalisation what it does in training mode to one slice at a time.

    In batches of any size, and without the running averages, which training mode does not read.
    """
    for name, part in list(network.named_modules()):
        if isinstance(part, nn.BatchNorm2d):
            network.set_submodule(name, nn.Sequential(_OwnStatistics(part), *_after(part)))


class _OwnStatistics(nn.Module):
    """Each slice's feature maps brought to mean 0 and variance 1 by themselves, then scaled as the layer has it."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def _numbers_of(norm: Any) -> tuple[Any, ...]:
    return norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias


def _after(norm: Any) -> list[nn.Module]:
    """What timm's batch normalisation does besides: its activation."""
    return [norm.act] if hasattr(norm, "act") else []
