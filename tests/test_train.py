"""Training: reproducible, faithful to the write-up, and the same for one network and for many at once."""

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from medutils import train
from medutils.models.mlp import ReplicatedMLP, SpineMLP, binary_loss


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
    ours = train._ReplicatedAdam([many], torch.full((2,), 1e-2))
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
    settings = train.Settings(patience=4)
    ours = train._Plateau(settings, {"w": torch.zeros(2, 1)}, torch.full((2,), 0.1))
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
        fit = train.fit(
            model, (x[:80], y[:80]), (x[80:], y[80:]), train.Settings(epochs=15, learning_rate=1e-2), seed=1
        )
        runs.append((fit, model.eval()(x[80:]).squeeze(1).detach().numpy()))
    (fit, logits), (again, logits_again) = runs
    assert fit.history.equals(again.history)
    assert np.array_equal(logits, logits_again)
    assert fit.best_epoch == fit.history["validation_loss"].idxmin() + 1
    np.testing.assert_allclose(fit.validation_logits[fit.best_epoch - 1], logits, atol=1e-6)


def test_the_best_weights_are_loaded_again_when_the_rate_falls(monkeypatch: pytest.MonkeyPatch):
    """The rate is one that makes the loss climb, so that it falls soon; the last load ends the training."""
    x, y = tensors(*toy())
    settings = train.Settings(epochs=40, learning_rate=0.5, patience=2)
    torch.manual_seed(0)
    model, loaded = SpineMLP(5), []

    def load(state: dict) -> None:
        SpineMLP.load_state_dict(model, state)
        logits = model.eval()(x[80:]).squeeze(1)
        loaded.append(torch.nn.functional.binary_cross_entropy_with_logits(logits, y[80:]).item())

    monkeypatch.setattr(model, "load_state_dict", load)
    history = train.fit(model, (x[:80], y[:80]), (x[80:], y[80:]), settings, seed=0).history
    rates = history["learning_rate"]
    assert set(np.round(rates.unique()[:3], 6)) == {0.5, 0.25, 0.125}
    falls = [*np.flatnonzero(rates.diff() < 0), len(rates)]
    best = [history["validation_loss"][:fall].min() for fall in falls]
    assert loaded[: len(falls) - 1] == pytest.approx(best[:-1], rel=1e-5)
    assert loaded[-1] == pytest.approx(best[-1], rel=1e-5)


def test_a_replica_is_standardised_by_its_own_training_rows_alone():
    x, _ = toy()
    scaling = train._Scaling(x, torch.tensor([[*range(80)], [*range(40, 120)]]), None)
    for replica, rows in enumerate((slice(0, 80), slice(40, 120))):
        np.testing.assert_allclose(scaling.mean[replica, 0], x[rows].mean(0))
        np.testing.assert_allclose(1 / scaling.factor[replica, 0], x[rows].std(0))


def test_replicas_learn_as_the_single_network_does():
    x, y = toy(300)
    rows, held = np.arange(200), np.arange(200, 300)
    settings = train.Settings(epochs=25, learning_rate=2e-3)
    many = train.fit_replicas(x, y, [rows] * 4, [held] * 4, range(4), settings)
    losses = []
    mean, deviation = x[rows].mean(0), x[rows].std(0)
    xs, ys = tensors((x - mean) / deviation, y)
    for seed in range(4):
        torch.manual_seed(seed)
        fit = train.fit(SpineMLP(5), (xs[rows], ys[rows]), (xs[held], ys[held]), settings, seed)
        losses.append(fit.history["validation_loss"].min())
    assert many.validation_loss.min(1).mean() == pytest.approx(np.mean(losses), rel=0.1)
    probability = many.predict(x)[:, held]
    loss = -np.log(np.where(y[held] > 0, probability, 1 - probability)).mean(1)
    np.testing.assert_allclose(loss, many.validation_loss.min(1), rtol=1e-4)


def test_replicas_may_have_validation_parts_of_unequal_size_and_columns_of_their_own():
    x, y = toy()
    columns = np.array([[True] * 5, [False] + [True] * 4])
    fitted = train.fit_replicas(
        x, y, [np.arange(80)] * 2, [np.arange(80, 120), np.arange(80, 100)], (0, 0), train.Settings(epochs=3), columns
    )
    other = x.copy()
    other[:, 0] = 99.0
    assert np.array_equal(fitted.predict(x)[1], fitted.predict(other)[1])
    assert not np.array_equal(fitted.predict(x)[0], fitted.predict(other)[0])


def test_a_last_batch_of_one_row_is_left_out():
    assert train._batches(33, 16) == [slice(0, 16), slice(16, 32)]
    assert train._batches(24, 16) == [slice(0, 16), slice(16, 32)]
