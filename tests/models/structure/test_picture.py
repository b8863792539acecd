"""The picture shows every part of the network once, connected, and inside its frame."""

from dataclasses import replace
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest

from models.report.network import network_section
from models.structure.boxes import Box, draw_arrow, draw_box
from models.structure.layout import lay_out
from models.structure.modules import ModalityPath, ModuleRow, Structure
from models.structure.picture import draw
from tests.models.report.pages import ATTACK, Page

SVG = "{http://www.w3.org/2000/svg}"


def row(path: str, num_parameters: int, *, level: int = 2, copies: int = 1) -> ModuleRow:
    return ModuleRow(
        path, path, level, "Linear", copies, ("(B, 4)",), (), ("(B, 4)",), num_parameters, 2 * num_parameters
    )


def structure_of(*names: str) -> Structure:
    """A network as the table tells it, with numbers that are easy to find again."""
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
    return ET.fromstring(draw(structure))  # noqa: S314


def texts(picture: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in picture.iter(f"{SVG}text")]


def rectangles(picture: ET.Element, kind: str) -> list[tuple[float, float, float, float]]:
    """Left, upper, right and lower edge of the rectangles of one class."""
    found = [node for node in picture.iter(f"{SVG}rect") if node.get("class") == kind]
    sides = [[float(node.get(name) or 0) for name in ("x", "y", "width", "height")] for node in found]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


@pytest.mark.parametrize("structure", CASES.values(), ids=CASES)
def test_boxes_stand_apart_and_inside(structure: Structure) -> None:
    picture = parsed(structure)
    boxes = rectangles(picture, "box")
    ((_, _, width, height),) = rectangles(picture, "page")
    for x, y, right, bottom in boxes + rectangles(picture, "group"):
        assert 0 <= x < right <= width
        assert 0 <= y < bottom <= height
    for one, other in combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("structure", CASES.values(), ids=CASES)
def test_every_arrow_ends_at_a_box_and_no_text_is_cut(structure: Structure) -> None:
    picture = parsed(structure)
    boxes = rectangles(picture, "box")
    tips = [
        tuple(map(float, (node.get("points") or "").split()[0].split(","))) for node in picture.iter(f"{SVG}polygon")
    ]
    assert tips
    for x, y in tips:
        assert any(
            (abs(x - left) < 0.1 and upper < y < lower)
            or (left < x < right and min(abs(y - upper), abs(y - lower)) < 0.1)
            for left, upper, right, lower in boxes
        )
    assert not any("…" in text for text in texts(picture))


def test_the_way_of_four_modalities() -> None:
    shown = texts(parsed(structure_of(*FOUR)))
    for name in FOUR:
        assert shown.count(name) == 1
    assert shown.count("T × 1280") == shown.count("1280 → 256") == shown.count("trn") == 4
    assert {"se_gate", "1024 → 512", "103 k parameters", "hidden layer", "512 → 256", "164 k parameters"} <= set(shown)
    assert {"embedding", "256 → 128", "category", "31 classes", "tags", "90 tags, linear"} <= set(shown)
    assert {"heads: independent", "46.4 k parameters"} <= set(shown)
    assert "gate" not in shown
    assert "own heads" not in shown


def test_columns_run_from_left_to_right() -> None:
    layout = lay_out(MIXTURE)
    assert layout.hidden is not None
    assert layout.category is not None
    assert layout.mixture is not None
    columns = (
        layout.inputs[0],
        layout.preparations[0],
        layout.encoders[0],
        layout.fusion,
        layout.hidden,
        layout.embedding,
        layout.category,
        layout.mixture,
    )
    assert all(before.right < after.x for before, after in pairwise(columns))
    assert [box.y for box in layout.inputs] == [box.y for box in layout.encoders]


def test_a_mixture_shows_its_experts_and_its_gate() -> None:
    picture = parsed(MIXTURE)
    shown = texts(picture)
    assert {"one of 3 experts of this shape", "mixture", "of 3 experts", "gate", "mean steps, 5120 → 3"} <= set(shown)
    # a frame for each of three experts, and that of the heads
    assert len(rectangles(picture, "group")) == 4
    two = replace(structure_of("frames"), num_experts=2)
    assert len(rectangles(parsed(two), "group")) == 3
    assert len(rectangles(parsed(structure_of("frames")), "group")) == 1


def test_own_heads_are_dashed() -> None:
    picture = parsed(MIXTURE)
    dashed = [node for node in picture.iter(f"{SVG}g") if "dashed" in (node.get("class") or "")]
    assert ["".join(node[0].itertext()) for node in dashed] == ["own heads, 15.6 k parameters"] * 4


def test_the_category_leads_to_the_tags_unless_they_are_independent() -> None:
    arrows = {
        heads: len(list(parsed(replace(structure_of(*FOUR), heads=heads)).iter(f"{SVG}polygon")))
        for heads in ("independent", "cascade", "hierarchical")
    }
    assert arrows["cascade"] == arrows["hierarchical"] == arrows["independent"] + 1


def test_a_trained_table_is_named_and_tinted() -> None:
    text = ModalityPath("text", 384, ("standardise", "trained table"), 768, "bilstm", 128, 16)
    layout = lay_out(replace(structure_of("text"), modalities=(text,)))
    (box,) = layout.preparations
    assert (box.title, box.lines) == ("standardise", ("+ trained table", "384 → 768", "31.0 k parameters"))
    assert box.is_trained
    assert not lay_out(structure_of("text")).preparations[0].is_trained


def test_one_step_is_one() -> None:
    cover = replace(structure_of("cover").modalities[0], num_steps=1)
    assert lay_out(replace(structure_of("cover"), modalities=(cover,))).inputs[0].lines == ("1 × 1280",)


def test_a_long_or_hostile_name_is_cut_and_whole_in_the_tooltip() -> None:
    picture = ET.fromstring(draw_box(Box(ATTACK, ("画" * 40,), 0, 0, 100, 50)))  # noqa: S314
    assert [node.text for node in picture.iter("title")] == [f"{ATTACK}, {'画' * 40}"]
    assert [len(node.text or "") for node in picture.iter("text")] == [14, 7]
    assert all((node.text or "").endswith("…") for node in picture.iter("text"))


@pytest.mark.parametrize(
    ("last", "corners"),
    [
        ((20, 0), [(20, 0), (14, 3), (14, -3)]),
        ((0, 20), [(0, 20), (3, 14), (-3, 14)]),
        ((0, -20), [(0, -20), (-3, -14), (3, -14)]),
    ],
)
def test_an_arrow_points_where_it_goes(last: tuple[int, int], corners: list[tuple[int, int]]) -> None:
    arrow = ET.fromstring(draw_arrow([(0, 0), last]))  # noqa: S314
    (head,) = arrow.iter("polygon")
    points = [tuple(map(float, pair.split(","))) for pair in (head.get("points") or "").split()]
    assert points == corners


def test_the_section_has_the_picture_and_a_row_a_module() -> None:
    page = Page(network_section(MIXTURE))
    assert "1,234,567 trained parameters; 2,469,134 floating point operations for one clip forward" in page.text
    assert "frames 16, audio 16, text 16, cover 16" in page.text
    assert "3 experts are alike" in page.text
    assert len([cells for cells in page.rows if len(cells) == 7]) == len(MIXTURE.rows) + 1
    assert ["experts.0.embed", "Linear", "(B, 4)", "", "(B, 4)", "32,900", "65,800"] in page.rows
    assert "svg" in [tag for tag, _ in page.tags]
    assert network_section(None) == ""
