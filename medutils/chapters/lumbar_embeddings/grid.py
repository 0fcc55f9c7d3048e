"""The grid of write-up 001: its 42 configurations, and those of a fourth embedder, on the same held-out studies.

Each cell is kept by itself, so that a grid that was interrupted goes on where it was.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils import cache
from medutils.chapters.lumbar_embeddings import classifiers
from medutils.chapters.lumbar_embeddings.classifiers import RECIPES, Array
from medutils.chapters.lumbar_embeddings.imputation import UNGRADED, Codes, codes
from medutils.data.lumbar import GRADES
from medutils.errors import InputError
from medutils.tables import check_predictions
from medutils.training.loop import Progress
from medutils.training.workers import each_apart

Rows = NDArray[np.int64]
Features = Mapping[tuple[str, str, int], Array]

PREPROCESSING = ("gsl", "hist")  # grey levels as they are, histogram equalised
EMBEDDERS = ("aal", "rn50", "mn152")  # ResNet-50 with attention, ResNet-50 averaged, "MedicalNet152" with attention
FOURTH = "lite0"
VALUES, FIRST = 2048, 512
LITE0_VALUES = 1280
WRITTEN = ("svc", "lgbm", "xgboost", "bagging", "ann_wls", "ann_ns")
BEYOND = (
    "xgboost_100",
    "svc_no_sampling",
    "svc_smote_under",
    "lgbm_no_sampling",
    "lgbm_smote_under",
    "ann_mode",
    "ann_random_forest",
)
LIBRARIES = ("scikit-learn", "imbalanced-learn", "lightgbm", "xgboost-cpu", "torch")
# They start first, so that none is left over at the end.
SLOWEST = ("xgboost_100", "lgbm", "lgbm_no_sampling", "lgbm_smote_under", "bagging", "svc")


@dataclass(frozen=True, order=True)
class Cell:
    """A configuration: how pixels were prepared, the embedder, how many values, the recipe's name."""

    preprocessing: str
    embedder: str
    values: int
    recipe: str

    @property
    def name(self) -> str:
        """`gsl_rn50_svc_512`, `gsl_rn50_lgbm`: only of the SVC there are several numbers of values."""
        values = f"_{self.values}" if RECIPES[self.recipe].kind == "svc" else ""
        return f"{self.preprocessing}_{self.embedder}_{self.recipe}{values}"

    @property
    def features(self) -> tuple[str, str, int]:
        """The name of its embeddings among `Features`."""
        return self.preprocessing, self.embedder, self.values


def cells_of(embedder: str, wide: int, recipes: Sequence[str] = WRITTEN) -> list[Cell]:
    """The configurations of one embedder: the SVC on all values, everything on the first 512."""
    sets = [(wide, "svc"), *((FIRST, recipe) for recipe in recipes)]
    return [Cell(pixels, embedder, values, recipe) for pixels, (values, recipe) in product(PREPROCESSING, sets)]


REPORTED = [cell for embedder in EMBEDDERS for cell in cells_of(embedder, VALUES)]
LITE0 = cells_of(FOURTH, LITE0_VALUES, (*WRITTEN, *BEYOND))


def cut(wide: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str, int], Array]:
    """Embeddings by preprocessing and embedder, whole and as their first 512 values, as cells name them."""
    found = {}
    for (pixels, embedder), x in wide.items():
        found[pixels, embedder, x.shape[1]] = x
        if x.shape[1] > FIRST:
            found[pixels, embedder, FIRST] = x[:, :FIRST]
    return found


# --- what is predicted, and for whom ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Graded:
    """Rows of embeddings (studies or series) with their grades, and which of them are held out.

    record_id, patient: (rows,); y: (rows, targets) 0, 1, 2, -1 where nothing was graded
    folds: pairs of training and test rows; no patient is in both of a pair
    """

    record_id: NDArray[np.object_]
    patient: NDArray[np.object_]
    targets: tuple[str, ...]
    y: Codes
    folds: tuple[tuple[Rows, Rows], ...]

    def split(self, held: Collection[str]) -> "Graded":
        """The same with one fixed split: the rows of the patients `held` are test rows, all others teach."""
        test = np.isin(self.patient.astype(str), list(held))
        if test.all() or not test.any():
            raise InputError(f"held out: found {test.sum()} of {len(test)} rows; expected some, and some for training")
        return replace(self, folds=((np.flatnonzero(~test), np.flatnonzero(test)),))

    def predictions(self, probability: NDArray[np.float64]) -> pd.DataFrame:
        """Probabilities (rows, targets, grades), NaN where none was made, as predictions of the graded cells."""
        rows, columns = np.nonzero((self.y != UNGRADED) & np.isfinite(probability[..., 0]))
        table = pd.DataFrame({"record_id": self.record_id[rows], "patient": self.patient[rows]})
        table["target"] = np.array(self.targets, dtype=object)[columns]
        table["y_true"] = np.array(GRADES, dtype=object)[self.y[rows, columns]]
        table[[f"prob_{grade}" for grade in GRADES]] = probability[rows, columns].astype(float)
        return check_predictions(table)


def graded(
    grades: pd.DataFrame,
    patient: Sequence[str] | None = None,
    record_id: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Graded:
    """Grades, a row for each row of embeddings, ready for the grid, in folds that keep a patient's rows together.

    grades: the targets as columns, NaN where nothing was graded; the index names the study
    patient, record_id: the index where they are not given
    Raises `InputError` when there are fewer patients than folds.
    """
    from sklearn.model_selection import GroupKFold

    index = grades.index.astype(str).to_numpy(dtype=object)
    who = index if patient is None else np.array(list(patient), dtype=object)
    if len(set(who)) < folds:
        raise InputError(f"folds: found {len(set(who))} patients for {folds} folds; expected as many at least")
    parts = GroupKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(who)), groups=who)
    names = index if record_id is None else np.array(list(record_id), dtype=object)
    return Graded(names, who, tuple(map(str, grades)), codes(grades), tuple(parts))


