"""The `medutils` command."""

import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from medutils import NOT_FOR_CLINICAL_USE
from medutils.cli.data import app as data_app
from medutils.errors import InputError
from medutils.files import explain, printable

ENDED_BY = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=f"Run and render the chapters of the book. {NOT_FOR_CLINICAL_USE}",
)

app.add_typer(data_app, name="data")

Given = Annotated[list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Set a parameter.")]
ProfileName = Annotated[
    str | None,
    typer.Option(help="smoke (seconds), demo (minutes, the default) or full (the write-up's own sizes)."),
]
Data = Annotated[str | None, typer.Option(help="auto (the default), phantom, or the path of your own data.")]


@app.command()
def run(
    chapter: Annotated[str, typer.Argument(help="The chapter's name; `medutils chapters` lists them.")],
    p: Given = None,
    profile: ProfileName = None,
    data: Data = None,
    out: Annotated[
        str | None, typer.Option(help="The folder for notebook.ipynb, results.json, predictions.csv and the network.")
    ] = None,
) -> None:
    """Run a chapter on a data set, the phantom or your own data."""
    from medutils.run import run_chapter

    given = _given(p, profile=profile, data=data, out=out)
    folder = Path(given.pop("out", "") or f"{chapter}_run").expanduser().resolve()
    for output in run_chapter(chapter, given, folder, progress=sys.stderr.isatty()):
        print(output)


@app.command()
def sweep(
    chapter: Annotated[str, typer.Argument(help="The chapter's name; `medutils chapters` lists them.")],
    g: Annotated[
        list[str] | None,
        typer.Option(
            "-g", "--grid", metavar="NAME=VALUE,...", help='Values of a parameter; "a,b" is one with a comma.'
        ),
    ] = None,
    p: Given = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to run each point with, from the seed given on.")] = 1,
    profile: ProfileName = None,
    data: Annotated[
        str | None,
        typer.Option(help="auto (the default), phantom, or your own data: a path, or an address such as s3://..."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers on this machine; as many as fit by default.")
    ] = None,
    memory: Annotated[str, typer.Option(help="Memory of each worker on this machine, such as 4GB.")] = "",
    scheduler: Annotated[str, typer.Option(help="The address of a Dask scheduler, such as tcp://host:8786.")] = "",
    out: Annotated[str | None, typer.Option(help="The folder for the runs.")] = None,
) -> None:
    """Run a chapter over a grid of its parameters, with Dask; a sweep that was ended goes on where it was."""
    from medutils.sweep import Asked, parse_grid
    from medutils.sweep import sweep as run_sweep
    from medutils.sweep.show import Terminal

    given = _given(p, profile=profile, data=data, out=out)
    place = Path(given.pop("out", "") or f"{chapter}_sweep").expanduser().resolve()
    if scheduler and (workers or memory):
        raise InputError("--scheduler: found --workers or --memory beside it; expected those for workers here alone")
    asked = Asked(chapter, parse_grid(g or []), given, seeds)
    swept = run_sweep(asked, place, workers=workers or 0, scheduler=scheduler, memory=memory, display=Terminal())
    print(f"{swept.before + swept.done} of {swept.points} points are done, in {place}")
    for failure in swept.failed:
        _say(printable(f"{failure.point}: {failure.sentence}"))
    if swept.failed:
        raise InputError(f"{len(swept.failed)} of {swept.points} points failed, named above; expected none")


@app.command()
def runs(
    place: Annotated[Path, typer.Argument(help="The folder of a sweep, or any folder with runs below it.")],
    where: Annotated[str, typer.Option(help='Only runs that fit, such as "auroc > .9 and epochs == 50".')] = "",
    model: Annotated[str, typer.Option(help="The model whose metrics a bare name such as auroc means.")] = "",
    show: Annotated[str, typer.Option(help="The metrics to show, with commas between them.")] = "auroc",
    sort: Annotated[str, typer.Option(help="A parameter or metric to sort by, the highest first.")] = "",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="RUN RUN", help="Compare two runs, paired by patient where possible."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table, or the comparison, to this file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet.")] = None,
) -> None:
    """List, filter and compare runs: parameters, metrics with their intervals, seconds, versions."""
    from medutils.chapters import names_of
    from medutils.cli.runs import show_comparison, show_runs
    from medutils.runs import export

    place = place.expanduser().resolve()
    table = show_comparison(place, compare, model) if compare else show_runs(place, where, model, names_of(show), sort)
    export(table, csv, parquet)
    for path in filter(None, (csv, parquet)):
        print(path)


@app.command()
def chapters() -> None:
    """List the chapters and what each can be told: type, default, range and meaning."""
    from rich.console import Console
    from rich.table import Table

    from medutils.chapters import all_chapters, expected

    console = Console()
    for chapter in all_chapters().values():
        table = Table("parameter", "type and range", "default", "meaning", title=f"{chapter.name}: {chapter.title}")
        for name, field in chapter.parameters.model_fields.items():
            table.add_row(name, expected(field), repr(field.default), field.description)
        console.print(table)
        for profile, values in chapter.profiles.items():
            said = ", ".join(f"{name}={value}" for name, value in values.items()) or "the defaults"
            console.print(f"profile {profile}: {said}", soft_wrap=True)


@app.command()
def book(
    profile: ProfileName = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="The folder to build in; the repository by default.")] = None,
) -> None:
    """Execute the chapters that changed and render the site."""
    from medutils.files import ROOT
    from medutils.site.build import build_book

    where = "auto" if data is None else data
    build_book(profile or "demo", where, (out or ROOT).resolve(), say=lambda line: print(line, flush=True))


