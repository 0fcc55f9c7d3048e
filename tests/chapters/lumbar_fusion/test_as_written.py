"""The write-up's pseudo-modality learning on small random embeddings: each fault shows, and mended it does not."""

import numpy as np
import pandas as pd
import pytest
import torch

from medutils.chapters.lumbar_fusion import as_written as nb
from medutils.errors import InputError

STUDIES = tuple(str(number) for number in range(10, 15))
PAIR = ("t1", "t2")


def embeddings(scale: float = 1.0, studies: tuple[str, ...] = STUDIES) -> dict[str, pd.DataFrame]:
    """Two kinds of series of some studies; the second is the first with its values in reverse, the other way up."""
    rng = np.random.default_rng(0)
    first = scale * rng.standard_normal((len(studies), nb.VALUES))
    return {kind: pd.DataFrame(values, studies) for kind, values in zip(PAIR, (first, -first[:, ::-1]), strict=True)}


@pytest.fixture(scope="module")
def rows() -> nb.Rows:
    return nb.concatenated(embeddings())


def error(said: nb.Floats, target: nb.Floats) -> float:
    return float(((said - target) ** 2).mean())


def test_series_stand_below_each_other_and_a_study_is_found_by_its_name(rows: nb.Rows):
    assert rows.values.shape == (2 * len(STUDIES), nb.VALUES)
    assert [*rows.groups] == [*STUDIES]
    assert list(rows.groups["10"]) == [0, len(STUDIES)]  # the first row is of the first kind
    assert rows.place("11", "t2") == len(STUDIES) + 1 and rows.place("11", "t2_SPACE") is None


def test_more_than_512_values_are_cut_and_a_scale_is_one_number_for_all():
    wide = {"t1": pd.DataFrame(np.random.default_rng(0).random((3, 600)), ["a", "b", "c"])}
    found = nb.concatenated(wide, mean_square=27.5)
    assert found.values.shape == (3, nb.VALUES)
    assert (found.values**2).mean() == pytest.approx(27.5, rel=1e-4)
    ratio = found.values / wide["t1"].to_numpy()[:, : nb.VALUES]
    assert np.ptp(ratio) < 1e-4 * ratio.mean()


@pytest.mark.parametrize(("count", "left"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)])
def test_half_of_a_study_is_dropped_and_three_series_leave_one(count: int, left: int):
    found = nb.left_after_dropping({"a": np.arange(count)}, np.random.default_rng(0))
    assert len(found["a"]) == len(set(found["a"])) == left


def test_one_fault_is_mended_or_several_at_once():
    assert nb.mended("tanh") == nb.Faults(tanh=False)
    assert nb.mended("tanh-clip") == nb.Faults(tanh=False, clip=False)
    assert all(nb.mended(way) != nb.AS_WRITTEN for ways in nb.MENDED.values() for way in ways)


def test_the_networks_have_the_notebooks_shapes():
    sizes = [tuple(one.weight.shape) for one in nb.network("dae").modules() if isinstance(one, torch.nn.Linear)]
    assert sizes == [(256, 512), (256, 256), (256, 256), (512, 256)]
    assert {name: nb.network(name).mean.out_features for name in ("vae", "attention")} == {"vae": 256, "attention": 128}


def test_what_the_fusion_weighs_by_is_a_softmax_of_each_rows_sum():
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    weight = torch.softmax(torch.tensor([3.0, 1.0]), dim=0)
    assert torch.allclose(nb.fused(x), weight[0] * x[0] + weight[1] * x[1])


def test_a_tanh_cannot_reach_targets_beyond_1_and_the_mended_output_can():
    large = nb.concatenated(embeddings(scale=3.0))
    first = large.values[: len(STUDIES)]
    floor = nb.bounded_floor(first).mean()
    written, mended = (
        nb.answers(nb.fit("vae", large, faults, epochs=60), first) for faults in (nb.AS_WRITTEN, nb.mended("tanh"))
    )
    assert np.abs(written).max() <= 1 < np.abs(mended).max()
    assert error(written, first) >= floor > error(mended, first)


@pytest.mark.parametrize("name", ["dae", "vae"])
def test_the_output_is_bounded_as_written_alone(name: nb.Name):
    x = torch.full((1, nb.VALUES), 50.0)
    assert nb.network(name, bounded=True)(x).abs().max() <= 1 < nb.network(name, bounded=False)(x).abs().max()


