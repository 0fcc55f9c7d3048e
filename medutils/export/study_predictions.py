"""What an exported network says of whole studies: grades, what missing series cost, and where it looked."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from medutils.data.lumbar import GRADES
from medutils.data.study_folder import WORDS, known_grades
from medutils.errors import InputError
from medutils.evaluation import Estimate
from medutils.export.about import About
from medutils.export.predictions import Predictions, decided
from medutils.export.study import Embedded, StudyInput, there
from medutils.models.fusion import FusionNet
from medutils.training import loop

PARTS = re.compile(r"(?P<condition>(?:(?P<side>left|right)_)?.+)_(?P<level>l\d_[ls]\d)")
PHANTOM_ONLY = "The model was trained on phantom studies: it knows nothing of real patients."
ALL_ALIKE = "A network of the architecture `sets` weighs series and not slices: all slices of a series count alike."


def judge_studies(about: About, network: nn.Module, given: Sequence[Path]) -> Predictions:
    """What a network says of study folders, each of the DICOM files of one study.

    The table has a row a study and target: study, target, condition, level, side (`left`, `right` or ""), series (the
    kinds that were there), missing, `prob_<grade>` (calibrated), decision (the most probable grade),
    reaches_threshold, and graded, the grade in a table beside the study's folder, None where there is none. A study
    that cannot be judged is left out and named. Raises `InputError` when none can.
    """
    assert isinstance(about.reads, StudyInput) and isinstance(network, FusionNet)
    tables, attention, left_out, notes = [], [], [], []
    for folder in dict.fromkeys(given):
        try:
            found = about.reads.read(folder)
            grades, fault = _grades(folder)
            tables.append(_judged(about, network, folder, found, grades))
        except InputError as error:
            left_out.append((str(folder), str(error).removeprefix(f"{folder}: ")))
            continue
        attention.append(_looked_at(about.reads, network, folder, found))
        said = [*_of_series(about, found), *found.study.notes, *_beside(tables[-1], grades, fault)]
        notes += [f"{folder}: {one}" for one in said]
    if not tables:
        what, reason = left_out[0]
        count = f" ({len(left_out)} of {len(left_out)} studies cannot be judged)" if len(left_out) > 1 else ""
        raise InputError(f"{what}: {reason}{count}")
    general = [PHANTOM_ONLY] if about.data.kind == "phantom" else []
    general += [ALL_ALIKE] if about.reads.design.architecture == "sets" else []
    return Predictions(
        pd.concat(tables, ignore_index=True),
        tuple(left_out),
        (*notes, *general, *about.notes()),
        pd.concat(attention, ignore_index=True),
    )


def _judged(about: About, network: FusionNet, folder: Path, found: Embedded, grades: Mapping[str, str]) -> pd.DataFrame:
    """A row a target; `InputError` where the network gives no number."""
    probability = loop.probabilities(about.reads.logits(network, found.x))
    if not np.isfinite(probability).all():
        raise InputError(
            f"{folder}: found values for which the network gives no number; expected some like those of its training"
        )
    design = network.config
    present = [kind for kind in design.series if kind in found.study.series]
    parts = pd.Series(design.targets).str.extract(PARTS).fillna("")
    named = pd.DataFrame(
        {
            "study": str(folder),
            "target": design.targets,
            **{name: parts[name] for name in ("condition", "level", "side")},
            "series": ", ".join(present),
            "missing": ", ".join(kind for kind in design.series if kind not in present),
        }
    )
    return decided(named, probability, about).assign(
        graded=pd.Series([grades.get(target) for target in design.targets], dtype=object)
    )


def _grades(folder: Path) -> tuple[dict[str, str], str]:
    """The grades beside a study, or why a table that is there cannot be read: it keeps no study from being judged."""
    try:
        return known_grades(folder), ""
    except InputError as error:
        return {}, f"The table of grades beside it is not used: {error}."


def _beside(table: pd.DataFrame, grades: Mapping[str, str], fault: str) -> list[str]:
    """How many decisions are the grades that lie beside the study, and how many the mildest grade would be."""
    rows = table[table["graded"].notna()]
    if not grades or rows.empty:
        return [fault] if fault else []
    agree, mild = ((rows["graded"] == other).sum() for other in (rows["decision"], GRADES[0]))
    return [
        f"Of {len(rows)} targets that are graded beside it, {agree} decisions agree; {GRADES[0]} for all would be "
        f"right for {mild}."
    ]


def _of_series(about: About, found: Embedded) -> list[str]:
    """Which series were there and which were missing, and what that costs by the model's own evaluation."""
    reads = about.reads
    assert isinstance(reads, StudyInput)
    series = found.study.series
    present = tuple(kind for kind in reads.design.series if kind in series)
    missing = [WORDS[kind] for kind in reads.design.series if kind not in series]
    counts = [f"{WORDS[kind]} ({len(series[kind].slices)} slices)" for kind in present]
    said = f"Series that are there: {', '.join(counts)}."
    if not missing:
        return [f"{said} None is missing."]
    said = f"{said} Missing: {', '.join(missing)}."
    by_series = {one.series: one for one in reads.evaluated}
    less, whole = by_series.get(present), by_series.get(reads.design.series)
    if not (less and whole):
        return [f"{said} What that costs was not measured for this model."]
    phantom = "phantom studies" if about.data.kind == "phantom" else "studies"
    log_loss = _against(less.log_loss, whole.log_loss, less.log_loss_change)
    auroc = _against(less.auroc, whole.auroc, less.auroc_change)
    return [
        f"{said} What that costs, on {less.log_loss.n:,} {phantom} of its own evaluation: log loss {log_loss}; AUROC "
        f"of {about.positive} {auroc}."
    ]


def _against(less: Estimate, whole: Estimate, change: Estimate) -> str:
    return f"{less} in place of {whole}, a change of {change}"


def _looked_at(reads: StudyInput, network: FusionNet, folder: Path, found: Embedded) -> pd.DataFrame:
    """A row a slice: what it counted within its series, and its series among all."""
    with torch.inference_mode():
        weights = network.attention(found.x, there(found.x))
    rows = []
    for place, kind in enumerate(reads.design.series):
        if kind not in found.study.series:
            continue
        one = found.study.series[kind]
        rows += [
            {
                "study": str(folder),
                "series": kind,
                "slice": path.relative_to(folder).as_posix(),
                "position_mm": position,
                "weight": float(weights.tokens[0, place, number]),
                "series_weight": float(weights.series[0, place]),
            }
            for number, (path, position) in enumerate(zip(one.slices, one.position_mm, strict=True))
        ]
    return pd.DataFrame(rows)
