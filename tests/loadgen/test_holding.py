"""Who holds what, moment by moment: which kick a newer connection explains, and which event came twice."""

from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.loadgen import user_connections as module
from wscheck.loadgen.callbacks import State
from wscheck.loadgen.counters import Tally
from wscheck.loadgen.user_connections import Holding
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.load_statistics import LoadStatistics


class User:
    """One user, with connections by name and a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now))
        self.swarm: Any = SimpleNamespace(tally=Tally())
        self.holding = Holding(self.swarm, "ada", presence=None)  # type: ignore[arg-type]
        self.connections: dict[str, Any] = {}

    @property
    def counted(self) -> LoadStatistics:
        return self.swarm.tally.now

    def asks(self, name: str) -> "User":
        connection = SimpleNamespace(sid=name, begun_at=self.now, asked_at=self.now, opened_at=0.0)
        connection.state, connection.is_leaving = State.ASKED, False
        self.connections[name] = connection
        self.holding.asked(connection)
        return self

    def opens(self, name: str) -> "User":
        self.connections[name].opened_at, self.connections[name].state = self.now, State.OPEN
        self.holding.opened(self.connections[name])
        return self

    def is_kicked(self, name: str) -> "User":
        self.connections[name].state = State.OVER
        self.holding.ended(self.connections[name], IO_SERVER_DISCONNECT)
        return self

    def receives(self, name: str, text: str) -> "User":
        self.holding.event(self.connections[name], text)
        return self

    def after(self, seconds: float) -> "User":
        self.now += seconds
        return self


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    return User(monkeypatch)


def test_an_older_connection_explains_no_kick(user: User) -> None:
    user.asks("old").opens("old").after(0.1).asks("new").after(0.1).opens("new").after(0.1).is_kicked("new")
    assert user.counted.replaced == 0
    user.is_kicked("old")
    assert user.counted.replaced == 1, "the newer one may have been the reason before it was thrown out itself"


def test_a_kick_waits_for_what_was_asked_before_it_and_for_nothing_else(user: User) -> None:
    user.asks("one").opens("one").after(2).asks("two").is_kicked("one").after(0.1).opens("two")
    assert user.counted.replaced == 1
    user.after(2).is_kicked("two").after(0.1).asks("three").opens("three")
    assert user.counted.replaced == 1


def test_what_came_on_a_connection_that_ended_comes_twice_on_the_next(user: User) -> None:
    user.asks("a").opens("a").asks("b").opens("b").receives("a", "x").receives("a", "y").after(0.5).is_kicked("a")
    user.receives("b", "x").receives("b", "y")
    assert user.counted.duplicated == 2
    user.after(3).receives("b", "x").receives("b", "x")
    assert user.counted.duplicated == 2