def test_the_least_error_of_a_bounded_output_is_what_lies_beyond():
    assert nb.bounded_floor(np.array([0.5, -1.0, 3.0, -2.0], np.float32)).tolist() == [0, 0, 4, 1]


def test_the_third_networks_weights_do_not_move_and_mended_they_do(rows: nb.Rows):
    written, mended = (nb.fit("attention", rows, way, epochs=2) for way in (nb.AS_WRITTEN, nb.mended("optimiser")))
    assert written.change == 0 < mended.change
    fresh = nb.fit("attention", rows, nb.AS_WRITTEN, epochs=0)
    assert np.array_equal(nb.answers(written, rows.values), nb.answers(fresh, rows.values))
    assert not np.array_equal(nb.answers(mended, rows.values), nb.answers(fresh, rows.values))


def test_as_written_it_denoises_the_series_itself_and_mended_it_predicts_the_absent_one(rows: nb.Rows):
    given, absent = rows.values[: len(STUDIES)], rows.values[len(STUDIES) :]
    itself = nb.answers(nb.fit("vae", rows, epochs=60), given)
    other = nb.answers(nb.fit("vae", rows, nb.mended("itself"), epochs=60, pair=PAIR), given)
    assert error(itself, given) < (given**2).mean() < error(itself, absent)
    assert error(other, absent) < (absent**2).mean() < error(other, given)


def test_as_written_only_the_first_kind_of_series_is_learnt(rows: nb.Rows):
    other = embeddings()
    other["t2"] = 0 * other["t2"]
    same = nb.concatenated(other)
    for faults, equal in ((nb.AS_WRITTEN, True), (nb.mended("first"), False)):
        one, two = (nb.answers(nb.fit("dae", given, faults, epochs=2), rows.values) for given in (rows, same))
        assert np.array_equal(one, two) == equal


def test_mended_the_training_noise_is_that_of_the_test(rows: nb.Rows):
    written, mended = (nb.fit("dae", rows, faults, epochs=1) for faults in (nb.mended("clip"), nb.mended("clip-noise")))
    assert written.loss != mended.loss
    assert nb.NOISE["dae"] != nb.TEST_NOISE == nb.NOISE["vae"]


def test_clipped_inputs_hide_what_is_negative_or_above_1():
    shown = embeddings()
    hidden = {kind: table.clip(0, 1) for kind, table in shown.items()}
    seen: list[torch.Tensor] = []

    class Watched(nb.DenoisingAutoencoder):
        def loss(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return super().loss(x, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nb, "DenoisingAutoencoder", Watched)
        for faults in (nb.AS_WRITTEN, nb.mended("clip")):
            nb.fit("dae", nb.concatenated(hidden), faults, epochs=1)
    clipped, plain = torch.cat(seen[: len(STUDIES)]), torch.cat(seen[len(STUDIES) :])
    assert clipped.min() == 0 and clipped.max() == 1
    assert plain.min() < 0 and plain.max() > 1


def test_the_seed_decides_all_and_another_seed_gives_another_network(rows: nb.Rows):
    state = torch.random.get_rng_state()
    one, same, other = (nb.answers(nb.fit("vae", rows, seed=seed, epochs=1), rows.values, seed) for seed in (3, 3, 4))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: nb.concatenated({}), "embeddings: found no kind of series"),
        (lambda: nb.concatenated({"t1": pd.DataFrame(np.ones((2, 100)))}), "t1: found 100 values .* at least 512"),
        (lambda: nb.concatenated({"t1": pd.DataFrame(np.full((2, 512), np.nan))}), "t1: found an embedding .* number"),
        (lambda: nb.mended("tahn"), "fault: found 'tahn'; expected one of itself, tanh"),
        (lambda: nb.network("gan"), "network: found 'gan'; expected one of dae, vae, attention"),
        (lambda: nb.fit("dae", nb.concatenated(embeddings()), nb.CORRECT), "pair: found none"),
        (
            lambda: nb.fit("dae", nb.concatenated({"t1": embeddings()["t1"]}), epochs=1),
            "rows: found no study to learn from; expected one with two series",
        ),
        (
            lambda: nb.fit("dae", nb.concatenated(embeddings()), nb.CORRECT, epochs=1, pair=("t1", "t9")),
            "rows: found no study to learn from; expected one with both kinds of a pair",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(act, sentence: str):
    with pytest.raises(InputError, match=sentence):
        act()
