"""The reference of all settings, made of the docstrings beside the code that they steer."""

from __future__ import annotations

import inspect
import re

from models.config.presets import PRESETS, Preset
from tasks.config.schema import SECTIONS, Section

TYPE_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
# One line of an "Attributes:" block: the name, a colon, and what it means.
ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")


def settings_reference() -> str:
    """Return a Markdown page with every section of the configuration: key, type, default, meaning."""
    parts = [
        "# Settings",
        "",
        "<!-- Written by `python -m pipeline settings`; a test compares. -->",
        "",
        "They are read from `luigi.cfg` in the current folder, then from the file that `LUIGI_CONFIG_PATH` names.",
        "On the command line a key is `--section-key`, such as `--decode-frames-per-second 4`.",
        "The defaults of [network] and [train] are those of the preset `default`; another preset has its own.",
        "An unknown section or key is an error. Keys marked * are not part of a stage's identity: changing them",
        "re-runs nothing. (Of a manifest and of a checkpoint the content counts, not the path; of ffmpeg its version.",
        "Limits on time and attempts can turn a clip into a failure; `python -m pipeline retry` tries again. What a",
        "server refuses for good, such as a 403 for another `user_agent`, only `--force Download` requests again.)",
    ]
    for name, section in SECTIONS.items():
        parts += ["", f"## [{name}]", "", *_section_table(section)]
    parts += ["", "## Presets", "", *_preset_table()]
    return "\n".join(parts) + "\n"


def _preset_table() -> list[str]:
    rows = [f"| `{name}` | {preset.about} | {_differences(preset)} |" for name, preset in PRESETS.items()]
    return ["| preset | what it is | what differs from `default` |", "| --- | --- | --- |", *rows]


def _differences(preset: Preset) -> str:
    base = PRESETS["default"]
    found = [
        f"`{part}.{key} = {value}`"
        for part in ("network", "train")
        for key, value in vars(getattr(preset, part)).items()
        if value != getattr(getattr(base, part), key)
    ]
    return ", ".join(found) or "nothing"


def _section_table(section: Section) -> list[str]:
    meanings = attribute_texts(section)
    hints = section.hints()
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, default in section.names().items():
        star = "*" if key in section.non_identity_settings() else ""
        kind = TYPE_NAMES.get(hints[key], "whole number or empty")
        shown = "(empty)" if default in {None, ""} else f"`{default}`"
        rows.append(f"| `{key}`{star} | {kind} | {shown} | {meanings[key]} |")
    return rows


def attribute_texts(section: Section) -> dict[str, str]:
    """Return field -> its text in the ``Attributes`` block of the section's dataclasses or their bases."""
    texts: dict[str, str] = {}
    beside = section.beside.__mro__ if section.beside else ()
    for kind in reversed((*beside, *section.kind.__mro__)):
        name = ""
        for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
            match = ATTRIBUTE.match(line)
            if match:
                name = match[1]
                texts[name] = match[2]
            elif name and line.startswith("        "):
                texts[name] += f" {line.strip()}"
            else:
                name = ""
    return {name: text.replace("``", "`").replace("|", "\\|") for name, text in texts.items()}
