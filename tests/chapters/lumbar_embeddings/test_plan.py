"""What the lumbar chapter computes: parameters are refused in a sentence, and every part works on the same studies."""

import numpy as np
import pytest
import torch

from medutils.chapters import resolve
from medutils.chapters.lumbar_embeddings import grid, plan
from medutils.chapters.lumbar_embeddings.classifiers import RECIPES
from medutils.errors import InputError
from medutils.training.grading import FINE_TUNED

CHAPTER = "lumbar_embeddings"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"parts": "grid, tea"}, r"parts: found 'tea'; expected some of protocol"),
        ({"embedders": "vgg"}, r"embedders: found 'vgg'; expected some of rn50, aal"),
        ({"recipes": "knn"}, r"recipes: found 'knn'; expected some of svc"),
        ({"depth": 19}, r"depth: found 19; expected one of 10, 18"),
        ({"studies": "8,many"}, r"studies: found 'many'; expected whole numbers from 1 on"),
    ],
)
def test_a_name_that_is_not_known_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        plan.check(resolve(CHAPTER, given))


@pytest.mark.parametrize("profile", ["smoke", "demo", "full"])
def test_profiles_name_parts_that_there_are(profile):
    plan.check(resolve(CHAPTER, {}, profile))


def test_the_full_profile_fine_tunes_by_the_recipe_that_was_fixed_beforehand():
    setup = plan.Setup(None, resolve(CHAPTER, {}, "full"))  # type: ignore[arg-type]
    assert setup.course().recipe == FINE_TUNED and setup.p.seeds == 3


def test_the_full_profile_runs_every_configuration_of_the_table():
    cells = plan.grid_cells(resolve(CHAPTER, {}, "full"))
    assert set(cells) == {*grid.REPORTED, *grid.LITE0}
    smaller = plan.grid_cells(resolve(CHAPTER, {"embedders": "rn50", "recipes": "svc,lgbm"}))
    assert {cell.embedder for cell in smaller} == {"rn50"} and {cell.recipe for cell in smaller} == {"svc", "lgbm"}
    assert set(RECIPES) >= {cell.recipe for cell in cells}


def test_an_attention_that_is_drawn_is_the_same_for_one_seed_and_another_for_the_next():
    before = torch.get_rng_state()
    one, again, other = (plan.drawn(8, 4, "attention", seed) for seed in (0, 0, 1))
    assert torch.equal(one.head.weight, again.head.weight) and not torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(before, torch.get_rng_state())
    assert plan.drawn(8, 4, "mean", 0) is None


def test_what_is_kept_is_not_made_again():
    calls = []

    def make():
        calls.append(1)
        return {"share": 0.5}

    first, second = (plan.kept(plan.check, ["for a test"], make) for _ in range(2))
    assert first == second == {"share": 0.5} and len(calls) == 1
    assert np.isfinite(first["share"])
