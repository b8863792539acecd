"""Prints what became of every attack; exits with 1 when one got through."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from models.rendering.terminal_table import render_table
from tests.attacks.battle import fight


def main() -> int:
    """Run every attack in a temporary folder and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        battle = fight(Path(folder))
    rows = [[result.attack.what, result.stage, result.status, result.code] for result in battle.results]
    print(render_table(["attack", "ended by", "status", "code"], rows))
    wrong = [result.attack.what for result in battle.results if result.code != result.attack.code]
    touched = [*battle.asked, *battle.datagrams, *battle.escaped, *battle.injected]
    print(
        f"\n{len(rows)} attacks, {len(wrong)} with another outcome than they should have: {', '.join(wrong) or 'none'}"
    )
    print(f"asked of the victim, written outside, injected: {touched or 'nothing'}")
    return int(bool(wrong or touched))


if __name__ == "__main__":
    sys.exit(main())
