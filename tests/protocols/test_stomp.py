"""STOMP: frames as input, wire events as output."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Accepted,
    Beat,
    Closing,
    Data,
    Direction,
    Identified,
    Malformed,
    Opening,
    Received,
    Rejected,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
)
from wscheck.protocols.registry import recognise
from wscheck.protocols.stomp import StompFrame, StompParser, StompSession

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED


def frame(command: str, body: str = "", **headers: str) -> str:
    lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items())]
    return "\n".join(lines) + f"\n\n{body}\0"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"subprotocols": ("v12.stomp", "v11.stomp")}, "STOMP"),
        ({"sent": (frame("CONNECT", accept_version="1.2"),)}, "STOMP"),
        ({"sent": (frame("STOMP", accept_version="1.2").replace("\n", "\r\n").encode(),)}, "STOMP"),
        ({"sent": ("CONNECT example.org:443 HTTP/1.1\r\n\r\n",)}, "WebSocket"),
        ({"sent": ("CONNECT",)}, "WebSocket"),
    ],
)
def test_recognition(facts: dict[str, Any], name: str) -> None:
    found = recognise(Opening(url="ws://h/stomp", transport=Transport.WEBSOCKET, **facts))
    assert found is not None and found.protocol.name == name


def test_a_connection_is_open_when_the_broker_answers_the_login() -> None:
    session = StompSession()
    assert session.accept(1) == []
    (identified,) = session.receive(SENT, frame("CONNECT", login="ann", passcode="secret"), 1)
    assert isinstance(identified, Identified) and identified.values["login"] == "ann"
    named, accepted = session.receive(RECEIVED, frame("CONNECTED", version="1.2", user_name="ann@a"), 2)
    assert isinstance(named, Identified) and named.values == {"user-name": "ann@a"}
    assert accepted == Accepted(at=2)


def test_an_error_before_that_refuses_the_connection() -> None:
    session = StompSession()
    (refused,) = session.receive(RECEIVED, frame("ERROR", "details", message="Access refused"), 1)
    assert isinstance(refused, Rejected) and refused.message == "Access refused"
    assert len(session.close(None, TRANSPORT_CLOSE, 2)) == 1


def test_a_subscription_has_a_destination_and_a_selector() -> None:
    session = StompSession()
    (plain,) = session.receive(SENT, frame("SUBSCRIBE", id="sub-0", destination="/topic/a"), 1)
    (same,) = session.receive(SENT, frame("SUBSCRIBE", id="sub-1", destination="/topic/a", ack="client"), 1)
    (chosen,) = session.receive(SENT, frame("SUBSCRIBE", id="sub-2", destination="/topic/a", selector="x = 1"), 1)
    assert isinstance(plain, Subscribed) and isinstance(same, Subscribed) and isinstance(chosen, Subscribed)
    assert (plain.name, plain.same) == (same.name, same.same) == ("/topic/a", None)
    assert chosen.same == {"selector": "x = 1"}
    assert session.receive(SENT, frame("UNSUBSCRIBE", id="sub-1"), 2) == [Unsubscribed(at=2, id="sub-1")]
    assert session.receive(SENT, frame("UNSUBSCRIBE", id="sub-1"), 3) == []


def test_version_1_0_names_a_subscription_by_its_destination() -> None:
    session = StompSession()
    session.receive(SENT, frame("SUBSCRIBE", destination="/topic/a"), 1)
    assert session.receive(SENT, frame("UNSUBSCRIBE", destination="/topic/a"), 2) == [Unsubscribed(at=2, id="/topic/a")]


def test_a_message_has_the_name_of_the_destination_that_the_client_subscribed_to() -> None:
    session = StompSession()
    session.receive(SENT, frame("SUBSCRIBE", id="sub-0", destination="/user/queue/a"), 1)
    text = frame("MESSAGE", '{"x":1}', subscription="sub-0", destination="/queue/a-user7", message_id="1")
    (received,) = session.receive(RECEIVED, text, 2)
    assert isinstance(received, Received) and (received.name, received.payload) == ("/user/queue/a", {"x": 1})
    (sent,) = session.receive(SENT, frame("SEND", "hello", destination="/app/say"), 3)
    assert isinstance(sent, Sent) and (sent.name, sent.arguments) == ("/app/say", ["hello"])


def test_line_ends_are_heartbeats_and_a_disconnect_announces_the_end() -> None:
    session = StompSession()
    for data in ("\n", "\r\n", b"\n"):
        (beat,) = session.receive(RECEIVED, data, 1)
        assert isinstance(beat, Beat)
    assert session.receive(SENT, frame("DISCONNECT", receipt="r"), 2) == [Closing(at=2)]


def test_a_body_with_a_stated_length_may_contain_nul() -> None:
    (found,) = StompParser().feed(frame("MESSAGE", "a\0b", content_length="3"))
    assert found is not None and found.body == b"a\0b"


def test_headers_are_unescaped_and_the_first_one_counts() -> None:
    (found,) = StompParser().feed("SEND\nname:a\\cb\\nc\\\\d\\x\nname:other\n\n\0")
    assert found is not None and found.headers == {"name": "a:b\nc\\d\\x"}
    (login,) = StompParser().feed("CONNECT\nlogin:a\\cb\n\n\0")
    assert login is not None and login.headers == {"login": "a\\cb"}, "the first version does not escape"


@pytest.mark.parametrize("text", ["hello\0", "SEND\nno colon\n\n\0", "\0"])
def test_other_data_are_malformed(text: str) -> None:
    (event,) = StompSession().receive(RECEIVED, text, 1)
    assert isinstance(event, Malformed)


def test_a_frame_without_end_is_bounded_and_reported() -> None:
    session = StompSession()
    for _ in range(20):
        assert session.receive(RECEIVED, "SEND\n\n" + "x" * (MAX_MESSAGE // 8), 1) == []
    assert len(session._parsers[RECEIVED]._data) <= 2 * MAX_MESSAGE
    events = session.receive(RECEIVED, "\0" + frame("MESSAGE", destination="/a"), 2)
    assert [type(event) for event in events] == [Malformed, Received]


_TEXT = st.text(st.characters(exclude_characters="\r\n:\\\0", exclude_categories=["Cs"]), min_size=1, max_size=10)
_FRAMES = st.builds(
    StompFrame,
    st.sampled_from(["SEND", "MESSAGE", "SUBSCRIBE"]),
    st.dictionaries(_TEXT.filter(lambda name: name != "content-length"), _TEXT, max_size=3),
    st.binary(max_size=30).map(lambda body: body.replace(b"\0", b"")),
)


@given(st.lists(_FRAMES, max_size=4), st.integers(1, 20), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_frames_may_be_divided_anywhere(frames: list[StompFrame], length: int, end: str, counted: bool) -> None:
    data = b"".join(
        (end.join([each.command, *(f"{k}:{v}" for k, v in each.headers.items())])).encode()
        + (f"{end}content-length:{len(each.body)}".encode() if counted else b"")
        + (end * 2).encode()
        + each.body
        + b"\0\n"
        for each in frames
    )
    parser, found = StompParser(), list[StompFrame | None]()
    for at in range(0, len(data), length):
        found += parser.feed(data[at : at + length])
    expected = [
        StompFrame(
            each.command, {**each.headers, **({"content-length": str(len(each.body))} if counted else {})}, each.body
        )
        for each in frames
    ]
    assert found == expected


_PARTS = st.sampled_from(["SUBSCRIBE\nid:1\ndestination:/a\n\n\0", "UNSUBSCRIBE\nid:1\n\n\0", "\n", "\0", "MESSAGE\n"])


@given(st.lists(st.tuples(st.booleans(), st.text() | st.binary() | _PARTS)))
def test_any_data_are_read_and_subscriptions_end_once(parts: list[tuple[bool, Data]]) -> None:
    session, held = StompSession(), set[str]()
    for is_sent, data in parts:
        for event in session.receive(SENT if is_sent else RECEIVED, data, 1):
            if isinstance(event, Subscribed):
                assert event.id not in held
                held.add(event.id)
            elif isinstance(event, Unsubscribed):
                held.remove(event.id)
