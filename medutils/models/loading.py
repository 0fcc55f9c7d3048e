"""What `load_state_dict(strict=False)` takes from a file of weights: names, shapes, and what is copied in the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medutils.models.embedders import monai_resnet


@dataclass(frozen=True)
class Loaded:
    """What a network took from weights with `strict=False`.

    tensors: of the network; given: entries of what was loaded
    names: tensors of the network whose name was given; shapes: those of them whose shape was given too
    copied: tensors of the network that held the given values afterwards
    kernels, copied_kernels: convolution kernels of the network, and those among `copied`
    error: the first line of what torch raised; empty where it raised nothing
    """

    tensors: int
    given: int
    names: int
    shapes: int
    copied: int
    kernels: int
    copied_kernels: int
    error: str


def load_loosely(network: nn.Module, state: Mapping[str, Any]) -> Loaded:
    """Load a state with `strict=False`, and count what became of it; the network is changed as torch changes it.

    `strict=False` forgives names that are missing or unknown. It forgives no name that is known with another shape:
    torch raises a RuntimeError then, after it has copied every tensor that does fit.
    """
    own = {name: value.shape for name, value in network.state_dict().items()}
    shapes = [name for name, shape in own.items() if _shape(state.get(name)) == shape]
    error = ""
    try:
        network.load_state_dict(state, strict=False)
    except RuntimeError as raised:
        error = str(raised).partition("\n")[0]
    copied = [name for name in shapes if torch.equal(network.state_dict()[name], state[name])]
    kernels = [f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    return Loaded(
        tensors=len(own),
        given=len(state),
        names=sum(name in state for name in own),
        shapes=len(shapes),
        copied=len(copied),
        kernels=len(kernels),
        copied_kernels=len(set(copied) & set(kernels)),
        error=error,
    )


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def medicalnet_into_resnet(depth: int = 152) -> dict[str, Loaded]:
    """What torchvision's 2-D ResNet takes from a 3-D one of MONAI, by how the file of weights is read.

    Keys, from write-up 001's way to the one that gets farthest:
    `as published`: `resnet152.load_state_dict(torch.load(weights_path), strict=False)`: the tensors of MedicalNet's
        files lie one level down, under "state_dict", so that no name is known
    `state_dict taken out`: their names begin with "module.", so that none is known still
    `prefix removed`: every name is known, and no kernel has the shape

    The layout of MedicalNet's files is the one that MONAI's own loader unpacks (`monai.networks.nets.resnet`). The
    values are made up: names and shapes alone decide.

    depth: 18, 34, 50, 101 or 152, which both libraries have
    """
    from torchvision import models

    with torch.device("meta"):  # only names and shapes are asked for
        deep = monai_resnet(depth).state_dict()
    # A value that no fresh network has everywhere, so that a tensor that holds it afterwards was copied.
    plain = {name: torch.full(value.shape, 7, dtype=value.dtype) for name, value in deep.items()}
    prefixed = {f"module.{name}": value for name, value in plain.items()}
    ways: dict[str, Mapping[str, Any]] = {
        "as published": {"state_dict": prefixed},
        "state_dict taken out": prefixed,
        "prefix removed": plain,
    }
    flat: Callable[[], nn.Module] = getattr(models, f"resnet{depth}")
    with torch.random.fork_rng(devices=[]):
        return {way: load_loosely(flat(), state) for way, state in ways.items()}
