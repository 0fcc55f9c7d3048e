"""A trained network as one file that explains itself, and what is done with it: predictions and heat maps."""

import hashlib
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from medutils import NOT_FOR_CLINICAL_USE, __version__
from medutils.data.images import SUFFIXES, ImageArray, build_array, read_image
from medutils.errors import InputError
from medutils.evaluation import Estimate, metric_name
from medutils.files import explain, scratch, written_whole
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.transfer import make_classifier
from medutils.training import loop

MODEL = "model.pt"  # in the folder of a run
FORMAT = "medutils film classifier, version 1"
LIBRARIES = ("torch", "timm", "numpy", "pillow")

Text = Annotated[str, Field(min_length=1)]


class TrainedOn(BaseModel):
    """The data a network was trained on, as they stand in results.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    kind: Literal["real", "phantom"]
    sha256: Text

    def __str__(self) -> str:
        return f"{self.name} ({'phantom' if self.kind == 'phantom' else 'real data'})"


def _versions() -> dict[str, str]:
    return {"medutils": __version__} | {name: version(name) for name in LIBRARIES}


class About(BaseModel):
    """What is to be known of a trained network besides its weights; checked when it is written and when it is read.

    title: what it is, in a few words
    classes: the positive one last
    threshold, threshold_rule: the calibrated probability from which on a film is called positive, and how it was chosen
    temperature: what logits are divided by to be calibrated
    mode, aspect: how films are read: grey, squashed to the square that `design` takes
    metrics: by name, each with its interval
    limits: sentences that the card adds to its own
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    title: Text
    design: Architecture
    classes: tuple[Text, ...] = Field(min_length=2)
    threshold: float = Field(ge=0, le=1)
    threshold_rule: Text
    temperature: float = Field(gt=0, allow_inf_nan=False)
    mode: Literal["L"] = "L"
    aspect: Literal["squash"] = "squash"
    data: TrainedOn
    metrics: dict[str, Estimate] = {}
    limits: tuple[Text, ...] = ()
    made_with: dict[str, str] = Field(default_factory=_versions)

    @model_validator(mode="after")
    def _classes_differ(self) -> "About":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {', '.join(self.classes)}; expected each once")
        return self

    @property
    def positive(self) -> str:
        return self.classes[-1]


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A trained network with all that belongs to it.

    network: in evaluation mode, on the CPU
    card: its model card, in Markdown
    """

    network: FilmClassifier
    about: About
    card: str

    def films(self, images: Sequence[Path]) -> ImageArray:
        """Read films as those of the training were read: uint8 (n, size, size), and what could not be read.

        Nothing of them stays on disk. Raises `InputError` when none can be read.
        """
        with tempfile.TemporaryDirectory() as folder:
            about = self.about
            found = build_array(images, about.design.size, about.mode, about.aspect, cache=Path(folder))
            return replace(found, pixels=np.array(found.pixels))

    def predict(self, images: Sequence[Path]) -> pd.DataFrame:
        """What the network says of each film that can be read.

        Columns: `file`; `prob_<class>`, calibrated; `decision`. Of two classes the decision is the positive one when
        its probability reaches the threshold. Of more it is the most probable one, and `reaches_threshold` says whether
        the positive one's probability does. `attrs["skipped"]` lists the files that could not be read, each with the
        reason. Raises `InputError` when none can be read.
        """
        films, about = self.films(images), self.about
        logits = loop.predict(self.network, torch.from_numpy(films.pixels))
        probability = loop.probabilities(logits / about.temperature)
        table = pd.DataFrame({"file": [str(images[place]) for place in films.kept]})
        table[[f"prob_{name}" for name in about.classes]] = probability
        reaches = probability[:, -1] >= about.threshold
        if len(about.classes) == 2:
            table["decision"] = np.where(reaches, about.positive, about.classes[0])
        else:
            table["decision"] = [about.classes[place] for place in probability.argmax(1)]
            table["reaches_threshold"] = reaches
        table.attrs["skipped"] = [(str(path), reason) for path, reason in films.skipped]
        return table

    def heat_map(self, film: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grad-CAM of the positive class on the last convolution, for one film (size, size): (size, size), 0 to 1.

        1 is the place of this film that speaks most for the positive class, however little that is; a film in which
        nothing does, or all does alike, is 0 all over. After Selvaraju et al. (2017).
        """
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.image import scale_cam_image
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        first, rest = _halves(self.network)
        with torch.no_grad():
            prepare = self.network.preprocess
            maps = first(prepare.standardise(prepare(torch.from_numpy(film)[None]))).float()
        # Only what follows the maps is differentiated: a frozen backbone has no gradients to offer, and needs none.
        hook = nn.Identity()
        cam = GradCAM(nn.Sequential(hook, rest), [hook])
        heat = cam(maps.requires_grad_(), [ClassifierOutputTarget(-1)])  # the positive class, of one logit or of many
        return scale_cam_image(scale_cam_image(heat, film.shape[::-1]))[0]  # enlarged, then brought to 0 to 1 again


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


