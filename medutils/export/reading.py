"""What every kind of input gives once it is read: rows for a network, and what cannot be judged."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from medutils.errors import InputError


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
