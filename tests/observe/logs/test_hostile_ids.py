"""Test that an id with a meaning for an output is read completely, so that nobody takes another user's name."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.observe.logs.test_wording import read
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, Disconnected, Event, Unreadable
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.sources import FollowedLog
from wscheck.run.tail.watch import LogWatch

IDS = (
    *("::error::pwned", "::x", ":a", "@ada", "-x", "--", "#1", "$a", "!a", "<a>", "*a*", "~a", "&a", "|a", "/a", "::1"),
    *("=1+1", "%61", "+49", "..a", "\u202ea", "##[error]"),
)
QUOTED_IDS = (*IDS, "[/]", "[admin]bob", "(a)", "{a}", "a,", "a;", "a: b")

FORMS: dict[str, tuple[Callable[[str, str], str], tuple[str, ...]]] = {
    "json": (
        lambda user, sid: json.dumps({"msg": "WebSocket client connected", "userId": user, "socketId": sid}),
        QUOTED_IDS,
    ),
    "quoted": (lambda user, sid: f'WebSocket client connected userId="{user}" socketId="{sid}"', QUOTED_IDS),
    "inspect": (lambda user, sid: f"WebSocket client connected {{ userId: '{user}', socketId: '{sid}' }}", QUOTED_IDS),
    "bullets": (lambda user, sid: f"WebSocket client connected\n• socketId: {sid}\n• userId: {user}", QUOTED_IDS),
    "equals": (lambda user, sid: f"WebSocket client connected userId={user} socketId={sid}", IDS),
    "colons": (lambda user, sid: f"WebSocket client connected userId: {user}, socketId: {sid}", IDS),
    "timed": (lambda user, sid: f"2026-11-23T12:00:01Z WebSocket client connected userId={user} socketId={sid}", IDS),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_id_is_read_completely(tmp_path: Path, form: str) -> None:
    line, ids = FORMS[form]
    path = tmp_path / "app.log"
    path.write_text("".join(f"{line(user, f'sock{n:02}aQ')}\n" for n, user in enumerate(ids)), encoding="utf-8")
    log = FollowedLog(path, reader_factory((), (), {}, guess=None))
    log.begin()
    watch = LogWatch([log], RuleOptions(), complete=True)
    watch.poll(final=True)
    assert sorted(watch.judge.ledger.users()) == sorted(ids)
    assert {user: list(watch.connections_for(user)) for user in ids} == {
        user: [f"sock{n:02}aQ"] for n, user in enumerate(ids)
    }


LEARNED = (
    "client {user} {word} with conn {sid}",
    "client {word} user={user} conn={sid}",
    "client {word} conn:{sid} user:{user}",
    "client {word}: user {user}, conn {sid}",
)


def learned(form: str, *users: str) -> list[Event]:
    """Return the events of a log in words of its own, in which each user connects and disconnects."""
    lines = [
        f"2026-04-02T10:{minute:02}:{2 * n:02}.0Z INFO {form.format(word=word, user=user, sid=f'c9{n}f{n}x')}\n"
        for minute, word in enumerate(("connected", "disconnected"))
        for n, user in enumerate(users)
    ]
    return read("".join(lines))


@pytest.mark.parametrize("form", LEARNED)
@pytest.mark.parametrize("odd", ["[/]", "[admin]bob", "a;b", "(a)", "b{c}", "a,b", "a=b"])
def test_an_id_with_signs_is_not_cut_in_words_that_were_learned(form: str, odd: str) -> None:
    events = learned(form, "ann", "cyd", "dan", odd, "eve")
    assert any(isinstance(event, Unreadable) for event in events)
    connections = [event for event in events if isinstance(event, Connected | Disconnected)]
    of_others = {event.user for event in connections if event.sid != "c93f3x"}
    assert of_others - {None} == {"ann", "cyd", "dan", "eve"}
    assert {event.user for event in connections if event.sid == "c93f3x"} == {None}


def test_ids_that_all_have_signs_are_read_as_before() -> None:
    events = learned("client {user} {word} with conn {sid}", *(f"<{name}>" for name in ("ann", "bob", "cyd", "dan")))
    assert {event.user for event in events} == {"ann", "bob", "cyd", "dan"}


@pytest.mark.parametrize("spans", ["x{" + "a=aa" * 60 + "{}: x", "_" * 60_000 + "}: x", "x{" + "." * 60_000 + "}: x"])
def test_no_fields_of_spans_make_reading_slow(spans: str) -> None:
    began = time.process_time()
    extractor = LogExtractor("app.log")
    extractor.feed(f"2026-01-15T09:30:00.000Z {spans} WebSocket client connected {{ socketId: 's1' }}\n".encode())
    extractor.flush(at_end=True)
    assert time.process_time() - began < 5
