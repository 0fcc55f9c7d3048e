"""What this chapter computes: the patients and phantom studies it opens, and the trials it runs on them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

import torch

from medutils.chapters.lumbar_fusion.parameters import LumbarFusion
from medutils.data.graded_slices import open_slices
from medutils.data.phantom_studies import phantom_studies
from medutils.data.spider import Spider, open_spider
from medutils.data.studies import Studies
from medutils.errors import InputError
from medutils.models.embedders import Embedder, embedder
from medutils.models.fusion import Kind, Missing
from medutils.training.fused import FusedSet
from medutils.training.fused_sets import SPIDER_SERIES, spider_set, study_set
from medutils.training.fusion import Fitting
from medutils.training.fusion_trials import Found, Trials, run
from medutils.training.grading import FINE_TUNED, Course, train
from medutils.training.loop import Progress
from medutils.training.tuned import tuned_embedder

PARTS = ("spider", "three", "phantoms", "looks", "tuned", "noise", "pseudo", "model")
TWO = ("t1", "t2")  # the series that nearly all patients have


@dataclass(frozen=True, eq=False)
class Setup:
    """The patients and the parameters of a run."""

    spider: Spider
    p: LumbarFusion

    @property
    def parts(self) -> list[str]:
        return names_of(self.p.parts)

    @cached_property
    def studies(self) -> Studies:
        """Phantom studies with three series and 25 targets, made when they are first asked for."""
        return phantom_studies(self.p.studies, self.p.seed, self.p.study_size)

    def patients(self, progress: Progress | None = None, **embedders: Embedder) -> FusedSet:
        """SPIDER's patients; ImageNet's Lite0 embeds every series for which no other embedder is named."""
        own = embedder("lite0", self.p.seed, size=self.p.size)
        every = {name: embedders.get(name, own) for name in SPIDER_SERIES}
        return spider_set(self.spider, every, self.p.size, progress)

    def phantoms(self, progress: Progress | None = None) -> FusedSet:
        """The phantom studies' slices as tokens."""
        size = self.p.study_size
        return study_set(self.studies, embedder("lite0", self.p.seed, size=size), size, progress)

    def noise(self, data: FusedSet) -> FusedSet:
        """The same patients with one Gaussian token in place of each series' own."""
        random = torch.Generator().manual_seed(self.p.seed)
        mask = data.mask.any(-1, keepdim=True)
        x = torch.randn(*mask.shape, data.x.shape[3], generator=random)
        return replace(data, x=torch.where(mask[..., None], x, 0.0), mask=mask, embedder="noise")

    def tuned(self) -> Embedder:
        """Lite0 fine-tuned on the foraminal targets of the challenge's sagittal T1 slices, as in part one."""
        return tuned_embedder(train(Course(FINE_TUNED, open_slices("auto", self.p.seed)), self.p.seed), self.p.size)

    @property
    def trials(self) -> Trials:
        return Trials(
            architectures=tuple(name for name in get_args(Kind) if name in names_of(self.p.architectures)),
            remedies=tuple(name for name in get_args(Missing) if name in names_of(self.p.remedies)),
            fitting=Fitting(epochs=self.p.epochs),
            folds=self.p.folds,
            repeats=self.p.repeats,
            seeds=self.p.seeds,
            seed=self.p.seed,
        )

    def run(self, data: FusedSet, progress: Progress | None = None) -> Found:
        """All networks of the trials, asked of studies that they did not learn from; kept."""
        return run(data, self.trials, progress)


def names_of(text: str) -> list[str]:
    """The names in a parameter that holds several, with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check(p: LumbarFusion) -> None:
    """Raise `InputError` for a part, a network or a remedy that there is not, and for a split, which is not used."""
    if p.split:
        raise InputError(f"split: found '{p.split}'; expected none: this chapter holds out every patient once")
    known = {"parts": PARTS, "architectures": get_args(Kind), "remedies": get_args(Missing)}
    for parameter, names in known.items():
        for name in names_of(getattr(p, parameter)):
            if name not in names:
                raise InputError(f"{parameter}: found '{name}'; expected some of {', '.join(names)}")
    for parameter in ("architectures", "remedies"):
        if not names_of(getattr(p, parameter)):
            raise InputError(f"{parameter}: found none; expected some of {', '.join(known[parameter])}")


def opened(p: LumbarFusion) -> Setup:
    """The patients that a run's parameters name; `InputError` for what cannot be used."""
    check(p)
    return Setup(open_spider(p.data), p)
