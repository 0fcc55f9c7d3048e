"""What is said of the pseudo-modality experiments: each number is the run's, and a null is said as one."""

import re
from dataclasses import asdict
from typing import Any

import pytest

from medutils.chapters.lumbar_fusion import as_written as nb
from medutils.chapters.lumbar_fusion import pseudo_sentences as sentences
from medutils.evaluation import Estimate
from medutils.evidence import Numbers, quoted
from medutils.evidence.words import Clause


def numbers(experiments: dict[str, Any] | None = None, **metrics: tuple[float, float, float]) -> Numbers:
    """A run with some experiments and metrics, (value, low, high); `__` stands for a point."""
    estimates = {name.replace("__", "."): asdict(Estimate(*ends, 30, "test")) for name, ends in metrics.items()}
    return Numbers({"experiments": experiments or {}, "metrics": estimates})


@pytest.mark.parametrize("clause", sentences.CLAUSES)
def test_a_run_that_measured_nothing_is_told_without_a_number(clause: Clause):
    said = clause(Numbers({}))
    assert "nan" not in said and not re.search(r"\d\.\d", said)


def test_every_fault_of_every_network_has_words():
    assert set(nb.MENDED) == set(sentences.NETWORKS)
    assert {fault for faults in nb.MENDED.values() for fault in faults} == set(sentences.FAULTS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((-0.2, -0.3, -0.1), "-0.200 (-0.300 to -0.100) (it is lower for it)"),
        ((0.2, 0.1, 0.3), "it is higher for it"),
        ((0.0, -0.1, 0.1), "the interval holds 0"),
    ],
)
def test_a_change_is_told_either_way_or_as_none(change: tuple[float, float, float], words: str):
    assert words in sentences.noise(numbers(pseudo_dae_noise_change__relative=change))


def test_ways_are_sorted_by_their_difference_from_the_mean():
    run = numbers(
        {"absent": {"pairs": [["t1", "t2"], ["t2", "t1"]]}},
        absent_t2_t1_ridge_over_mean__relative=(-0.1, -0.2, -0.05),
        absent_t2_t1_copy_over_mean__relative=(0.3, 0.2, 0.4),
        absent_t1_t2_ridge_over_mean__relative=(-0.3, -0.4, -0.2),
        absent_t1_t2_dae_as_written_over_mean__relative=(0.3, 0.2, 0.4),
        absent_t1_t2_copy_over_mean__relative=(0.0, -0.1, 0.1),
    )
    assert sentences.absent_gain(run) == (
        "asked for the absent T2, against the training mean, better: linear regression; worse: the autoencoder as "
        "written; not to be told apart: the series that is there. Asked for the T1, 6 of 8 ways have the same verdict"
    )


def test_embeddings_of_another_size_are_told_apart():
    run = numbers(
        pseudo_targets__outside=(0.06, 0.05, 0.07),
        pseudo_targets__floor_relative=(0.3, 0.2, 0.4),
        pseudo_large_targets__outside=(0.5, 0.4, 0.6),
        pseudo_large_targets__floor_relative=(2.0, 1.9, 2.1),
    )
    said = sentences.bounded(run)
    assert "as they are, 6.0%" in said and "as large as the write-up's, 50.0%" in said
    assert "as large" not in sentences.bounded(numbers(pseudo_targets__outside=(0.06, 0.05, 0.07)))


def test_studies_that_are_passed_over_are_counted():
    run = numbers({"dropping": {"studies": 1975, "learnt": 1975, "tested": 340, "three": 1632}})
    assert "of 1,975 studies 1,632 have three series" in sentences.dropped(run)
    assert "340 (17.2%)" in sentences.dropped(run)


def test_the_table_has_a_row_for_each_fault_that_was_run():
    assert sentences.mended_table(Numbers({})).empty
    table = sentences.mended_table(numbers(pseudo_vae_tanh_change__relative=(-0.1, -0.2, 0.0)))
    assert list(table.index) == ["VAE: an output without bounds"]
    assert table.iloc[0]["relative, change"] == "-0.100 (-0.200 to 0.000)"


def test_each_fold_quotes_words_that_there_are():
    for one in (fold for fold in sentences.FOLDED if fold.quote):
        assert quoted("lumbar_fusion", one.quote)
