"""Random changes to images while a network trains, for a whole batch at once and on its device."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Augmentation:
    """How far an image may be changed; every draw is uniform and each image has its own.

    degrees: rotation to either side
    zoom: by how much the scale may differ from 1; `zoom_apart` draws height and width apart from each other
    shift: share of the height and the width to move by, to any side
    shear: degrees to either side
    flip_horizontal, flip_vertical: mirror half of the images
    contrast: by how much contrast and brightness may differ, each
    fill: what stands where the moved image leaves a gap: its mirror image, its border, or black
    """

    degrees: float = 0.0
    zoom: float = 0.0
    zoom_apart: bool = False
    shift: float = 0.0
    shear: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    contrast: float = 0.0
    fill: Literal["reflection", "border", "zeros"] = "reflection"


class Augment(nn.Module):
    """Apply an `Augmentation` to float images (n, channels, height, width) in training mode; else hand them on."""

    def __init__(self, how: Augmentation) -> None:
        super().__init__()
        self.how = how

    def forward(self, images: Tensor) -> Tensor:
        if not self.training or self.how == Augmentation():
            return images
        how, n = self.how, len(images)
        if how.contrast:
            # Around mid-grey, so that the same change looks alike on a dark and on a bright film.
            gain, shift = 1 + _either_side(n, how.contrast, images), _either_side(n, how.contrast, images) / 2
            middle = images.mean((1, 2, 3), keepdim=True)
            images = (images - middle) * gain.view(-1, 1, 1, 1) + middle + shift.view(-1, 1, 1, 1)
        grid = nn.functional.affine_grid(self._matrices(images), list(images.shape), align_corners=False)
        moved = nn.functional.grid_sample(images.float(), grid, padding_mode=how.fill, align_corners=False)
        return moved.contiguous(memory_format=torch.channels_last)

    def _matrices(self, images: Tensor) -> Tensor:
        """(n, 2, 3): for each image, where in the original a place of the new one lies."""
        how, n = self.how, len(images)
        turn, lean = (_either_side(n, math.radians(degrees), images) for degrees in (how.degrees, how.shear))
        tall = 1 + _either_side(n, how.zoom, images)
        wide = 1 + _either_side(n, how.zoom, images) if how.zoom_apart else tall
        wide = wide * _mirrored(n, how.flip_horizontal, images)
        tall = tall * _mirrored(n, how.flip_vertical, images)
        across, down = (2 * _either_side(n, how.shift, images) for _ in range(2))
        first = torch.stack([turn.cos() * wide, -torch.sin(turn + lean) * tall, across], dim=1)
        second = torch.stack([turn.sin() * wide, torch.cos(turn + lean) * tall, down], dim=1)
        return torch.stack([first, second], dim=1)


def _either_side(n: int, most: float, like: Tensor) -> Tensor:
    """`n` draws from -`most` to `most`; taken on the CPU, so that a seed gives the same on every device."""
    return ((2 * torch.rand(n) - 1) * most).to(like.device)


def _mirrored(n: int, half: bool, like: Tensor) -> Tensor:
    """1 or -1 for each image, with even chances, or 1 for all."""
    return (1 - 2 * (torch.rand(n) < 0.5 * half).float()).to(like.device)
