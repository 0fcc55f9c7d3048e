"""What is to be known of a trained network besides its weights, and the model card that says it."""

from importlib.metadata import version
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medutils import NOT_FOR_CLINICAL_USE, __version__
from medutils.evaluation import Estimate, at_bound, metric_name
from medutils.evaluation.calibrate import TEMPERATURES
from medutils.export.film import FilmInput
from medutils.export.study import StudyInput
from medutils.export.table import TableInput
from medutils.tables import markdown_safe, rest

LIBRARIES = ("torch", "timm", "numpy", "pandas", "pillow")

Text = Annotated[str, Field(min_length=1)]


class TrainedOn(BaseModel):
    """The data a network was trained on, as they stand in results.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    kind: Literal["real", "phantom"]
    sha256: Text

    def __str__(self) -> str:
        return f"{self.name} ({'phantom' if self.kind == 'phantom' else 'real data'})"


def _versions() -> dict[str, str]:
    """Without what a build adds to its version, such as `+cpu`: results.json holds that."""
    return {"medutils": __version__} | {name: version(name).partition("+")[0] for name in LIBRARIES}


class About(BaseModel):
    """All of a network but its weights; checked when it is written and when it is read.

    title: what it is, in a few words
    reads: its kind of input, how that is read, and the sizes of the network
    classes: the positive one last
    healthy: of several classes, that of the healthy, if one is: the threshold is then for its contrary
    threshold, threshold_rule: the probability from which on the positive class is called, and how it was chosen
    temperature: what logits are divided by to be calibrated; 1 where nothing was fitted, or `reads` has its own
    metrics: by name, each with its interval
    limits: sentences that the card adds to its own
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    title: Text
    reads: Annotated[TableInput | FilmInput | StudyInput, Field(discriminator="kind")]
    classes: tuple[Text, ...] = Field(min_length=2)
    healthy: str = ""
    threshold: float = Field(ge=0, le=1)
    threshold_rule: Text
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    data: TrainedOn
    metrics: dict[str, Estimate] = {}
    limits: tuple[Text, ...] = ()
    made_with: dict[str, str] = Field(default_factory=_versions)

    @model_validator(mode="after")
    def _classes_differ(self) -> "About":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {', '.join(self.classes)}; expected each once")
        if self.healthy and self.healthy not in self.classes:
            raise ValueError(f"healthy is {self.healthy}; expected one of {', '.join(self.classes)}")
        if self.temperature != 1 and self.reads.fitted():
            raise ValueError(f"temperature is {self.temperature}; expected 1 beside temperatures of its targets")
        return self

    @property
    def kind(self) -> Literal["table", "film", "study"]:
        return self.reads.kind

    @property
    def positive(self) -> str:
        """What the threshold is for: the last class, or all but the healthy."""
        return rest(self.healthy) if self.healthy else self.classes[-1]

    def notes(self) -> tuple[str, ...]:
        """What must be said beside every probability: that the temperature found no optimum, where it did not."""
        low, high = TEMPERATURES
        return tuple(
            f"The temperature {one:.3f} lies at an end of the range {low:g} to {high:g} in which it was "
            "looked for: no temperature calibrates this network, so its probabilities are an order and no more."
            for one in dict.fromkeys((self.temperature, *self.reads.fitted()))
            if at_bound(one)
        )


def model_card(about: About) -> str:
    """The model card, in Markdown: what the network is, what it was made from, how well it does, and its limits."""
    reads, positive = about.reads, markdown_safe(about.positive)
    fitted = [f"{one:.3f}" for one in (about.temperature, *reads.fitted()) if one != 1]
    ending = "" if len(fitted) == 1 else "s"
    scaled = f" Logits are divided by the temperature{ending} {', '.join(fitted)} to be calibrated." if fitted else ""
    made_with = ", ".join(f"{name} {number}" for name, number in about.made_with.items())
    sections = {
        "Intended use": f"Teaching: to see what such a network does on a {reads.noun}, and where it fails. It must "
        "have no part in any decision on a patient.",
        "What it is": f"{reads.in_words()} Classes: {', '.join(map(markdown_safe, about.classes))}"
        f"{'' if about.healthy else f'; the positive one is {positive}'}.",
        "Data": f"{markdown_safe(str(about.data))}; SHA-256 `{about.data.sha256}`.",
        "Threshold": f"A {reads.judged} is called {positive} from a {'calibrated ' if fitted else ''}probability of "
        f"{about.threshold:.3f} on, {about.threshold_rule}.{scaled}",
        "Results": _results(about),
        "Limits": "\n".join(f"- {limit}" for limit in _limits(about)),
        "Made with": f"{made_with}.",
    }
    head = f"# {about.title}\n\n**{NOT_FOR_CLINICAL_USE}**\n\n"
    return head + "".join(f"## {name}\n\n{text}\n\n" for name, text in sections.items()).rstrip() + "\n"


def _results(about: About) -> str:
    more = about.reads.results()
    if not (about.metrics or more):
        return "None are given."
    rows = [
        f"| {markdown_safe(metric_name(name))} | {one} | {one.n:,} | {markdown_safe(one.split)} |"
        for name, one in about.metrics.items()
    ]
    return "\n".join(["| metric | value (95 % interval) | patients | rows of |", "|---|---|---|---|", *rows, *more])


def _limits(about: About) -> list[str]:
    drawn = "It was trained on a phantom: it knows nothing of real patients."
    return [
        *([drawn] if about.data.kind == "phantom" else []),
        *about.notes(),
        *about.limits,
        "It knows the classes above and no other finding, and always names one of them.",
        about.reads.limit,
    ]
