"""Sections of the report about the run: network, training, stages, settings, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.rendering.html_page import legend, seconds_text, section, table
from models.rendering.markup import Html, element
from models.rendering.plots import Series, line_plot
from models.structure.formatting import HEADERS, row_cells, summary
from models.structure.picture import draw_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.report.data import ReportData, StageSummary
    from models.structure.structure import ModuleRow, Structure
    from models.training.history import EpochRecord

NUMBERS = (5, 6)  # columns of the modules' table


def network_section(structure: Structure | None) -> Html:
    """Return the picture of the network and the table of its modules; nothing without a network."""
    if structure is None:
        return Html()
    rows = [_module_row(row) for row in structure.rows]
    modules = table(HEADERS, rows, numbers=NUMBERS, class_="modules")
    folded = element("details", element("summary", f"Table of {len(rows)} modules"), modules)
    return section("Network", Html(draw_network(structure)), folded, note=summary(structure))


def training_section(data: ReportData) -> Html:
    """Return loss and validation metrics by epoch, the epoch of the checkpoint marked; nothing without history."""
    if not data.history:
        return Html()
    # ``is_best`` marks every epoch that was the best so far: the checkpoint is the last of them
    best = max((record.epoch for record in data.history if record.is_best), default=None)
    panels = [
        _panel("Loss", {"train": "train_loss", "validation": "validation_loss"}, data.history, best),
        _panel("Validation mAP", {"categories": "category_map", "tags": "tag_map"}, data.history, best),
    ]
    seconds = sum(record.seconds for record in data.history)
    chosen = "" if best is None else f", the dashed line marks epoch {best}, whose weights are used"
    return section(
        "Training",
        element("div", *panels, class_="panels"),
        note=f"{len(data.history)} epochs in {seconds_text(seconds)}{chosen}.",
    )


def stages_section(data: ReportData) -> Html:
    """Return the clips of each stage by outcome, the reasons, and the time; below them the remarks."""
    if not data.stages:
        return Html()
    headers = ("Stage", "Clips in", "ok", "partial", "failed", "Reasons", "Time")
    cells = table(headers, [_stage_cells(stage) for stage in data.stages], numbers=(1, 2, 3, 4, 6))
    return section("Stages", cells, *(element("p", line) for line in data.remarks))


def settings_section(data: ReportData) -> Html:
    """Return the settings, one table a section of the configuration."""
    if not data.settings:
        return Html()
    tables = [part for name, values in data.settings.items() for part in (element("h3", name), _pairs(values))]
    return section("Settings", *tables)


def provenance_section(data: ReportData) -> Html:
    """Return versions, digests and paths."""
    return section("Provenance", _pairs(data.provenance)) if data.provenance else Html()


def _module_row(row: ModuleRow) -> Html:
    """Return one row, its name indented by its level."""
    name, *others = row_cells(row)
    indented = element("td", name, style=f"padding-left:{row.level * 16}px")
    kinds = dict.fromkeys(NUMBERS, "number")
    cells = (element("td", cell, class_=kinds.get(index)) for index, cell in enumerate(others, start=1))
    return element("tr", indented, *cells)


def _panel(title: str, fields: Mapping[str, str], history: tuple[EpochRecord, ...], best: int | None) -> Html:
    """Return one plot of some fields of the epochs; epochs without a value are skipped."""
    lines = [
        Series(
            name,
            tuple((record.epoch, value) for record in history if (value := getattr(record, field)) is not None),
        )
        for name, field in fields.items()
    ]
    drawn = [line for line in lines if line.points]
    if not drawn:
        return element("div", element("h3", title), element("p", "No values.", class_="soft"))
    entries = [(f"s{index}", line.name) for index, line in enumerate(drawn)]
    return element("div", element("h3", title), legend(entries), line_plot(title, drawn, best))


def _stage_cells(stage: StageSummary) -> tuple[object, ...]:
    ranked = sorted(stage.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    reasons = ", ".join(f"{code} {count:,}" for code, count in ranked)
    counts = (stage.num_clips, stage.num_ok, stage.num_partial, stage.num_failed)
    by_clip = stage.num_clips is not None
    return (stage.stage, *(counts if by_clip else [None] * len(counts)), reasons, seconds_text(stage.seconds))


def _pairs(values: Mapping[str, str]) -> Html:
    return table(("Key", "Value"), list(values.items()), ids=(1,), class_="pairs")
