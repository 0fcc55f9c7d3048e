"""What the chapter `new_chapter` alone promises."""

import pytest

from medutils.chapters import get_chapter, resolve
from medutils.errors import InputError


def test_a_table_that_is_not_there_is_refused_before_the_notebook_starts():
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        get_chapter("new_chapter").find(resolve("new_chapter", {"data": "nowhere.csv"}))
