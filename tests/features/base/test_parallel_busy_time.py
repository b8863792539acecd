from __future__ import annotations

import pytest

from features.base.parallel import BusyTime


@pytest.mark.parametrize(
    ("jobs", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 3.0), (5.0, 6.0)], 3.0),
        ([(1.0, 3.0), (2.0, 4.0)], 3.0),
        ([(1.0, 9.0), (2.0, 4.0), (3.0, 10.0)], 9.0),
        ([(1.0, 2.0), (1.0, 2.0)], 1.0),
    ],
)
def test_time_in_which_several_jobs_run_counts_once(jobs: list[tuple[float, float]], seconds: float) -> None:
    busy = BusyTime()
    for start, end in jobs:
        busy.add(start, end)
    assert busy.seconds == seconds


def test_the_time_of_a_body_counts_although_it_fails() -> None:
    busy = BusyTime()
    with pytest.raises(ZeroDivisionError), busy.running():
        _ = 1 / 0
    assert busy.seconds > 0
