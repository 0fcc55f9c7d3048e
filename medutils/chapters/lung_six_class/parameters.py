"""Parameters of the chapter `lung_six_class`, and how it finds its data."""

from typing import Literal

from pydantic import Field

from medutils.chapters import Chapter, Finding, Parameters
from medutils.data.manifest import Located


class LungSixClass(Parameters):
    """Parameters of `book/lung_six_class.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, or the folder of your own films")
    patient_pattern: str = Field("", description="regular expression that finds the patient in a file's name")
    network: str = Field("tf_efficientnet_lite0", min_length=1, description="a network of the timm library")
    weights: Literal["imagenet", "none"] = Field("imagenet", description="the weights that it begins with")
    small: int = Field(64, ge=32, le=1024, description="pixels a side of the first stage")
    large: int = Field(96, ge=32, le=1024, description="pixels a side of the second stage")
    frozen: int = Field(1, ge=1, le=1000, description="epochs of each stage with the body frozen")
    unfrozen: int = Field(3, ge=1, le=1000, description="epochs of each stage after that")
    rate: float = Field(1e-2, gt=0, le=1, description="highest learning rate of the last layers while frozen")
    low: float = Field(1e-3, gt=0, le=1, description="highest learning rate of the first layers once unfrozen")
    batch_size: int = Field(32, ge=2, le=1024, description="films a step")
    finder: int = Field(30, ge=10, le=10_000, description="batches in which lr_find raises the rate")
    seeds: int = Field(1, ge=1, le=100, description="trainings of each course")
    comparisons: str = Field("", description="what else is trained, with commas between; empty for none")
    sensitivity: float = Field(0.98, gt=0, lt=1, description="share of diseased validation films that must be found")
    prevalence: float = Field(0.1, gt=0, lt=1, description="share of diseased among those who are tested")


def _find_films(parameters: LungSixClass) -> Located:
    from medutils.data.films import find_films, open_films

    if not CHAPTER.of_a_profile(parameters):
        from medutils.chapters.lung_six_class.plan import check  # slow to import

        check(parameters)
    given = (parameters.data, None, parameters.patient_pattern)
    if parameters.split:  # it was saved for the films that can be read, so all of them are looked at
        return open_films(*given, dataset="lung_six_class", split=parameters.split).located
    return find_films(*given, dataset="lung_six_class")


def _found() -> Finding:
    from medutils.chapters.lung_six_class.finding import finding

    return finding()


CHAPTER = Chapter(
    number=3,
    name="lung_six_class",
    title="Six classes of chest films: what 89.8 % can have learned",
    parameters=LungSixClass,
    profiles={
        "smoke": {
            "small": 32,
            "large": 48,
            "unfrozen": 1,
            "seeds": 2,
            "comparisons": "redrawn",
            "resamples": 100,
        },
        "demo": {},
        "full": {
            "large": 128,
            "frozen": 5,
            "unfrozen": 5,
            "rate": 1e-3,
            "low": 5e-5,
            "batch_size": 64,
            "finder": 100,
            "seeds": 3,
            "comparisons": "redrawn,sources,unseen,augmentation,normalise,rates,films,decoy,copies,milestones,large,"
            "resnet",
        },
    },
    find=_find_films,
    datasets=("lung_six_class", "kermany_chest_xray"),
    finding=_found,
)
