"""The films chapter: splits that keep patients together, trainings that are kept, and what the write-ups' errors do."""

import inspect
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medutils import cache
from medutils.chapters import get_chapter, resolve
from medutils.chapters.pneumonia_cnn import experiments as pneumonia
from medutils.chapters.pneumonia_cnn import reports
from medutils.chapters.pneumonia_cnn.variants import VARIANTS, chosen, others
from medutils.data import images
from medutils.data.films import open_films
from medutils.data.phantoms.chest import make_kermany
from medutils.errors import InputError
from medutils.evaluation import binary, counts, evaluate, fit_temperature, one_against_rest
from medutils.evidence import load_reference, load_reported, reported_values
from medutils.files import sha256
from medutils.training import baselines, loop, summaries, trainer
from medutils.training import kept as fitting
from medutils.training.pretraining import Course, phantom_weights

PLAN = fitting.Plan(epochs=1, image_size=32)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films") / "chest_xray_pneumonia"
    folder.mkdir()
    make_kermany(folder, films=(80, 40), size=48)
    return open_films(str(folder))


@pytest.fixture(scope="module")
def trainings(films):
    return fitting.train_all(films, chosen("002-baseline,002-augmented"), PLAN, 2)


def own_folder(root: Path, classes=("a", "b", "c"), films=24, patients=2, seed=0) -> Path:
    rng = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for film in range(films):
            pixels = rng.integers(0, 100, (40, 40)) + 50 * number
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"p{name}{film // patients}_{film}.png")
    return root


def test_patients_stay_on_one_side_and_the_test_films_stay_as_they_are(films):
    held = films.hold_out("patient", 0.2, 0)
    train, validation = (set(held.records["patient"].iloc[held.rows(split)]) for split in ("train", "validation"))
    assert not train & validation
    assert (held.rows("test") == films.rows("test")).all()
    assert 0.1 < len(held.rows("validation")) / 80 < 0.3


@pytest.mark.parametrize(("scheme", "expected"), [("file", 16), ("first", 16), ("sixteen", 16)])
def test_the_write_ups_own_ways_of_holding_out(films, scheme, expected):
    held = films.hold_out(scheme, 0.2, 0)
    assert len(held.rows("validation")) == expected
    if scheme == "first":
        labels = held.records["label"]
        for label in films.classes:
            own = held.records[(labels == label) & (held.records["split"] != "test")].sort_values("record_id")
            assert own["split"].tolist() == sorted(own["split"], key=["validation", "train"].index)


def test_own_folders_of_three_classes_are_split_by_the_patients_named(tmp_path):
    found = open_films(str(own_folder(tmp_path / "own")), "a", r"^(p\w+)_")
    assert found.classes == ("b", "c", "a")
    assert found.records["patient"].nunique() == 36
    by_patient = found.records.groupby("patient")["split"].nunique()
    assert (by_patient == 1).all()
    assert found.located.name == "own"


