"""The points of a grid: each checked before anything starts, each under a key of all that its results depend on."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from medutils import cache
from medutils.chapters import get_chapter, resolve
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.files import sha256
from medutils.run import chapter_code

Grid = Mapping[str, Sequence[str]]
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Point:
    """A point of a grid.

    given: its parameters, as text, without those that come from the profile
    key: of its parameters, its data and the code; its folder's name
    code, data: the hashes of the chapter's code and of its data, which a worker must find too
    """

    given: Mapping[str, str]
    key: str
    code: str
    data: str

    def named(self, names: Iterable[str]) -> str:
        """Its parameters of these names, for a sentence."""
        return ", ".join(f"{name}={self.given[name]}" for name in names if name in self.given) or "the one point"


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """`name=v1,v2` as values by name; a value with a comma stands in double quotes. `InputError` for all else."""
    grid: dict[str, list[str]] = {}
    for text in texts:
        name, sign, listed = text.partition("=")
        name = name.strip()
        values = next(csv.reader([listed], skipinitialspace=True), [])
        if not sign or not name or not values:
            raise InputError(f"-g: found '{text}'; expected NAME=VALUE,VALUE,...")
        if name in grid:
            raise InputError(f"-g: found '{name}' twice; expected each parameter once")
        grid[name] = list(dict.fromkeys(values))
    return grid


def combined(grid: Grid, given: Mapping[str, str], seeds: int) -> list[dict[str, str]]:
    """Every combination of the grid's values with what is given, each with `seeds` seeds, from that given on."""
    if twice := sorted({*grid} & {*given}):
        raise InputError(f"{twice[0]}: found in the grid and as one value; expected it once")
    if seeds < 1:
        raise InputError(f"--seeds: found {seeds}; expected 1 or more")
    axes = {name: list(values) for name, values in grid.items()}
    if seeds > 1:
        if "seed" in grid:
            raise InputError("--seeds: found seeds in the grid too; expected one of them")
        first = given.get("seed", "0")
        if not first.isdecimal():
            raise InputError(f"seed: found '{first}'; expected a whole number")
        axes["seed"] = [str(int(first) + number) for number in range(seeds)]
    return [{**given, **dict(zip(axes, values, strict=True))} for values in product(*axes.values())]


def checked(chapter: str, every: Sequence[Mapping[str, str]], told: Told | None = None) -> list[Point]:
    """The points of a chapter, each with its key; `InputError` for the first that cannot be run.

    The chapter looks at the data of every combination, seeds aside. Points that come to the same parameters are one.
    """
    of = get_chapter(chapter)
    parameters = [resolve(chapter, given) for given in every]
    found: dict[str, Located] = {}
    hashes: dict[Path, str] = {}
    codes: dict[str, str] = {}
    points: dict[str, Point] = {}
    for number, (given, resolved) in enumerate(zip(every, parameters, strict=True)):
        if told:
            told(number, len(every))
        seedless = resolved.model_dump_json(exclude={"seed"})
        if seedless not in found:
            found[seedless] = of.find(resolved)
        located = found[seedless]
        if located.path not in hashes:
            hashes[located.path] = sha256(located.path)
        if located.dataset not in codes:
            codes[located.dataset] = chapter_code(of, located.dataset)
        code, data = codes[located.dataset], hashes[located.path]
        split = sha256(Path(resolved.split).expanduser()) if resolved.split else ""
        depends = resolved.model_dump() | {"data": [located.name, located.kind, data], "split": split}
        key = cache.digest([chapter, code, depends])
        points.setdefault(key, Point(given, key, code, data))
    return list(points.values())


def differing(points: Sequence[Point]) -> list[str]:
    """The names of the parameters in which the points differ."""
    names: dict[str, Any] = dict.fromkeys(name for point in points for name in point.given)
    return [name for name in names if len({point.given.get(name) for point in points}) > 1]
