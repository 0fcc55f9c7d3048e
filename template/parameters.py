"""Parameters of the chapter `new_chapter`, and how it finds its data."""

from pathlib import Path

from pydantic import Field

from medutils.chapters import Chapter, Parameters
from medutils.data.manifest import Located


class NewChapter(Parameters):
    """Parameters of `book/new_chapter.ipynb`."""

    held_out: float = Field(0.3, gt=0, lt=1, description="share of the patients that are test patients")


def _find(parameters: NewChapter) -> Located:
    from medutils.data.spine import open_spine
    from medutils.data.splits import given_split

    records, located = open_spine(parameters.data)
    if parameters.split:
        given_split(records, Path(parameters.split), ("train", "test"))
    return located


CHAPTER = Chapter(
    number=0,
    name="new_chapter",
    title="New chapter",
    parameters=NewChapter,
    profiles={"smoke": {"resamples": 100}, "demo": {}, "full": {"resamples": 10_000}},
    find=_find,
)
