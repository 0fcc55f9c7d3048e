"""Studies as networks that fuse series take them: tokens by study and series, which of them are there, and grades."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medutils import cache
from medutils.errors import InputError
from medutils.models.fusion import FusionConfig

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FusedSet:
    """Studies with the embeddings of their series.

    series: names, in the order of the second axis of `x`
    patients: one name a study
    x: float32 (studies, series, tokens, inputs), 0 where `mask`, bool (studies, series, tokens), is not
    y: int64 (studies, targets), -1 where not graded
    targets: their names; classes: the names of each target's grades; findings: what each is a target of
    embedder: what gave the tokens
    """

    series: tuple[str, ...]
    patients: tuple[str, ...]
    x: Tensor
    mask: Tensor
    y: Rows
    targets: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    findings: tuple[str, ...]
    embedder: str

    def __post_init__(self) -> None:
        shape = (len(self.patients), len(self.series))
        if self.x.shape[:2] != shape or self.mask.shape != self.x.shape[:3] or len(self.y) != shape[0]:
            found = f"{tuple(self.x.shape)}, {tuple(self.mask.shape)} and {self.y.shape}"
            raise InputError(f"x, mask, y: found the shapes {found}; expected {shape[0]} studies of {shape[1]} series")
        if not self.x.isfinite().all():
            raise InputError("x: found a number that is not finite; expected embeddings")
        if not self.mask.flatten(1).any(1).all():
            nobody = self.patients[int((~self.mask.flatten(1).any(1)).nonzero()[0])]
            raise InputError(f"mask: found no series of '{nobody}'; expected one of {', '.join(self.series)} at least")

    @property
    def present(self) -> Tensor:
        """Which series each study has, bool (studies, series)."""
        return self.mask.any(-1)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that is in it."""
        hashes = [cache.array_hash(part) for part in (self.x.numpy(), self.mask.numpy(), self.y)]
        return cache.digest([*hashes, self.series, self.patients, self.targets, self.classes, self.embedder])

    def config(self, **settings: object) -> FusionConfig:
        """A network's configuration that fits these studies."""
        common = FusionConfig(
            self.series,
            self.targets,
            tuple(map(len, self.classes)),
            self.findings,
            inputs=self.x.shape[3],
            embedder=self.embedder,
        )
        return replace(common, **settings)  # type: ignore[arg-type]

    def only(self, series: Sequence[str]) -> "FusedSet":
        """The same with some of the series, and the studies that have one of them."""
        if unknown := [name for name in series if name not in self.series]:
            raise InputError(f"series: found '{unknown[0]}'; expected some of {', '.join(self.series)}")
        places = [self.series.index(name) for name in series]
        rows = self.present[:, places].any(1).numpy()
        return replace(
            self,
            series=tuple(series),
            patients=tuple(np.array(self.patients, object)[rows]),
            x=self.x[rows][:, places],
            mask=self.mask[rows][:, places],
            y=self.y[rows],
        )
