"""The points of a grid: what is wrong is said before anything starts, and a key holds what a result depends on."""

import shutil
from pathlib import Path

import pytest

from medutils.data.spine import find_spine
from medutils.errors import InputError
from medutils.sweep import Asked, parse_grid, sweep, sweeping
from medutils.sweep.grid import checked, combined, differing
from medutils.sweep.sent import LIMIT, Sent, at_hand, packed

GIVEN = {"data": "phantom", "profile": "smoke"}


@pytest.mark.parametrize(
    ("texts", "grid"),
    [
        (["epochs=5,10", "seed=1"], {"epochs": ["5", "10"], "seed": ["1"]}),
        (['variants="a,b",c'], {"variants": ["a,b", "c"]}),
        (["epochs=5,5, 5"], {"epochs": ["5"]}),
    ],
    ids=["lists", "a value with a comma", "a value twice"],
)
def test_a_grid_is_read(texts: list[str], grid: dict[str, list[str]]):
    assert parse_grid(texts) == grid


@pytest.mark.parametrize(
    ("texts", "given", "seeds", "sentence"),
    [
        (["epochs"], {}, 1, "-g: found 'epochs'; expected NAME=VALUE,VALUE"),
        (["epochs="], {}, 1, "-g: found 'epochs='; expected NAME=VALUE,VALUE"),
        (["epochs=1", "epochs=2"], {}, 1, "-g: found 'epochs' twice"),
        (["epochs=1"], {"epochs": "2"}, 1, "epochs: found in the grid and as one value"),
        (["seed=1,2"], {}, 5, "--seeds: found seeds in the grid too"),
        ([], {}, 0, "--seeds: found 0; expected 1 or more"),
        ([], {"seed": "x"}, 2, "seed: found 'x'; expected a whole number"),
        (["epohcs=5"], {}, 1, "parameter 'epohcs'"),
        (["epochs=5,many"], {}, 1, "epochs: found 'many'; expected a whole number"),
        (["class_column=Class_att,diagnosis"], {}, 1, "found no column 'diagnosis'"),
        ([], {"split": "nowhere.json"}, 1, "no such file"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said_before_anything_starts(
    texts: list[str], given: dict[str, str], seeds: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweeping, "connected", lambda *_: pytest.fail("a cluster was started"))
    with pytest.raises(InputError) as caught:
        sweep(Asked("spine_mlp", parse_grid(texts), {**GIVEN, **given}, seeds), tmp_path / "place")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_grid_is_every_combination_with_every_seed():
    every = combined({"epochs": ["1", "2"], "hidden": ["8"]}, {"seed": "7", **GIVEN}, seeds=2)
    assert [(one["epochs"], one["seed"]) for one in every] == [("1", "7"), ("1", "8"), ("2", "7"), ("2", "8")]
    points = checked("spine_mlp", every)
    assert len({point.key for point in points}) == 4
    assert differing(points) == ["seed", "epochs"]


def test_a_key_holds_the_parameters_and_the_content_of_the_data_and_not_where_they_lie(tmp_path: Path):
    def key(**given: str) -> str:
        return checked("spine_mlp", [{**GIVEN, **given}])[0].key

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(find_spine("phantom").path, tmp_path / folder / "table.csv")
    paths = [tmp_path / folder / "table.csv" for folder in ("one", "two")]
    one, two = (key(data=str(path)) for path in paths)
    assert one == two
    assert key() == key(epochs="12") != key(epochs="13")
    paths[1].write_text("\n".join(paths[1].read_text().splitlines()[:-1]))
    assert key(data=str(paths[1])) != one


def test_points_that_come_to_the_same_are_one():
    assert len(checked("spine_mlp", [GIVEN, {**GIVEN, "epochs": "12"}, {**GIVEN, "epochs": "12.0"}])) == 1


@pytest.mark.parametrize("folder", [False, True], ids=["a file", "a folder"])
@pytest.mark.parametrize("by_address", [False, True], ids=["bytes", "address"])
def test_what_travels_arrives_with_its_name_and_content(
    folder: bool, by_address: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("medutils.cache.cache_dir", lambda: tmp_path / "cache")
    path = tmp_path / "mine"
    if folder:
        (path / "ill").mkdir(parents=True)
        (path / "ill" / "a.bin").write_bytes(b"\0\1")
    else:
        path.write_bytes(b"a,b\n")
    sent = at_hand(path.as_uri())[1] if by_address else packed(path)
    assert (sent.name, bool(sent.files)) == ("mine", not by_address)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # as on another machine
    there = sent.laid_out()
    assert there.name == "mine"
    assert (there / "ill" / "a.bin" if folder else there).read_bytes() == (b"\0\1" if folder else b"a,b\n")


def test_an_address_with_another_content_than_was_planned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("medutils.cache.cache_dir", lambda: tmp_path / "cache")
    (tmp_path / "table.csv").write_text("new")
    sent = Sent("table.csv", "0" * 64, False, address=(tmp_path / "table.csv").as_uri())
    with pytest.raises(InputError, match=r"table.csv: found the content 11507a0e2f5e; expected 000000000000"):
        sent.laid_out()
    assert not [path for path in (tmp_path / "cache").rglob("*.csv") if path.is_file()]


@pytest.mark.parametrize("address", ["file:///nowhere/table.csv", "nosuch://bucket/table.csv"])
def test_an_address_that_does_not_answer_is_named(address: str):
    with pytest.raises(InputError, match=f"^{address}: it could not be fetched"):
        at_hand(address)


def test_what_is_too_large_to_travel_is_refused_and_an_address_asked_for(tmp_path: Path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LIMIT + 1)
    with pytest.raises(InputError, match=r"large: found 268,435,457 bytes; expected at most 268,435,456 to send"):
        packed(tmp_path / "large")
