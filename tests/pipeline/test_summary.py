from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import summary
from pipeline.summary import reasons, time_shares
from tasks.core.receipts import Success

if TYPE_CHECKING:
    import pytest


def _account(stage: str, seconds: float, **timings: float) -> Success:
    return Success(stage, "f", {}, (), {"ok": 8, "failed": 2}, {}, "now", seconds, 1, timings)


def test_time_is_shared_out_between_ffmpeg_networks_training_and_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "num_cpus", lambda: 2)
    work = [
        (_account("decode", 99.0, wall_seconds=10.0, child_cpu_seconds=16.0), False),
        (_account("extract-frames", 99.0, wall_seconds=20.0, network_seconds=12.0, load_seconds=3.0), False),
        # A stage is a training because it says so, whatever its name.
        (_account("learn", 10.0), True),
    ]

    # 16 CPU seconds on 2 CPUs, 12 + 3, 10, and of 40 the rest: 2 of decode and 5 of extract.
    assert time_shares(work) == ("40 s of work: ffmpeg 20%, frozen networks 38%, training 25%, everything else 18%")


def test_a_stage_that_decodes_and_embeds_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "num_cpus", lambda: 2)
    both = _account(
        "extract-frames", 9.0, wall_seconds=20.0, network_seconds=16.0, load_seconds=2.0, child_cpu_seconds=8.0
    )
    less = _account(
        "extract-cover", 9.0, wall_seconds=20.0, network_seconds=9.0, load_seconds=1.0, child_cpu_seconds=8.0
    )

    # 8 CPU seconds on 2 CPUs are 4. The network ran 16 + 2 s, some of them beside ffmpeg: no more than 16 are left.
    assert (
        time_shares([(both, False)]) == "20 s of work: ffmpeg 20%, frozen networks 80%, training 0%, everything else 0%"
    )
    assert (
        time_shares([(less, False)])
        == "20 s of work: ffmpeg 20%, frozen networks 50%, training 0%, everything else 30%"
    )


def test_reasons_are_the_most_frequent_first() -> None:
    account = Success("decode", "f", {}, (), {}, {"a": 1, "b": 5, "c": 2, "d": 1, "e": 1}, "now", 1.0, 1)

    assert reasons(account) == "5 b, 2 c, 1 a and 2 more"
    assert reasons(_account("decode", 1.0)) == ""
