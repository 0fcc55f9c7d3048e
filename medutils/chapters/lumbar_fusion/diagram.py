"""A drawing of a fusing network, made from its configuration: boxes from the series at the top to the grades."""

from html import escape

from medutils.models.fusion import FusionConfig

WIDTH, BOX, GAP = 720, 34, 26  # of the drawing; height of a box, and between two rows
POOLED = {
    "sets": "mean over its tokens",
    "regions": "attention over its regions",
    "slices": "attention over its slices",
}


def rows_of(config: FusionConfig) -> list[list[str]]:
    """What stands in each row of boxes, from the series down; a row has a box a series, or one for all of them."""
    series = [name.replace("_", " ") for name in config.series]
    values = f"{config.inputs:,} to {config.features} values a token"
    rows = [series, [values] * len(series), [POOLED[config.architecture]] * len(series)]
    groups = len(config.groups)
    if config.architecture == "slices":
        said = [f"classifier, {len(config.targets)} targets"] * len(series)
        return [*rows, said, ["weighted mean of the probabilities"]]
    if config.architecture == "sets":
        rows.append([f"attention over the {len(series)} series"])
    rows.append([f"convolution, the series as its channels: {config.width} values"])
    return [*rows, ["one classifier" if groups == 1 else f"{groups} classifiers, one a finding"]]


def words_of(config: FusionConfig) -> str:
    """The same as text, for those who do not see it."""
    said = []
    for row in rows_of(config):
        same = len(set(row)) == 1 and len(row) > 1
        said.append(f"each series: {row[0]}" if same else ", ".join(row))
    return "; then ".join(said)


def drawn(config: FusionConfig) -> str:
    """The drawing, as SVG in the colour of the text around it."""
    rows = rows_of(config)
    height = len(rows) * (BOX + GAP) - GAP + 4
    parts = []
    for number, row in enumerate(rows):
        top = 2 + number * (BOX + GAP)
        places = _places(len(row))
        for (left, width), text in zip(places, row, strict=True):
            parts.append(
                f'<rect x="{left}" y="{top}" width="{width}" height="{BOX}" rx="5" fill="none" stroke="currentColor"/>'
                f'<text x="{left + width / 2}" y="{top + 22}" text-anchor="middle" font-size="13" '
                f'fill="currentColor">{escape(text)}</text>'
            )
        if number + 1 < len(rows):
            parts += [_arrow(x, top + BOX) for x in _arrows(len(row), len(rows[number + 1]))]
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" style="max-width:{WIDTH}px" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def _places(count: int) -> list[tuple[float, float]]:
    """Left edge and width of the boxes of a row."""
    width = (WIDTH - 4 - 12 * (count - 1)) / count
    return [(2 + number * (width + 12), width) for number in range(count)]


def _arrows(here: int, below: int) -> list[float]:
    """Where arrows go down: from each box of a row of several, else from the one."""
    return [left + width / 2 for left, width in _places(max(here, below))]


def _arrow(x: float, top: float) -> str:
    end = top + GAP
    return (
        f'<path d="M{x} {top} V{end - 1} M{x - 4} {end - 7} L{x} {end - 1} L{x + 4} {end - 7}" fill="none" '
        'stroke="currentColor"/>'
    )
