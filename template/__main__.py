"""Start a chapter: the files of this folder under its name, and its line in the table of contents."""

import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat

from medutils.chapters import all_chapters
from medutils.errors import InputError
from medutils.files import ROOT, write_text

HERE = Path(__file__).parent
TOC = "_toc.yml"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def start(name: str, root: Path = ROOT) -> list[str]:
    """Write the files of a new chapter below `root`, all of them or none; their paths, the changed one last.

    Raises `InputError` when the name cannot be that of a module, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InputError(f"NAME: found '{name}'; expected a Python name in small letters, such as lung_six_class")
    package, tests = f"medutils/chapters/{name}", f"tests/chapters/{name}"
    files = {
        f"{package}/__init__.py": '"""New chapter: the write-up that it rebuilds."""\n',
        f"{package}/parameters.py": _text("parameters.py"),
        f"book/{name}.ipynb": _notebook(_text("chapter.py")),
        f"book/reported/{name}.yaml": _text("reported.yaml"),
        f"{tests}/test_{name}.py": _text("test_chapter.py"),
    }
    for path in (package, tests, f"book/{name}.md", *files):
        if (root / path).exists():
            raise InputError(f"NAME: found {path}; expected the name of a chapter that is not there yet")
    last = max(all_chapters().values(), key=lambda chapter: chapter.number)
    filled = {
        "new_chapter": name,
        "NewChapter": name.title().replace("_", ""),
        "New chapter": name.replace("_", " ").capitalize(),
        "number=0": f"number={last.number + 1}",
    }
    toc = _with_line((root / TOC).read_text(encoding="utf-8"), name, after=last.name)
    try:
        for path, text in files.items():
            write_text(root / path, _filled(text, filled))
        write_text(root / TOC, toc)
    except BaseException:
        for path in (package, tests):
            shutil.rmtree(root / path, ignore_errors=True)
        for path in files:
            (root / path).unlink(missing_ok=True)
        raise
    return [*files, TOC]


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _filled(text: str, names: Mapping[str, str]) -> str:
    for placeholder, given in names.items():
        text = text.replace(placeholder, given)
    return text


def _notebook(text: str) -> str:
    """Jupytext's percent format as a notebook, each cell's title being its id."""
    notebook = jupytext.reads(text, "py:percent")
    notebook.update(metadata=METADATA, nbformat=4, nbformat_minor=5)
    for cell in notebook.cells:
        cell.id = cell.metadata.pop("title")
    return nbformat.writes(notebook) + "\n"


def _with_line(toc: str, name: str, after: str) -> str:
    """The table of contents with a chapter's line after that of another."""
    line = f"      - file: book/{after}\n"
    if line not in toc:
        raise InputError(f"{TOC}: found no line '{line.strip()}', after which the new one goes; expected it")
    return toc.replace(line, line + line.replace(after, name))


def main() -> None:
    """Start the chapter that is named, and say what was made and what is left to write."""
    try:
        *made, changed = start(" ".join(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"make chapter: {error}")
    print("\n".join([*(f"made     {path}" for path in made), f"changed  {changed}"]))
    name = Path(made[0]).parent.name
    print(
        f"It runs: `medutils run {name} --profile smoke`. `make references NAME={name}` keeps what it prints and finds."
    )
    print("Yours to write: its line on the cover (book/intro.md), and its terms in book/glossary.md.")


if __name__ == "__main__":
    main()
