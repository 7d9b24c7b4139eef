"""WebSocket frames and HTTP responses: data split anywhere, and malformed data."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.loadgen.handshake import (
    HttpError,
    HttpResponse,
    UpgradeRefused,
    check_upgrade,
    http_refusal_kind,
    new_websocket_key,
)
from wscheck.loadgen.websocket_frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    FrameReader,
    WebSocketMessage,
    apply_mask,
    encode_masked_frame,
)


def frame(first: int, payload: bytes) -> bytes:
    """Return a frame as a server sends it: without a mask."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    return (
        bytes((first, 126)) + size.to_bytes(2) + payload
        if size < 65536
        else bytes((first, 127)) + size.to_bytes(8) + payload
    )


FIRST = frame(0x81, '42["grüße"]'.encode())
STREAM = FIRST + b"".join(
    (
        frame(0x01, b'42["a'),
        frame(0x89, b"hi"),
        frame(0x00, b"b"),
        frame(0x80, b'"]'),
        frame(0x82, b"\x00\xff"),
        frame(0x81, b"x" * 300),
        frame(0x88, (1000).to_bytes(2)),
    )
)
WHOLE = [
    WebSocketMessage(TEXT, '42["grüße"]'),
    WebSocketMessage(PING, b"hi"),
    WebSocketMessage(TEXT, '42["ab"]'),
    WebSocketMessage(BINARY, b"\x00\xff"),
    WebSocketMessage(TEXT, "x" * 300),
    WebSocketMessage(CLOSE, b"\x03\xe8"),
]


def read(*parts: bytes) -> tuple[list[WebSocketMessage], str | None]:
    frames = FrameReader()
    return [message for part in parts for message in frames.feed(part)], frames.error


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_frames_split_at_every_byte(at: int) -> None:
    assert read(STREAM[:at], STREAM[at:]) == (WHOLE, None)


SHORT_TEXT = st.text(max_size=25).map(lambda text: frame(0x81, text.encode()))
OTHER = st.sampled_from([*(frame(0x81, b"x" * 300), frame(0x89, b""), frame(0x82, b"1")), b"\x81\x01\xff", STREAM])


@given(st.lists(SHORT_TEXT, max_size=4), st.none() | OTHER, st.integers(0, 4))
def test_counted_messages_are_those_that_are_read(texts: list[bytes], other: bytes | None, at: int) -> None:
    data = b"".join((*texts[:at], other or b"", *texts[at:]))
    frames = FrameReader()
    assert frames.count_texts(data) == (0 if other else len(texts))
    assert not data or not frames.count_texts(data[:-1])
    assert (frames.feed(data), frames.error) == read(data), "counting stores nothing"


@pytest.mark.parametrize("first", [FIRST[:5], frame(0x01, b"a"), b"\xff\xff"])
def test_nothing_is_counted_behind_a_part_of_a_message_or_an_error(first: bytes) -> None:
    frames = FrameReader()
    frames.feed(first)
    assert not frames.count_texts(FIRST)


def test_frames_byte_by_byte() -> None:
    assert read(*(bytes((each,)) for each in STREAM)) == (WHOLE, None)


def test_a_large_message_is_not_parsed_again_with_every_part() -> None:
    large = frame(0x81, b"x" * (8 << 20))
    started = time.process_time()
    (message,), error = read(*(large[at : at + 1400] for at in range(0, len(large), 1400)))
    assert (len(message.data), error) == (8 << 20, None)
    assert time.process_time() - started < 1.5, "parsing again with each of 6,000 parts takes ten times as long"


