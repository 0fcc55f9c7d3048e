"""Backbones: names, preprocessing, and one sentence when their weights cannot be had."""

import socket
import time
from dataclasses import replace

import pytest
import torch

from medutils.errors import InputError
from medutils.models.cnn import Architecture
from medutils.models.transfer import make_backbone, own_preprocessing

RESNET = Architecture(size=64, backbone="resnet18", channels=1)


def test_a_backbone_gives_feature_maps_for_its_channels():
    assert make_backbone(RESNET).eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 512, 2, 2)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(InputError, match="backbone: found 'resnet19'; expected a network of the timm library"):
        make_backbone(replace(RESNET, backbone="resnet19"))


@pytest.mark.parametrize("error", [socket.gaierror("no name"), TimeoutError(), ConnectionRefusedError()])
def test_without_a_network_pretrained_weights_are_refused_at_once_in_one_sentence(monkeypatch, tmp_path, error):
    def unreachable(*_, **__):
        raise error

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    start = time.monotonic()
    with pytest.raises(
        InputError, match="weights: the ImageNet weights of 'resnet18' are not on this machine"
    ) as found:
        make_backbone(RESNET, pretrained=True)
    assert time.monotonic() - start < 5
    assert "weights=phantom" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_backbone_without_imagenet_weights_says_so():
    with pytest.raises(InputError, match="weights: timm has no ImageNet weights for 'coatnet_0_224'; expected phantom"):
        make_backbone(replace(RESNET, backbone="coatnet_0_224"), pretrained=True)


def test_a_backbones_own_preprocessing_is_taken_unless_the_design_has_one_or_has_other_channels():
    rgb = replace(RESNET, channels=3)
    assert own_preprocessing(rgb).deviation == (0.229, 0.224, 0.225)
    assert own_preprocessing(RESNET) == RESNET
    assert own_preprocessing(replace(rgb, deviation=(2.0,))).deviation == (2.0,)
