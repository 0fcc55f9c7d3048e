"""One training of one variant on films: from fresh weights to calibrated predictions of the test films."""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from joblib import Parallel, cpu_count, delayed
from torch import Tensor, nn

from medutils.data.films import Films, Scheme, array_hash
from medutils.data.splits import records_hash
from medutils.evaluation import Rule, choose_threshold, fit_temperature
from medutils.files import ROOT, cache_dir, sha256, written_whole
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier, own_preprocessing
from medutils.tables import check_predictions
from medutils.training.loop import (
    Fit,
    Progress,
    Settings,
    best_device,
    fit,
    load_weights,
    mixed,
    one_thread,
    predict,
    probabilities,
)
from medutils.training.pretraining import PHANTOM_CODE, phantom_weights

MAX_JOBS = 8  # trainings at once: each holds the films in memory


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
    state: the weights
    """

    films: Films
    variant: Variant
    history: pd.DataFrame
    validation_logits: Tensor
    test_logits: Tensor
    state: dict[str, Tensor]
    seconds: float

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

    def network(self) -> FilmClassifier:
        """The trained network, in evaluation mode."""
        network = make_classifier(ready(self.variant.design), len(self.films.classes))
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
    store = cache_dir() / "trainings" / _key(films, variant, seed, plan, start)
    done = store.with_suffix(".pt")
    if not done.is_file():
        with written_whole(done) as part:
            torch.save(_train(films, variant, seed, plan, start, store.with_suffix(".checkpoint"), progress), part)
        store.with_suffix(".checkpoint").unlink(missing_ok=True)
    kept = load_weights(done)
    history = pd.DataFrame(kept.pop("history"))
    return Training(films, variant, history, **kept)


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
        films.fingerprint(size)  # decoded here, once, and not in every process
    on_backbones = [design for design in designs if design.backbone and plan.weights == "phantom"]
    needed = {(design.backbone, design.channels): design for design in on_backbones}
    sent = films.without_pixels()
    work = [
        *(delayed(_apart)(phantom_weights, design) for design in needed.values()),
        *(
            delayed(_apart)(_train_for, os.getpid(), sent, variants[name], plan.seed + number, plan, begin[number])
            for name in ordered
            for number in range(seeds)
        ),
    ]
    jobs = 1 if torch.cuda.is_available() else min(cpu_count(), len(work), MAX_JOBS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # joblib starts those anew that have grown large
        for done, _ in enumerate(Parallel(n_jobs=jobs, return_as="generator_unordered")(work), start=1):
            if progress:
                progress(done, len(work))
    with one_thread():
        return {
            name: [train_variant(films, variant, plan.seed + n, plan, begin[n]) for n in range(seeds)]
            for name, variant in variants.items()
        }


def _apart(work: Callable[..., object], *given: object) -> None:
    """Do work in a process of its own, on one core; what it gives is on disk."""
    with one_thread():
        work(*given)


def _train_for(asker: int, films: Films, variant: Variant, seed: int, plan: Plan, start: Training | None) -> None:
    """Train for a process as long as it lives: when it is killed, what has been learned by then is on disk."""

    def go_on(*_: int) -> None:
        if asker not in (os.getpid(), os.getppid()):
            os._exit(1)  # an exception would only end the training, not the process

    train_variant(films, variant, seed, plan, start, go_on)


def _train(
    films: Films,
    variant: Variant,
    seed: int,
    plan: Plan,
    start: Training | None,
    checkpoint: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    began = time.monotonic()
    torch.manual_seed(seed)
    network = make_network(variant, len(films.classes), plan).to(best_device())
    if start is not None:
        network.load_state_dict(start.state)
    model: nn.Module = network
    x = films.pixels(variant.design.size)
    if _only_head(variant):
        fingerprint = films.fingerprint(variant.design.size)
        model, x = network.head, frozen_features(network, x, fingerprint, plan.precision)
    rows = {name: torch.from_numpy(films.rows(name)) for name in ("train", "validation", "test")}
    parts = {name: (x[part], films.y[part]) for name, part in rows.items()}
    settings = variant.settings
    if variant.balanced:
        settings = replace(settings, class_weights=balanced_weights(parts["train"][1], len(films.classes)))
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    found = fit(
        model,
        parts["train"],
        parts["validation"],
        settings,
        seed,
        progress,
        score_training=False,
        checkpoint=checkpoint,
    )
    return {
        "history": _history(found, parts["validation"][1]).to_dict("list"),
        "validation_logits": predict(model, parts["validation"][0], settings.precision),
        "test_logits": predict(model, parts["test"][0], settings.precision),
        "state": {name: value.contiguous().cpu() for name, value in network.state_dict().items()},
        "seconds": time.monotonic() - began,
    }


def check_networks(variants: Mapping[str, Variant], plan: Plan) -> None:
    """Build the networks once; `InputError` when one cannot be."""
    for design in {plan.adapt(variant).design for variant in variants.values()}:
        make_classifier(ready(design), 2)


def make_network(variant: Variant, classes: int, plan: Plan) -> FilmClassifier:
    """The network of a variant, with fresh weights, or those that `plan.weights` names for its backbone."""
    design = ready(variant.design)
    network = make_classifier(design, classes, variant.augmentation, pretrained=plan.weights == "imagenet")
    if design.backbone and plan.weights == "phantom":
        network.backbone.load_state_dict(phantom_weights(design))
    return network


def ready(design: Architecture) -> Architecture:
    """The design with its backbone's own preprocessing, if it has a backbone."""
    return own_preprocessing(design) if design.backbone else design


