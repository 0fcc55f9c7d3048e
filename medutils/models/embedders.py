"""What write-up 001 turns slices and volumes into vectors with, and what that is measured against: one interface.

Nothing is trained here: weights stay as they come, ImageNet's or random. Kept embeddings hang on this module.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor, nn

from medutils.cache import array_hash, digest
from medutils.errors import InputError
from medutils.files import sha256
from medutils.models import batch_norm as norms
from medutils.models.attention import Pooling, SliceAttention
from medutils.models.cnn import Architecture
from medutils.models.resnet3d import ResNet152Volume, medical_resnet
from medutils.models.transfer import make_backbone
from medutils.models.weights import weights_manifest

State = Mapping[str, Tensor]
BatchNorm = Literal["eval", "train"]
Scale = Literal["0-1", "0-255"]
Weights = Literal["pretrained", "fresh"]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE, LITE_MANIFEST, MEDICAL = "tf_efficientnet_lite0", "efficientnet_lite0", "astra_resnet152_3d"
FLAT = ("lite0", "resnet50", "resnet152")  # networks of slices, which the write-up's faults can be given to
DEPTHS = (10, 18, 34, 50, 101, 152, 200)
HEAD = 512  # values of the write-up's heads, and of its vectors
PROJECTED = 64  # pixels a side that a random projection is made of
EXAMPLE, EXAMPLE_DEPTH = 64, 16  # pixels and slices that networks can be shown, whatever they are given later
LIBRARIES = ("torch", "torchvision", "timm", "monai")


@dataclass(frozen=True)
class Kind:
    """What an embedder's name stands for.

    network: by its own name; features: numbers that it gives; head: values that a head makes of them, 0 for none
    pooling: how the slices of a series become one; volume: whether it takes volumes
    """

    network: str
    features: int
    head: int = 0
    pooling: Pooling = "mean"
    volume: bool = False


KINDS = {
    "lite0": Kind("lite0", 1280),
    "lite0_attention": Kind("lite0", 1280, HEAD, "attention"),
    "resnet50": Kind("resnet50", 2048),
    "resnet50_attention": Kind("resnet50", 2048, HEAD, "attention"),
    "resnet152": Kind("resnet152", 2048, HEAD, "raw attention"),
    "medicalnet": Kind("medicalnet", 2048, volume=True),
    "i3resnet152": Kind("i3resnet152", 2048, volume=True),
    "projection": Kind("projection", HEAD),
    "noise": Kind("noise", HEAD),
}
NAMES = tuple(KINDS)


@dataclass(frozen=True, eq=False)
class Embedder:
    """Slices or volumes to vectors, by weights that stay as they are; made by `embedder`.

    name: one of `NAMES`
    weights: what they are: `ImageNet`, `CT`, `given`, or random ones, `fresh`
    identity: hash of all that decides its features: the weights' hash or the seed they are drawn with, and settings
    make: gives the network, which is made when it is first asked for features
    first: so many of the features are kept, 0 for all
    seed, redraw: of head and attention layer
    """

    name: str
    kind: Kind
    weights: str
    identity: str
    make: Callable[[], nn.Module]
    first: int = 0
    seed: int = 0
    redraw: bool = False
    _calls: "count[int]" = field(default_factory=count)

    @property
    def values(self) -> int:
        """Numbers in each vector."""
        return self.first or self.kind.head or self.kind.features

    @property
    def volume(self) -> bool:
        """Whether it takes volumes, uint8 (n, depth, H, W), and not slices, uint8 (n, H, W)."""
        return self.kind.volume

    @property
    def pooling(self) -> Pooling:
        """How the vectors of a series' slices become one; see `SliceAttention`."""
        return self.kind.pooling

    @cached_property
    def network(self) -> nn.Module:
        """Pixels to features, on CUDA where there is one."""
        return self.make().to("cuda" if torch.cuda.is_available() else "cpu")

    def embed(self, x: Tensor, series: Sequence[str] = ()) -> Tensor:
        """Slices or volumes to vectors, float32 (n, values), in one batch; `series` names that of each slice.

        `medutils.training.embeddings` does it for many, in batches, and keeps what it finds.
        """
        return self.finish(self.features(x, series))

    def features(self, x: Tensor, series: Sequence[str] = ()) -> Tensor:
        """What the network gives, before any head: float32 (n, features); `InputError` for pixels of another kind."""
        if x.dtype != torch.uint8 or x.ndim != 3 + self.volume:
            wanted = "volumes (n, depth, H, W)" if self.volume else "slices (n, H, W)"
            raise InputError(f"x: found {x.dtype} of shape {tuple(x.shape)} for '{self.name}'; expected uint8 {wanted}")
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            return self.network(x.to(device)).float().cpu()

    def finish(self, features: Tensor) -> Tensor:
        """Features to vectors, (n, features) to (n, values): by the first head of the seed, or the first so many."""
        if attention := self.attention(draw=0):
            with torch.inference_mode():
                return attention.head(features)
        return features[:, : self.values]

    def attention(self, draw: int | None = None) -> SliceAttention | None:
        """Head and attention layer, never trained, as write-up 001 leaves them; None where slices are averaged.

        draw: which of those that the seed gives; unless given, the first, or with `redraw` the next at each call
        """
        if not self.kind.head:
            return None
        number = draw if draw is not None else next(self._calls) if self.redraw else 0
        make = partial(SliceAttention, self.kind.features, self.kind.head, self.pooling)
        return _drawn(int(digest(["attention", self.seed, number])[:12], 16), make).eval()


