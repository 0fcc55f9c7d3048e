"""Backbones from the `timm` library: made, given ImageNet weights, and the preprocessing those were trained with."""

import socket
import warnings
from dataclasses import replace
from types import ModuleType
from urllib.parse import urlparse

from torch import nn

from medutils.errors import InputError
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier


def make_backbone(design: Architecture, pretrained: bool = False) -> nn.Module:
    """The backbone that `design` names, without its classifier: (n, channels, h, w) to feature maps.

    `pretrained` downloads ImageNet weights, or finds them in the cache of earlier downloads. Raises `InputError` when
    the name is not known, or the weights are neither there nor to be had.
    """
    check_backbone(design.backbone, pretrained)
    try:
        return _timm().create_model(
            design.backbone, pretrained=pretrained, num_classes=0, global_pool="", in_chans=design.channels
        )
    except OSError as error:
        raise _no_weights(design.backbone, str(error).partition("\n")[0]) from error


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
    if given is None or design.deviation != Architecture().deviation or design.channels != len(given.mean):
        return design
    return replace(design, mean=tuple(given.mean), deviation=tuple(given.std))


def check_backbone(name: str, pretrained: bool = False) -> None:
    """Raise `InputError` when timm has no such network, or its ImageNet weights are asked for and cannot be had."""
    if name not in _timm().list_models():
        raise InputError(f"backbone: found '{name}'; expected a network of the timm library, such as resnet18")
    if pretrained:
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
