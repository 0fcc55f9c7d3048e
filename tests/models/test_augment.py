"""Augmentation: nothing when nothing is asked, and what is asked by the right amount."""

import math

import pytest
import torch

from medutils.chapters.pneumonia_cnn.variants import STRONG_002
from medutils.models.augment import Augment, Augmentation

SIZE = 65


def dot(row, column, n=1):
    images = torch.zeros(n, 1, SIZE, SIZE)
    images[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
    return images


def centre(images):
    """(n, 2): row and column of the bright dot, by its weight."""
    weight = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    place = torch.arange(SIZE, dtype=torch.float32)
    return torch.stack([(weight.sum(2) * place).sum(1), (weight.sum(1) * place).sum(1)], dim=1)


def angles(images):
    """Degrees from the middle to the dot, counted from the right, anticlockwise as one sees it."""
    row, column = (centre(images) - SIZE // 2).unbind(1)
    return torch.rad2deg(torch.atan2(-row, column))


def fixed(monkeypatch, share):
    """Every uniform draw gives `share`, of 0 to 1, so that every change is known."""
    monkeypatch.setattr(torch, "rand", lambda n: torch.full((n,), share))


def test_an_image_is_handed_on_when_nothing_is_asked_or_in_evaluation_mode():
    images = torch.rand(2, 1, 8, 8)
    assert Augment(Augmentation()).train()(images) is images
    assert Augment(STRONG_002).eval()(images) is images


def test_no_draw_to_either_side_leaves_every_pixel_in_place(monkeypatch):
    images = torch.rand(2, 1, 8, 8)
    fixed(monkeypatch, 0.5)  # the middle of every range, and no mirror
    torch.testing.assert_close(Augment(STRONG_002).train()(images), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("which", "axis"), [("flip_horizontal", 3), ("flip_vertical", 2)])
def test_a_flip_is_a_flip_of_half_of_the_images(which, axis):
    torch.manual_seed(0)
    images = torch.rand(200, 1, 8, 8)
    seen = Augment(Augmentation(**{which: True})).train()(images)
    flipped = ((seen - images.flip(axis)).abs() < 1e-5).all(dim=3).all(dim=2).squeeze(1)
    kept = ((seen - images).abs() < 1e-5).all(dim=3).all(dim=2).squeeze(1)
    assert (flipped ^ kept).all()
    assert 70 < int(flipped.sum()) < 130


@pytest.mark.parametrize("degrees", [30, 90])
def test_a_rotation_moves_a_dot_around_the_middle_by_its_degrees(monkeypatch, degrees):
    fixed(monkeypatch, 1.0)
    turned = Augment(Augmentation(degrees=degrees, fill="zeros")).train()(dot(32, 52))
    assert float(angles(turned)) == pytest.approx(degrees, abs=0.5)
    assert float((centre(turned) - 32).norm()) == pytest.approx(20, abs=0.1)


def test_write_up_002s_rotation_reaches_72_degrees_to_either_side_and_no_further():
    torch.manual_seed(0)
    turned = angles(Augment(Augmentation(degrees=STRONG_002.degrees, fill="zeros")).train()(dot(32, 52, n=500)))
    assert STRONG_002.degrees == 0.2 * 360
    assert -72.5 < float(turned.min()) < -70
    assert 70 < float(turned.max()) < 72.5
    assert abs(float(turned.mean())) < 6


def test_shift_zoom_and_shear_move_a_dot_by_their_share(monkeypatch):
    fixed(monkeypatch, 1.0)
    still = torch.tensor([[32.0, 52.0]])
    shifted = Augment(Augmentation(shift=0.1, fill="zeros")).train()(dot(32, 52))
    torch.testing.assert_close((centre(shifted) - still).abs(), torch.full((1, 2), 0.1 * SIZE), atol=0.1, rtol=0)
    zoomed = Augment(Augmentation(zoom=0.25, fill="zeros")).train()(dot(32, 52))
    assert float(centre(zoomed)[0, 1]) == pytest.approx(32 + 20 / 1.25, abs=0.2)
    sheared = Augment(Augmentation(shear=20, fill="zeros")).train()(dot(12, 32))
    assert float((centre(sheared)[0] - 32)[1].abs()) == pytest.approx(20 * math.tan(math.radians(20)), abs=0.3)


def test_contrast_keeps_the_mean_but_for_the_brightness(monkeypatch):
    images = torch.rand(3, 1, 8, 8)
    fixed(monkeypatch, 1.0)
    seen = Augment(Augmentation(contrast=0.2)).train()(images)
    torch.testing.assert_close(seen.mean((1, 2, 3)), images.mean((1, 2, 3)) + 0.1)
    torch.testing.assert_close(seen.std((1, 2, 3)), 1.2 * images.std((1, 2, 3)))


@pytest.mark.parametrize(("fill", "edge"), [("zeros", 0.0), ("border", 1.0), ("reflection", 1.0)])
def test_a_gap_is_filled_as_asked(monkeypatch, fill, edge):
    fixed(monkeypatch, 1.0)
    seen = Augment(Augmentation(shift=0.2, fill=fill)).train()(torch.ones(1, 1, 20, 20))
    assert float(seen[0, 0, -1, -1]) == pytest.approx(edge)
    assert float(seen[0, 0, 0, 0]) == pytest.approx(1)


def test_a_reflection_mirrors_what_a_border_repeats(monkeypatch):
    fixed(monkeypatch, 1.0)
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    last = {
        fill: Augment(Augmentation(shift=0.2, fill=fill)).train()(ramp)[0, 0, 10] for fill in ("border", "reflection")
    }
    torch.testing.assert_close(last["border"], torch.arange(20.0).add(4).clamp(max=19))
    torch.testing.assert_close(last["reflection"], torch.cat([torch.arange(4.0, 20), torch.arange(19.0, 15, -1)]))


def test_a_seed_gives_the_same_images_and_each_image_has_its_own_draw():
    images = torch.rand(1, 1, 16, 16).expand(3, -1, -1, -1)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(Augment(STRONG_002).train()(images))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0][0], runs[0][1])
