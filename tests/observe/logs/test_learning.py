"""Tests of learned templates: they read records as the general reader does."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.logs.conversations import CONNECTED, LETTERS, Entry, conversation
from tests.observe.logs.formats import FORMATS
from tests.observe.logs.reading import read_log
from tests.observe.logs.test_properties import RELAXED, read_generally
from tests.observe.logs.wrappers import WRAPPERS
from wscheck.model.events import Event
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.fast_reader.reader import MAX_ATTEMPTS, MAX_LEARNED_SHAPES


def written(form: str, wrapper: str, entries: list[Entry], draw: random.Random) -> bytes:
    # Who wraps a line does so a little later.
    lines = [(line, entry.at + 7) for entry in entries for line in FORMATS[form](entry).rstrip("\n").split("\n")]
    return WRAPPERS[wrapper](draw, lines).encode()


def read_with_line_count(log: bytes) -> tuple[list[Event], int]:
    """Return the events and the number of lines that the general reader read."""
    extractor = LogExtractor("app.log")
    read_line, lines = extractor._general_reader.read_line, list[bytes]()

    def record_line(raw: bytes, *arguments: Any) -> None:
        lines.append(raw)
        read_line(raw, *arguments)

    vars(extractor._general_reader)["read_line"] = record_line
    return [*extractor.feed(log), *extractor.flush(at_end=True)], len(lines)


@pytest.mark.parametrize(
    ("form", "wrapper"),
    [
        ("console", "nothing"),
        ("winston-simple", "nothing"),
        ("winston-printf", "nothing"),
        ("log4js", "nothing"),
        ("nest", "nothing"),
        ("signale", "nothing"),
        ("logfmt", "nothing"),
        ("structlog", "nothing"),
        ("pino", "compose"),
        ("pino", "cri"),
        ("pino", "docker"),
        ("pino", "pm2"),
        ("console", "compose"),
        ("console", "kubectl"),
        ("winston-simple", "syslog"),
        ("bunyan", "heroku"),
        ("gelf", "nothing"),
        ("pino-pretty", "nothing"),
        ("pino-pretty-bare", "nothing"),
        ("tslog", "nothing"),
        ("console-json", "nothing"),
        ("console-twice", "nothing"),
        ("bullets-stamped", "nothing"),
        ("bullets", "cri"),
        ("bullets", "docker"),
        ("console", "cri"),
        ("console", "docker"),
        ("console", "pm2"),
        ("consola", "colour"),
    ],
)
def test_a_form_is_learned_from_its_first_records(form: str, wrapper: str) -> None:
    draw = random.Random(form + wrapper)
    entries = [
        Entry(CONNECTED, {"socketId": "".join(draw.choices(LETTERS, k=20)), "userId": f"user_{n}"}, at, {})
        for n, at in enumerate(range(1_768_469_411_234, 1_768_469_499_999, 1_400))
    ]
    log = written(form, wrapper, entries, draw)
    events, cared = read_with_line_count(log)
    assert events == read_generally(log)
    assert len(entries) == len(events) == 64
    assert cared < 20


@RELAXED
@given(st.sampled_from(sorted(FORMATS)), st.sampled_from(sorted(WRAPPERS)), st.integers(0, 2**32))
def test_learned_templates_read_as_the_general_reader_does(form: str, wrapper: str, seed: int) -> None:
    draw = random.Random(seed)
    log = written(form, wrapper, conversation(draw, 25), draw)
    assert read_log(log)[1] == read_generally(log)


ODD_ID = st.one_of(
    st.text("ab9_.:@+/=|- ", min_size=1, max_size=8),
    st.text("abcdef0123456789", min_size=20, max_size=20),
    st.sampled_from(("null", "NONE", "undefined", "0", "007", "42", "true", "connected", "09:30:11", "1768469400")),
)
ODD_LINES = (
    "WebSocket client connected {{ socketId: '{0}', userId: '{1}' }}",
    "{2} [info] WebSocket client connected {{ socketId: '{0}', userId: {3} }}",
    'INFO [ws] WebSocket client connected" socketId="{0}" userId={1}',
    "{2} Replacing existing socket for user oldSocketId={0} newSocketId={1} userId={3} ({3} total)",
    'level=info time={2} msg="WebSocket client disconnected" socketId={0} reason="{1}"',
    "[{2}] WebSocket client connected\n  * socketId: {0}\n  * userId: {1}",
    "WebSocket client connected {{\n  socketId: '{0}',\n  userId: {3},\n  user: '{1}'\n}}",
    '[{2}] INFO (7): Replacing existing socket for user\n  userId: "{1}"\n  oldSocketId: "{0}"\n  newSocketId: "{0}x"',
    "{2} bot | WebSocket client disconnected\n{2} bot | - socketId: {0}\n{2} bot | - reason: {1}",
    '{{"log":"{2} WebSocket client connected socketId={0} userId={1}\\n","stream":"stdout","time":"{2}"}}',
)


@RELAXED
@given(st.sampled_from(ODD_LINES), st.lists(st.tuples(ODD_ID, ODD_ID, st.integers(0, 99)), min_size=5, max_size=20))
def test_odd_ids_are_read_as_the_general_reader_does(line: str, records: list[tuple[str, str, int]]) -> None:
    said = [line.format(one, other, f"2026-01-15T09:{n % 70:02}:{n % 7:02}Z", n) for one, other, n in records]
    log = "\n".join([*said, ""]).encode()
    assert read_log(log)[1] == read_generally(log)


def test_of_two_equal_times_the_right_one_is_learned() -> None:
    """The runtime's and the application's agree while nothing is late."""
    ids = '"msg":"WebSocket client connected","socketId":"s","userId":"u"'
    times = [(n, n if n < 10 else n - 1) for n in range(40)]
    said = [f'2026-01-15T09:30:{a:02}Z stdout F {{"time":"2026-01-15T09:30:{b:02}Z",{ids}}}\n' for a, b in times]
    log = "".join(said).encode()
    events, cared = read_with_line_count(log)
    assert events == read_generally(log)
    assert cared < 20


def test_lines_that_never_repeat_their_shape_are_not_slow() -> None:
    """Neither are templates made without end, nor is their number without bounds."""
    line = "{0} WebSocket client connected {{ socketId: 's{1}', userId: 'u{1}' }}\n"
    words = ["".join(random.Random(n).choices(LETTERS, k=9)) for n in range(2 * MAX_ATTEMPTS)]
    same = "".join(line.format(f"[{word}]", n) for n, word in enumerate(words))
    other = "".join(line.format("(" * (n % 500) + ")" * (n // 500), n) for n in range(2 * MAX_LEARNED_SHAPES))
    log = (same + other).encode()
    extractor = LogExtractor("app.log")
    events = [*extractor.feed(log), *extractor.flush(at_end=True)]
    shapes = extractor._fast_reader._learner._shapes
    assert events == read_generally(log)
    assert len(shapes) <= MAX_LEARNED_SHAPES
    assert max(shape.attempts for shape in shapes.values()) == MAX_ATTEMPTS
    assert sum(len(shape.trials) for shape in shapes.values()) <= MAX_LEARNED_SHAPES + MAX_ATTEMPTS


def test_text_of_users_does_not_prevent_learning() -> None:
    sent = "".join(f'chat text="{"!" * n} WebSocket client connected"\n' for n in range(2 * MAX_LEARNED_SHAPES))
    records = "".join(f"[ws] WebSocket client connected {{ socketId: 's{n}', userId: 'u' }}\n" for n in range(40))
    events, cared = read_with_line_count((sent + records).encode())
    assert len(events) == 40
    assert cared < 2 * MAX_LEARNED_SHAPES + 10


def test_a_template_is_trusted_after_two_further_records_agree() -> None:
    learner = LogExtractor("app.log")._fast_reader._learner
    lines = [bytearray(f"WebSocket client connected {{ socketId: 's{n}', userId: 'u' }}\n".encode()) for n in range(4)]
    believed = [learner.find_template(line, 0, len(line), len(line)) is not None for line in lines]
    assert believed == [False, False, False, True]


def said(line: str, *socket_ids: str) -> list[str]:
    """`line` for each socket's id, after eight in which nothing is odd."""
    fair = [f"{LETTERS[n]}{LETTERS[-n]}" * 10 for n in range(8)]
    return [line.format(n, sid) for n, sid in enumerate([*fair, *socket_ids])]


