"""A trained network as one file that explains itself: written, read back without executing anything, and asked."""

import hashlib
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from medutils.errors import InputError
from medutils.export.about import About, model_card
from medutils.export.predictions import Predictions, decided
from medutils.export.study import StudyInput
from medutils.export.study_predictions import judge_studies
from medutils.files import written_whole
from medutils.training import loop

MODEL = "model.pt"  # in the folder of a run
FORMAT = "medutils model, version 1"


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A trained network with all that belongs to it.

    network: in evaluation mode, on the CPU
    card: its model card, in Markdown
    """

    network: nn.Module
    about: About
    card: str

    def probabilities(self, x: Tensor) -> NDArray[np.float64]:
        """Calibrated probabilities (rows, classes) of what `about.reads` makes of an input; NaN for none."""
        return loop.probabilities(self.about.reads.logits(self.network, x) / self.about.temperature)

    def predict(self, given: Sequence[Path]) -> Predictions:
        """What the network says of films and folders of them, CSV tables or study folders, what it was trained on.

        Of two classes the decision is the positive one when its probability reaches the threshold. Of more it is the
        most probable one, and a column `reaches_threshold` says whether the positive one's probability does. Raises
        `InputError` for what the network does not take, and when nothing can be judged.
        """
        about = self.about
        if isinstance(about.reads, StudyInput):
            return judge_studies(about, self.network, given)
        rows = about.reads.read(given)
        left_out = list(rows.left_out)
        if len(rows.x):
            probability = self.probabilities(rows.x)
            judged = np.isfinite(probability).all(1) & rows.x.flatten(1).isfinite().all(1).numpy()
            too_far = "found values for which the network gives no number; expected some like those of its training"
            left_out += [(": line ".join(map(str, name)), too_far) for name in rows.named[~judged].to_numpy()]
        if len(left_out) == len(rows.named) + len(rows.left_out):
            what, reason = left_out[0]
            raise InputError(
                f"{what}: {reason} ({len(left_out)} of {len(left_out)} {about.reads.plural} cannot be judged)"
            )
        table = rows.named[judged].reset_index(drop=True)
        return Predictions(decided(table, probability[judged], about), tuple(left_out), rows.notes + about.notes())


def save_model(path: Path, network: nn.Module, about: About) -> None:
    """Write a network, what is to be known of it and its card to `path`, whole or not at all.

    The file holds plain types and tensors only. Raises `InputError` when the network is not the one that `about` tells
    of, or the file cannot be written.
    """
    if not about.reads.describes(network, len(about.classes)):
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


def _restored(path: Path, about: About, state: Mapping[str, Tensor]) -> nn.Module:
    """The network with its weights, after one look at whether it gives numbers."""
    try:
        with torch.random.fork_rng(devices=[]):
            network = about.reads.network(len(about.classes))
        network.load_state_dict(state)
        finite = bool(about.reads.logits(network, about.reads.example()).isfinite().all())
    except Exception as error:  # a design of nonsense fails anywhere in torch or timm
        said = (str(error).strip() or type(error).__name__).splitlines()[-1].strip(" .")
        why = textwrap.shorten(said, 160, placeholder=" ...")
        raise InputError(f"{path}: found weights that do not fit their network ({why}); expected its own") from error
    if not finite:
        raise InputError(f"{path}: found weights that give no finite logits; expected those of a trained network")
    return network.requires_grad_(False)