def frozen_features(network: FilmClassifier, x: Tensor, fingerprint: str, precision: str) -> Tensor:
    """Feature maps of all films by a frozen backbone, float16; computed once and kept on disk."""
    key = _digest(
        [_tensors(network.backbone.state_dict()), _tensors(network.preprocess.state_dict()), fingerprint, precision]
    )
    path = cache_dir() / "features" / f"{key}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            with written_whole(path) as part, part.open("wb") as file:
                _write_features(file, network, x, precision)
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _write_features(file: Any, network: FilmClassifier, x: Tensor, precision: str) -> None:
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode(), mixed(device, precision):
        for start in range(0, len(x), 32):
            maps = network.features(x[start : start + 32].to(device)).contiguous().to(torch.float16).cpu().numpy()
            if start == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (len(x), *maps.shape[1:])}
                np.lib.format.write_array_header_2_0(file, header)
            file.write(maps.tobytes())


def _only_head(variant: Variant) -> bool:
    """Whether a network's features never change, so that they are computed once."""
    design = variant.design
    return bool(design.backbone) and design.frozen and not design.thawed and variant.augmentation == Augmentation()


def balanced_weights(y: Tensor, classes: int) -> tuple[float, ...]:
    """What an error on each class must count for the classes to count alike; write-up 002's (1 / share) / 2 for two."""
    share = torch.bincount(y, minlength=classes) / len(y)
    return tuple((1 / (share * classes)).tolist())


def _history(found: Fit, y: Tensor) -> pd.DataFrame:
    table = found.history.drop(columns="train_loss_after")
    table["train_accuracy"] = [accuracy(z, t) for z, t in zip(found.train_logits, found.train_targets, strict=True)]
    table["validation_accuracy"] = [accuracy(z, y.numpy()) for z in found.validation_logits]
    return table


def accuracy(logits: np.ndarray, y: np.ndarray) -> float:
    """The share of films whose most probable class is the true one."""
    said = logits.argmax(1) if logits.ndim == 2 else logits >= 0
    return float((said == y).mean())


# --- what a training depends on ---------------------------------------------------------------------------------------

CODE = ("training/loop.py", "models", "data/films.py", "training/kept.py")


def _key(films: Films, variant: Variant, seed: int, plan: Plan, start: Training | None) -> str:
    """Hash of everything a training depends on."""
    code = [sha256(path) for name in CODE for path in _sources(ROOT / "medutils" / name)]
    weights = [plan.weights, *map(sha256, PHANTOM_CODE)] if variant.design.backbone else ""
    recipe = {name: value for name, value in asdict(variant).items() if name not in ("what", "write_up")}
    begin = _tensors(start.state) if start is not None else ""
    split = records_hash(films.records), films.records["split"].tolist(), films.classes
    pixels = films.fingerprint(variant.design.size)
    return _digest([code, recipe, weights, seed, begin, split, pixels, torch.__version__, torch.get_num_threads()])


def _sources(path: Path) -> Iterable[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def _tensors(state: dict[str, Tensor]) -> str:
    return _digest([[name, array_hash(value)] for name, value in state.items()])
