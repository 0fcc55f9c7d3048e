"""A copy of the package with one more chapter, `tiny`, which starts in a second and does what it is told.

Sweeps are measured with it, and tested.
"""

import shutil
from pathlib import Path

import nbformat

from medutils.files import ROOT

PARTS = ("data_manifests", "medutils", "requirements.txt", "_toc.yml")
PARAMETERS = '''"""Parameters of `tiny`."""

from pydantic import Field

from medutils.chapters import Chapter, Parameters
from medutils.data.manifest import Located


class Tiny(Parameters):
    """Parameters of `book/tiny.ipynb`."""

    level: float = Field(0.5, ge=0, le=1000, description="a number")
    act: str = Field("", description="what it does besides")


def _find(parameters: Tiny) -> Located:
    from medutils.data.spine import find_spine

    return find_spine(parameters.data)


CHAPTER = Chapter(99, "tiny", "Tiny", Tiny, {"smoke": {}, "demo": {}, "full": {}}, _find)
'''
# Imports nothing of the package: starting a kernel is all the time it takes.
CELL = """
import json, os, signal, time
from pathlib import Path
if act.startswith("touch "):
    Path(act.split()[1], f"{level:g}-{os.getpid()}").touch()
    time.sleep(float(act.split()[2]))
if act.startswith("work "):
    until = time.process_time() + float(act.split()[1])
    while time.process_time() < until:
        pass
if act == "raise" and level == 13:
    raise ValueError("thirteen is no level")
if act == "kill" and level == 13:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if act == "fill" and level == 13:
    held = bytearray(1_500_000_000)
    held[::4096] = b"1" * len(held[::4096])
    time.sleep(60)
if act == "data":
    text = Path(data).read_text()
    act = f"{Path(data).name} {len(text)}"
auroc = 0.5 + level / 2000 + seed / 10000
found = {"chapter": "tiny", "profile": profile, "seed": seed, "seconds": 0.1,
         "data": {"name": Path(data).stem, "kind": "phantom", "sha256": ""},
         "parameters": {"profile": profile, "data": data, "seed": seed, "level": level, "act": act},
         "versions": {"medutils": "0"}, "experiments": {},
         "metrics": {"network.auroc": {"value": auroc, "low": auroc - 0.01, "high": auroc + 0.01, "n": 9,
                                       "split": "test"}}}
Path(out, "results.json").write_text(json.dumps(found))
Path(out, "predictions.csv").write_text("record_id,patient,y_true,prob_a,prob_b,model,rows\\n")
"""
BEGIN = 'profile = "demo"\ndata = "auto"\nsplit = ""\nout = ""\nseed = 0\nresamples = 10\nlevel = 0.5\nact = ""'


def copied(root: Path) -> Path:
    """Write the copy into a folder."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, root)
    package = root / "medutils/chapters/tiny"
    package.mkdir()
    (package / "__init__.py").write_text('"""Tiny."""\n')
    (package / "parameters.py").write_text(PARAMETERS)
    (root / "book/reported").mkdir(parents=True)
    (root / "book/reported/tiny.yaml").write_text("claims: []\n")
    cells = [nbformat.v4.new_code_cell(BEGIN, metadata={"tags": ["parameters"]}, id="given")]
    cells.append(nbformat.v4.new_code_cell(CELL.strip(), id="work"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, root / "book/tiny.ipynb")
    return root
