"""The networks of write-ups 002 and 003 as one table: a new variant is one entry."""

from collections.abc import Iterable
from dataclasses import replace

from medutils.chapters import known_names
from medutils.errors import InputError
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture
from medutils.tables import few
from medutils.training.kept import Variant
from medutils.training.loop import Settings

# Keras's Adam divides by a root to which it adds 1e-7.
AS_IN_KERAS = Settings(batch_size=32, learning_rate=1e-3, patience=0, keep="last", epsilon=1e-7)

NONE = Augmentation()
# RandomRotation(0.2) takes a share of a full turn: 72 degrees to either side.
STRONG_002 = Augmentation(degrees=72, zoom=0.1, flip_horizontal=True)
# shear_range=0.1 is a tenth of a degree.
STRONG_003 = Augmentation(
    degrees=40,
    zoom=0.2,
    zoom_apart=True,
    shift=0.1,
    shear=0.1,
    flip_horizontal=True,
    flip_vertical=True,
    fill="border",
)
# What a change of position and exposure can do to a film: no mirror, which would put the heart on the right.
MILD = Augmentation(degrees=7, zoom=0.1, shift=0.05, contrast=0.15, fill="zeros")

SIX_EPOCHS = replace(AS_IN_KERAS, epochs=6)
FIFTEEN_EPOCHS = replace(AS_IN_KERAS, epochs=15)

SMALL = Architecture(
    size=256, channels=1, widths=(32, 32), dropouts=(0.5, 0.5), dense=128, dense_dropout=0.5
)  # write-up 002
BASE = Architecture()  # write-up 003
DROPOUT = replace(BASE, dropouts=(0, 0.2, 0.2), flatten_dropout=0.2)
FIVE = replace(
    BASE,
    widths=(32, 64, 128, 256, 512),
    dropouts=(0, 0, 0.25, 0.25, 0.25),
    l2=0.005,
    penalised=("conv3", "conv5"),
)
XCEPTION = Architecture(size=256, backbone="legacy_xception", dense=128, dense_dropout=0.5)
INCEPTION = Architecture(backbone="inception_v3", dense_dropout=0.25)
RESNET = Architecture(size=128, channels=1, backbone="resnet18", frozen=False, dense=0, average=True)
LITE0 = Architecture(size=160, backbone="tf_efficientnet_lite0", frozen=False, dense=0, average=True)
# More change of position and exposure than mild, for networks that are trained as a whole.
EXPOSED = replace(MILD, degrees=10, zoom=0.15, zoom_apart=True, contrast=0.3)


def _002(what: str, design: Architecture, augmentation: Augmentation = NONE, epochs: int = 6) -> Variant:
    return Variant("002", what, design, augmentation, replace(SIX_EPOCHS, epochs=epochs), True, 0.1)


def _003(what: str, design: Architecture, augmentation: Augmentation = STRONG_003, rate: float = 1e-3) -> Variant:
    return Variant("003", what, design, augmentation, replace(FIFTEEN_EPOCHS, learning_rate=rate))


def _penalised(design: Architecture, l1: float, l2: float, layer: str) -> Architecture:
    return replace(design, l1=l1, l2=l2, penalised=(layer,))


VARIANTS = {
    "002-baseline": _002("two convolutions, dropout 0.5", SMALL),
    "002-augmented": _002("the same with flips, ±72° and zoom", SMALL, STRONG_002),
    "002-xception": _002("frozen Xception and a dense head", XCEPTION, epochs=4),
    "002-xception-averaged": _002("the same with each feature map averaged", replace(XCEPTION, average=True), epochs=4),
    "003-base": _003("four convolutions", BASE, NONE),
    "003-augmented": _003("the same with flips both ways, ±40°, zoom, shift", BASE),
    "003-dropout": _003("the same with dropout 0.2", DROPOUT),
    "003-dropout-256": _003("the same at 256 pixels", replace(DROPOUT, size=256)),
    "003-l1": _003("dropout, L1 on the last convolution", _penalised(DROPOUT, 0.005, 0, "conv4")),
    "003-l2": _003("dropout, L2 on the last convolution", _penalised(DROPOUT, 0, 0.005, "conv4")),
    "003-l1-l2": _003("dropout, both on the last convolution", _penalised(DROPOUT, 0.005, 0.005, "conv4")),
    "003-five-blocks": _003("five convolutions, dropout 0.25, L2", FIVE, rate=5e-4),
    "003-five-blocks-l1": _003("the same with L1", replace(FIVE, l1=0.005, l2=0), rate=5e-4),
    "003-inception": _003("frozen Inception, dropout 0.25", INCEPTION, NONE),
    "003-inception-l1": _003("the same with L1", _penalised(INCEPTION, 0.01, 0, "dense"), NONE),
    "003-inception-l2": _003("the same with L2", _penalised(INCEPTION, 0, 0.01, "dense"), NONE),
    "003-inception-l1-l2": _003("the same with both", _penalised(INCEPTION, 0.01, 0.01, "dense"), NONE),
    "mild": replace(_002("write-up 002's network with mild augmentation", SMALL, MILD), write_up=""),
    "resnet": Variant(
        "",
        "all of ResNet-18 trained, mild augmentation with more contrast, one-cycle",
        RESNET,
        EXPOSED,
        Settings(epochs=12, batch_size=32, learning_rate=2e-3, cycle=True, keep="best", weight_decay=0.02),
        balanced=True,
        held_out=0.1,
        rule="balanced accuracy",
    ),
    "lite0": Variant(
        "",
        "all of EfficientNet-Lite0 trained, mild augmentation with more contrast, one-cycle",
        LITE0,
        EXPOSED,
        Settings(epochs=5, batch_size=32, learning_rate=1e-3, cycle=True, keep="last", weight_decay=0.02),
        balanced=True,
        held_out=0.1,
        rule="balanced accuracy",
    ),
}


OTHERS = ("003-l2", "003-l1-l2", "003-five-blocks-l1", "003-dropout-256")  # of the write-ups, and of no profile
# What is trained beside the variants.
PARTS = ("networks", "heads", "whole", "augmentation", "series", "splits", "body", "proposals")


def chosen(names: str) -> dict[str, Variant]:
    """The variants named, with commas between; `InputError` for one that is not known, or none."""
    wanted = known_names("variants", names, VARIANTS)
    if not wanted:
        raise InputError(f"variants: found none; expected some of {few(VARIANTS, 30)}, with commas between")
    return {name: VARIANTS[name] for name in wanted}


def others(names: Iterable[str]) -> dict[str, Variant]:
    """The write-ups' networks that no profile names, without those that are named."""
    return {name: VARIANTS[name] for name in OTHERS if name not in set(names)}


def parts_of(names: str) -> list[str]:
    """The parts named, with commas between; `InputError` for one that is not known."""
    return known_names("parts", names, PARTS)
