"""How far networks go that have seen photographs only: their features, and a logistic regression on them."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from medutils.data.films import Films
from medutils.evidence import Results
from medutils.models.cnn import Architecture
from medutils.models.transfer import make_classifier, own_preprocessing, own_size
from medutils.training.features import averaged_features
from medutils.training.probe import Probe, linear_probe

BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
CONTROLS = ("random", "thumbnails")
THUMBNAIL = 32  # pixels a side of the films that stand for no network at all


def frozen_features(
    films: Films, backbones: Sequence[str] = BACKBONES, seeds: int = 3, size: int = 0, seed: int = 0
) -> dict[str, list[Probe]]:
    """Logistic regressions on what backbones see, with ImageNet's weights, with random ones, and on bare pixels.

    Parameters
    ----------
    backbones: networks of timm; the first is taken with random weights too
    seeds: how many networks with random weights
    size: of the films, in pixels; 0 for each network's own
    seed: draws the folds, and from it on count the seeds of random weights

    Returns the probes by name: a backbone's own, `random`, which holds one a seed, and `thumbnails`.
    """
    found = {name: [_probe(films, name, size, seed)] for name in backbones}
    found["random"] = [_probe(films, backbones[0], size, seed, weights_seed=seed + n) for n in range(seeds)]
    pixels = films.pixels(THUMBNAIL).numpy().reshape(len(films.records), -1)
    return {**found, "thumbnails": [linear_probe(films, pixels, seed=seed)]}


def _probe(films: Films, backbone: str, size: int, seed: int, weights_seed: int | None = None) -> Probe:
    """A backbone with ImageNet's weights, or with random ones where they have a seed."""
    size = size or own_size(backbone)
    design = Architecture(size=size, backbone=backbone, dense=0, average=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed or 0)
        network = make_classifier(own_preprocessing(design), 2, pretrained=weights_seed is None)
    features = averaged_features(network, films.pixels(size), films.fingerprint(size))
    return linear_probe(films, features, seed=seed)


def tables(probes: Mapping[str, Sequence[Probe]]) -> dict[str, pd.DataFrame]:
    """Predictions of the test films by name, the number of the seed in `repeat` where there are several."""
    return {
        name: pd.concat([probe.predictions.assign(repeat=number) for number, probe in enumerate(group)])
        if len(group) > 1
        else group[0].predictions
        for name, group in probes.items()
    }


def record(results: Results, probes: Mapping[str, Sequence[Probe]]) -> None:
    """Keep what the probes gave: metrics at the out-of-fold threshold and at one half, and paired differences.

    `frozen.<name>` and `frozen.<name>.at_half`; the first backbone minus each control is `frozen.minus_<control>`. The
    experiment `frozen` holds, by name and for each seed, the penalty, the threshold and the AUROCs.
    """
    found = tables(probes)
    for name, table in found.items():
        results.judge(f"frozen.{name}", table, "test")
        results.judge(f"frozen.{name}.at_half", table, "test", 0.5, keep_rows=False)
    first = next(iter(found.values()))
    for control in CONTROLS:
        results.compare(f"frozen.minus_{control}", first, found[control], "test")
    told = {name: [_told(results, probe) for probe in group] for name, group in probes.items()}
    results.experiment("frozen", **told)


def _told(results: Results, probe: Probe) -> dict[str, float]:
    test, held = (
        results.evaluate(table, "", resamples=0)["auroc"].value for table in (probe.predictions, probe.out_of_fold)
    )
    threshold = float(probe.predictions["threshold"].iloc[0])
    return {"c": probe.c, "threshold": threshold, "auroc": test, "out_of_fold_auroc": held}
