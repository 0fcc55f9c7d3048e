"""What this chapter measures, written into its results. Each function takes what a run has and keeps its numbers."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from medutils.chapters.lumbar_fusion import ablation, pseudo, pseudo_numbers
from medutils.chapters.lumbar_fusion.ablation import Cell
from medutils.chapters.lumbar_fusion.as_written import concatenated
from medutils.chapters.lumbar_fusion.plan import EMBEDDERS, PLAIN, TWO, Setup
from medutils.chapters.lumbar_fusion.sentences import MAIN, key
from medutils.data.lesions import slices_near
from medutils.data.lumbar import load_series
from medutils.data.study_folder import WORDS
from medutils.evaluation.net_benefit import decision_curve
from medutils.evidence import Results
from medutils.export import About, TrainedOn
from medutils.export.study_fit import fit_studies
from medutils.models.fusion import FusionNet, averaged
from medutils.training.fused import FusedSet
from medutils.training.fusion_looks import looked_near, token_weights
from medutils.training.fusion_trials import AS_IS, AT_RANDOM, BEST, LATE, ONLY, Found, predictions, subsets
from medutils.training.loop import Progress
from medutils.training.remedies import REFERENCE

CONDITIONS = {  # findings of the same kind on either side
    "spinal_canal_stenosis": ("spinal_canal_stenosis",),
    "neural_foraminal_narrowing": ("left_neural_foraminal_narrowing", "right_neural_foraminal_narrowing"),
    "subarticular_stenosis": ("left_subarticular_stenosis", "right_subarticular_stenosis"),
}
THRESHOLDS = tuple(number / 20 for number in range(1, 15))
# The clinical question of the decision curve: which discs are read a second time for a herniation.
QUESTION = "herniation"
TAKEN = "slices"  # the architecture of the model to take away
PHANTOMS = "phantoms"  # the name of trials on phantom studies, whatever the patients of a run are
HELD = 1  # of five parts of the patients, for each seed, that autoencoders are tested on


def trials(results: Results, name: str, found: Found) -> None:
    """Each network asked of each subset, as `<name>_<architecture>_<network>_<left>`.

    `REFERENCE` of patients as they are has all metrics, and what it said goes into predictions.csv; what was said of
    phantom studies (`PHANTOMS`) does not.
    """
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    main = [cell for cell in ablation.cells(found) if cell.left == AS_IS and cell.network == REFERENCE]
    judged = [] if name == PHANTOMS else main
    # What a network of one series says of it, late fusion says too.
    others = [cell for cell in ablation.cells(found) if cell not in judged and not cell.network.startswith(ONLY)]
    for cell in judged:
        results.judge(key(name, *cell), ablation.pooled(found, cell), ablation.SPLIT)
    for cell, metrics in ablation.measured(found, others, resamples, seed).items():
        results.add(key(name, *cell), metrics)
    results.experiment(
        name,
        patients=len(found.data.patients),
        kind="phantom" if name == PHANTOMS else results.data["kind"],
        having={series: int(count) for series, count in zip(found.data.series, found.data.present.sum(0), strict=True)},
        pseudo_error={
            network: float(errors.mean())
            for network, errors in found.trained.groupby("network", sort=False)["pseudo_error"]
            if errors.notna().any()
        },
        chosen=_chosen(found),
    )


def _chosen(found: Found) -> dict[str, int]:
    """How often each setting was taken: once a fold, repeat and architecture."""
    once = found.trained[found.trained["network"] == REFERENCE]
    names = once["features"].map("{:.0f} components".format) + once["learning_rate"].map(", rate {:g}".format)
    return {str(name): int(count) for name, count in names.value_counts(sort=False).items()}


def by_number(results: Results, name: str, found: Found) -> None:
    """Every remedy and baseline by how many series are missing: `<name>_<architecture>_<network>_<number>_missing`."""
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    for architecture, network in dict.fromkeys(cell[:2] for cell in found.shares):
        if network in ablation.LESS or network.startswith(ONLY):
            continue
        for gone in range(1, len(found.data.series)):
            metrics = ablation.without(found, architecture, network, gone, resamples, seed)
            results.add(key(name, architecture, network, f"{gone} missing"), metrics)


def losses(results: Results, name: str, found: Found) -> None:
    """What studies that have all series lose with some of them: `<name>_<architecture>_<left>_over_all`."""
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    whole, *parts = ("+".join(part) for part in subsets(found.data.series))
    for architecture in dict.fromkeys(cell[0] for cell in found.shares):
        pairs = {part: (Cell(architecture, REFERENCE, part), Cell(architecture, REFERENCE, whole)) for part in parts}
        for part, metrics in ablation.differences(found, pairs, resamples, seed).items():
            results.add(key(name, architecture, part, "over_all"), metrics)


def remedies(results: Results, name: str, found: Found) -> None:
    """Every remedy and baseline minus `REFERENCE`, all series there and some missing at random; then minus late fusion.

    Kept as `<name>_<architecture>_<network>_<left>_over_<other>`, and under `<name>_power` the smallest differences in
    AUROC that these patients would have shown.
    """
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    shown: dict[str, float] = {}
    whole = "+".join(found.data.series)
    for left, other in ((whole, REFERENCE), (AT_RANDOM, REFERENCE), (AT_RANDOM, LATE)):
        for architecture in dict.fromkeys(cell[0] for cell in found.shares):
            if (architecture, other, left) not in found.shares:
                continue
            pairs = ablation.remedies_over(found, architecture, left, other)
            for network, metrics in ablation.differences(found, pairs, resamples, seed).items():
                pair = key(name, architecture, network, left, "over", other)
                results.add(pair, metrics)
                shown[pair] = ablation.detectable(metrics["auroc_over_targets"])
    results.experiment(f"{name}_power", detectable=shown)


def regularisation(results: Results, name: str, found: Found) -> None:
    """Dropout, L2 and both, minus neither: `<name>_<architecture>_<network>_<left>_over_<ablation.BARE>`."""
    networks = [network for network in (*ablation.PARTLY, REFERENCE) if (MAIN, network, AT_RANDOM) in found.shares]
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    for architecture in dict.fromkeys(cell[0] for cell in found.shares):
        if (architecture, ablation.BARE, AT_RANDOM) not in found.shares:
            continue
        bare = Cell(architecture, ablation.BARE, AT_RANDOM)
        pairs = {network: (Cell(architecture, network, AT_RANDOM), bare) for network in networks}
        for network, metrics in ablation.differences(found, pairs, resamples, seed).items():
            results.add(key(name, architecture, network, AT_RANDOM, "over", ablation.BARE), metrics)


def embedders(results: Results, setup: Setup, progress: Progress | None = None) -> None:
    """Fusion and late fusion of both series by embedder, and minus the first of them, which is ImageNet's Lite0.

    Kept as `embedders_<embedder>_<network>`, and with `_over_<first>`; of patients who have both series.
    """
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    first, found = EMBEDDERS[0], dict[str, Found]()
    for name in EMBEDDERS:
        found[name] = setup.run(setup.embedded(name, progress), progress, **PLAIN, architectures=(MAIN,))
        for network in (REFERENCE, LATE):
            cell = Cell(MAIN, network, "+".join(TWO))
            results.add(key("embedders", name, network), ablation.measured(found[name], [cell], resamples, seed)[cell])
            if name != first:
                metrics = ablation.between((found[name], cell), (found[first], cell), resamples, seed)
                results.add(key("embedders", name, network, "over", first), metrics)
    results.experiment("embedders", weights={name: one.data.embedder for name, one in found.items()})


def findings(results: Results, name: str, found: Found, architecture: str, networks: Sequence[str]) -> None:
    """Each finding by a few networks, with all series that there are: `<name>_<finding>_<network>`."""
    for network in networks:
        cell = Cell(architecture, network, AS_IS)
        each = ablation.by_finding(found, cell, results.parameters["resamples"], results.parameters["seed"])
        for finding, metrics in each.items():
            results.add(key(name, finding, network), metrics)


def which_series(results: Results, found: Found, architecture: str, network: str) -> None:
    """Phantoms: each condition by each subset of the series, as `phantoms_needs_<condition>_<left>`."""
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    for condition, names in CONDITIONS.items():
        for part in ("+".join(one) for one in subsets(found.data.series)):
            metrics = ablation.of_findings(found, Cell(architecture, network, part), names, resamples, seed)
            results.add(key("phantoms_needs", condition, part), metrics)


def looks(results: Results, setup: Setup, data: FusedSet, remedy: str = "modality_dropout") -> None:
    """Phantoms: the weight on slices within 6 mm of a narrowing, against uniform: `looks_<architecture>_<series>`."""
    near = slices_near(setup.studies, list(data.patients))
    for architecture in (name for name in setup.trials.architectures if name != "sets"):
        weights = token_weights(data, architecture, remedy, setup.trials)
        for number, (series, kind) in enumerate(WORDS.items()):
            marked = data.mask[:, number].numpy() & False
            for study, places in enumerate(near[kind]):
                marked[study, : len(places)] = places
            metrics = looked_near(
                weights[:, number],
                data.mask[:, number].numpy(),
                marked,
                results.parameters["resamples"],
                results.parameters["seed"],
            )
            results.add(key("looks", architecture, series), metrics)


def tuned(results: Results, setup: Setup, plain: Found, progress: Progress | None = None) -> None:
    """Whether T1 features learned from the challenge's T1 slices help: with minus without, as `tuned_<...>`."""
    data = setup.patients(progress, t1=setup.tuned()).only(TWO)
    found = setup.run(data, progress, **PLAIN)
    for architecture in setup.trials.architectures:
        for network in (REFERENCE, LATE, BEST):
            for left in ("t1+t2", "t1"):
                cell = Cell(architecture, network, left)
                metrics = ablation.between(
                    (found, cell), (plain, cell), results.parameters["resamples"], results.parameters["seed"]
                )
                results.add(key("tuned", *cell), metrics)


