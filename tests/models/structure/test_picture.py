"""The picture shows every part of the network once, connected, and inside its frame."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from features.base.text import display_width
from models.report.run import network_section
from models.structure.picture import COLUMN_PIXELS, WIDTH, draw_network
from models.structure.structure import ModalityPath, ModuleRow, Structure
from tests.models.report.pages import ATTACK, Page

SVG = "{http://www.w3.org/2000/svg}"


def row(path: str, num_parameters: int, *, level: int = 2, copies: int = 1) -> ModuleRow:
    return ModuleRow(
        path, path, level, "Linear", copies, ("(B, 4)",), (), ("(B, 4)",), num_parameters, 2 * num_parameters
    )


def structure_of(*names: str) -> Structure:
    """Return a network with numbers that are easy to find again."""
    modalities = tuple(ModalityPath(name, 1280, ("standardise",), 1280, "trn", 256, 16) for name in names)
    rows = (
        row("", 1_234_567, level=0),
        row("prepare.table", 31_000),
        row("gate", 7_000, level=1),
        *(row(f"experts.0.encoders.{name}", 410_000 + index) for index, name in enumerate(names)),
        *(row(f"experts.0.modality_heads.{name}", 15_600) for name in names),
        row("experts.0.fusion", 103_000),
        row("experts.0.hidden", 164_000),
        row("experts.0.embed", 32_900),
        row("experts.0.heads", 46_400),
    )
    return Structure(
        modalities=modalities,
        fusion="se_gate",
        fusion_width=512,
        hidden_width=256,
        embedding_width=128,
        heads="independent",
        tag_head="linear",
        num_categories=31,
        num_tags=90,
        has_modality_heads=False,
        num_experts=1,
        rows=rows,
    )


FOUR = ("frames", "audio", "text", "cover")
MIXTURE = replace(structure_of(*FOUR), num_experts=3, has_modality_heads=True, heads="cascade")
CASES = {
    "four modalities": structure_of(*FOUR),
    "a mixture": MIXTURE,
    "one modality": structure_of("frames"),
    "one modality of a mixture": replace(structure_of("frames"), num_experts=2),
    "no hidden layer, no tags": replace(structure_of("frames", "text"), hidden_width=0, num_tags=0),
    "no head": replace(structure_of("frames"), num_categories=0, num_tags=0),
    "eight modalities": replace(structure_of(*(f"modality {index}" for index in range(8))), heads="hierarchical"),
}


def parsed(structure: Structure) -> ET.Element:
    return ET.fromstring(draw_network(structure))  # noqa: S314


def texts(picture: ET.Element) -> list[str]:
    return [node.text or "" for node in picture.iter(f"{SVG}text")]


def tooltips(picture: ET.Element) -> list[str]:
    return [node.text or "" for node in picture.iter(f"{SVG}title")]


def boxes(picture: ET.Element) -> list[tuple[float, float, float, float]]:
    """Return left, upper, right and lower edge of the boxes."""
    found = []
    for group in picture.iter(f"{SVG}g"):
        path = group.find(f"{SVG}path")
        if group.find(f"{SVG}title") is not None and path is not None:
            corners = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path.get("d", ""))]
            xs, ys = zip(*corners, strict=True)
            found.append((min(xs), min(ys), max(xs), max(ys)))
    return found


@pytest.mark.parametrize("structure", CASES.values(), ids=CASES)
def test_boxes_are_inside_the_picture_and_apart(structure: Structure) -> None:
    picture = parsed(structure)
    width, height = (float(picture.get(name) or 0) for name in ("width", "height"))
    found = boxes(picture)
    assert len(found) >= 2 * len(structure.modalities) + 2
    for left, top, right, bottom in found:
        assert 0 < left < right < width
        assert 0 < top < bottom < height
    for one, other in combinations(found, 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


@pytest.mark.parametrize("structure", CASES.values(), ids=CASES)
def test_text_fits_its_box(structure: Structure) -> None:
    for text in texts(parsed(structure))[:-1]:  # the last is the legend
        assert display_width(text) * COLUMN_PIXELS <= WIDTH


def test_every_part_is_named_with_its_width_and_parameters() -> None:
    found = tooltips(parsed(structure_of(*FOUR)))
    assert found[:8] == [
        *(f"{name}, T × 1280, standardise" for name in FOUR),
        *("trn, 1280 → 256, 410 k parameters" for _ in FOUR),
    ]
    assert found[8:] == [
        "se_gate, fusion, 1024 → 512, 103 k parameters",
        "hidden layer, 512 → 256, 164 k parameters",
        "embedding, 256 → 128, 32.9 k parameters",
        "heads, independent, 46.4 k parameters",
        "category, 31 classes",
        "tags, 90 tags, linear",
    ]


def test_a_mixture_shows_its_experts_its_gate_and_the_heads_of_the_modalities() -> None:
    picture = parsed(MIXTURE)
    found = tooltips(picture)
    assert found[-1] == "mixture of 3 experts, gate: mean steps, 5120 → 3, 7.00 k parameters"
    assert "one of 3 experts" in texts(picture)[-1]
    assert found[4].endswith("410 k parameters, own heads: 15.6 k")
    assert "for training only" in texts(picture)[-1]


def test_the_category_leads_to_the_tags_unless_they_are_independent() -> None:
    arrows = {
        heads: draw_network(replace(structure_of(*FOUR), heads=heads)).count("stroke-width: 1.2")
        for heads in ("independent", "cascade", "hierarchical")
    }
    assert arrows["cascade"] == arrows["hierarchical"] > arrows["independent"]


def test_a_trained_table_is_named_and_tinted() -> None:
    text = ModalityPath("text", 384, ("standardise", "trained table"), 768, "bilstm", 128, 16)
    found = tooltips(parsed(replace(structure_of("text"), modalities=(text,))))
    assert found[0] == "text, T × 384 → 768, standardise, + trained table, 31.0 k parameters"
    plain = structure_of("text")
    trained = replace(plain, modalities=(text,))
    assert draw_network(trained).count("opacity: 0.13") == draw_network(plain).count("opacity: 0.13") + 1


def test_one_step_is_one() -> None:
    cover = replace(structure_of("cover").modalities[0], num_steps=1)
    assert "1 × 1280" in texts(parsed(replace(structure_of("cover"), modalities=(cover,))))


def test_a_long_or_hostile_name_is_cut_and_whole_in_the_tooltip() -> None:
    hostile = replace(structure_of("frames").modalities[0], aggregator=ATTACK)
    structure = replace(structure_of("frames"), modalities=(hostile,), fusion="画" * 40)
    picture = parsed(structure)
    assert any(tooltip.startswith(f"{ATTACK}, ") for tooltip in tooltips(picture))
    assert any(tooltip.startswith("画" * 40) for tooltip in tooltips(picture))
    cut = [text for text in texts(picture) if text.endswith("…")]
    assert len(cut) == 2


def test_the_section_has_the_picture_and_a_row_a_module() -> None:
    page = Page(network_section(MIXTURE))
    assert "1,234,567 trained parameters; 2,469,134 floating point operations for the forward pass" in page.text
    assert "frames 16, audio 16, text 16, cover 16" in page.text
    assert "3 experts are alike" in page.text
    assert len([cells for cells in page.rows if len(cells) == 7]) == len(MIXTURE.rows) + 1
    assert ["experts.0.embed", "Linear", "(B, 4)", "", "(B, 4)", "32,900", "65,800"] in page.rows
    assert "svg" in [tag for tag, _ in page.tags]
    assert network_section(None) == ""
