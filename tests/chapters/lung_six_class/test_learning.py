"""The demo learns: on the phantom's children, where the hospital gives nothing away."""

import numpy as np
import pandas as pd
import pytest

from medutils.chapters import resolve
from medutils.chapters.lung_six_class import plan, shortcuts
from medutils.training import baselines, courses
from medutils.training.loop import one_thread

CHILDREN = "kermany_walia"


@pytest.mark.slow
def test_within_the_childrens_classes_the_demo_beats_thumbnails_and_the_commonest_class():
    setup = plan.opened(resolve("lung_six_class", {"data": "phantom"}))
    base = plan.base(setup)
    with one_thread():
        small = courses.train(base["small"], 0)
        network = courses.train(base["large"], 0, small.path).predictions()
    thumbnail = shortcuts.without_looking(setup.films, setup.films.pixels(setup.small))["thumbnail"]
    rivals = {"network": network, "thumbnail": thumbnail, "commonest": baselines.majority_baseline(setup.films)}
    right = {name: _right_among_children(table, setup) for name, table in rivals.items()}
    children = setup.records.query("split == 'test' and source == @CHILDREN")["label"]
    floor = max(right["thumbnail"], right["commonest"], float(children.value_counts(normalize=True).max()))
    assert right["network"] > floor + 0.05, right


def _right_among_children(table: pd.DataFrame, setup: plan.Setup) -> float:
    inside = shortcuts.rows_of(table, setup.records, {"source": CHILDREN})
    return float(np.mean(shortcuts.called(inside, setup.films.classes) == inside["y_true"]))