@dataclass(frozen=True, eq=False)
class Noise(Embedder):
    """Gaussian noise in place of embeddings: one vector a series, the same for each of its slices."""

    def features(self, x: Tensor, series: Sequence[str] = ()) -> Tensor:
        """(n, values): a series' vector follows from its name and the seed; slices without names are series each."""
        names = series or [str(number) for number in range(len(x))]
        if len(names) != len(x):
            raise InputError(f"series: found {len(names)} names for {len(x)} slices; expected one for each")
        drawn = {name: self._vector(name) for name in dict.fromkeys(names)}
        return torch.from_numpy(np.array([drawn[name] for name in names], dtype=np.float32))

    def _vector(self, name: str) -> Any:
        return np.random.default_rng(int(digest([self.seed, name]), 16)).standard_normal(self.kind.features)


def embedder(
    name: str,
    seed: int = 0,
    *,
    size: int = 224,
    weights: Weights | State = "pretrained",
    first: int = 0,
    depth: int = 152,
    batch_norm: BatchNorm = "eval",
    scale: Scale = "0-1",
    redraw: bool = False,
) -> Embedder:
    """An embedder by name, one of `NAMES`.

    Parameters
    ----------
    name: write-up 001's methods and ours:
        `resnet50`: method 1, 2,048 values a slice, the mean over a series
        `resnet50_attention`: method 2, a head of 512 values, an attention layer over the slices
        `resnet152`: method 3 as it ran: torchvision's ResNet-152 for slices, fresh, since none of MedicalNet's weights
            was loaded (`medutils.models.loading`); a head of 512 values; attention without a softmax
        `lite0`, `lite0_attention`: methods 1 and 2 on EfficientNet-Lite0, whose ImageNet weights need no network
        `medicalnet`: what method 3 names: MONAI's 3-D ResNet for volumes, fresh
        `i3resnet152`: a 3-D ResNet-152 whose weights (CT) do load, where the extra `medical3d` is installed
        `projection`: a random projection of the pixels
        `noise`: Gaussian noise, one vector a series, whatever the pixels
    seed: of all weights that are random
    size: pixels a side that slices are brought to (bilinear with antialiasing, as the write-up's `Resize`)
    weights: `pretrained` where there are such, `fresh` for random ones, or a state of the backbone
    first: keep so many of a network's values: `for i in range(512)` in the write-up, of 2,048
    depth: of `medicalnet`: 10, 18, 34, 50, 101, 152 or 200 layers; up to 34 give 512 values
    batch_norm: `train` for batch normalisation by each slice's own mean and variance: methods 2 and 3 run one slice at
        a time through a network that is never set to evaluate (method 1 has `model.eval()`)
    scale: `0-255` for pixels that are not divided by 255 before ImageNet's mean is taken from them:
        `torch.from_numpy(slice_data).float()`, then `input_tensor - torch.tensor([0.485, 0.456, 0.406])`
    redraw: draw head and attention anew whenever `attention` is asked for, as `model.fc = torch.nn.Linear(
        model.fc.in_features, 512)` does in every call, without a seed

    ResNet-50 takes the ImageNet weights that `pretrained=True` meant from torch hub's cache, or downloads them where
    there is a network; else it is fresh, and `Embedder.weights` says so. A deep network that is fresh has no running
    averages that fit it, so that in evaluation mode its features are very large numbers. Raises `InputError` when a
    parameter is wrong, or the packages that hold the weights are not installed.
    """
    _check(name, first, depth, {"batch_norm": batch_norm, "scale": scale})
    kind = KINDS[name]
    if kind.network == "medicalnet" and depth < 50:
        kind = Kind(kind.network, 512, volume=True)
    if kind.network == "noise":
        return Noise(name, kind, "fresh", f"noise {seed}", nn.Identity, first, seed)
    backbone = _backbone(kind.network, seed, weights, depth)
    settings = [kind.network, backbone.identity, size, batch_norm, scale, *map(version, LIBRARIES)]
    make = partial(_network, backbone.make, _prepare(kind.network, size, scale), kind.volume, batch_norm)
    return Embedder(name, kind, backbone.weights, digest(settings), make, first, seed, redraw)


