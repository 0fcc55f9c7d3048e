"""How long the chapter takes on a table, and what of it is scaled down when that is too long."""

from dataclasses import dataclass, replace

from medutils.chapters.spine_mlp.experiments import FOLDS, LARGE, SHARE, Task, feature_sets
from medutils.chapters.spine_mlp.parameters import SpineMLP

# Seconds, measured on one core of a server processor (Xeon, 2.1 GHz) with the default network of 64 units. They are
# constants, so that a table is scaled in one way on every machine.
START = 15.0  # imports, figures and the page
STEP, REPLICA_STEP = 1.1e-3, 40e-6  # a step of any number of replicas, and what each replica adds
LINE, LINE_ROW = 6e-3, 0.6e-6  # a logistic regression, and what each of its rows adds
RESAMPLED_ROW = 0.1e-6  # a row in a resample of the bootstrap, for all metrics of two classes
GROUPED_ROW = 0.75e-3  # a row in a cut that keeps patients together
PREDICTED_ROW, SCORED_ROW = 1.5e-6, 0.9e-6  # a row through one replica and its metrics; a row in a batch-wise F1

# What only makes an interval or a mean more exact is scaled first, but not below these.
LEAST = {
    "replicas": 5,
    "repeats": 1,
    "ablation_repeats": 1,
    "resamples": 200,
    "splits": 10,
    "orders": 20,
    "variant_rows": 2_000,
}
LEAST_EPOCHS = 2
# Trainings of the network on the folds of the ablation that are no subset of the columns: as written and with parts
# left out, and half, a quarter and an eighth of the rows.
MORE_NETWORKS = 4 + 0.875
EXAMPLE_ROWS = 569  # of the table in the worked example
WITHOUT_NORMALISATION = 10  # seeds at most


@dataclass(frozen=True)
class Cost:
    """What a run of the chapter does, and to how large a table.

    subsets: of the columns, in the ablation
    splits: of the experiment on the split; orders: of the rows, in the experiment on batches
    variant_rows: that a variant of network or columns may train on, at most
    grouped: whether patients have several rows
    """

    rows: int
    columns: int
    subsets: int
    grouped: bool
    epochs: int
    batch_size: int
    replicas: int
    repeats: int
    ablation_repeats: int
    resamples: int
    variant_rows: int
    splits: int = 200
    orders: int = 1000

    @property
    def seconds(self) -> float:
        """Estimated time of the chapter."""
        nested, ablated = FOLDS * self.repeats, FOLDS * self.ablation_repeats
        fits = 2 * self.splits + 2 * nested + self.subsets * ablated
        tables = 7 * self.repeats + (2 * self.subsets + 20) * self.ablation_repeats
        variant = min(self.variant_rows / (1 - SHARE), self.rows * (1 - SHARE))
        grouped = self.rows * (self.repeats + self.ablation_repeats) if self.grouped or self.rows <= LARGE else 0
        return (
            START
            + self._training(1)
            + self._training(self.replicas)
            + self._training(min(WITHOUT_NORMALISATION, self.replicas))
            + (1 - 1 / FOLDS) * self._training(nested)
            + self._training(ablated * self.subsets, variant)
            + MORE_NETWORKS * self._training(ablated, variant)
            + self._training(ablated, EXAMPLE_ROWS)
            + fits * (LINE + LINE_ROW * self.rows)
            + RESAMPLED_ROW * self.rows * self.resamples * tables
            + GROUPED_ROW * grouped
            + PREDICTED_ROW * self.rows * self.columns * nested
            + SCORED_ROW * self.rows * (self.epochs + SHARE * self.orders)
        )

    def _training(self, replicas: int, rows: float = 0) -> float:
        """Seconds to train so many replicas on so many rows, by default on those of the split."""
        steps = self.epochs * (1 - SHARE) * (rows or self.rows) / self.batch_size
        return steps * (STEP + REPLICA_STEP * replicas)


def of(p: SpineMLP, task: Task) -> Cost:
    """What the chapter does with these parameters and this table."""
    names = ("epochs", "batch_size", "replicas", "repeats", "ablation_repeats", "resamples")
    counts = {name: getattr(p, name) for name in names}
    subsets = len(feature_sets(task.columns))
    rows, grouped = len(task.records), not task.records["patient"].is_unique
    return Cost(rows, len(task.columns), subsets, grouped, variant_rows=rows, **counts)


def scaled(asked: Cost, minutes: float) -> Cost:
    """The same within so many minutes, by estimate; 0 is no limit.

    First the counts in `LEAST` are halved, all of them together and again and again, none below its least. Where that
    does not do, epochs are taken away, down to `LEAST_EPOCHS`. A count that was below its least stays.
    """
    found, share = asked, 1.0
    while minutes and found.seconds > 60 * minutes and share > 1 / 1024:
        share /= 2
        counts = {
            name: max(min(getattr(asked, name), least), int(share * getattr(asked, name)))
            for name, least in LEAST.items()
        }
        found = replace(found, **counts)
    if minutes and found.seconds > 60 * minutes:
        an_epoch = found.seconds - replace(found, epochs=found.epochs - 1).seconds
        over = found.seconds - 60 * minutes
        epochs = found.epochs - int(over / an_epoch) - 1
        found = replace(found, epochs=max(min(asked.epochs, LEAST_EPOCHS), epochs))
    return found


def parameters(p: SpineMLP, cost: Cost) -> SpineMLP:
    """The parameters with the counts that are done."""
    done = {name: getattr(cost, name) for name in SpineMLP.model_fields if hasattr(cost, name)}
    return p.model_copy(update=done)
