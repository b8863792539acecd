"""Reports: HTML files that need no network, no script and no other file."""

from pathlib import Path

from features.base.files import publish_bytes
from models.ablation.table import AblationTable
from models.rendering.markup import Html, element, join
from models.report.ablation import ablation_section
from models.report.clips import confusion_section, failures_section, worst_errors_section
from models.report.data import ReportData
from models.report.network import network_section
from models.report.run import curve_section, provenance_section, settings_section, stages_section
from models.report.scores import headline, per_class_section, scores_section
from models.report.style import STYLE

# Titles and labels come from outside. Should one get past the escaping, the page still loads and runs nothing.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(data: ReportData, path: Path) -> None:
    """Write the report to `path`, whole or not at all; the same data give the same bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    publish_bytes(path, render_report(data).encode())


def write_ablation_page(table: AblationTable, path: Path, *, title: str = "Ablation") -> None:
    """Write a page that shows an ablation alone, as `write_report` writes.

    Raises:
        OSError: The folder cannot be written.
    """
    heading = element("header", element("h1", title))
    publish_bytes(path, _page(title, join((heading, ablation_section(table)))).encode())


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
        curve_section(data),
        stages_section(data),
        failures_section(data),
        settings_section(data),
        provenance_section(data),
    )
    return _page(data.title, join(sections))


def _page(title: str, content: Html) -> str:
    """Return a page around its content."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    page = element("html", head, element("body", element("main", content)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


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
