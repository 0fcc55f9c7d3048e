"""What the six-class chapter trains: the courses of each comparison, and what each changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medutils.chapters.lung_six_class import plan
from medutils.chapters.lung_six_class.plan import Setup, chosen, courses, healthy_class
from medutils.chapters.lung_six_class.sets import DECOY
from medutils.data.films import open_films
from medutils.data.phantoms.chest import make_kermany, make_six_class
from medutils.errors import InputError
from medutils.training.courses import Course
from medutils.training.stages import Phase

# What each comparison adds to `small` and `large`; the number of films a class goes with the films at hand.
NAMES = {
    "redrawn": {"redrawn"},
    "sources": {"without_kermany_walia", "without_nih1000_dinbe", "without_xtbtorch"},
    "augmentation": {"default_augmentation", "heavy_augmentation"},
    "normalise": {"not_normalised"},
    "rates": {"rates_times_ten", "four_frozen", "frozen_low", "frozen_high", "unfrozen_low", "unfrozen_high"},
    "films": {"films_25", "films_50"},
    "decoy": {"decoy"},
    "copies": {"copies_before_split"},
    "milestones": {"subset", "everything", "everything_and_copies", "childrens_normals"},
    "large": {"large_alone_same_time", "large_alone_same_epochs"},
    "unseen": {f"unseen_{source}" for source in ("kermany_walia", "nih1000_dinbe", "xtbtorch")},
    "resnet": {"resnet34_small", "resnet34_large"},
}


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    folders = [tmp_path_factory.mktemp(name) for name in ("lung_six_class", "chest_xray_pneumonia")]
    make_six_class(folders[0], scale=0.15, size=48)
    make_kermany(folders[1], films=(80, 40), size=48)
    films = open_films(str(folders[0]), None, dataset="lung_six_class").hold_out("patient", 0.2, 0)
    children = open_films(str(folders[1]))
    return Setup(films, 32, 48, 5, 4, "tf_efficientnet_lite0", True, 64, 0, children=children)


@pytest.fixture(scope="module")
def made(setup: Setup) -> dict[str, Course]:
    return courses(setup, list(NAMES))


@pytest.mark.parametrize(
    ("names", "found"),
    [("", []), ("redrawn", ["redrawn"]), (" large, decoy,,large ", ["large", "decoy"])],
)
def test_comparisons_are_chosen_by_name(names: str, found: list[str]) -> None:
    assert chosen(names) == found


def test_an_unknown_comparison_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"comparisons: found 'larger'; expected some of redrawn, .*, with commas"):
        chosen("redrawn,larger")


@pytest.mark.parametrize("name", plan.COMPARISONS)
def test_a_comparison_adds_its_courses_to_the_two_stages(name: str, setup: Setup) -> None:
    assert set(courses(setup, [name])) == {"small", "large"} | NAMES[name]


def test_without_comparisons_and_without_the_childrens_films_there_is_less(setup: Setup) -> None:
    assert list(courses(setup, [])) == ["small", "large"]
    assert set(courses(replace(setup, children=None), ["milestones"])) == {"small", "large", "subset"}


def test_every_course_has_a_picture_a_film_and_begins_with_one_that_there_is(made: dict[str, Course]) -> None:
    for name, course in made.items():
        assert course.x.shape == (len(course.records), course.stage.size, course.stage.size), name
        assert set(course.records["label"]) <= set(course.classes)
        assert all(len(rows) for rows in course.pictures.rows.values())
        assert course.after == "" or course.after in made
        # Weights are handed on between networks of the same classes, and for as many seeds as there are.
        before = made.get(course.after, course)
        assert before.classes == course.classes and before.stage.network == course.stage.network
        assert course.once or not before.once


def test_the_test_films_are_the_same_but_for_the_childrens_normals(setup: Setup, made: dict[str, Course]) -> None:
    test = setup.records[setup.records["split"] == "test"]["record_id"].tolist()
    other = {
        name
        for name, course in made.items()
        if course.records[course.records["split"] == "test"]["record_id"].tolist() != test
    }
    assert other == {"childrens_normals"}


def test_the_stages_are_the_write_ups(made: dict[str, Course]) -> None:
    small, large = made["small"].stage, made["large"].stage
    assert (small.size, small.phases) == (32, (Phase(5, True, 1e-3), Phase(4, False, 1e-3 / 2, 5e-5)))
    assert (large.size, large.phases) == (48, (Phase(5, True, 1e-3), Phase(4, False, 1e-3 / 4, 5e-5)))
    assert made["large"].after == "small" and made["redrawn"].after == "small"
    assert made["redrawn"].stage == large


CHANGED: dict[str, Callable[[Course, Course], bool]] = {
    "not_normalised": lambda one, small: one.stage == replace(small.stage, normalise=False),
    "heavy_augmentation": lambda one, small: one.stage == replace(small.stage, augmentation="heavy"),
    "rates_times_ten": lambda one, small: [phase.high for phase in one.stage.phases] == [1e-2, 5e-3],
    "decoy": lambda one, small: one.classes == (*small.classes, DECOY),
    "copies_before_split": lambda one, small: 0 < one.records["copy_of"].ne("").sum() == len(one.x) - len(small.x),
    "resnet34_small": lambda one, small: one.stage == replace(small.stage, network="resnet34", pretrained=False),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_course_differs_from_the_small_stage_in_what_its_name_says(name: str, made: dict[str, Course]) -> None:
    assert CHANGED[name](made[name], made["small"])


def test_copies_are_on_both_sides_before_a_split_and_in_training_alone_after_it(made: dict[str, Course]) -> None:
    before, after = (made[name].records for name in ("copies_before_split", "everything_and_copies"))
    assert set(before.loc[before["copy_of"].ne(""), "split"]) == {"train", "validation"}
    copies = after[after["copy_of"].ne("") & after["split"].ne("")]
    sides = after.set_index("record_id")["split"]
    assert set(copies["split"]) == {"train"} == set(sides[copies["copy_of"]])


def test_the_large_size_alone_takes_as_many_epochs_or_about_as_long(made: dict[str, Course]) -> None:
    both = 5 * (32 / 48) ** 2 + 5  # epochs with the body frozen, each in proportion to a film's area
    epochs = {name: made[f"large_alone_{name}"].stage.phases[0].epochs for name in ("same_time", "same_epochs")}
    assert epochs == {"same_time": round(both), "same_epochs": 10}
    assert not any(made[f"large_alone_{name}"].after for name in epochs)


@pytest.mark.parametrize(
    ("classes", "healthy"),
    [
        (plan.WRITTEN, "Normal"),
        (("ill", "Healthy controls"), "Healthy controls"),
        (("a", "b"), ""),
        (("no", "none"), ""),
    ],
)
def test_the_healthy_class_is_the_one_named_so(classes: tuple[str, ...], healthy: str) -> None:
    assert healthy_class(classes) == healthy


def test_two_healthy_classes_are_none() -> None:
    assert healthy_class(("normal", "healthy", "ill")) == ""


def test_pixels_are_grey_squares_in_the_order_of_the_records(setup: Setup) -> None:
    records = setup.records.iloc[[5, 2, 9]]
    whole = plan.pixels(setup.records, 32)
    assert (plan.pixels(records, 32) == whole[[5, 2, 9]]).all()
    assert {Path(path).suffix for path in setup.records["path"]} == {".jpeg", ".png"}
