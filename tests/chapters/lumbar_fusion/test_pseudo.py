"""What is asked of the write-up's networks: held-out studies, the same for all ways, intervals by patient."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.chapters.lumbar_fusion import as_written as nb
from medutils.chapters.lumbar_fusion import pseudo
from medutils.chapters.lumbar_fusion import pseudo_numbers as numbers
from medutils.chapters.lumbar_fusion import pseudo_sentences as sentences
from medutils.data.manifest import Located
from medutils.errors import InputError
from medutils.evaluation import binary
from medutils.evidence import Results

PAIR = ("t1", "t2")


@pytest.fixture(scope="module")
def rows() -> nb.Rows:
    """Ten studies with two series; the second is twice the first, with a little noise, so that it can be predicted."""
    rng = np.random.default_rng(1)
    latent = rng.standard_normal((10, 3)) @ rng.standard_normal((3, nb.VALUES))
    names = [f"p{number}" for number in range(10)]
    second = 2 * latent + 0.01 * rng.standard_normal(latent.shape)
    return nb.concatenated({"t1": pd.DataFrame(latent, names), "t2": pd.DataFrame(second, names)})


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_no_study_is_learnt_and_tested_and_five_fifths_test_each_once(rows: nb.Rows):
    tested = []
    for train, test in pseudo.held_out(rows, seed=0):
        assert not set(train.study) & set(test.study)
        tested += [*test.groups]
    assert sorted(tested) == [*rows.groups]
    assert len([*pseudo.held_out(rows, seed=0, fifths=2)]) == 2


def test_all_ways_are_tested_on_the_same_rows_and_the_mean_is_the_unit(rows: nb.Rows):
    mean = pseudo.mean_given_back(rows, (0, 1))
    network = pseudo.given_back("dae", nb.AS_WRITTEN, rows, (0, 1), epochs=0)
    columns = ["patient", "repeat", "variance", "square", "floor", "outside"]
    assert mean[columns].equals(network[columns])
    assert len(mean) == 20 and mean["error"].equals(mean["variance"])
    assert numbers.measured(mean, resamples=20)["relative"].value == 1


def test_the_third_network_answers_as_it_did_before_its_training(rows: nb.Rows):
    fresh = pseudo.given_back_untrained("attention", rows, fifths=1)
    assert fresh.equals(pseudo.given_back("attention", nb.AS_WRITTEN, rows, fifths=1, epochs=1))


def test_what_can_be_predicted_is_by_regression_and_not_by_the_mean_or_a_copy(rows: nb.Rows):
    found = {
        how: numbers.measured(pseudo.absent_without_network(how, rows, PAIR), resamples=50)["relative"]
        for how in ("mean", "copy", "ridge")
    }
    assert found["ridge"].value < 0.1 < found["copy"].value < found["mean"].value == 1
    assert found["ridge"].high < found["mean"].low


def test_a_network_is_asked_for_the_absent_series(rows: nb.Rows):
    written, mended = (
        pseudo.of_absent("vae", way, rows, PAIR, epochs=1, fifths=1) for way in (nb.AS_WRITTEN, nb.CORRECT)
    )
    assert written["variance"].equals(mended["variance"]) and not written["error"].equals(mended["error"])


def test_a_difference_is_paired_by_patient():
    table = pd.DataFrame(
        {"patient": ["a", "b"], "repeat": 0, "error": [1.0, 3.0]} | dict.fromkeys(numbers.SUMS[1:], 2.0)
    )
    better = table.assign(error=table["error"] - 1)
    found = numbers.difference(better, table, resamples=100)
    assert found["mse"].value == found["mse"].low == found["mse"].high == -1
    assert found["relative"].value == -0.5
    with pytest.raises(InputError, match="the same patients"):
        numbers.difference(table.head(1), table)


def test_sums_are_taken_before_they_are_divided():
    table = pd.DataFrame({"patient": ["a", "b"], "repeat": 0, "error": [1.0, 3.0], "variance": [1.0, 1.0]})
    table = table.assign(**dict.fromkeys(numbers.SUMS[2:], 0.5))
    assert numbers.measured(table, resamples=10)["relative"].value == 2


def test_all_of_it_is_kept_and_what_is_named_alone_is_run(rows: nb.Rows, own_cache: Path):
    calls: list[tuple[int, int]] = []
    first = pseudo.all_given_back(rows, (0,), 1, 1, ("dae_as_written",), lambda *at: calls.append(at))
    assert set(first) == {"mean", "attention_untrained", "dae_as_written"} and calls == [(1, 1)]
    again = pseudo.all_given_back(rows, (0,), 1, 1, ("dae_as_written",))
    pd.testing.assert_frame_equal(first["dae_as_written"], again["dae_as_written"])
    assert len([*own_cache.rglob("*.csv")]) == 1


def test_what_is_kept_of_a_run_is_what_the_clauses_tell(rows: nb.Rows, own_cache: Path):
    results = Results(
        "lumbar_fusion",
        {"profile": "smoke", "seed": 0, "resamples": 20},
        Located("spider", "phantom", own_cache),
        binary("ill", "well"),
    )
    numbers.judge_given_back(results, pseudo.all_given_back(rows, (0,), 1, 1))
    numbers.judge_of_absent(results, {PAIR: pseudo.all_of_absent(rows, PAIR, (0,), 1, 1)})
    numbers.judge_notebook(results, pd.DataFrame({"study_id": ["a"] * 3 + ["b"] * 4}))
    for clause in sentences.CLAUSES:
        assert not re.search(r"not defined|no absent|no embedding|\bnan\b", clause(results.numbers))
    assert len(sentences.mended_table(results.numbers)) == sum(map(len, nb.MENDED.values()))
    assert results.experiments["pseudo"]["largest_change"]["attention_as_written"] == 0


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda rows: [*pseudo.held_out(rows, 0, 6)], "fifths: found 6; expected 1 to 5"),
        (lambda rows: [*pseudo.held_out(rows.of(np.array(["p0"])), 0)], "rows: found 1 studies; expected at least 5"),
        (lambda rows: pseudo.absent_without_network("mode", rows, PAIR), "how: found 'mode'; expected mean, copy"),
        (lambda rows: pseudo.absent_without_network("mean", rows, ("t1", "t9")), "found no study with both t1 and t9"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(rows: nb.Rows, act, sentence: str):
    with pytest.raises(InputError, match=sentence):
        act(rows)


def test_studies_with_three_series_are_never_tested():
    found = numbers.counted(pd.Series([1, 2, 3, 3, 4, 5]))
    assert found == {"studies": 6, "learnt": 5, "tested": 2, "three": 2}


def test_the_arithmetic_of_the_notebooks_own_numbers():
    found = numbers.arithmetic()
    assert found["vae_loss_a_value"] == pytest.approx(52.9218, abs=1e-4)
    assert found["gain"] == pytest.approx(1 - 24.2372 / 27.5017, abs=1e-5)
    assert found["floor"] == pytest.approx((5.24420 - 2) ** 2, abs=1e-3)
    assert numbers.written_mean_square() == pytest.approx(27.50167)


def test_no_bounded_output_beats_the_floor_that_follows_from_an_untrained_networks_error():
    rng = np.random.default_rng(0)
    target, said = 5 * rng.standard_normal((20, 64)), np.tanh(rng.standard_normal((20, 64)))
    error = float(((target - said) ** 2).mean())
    told = {"unseen_mse": [error, error, error], "training_losses": [1.0, 1.0, 1.0]}
    assert 0 < numbers.arithmetic(told)["floor"] <= nb.bounded_floor(target.astype(np.float32)).mean()
