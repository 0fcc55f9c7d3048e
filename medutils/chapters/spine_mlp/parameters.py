"""Parameters of the chapter `spine_mlp`, and how it finds its data."""

from pydantic import Field

from medutils.chapters import Chapter, Finding, Parameters
from medutils.data.manifest import Located


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
    replicas: int = Field(30, ge=2, le=1000, description="seeds to train on the write-up's split")
    repeats: int = Field(3, ge=1, le=100, description="repeats of the nested five-fold cross-validation")
    ablation_repeats: int = Field(1, ge=1, le=100, description="repeats for each variant of network or columns")
    minutes: float = Field(5, ge=0, le=10_000, description="scale a large table's counts down to this; 0 for no limit")


def _find_spine(parameters: SpineMLP) -> Located:
    from medutils.data.spine import open_spine

    names = parameters.model_dump(include={"class_column", "negative", "positive", "patient_column"})
    records, located = open_spine(parameters.data, **names)
    if parameters.split:
        from medutils.chapters.spine_mlp.experiments import Task

        Task(records, parameters.negative, parameters.positive).divided(parameters.split)
    return located


def _found() -> Finding:
    from medutils.chapters.spine_mlp.finding import finding

    return finding()


CHAPTER = Chapter(
    number=1,
    name="spine_mlp",
    title="Lower back pain: a small network on a small table",
    parameters=SpineMLP,
    profiles={
        "smoke": {"epochs": 12, "replicas": 6, "repeats": 1, "ablation_repeats": 1, "resamples": 200},
        "demo": {},
        "full": {"replicas": 100, "repeats": 10, "ablation_repeats": 10, "resamples": 10_000},
    },
    find=_find_spine,
    datasets=("spine",),
    finding=_found,
)
