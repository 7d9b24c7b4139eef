"""Tests of ids: an id is read unchanged, or left out and reported."""

import json
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.observe.logs.conversations import CONNECTED, DISCONNECTED, REPLACED, Entry
from tests.observe.logs.formats import FORMATS, PLAIN_FORMATS
from tests.observe.logs.reading import read_log, said
from wscheck.model.events import Connected, Unreadable
from wscheck.observe.logs.event_builder import person_or_none
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS
from wscheck.observe.logs.formats.key_values import NOTHING, find_key_values
from wscheck.observe.logs.vocabulary import LogVocabulary, normalize_key
from wscheck.observe.logs.wording.scout import WordingScout

ALL = FORMATS | PLAIN_FORMATS
SID, NEW = "JklrX0lA-3eoASGLAAAA", "bbbbX0lA-3eoASGLAAAC"
PRINTABLE = "".join(map(chr, range(33, 127))) + "é李·•–→…"
AT = 1_768_469_400_000
KEYS = {*LogVocabulary().key_roles(), *map(normalize_key, MESSAGE_KEYS)}

IDS = st.text(PRINTABLE, min_size=1, max_size=12)
RELAXED = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def records(name: str) -> list[Entry]:
    """Records in which `name` is a user's or a socket's id."""
    fields = (
        (CONNECTED, {"socketId": SID, "userId": name}),
        (REPLACED, {"userId": name, "oldSocketId": SID, "newSocketId": NEW}),
        (DISCONNECTED, {"socketId": name, "reason": "transport close"}),
    )
    return [Entry(message, said, AT, {"type": "x", **said}) for message, said in fields]


TRUE: dict[str, Callable[[str], tuple[str, ...]]] = {
    CONNECTED: lambda name: ("connect", SID, name),
    REPLACED: lambda name: ("replace", name, SID, NEW),
    DISCONNECTED: lambda name: ("disconnect", name, "transport close"),
}


@pytest.mark.parametrize("form", ALL)
@RELAXED
@given(name=IDS)
def test_an_id_is_read_unchanged_or_left_out(form: str, name: str) -> None:
    # What says "none" or "guest", is quoted itself, or ends as a sentence does has another meaning (docs/logs.md).
    assume(
        name.lower() not in NOTHING
        and person_or_none(name) is not None
        and name[-1] not in ".,;:|"
        and any(map(str.isalnum, name))
    )
    assume(not (name[0] == name[-1] and name[0] in "\"'`"))
    # And one that holds a key of a record, with a value, is a record.
    assume(all(normalize_key(pair.key) not in KEYS for pair in find_key_values(name)))
    for entry in records(name):
        extractor, events = read_log(ALL[form](entry))
        seen = [said(event) for event in events if not isinstance(event, Unreadable)]
        assert len(seen) == 1, (form, name)
        if form in FORMATS and not form.startswith("logfmt"):
            assert seen == [TRUE[entry.message](name)]
        for got, true in zip(seen[0], TRUE[entry.message](name), strict=True):
            assert got in {true, None}, (form, name)
        if None in seen[0]:
            assert extractor.levels["full"] == 0


UNQUOTED = [
    ("WebSocket client connected userId=a;b,c socketId=s", "s", "a;b,c"),
    ("WebSocket client connected userId=a[1]{b} socketId=s", "s", "a[1]{b}"),
    ("WebSocket client connected - userId: a;b, socketId: s", "s", "a;b"),
    ("WebSocket client connected userId=uid=jdoe,ou=people socketId=s", "s", "uid=jdoe,ou=people"),
    ("WebSocket client connected (userId=42, socketId=s)", "s", "42"),
    ("WebSocket client connected [userId=42,socketId=s].", "s", "42"),
    ("WebSocket client connected {userId=42, socketId=s}", "s", "42"),
    ("WebSocket client connected userId=Ana María socketId=s", "s", "Ana María"),
    ("WebSocket client connected socketId=s userId=Ana María", "s", "Ana María"),
    ("WebSocket client connected socketId=s userId=Ana da Silva", "s", "Ana da Silva"),
    ("WebSocket client connected socketId=s userId=李雷 韩梅", "s", "李雷 韩梅"),
    ("WebSocket client connected|socketId=s|userId=42", "s", "42"),
    ("WebSocket client connected userId=a|b=c socketId=s", "s", "a|b=c"),
    ("WebSocket client connected userId:ada socketId:s", "s", "ada"),
    ("WebSocket client connected sid:s user:Ana María transport:ws", "s", "Ana María"),
    ("WebSocket client connected url:ws://x:80/ userId:auth0:7 socketId:s", "s", "auth0:7"),
    ("{ WebSocket client connected userId:a:b socketId:s }", "s", "a:b"),
    ("WebSocket client connected userId=a. socketId=s", "s", "a."),
    ("(WebSocket client connected socketId=s userId=42)", "s", "42"),
    ("[WebSocket client connected socketId=s userId=a[1]].", "s", "a[1]"),
    ("{ WebSocket client connected socketId=s, userId=42 }", "s", "42"),
    ("WebSocket client connected for user user_2NNEqL2nrIRdJ19", None, "user_2NNEqL2nrIRdJ19"),
    ("WebSocket client connected userId=user_2NNEqL2nrIRdJ19", None, "user_2NNEqL2nrIRdJ19"),
    ("WebSocket client connected by user 42.", None, "42"),
    ("WebSocket client connected\n• socketId: s\n• userId: 'a'b", "s", "'a'b"),
]


