"""Tests of properties of every log: the size of pieces, the fast reader and garbage make no difference."""

import random
import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.observe.logs.conversations import conversation
from tests.observe.logs.corpus import corpus
from tests.observe.logs.formats import FORMATS
from tests.observe.logs.reading import read_in_buffer, read_log
from tests.observe.logs.wrappers import ENCODINGS, WRAPPERS
from wscheck.model.events import Connected, Event, Unreadable
from wscheck.observe.logs.extractor import MAX_LINE, LogExtractor
from wscheck.observe.tailing.read_buffer import ReadBuffer

# The same examples each time; fuzz/extractor.py looks further.
RELAXED = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

SIGNS = (
    b'\n|\r\n|{|}|[|]|(|)|"|\'|\\|: |, | -> |\x00|\x1b[31m|"}|{"msg":"|socketId=|userId=|\xff\xfe|\xef\xbb\xbf'.split(
        b"|"
    )
)
WORDS = (
    b"WebSocket client connected",
    b"WebSocket client disconnected",
    b"Replacing existing socket for user",
    b"\xe2\x80\xa2 socketId: abc\n",
    b"\xe2\x80\xa2 userId: u\n",
    b"- reason: x\n",
    b"bot-1 | ",
    b"2026-01-15T09:30:00Z ",
    b"stdout P ",
    b"stdout F ",
    b'{"log":"',
    b'\\n","stream":"stdout"}',
    b"  message: 'WebSocket client connected',\n",
    b'"__CURSOR":1,"MESSAGE":[87,101,98,83,111,99,107,101,116,32]',
    b"Creating unified WebSocket connection\n",
    b"Bot status update received: {}\n",
)
SCRAPS = st.sampled_from([*SIGNS, *WORDS])
GARBAGE = st.lists(st.one_of(SCRAPS, st.binary(max_size=12)), max_size=60).map(b"".join)


@RELAXED
@given(GARBAGE, st.lists(st.integers(0, 40), max_size=30))
def test_garbage_in_any_pieces_gives_the_same_events(log: bytes, pieces: list[int]) -> None:
    whole, events = read_log(log)
    in_pieces, again = read_log(log, *pieces)
    assert again == events
    assert (in_pieces.lines, in_pieces.offset, in_pieces.levels) == (whole.lines, whole.offset, whole.levels)
    assert whole.bytes == whole.offset == len(log)


@RELAXED
@given(
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(sorted(WRAPPERS)),
    st.sampled_from(sorted(ENCODINGS)),
    st.integers(0, 2**32),
    st.lists(st.integers(1, 3000), max_size=40),
)
def test_a_real_log_in_any_pieces_gives_the_same_events(
    form: str, wrapper: str, encoding: str, seed: int, pieces: list[int]
) -> None:
    draw = random.Random(seed)
    entries = conversation(draw, 8)
    lines = [(line, entry.at) for entry in entries for line in FORMATS[form](entry).rstrip("\n").split("\n")]
    log = ENCODINGS[encoding](WRAPPERS[wrapper](draw, lines))
    assert read_log(log, *pieces)[1] == read_log(log)[1]


def used(size: int, front: int) -> ReadBuffer:
    """Return a buffer in which another log left an open quotation."""
    buffer = ReadBuffer(size, front)
    buffer.data[:] = (b'="\n{' * len(buffer.data))[: len(buffer.data)]
    return buffer


def a_log(seed: int) -> bytes:
    draw = random.Random(seed)
    form = draw.choice(sorted(FORMATS))
    return "".join(FORMATS[form](entry) for entry in conversation(draw, 8)).encode()


@RELAXED
@given(st.one_of(GARBAGE, st.integers(0, 999).map(a_log)), st.integers(1, 600), st.integers(0, 4000))
def test_a_log_read_in_the_buffer_gives_the_same_events(log: bytes, size: int, front: int) -> None:
    in_place, events = read_in_buffer(used(size, front), log)
    whole, expected = read_log(log)
    assert events == expected
    assert (in_place.lines, in_place.offset, in_place.levels) == (whole.lines, whole.offset, whole.levels)


@RELAXED
@given(
    st.lists(st.one_of(GARBAGE, st.integers(0, 999).map(a_log)), min_size=2, max_size=3),
    st.integers(1, 600),
    st.integers(0, 4000),
    st.randoms(use_true_random=False),
)
def test_logs_that_share_a_buffer_are_read_independently(
    logs: list[bytes], size: int, front: int, draw: random.Random
) -> None:
    buffer = ReadBuffer(size, front)
    reading = [(LogExtractor("app.log"), list[Event](), log) for log in logs]
    rests = [(extractor, events, memoryview(log)) for extractor, events, log in reading]
    while rests:
        extractor, events, rest = rests.pop(draw.randrange(len(rests)))
        piece = rest[: draw.randint(1, size)]
        if draw.random() < 0.1:
            events += extractor.feed(piece)
        else:
            buffer.payload[: len(piece)] = piece
            extractor.scan(buffer, len(piece))
        if len(piece) < len(rest):
            rests.append((extractor, events, rest[len(piece) :]))
    for extractor, events, log in reading:
        alone, expected = read_log(log)
        assert [*events, *extractor.flush(at_end=True)] == expected
        assert (extractor.lines, extractor.offset) == (alone.lines, alone.offset)


