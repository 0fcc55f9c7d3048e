"""The chapters: their typed parameters, their profiles, and sentences for those who mistype one."""

import ast
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.files import BOOK

Profile = Literal["smoke", "demo", "full"]


class Parameters(BaseModel):
    """What every chapter can be told. The defaults are the values of the `demo` profile."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a truth value")
        return value

    profile: Profile = Field("demo", description="the set of values for all that is not given")
    data: str = Field("auto", min_length=1, description="auto, phantom, or the path of your own data")
    out: str = Field("", description="the folder for results.json and predictions.csv; empty for none")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="the one number that all randomness comes from")


class SpineMLP(Parameters):
    """Parameters of `book/spine_mlp.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, openml, or the path of your own table")
    class_column: str = Field("Class_att", min_length=1, description="the column of the table that holds the class")
    positive: str = Field("Abnormal", min_length=1, description="the class a positive decision means")
    negative: str = Field("Normal", min_length=1, description="the other class")
    patient_column: str = Field("", description="the column that names the patient; empty when a row is a patient")
    epochs: int = Field(200, ge=1, le=10_000, description="passes over the training rows")
    batch_size: int = Field(16, ge=2, le=10_000, description="rows a step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's first step size")
    hidden: int = Field(64, ge=1, le=4096, description="units in each hidden layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of hidden units left out in a step")
    threshold: float = Field(0.5, ge=0, le=1, description="probability from which a decision is positive")
    replicas: int = Field(100, ge=2, le=1000, description="seeds to train on the write-up's split")
    repeats: int = Field(5, ge=1, le=100, description="repeats of the nested five-fold cross-validation")
    ablation_repeats: int = Field(2, ge=1, le=100, description="repeats for each subset of the measurements")
    resamples: int = Field(2000, ge=10, le=100_000, description="bootstrap resamples behind each interval")


class PneumoniaCNN(Parameters):
    """Parameters of `book/pneumonia_cnn.ipynb`."""

    data: str = Field("auto", min_length=1, description="auto, phantom, or the folder of your own films")
    positive: str = Field("", description="the class a positive decision means; empty for PNEUMONIA or the last")
    patient_pattern: str = Field("", description="regular expression that finds the patient in a file's name")
    variants: str = Field(
        "002-baseline,002-augmented,002-xception,003-base,003-augmented,003-l1",
        min_length=1,
        description="networks to train, with commas between",
    )
    seeds: int = Field(3, ge=2, le=100, description="trainings of each network")
    image_size: int = Field(48, ge=0, le=1024, description="pixels a side; 0 for each network's own")
    epochs: int = Field(6, ge=0, le=1000, description="passes over the training films; 0 for each network's own")
    batch_size: int = Field(16, ge=0, le=1024, description="films a step; 0 for each network's own")
    validation: Literal["patient", "file", "first", "sixteen"] = Field(
        "patient", description="how validation films are held out"
    )
    backbone: str = Field("resnet18", description="a network of the timm library; empty for each network's own")
    weights: Literal["imagenet", "phantom", "none"] = Field("phantom", description="the weights of a backbone")
    precision: Literal["auto", "float32", "bfloat16"] = Field("float32", description="of the arithmetic in training")
    resamples: int = Field(1000, ge=10, le=100_000, description="bootstrap resamples behind each interval")


@dataclass(frozen=True)
class Chapter:
    """A notebook, its parameters, and the values that its profiles set."""

    name: str
    title: str
    parameters: type[Parameters]
    profiles: Mapping[str, Mapping[str, Any]]
    find: Callable[[Any], Located]  # its data, which it must be able to use: faults are told before the notebook starts

    @property
    def notebook(self) -> Path:
        """The source notebook, without outputs."""
        return BOOK / f"{self.name}.ipynb"


def _find_spine(parameters: SpineMLP) -> Located:
    from medutils.data.spine import open_spine

    names = parameters.model_dump(include={"class_column", "negative", "positive", "patient_column"})
    return open_spine(parameters.data, **names)[1]


def _find_films(parameters: PneumoniaCNN) -> Located:
    from medutils.experiments.films import find_films
    from medutils.experiments.variants import chosen

    networks = chosen(parameters.variants)
    if parameters.weights == "imagenet":
        from medutils.models.transfer import check_backbone

        check_backbone(parameters.backbone or "legacy_xception", pretrained=True)
    sizes = {"image_size", "backbone"}
    usual = [resolve("pneumonia_cnn", {}, profile).model_dump(include=sizes) for profile in get_args(Profile)]
    if parameters.model_dump(include=sizes) not in usual:
        from medutils.experiments.fitting import Plan, check_networks

        check_networks(networks, Plan(image_size=parameters.image_size, backbone=parameters.backbone))
    return find_films(parameters.data, parameters.positive, parameters.patient_pattern)


CHAPTERS = {
    chapter.name: chapter
    for chapter in (
        Chapter(
            name="spine_mlp",
            title="Lower back pain: a small network on a small table",
            parameters=SpineMLP,
            profiles={
                "smoke": {"epochs": 12, "replicas": 6, "repeats": 1, "ablation_repeats": 1, "resamples": 200},
                "demo": {},
                "full": {"repeats": 10, "ablation_repeats": 10, "resamples": 10_000},
            },
            find=_find_spine,
        ),
        Chapter(
            name="pneumonia_cnn",
            title="Pneumonia on chest films: many networks, one test set",
            parameters=PneumoniaCNN,
            profiles={
                "smoke": {
                    "variants": "002-baseline,002-augmented",
                    "seeds": 2,
                    "image_size": 32,
                    "epochs": 1,
                    "weights": "none",
                    "resamples": 100,
                },
                "demo": {},
                "full": {"image_size": 0, "epochs": 0, "batch_size": 0, "backbone": "", "resamples": 2000},
            },
            find=_find_films,
        ),
    )
}


def get_chapter(name: str) -> Chapter:
    """The chapter of that name, or an `InputError` with the nearest one."""
    if name not in CHAPTERS:
        raise InputError(f"chapter '{name}' is not known; there is {', '.join(CHAPTERS)}{_nearest(name, CHAPTERS)}")
    return CHAPTERS[name]


def resolve(name: str, given: Mapping[str, Any], profile: str | None = None) -> Parameters:
    """Check what was given, fill in the rest from the profile, and return the chapter's parameters.

    Raises `InputError`, one sentence that names the parameter, what was found, what is allowed and the nearest known
    name.
    """
    chapter = get_chapter(name)
    known = chapter.parameters.model_fields
    for parameter, value in given.items():
        if parameter not in known:
            nearest = _nearest(parameter, known)
            raise InputError(
                f"parameter '{parameter}' (found {value!r}) is not known; {name} allows {', '.join(known)}{nearest}"
            )
    values = dict(given)
    if profile is not None:
        values["profile"] = profile
    chosen = values.get("profile", "demo")
    of_profile = chapter.profiles.get(chosen, {}) if isinstance(chosen, str) else {}
    try:
        return chapter.parameters.model_validate({**of_profile, **values})
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
        raise InputError(f"{wrong}: found {values[wrong]!r}; expected {expected(known[wrong])}") from None


def read(name: str, namespace: Mapping[str, Any]) -> Parameters:
    """The parameters of a notebook that is running, from its `globals()`.

    papermill only warns of an unknown name and checks no type, so the cell it injects is read again here: every name in
    it must be a parameter, and what it does not set comes from the profile. In a notebook opened by hand, a parameter
    counts as set when its value is not the default.
    """
    known = get_chapter(name).parameters.model_fields
    injected = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]
    if injected:
        given = [
            target.id
            for node in ast.walk(ast.parse(injected[-1]))
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
    else:
        given = [key for key in known if key in namespace and namespace[key] != known[key].default]
    return resolve(name, {key: namespace[key] for key in given})


def expected(field: FieldInfo) -> str:
    """In words, what a parameter may be: its type and its range."""
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(get_args(field.annotation))}"
    kinds = ("ge", "gt", "le", "lt", "min_length")
    limits = {kind: getattr(part, kind) for part in field.metadata for kind in kinds if hasattr(part, kind)}
    if field.annotation is str:
        return "text that is not empty" if limits else "text"
    number = "a whole number" if field.annotation is int else "a number"
    low = f"from {limits['ge']}" if "ge" in limits else f"above {limits['gt']}"
    high = f"to {limits['le']}" if "le" in limits else f"to below {limits['lt']}"
    return f"{number} {low} {high}"


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""
