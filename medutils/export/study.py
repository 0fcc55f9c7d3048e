"""A study of several MRI series as the input of an exported network: read, embedded, and the network that takes it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from medutils.data.lumbar import TARGETS
from medutils.data.mri import Grey
from medutils.data.slices import shown
from medutils.data.study_folder import KINDS, WORDS, Study, open_study, read_study
from medutils.errors import InputError
from medutils.evaluation import Estimate
from medutils.export.reading import Input
from medutils.models.embedders import LITE_MANIFEST, Embedder, embedder
from medutils.models.fusion import FusionConfig, FusionNet
from medutils.models.weights import weights_manifest
from medutils.tables import few
from medutils.training.embeddings import BATCH

Floats = NDArray[np.float32]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EMBEDDER = "lite0"  # the one whose weights come with `requirements.txt`, so that a file need not hold them


class Evaluated(BaseModel):
    """How well a network did in its own evaluation with these series there and no other.

    log_loss: over all graded targets; auroc: of the most severe grade against the others
    log_loss_change, auroc_change: with these series minus with all, on the same studies
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    series: tuple[str, ...] = Field(min_length=1)
    log_loss: Estimate
    auroc: Estimate
    log_loss_change: Estimate
    auroc_change: Estimate


class Embedded(NamedTuple):
    """A study that was read: x (1, series, tokens, numbers), a token of NaN alone where there is none."""

    study: Study
    x: Tensor


