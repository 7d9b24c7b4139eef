"""Tests of the options that are proposed for a log in other words."""

import json
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.observe.logs.conversations import LETTERS
from tests.observe.logs.reading import read, said
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.logs.extractor import LogExtractor, read_events
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.proposals import EXCERPT, MarkerProposal, excerpt, propose, readings_about
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.logs.wording.scout import WordingScout

KINDS = ("connected", "replaced", "disconnected")

SENTENCES = {
    "user and socket": (
        "user {user} connected on {sid}",
        "kicking {user}: {old} replaced by {new}",
        "user {user} disconnected from {sid}",
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


def proposals(log: str, own: LogVocabulary = LogVocabulary()) -> list[MarkerProposal]:  # noqa: B008 - immutable
    scout = WordingScout(own, guesses=False)
    extractor = LogExtractor("app.log", wording=own, scout=scout)
    assert [event for event in (*extractor.feed(log.encode()), *extractor.flush(at_end=True)) if event.line] == []
    return propose(scout.likely_lines(), own, read_events, scout.redactor)


def proposed_about(log: str, *sids: str, user: str) -> list[MarkerProposal]:
    readings = readings_about(log.encode(), Ids(set(sids), {user}), LogVocabulary(), KINDS)
    return propose(readings, LogVocabulary(), read_events, Redactor())


def test_a_quoted_line_shows_no_part_of_a_secret_at_its_end() -> None:
    secret = "correct horse battery"
    factory = reader_factory([], [], {}, redactor=Redactor([Secret(secret)]))
    line = f"{'Socket opened':.<{EXCERPT - 10}}{secret}"
    assert line[:EXCERPT].endswith("correct ho")
    assert "corr" not in excerpt(line, factory.scout_for("app.log").redactor)


def vocabulary(proposed: list[MarkerProposal]) -> LogVocabulary:
    found = LogVocabulary()
    for each in proposed:
        found = each.add_to(found)
    return found


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
    events = read(log, wording=vocabulary(proposals(log)))
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
    assert proposals(log) == []


def test_replacements_without_a_noun_need_known_ids() -> None:
    """A key of a cache is evicted in the same words."""
    log = "".join(
        f"user ann connected on {a}\nkicking ann: {b} replaced by {a}\nkicking ann: x{n} replaced by y{n} again\n"
        for n, (a, b) in enumerate(pairwise([SOCKETS["Socket.IO's ids"](random.Random(seed)) for seed in range(8)]))
    )
    scout = WordingScout(LogVocabulary(), guesses=None)
    LogExtractor("app.log", scout=scout).feed(log.encode())
    read_at_once = [each.template for each in scout.wording.readings.values() if each.kind == "replaced"]
    assert read_at_once == ["kicking {user}: {old} replaced by {new}"]


def test_a_proposal_contains_no_name() -> None:
    """Also not if the same user is in all lines, which is the case when there is a fault."""
    lines = [f"{n:02}:00:00 user ann connected ({sid})" for n, sid in enumerate(("s1-x", "s2-x", "s3-x"))]
    lines += [f"{n:02}:01:00 user ann disconnected ({sid})" for n, sid in enumerate(("s1-x", "s2-x", "s3-x"))]
    found = proposals("\n".join(lines) + "\n")
    assert {each.text for each in found} == {"user {user} connected ({sid})", "user {user} disconnected ({sid})"}


NAMED = {
    "logfmt": "level=info msg='{v}' who={u} conn={i}",
    "JSON": '{{"level":30,"msg":"{v}","who":"{u}","conn":"{i}"}}',
    "behind the message": "09:30:00 INFO {v} who={u} conn={i}",
    "an inspected object": "09:30:00 {v} {{ who: '{u}', conn: '{i}' }}",
}


@pytest.mark.parametrize("shape", NAMED)
def test_named_ids_are_proposed_as_keys(shape: str) -> None:
    ids = [(user, f"c-{n}x") for n, user in enumerate(("ann", "bob", "ann", "eve"))]
    lines = [NAMED[shape].format(v="peer joined", u=user, i=sid) for user, sid in ids]
    lines += [NAMED[shape].format(v="peer left", u=user, i=sid) for user, sid in ids[:3]]
    log = "\n".join(lines) + "\n"
    found = proposals(log)
    assert {each.kind for each in found} == {"connected", "disconnected"}
    events = [said(event)[:3] for event in read(log, wording=vocabulary(found))]
    assert events[: len(ids)] == [("connect", sid, user) for user, sid in ids]
    assert [event[:2] for event in events[len(ids) :]] == [("disconnect", sid) for _, sid in ids[:3]]


@pytest.mark.parametrize(
    "log",
    [
        "",
        "nothing to see\n",
        "Redis client connected\nDatabase connection established host=db\n",
        "chat from bob: 'client connected userId=victim'\n",
        '{"msg":"chat","text":"client connected userId=victim"}\n',
        "WebSocket client connected count refreshed { total: 28 }\n",
    ],
)
def test_lines_without_ids_are_not_proposed(log: str) -> None:
    assert proposals(log) == []


def test_configured_markers_and_keys_still_count() -> None:
    own = LogVocabulary(markers=(("disconnected", "bye"),), keys=(("user", "actor"),))
    found = proposals("Socket opened actor=ada socketId=s1-x\n" * 2, own)
    assert [(each.text, each.keys) for each in found] == [("Socket opened", ())]


def test_the_example_contains_no_credentials() -> None:
    [found] = proposals("Socket opened token=s3cr3ts3cr3t userId=ada socketId=s1-x\n" * 2)
    assert "s3cr3t" not in found.example


def test_known_ids_are_found_under_any_name() -> None:
    others = "".join(f"peer joined conn=x{n} actor=u{n} n={n}\n" for n in range(50))
    log = others + "peer joined conn=mine-1 actor=user_123 n=1\npeer left conn=mine-1 n=1\n" + others
    found = {each.kind: (each.text, each.keys) for each in proposed_about(log, "mine-1", user="user_123")}
    assert found["connected"] == ("peer joined", (("sid", "conn"), ("user", "actor")))
    assert found["disconnected"] == ("peer left", (("sid", "conn"),))
    assert proposed_about(log, "nobody's", user="nobody") == []
    assert proposed_about("peer says bye conn=mine-1\n", "mine-1", user="user_123") == []


def test_known_ids_may_be_below_the_message() -> None:
    [found] = proposed_about("peer joined\n• conn: mine-1\n• who: ada\nlistening on port=8000\n", "mine-1", user="ada")
    assert (found.text, set(found.keys)) == ("peer joined", {("user", "who"), ("sid", "conn")})


def test_known_ids_select_the_lines() -> None:
    lines = ["user ann connected on s1-x", "kicking ann: s1-x replaced by s2-x", "user ann connected on s2-x"]
    others = "".join(f"user u{n} connected on x{n}\nuser u{n} disconnected from x{n}\n" for n in range(20))
    found = proposed_about(others + "\n".join(lines) + "\n" + others, "s1-x", "s2-x", user="ann")
    assert [each.text for each in found] == [
        "user {user} connected on {sid}",
        "kicking {user}: {old} replaced by {new}",
    ]
