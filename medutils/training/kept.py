"""One training of one variant on films: from fresh weights to calibrated predictions of the test films."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from medutils import cache
from medutils.data.films import Films, Scheme
from medutils.evaluation import Rule, choose_threshold, fit_temperature
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier
from medutils.models.weights import weights_of
from medutils.tables import check_predictions
from medutils.training import trainer
from medutils.training.loop import Progress, Settings, load_weights, one_thread, probabilities
from medutils.training.pretraining import phantom_weights
from medutils.training.workers import each_apart


@dataclass(frozen=True)
class Variant:
    """A network, its augmentation and how it is trained.

    write_up: whose it is; empty for ours
    balanced: whether the rarer class counts more in the training loss, so that both count alike
    held_out: the share of the training patients kept for validation
    rule: what the threshold is chosen for, on the validation films
    """

    write_up: str
    what: str
    design: Architecture
    augmentation: Augmentation
    settings: Settings
    balanced: bool = False
    held_out: float = 0.2
    rule: Rule = "F1"


@dataclass(frozen=True)
class Plan:
    """What a chapter asks of every variant.

    epochs, image_size, batch_size: in place of the variant's own; 0 leaves them
    backbone: in place of those of the variants that have one; empty leaves them
    weights: of a backbone: `imagenet`, `phantom` or `none`
    scheme: how validation films are held out; see `Films.hold_out`
    """

    epochs: int = 0
    image_size: int = 0
    batch_size: int = 0
    backbone: str = ""
    weights: str = "none"
    scheme: Scheme = "patient"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def adapt(self, variant: Variant) -> Variant:
        """The variant with this plan's sizes."""
        settings = replace(
            variant.settings,
            epochs=self.epochs or variant.settings.epochs,
            batch_size=self.batch_size or variant.settings.batch_size,
            precision=self.precision,
        )
        backbone = variant.design.backbone and (self.backbone or variant.design.backbone)
        design = replace(variant.design, size=self.image_size or variant.design.size, backbone=backbone)
        return replace(variant, settings=settings, design=design)


@dataclass(frozen=True, eq=False)
class Training:
    """What one training of one variant gave.

    films: with the split it was trained on
    history: a row an epoch: `epoch`, `learning_rate`, `train_loss`, `train_accuracy`, `validation_loss`,
        `validation_accuracy`; the first three taken while the weights moved
    validation_logits, test_logits: (films,) or (films, classes)
    path: of the file it is kept in, with its weights
    """

    films: Films
    variant: Variant
    history: pd.DataFrame
    validation_logits: Tensor
    test_logits: Tensor
    seconds: float
    path: Path

    def predictions(self, split: str = "test") -> pd.DataFrame:
        """Calibrated predictions of the validation or test films, with the column `threshold` fixed on validation."""
        logits = self.validation_logits if split == "validation" else self.test_logits
        return self._table(split, logits, self.temperature).assign(threshold=self.threshold)

    def as_written(self, split: str = "test") -> pd.DataFrame:
        """Predictions as the write-ups take them, not calibrated, with threshold 0.5."""
        logits = self.validation_logits if split == "validation" else self.test_logits
        return self._table(split, logits, 1.0).assign(threshold=0.5)

    @cached_property
    def temperature(self) -> float:
        """What logits are divided by to be calibrated; chosen on the validation films."""
        return fit_temperature(self.validation_logits.numpy(), self.films.y[self.films.rows("validation")].numpy())

    @cached_property
    def threshold(self) -> float:
        """The threshold that the variant's rule finds best on the validation films."""
        table = self._table("validation", self.validation_logits, self.temperature)
        return choose_threshold(
            table["y_true"].eq(self.films.positive).to_numpy(dtype=float),
            table[f"prob_{self.films.positive}"].to_numpy(),
            self.variant.rule,
        )

    @property
    def state(self) -> trainer.State:
        """The weights, read from disk each time they are asked for: those of many trainings fill the memory."""
        return load_weights(self.path)["state"]

    def network(self) -> FilmClassifier:
        """The trained network, in evaluation mode."""
        network = make_classifier(trainer.ready(self.variant.design), len(self.films.classes))
        network.load_state_dict(self.state)
        return network.eval()

    def _table(self, split: str, logits: Tensor, temperature: float) -> pd.DataFrame:
        records = self.films.records.iloc[self.films.rows(split)]
        probability = probabilities(logits / temperature)
        table = records[["record_id", "patient"]].assign(y_true=records["label"])
        table[[f"prob_{name}" for name in self.films.classes]] = probability
        return check_predictions(table.reset_index(drop=True))