def _check(name: str, first: int, depth: int, faults: Mapping[str, str]) -> None:
    if name not in KINDS:
        raise InputError(f"embedder: found '{name}'; expected one of {', '.join(NAMES)}")
    if depth not in DEPTHS:
        raise InputError(f"depth: found {depth}; expected one of {', '.join(map(str, DEPTHS))}")
    most = 0 if KINDS[name].head else KINDS[name].features
    if not 0 <= first <= most:
        raise InputError(f"first: found {first} for '{name}'; expected 0 (all) to {most}")
    for (fault, found), allowed in zip(faults.items(), (get_args(BatchNorm), get_args(Scale)), strict=True):
        if found not in allowed:
            raise InputError(f"{fault}: found '{found}'; expected {' or '.join(allowed)}")
        if found != allowed[0] and KINDS[name].network not in FLAT:
            raise InputError(f"{fault}: found '{found}' for '{name}'; expected {allowed[0]}, or a network of slices")


@dataclass(frozen=True)
class _Backbone:
    """How a network is made, what its weights are, and what decides them."""

    make: Callable[[], nn.Module]
    weights: str
    identity: str


def _backbone(network: str, seed: int, weights: Weights | State, depth: int) -> _Backbone:
    """The network of an embedder, from prepared pixels to feature maps or features."""
    fresh: dict[str, Callable[[], nn.Module]] = {
        "lite0": partial(make_backbone, Architecture(backbone=LITE)),
        "resnet50": partial(_torchvision, "resnet50"),
        "resnet152": partial(_torchvision, "resnet152"),
        "medicalnet": partial(monai_resnet, depth),
        "i3resnet152": ResNet152Volume,
        "projection": lambda: nn.Sequential(nn.Flatten(), nn.Linear(PROJECTED**2, HEAD, bias=False)),
    }
    make = fresh[network]
    if isinstance(weights, Mapping):
        hashes = [[name, array_hash(value.cpu().numpy())] for name, value in weights.items()]
        return _Backbone(partial(_filled, make, lambda: weights), "given", digest(hashes))
    if weights not in get_args(Weights):
        raise InputError(f"weights: found '{weights}'; expected {', '.join(get_args(Weights))}, or a network's state")
    if weights == "pretrained":
        if network == "i3resnet152":
            return _Backbone(medical_resnet, "CT", weights_manifest(MEDICAL).sha256)
        if network == "lite0":
            loaded = partial(make_backbone, Architecture(backbone=LITE), pretrained=True)
            return _Backbone(loaded, "ImageNet", weights_manifest(LITE_MANIFEST).sha256)
        if network == "resnet50" and _to_be_had(url := _resnet50_url()):
            return _Backbone(partial(_filled, make, _imagenet_resnet50), "ImageNet", Path(url).name)
    return _Backbone(partial(_drawn, seed, make), "fresh", f"{depth} layers, seed {seed}")


