"""Trainings of many small networks at once, kept: a chapter that is interrupted does not train them again."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from medutils import cache
from medutils.models.mlp import ReplicatedMLP
from medutils.training.loop import Progress, Settings, load_weights
from medutils.training.replicas import ReplicaFit, Scaling, fit_replicas

CURVES = ("train_loss", "validation_loss", "validation_f1", "best_epoch")


def kept_replicas(
    x: np.ndarray,
    y: np.ndarray,
    train_rows: Sequence[np.ndarray],
    validation_rows: Sequence[np.ndarray],
    seeds: Sequence[int],
    settings: Settings,
    columns: np.ndarray | None = None,
    progress: Progress | None = None,
) -> ReplicaFit:
    """What `fit_replicas` gives for these arguments, trained once and kept in the package's cache."""
    rows = [cache.array_hash(part) for part in (*train_rows, *validation_rows)]
    table = [cache.array_hash(part) for part in (x, y, *(() if columns is None else (columns,)))]
    machine = [torch.__version__, torch.get_num_threads()]
    key = cache.key_of(fit_replicas, table, rows, list(seeds), asdict(settings), machine)

    def make(part: Path) -> None:
        fitted = fit_replicas(x, y, train_rows, validation_rows, seeds, settings, columns, progress)
        curves = {name: torch.as_tensor(getattr(fitted, name)) for name in CURVES}
        torch.save({"state": fitted.model.state_dict(), **curves}, part)

    found = load_weights(cache.kept("replicas", make, key, ".pt"))
    shape = (seeds, x.shape[1], settings.hidden, settings.dropout, None, settings.batch_normalisation)
    model = ReplicatedMLP(*shape)
    model.load_state_dict(found["state"])
    scaling = Scaling(x, torch.as_tensor(np.stack(train_rows)), columns)
    return ReplicaFit(model.eval(), scaling, *(found[name].numpy() for name in CURVES))
