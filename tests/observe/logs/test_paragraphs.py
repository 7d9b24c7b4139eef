"""Tests of records that are paragraphs: lines without a prefix, one of which is the time, and an empty line."""

import pytest

from tests.observe.logs.test_wording import read, told
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.formats.multiline_records import Paragraphs
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.logs.wording.scout import WordingScout

SEEN = [(user, f"Zq{number}f8Xk-2{user}", number) for number, user in enumerate(("ann", "bob", "cyd", "ann", "bob"))]


def paragraph(form: str, user: str, sid: str, second: int, *, ended: bool) -> str:
    if form == "time last":
        event = "OnDisconnected" if ended else "OnConnected"
        state = "Disconnected" if ended else "Connected"
        time = f"3/17/2026, 9:1{4 + ended}:{second:02} AM"
        return f"{event} called\n{state} UserId: {user}\n{state} ConnectionId: {sid}\nTimestamp:{time}\n"
    if form == "time second":
        time = f"2026-04-02 10:1{1 + ended}:{second:02}.250"
        return f"*** socket {'closed' if ended else 'opened'} ***\nat   = {time}\nuser = {user}\nconn = {sid}\n"
    time = f"2026-04-02T10:1{1 + ended}:{second:02}.250Z"
    return f"WebSocket client {'dis' if ended else ''}connected\nsocketId: {sid}\nuserId: {user}\ntime: {time}\n"


FORMS = ("time last", "time second", "known words")


def log_of(form: str) -> str:
    records = [paragraph(form, *each, ended=ended) for ended in (False, True) for each in SEEN]
    return "".join(f"{record}\n" for record in records)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_each_paragraph_is_a_record_with_its_time(form: str, ends: str) -> None:
    events = read(log_of(form).replace("\n", ends))
    assert [(kind, sid) for kind, _, sid in told(events)] == [(kind, sid) for kind in "+-" for _, sid, _ in SEEN]
    assert [event.user for event in events[: len(SEEN)]] == [user for user, _, _ in SEEN]
    assert [event.line for event in events] == [1 + 5 * number for number in range(2 * len(SEEN))]
    assert [(event.at or 0.0) % 60 // 1 for event in events] == [0, 1, 2, 3, 4] * 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 9, 400])
def test_the_offset_and_the_number_of_lines_are_those_of_the_log(form: str, size: int) -> None:
    log = log_of(form).replace("at   =", "at\t\t=").encode()
    extractor = LogExtractor("app.log", scout=WordingScout(LogVocabulary(), guesses=None))
    first = len(log) // 3
    for begin, end in [(0, first), *((at, at + size) for at in range(first, len(log), size))]:
        extractor.feed(log[begin:end])
        assert log[: extractor.offset].rpartition(b"\n\n")[2] == b"", extractor.offset
    extractor.flush(at_end=True)
    assert (extractor.offset, extractor.lines) == (len(log), log.count(b"\n"))


def test_a_paragraph_is_read_when_no_line_follows_for_now() -> None:
    extractor = LogExtractor("app.log", scout=WordingScout(LogVocabulary(), guesses=None))
    form = "known words"
    records = [f"\n{paragraph(form, *each, ended=False)}".encode() for each in SEEN]
    found = extractor.feed(b"".join(records[:3]))
    assert [event.line for event in found] == [2, 7]  # the third may continue
    found += extractor.flush()
    for record in records[3:]:
        events = extractor.feed(record)
        assert extractor.pending
        events += extractor.flush()
        found += events
    assert [event.line for event in found] == [2, 7, 12, 17, 22]
    assert all(event.at is not None for event in found)


OTHER = {
    "prefixed": "2026-04-02T10:11:12Z a\n\n2026-04-02T10:11:13Z b\n",
    "one line each": "a at 10:11:12\n\nb at 10:11:13\n\nc at 10:11:14\n",
    "no time": "a\nb\n\nc\nd\n\ne\nf\n",
    "several times": "a\n10:11:12\n10:11:13\n\nb\n10:11:14\n10:11:15\n\n",
    "JSON": '{\n"a": 1,\n"time": "2026-04-02T10:11:12Z"\n}\n\n' * 4,
    "long": "".join(f"line {n}\n" for n in range(40)) + "10:11:12\n\n",
    "one paragraph": "a\n10:11:12\n\nb",
    "tabs": "a\tb\nc\td\n",
}


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("size", [1, 400])
def test_other_text_passes_unchanged(name: str, size: int) -> None:
    log, paragraphs = OTHER[name].encode(), Paragraphs()
    pieces = [bytes(paragraphs.convert(log[at : at + size])) for at in range(0, len(log), size)]
    assert b"".join(pieces) + paragraphs.flush(at_end=True) == log
    assert not paragraphs.is_active


def test_lines_with_a_prefix_are_separate_records_among_paragraphs() -> None:
    lines = "".join(f"2026-04-02T10:2{n}:00Z WebSocket client connected socketId=s{n} userId=u{n}\n" for n in range(3))
    events = read(log_of("known words") + lines)
    assert [event.line for event in events[2 * len(SEEN) :]] == [51, 52, 53]
    assert told(events[2 * len(SEEN) :]) == [("+", f"u{n}", f"s{n}") for n in range(3)]


def test_the_first_line_with_a_prefix_is_not_held_back() -> None:
    paragraphs = Paragraphs()
    line = b"2026-04-02T10:11:12Z WebSocket client connected\n"
    assert (bytes(paragraphs.convert(line)), paragraphs.is_active) == (line, False)
