"""The exported model: one file that is read back as it was written or refused, its predictions and its heat maps."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from medutils import NOT_FOR_CLINICAL_USE
from medutils.cli import app
from medutils.errors import InputError
from medutils.evaluation import Estimate
from medutils.export import (
    About,
    FilmInput,
    TableInput,
    TrainedOn,
    heat_map,
    image_files,
    load_model,
    model_card,
    overlay,
    save_model,
    write_heat_maps,
)
from medutils.export.model import _digest
from medutils.models.cnn import Architecture, FilmClassifier
from medutils.models.mlp import SpineMLP
from medutils.models.transfer import make_backbone
from medutils.training import loop

SIZE = 32
TINY = Architecture(size=SIZE, channels=1, widths=(4, 8), dense=8)
RESNET = Architecture(size=64, channels=1, backbone="resnet18", dense=0, average=True)
FASTAI = replace(RESNET, channels=3, backbone="tf_efficientnet_lite0", head="fastai", mean=(0.5,), deviation=(0.5,))
TWO, THREE = ("NORMAL", "PNEUMONIA"), ("COVID", "NORMAL", "PNEUMONIA")
SIX = ("Bacterial Pneumonia", "COVID-19", "Normal", "Other Findings", "TB", "Viral Pneumonia")
DATA = TrainedOn(name="kermany_chest_xray", kind="phantom", sha256="0" * 64)


def network(design: Architecture = TINY, classes: int = 2) -> FilmClassifier:
    torch.manual_seed(0)
    return FilmClassifier(design, classes, backbone=make_backbone(design) if design.backbone else None).eval()


TABLE = TableInput(
    columns=("angle", "slip"), mean=(40.0, 1.0), scale=(10.0, 2.0), hidden=3, dropout=0.1, batch_normalisation=True
)


def mlp(batch_normalisation: bool = True) -> SpineMLP:
    torch.manual_seed(0)
    return SpineMLP(2, 3, 0.1, batch_normalisation).eval()


def about(reads: Architecture | TableInput = TINY, classes: tuple[str, ...] = TWO, **given: Any) -> About:
    facts: dict[str, Any] = {
        "title": "A tiny network",
        "reads": reads if isinstance(reads, TableInput) else FilmInput(design=reads),
        "classes": classes,
        "threshold": 0.4,
        "threshold_rule": "the highest F1 on the validation films",
        "temperature": 2.0,
        "data": DATA,
        "metrics": {"auroc": Estimate(0.9, 0.8, 0.95, 100, "test"), "f1": Estimate(*[float("nan")] * 3, 100, "test")},
    }
    return About(**facts | given)


def seeing(classes: int) -> FilmClassifier:
    """A network set by hand whose positive class is the film's brightness, wherever it is."""
    design = Architecture(size=SIZE, channels=1, widths=(1,), dense=0, average=True)
    model = network(design, classes)
    with torch.no_grad():
        for part in model.parameters():
            part.zero_()
        model.backbone[0].weight.fill_(1 / 9)
        model.head.last.weight[-1].fill_(50.0)
        model.head.last.bias[-1] = -2.0
    return model


