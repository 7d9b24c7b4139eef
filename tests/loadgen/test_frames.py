"""Websocket frames and HTTP responses: however they are cut, the same comes out; nonsense is named, never raised."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.loadgen import upgrade
from wscheck.loadgen.frames import BINARY, CLOSE, PING, TEXT, Frames, Message, mask_with, masked
from wscheck.loadgen.http import HttpError, Response, refusal


def frame(first: int, payload: bytes) -> bytes:
    """As a server sends it: unmasked."""
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
    Message(TEXT, '42["grüße"]'),
    Message(PING, b"hi"),
    Message(TEXT, '42["ab"]'),
    Message(BINARY, b"\x00\xff"),
    Message(TEXT, "x" * 300),
    Message(CLOSE, b"\x03\xe8"),
]


def fed(*parts: bytes) -> tuple[list[Message], str | None]:
    frames = Frames()
    return [message for part in parts for message in frames.feed(part)], frames.broken


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_split_at_every_byte(at: int) -> None:
    assert fed(STREAM[:at], STREAM[at:]) == (WHOLE, None)


def test_byte_by_byte() -> None:
    assert fed(*(bytes((each,)) for each in STREAM)) == (WHOLE, None)


def test_what_is_large_is_not_copied_with_every_part_of_it() -> None:
    large = frame(0x81, b"x" * (8 << 20))
    began = time.process_time()
    (message,), broken = fed(*(large[at : at + 1400] for at in range(0, len(large), 1400)))
    assert (len(message.data), broken) == (8 << 20, None)
    assert time.process_time() - began < 1.5, "joined anew with each of 6,000 parts it takes ten times as long"


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
def test_what_no_server_sends_is_named(data: bytes) -> None:
    messages, broken = fed(FIRST, data)
    assert broken
    assert messages == WHOLE[:1]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_arbitrary_bytes_never_raise(parts: list[bytes]) -> None:
    fed(*parts)


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=300)), max_size=5), st.data())
def test_any_messages_cut_anywhere_come_back(said: list[tuple[int, str]], data: st.DataObject) -> None:
    stream = b"".join(frame(0x80 | opcode, text.encode()) for opcode, text in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [Message(opcode, text if opcode == TEXT else text.encode()) for opcode, text in said]
    assert fed(*parts) == (expected, None)


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(payload: bytes, mask: bytes) -> None:
    assert mask_with(mask, mask_with(mask, payload)) == payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_what_we_send_is_a_masked_frame(size: int) -> None:
    sent = masked(TEXT, b"a" * size)
    head = {True: 2, size >= 126: 4, size >= 65536: 10}[True]
    assert sent[0] == 0x81
    assert sent[1] & 0x80
    assert mask_with(sent[head : head + 4], sent[head + 4 :]) == b"a" * size


BODY = b'{"code":5,"message":"Unsupported protocol v."}'
PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 46\r\nX: a:b\r\n\r\n" + BODY + b"NEXT"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n3;x=1\r\ncde\r\n0\r\n\r\nNEXT"


@pytest.mark.parametrize(("data", "status", "body"), [(PLAIN, 400, BODY), (CHUNKED, 200, b"ab\r\ncde")])
def test_a_response_cut_at_every_byte(data: bytes, status: int, body: bytes) -> None:
    for at in range(len(data)):
        response = Response()
        response.feed(data[:at])
        assert response.feed(data[at:])
        assert (response.status, bytes(response.body), response.rest) == (status, body, b"NEXT")


@pytest.mark.parametrize(
    ("data", "whole"),
    [(PLAIN[:-10], False), (CHUNKED[:-10], False), (b"HTTP/1.1 200 OK\r\n\r\nsome", True), (b"", False)],
)
def test_the_end_completes_only_what_said_nothing_of_its_length(data: bytes, whole: bool) -> None:
    response = Response()
    assert not response.feed(data)
    assert response.end() is whole


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_never_has_a_body_is_whole_after_its_head(status: int) -> None:
    assert Response().feed(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode())


def test_a_refusal_says_what_the_server_said() -> None:
    response = Response()
    response.feed(PLAIN)
    assert refusal(response) == "http-400 unsupported protocol version"
    bare = Response()
    bare.feed(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    assert refusal(bare) == "http-502"


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
def test_what_is_no_response_is_an_error(data: bytes) -> None:
    with pytest.raises(HttpError):
        Response().feed(data)


@given(st.binary(max_size=200))
def test_arbitrary_answers_are_errors_or_wait(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            Response().feed(start + data)
        except HttpError:
            continue


def test_an_upgrade_with_the_wrong_key_is_refused() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
    with pytest.raises(upgrade.Refused, match="protocol"):
        upgrade.check(response, upgrade.new_key())
