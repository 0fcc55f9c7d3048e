"""Write-up 000's training, rebuilt from its description and free of medutils, so that torch runs with its own settings.

`python writeup_000.py TABLE.npz EPOCHS` prints the seconds it took. The archive holds x_train, y_train, x_val, y_val.
"""

import copy
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Precision is asked for as well, but the write-up's epoch has no branch for it.
METRICS = (accuracy_score, f1_score, recall_score)


class Network(nn.Module):
    """12-64-64-1, batch normalisation after ReLU, dropout 0.1."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 64), nn.Linear(64, 64), nn.Linear(64, 1)
        self.norm_one, self.norm_two = nn.BatchNorm1d(64), nn.BatchNorm1d(64)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_one(self.relu(self.first(x)))
        x = self.norm_two(self.relu(self.second(x)))
        return self.last(self.dropout(x))


def percent(metric, output: torch.Tensor, target: torch.Tensor) -> int:
    """A metric of one batch, rounded to a whole percentage; each metric decides anew, as in the write-up."""
    decided = torch.round(torch.sigmoid(output))
    return round(100 * metric(target, decided.detach().numpy()))


def one_epoch(network: Network, loss, loader: DataLoader, optimiser=None) -> tuple[float, dict[str, float]]:
    """Mean loss and mean rounded metrics over the batches; trains when there is an optimiser."""
    total, sums = 0.0, dict.fromkeys((metric.__name__ for metric in METRICS), 0.0)
    for x, y in loader:
        output, target = network(x.to(DEVICE)), y.to(DEVICE).unsqueeze(1)
        value = loss(output, target)
        if optimiser is not None:
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        for metric in METRICS:
            sums[metric.__name__] += percent(metric, output, target)
        total += value.item()
    return total / len(loader), {name: part / len(loader) for name, part in sums.items()}


def train(table: dict[str, np.ndarray], epochs: int, checkpoint: Path) -> None:
    """The whole procedure: loaders, checkpoint at the best validation loss, best weights back when the rate falls."""
    parts = {name: torch.FloatTensor(values) for name, values in table.items()}
    training = DataLoader(TensorDataset(parts["x_train"], parts["y_train"]), batch_size=16, shuffle=True)
    validation = DataLoader(TensorDataset(parts["x_val"], parts["y_val"]), batch_size=16)
    network, loss = Network().to(DEVICE), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    plateau = ReduceLROnPlateau(optimiser, mode="min", factor=0.5, patience=20)
    best, best_loss = copy.deepcopy(network.state_dict()), float("inf")
    for _ in range(epochs):
        rate = optimiser.param_groups[0]["lr"]
        network.train()
        one_epoch(network, loss, training, optimiser)
        network.eval()
        with torch.no_grad():
            value, _ = one_epoch(network, loss, validation)
        if value < best_loss:
            best_loss, best = value, copy.deepcopy(network.state_dict())
            torch.save(network.state_dict(), checkpoint)
        plateau.step(value)
        if optimiser.param_groups[0]["lr"] != rate:
            network.load_state_dict(best)
    network.load_state_dict(best)


if __name__ == "__main__":
    with np.load(sys.argv[1], allow_pickle=False) as archive, tempfile.TemporaryDirectory() as folder:
        table = dict(archive)
        train(table, 2, Path(folder) / "weights.pt")  # torch and scikit-learn load parts of themselves at first use
        start = time.perf_counter()
        train(table, int(sys.argv[2]), Path(folder) / "weights.pt")
        print(time.perf_counter() - start)
