"""What the pneumonia chapter says of a run, in every branch, and of the write-ups, in their own words."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from medutils.chapters.pneumonia_cnn import sentences
from medutils.chapters.pneumonia_cnn.experiments import highest_recall
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.evaluation import Estimate
from medutils.evidence import reported_values

NAN = float("nan")
NONE = Estimate(NAN, NAN, NAN, 0, "test")


def films(unmatched=(), skipped=(), notes=(), classes=("NORMAL", "PNEUMONIA")) -> Films:
    records = pd.DataFrame(
        {"record_id": list("abcd"), "patient": list("abcd"), "label": list(classes) * 2, "split": "train"}
    )
    located = Located("own_*", "real", Path("own"))
    return Films(records, tuple(classes), located, tuple(skipped), 0, tuple(unmatched), tuple(notes))


def around(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, value - half, value + half, 62, "test", ("the 2 repeats",))


@pytest.fixture(scope="module")
def told():
    return reported_values("pneumonia_cnn")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (around(0.1), "lies above 0. The interval is over patients; it takes the 2 repeats as given."),
        (around(-0.1), "lies below 0."),
        (around(0.01), "The interval holds 0: these films cannot tell."),
        (Estimate(0.1, 0.0, 0.2, 62, ""), "holds 0"),
        (NONE, "not defined in AUROC. Its interval is not defined"),
        (Estimate(0.1, NAN, NAN, 62, ""), "Its interval is not defined"),
    ],
)
def test_a_difference_is_told_by_its_interval(found, words):
    assert words in sentences.difference_of("A minus B", found)
    assert words in sentences.mild(found, 0, 2)
    assert "1 of 2 trainings" in sentences.mild(found, 1, 2)


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        ({}, "nothing to compare"),
        ({"a_minus_b": around(0.1), "c_minus_b": around(0)}, "for 1 of 2: a minus b."),
        ({"a_minus_b": around(0)}, "for 0 of 1: none."),
        ({"a_minus_b": NONE}, "for 0 of 1: none. It is not defined for a minus b."),
    ],
)
def test_networks_that_differ_are_named(gaps, words):
    assert words in sentences.paired({name: {"auroc": found} for name, found in gaps.items()})


LEAK = {
    scheme: {"auroc_gap": gap, "auroc_gap_spread": 0.01, "accuracy_gap": 0.1}
    for scheme, gap in (("file", 0.07), ("patient", 0.05))
}


def test_nobody_is_said_to_be_on_one_side_where_patients_are_not_known():
    assert "nobody is on both sides, so that gap is chance" in sentences.leak(LEAK, films())
    unknown = films(unmatched=["a", "b"])
    table = pd.DataFrame({"patient_in_training": [0.0, 0.2]}, index=["patient", "file"])
    assert "0.0% (patient), 20.0% (file)" in sentences.shared_patients(table, films())
    for text in (sentences.leak(LEAK, unknown), sentences.shared_patients(table, unknown)):
        assert "The patient of 2 of 4 films is not known" in text
        assert "`patient_pattern`" in text
        assert "nobody" not in text
    assert "0.0%" not in sentences.shared_patients(table, unknown)
    undefined = {scheme: dict.fromkeys(found, NAN) for scheme, found in LEAK.items()}
    said = sentences.leak(undefined, films())
    assert "nan" not in said and said.endswith("By patient nobody is on both sides.")


def test_limits_name_what_was_left_out_and_what_is_not_known():
    left = [(f"ill/{number}_*.png", "is no image") for number in range(5)]
    lines = sentences.limits(films(unmatched=["a"], skipped=left), SimpleNamespace(validation="patient"))
    text = "\n".join(lines)
    assert r"ill/0\_\*.png (is no image)" in text
    assert text.count("is no image") == 3
    assert "and 2 more" in text
    assert "The patient of 1 of 4 films is not known" in text
    assert r"own\_\*" in text
    assert "stayed on one side of the split" in text
    none = sentences.limits(films(unmatched=list("abcd")), SimpleNamespace(validation="patient"))
    assert "stayed on one side" not in "\n".join(none)
    known = "\n".join(sentences.limits(films(), SimpleNamespace(validation="file")))
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
    text = "\n".join(sentences.limits(made, SimpleNamespace(validation=validation)))
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
    assert words in sentences.split({"train": 1, "validation": 2, "test": 3}, (1.0, 1.0), made, scheme)


@pytest.mark.parametrize(("kind", "words"), [("phantom", "drawn by a program"), ("real", "One hospital")])
def test_a_phantom_is_said_to_come_from_no_hospital(kind: str, words: str):
    made = replace(films(), located=Located("kermany_chest_xray", kind, Path("x")))
    assert words in sentences.limits(made, SimpleNamespace(validation="patient"))[0]
    assert ("One hospital" in sentences.limits(made, SimpleNamespace(validation="patient"))[0]) == (kind == "real")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([(224, 224), (224, 224)], "The 2 films looked at are all of one size. They are square already"),
        ([(224, 224), (64, 64)], "differ in size. They are square already"),
        ([(200, 100), (200, 100)], "are all of one size. Each is squashed"),
        ([(200, 100), (100, 100)], "differ in size. Each is squashed"),
    ],
)
def test_films_are_said_to_be_squashed_where_they_are(sizes: list[tuple[int, int]], words: str):
    assert words in sentences.sizes(pd.DataFrame(sizes, columns=["width", "height"]))


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (0.6, "share is the same."),
        (0.742, "is 14.2 points higher."),
        (0.5, "is 10.0 points lower."),
        (NAN, "is not defined."),
    ],
)
def test_the_training_share_is_told_beside_the_test_share(train: float, words: str):
    assert words in sentences.class_shares(pd.Series({"train": train, "test": 0.6}), "ill")


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
    said = sentences.trained(group, SimpleNamespace(image_size=image_size, epochs=epochs))
    assert said == f"2 trainings, {words}, took 3 s in all when they were run."


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        ({"a": 0.7, "b": 0.8}, "that of b: 0.800 (0.750 to 0.850). All are above the majority class."),
        ({"a": 0.6, "b": 0.8}, "Not above the majority class: a."),
        ({"a": NAN, "b": 0.8}, "that of b: 0.800 (0.750 to 0.850). Not above the majority class: a."),
        ({"a": NAN, "b": NAN}, "No accuracy is defined"),
    ],
)
def test_only_networks_that_beat_the_majority_class_are_said_to(accuracy: dict[str, float], words: str):
    scores = {name: {"accuracy": around(value)} for name, value in accuracy.items()}
    assert words in sentences.as_written(scores, {"accuracy": around(0.6)})


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
    assert words in sentences.failures(SimpleNamespace(films=SimpleNamespace(classes=classes, positive="b")), worst)


@pytest.mark.parametrize("on_what", ["phantom", "real data"])
def test_a_class_that_was_picked_is_said_at_the_start(on_what):
    text = sentences.origin(films(notes=["The positive class is taken to be b."]), on_what)
    assert text.endswith("The positive class is taken to be b.")
    assert ("made from a phantom" in text) == (on_what == "phantom")


def test_names_of_classes_cannot_mark_up_the_page():
    own = films(classes=("a", "<b>*"))
    scores = {"majority": {"sensitivity": around(1), "accuracy": around(0.6)}}
    scores["thumbnails"] = {"auroc": around(0.9), "accuracy": around(0.8)}
    texts = [
        sentences.class_shares(pd.Series({"train": 0.7, "test": 0.6}), own.positive),
        sentences.split({"train": 2, "validation": 1, "test": 1}, (1.9, 0.7), own, "patient"),
        sentences.bar(scores, own.positive),
    ]
    assert all(r"\<b\>\*" in text and " <b>" not in text for text in texts)


@pytest.mark.parametrize(
    ("temperatures", "words"), [((1.0, 2.0), ""), ((1.0, 20.0), "a (1 of 2)"), ((0.05, 20.0), "a (2 of 2)")]
)
def test_temperatures_at_their_bound_are_named(temperatures, words):
    text = sentences.temperatures({"a": [SimpleNamespace(temperature=value) for value in temperatures]})
    assert words in text
    assert bool(text) == bool(words)


@pytest.mark.parametrize("first", [0.985, NAN])
def test_write_up_002s_rule_is_quoted_whole_and_the_misread_number_is_the_finding(told, first):
    recall, rest = {"x": first, "y": NAN}, {"x": 0.7, "y": NAN}
    text = sentences.recommendation(recall, rest, rest, told)
    assert '"but we still want the model to have reasonable precision"' in text
    assert '"the precision was only 0.47"' in text
    assert "a precision of 0.757 and a recall of 0.985" in text
    assert "0.826 and 0.971" in text
    assert ("0.985, is that of x" in text) == (first == first)
    assert "nan" not in text


def test_the_highest_recall_is_that_of_the_more_precise_of_two_alike():
    assert highest_recall({"a": 0.9, "b": 0.9, "c": NAN}, {"a": 0.5, "b": 0.6, "c": 1.0}) == "b"


def test_write_up_003s_gains_are_told_with_what_it_says_of_them(told):
    text = sentences.seeds(pd.DataFrame([[0.8, 0.9]]), told)
    assert "differs by 10.0 points." in text
    assert "by 0.0 to 10.0 points" in sentences.seeds(pd.DataFrame([[0.8, 0.9], [0.7, 0.7]]), told)
    assert "nan" not in sentences.seeds(pd.DataFrame([[NAN, NAN]]), told)
    assert "0.32 points" in text
    assert '1.28 points, it says itself that it is "not a significant performance increase overall"' in text


def scores_of(value: float) -> dict:
    measures = ("accuracy", "sensitivity", "specificity", "brier", "auroc", "precision")
    return {name: dict.fromkeys(measures, around(value)) for name in ("a", "b")}


@pytest.mark.parametrize("value", [0.7, NAN])
def test_no_sentence_shows_a_number_that_is_not_defined(value, told):
    scores = scores_of(value)
    judged = {"majority": scores["a"], "thumbnails": scores["b"]}
    auroc = {name: {"auroc": around(value)} for name in ("fresh", "shared", "none", "right", "raw")}
    texts = [
        sentences.bar(judged, "PNEUMONIA"),
        sentences.as_written(scores, scores["a"]),
        sentences.fixed(scores, scores),
        sentences.rules(pd.DataFrame({"f1": [value], "one_half": [value]}), {"validation": 0.7, "test": 0.6}),
        sentences.calibration(scores, pd.Series({"train": 0.7, "test": 0.6})),
        sentences.shared({"fresh": value, "shared": value}, auroc, told),
        sentences.raw({"right": value, "raw": value}, auroc, "none", told),
        sentences.augmented_validation("a", {"still": value, "augmented": [value, value]}),
        sentences.picked({"models": 3, "chosen": value, "fresh": value, "optimism": value, "picks": 9}),
        sentences.collapsed({"a": 1}, scores),
    ]
    assert not [text for text in texts if "nan" in text.replace("Ensemble", "")]


def test_causes_are_told_apart_only_where_there_are_two():
    low, high = around(0.6), around(0.8)
    assert "do not tell two causes" in sentences.causes({"a": {}})
    both = {"a": {"bacterial": high, "viral": low}, "b": {"bacterial": low, "viral": low}}
    assert "bacterial pneumonia in 0 and that of viral pneumonia in 1." in sentences.causes(both)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pd.DataFrame(columns=["mean", "low", "high"]), "cannot be drawn"),
        (pd.DataFrame({"mean": [0.8, 0.9], "low": [0.7, 0.8], "high": [0.9, 1.0]}), "within up to 20.0 points"),
        (pd.DataFrame({"mean": [NAN], "low": [NAN], "high": [NAN]}), "within up to not defined points"),
    ],
)
def test_sixteen_films(table, words):
    assert words in sentences.small_validation(table)


@pytest.mark.parametrize(
    ("gap", "words"), [(around(0.1), "lies above 0"), (around(0), "cannot tell"), (NONE, "is not defined")]
)
def test_frozen_features_are_told_beside_their_controls(gap, words):
    scores = {name: around(0.9) for name in ("accuracy", "sensitivity", "specificity", "auroc")}
    gaps = {name: {"auroc": gap} for name in ("minus_random", "minus_thumbnails")}
    said = sentences.frozen({"lite": scores, "lite.at_half": scores, **gaps}, "lite")
    assert said.count(words) == 2 and "nan" not in said
