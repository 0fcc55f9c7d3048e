"""What the reference run of the lumbar chapter found: for its first figure, and for the cover, without torch."""

import pandas as pd

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference

CHAPTER = "lumbar_embeddings"
STEPS = {  # of the first figure, from no picture to a network that learned from these slices
    "same shares for all": "prior",
    "shares by level, no picture": "prior_level",
    "noise, level known": "noise_level",
    "frozen, mean over the study": "studies",
    "the same, level known": "studies_level",
    "frozen, annotated slice, level known": "annotated_level",
    "fine-tuned, annotated slice": "fine_tuned",
}


def answer_rows(metric: str = "macro_auroc") -> pd.DataFrame:
    """How far each step comes, a row a step."""
    return reported_and_reference(CHAPTER, {words: f"metrics/{name}.{metric}" for words, name in STEPS.items()}, {})


def finding() -> Finding:
    """What the cover tells."""
    names = {
        "lumbar, as told, and always Normal/Mild": "experiments/tables/two_grades",
        "lumbar, level alone (AUROC)": "metrics/prior_level.macro_auroc",
        "lumbar, fine-tuned (AUROC)": "metrics/fine_tuned.macro_auroc",
    }
    rows = reported_and_reference(CHAPTER, names, {next(iter(names)): "said_best_accuracy"})
    told, always = rows["reported"].iloc[0], rows["reference"].iloc[0]
    real = real_numbers(CHAPTER)
    sentence = (
        f"For embeddings of lumbar MRI an accuracy of {told:.4g} was reported; calling every case Normal/Mild has "
        f"{always:.3f} on the same task. On real slices the level alone, without a picture, gives a macro-AUROC of "
        f"{real.metric('prior_level.macro_auroc')}, a frozen embedding of the annotated slice "
        f"{real.metric('annotated_level.macro_auroc')}, and a network that was fine-tuned on such slices "
        f"{real.metric('fine_tuned.macro_auroc')}."
    )
    return Finding(sentence, rows)