@pytest.mark.slow
def test_three_classes_train_and_are_judged_one_against_the_rest(tmp_path):
    found = open_films(str(own_folder(tmp_path / "own")), "a")
    group = fitting.train_all(found, {"small": VARIANTS["002-baseline"]}, PLAN, 2)["small"]
    table = summaries.pooled(group)
    assert list(table.filter(like="prob_")) == ["prob_b", "prob_c", "prob_a"]
    assert evaluate(one_against_rest(table, "a"), binary("a"), "test", resamples=20)["auroc"].n == len(
        found.rows("test")
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"positive": "PNEUMOINA"}, "positive: found 'PNEUMOINA'"),
        ({"patient_pattern": "("}, "patient_pattern"),
    ],
)
def test_wrong_parameters_are_refused_in_a_sentence(films, given, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        open_films(str(films.located.path), **given)


def test_an_unreadable_film_is_left_out_and_named(tmp_path):
    folder = own_folder(tmp_path / "own")
    (folder / "a" / "broken.png").write_bytes(b"not a film")
    found = open_films(str(folder))
    assert [Path(path).name for path, _ in found.skipped] == ["broken.png"]


def copied(folder: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    return shutil.copy(sorted(folder.glob("*.png"))[0], target / "copy.png")


def test_one_film_in_two_classes_or_on_two_sides_is_refused_with_both_names(tmp_path):
    folder = own_folder(tmp_path / "own")
    copied(folder / "a", folder / "b")
    with pytest.raises(
        InputError, match=r"own/b/copy.png: found the same film as .*/a/|the same film as .*/b/copy.png"
    ):
        open_films(str(folder))
    sides = tmp_path / "sides"
    own_folder(sides / "train", "ab")
    own_folder(sides / "test", "ab", films=4, seed=1)
    copied(sides / "train" / "a", sides / "test" / "a")
    with pytest.raises(InputError, match="in another split"):
        open_films(str(sides))


def test_a_class_whose_films_cannot_be_read_is_named_with_one_of_them(tmp_path):
    folder = own_folder(tmp_path / "own")
    for path in (folder / "b").iterdir():
        path.write_bytes(b"not a film")
    with pytest.raises(InputError, match=r"found 0 patients of b \(24 files .*such as b/pb0_0.png"):
        open_films(str(folder))


def test_too_few_patients_are_told_with_the_folder(tmp_path):
    folder = own_folder(tmp_path / "own", patients=24)
    with pytest.raises(InputError, match=r"own: found 1 patients of a;.*patient_pattern"):
        open_films(str(folder), patient_pattern=r"^(p\w)")


@pytest.mark.parametrize(
    ("scheme", "films", "words"), [("sixteen", 10, "more than 8 for sixteen"), ("file", 10, "to validate")]
)
def test_too_few_films_to_hold_out_are_refused(tmp_path, scheme, films, words):
    found = open_films(str(own_folder(tmp_path / "own", "ab", films, 1)))
    with pytest.raises(InputError, match=f"validation: .*{words}"):
        found.hold_out(scheme, 0.02, 0)


def test_a_validation_folder_of_many_films_is_kept_and_one_of_few_trains(tmp_path):
    for name, films in (("few", 10), ("many", 30)):
        for split, count in (("train", 40), ("val", films), ("test", 11)):
            part = own_folder(tmp_path / name / split, "ab", count, 1, seed=count)
            for path in part.rglob("*.png"):
                path.rename(path.with_name(f"{split}{path.name}"))
    few, many = (open_films(str(tmp_path / name)) for name in ("few", "many"))
    assert set(many.hold_out("file", 0.1, 0).rows("validation")) == set(many.rows("validation"))
    assert len(few.hold_out("file", 0.1, 0).rows("validation")) == 10
    assert len(many.undivided().hold_out("file", 0.1, 0).rows("validation")) == 14


def test_a_class_may_be_called_other(tmp_path):
    found = open_films(str(own_folder(tmp_path / "own", ("other", "sick", "well"))), "other")
    table = baselines.linear_baseline(found)
    assert evaluate(one_against_rest(table, "other"), binary("other"), "test", resamples=10)["auroc"].value > 0.5


@pytest.mark.slow
def test_networks_that_cannot_take_the_films_are_refused_before_the_run():
    with pytest.raises(InputError, match="image_size: found 12"):
        fitting.check_networks(chosen("003-base"), fitting.Plan(image_size=12, backbone="resnet18"))
    with pytest.raises(InputError, match="image_size: found 32, which inception_v3 cannot take"):
        fitting.check_networks(chosen("003-inception"), fitting.Plan(image_size=32))
    with pytest.raises(
        InputError, match=r"backbone: found 'vit_tiny_patch16_224'|which vit_tiny_patch16_224 cannot take"
    ):
        fitting.check_networks(chosen("002-xception"), fitting.Plan(image_size=32, backbone="vit_tiny_patch16_224"))


def test_the_most_confident_mistakes_are_mistakes_at_the_threshold(trainings):
    one = trainings["002-baseline"][0]
    table = one.predictions()
    wrong = table[(table["prob_PNEUMONIA"] >= one.threshold) != (table["y_true"] == "PNEUMONIA")]
    shown = summaries.most_wrong(one, len(table))
    assert set(shown["record_id"]) == set(wrong["record_id"])
    assert shown["sure"].is_monotonic_decreasing


def test_unknown_variants_are_refused():
    with pytest.raises(InputError, match="variants: found '002-basline'"):
        chosen("002-basline")


def test_frozen_variants_have_no_augmentation_and_every_name_says_whose_it_is():
    for name, variant in VARIANTS.items():
        frozen = variant.design.backbone and variant.design.frozen
        assert not (frozen and variant.augmentation.degrees), name
        assert not variant.write_up or name.startswith(variant.write_up) or name == "mild"


@pytest.mark.slow
def test_a_new_network_is_one_entry_and_nothing_else_is_trained_anew(films, trainings, monkeypatch):
    name, old = "002-three", VARIANTS["002-augmented"]
    wider = replace(old.design, widths=(8, 8, 16), dropouts=(0, 0, 0.5))
    monkeypatch.setitem(VARIANTS, name, replace(old, what="three convolutions", design=wider))
    asked = resolve("pneumonia_cnn", {"variants": f"002-baseline,002-augmented,{name}", "data": "phantom"}, "smoke")
    get_chapter("pneumonia_cnn").find(asked)
    folder = trainings["002-baseline"][0].path.parent
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.pt")}
    found = fitting.train_all(films, chosen(asked.variants), PLAN, 2)
    assert {path for path in folder.glob("*.pt") if path not in before} == {one.path for one in found[name]}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert found[name][0].predictions()["prob_PNEUMONIA"].between(0, 1).all()
    table = Path(inspect.getfile(chosen))  # no training's key holds the table of the networks
    assert table not in cache.sources_of([trainer.__name__])


def test_a_training_is_kept_and_repeats_to_the_bit(films, trainings, monkeypatch, tmp_path):
    first = trainings["002-baseline"][0]
    written = first.path.stat().st_mtime_ns
    with loop.one_thread():
        assert fitting.train_variant(films, VARIANTS["002-baseline"], 0, PLAN).path == first.path
    assert first.path.stat().st_mtime_ns == written  # what is kept is not trained again
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing is kept here
    with loop.one_thread():
        again = fitting.train_variant(films, VARIANTS["002-baseline"], 0, PLAN)
    assert again.path.name == first.path.name
    assert torch.equal(again.test_logits, first.test_logits)


def test_trainings_hold_no_weights_until_they_are_asked_for(trainings):
    one = trainings["002-baseline"][0]
    held = [value for value in vars(one).values() if isinstance(value, torch.Tensor)]
    assert sum(value.numel() for value in held) < 1000
    assert sum(value.numel() for value in one.state.values()) > 100_000


def test_pixels_are_hashed_once_for_all_trainings_whatever_process_runs_them(tmp_path, monkeypatch):
    found = open_films(str(own_folder(tmp_path / "own", "ab")))
    found.fingerprint(32)  # the array is there; the next to ask finds it by its key and hashes it
    fresh, hashed = replace(found, _arrays={}), []
    monkeypatch.setattr(images, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    assert fresh.fingerprint(32) == found.fingerprint(32)
    shutil.rmtree(tmp_path / "own")  # a process that looked at a film again would find none
    fitting.train_all(fresh, {"small": VARIANTS["002-baseline"]}, PLAN, 3)
    assert hashed.count(images.PIXELS) == 1
    assert len(hashed) == 1 + len(fresh.records)


def test_continuing_starts_from_the_weights_given(films, trainings):
    start = trainings["002-baseline"][::-1]  # seed 0 goes on from what seed 1 gave
    shared = fitting.train_all(films, {"shared": VARIANTS["002-augmented"]}, PLAN, 2, starts=start)["shared"][0]
    near, far = ((shared.state["head.dense.weight"] - one.state["head.dense.weight"]).abs().mean() for one in start)
    assert near < far / 2


def test_seeds_differ_and_thresholds_come_from_validation(trainings):
    one, two = trainings["002-baseline"]
    assert not torch.equal(one.test_logits, two.test_logits)
    assert one.predictions()["threshold"].nunique() == 1
    assert one.predictions()["threshold"].iloc[0] == one.threshold
    assert set(one.as_written()["threshold"]) == {0.5}


def test_a_network_is_judged_by_each_rule_for_its_threshold(trainings):
    found = summaries.accuracy_by_rule(trainings, "PNEUMONIA")
    assert list(found.columns) == ["one_half", "f1", "balanced_accuracy"]
    first = trainings["002-baseline"]
    right = [np.equal(*summaries.decisions(one.predictions(), "PNEUMONIA")).mean() for one in first]
    assert found.loc["002-baseline", first[0].variant.rule.lower().replace(" ", "_")] == pytest.approx(np.mean(right))


def test_phantom_weights_hang_on_the_backbone_and_on_nothing_that_was_drawn_before(tmp_path, monkeypatch):
    plain = replace(VARIANTS["002-xception"].design, backbone="resnet18", size=32)
    other = replace(plain, penalised=("dense",), l1=0.01, flatten_dropout=0.5, mean=(0.0,), deviation=(1 / 255,))
    found = []
    for number, design in enumerate((plain, other)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(number)))
        torch.manual_seed(number)
        found.append(phantom_weights(design, Course(films=40, size=32, epochs=1)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_backbone_too_large_for_the_courses_phantoms_learns_from_some_of_its_own_size():
    design = replace(VARIANTS["003-inception-l1"].design, size=80)
    kept = phantom_weights(design, Course(films=20, epochs=1))
    assert all(
        torch.equal(kept[name], value) for name, value in phantom_weights(design, Course(films=20, epochs=1)).items()
    )


def test_balanced_weights_are_write_up_002s():
    y = torch.tensor([0] * 258 + [1] * 742)
    assert trainer.balanced_weights(y, 2) == pytest.approx((1.94, 0.67), abs=0.005)


def test_the_first_batch_counted_twice_gives_656_films():
    y = np.r_[np.zeros(234, int), np.ones(390, int)]
    doubled, _ = pneumonia.first_batch_twice(y, y)
    assert len(doubled) == 656


def test_swapped_arguments_exchange_precision_and_recall():
    y, said = np.array([0, 0, 0, 1, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 1, 1, 1, 0])
    right, wrong = pneumonia.report(y, said, ["no", "yes"]), pneumonia.report(said, y, ["no", "yes"])
    assert right["precision"].tolist() == wrong["recall"].tolist()
    assert right["recall"].tolist() == wrong["precision"].tolist()


def test_the_published_reports_come_from_the_published_matrices():
    told = reported_values("pneumonia_cnn")
    for name, matrix in reports.matrices_002(told).items():
        (tn, fp), (fn, tp) = matrix
        y = np.repeat([0, 0, 1, 1], [int(count) for count in (tn, fp, fn, tp)])
        said = np.repeat([0, 1, 0, 1], [int(count) for count in (tn, fp, fn, tp)])
        swapped = pneumonia.report(said, y, ["0", "1"]).round(2)
        for number in ("0", "1"):
            assert swapped.loc[number].tolist() == told[f"{name}_report_{number}"]


def test_write_up_003s_matrix_reads_as_it_says_only_with_the_wrong_class():
    told = reported_values("pneumonia_cnn")
    matrix = reports.matrix_003(told)
    assert matrix == ((190, 44), (9, 381))
    claimed, true = reports.readings_003(matrix)
    assert (claimed["precision"], claimed["recall"]) == pytest.approx(
        (told["003_precision"], told["003_recall"]), abs=5e-5
    )
    assert (true["recall"], true["precision"]) == pytest.approx((0.977, 0.896), abs=5e-4)


def test_write_up_002s_baseline_has_the_highest_recall_and_the_precision_it_misreads_is_its_specificity():
    told = reported_values("pneumonia_cnn")
    read = {name: pneumonia.read_matrix(m) for name, m in reports.matrices_002(told).items()}
    recall, precision = ({name: one[key] for name, one in read.items()} for key in ("sensitivity", "precision"))
    assert pneumonia.highest_recall(recall, precision) == "002-baseline"
    assert round(read["002-baseline"]["specificity"], 2) == told["baseline_precision_read"]
    assert round(precision["002-baseline"], 3) == 0.757


def test_choosing_on_the_test_set_flatters_models_that_only_guess(trainings):
    one = trainings["002-baseline"][0]
    generator = torch.Generator().manual_seed(0)
    guesses = [replace(one, test_logits=torch.randn(len(one.test_logits), generator=generator)) for _ in range(20)]
    found = summaries.optimism(guesses, one.films.positive, 200, 0)
    assert found["optimism"] > 0.05
    assert found["models"] == 20


def test_a_collapsed_network_is_told_from_one_that_decides(trainings):
    one = trainings["002-baseline"][0]
    table = one.as_written().assign(prob_PNEUMONIA=0.9, prob_NORMAL=0.1)
    assert summaries.collapsed(table, "PNEUMONIA")
    table.loc[0, "prob_PNEUMONIA"] = 0.1
    assert not summaries.collapsed(table, "PNEUMONIA")


def test_only_drawing_patients_keeps_them_out_of_training(films):
    table = summaries.shared_patients(films, ["patient", "file"], 0.2, 0)
    assert table.loc["patient", "patient_in_training"] == 0
    assert table.loc["file", "patient_in_training"] > 0.2
    assert table.loc["file", "validation_films"] == 16


def test_augmented_validation_differs_and_without_augmentation_does_not(trainings):
    plain, moved = (pneumonia.augmented_validation(trainings[name][0], 4, 0) for name in trainings)
    assert set(plain["augmented"]) == {plain["still"]}
    assert len(moved["augmented"]) == 4
    assert moved == pneumonia.augmented_validation(trainings["002-augmented"][0], 4, 0)


def test_a_guess_on_few_films_can_look_like_anything(trainings):
    one = trainings["002-baseline"][0]
    guess = replace(one, validation_logits=1.0 - 2 * (torch.arange(len(one.validation_logits)) % 2))
    certain = replace(one, validation_logits=2.0 * one.films.y[one.films.rows("validation")] - 1)
    table = pneumonia.small_validation({"guess": [guess], "certain": [certain]}, one.films.positive, 4, 500, 0)
    assert table.loc["guess", "high"] - table.loc["guess", "low"] > 0.2
    assert (table.loc["certain"] == 1).all()


def test_temperature_scaling_finds_the_temperature_that_logits_were_made_with():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(int)
    assert fit_temperature(3 * logits, y) == pytest.approx(3, rel=0.05)
    assert fit_temperature(np.stack([0 * logits, 3 * logits], 1), y) == pytest.approx(3, rel=0.05)


def test_counts_put_the_truth_in_the_rows():
    table = counts(np.array([0, 0, 1]), np.array([1, 1, 1]), ["no", "yes"])
    assert table.to_numpy().tolist() == [[0, 2], [0, 1]]


def test_one_against_the_rest_keeps_two_classes_as_they_are(trainings):
    table = trainings["002-baseline"][0].predictions()
    assert one_against_rest(table, "PNEUMONIA") is table


def test_the_takeaways_hold_in_the_reference_run():
    reference = load_reference("pneumonia_cnn")
    metrics, found = reference["metrics"], reference["experiments"]
    assert metrics["003-augmented_minus_003-base.auroc"]["low"] > 0
    assert metrics["002-augmented_minus_002-baseline.auroc"]["low"] < 0
    assert found["shared_weights"]["auroc"]["fresh"] < found["shared_weights"]["auroc"]["none"]
    assert metrics["002-xception_minus_002-baseline.auroc"]["low"] > 0
    assert reference["parameters"]["weights"] == "phantom"
    assert found["collapsed"]["002-xception.raw"] == reference["parameters"]["seeds"]
    assert found["threshold_rule"]["f1"] < found["threshold_rule"]["one_half"]
    assert metrics["majority.accuracy"]["value"] < found["split"]["positive_share"]


def test_every_network_that_the_write_ups_train_from_nothing_is_named_by_the_reference_run_or_trained_beside():
    named = chosen(load_reference("pneumonia_cnn")["parameters"]["variants"])
    theirs = {name for name, one in VARIANTS.items() if one.write_up and not one.design.backbone}
    assert theirs == set(others(named)) | {
        name for name, one in named.items() if one.write_up and not one.design.backbone
    }
    assert "003-l2" not in others(["003-l2"])


def test_every_claim_has_words():
    assert all(claim.words.strip() and claim.section for claim in load_reported("pneumonia_cnn").claims)
