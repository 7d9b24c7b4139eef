"""Delay before a component reconnects: it doubles up to five seconds, as in socket.io-client."""

import pytest

from tests.loadgen.generators import offline_generator
from wscheck.loadgen.endpoint import UserIdentity
from wscheck.loadgen.page_component import PageComponent, ReconnectPolicy
from wscheck.loadgen.user_connections import UserConnections


def delays(
    monkeypatch: pytest.MonkeyPatch, count: int, *, backoff_s: float | None, jitter: float
) -> list[float | None]:
    generator = offline_generator(monkeypatch)
    connections = UserConnections(generator, "ada", UserIdentity("/", "", "40"))
    component = PageComponent(generator, connections, ReconnectPolicy(backoff_s=backoff_s, jitter=jitter))
    return [component.next_backoff() for _ in range(count)]


@pytest.mark.parametrize(
    ("backoff_s", "expected"),
    [
        (1.0, [1.0, 2.0, 4.0, 5.0, 5.0]),
        (3.0, [3.0, 5.0, 5.0, 5.0, 5.0]),
        (8.0, [8.0] * 5),  # a configured delay is never shortened
        (None, [None] * 5),
    ],
)
def test_it_doubles_up_to_five_seconds(
    monkeypatch: pytest.MonkeyPatch, backoff_s: float | None, expected: list[float | None]
) -> None:
    assert delays(monkeypatch, 5, backoff_s=backoff_s, jitter=0.0) == expected


def test_it_never_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, 2_000, backoff_s=1.0, jitter=0.0)[-1] == 5.0


def test_jitter_spreads_it_to_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [delay for _ in range(200) for delay in delays(monkeypatch, 1, backoff_s=1.0, jitter=0.5)]
    spread = [delay for delay in first if delay is not None]
    assert len(spread) == 200
    assert 0.5 <= min(spread) < 0.8 and 1.2 < max(spread) <= 1.5
