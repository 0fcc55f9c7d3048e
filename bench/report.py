"""What every measurement prints: the machine, and each ratio with its spread over rounds and the load beside it."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table


def machine() -> str:
    """Processor, cores and versions, to stand above all ratios: a ratio belongs to the machine it was taken on."""
    import torch

    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    threads = f"{os.cpu_count()} cores, torch {torch.__version__} on {torch.get_num_threads()} threads"
    return f"{model or platform.processor() or platform.machine()}, {threads}, Python {platform.python_version()}"


@dataclass
class Rounds:
    """Seconds (or another cost) of each side, a number a round; sides are measured in turn within a round.

    load: the one-minute load average at the end of each round, over the cores that there are
    """

    sides: dict[str, list[float]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)

    @contextmanager
    def round(self) -> Iterator[dict[str, float]]:
        """Give a dict to put one cost a side into, and take note of the load."""
        found: dict[str, float] = {}
        yield found
        for name, cost in found.items():
            self.sides.setdefault(name, []).append(cost)
        self.load.append(os.getloadavg()[0] / (os.cpu_count() or 1))

    def cost(self, side: str) -> float:
        """The median cost of a side."""
        return median(self.sides[side])

    def ratios(self, first: str, second: str) -> list[float]:
        """Cost of `first` over that of `second`, round by round."""
        return [one / other for one, other in zip(self.sides[first], self.sides[second], strict=True)]


def show(title: str, rounds: Rounds, against: str, unit: str = "s") -> None:
    """Print each side's cost, and how many times less it costs than the side `against`: median, and least to most."""
    table = Table("what", unit, f"times as fast as {against}", title=title)
    for name in rounds.sides:
        ratios = rounds.ratios(against, name) if against in rounds.sides else []
        table.add_row(name, f"{rounds.cost(name):.4g}", spread(ratios))
    table.caption = f"{len(rounds.load)} rounds, load a core {spread(rounds.load)}"
    Console().print(table)


def spread(values: Sequence[float]) -> str:
    """The median, and from the least to the most."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else ""
