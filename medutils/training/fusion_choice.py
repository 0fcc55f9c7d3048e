"""Choosing the settings of a fusing network on training studies alone, so that a cross-validation is nested."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medutils.models.fusion import FusionConfig
from medutils.training.fused import FusedSet, Rows
from medutils.training.fusion import Fitting, Prepared, fit_all
from medutils.training.remedies import REFERENCE, REMEDIES


@dataclass(frozen=True)
class Setting:
    """What is chosen: principal components of a token, and the learning rate."""

    features: int
    learning_rate: float

    def of(self, config: FusionConfig, fitting: Fitting) -> tuple[FusionConfig, Fitting]:
        """A network and its training with this setting."""
        return replace(config, features=self.features), replace(fitting, learning_rate=self.learning_rate)


def most_features(config: FusionConfig, grid: Sequence[Setting]) -> int:
    """The largest number of components that any setting asks for."""
    return max((one.features for one in grid), default=config.features)


def choose(
    data: FusedSet,
    config: FusionConfig,
    train: Rows,
    seed: int,
    fitting: Fitting,
    grid: Sequence[Setting],
    prepared: Prepared,
) -> tuple[FusionConfig, Fitting]:
    """A network and its training with the setting of `grid` that loses least on held-out training studies.

    Parameters
    ----------
    config: the network; its setting is kept where the grid is empty
    train: rows that may be learned from; a part of them, drawn by `seed`, chooses, as in `fit_all`
    prepared: what `prepare` gave for these rows and `most_features`

    One network, that of the remedy `REFERENCE`, is trained with each setting. Of settings that lose alike the first is
    taken, and so it is where no held-out study counts.
    """
    tried = [one.of(config, fitting) for one in grid] or [(config, fitting)]
    if len(tried) == 1:
        return tried[0]
    losses = []
    for network, how in tried:
        job = {REFERENCE: REMEDIES[REFERENCE].job(network)}
        losses.append(fit_all(data, job, train, seed, how, prepared.first(network.features))[REFERENCE].loss)
    return tried[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]
