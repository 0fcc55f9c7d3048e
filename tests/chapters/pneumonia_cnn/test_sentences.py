"""What the pneumonia chapter says of a run, in every branch, and of the write-ups, in their own words."""

import inspect
import re
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.pneumonia_cnn import arithmetic, folded, reports, run_sentences, sentences
from medutils.chapters.pneumonia_cnn.experiments import highest_recall
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.evaluation import Estimate
from medutils.evidence import Numbers, quoted, real_numbers, reported_values

NAN = float("nan")
CHAPTER = "pneumonia_cnn"
CLAUSES = [
    function
    for module in (sentences, folded)
    for function in vars(module).values()
    if inspect.isfunction(function) and list(inspect.signature(function).parameters) == ["numbers"]
]
TOLD = reported_values(CHAPTER)
OF_REAL = [
    lambda real: sentences.answer(real, TOLD),
    lambda real: " ".join(sentences.takeaways(real)),
    lambda real: sentences.seeds_and_gains(real, TOLD),
]


def with_metrics(**metrics: float) -> Numbers:
    """A run with some metrics, each with an interval of 2 points; `__` stands for a point."""
    estimates = {
        name.replace("__", "."): asdict(Estimate(value, value - 0.01, value + 0.01, 100, "test"))
        for name, value in metrics.items()
    }
    return Numbers({"metrics": estimates, "experiments": {}})


def films(unmatched=(), skipped=(), notes=(), classes=("NORMAL", "PNEUMONIA")) -> Films:
    records = pd.DataFrame(
        {"record_id": list("abcd"), "patient": list("abcd"), "label": list(classes) * 2, "split": "train"}
    )
    located = Located("own_*", "real", Path("own"))
    return Films(records, tuple(classes), located, tuple(skipped), 0, tuple(unmatched), tuple(notes))


@pytest.fixture(scope="module")
def told():
    return reported_values("pneumonia_cnn")


def test_limits_name_what_was_left_out_and_what_is_not_known():
    left = [(f"ill/{number}_*.png", "is no image") for number in range(5)]
    lines = run_sentences.limits(films(unmatched=["a"], skipped=left), SimpleNamespace(validation="patient"))
    text = "\n".join(lines)
    assert r"ill/0\_\*.png (is no image)" in text
    assert text.count("is no image") == 3
    assert "and 2 more" in text
    assert "The patient of 1 of 4 films is not known" in text
    assert r"own\_\*" in text
    assert "stayed on one side of the split" in text
    none = run_sentences.limits(films(unmatched=list("abcd")), SimpleNamespace(validation="patient"))
    assert "stayed on one side" not in "\n".join(none)
    known = "\n".join(run_sentences.limits(films(), SimpleNamespace(validation="file")))
    assert "not known" not in known
    assert "held out by `file`" in known


@pytest.mark.parametrize(
    ("validation", "own", "divided", "words"),
    [
        ("patient", 0, False, "copies stay on one side of the split"),
        ("file", 0, False, "copies count as films of one patient"),
        ("file", 0, False, "Validation films were held out by `file`"),
        ("file", 60, False, "Validation films are those of the folder"),
        ("file", 10, False, "Validation films were held out by `file`"),
        ("sixteen", 10, False, "Validation films are those of the folder"),
        ("file", 10, True, "stayed on one side of the split"),
    ],
)
def test_limits_say_how_this_split_was_made(validation: str, own: int, divided: bool, words: str):
    made = replace(split_of(own), copies=2, divided=divided)
    text = "\n".join(run_sentences.limits(made, SimpleNamespace(validation=validation)))
    assert words in text
    whole = divided or validation == "patient"
    assert ("one side of the split" in text) == whole and ("on both sides" in text) != whole


def split_of(own: int) -> Films:
    """A hundred films, so many of them validation films that came with the folder."""
    sides = ["validation"] * own + ["train"] * (100 - own)
    records = pd.DataFrame({"record_id": map(str, range(100)), "patient": map(str, range(100)), "split": sides})
    return Films(records.assign(label="a"), ("a", "b"), Located("own", "real", Path("own")))


@pytest.mark.parametrize(
    ("own", "divided", "scheme", "words"),
    [
        (0, False, "patient", "3 test. Write-up"),
        (10, False, "patient", "own 10 validation films are too few to choose by, so they train."),
        (10, False, "sixteen", "3 test. Write-up"),
        (60, False, "patient", "3 test. Write-up"),
        (10, True, "patient", "This split was given with `split`."),
    ],
)
def test_whose_split_it_is_is_said(own: int, divided: bool, scheme: str, words: str):
    made = replace(split_of(own), divided=divided)
    assert words in run_sentences.split({"train": 1, "validation": 2, "test": 3}, (1.0, 1.0), made, scheme)


