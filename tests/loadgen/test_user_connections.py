"""Connections of one user: which ends count as replacements, and which events as duplicated."""

from types import SimpleNamespace

import pytest

from tests.loadgen.generators import NEVER_RECONNECT, offline_generator
from wscheck.loadgen import user_connections as module
from wscheck.loadgen.connection import Connection, ConnectionState
from wscheck.loadgen.endpoint import UserIdentity
from wscheck.loadgen.page_component import PageComponent
from wscheck.loadgen.user_connections import UserConnections
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.load_statistics import LoadStatistics


class User:
    """One user with named connections and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now))
        self.generator = offline_generator(monkeypatch)
        self.user_connections = UserConnections(self.generator, "ada", UserIdentity("/", "", "40"))
        self.component = PageComponent(self.generator, self.user_connections, NEVER_RECONNECT)
        self.connections: dict[str, Connection] = {}

    @property
    def counts(self) -> LoadStatistics:
        return self.generator.counters.current

    def sends_connect(self, name: str) -> "User":
        connection = Connection(self.generator, self.user_connections.identity, self.component)
        connection.sid, connection.state = name, ConnectionState.CONNECT_SENT
        connection.started_at = connection.connect_sent_at = self.now
        self.connections[name] = connection
        self.user_connections.connect_sent(connection)
        return self

    def opens(self, name: str) -> "User":
        self.connections[name].opened_at, self.connections[name].state = self.now, ConnectionState.OPEN
        self.user_connections.opened(self.connections[name])
        return self

    def performs_steps(self, name: str) -> "User":
        self.connections[name].acknowledged_at, self.connections[name].state = self.now, ConnectionState.STEPS
        return self

    def is_ended_in_steps(self, name: str) -> "User":
        self.connections[name].state, self.connections[name].end_during_steps = (
            ConnectionState.CLOSED,
            IO_SERVER_DISCONNECT,
        )
        self.user_connections.refused(self.connections[name], "step 1: ended")
        return self

    def is_disconnected(self, name: str) -> "User":
        self.connections[name].state = ConnectionState.ENDED
        self.user_connections.ended(self.connections[name], IO_SERVER_DISCONNECT)
        return self

    def receives(self, name: str, text: str) -> "User":
        self.user_connections.event_received(self.connections[name], text)
        return self

    def after(self, seconds: float) -> "User":
        self.now += seconds
        return self


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    return User(monkeypatch)


def test_events_are_read_only_where_something_is_compared(user: User) -> None:
    user.sends_connect("one").opens("one")
    assert not user.component.reads_events()
    user.component.unread_events_received(user.connections["one"], 3)
    assert user.counts.greetings == 3 and user.connections["one"].is_young
    user.after(5).component.unread_events_received(user.connections["one"], 3)
    assert user.counts.greetings == 3, "later events are no greetings"
    assert not user.connections["one"].is_young
    user.sends_connect("two")
    assert user.component.reads_events(), "the other connection may receive the same event"
    user.opens("two").receives("one", "a").is_disconnected("two")
    assert user.component.reads_events(), "the event may have been delivered to the connection that ended"
    user.after(5).receives("one", "b").after(5).receives("one", "c")
    assert not user.component.reads_events()
    user.component.on_event = lambda name, arguments: None
    assert user.component.reads_events()


def test_an_older_connection_replaces_nothing(user: User) -> None:
    user.sends_connect("old").opens("old").after(0.1).sends_connect("new").after(0.1).opens("new").after(0.1)
    user.is_disconnected("new")
    assert user.counts.replaced == 0
    user.is_disconnected("old")
    assert user.counts.replaced == 1, "the newer one may have replaced it before it ended itself"


def test_an_end_waits_only_for_connects_that_were_sent_before_it(user: User) -> None:
    user.sends_connect("one").opens("one").after(2).sends_connect("two").is_disconnected("one").after(0.1).opens("two")
    assert user.counts.replaced == 1
    user.after(2).is_disconnected("two").after(0.1).sends_connect("three").opens("three")
    assert user.counts.replaced == 1


def test_a_connection_that_is_replaced_during_its_steps_opened_and_was_replaced(user: User) -> None:
    user.sends_connect("one").performs_steps("one").after(0.3).sends_connect("two").performs_steps("two")
    user.is_ended_in_steps("one").after(0.1)
    assert (user.counts.connects, user.counts.refused) == (0, {})
    user.opens("two")
    assert (user.counts.connects, user.counts.replaced, user.counts.refused) == (2, 1, {})
    assert user.counts.disconnects == {IO_SERVER_DISCONNECT: 1}
    assert user.counts.user_peaks.get(2) == 1


def test_each_connection_of_a_loop_that_is_replaced_during_its_steps_is_counted(user: User) -> None:
    user.sends_connect("one").opens("one").after(0.3).sends_connect("two").performs_steps("two").is_disconnected("one")
    user.after(0.3).sends_connect("three").performs_steps("three").is_ended_in_steps("two")
    user.after(0.3).sends_connect("four").performs_steps("four").is_ended_in_steps("three")
    assert (user.counts.connects, user.counts.replaced) == (1, 0)
    user.after(0.1).opens("four")
    assert (user.counts.connects, user.counts.replaced, user.counts.refused) == (4, 3, {})


def test_two_connects_of_one_moment_may_replace_each_other_in_either_order(user: User) -> None:
    user.sends_connect("one").after(0.01).sends_connect("two").performs_steps("two").after(0.02)
    user.is_ended_in_steps("two").opens("one")
    assert (user.counts.connects, user.counts.replaced, user.counts.refused) == (2, 1, {})


@pytest.mark.parametrize("answered", ["refused", "abandoned", "opened before"])
def test_a_connection_that_is_ended_during_its_steps_without_a_newer_one_was_refused(user: User, answered: str) -> None:
    if answered == "opened before":  # the server lets a user have one connection, and sends the newer one away
        user.sends_connect("old").after(0.4).sends_connect("new").performs_steps("new").is_ended_in_steps("new")
        user.opens("old")
        assert (user.counts.connects, user.counts.replaced, user.counts.refused) == (1, 0, {"step 1: ended": 1})
        return
    user.sends_connect("one").performs_steps("one").after(0.3).sends_connect("two").performs_steps("two")
    user.is_ended_in_steps("one")
    if answered == "refused":
        user.is_ended_in_steps("two")
    else:
        user.user_connections.abandoned(user.connections["two"])
    assert user.counts.refused == {"step 1: ended": 2 if answered == "refused" else 1}
    assert (user.counts.connects, user.counts.replaced, user.counts.disconnects) == (0, 0, {})


def test_an_event_of_an_ended_connection_is_duplicated_on_the_next_one(user: User) -> None:
    user.sends_connect("a").opens("a").sends_connect("b").opens("b").receives("a", "x").receives("a", "y").after(0.5)
    user.is_disconnected("a").receives("b", "x").receives("b", "y")
    assert user.counts.duplicated == 2
    user.after(3).receives("b", "x").receives("b", "x")
    assert user.counts.duplicated == 2
