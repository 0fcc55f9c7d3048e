"""The commands `medutils data ...`: what datasets there are, and getting, checking, making and auditing one."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medutils.errors import InputError

if TYPE_CHECKING:
    from medutils.data.loaded import Loaded
    from medutils.data.manifest import Located

app = typer.Typer(
    no_args_is_help=True,
    help="The book's datasets: list, show, fetch, verify, make, slices, audit; its pretrained weights: list, show.",
)
NAMED = 20  # of what was left out, on the terminal

Name = Annotated[str, typer.Argument(help="The dataset's name, as `medutils data list` gives it.")]
NameOrFolder = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FOLDER",
        help="The dataset's name, as `medutils data list` gives it, or a folder with a folder of films for each class.",
    ),
]
Data = Annotated[str, typer.Option(help="auto, phantom, or the path of a file or folder.")]
Out = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Folder to write into; the cache, where chapters look, when left out."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Another number draws another phantom; needs --out.")]
PatientPattern = Annotated[
    str, typer.Option(help="A regular expression whose one group finds the patient in a file's name; of a folder only.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the numbers to this file as well.")]


@app.command("list")
def list_() -> None:
    """List all datasets and all pretrained weights, and where each is found."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from medutils.data.manifest import data_roots, load_manifest, manifest_names
    from medutils.models.weights import weights_manifest, weights_names

    data_roots()
    datasets = [(name, load_manifest(name).title, _where(name)) for name in manifest_names()]
    weights = [(name, weights_manifest(name).title, _installed(name)) for name in weights_names()]
    for heading, rows in (("dataset", datasets), ("weights", weights)):
        table = Table(*(Column(name, overflow="fold") for name in (heading, "title", "found")))
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)


@app.command()
def show(name: Name) -> None:
    """Print the card of a dataset or of pretrained weights: what it is, its licence, known faults, how to get it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from medutils.data.manifest import load_manifest, manifest_names
    from medutils.models.weights import weights_manifest, weights_names
    from medutils.site.cards import card, weights_card

    datasets, weights = manifest_names(), weights_names()
    if name not in (*datasets, *weights):
        raise InputError(
            f"'{name}' is not known; there are the datasets {', '.join(datasets)}, and the pretrained weights "
            f"{', '.join(weights)}"
        )
    text = weights_card(weights_manifest(name)) if name in weights else card(load_manifest(name))
    Console().print(Markdown(text.partition("\n")[2].replace("{cite}", "")))


@app.command()
def fetch(name: Name) -> None:
    """Download a dataset into the cache; where that fails, print what to do by hand and end with 1."""
    from medutils.data.fetch import fetch as fetch_dataset
    from medutils.data.fetch import manual_steps
    from medutils.data.manifest import load_manifest

    manifest = load_manifest(name)
    try:
        found = fetch_dataset(manifest)
    except InputError:
        typer.echo(manual_steps(manifest))
        raise
    typer.echo(f"{name}: {found.path}")
    if found.use:
        typer.echo(found.use)
    if found.unknown_sha256:
        typer.echo(
            f"The manifest knows no hash of the archive, so it was not checked; its SHA-256 is {found.unknown_sha256}"
        )


@app.command()
def verify(name: Name, data: Data = "auto") -> None:
    """Open every file of a dataset and compare its counts with the manifest; end with 1 on a fault."""
    from rich.console import Console

    from medutils.data.manifest import load_manifest
    from medutils.data.registry import find
    from medutils.data.verify import report
    from medutils.data.verify import verify as verify_dataset

    found = verify_dataset(load_manifest(name), find(name, data))
    Console().print(report(found))
    for fault in found.faults:
        typer.echo(fault)
    if found.faults:
        raise InputError(f"{found.located.path}: faults: {len(found.faults):,}, listed above; expected none")


@app.command()
def make(name: Name, out: Out = None, seed: Seed = None) -> None:
    """Make a dataset's phantom, in the cache or in a new folder inside --out."""
    from medutils.data.manifest import load_manifest
    from medutils.data.registry import dataset, find
    from medutils.files import written_whole

    maker = dataset(name).make
    if out is None:
        if seed is not None:
            raise InputError(
                f"--seed: found {seed} without --out; expected a folder for a phantom other than the default"
            )
        typer.echo(f"{name}: {find(name, 'phantom').path}")
        return
    folder = out.expanduser() / load_manifest(name).folder
    if os.path.lexists(folder):
        raise InputError(f"{folder}: is there already; expected a folder without {folder.name}")
    with written_whole(folder) as part:
        part.mkdir()
        maker(part, **({} if seed is None else {"seed": seed}))
    typer.echo(f"{name}: {folder}")