def spot(row: int, column: int) -> Image.Image:
    """A dark film with one bright square of 8 pixels, its upper left corner at `row` and `column`."""
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[row : row + 8, column : column + 8] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with the network that sees brightness, and three films: with a spot, without one, and no film at all."""
    (tmp_path / "run").mkdir()
    (tmp_path / "films").mkdir()
    save_model(tmp_path / "run" / "model.pt", model := seeing(2), about(model.design))
    spot(4, 20).save(tmp_path / "films" / "bright.png")
    dark = Image.new("L", (SIZE, SIZE))
    dark.putpixel((0, 0), 1)  # a film of one value all over would not be judged
    dark.save(tmp_path / "films" / "dark.png")
    return tmp_path


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "classes"),
    [(TINY, TWO), (TINY, THREE), (RESNET, TWO), (TABLE, TWO), (TABLE.model_copy(update={"hidden": 5}), TWO)],
)
def test_a_model_comes_back_as_it_was(reads: Architecture | TableInput, classes: tuple[str, ...], tmp_path: Path):
    told = about(reads, classes)
    if isinstance(reads, TableInput):
        before, x = SpineMLP(2, reads.hidden, reads.dropout), torch.randn(3, 2)
    else:
        before = network(reads, len(classes))
        x = torch.randint(0, 256, (3, reads.size, reads.size), dtype=torch.uint8)
    save_model(tmp_path / "model.pt", before, told)
    random = torch.get_rng_state()
    after = load_model(tmp_path)
    assert torch.equal(random, torch.get_rng_state())
    assert torch.equal(loop.predict(after.network, x), loop.predict(before, x))
    assert after.probabilities(x).shape == (3, len(classes))
    assert after.about.model_dump_json() == told.model_dump_json()
    assert after.about.kind == ("table" if isinstance(reads, TableInput) else "film")


def test_the_card_says_what_must_be_known():
    card = model_card(about(limits=("Children only.",)))
    for words in (
        NOT_FOR_CLINICAL_USE,
        "Teaching",
        "kermany_chest_xray (phantom)",
        "knows nothing of real patients",
        "0.400 on, the highest F1 on the validation films",
        "| AUROC | 0.900 (0.800 to 0.950) | 100 | test |",
        "| F1 | not defined |",
        "Children only.",
        f"torch {torch.__version__.partition('+')[0]}",
    ):
        assert words in card, card


def test_the_card_of_a_table_names_columns_and_the_rule():
    card = model_card(about(TABLE, temperature=1.0, threshold_rule="given and not chosen"))
    for words in (
        "does on a row",
        "hidden layers of 3 units, batch normalisation and dropout 0.1",
        "angle, slip",
        "from a probability of 0.400 on, given and not chosen.",
        "knows nothing of real patients",
        "Rows of another hospital",
    ):
        assert words in card, card
    assert "temperature" not in card


def test_the_card_shows_names_as_they_are_written():
    card = model_card(about(classes=("a|b", "<b>*ill*</b>")))
    assert r"a\|b, \<b\>\*ill\*\</b\>" in card


@pytest.mark.parametrize(("temperature", "said"), [(20.0, True), (0.05, True), (2.0, False)])
def test_a_temperature_at_its_bound_is_commented(temperature: float, said: bool):
    told = about(temperature=temperature)
    assert any("no temperature calibrates this network" in note for note in told.notes()) is said
    assert ("no temperature calibrates this network" in model_card(told)) is said


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("open('exploded', 'w')",)


def change(path: Path, **parts: Any) -> None:
    torch.save(torch.load(path, weights_only=True) | parts, path)


def forge(path: Path, state: dict[str, torch.Tensor] | None = None, **told: Any) -> None:
    """Change the description, or add to the weights, and make the digest fit."""
    content = torch.load(path, weights_only=True)
    content["about"] |= told
    content["state"] |= state or {}
    digest = _digest(About.model_validate(content["about"]), content["card"], content["state"])
    torch.save(content | {"digest": digest}, path)


def tell(path: Path, **told: Any) -> None:
    """Change the description alone."""
    change(path, about=torch.load(path, weights_only=True)["about"] | told)


def film(aspect: str = "squash", **design: Any) -> dict[str, Any]:
    return {"kind": "film", "aspect": aspect, "design": asdict(TINY) | design}


def flip_a_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.find(network().backbone[0].weight.detach().numpy().tobytes()) + 2] ^= 1
    path.write_bytes(raw)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "no file of weights"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-400]), "no file of weights"),
    "a bit flipped": (flip_a_bit, "differs from what was written"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(Bomb(), 2)), "no file of weights"),
    "a pickle in it": (lambda path: torch.save({"format": Bomb()}, path), "no file of weights"),
    "a checkpoint": (lambda path: torch.save({"epoch": 3}, path), "a file without a format"),
    "a later version": (lambda path: change(path, format="medutils model, version 2"), "version 2"),
    "no description": (lambda path: change(path, about=None), "about"),
    "no card": (lambda path: change(path, card=7), "differs from what was written"),
    "another reading": (lambda path: tell(path, reads=film(aspect="keep")), "about.reads.film.aspect"),
    "a threshold above 1": (lambda path: tell(path, threshold=40), "about.threshold"),
    "a class twice": (lambda path: tell(path, classes=["A", "A"]), "classes are A, A"),
    "an unknown part": (lambda path: tell(path, reads=film(depth=3)), "about.reads.film.design.depth"),
    "another threshold": (lambda path: tell(path, threshold=0.9), "differs from what was written"),
    "another kind": (lambda path: tell(path, reads={"kind": "study"}), "about.reads"),
    "a table's": (lambda path: forge(path, reads=TABLE.model_dump()), "do not fit"),
    "no weights": (lambda path: change(path, state=[1]), "differs from what was written"),
    "no such backbone": (lambda path: forge(path, reads=film(backbone="x")), "found 'x'"),
    "wider": (lambda path: forge(path, reads=film(widths=(4, 9))), "do not fit"),
    "far too wide": (lambda path: forge(path, reads=film(dense=10**12)), "do not fit"),
    "too small a film": (lambda path: forge(path, reads=film(size=4)), "expected at least 10"),
    "more classes": (lambda path: forge(path, classes=list(THREE)), "head.last"),
    "a weight too many": (lambda path: forge(path, {"more": torch.zeros(1)}), '"more"'),
    "not a number": (lambda path: forge(path, {"head.last.bias": torch.tensor([float("nan")])}), "no finite logits"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    save_model(path, network(), about())
    damage, words = DAMAGE[kind]
    damage(path)
    with pytest.raises(InputError) as error:
        load_model(path)
    said = str(error.value)
    assert said.startswith(str(path)) and words in said and "\n" not in said
    assert len(said) < len(str(path)) + 250
    assert not (tmp_path / "exploded").exists()


DAMAGED_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "a mean too few": ({"mean": [1.0]}, "2 columns, 1 means and 2 scales"),
    "a column twice": ({"columns": ["angle", "angle"]}, "each column once"),
    "divided by 0": ({"scale": [0.0, 1.0]}, "about.reads.table.scale.0"),
    "a mean that is none": ({"mean": [float("nan"), 1.0]}, "about.reads.table.mean.0"),
    "far too wide": ({"hidden": 10**6}, "about.reads.table.hidden"),
    "another width": ({"hidden": 4}, "do not fit"),
    "no normalisation": ({"batch_normalisation": False}, "do not fit"),
}


@pytest.mark.parametrize("kind", DAMAGED_TABLES)
def test_a_damaged_model_of_tables_is_refused_in_one_sentence(kind: str, tmp_path: Path):
    path = tmp_path / "model.pt"
    save_model(path, mlp(), about(TABLE))
    given, words = DAMAGED_TABLES[kind]
    (forge if words == "do not fit" else tell)(path, reads=TABLE.model_dump() | given)
    with pytest.raises(InputError) as error:
        load_model(path)
    said = str(error.value)
    assert said.startswith(str(path)) and words in said and "\n" not in said


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (about(replace(TINY, widths=(4, 9))), network()),
        (about(classes=THREE), network()),
        (about(), mlp()),
        (about(TABLE), network()),
        (about(TABLE), mlp(batch_normalisation=False)),
        (about(TABLE, THREE), mlp()),
    ],
)
def test_a_network_is_not_saved_as_another(told: About, found: torch.nn.Module, tmp_path: Path):
    with pytest.raises(InputError, match="another design or number of classes"):
        save_model(tmp_path / "model.pt", found, told)
    assert list(tmp_path.iterdir()) == []


# --- predictions ------------------------------------------------------------------------------------------------------


def test_two_classes_are_decided_at_the_threshold(folder: Path):
    films = sorted((folder / "films").iterdir())
    model = load_model(folder / "run")
    table = model.predict(films).table
    assert list(table) == ["file", "prob_NORMAL", "prob_PNEUMONIA", "decision"]
    assert table["decision"].tolist() == ["PNEUMONIA", "NORMAL"]
    # The dark film's logit is the bias, -2, and the temperature is 2.
    assert table["prob_PNEUMONIA"][1] == pytest.approx(1 / (1 + np.exp(1)), abs=1e-4)
    at = table["prob_PNEUMONIA"][1]
    at_it = replace(model, about=model.about.model_copy(update={"threshold": at})).predict(films).table
    assert at_it["decision"][1] == "PNEUMONIA"


def test_of_three_classes_the_most_probable_is_decided_and_the_positive_one_is_flagged(folder: Path):
    model = seeing(3)
    save_model(folder / "three.pt", model, about(model.design, THREE, threshold=0.1))
    table = load_model(folder / "three.pt").predict([folder / "films"]).table
    assert list(table) == ["file", *(f"prob_{name}" for name in THREE), "decision", "reaches_threshold"]
    assert table["decision"].tolist() == ["PNEUMONIA", "COVID"]
    assert table["reaches_threshold"].tolist() == [True, True]
    assert table.filter(like="prob_").sum(axis=1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("classes", [TWO, SIX], ids=["two classes", "six classes"])
def test_a_network_with_the_head_of_fastai_has_a_logit_a_class_and_predicts_films(
    classes: tuple[str, ...], folder: Path
):
    before = network(FASTAI, len(classes))
    save_model(folder / "fastai.pt", before, about(FASTAI, classes, threshold=0.1, temperature=1.0))
    table = load_model(folder / "fastai.pt").predict([folder / "films"]).table
    assert [Path(file).name for file in table["file"]] == ["bright.png", "dark.png"]
    pictures = (Image.open(file).resize((64, 64), Image.Resampling.BILINEAR) for file in table["file"])
    said = loop.predict(before, torch.from_numpy(np.stack([np.array(picture) for picture in pictures])))
    assert said.shape == (2, len(classes))
    found = table[[f"prob_{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(found, said.softmax(1).numpy(), atol=1e-3)
    np.testing.assert_allclose(found.sum(1), 1)
    with pytest.raises(InputError, match="another design or number of classes"):
        save_model(folder / "other.pt", before, about(FASTAI, THREE))


def test_what_cannot_be_read_is_named_and_the_rest_is_predicted(folder: Path):
    (folder / "films" / "cut.png").write_bytes((folder / "films" / "dark.png").read_bytes()[:40])
    films = [folder / "films" / name for name in ("cut.png", "dark.png", "absent.png")]
    found = load_model(folder / "run").predict(films)
    assert found.table["file"].tolist() == [str(films[1])]
    (cut, damaged), (absent, missing) = found.left_out
    assert (cut, absent) == (str(films[0]), str(films[2]))
    assert "image" in damaged and "no such file" in missing
    with pytest.raises(InputError, match=r"2 of 2 images cannot be read"):
        load_model(folder / "run").predict([films[0], films[2]])


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_film_is_named_and_not_judged(value: int, folder: Path):
    Image.new("L", (90, 60), value).save(folder / "films" / "blank.png")
    found = load_model(folder / "run").predict([folder / "films"])
    assert [Path(file).name for file in found.table["file"]] == ["bright.png", "dark.png"]
    ((name, reason),) = found.left_out
    assert Path(name).name == "blank.png" and "blank film" in reason
    with pytest.raises(InputError, match=r"blank film.*1 of 1 films cannot be judged"):
        load_model(folder / "run").predict([folder / "films" / "blank.png"])


def test_a_row_for_which_the_network_gives_no_number_is_left_out(tmp_path: Path):
    narrow = TABLE.model_copy(update={"scale": (1e-20, 2.0)})
    save_model(tmp_path / "model.pt", mlp(), about(narrow))
    (tmp_path / "rows.csv").write_text("angle,slip\n1e30,1\n40,1\n")
    found = load_model(tmp_path).predict([tmp_path / "rows.csv"])
    assert found.table["line"].tolist() == [3]
    ((name, reason),) = found.left_out
    assert name.endswith("rows.csv: line 2") and "gives no number" in reason


def test_a_table_is_no_film(folder: Path):
    (folder / "rows.csv").write_text("angle,slip\n40,1\n")
    with pytest.raises(InputError, match=r"rows\.csv: found a table; expected films"):
        load_model(folder / "run").predict([folder / "rows.csv"])


def test_folders_are_read_as_the_images_in_them(folder: Path):
    (folder / "films" / "more").mkdir()
    for name in ("more/last.JPG", ".hidden.png", "notes.txt"):
        (folder / "films" / name).touch()
    found = image_files([folder / "films" / "dark.png", folder / "films"])
    assert [path.name for path in found] == ["dark.png", "bright.png", "last.JPG"]
    for given, words in ((folder / "run", "found no image"), (Path("/dev/zero"), "neither file nor folder")):
        with pytest.raises(InputError, match=words):
            image_files([given])


# --- heat maps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_the_heat_map_lights_up_where_the_signal_is(classes: int, tmp_path: Path):
    network = seeing(classes)
    save_model(tmp_path / "model.pt", network, about(network.design, (TWO, THREE)[classes - 2]))
    model = load_model(tmp_path)
    for row, column in ((4, 20), (20, 4)):
        heat = heat_map(model, np.array(spot(row, column)))
        assert heat.shape == (SIZE, SIZE)
        assert (heat.min(), heat.max()) == (0, pytest.approx(1, abs=1e-5))
        top, left = np.unravel_index(heat.argmax(), heat.shape)
        assert row <= top < row + 8 and column <= left < column + 8
        assert heat[row : row + 8, column : column + 8].sum() > 0.6 * heat.sum()
    assert heat_map(model, np.zeros((SIZE, SIZE), np.uint8)).max() == 0


def test_maps_that_speak_against_the_class_stay_dark(tmp_path: Path):
    """Where a filter that counts against the class is silent, there is no evidence for the class."""
    network = seeing(2)
    with torch.no_grad():
        network.backbone[0].bias.fill_(-0.5)
        network.head.last.weight.neg_()
    save_model(tmp_path / "model.pt", network, about(network.design))
    assert heat_map(load_model(tmp_path), np.array(spot(4, 20))).max() == 0


def test_a_table_has_no_heat_map(tmp_path: Path):
    save_model(tmp_path / "model.pt", mlp(), about(TABLE))
    with pytest.raises(InputError, match="a model for a table; expected one for films"):
        heat_map(load_model(tmp_path), np.zeros((SIZE, SIZE), np.uint8))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_backbone_has_a_heat_map_frozen_or_not(frozen: bool, tmp_path: Path):
    design = replace(RESNET, frozen=frozen)
    save_model(tmp_path / "model.pt", network(design), about(design))
    model = load_model(tmp_path)
    heat = heat_map(model, np.array(spot(4, 20).resize((64, 64))))
    assert heat.shape == (64, 64) and 0 <= heat.min() <= heat.max() <= 1
    assert all(part.grad is None for part in model.network.parameters())


def test_heat_maps_are_all_written_or_none(folder: Path):
    model, films = load_model(folder / "run"), folder / "films"
    (folder / "again").mkdir()
    spot(20, 4).resize((90, 60)).save(folder / "again" / "bright.png")
    table = model.predict([films, folder / "again"]).table
    written = write_heat_maps(model, table, folder / "maps")
    assert [path.name for path in written] == ["bright_gradcam.png", "dark_gradcam.png", "bright_gradcam-2.png"]
    assert sorted(path.name for path in (folder / "maps").iterdir()) == sorted(path.name for path in written)
    (films / "dark.png").unlink()
    with pytest.raises(InputError, match=r"dark\.png"):
        write_heat_maps(model, table, folder / "others")
    assert not (folder / "others").exists()


def test_the_overlay_colours_the_heat_only_and_says_what_it_is_not_for():
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[:16, 16:] = 1
    picture = overlay(Image.new("L", (200, 100), 100), heat, ["PNEUMONIA 0.912"])
    pixels = np.asarray(picture).astype(int)
    assert picture.width == 640 and picture.height > 320
    assert (pixels[80, 480, 0], pixels[80, 480, 2]) == (pytest.approx(178, abs=3), pytest.approx(50, abs=3))
    assert pixels[240, 160].tolist() == [100, 100, 100]
    assert (pixels[320:] == 255).sum() > 300  # words, white on black
    assert overlay(Image.new("L", (3000, 1)), heat).size[0] == 640


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_predicts_and_draws(folder: Path):
    (folder / "films" / "cut.png").write_bytes(b"")
    code = "from medutils.cli import main; main()"
    arguments = ["predict", "run", "films", "--json", "--gradcam", "maps"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "medutils: films/cut.png: found an empty file; expected an image",
        "medutils: INPUT: left out 1 of 3 films, named above; expected to judge all",
    ]
    bright, dark = json.loads(done.stdout)
    assert (bright["file"], bright["decision"], dark["decision"]) == ("films/bright.png", "PNEUMONIA", "NORMAL")
    assert (bright["notice"], bright["trained_on"]) == (NOT_FOR_CLINICAL_USE, "kermany_chest_xray (phantom)")
    assert bright["gradcam"] == "maps/bright_gradcam.png"
    assert len(list((folder / "maps").iterdir())) == 2


def test_the_command_shows_a_table_and_the_notice(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    (folder / "films" / "dark.png").rename(folder / "films" / "[red]\x1b.png")
    done = CliRunner().invoke(app, ["predict", "run/model.pt", "films"])
    assert done.exit_code == 0, done.output
    for words in (
        "A tiny network, trained on kermany_chest_xray (phantom)",
        "films/[red]\\x1b.png",
        "0.2690",
        "NORMAL",
    ):
        assert words in done.stdout, done.stdout
    assert done.stdout.rstrip().endswith(NOT_FOR_CLINICAL_USE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "films"], "nowhere: no such file"),
        (["films", "films"], "films/model.pt: no such file"),
        (["films/dark.png", "films"], "films/dark.png: found no file of weights"),
        (["run", "run"], "run: found no image"),
        (["run", "nothing.png"], "nothing.png: no such file"),
        (["run", "films", "--gradcam", "films/dark.png"], "films/dark.png"),
        (["run", "films", "--gradcam", "/proc/maps"], "/proc"),
    ],
)
def test_the_command_refuses_in_one_sentence_and_writes_nothing(
    arguments: list[str], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    done = CliRunner().invoke(app, ["predict", *arguments])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception) and "\n" not in str(done.exception)
    assert done.stdout == "" and sorted(folder.rglob("*")) == before
