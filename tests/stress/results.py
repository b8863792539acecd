"""What a scenario found, as lines, as a table, and as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trial:
    """One time that something was done to a run.

    Attributes:
        name: What was done, in a few words.
        problems: What was not as it should be; empty = passed.
        facts: JSON values about it.
    """

    name: str
    problems: tuple[str, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything was as it should be."""
        return not self.problems

    def line(self) -> str:
        """Return the trial as one line."""
        lines = [f"{'ok  ' if self.passed else 'FAIL'}  {self.name}", *self.problems]
        return "\n        ".join(lines)


@dataclass(frozen=True)
class Result:
    """One scenario.

    Attributes:
        scenario: Its name.
        claim: What holds when all trials passed.
        trials: What was tried; empty when the scenario was skipped.
        seconds: Wall time.
        skipped: Why it was not tried, ``""`` when it was.
        facts: JSON values about all of it.
    """

    scenario: str
    claim: str
    trials: tuple[Trial, ...]
    seconds: float = 0.0
    skipped: str = ""
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def num_passed(self) -> int:
        """How many trials passed."""
        return sum(trial.passed for trial in self.trials)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return self.num_passed == len(self.trials)

    def line(self) -> str:
        """Return the scenario as one line."""
        if self.skipped:
            return f"{self.scenario}: skipped, {self.skipped}"
        return f"{self.scenario}: {self.num_passed} of {len(self.trials)} {self.claim} ({self.seconds:.0f} s)"

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON values."""
        trials = [{"name": item.name, "problems": list(item.problems), **item.facts} for item in self.trials]
        return {
            "scenario": self.scenario,
            "claim": self.claim,
            "passed": self.num_passed,
            "of": len(self.trials),
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            **self.facts,
            "trials": trials,
        }


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
