from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.inspect.plots.token_plot import MAX_TOKENS, Token, draw_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def test_tokens_are_drawn_with_norm_and_cosine_to_the_mean(tmp_path: Path, figures: list[Figure]) -> None:
    features = np.array([[3, 4], [0, 2], [-3, 0]], np.float32)  # mean (0, 2)
    tokens = [Token("title", 5, "dog"), Token("title", 6, "$x"), Token("ocr", 7, "海")]
    draw_tokens(features, tokens, ("clip", "text"), tmp_path / "a.png")
    left, right = figures[0].axes
    widths = [[bar.get_extents().width for bar in axes.patches] for axes in (left, right)]
    # In pixels: the bars are to each other as the norms 5, 2, 3 and the cosines 0.8, 1, 0.
    assert widths[0] == pytest.approx([widths[0][0] / 5 * norm for norm in (5, 2, 3)])
    assert widths[1] == pytest.approx([widths[1][1] * cosine for cosine in (0.8, 1, 0)], abs=1e-3)
    assert [label.get_text() for label in left.get_yticklabels()] == ["dog", "$x", "海"]
    colours = [bar.get_facecolor() for bar in left.patches]
    assert colours[0] == colours[1] != colours[2]
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["title", "ocr"]


def test_a_long_text_is_cut_and_says_so(tmp_path: Path, figures: list[Figure]) -> None:
    count = MAX_TOKENS + 7
    tokens = [Token("title", number, f"t{number}") for number in range(count)]
    draw_tokens(np.ones((count, 2), np.float32), tokens, ("clip", "text"), tmp_path / "a.png")
    assert len(figures[0].axes[0].patches) == MAX_TOKENS
    assert "the first 60 of 67 tokens" in figures[0].get_suptitle()
    assert not figures[0].legends