@pytest.mark.parametrize(("line", "sid", "user"), UNQUOTED)
def test_punctuation_in_an_unquoted_id_belongs_to_it(line: str, sid: str | None, user: str) -> None:
    extractor, events = read_log(line + "\n")
    assert [said(event) for event in events] == [("connect", sid, user)]
    assert extractor.unreadable == 0


UNCLEAR = [
    "WebSocket client connected userId=a}b",
    "WebSocket client connected userId=Ana OK",
    "WebSocket client connected socketId: abc over polling",
    "WebSocket client connected userId=[x",
    "WebSocket client connected userId: [x]",
    "WebSocket client connected userId='x",
    "[app WebSocket client connected userId=42]",
    "WebSocket client connected (userId=a))",
    "WebSocket client connected (userId=a(b)",
    "WebSocket client connected userId='a'b",
    "WebSocket client connected userId=42 over polling",
    "WebSocket client connected for user a;b",
    "Replacing existing socket for user auth:42",
]


@pytest.mark.parametrize("line", UNCLEAR)
def test_an_id_with_an_ambiguous_end_is_left_out_and_reported(line: str) -> None:
    extractor, events = read_log(line + "\n")
    assert [type(event) for event in events[:1]] == [Unreadable]
    assert "where an id in this line starts or ends" in str(events[0])
    assert events[1].user is None
    assert (extractor.unreadable, extractor.levels) == (1, {"count": 1})


INSPECTED = [
    ("{ socketId: 's', user: { id: 7, name: 'x', device: { id: 9 } } }", "7"),
    ('{"socketId":"s","user":{"id":"7"}}', "7"),
    ("{ user: { id: 7 }, socketId: 's', userId: 8 }", "8"),
    ("{ socketId: 's', req: { userId: 'nobody', user: { id: 9 } } }", None),
    ("{ socketId: 's', user: [Object] }", None),
    ("{ socketId: 's', userId: [] }", None),
    ("userId=[object Object] socketId=s", None),
]


@pytest.mark.parametrize(("carried", "user"), INSPECTED)
def test_an_object_on_the_markers_line_is_read_like_json(carried: str, user: str | None) -> None:
    extractor, events = read_log(f"WebSocket client connected {carried}\n")
    assert [said(event) for event in events] == [("connect", "s", user)]
    assert extractor.unreadable == 0


@pytest.mark.parametrize("user", ["user", "userId", "auth.user", "/user"])
def test_a_user_with_the_name_of_a_key_is_not_read_as_a_key(user: str) -> None:
    extractor, events = read_log(f"Replacing existing socket for user ID: {user}: {SID} -> {NEW}\n")
    assert [type(event) for event in events[:1]] == [Unreadable]
    assert said(events[1]) == ("replace", None, None, None)
    assert extractor.unreadable == 1


def test_a_key_after_the_sentence_is_not_the_user() -> None:
    _, [event] = read_log("Replacing existing socket for user: oldSocketId=a newSocketId=b\n")
    assert said(event) == ("replace", None, "a", "b")


@pytest.mark.parametrize("filling", [" ", "userId=a ", "a:b ", "a.", "a-", " |", "(", "a=[", "|a=", "A b "])
def test_time_is_linear_in_the_length_of_a_line(filling: str) -> None:
    took = []
    for size in (1 << 14, 1 << 17):
        line = f"WebSocket client connected userId=a{filling * (size // len(filling))}b\n"
        took.append(min(_cpu_seconds(line) for _ in range(3)))
    assert all(later < 30 * max(earlier, 0.01) for earlier, later in pairwise(took)), took


@pytest.mark.parametrize("filling", ["x", "4f", "a.b ", '\\"', "<p>", " ", "│ ", "a=1 ", "Aa", "'", "eyJ"])
@pytest.mark.parametrize("key_order", [("pad", "msg"), ("msg", "pad")])
def test_a_long_value_in_a_record_is_read_in_linear_time(filling: str, key_order: tuple[str, ...]) -> None:
    record = {"msg": "WebSocket client connected", "pad": filling * (100_000 // len(filling)), "userId": "u"}
    line = json.dumps({key: record[key] for key in (*key_order, "userId")})
    begin = time.process_time()
    scouted = LogExtractor("", scout=WordingScout(LogVocabulary(), guesses=None))
    events = [*scouted.feed(f"{line}\n".encode()), *scouted.flush(at_end=True)]
    assert time.process_time() - begin < 8, "with a search that is quadratic it takes minutes"
    assert [event.user for event in events if isinstance(event, Connected)] == ["u"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_every_line_end_is_read_wherever_the_bytes_are_divided(encoding: str, end: str, size: int) -> None:
    lines = [f"WebSocket client connected userId=u{n} socketId=s{n}aaaaaaaa" for n in range(3)]
    data = "".join(line + end for line in lines).encode(encoding)
    log = LogExtractor("")
    events = [each for at in range(0, len(data), size) for each in log.feed(data[at : at + size])]
    events += log.flush(at_end=True)
    assert [event.user for event in events if isinstance(event, Connected)] == ["u0", "u1", "u2"]


def _cpu_seconds(line: str) -> float:
    begin = time.process_time()
    read_log(line)
    return time.process_time() - begin


def test_a_word_with_many_open_brackets_is_searched_for_its_end_once() -> None:
    """Each key would otherwise be stored with the rest of the word and with all objects around it."""
    found = list(find_key_values('[{"a":' * 3_000))
    assert len(found) == 2_999
    assert {pair.end for pair in found} == {18_000}
    assert max(len(pair.value) for pair in found) < 2_000
    assert max(len(pair.parents) for pair in found) < 100
