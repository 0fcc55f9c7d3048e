"""The compositions of the six-class films: what each changes, and that the test films stay what they are."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from medutils.chapters.lung_six_class import sets
from medutils.data.films import Films
from medutils.data.manifest import Located
from medutils.data.splits import FRACTIONS, split_by_patient
from medutils.tables import check_records

# Label, source, patients, films of each, and how the source names its patients.
CELLS = (
    ("Bacterial Pneumonia", "kermany_walia", 20, 3, "bacteria-person{}"),
    ("COVID-19", "hannover_covid", 12, 3, "h{}"),
    ("Normal", "kermany_walia", 10, 2, "IM-{:04d}"),
    ("Normal", "nih1000_dinbe", 10, 2, "n{}"),
    ("Normal", "xtbtorch", 10, 2, "x{}"),
    ("Other Findings", "nih1000_dinbe", 12, 4, "o{}"),
    ("TB", "xtbtorch", 40, 1, "t{}"),
    ("Viral Pneumonia", "kermany_walia", 20, 3, "virus-person{}"),
)
CAUSES = {"bacteria": "bacterial", "virus": "viral", "IM": "normal"}


def table(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    records = pd.DataFrame(rows, columns=["record_id", "patient", "label", "source"])
    return check_records(records.assign(split="", path="films/" + records["record_id"]))


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    """Some 300 films, divided by patient into the three sides."""
    rows = [
        (f"{label}/kermany__{name}__{name}-{film}.jpeg", name, label, source)
        for label, source, patients, films, pattern in CELLS
        for name in (pattern.format(number) for number in range(patients))
        for film in range(films)
    ]
    return split_by_patient(table(rows), FRACTIONS)


@pytest.fixture(scope="module")
def more(records: pd.DataFrame) -> pd.DataFrame:
    """The children's set: the films that `records` has of it, a further film and a further patient for each of them."""
    rows = []
    for one in records[records["source"] == "kermany_walia"].itertuples():
        stem, kind = sets.stem(one.record_id), one.patient.partition("-")[0]
        folder = "NORMAL" if kind == "IM" else "PNEUMONIA"
        patient = f"normal-{one.patient}" if kind == "IM" else one.patient
        for name, who in ((stem, patient), (f"{stem}-more", patient), (f"{stem}-new", f"{patient}-new")):
            rows.append((f"train/{folder}/{name}.jpeg", who, folder, "kermany", CAUSES[kind]))
    rows.append(("test/PNEUMONIA/person900_virus_1.jpeg", "virus-person900", "PNEUMONIA", "kermany", "viral"))
    rows.append(("train/PNEUMONIA/odd.jpeg", "odd", "PNEUMONIA", "kermany", "unknown"))
    found = table([row[:4] for row in rows]).assign(cause=[row[4] for row in rows])
    found["split"] = found["record_id"].str.partition("/")[0]
    films = Films(found, ("NORMAL", "PNEUMONIA"), Located("kermany_chest_xray", Path("kermany"), "phantom"))
    return sets.children(films, records)


def side(records: pd.DataFrame, *splits: str) -> pd.DataFrame:
    return records[records["split"].isin(splits)].reset_index(drop=True)


def patients_on_two_sides(records: pd.DataFrame) -> int:
    sides = records[records["split"] != ""].groupby("patient")["split"].nunique()
    return int((sides > 1).sum())


