"""What a write-up claims: every number that it states, with the words that state it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from medutils.files import BOOK
from medutils.schema import read_yaml


class Claim(BaseModel):
    """One number a write-up states, the words that state it, and the result of ours that answers it, if one does.

    result: a path into results.json, such as `metrics/mlp.f1`
    unit: `%` means that ours, a share between 0 and 1, is shown times 100
    exact: whether the number does not depend on chance: a count, a setting, a sum
    runs: a path to the numbers of our single runs, a list, against whose spread the difference is set
    why: why nothing of ours answers it, though `result` may stand beside it
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    what: str
    value: float | list[float] | list[list[float]]
    unit: str = ""
    section: str
    words: str
    result: str | None = None
    exact: bool = False
    runs: str | None = None
    why: str | None = None

    @model_validator(mode="after")
    def _is_answered_or_says_why_not(self) -> "Claim":
        if self.result is None and self.why is None:
            raise ValueError(f"{self.id} has neither result nor why; expected one of them")
        return self

    @property
    def number(self) -> float | None:
        """The single number, as a share when it is given in percent; None for a list."""
        if not isinstance(self.value, float):
            return None
        return self.value / 100 if self.unit == "%" else self.value


class Reported(BaseModel):
    """All the numbers of one write-up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    write_up: str
    title: str
    claims: list[Claim]


def reported_path(chapter: str) -> Path:
    """Where the numbers that a chapter's write-ups state lie."""
    return BOOK / "reported" / f"{chapter}.yaml"


def load_reported(chapter: str) -> Reported:
    """Read and check `book/reported/<chapter>.yaml`."""
    return read_yaml(reported_path(chapter), Reported)


def reported_values(chapter: str) -> dict[str, Any]:
    """All the numbers of a chapter's claims by id, those in percent as shares; lists as they are."""
    claims = load_reported(chapter).claims
    return {claim.id: claim.value if claim.number is None else claim.number for claim in claims}
