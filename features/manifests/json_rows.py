"""Rows of a manifest in JSON lines."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.formats.rejections import RowError
from features.manifests.compressed import Lines

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

# A file that is one JSON array starts with a bracket alone, or with one and the first object.
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|$)")


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