@app.command()
def slices(
    folder: Annotated[Path, typer.Argument(help="The challenge's folder, or DICOM studies with a table of grades.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; nothing may be there yet.")],
    series: Annotated[str, typer.Option(help="The kind of series whose annotated slices are cut.")] = "Sagittal T1",
) -> None:
    """Cut the annotated slices from DICOM studies of the lumbar spine; interrupted, the same command goes on."""
    from medutils.data.slices import LEFT_OUT, cut_slices
    from medutils.files import printable

    cut = cut_slices(folder.expanduser(), out.expanduser(), series)
    typer.echo(f"{out}: {cut.slices:,} slices with {cut.annotations:,} annotations")
    for note in cut.notes:
        typer.echo(printable(note))
    for where, reason in cut.skipped[:NAMED]:
        typer.echo(printable(f"left out: {where}: {reason}"))
    if len(cut.skipped) > NAMED:
        typer.echo(f"left out: {len(cut.skipped):,} in all, listed in {LEFT_OUT}")


@app.command()
def audit(
    name: NameOrFolder, data: Data = "auto", patient_pattern: PatientPattern = "", json_file: JsonFile = None
) -> None:
    """Look for what in a dataset could fool a model: overlap, duplicates, and what gives the class away."""
    from rich.console import Console

    from medutils.data.audit import audit as audit_dataset
    from medutils.data.audit import report
    from medutils.files import printable, write_json

    loaded, located = _opened(name, data, patient_pattern)
    found = audit_dataset(loaded)
    console = Console()
    typer.echo(printable(f"{located.name} ({located.kind}): {located.path}"))
    for table in report(found):
        console.print(table)
    for sentence in found.said:
        typer.echo(printable(sentence))
    if json_file:
        write_json(json_file, {"name": located.name, "kind": located.kind, **found.to_json()})


def _opened(name: str, data: str, patient_pattern: str) -> "tuple[Loaded, Located]":
    """The dataset of a manifest or, where none has the name, a folder of class folders, and where it is."""
    from medutils.data.audit import read_folder
    from medutils.data.manifest import Located, kind_of, manifest_names
    from medutils.data.registry import load

    names = manifest_names()
    if name in names:
        if patient_pattern:
            raise InputError(f"--patient-pattern: found '{patient_pattern}' for the dataset {name}; expected a folder")
        loaded, located = load(name, data)
        return loaded, replace(located, name=name)
    if not (os.sep in name or os.path.lexists(name)):
        raise InputError(f"dataset '{name}' is not known, nor is there such a folder; there are {', '.join(names)}")
    if data != "auto":
        raise InputError(f"--data: found {data} and the folder {name}; expected it with a dataset's name only")
    folder = Path(name).expanduser().absolute()
    loaded = read_folder(folder, patient_pattern)
    return loaded, Located(folder.resolve().name, kind_of(folder), folder)


def _where(name: str) -> str:
    """Where a dataset is found without making anything, or why what is there cannot be used."""
    from medutils.data.manifest import NotAtHand, locate

    try:
        return str(locate(name).path)
    except NotAtHand:
        return "not at hand"
    except InputError as error:
        return str(error)


def _installed(name: str) -> str:
    """The packages that hold pretrained weights, or how to get them."""
    from medutils.models.weights import find, weights_manifest

    weights = weights_manifest(name)
    try:
        find(weights)
    except InputError:
        return f"not installed: {weights.install}"
    return f"installed: {', '.join(part.package for part in weights.parts)}"