def train_variant(
    films: Films,
    variant: Variant,
    seed: int,
    plan: Plan,
    start: Training | None = None,
    progress: Progress | None = None,
) -> Training:
    """Train a variant with one seed and let it predict the test films once.

    A training is kept in the package's cache under a key of all it depends on, epoch by epoch: one that was interrupted
    goes on, and one that has ended is not run again. `start` gives the weights to begin with, in place of fresh ones.
    """
    variant = plan.adapt(variant)
    films = films.hold_out(plan.scheme, variant.held_out, plan.seed)
    size = variant.design.size
    own = bool(variant.design.backbone)
    recipe = trainer.Recipe(
        variant.design, variant.augmentation, variant.settings, variant.balanced, own and plan.weights == "imagenet"
    )
    rows = {name: films.rows(name) for name in ("train", "validation", "test")}
    state = start.state if start is not None else None
    backbone = phantom_weights(variant.design) if own and plan.weights == "phantom" else None
    weights = [trainer.tensors_hash(part) if part is not None else "" for part in (state, backbone)]
    if recipe.pretrained and (installed := weights_of(variant.design.backbone)):
        weights.append(installed.sha256)
    split = [films.y.tolist(), *(part.tolist() for part in rows.values())]
    depends = [asdict(recipe), seed, weights, split, films.classes, films.fingerprint(size)]
    key = cache.key_of(trainer.train, *depends, torch.__version__, torch.get_num_threads())

    def make(part: Path) -> None:
        checkpoint = cache.place("trainings", key, ".checkpoint")
        parts = trainer.Parts(films.pixels(size), films.y, rows, len(films.classes), films.fingerprint(size))
        torch.save(trainer.train(recipe, parts, seed, state, backbone, checkpoint, progress), part)
        checkpoint.unlink(missing_ok=True)

    path = cache.kept("trainings", make, key, ".pt")
    found = {name: value for name, value in load_weights(path).items() if name != "state"}
    return Training(films, variant, pd.DataFrame(found.pop("history")), path=path, **found)


def train_all(
    films: Films,
    variants: dict[str, Variant],
    plan: Plan,
    seeds: int,
    progress: Progress | None = None,
    starts: Sequence[Training] = (),
) -> dict[str, list[Training]]:
    """Train every variant with as many seeds, from `plan.seed` on; by name, in the order of the seeds.

    A small network gains little from a second core, two networks gain all of it: on a CPU each is trained on one core,
    as many at once as there are, so that the number of cores changes no result. On CUDA they run one after the other.
    `starts` are the trainings, one a seed, whose weights to begin with.
    """
    begin: list[Training | None] = [*starts] or [None] * seeds
    # Those on a backbone come last: its weights are made, beside the others, by the job that comes first.
    ordered = sorted(variants, key=lambda name: bool(variants[name].design.backbone))
    designs = [plan.adapt(variant).design for variant in variants.values()]
    for size in {design.size for design in designs}:
        films.fingerprint(size)  # decoded and hashed here, once, and not in every process
    on_backbones = [design for design in designs if design.backbone and plan.weights == "phantom"]
    needed = {(design.backbone, design.channels): design for design in on_backbones}
    work: list[Callable[[], object]] = [
        *(partial(phantom_weights, design) for design in needed.values()),
        *(
            partial(train_variant, films, variants[name], plan.seed + number, plan, begin[number])
            for name in ordered
            for number in range(seeds)
        ),
    ]
    for done, _ in enumerate(each_apart(work, alone=torch.cuda.is_available()), start=1):
        if progress:
            progress(done, len(work))
    with one_thread():
        return {
            name: [train_variant(films, variant, plan.seed + n, plan, begin[n]) for n in range(seeds)]
            for name, variant in variants.items()
        }


def check_networks(variants: Mapping[str, Variant], plan: Plan) -> None:
    """Build the networks once; `InputError` when one cannot be."""
    for design in {plan.adapt(variant).design for variant in variants.values()}:
        make_classifier(trainer.ready(design), 2)
