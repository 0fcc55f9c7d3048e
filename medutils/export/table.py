"""Rows of a table as the input of an exported network: how they are read, and the network that takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pandas as pd
import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor, nn

from medutils.data.images import SUFFIXES
from medutils.errors import InputError
from medutils.export.reading import Input, Rows, check_path
from medutils.models.mlp import SpineMLP
from medutils.tables import encoding_note, few, markdown_safe, numbers, read_csv

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TableInput(Input):
    """Rows of measurements, each column standardised as in the training.

    mean, scale: what a column is shifted and divided by
    hidden, dropout, batch_normalisation: of the network, see `SpineMLP`
    """

    noun: ClassVar[str] = "row"
    plural: ClassVar[str] = "rows"
    judged: ClassVar[str] = "row"
    limit: ClassVar[str] = (
        "Rows of another hospital or age group, or measured in another way, can lower its results, unnoticed."
    )

    kind: Literal["table"] = "table"
    columns: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    mean: tuple[FiniteFloat, ...]
    scale: tuple[Positive, ...]
    hidden: int = Field(ge=1, le=4096)
    dropout: float = Field(ge=0, lt=1)
    batch_normalisation: bool

    @model_validator(mode="after")
    def _columns_fit(self) -> "TableInput":
        if not len(set(self.columns)) == len(self.columns) == len(self.mean) == len(self.scale):
            found = f"{len(self.columns)} columns, {len(self.mean)} means and {len(self.scale)} scales"
            raise ValueError(f"{found}; expected one of each for every column, and each column once")
        return self

    def network(self, classes: int) -> nn.Module:
        """The network of these sizes, its weights yet to be loaded; it knows two classes."""
        if classes != 2:
            raise InputError(f"classes: found {classes}; expected 2 for a network of tables")
        return SpineMLP(len(self.columns), self.hidden, self.dropout, self.batch_normalisation)

    def describes(self, network: nn.Module, classes: int) -> bool:
        """Whether a network is of these sizes; torch writes out all that an MLP is made of."""
        with torch.random.fork_rng(devices=[]):
            return classes == 2 and str(network) == str(self.network(classes))

    def example(self) -> Tensor:
        """One row of means, (1, columns)."""
        return torch.zeros(1, len(self.columns))

    def tensor(self, table: pd.DataFrame) -> Tensor:
        """The columns of a table of numbers, standardised: float32 (rows, columns)."""
        values = table[list(self.columns)].to_numpy(dtype=float)
        return torch.tensor((values - self.mean) / self.scale, dtype=torch.float32)

    def read(self, given: Sequence[Path]) -> Rows:
        """Read CSV files to standardised rows. A row with a cell that is no number is left out.

        Raises `InputError` for what is no CSV table, or one without a column that the network takes.
        """
        parts = [self._read(path) for path in dict.fromkeys(given)]
        return Rows(
            pd.concat([part.named for part in parts], ignore_index=True),
            torch.cat([part.x for part in parts]),
            tuple(one for part in parts for one in part.left_out),
            tuple(note for part in parts for note in part.notes),
        )

    def _read(self, path: Path) -> Rows:
        check_path(path, "a CSV table")
        if path.is_dir() or path.suffix.lower() in SUFFIXES:
            what = "a folder" if path.is_dir() else "an image"
            raise InputError(f"{path}: found {what}; expected a CSV table, which is what this model judges")
        text = read_csv(path, self.columns, min_rows=1)
        values, wrong = numbers(text[list(self.columns)])
        left_out: dict[int, str] = {}
        for line, reason in wrong:
            left_out.setdefault(line, reason)
        values = values.drop(index=list(left_out))
        ignored = [name for name in text if name not in self.columns]
        notes = [f"{path}: {note}" for note in [encoding_note(path)] if note]
        notes += [f"{path}: columns that the model does not take, ignored: {few(ignored)}"] if ignored else []
        named = pd.DataFrame({"file": str(path), "line": values.index})
        return Rows(
            named,
            self.tensor(values),
            tuple((f"{path}: line {line}", reason) for line, reason in left_out.items()),
            tuple(notes),
        )

    def in_words(self) -> str:
        """For the model card: the network, and how it reads a row."""
        normalised = ", batch normalisation" if self.batch_normalisation else ""
        return (
            f"A multilayer perceptron of two hidden layers of {self.hidden} units{normalised} and dropout "
            f"{self.dropout:g}. It takes one row of measurements, each shifted and scaled by its mean and standard "
            f"deviation in the training rows: {', '.join(map(markdown_safe, self.columns))}."
        )
