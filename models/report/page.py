"""The report: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.files import publish_bytes
from models.rendering.html_page import render_page
from models.rendering.markup import Html, element
from models.report.ablation import ablation_section
from models.report.clips import confusion_section, failures_section, worst_errors_section
from models.report.run import (
    network_section,
    provenance_section,
    settings_section,
    stages_section,
    training_section,
)
from models.report.scores import headline, per_class_section, scores_section

if TYPE_CHECKING:
    from pathlib import Path

    from models.ablation.table import AblationTable
    from models.report.data import ReportData


def write_report(data: ReportData, path: Path) -> None:
    """Publish the report at ``path``; the same data give the same bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    publish_bytes(path, render_report(data).encode())


def write_ablation_page(table: AblationTable, path: Path, *, title: str = "Ablation") -> None:
    """Publish a page about an ablation alone, as ``write_report`` does.

    Raises:
        OSError: The folder cannot be written.
    """
    heading = element("header", element("h1", title))
    publish_bytes(path, render_page(title, heading, ablation_section(table)).encode())


def render_report(data: ReportData) -> str:
    """Return the page as text. A section without content is left out, except the failures."""
    sections = (
        _heading(data),
        headline(data),
        scores_section(data),
        per_class_section(data, "category", "Categories, one by one"),
        per_class_section(data, "tags", "Tags, one by one"),
        confusion_section(data),
        worst_errors_section(data),
        ablation_section(data.ablation),
        network_section(data.network),
        training_section(data),
        stages_section(data),
        failures_section(data),
        settings_section(data),
        provenance_section(data),
    )
    return render_page(data.title, *sections)


def _heading(data: ReportData) -> Html:
    sizes = ", ".join(f"{name} {size:,}" for name, size in data.split_sizes.items())
    return element(
        "header",
        element("h1", data.title),
        element(
            "p",
            f"{data.corpus}. {sum(data.split_sizes.values()):,} clips: {sizes}. "
            f"Scores on the {data.split} split. Model: {data.model_name}.",
            class_="soft",
        ),
    )