def pixels(records: pd.DataFrame) -> torch.Tensor:
    return torch.randint(256, (len(records), 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# --- what stays -------------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "redrawn": sets.redrawn,
    "by_file": sets.by_file,
    "with_copies": lambda records, seed: sets.with_copies(records, pixels(records), "COVID-19", seed)[0],
    "with_decoy": lambda records, seed: sets.with_decoy(records, ["COVID-19", "TB"], seed),
    "fewer": lambda records, seed: sets.fewer(records, 10, seed),
    "without": lambda records, seed: sets.without(records, "xtbtorch", "Normal"),
    "without a source": lambda records, seed: sets.without(records, "xtbtorch"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_test_films_and_the_records_given_stay_as_they_are(name: str, records: pd.DataFrame) -> None:
    given = records.copy()
    found = CHANGES[name](records, 1)
    check_records(found)
    pd.testing.assert_frame_equal(side(found, "test")[list(records)], side(records, "test"))
    pd.testing.assert_frame_equal(records, given)
    assert found["record_id"].iloc[: len(records)].tolist() == records["record_id"].tolist()  # as the pixels lie


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith("without")])
def test_a_seed_draws_the_same_again_and_another_something_else(name: str, records: pd.DataFrame) -> None:
    found = [CHANGES[name](records, seed)[["label", "split"]] for seed in (1, 1, 2)]
    assert found[0].equals(found[1])
    assert name == "with_copies" or not found[0].equals(found[2])  # what is copied is fixed; how it is changed is drawn


@pytest.mark.parametrize("name", ["with_decoy", "fewer", "without"])
def test_the_validation_films_stay_where_they_are(name: str, records: pd.DataFrame) -> None:
    kept = side(records, "validation")
    if name == "without":
        kept = kept[~(kept["label"].eq("Normal") & kept["source"].eq("xtbtorch"))].reset_index(drop=True)
    assert side(CHANGES[name](records, 1), "validation")["record_id"].equals(kept["record_id"])


# --- another split ----------------------------------------------------------------------------------------------------


def test_a_redrawn_split_keeps_patients_together_and_moves_films(records: pd.DataFrame) -> None:
    found = sets.redrawn(records, 1)
    assert patients_on_two_sides(found) == 0
    before, after = (set(side(split, "validation")["record_id"]) for split in (records, found))
    assert after & set(side(records, "train")["record_id"])  # films that the first stage was trained on
    assert len(after) == pytest.approx(len(before), rel=0.2)
    assert set(side(found, "validation")["label"]) == set(records["label"])


def test_a_film_in_no_split_is_drawn_into_none(records: pd.DataFrame) -> None:
    out = records["source"] == "xtbtorch"
    left_out = records.assign(split=records["split"].mask(out, ""))
    for name in ("redrawn", "by_file"):
        assert CHANGES[name](left_out, 1)["split"].eq("").equals(out)


def test_a_split_by_file_has_known_patients_in_validation(records: pd.DataFrame) -> None:
    found = sets.by_file(records, 1)
    assert found["split"].value_counts().to_dict() == records["split"].value_counts().to_dict()
    several = side(found, "validation").query("label != 'TB'")  # patients of several films
    known = several["patient"].isin(set(side(found, "train")["patient"]))
    assert known.mean() > 0.8
    assert patients_on_two_sides(records) == 0


# --- other films, other labels ----------------------------------------------------------------------------------------


def test_the_rarest_class_is_the_one_with_the_fewest_films(records: pd.DataFrame) -> None:
    assert sets.rarest(records) == "COVID-19"


def test_copies_lie_with_their_original_and_differ_from_it(records: pd.DataFrame) -> None:
    x = pixels(records)
    found, more = sets.with_copies(records, x, "COVID-19", 1)
    originals, copies = found.iloc[: len(records)], found.iloc[len(records) :]
    assert torch.equal(more[: len(x)], x) and len(more) == len(found) and more.dtype == torch.uint8
    assert (originals["copy_of"] == "").all()
    assert copies["copy_of"].value_counts().unique().tolist() == [sets.COPIES]
    drawn = records[records["label"].eq("COVID-19") & records["split"].isin(sets.DRAWN)]
    assert copies["copy_of"].unique().tolist() == drawn["record_id"].iloc[:: sets.EVERY].tolist()
    of = records.set_index("record_id").loc[copies["copy_of"]].reset_index()
    for column in ("patient", "label", "source", "split", "path"):
        assert copies[column].tolist() == of[column].tolist()
    places = {name: place for place, name in enumerate(records["record_id"])}
    beside = x[[places[name] for name in copies["copy_of"]]]
    copied = more[len(x) :]
    assert (copied != beside).flatten(1).any(1).all()
    assert len({film.numpy().tobytes() for film in copied}) == len(copied)


def test_copies_are_changed_by_their_seed_alone(records: pd.DataFrame) -> None:
    x = pixels(records)
    random = torch.get_rng_state()
    first, again, other = (sets.with_copies(records, x, "COVID-19", seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(random, torch.get_rng_state())


def test_copies_of_a_class_without_films_are_none(records: pd.DataFrame) -> None:
    found, x = sets.with_copies(records, pixels(records), "Plague", 1)
    assert len(found) == len(x) == len(records)


def test_the_decoy_takes_a_few_films_of_its_classes_and_none_of_test(records: pd.DataFrame) -> None:
    found = sets.with_decoy(records, ["COVID-19", "TB"], 1)
    decoys = found["label"] == sets.DECOY
    assert found["split"].equals(records["split"])
    assert set(found.loc[decoys, "split"]) == {"train", "validation"}
    assert set(records.loc[decoys, "label"]) == {"COVID-19", "TB"}
    assert found.loc[~decoys, "label"].equals(records.loc[~decoys, "label"])
    drawn = records["label"].isin(["COVID-19", "TB"]) & records["split"].isin(sets.DRAWN)
    assert decoys.sum() == pytest.approx(sets.DECOY_SHARE * drawn.sum(), abs=2)


@pytest.mark.parametrize("films", [5, 20, 1000])
def test_fewer_are_at_most_so_many_training_films_a_class(films: int, records: pd.DataFrame) -> None:
    found = sets.fewer(records, films, 1)
    before, after = (side(split, "train")["label"].value_counts() for split in (records, found))
    assert after.to_dict() == before.clip(upper=films).to_dict()
    assert found["label"].equals(records["label"])


def test_without_a_source_none_of_its_films_has_a_part_but_in_test(records: pd.DataFrame) -> None:
    found = sets.without(records, "xtbtorch")
    assert set(found.loc[found["source"] == "xtbtorch", "split"]) == {"", "test"}
    others = records["source"] != "xtbtorch"
    assert found[others].equals(records[others])


def test_without_a_source_its_films_of_the_class_have_no_part(records: pd.DataFrame) -> None:
    found = sets.without(records, "xtbtorch", "Normal")
    gone = found["split"] != records["split"]
    assert set(found.loc[gone, "split"]) == {""}
    assert gone.equals(
        records["label"].eq("Normal") & records["source"].eq("xtbtorch") & records["split"].isin(sets.DRAWN)
    )


@pytest.mark.parametrize(
    ("label", "sources"),
    [("Normal", ["kermany_walia", "nih1000_dinbe", "xtbtorch"]), ("COVID-19", []), ("TB", []), ("", [])],
)
def test_shared_sources_give_films_of_the_class_and_of_another(
    label: str, sources: list[str], records: pd.DataFrame
) -> None:
    assert sets.shared_sources(records, label) == sources


# --- the children's films ---------------------------------------------------------------------------------------------


def test_a_childs_film_is_known_by_the_name_its_publisher_gave_it() -> None:
    names = ("Viral Pneumonia/kermany__virus-person7__person7_virus_12.jpeg", "train/PNEUMONIA/person7_virus_12.jpeg")
    assert {sets.stem(name) for name in names} == {"person7_virus_12"}


def test_the_childrens_films_are_those_of_training_that_the_set_lacks(
    records: pd.DataFrame, more: pd.DataFrame
) -> None:
    own = records[records["source"] == "kermany_walia"]
    assert len(more) == 2 * len(own)
    assert not set(more["record_id"].map(sets.stem)) & set(own["record_id"].map(sets.stem))
    assert set(more["label"]) == {"Bacterial Pneumonia", "Normal", "Viral Pneumonia"}
    assert set(more["source"]) == {"kermany_walia"} and set(more["split"]) == {"train"}
    # Patients bear the names that they have in the six-class set.
    assert set(own["patient"]) <= set(more["patient"])


def test_everything_is_all_pneumonia_films_but_those_of_held_patients(
    records: pd.DataFrame, more: pd.DataFrame
) -> None:
    found = sets.everything(records, more)
    check_records(found)
    assert found["record_id"].is_unique and found["path"].is_unique
    assert patients_on_two_sides(found) == 0
    pd.testing.assert_frame_equal(found.iloc[: len(records)], records)
    added = found.iloc[len(records) :]
    assert set(added["split"]) == {"train"} and set(added["label"]) == {"Bacterial Pneumonia", "Viral Pneumonia"}
    held = set(side(records, "validation", "test")["patient"])
    assert set(added["record_id"]) == set(more[more["label"].ne("Normal") & ~more["patient"].isin(held)]["record_id"])
    assert set(added["patient"]) & set(records["patient"])  # further films of patients in training are taken


def test_the_childrens_normals_take_the_place_of_all_others(records: pd.DataFrame, more: pd.DataFrame) -> None:
    found = sets.children_normals(records, more, 1)
    check_records(found)
    assert found["path"].is_unique and patients_on_two_sides(found) == 0
    normal = found[found["label"] == "Normal"]
    assert set(normal["source"]) == {"kermany_walia"}
    own = records[records["label"].eq("Normal") & records["source"].eq("kermany_walia")]
    added = normal.iloc[len(own) :]
    assert normal.iloc[: len(own)]["record_id"].tolist() == own["record_id"].tolist()
    # One film of each patient whom the set does not know, as many as there are where too few.
    assert added["patient"].is_unique and not set(added["patient"]) & set(records["patient"])
    wanted = records["label"].eq("Normal").sum() - len(own)
    there = more[more["label"].eq("Normal") & ~more["patient"].isin(records["patient"])]["patient"].nunique()
    assert len(added) == min(wanted, there)
    assert set(added["split"]) == {"train", "validation", "test"}
    others = found[found["label"] != "Normal"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, records[records["label"] != "Normal"].reset_index(drop=True))
