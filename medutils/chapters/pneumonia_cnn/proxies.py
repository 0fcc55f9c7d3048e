"""What tells beforehand, without the test films, how a network will do on them: proxies, held against the truth."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from medutils.chapters.pneumonia_cnn.by_features import mean_scores, without_a_series
from medutils.chapters.pneumonia_cnn.comparisons import by_level
from medutils.data.films import Films
from medutils.evaluation import binary, values
from medutils.evidence import Numbers, Results
from medutils.training.kept import Plan, Training, train_all
from medutils.training.loop import Progress, probabilities


def record(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """Rank correlation over all trainings between what held-out training films say and AUROC on the test films.

    The experiment `proxies`: `correlation` by proxy (Spearman's), and each training's numbers.
    """
    rows = pd.DataFrame([measured(one) for group in trained.values() for one in group])
    names = [name for name in rows if name != "test"]
    correlation = rows[names].corrwith(rows["test"], method="spearman")
    results.experiment(
        "proxies",
        trainings=len(rows),
        correlation={name: round(float(correlation[name]), 3) for name in names},
        of=[name for name, group in trained.items() for _ in group],
        **{name: rows[name].round(4).tolist() for name in rows},
    )


def measured(training: Training) -> dict[str, float]:
    """AUROC of one training on its validation films, as they are and under each of `STRESSES`, and on its test films.

    `log_loss` is that of the validation films with its sign turned, so that more is better for every number.
    """
    films, network = training.films, training.network()
    positive, task = films.positive, binary(films.positive)
    rows = films.rows("validation")
    x, own = films.pixels(network.design.size)[rows], training.as_written("validation")
    scores = values(own, task, 0.5)
    found = {"validation": scores["auroc"], "log_loss": -scores["log_loss"]}
    for name, change in STRESSES.items():
        with torch.inference_mode():
            logits = torch.cat([network(part) for part in change(x).split(64)]).squeeze(1)
        table = own.assign(**{f"prob_{films.two[0]}": 1 - (share := probabilities(logits)[:, -1])})
        found[name] = values(table.assign(**{f"prob_{positive}": share}), task, 0.5)["auroc"]
    stressed = [found[name] for name in STRESSES]
    return found | {
        "all_stresses": float(np.mean(stressed)),
        "test": values(training.as_written(), task, 0.5)["auroc"],
    }


def train_unseen(films: Films, plan: Plan, progress: Progress | None = None) -> dict[str, list[Training]]:
    """The networks of `by_level` once more, trained without one series of normal films and then without the other.

    Nothing where the training folder does not hold two series; see `by_features.series`.
    """
    found: dict[str, list[Training]] = {}
    for own in without_a_series(films, plan.seed):
        for variants, budget, _ in by_level(plan):
            for name, group in train_all(own, variants, budget, 1, progress).items():
                found.setdefault(name, []).extend(group)
    return found


def record_unseen(results: Results, trained: Mapping[str, Sequence[Training]]) -> None:
    """The experiment `unseen`: by network, AUROC on films of a series that it was not trained on, the mean of both."""
    task = binary(results.task.positive)
    scores = {
        name: mean_scores([one.as_written("validation") for one in group], task) for name, group in trained.items()
    }
    results.experiment("unseen", **{name: round(found["auroc"], 4) for name, found in scores.items()})


def by_network(n: Numbers) -> pd.DataFrame:
    """A row a network of `by_level`: the means over its seeds of each proxy and of `test`, and `unseen`."""
    names = [name for name in n.names("proxies") if name not in ("trainings", "correlation", "of")]
    each = pd.DataFrame({name: n.numbers(f"proxies/{name}") for name in names}, dtype=float)
    means = each.groupby(n.numbers("proxies/of"), sort=False).mean() if len(each) else each
    return means.assign(unseen=[n.number(f"unseen/{name}") for name in means.index])


def paler(x: Tensor) -> Tensor:
    """uint8 films (films, height, width) with half of their contrast."""
    return (x.float() / 2 + 64).round().byte()


def coarser(x: Tensor) -> Tensor:
    """Films of half as many pixels a side, brought back to their size."""
    side = x.shape[-1]
    small = nn.functional.interpolate(x[:, None].float(), size=side // 2, mode="area")
    return nn.functional.interpolate(small, size=side, mode="bilinear")[:, 0].round().byte()


def compressed(x: Tensor, quality: int = 15) -> Tensor:
    """Films once written as JPEG of a low quality."""
    found = []
    for film in x.numpy():
        file = io.BytesIO()
        Image.fromarray(film).save(file, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(found))


STRESSES = {"contrast": paler, "size": coarser, "compression": compressed}
