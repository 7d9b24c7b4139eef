"""Recognition of a connection's protocol by its first data, and connections that carry others."""

from typing import ClassVar

import pytest

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols import reader as reader_module
from wscheck.protocols.protocol import (
    Accepted,
    Confidence,
    Data,
    Direction,
    Ended,
    Inner,
    InnerData,
    Opening,
    Protocol,
    Received,
    Session,
    Transport,
    WireEvents,
)
from wscheck.protocols.reader import MAX_RETAINED, ConnectionReader, Restarted
from wscheck.protocols.registry import recognise

RECEIVED = Direction.RECEIVED


class LabelSession(Session):
    """Session that names each frame after its protocol."""

    def __init__(self, label: str) -> None:
        self._label = label

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        return [Received(at=at, name=f"{self._label}:{data!s}")]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        return [Ended(at=at, reason=reason)]


class Plain(Protocol):
    id, name = "plain", "plain"

    def recognise(self, opening: Opening) -> Confidence:
        return Confidence.FALLBACK

    def start_session(self, opening: Opening) -> Session:
        return LabelSession("plain")


class Hello(Protocol):
    """Protocol whose server says "hello"; its subprotocol is certain."""

    id, name = "hello", "Hello"
    word: ClassVar[str] = "hello"

    def recognise(self, opening: Opening) -> Confidence:
        if opening.speaks(self.word):
            return Confidence.CERTAIN
        return Confidence.LIKELY if self.word in opening.received else Confidence.NONE

    def start_session(self, opening: Opening) -> Session:
        return LabelSession(self.word)


class OtherHello(Hello):
    id, name = "other-hello", "Other Hello"


class BoxSession(LabelSession):
    """Session that carries another connection: `[data]`."""

    def accept(self, at: float) -> WireEvents:
        carried = Inner(at=at, opening=Opening(url="ws://h/box", transport=Transport.WEBSOCKET))
        return [Accepted(at=at), carried]

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        return [InnerData(at=at, direction=direction, data=str(data).strip("[]"))]


class Box(Hello):
    id, name, word = "box", "Box", "box"

    def start_session(self, opening: Opening) -> Session:
        return BoxSession("box")


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> list[Protocol]:
    """Return the list of the protocols that are known, which the test may extend."""
    known: list[Protocol] = [Plain(), Hello()]
    monkeypatch.setattr(reader_module, "recognise", lambda opening: recognise(opening, known))
    return known


def start(protocols: list[Protocol], **facts: tuple[str, ...]) -> ConnectionReader:
    opening = Opening(url="ws://h/ws", transport=Transport.WEBSOCKET, **facts)  # type: ignore[arg-type]
    recognition = recognise(opening, protocols)
    assert recognition is not None
    return ConnectionReader(opening, recognition, 0)


def names(events: WireEvents) -> list[str]:
    return [event.name if isinstance(event, Received) else type(event).__name__ for event in events]


def test_the_first_frames_are_read_again_when_they_show_the_protocol(protocols: list[Protocol]) -> None:
    connection = start(protocols)
    assert names(connection.accept(1)) == ["Accepted"]
    assert names(connection.receive(RECEIVED, "x", 2)) == ["plain:x"]
    again = connection.receive(RECEIVED, "hello", 3)
    assert names(again) == ["Restarted", "Accepted", "hello:x", "hello:hello"]
    assert isinstance(again[0], Restarted)
    assert [event.at for event in again[1:]] == [1, 2, 3]


def test_a_late_word_does_not_change_the_protocol(protocols: list[Protocol]) -> None:
    connection = start(protocols)
    for number in range(4):
        connection.receive(RECEIVED, str(number), number)
    assert names(connection.receive(RECEIVED, "hello", 9)) == ["plain:hello"]


def test_large_data_are_not_kept(protocols: list[Protocol]) -> None:
    connection = start(protocols)
    connection.receive(RECEIVED, "x" * (MAX_RETAINED + 1), 1)
    assert connection.is_decided


def test_the_subprotocol_is_certain_at_once(protocols: list[Protocol]) -> None:
    assert start(protocols, subprotocols=("hello",)).is_decided
    late = start(protocols)
    assert names(late.set_headers({"sec-websocket-protocol": "v1, hello"})) == ["Restarted"]
    assert names(late.receive(RECEIVED, "x", 1)) == ["hello:x"]


def test_the_answer_may_choose_another_subprotocol(protocols: list[Protocol]) -> None:
    opening = Opening(url="ws://h/", transport=Transport.WEBSOCKET, subprotocols=("a", "hello"), accepted="a")
    assert Hello().recognise(opening) is Confidence.NONE


def test_two_equal_protocols_are_read_as_the_transport(protocols: list[Protocol]) -> None:
    protocols.append(OtherHello())
    connection = start(protocols)
    assert names(connection.receive(RECEIVED, "hello", 1)) == ["plain:hello"]
    assert connection.recognition.others == ("Hello", "Other Hello")


def test_a_carried_connection_is_read_with_its_own_protocol(protocols: list[Protocol]) -> None:
    protocols.append(Box())
    connection = start(protocols, subprotocols=("box",))
    assert names(connection.accept(1)) == ["Accepted"], "the carried connection is not a second one"
    assert names(connection.receive(RECEIVED, "[x]", 2)) == [], "its protocol is not known yet"
    connection.receive(RECEIVED, "[hello]", 3)
    assert names(connection.close(None, TRANSPORT_CLOSE, 9)) == ["hello:x", "hello:hello", "Ended", "Ended"]