# --- the file ---------------------------------------------------------------------------------------------------------


def save_model(path: Path, network: FilmClassifier, about: About) -> None:
    """Write a network, what is to be known of it and its card to `path`, whole or not at all.

    The file holds plain types and tensors only. Raises `InputError` when the network is not the one that `about` tells
    of, or the file cannot be written.
    """
    outputs = network.head.last.out_features
    if network.design != about.design or outputs != (1 if len(about.classes) == 2 else len(about.classes)):
        raise InputError(f"{path}: found a network of another design or number of classes; expected the one described")
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    card = model_card(about)
    content = {"format": FORMAT, "about": json.loads(about.model_dump_json()), "card": card, "state": state}
    with written_whole(path) as part:
        torch.save(content | {"digest": _digest(about, card, state)}, part)


def load_model(path: Path) -> ExportedModel:
    """Read what `save_model` wrote, or find it as `model.pt` in the folder of a run, without executing any of it.

    Raises `InputError` when there is no such file, or it is of another kind or version, damaged, or its weights do not
    fit its design.
    """
    path = path / MODEL if path.is_dir() else path
    content = loop.load_weights(path)
    found = content.get("format")
    if found != FORMAT:
        shown = f"'{found}'" if isinstance(found, str) else "a file without a format"
        raise InputError(f"{path}: found {shown}; expected a '{FORMAT}'")
    try:
        about = About.model_validate(content.get("about"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("about", *first["loc"])))
        raise InputError(f"{path}: {where}: {first['msg']}; expected it as medutils writes it") from error
    if not _intact(content, about):
        raise InputError(f"{path}: found content that differs from what was written; expected it unchanged")
    return ExportedModel(_restored(path, about, content["state"]), about, content["card"])


def _intact(content: Mapping[str, Any], about: About) -> bool:
    """Whether card, weights and description are those that were written: torch does not look for damage."""
    try:
        return content["digest"] == _digest(about, content["card"], content["state"])
    except (KeyError, AttributeError, TypeError, RuntimeError):  # there is none, or not of the right type
        return False


