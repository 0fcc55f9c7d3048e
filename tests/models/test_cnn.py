"""Networks for films: the write-ups' sizes, the same function for less work, and what freezing freezes."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from medutils.chapters.pneumonia_cnn.variants import BASE, SMALL, VARIANTS
from medutils.errors import InputError
from medutils.models.cnn import Architecture, FastaiHead, FilmClassifier, convolutions, thaw
from medutils.models.transfer import make_backbone
from medutils.training import stages

TINY = Architecture(size=32, channels=1, widths=(4, 8), dense=6)
FROZEN = Architecture(size=64, backbone="resnet18", dense=4)


def count(module, trained_only=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained_only)


def films(n=4, size=32):
    return torch.randint(0, 256, (n, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("design", "parameters"), [(SMALL, 15_754_849), (BASE, 3_600_193)])
def test_the_write_ups_networks_have_their_number_of_parameters(design, parameters):
    assert count(FilmClassifier(design)) == parameters


def test_the_head_on_a_frozen_xception_has_its_number_of_parameters():
    design = VARIANTS["002-xception"].design
    assert count(FilmClassifier(design, backbone=make_backbone(design)), trained_only=True) == 16_777_473


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if not variant.design.backbone])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_convolutional_variant_gives_a_logit_or_one_a_class(name, classes):
    variant = VARIANTS[name]
    network = FilmClassifier(replace(variant.design, size=96, dense=4), classes, variant.augmentation)
    assert network(films(2, 96)).shape == (2, 1 if classes == 2 else classes)


def test_pooling_before_relu_is_the_function_of_pooling_after_it():
    blocks = convolutions(TINY)
    after = nn.Sequential(*itertools.chain(*((blocks[i], blocks[i + 2], blocks[i + 1]) for i in (0, 3))))
    x = torch.randn(2, 1, 32, 32)
    assert torch.equal(blocks(x), after(x))
    assert (blocks(x) > 0).any()


@pytest.mark.parametrize("dropouts", [(), (0.5, 0.5), (0, 0.3)])
def test_blocks_in_training_give_the_values_and_gradients_of_their_layers_one_after_the_other(dropouts):
    blocks = convolutions(replace(TINY, dropouts=dropouts)).train()
    x = torch.randn(3, 1, 32, 32)
    found, layout = [], []
    for forward in (blocks.forward, partial(nn.Sequential.forward, blocks)):
        torch.manual_seed(0)  # dropout leaves out the same
        blocks.zero_grad()
        y = forward(x)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        found.append([y.detach(), *(part.grad.clone() for part in blocks.parameters())])
        layout.append(y.grad_fn.name() == "ToDenseBackward0")
    assert layout == [torch.backends.cpu.get_cpu_capability().startswith("AVX"), False]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    assert (found[0][0] == 0).equal(found[1][0] == 0) and (found[0][0] > 0).any()


def test_a_film_too_small_for_its_convolutions_is_refused_with_the_least_size():
    least = 4 + 2 * 3  # what two blocks of 3 x 3 and 2 x 2 leave one pixel of
    FilmClassifier(replace(TINY, size=least))
    with pytest.raises(InputError, match=f"image_size: found {least - 1}; expected at least {least}"):
        FilmClassifier(replace(TINY, size=least - 1))


def test_a_frozen_backbone_keeps_weights_and_running_means_in_training():
    network = FilmClassifier(FROZEN, 2, backbone=make_backbone(FROZEN)).train()
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    head = network.head.last.weight.clone()
    network(films(size=64)).sum().backward()
    optimiser.step()
    assert network.training
    assert not any(part.training for part in network.backbone.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())
    assert not torch.equal(network.head.last.weight, head)


def test_thawing_trains_the_last_parts_that_have_weights():
    backbone = make_backbone(FROZEN)
    assert thaw(backbone, 0) == []
    assert count(backbone, trained_only=True) == 0
    assert thaw(backbone, 2) == ["layer3", "layer4"]
    assert count(backbone, trained_only=True) == count(backbone.layer3) + count(backbone.layer4)
    assert thaw(backbone, 99)[0] == "conv1"
    assert count(backbone, trained_only=True) == count(backbone)


def test_the_penalty_is_keras_sum_of_magnitudes_and_squares_without_biases():
    design = replace(TINY, l1=0.01, l2=0.3, penalised=("conv2", "dense"))
    network = FilmClassifier(design)
    for part in network.parameters():
        nn.init.constant_(part, 0.5)
    weights = 4 * 8 * 9 + 6 * 8 * 6 * 6  # the second convolution's, and the dense layer's on 6 x 6 maps
    assert network.penalty().item() == pytest.approx(weights * (0.01 * 0.5 + 0.3 * 0.25), rel=1e-5)
    assert FilmClassifier(TINY).penalty().item() == 0


def test_weights_start_as_in_keras():
    torch.manual_seed(0)
    dense = FilmClassifier(SMALL).head.dense
    bound = (6 / (dense.in_features + dense.out_features)) ** 0.5
    assert dense.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert not dense.bias.any()


def test_the_films_are_shared_out_to_every_channel_and_standardised():
    network = FilmClassifier(replace(TINY, channels=3, mean=(0.5, 0.4, 0.3), deviation=(0.5, 0.2, 0.1)))
    white = network.preprocess.standardise(network.preprocess(torch.full((1, 32, 32), 255, dtype=torch.uint8)))
    torch.testing.assert_close(white.amax((0, 2, 3)), torch.tensor([1.0, 3.0, 7.0]))
    assert torch.equal(white.amax((0, 2, 3)), white.amin((0, 2, 3)))


@pytest.fixture(scope="module", params=[2, 6])
def learner(request):
    """fastai's learner of Lite0 with ImageNet's weights and a fresh head, its batch normalisation somewhat moved."""
    torch.manual_seed(0)
    classes = tuple("abcdef"[: request.param])
    y = np.arange(12) % len(classes)
    pictures = stages.Pictures(films(12, 64), y, classes, {"train": np.arange(8), "validation": np.arange(8, 12)})
    stage = stages.Stage(64, (), "tf_efficientnet_lite0")
    learn = stages.learner(stage, stages.dataloaders(stage, pictures))
    learn.model.train()(torch.randn(8, 3, 64, 64))
    return learn


@pytest.mark.parametrize("training", [False, True])
def test_the_fastai_head_gives_to_the_bit_what_fastai_gives(training, learner):
    theirs = learner.model[1].train(training)
    ours = FastaiHead(1280, learner.dls.c).train(training)
    ours.load_state_dict(theirs.state_dict())
    maps = torch.randn(5, 1280, 3, 2).contiguous(memory_format=torch.channels_last)
    logits = []
    for head in (theirs, ours):
        torch.manual_seed(0)  # dropout leaves out the same
        logits.append(head(maps))
    assert logits[0].shape == (5, learner.dls.c) and torch.equal(*logits)


def test_a_film_classifier_gives_the_logits_of_a_fastai_learner(learner):
    mean, deviation = stages.statistics("tf_efficientnet_lite0", pretrained=True)
    design = Architecture(64, backbone="tf_efficientnet_lite0", head="fastai", mean=mean, deviation=deviation)
    network = FilmClassifier(design, learner.dls.c, backbone=make_backbone(design)).eval()
    network.backbone.load_state_dict(learner.model[0].model.state_dict())
    network.head.load_state_dict(learner.model[1].state_dict())
    assert network.logits == learner.dls.c
    with torch.inference_mode():
        torch.testing.assert_close(network(films(12, 64)), stages.said(learner, np.arange(12)), rtol=1e-5, atol=1e-5)


def test_the_fastai_head_bears_no_penalty():
    network = FilmClassifier(replace(TINY, head="fastai", l2=1.0, penalised=("dense",)))
    assert network.logits == 2 and network.penalty().item() == 0
