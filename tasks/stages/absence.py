"""What is said of a modality that no clip of the corpus has, and how it is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.modalities import MODALITIES
from tasks.config.run import settings
from tasks.core.sharded import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.receipts import Success


# Name of a stage that reads a text field from the media, before the field.
RECOGNIZE = "recognize-"


def corpus_remarks(found: Sequence[Success]) -> list[str]:
    """Return what the stages of a run did not find in any clip: one line for the modalities, and one a text field."""
    fields = [(one, one.stage.removeprefix(RECOGNIZE)) for one in found if one.stage.startswith(RECOGNIZE)]
    lines = [absent_modalities_line(found), *(absent_source_line(success, field) for success, field in fields)]
    return [line for line in lines if line]


def absent_modalities_line(found: Sequence[Success]) -> str:
    """Return which modalities in use are in no clip, and how they are left out; empty where there is none.

    Args:
        found: The records of the stages that have tried, of one stage or of a whole run.
    """
    reasons = {name: _reason(success, name) for success in found for name in success.facts.get(ABSENT, ())}
    used = settings().features.names()
    absent = [name for name in used if name in reasons]
    if not absent:
        return ""
    them = "it" if len(absent) == 1 else "them"
    rest = ", ".join(name for name in used if name not in absent)
    if settings().predict.checkpoint:
        way_out = f"the network of [predict] checkpoint scores without {them}"
    elif rest:
        way_out = f"leave {them} out with [features] modalities = {rest}"
    else:
        way_out = f"[features] modalities names nothing else: name another of {', '.join(MODALITIES)}"
    return f"not in this corpus: {', '.join(f'{name} ({reasons[name]})' for name in absent)}; {way_out}"


def absent_source_line(success: Success, field: str) -> str:
    """Return that no clip has what a text field is read from, and how the field is left out; else nothing."""
    sources = [f"{name} ({_reason(success, name)})" for name in success.facts.get(ABSENT, ())]
    if not sources:
        return ""
    return f"not in this corpus: {', '.join(sources)}, which {field} reads; leave {field} out with [{field}] backbone ="


def _reason(success: Success, name: str) -> str:
    codes = [code for code in MODALITIES[name].absent_codes if code in success.codes]
    failed = success.totals.get("failed", 0)
    return ", ".join([*(f"{success.codes[code]:,} {code}" for code in codes), *([f"{failed:,} failed"] * bool(failed))])