def _digest(about: About, card: str, state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(about.model_dump_json().encode() + b"\0" + card.encode())
    for name, value in sorted(state.items()):
        digest.update(f"\0{name}\0".encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


def _restored(path: Path, about: About, state: Mapping[str, Tensor]) -> FilmClassifier:
    """The network with its weights, after one look at whether it gives numbers."""
    try:
        with torch.random.fork_rng(devices=[]):
            network = make_classifier(about.design, len(about.classes))
        network.load_state_dict(state)
        grey = torch.full((1, about.design.size, about.design.size), 128, dtype=torch.uint8)
        finite = bool(loop.predict(network, grey).isfinite().all())
    except Exception as error:  # a design of nonsense fails anywhere in torch or timm
        why = str(error).strip().splitlines()[-1].strip(" .") or type(error).__name__
        raise InputError(f"{path}: found weights that do not fit their network ({why}); expected its own") from error
    if not finite:
        raise InputError(f"{path}: found weights that give no finite logits; expected those of a trained network")
    return network.requires_grad_(False)


def model_card(about: About) -> str:
    """The model card, in Markdown: what the network is, what it was made from, how well it does, and its limits."""
    design = about.design
    kind = f"`{design.backbone}` of the timm library" if design.backbone else f"{len(design.widths)} convolutions"
    rows = [
        f"| {metric_name(name)} | {_number(one)} | {one.n:,} | {one.split} |" for name, one in about.metrics.items()
    ]
    results = (
        ["| metric | value (95 % interval) | patients | rows of |", "|---|---|---|---|", *rows]
        if rows
        else ["None are given."]
    )
    phantom = (
        ["It was trained on drawn phantoms: it knows nothing of real films."] if about.data.kind == "phantom" else []
    )
    limits = [
        *phantom,
        *about.limits,
        "It knows the classes above and no other finding, and always names one of them.",
        "Films of another hospital, age group, projection or scanner can lower its results, unnoticed.",
    ]
    made_with = ", ".join(f"{name} {number}" for name, number in about.made_with.items())
    lines = [
        f"# {about.title}",
        f"**{NOT_FOR_CLINICAL_USE}**",
        "## Intended use",
        "Teaching: to see what such a network does on a film, and where it fails. It must have no part in any decision "
        "on a patient.",
        "## What it is",
        f"A network with {kind}. A film is read grey and squashed to {design.size} x {design.size} pixels. Classes: "
        f"{', '.join(about.classes)}; the positive one is {about.positive}.",
        "## Data",
        f"{about.data}; SHA-256 `{about.data.sha256}`.",
        "## Threshold",
        f"A film is called {about.positive} from a calibrated probability of {about.threshold:.3f} on, "
        f"{about.threshold_rule}. Logits are divided by the temperature {about.temperature:.3f} to be calibrated.",
        "## Results",
        "\n".join(results),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits),
        "## Made with",
        f"{made_with}.",
    ]
    return "\n\n".join(lines) + "\n"


def _number(estimate: Estimate) -> str:
    return str(estimate) if math.isfinite(estimate.value) else "not defined"


# --- images in, heat maps out -----------------------------------------------------------------------------------------

LONGEST_SIDE, LEAST_WIDTH = 640, 320  # of a picture with a heat map, in pixels
HEAT, HEAT_OPACITY = (255, 96, 0), 0.5


def image_files(given: Iterable[Path]) -> list[Path]:
    """The files given, and all images in the folders given and below, each once; links to folders are not followed.

    Raises `InputError` when a folder holds no image or cannot be read, or one given is neither file nor folder.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe may never end
            raise InputError(f"{path}: found neither file nor folder; expected an image")
        files = _images_below(path) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: found no image; expected some of {', '.join(sorted(SUFFIXES))}")
        found |= dict.fromkeys(files)
    return list(found)


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise explain(error, folder) from error

    inside = [Path(here) / name for here, _, names in os.walk(folder, onerror=refuse) for name in names]
    named = (path for path in inside if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in named if path.is_file() or not path.exists())


def write_heat_maps(model: ExportedModel, predictions: pd.DataFrame, folder: Path) -> list[Path]:
    """Write a picture for each film of a table from `predict`: the film, its heat map over it, and what was predicted.

    All appear in `folder` as `<name>_gradcam.png` when all are made, and none when one cannot be written. Films of one
    name are numbered. Returns the paths in the table's order.
    """
    names: list[str] = []
    met: Counter[str] = Counter()
    with scratch(folder) as part:
        for file, probability in zip(predictions["file"], predictions[f"prob_{model.about.positive}"], strict=True):
            stem = Path(file).stem
            met[stem] += 1
            names.append(f"{stem}_gradcam{'' if met[stem] == 1 else f'-{met[stem]}'}.png")
            heat = model.heat_map(model.films([Path(file)]).pixels[0])
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
