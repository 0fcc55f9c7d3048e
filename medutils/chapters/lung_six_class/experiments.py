"""What this chapter measures: every course on the same test films, and what the errors of write-up 004 are worth."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from medutils.chapters.lung_six_class import marker, sets, shortcuts, triage
from medutils.chapters.lung_six_class.arithmetic import NAMES
from medutils.chapters.lung_six_class.plan import WRITTEN, Setup, at_hand, key_of
from medutils.data.films import Films
from medutils.evaluation import Estimate, compare, confusion, evaluate, operating_points
from medutils.evidence import Results, reported_values
from medutils.export import About, FilmInput, TrainedOn
from medutils.training import courses
from medutils.training.courses import Trained, stacked
from medutils.training.loop import Progress, predict
from medutils.training.stages import Phase

Found = Mapping[str, Sequence[Trained]]
PHASES = {1: ("",), 2: ("_frozen", ""), 3: ("_frozen", "_more", "")}  # what a course's phases add to its name


# --- the films --------------------------------------------------------------------------------------------------------


def composition(results: Results, setup: Setup) -> None:
    """Keep how many films there are of each class, source and side, and how many the write-up's recipe finds in all."""
    records = setup.records
    by_class = records["label"].value_counts()
    counts = pd.crosstab(records["label"], records["source"])
    short = {name: int(by_class[label]) for label, name in zip(WRITTEN, NAMES, strict=True) if label in by_class}
    results.experiment(
        "data",
        films=len(records),
        patients=records["patient"].nunique(),
        by_class=by_class.to_dict(),
        by_source={label: row[row > 0].to_dict() for label, row in counts.iterrows()},
        everything=at_hand(setup),
        **short,
    )
    sides = records["split"].value_counts()
    results.experiment("split", **{side: int(sides.get(side, 0)) for side in ("train", "validation", "test")})


# --- every course on the test films -----------------------------------------------------------------------------------


def phases(name: str, trainings: Sequence[Trained]) -> Iterator[tuple[str, int]]:
    """The names of a course's results, one a phase, and the phases."""
    for phase, suffix in enumerate(PHASES[len(trainings[0].logits)]):
        yield name + suffix, phase


