"""What this chapter computes: the patients and phantom studies it opens, and the trials it runs on them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from medutils.chapters import known_names, names_of
from medutils.chapters.lumbar_fusion.parameters import LumbarFusion
from medutils.data.graded_slices import open_slices
from medutils.data.phantom_studies import phantom_studies
from medutils.data.spider import Spider, open_spider
from medutils.data.studies import Studies
from medutils.errors import InputError
from medutils.models.embedders import Embedder, embedder
from medutils.models.fusion import Kind
from medutils.training.fused import FusedSet
from medutils.training.fused_sets import SPIDER_SERIES, spider_set, study_set
from medutils.training.fusion import Fitting
from medutils.training.fusion_choice import Setting
from medutils.training.fusion_trials import Found, Trials, run
from medutils.training.grading import FINE_TUNED, Course, train
from medutils.training.loop import Progress
from medutils.training.remedies import REFERENCE, REMEDIES
from medutils.training.tuned import tuned_embedder

PARTS = ("spider", "embedders", "three", "phantoms", "ablation", "looks", "tuned", "pseudo", "model")
TWO = ("t1", "t2")  # the series that nearly all patients have
# Of part one, each network of slices once: a patient here has no volume, and a second head of one network is never
# trained either.
EMBEDDERS = ("lite0", "resnet50", "resnet152", "projection", "noise")
# Where remedies are not the question: one of them, and the networks that late fusion needs.
PLAIN: dict[str, Any] = {"remedies": (REFERENCE,), "subsets": False}


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

    def embedded(self, name: str, progress: Progress | None = None) -> FusedSet:
        """SPIDER's patients, T1 and T2, each slice one token: its embedding by an embedder of part one."""
        own = embedder(name, self.p.seed, size=self.p.size)
        return spider_set(self.spider, dict.fromkeys(SPIDER_SERIES, own), self.p.size, progress, whole=True).only(TWO)

    def tuned(self) -> Embedder:
        """Lite0 fine-tuned on the foraminal targets of the challenge's sagittal T1 slices, as in part one."""
        return tuned_embedder(train(Course(FINE_TUNED, open_slices("auto", self.p.seed)), self.p.seed), self.p.size)

    @property
    def grid(self) -> tuple[Setting, ...]:
        """The settings of which each fold takes one."""
        rates = numbers_of("learning_rates", self.p.learning_rates)
        return tuple(Setting(int(one), rate) for one in numbers_of("features", self.p.features) for rate in rates)

    @property
    def trials(self) -> Trials:
        return Trials(
            architectures=tuple(name for name in get_args(Kind) if name in names_of(self.p.architectures)),
            remedies=tuple(name for name in REMEDIES if name in names_of(self.p.remedies)),
            fitting=Fitting(epochs=self.p.epochs),
            folds=self.p.folds,
            repeats=self.p.repeats,
            seeds=self.p.seeds,
            seed=self.p.seed,
            grid=self.grid,
        )

    def run(self, data: FusedSet, progress: Progress | None = None, **other: Any) -> Found:
        """All networks of the trials, asked of studies that they did not learn from; kept.

        other: fields of `Trials` that are other than in `trials`, such as `PLAIN`
        """
        return run(data, replace(self.trials, **other), progress)


def numbers_of(parameter: str, text: str) -> list[float]:
    """The numbers in a parameter that holds several; `InputError` for one that is none, or is not above 0."""
    found = []
    for name in names_of(text):
        try:
            found.append(float(name))
        except ValueError as error:
            raise InputError(f"{parameter}: found '{name}'; expected numbers with commas between") from error
        if not 0 < found[-1] < float("inf") or (parameter == "features" and not found[-1].is_integer()):
            wanted = "whole numbers from 1 on" if parameter == "features" else "numbers above 0"
            raise InputError(f"{parameter}: found '{name}'; expected {wanted}")
    if not found:
        raise InputError(f"{parameter}: found none; expected one number at least")
    return found


def check(p: LumbarFusion) -> None:
    """Raise `InputError` for a part, a network, a remedy or a setting that cannot be, and for a split: none is used."""
    if p.split:
        raise InputError(f"split: found '{p.split}'; expected none: this chapter holds out every patient once")
    known = {"parts": PARTS, "architectures": get_args(Kind), "remedies": tuple(REMEDIES)}
    for parameter, names in known.items():
        known_names(parameter, getattr(p, parameter), names)
    for parameter in ("architectures", "remedies"):
        if not names_of(getattr(p, parameter)):
            raise InputError(f"{parameter}: found none; expected some of {', '.join(known[parameter])}")
    if REFERENCE not in names_of(p.remedies):
        raise InputError(f"remedies: found no '{REFERENCE}'; expected it: the others are held against it")
    numbers_of("features", p.features)
    numbers_of("learning_rates", p.learning_rates)


def opened(p: LumbarFusion) -> Setup:
    """The patients that a run's parameters name; `InputError` for what cannot be used."""
    check(p)
    return Setup(open_spider(p.data), p)
