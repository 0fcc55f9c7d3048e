"""A network is drawn as its configuration has it."""

import xml.etree.ElementTree as ET

import pytest

from medutils.chapters.lumbar_fusion.diagram import drawn, rows_of, words_of
from medutils.models.fusion import FusionConfig

CONFIG = {"series": ("t1", "t2"), "targets": ("a", "b", "c"), "grades": (2, 2, 2), "findings": ("p", "p", "q")}


@pytest.mark.parametrize(
    ("architecture", "last"),
    [
        ("sets", ["one classifier"]),
        ("regions", ["2 classifiers, one a finding"]),
        ("slices", ["weighted mean of the probabilities"]),
    ],
)
def test_a_drawing_holds_a_box_for_each_part_of_the_network(architecture: str, last: list[str]) -> None:
    config = FusionConfig(**CONFIG, architecture=architecture)
    rows, svg = rows_of(config), ET.fromstring(drawn(config))
    assert rows[0] == ["t1", "t2"] and rows[-1] == last
    boxes = [part for part in svg.iter() if part.tag.endswith("rect")]
    assert len(boxes) == sum(map(len, rows))
    assert {part.get("stroke") for part in boxes} == {"currentColor"}
    assert last[0] in words_of(config)
