"""A figure becomes a PNG in the literal colours, or an SVG that the page themes; no text becomes markup."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from features.base.figures import THEME, new_figure, save_png, set_tooltip, svg_text, theme_css

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str, *, standalone: bool = False) -> str:
    with new_figure(2, 1, layout=None) as figure:
        tooltip = figure.text(0.5, 0.5, text, color=THEME["ink"][0])
        set_tooltip(tooltip, text)
        figure.text(0.5, 0.2, "plain", color="#123456")
        return svg_text(figure, text, standalone=standalone)


def test_the_same_figure_gives_the_same_text() -> None:
    assert drawn("a") == drawn("a")


def test_colours_of_the_theme_become_variables_and_others_stay() -> None:
    svg = drawn("a")
    assert "fill: var(--ink)" in svg
    assert "fill: #123456" in svg
    assert len({light for light, _ in THEME.values()}) == len(THEME)


def test_an_svg_in_a_page_has_no_style_sheet_id_or_metadata() -> None:
    svg = drawn("a")
    assert not any(part in svg for part in ("<style", "id=", "<metadata", "font-family: ", "<?xml", "<!DOCTYPE"))
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 144 72" width="144" height="72"')


def test_a_standalone_svg_has_the_colours_of_both_modes() -> None:
    svg = drawn("a", standalone=True)
    assert theme_css() in svg
    assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize("text", ["<script>x</script>", '"><img src=x>', "$a_b$", "猫🎬", "#1d2530", "a\ufffeb\ud800"])
@pytest.mark.filterwarnings("error")
def test_any_text_is_text_and_a_tooltip(text: str) -> None:
    shown = text.replace("\ufffe", "\ufffd").replace("\ud800", "\ufffd")
    root = ET.fromstring(drawn(shown))  # noqa: S314
    assert [node.text for node in root.iter(f"{SVG}text")] == [shown, "plain"]
    assert [node.text for node in root.iter(f"{SVG}title")] == [shown]
    # The pointer reaches the tooltip, and passes through other text.
    assert [node.get("pointer-events") for node in root.iter(f"{SVG}text")] == [None, "none"]
    assert root.get("aria-label") == shown


def test_a_png_has_the_heading_cut_to_its_width(tmp_path: Path) -> None:
    with new_figure(3, 2) as figure:
        save_png(figure, tmp_path / "a.png", "x" * 200, "")
        assert len(figure.get_suptitle()) < 40
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