def of_classes(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Predictions over the chapter's classes: a decoy's probability goes to the others in proportion."""
    columns = [f"prob_{name}" for name in classes]
    if len(columns) == sum(str(name).startswith("prob_") for name in table):
        return table
    kept = table[[name for name in table if not str(name).startswith("prob_")]]
    shares = table[columns].div(table[columns].sum(axis=1), axis=0)
    return pd.concat([kept, shares], axis=1)


def judge_all(results: Results, found: Found, classes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Evaluate every phase of every course on its test films; its test predictions by name.

    Rows of the two stages go to predictions.csv. `runs` keeps the accuracy of every single training.
    """
    tables, runs = {}, {}
    for course, trainings in found.items():
        for name, phase in phases(course, trainings):
            tables[name] = of_classes(stacked(list(trainings), phase=phase), classes)
            results.judge(name, tables[name], "test", keep_rows=name in ("small", "large"))
            runs[name] = [courses.accuracy(one, phase=phase) for one in trainings]
    results.experiment("runs", **runs)
    return tables


def costs(found: Found, size: int) -> dict[str, float]:
    """What each course costs, those it goes on from included, in epochs on films of so many pixels a side."""
    cost: dict[str, float] = {}
    for name, (one, *_) in found.items():
        stage, before = one.course.stage, cost.get(one.course.after, 0.0)
        cost[name] = before + sum(phase.epochs for phase in stage.phases) * (stage.size / size) ** 2
    return cost


def differences(results: Results, tables: Mapping[str, pd.DataFrame], pairs: Mapping[str, tuple[str, str]]) -> None:
    """Compare courses, paired by film and seed, as far as both are there."""
    for name, (first, second) in pairs.items():
        if first in tables and second in tables:
            seeds = min(tables[one]["repeat"].nunique() for one in (first, second))
            one, two = (tables[of][tables[of]["repeat"] < seeds] for of in (first, second))
            results.compare(name, one, two, "test")


def histories(found: Found, names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Loss and accuracy by epoch of the first seed of some courses."""
    return {name: found[name][0].history.round(4).to_dict("list") for name in names if name in found}


def by_epoch(history: Mapping[str, Mapping[str, Sequence[float]]]) -> pd.DataFrame:
    """The losses of the two stages one after the other: epoch, training, validation."""
    parts = [history[name] for name in ("small", "large") if name in history]
    columns = {"training loss": "train_loss", "validation loss": "validation_loss"}
    table = pd.DataFrame({words: [loss for part in parts for loss in part[name]] for words, name in columns.items()})
    return table.assign(epoch=np.arange(1, len(table) + 1))


def mean_confusion(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Decisions by true class, in films, averaged over the seeds."""
    seeds = table["repeat"].nunique()
    return confusion(table, results.task) / seeds


# --- the shares of the classes ----------------------------------------------------------------------------------------


def with_shares(recalls: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """The accuracy that the recall of each class gives where the classes are as frequent as `shares`.

    NaN where one of the classes has no recall.
    """
    return sum(recalls.get(name, np.nan) * share for name, share in shares.items()) / sum(shares.values())


# --- the split drawn anew between the stages --------------------------------------------------------------------------


def redraw(found: Found, resamples: int, seed: int) -> dict[str, Estimate]:
    """Accuracy on validation films that the first stage had trained on, on those it had not, and the difference.

    `reported_way` is the accuracy on all of them, as the write-up takes it; the split here keeps patients whole, so
    that no more than the redrawing itself is measured.
    """
    tables = []
    for one, first in zip(found["redrawn"], found["small"], strict=True):
        table = one.predictions("validation")
        before = first.course.records
        trained = set(before.loc[before["split"] == "train", "record_id"])
        right = shortcuts.called(table, one.course.classes) == table["y_true"]
        tables.append(table.assign(right=right, seen=table["record_id"].isin(trained)))
    rows = pd.concat(tables, ignore_index=True)
    parts = {"seen": rows[rows["seen"]], "new": rows[~rows["seen"]], "reported_way": rows}
    split = "validation, drawn anew"
    shares = {name: shortcuts.share(part, resamples, seed, split) for name, part in parts.items()}
    return {**shares, "gap": shortcuts.share_gap(rows, rows["seen"], resamples, seed, split)}


# --- sources ----------------------------------------------------------------------------------------------------------


def within_sources(results: Results, tables: Mapping[str, pd.DataFrame], films: Films) -> dict[str, dict[str, Any]]:
    """Accuracy inside each source that has several classes, of each of some predictions, beside its commonest class."""
    found: dict[str, dict[str, Any]] = {}
    test = films.records.iloc[films.rows("test")]
    for source, rows in test.groupby("source"):
        if rows["label"].nunique() > 1:
            key = key_of(str(source))
            found[key] = {"films": len(rows), "commonest": float(rows["label"].value_counts(normalize=True).max())}
            for name, table in tables.items():
                inside = shortcuts.rows_of(table, films.records, {"source": str(source)})
                results.add(f"within_{key}_{name}", results.evaluate(inside, "test"))
    return found


def source_of_childrens_normals(results: Results, found: Found, films: Films) -> None:
    """What the source's name tells in the set whose normal films are all of the children's hospital."""
    if "childrens_normals" in found:
        its_own = replace(films, records=found["childrens_normals"][0].course.records)
        results.judge("source_alone_childrens_normals", shortcuts.by_source(its_own), "test", keep_rows=False)


def left_out(
    results: Results, tables: Mapping[str, pd.DataFrame], films: Films, healthy: str
) -> dict[str, dict[str, Any]]:
    """Healthy films of each source, judged by networks that learned from them and by networks that did not.

    For each source: films, and the shares of them that are called healthy, a class of the same source, or another one.
    """
    found: dict[str, dict[str, Any]] = {}
    by_key = {key_of(str(source)): str(source) for source in films.records["source"].unique()}
    for name, table in tables.items():
        if not name.startswith("without_") or name.endswith("_frozen"):
            continue
        source = by_key[name.removeprefix("without_")]
        chosen = {"source": source, "label": healthy}
        inside, usual = (shortcuts.rows_of(one, films.records, chosen) for one in (table, tables["small"]))
        if inside.empty:
            continue
        same = set(films.records.loc[films.records["source"] == source, "label"]) - {healthy}
        said = shortcuts.called(inside, films.classes)
        answers = {
            "called_healthy": inside.assign(right=said == healthy),
            "called_of_its_source": inside.assign(right=said.isin(same)),
            "called_healthy_with_them": usual.assign(right=shortcuts.called(usual, films.classes) == healthy),
        }
        limits = results.parameters["resamples"], results.parameters["seed"]
        results.add(name, {answer: shortcuts.share(rows, *limits) for answer, rows in answers.items()})
        results.add(name, {"change": results.difference(inside, usual, "test")["accuracy"]})
        found[key_of(source)] = {"films": int(inside["record_id"].nunique()), "classes": sorted(same)}
    return found


def unseen(
    results: Results, tables: Mapping[str, pd.DataFrame], films: Films, healthy: str
) -> dict[str, dict[str, Any]]:
    """Healthy or diseased inside each source, by networks that learned from its films and by networks that saw none.

    For each source its test films; kept as `unseen_<source>.auroc`, `.auroc_with_it` and their difference, `.change`.
    """
    found: dict[str, dict[str, Any]] = {}
    given = results.parameters["resamples"], results.parameters["seed"]
    task = triage.task(healthy)
    for source in sorted(films.records["source"].unique()):
        name = f"unseen_{key_of(str(source))}"
        if name in tables:
            without, usual = (
                triage.as_two(shortcuts.rows_of(tables[one], films.records, {"source": str(source)}), healthy)
                for one in (name, "small")
            )
            auroc = [evaluate(one, task, "test", 0.5, *given)["auroc"] for one in (without, usual)]
            change = compare(without, usual, task, "test", 0.5, *given)["auroc"]
            results.add(name, {"auroc": auroc[0], "auroc_with_it": auroc[1], "change": change})
            found[key_of(str(source))] = {"films": int(without["record_id"].nunique())}
    return found


def heat(trained: Trained, films: Films, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Test films of a stage's size and the Grad-CAM of the class that the network calls, (films, size, size) each."""
    rows = films.rows("test")
    x = films.pixels(size)[rows]
    return x.numpy(), shortcuts.maps(trained.network(), x, trained.logits[-1]["test"].argmax(1).numpy())


# --- the letter of the phantom ----------------------------------------------------------------------------------------


def moved_letter(setup: Setup, progress: Progress | None = None) -> dict[str, float]:
    """Accuracy of networks that learned with and without a letter that tells the class, with it, without it, moved.

    Keys: `<learned>_<shown>` for `with` and `without` letter in training and `own`, `none`, `moved` in test;
    `<learned>_in_lungs` is the share of the Grad-CAM inside the lungs, `lungs` their share of the film.
    """
    # So few films teach nothing, neither lung nor letter, in the steps and at the rates of the other courses.
    phases = (Phase(setup.frozen, True, 1e-2), Phase(setup.unfrozen + 1, False, 5e-3, 1e-3))
    stage = setup.stage(setup.small, phases, batch_size=min(16, setup.batch_size))
    learned = {"with": marker.course(stage, "own", setup.seed), "without": marker.course(stage, "none", setup.seed)}
    trained = courses.train_all(learned, 1, setup.seed, progress)
    table = learned["with"].records
    held = table["split"] == "test"
    test = table[held]
    y = test["label"].map(marker.CLASSES.index).to_numpy()
    rows = torch.from_numpy(np.flatnonzero(held))
    shown = {
        "own": learned["with"].x[rows],
        "none": learned["without"].x[rows],
        "moved": marker.films(test, setup.small, "moved", setup.seed),
    }
    inside = marker.lungs(test, setup.small, setup.seed)
    found = {"lungs": float(inside.mean()), "films": float(len(test))}
    for name, (one,) in trained.items():
        network = one.network()
        for how, x in shown.items():
            found[f"{name}_{how}"] = float((predict(network, x).argmax(1).numpy() == y).mean())
        said = predict(network, shown["own"]).argmax(1).numpy()
        mass = shortcuts.mass_inside(shortcuts.maps(network, shown["own"], said), inside)
        found[f"{name}_in_lungs"] = shortcuts.mean_of(mass)
    return found


# --- what is folded away ----------------------------------------------------------------------------------------------


def small_effects(results: Results, found: Found, tables: Mapping[str, pd.DataFrame], films: Films) -> None:
    """Evaluate what the folded experiments tell: copies, the decoy, the number of films, the write-up's shares."""
    if "everything" in found:
        told = reported_values(results.chapter)
        shares = dict(zip(WRITTEN, (told[name] for name in NAMES), strict=True))
        recalls = {name: results.metrics[f"everything.sensitivity[{name}]"].value for name in films.classes}
        results.experiment("shares", everything=with_shares(recalls, shares))
    if "copies_before_split" in found:
        results.add("copies", _copies(results, found, tables, films))
    if "decoy" in found:
        called = [(one.logits[-1]["test"].argmax(1) >= len(films.classes)).float().mean() for one in found["decoy"]]
        results.experiment("decoy", called=float(np.mean([float(share) for share in called])))
    some = [name for name in (*(name for name in tables if re.fullmatch(r"films_\d+", name)), "small") if name in found]
    if len(some) > 1:
        largest = [int(np.bincount(found[name][0].course.pictures.y[_train(found[name][0])]).max()) for name in some]
        area = [results.metrics[f"{name}.accuracy"] for name in some]
        parts = {part: [getattr(one, part) for one in area] for part in ("value", "low", "high")}
        results.experiment("learning_curve", rows=largest, **parts)


def _train(trained: Trained) -> np.ndarray:
    return trained.course.pictures.rows["train"]


def _copies(results: Results, found: Found, tables: Mapping[str, pd.DataFrame], films: Films) -> dict[str, Estimate]:
    """Recall of the class that was copied: on its copies in validation, and on test films with and without copies."""
    label, limits = sets.rarest(films.records), (results.parameters["resamples"], results.parameters["seed"])
    rows = []
    for one in found["copies_before_split"]:
        table, records = one.predictions("validation"), one.course.records
        copies = set(records.loc[records["copy_of"] != "", "record_id"])
        rows.append(table[table["record_id"].isin(copies)])
    held = pd.concat(rows, ignore_index=True)

    def recall(table: pd.DataFrame, split: str) -> Estimate:
        table = table[table["y_true"] == label].reset_index(drop=True)
        return shortcuts.share(table.assign(right=shortcuts.called(table, films.classes) == label), *limits, split)

    return {
        "in_validation": recall(held, "validation"),
        "in_test": recall(tables["copies_before_split"], "test"),
        "in_test_without": recall(tables["small"], "test"),
    }


def most_confused(matrix: pd.DataFrame, least: float = 2.0) -> list[tuple[str, str, float]]:
    """The pairs (true class, decision, films) of a matrix with at least so many films, the most first, as in fastai."""
    pairs = [
        (str(true), str(said), float(matrix.loc[true, said]))
        for true in matrix.index
        for said in matrix.columns
        if true != said and matrix.loc[true, said] >= least
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def top_losses(trained: Trained, films: Films, count: int) -> pd.DataFrame:
    """The wrongly named test films with the highest loss: `place` among the test films, `title`, `probability`."""
    table = trained.predictions("test", calibrated=True)
    said = shortcuts.called(table, films.classes)
    own = [row[f"prob_{row['y_true']}"] for _, row in table.iterrows()]
    title = [f"{true}, called\n{other}" for true, other in zip(table["y_true"], said, strict=True)]
    found = pd.DataFrame({"place": np.arange(len(table)), "title": title, "probability": own})
    return found[said != table["y_true"]].nsmallest(count, "probability")


# --- healthy or diseased ----------------------------------------------------------------------------------------------


THRESHOLDS = np.r_[0.01, np.round(np.arange(0.05, 1, 0.05), 2), 0.99]


def judge_triage(results: Results, table: pd.DataFrame, healthy: str) -> pd.DataFrame:
    """Evaluate decisions between healthy and diseased, at the table's thresholds and twice over; kept as `triage`.

    Returns sensitivity and specificity at other thresholds, a row each.
    """
    given = results.parameters["resamples"], results.parameters["seed"]
    prevalence = results.parameters["prevalence"]
    found = evaluate(table, triage.task(healthy), "test", "threshold", *given, prevalence)
    results.add("triage", found)
    twice = triage.positive_twice(table, healthy)
    both = {f"both_{name}": value for name, value in twice.items()}
    results.experiment("twice", prevalence=prevalence, **triage.twice(twice, found, prevalence), **both)
    ill = table["y_true"].eq(triage.ILL).to_numpy(dtype=float)
    points = operating_points(ill, table[f"prob_{triage.ILL}"].to_numpy(), THRESHOLDS)
    results.experiment("operating_points", **{name: points[name].tolist() for name in points})
    return points


# --- a model to take away ---------------------------------------------------------------------------------------------


def about(
    trained: Trained,
    setup: Setup,
    healthy: str,
    sensitivity: float,
    data: dict[str, str],
    found: Mapping[str, Estimate],
) -> About:
    """What is to be known of the first training of the second stage, for its file."""
    cut, rule = 0.5, "one half"
    if healthy:
        cut = triage.threshold(trained, healthy, sensitivity)
        rule = f"the highest at which {sensitivity:.0%} of the diseased validation films are found"
    metrics = {name: one for name, one in found.items() if "[" not in name}
    limit = "All its films come from one source."
    if setup.records["source"].nunique() > 1:
        limit = "Its classes come from different hospitals in part, and it can tell hospitals apart: see the chapter."
    return About(
        title="Six classes of chest films, fastai" if len(setup.films.classes) == 6 else "Classes of films, fastai",
        reads=FilmInput(design=trained.network().design),
        classes=setup.films.classes,
        healthy=healthy if len(setup.films.classes) > 2 else "",
        threshold=cut,
        threshold_rule=rule,
        temperature=trained.temperature,
        data=TrainedOn(**data),  # type: ignore[arg-type]
        metrics=metrics,
        limits=(limit,),
    )