@app.command()
def reference(
    chapter: Annotated[str, typer.Argument(help="The chapter whose reference run is to be made anew.")],
    p: Given = None,
    profile: Annotated[str | None, typer.Option(help="smoke, demo or full (the default).")] = None,
    part: Annotated[str, typer.Option(help="Keep the numbers that the reference lacks, as a part of this name.")] = "",
    only: Annotated[str, typer.Option(help="Of a part, keep those whose names begin so, with commas between.")] = "",
) -> None:
    """Run a chapter on the real data that $MEDUTILS_DATA names, and keep its results as the book's reference run."""
    import json
    import re
    import tempfile

    from medutils.chapters import get_chapter, names_of, resolve
    from medutils.evidence import load_reference, new_numbers, reference_path
    from medutils.files import write_json
    from medutils.run import run_chapter

    given = {"profile": "full", **_given(p, profile=profile)}
    if part and not re.fullmatch(r"\w[\w-]*", part):
        raise InputError(f"--part: found '{part}'; expected a name of letters, digits, '_' and '-'")
    starts = names_of(only)
    if starts and not part:
        raise InputError(f"--only: found '{only}' without a part; expected --part with it")
    if (kind := get_chapter(chapter).find(resolve(chapter, given)).kind) != "real":
        raise InputError(
            f"a reference run needs real data, found {kind}; set MEDUTILS_DATA to the folder of the data sets"
        )
    load_reference(chapter)  # what is there must be readable, before hours of training
    with tempfile.TemporaryDirectory() as folder:
        run_chapter(chapter, given, Path(folder), progress=sys.stderr.isatty())
        results = json.loads((Path(folder) / "results.json").read_text())
    path = reference_path(chapter, part)
    path.parent.mkdir(exist_ok=True)
    if part:
        path.unlink(missing_ok=True)  # the part itself is made anew
        if there := load_reference(chapter):
            results = new_numbers(results, there, starts)
    write_json(path, results)
    print(path)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run that holds model.pt, or that file.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="For a model of films: films, and folders of films; of tables: CSV files; of studies: a folder of "
            "DICOM files for each study.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
    gradcam: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each film with a heat map over it to this folder.")
    ] = None,
    attention: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what each slice of a study counted to this CSV file.")
    ] = None,
) -> None:
    """Let an exported model judge films, the rows of tables, or MRI studies."""
    import json

    from rich.console import Console
    from rich.table import Column, Table

    from medutils.export import few_columns, load_model, write_attention, write_heat_maps

    model = load_model(run)
    if attention is not None and model.about.kind != "study":
        raise InputError(f"attention: found a model for a {model.about.kind}; expected one for studies")
    if gradcam is not None and model.about.kind == "study":
        raise InputError("heat maps: found a model for a study; expected one for films")
    found = model.predict(inputs)
    table, left_out = found.table, found.left_out
    if gradcam is not None:
        table["gradcam"] = [str(path) for path in write_heat_maps(model, table, gradcam)]
    if attention is not None:
        write_attention(found, attention)
    trained_on = str(model.about.data)
    if as_json:
        table = table.assign(trained_on=trained_on, notice=NOT_FOR_CLINICAL_USE)
        print(json.dumps(table.to_dict("records"), indent=1))
    else:
        title = (
            f"{model.about.title}, trained on {trained_on}; {model.about.positive} from {model.about.threshold:.4f} on"
        )
        table = few_columns(table)
        shown = Table(*(Column(printable(name), overflow="fold") for name in table), title=printable(title))
        for row in table.itertuples(index=False):
            shown.add_row(*(printable(f"{cell:.4f}" if isinstance(cell, float) else str(cell)) for cell in row))
        Console(markup=False, emoji=False, highlight=False).print(shown)
        print(NOT_FOR_CLINICAL_USE)
        if gradcam is not None:
            print(printable(f"Heat maps: {gradcam}"))
        if attention is not None:
            print(printable(f"Attention: {attention}"))
    for sentence in [*found.notes, *(f"{what}: {reason}" for what, reason in left_out)]:
        _say(printable(sentence))
    if left_out:
        raise InputError(
            f"INPUT: left out {len(left_out)} of {found.judged + len(left_out)} {model.about.reads.plural}, named "
            "above; expected to judge all"
        )


def _given(pairs: list[str] | None = None, **options: str | None) -> dict[str, str]:
    """Parameters from `-p NAME=VALUE` and from options of their own; one that is given twice must be the same."""
    given: dict[str, str] = {}
    for pair in [*(pairs or []), *(f"{name}={value}" for name, value in options.items() if value is not None)]:
        name, sign, value = pair.partition("=")
        name = name.strip()
        if not sign:
            raise InputError(f"-p: found '{pair}'; expected NAME=VALUE")
        if given.setdefault(name, value) != value:
            raise InputError(f"{name}: found both '{given[name]}' and '{value}'; expected one of them")
    return given


def main() -> None:
    """Run the command; print what the user got wrong as one sentence, and end with 1."""
    for number in ENDED_BY:
        signal.signal(number, _end)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # a library's warning is no sentence of ours, and no reader's business
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of what was in flight when a run was ended
    try:
        app()
    except (InputError, OSError) as error:
        said = error if isinstance(error, InputError) else explain(error, Path.cwd())
        _say(printable(str(said)))
        sys.exit(1)


def _end(number: int, _: object) -> None:
    """End by a signal, once, in order: what was half-written is removed, and what was started has ended."""
    for other in ENDED_BY:
        signal.signal(other, signal.SIG_IGN)
    _say("interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}")
    sys.exit(128 + number)


def _say(sentence: str) -> None:
    """Print a sentence on the line where progress was told."""
    erase = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{erase}medutils: {sentence}", file=sys.stderr)
