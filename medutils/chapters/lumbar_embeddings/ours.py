"""How far each step comes on the real foraminal targets: shares, frozen embeddings, a network that was fine-tuned."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from medutils.data.graded_slices import GradedSlices
from medutils.training.grade_baselines import Fit, noise, on_annotated, on_studies, prior, regressions
from medutils.training.grading import Graded, averaged, fewer, stacked
from medutils.training.loop import Progress

# Each time the second knows, or may do, one thing more than the first.
PAIRS: Mapping[str, tuple[str, str]] = {
    "level_without_pixels": ("prior", "prior_level"),
    "embedding_beside_level": ("prior_level", "studies_level"),
    "level_beside_embedding": ("studies", "studies_level"),
    "slice_beside_embedding": ("studies_level", "annotated_level"),
    "fine_tuning": ("annotated_level", "fine_tuned"),
    "slice_beside_fine_tuning": ("fine_tuned_pooled", "fine_tuned"),
    "three_seeds": ("fine_tuned", "fine_tuned_averaged"),
}


def ladder(
    slices: GradedSlices,
    embedded: NDArray[Any],
    trainings: Sequence[Graded],
    seed: int,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Test predictions of every step, by name, all on the same annotations.

    embedded: (slices, numbers), of a network that was not trained on them
    trainings: those of one course, one a seed; without any, the steps up to the frozen embeddings
    """
    own, study = on_annotated(slices, embedded), on_studies(slices, embedded)
    fits = {
        "noise_level": Fit(slices, noise(slices, embedded.shape[1], seed)),
        "studies": Fit(slices, study, "nothing"),
        "studies_level": Fit(slices, study),
        "studies_apart": Fit(slices, study, "level apart"),
        "annotated": Fit(slices, own, "nothing"),
        "annotated_level": Fit(slices, own),
        "annotated_apart": Fit(slices, own, "level apart"),
    }
    found = {"prior": prior(slices, by_level=False), "prior_level": prior(slices), **regressions(fits, progress)}
    if trainings:
        found |= {
            "fine_tuned_pooled": stacked(trainings, pooled=True),
            "fine_tuned": stacked(trainings),
            "fine_tuned_averaged": averaged(trainings),
        }
    return found


def frozen_by_studies(
    slices: GradedSlices, embedded: NDArray[Any], numbers: Sequence[int], seed: int
) -> dict[int, pd.DataFrame]:
    """Test predictions of the regression on the annotated slice with its level, by the number of training studies."""
    features = on_annotated(slices, embedded)
    names = {str(number): Fit(fewer(slices, number, seed), features) for number in numbers}
    return {int(name): table for name, table in regressions(names).items()}
