"""Real and phantom patients as networks that fuse series take them; see `medutils.training.fused`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from medutils import cache
from medutils.data.lumbar import GRADES, SERIES
from medutils.data.spider import Spider
from medutils.data.studies import Studies
from medutils.data.study_folder import WORDS
from medutils.errors import InputError
from medutils.models.embedders import Embedder
from medutils.training.embeddings import embed
from medutils.training.fused import FusedSet, Rows
from medutils.training.loop import Progress
from medutils.training.regions import embed_regions

SPIDER_SERIES = {"t1": "t1", "t2": "t2", "t2_space": "t2_SPACE"}  # our names and the publisher's
DISCS = (1, 2, 3, 4, 5)  # of SPIDER, from the lowest up: those that every patient has
ABSENT, PRESENT = "absent", "present"
PFIRRMANN = ("1", "2", "3", "4", "5")
FINDINGS = {  # of SPIDER, and the publisher's columns; of four types of Modic changes two are rare: any, or none
    "pfirrmann": "pfirrmann_grade",
    "narrowing": "disc_narrowing",
    "bulging": "disc_bulging",
    "herniation": "disc_herniation",
    "modic": "modic",
    "upper_endplate": "up_endplate",
    "lower_endplate": "low_endplate",
    "spondylolisthesis": "spondylolisthesis",
}


def spider_set(
    spider: Spider,
    embedders: dict[str, Embedder],
    size: int = 224,
    progress: Progress | None = None,
    whole: bool = False,
) -> FusedSet:
    """SPIDER's patients: tokens are the positions of the feature map of each mid-sagittal slice (49 for 224 pixels).

    embedders: of each series by its name, one of `SPIDER_SERIES`; all of one length. Targets: `FINDINGS` at `DISCS`.
    whole: a slice is one token, its embedding as part one has it, with which any embedder of slices will do
    """
    patients = tuple(dict.fromkeys(spider.discs["patient"]))
    place = {name: number for number, name in enumerate(patients)}
    found: dict[str, tuple[list[int], torch.Tensor]] = {}
    for name, embedder in embedders.items():
        if SPIDER_SERIES[name] in spider.series:
            there, pixels = spider.pixels(SPIDER_SERIES[name], size)
            fingerprint = cache.array_hash(pixels.numpy())
            if whole:
                named = [f"{patient} {name}" for patient in there]
                features = torch.from_numpy(embed(embedder, pixels, fingerprint, named, progress))
                values = embedder.finish(features)[:, None]
            else:
                values = torch.from_numpy(embed_regions(embedder, pixels, fingerprint, progress))
            found[name] = [place[patient] for patient in there], values
    tokens, inputs = next(iter(found.values()))[1].shape[1:]
    x = torch.zeros(len(patients), len(embedders), tokens, inputs)
    mask = torch.zeros(x.shape[:3], dtype=torch.bool)
    for number, name in enumerate(embedders):
        if name in found:
            rows, values_of = found[name]
            x[rows, number], mask[rows, number] = values_of, True
    y, targets, classes, findings = _disc_targets(spider.discs, patients)
    names = " and ".join(dict.fromkeys(f"{one.name} ({one.weights})" for one in embedders.values()))
    return FusedSet(tuple(embedders), patients, x, mask, y, targets, classes, findings, names)


def _disc_targets(
    discs: pd.DataFrame, patients: Sequence[str]
) -> tuple[Rows, tuple[str, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Grades (patients, targets), names of the targets, of their classes, and the finding of each."""
    table = discs.set_index(["patient", "disc"])
    columns, targets, classes, findings = [], [], [], []
    for finding, column in FINDINGS.items():
        for disc in DISCS:
            value = table[column].xs(disc, level="disc").reindex(patients)
            number = value - 1 if finding == "pfirrmann" else value.clip(upper=1)
            columns.append(number.fillna(-1).to_numpy(np.int64))
            targets.append(f"{finding}_disc_{disc}")
            classes.append(PFIRRMANN if finding == "pfirrmann" else (ABSENT, PRESENT))
            findings.append(finding)
    return np.stack(columns, 1), tuple(targets), tuple(classes), tuple(findings)


def study_set(studies: Studies, embedder: Embedder, size: int = 224, progress: Progress | None = None) -> FusedSet:
    """Whole DICOM studies: tokens are slices, in the order of their place; targets are the 25 of RSNA 2024.

    Series of one kind follow each other. Studies without any of the three kinds of series, or without a grade, are left
    out. Raises `InputError` when none is left.
    """
    rows = studies.series[studies.series["description"].isin(SERIES)]
    graded = studies.grades.dropna(how="all")
    names = [name for name in graded.index if name in set(rows["study_id"])]
    if not names:
        raise InputError(f"{studies.located.path}: found no graded study with a {' or '.join(SERIES)} series")
    values = torch.from_numpy(embed(embedder, studies.pixels(size), studies.fingerprint(size), progress=progress))
    places: dict[tuple[str, str], list[int]] = {}
    for row in rows.itertuples():
        places.setdefault((row.study_id, row.description), []).extend(range(row.first, row.first + len(row.slices)))
    most = max(map(len, places.values()))
    x = torch.zeros(len(names), len(WORDS), most, values.shape[1])
    mask = torch.zeros(x.shape[:3], dtype=torch.bool)
    for study, name in enumerate(names):
        for number, kind in enumerate(WORDS.values()):
            of = places.get((name, kind), [])
            x[study, number, : len(of)], mask[study, number, : len(of)] = values[of], True
    y = graded.loc[names].apply(lambda column: pd.Index(GRADES).get_indexer(column)).to_numpy(np.int64, copy=True)
    targets = tuple(graded.columns)
    findings = tuple(name.rsplit("_", 2)[0] for name in targets)
    classes = (GRADES,) * len(targets)
    return FusedSet(tuple(WORDS), tuple(names), x, mask, y, targets, classes, findings, embedder.name)
