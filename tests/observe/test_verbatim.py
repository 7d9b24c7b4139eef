"""Tests of quotes from a log: the line with an id and the start of its sentence."""

import pytest

from wscheck.model.events import Connected
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.server_log import WINDOW_SIZE, RawLogWindow
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.tailing.read_buffer import ReadBuffer


def recorded(*texts: str) -> RawLogWindow:
    said = RawLogWindow()
    reader = said.wrap_factory(LogExtractor)("server.log")
    for text in texts:
        reader.feed(text.encode())
    return said


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("up\npeer joined s1-A for ada\nnext\n", "peer joined s1-A for ada"),
        ("up\npeer joined\n• conn: s1-A\n• who: ada\n", "peer joined • conn: s1-A"),
        ("up\n\npeer joined {\n  conn: 's1-A',\n}\n", "peer joined { conn: 's1-A',"),
        ('{"a": 1}\n{"msg": "hi", "conn": "s1-A"}\n', '{"msg": "hi", "conn": "s1-A"}'),
        ("peer joined s1-A", "peer joined s1-A"),
        ("\x1b[31mpeer\x1b[0m joined s1-A\n", " [31mpeer [0m joined s1-A"),
        ("  lonely s1-A\n", "lonely s1-A"),
        ("peer joined s1-AB, xs1-A and _s1-A\n", ""),
        ("nobody\n", ""),
    ],
)
def test_a_mention_is_quoted_with_the_start_of_its_sentence(log: str, told: str) -> None:
    assert recorded(log).find_mention(["s1-A"]) == told


def test_a_line_that_came_in_two_pieces_is_whole() -> None:
    assert recorded("peer joi", "ned s1", "-A\n").find_mention(["s1-A"]) == "peer joined s1-A"


def test_a_short_id_is_not_searched_for() -> None:
    assert recorded('{"level": 30, "id": 7}\n').find_mention(["7", "30"]) == ""
    assert recorded("ok\n").find_mention([]) == ""


def test_options_are_proposed_for_known_ids() -> None:
    said = recorded("peer joined conn=x9 room=7\n" * 500, "peer joined conn=s1-A actor=ada\n", "up\n" * 10_000)
    (hint,) = said.proposals(["connected"], Ids({"s1-A"}, {"ada"}))
    assert (hint.text, hint.keys) == ("peer joined", (("sid", "conn"), ("user", "actor")))
    assert said.proposals(["connected"], Ids({"x9"}, {"7"})) == []  # which may be anything
    assert RawLogWindow().proposals(["connected"], Ids({"s1-A"})) == []


def test_a_new_phase_clears_the_window() -> None:
    said = recorded("peer joined s1-A\n")
    said.clear()
    assert said.find_mention(["s1-A"]) == ""


@pytest.mark.parametrize("read", [17, 25, 29, 36, 42])
def test_a_quote_does_not_depend_on_where_reading_stopped(read: int) -> None:
    """The line repeats a token, which is recognised only if it is whole."""
    redactor = Redactor([Secret("mira key 71f0")])
    line = "peer joined s1-A session mira key 71f0 of ada\n"
    stopped = redactor.redact(recorded("up\n", line[:read]).find_mention(["s1-A"]))
    assert stopped == "peer joined s1-A"
    said = recorded(line[:read])
    said.clear()
    said.append(line[read:].encode())
    assert redactor.redact(said.find_mention(["s1-A"])) == "peer joined s1-A session hidden-1 of ada"


def test_the_window_begins_with_a_whole_line() -> None:
    said = recorded(f"{'x' * WINDOW_SIZE} s1-A\n")
    assert said.find_mention(["s1-A"]) == ""


def test_the_window_is_bounded() -> None:
    said = recorded("peer joined s1-A\n", *["x" * (1 << 20) + "\n"] * (WINDOW_SIZE >> 20), "peer joined s2-B\n")
    assert (said.find_mention(["s1-A"]), said.find_mention(["s2-B"])) == ("", "peer joined s2-B")


def test_bytes_that_are_read_in_the_buffer_are_recorded_too() -> None:
    said, buffer = RawLogWindow(), ReadBuffer()
    reader = said.wrap_factory(LogExtractor)("server.log")
    data = b"WebSocket client connected socketId=s1 userId=ada\npeer joined s1-A\n"
    buffer.payload[: len(data)] = data
    assert reader.scan(buffer, len(data)) == 1
    events = reader.read() + reader.flush(at_end=True)
    assert [event.sid for event in events if isinstance(event, Connected)] == ["s1"]
    assert said.find_mention(["s1-A"]) == "peer joined s1-A"
    assert (reader.lines, reader.bytes, reader.offset, reader.pending) == (2, len(data), len(data), False)
    assert (reader.unreadable, sum(reader.levels.values())) == (0, 1)