class StudyInput(Input):
    """A lumbar MRI study of one series or more; a token is the embedding of a slice.

    design: of the network; its series are some of `KINDS`, its targets some of `TARGETS`, all of so many grades
    weights: SHA-256 of the embedder's weights, which lie in an installed package and not in the file
    size, grey: pixels a side, and the preprocessing, that slices are embedded with; see `read_grey`
    temperatures: what the logits of each finding's targets are divided by to be calibrated
    evaluated: how well it did in its own evaluation, by the series that were there
    """

    noun: ClassVar[str] = "study"
    plural: ClassVar[str] = "studies"
    judged: ClassVar[str] = "target"
    limit: ClassVar[str] = (
        "Studies of another hospital, scanner, field strength or age group can lower its results, unnoticed."
    )

    kind: Literal["study"] = "study"
    design: FusionConfig
    weights: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: int = Field(ge=16, le=1024)
    grey: Grey = "gsl"
    temperatures: dict[str, Temperature]
    evaluated: tuple[Evaluated, ...] = ()

    @model_validator(mode="after")
    def _design_fits(self) -> "StudyInput":
        design = self.design
        for what, names, known in (("series", design.series, KINDS), ("targets", design.targets, TARGETS)):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"design.{what}: found '{unknown[0]}'; expected some of {few(known, 3)}")
        if design.embedder != EMBEDDER:
            raise ValueError(f"design.embedder: found '{design.embedder}'; expected {EMBEDDER}")
        if set(self.temperatures) != set(design.findings):
            found, wanted = few(self.temperatures), few(dict.fromkeys(design.findings))
            raise ValueError(f"temperatures: found those of {found}; expected one for each of {wanted}")
        return self

    def network(self, classes: int) -> nn.Module:
        """The network of this design, its weights yet to be loaded."""
        if set(self.design.grades) != {classes}:
            raise InputError(f"classes: found {classes}; expected the grades of each target, {set(self.design.grades)}")
        return FusionNet(self.design)

    def describes(self, network: nn.Module, classes: int) -> bool:
        """Whether a network is of this design and gives so many grades."""
        return isinstance(network, FusionNet) and network.config == self.design and {*self.design.grades} == {classes}

    def example(self) -> Tensor:
        """One study of a slice a series, all zeros: (1, series, 1, numbers)."""
        return torch.zeros(1, len(self.design.series), 1, self.design.inputs)

    def logits(self, network: nn.Module, x: Tensor) -> Tensor:
        """Calibrated logits (studies * targets, grades) of studies (studies, series, tokens, numbers)."""
        with torch.inference_mode():
            logits: Tensor = network.eval()(x, there(x))
        temperatures = torch.tensor([self.temperatures[finding] for finding in self.design.findings])
        return (logits / temperatures[:, None]).flatten(0, 1)

    def fitted(self) -> tuple[float, ...]:
        """The temperatures of its targets, in their order."""
        return tuple(self.temperatures.values())

    def tensor(self, embedded: Mapping[str, Floats], embedder: str, weights: str) -> Tensor:
        """One study's embeddings as the network takes them: (1, series, tokens, numbers), NaN where no slice is.

        embedded: the slices of each series that is there, (slices, numbers), by the name of its kind
        embedder, weights: what gave them, and the SHA-256 of its weights

        Raises `InputError` for embeddings of another embedder, length or kind of series, for none, and for numbers that
        are not finite.
        """
        design = self.design
        if (embedder, weights) != (design.embedder, self.weights):
            raise InputError(
                f"embeddings: found those of '{embedder}' with weights {weights:.12}...; expected '{design.embedder}' "
                f"with {self.weights:.12}..., with which this model was trained"
            )
        if unknown := [name for name in embedded if name not in design.series]:
            raise InputError(f"embeddings: found the series '{unknown[0]}'; expected some of {few(design.series)}")
        if not embedded:
            raise InputError(f"embeddings: found no series; expected one of {few(design.series)} at least")
        for name, values in embedded.items():
            if values.ndim != 2 or not len(values) or values.shape[1] != design.inputs:
                raise InputError(
                    f"embeddings: found the shape {values.shape} of series '{name}'; expected (slices, {design.inputs})"
                )
            if not np.isfinite(values).all():
                raise InputError(f"embeddings: found a number that is not finite in series '{name}'; expected none")
        x = torch.full((1, len(design.series), max(map(len, embedded.values())), design.inputs), torch.nan)
        for name, values in embedded.items():
            x[0, design.series.index(name), : len(values)] = torch.from_numpy(values)
        return x

    def read(self, folder: Path) -> Embedded:
        """Read one study from a folder of DICOM files and embed its slices; nothing of it stays on disk.

        Raises `InputError` for what `open_study` and `read_study` refuse, a study without a series that the network
        takes, and embeddings of other weights than those that it was trained with.
        """
        network, weights = _embedder(self.size), weights_manifest(LITE_MANIFEST).sha256
        study, pixels = read_study(open_study(folder), self.size, self.grey)
        taken = {kind: torch.from_numpy(pixels[kind]) for kind in self.design.series if kind in pixels}
        if not taken:
            found, wanted = (few([WORDS[kind] for kind in kinds]) for kinds in (pixels, self.design.series))
            raise InputError(f"{folder}: found {found}; expected a series that this model takes: {wanted}")
        batches = [(kind, part) for kind, slices in taken.items() for part in slices.split(BATCH)]
        total = sum(map(len, taken.values()))
        features = [
            (kind, network.embed(part).numpy()) for kind, part in shown(batches, total, f"Embedding {folder.name}")
        ]
        embedded = {kind: np.concatenate([part for one, part in features if one == kind]) for kind in taken}
        return Embedded(study, self.tensor(embedded, network.name, weights))

    def in_words(self) -> str:
        """For the model card: the network, and how it reads a study."""
        design = self.design
        series = ", ".join(WORDS[name] for name in design.series)
        return (
            f"Slices of {series} are read grey (`{self.grey}`), squashed to {self.size} x {self.size} pixels "
            f"and embedded by EfficientNet-Lite0 with ImageNet weights, SHA-256 `{self.weights:.12}...`, which come "
            f"with an installed package. A network of the architecture `{design.architecture}` fuses them; a series "
            f"that is missing is met by `{design.missing}`. It grades {len(design.targets)} targets, each for itself."
        )

    def results(self) -> list[str]:
        """How well it did by the series that were there, as a Markdown table."""
        if not self.evaluated:
            return []
        rows = [
            f"| {', '.join(WORDS[name] for name in one.series)} | {one.log_loss} | {one.auroc} | {one.log_loss.n:,} |"
            for one in self.evaluated
        ]
        return [
            "",
            "By the series that are there:",
            "",
            "| series | log loss | AUROC of the most severe grade | patients |",
            "|---|---|---|---|",
            *rows,
        ]


def there(x: Tensor) -> Tensor:
    """Which tokens are there, bool (studies, series, tokens); one that is not is NaN alone."""
    return ~x.isnan().all(-1)


@cache
def _embedder(size: int) -> Embedder:
    return embedder(EMBEDDER, size=size)
