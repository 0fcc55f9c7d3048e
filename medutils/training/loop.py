"""The one loop of every chapter, its checkpoints, and prediction. Many at once: `medutils.training.replicas`."""

import copy
import ctypes
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from medutils.errors import InputError
from medutils.files import explain, written_whole

Progress = Callable[[int, int], None]
EVALUATION_VALUES = 2**22  # numbers of input in a batch of evaluation: 64 films of 256 x 256 pixels


@dataclass(frozen=True)
class Settings:
    """How to train, and how large a small network: the values of write-up 000 unless said otherwise.

    factor, patience: the learning rate is multiplied by `factor` when the validation loss has not fallen for `patience`
        epochs, and the best weights so far are loaded again then; a patience of 0 leaves both out
    body_rate: what the rate is multiplied by for the weights of a network's `backbone`, where it has one
    cycle: let the rate rise to `learning_rate` over the first quarter of the steps and fall to 0 by a cosine
    stop_after: end when the validation loss has not fallen for so many epochs; 0 for never
    keep: which weights the model bears at the end: those of the lowest validation loss, or the last
    class_weights: what an error on a row of each class counts in the training loss; empty for 1 each
    epsilon, weight_decay: Adam's; a weight decay above 0 is decoupled (AdamW)
    precision: `float32`; `bfloat16`, mixed precision, several times faster on CPUs that multiply bfloat16; or `auto`,
        mixed precision on CUDA and float32 elsewhere
    """

    epochs: int = 200
    batch_size: int = 16
    learning_rate: float = 1e-4
    body_rate: float = 1.0
    factor: float = 0.5
    patience: int = 20
    hidden: int = 64
    dropout: float = 0.1
    batch_normalisation: bool = True
    cycle: bool = False
    stop_after: int = 0
    keep: Literal["best", "last"] = "best"
    class_weights: tuple[float, ...] = ()
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass
class Fit:
    """What a training left behind.

    history: a row an epoch: `epoch`, `learning_rate`, `train_loss` (as the write-ups take it, while the weights move),
        `train_loss_after` (the same rows afterwards, in evaluation mode), `validation_loss`; the first bears the class
        weights and the network's own penalty, the other two do not
    train_logits, train_targets: (epochs, rows), in the order the rows were seen, while the weights moved
    train_logits_after: (epochs, rows), in the table's order, in evaluation mode; (epochs, 0) when it was not asked for
    validation_logits: (epochs, rows)
    best_epoch: the epoch, counted from 1, of the lowest validation loss

    Logits have one more dimension, the class, when the network gives more than one.
    """

    history: pd.DataFrame
    train_logits: np.ndarray
    train_targets: np.ndarray
    train_logits_after: np.ndarray
    validation_logits: np.ndarray
    best_epoch: int


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch with one number."""
    import random

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from NumPy's global generator
    torch.manual_seed(seed)


def best_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep_memory() -> None:
    """Let glibc keep the memory it has: giving it back and asking anew at every step costs a third of the time.

    `MALLOC_MMAP_THRESHOLD_` and `MALLOC_TRIM_THRESHOLD_` in the environment do the same from the start of a process.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    trim_threshold, mmap_threshold = -1, -3
    for parameter in (mmap_threshold, trim_threshold):
        libc.mallopt(parameter, 2**31 - 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run small networks on one thread: handing 16 rows to a second one costs more than it gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches(rows: int, size: int) -> list[slice]:
    """Cut rows into batches; a last batch of one row is left out, since it has no variance to normalise by."""
    return [slice(start, start + size) for start in range(0, rows, size) if rows - start > 1]


def fit(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
    *,
    score_training: bool = True,
    checkpoint: Path | None = None,
) -> Fit:
    """Train a classifier by `settings`, the one loop of every chapter.

    Parameters
    ----------
    model: gives (rows, 1) logits for two classes, (rows, classes) for more; its `penalty()`, if it has one, is added to
        the training loss. It takes rows of `x` as they are and brings its own preprocessing and augmentation.
    train, validation: `x`, (rows, ...) of any type, and `y`, (rows,) of class numbers, wherever they lie; batches are
        moved to the model's device
    score_training: whether to run the training rows once more after each epoch, in evaluation mode
    checkpoint: a file that takes the whole state after each epoch. When it is there, training goes on from it, to the
        very numbers an uninterrupted run gives on the same machine.

    Adam keeps its moments when the best weights are loaded again, as in write-up 000. Raises `InputError` when the loss
    is no longer finite, or the checkpoint is of another training.
    """
    seed_everything(seed)
    keep_memory()
    state = _State(model, settings, seed, len(train[1]), len(validation[1]))
    if checkpoint is not None:
        state.resume(checkpoint)
    while not state.finished:
        logits, seen, loss = _one_epoch(state, train)
        after = predict(model, train[0] if score_training else train[0][:0], settings.precision)
        held = predict(model, validation[0], settings.precision)
        losses = [criterion(after, train[1][: len(after)]), criterion(held, validation[1])]
        state.end_epoch([loss, *losses], [logits, seen, after, held])
        if checkpoint is not None:
            state.save(checkpoint)
        if progress:
            progress(state.epoch, settings.epochs)
    return state.close()


def criterion(logits: Tensor, y: Tensor, class_weights: tuple[float, ...] = ()) -> float:
    """Cross-entropy of (rows,) or (rows, classes) logits, the mean over the rows; NaN when there are none."""
    return float(_loss(logits.unsqueeze(1) if logits.ndim == 1 else logits, y.cpu(), class_weights))


def _loss(logits: Tensor, y: Tensor, class_weights: tuple[float, ...]) -> Tensor:
    if logits.shape[1] == 1:
        weight = torch.tensor(class_weights, device=y.device)[y.long()] if class_weights else None
        return nn.functional.binary_cross_entropy_with_logits(logits.squeeze(1), y.float(), weight)
    each = nn.functional.cross_entropy(logits, y.long(), reduction="none")
    return (each * torch.tensor(class_weights, device=y.device)[y.long()] if class_weights else each).mean()


def predict(model: nn.Module, x: Tensor, precision: str = "auto") -> Tensor:
    """Logits in evaluation mode, batch by batch, on the CPU: (rows,) for two classes, (rows, classes) for more."""
    device = next(model.parameters()).device
    model.eval()
    size = max(16, min(4096, EVALUATION_VALUES // max(1, x[:1].numel()))) if len(x) else 1
    with torch.inference_mode(), mixed(device, precision):
        parts = [model(x[start : start + size].to(device)).float().cpu() for start in range(0, len(x), size)]
    return torch.cat(parts).squeeze(1) if parts else torch.empty(0)


def probabilities(logits: Tensor) -> NDArray[np.float64]:
    """(films, classes) probabilities of (films,) or (films, classes) logits."""
    if logits.ndim == 1:
        logits = torch.stack([torch.zeros_like(logits), logits], dim=1)
    return logits.double().softmax(1).numpy()


def mixed(device: torch.device, precision: str) -> torch.autocast:
    """Autocast to half the width: on CUDA unless float32 is asked for, elsewhere only when bfloat16 is."""
    wanted = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, _half(device), enabled=wanted)


def _half(device: torch.device) -> torch.dtype:
    """bfloat16, or float16 on a CUDA device too old for it."""
    return torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16


def _one_epoch(state: "_State", train: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, float]:
    """Train for one epoch; the logits and classes of the rows in the order they were seen, and their mean loss."""
    model, optimiser, settings = state.model, state.optimiser, state.settings
    x, y = train
    device = next(model.parameters()).device
    penalty = getattr(model, "penalty", None)
    model.train()
    order = torch.randperm(len(y)).to(y.device)
    parts = batches(len(y), settings.batch_size)
    outputs, seen, total = [], [], torch.zeros((), device=device)
    for step, batch in enumerate(parts):
        rows, target = x[order[batch]].to(device), y[order[batch]].to(device)
        if settings.cycle:
            state.rate = settings.learning_rate * _cycle((state.epoch + step / len(parts)) / settings.epochs)
        optimiser.zero_grad()
        with mixed(device, settings.precision):
            output = model(rows)
        loss = _loss(output.float(), target, settings.class_weights)
        if penalty is not None:
            loss = loss + penalty()
        state.scaler.scale(loss).backward()
        state.scaler.step(optimiser)
        state.scaler.update()
        outputs.append(output.detach().float())
        seen.append(target)
        total += loss.detach() * len(target)
    rows_seen = torch.cat(seen).cpu()
    return torch.cat(outputs).squeeze(1).cpu(), rows_seen, float(total) / len(rows_seen)


def _cycle(done: float) -> float:
    """The share of the highest learning rate after a share `done` of the steps (Smith's one-cycle policy)."""
    return (done + 0.01) / 0.26 if done < 0.25 else 0.5 * (1 + math.cos(math.pi * (done - 0.25) / 0.75))


def _by_rate(model: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """The weights that learn, as an optimiser's groups: those of a backbone apart, where their rate is another one."""
    body = getattr(model, "backbone", None) if settings.body_rate != 1 else None
    apart = set() if body is None else {id(part) for part in body.parameters()}
    learning = [part for part in model.parameters() if part.requires_grad]
    groups = (
        (1.0, [part for part in learning if id(part) not in apart]),
        (settings.body_rate, [part for part in learning if id(part) in apart]),
    )
    rate = settings.learning_rate
    return [{"params": parts, "share": share, "lr": share * rate} for share, parts in groups if parts]


class _State:
    """All that a training carries from one epoch to the next, and to and from a checkpoint."""

    def __init__(self, model: nn.Module, settings: Settings, seed: int, *rows: int) -> None:
        kind = torch.optim.AdamW if settings.weight_decay else torch.optim.Adam
        groups = _by_rate(model, settings)
        self.model, self.settings = model, settings
        self.optimiser = kind(groups, eps=settings.epsilon, weight_decay=settings.weight_decay, fused=True)
        self.plateau = ReduceLROnPlateau(self.optimiser, factor=settings.factor, patience=settings.patience)
        narrow = _half(next(model.parameters()).device) is torch.float16 and settings.precision != "float32"
        self.scaler = torch.amp.GradScaler(enabled=narrow)  # float16 alone needs its gradients scaled
        self.identity = json.dumps(
            [asdict(settings), seed, rows, [[list(part.shape) for part in group["params"]] for group in groups]]
        )
        self.epoch, self.best_epoch, self.best_loss = 0, 0, float("inf")
        self.best: dict[str, Tensor] = {}
        self.rows: list[list[float]] = []
        self.kept: list[list[Tensor]] = []

    @property
    def finished(self) -> bool:
        patience = self.settings.stop_after
        return self.epoch >= self.settings.epochs or bool(patience and self.epoch - self.best_epoch >= patience)

    @property
    def rate(self) -> float:
        return self.optimiser.param_groups[0]["lr"]

    @rate.setter
    def rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]

    def end_epoch(self, losses: list[float], kept: list[Tensor]) -> None:
        """Take note of an epoch, keep the best weights, lower the rate if it is time."""
        self.epoch += 1
        rate = self.rate
        if not math.isfinite(losses[0]) or not math.isfinite(losses[-1]):
            raise InputError(
                f"learning_rate: at {self.settings.learning_rate} the loss is no longer finite in epoch {self.epoch}; "
                "expected a rate at which it is"
            )
        self.rows.append([self.epoch, rate, *losses])
        self.kept.append(kept)
        if losses[-1] < self.best_loss:
            self.best_loss, self.best_epoch = losses[-1], self.epoch
            self.best = copy.deepcopy(self.model.state_dict())
        if self.settings.patience and not self.settings.cycle:
            self.plateau.step(losses[-1])
            if self.rate != rate:
                self.model.load_state_dict(self.best)

    def close(self) -> Fit:
        """Leave the model with the weights to keep, and gather what was noted."""
        if self.settings.keep == "best":
            self.model.load_state_dict(self.best)
        self.model.eval()
        columns = ["epoch", "learning_rate", "train_loss", "train_loss_after", "validation_loss"]
        history = pd.DataFrame(self.rows, columns=columns).astype({"epoch": int})
        moving, targets, after, held = (torch.stack(part).numpy() for part in zip(*self.kept, strict=True))
        return Fit(history, moving, targets, after, held, self.best_epoch)

    _PARTS = ("model", "optimiser", "plateau", "scaler")
    _VALUES = ("identity", "epoch", "best_epoch", "best_loss", "best", "rows", "kept")

    def save(self, path: Path) -> None:
        """Write everything to `path`, whole or not at all."""
        content = {name: getattr(self, name).state_dict() for name in self._PARTS}
        content |= {name: getattr(self, name) for name in self._VALUES}
        content["random"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        with written_whole(path) as part:
            torch.save(content, part)

    def resume(self, path: Path) -> None:
        """Go on from `path` if it is there; `InputError` when it is of another training, or damaged."""
        content = load_weights(path) if path.exists() else None
        if content is None:
            return
        if content.get("identity") != self.identity:
            raise InputError(f"{path}: found the checkpoint of another training; expected one of this, or none")
        for name in self._PARTS:
            getattr(self, name).load_state_dict(content[name])
        for name in self._VALUES:
            setattr(self, name, content[name])
        cpu, *cuda = content["random"]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)


def load_weights(path: Path) -> dict[str, Any]:
    """Read what `torch.save` wrote, on the CPU and without executing any of it; `InputError` when it cannot be read."""
    if path.exists() and not path.is_file():  # a pipe may never end
        raise InputError(f"{path}: found no file; expected one written by medutils")
    try:
        file = path.open("rb")
    except OSError as error:
        raise explain(error, path) from error
    with file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a damaged or a foreign file
            raise InputError(
                f"{path}: found no file of weights that loads safely; expected one written by medutils"
            ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}; expected the weights and what belongs to them")
    return content
