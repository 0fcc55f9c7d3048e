"""The walks of CONTRIBUTING.md, each tried in a copy of the repository: the files it touches are the files it names.

That of a network is tried in `chapters/pneumonia_cnn/test_experiments.py`, that of a dataset in `data/test_films.py`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import matthews_corrcoef

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.evaluation import METRICS
from medutils.files import ROOT, sha256
from template import __main__ as template

PARTS = ("book", "data_manifests", "medutils", "template", "tests", "_toc.yml", "pyproject.toml", "requirements.txt")
PYTHON = (sys.executable, "-B")
MEDUTILS = (*PYTHON, "-c", "from medutils.cli import main; main()")
MYPY = ".mypy_cache"
RUFF = (*PYTHON, "-m", "ruff")
MADE = {
    "medutils/chapters/walked/__init__.py",
    "medutils/chapters/walked/parameters.py",
    "book/walked.ipynb",
    "book/reported/walked.yaml",
    "tests/chapters/walked/test_walked.py",
}
CHECKED = ("chapters/test_chapters.py", "chapters/walked", "evidence/test_recorder.py", "notebooks/test_regression.py")
METRIC = {  # each piece of code below the line that it follows
    '    "accuracy": "Accuracy",\n': '    "matthews": "Matthews correlation",\n',
    "            found = {\n": '                "matthews": _matthews(counts),\n',
    "    return 1 - (apart * counts).sum((1, 2)) / (apart * expected).sum((1, 2))\n": """

def _matthews(counts: Array) -> Array:
    true, said, total = counts.sum(2), counts.sum(1), counts.sum((1, 2))
    together = total * np.trace(counts, axis1=1, axis2=2) - (true * said).sum(1)
    return together / np.sqrt((total**2 - (true**2).sum(1)) * (total**2 - (said**2).sum(1)))
""",
}
JUDGED = """
import json, sys
import pandas as pd
from medutils.chapters import all_chapters, resolve
from medutils.data.manifest import Located
from medutils.evaluation import binary, metric_name
from medutils.evidence import Results
from medutils.files import ROOT
table = pd.read_json(sys.stdin)
found = {}
for name in all_chapters():
    parameters = resolve(name, {}, "smoke").model_dump()
    results = Results(name, parameters, Located("x", "real", ROOT / "_toc.yml"), binary("sick", "well"))
    one = results.judge("model", table, "test", 0.5)["matthews"]
    found[name] = [metric_name("matthews"), one.low, one.value, one.high]
print(json.dumps(found))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What a chapter is made of and checked with, in a folder of its own."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / part, tmp_path)
    return tmp_path


def contents(root: Path) -> dict[str, str]:
    """The hash of every file, by its path."""
    return {path.relative_to(root).as_posix(): sha256(path) for path in root.rglob("*") if path.is_file()}


def touched(before: dict[str, str], root: Path) -> tuple[set[str], set[str]]:
    """The files that are new, and those that are others."""
    after = contents(root)
    assert before.keys() <= after.keys()
    return after.keys() - before.keys(), {path for path in before if before[path] != after[path]}


