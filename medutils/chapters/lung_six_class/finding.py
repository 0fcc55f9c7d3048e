"""What the reference run of the six-class chapter found: for its first figure, and for the cover, without torch."""

import pandas as pd

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference

CHAPTER = "lung_six_class"
TOLD = "the network, as told, and ours"


def answer_rows() -> pd.DataFrame:
    """The accuracy that was reported, and what is right without a look at a lung."""
    names = {
        TOLD: "metrics/large.accuracy",
        "8 x 8 thumbnail alone": "metrics/thumbnail.accuracy",
        "border alone": "metrics/border.accuracy",
        "source's name alone, no pixel": "metrics/source_alone.accuracy",
        "commonest class": "metrics/majority.accuracy",
    }
    return reported_and_reference(CHAPTER, names, {TOLD: "large_accuracy"})


def finding() -> Finding:
    """What the cover tells."""
    real, rows = real_numbers(CHAPTER), answer_rows().iloc[[0, 3]]
    told = rows["reported"].iloc[0]
    sentence = (
        f"A network for six classes of chest films was reported with an accuracy of {told:.3f}. By the write-up's own "
        f"counts {real.number('arithmetic/right_without_a_pixel'):.1%} of its films are right without a pixel, by the "
        f"hospital they come from; ours reach {real.metric('large.accuracy')}, where the name of the hospital reaches "
        f"{real.metric('source_alone.accuracy')}."
    )
    return Finding(sentence, rows.set_axis(["six classes, the network", "six classes, source's name"]))
