"""What a write-up claims: every number that it states, with the words that state it."""

from pathlib import Path
from typing import Any
from urllib.parse import quote as escaped

from pydantic import BaseModel, ConfigDict, model_validator

from medutils.errors import InputError
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


class WriteUp(BaseModel):
    """A write-up by its title, or its first heading where it has none, and the address that leads nearest to it.

    code: where that address is a repository, its files that are quoted, each with the commit it is quoted from
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    link: str
    code: dict[str, str] = {}

    def code_address(self, section: str) -> str:
        """Where a section is when it is a file of the code behind the write-up; empty when it is of the text."""
        return f"{self.link}/blob/{self.code[section]}/{escaped(section)}" if section in self.code else ""


class Quote(BaseModel):
    """Words of a write-up, to the letter, and where they stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: str
    section: str
    write_up: str


class Reported(BaseModel):
    """The write-ups of a chapter by their number, what is quoted of them by a name, and all the numbers they state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    write_ups: dict[str, WriteUp]
    quotes: dict[str, Quote] = {}
    claims: list[Claim]

    @model_validator(mode="after")
    def _quotes_only_its_own(self) -> "Reported":
        for name, quote in self.quotes.items():
            if quote.write_up not in self.write_ups:
                raise ValueError(f"quote {name}: found write-up {quote.write_up}; expected one of {[*self.write_ups]}")
        return self


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


def quoted(chapter: str, name: str) -> tuple[Quote, WriteUp]:
    """A quotation of `book/reported/<chapter>.yaml` and the write-up it is of."""
    reported = load_reported(chapter)
    if name not in reported.quotes:
        known = ", ".join(reported.quotes) or "none"
        raise InputError(f"{reported_path(chapter)}: found no quote '{name}'; there is {known}")
    quote = reported.quotes[name]
    return quote, reported.write_ups[quote.write_up]
