"""Tests of markers with placeholders."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.cli import wscheck
from tests.observe.logs.reading import read, read_log
from tests.observe.logs.test_properties import RELAXED
from wscheck.model.errors import UsageError
from wscheck.model.events import Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.vocabulary import LogVocabulary, escape_braces

A, B = "AbCdEfGhIjKlMnOp0001", "AbCdEfGhIjKlMnOp0002"
CAME = "connected=user {user} came on {sid}"
BOX = "connected=[{user}] socket {sid} opened"
KICK = "replaced={user}@{} kicked: old={old} by {new}"
ON = "connected={user} connected"


def by(*markers: str) -> LogVocabulary:
    return LogVocabulary(tuple((kind, text) for kind, _, text in (marker.partition("=") for marker in markers)))


def told(line: str, *markers: str) -> list[tuple[str | None, ...]]:
    """What each event of a log names, None for what it does not."""
    return [_named(event) for event in read(f"{line}\n", wording=by(*markers))]


def _named(event: Event) -> tuple[str | None, ...]:
    if isinstance(event, Replaced):
        return event.user, event.old_sid, event.new_sid
    if isinstance(event, Disconnected):
        return event.user, event.sid, event.reason
    return (event.user, event.sid) if isinstance(event, Connected) else ("unreadable",)


@pytest.mark.parametrize(
    ("line", "marker", "ids"),
    [
        (f"user ann came on {A}", CAME, ("ann", A)),
        (f"09:30:00 INFO user ann came on {A}.", CAME, ("ann", A)),
        (f"user   ann    came on {A} (2 tabs)", CAME, ("ann", A)),
        (f"ann\tcame on\t{A}", "connected={user}\tcame on\t{sid}", ("ann", A)),
        (f"(user ann came on {A})", CAME, ("ann", A)),
        (f"user ann, came on {A}, transport=ws", CAME, ("ann", A)),
        (f"user Ana da Silva came on {A}", CAME, ("Ana da Silva", A)),
        (f"user \"ana silva\" came on '{A}'", CAME, ("ana silva", A)),
        ("user auth0|5f7/x came on abc==", CAME, ("auth0|5f7/x", "abc==")),
        ("user tenant:42 came on 李雷", CAME, ("tenant:42", "李雷")),
        ("user undefined came on s1", CAME, (None, "s1")),
        (f"user ann came on {A} userId=bob", CAME, ("ann", A)),
        (f"user ann came on {{ socketId: '{A}' }}", "connected=user {user} came on", ("ann", A)),
        (f"user ann came on {{\n  socketId: '{A}'\n}}", "connected=user {user} came on", ("ann", A)),
        (f"{{\n  message: 'user ann came on {A}',\n  level: 'info'\n}}", CAME, ("ann", A)),
        (f"[bob] socket {A} opened (2 tabs)", BOX, ("bob", A)),
        (f"[09:30:00][INFO][b,o]b] socket {A} opened", BOX, ("b,o]b", A)),
        (f"09:30:00 WARN ann@host kicked: old={A} by {B}", KICK, ("ann", A, B)),
        ("[ws] bob connected", ON, ("bob", None)),
        ('"Ana María" connected', ON, ("Ana María", None)),
        ("Jan 15 09:30:03 host node[7]: bob connected", ON, ("bob", None)),
        (f"{A} left: transport close", "disconnected={sid} left: {reason}", (None, A, "transport close")),
        (f"{A} left ({B} took over) ann", "disconnected={sid} left ({reason}) {user}", ("ann", A, f"{B} took over")),
        (f"[{A}] closed by Ana Silva", "disconnected=[{sid}] closed by {user}", ("Ana Silva", A, None)),
        (f"{{{A}}} opened", "connected={{{sid}}} opened", (None, A)),
        (f"поль ann вошёл {A}", "connected=поль {user} вошёл {sid}", ("ann", A)),
    ],
)
def test_ids_are_read_at_their_placeholders(line: str, marker: str, ids: tuple[str | None, ...]) -> None:
    assert told(line, marker) == [ids]


@pytest.mark.parametrize(
    "wrapped",
    [
        json.dumps({"log": "{}\n", "stream": "stdout", "time": "2026-01-15T09:30:00Z"}),
        json.dumps({"level": 30, "time": 1768469400000, "pid": 7, "hostname": "h", "msg": "{}"}),
        "2026-01-15T09:30:00.1Z stdout F {}",
        "Jan 15 09:30:03 host node[7]: {}",
        "0|bot  | {}",
        "[pod/bot-7d9f8c6b5-x2x4z/bot] {}",
        'level=info ts=2026-01-15T09:30:00Z msg="{}"',
    ],
)
def test_a_sentence_is_read_in_any_envelope(wrapped: str) -> None:
    for sentence in (f"user ann came on {A}", f'user \\"Zoë B\\" came on {A}'):
        plain = sentence if "\\" in wrapped or '"{}' in wrapped else sentence.replace('\\"', '"')
        line = wrapped.replace("{}", plain)
        assert [ids[1] for ids in told(line, CAME)] == [A], line
    escaped = json.dumps({"msg": f"поль Zoë вошёл {A}"})
    assert told(escaped, "connected=поль {user} вошёл {sid}") == [("Zoë", A)]


@pytest.mark.parametrize(
    "line",
    [
        f'chat text="user ann came on {A}"',
        f"chat from bob: 'user ann came on {A}'",
        json.dumps({"msg": "chat", "text": f"user ann came on {A}"}),
        f"Message {{ body: 'user ann came on {A}' }}",
        f"and then he said user ann came on {A}",
        f"superuser ann came on {A}",
        f"user ann came on {A} over websocket",
        f'user "ann came on {A}"',
        "user ann came on",
    ],
)
def test_other_sentences_do_not_match(line: str) -> None:
    assert told(line, CAME) == []


@pytest.mark.parametrize(
    ("line", "marker", "left"),
    [
        (f"user ana silva came on {A}", CAME, [(None, A)]),
        (f"user [ann] came on {A}", CAME, [(None, A)]),
        (f"user a=b came on {A}", CAME, [(None, A)]),
        (f"user came on came on {A}", CAME, [(None, A)]),
        (f"ann@x@host kicked: old={A} by {B}", KICK, [(None, A, B)]),
        (f"[x][bob] socket {A} opened", BOX, []),
        (f"[x[bob] socket {A} opened", BOX, []),
        ("user-ann-marie-s1 opened", "connected=user-{user}-{sid} opened", []),
        ("Ana Silva connected", ON, []),
        ("09:30:00 connected", ON, []),
        ("INFO connected", ON, []),
    ],
)
def test_an_ambiguous_id_is_left_out_and_reported(line: str, marker: str, left: list[tuple[str | None, ...]]) -> None:
    assert told(line, marker) == [("unreadable",), *left]


def test_the_marker_with_the_longest_text_reads_a_line() -> None:
    markers = (ON, "connected=user {user} connected", "connected=user {user} connected from {}", "connected=user")
    for line in ("user ann connected", "user ann connected from 10.0.0.1"):
        assert told(line, *markers) == [("ann", None)]
    assert told("WebSocket client connected userId=u socketId=s", *markers) == [("u", "s")]
    assert told("user ann connected again today", *markers) == []
    kick = "replaced=Replacing existing socket for user {user}: {old} then {new}"
    assert told(f"Replacing existing socket for user ann: {A} then {B}", kick) == [("ann", A, B)]


def test_literal_braces_are_doubled() -> None:
    assert told("opened {x} userId=u socketId=s", "connected=opened {{x}}") == [("u", "s")]


ID = st.text("abAZ09_-.@:|/+é李", min_size=1, max_size=12).filter(lambda said: said[-1] not in ".:|" and said != "-")
TEXT = st.text("abcdefgh [](){}<>#@:;,-=", max_size=9)


@RELAXED
@given(TEXT, TEXT, st.lists(st.tuples(ID, ID), min_size=1, max_size=4), st.sampled_from(("", "09:30:00 INFO ")))
def test_generated_ids_are_read_back_or_left_out(
    first: str, last: str, ids: list[tuple[str, str]], prefix: str
) -> None:
    marker = f"{escape_braces(first)}{{user}} opened {{sid}}{escape_braces(last)}".strip()
    assume('"' not in marker)
    log = "".join(f"{prefix}{first.lstrip()}{user} opened {sid}{last.rstrip()}\n" for user, sid in ids)
    extractor, events = read_log(log, wording=by(f"connected={marker}"))
    for event in events:
        if isinstance(event, Connected):
            user, sid = ids[(event.line or 1) - 1]
            assert event.user in (user, None)
            assert event.sid in (sid, None)
    assert len([event for event in events if isinstance(event, Unreadable)]) == extractor.unreadable
    whole, pieces = events, read_log(log, 1, 7, 3, wording=by(f"connected={marker}"))[1]
    assert whole == pieces


@RELAXED
@given(
    st.sampled_from(("user", "[", "<", "client id=", "socket of ")),
    st.sampled_from((" came on ", "> on (", "] has ", ", by ")),
    st.lists(st.tuples(st.text("abAZ09_@é李", min_size=2, max_size=9), st.uuids().map(str)), min_size=1, max_size=4),
)
def test_ids_of_plain_characters_are_always_read(first: str, middle: str, ids: list[tuple[str, str]]) -> None:
    begin = first if not first[-1].isalpha() else f"{first} "
    log = "".join(f"09:30:00 {begin}{user}{middle}{sid}\n" for user, sid in ids)
    assert told(log, f"connected={begin}{{user}}{middle}{{sid}}") == ids


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("connected=user {usr} came", "`{usr}` is not a placeholder of connected"),
        ("connected=user {old} came", "`{old}` is not a placeholder of connected"),
        ("restarted=node {user} is up", "`{user}` is not a placeholder of restarted"),
        ("connected=user {user} saw {user} come", "`{user}` occurs twice"),
        ("connected=user {user}{sid} came", "`{user}{sid}`: there is no text between the two to separate them"),
        ("disconnected={reason} {sid} left", "`{reason} {sid}`: there is no text between the two to separate them"),
        (
            "connected={user} on {sid}",
            "it has too little fixed text to search for: at least four letters in a row are needed",
        ),
        ("connected={user}", "it has too little fixed text to search for: at least four letters in a row are needed"),
        ("connected=opened {", "`{` has no matching brace"),
        ("connected=opened } {user}", "`}` has no matching brace"),
    ],
)
def test_an_invalid_marker_is_refused_with_a_next_step(marker: str, problem: str) -> None:
    kind, _, text = marker.partition("=")
    for options, table in (((marker,), {}), ((), {"markers": {kind: [text]}})):
        with pytest.raises(UsageError) as refused:
            reader_factory(options, (), table)
        assert f": {problem}. " in str(refused.value)
        assert f"The placeholders of {kind} are " in refused.value.next_step


def test_the_command_line_and_the_file_read_alike(tmp_path: Path) -> None:
    said = (("09:30:00", "ann", A), ("09:30:05", "ann", B), ("09:31:00", "bob", A[::-1]))
    (tmp_path / "app.log").write_text("".join(f"{at} user {user} came on {sid}\n" for at, user, sid in said))
    by_flag = wscheck("tail-logs", "--no-follow", "--format=json", "--marker", CAME, "app.log", cwd=tmp_path)
    (tmp_path / "wscheck.toml").write_text('[logs.markers]\nconnected = "user {user} came on {sid}"\n')
    by_file = wscheck("tail-logs", "--no-follow", "--format=json", "app.log", cwd=tmp_path)
    users = json.loads(by_flag.out)["users"]
    assert by_flag.code == by_file.code == 1
    assert users == json.loads(by_file.out)["users"] and users["ann"]["open"] == [A, B]


@pytest.mark.parametrize("line", ["[" * 900 + " opened", "WebSocket client connected " * 4000, "user a" * 8000])
def test_many_repetitions_of_a_marker_are_not_slow(line: str) -> None:
    began = time.process_time()
    assert told(line, CAME, BOX) == []
    assert time.process_time() - began < 2
