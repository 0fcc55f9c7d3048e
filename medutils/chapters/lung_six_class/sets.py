"""The films of write-up 004 in its own compositions, and in those that its errors and questions ask for.

Each function takes records whose `split` is fixed (train, validation, test) and returns records with another training
part. Where nothing else is said, the test films and the validation films stay what they are.
"""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medutils.data.films import Films
from medutils.data.splits import split_by_patient
from medutils.models.augment import Augment, Augmentation

COPIES, EVERY = 5, 3  # copies of every third film of the class that is copied, as written
COPIED = Augmentation(degrees=10, zoom=0.1, shift=0.05, contrast=0.2)
DECOY, DECOY_SHARE = "random subset", 0.15
DRAWN = ("train", "validation")


def redrawn(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Training and validation films drawn anew, by patient, in the shares they had."""
    drawn = records["split"].isin(DRAWN)
    share = float(records.loc[drawn, "split"].eq("validation").mean())
    split = split_by_patient(records[drawn].assign(split=""), {"train": 1 - share, "validation": share}, seed)["split"]
    return records.assign(split=split.reindex(records.index).fillna(records["split"]))


def by_file(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Training and validation films drawn anew film by film, as fastai's `split_by_rand_pct` does."""
    places = np.flatnonzero(records["split"].isin(DRAWN))
    held = int((records["split"] == "validation").sum())
    drawn = np.random.default_rng([seed, 41]).permutation(places)
    split = records["split"].to_numpy(copy=True)
    split[places] = "train"
    split[drawn[:held]] = "validation"
    return records.assign(split=split)


def rarest(records: pd.DataFrame) -> str:
    """The class with the fewest films: that of which copies are made."""
    return str(records["label"].value_counts().sort_index().idxmin())


def with_copies(records: pd.DataFrame, x: Tensor, label: str, seed: int) -> tuple[pd.DataFrame, Tensor]:
    """Five changed copies of every third film of a class beside the others, each in the split of its original.

    The column `copy_of` names the original of a copy, and is empty for the films themselves.
    """
    places = np.flatnonzero((records["label"] == label) & records["split"].isin(DRAWN))[::EVERY]
    originals = records.iloc[np.repeat(places, COPIES)].reset_index(drop=True)
    number = np.tile(np.arange(COPIES), len(places)).astype(str)
    copies = originals.assign(
        record_id=originals["record_id"] + "#copy" + number, copy_of=originals["record_id"].to_numpy()
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        films = x[torch.from_numpy(np.repeat(places, COPIES))][:, None].float() / 255
        changed = Augment(COPIED).train()(films) if len(films) else films
    pixels = (changed[:, 0].clamp(0, 1) * 255).round().to(torch.uint8)
    return pd.concat([records.assign(copy_of=""), copies], ignore_index=True), torch.cat([x, pixels])


def with_decoy(records: pd.DataFrame, labels: Sequence[str], seed: int) -> pd.DataFrame:
    """A few training and validation films of some classes labelled as a class of their own, `random subset`."""
    chosen = records[records["label"].isin(labels) & records["split"].isin(DRAWN)]
    some = chosen.groupby(["label", "split"], sort=True).sample(frac=DECOY_SHARE, random_state=seed).index
    return records.assign(label=records["label"].mask(records.index.isin(some), DECOY))


def fewer(records: pd.DataFrame, films: int, seed: int) -> pd.DataFrame:
    """At most so many training films a class; the others have no part."""
    train = records[records["split"] == "train"].sample(frac=1, random_state=seed)
    left_out = train.groupby("label").cumcount() >= films
    return records.assign(split=records["split"].mask(records.index.isin(train.index[left_out]), ""))


def without(records: pd.DataFrame, source: str, label: str | None = None) -> pd.DataFrame:
    """Without the training and validation films of one source, or of one class of it."""
    gone = records["source"].eq(source) & records["split"].isin(DRAWN)
    if label is not None:
        gone &= records["label"].eq(label)
    return records.assign(split=records["split"].mask(gone, ""))


def shared_sources(records: pd.DataFrame, label: str) -> list[str]:
    """The sources that give films of a class and of another one, by name; none where one source alone gives the class.

    So none where no film is of the class.
    """
    classes = records.groupby("source")["label"].unique()
    giving = [str(source) for source, found in classes.items() if label in found]
    return [source for source in giving if len(classes[source]) > 1] if len(giving) > 1 else []


def stem(record_id: str) -> str:
    """The name of a children's film as its publisher wrote it: the copy in the six-class set puts more before it."""
    return PurePath(record_id).stem.rpartition("__")[2]


def children(films: Films, records: pd.DataFrame) -> pd.DataFrame:
    """The films of the children's training folder that are not in the six-class set already, with its classes.

    films: the children's set; records: those of the six-class set. A film is there already when it has the same name:
    the copy was compressed anew, so its content is another. Patients are named as the six-class set names them.
    """
    found = films.records[films.records["split"].eq("train") & films.records["cause"].ne("unknown")]
    names = {"normal": "Normal", "bacterial": "Bacterial Pneumonia", "viral": "Viral Pneumonia"}
    table = found.assign(
        label=found["cause"].map(names),
        patient=found["patient"].str.removeprefix("normal-"),
        source="kermany_walia",
    )
    there = {stem(name) for name in records.loc[records["source"] == "kermany_walia", "record_id"]}
    return table[~table["record_id"].map(stem).isin(there)]


def everything(records: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """All pneumonia films of the children's training folder beside the six-class set, more of them in training alone.

    A further film of a child who is in validation or test has no part.
    """
    held = set(records.loc[records["split"].isin(["validation", "test"]), "patient"])
    extra = more[more["label"].ne("Normal") & ~more["patient"].isin(held)].assign(split="train")
    return pd.concat([records, extra[records.columns.intersection(extra.columns)]], ignore_index=True)


def children_normals(records: pd.DataFrame, more: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The normal films of the children's set alone, as many as the set had of all sources: as the write-up has it.

    What replaces the other sources' normal films is divided like the set, in test too: of all functions here, this one
    alone changes the test films. Of a patient the set does not know it takes one film, so that it may find too few.
    """
    normal, own = records["label"] == "Normal", records["source"] == "kermany_walia"
    kept = records[~normal | own]
    wanted = int(normal.sum() - (normal & own).sum())
    known = set(records["patient"])
    drawn = more[more["label"].eq("Normal") & ~more["patient"].isin(known)]
    drawn = drawn.sort_values("record_id").drop_duplicates("patient")
    extra = drawn.sample(min(wanted, len(drawn)), random_state=seed).assign(split="")
    shares = records["split"].value_counts(normalize=True).reindex(["train", "validation", "test"])
    extra = split_by_patient(extra, shares.to_dict(), seed)
    return pd.concat([kept, extra[records.columns.intersection(extra.columns)]], ignore_index=True)
