"""Backbones from the `timm` library: made, given ImageNet weights, and the preprocessing those were trained with."""

import socket
import warnings
from dataclasses import replace
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

from torch import nn

from medutils.errors import InputError
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.weights import Weights, as_in_timm, content, tensors, weights_of


def make_backbone(design: Architecture, pretrained: bool = False) -> nn.Module:
    """The backbone that `design` names, without its classifier: (n, channels, h, w) to feature maps.

    `pretrained` gives it ImageNet weights: those of an installed package where there is one (see `weights_of`), else
    those of earlier downloads, else they are downloaded. A network for one channel takes the sum over the three colours
    of each first kernel, so that a grey film gives what it gives when it is repeated. Raises `InputError` when the name
    is not known, or the weights are neither there nor to be had.
    """
    check_backbone(design.backbone, pretrained)
    if pretrained and (weights := weights_of(design.backbone)):
        network = installed_network(weights, design.channels)
        network.reset_classifier(0, "")
        return network
    try:
        return _timm().create_model(
            design.backbone, pretrained=pretrained, num_classes=0, global_pool="", in_chans=design.channels
        )
    except OSError as error:
        raise _no_weights(design.backbone, str(error).partition("\n")[0]) from error


def installed_network(weights: Weights, channels: int = 3) -> Any:
    """timm's network with all of an installed set of weights, its ImageNet classifier too, in evaluation mode.

    The weights are loaded strictly: each tensor of the file has its place, and each of the network is in the file.
    Raises `InputError` when the package is not installed, or its file is not the one that the manifest describes.
    """
    network = _timm().create_model(weights.network, in_chans=channels)
    state = tensors(weights)
    if weights.names == "efficientnet_lite_pytorch":
        state = as_in_timm(state, network.state_dict())
    first = f"{network.pretrained_cfg['first_conv']}.weight"
    state[first] = _timm().models.adapt_input_conv(channels, state[first])
    network.load_state_dict(state)
    return network.eval()


def make_classifier(
    design: Architecture, classes: int, augmentation: Augmentation | None = None, pretrained: bool = False
) -> FilmClassifier:
    """The network of a design, whether its convolutions are its own or a backbone's, with fresh weights.

    `pretrained` gives the backbone ImageNet's; raises what `make_backbone` raises.
    """
    backbone = make_backbone(design, pretrained) if design.backbone else None
    return FilmClassifier(design, classes, augmentation, backbone)


def own_preprocessing(design: Architecture) -> Architecture:
    """The same design with the mean and deviation that its backbone was trained with, unless it has its own."""
    given = _timm().get_pretrained_cfg(design.backbone)
    if given is None or design.deviation != Architecture().deviation:
        return design
    mean, deviation = tuple(given.mean), tuple(given.std)
    if design.channels == len(mean):
        return replace(design, mean=mean, deviation=deviation)
    if len(set(mean)) == len(set(deviation)) == 1:  # the same for every colour, and so for any number of channels
        return replace(design, mean=mean[:1], deviation=deviation[:1])
    return design


def own_size(backbone: str) -> int:
    """Pixels a side of the photographs that a backbone was trained with."""
    check_backbone(backbone)
    given = _timm().get_pretrained_cfg(backbone)
    return int(given.input_size[-1])


def check_backbone(name: str, pretrained: bool = False) -> None:
    """Raise `InputError` when timm has no such network, or its ImageNet weights are asked for and cannot be had."""
    if name not in _timm().list_models():
        raise InputError(f"backbone: found '{name}'; expected a network of the timm library, such as resnet18")
    if not pretrained:
        return
    if weights := weights_of(name):
        content(weights)
    else:
        _check_reachable(name)


def _timm() -> ModuleType:
    """The library, which takes seconds to import, and in a notebook warns that its progress bars could be prettier."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import timm
    return timm


def _check_reachable(name: str) -> None:
    """Refuse at once where a download would try for most of a minute, unless the weights are in the cache."""
    from huggingface_hub import try_to_load_from_cache

    given = _timm().get_pretrained_cfg(name)
    if given is None or not (given.hf_hub_id or given.url):
        raise InputError(f"weights: timm has no ImageNet weights for '{name}'; expected phantom or none")
    if given.hf_hub_id and isinstance(try_to_load_from_cache(given.hf_hub_id, "model.safetensors"), str):
        return
    host = "huggingface.co" if given.hf_hub_id else str(urlparse(str(given.url)).hostname)
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError as error:
        raise _no_weights(name, f"{host} cannot be reached") from error


def _no_weights(name: str, why: str) -> InputError:
    return InputError(
        f"weights: the ImageNet weights of '{name}' are not on this machine and cannot be downloaded ({why}); expected "
        "a network, or weights=phantom or weights=none"
    )
