"""How long a component waits before it comes back: doubling up to five seconds, as socket.io-client does."""

from typing import Any

import pytest

from wscheck.loadgen.page_component import Component, Habits

NOBODY: Any = None


def delays(times: int, **habits: float | None) -> list[float | None]:
    component = Component(NOBODY, NOBODY, Habits(**habits))
    return [component._backoff() for _ in range(times)]


@pytest.mark.parametrize(
    ("base", "waited"),
    [
        (1.0, [1.0, 2.0, 4.0, 5.0, 5.0]),
        (3.0, [3.0, 5.0, 5.0, 5.0, 5.0]),
        (8.0, [8.0] * 5),  # what was asked for is never cut
        (None, [None] * 5),
    ],
)
def test_it_doubles_up_to_five_seconds(base: float | None, waited: list[float | None]) -> None:
    assert delays(5, backoff_s=base, jitter=0.0) == waited


def test_it_never_overflows() -> None:
    assert delays(2_000, backoff_s=1.0, jitter=0.0)[-1] == 5.0


def test_jitter_spreads_it_to_both_sides() -> None:
    spread = [delay for _ in range(200) for delay in delays(1, backoff_s=1.0, jitter=0.5)]
    assert 0.5 <= min(spread) < 0.8 and 1.2 < max(spread) <= 1.5
