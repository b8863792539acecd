"""The report's sections about the run: training, stages, settings, and where everything came from."""

from collections.abc import Mapping

from models.rendering.markup import Html, element
from models.rendering.svg_plots import Series, line_plot
from models.report.data import ReportData, StageSummary
from models.report.parts import NOTHING, legend, row, seconds_text, section, table
from models.training.history import EpochRecord


def curve_section(data: ReportData) -> Html:
    """Return loss and validation metrics over the epochs, the chosen one marked; nothing without history."""
    if not data.history:
        return Html()
    # `is_best` marks every epoch that was the best so far: the checkpoint is the last of them
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
    """Return what every stage did with the clips."""
    if not data.stages:
        return Html()
    numbers = (1, 2, 3, 4, 6)
    headers = ("Stage", "Clips in", "ok", "partial", "failed", "Why", "Time")
    return section("Stages", table(headers, [_stage_row(stage, numbers) for stage in data.stages], numbers=numbers))


def settings_section(data: ReportData) -> Html:
    """Return the settings, one table a section of the configuration."""
    if not data.settings:
        return Html()
    tables = [part for name, values in data.settings.items() for part in (element("h3", name), _pairs(values))]
    return section("Settings", *tables)


def provenance_section(data: ReportData) -> Html:
    """Return versions, digests and paths."""
    return section("Provenance", _pairs(data.provenance)) if data.provenance else Html()


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


def _stage_row(stage: StageSummary, numbers: tuple[int, ...]) -> Html:
    ranked = sorted(stage.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    reasons = ", ".join(f"{code} {count:,}" for code, count in ranked)
    by_clip = stage.num_clips is not None
    counts = [
        f"{count:,}" if by_clip else NOTHING
        for count in (stage.num_clips or 0, stage.num_ok, stage.num_partial, stage.num_failed)
    ]
    return row((stage.stage, *counts, reasons, seconds_text(stage.seconds)), numbers=numbers)


def _pairs(values: Mapping[str, str]) -> Html:
    rows = [row((key, value), ids=(1,)) for key, value in values.items()]
    return table(("Key", "Value"), rows, class_="pairs")
