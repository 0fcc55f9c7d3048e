"""What one stage of fastai training computes, and nothing else: a kept stage hangs on this code alone.

A stage trains at one size of film, first perhaps with the body frozen, then unfrozen, each time by fastai's one-cycle
policy. It begins with fresh weights, with ImageNet's, or with those that another stage ended with: that is progressive
resizing.
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medutils.errors import InputError
from medutils.models.weights import as_in_timm, tensors, weights_of
from medutils.training.loop import keep_memory, seed_everything

State = dict[str, Tensor]

# What a photograph's channels are shifted and scaled by, where a network has no weights that say otherwise.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# fastai's `aug_transforms`: as it is, which is what fastai 1's `get_transforms()` was, and three times as strong.
HEAVY = {"max_rotate": 30.0, "max_zoom": 1.3, "max_lighting": 0.6, "max_warp": 0.4, "p_affine": 1.0, "p_lighting": 1.0}


@dataclass(frozen=True)
class Phase:
    """A number of epochs by the one-cycle policy.

    frozen: whether the body keeps its weights (its batch normalisation learns all the same, as is usual in fastai)
    low, high: the highest learning rate of the first and of the last layers; without `low` all but the last learn with
        a tenth of `high`, as in fastai's `slice(high)`; where the two are equal, all learn alike
    """

    epochs: int
    frozen: bool
    high: float
    low: float | None = None

    @property
    def rates(self) -> "float | slice":
        """As fastai's `fit_one_cycle` takes them."""
        return self.high if self.low == self.high else slice(self.low, self.high)


@dataclass(frozen=True)
class Stage:
    """Phases at one size of film.

    size: pixels a side
    network: the name of a network of the timm library
    pretrained: whether it begins with ImageNet's weights
    augmentation: `none`, fastai's `default`, or `heavy`
    normalise: whether the pixels are shifted and scaled as the network's weights expect
    """

    size: int
    phases: tuple[Phase, ...]
    network: str = "tf_efficientnet_lite0"
    pretrained: bool = True
    augmentation: Literal["none", "default", "heavy"] = "none"
    normalise: bool = True
    batch_size: int = 64


@dataclass(frozen=True, eq=False)
class Pictures:
    """Films to train, to validate and to test with.

    x: uint8 (films, size, size); y: (films,) class numbers; classes: their names
    rows: numbers of the films of `train`, `validation` and `test`
    """

    x: Tensor
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: Mapping[str, NDArray[np.int64]]


def run(stage: Stage, pictures: Pictures, seed: int, start: State | None = None) -> dict[str, Any]:
    """Train a stage with one seed, and let the network say its logits of validation and test films after each phase.

    start: the weights that another stage ended with, of the same network and classes

    Returns `history` (a row an epoch: phase, train_loss, validation_loss, validation_accuracy), `logits` (for each
    phase `validation` and `test`, (films, classes)), `state` (the weights) and `seconds`.
    """
    began = time.monotonic()
    keep_memory()
    seed_everything(seed)
    data = dataloaders(stage, pictures)
    learn = learner(stage, data)
    if start is not None:
        learn.model.load_state_dict(start)
    history: list[dict[str, float]] = []
    logits = []
    for number, phase in enumerate(stage.phases):
        learn.freeze() if phase.frozen else learn.unfreeze()
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(phase.epochs, phase.rates)
        names = ("train_loss", "validation_loss", "validation_accuracy")
        history += [{"phase": number, **dict(zip(names, row, strict=True))} for row in learn.recorder.values]
        logits.append({side: said(learn, pictures.rows[side]) for side in ("validation", "test")})
    return {
        "history": {name: [float(row[name]) for row in history] for name in history[0]},
        "logits": logits,
        "state": {name: value.contiguous().cpu() for name, value in learn.model.state_dict().items()},
        "seconds": time.monotonic() - began,
    }


def dataloaders(stage: Stage, pictures: Pictures) -> Any:
    """fastai's DataLoaders over films that lie decoded in memory: an item is a row number until a batch is made."""
    with quiet():
        from fastai.vision.all import CategoryBlock, DataBlock, Normalize, aug_transforms
    transforms = []
    if stage.augmentation != "none":
        transforms += aug_transforms(**(HEAVY if stage.augmentation == "heavy" else {}))
    if stage.normalise:
        transforms.append(
            Normalize.from_stats(*statistics(stage.network, stage.pretrained), cuda=torch.cuda.is_available())
        )
    train = len(pictures.rows["train"])
    block = DataBlock(
        blocks=(films_block(pictures.x), CategoryBlock(vocab=list(pictures.classes), sort=False)),
        get_y=lambda row: pictures.classes[pictures.y[row]],
        splitter=lambda rows: (list(range(train)), list(range(train, len(rows)))),
        batch_tfms=transforms,
    )
    rows = np.concatenate([pictures.rows["train"], pictures.rows["validation"]]).tolist()
    return block.dataloaders(rows, bs=min(stage.batch_size, train), num_workers=0)


def films_block(x: Tensor) -> Any:
    """The part of a DataBlock that turns a row number into a film: grey uint8 of three equal channels, then floats."""
    with quiet():
        from fastai.vision.all import IntToFloatTensor, TensorImage, Transform, TransformBlock

    class Take(Transform):
        def encodes(self, row: int) -> TensorImage:
            return TensorImage(x[row].expand(3, -1, -1))

    return TransformBlock(type_tfms=[Take()], batch_tfms=[IntToFloatTensor()])


def learner(stage: Stage, data: Any) -> Any:
    """fastai's `vision_learner` for a stage, with ImageNet's weights where it asks for them."""
    with quiet():
        from fastai.vision.all import accuracy, vision_learner
    installed = weights_of(stage.network) if stage.pretrained else None
    with quiet():
        learn = vision_learner(
            data,
            stage.network,
            pretrained=stage.pretrained and installed is None,
            normalize=False,
            metrics=accuracy,
        )
    if installed is not None:
        learn.model[0].model.load_state_dict(imagenet(stage.network, learn.model[0].model.state_dict()))
    return learn.to_channelslast(use_amp=torch.cuda.is_available())


def imagenet(network: str, state: Mapping[str, Tensor]) -> State:
    """ImageNet's weights of an installed package, by the names of a network without its classifier (`state`)."""
    weights = weights_of(network)
    if weights is None:
        raise InputError(f"network: found '{network}', whose ImageNet weights no package holds; expected another")
    found = tensors(weights)
    if weights.names == "efficientnet_lite_pytorch":
        found = as_in_timm(found, state)
    return {name: found[name] for name in state}


def statistics(network: str, pretrained: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of a channel, as shares of 255, that a network's pretrained weights expect."""
    weights = weights_of(network) if pretrained else None
    return (tuple(weights.mean), tuple(weights.std)) if weights else IMAGENET


def said(learn: Any, rows: NDArray[np.int64]) -> Tensor:
    """Logits (films, classes) of some rows, in their order."""
    with learn.no_bar(), learn.no_logging():
        data = learn.dls.test_dl(rows.tolist(), bs=128)
        return learn.get_preds(dl=data, act=lambda logits: logits)[0].float().as_subclass(Tensor)


@contextmanager
def quiet() -> Iterator[None]:
    """Import and build without the libraries' warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
