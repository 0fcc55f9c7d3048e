"""What every kind of input gives once it is read: rows for a network, and what cannot be judged."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from medutils.errors import InputError
from medutils.training import loop


class Input(BaseModel):
    """A kind of input: how it is read, and the network that takes it; `TableInput`, `FilmInput` or `StudyInput`.

    noun, plural: what is given; judged: what each probability is of
    limit: a sentence of the model card
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    noun: ClassVar[str]
    plural: ClassVar[str]
    judged: ClassVar[str]
    limit: ClassVar[str]

    def logits(self, network: nn.Module, x: Tensor) -> Tensor:
        """Logits of what was read, (rows,) of two classes or (rows, classes)."""
        return loop.predict(network, x)

    def fitted(self) -> tuple[float, ...]:
        """Temperatures of its own, beside that of the whole model, by which `logits` are divided already."""
        return ()

    def results(self) -> list[str]:
        """Lines of Markdown that the model card adds to its results."""
        return []


@dataclass(frozen=True, eq=False)
class Rows:
    """What was read to be judged.

    named: what each row is, such as `file`, or `file` and `line`
    x: what the network takes, (rows, ...)
    left_out: what cannot be judged, each with the reason
    notes: sentences on what was read
    """

    named: pd.DataFrame
    x: Tensor
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def check_path(path: Path, expected: str) -> None:
    """Raise `InputError` for a device or a pipe, which may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: found neither file nor folder; expected {expected}")
