"""Convolutional networks for films: those of write-ups 002 and 003, from one description.

A `FilmClassifier` takes films as they are kept, uint8 of (n, size, size), and brings its preprocessing with it: what
is exported is what was trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medutils.errors import InputError
from medutils.models.augment import Augment, Augmentation
from medutils.models.layers import FastDropout, WideLinear, has_onednn

LARGE = 1e30  # more than any value in a network


@dataclass(frozen=True)
class Architecture:
    """What a network is made of; the values of write-up 003's base network unless said otherwise.

    size, channels: of the films it takes, in pixels; a grey film is repeated in every channel
    backbone: the name of a network of the `timm` library in place of `widths`; empty for none
    frozen: whether the backbone keeps the weights it comes with
    thawed: how many of a frozen backbone's parts are trained all the same, from its end
    widths: filters of each convolution, 3 x 3 without padding, followed by 2 x 2 max-pooling and ReLU
    dropouts: share left out after each of them, from the first; after the list ends, none
    flatten_dropout, dense, dense_dropout: what follows; `dense` 0 leaves the hidden layer out
    average: average each feature map to one number instead of flattening them all
    l1, l2, penalised: the penalty, and the layers whose weights bear it: `conv1`, `conv2`, ..., `dense`
    mean, deviation: what the pixels, as shares of 255, are shifted and scaled by
    head: `dense`, as said above, or `fastai`, the head that fastai's `vision_learner` puts on a network
    """

    size: int = 150
    channels: int = 3
    backbone: str = ""
    frozen: bool = True
    thawed: int = 0
    widths: tuple[int, ...] = (32, 64, 128, 256)
    dropouts: tuple[float, ...] = ()
    flatten_dropout: float = 0.0
    dense: int = 256
    dense_dropout: float = 0.0
    average: bool = False
    l1: float = 0.0
    l2: float = 0.0
    penalised: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    head: Literal["dense", "fastai"] = "dense"


class Preprocess(nn.Module):
    """uint8 films (n, size, size) to floats (n, channels, size, size): shares of 255, then standardised."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, films: Tensor) -> Tensor:
        return (films[:, None].float() / 255).expand(-1, self.channels, -1, -1)

    def standardise(self, images: Tensor) -> Tensor:
        """The second half, after augmentation."""
        return ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)


class Head(nn.Module):
    """Feature maps (n, channels, height, width) to logits: one for two classes, one a class for more."""

    def __init__(self, features: torch.Size, design: Architecture, classes: int) -> None:
        super().__init__()
        self.design = design
        inputs = features[1] if design.average else features[1:].numel()
        self.drop = FastDropout(design.flatten_dropout)
        self.dense = WideLinear(inputs, design.dense) if design.dense else nn.Identity()
        self.dense_drop = FastDropout(design.dense_dropout)
        self.last = nn.Linear(design.dense or inputs, 1 if classes == 2 else classes)
        initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        x = features.float().mean((2, 3)) if self.design.average else features.float().flatten(1)
        x = self.drop(x)
        if self.design.dense:
            x = self.dense_drop(torch.relu(self.dense(x)))
        return self.last(x)

    def penalty(self) -> Tensor:
        """The penalty of the dense layer, if it bears one."""
        return _penalty([self.dense] if "dense" in self.design.penalised else [], self.design)


