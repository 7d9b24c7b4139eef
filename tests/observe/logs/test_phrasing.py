"""Tests of the markers with placeholders that are suggested."""

import json
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.observe.logs.conversations import LETTERS
from tests.observe.logs.reading import read, read_log, said
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.observe.logs.vocabulary import LogVocabulary

KINDS = ("connected", "replaced", "disconnected")

SENTENCES = {
    "user and socket": (
        "user {user} connected on {sid}",
        "kicking {user}: {old} replaced by {new}",
        "user {user} disconnected from {sid}",
    ),
    "in brackets": (
        "[{user}] socket {sid} opened ({n} tabs)",
        "[{user}] socket {old} superseded by {new}",
        "[{user}] socket {sid} closed (transport close)",
    ),
    "in front": (
        "{user} joined with socket {sid}",
        "{user} kicked, old socket {old}, new socket {new}",
        "{user} left, socket {sid} gone",
    ),
    "behind": (
        "socket {sid} opened for {user}",
        "evicting socket {old} of {user} in favour of {new}",
        "socket {sid} closed",
    ),
    "of a host": (
        "{user}@web-{n} established session {sid}",
        "{user}@web-{n} kicked: old={old} by {new}",
        "{user}@web-{n} lost session {sid}",
    ),
    "in quotes": (
        "player '{user}' is online via {sid}",
        "player '{user}' replaced {old} -> {new}",
        "player '{user}' went offline, {sid}",
    ),
    "closing the old one": (
        "connected: user {user}, socket {sid}",
        "closing old connection: user {user}, socket {old}, new {new}",
        "disconnected: user {user}, socket {sid}",
    ),
    "taken over": (
        "client {sid} connected as {user} from 10.0.0.{n}",
        "client {old} taken over by {new} ({user})",
        "client {sid} disconnected: ping timeout",
    ),
}
NOISE = ("GET /users 200 in {n} ms", "Redis client connected", "room lobby joined by {n}", "Job {n} closed")
ENVELOPES: dict[str, Callable[[str, str], str]] = {
    "a time and a level": lambda at, text: f"{at} INFO {text}",
    "docker": lambda at, text: json.dumps({"log": f"{text}\n", "stream": "stdout", "time": at}),
    "pino": lambda at, text: json.dumps({"level": 30, "time": at, "pid": 7, "msg": text}),
    "syslog": lambda at, text: f"Jan 15 {at[11:19]} web1 node[71]: {text}",
    "a logger's name": lambda at, text: f"{at} stdout F [ws] {text}",
}
SOCKETS: dict[str, Callable[[random.Random], str]] = {
    "Socket.IO's ids": lambda draw: "".join(draw.choices(LETTERS, k=16)) + "AAAB",
    "other ids": lambda draw: f"{draw.getrandbits(32):08x}-{draw.getrandbits(16):04x}",
}


def told_in(
    sentences: tuple[str, str, str], socket: Callable[[random.Random], str]
) -> list[tuple[str, tuple[str, ...]]]:
    """Lines of a server and what is true of each, () of noise. It begins amid the connections."""
    draw, open_by_user, lines = random.Random(7), dict[str, str](), list[tuple[str, tuple[str, ...]]]()
    connected, replaced, disconnected = sentences
    for _ in range(40):
        user, sid, n = draw.choice(("ann", "bob", "u_17", "carol")), socket(draw), draw.randrange(1, 9)
        old = open_by_user.get(user, "")
        lines.append((connected.format(user=user, sid=sid, n=n), ("connect", sid, user)))
        lines.append((draw.choice(NOISE).format(n=n), ()))
        if old:
            lines.append((replaced.format(user=user, old=old, new=sid, n=n), ("replace", user, old, sid)))
            lines.append((disconnected.format(user=user, sid=old, n=n), ("disconnect", old)))
        open_by_user[user] = sid
    return lines[11:]


def proposals(log: str) -> LogVocabulary:
    wording = LogVocabulary()
    for proposed in read_log(log)[0].suggestions(KINDS):
        wording = proposed.add_to(wording)
    return wording


# Each sentence with each kind of id, in different envelopes: all of them would take long and tell no more.
CASES = [
    (sentences, list(ENVELOPES)[(2 * at + other) % len(ENVELOPES)], sids)
    for at, sentences in enumerate(SENTENCES)
    for other, sids in enumerate(SOCKETS)
]


