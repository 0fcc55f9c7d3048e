"""Six-class data flow: an epoch on films decoded in memory, beside fastai, which reads every file in every epoch."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rich.console import Console

from bench.report import Rounds, show, spread
from medutils.data.images import build_array
from medutils.data.phantoms.chest import make_six_class
from medutils.models.weights import weights_of
from medutils.training import stages
from medutils.training.loop import keep_memory
from medutils.training.stages import Pictures, Stage

FILMS, HELD, SIZE, BATCH, ROUNDS = 512, 8, 64, 64, 3
NATIVE = 1500  # pixels a row of the large files: about what hospitals' films have
NETWORKS = ("tf_efficientnet_lite0", "resnet34")
LONGEST_WAIT = 0.05  # share of an epoch of ours that may be spent on data
OURS, SMALL, LARGE = "ours, decoded once", "fastai, files as they are", f"fastai, files {NATIVE} px wide"


def main() -> dict[str, Rounds]:
    """Measure and print, for each network, seconds an epoch, ratios, and the share of an epoch that waits for data."""
    keep_memory()
    with tempfile.TemporaryDirectory() as scratch:
        table = _films(Path(scratch) / "films")
        large = _enlarged(table["path"], Path(scratch) / "large")
        start = time.perf_counter()
        array = build_array(table["path"].tolist(), SIZE, aspect="squash", cache=Path(scratch) / "cache")
        x = torch.from_numpy(np.array(array.pixels))
        Console().print(f"decoding {len(x)} films once: {time.perf_counter() - start:.2f} s")
        return {network: _epochs(network, table, large, x) for network in NETWORKS}


def _epochs(network: str, table: pd.DataFrame, large: list[Path], x: torch.Tensor) -> Rounds:
    stage = Stage(SIZE, (), network, pretrained=weights_of(network) is not None, batch_size=BATCH)
    flows: dict[str, Callable[[], Any]] = {
        OURS: lambda: _ours(stage, table, x),
        SMALL: lambda: _plain(stage, table, table["path"].tolist()),
        LARGE: lambda: _plain(stage, table, large),
    }
    learners = {name: stages.learner(stage, make()) for name, make in flows.items()}
    _one_epoch(learners[OURS])  # torch loads parts of itself at the first step
    rounds, waits = Rounds(), Rounds()
    for _ in range(ROUNDS):
        with rounds.round() as found, waits.round() as share:
            for name, learn in learners.items():
                found[name] = _timed(lambda learn=learn: _one_epoch(learn))
                share[name] = _timed(lambda learn=learn: [None for _ in learn.dls.train]) / found[name]
    show(f"Six classes, {network}: an epoch of {len(x) - HELD} films at {SIZE} px", rounds, LARGE)
    each = ", ".join(f"{name} {waits.cost(name):.1%}" for name in waits.sides)
    met = "kept" if waits.cost(OURS) <= LONGEST_WAIT else "NOT KEPT"
    Console().print(
        f"ours is {spread(rounds.ratios(SMALL, OURS))} times as fast as {SMALL}\n"
        f"share of an epoch that waits for data: {each}\n"
        f"at most {LONGEST_WAIT:.0%} in ours: {met}"
    )
    return rounds


def _films(folder: Path) -> pd.DataFrame:
    """Label and path of so many films of the phantom, and whether they validate."""
    folder.mkdir()
    make_six_class(folder)
    table = pd.read_csv(folder / "index.csv").sample(FILMS, random_state=0, ignore_index=True)
    return table.assign(path=[folder / file for file in table["file"]], held=np.arange(FILMS) >= FILMS - HELD)


def _enlarged(paths: pd.Series, folder: Path) -> list[Path]:
    """The same films as JPEG files of the width of native ones."""
    folder.mkdir()
    found = [folder / f"{number:04d}.jpeg" for number in range(len(paths))]
    for path, target in zip(paths, found, strict=True):
        with Image.open(path) as film:
            height = round(NATIVE * film.height / film.width)
            film.resize((NATIVE, height), Image.Resampling.BICUBIC).save(target, quality=90)
    return found


def _ours(stage: Stage, table: pd.DataFrame, x: torch.Tensor) -> Any:
    classes = tuple(sorted(set(table["label"])))
    rows = {"train": np.flatnonzero(~table["held"]), "validation": np.flatnonzero(table["held"])}
    return stages.dataloaders(stage, Pictures(x, table["label"].map(classes.index).to_numpy(), classes, rows))


def _plain(stage: Stage, table: pd.DataFrame, paths: list[Path]) -> Any:
    """fastai's own way: each file is opened, decoded and resized each time it is asked for."""
    with stages.quiet():
        from fastai.vision.all import CategoryBlock, ColReader, ColSplitter, DataBlock, ImageBlock, Normalize, Resize

    mean, deviation = stages.statistics(stage.network, stage.pretrained)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=ColReader("file"),
        get_y=ColReader("label"),
        splitter=ColSplitter("held"),
        item_tfms=Resize(SIZE),
        batch_tfms=Normalize.from_stats(mean, deviation, cuda=torch.cuda.is_available()),
    )
    return block.dataloaders(table.assign(file=paths), bs=BATCH, num_workers=0)


def _one_epoch(learn: Any) -> None:
    learn.unfreeze()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-4)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