def _drawn(seed: int, make: Callable[[], Any]) -> Any:
    """What `make` gives with torch's random numbers at `seed`; those of the caller stay where they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _filled(make: Callable[[], nn.Module], state: Callable[[], State]) -> nn.Module:
    network = _drawn(0, make)
    network.load_state_dict(state())
    return network


def _torchvision(name: str) -> nn.Module:
    from torchvision import models

    network = getattr(models, name)()
    network.fc = nn.Identity()
    return network


def monai_resnet(depth: int) -> Any:
    """MONAI's 3-D ResNet for one channel, without a classifier, with the layers of MedicalNet's published weights."""
    from monai.networks.nets import resnet

    shortcut = "A" if depth in (18, 34) else "B"
    return getattr(resnet, f"resnet{depth}")(
        spatial_dims=3, n_input_channels=1, feed_forward=False, shortcut_type=shortcut, bias_downsample=False
    )


@cache
def _resnet50_url() -> str:
    """Where torchvision has the weights that `pretrained=True` gave."""
    from torchvision.models import ResNet50_Weights

    return ResNet50_Weights.IMAGENET1K_V1.url


def _in_hub(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)


@cache
def _to_be_had(url: str) -> bool:
    """Whether a file of weights lies in torch hub's cache, or there is a network to get it from."""
    if _in_hub(url).is_file():
        return True
    try:
        socket.create_connection((str(urlparse(url).hostname), 443), timeout=5).close()
    except OSError:
        return False
    return True


def _imagenet_resnet50() -> State:
    """The weights in torch hub's cache, downloaded if need be; `InputError` when they are others, or do not load."""
    path = _in_hub(_resnet50_url())
    try:
        state = torch.hub.load_state_dict_from_url(
            _resnet50_url(), map_location="cpu", progress=False, weights_only=True
        )
    except Exception as error:  # a network that breaks off, a full disk, a file of something else
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: found no weights that load ({reason}); expected torchvision's ResNet-50") from error
    if not sha256(path).startswith(path.stem.rpartition("-")[2]):
        raise InputError(f"{path}: found a file of another hash than its name says; expected it, or none, to load anew")
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def _prepare(network: str, size: int, scale: Scale) -> "_Prepare":
    if network == "lite0":
        own = weights_manifest(LITE_MANIFEST)
        mean, deviation = tuple(own.mean), tuple(own.std)
    elif network == "i3resnet152":
        mean, deviation = (0.0,) * 3, (1.0,) * 3
    elif network in FLAT:
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    else:
        mean, deviation = (0.0,), (1.0,)
    side = PROJECTED if network == "projection" else size
    return _Prepare(side, mean, deviation, 255 if scale == "0-1" else 1, network == "medicalnet")


class _Prepare(nn.Module):
    """uint8 slices (n, H, W) or volumes (n, depth, H, W) to floats (n, channels, [depth,] size, size).

    mean, deviation: of each channel, of pixels that were divided by `largest`
    own: whether each volume is then brought to mean 0 and deviation 1, as MedicalNet's are
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, size: int, mean: tuple[float, ...], deviation: tuple[float, ...], largest: float, own: bool
    ) -> None:
        super().__init__()
        self.size, self.largest, self.own = size, largest, own
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.float()
        if x.shape[-2:] != (self.size, self.size):
            planes = pixels.reshape(-1, 1, *x.shape[-2:])
            planes = nn.functional.interpolate(planes, (self.size, self.size), mode="bilinear", antialias=True)
            pixels = planes.view(*x.shape[:-2], self.size, self.size)
        channels = (1, -1, *(1,) * (x.ndim - 1))
        floats = (pixels[:, None] / self.largest - self.mean.view(channels)) / self.deviation.view(channels)
        if self.own:
            deviation, mean = torch.std_mean(floats.flatten(1), 1)
            floats = (floats - mean.view(-1, *channels[2:], 1)) / deviation.clamp(min=1e-6).view(-1, *channels[2:], 1)
        return floats.contiguous(memory_format=torch.channels_last) if x.ndim == 3 else floats


class _Averaged(nn.Module):
    """Pixels to features: what a backbone gives, each feature map averaged to one number."""

    def __init__(self, prepare: _Prepare, backbone: nn.Module) -> None:
        super().__init__()
        self.prepare, self.backbone = prepare, backbone

    def forward(self, x: Tensor) -> Tensor:
        features = self.backbone(self.prepare(x))
        return features.flatten(2).mean(2) if features.ndim > 2 else features


def _network(make: Callable[[], nn.Module], prepare: _Prepare, volume: bool, batch_norm: BatchNorm) -> nn.Module:
    """The whole network, ready to run: in evaluation mode, or with the write-up's fault."""
    backbone = make().eval().requires_grad_(False)
    if batch_norm == "train":
        norms.by_slice(backbone)
    else:
        depth = (EXAMPLE_DEPTH,) * volume
        norms.fold(backbone, torch.zeros(1, len(prepare.mean), *depth, EXAMPLE, EXAMPLE))
    network = _Averaged(prepare, backbone).requires_grad_(False)
    return network if volume else network.to(memory_format=torch.channels_last)