BEFORE = "[{0}] "
MARKER = "WebSocket client connected"
LINES = MARKER + "\n- socketId: {1}\n- userId: u1234"
OBJECT = "WebSocket client connected {{ socketId: '{1}', userId: 'u' }}"
CASES = {
    "no time at first": said("2026-01-15T09:30:6{0}Z " + OBJECT) + said("2026-01-15T09:30:0{0}Z " + OBJECT),
    "the date of one, the fraction of the other": said("2026-01-15T09:30:00Z 09:30:00.000 " + OBJECT)
    + said("2026-01-15T09:30:00Z 09:30:00.250 " + OBJECT),
    "a time at the end": said("WebSocket client connected socketId={1} userId=u1234 09:30:0{0}"),
    "an object that goes on": said(
        "WebSocket client connected {{ socketId: '{1}', userId: 'u',\n  time: '2026-01-15T09:30:00Z' }}" + 45 * "\ntick"
    ),
    "a line that its runtime split": said(
        "2026-01-15T09:30:00Z stdout P [ws] WebSocket client connected socketId={1} userId=u1234\n"
        "2026-01-15T09:30:00Z stdout F 56"
    ),
    "an id that is unclear": said("WebSocket client disconnected socketId={1} reason=left userId=a)b c"),
    "an id told by its length": said('WebSocket client connected" socketId="{1}" userId=u1234', "short"),
    "bare among those with something in front": [*said(OBJECT), *said(BEFORE + OBJECT), *said(OBJECT)],
    "the same of one container": [
        f"2026-01-15T09:30:00Z stdout F {line}" for line in (*said(OBJECT), *said(BEFORE + OBJECT), *said(OBJECT))
    ],
    "lines of another process": [
        f"{first}|bot | {MARKER}\n{second}|bot | - socketId: {sid}\n{first}|bot | - userId: u1234"
        for sid, first, second in zip(said("{1}"), "00001111", "00001011", strict=True)
    ],
    "lines that are another record's": said(
        "2026-01-15T09:30:0{0}Z [ws] " + MARKER + "\n  - socketId: {1}\n  - userId: " + MARKER
    ),
    "the same of one container, in lines": [
        f"2026-01-15T09:30:00Z stdout F {line}"
        for text in (*said(LINES), *said(BEFORE + LINES), *said(LINES))
        for line in text.split("\n")
    ],
    "in a quotation": [*said(OBJECT), 'chat: "look', *said(OBJECT)],
}


@pytest.mark.parametrize("case", CASES)
def test_cases_that_a_template_would_misread_are_read_correctly(case: str) -> None:
    log = "\n".join([*CASES[case], ""]).encode()
    assert read_log(log)[1] == read_generally(log)


@pytest.mark.parametrize(("begin", "end"), [('{"a":', "}"), ("[", "]"), ('[{"b":2,"a":', "}]")])
@pytest.mark.parametrize("depth", [40, 900])
def test_records_of_any_depth_are_read(begin: str, end: str, depth: int) -> None:
    record = '{"msg":"WebSocket client connected","socketId":"JklrX0lA-3eoASGLAA%02d","userId":"u1","x":%s}\n'
    log = "".join(record % (number, begin * depth + "1" + end * depth) for number in range(5))
    events, _ = read_with_line_count(log.encode())
    assert len(events) == 5
