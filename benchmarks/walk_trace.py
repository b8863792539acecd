"""One walk through the product, traced in this process; ``benchmarks.walk`` runs it on the code of two builds.

It imports nothing of ``benchmarks`` and uses only names that both builds have, so that it runs on either.

    python walk_trace.py OUTPUT Evaluate --after Train Predict
    python walk_trace.py OUTPUT Decode --setting frames_per_second 1.37 fps=1.37
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

PACKAGES = ("pipeline", "tasks", "features", "models")
TREE = Path(pipeline.__file__).resolve().parent.parent
HOMES = tuple(f"{TREE / name}/" for name in PACKAGES)


class Walk:
    """Collects code objects of the product: functions, comprehensions, and bodies of classes and modules."""

    def __init__(self) -> None:
        self.callers: dict[CodeType, set[CodeType]] = {}

    def profile(self, frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG002 - the signature
        """Add a function of the product that is entered, and the one that entered it."""
        if event == "call":
            self.add(frame)

    def add(self, frame: FrameType) -> None:
        """Add the function of a frame, if it is the product's."""
        if _is_ours(frame.f_code):
            callers = self.callers.setdefault(frame.f_code, set())
            if frame.f_back is not None and _is_ours(frame.f_back.f_code):
                callers.add(frame.f_back.f_code)

    def add_stack(self, frame: FrameType | None) -> None:
        """Add a frame and all that it was called from."""
        while frame is not None:
            self.add(frame)
            frame = frame.f_back

    def rows(self) -> list[dict[str, object]]:
        """Return one row a function: its place, and the places that called it."""
        return [
            {
                "function": _place(code),
                "lines": _num_lines(code),
                "is_body": not _is_function(code),
                "callers": sorted(map(_place, callers)),
            }
            for code, callers in sorted(self.callers.items(), key=lambda item: _place(item[0]))
        ]


class SettingWalk(Walk):
    """Collects the functions through which one setting passes, from its text to the place that acts on it.

    A function counts when it returns the value, its section or settings that hold the section, or when it is on the
    call stack (of its thread and of the main thread) while the value is parsed, checked or used. It is used where a
    string that holds ``built_by`` is first returned, or a function in a file whose path holds it is first entered;
    there the walk ends.
    """

    was_used = False

    def __init__(self, value: object, field: str, built_by: str) -> None:
        super().__init__()
        self._value = value
        self._field = field
        self._built_by = built_by

    def profile(self, frame: FrameType, event: str, argument: object) -> None:
        """Look for the setting in what a function returns, or in the section that is being made."""
        if self.was_used or not _is_ours(frame.f_code):
            return
        if event == "return" and self._is_section_or_value(argument):
            if type(argument) is type(self._value):
                self.add_stack(frame)
            self.add(frame)
        elif event == "return" and isinstance(argument, str) and self._built_by in argument:
            self._use(frame)
        elif event == "call" and frame.f_code.co_name == "__post_init__" and self._is_section(frame.f_locals["self"]):
            self.add_stack(frame)
        elif event == "call" and self._built_by in frame.f_code.co_filename and _is_function(frame.f_code):
            self._use(frame)

    def _use(self, frame: FrameType) -> None:
        self.was_used = True
        self.add_stack(frame)
        self.add_stack(sys._current_frames().get(threading.main_thread().ident or 0))  # noqa: SLF001 - no other way

    def _is_section_or_value(self, found: object) -> bool:
        if type(found) is type(self._value):
            return found == self._value
        return self._is_section(found) or any(self._is_section(value) for value in _values(found))

    def _is_section(self, found: object) -> bool:
        return dataclasses.is_dataclass(found) and getattr(found, self._field, None) == self._value


def _values(found: object) -> list[Any]:
    return list(vars(found).values()) if dataclasses.is_dataclass(found) and hasattr(found, "__dict__") else []


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(HOMES)


def _is_function(code: CodeType) -> bool:
    """Return whether it is no body of a class or a module."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _place(code: CodeType) -> str:
    name = getattr(code, "co_qualname", code.co_name)
    return f"{Path(code.co_filename).relative_to(TREE)}:{code.co_firstlineno} {name}"


def _num_lines(code: CodeType) -> int:
    return max((line for *_, line in code.co_lines() if line is not None), default=code.co_firstlineno) - (
        code.co_firstlineno - 1
    )


def _stage(name: str) -> Any:  # noqa: ANN401 - a stage of either build
    family, _, modality = name.partition("-")
    return getattr(pipeline, family)(**({"modality": modality} if modality else {}))


def _rebuild(name: str, walk: Walk | None = None) -> None:
    """Build a stage again, whose inputs are there; trace its ``run``."""
    stage = _stage(name)
    for path in stage.folder.glob("*"):
        if path.is_file():
            path.unlink()
    with _traced(walk):
        stage.run()


@contextlib.contextmanager
def _traced(walk: Walk | None) -> Iterator[None]:
    if walk is not None:
        threading.setprofile(walk.profile)
        sys.setprofile(walk.profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def main() -> None:
    """Trace one walk, and write its functions as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("stage")
    parser.add_argument("--after", nargs="*", default=(), help="stages that are built again first, untraced")
    parser.add_argument("--setting", nargs=3, metavar=("NAME", "VALUE", "BUILT_BY"))
    options = parser.parse_args()
    for name in options.after:
        _rebuild(name)
    if options.setting:
        name, text, built_by = options.setting
        setting = SettingWalk(_value_of(text), name, built_by)
        with _traced(setting):
            _stage(options.stage).run()
        assert setting.was_used, f"nothing was built by {built_by}"
        walk: Walk = setting
    else:
        walk = Walk()
        _rebuild(options.stage, walk)
    options.output.write_text(json.dumps(walk.rows(), indent=1), encoding="utf-8")


def _value_of(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