@pytest.mark.parametrize(("sentences", "envelope", "sids"), CASES)
def test_suggested_markers_read_every_record_and_nothing_else(sentences: str, envelope: str, sids: str) -> None:
    lines = told_in(SENTENCES[sentences], SOCKETS[sids])
    log = "".join(
        ENVELOPES[envelope](f"2026-01-15T09:{at // 60:02}:{at % 60:02}.000Z", text) + "\n"
        for at, (text, _) in enumerate(lines)
    )
    events = read(log, wording=proposals(log))
    read_as = {event.line: said(event)[:4] for event in events}
    for number, (text, true) in enumerate(lines, start=1):
        assert read_as.get(number, ())[: len(true)] == true, text
    assert len(read_as) == sum(true != () for _, true in lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("order {id} opened by user {user}", "order {id} closed by user {user}"),
        ("document {sid} opened by user {user}", "document {sid} closed by user {user}"),
        ("user {user} closed ticket {n}",),
        ("user {user} joined room lobby", "user {user} left room lobby"),
        ("socket {sid} joined room lobby", "socket {sid} left room lobby"),
        ("door opened by user {user}",),
        ("{user}: anyone online? my socket closed again {n}",),
        ("Job {id} accepted by worker-{n}", "Job {id} dropped by worker-{n}"),
        ("evicted key user:{user} from cache, replaced by user:{user}",),
        ("user {user} replaced avatar {n}.png",),
        ("removed old session file {id} of user {user}",),
        ("user {user} accepted invitation {id}",),
        ("db: user {user} connected to main",),
        ("io connection {id}/{user} accepted", "io connection {id}/{user} dropped"),
        ("peer 10.0.0.{n} connected", "peer 10.0.0.{n} disconnected"),
    ],
)
def test_other_things_that_open_and_close_are_not_suggested(lines: tuple[str, ...]) -> None:
    draw = random.Random(7)
    log = ""
    for _ in range(20):
        ids = {"id": f"{draw.getrandbits(64):016x}", "sid": SOCKETS["Socket.IO's ids"](draw), "n": draw.randrange(9)}
        user = draw.choice(("ann", "bob", "carol"))
        log += "".join(f"09:30:00 INFO {line.format(user=user, **ids)}\n" for line in lines)
    assert read_log(log)[0].suggestions(KINDS) == []


def test_replacements_are_suggested_for_a_log_that_starts_between_connections() -> None:
    sids = [SOCKETS["Socket.IO's ids"](random.Random(seed)) for seed in range(8)]
    log = "".join(
        f"kicking previous session uid=ann from={old} to={new}\nsocket closed conn={old}\n"
        f"socket opened uid=ann conn={sids[(at + 2) % 8]}\n"
        for at, (old, new) in enumerate(pairwise(sids[:7]))
    )
    found = {one.kind: (one.text, one.keys) for one in read_log(log)[0].suggestions(KINDS)}
    assert found["replaced"] == ("kicking previous session", (("user", "uid"), ("old", "from"), ("new", "to")))


@pytest.mark.parametrize(
    "words",
    ["duplicate login, closing old socket", "session taken over", "disconnecting existing client", "socket displaced"],
)
def test_words_for_a_replacement_are_recognised(words: str) -> None:
    extractor, _ = read_log(f"09:30:00 socket opened userId=ann\n09:30:01 {words} userId=ann\n")
    [found] = extractor.suggestions(["replaced"])
    assert found.kind == "replaced" and words.startswith(found.text)


def test_known_ids_restrict_the_suggestions() -> None:
    lines = [
        ("user ann connected on {}", "s1"),
        ("kicking ann: {}", "s1 replaced by s2"),
        ("user ann connected on {}", "s2"),
    ]
    others = "".join(f"user u{n} connected on x{n}\nuser u{n} disconnected from x{n}\n" for n in range(20))
    log = others + "".join(f"{text.format(sid)}\n" for text, sid in lines) + others
    extractor, _ = read_log(log)
    found = extractor.suggestions(KINDS, ConnectionIds(("s1", "s2"), ("ann",)))
    assert [one.text for one in found] == ["user {user} connected on {sid}", "kicking {user}: {old} replaced by {new}"]
