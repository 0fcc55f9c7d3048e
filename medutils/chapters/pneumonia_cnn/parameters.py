"""Parameters of the chapter `pneumonia_cnn`, and how it finds its data."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from medutils.chapters import Chapter, Finding, Parameters
from medutils.data.manifest import Located

if TYPE_CHECKING:
    from medutils.training.kept import Plan


class PneumoniaCNN(Parameters):
    """Parameters of `book/pneumonia_cnn.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, or the folder of your own films")
    positive: str = Field("", description="the class a positive decision means; empty for PNEUMONIA or the last")
    patient_pattern: str = Field("", description="regular expression that finds the patient in a file's name")
    variants: str = Field(
        "002-baseline,002-augmented,002-xception,003-base,003-augmented",
        min_length=1,
        description="networks to train, with commas between",
    )
    seeds: int = Field(2, ge=2, le=100, description="trainings of each network")
    image_size: int = Field(48, ge=0, le=1024, description="pixels a side; 0 for each network's own")
    epochs: int = Field(10, ge=0, le=1000, description="passes over the training films; 0 for each network's own")
    batch_size: int = Field(16, ge=0, le=1024, description="films a step; 0 for each network's own")
    validation: Literal["patient", "file", "first", "sixteen"] = Field(
        "patient", description="how validation films are held out"
    )
    backbone: str = Field(
        "tf_efficientnet_lite0", description="a network of the timm library; empty for each network's own"
    )
    weights: Literal["imagenet", "phantom", "none"] = Field("imagenet", description="the weights of a backbone")
    feature_size: int = Field(
        96, ge=0, le=1024, description="pixels a side for the features of a frozen network; 0 for its own"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field("float32", description="of the arithmetic in training")
    compared_size: int = Field(
        64, ge=64, le=512, description="pixels a side where networks are held against each other: the last five parts"
    )
    compared_epochs: int = Field(6, ge=1, le=100, description="and their epochs")
    parts: str = Field(
        "", description="what is trained beside: networks, heads, whole, augmentation, series, splits, body, proposals"
    )
    resamples: int = Field(1000, ge=10, le=100_000, description="bootstrap resamples behind each interval")

    def plan(self) -> "Plan":
        """What every network is asked for."""
        from medutils.training.kept import Plan

        return Plan(
            epochs=self.epochs,
            image_size=self.image_size,
            batch_size=self.batch_size,
            backbone=self.backbone,
            weights=self.weights,
            scheme=self.validation,
            precision=self.precision,
            seed=self.seed,
        )


def _find_films(parameters: PneumoniaCNN) -> Located:
    from medutils.data.films import find_films, open_films

    if not CHAPTER.of_a_profile(parameters):  # without torch, which is slow to import
        _check_networks(parameters)
    given = (parameters.data, parameters.positive, parameters.patient_pattern)
    if parameters.split:  # it was saved for the films that can be read, so all of them are looked at
        return open_films(*given, split=parameters.split).located
    return find_films(*given)


def _check_networks(parameters: PneumoniaCNN) -> None:
    """Raise `InputError` for networks that there are not, or that cannot be built."""
    from medutils.chapters.pneumonia_cnn.variants import VARIANTS, chosen, parts_of
    from medutils.models.transfer import check_backbone
    from medutils.training.kept import check_networks

    networks = chosen(parameters.variants) | {name: VARIANTS[name] for name in ("002-baseline", "002-xception")}
    parts_of(parameters.parts)
    if parameters.weights == "imagenet":
        check_backbone(parameters.backbone or "legacy_xception", pretrained=True)
    check_networks(networks, parameters.plan())


def _found() -> Finding:
    from medutils.chapters.pneumonia_cnn.finding import finding

    return finding()


CHAPTER = Chapter(
    number=2,
    name="pneumonia_cnn",
    title="Pneumonia on chest films: many networks, one test set",
    parameters=PneumoniaCNN,
    profiles={
        "smoke": {
            "variants": "002-baseline,002-augmented",
            "seeds": 2,
            "image_size": 32,
            "epochs": 1,
            "backbone": "resnet18",
            "weights": "none",
            "feature_size": 32,
            "resamples": 100,
        },
        "demo": {},
        "full": {
            "seeds": 3,
            "image_size": 0,
            "epochs": 0,
            "batch_size": 0,
            "backbone": "",
            "weights": "phantom",
            "feature_size": 128,
            "parts": "networks,heads,whole,augmentation,series,splits,body,proposals",
            "resamples": 2000,
        },
    },
    find=_find_films,
    datasets=("kermany_chest_xray",),
    finding=_found,
)