def pseudo_modality(results: Results, data: FusedSet, progress: Progress | None = None) -> None:
    """The write-up's own pseudo-modality learning, one fault at a time, on the mean embedding of each series.

    As the embeddings are (`pseudo_<...>`), as large as the write-up's (`pseudo_large_<...>`), and asked for an absent
    series (`absent_<...>`); see `pseudo_numbers`.
    """
    kinds = [name for number, name in enumerate(data.series) if data.present[:, number].sum() >= pseudo.FIFTHS]
    means = {}
    for name in kinds:
        number = data.series.index(name)
        rows = data.present[:, number].numpy()
        values = averaged(data.x[rows][:, [number]], data.mask[rows][:, [number]])[:, 0].numpy()
        means[name] = pd.DataFrame(values, index=pd.Index(np.array(data.patients, object)[rows]))
    seeds = list(range(results.parameters["repeats"]))
    rows_of = concatenated(means)
    found = pseudo.all_given_back(rows_of, seeds, HELD, progress=progress)
    pseudo_numbers.judge_given_back(results, found)
    large = concatenated(means, pseudo_numbers.written_mean_square())
    pseudo_numbers.judge_given_back(
        results,
        pseudo.all_given_back(large, seeds, HELD, names=pseudo_numbers.LARGE, progress=progress),
        "pseudo_large",
    )
    pairs = [(given, asked) for given, asked in permutations(TWO, 2) if {given, asked} <= set(kinds)]
    asked = {pair: pseudo.all_of_absent(rows_of, pair, seeds, HELD, progress=progress) for pair in pairs}
    pseudo_numbers.judge_of_absent(results, asked)