@pytest.mark.parametrize(
    "data",
    [
        frame(0xC1, b"x"),
        bytes((0x81, 0x81)) + b"abcdx",
        frame(0x83, b""),
        frame(0x8B, b""),
        frame(0x09, b""),
        bytes((0x89, 126)) + (200).to_bytes(2),
        frame(0x80, b"late"),
        frame(0x01, b"a") + frame(0x81, b"b"),
        frame(0x81, b"\xff\xfe"),
        bytes((0x81, 127)) + (2**40).to_bytes(8),
        bytes((0x82, 127)) + (2**63).to_bytes(8),
    ],
    ids=[
        "reserved bit", "masked", "unknown type", "unknown control", "fragmented ping", "long ping",
        "continuation of nothing", "new message in a message", "not UTF-8", "too large", "absurdly large",
    ],
)  # fmt: skip
def test_a_frame_that_a_server_must_not_send_is_an_error(data: bytes) -> None:
    messages, error = read(FIRST, data)
    assert error
    assert messages == WHOLE[:1]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_arbitrary_bytes_never_raise(parts: list[bytes]) -> None:
    read(*parts)


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=300)), max_size=5), st.data())
def test_any_messages_split_anywhere_are_read(sent: list[tuple[int, str]], data: st.DataObject) -> None:
    stream = b"".join(frame(0x80 | opcode, text.encode()) for opcode, text in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [WebSocketMessage(opcode, text if opcode == TEXT else text.encode()) for opcode, text in sent]
    assert read(*parts) == (expected, None)


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_a_mask_applied_twice_returns_the_payload(payload: bytes, mask: bytes) -> None:
    assert apply_mask(mask, apply_mask(mask, payload)) == payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_sent_frame_is_masked(size: int) -> None:
    sent = encode_masked_frame(TEXT, b"a" * size)
    head = {True: 2, size >= 126: 4, size >= 65536: 10}[True]
    assert sent[0] == 0x81
    assert sent[1] & 0x80
    assert apply_mask(sent[head : head + 4], sent[head + 4 :]) == b"a" * size


BODY = b'{"code":5,"message":"Unsupported protocol v."}'
PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 46\r\nX: a:b\r\n\r\n" + BODY + b"NEXT"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n3;x=1\r\ncde\r\n0\r\n\r\nNEXT"


@pytest.mark.parametrize(("data", "status", "body"), [(PLAIN, 400, BODY), (CHUNKED, 200, b"ab\r\ncde")])
def test_a_response_split_at_every_byte(data: bytes, status: int, body: bytes) -> None:
    for at in range(len(data)):
        response = HttpResponse()
        response.feed(data[:at])
        assert response.feed(data[at:])
        assert (response.status, bytes(response.body), response.rest) == (status, body, b"NEXT")


@pytest.mark.parametrize(
    ("data", "whole"),
    [(PLAIN[:-10], False), (CHUNKED[:-10], False), (b"HTTP/1.1 200 OK\r\n\r\nsome", True), (b"", False)],
)
def test_the_end_of_the_data_completes_only_a_response_without_a_length(data: bytes, whole: bool) -> None:
    response = HttpResponse()
    assert not response.feed(data)
    assert response.data_ended() is whole


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_is_complete_after_its_header(status: int) -> None:
    assert HttpResponse().feed(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode())


def test_the_kind_of_a_refusal_contains_the_meaning_of_the_error_code() -> None:
    response = HttpResponse()
    response.feed(PLAIN)
    assert http_refusal_kind(response) == "http-400 unsupported protocol version"
    bare = HttpResponse()
    bare.feed(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    assert http_refusal_kind(bare) == "http-502"


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\n0\r\n\r\n",
        b"HTTP/1.1 " + b"x" * 70_000,
    ],
)
def test_data_that_is_no_response_is_an_error(data: bytes) -> None:
    with pytest.raises(HttpError):
        HttpResponse().feed(data)


@given(st.binary(max_size=200))
def test_arbitrary_data_is_an_error_or_incomplete(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            HttpResponse().feed(start + data)
        except HttpError:
            continue


def test_an_upgrade_with_the_wrong_key_is_refused() -> None:
    response = HttpResponse()
    response.feed(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
    with pytest.raises(UpgradeRefused, match="protocol"):
        check_upgrade(response, new_websocket_key())