@pytest.mark.parametrize(("kind", "words"), [("phantom", "drawn by a program"), ("real", "One hospital")])
def test_a_phantom_is_said_to_come_from_no_hospital(kind: str, words: str):
    made = replace(films(), located=Located("kermany_chest_xray", kind, Path("x")))
    assert words in run_sentences.limits(made, SimpleNamespace(validation="patient"))[0]
    assert ("One hospital" in run_sentences.limits(made, SimpleNamespace(validation="patient"))[0]) == (kind == "real")


@pytest.mark.parametrize(
    ("image_size", "epochs", "words"),
    [
        (0, 0, "at each network's own size and for its own epochs"),
        (512, 0, "at 512 pixels and for its own epochs"),
        (0, 3, "at each network's own size and for 3 epochs"),
        (32, 1, "at 32 pixels and for 1 epoch"),
    ],
)
def test_sizes_and_epochs_of_the_trainings_are_told(image_size: int, epochs: int, words: str):
    group = {"a": [SimpleNamespace(seconds=1.4)] * 2}
    said = run_sentences.trained(group, SimpleNamespace(image_size=image_size, epochs=epochs))
    assert said == f"2 trainings, {words}, took 3 s in all when they were run."


@pytest.mark.parametrize(
    ("classes", "sure", "words"),
    [
        (("a", "b"), 0.9, "gave the wrong class a probability of up to 0.900"),
        (("a", "b", "c"), 0.9, "gave all classes but the true one a probability of up to 0.900"),
        (("a", "b"), NAN, "not defined"),
        (("a", "b"), None, "no mistake"),
    ],
)
def test_mistakes_are_told_by_what_was_said_instead(classes: tuple[str, ...], sure: float | None, words: str):
    worst = pd.DataFrame({"sure": [] if sure is None else [sure]})
    assert words in run_sentences.failures(SimpleNamespace(films=SimpleNamespace(classes=classes, positive="b")), worst)


@pytest.mark.parametrize("on_what", ["phantom", "real data"])
def test_a_class_that_was_picked_is_said_at_the_start(on_what):
    text = run_sentences.origin(films(notes=["The positive class is taken to be b."]), on_what)
    assert text.endswith("The positive class is taken to be b.")
    assert ("made from a phantom" in text) == (on_what == "phantom")


@pytest.mark.parametrize(
    ("temperatures", "words"), [((1.0, 2.0), ""), ((1.0, 20.0), "a (1 of 2)"), ((0.05, 20.0), "a (2 of 2)")]
)
def test_temperatures_at_their_bound_are_named(temperatures, words):
    text = run_sentences.temperatures({"a": [SimpleNamespace(temperature=value) for value in temperatures]})
    assert words in text
    assert bool(text) == bool(words)


@pytest.mark.parametrize("first", [0.985, NAN])
def test_write_up_002s_rule_is_quoted_whole_and_the_misread_number_is_the_finding(told, first):
    recall, rest = {"x": first, "y": NAN}, {"x": 0.7, "y": NAN}
    text = reports.recommendation(recall, rest, rest, told)
    assert '"but we still want the model to have reasonable precision"' in text
    assert '"the precision was only 0.47"' in text
    assert "a precision of 0.757 and a recall of 0.985" in text
    assert "0.826 and 0.971" in text
    assert ("0.985, is that of x" in text) == (first == first)
    assert "nan" not in text


def test_the_highest_recall_is_that_of_the_more_precise_of_two_alike():
    assert highest_recall({"a": 0.9, "b": 0.9, "c": NAN}, {"a": 0.5, "b": 0.6, "c": 1.0}) == "b"


@pytest.mark.parametrize("clause", [*CLAUSES, *OF_REAL])
def test_the_reference_run_holds_every_number_that_is_told_of_it(clause):
    said = clause(real_numbers(CHAPTER))
    assert not re.search(r"not defined|not measured|has not been measured|are not told|\bnan\b", said)


@pytest.mark.parametrize("clause", [*CLAUSES, *OF_REAL])
def test_a_run_that_measured_nothing_is_told_without_a_number(clause):
    assert not re.search(r"\bnan\b|\binf\b", clause(Numbers({})))


def test_what_is_folded_is_there_in_the_reference_run_and_quotes_the_write_up():
    real = real_numbers(CHAPTER)
    for one in folded.FOLDED:
        found = real.number(one.needs) if "/" in one.needs else real.metric(one.needs).value
        assert found == found, one.title
        assert not one.quote or quoted(CHAPTER, one.quote)[0].words


@pytest.mark.parametrize(
    ("value", "words"), [(0.1, "lies above 0"), (-0.1, "lies below 0"), (0.0, "these films cannot tell")]
)
def test_a_difference_is_told_by_its_interval(value: float, words: str):
    numbers = with_metrics(**{"003-l1_minus_003-base__auroc": value, "frozen__minus_random__auroc": value})
    assert words in folded.penalty(numbers)
    assert words in sentences.frozen(numbers)


