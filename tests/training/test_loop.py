"""Training: reproducible, faithful to the write-up, and the same for one network and for many at once."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from medutils.errors import InputError
from medutils.models.augment import Augmentation
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.mlp import ReplicatedMLP, SpineMLP, binary_loss
from medutils.training import loop, replicas


def toy(rows=120, features=5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    return x, (x[:, 0] + 0.5 * rng.normal(size=rows) > 0).astype(float)


def tensors(x, y):
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def test_the_network_has_the_write_ups_layers_and_size():
    network = SpineMLP()
    kinds = [type(layer).__name__ for layer in network]
    assert kinds == ["Linear", "ReLU", "BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    norms = sum(p.numel() for layer in network if "Norm" in type(layer).__name__ for p in layer.parameters())
    assert (sum(p.numel() for p in network.parameters()) - norms, norms) == (5057, 256)


def test_a_replica_is_the_single_network_in_outputs_gradients_and_running_statistics():
    x, y = tensors(*toy(16, 12))
    many = ReplicatedMLP([3, 7], dropout=0.0)
    binary_loss(many(x.expand(2, -1, -1)), y.expand(2, -1)).sum().backward()
    for replica, seed in enumerate((3, 7)):
        torch.manual_seed(seed)
        one = SpineMLP(dropout=0.0)
        binary_loss(one(x).squeeze(1), y).backward()
        torch.testing.assert_close(many.layers[0].weight.grad[replica].T, one[0].weight.grad)
        torch.testing.assert_close(many.layers[3].weight.grad[replica].T, one[3].weight.grad)
        torch.testing.assert_close(many.layers[7].weight.grad[replica].T, one[7].weight.grad)
        torch.testing.assert_close(many.layers[2].running_var[replica, 0], one[2].running_var)
        torch.testing.assert_close(many.eval()(x.expand(2, -1, -1))[replica], one.eval()(x).squeeze(1))
        many.train()


def test_the_replicated_adam_is_torchs_adam_with_a_rate_for_each():
    torch.manual_seed(0)
    many = torch.nn.Parameter(torch.randn(2, 3, 4))
    ones = [torch.nn.Parameter(many[replica].detach().clone()) for replica in range(2)]
    rates = torch.tensor([1e-2, 1e-3])
    ours = replicas._ReplicatedAdam([many], torch.full((2,), 1e-2))
    theirs = [torch.optim.Adam([one], lr=float(rate)) for one, rate in zip(ones, rates, strict=True)]
    for _ in range(5):
        gradient = torch.randn(2, 3, 4)
        many.grad = gradient.clone()
        ours.step(rates)
        for replica, optimiser in enumerate(theirs):
            ones[replica].grad = gradient[replica]
            optimiser.step()
    torch.testing.assert_close(many.detach(), torch.stack([one.detach() for one in ones]))


def test_the_replicated_plateau_is_torchs_plateau():
    rng = np.random.default_rng(0)
    losses = np.maximum(0.3, 1 - 0.1 * np.arange(60))[:, None] + 0.01 * rng.random((60, 2))
    settings = loop.Settings(patience=4)
    ours = replicas._Plateau(settings, {"w": torch.zeros(2, 1)}, torch.full((2,), 0.1))
    optimisers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1) for _ in range(2)]
    theirs = [ReduceLROnPlateau(optimiser, factor=0.5, patience=4) for optimiser in optimisers]
    for epoch, row in enumerate(losses, start=1):
        ours.step(torch.tensor(row, dtype=torch.float32), epoch)
        for plateau, loss in zip(theirs, row, strict=True):
            plateau.step(np.float32(loss))
        assert ours.rate.tolist() == pytest.approx([optimiser.param_groups[0]["lr"] for optimiser in optimisers])
    assert ours.rate.max() < 0.1


def test_the_same_seed_gives_the_same_run_and_the_model_keeps_its_best_epoch():
    x, y = tensors(*toy())
    runs = []
    for _ in range(2):
        torch.manual_seed(1)
        model = SpineMLP(5)
        fit = loop.fit(model, (x[:80], y[:80]), (x[80:], y[80:]), loop.Settings(epochs=15, learning_rate=1e-2), seed=1)
        runs.append((fit, model.eval()(x[80:]).squeeze(1).detach().numpy()))
    (fit, logits), (again, logits_again) = runs
    assert fit.history.equals(again.history)
    assert np.array_equal(logits, logits_again)
    assert fit.best_epoch == fit.history["validation_loss"].idxmin() + 1
    np.testing.assert_allclose(fit.validation_logits[fit.best_epoch - 1], logits, atol=1e-6)


def test_the_best_weights_are_loaded_again_when_the_rate_falls(monkeypatch: pytest.MonkeyPatch):
    """The rate is one that makes the loss climb, so that it falls soon; the last load ends the training."""
    x, y = tensors(*toy())
    settings = loop.Settings(epochs=40, learning_rate=0.5, patience=2)
    torch.manual_seed(0)
    model, loaded = SpineMLP(5), []

    def load(state: dict) -> None:
        SpineMLP.load_state_dict(model, state)
        logits = model.eval()(x[80:]).squeeze(1)
        loaded.append(torch.nn.functional.binary_cross_entropy_with_logits(logits, y[80:]).item())

    monkeypatch.setattr(model, "load_state_dict", load)
    history = loop.fit(model, (x[:80], y[:80]), (x[80:], y[80:]), settings, seed=0).history
    rates = history["learning_rate"]
    assert set(np.round(rates.unique()[:3], 6)) == {0.5, 0.25, 0.125}
    falls = [*np.flatnonzero(rates.diff() < 0), len(rates)]
    best = [history["validation_loss"][:fall].min() for fall in falls]
    assert loaded[: len(falls) - 1] == pytest.approx(best[:-1], rel=1e-5)
    assert loaded[-1] == pytest.approx(best[-1], rel=1e-5)


def test_a_replica_is_standardised_by_its_own_training_rows_alone():
    x, _ = toy()
    scaling = replicas.Scaling(x, torch.tensor([[*range(80)], [*range(40, 120)]]), None)
    for replica, rows in enumerate((slice(0, 80), slice(40, 120))):
        np.testing.assert_allclose(scaling.mean[replica, 0], x[rows].mean(0))
        np.testing.assert_allclose(1 / scaling.factor[replica, 0], x[rows].std(0))


@pytest.mark.slow
def test_replicas_learn_as_the_single_network_does():
    x, y = toy(300)
    rows, held = np.arange(200), np.arange(200, 300)
    settings = loop.Settings(epochs=25, learning_rate=2e-3)
    many = replicas.fit_replicas(x, y, [rows] * 4, [held] * 4, range(4), settings)
    losses = []
    mean, deviation = x[rows].mean(0), x[rows].std(0)
    xs, ys = tensors((x - mean) / deviation, y)
    for seed in range(4):
        torch.manual_seed(seed)
        fit = loop.fit(SpineMLP(5), (xs[rows], ys[rows]), (xs[held], ys[held]), settings, seed)
        losses.append(fit.history["validation_loss"].min())
    assert many.validation_loss.min(1).mean() == pytest.approx(np.mean(losses), rel=0.1)
    probability = many.predict(x)[:, held]
    loss = -np.log(np.where(y[held] > 0, probability, 1 - probability)).mean(1)
    np.testing.assert_allclose(loss, many.validation_loss.min(1), rtol=1e-4)


def test_replicas_may_have_validation_parts_of_unequal_size_and_columns_of_their_own():
    x, y = toy()
    columns = np.array([[True] * 5, [False] + [True] * 4])
    fitted = replicas.fit_replicas(
        x, y, [np.arange(80)] * 2, [np.arange(80, 120), np.arange(80, 100)], (0, 0), loop.Settings(epochs=3), columns
    )
    other = x.copy()
    other[:, 0] = 99.0
    assert np.array_equal(fitted.predict(x)[1], fitted.predict(other)[1])
    assert not np.array_equal(fitted.predict(x)[0], fitted.predict(other)[0])


def test_a_last_batch_of_one_row_is_left_out():
    assert loop.batches(33, 16) == [slice(0, 16), slice(16, 32)]
    assert loop.batches(24, 16) == [slice(0, 16), slice(16, 32)]


# --- checkpoints, and the other ways to train -------------------------------------------------------------------------

DESIGN = Architecture(size=16, channels=1, widths=(4,), dropouts=(0.3,), dense=4, l2=0.01, penalised=("conv1",))
AUGMENTATION = Augmentation(degrees=10, flip_horizontal=True)
PLATEAU = loop.Settings(epochs=6, learning_rate=0.05, patience=1, keep="best")
CYCLE = loop.Settings(epochs=6, learning_rate=0.01, cycle=True, weight_decay=0.01, keep="last")
TWO_RATES = replace(CYCLE, body_rate=0.1)


class Stopped(Exception):
    """What ends a training in the middle."""


def stop():
    raise Stopped


def films(classes=2, rows=60):
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(rows) % classes
    x = torch.randint(0, 120, (rows, 16, 16), dtype=torch.uint8, generator=generator)
    return x + (40 * y[:, None, None]).to(torch.uint8), y


def train_films(settings, checkpoint=None, end_after=0, seed=5, classes=2):
    """Train a small network with dropout, augmentation and a penalty; call `stop` after an epoch if asked."""

    def progress(epoch, _):
        if epoch == end_after:
            stop()

    torch.manual_seed(seed)
    network = FilmClassifier(DESIGN, classes, AUGMENTATION)
    x, y = films(classes)
    found = loop.fit(
        network,
        (x[:40], y[:40]),
        (x[40:], y[40:]),
        settings,
        seed,
        progress if end_after else None,
        checkpoint=checkpoint,
    )
    return found, network.state_dict()


def assert_same(one, other):
    (fit, state), (again, state_again) = one, other
    assert fit.history.equals(again.history)
    for name in ("train_logits", "train_targets", "train_logits_after", "validation_logits", "best_epoch"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(again, name))
    assert all(torch.equal(value, state_again[name]) for name, value in state.items())


@pytest.mark.parametrize("settings", [PLATEAU, CYCLE, TWO_RATES], ids=["plateau", "cycle", "two rates"])
@pytest.mark.parametrize("end_after", [1, 4])
def test_an_interrupted_training_goes_on_to_the_very_numbers_of_an_uninterrupted_one(tmp_path, settings, end_after):
    whole = train_films(settings)
    assert whole[0].history["learning_rate"].nunique() > 1
    with pytest.raises(Stopped):
        train_films(settings, tmp_path / "c.pt", end_after)
    assert_same(train_films(settings, tmp_path / "c.pt"), whole)
    assert_same(train_films(settings, tmp_path / "c.pt"), whole)  # and one that had ended is only read
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("settings", [PLATEAU, CYCLE], ids=["plateau", "cycle"])
def test_a_body_rate_of_nothing_leaves_the_body_as_it_was_and_the_head_learns(settings):
    torch.manual_seed(5)
    before = FilmClassifier(DESIGN, 2, AUGMENTATION).state_dict()
    _, after = train_films(replace(settings, body_rate=0.0))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("head.")}


@pytest.mark.slow
def test_a_training_really_killed_goes_on_to_the_very_numbers_of_an_uninterrupted_one(tmp_path):
    here = Path(__file__)
    script = (
        f"import os, signal, sys; sys.path.insert(0, {str(here.parent)!r}); import {here.stem} as tests, torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "tests.stop = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"tests.train_films(tests.PLATEAU, tests.Path({str(tmp_path / 'c.pt')!r}), end_after=3)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert torch.load(tmp_path / "c.pt", weights_only=True)["epoch"] == 3
    assert_same(train_films(PLATEAU, tmp_path / "c.pt"), train_films(PLATEAU))


@pytest.mark.parametrize("other", [{"seed": 6}, {"classes": 3}, {"settings": replace(PLATEAU, learning_rate=0.04)}])
def test_the_checkpoint_of_another_training_is_refused(tmp_path, other):
    with pytest.raises(Stopped):
        train_films(PLATEAU, tmp_path / "c.pt", end_after=1)
    with pytest.raises(InputError, match=r"c\.pt: found the checkpoint of another training; expected"):
        train_films(**{"settings": PLATEAU, "checkpoint": tmp_path / "c.pt", **other})


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"weights"])
def test_a_damaged_checkpoint_is_refused_and_left_as_it_was(tmp_path, damage):
    path = tmp_path / "c.pt"
    with pytest.raises(Stopped):
        train_films(PLATEAU, path, end_after=1)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"c\.pt: "):
        train_films(PLATEAU, path)
    assert path.read_bytes() == before


STOPS = loop.Settings(epochs=60, learning_rate=0.05, patience=0, stop_after=3)


def test_training_stops_when_the_validation_loss_has_not_fallen_for_so_many_epochs():
    found, _ = train_films(STOPS)
    assert len(found.history) == found.best_epoch + 3 < 60


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_kept_are_those_of_the_best_or_of_the_last_epoch(keep):
    found, state = train_films(replace(STOPS, keep=keep))
    network = FilmClassifier(DESIGN)
    network.load_state_dict(state)
    kept = found.validation_logits[found.best_epoch - 1 if keep == "best" else -1]
    assert np.array_equal(loop.predict(network, films()[0][40:]).numpy(), kept)


@pytest.mark.parametrize("classes", [2, 3])
def test_class_weights_count_the_rows_of_each_class(classes):
    weights = (0.5, 2.0, 3.0)[:classes]
    logits, y = torch.randn(12, classes, generator=torch.Generator().manual_seed(0)), torch.arange(12) % classes
    given = logits[:, 1] - logits[:, 0] if classes == 2 else logits  # one logit says as much of two classes
    each = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    assert loop.criterion(given, y) == pytest.approx(float(each.mean()), rel=1e-5)
    assert loop.criterion(given, y, weights) == pytest.approx(float((each * torch.tensor(weights)[y]).mean()), rel=1e-5)


def test_a_class_that_counts_more_is_said_more_often():
    settings = replace(PLATEAU, learning_rate=0.005, patience=0)
    low, high = (train_films(replace(settings, class_weights=pair))[0] for pair in ((5.0, 0.2), (0.2, 5.0)))
    assert high.validation_logits[-1].mean() > low.validation_logits[-1].mean() + 0.5


def test_a_loss_that_is_no_longer_finite_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="learning_rate: at 1e\\+30 the loss is no longer finite in epoch 1") as found:
        train_films(replace(PLATEAU, learning_rate=1e30))
    assert "\n" not in str(found.value)


def test_several_classes_are_learned_with_a_logit_each():
    found, _ = train_films(replace(PLATEAU, epochs=25, learning_rate=0.02, patience=0), classes=3)
    assert found.validation_logits.shape == (25, 20, 3)
    assert found.train_logits.shape == (25, 40, 3)
    assert (found.validation_logits[found.best_epoch - 1].argmax(1) == (np.arange(40, 60) % 3)).mean() > 0.8


def test_the_training_rows_are_scored_again_only_when_asked():
    x, y = films()
    found = loop.fit(FilmClassifier(DESIGN), (x, y), (x, y), replace(PLATEAU, epochs=1), 0, score_training=False)
    assert found.train_logits_after.shape == (1, 0)
    assert found.history["train_loss_after"].isna().all()
