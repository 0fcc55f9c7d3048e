"""What the chapter refuses before it computes anything, and what its parameters ask for."""

from pathlib import Path

import pandas as pd
import pytest

from medutils.chapters import resolve
from medutils.chapters.lumbar_fusion.plan import EMBEDDERS, Setup, check
from medutils.data.manifest import Located
from medutils.data.spider import Spider
from medutils.errors import InputError
from medutils.models.embedders import KINDS
from medutils.training.fusion_choice import Setting


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"parts": "spider,tables"}, "parts: found 'tables'; expected some of spider"),
        ({"architectures": "stacks"}, "architectures: found 'stacks'; expected some of sets"),
        ({"remedies": "zeros"}, "remedies: found 'zeros'; expected some of nothing, zero"),
        ({"remedies": " , "}, "remedies: found none"),
        ({"remedies": "zero,pseudo"}, "remedies: found no 'dynamic'; expected it"),
        ({"features": "16,8.5"}, "features: found '8.5'; expected whole numbers from 1 on"),
        ({"learning_rates": "fast"}, "learning_rates: found 'fast'; expected numbers with commas between"),
        ({"learning_rates": "0.001,-1"}, "learning_rates: found '-1'; expected numbers above 0"),
        ({"learning_rates": ","}, "learning_rates: found none"),
        ({"split": "mine.json"}, "split: found 'mine.json'; expected none"),
    ],
)
def test_a_name_that_there_is_not_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(resolve("lumbar_fusion", given))


def setup(**given: object) -> Setup:
    located = Located("x", "phantom", Path("nowhere"))
    return Setup(Spider(pd.DataFrame(), {}, located), resolve("lumbar_fusion", given))  # type: ignore[arg-type]


def test_a_grid_is_every_pair_of_what_is_named() -> None:
    grid = setup(features="8, 16", learning_rates="0.001,1e-2").trials.grid
    assert grid == (Setting(8, 0.001), Setting(8, 0.01), Setting(16, 0.001), Setting(16, 0.01))
    assert setup(features="8", learning_rates="0.01").trials.grid == (Setting(8, 0.01),)


def test_remedies_keep_their_own_order_and_embedders_are_of_slices() -> None:
    assert setup(remedies="pseudo_vae, dynamic,zero").trials.remedies == ("zero", "dynamic", "pseudo_vae")
    assert EMBEDDERS[0] == "lite0" and not any(KINDS[name].volume for name in EMBEDDERS)
