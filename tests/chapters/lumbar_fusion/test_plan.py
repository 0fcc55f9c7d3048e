"""What the chapter refuses before it computes anything."""

import pytest

from medutils.chapters import resolve
from medutils.chapters.lumbar_fusion.plan import check
from medutils.errors import InputError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"parts": "spider,tables"}, "parts: found 'tables'; expected some of spider"),
        ({"architectures": "stacks"}, "architectures: found 'stacks'; expected some of sets"),
        ({"remedies": "zeros"}, "remedies: found 'zeros'; expected some of nothing, zero"),
        ({"remedies": " , "}, "remedies: found none"),
        ({"split": "mine.json"}, "split: found 'mine.json'; expected none"),
    ],
)
def test_a_name_that_there_is_not_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(resolve("lumbar_fusion", given))