def dropped(results: Results, folder: Path | None) -> None:
    """What the notebook's own numbers say, and which studies of the challenge's table its test looks at."""
    pseudo_numbers.judge_notebook(results, None if folder is None else load_series(folder).records)


def model(results: Results, setup: Setup, data: FusedSet) -> tuple[FusionNet, About]:
    """A network of phantom studies to take away, calibrated, with what each missing series costs it."""
    trained_on = TrainedOn(name="lumbar MRI studies of three series", kind="phantom", sha256=data.fingerprint)
    network, about = fit_studies(
        setup.studies,
        data,
        trained_on,
        {"architecture": TAKEN, "missing": "modality_dropout"},
        size=setup.p.study_size,
        seed=setup.p.seed,
        fitting=setup.trials.fitting,
        grid=setup.grid,
        resamples=setup.p.resamples,
    )
    results.add("model", dict(about.metrics))
    split = setup.studies.records.groupby("split")["patient"].nunique()
    results.experiment("model", train=int(split["train"]), test=int(split["test"]))
    return network, about


def decisions(results: Results, found: Found, architecture: str, network: str) -> None:
    """The decision curve of one clinical question: a row a threshold and strategy."""
    cell = Cell(architecture, network, AS_IS)
    table = predictions(found, found.shares[cell], [QUESTION])
    seed, resamples = results.parameters["seed"], results.parameters["resamples"]
    curve = decision_curve(table, ablation.task_of(table), THRESHOLDS, resamples, seed)
    results.experiment("decisions", question=QUESTION, curve=curve.to_dict("records"))
