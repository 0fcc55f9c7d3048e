"""Write-up 000's training loop, rebuilt from its description, beside ours: one network, and a hundred at once."""

import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from medutils.data.spine import open_spine
from medutils.experiments.spine import Task, many_seeds, writeup_split
from medutils.models.mlp import SpineMLP
from medutils.train import Settings, fit, one_thread

Part = tuple[Tensor, Tensor]
REPLICAS = 100


def main() -> dict[str, float]:
    """Measure and print; every figure is the time of the write-up's 200 epochs on its 248 rows."""
    task = Task(open_spine()[0], "Normal", "Abnormal")
    rows, held = writeup_split(len(task.y))
    scaler = StandardScaler().fit(task.x[rows])
    train, validation = (_tensors(scaler.transform(task.x[part]), task.y[part]) for part in (rows, held))
    _ours(train, validation, Settings(epochs=2))  # torch loads parts of itself at the first step
    written = _timed(lambda: _as_written(train, validation, Settings()))
    ours = min(_timed(lambda: _ours(train, validation, Settings())) for _ in range(3))
    many = _timed(lambda: many_seeds(task, range(REPLICAS), Settings()))
    table = Table("what", "seconds", "of the write-up's time", title="Write-up 000: 200 epochs, 248 rows")
    for name, seconds in (("as written", written), ("ours", ours), (f"ours, {REPLICAS} seeds", many)):
        table.add_row(name, f"{seconds:.2f}", f"{seconds / written:.3f} (1/{written / seconds:.1f})")
    Console().print(table)
    return {"as_written_s": written, "ours_s": ours, "speedup": written / ours, "hundred_to_one": many / written}


def _tensors(x: np.ndarray, y: np.ndarray) -> Part:
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ours(train: Part, validation: Part, settings: Settings) -> None:
    with one_thread():
        fit(SpineMLP(), train, validation, settings, seed=0)


def _as_written(train: Part, validation: Part, settings: Settings) -> None:
    """Data loaders, and scikit-learn's metrics in every batch of both parts, as the write-up has it."""
    network, loss = SpineMLP(), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    plateau = ReduceLROnPlateau(optimiser, factor=settings.factor, patience=settings.patience)
    loaders = {
        True: DataLoader(TensorDataset(*train), settings.batch_size, shuffle=True),
        False: DataLoader(TensorDataset(*validation), settings.batch_size),
    }
    for _ in range(settings.epochs):
        for training, loader in loaders.items():
            network.train(training)
            total = 0.0
            with torch.set_grad_enabled(training):
                for x, y in loader:
                    output, target = network(x), y.unsqueeze(1)
                    value = loss(output, target)
                    if training:
                        optimiser.zero_grad()
                        value.backward()
                        optimiser.step()
                    decision = torch.round(torch.sigmoid(output)).detach().numpy()
                    for metric in (accuracy_score, f1_score, recall_score):
                        round(100 * metric(target, decision))
                    total += value.item()
        plateau.step(total / len(loader))


if __name__ == "__main__":
    main()