# --- running it -------------------------------------------------------------------------------------------------------


def run(
    features: Features, table: Graded, cells: Sequence[Cell], seed: int = 0, progress: Progress | None = None
) -> dict[str, pd.DataFrame]:
    """Predictions of the held-out rows by each cell's name, for the cells whose embeddings are there.

    features: (rows, values) in the order of the table's rows, by preprocessing, embedder and number of values
    A cell has one core, and as many run at once as there are. What is kept is not computed again.
    Raises `InputError` when embeddings and grades differ in their rows.
    """
    known = [cell for cell in cells if cell.features in features]
    for cell in known:
        if features[cell.features].shape != (len(table.y), cell.values):
            found = " x ".join(map(str, features[cell.features].shape))
            raise InputError(f"{cell.name}: found embeddings {found}; expected {len(table.y)} x {cell.values}")
    hashes = {name: cache.array_hash(features[name]) for name in {cell.features for cell in known}}
    keys = {cell: _key(hashes[cell.features], table, cell.recipe, seed) for cell in known}
    missing = sorted((cell for cell in known if not _place(keys[cell]).exists()), key=_last)
    work = [partial(_keep, keys[cell], features[cell.features], table, cell.recipe, seed) for cell in missing]
    for done, _ in enumerate(each_apart(work), start=len(known) - len(missing) + 1):
        if progress:
            progress(done, len(known))
    return {cell.name: table.predictions(np.load(_place(keys[cell]), allow_pickle=False)) for cell in known}


def _last(cell: Cell) -> tuple[int, int]:
    order = SLOWEST.index(cell.recipe) if cell.recipe in SLOWEST else len(SLOWEST)
    return order, -cell.values


def _key(x_hash: str, table: Graded, recipe: str, seed: int) -> str:
    folds = [[part.tolist() for part in fold] for fold in table.folds]
    content = [x_hash, cache.array_hash(table.y), folds, asdict(RECIPES[recipe]), seed]
    return cache.key_of(classifiers.predict, content, [version(library) for library in LIBRARIES])


def _place(key: str) -> Path:
    return cache.place("grid", key, ".npy")


def _keep(key: str, x: Array, table: Graded, recipe: str, seed: int) -> None:
    def make(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, held_out(x, table, recipe, seed), allow_pickle=False)

    cache.kept("grid", make, key, ".npy")


def held_out(x: Array, table: Graded, recipe: str, seed: int = 0) -> NDArray[np.float32]:
    """Probabilities (rows, targets, grades) of the held-out rows of all folds, NaN for rows that are in none."""
    found = np.full((*table.y.shape, len(GRADES)), np.nan, dtype=np.float32)
    for train, test in table.folds:
        found[test] = classifiers.predict(RECIPES[recipe], x[train], table.y[train], x[test], seed)
    return found


# --- what an axis is worth --------------------------------------------------------------------------------------------

AXES = {
    "preprocessing": ("preprocessing", "hist", "gsl"),
    "attention": ("embedder", "aal", "rn50"),
    "embedder": ("embedder", "mn152", "rn50"),
    "fourth_embedder": ("embedder", FOURTH, "rn50"),
    "values": ("values", VALUES, FIRST),
    "values_lite0": ("values", LITE0_VALUES, FIRST),
    "lgbm": ("recipe", "lgbm", "svc"),
    "xgboost": ("recipe", "xgboost", "svc"),
    "bagging": ("recipe", "bagging", "svc"),
    "ann": ("recipe", "ann_ns", "svc"),
    "weighted_loss": ("recipe", "ann_wls", "ann_ns"),
    "trees": ("recipe", "xgboost_100", "xgboost"),
    "smote_svc": ("recipe", "svc", "svc_no_sampling"),
    "smote_lgbm": ("recipe", "lgbm", "lgbm_no_sampling"),
    "under_sampling_svc": ("recipe", "svc_smote_under", "svc"),
    "under_sampling_lgbm": ("recipe", "lgbm_smote_under", "lgbm"),
    "filled_by_mode": ("recipe", "ann_mode", "ann_ns"),
    "filled_by_forest": ("recipe", "ann_random_forest", "ann_ns"),
}


def pairs(axis: str, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell]]:
    """The pairs of cells that differ along an axis of `AXES` and in nothing else."""
    field, first, second = AXES[axis]
    for cell in cells:
        if getattr(cell, field) == first:
            other = Cell(**{**asdict(cell), field: second})
            if other in cells:
                yield cell, other


def along(axis: str, cells: Sequence[Cell], found: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables for `evaluation.compare`: all pairs of an axis below each other, their number in `repeat`.

    Their difference in a metric is the mean over the pairs. Raises `InputError` where no pair was run.
    """
    both = [(found[a.name], found[b.name]) for a, b in pairs(axis, cells) if a.name in found and b.name in found]
    if not both:
        raise InputError(f"{axis}: found no two configurations that differ in it alone; expected one pair at least")
    first, second = (
        pd.concat([pair[side].assign(repeat=number) for number, pair in enumerate(both)], ignore_index=True)
        for side in (0, 1)
    )
    return first, second