def run(root: Path, *command: str, given: str = "") -> str:
    """What a command that must end well prints, with the package of `root`."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=environment, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_a_chapter_is_a_copy_of_the_template_that_passes_every_check(copy: Path):
    before = contents(copy)
    said = run(copy, *PYTHON, "-m", "template", "walked")
    assert touched(before, copy) == (MADE, {"_toc.yml"})
    assert all(path in said for path in (*MADE, "_toc.yml", "book/intro.md", "book/glossary.md"))
    chapters = yaml.safe_load((copy / "_toc.yml").read_text())["parts"][0]["chapters"]
    assert [entry["file"] for entry in chapters] == [f"book/{name}" for name in (*all_chapters(), "walked")]

    run(copy, *RUFF, "format", "--no-cache", "--check", ".")
    run(copy, *RUFF, "check", "--no-cache", ".")
    run(copy, str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    if (ROOT / MYPY).is_dir():  # what it holds need not be checked again
        shutil.copytree(ROOT / MYPY, copy / MYPY)
    run(copy, *PYTHON, "-m", "mypy")
    run(copy, *MEDUTILS, "run", "walked", "--profile", "smoke", "--data", "phantom", "--out", "ran")
    results = json.loads((copy / "ran/results.json").read_text())
    assert results["metrics"]["logistic_regression.auroc"]["low"] > 0.5
    assert results["metrics"].keys() >= {f"logistic_regression.{name}" for name in ("f1", "brier", "npv")}
    assert {"notebook.ipynb", "predictions.csv", "split.json"} <= {path.name for path in (copy / "ran").iterdir()}

    run(copy, *PYTHON, "tests/notebooks/references.py", "walked")
    tests = [f"tests/{path}" for path in CHECKED]
    checked = run(copy, *PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-k", "walked", *tests)
    assert re.search(r"^7 passed", checked, re.M), checked


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "NAME: found ''; expected a Python name in small letters, such as lung_six_class"),
        ("lung-six", "NAME: found 'lung-six'; expected a Python name"),
        ("Lung", "NAME: found 'Lung'; expected a Python name"),
        ("lambda", "NAME: found 'lambda'; expected a Python name"),
        ("spine_mlp", "NAME: found medutils/chapters/spine_mlp; expected the name of a chapter that is not there yet"),
        ("evidence", r"NAME: found book/evidence\.ipynb; expected the name of a chapter"),
        ("glossary", r"NAME: found book/glossary\.md; expected the name of a chapter"),
    ],
)
def test_a_name_that_no_chapter_can_have_is_refused(name: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        template.start(name)


@pytest.mark.parametrize("fails", [*sorted(MADE), "_toc.yml"])
def test_a_chapter_that_cannot_be_written_leaves_nothing(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path == tmp_path / fails:
            raise InputError(f"{path}: no space left on device")
        path.write_text(text)

    shutil.copy(ROOT / "_toc.yml", tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(template, "write_text", write)
    with pytest.raises(InputError, match="no space left"):
        template.start("walked", tmp_path)
    assert contents(tmp_path) == before
    assert not list((tmp_path / "medutils/chapters").iterdir())


@pytest.mark.slow
def test_a_metric_is_words_and_code_in_one_file_and_every_chapter_has_it_with_an_interval(copy: Path):
    before = contents(copy)
    place = copy / "medutils/evaluation/metrics.py"
    code = place.read_text()
    for line, more in METRIC.items():
        assert code.count(line) == 1
        code = code.replace(line, line + more)
    place.write_text(code)
    assert touched(before, copy) == (set(), {"medutils/evaluation/metrics.py"})
    rng = np.random.default_rng(0)
    sick = rng.random(80) < 0.6
    p = 0.3 * sick + 0.7 * rng.random(80)
    table = pd.DataFrame({"y_true": np.where(sick, "sick", "well"), "prob_sick": p, "prob_well": 1 - p})
    table = table.assign(record_id=[f"r{row}" for row in table.index], patient=[f"p{row}" for row in table.index])
    found = json.loads(run(copy, *PYTHON, "-c", JUDGED, given=table.to_json()))
    assert list(found) == list(all_chapters())
    for words, low, value, high in found.values():
        assert words == "Matthews correlation"
        assert value == pytest.approx(matthews_corrcoef(sick, p >= 0.5))
        assert low < value < high


@pytest.mark.parametrize("name", all_chapters())
def test_whatever_a_chapter_judges_has_every_metric(name: str):
    """So what evaluation gains, each of its models gains, but for those of which a chapter keeps a few by name."""
    kept = json.loads((ROOT / f"tests/notebooks/{name}.results.json").read_text())["metrics"]
    models = [metric.removesuffix(".accuracy") for metric in kept if metric.endswith(".accuracy")]
    of_some_tasks = {"weighted_log_loss", "kappa_linear", "auroc_over_targets"}
    few = set(getattr(import_module(f"medutils.chapters.{name}.experiments"), "METRICS", ()))
    of = {model: {key.rpartition(".")[2] for key in kept if key.rpartition(".")[0] == model} for model in models}
    whole = [model for model in models if of[model] != few]
    assert whole
    for model, metric in product(whole, METRICS.keys() - of_some_tasks):
        assert kept.keys() & {f"{model}.{metric}", f"{model}.macro_{metric}"}, (model, metric)
