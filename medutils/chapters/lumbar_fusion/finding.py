"""What the reference run of the fusion chapter found: for its first figure, and for the cover, without torch."""

import pandas as pd

from medutils.chapters import Finding
from medutils.evidence import real_numbers, reported_and_reference

CHAPTER = "lumbar_fusion"
AREA = "auroc_over_targets"
STEPS = {  # of the first figure: what is left of a patient's series
    "no picture, shares by disc": "spider_sets_prior_t1_t2",
    "noise in place of both series": "embedders_noise_dynamic",
    "T1 alone": "spider_sets_dynamic_t1",
    "T2 alone": "spider_sets_dynamic_t2",
    "T1 and T2": "spider_sets_dynamic_t1_t2",
    "one series missing at random": "spider_sets_dynamic_at_random",
    "the same, best single series": "spider_sets_best_single_series_at_random",
}


def answer_rows() -> pd.DataFrame:
    """How far real patients' series come, a row a step."""
    return reported_and_reference(CHAPTER, {words: f"metrics/{name}.{AREA}" for words, name in STEPS.items()}, {})


def finding() -> Finding:
    """What the cover tells."""
    names = {
        "discs, T1 and T2 (AUROC)": f"metrics/spider_sets_dynamic_t1_t2.{AREA}",
        "discs, T2 missing (AUROC)": f"metrics/spider_sets_dynamic_t1.{AREA}",
        "discs, T1 missing (AUROC)": f"metrics/spider_sets_dynamic_t2.{AREA}",
    }
    real = real_numbers(CHAPTER)
    sentence = (
        "For fusion that survives a missing series a write-up promises six remedies, and its fusion notebook has no "
        "classifier to try them with. Built and tried on real patients, a network that fuses T1 and T2 ranks discs "
        f"with an AUROC of {real.metric(f'spider_sets_dynamic_t1_t2.{AREA}')}; without T2 it has "
        f"{real.metric(f'spider_sets_dynamic_t1.{AREA}')}, without T1 {real.metric(f'spider_sets_dynamic_t2.{AREA}')}."
    )
    return Finding(sentence, reported_and_reference(CHAPTER, names, {}))
