"""Dataset cards: the page `datasets.md` of the book, written from the manifests and the committed audits.

`python -m medutils.data.cards` writes the page. It holds numbers and words only, no picture and no file of a dataset.
"""

import json
from pathlib import Path
from typing import Any

from medutils.data.manifest import Manifest, Source, load_manifest, manifest_names
from medutils.data.verify import total_of
from medutils.files import BOOK, write_text

PAGE = BOOK / "datasets.md"
INTRODUCTION = """\
# Datasets

Every dataset of the book has a manifest, and this page is written from them. `medutils data show NAME` prints a card,
`medutils data fetch NAME` gets the data or says how to, `medutils data verify NAME` checks what was put there, and
`medutils data audit NAME` looks for what could fool a model. Where a dataset is not at hand, a phantom stands in.
"""


def card(manifest: Manifest, audited: dict[str, Any] | None = None) -> str:
    """The card of a dataset as Markdown, with the numbers of its audit on real data where they are given."""
    sections = [
        f"({manifest.name})=\n## {manifest.title}",
        manifest.task,
        _facts(manifest),
        f"**Layout**\n\n```text\n{manifest.layout.rstrip()}\n```",
        _section("Columns", [f"`{name}`: {meaning}" for name, meaning in manifest.columns.items()]),
        "**Counts**\n\n" + "\n\n".join(_counts(name, counts) for name, counts in manifest.versions().items()),
        _section("Composed from", [f"{label}: {', '.join(map(_link, of))}" for label, of in manifest.recipe.items()]),
        _section("Known faults", manifest.faults),
        "**How to get it**\n\n" + "\n\n".join(map(_source, manifest.sources)),
        _audit(audited) if audited else "",
        f"**Phantom**\n\n{manifest.phantom.strip()}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def page() -> str:
    """The whole page: an introduction and a card for each dataset."""
    cards = [card(load_manifest(name), _audited(name)) for name in manifest_names()]
    return "\n".join([INTRODUCTION, *cards])


def _facts(manifest: Manifest) -> str:
    licence = f"[{manifest.licence.name}]({manifest.licence.url})" if manifest.licence.url else manifest.licence.name
    facts = {
        "Name": f"`{manifest.name}`, in the folder `{manifest.folder}`",
        "Classes": ", ".join(manifest.classes) or "none",
        "Positive class": manifest.positive or "",
        "Licence": f"{licence}. {manifest.licence.allows.strip()}",
        "Patient": manifest.patient.strip(),
        "Cite": " ".join(f"{{cite}}`{key}`" for key in manifest.citation),
    }
    return "\n".join(f"- **{name}**: {fact}" for name, fact in facts.items() if fact)


def _section(title: str, items: list[str]) -> str:
    return f"**{title}**\n\n" + "\n".join(f"- {item.strip()}" for item in items) if items else ""


def _counts(version: str, counts: dict[str, int]) -> str:
    total = f" ({total_of(counts):,} in all)" if len(counts) > 1 and total_of(counts) else ""
    return (
        f"{version[0].upper()}{version[1:]}{total}:"
        + "\n\n"
        + "\n".join(f"- `{key}`: {number:,}" for key, number in counts.items())
    )


def _link(name: str) -> str:
    return f"[{name}](#{name})"


def _source(source: Source) -> str:
    place = (
        f"[{source.name}]({source.address})"
        if source.address.startswith("http")
        else f"{source.name}: {source.address}"
    )
    head = place + (", which needs an account." if source.account else ".")
    return head + "\n\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(source.steps, 1))


def _audited(name: str) -> dict[str, Any] | None:
    """The committed audit of a dataset on real data, where there is one."""
    path: Path = BOOK / "reference" / f"audit_{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _audit(audited: dict[str, Any]) -> str:
    """What an audit on the real data found, as lists: a table of these would be too wide for a telephone."""
    numbers = [f"{name.replace('_', ' ')}: {number:,}" for name, number in audited["numbers"].items()]
    labels = [
        f"{row['split']} {row['label']}: {row['records']:,} ({row['share']:.1%})".strip()
        for row in audited["prevalence"]
    ]
    shared = [
        f"{row['first']} and {row['second']}: {row['patients']:,} patients, {row['files']:,} files"
        for row in audited["overlap"]
    ]
    tells = [f"{row['predictor']}, {row['measure']}: {_estimate(row)}" for row in audited["association"]]
    looks = [
        f"{row['label']}: median {row['height']:.0f} by {row['width']:.0f} pixels, different sizes: {row['sizes']:,}, "
        f"grey level {row['mean']:.0f} (deviation {row['sd']:.0f})"
        for row in audited["appearance"]
    ]
    parts = {"Numbers": numbers, "Labels": labels, "Shared by splits": shared}
    parts |= {"What tells the class": tells, "Size and grey level": looks}
    return "**Audit of the real data**\n\n" + "\n\n".join(
        f"{title}:\n\n" + "\n".join(f"- {item}" for item in items) for title, items in parts.items() if items
    )


def _estimate(row: dict[str, Any]) -> str:
    interval = f" (95 % interval {row['low']:.3f} to {row['high']:.3f})" if row["low"] is not None else ""
    return f"{row['value']:.3f}{interval}"


if __name__ == "__main__":
    write_text(PAGE, page())