class FastaiHead(nn.Sequential):
    """The head of fastai's `vision_learner`: feature maps (n, channels, height, width) to one logit a class.

    Each map is reduced to its mean and its maximum; a hidden layer of 512; batch normalisation and dropout before each
    layer. Its tensors bear the names that they have in fastai.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            _MaximaAndMeans(),
            nn.Flatten(),
            nn.BatchNorm1d(2 * channels),
            nn.Dropout(0.25),
            nn.Linear(2 * channels, 512, bias=False),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(512),
            nn.Dropout(0.5),
            nn.Linear(512, classes, bias=False),
        )

    def penalty(self) -> Tensor:
        """None: this head bears no penalty."""
        return torch.zeros(())


class _MaximaAndMeans(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], dim=1)


class FilmClassifier(nn.Module):
    """Preprocessing, augmentation (in training), convolutions and head: uint8 (n, size, size) to logits.

    Weights start as in Keras, where both write-ups were made: Glorot's uniform weights and zero biases.
    """

    def __init__(
        self,
        design: Architecture,
        classes: int = 2,
        augmentation: Augmentation | None = None,
        backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.design = design
        self.preprocess = Preprocess(design.channels, design.mean, design.deviation)
        self.augment = Augment(augmentation or Augmentation())
        self.backbone = backbone if backbone is not None else convolutions(design)
        if design.backbone and design.frozen:
            thaw(self.backbone, design.thawed)
        shape = self._shape_of_features()
        fastai = design.head == "fastai"
        self.head: Head | FastaiHead = FastaiHead(shape[1], classes) if fastai else Head(shape, design, classes)
        self.to(memory_format=torch.channels_last)

    def _shape_of_features(self) -> torch.Size:
        """(1, channels, height, width) of the feature maps; `InputError` when the backbone gives none."""
        size = self.design.size
        self.backbone.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                shape = self.features(torch.zeros(1, size, size, dtype=torch.uint8)).shape
        except (RuntimeError, AssertionError) as error:
            why = str(error).partition("\n")[0]
            raise InputError(
                f"image_size: found {size}, which {self.design.backbone} cannot take ({why}); expected another size"
            ) from error
        if len(shape) != 4:
            raise InputError(
                f"backbone: found '{self.design.backbone}', which gives no feature maps; expected one that does"
            )
        return shape

    def train(self, mode: bool = True) -> "FilmClassifier":
        """As usual, but a frozen backbone stays in evaluation mode: its running means are frozen too."""
        super().train(mode)
        if self.design.backbone and self.design.frozen:
            self.backbone.eval()
        return self

    @property
    def logits(self) -> int:
        """How many numbers it gives for a film: of two classes one, unless its head is fastai's."""
        last = self.head[-1] if isinstance(self.head, FastaiHead) else self.head.last
        return int(last.out_features)  # type: ignore[arg-type]

    def features(self, films: Tensor) -> Tensor:
        """Feature maps of uint8 films, (n, channels, height, width)."""
        return self.backbone(self.preprocess.standardise(self.augment(self.preprocess(films))))

    def forward(self, films: Tensor) -> Tensor:
        return self.head(self.features(films))

    def penalty(self) -> Tensor:
        """What L1 and L2 add to the training loss, as Keras takes them: l1 Σ|w| + l2 Σw², biases left out."""
        kernels = [part for part in self.backbone.modules() if isinstance(part, nn.Conv2d)]
        named = [kernel for number, kernel in enumerate(kernels, start=1) if f"conv{number}" in self.design.penalised]
        return _penalty(named, self.design) + self.head.penalty()


def _penalty(layers: Sequence[nn.Module], design: Architecture) -> Tensor:
    total = torch.zeros(())
    for layer in layers:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total = total.to(weight.device) + design.l1 * weight.abs().sum() + design.l2 * weight.square().sum()
    return total


class Blocks(nn.Sequential):
    """Convolutions, each with pooling, ReLU and maybe dropout; trained on a CPU in oneDNN's own layout of memory.

    Values and gradients are those of the layers one after the other but for rounding, in less time: in that layout
    pooling writes each gradient once, and ReLU leaves out what dropout does, so that this costs no pass of its own.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and has_onednn(x)):
            return super().forward(x)
        x = x.to_mkldnn()
        for convolution, pool, relu, drop in self._blocks():
            assert convolution.bias is not None
            scale = drop.scale if drop else 1.0  # of the weights, which are fewer than the values it is meant for
            x = pool(nn.functional.conv2d(x, convolution.weight * scale, convolution.bias * scale))
            if drop:
                x = x + drop.kept(x.shape).logical_not_().to(x.dtype).mul_(-LARGE).to_mkldnn()
            x = relu(x)
        return x.to_dense()

    def _blocks(self) -> Iterator[tuple[nn.Conv2d, nn.Module, nn.Module, FastDropout | None]]:
        parts = [*self, None]
        for number, part in enumerate(parts):
            if isinstance(part, nn.Conv2d):
                pool, relu, after = parts[number + 1 : number + 4]
                assert pool is not None and relu is not None
                yield part, pool, relu, after if isinstance(after, FastDropout) else None


def convolutions(design: Architecture) -> nn.Sequential:
    """The write-ups' blocks. Pooling before ReLU is the same function as after it, for a quarter of the work."""
    layers: list[nn.Module] = []
    before, left = design.channels, design.size
    for place, width in enumerate(design.widths):
        layers += [nn.Conv2d(before, width, 3), nn.MaxPool2d(2), nn.ReLU()]
        if place < len(design.dropouts) and design.dropouts[place]:
            layers.append(FastDropout(design.dropouts[place]))
        before, left = width, (left - 2) // 2
    if left < 1:
        least = 0
        for _ in design.widths:
            least = 2 * max(least, 1) + 2
        raise InputError(
            f"image_size: found {design.size}; expected at least {least} for {len(design.widths)} convolutions"
        )
    blocks = Blocks(*layers)
    initialise(blocks)
    return blocks


def thaw(backbone: nn.Module, parts: int) -> list[str]:
    """Freeze a backbone but for its last `parts` parts that have weights; the names of those."""
    with_weights = [name for name, part in backbone.named_children() if any(True for _ in part.parameters())]
    thawed = with_weights[len(with_weights) - parts :]
    for name, part in backbone.named_children():
        part.requires_grad_(name in thawed)
    return thawed


def initialise(module: nn.Module) -> None:
    """Glorot's uniform weights and zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