def read_generally(log: bytes) -> list[Event]:
    """Return the events that the general reader finds by itself."""
    extractor = LogExtractor("app.log")
    vars(extractor._fast_reader)["note"] = lambda *_: 0
    return [*extractor.feed(log), *extractor.flush(at_end=True)]


@RELAXED
@given(GARBAGE)
def test_both_readers_give_the_same_events(log: bytes) -> None:
    assert read_log(log)[1] == read_generally(log)


@RELAXED
@given(
    st.sampled_from(("pino", "pino-first", "winston-json", "bunyan", "bullets", "bullets-dash")), st.integers(0, 2**32)
)
def test_both_readers_agree_on_generated_logs(form: str, seed: int) -> None:
    entries = conversation(random.Random(seed), 12)
    log = "".join(FORMATS[form](entry) for entry in entries).encode()
    assert read_log(log)[1] == read_generally(log)


ODD_ID = st.one_of(st.text("abAB09_.:@+/=|- ", min_size=1, max_size=8), st.sampled_from(("null", "NONE", "undefined")))
ODD_RECORDS = (
    "WebSocket client connected\n- socketId: {0}\n- userId: {1}\n",
    "Replacing existing socket for user\n• userId: {0}\n• oldSocketId: {1}\n• newSocketId: {2}\n",
    '{{"time":1768469400{3:03},"socketId":"{0}","a":["\\n"],"userId":"{1}","msg":"WebSocket client connected"}}\n',
    '{{"ts":"2026-01-15T09:30:{3}Z","socketId":"{0}","userId":{3},"message":"WebSocket client connected"}}\n',
)


@RELAXED
@given(st.lists(st.tuples(st.sampled_from(ODD_RECORDS), ODD_ID, ODD_ID, ODD_ID, st.integers(0, 75)), max_size=8))
def test_both_readers_agree_on_odd_ids_and_times(
    records: list[tuple[str, str, str, str, int]],
) -> None:
    log = "".join(form.format(*values) for form, *values in records).encode()
    assert read_log(log)[1] == read_generally(log)


@pytest.mark.parametrize(
    "name", ["pino-json", "pino-json-traps", "console-bullets", "console-bullets-traps", "bunyan-json"]
)
def test_both_readers_agree_on_the_corpus(name: str) -> None:
    log, _ = corpus()[name]
    assert read_log(log)[1] == read_generally(log)


def test_bytes_of_another_log_in_the_buffer_are_not_read() -> None:
    log = b"".join(b"WebSocket client connected\n- socketId: s%d\n- userId: u\n" % number for number in range(20))
    assert len(read_in_buffer(used(200, 4000), log)[1]) == 20


def test_a_large_log_in_the_buffer_has_its_events_on_the_same_lines() -> None:
    noise = b'{"level":30,"msg":"tick"}\n' * 4000
    record = b'{"time":1768469400000,"msg":"WebSocket client connected","socketId":"s%d","userId":"u"}\n'
    block = b"WebSocket client connected\n- socketId: b%d\n- userId: u\n"
    log = b"".join(noise + record % n + b"\n\n" + block % n for n in range(12))
    assert read_in_buffer(ReadBuffer(), log)[1] == read_log(log)[1] == read_generally(log)


def test_a_line_of_100_mb_is_one_unreadable_line_and_uses_no_memory() -> None:
    extractor, events = LogExtractor("app.log"), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    events += extractor.feed(
        b"WebSocket client connected\n- socketId: a\n- userId: b\n" + b'{"msg":"WebSocket client connected '
    )
    for _ in range(100):
        events += extractor.feed(b"x" * (1 << 20))
    events += extractor.feed(b"\"}\nWebSocket client connected { socketId: 'c', userId: 'd' }\n")
    assert [type(event) for event in events] == [Connected, Unreadable, Connected]
    assert [event.line for event in events] == [1, 4, 5]
    assert extractor.unreadable == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_a_line_is_too_long_at_once_and_in_pieces() -> None:
    log = b"x" * MAX_LINE + b" WebSocket client connected\ntick\nWebSocket client connected\n"
    whole = read_log(log)[1]
    assert [type(event) for event in whole] == [Unreadable, Connected]
    assert read_log(log, 1000, MAX_LINE - 990, 3, 3, 3)[1] == whole


def test_nul_and_invalid_bytes_are_skipped() -> None:
    block = b"WebSocket client connected\n- socketId: a\xfe\n\x00\x00- userId: b\x00\n"
    _, events = read_log(b"\x00" * 3000 + block)
    assert [(event.sid, event.user) for event in events if isinstance(event, Connected)] == [("a\ufffd", "b")]
