"""The chapters: their typed parameters, their profiles, and sentences for those who mistype one."""

import ast
import difflib
import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.files import BOOK, scratch
from medutils.tables import few

if TYPE_CHECKING:
    import pandas as pd

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
    split: str = Field("", description="split.json of another run on these data; empty for a split of its own")
    out: str = Field("", description="the folder for results.json and predictions.csv; empty for none")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="the one number that all randomness comes from")
    resamples: int = Field(2000, ge=10, le=100_000, description="bootstrap resamples behind each interval")


@dataclass(frozen=True)
class Finding:
    """What a chapter's reference run on real data found, for the cover.

    sentence: takes its numbers from the reference run
    rows: a row a result, as `Results.against_reference` gives it, without this run
    """

    sentence: str
    rows: "pd.DataFrame"


@dataclass(frozen=True)
class Chapter:
    """A notebook, its parameters, and the values that its profiles set.

    find: its data, which it must be able to use: faults are told before the notebook starts
    datasets: the manifests of the datasets it reads by itself
    finding: what its reference run found; None while there is none
    """

    number: int
    name: str
    title: str
    parameters: type[Parameters]
    profiles: Mapping[str, Mapping[str, Any]]
    find: Callable[[Any], Located]
    datasets: tuple[str, ...] = ()
    finding: Callable[[], Finding] | None = None

    def of_a_profile(self, parameters: Parameters) -> bool:
        """Whether the chapter's own parameters are those of one of its profiles, which are known to be right."""
        free = {"profile", "data", "out", "seed", "resamples"}
        given = parameters.model_dump(exclude=free)
        return any(resolve(self.name, of).model_dump(exclude=free) == given for of in self.profiles.values())

    @property
    def notebook(self) -> Path:
        """The source notebook, without outputs."""
        return BOOK / f"{self.name}.ipynb"


@cache
def all_chapters() -> dict[str, Chapter]:
    """Every chapter by its name, in the order of the book: each folder beside this file that holds `parameters.py`."""
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/parameters.py"))
    found = [importlib.import_module(f"{__name__}.{name}.parameters").CHAPTER for name in folders]
    return {chapter.name: chapter for chapter in sorted(found, key=lambda chapter: chapter.number)}


def get_chapter(name: str) -> Chapter:
    """The chapter of that name, or an `InputError` with the nearest one."""
    known = all_chapters()
    if name not in known:
        raise InputError(f"chapter '{name}' is not known; there is {', '.join(known)}{_nearest(name, known)}")
    return known[name]


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


def names_of(text: str) -> list[str]:
    """The names in a parameter that holds several, with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def known_names(parameter: str, text: str, known: Collection[str]) -> list[str]:
    """The same, of a parameter that allows no others than those; `InputError` for one that is not known."""
    found = names_of(text)
    for name in found:
        if name not in known:
            raise InputError(f"{parameter}: found '{name}'; expected some of {few(known, 30)}, with commas between")
    return found


def read(name: str, namespace: Mapping[str, Any]) -> Parameters:
    """The parameters of a notebook that is running, from its `globals()`.

    papermill only warns of an unknown name and checks no type, so the cell it injects is read again here: every name in
    it must be a parameter, and what it does not set comes from the profile. In a notebook opened by hand, a parameter
    counts as set when its value is not the default. Raises what `resolve` raises, and `InputError` when `out` cannot be
    written.
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
    parameters = resolve(name, {key: namespace[key] for key in given})
    if parameters.out:  # what cannot be written is said before anything is trained
        with scratch(Path(parameters.out)):
            pass
    return parameters


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