def test_networks_that_thumbnails_beat_are_counted():
    numbers = with_metrics(thumbnails__auroc=0.9, **{"002-a__auroc": 0.85, "003-b__auroc": 0.95, "resnet__auroc": 0.8})
    seeds = {"002-a": [0.7], "003-b": [0.8], "resnet": [0.8]}
    numbers = Numbers({**numbers.results, "experiments": {"seeds": seeds}})
    assert "1 of 2 networks of the write-ups have no higher AUROC" in sentences.bar(numbers)


def test_the_widest_spread_of_seeds_is_named_and_its_ends():
    seeds = {"a": [0.8, 0.82], "b": [0.7, 0.9], "c": [None, 0.8]}
    said = sentences.seeds(Numbers({"experiments": {"seeds": seeds}}))
    assert "of b from 0.700 to 0.900" in said
    assert "median spread of the seeds of a network is 2.0 points" in said
    table = sentences.seed_table(Numbers({"experiments": {"seeds": seeds}}), Numbers({}))
    assert table.loc["b", ["reference_low", "reference_high"]].tolist() == [0.7, 0.9]
    assert table["run"].isna().all()


def test_causes_are_told_apart_only_where_there_are_two():
    recall = {"a": {"bacterial": 0.8, "viral": 0.6}, "b": {"bacterial": 0.6, "viral": 0.6}}
    assert "1 of 2 networks" in folded.causes(Numbers({"experiments": {"recall_by_cause": recall}}))
    assert "two causes are not told" in folded.causes(Numbers({"experiments": {"recall_by_cause": {"a": {}}}}))


def test_write_up_003s_gains_are_told_with_what_it_says_of_them():
    text = sentences.seeds_and_gains(real_numbers(CHAPTER), TOLD)
    assert "0.32 points" in text
    assert '1.28 points, it says itself that it is "not a significant performance increase overall"' in text


def test_a_network_that_knows_nothing_has_no_net_benefit_beyond_treating_all_or_none():
    blind = pd.DataFrame({"threshold": [0.0, 1.0], "sensitivity": [1.0, 0.0], "specificity": [0.0, 1.0]})
    sees = pd.DataFrame({"threshold": [0.5], "sensitivity": [1.0], "specificity": [1.0]})
    table = arithmetic.net_benefit(blind, 0.3)
    assert (table["network"] - table[["treat all", "treat none"]].max(axis=1)).abs().max() < 1e-12
    assert (arithmetic.net_benefit(sees, 0.3)["network"] - 0.3).abs().max() < 1e-12
    assert "0.0 per 100 children" in arithmetic.decision(blind)


def test_more_validation_films_leave_a_narrower_interval():
    wide = arithmetic.by_validation_films(0.9)["points wide"].astype(float)
    assert wide.is_monotonic_decreasing
    assert wide[16] > 25


def test_what_was_proposed_and_not_run_has_no_number():
    table = folded.next_steps(Numbers({}))
    assert set(table["result"]) == {"not defined"}
    assert (folded.next_steps(real_numbers(CHAPTER))["result"] != "not defined").all()


@pytest.mark.parametrize(("share", "words"), [(0.6, "More than"), (0.2, "No more than"), (NAN, "No phantom")])
def test_heat_inside_the_lungs_is_held_against_their_area(share: float, words: str):
    assert words in sentences.inside("a", share, 0.3)


def test_many_looks_flatter_more_where_films_are_few():
    few, many = (arithmetic.optimism_by_looks(films).set_index("networks")["best of them"] for films in (16, 2000))
    assert few[1] == pytest.approx(0, abs=1e-9) and few.is_monotonic_increasing
    assert few[20] > 5 * many[20] > 0
    drawn = np.random.default_rng(0).binomial(16, 0.9, (20_000, 20)).max(1).mean() / 16 - 0.9
    assert few[20] == pytest.approx(100 * drawn, abs=0.1)
    assert "2,000 films" in arithmetic.looks_told((16, 2000))


def test_an_interval_is_wider_where_films_are_few():
    width = [(table["highest"] - table["lowest"]).max() for table in map(arithmetic.interval_by_accuracy, (16, 624))]
    assert width[0] > 4 * width[1]


@pytest.mark.parametrize(("low", "said"), [(0.01, "more than a thumbnail"), (-0.01, "Stop here")])
def test_a_conclusion_stops_at_a_network_that_is_not_above_thumbnails(low: float, said: str):
    gap = Estimate(0.02, low, 0.05, 100, "test")
    lines = run_sentences.conclusion(gap, Estimate(0.9, 0.8, 1, 100, "test"), Estimate(0.9, 0.8, 1, 100, "test"))
    assert said in lines[0] and "50 of 100 alarms" in lines[1]
