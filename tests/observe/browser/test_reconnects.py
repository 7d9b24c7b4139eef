"""Openers of reconnections: certain if the page was inspected, otherwise by file and by which session ended."""

from collections.abc import Sequence

import msgspec
import pytest

from wscheck.model.events import CodeLocation
from wscheck.observe.browser import opener
from wscheck.observe.browser.opener import attribute_reconnects
from wscheck.observe.traffic import ConnectionOrigin, Initiator, TrafficDemux, TrafficSession
from wscheck.protocols.protocol import Direction

LIBRARY = "node_modules/socket.io-client/build/esm/"
IO, MANAGER = CodeLocation(f"{LIBRARY}index.js", 29), CodeLocation(f"{LIBRARY}manager.js", 100, 0, "reconnect")
ONE, TWO, RETRY = CodeLocation("src/one.ts", 12), CodeLocation("src/two.ts", 13), CodeLocation("src/one.ts", 20)


def session(sid: str, at: float, page: str = "T1", over: bool = True) -> TrafficSession:
    """Return a connection of Socket.IO with one namespace."""
    traffic = TrafficDemux(source="browser")
    url = "ws://h/socket.io/?EIO=4&transport=websocket"
    traffic.on_websocket_created("w", url, at, initiator=Initiator(target_id=page, page="tab 1"))
    traffic.on_frame("w", at, f'40{{"sid":"{sid}"}}', outgoing=False)
    (made,) = traffic.sessions
    if over:
        made.end(at + 0.5)
    return made


def feed(made: TrafficSession, frame: str, at: float, direction: Direction) -> None:
    made.process(made.reader.receive(direction, frame, at))


def opener_locations(
    sessions: Sequence[TrafficSession], stacks: Sequence[tuple[CodeLocation, ...]], objects: Sequence[Sequence[str]]
) -> list[CodeLocation | None]:
    found = {}
    for one, stack in zip(sessions, stacks, strict=True):
        own = [place for place in stack if place.file.startswith("src/")]
        found[id(one)] = ConnectionOrigin(own[0] if own else None, stack)
    after = attribute_reconnects(sessions, found, objects)
    return [after[id(one)].opener for one in sessions]


def test_the_same_socket_object_is_the_same_opener() -> None:
    sessions = [session("a", 0), session("b", 1), session("a2", 2), session("b2", 3)]
    stacks = [(IO, ONE), (IO, TWO), (MANAGER,), (MANAGER,)]
    assert opener_locations(sessions, stacks, [["a", "a2"], ["b", "b2"]]) == [ONE, TWO, ONE, TWO]


def test_a_reconnection_names_the_connection_before_it() -> None:
    sessions = [session("a", 0), session("a2", 2), session("b", 3)]
    stacks = [(IO, ONE), (MANAGER,), (IO, TWO)]
    found = {
        id(each): ConnectionOrigin(stack[1] if len(stack) > 1 else None, stack)
        for each, stack in zip(sessions, stacks, strict=True)
    }
    after = attribute_reconnects(sessions, found, [])
    assert [after[id(each)].reconnects for each in sessions] == [None, "a", None]


def test_a_recovered_connection_has_the_same_opener() -> None:
    sessions = [session("a", 0), session("b", 1), session("a", 2), session("b2", 3), session("a", 4)]
    stacks = [(IO, ONE), (IO, TWO), (IO, RETRY), (IO, RETRY), (IO, RETRY)]
    assert opener_locations(sessions, stacks, [["b", "b2"]]) == [ONE, TWO, ONE, TWO, ONE]


def test_a_reconnect_in_a_handler_continues_the_connection_of_its_file() -> None:
    sessions = [session("a", 0), session("b", 1), session("a2", 2)]
    assert opener_locations(sessions, [(IO, ONE), (IO, TWO), (MANAGER, RETRY)], []) == [ONE, TWO, ONE]


def test_a_reconnect_in_a_handler_is_one_although_the_library_called_the_handler() -> None:
    emitter = CodeLocation("http://h/lib/socket.io.js", 627, 0, "Emitter.emit")
    sessions = [session("a", 0), session("b", 1), session("a2", 2)]
    stacks = [(IO, ONE), (IO, TWO), (MANAGER, RETRY, emitter)]
    assert opener_locations(sessions, stacks, []) == [ONE, TWO, ONE]


def test_a_connection_of_another_document_is_not_continued() -> None:
    before, after = session("a", 0), session("b", 1)
    after.initiator = msgspec.structs.replace(after.initiator, document=2)
    assert opener_locations([before, after], [(IO, ONE), (MANAGER, RETRY)], []) == [ONE, RETRY]


def test_a_reconnect_of_the_library_continues_an_ended_connection() -> None:
    sessions = [session("a", 0), session("b", 1, over=False), session("a2", 2)]
    assert opener_locations(sessions, [(IO, ONE), (IO, TWO), (MANAGER,)], []) == [ONE, TWO, ONE]


def test_a_new_call_of_io_is_not_a_reconnection() -> None:
    sessions = [session("a", 0), session("b", 1), session("c", 2, page="T2")]
    assert opener_locations(sessions, [(IO, ONE), (IO, RETRY), (MANAGER,)], []) == [ONE, RETRY, None]


def test_a_connection_that_ended_later_is_not_continued() -> None:
    sessions = [session("a", 0), session("b", 1), session("a2", 1.2)]  # "b" ends at 1.5
    assert opener_locations(sessions, [(IO, ONE), (IO, TWO), (MANAGER,)], []) == [ONE, TWO, ONE]


DISCONNECT = "41"


def test_a_disconnected_session_is_continued_while_its_transport_closes() -> None:
    """A busy server takes its time to close; the client comes back meanwhile."""
    disconnected, other, back = session("a", 0, over=False), session("b", 0.1), session("a2", 1, over=False)
    feed(disconnected, DISCONNECT, 0.5, Direction.RECEIVED)
    disconnected.end(1.4)
    assert opener_locations([disconnected, other, back], [(IO, ONE), (IO, TWO), (MANAGER, RETRY)], []) == [
        ONE,
        TWO,
        ONE,
    ]


def test_a_session_with_one_connected_namespace_is_used() -> None:
    both = session("a", 0, over=False)
    feed(both, '40/chat,{"sid":"c"}', 0.1, Direction.RECEIVED)
    feed(both, DISCONNECT, 0.5, Direction.RECEIVED)
    assert both.unused_from is None
    feed(both, "41/chat,", 0.7, Direction.SENT)
    assert both.unused_from == 0.7
    feed(both, "40", 0.8, Direction.SENT)
    assert both.unused_from is None, "it connected again on the same session"
    both.end(1.0)
    assert both.unused_from == 1.0


@pytest.mark.parametrize("stack", [(MANAGER,), (MANAGER, RETRY)])
def test_the_work_for_a_connection_does_not_grow_with_their_number(
    monkeypatch: pytest.MonkeyPatch, stack: tuple[CodeLocation, ...]
) -> None:
    """A HAR file can contain thousands of connections of one page."""
    monkeypatch.setattr(opener, "MAX_CANDIDATES", 5)
    looked_at = 0

    def unused_from(self: TrafficSession) -> None:
        nonlocal looked_at
        looked_at += 1

    monkeypatch.setattr(TrafficSession, "unused_from", property(unused_from))
    sessions = [session(f"s{number}", number, over=False) for number in range(60)]
    looked_at = 0
    opener_locations(sessions, [stack] * len(sessions), [])
    assert looked_at <= len(sessions) * 5
