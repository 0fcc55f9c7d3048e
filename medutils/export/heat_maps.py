"""Grad-CAM of an exported network: where in a film speaks for the positive class, as numbers and as pictures."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from medutils.data.images import read_image
from medutils.errors import InputError
from medutils.export.film import FilmInput
from medutils.export.model import ExportedModel
from medutils.files import scratch
from medutils.models.cnn import FilmClassifier

LONGEST_SIDE, LEAST_WIDTH = 640, 320  # of a picture with a heat map, in pixels
HEAT, HEAT_OPACITY = (255, 96, 0), 0.5


def heat_map(model: ExportedModel, film: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grad-CAM of the positive class on the last convolution, for one film (size, size): (size, size), 0 to 1.

    1 is the place of this film that speaks most for the positive class, however little that is; a film in which
    nothing does, or all does alike, is 0 all over. After Selvaraju et al. (2017). Raises `InputError` for a model that
    takes no films.
    """
    if not isinstance(model.network, FilmClassifier):
        raise InputError(f"heat maps: found a model for a {model.about.kind}; expected one for films")
    return heat_maps(model.network, film[None], [-1])[0]  # the positive class, of one logit or of many


def heat_maps(network: FilmClassifier, films: NDArray[np.uint8], classes: Sequence[int]) -> NDArray[np.float32]:
    """Grad-CAM of one class number a film, for films (n, size, size): (n, size, size), each 0 to 1; see `heat_map`."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    first, rest = _halves(network)
    with torch.no_grad():
        prepare = network.preprocess
        maps = first(prepare.standardise(prepare(torch.from_numpy(films)))).float()
    # Only what follows the maps is differentiated: a frozen backbone has no gradients to offer, and needs none.
    hook = nn.Identity()
    cam = GradCAM(nn.Sequential(hook, rest), [hook])
    heat = cam(maps.requires_grad_(), [ClassifierOutputTarget(number) for number in classes])
    return scale_cam_image(scale_cam_image(heat, films.shape[:0:-1]))  # enlarged, then brought to 0 to 1 again


def _halves(network: FilmClassifier) -> tuple[nn.Module, nn.Module]:
    """The network up to the rectified maps of its last convolution, and from there on.

    The write-ups' blocks pool before ReLU; maps that pass ReLU first as well give the same logits.
    """
    blocks = network.backbone
    if network.design.backbone:
        return blocks, network.head
    assert isinstance(blocks, nn.Sequential)
    last = max(place for place, part in enumerate(blocks) if isinstance(part, nn.Conv2d))
    return nn.Sequential(*blocks[: last + 1], nn.ReLU()), nn.Sequential(*blocks[last + 1 :], network.head)


def write_heat_maps(model: ExportedModel, predictions: pd.DataFrame, folder: Path) -> list[Path]:
    """Write a picture for each film of a table from `predict`: the film, its heat map over it, and what was predicted.

    All appear in `folder` as `<name>_gradcam.png` when all are made, and none when one cannot be written. Films of one
    name are numbered. Returns the paths in the table's order. Raises `InputError` for a model that takes no films.
    """
    films = model.about.reads
    if not isinstance(films, FilmInput):
        raise InputError(f"heat maps: found a model for a {model.about.kind}; expected one for films")
    names: list[str] = []
    met: Counter[str] = Counter()
    with scratch(folder) as part:
        for file, probability in zip(predictions["file"], predictions[f"prob_{model.about.positive}"], strict=True):
            stem = Path(file).stem
            met[stem] += 1
            names.append(f"{stem}_gradcam{'' if met[stem] == 1 else f'-{met[stem]}'}.png")
            heat = heat_map(model, films.read([Path(file)]).x[0].numpy())
            words = [f"{model.about.positive} {probability:.3f}", f"trained on {model.about.data}"]
            overlay(read_image(Path(file)), heat, words).save(part / names[-1])
        for name in names:
            (part / name).replace(folder / name)
    return [folder / name for name in names]


def overlay(film: Image.Image, heat: NDArray[np.float32], words: Sequence[str] = ()) -> Image.Image:
    """A grey film with a heat map (height, width), 0 to 1, in orange over it, and below it that it is no diagnosis."""
    scale = LONGEST_SIDE / max(film.size)
    film = film.resize([max(1, round(side * scale)) for side in film.size], Image.Resampling.BILINEAR)
    mask = Image.fromarray(np.uint8(heat * 255 * HEAT_OPACITY)).resize(film.size, Image.Resampling.BILINEAR)
    lines = ["Not for clinical use", *words]
    font = ImageFont.load_default(16)
    picture = Image.new("RGB", (max(film.width, LEAST_WIDTH), film.height + 22 * len(lines) + 8))
    picture.paste(Image.composite(Image.new("RGB", film.size, HEAT), film.convert("RGB"), mask))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((8, film.height + 4 + 22 * number), line, "white", font)
    return picture
