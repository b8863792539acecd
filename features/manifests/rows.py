"""Rows of a manifest in CSV or TSV (RFC 4180: a header, quotes doubled inside quotes, line breaks inside quotes)."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.formats.records import RowError
from features.manifests.compressed import MAX_LINE_BYTES, Lines

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping, Sequence

    from features.manifests.config import CorpusConfig

DELIMITERS = {"csv": ",", "tsv": "\t"}
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,12})?", re.ASCII)
# A file that is one JSON array starts with a bracket alone, or with one and the first object.
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|$)")


def read_csv(
    stream: io.BufferedReader, kind: str, config: CorpusConfig
) -> Iterator[tuple[int, dict[str, object] | RowError]]:
    """Yield each row with the number of the line where it starts, or why it is none.

    An empty cell is a missing value. A cell of tags is a JSON list or texts between ``tag_separator``; a
    duration may be a number.

    Args:
        stream: Bytes of the file.
        kind: ``csv`` or ``tsv``.
        config: Gives the names of the columns.

    Raises:
        SourceError: The header cannot be read, lacks the column of the id, or names a column twice.
    """
    names = config.field_map()
    header: list[str] | None = None
    for number, cells in _cells(stream, DELIMITERS[kind]):
        if header is None:
            header = _checked_header(cells, names, config.changed_fields())
        elif isinstance(cells, RowError):
            yield number, cells
        elif len(cells) != len(header):
            detail = f"{len(cells)} cells, and the header names {len(header)} columns"
            yield number, RowError("column_count", detail)
        else:
            yield number, _typed(dict(zip(header, cells, strict=True)), names, config.tag_separator)


def _cells(stream: io.BufferedReader, delimiter: str) -> Iterator[tuple[int, list[str] | RowError]]:
    """Yield the cells of every row that is not blank."""
    lines = _TextLines(stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        result: list[str] | RowError
        try:
            result = next(reader)
        except StopIteration:
            return
        except RowError as error:
            result = error
        except csv.Error as error:
            result = RowError("invalid_csv", str(error))
        number, problem = lines.end_row()
        result = problem or result
        if isinstance(result, RowError) or len(result) > 1 or any(cell.strip() for cell in result):
            yield number, result


class _TextLines:
    """Lines as texts for :mod:`csv`, which takes several of them for a row with quoted line breaks."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._lines = Lines(stream)
        self._start = 0
        self._row_bytes = 0
        self._not_utf8: RowError | None = None

    def __iter__(self) -> _TextLines:
        return self

    def __next__(self) -> str:
        if not self._start:
            self._start = self._lines.number + 1
        raw = next(self._lines)
        self._row_bytes += len(raw)
        if self._row_bytes > MAX_LINE_BYTES:
            raise RowError("line_too_long", f"a row holds at most {MAX_LINE_BYTES:,} bytes: is a quote left open?")
        try:
            return raw.decode("utf-8-sig" if self._lines.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            # Reading continues to the end of the row, so that the next one starts at its own line.
            self._not_utf8 = RowError("not_utf8", f"byte {error.start} of line {self._lines.number} is not UTF-8")
            return raw.decode("utf-8", "replace")

    def end_row(self) -> tuple[int, RowError | None]:
        """Return the line where the row started and what was wrong with its lines, and begin the next row."""
        result = (self._start, self._not_utf8)
        self._start = self._row_bytes = 0
        self._not_utf8 = None
        return result


def _checked_header(cells: Sequence[str] | RowError, names: Mapping[str, str], changed: Mapping[str, str]) -> list[str]:
    if isinstance(cells, RowError):
        raise SourceError(f"the header of the manifest cannot be read: {cells.code}: {cells}")
    header = [cell.strip() for cell in cells]
    if names["clip_id"] not in header:
        raise SourceError(
            f"the header of the manifest has no column {names['clip_id']!r} for the id: its columns are"
            f" {', '.join(header)[:200]!r}; see the settings preset and fields"
        )
    for name in changed.values():
        if name not in header:
            raise SourceError(
                f"the header of the manifest has no column {name!r}, which the setting fields names: its columns are"
                f" {', '.join(header)[:200]!r}"
            )
    for name in names.values():
        if header.count(name) > 1:
            raise SourceError(f"the header of the manifest names the column {name!r} twice: rename one of them")
    return header


def _typed(row: Mapping[str, str], names: Mapping[str, str], tag_separator: str) -> dict[str, object] | RowError:
    result: dict[str, object] = {name: cell for name, cell in row.items() if cell.strip()}
    duration = row.get(names.get("duration_seconds", ""), "").strip()
    if _NUMBER.fullmatch(duration):
        result[names["duration_seconds"]] = float(duration)
    tags = row.get(names.get("tags", ""), "").strip()
    if tags:
        try:
            result[names["tags"]] = json.loads(tags) if tags.startswith("[") else tags.split(tag_separator)
        except (ValueError, RecursionError):
            return RowError("bad_value", f"{names['tags']} is {tags[:40]!r}: it starts like a JSON list and is none")
    return result


def read_json_lines(stream: io.BufferedReader) -> Iterator[tuple[int, dict[str, object] | RowError]]:
    """Yield line number and object of each line that is not blank, or why it is none.

    Raises:
        SourceError: The whole is one JSON array.
    """
    lines = Lines(stream)
    first = True
    while True:
        try:
            raw = next(lines)
        except StopIteration:
            return
        except RowError as error:
            yield lines.number, error
            continue
        if raw.isspace():
            continue
        if first and _ARRAY.match(raw):
            raise SourceError(
                "the manifest is one JSON array: give one object a line, such as by jq -c '.[]' < a.json > a.jsonl"
            )
        first = False
        try:
            yield lines.number, _object(raw)
        except RowError as error:
            yield lines.number, error


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RowError("not_utf8", f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise RowError("invalid_json", "nested too deeply") from error
    except ValueError as error:
        # No JSON, or a number of so many digits that Python reads none of them.
        raise RowError("invalid_json", str(error)) from error
    if not isinstance(value, dict):
        raise RowError("not_an_object", f"a line is one JSON object, this is a {type(value).__name__}")
    return value
