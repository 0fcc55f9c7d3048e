"""The classifiers of write-up 001, with its settings, on embeddings given as arrays.

The settings are those of the code behind the write-up, notebooks 4 to 9. Grades are codes 0, 1, 2, and -1 for what was
not graded: an empty cell teaches nothing and is never invented, unless a recipe asks for it to be filled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medutils.chapters.lumbar_embeddings.imputation import UNGRADED, Codes, Imputation, filled
from medutils.data.lumbar import GRADES

Array = NDArray[Any]

COUNT = len(GRADES)
NEIGHBOURS = 5  # of SMOTE
MOST_PRODUCTS = 8_000  # rows whose products with each other fit into memory: 512 MB
HIDDEN, EPOCHS, BATCH = (256, 128, 64), 20, 16  # of the network
BAGS, SHARE = 10, 0.8  # of the ensemble: classifiers, and the share of rows and of values that each one sees


@dataclass(frozen=True)
class Recipe:
    """A classifier and how it is taught.

    sampling: what is done to the training rows of a target. `smote`: new rows of the rarer grades until all are as
        frequent as the commonest. `smote_under`: every grade is brought to the mean number, by SMOTE from below and by
        leaving rows out from above. `as_written`: SMOTE as in the write-up's code, which skips it where a class among
        0, 1, 2 has no row (`sampled_as_written`). The network's targets share their rows, so it takes `none` alone.
    rounds: of boosting
    weighted: the network's loss counts each column's positive and negative rows alike
    calibrated: the support vector machine's decisions as probabilities, by a sigmoid fitted on held-out parts of its
        training rows, as libsvm does; else as a softmax of the decisions, which keeps their order and costs a sixth
    imputation: of empty training cells
    """

    kind: Literal["svc", "lightgbm", "xgboost", "bagging", "ann"]
    sampling: Literal["none", "smote", "smote_under", "as_written"] = "smote"
    rounds: int = 100
    weighted: bool = False
    calibrated: bool = True
    imputation: Imputation = "masked"


RECIPES = {
    "svc": Recipe("svc"),
    "lgbm": Recipe("lightgbm"),
    "xgboost": Recipe("xgboost", rounds=10),  # `xgb.train` without a number of rounds takes ten
    "bagging": Recipe("bagging"),
    "ann_wls": Recipe("ann", "none", weighted=True),
    "ann_ns": Recipe("ann", "none"),
    # beyond the write-up's table
    "xgboost_100": Recipe("xgboost"),
    "svc_no_sampling": Recipe("svc", "none"),
    "svc_smote_under": Recipe("svc", "smote_under"),
    "lgbm_no_sampling": Recipe("lightgbm", "none"),
    "lgbm_smote_under": Recipe("lightgbm", "smote_under"),
    "ann_mode": Recipe("ann", "none", imputation="mode"),
    "ann_random_forest": Recipe("ann", "none", imputation="random_forest"),
}


def predict(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int = 0) -> NDArray[np.float64]:
    """Probabilities (rows of `new`, targets, grades) after learning from embeddings (rows, values) and codes `y`.

    y: (rows, targets). A target's rows are those with a grade; a grade that none of them has gets probability 0, and a
    target without a grade the same probability for each.
    """
    y = filled(y, recipe.imputation, seed)
    if recipe.kind == "ann":
        return _over_grades(network_outputs(x, y, new, seed, recipe.weighted)[-1], y.shape[1])
    found = np.full((len(new), y.shape[1], COUNT), 1 / COUNT)
    for target in range(y.shape[1]):
        graded = y[:, target] != UNGRADED
        if graded.any():
            found[:, target] = predict_one(recipe, x[graded], y[graded, target], new, seed)
    return found


def predict_one(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int = 0) -> NDArray[np.float64]:
    """The same for one target, y (rows,) without an empty cell: (rows of `new`, grades)."""
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    found = np.zeros((len(new), COUNT))
    scaler = StandardScaler().fit(x)
    with threadpool_limits(1):
        x, y = SAMPLING[recipe.sampling](scaler.transform(x), y, seed)
        grades, code = np.unique(y, return_inverse=True)
        found[:, grades] = 1.0 if len(grades) == 1 else KINDS[recipe.kind](recipe, x, code, scaler.transform(new), seed)
    return found


# --- sampling: always of training rows alone --------------------------------------------------------------------------


def sampled_as_written(x: Array, y: Codes, seed: int) -> tuple[Array, Codes]:
    """SMOTE as the write-up's code calls it, skipped where it cannot run (`try`, `except ValueError`).

    The number of neighbours is taken from `np.bincount`, which counts 0 for a class that has no row: without the class
    Moderate, whose number is 0, that makes -1 neighbours, so that SMOTE is skipped for every target of its SVC.
    """
    from imblearn.over_sampling import SMOTE

    neighbours = int(min(NEIGHBOURS, np.bincount(y).min() - 1))
    return SMOTE(random_state=seed, k_neighbors=neighbours).fit_resample(x, y) if neighbours > 0 else (x, y)


def _smote(x: Array, y: Codes, seed: int) -> tuple[Array, Codes]:
    return _to_number(x, y, int(np.bincount(y).max()), seed)


def _smote_under(x: Array, y: Codes, seed: int) -> tuple[Array, Codes]:
    return _to_number(x, y, len(y) // len(np.unique(y)), seed)


def _to_number(x: Array, y: Codes, number: int, seed: int) -> tuple[Array, Codes]:
    """Every grade brought to a number of rows; one that has a single row, so no neighbour, is left as it is."""
    from imblearn.over_sampling import SMOTE
    from imblearn.under_sampling import RandomUnderSampler

    rows = {int(grade): int(count) for grade, count in zip(*np.unique(y, return_counts=True), strict=True)}
    if rare := [grade for grade, count in rows.items() if 1 < count < number]:
        neighbours = min(NEIGHBOURS, min(rows[grade] for grade in rare) - 1)
        wanted = dict.fromkeys(rare, number)
        x, y = SMOTE(sampling_strategy=wanted, random_state=seed, k_neighbors=neighbours).fit_resample(x, y)
    if common := [grade for grade, count in rows.items() if count > number]:
        wanted = dict.fromkeys(common, number)
        x, y = RandomUnderSampler(sampling_strategy=wanted, random_state=seed).fit_resample(x, y)
    return x, y


SAMPLING: dict[str, Callable[[Array, Codes, int], tuple[Array, Codes]]] = {
    "none": lambda x, y, seed: (x, y),
    "smote": _smote,
    "smote_under": _smote_under,
    "as_written": sampled_as_written,
}


# --- one target at a time: probabilities (rows of `new`, classes in y) ------------------------------------------------


def _svc(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int) -> Array:
    from scipy.special import softmax
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    machine, rarest = SVC(kernel="linear"), int(np.bincount(y).min())
    if len(x) <= MOST_PRODUCTS:  # the same kernel, all products at once: libsvm takes them one by one, at each fit anew
        machine, x, new = SVC(kernel="precomputed"), x @ x.T, new @ x.T
    if recipe.calibrated and rarest > 1:
        parts = StratifiedKFold(min(5, rarest), shuffle=True, random_state=seed)
        return CalibratedClassifierCV(machine, cv=parts, ensemble=False).fit(x, y).predict_proba(new)
    decision = machine.fit(x, y).decision_function(new)
    return softmax(np.column_stack([-decision, decision]) / 2 if decision.ndim == 1 else decision, axis=1)


def _lightgbm(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int) -> Array:
    import lightgbm

    settings = {
        "objective": "multiclass",
        "num_class": int(y.max()) + 1,
        "learning_rate": 0.1,
        "num_leaves": 31,
        "verbose": -1,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
    }
    return np.asarray(lightgbm.train(settings, lightgbm.Dataset(x, y), recipe.rounds).predict(new))


def _xgboost(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int) -> Array:
    return _boosted(recipe.rounds, 6, seed).fit(x, y).predict_proba(new)


def _bagging(recipe: Recipe, x: Array, y: Codes, new: Array, seed: int) -> Array:
    from sklearn.ensemble import BaggingClassifier

    stumps = _boosted(recipe.rounds, 1, seed)
    bags = BaggingClassifier(stumps, n_estimators=BAGS, max_samples=SHARE, max_features=SHARE, random_state=seed)
    return bags.fit(x, y).predict_proba(new)


def _boosted(rounds: int, depth: int, seed: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=rounds, max_depth=depth, learning_rate=0.1, tree_method="hist", n_jobs=1, random_state=seed
    )


KINDS: dict[str, Callable[[Recipe, Array, Codes, Array, int], Array]] = {
    "svc": _svc,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "bagging": _bagging,
}


# --- the network: all targets at once ---------------------------------------------------------------------------------


def network_outputs(
    x: Array, y: Codes, new: Array, seed: int = 0, weighted: bool = False, epochs: int = EPOCHS
) -> NDArray[np.float64]:
    """The network's sigmoids for `new` after each epoch: (epochs, rows, targets x grades).

    Dense 256, 128, 64, ReLU, one sigmoid for each target and grade; Adam, binary cross-entropy, batches of 16, with
    Keras's first weights and its epsilon. The columns of an empty cell are left out of the loss.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    rows, held = (torch.from_numpy(scaler.transform(part)).float() for part in (x, new))
    known = torch.from_numpy(np.repeat(y != UNGRADED, COUNT, axis=1)).float()
    positive = torch.from_numpy(np.eye(COUNT)[np.maximum(y, 0)].reshape(len(y), -1)).float() * known
    weight = known * _column_weights(positive, known) if weighted else known
    generator = torch.Generator().manual_seed(seed)
    network = _network(x.shape[1], positive.shape[1], generator)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-7)
    found = np.empty((epochs, len(new), positive.shape[1]))
    for epoch in range(epochs):
        for batch in torch.randperm(len(rows), generator=generator).split(BATCH):
            losses = nn.functional.binary_cross_entropy_with_logits(
                network(rows[batch]), positive[batch], weight[batch], reduction="sum"
            )
            optimiser.zero_grad()
            (losses / known[batch].sum().clamp(min=1)).backward()
            optimiser.step()
        with torch.inference_mode():
            found[epoch] = network(held).sigmoid().numpy()
    return found


def _network(values: int, columns: int, generator: torch.Generator) -> nn.Sequential:
    sizes = (values, *HIDDEN, columns)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        dense = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(dense.weight, generator=generator)
        nn.init.zeros_(dense.bias)
        layers += [dense, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _column_weights(positive: Tensor, known: Tensor) -> Tensor:
    """What each cell counts so that positive and negative rows of its column weigh the same; 1 where one is missing."""
    number, ones = known.sum(0), positive.sum(0)
    both = (ones > 0) & (ones < number)
    of_ones = torch.where(both, number / (2 * ones).clamp(min=1), 1.0)
    of_zeros = torch.where(both, number / (2 * (number - ones)).clamp(min=1), 1.0)
    return torch.where(positive > 0, of_ones, of_zeros)


def _over_grades(outputs: NDArray[np.float64], targets: int) -> NDArray[np.float64]:
    """Sigmoids (rows, targets x grades) as probabilities of the grades: divided by their sum."""
    each = outputs.reshape(len(outputs), targets, COUNT)
    return each / each.sum(axis=2, keepdims=True).clip(min=1e-12)
