"""What the reference run of the fusion chapter found: for its first figure, and for the cover, without torch."""

from math import isnan

from medutils.chapters import Finding
from medutils.evaluation import Estimate
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
    "phantom studies, no picture": "phantoms_sets_prior_sagittal_t1_sagittal_t2_axial_t2",
    "phantom studies, one series": "phantoms_sets_dynamic_2_missing",
    "phantom studies, two series": "phantoms_sets_dynamic_1_missing",
    "phantom studies, all three": "phantoms_sets_dynamic_sagittal_t1_sagittal_t2_axial_t2",
}


def answer_steps() -> dict[str, Estimate]:
    """How far the series of real patients come, and those of phantom studies, by step; of those that were run."""
    real = real_numbers(CHAPTER)
    found = {words: real.metric(f"{name}.{AREA}") for words, name in STEPS.items()}
    return {words: one for words, one in found.items() if not isnan(one.value)}


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
