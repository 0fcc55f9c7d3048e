"""Parameters: every mistake is a sentence, profiles are values, and notebooks agree with the package."""

import ast
import re

import nbformat
import pytest

from medutils.chapters import all_chapters, read, resolve
from medutils.errors import InputError


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"epohcs": 5},
            r"parameter 'epohcs' \(found 5\) is not known; spine_mlp allows .*epochs.*did you mean 'epochs'\?",
        ),
        ({"epochs": "many"}, r"epochs: found 'many'; expected a whole number from 1 to 10000"),
        ({"epochs": 0}, r"epochs: found 0; expected a whole number from 1 to 10000"),
        ({"epochs": 2.5}, r"epochs: found 2.5; expected a whole number"),
        ({"epochs": True}, r"epochs: found True; expected a whole number"),
        ({"dropout": 1}, r"dropout: found 1; expected a number from 0 to below 1"),
        ({"learning_rate": "nan"}, r"learning_rate: found 'nan'; expected a number above 0 to 1"),
        ({"profile": "quick"}, r"profile: found 'quick'; expected one of smoke, demo, full"),
        ({"class_column": ""}, r"class_column: found ''; expected text that is not empty"),
    ],
)
def test_a_mistake_is_one_sentence_with_what_was_found_and_what_is_allowed(given, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        resolve("spine_mlp", given)
    assert "\n" not in str(caught.value)


def test_an_unknown_chapter_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'spine_mpl' is not known.*did you mean 'spine_mlp'"):
        resolve("spine_mpl", {})


def test_what_is_given_wins_over_the_profile_and_the_profile_over_the_default():
    parameters = resolve("spine_mlp", {"epochs": "50"}, "smoke")
    assert (parameters.epochs, parameters.repeats, parameters.batch_size) == (50, 1, 16)
    assert parameters.profile == "smoke"
    assert resolve("spine_mlp", {"profile": "full"}).repeats == 10
    assert resolve("spine_mlp", {"positive": 1}).positive == "1"


@pytest.mark.parametrize("chapter", all_chapters().values(), ids=lambda chapter: chapter.name)
def test_profiles_set_known_parameters_to_allowed_values(chapter):
    for profile in chapter.profiles:
        assert resolve(chapter.name, {}, profile).profile == profile


def cell(chapter, tag: str) -> str:
    notebook = nbformat.read(chapter.notebook, 4)
    return next(cell.source for cell in notebook.cells if tag in cell.metadata.get("tags", []))


@pytest.mark.parametrize("chapter", all_chapters().values(), ids=lambda chapter: chapter.name)
def test_the_notebook_and_the_package_agree_on_every_parameter(chapter):
    source = cell(chapter, "parameters")
    written = {node.target.id: ast.literal_eval(node.value) for node in ast.parse(source).body}
    assert written == {name: field.default for name, field in chapter.parameters.model_fields.items()}
    types = dict(re.findall(r"^(\w+): (\w+) =", source, re.M))
    for name, field in chapter.parameters.model_fields.items():
        assert types[name] == getattr(field.annotation, "__name__", "str").replace("Literal", "str")


def test_a_notebook_refuses_an_unknown_name_that_plain_papermill_injected():
    namespace = {"In": ["", "# Parameters\nepohcs = 5\n"], "epohcs": 5}
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        read("spine_mlp", namespace)


def test_a_notebook_takes_what_was_not_injected_from_the_profile():
    defaults = {name: field.default for name, field in all_chapters()["spine_mlp"].parameters.model_fields.items()}
    injected = {"In": ["", '# Parameters\nprofile = "smoke"\nepochs = 200\n'], **defaults, "profile": "smoke"}
    parameters = read("spine_mlp", injected)
    assert (parameters.epochs, parameters.repeats) == (200, 1)


def test_a_notebook_opened_by_hand_takes_what_was_edited():
    defaults = {name: field.default for name, field in all_chapters()["spine_mlp"].parameters.model_fields.items()}
    assert read("spine_mlp", {**defaults, "epochs": 7}).epochs == 7


@pytest.mark.parametrize("name", list(all_chapters()))
def test_a_profile_is_known_to_be_right_whatever_the_data_and_what_is_changed_is_not(name: str):
    chapter = all_chapters()[name]
    for profile in chapter.profiles:
        assert chapter.of_a_profile(resolve(name, {"data": "own", "seed": 3}, profile))
    assert not chapter.of_a_profile(resolve(name, {"split": "split.json"}))
