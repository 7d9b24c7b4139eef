"""Tests of logs in a wording of their own: what is read without options, and what is not."""

import random
import string
from collections.abc import Container, Sequence

import pytest

from wscheck.model.events import Connected, Disconnected, Event, Refused, Replaced, ServerRestarted
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.formats.envelopes import LogMessage
from wscheck.observe.logs.vocabulary import CONNECTED, USER, LogVocabulary
from wscheck.observe.logs.wording import statements
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.logs.wording.learner import learn
from wscheck.observe.logs.wording.messages import ParsedMessage, parse
from wscheck.observe.logs.wording.scout import _LIKELY, _UNUSUAL, WordingScout
from wscheck.observe.logs.wording.statements import Reading, Row, Wording, fit, group_rows
from wscheck.observe.logs.wording.words import EVENT_VERBS, find_meaning, reports_event, word_parts

USERS = ("mia", "noor", "will")
_CHARACTERS = string.ascii_letters + string.digits + "-_"


def sid(number: int) -> str:
    chosen = random.Random(number)
    return "".join(chosen.choices(_CHARACTERS, k=16)) + f"AA{number:02}"


def read(log: str, *pieces: int, guesses: bool = False) -> list[Event]:
    data, begin = log.encode(), 0
    extractor = LogExtractor("app.log", scout=WordingScout(LogVocabulary(), guesses=guesses or None))
    events = list[Event]()
    for size in (*pieces, len(data)):
        events += extractor.feed(data[begin : begin + size])
        begin += size
    return events + extractor.flush(at_end=True)


def told(events: list[Event]) -> list[tuple[str, ...]]:
    """Kind and ids of each event."""
    found = list[tuple[str, ...]]()
    for event in events:
        if isinstance(event, Connected):
            found.append(("+", event.user or "", event.sid or ""))
        elif isinstance(event, Disconnected):
            found.append(("-", event.user or "", event.sid or ""))
        elif isinstance(event, Replaced):
            found.append(("!", event.user or "", event.old_sid or "", event.new_sid or ""))
    return found


PREFIXES = {
    "none": "",
    "iso": "2026-04-02T10:11:{s:02}.250Z ",
    "winston": "2026-04-02T10:11:{s:02}.250Z [info]: ",
    "winston with a dash": "2026-04-02T10:11:{s:02}.250Z - info: ",
    "log4js": "[2026-04-02T10:11:{s:02}.250] [INFO] realtime - ",
    "bunyan": "[2026-04-02T10:11:{s:02}.250Z]  INFO: realtime/812 on node-3: ",
    "NestJS": "[Nest] 812  - 04/02/2026, 10:11:{s:02} AM     LOG [EventsGateway] ",
    "Python with dashes": "2026-04-02 10:11:{s:02},250 - app.realtime - INFO - ",
    "Python's default": "INFO:app.realtime:",
    "uvicorn": "INFO:     ",
    "Sanic": "Main  2026-04-02 10:11:{s:02} +0000 INFO: ",
    "Sanic's request": "Main |2026-04-02 10:11:{s:02} +0000 INFO: ",
    "gunicorn": "[2026-04-02 10:11:{s:02} +0000] [812] [INFO] ",
    "Spring": "2026-04-02 10:11:{s:02}.250  INFO 812 --- [nio-8080-exec-{s}] c.acme.RealtimeHandler   : ",
    "logback": "10:11:{s:02}.250 [http-nio-{s}] INFO  com.acme.RealtimeHandler - ",
    "Monolog": "[2026-04-02T10:11:{s:02}.250000+00:00] realtime.INFO: ",
    "Serilog": "[10:11:{s:02} INF] ",
    "Ruby": "I, [2026-04-02T10:11:{s:02}.250000 #812]  INFO -- : ",
    "Go": "2026/04/02 10:11:{s:02} ",
    "syslog": "Apr  2 10:11:{s:02} node-3 realtime[812]: ",
    "compose": "api-1  | 2026-04-02T10:11:{s:02}.250Z ",
    "PM2": "0|api  | 2026-04-02 10:11:{s:02} ",
    "NLog": "2026-04-02 10:11:{s:02}.2500|INFO|Acme.Realtime.Hub|",
    "NLog with a short name": "2026-04-02 10:11:{s:02}.2500|INFO|Hub|",
    "klog": "I20260402 10:11:{s:02}.250123       1 hub.go:88] ",
    "Asterisk": "[2026-04-02 10:11:{s:02}.250] VERBOSE[3489{s:02}] res_gate/gate_hub.c:     -- ",
    "a thread in parentheses": "[INFO ] 2026-04-02 10:11:{s:02},250 com.acme.ws.Endpoint (qtp14841-55) - ",
    "JavaScript's Date": "Thu Apr 02 2026 10:11:{s:02} GMT+0000 (Coordinated Universal Time): ",
    "an emoji": "🔌 ",
}
SENTENCES = {
    "user and socket": ("User {u} connected with socket id {i}", "User {u} disconnected (socket {i}): transport close"),
    "brackets": ("Client connected: {i} (user: {u})", "Client disconnected: {i} (user: {u})"),
    "the user first": ("{u} joined ({i})", "{u} left ({i})"),
    "arrow and a number": ("connected {u} -> {i} (total {s})", "disconnected {u} -> {i} (ping timeout)"),
    "bars": ("Socket opened | id={i} | member={u}", "Socket closed | id={i} | member={u} | reason=transport close"),
    "keys": ("ws open uid:{u} sid:{i}", "ws close uid:{u} sid:{i}"),
    "square brackets": ("User[{u}] authenticated. Created session[{i}].", "User[{u}] left. Closed session[{i}]."),
    "a reason in words": (
        "driver {u} attached on stream {i}",
        "driver {u} detached from stream {i}: app in background",
    ),
    "a reason in parentheses": (
        "Agent {u} connected, session={i}",
        "Agent {u} disconnected, session={i} (no pong within 45s)",
    ),
    "a code and a reason": ("{u} connected, session={i}", "{u} disconnected, session={i} (1001 going away)"),
    "JSON at the end": (
        'connection established {{"userId":"{u}","connId":"{i}"}}',
        'connection lost {{"connId":"{i}"}}',
    ),
    "an inspected object": ("New client {{ id: '{i}', userId: '{u}' }}", "Client gone {{ id: '{i}' }}"),
}


def conversation(prefix: str, sentences: tuple[str, str]) -> tuple[str, list[tuple[str, ...]]]:
    """Return a log in which each user comes, goes and comes again, and its events."""
    lines, events, number = list[str](), list[tuple[str, ...]](), 0
    opened, closed = sentences
    for round_number in range(2):
        for user in USERS:
            number += 1
            for sign, sentence in (("+", opened), ("-", closed))[: 2 - round_number]:
                second = 2 * number + (sign == "-")
                lines.append(prefix.format(s=second) + sentence.format(u=user, i=sid(number), s=number))
                named = user if sign == "+" or "{u}" in sentence else ""
                events.append((sign, named, sid(number)))
    return "\n".join(lines) + "\n", events


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_read_behind_every_prefix(prefix: str, sentence: str) -> None:
    log, expected = conversation(PREFIXES[prefix], SENTENCES[sentence])
    events = read(log)
    assert told(events) == expected
    timed = "{s" in PREFIXES[prefix]
    assert all((event.at is not None) == timed for event in events)


@pytest.mark.parametrize("sentence", ["user and socket", "JSON at the end"])
def test_pieces_of_a_log_give_the_same_events(sentence: str) -> None:
    log, expected = conversation(PREFIXES["iso"], SENTENCES[sentence])
    for size in (1, 40, 97, 400):
        pieces = [size] * (len(log) // size)
        assert sorted(told(read(log, *pieces))) == sorted(expected)


STRUCTURED = {
    "pino": '{{"level":30,"time":17{s:02}000000123,"pid":7,"userId":"{u}","socketId":"{i}","msg":"socket {v}"}}',
    "nested": '{{"time":"2026-04-02 10:11:{s:02}","message":"peer {v}","user":{{"id":"{u}"}},"client":{{"id":"{i}"}}}}',
    "winston": '{{"message":"member {v}","memberId":"{u}","connectionId":"{i}","timestamp":"2026-04-02 10:11:{s:02}"}}',
    "Serilog": '{{"@t":"2026-04-02T10:11:{s:02}Z","@mt":"Client {{Id}} {v}","Id":"{i}","UserId":"{u}"}}',
    "logfmt": 'time=2026-04-02T10:11:{s:02}Z level=info msg="client {v}" account={u} conn_id={i}',
    "Logger metadata": "10:11:{s:02}.123 user_id={u} pid=<0.{s}.0> [info] channel {v} {i}",
    "context in brackets": "2026-04-02 10:11:{s:02} INFO [userId={u}, wsSession={i}] Connection was {v}",
    "a kind of event": '{{"time":17{s:02}000000123,"eventType":"{v}","principalId":"{u}","connectionId":"{i}"}}',
    "an operation": '{{"time":17{s:02}000000123,"operationName":"Device{v}","userId":"{u}","connId":"{i}","n":2}}',
    "zap's console": "2026-04-02T10:11:{s:02}.1Z\tINFO\tgate\thub/hub.go:88\tpeer {v}\t"
    '{{"member": "{u}", "socketID": "{i}"}}',
    "CSV": '2026-04-02T10:11:{s:02}Z,node-3,"[api] User {u} {v}, socket {i}"',
}


@pytest.mark.parametrize("shape", STRUCTURED)
def test_keys_of_structured_records_are_read(shape: str) -> None:
    verbs = ("Connected", "Disconnected") if "Device{v}" in STRUCTURED[shape] else ("connected", "disconnected")
    sentences = (STRUCTURED[shape].replace("{v}", verbs[0]), STRUCTURED[shape].replace("{v}", verbs[1]))
    log, expected = conversation("", sentences)
    assert told(read(log)) == expected


@pytest.mark.parametrize("prefix", ["2026-04-02T10:11:{s:02}.250000+00:00 [info] ", "10:11:{s:02}.250 [debug] "])
def test_unquoted_pairs_are_a_structured_record(prefix: str) -> None:
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate((*USERS, *USERS)):
        opened = "tag: CHANNEL, client: {}, msg: client_connected, peername: 10.0.0.{}:5120{}, proto_ver: 5"
        ended = "tag: CHANNEL, client: {}, msg: terminate, peername: 10.0.0.{}:5120{}, reason: {{shutdown,normal}}"
        lines += [prefix.format(s=number) + opened.format(user, number, number)]
        lines += [prefix.format(s=number + 9) + ended.format(user, number, number)]
        expected += [("+", user, f"10.0.0.{number}:5120{number}"), ("-", "", f"10.0.0.{number}:5120{number}")]
    assert sorted(told(read("\n".join(lines), guesses=True))) == sorted(expected)


RECORDS_OVER_LINES = {
    "pino-pretty": ("[10:11:{s:02}.250] INFO (hub/41): agent socket {}", '    agent: "{u}"', '    socketId: "{i}"'),
    "pino-pretty with a host": (
        "[10:11:{s:02}.250] INFO (7 on n): peer {}",
        "    employee: {u}",
        "    connectionId: {i}",
    ),
    "tabs": ("2026-04-02 10:11:{s:02} INFO  hub - Session {}", "\tmember={u}", "\tsession_id={i}"),
}


@pytest.mark.parametrize("form", RECORDS_OVER_LINES)
def test_values_on_the_lines_below_a_message_are_read(form: str) -> None:
    head, *below = RECORDS_OVER_LINES[form]
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate((*USERS, *USERS)):
        for word, sign in (("registered", "+"), ("removed", "-")):
            lines.append(head.format(word, s=2 * number + (sign == "-")))
            lines += [line.format(u=user, i=sid(number)) for line in below]
            lines += ["    ms: 7", head.format("swept", s=2 * number + (sign == "-")), '    reqId: "1f0c790a"']
            expected.append((sign, user, sid(number)))
    events = read("\n".join(lines))
    assert [each[::2] for each in told(events)] == [each[::2] for each in expected]
    assert [event.user for event in events if isinstance(event, Connected)] == [*USERS, *USERS]


SPANS = {
    "documented words": (
        "2026-02-11T09:00:{s:02}.302184Z  INFO ws_connection{{client_id={i} account={u} authenticated=true}}: "
        "dashboard::websocket: WebSocket client {}",
        ("connected", "disconnected subscriptions=1"),
    ),
    "own words": (
        '2026-02-11T09:00:{s:02}.302184Z DEBUG request{{id=7}}:link{{conn_id={i} user="{u}"}}: hub::link: link {}',
        ("opened", "closed"),
    ),
}


@pytest.mark.parametrize("span", SPANS)
def test_the_fields_of_the_spans_around_a_message_are_read(span: str) -> None:
    form, words = SPANS[span]
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate((*USERS, *USERS)):
        for sign, word in zip("+-", words, strict=True):
            lines.append(form.format(word, s=2 * number, i=f"01a{number}d2e", u=user))
            expected.append((sign, user, f"01a{number}d2e"))
    assert told(read("\n".join(lines))) == expected


@pytest.mark.parametrize("noun", ["connection", "session", "stream"])
def test_what_completed_is_an_end_only_after_a_noun_for_a_connection(noun: str) -> None:
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate((*USERS, *USERS)):
        at = f"2026-04-14 13:20:{2 * number:02} [INF] client"
        lines += [f"{at} {noun} established client={sid(number)} user={user}", f"{at} check completed user={user}"]
        lines += [f"{at} {noun} completed client={sid(number)} duration=12s"]
        expected += [("+", user, sid(number)), ("-", "", sid(number))]
    assert told(read("\n".join(lines), guesses=True)) == expected


@pytest.mark.parametrize("inner", ["unsubscribed feed={} client={}", "removed watcher={} client={}"])
def test_what_ends_several_times_for_each_connection_is_no_connection(inner: str) -> None:
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number, user in enumerate((*USERS, *USERS)):
        at = f"2026-04-14 13:20:{2 * number:02} [INF] client"
        lines += [f"{at} connection established client={sid(number)} user={user}"]
        lines += [f"{at} {inner.format(name, sid(number))}" for name in ("a1", "b2", "c3")]
        lines += [f"{at} connection completed client={sid(number)} duration=12s"]
        expected += [("+", user, sid(number)), ("-", "", sid(number))]
    assert told(read("\n".join(lines), guesses=True)) == expected


@pytest.mark.parametrize("user", ["desk-{}", "pod-a-{}", "till.{}-x"])
def test_a_user_with_a_name_like_a_pod_is_no_prefix(user: str) -> None:
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number in range(3):
        name = user.format(number + 20)
        for word, sign in (("attached", "+"), ("detached", "-")):
            lines.append(f'{{"pid":17,"message":"{name} {word} [{sid(number)}]","context":"DeskGateway"}}')
            expected.append((sign, name, sid(number)))
    assert told(read("\n".join(lines))) == expected


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (
            '"TimeGenerated [UTC]",OperationName,UserId,ConnectionId,Message',
            '"4/2/2026, 10:11:{s:02}.208 PM",Peer{v},{u},{i},"Connection {v}. Reason: page closed, or left"',
        ),
        ("date,host,level,message,accountId,wsId", '2026-04-02T10:11:{s:02}Z,n3,info,"peer {v}, at last",{u},{i}'),
        ("at time,service,user,socket,event", "2026-04-02 10:11:{s:02},gate,{u},{i},peer {v}"),
    ],
)
def test_the_first_line_of_a_table_names_its_columns(header: str, row: str) -> None:
    log, expected = conversation("", (row.replace("{v}", "connected"), row.replace("{v}", "ended")))
    events = read(f"{header}\n{log}")
    assert told(events) == expected
    assert all(event.at is not None for event in events)


def test_the_line_above_may_contain_the_time_of_a_record() -> None:
    """Test the two lines of a record of java.util.logging."""
    header = "Apr 02, 2026 10:11:{s:02} AM com.acme.gate.Hub onEvent\nINFO: "
    log, expected = conversation(header, SENTENCES["user and socket"])
    events = read(log)
    assert told(events) == expected
    times = [event.at for event in events]
    assert times == sorted(times, key=lambda at: at or 0.0)
    assert None not in times
    bare, _ = conversation("server.js started on port 80\nINFO: ", SENTENCES["user and socket"])
    assert {event.at for event in read(bare)} == {None}


def test_a_topic_tells_the_event_of_a_record_without_a_message() -> None:
    topic = "$events/presence/{v}/{u} "
    record = '{{"clientId":"{u}","sessionIdentifier":"{i}","timestamp":17{s:02}000000123}}'
    sentences = (topic.replace("{v}", "connected") + record, topic.replace("{v}", "disconnected") + record)
    log, expected = conversation("", sentences)
    assert told(read(log, guesses=True)) == expected


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [
        ("taken over by a newer session", True),
        ("DUPLICATE_IDENTITY", True),
        ("You logged in from another location", True),
        ("signed in elsewhere", True),
        ("moved to node 3", False),
        ("another error", False),
        ("instance was replaced", False),
    ],
)
def test_the_reason_of_an_end_can_be_a_replacement(reason: str, *, replaced: bool) -> None:
    row = '{{"time":"2026-04-02T10:11:{s:02}Z","msg":"peer {v}","userId":"{u}","socketId":"{i}"{r}}}'
    opened = row.replace("{v}", "connected").replace("{r}", "")
    closed = row.replace("{v}", "disconnected").replace("{r}", f',"reason":"{reason}"')
    log, expected = conversation("", (opened, closed))
    if replaced:
        expected = [("!", *ids, "") if sign == "-" else (sign, *ids) for sign, *ids in expected]
    assert told(read(log)) == expected


REPLACED = {
    "the user": ("Closing existing connection for user {u}", ("{u}", "", "")),
    "the old socket": ("User {u} already connected, dropping old socket {o}", ("{u}", "{o}", "")),
    "both": ("Replacing socket {o} of {u} with {n}", ("{u}", "{o}", "{n}")),
    "keys": ("Kicking previous session of {u} old={o} new={n}", ("{u}", "{o}", "{n}")),
    "in favour": ("Dropped connection {o} in favour of new connection {n}", ("", "{o}", "{n}")),
    "a new session": ("User {u} opened a new session, disconnecting socket {o}", ("{u}", "{o}", "")),
    "another login": ("User {u} logged in again: closing connection {o}", ("{u}", "{o}", "")),
    "a second tab": ("Second tab opened by user {u}, closing socket {o}", ("{u}", "{o}", "")),
    "key of the user": ("Disconnecting previous socket for member_id: {u}", ("{u}", "", "")),
}


@pytest.mark.parametrize("words", REPLACED)
@pytest.mark.parametrize("documented", [True, False])
def test_replacements_are_read_whether_or_not_the_other_words_are_known(words: str, *, documented: bool) -> None:
    sentence, ids = REPLACED[words]
    opened = "WebSocket client connected userId={u} socketId={i}" if documented else "User {u} connected ({i})"
    closed = "WebSocket client disconnected socketId={i}" if documented else "User {u} disconnected ({i})"
    lines, expected = list[str](), list[tuple[str, ...]]()
    for number in range(6):
        lines.append(f"2026-04-02T10:11:{number:02}.000Z " + opened.format(u="mia", i=sid(number)))
        if number:
            told_ids = {"u": "mia", "o": sid(number - 1), "n": sid(number)}
            lines.append(f"2026-04-02T10:11:{number:02}.004Z " + sentence.format(**told_ids))
            lines.append(f"2026-04-02T10:11:{number:02}.009Z " + closed.format(u="mia", i=sid(number - 1)))
            expected.append(("!", *(each.format(**told_ids) for each in ids)))
    assert [each for each in told(read("\n".join(lines) + "\n")) if each[0] == "!"] == expected


@pytest.mark.parametrize(
    "noise",
    [
        "MongoDB connected",
        "Redis client connected",
        "User mia joined room 7",
        "User mia left room 7",
        "Order 4711 closed",
        "Database connection established host=db-1",
        "message from noor: hello, are you connected?",
        "Replacing cached profile for user mia",
        "closing old log file app.log.3",
        "closing old keep-alive connection 5",
        "Existing config found for tenant 7: keeping it",
        "Connection to upstream failed, retrying",
        "worker 3 started",
        "New connection to upstream opened, closing idle stream",
        "WebSocket connection attempt from 192.0.2.7 rejected",
    ],
)
def test_other_things_that_open_and_close_are_no_connections(noise: str) -> None:
    log, expected = conversation(PREFIXES["winston"], SENTENCES["user and socket"])
    lines = [line for each in log.splitlines() for line in (each, f"2026-04-02T10:11:00.250Z [info]: {noise}")]
    assert told(read("\n".join(lines) + "\n")) == expected


@pytest.mark.parametrize("guesses", [False, True])
def test_an_ordinary_word_is_never_a_user(*, guesses: bool) -> None:
    lines = [
        *(f"Disconnecting previous socket for player_id: {user}" for user in USERS),
        *(f"New socket connection from {user}" for user in USERS),
        "Closing old connection for this user",
        "New client connected",
    ]
    users = {event.user for event in read("\n".join(lines) + "\n", guesses=guesses)}
    assert users <= {*USERS, None}


def test_words_of_other_languages_are_read_on_request() -> None:
    log, expected = conversation(
        PREFIXES["iso"], ("Utilisateur {u} connecté ({i})", "Utilisateur {u} déconnecté ({i})")
    )
    assert read(log) == []
    assert told(read(log, guesses=True)) == [(sign, user if sign == "+" else "", each) for sign, user, each in expected]


def test_a_name_in_brackets_is_a_guess_for_openings_and_for_ends() -> None:
    log, expected = conversation(PREFIXES["gunicorn"], ("[{u}] connected", "[{u}] disconnected"))
    assert read(log) == []
    assert told(read(log, guesses=True)) == [(sign, user, "") for sign, user, _ in expected]


def test_sockets_without_users_stay_sockets() -> None:
    log, _ = conversation(PREFIXES["none"], ("User connected: {i}", "User disconnected: {i}"))
    assert {event.user for event in read(log)} == {None}


def test_a_second_line_about_the_same_end_counts_once() -> None:
    log, expected = conversation(
        "", ("User {u} connected with socket {i}", "Client disconnected: {i}\nUser {u} disconnected")
    )
    assert told(read(log)) == [(sign, user if sign == "+" else "", each) for sign, user, each in expected]


def test_a_message_of_a_user_in_the_words_of_the_server_is_not_read() -> None:
    log, expected = conversation(PREFIXES["winston"], SENTENCES["user and socket"])
    forged = f"User will connected with socket id {sid(99)}"
    lines = [*log.splitlines(), f"2026-04-02T10:11:00.250Z [info]: chat: {forged}", forged]
    assert told(read("\n".join(lines) + "\n")) == expected


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-20 11:11:40,900 INFO  [io.quarkus] (main) shop 3.1.0 on JVM (powered by Quarkus 3.2) started in 1.2s. "
        "Listening on: http://0.0.0.0:8080",
        "02-17 08:00:04,800 org.eclipse.jetty.server.Server (main) - Started Server@4d1bf319{STARTING}[1] @51ms",
        '{"level":"info","time":"2026-02-17T08:00:00Z","message":"serving websocket, api endpoints on :8000"}',
        "2026-02-17 08:00:04,800 INFO Listening on TCP address 127.0.0.1:8000",
        "08:00:04.800 [main] INFO  io.micronaut.runtime.Micronaut - Startup completed in 512ms. Server Running: http://a:80",
        "2026-02-17 08:00:04.800 [main] INFO  ktor.application - Application started in 0.303 seconds.",
        "1771315204: mosquitto version 2.0.18 starting",
    ],
)
def test_a_framework_reports_the_start_of_its_server(line: str) -> None:
    assert [type(event) for event in read(f"{line}\n")] == [ServerRestarted]


@pytest.mark.parametrize("line", ["job export started in 30 s", "Started batch 7", "serving lunch on time"])
def test_other_things_that_start_are_no_server(line: str) -> None:
    assert read(f"2026-02-17 08:00:04,800 INFO {line}\n") == []


def test_openings_without_ends_are_only_a_guess() -> None:
    """The words for the ends are unknown, so all connections would seem to stay open."""
    log, _ = conversation(PREFIXES["iso"], ("User {u} connected ({i})", "Au revoir"))
    assert read(log) == []
    assert {user for _, user, _ in told(read(log, guesses=True))} == set(USERS)


@pytest.mark.parametrize(
    "closed",
    [
        "User {u} left\nfinishing WS connection user={u} conn=c{s}",
        "{u} is offline\nreaped io connection c{s} of user {u}",
    ],
)
def test_a_connection_with_an_unknown_verb_does_not_open(closed: str) -> None:
    log, _ = conversation("", ("New client connected user={u} conn=c{s}", closed))
    openings = [event for event in told(read(log, guesses=True)) if event[0] == "+"]
    assert openings == [("+", user, f"c{number}") for number, user in enumerate((*USERS, *USERS), start=1)]


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [
        ("Replaced by new connection (conflict)", True),
        ("stream closed by us: new login from another location", True),
        ("Stale Connection", False),
        ("old session expired", False),
    ],
)
@pytest.mark.parametrize("closed", ["Closing stream session for {u}: ", "Client {u} disconnected: "])
def test_what_follows_the_colon_of_an_end_is_its_reason(closed: str, reason: str, *, replaced: bool) -> None:
    log, _ = conversation(PREFIXES["iso"], ("Opened stream session for {u}", f"{closed}{reason}"))
    kinds = [event[0] for event in told(read(log))]
    assert kinds.count("!" if replaced else "-") == len(USERS)
    assert kinds.count("-" if replaced else "!") == 0


@pytest.mark.parametrize("topics", [("JOINED inbox:{u}", "JOINED arena:{s}"), ("joined deck:{s}", "joined crew:{u}")])
def test_the_topics_that_a_client_joins_are_no_users(topics: tuple[str, str]) -> None:
    lines = [
        f"2026-04-02T10:11:{number:02}.000Z [info] {topic.format(u=f'40{number % 3}', s=number % 5)}"
        for number in range(12)
        for topic in topics
    ]
    assert read("\n".join(lines) + "\n", guesses=True) == []


@pytest.mark.parametrize("noun", ["client", "user", "device", "agent"])
def test_users_may_come_in_the_order_of_their_numbers(noun: str) -> None:
    users = [str(4_000 + n) for n in range(24)]
    lines = [
        f"2026-04-02T10:{11 + end}:{n:02}.000Z {noun} {user} {('connected', 'disconnected')[end]}, session={sid(n)}"
        for end in (0, 1)
        for n, user in enumerate(users)
    ]
    assert [event.user for event in read("\n".join(lines) + "\n") if isinstance(event, Connected)] == users


def test_a_level_in_brackets_is_no_user() -> None:
    lines = [f"[1] 2026/04/02 10:11:{n:02}.000000 [{level}] Server is ready" for n, level in enumerate(("INF", "DBG"))]
    assert told(read("\n".join(lines) + "\n", guesses=True)) == []


@pytest.mark.parametrize(
    ("numbered", "allowed"),
    [
        ("slot {n} of 5", 5),
        ("device {n}/3", 3),
        ("({n} of 4 sessions)", 4),
        ("slot 1 of 1", None),
        ("slot {s} of 99", None),  # counts the connections of all users
        ("part {n} of {s}", None),
    ],
)
def test_the_log_tells_how_many_connections_it_allows(numbered: str, allowed: int | None) -> None:
    sentence = "member={u} channel={i} came online, " + numbered
    lines = [
        f"2026-04-02T10:11:{number:02}.000Z " + sentence.format(u=user, i=sid(number), n=1 + number // 3, s=number + 1)
        for number, user in enumerate((*USERS, *USERS[:2]))
    ]
    lines += [f"2026-04-02T10:12:{number:02}.000Z channel={sid(number)} went offline" for number in range(5)]
    events = read("\n".join(lines) + "\n")
    assert [event.allowed for event in events if isinstance(event, Connected)] == 5 * [allowed]


SERVICES = ("orders", "prices")


@pytest.mark.parametrize(
    ("sentence", "endpoints"),
    [
        ("member={u} channel={i} came online, path=/{s}/stream", {"/orders/stream", "/prices/stream"}),
        ("svc={s} member={u} channel={i} came online", {"/orders", "/prices"}),
        ("socket {i} of member {u} opened at /live/{s}", {"/live/orders", "/live/prices"}),
        ("level={s} member={u} channel={i} came online", {None}),
        ("member={u} channel={i} came online, path=/all/stream", {None}),  # of one endpoint only
        ("member={u} channel={i} came online, path=/{u}/stream", {None}),  # a path that contains the user
        ("member={u} channel={i} came online, path=/room/r{n}", {None}),  # too many
        ("member={u} channel={i} came online, path=/lobby/{p}", {None}),  # one user each
    ],
)
def test_connections_belong_to_the_path_or_the_service_in_their_lines(
    sentence: str, endpoints: set[str | None]
) -> None:
    lines = [
        f"2026-04-02T10:11:{number:02}.000Z "
        + sentence.format(u=user, i=sid(number), s=SERVICES[number % 2], n=number, p=user[::-1])
        for number, user in enumerate(3 * USERS)
    ]
    lines += [f"2026-04-02T10:12:{number:02}.000Z channel={sid(number)} went offline" for number in range(9)]
    events = read("\n".join(lines) + "\n")
    opened = [event for event in events if isinstance(event, Connected)]
    assert len(opened) == 9 and {event.url for event in opened} == endpoints
    rows = [
        Row(n, parsed, line) for n, line in enumerate(lines) if (parsed := parse(LogMessage(line[25:]))) is not None
    ]
    learned = learn(rows, known=Ids(sids={sid(number) for number in range(9)}))
    assert len(learned) == 2
    assert not any("endpoint" in reading.places for reading in learned.values()), "a client knows the whole URL"


def by_user(openings: Sequence[str], end: str, *, times: int = 6) -> list[Event]:
    """Return the events of a log in which three users come and go, with these lines for each start and each end."""
    lines = list[str]()
    for number in range(times):
        values = {"u": f"u-{number % 3}7", "i": sid(number), "n": number + 1, "m": number % 2}
        lines += [text.format(**values) for text in openings] + [end.format(**values)]
    return read("\n".join(f"2026-04-02T10:11:00.{at:03}Z {line}" for at, line in enumerate(lines)) + "\n")


@pytest.mark.parametrize(
    ("openings", "end"),
    [
        (["upgraded the socket of User {u}, now connected", "peer registered for User {u}"], "User {u} disconnected"),
        (["Client {u} connected", "User {u} connected, presence: away"], "Client {u} disconnected"),
        (
            ["authenticated: user id={u}, plan=pro", "socket tracked — total connected: {n}"],
            "socket closed for user {u}",
        ),
        (
            ["Client {i} connected. UserId in claim sub: {u}, adding to group g-{u}"],
            "Client {i} disconnected. Error: -",
        ),
        (["Client {i} connected as {u}, adding it to room r1"], "Client {i} disconnected"),
        (["ws_attached      order_id=o-{n} user_id={u}"], "ws_detached      order_id=o-{n} user_id={u}"),
        (
            ["websocket accepted for {u} from 10.0.0.{n}", "[INFO] Lift car connected: {u}"],
            "Lift car disconnected: {u}",
        ),
        (['level=INFO msg="peer connected" peerID:={u}'], 'level=INFO msg="client disconnected" UID={u}'),
    ],
)
def test_each_connection_opens_once_and_belongs_to_its_user(openings: list[str], end: str) -> None:
    events = by_user(openings, end)
    assert sum(isinstance(event, Disconnected) for event in events) == 6
    assert [event.user for event in events if isinstance(event, Connected)] == 2 * ["u-07", "u-17", "u-27"]


@pytest.mark.parametrize(
    ("openings", "end"),
    [
        # Two connections of each user, with an end each.
        (["chat socket of User {u} opened", "feed socket of User {u} opened"], "User {u} gone\nUser {u} gone"),
        # Each request is authenticated.
        (8 * ["authenticated: user id={u}, plan=pro"], "socket closed for user {u}"),
    ],
)
def test_lines_that_are_not_balanced_by_ends_are_no_second_report(openings: list[str], end: str) -> None:
    opened = sum(isinstance(event, Connected) for event in by_user(openings, end))
    assert opened in (0, 12)


def test_names_are_users_although_one_of_them_has_two_connections() -> None:
    users = tuple(f"kiosk-{number}" for number in range(6))
    lines = [
        f"Weather station {event}: {user}"
        for _ in range(4)
        for user in users
        for event in ("connected", "disconnected")
    ]
    lines += ["Weather station connected: kiosk-1", "Weather station connected: kiosk-1"]
    log = "\n".join(f"2026-04-02T10:11:{second:02}.000Z {line}" for second, line in enumerate(lines))
    assert sum(isinstance(event, Connected) for event in read(log + "\n")) == 26


@pytest.mark.parametrize(
    "lines",
    [
        ("[{u}] connected", "[{u}] disconnected"),
        ("joined room={u}", "left room={u}"),
        ("User {u} is now online", "User {u} is now offline"),  # its first and its last connection
        ("Player p{n} joined desk {u}", "Player p{n} left desk {u}"),
        ("Player {u} joined desk d-{m}", "Player {u} left desk d-{m}"),
    ],
)
def test_names_that_may_be_of_other_things_are_not_read(lines: tuple[str, str]) -> None:
    assert by_user([lines[0]], lines[1]) == []


def test_a_failure_in_a_later_clause_still_denies_the_opening() -> None:
    events = by_user(["Client {i} connected for {u}, but failed to join group g1"], "Client {i} disconnected")
    assert not any(isinstance(event, Connected) for event in events)


@pytest.mark.parametrize("sentence", ["agent of notebook {u} {e}, ws {i}", "ws {i} {e} for cabin {u}"])
def test_a_noun_in_front_of_the_user_is_not_the_user(sentence: str) -> None:
    opened = [sentence.format(e="connected", u=f"c-{number % 3}7", i=sid(number)) for number in range(6)]
    closed = [sentence.format(e="disconnected", u=f"c-{number % 3}7", i=sid(number)) for number in range(6)]
    events = read("\n".join([*opened, *closed]) + "\n")
    assert {event.user for event in events if isinstance(event, Connected)} == {"c-07", "c-17", "c-27"}


def test_the_search_finds_a_line_with_any_word_for_an_event() -> None:
    needles = [needle.decode() for needle in (*_LIKELY, *_UNUSUAL)]
    missed = {verb for verb in EVENT_VERBS if not any(needle in f" {verb} " for needle in needles)}
    assert missed <= {"back"}  # in too many words, such as "background"
    assert all(reports_event(f"{verb} ") for verb in EVENT_VERBS)


@pytest.mark.parametrize("prefix", ["[INF] StageHub: ", "[info] web.rooms: ", "INFO "])
@pytest.mark.parametrize("names", [("k.meier", "lena.s", "devon"), ("t.okoro", "b.lund", "wim")])
def test_a_user_with_a_dot_at_the_begin_of_a_sentence_is_no_logger(prefix: str, names: tuple[str, ...]) -> None:
    log = "".join(
        f"2026-10-06 13:{5 + minute:02}:{10 + at}.035 {prefix}{name} {word}, ConnectionId P0gNwkDqnlw5JaerVecl{at}I\n"
        for minute, word in ((0, "connected"), (9, "disconnected"))
        for at, name in enumerate(names)
    )
    assert [user for sign, user, _ in told(read(log)) if sign == "+"] == [*names]


def test_the_logger_in_front_of_a_sentence_is_no_user() -> None:
    log = "".join(
        f"2026-10-06 13:{5 + minute:02}:{10 + at}.035 INFO app.io {word} user={name} sid=P0gNwkDqnlw5JaerVec{at}I\n"
        for minute, word in ((0, "connected"), (9, "disconnected"))
        for at, name in enumerate(("ann", "ben", "eve"))
    )
    assert [user for sign, user, _ in told(read(log)) if sign == "+"] == ["ann", "ben", "eve"]


@pytest.mark.parametrize(
    "reason", ["ServerError: Client hasn't answered a ping/pong within 30s.", "Peer didn't reply in time."]
)
def test_the_reason_may_be_a_sentence_of_an_exception(reason: str) -> None:
    sids = [f"P0gNwkDqnlw5JaerVecl{at}I" for at in range(4)]
    log = "".join(f"2026-10-06 13:05:1{at}.035 [INF] ann connected, id {sid}\n" for at, sid in enumerate(sids))
    log += "".join(f"2026-10-06 13:09:1{at}.035 [INF] ann dropped, id {sid}: {reason}\n" for at, sid in enumerate(sids))
    ended = [event for event in read(log) if isinstance(event, Disconnected)]
    assert [(event.sid, event.reason) for event in ended] == [(sid, reason.rstrip(".")) for sid in sids]


@pytest.mark.parametrize("nobody", ["anonymous", "guest", "<unknown>", "None", "-", "Anon"])
def test_a_word_for_everyone_unknown_is_no_user(nobody: str) -> None:
    log = "".join(
        f'{{"time":{1_768_469_400_000 + 900 * at},"msg":"viewer connected",'
        f'"viewer":"{user}","sid":"P0gNwkDqnlw5Ja{at:02}AAAA"}}\n'
        for at, user in enumerate([*9 * [nobody], "guest7", "ann"])
    )
    users = [event.user for event in read(log, guesses=True) if isinstance(event, Connected)]
    assert [user for user in users if user is not None] == ["guest7", "ann"]


def test_a_record_without_a_message_names_its_event_behind_the_names_of_a_pod_and_a_container() -> None:
    log = "".join(
        f'chat-6f7c9d8b5-x2k4p app {{"ts":"2026-04-02T09:0{minute}:2{at}.425Z","evt":"conn.{word}",'
        f'"uid":"{user}","cid":"3af055{at}a"}}\n'
        for minute, word in ((0, "open"), (4, "close"))
        for at, user in enumerate(("m-37", "m-31", "m-34"))
    )
    assert [user for sign, user, _ in told(read(log, guesses=True)) if sign == "+"] == ["m-37", "m-31", "m-34"]


@pytest.mark.parametrize(
    ("form", "own", "others"),
    [
        (
            "User[{u}] authenticated. Created session[{i}].|User[{u}] disconnected. Closed session[{i}].",
            "admin",
            "owner7",
        ),
        ("client <{u}> connected, socket {i}|client <{u}> gone, socket {i}", "support", "kiosk-3"),
        ("connection {i} accepted for ({u})|connection {i} closed for ({u})", "system", "meter-0"),
    ],
)
def test_an_ordinary_word_in_brackets_is_a_user_where_other_lines_have_one(form: str, own: str, others: str) -> None:
    begin, end = form.split("|")
    users = [others, *4 * [own]]
    log = "".join(
        f"2026-04-28 07:{2 + minute:02}:3{at},030 [INFO ] {text.format(u=user, i=sid(at))}\n"
        for minute, text in ((0, begin), (9, end))
        for at, user in enumerate(users)
    )
    assert [user for sign, user, _ in told(read(log)) if sign == "+"] == users


def test_a_word_for_an_event_in_brackets_is_no_user() -> None:
    log = "".join(
        f"2026-04-28 07:02:{at:02},030 [INFO ] client <{word}> {sid(at)} user=ann{at}\n"
        for at, word in enumerate(("connected", "kiosk7", "kiosk7", "disconnected"))
    )
    assert "connected" not in {user for _, user, _ in told(read(log, guesses=True))}


@pytest.mark.parametrize("rest", ["user=None", "total=8", "idle=12.5 n=3"])
def test_a_key_with_a_value_is_no_reason(rest: str) -> None:
    log = "".join(
        f"2026-10-06 13:0{minute}:1{at}.035 [INF] {word} conn={sid(at)} {tail}\n"
        for minute, word, tail in ((5, "ws_open", "user=ann7"), (9, "ws_close", rest))
        for at in range(4)
    )
    ended = [event for event in read(log) if isinstance(event, Disconnected)]
    assert [event.reason for event in ended] == 4 * [None]


def life(begin: str, end: str, users: tuple[str, ...], *, between: Sequence[str] = ()) -> str:
    """Return a log in which each user connects three times.

    `{u}` is the user, `{w}` another user, `{i}` and `{v}` the id of the connection, `{n}` its number.
    """
    lines = list[tuple[int, str]]()
    for number, user in enumerate(3 * users):
        values = {"u": user, "i": sid(number), "n": number + 1, "w": f"p{number % 4}"}
        values["v"] = f"{number:08x}-0b3c-4d5e-8f90-{number:012x}"
        lines += [
            (20 * number, begin.format(**values)),
            *((20 * number + at, text.format(**values)) for at, text in enumerate(between, start=1)),
            (20 * number + 15, end.format(**values)),
        ]
    return "".join(f"2026-05-11T12:{at // 60:02}:{at % 60:02}.298Z {text}\n" for at, text in sorted(lines))


PEOPLE = ("acct-7028", "k.horn", "mia7")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("INFO feed.ws session begin account={u} session={i}", "INFO feed.ws session end account={u} session={i}"),
        ("[info] ws begin user={u} conn={i}", "[info] ws finish user={u} conn={i} code=1000"),
        ("INFO stream began for user {u}, connection {i}", "INFO stream finished for user {u}, connection {i}"),
        ("INFO ws: client connected {{'user' => '{u}', 'conn' => '{i}'}}",
         "INFO ws: client closed {{'user' => '{u}', 'conn' => '{i}'}}"),
        ("<W>1 => <{n}:{u}(4)> Authenticated", "<W>1 => <{n}:{u}(4)> Connection closed: [-1]"),
        ("INFO hub: peer {n}:{u} joined", "INFO hub: peer {n}:{u} left"),
        ('ws.INFO: Connection opened {{"user": "{u}", "conn": "{i}"}} {{"uid": "9c2{i}"}}',
         'ws.INFO: Connection closed {{"user": "{u}", "conn": "{i}"}} {{"uid": "7d1{i}"}}'),
        ('INFO ws open {{"uid": "r{i}", "member": "{u}", "sid": "{i}"}}',
         'INFO ws close {{"uid": "q{i}", "member": "{u}", "sid": "{i}"}}'),
    ],
)  # fmt: skip
def test_further_words_and_forms_are_read_without_options(begin: str, end: str) -> None:
    events = told(read(life(begin, end, PEOPLE)))
    assert [user for sign, user, _ in events if sign == "+"] == [*PEOPLE, *PEOPLE, *PEOPLE]
    assert len({each for _, _, each in events}) == 9
    assert len(events) == 18


@pytest.mark.parametrize(
    ("between", "begin", "end"),
    [
        ("INFO Request finished GET http://desk.example/api/bots - 200 {n}8.9ms|{u}",
         "INFO agent online, connection {i}|{u}", "INFO agent offline, connection {i}|{u}"),
        ("INFO export task finished for {u}", "INFO user {u} connected, sid {i}",
         "INFO user {u} disconnected, sid {i}"),
    ],
)  # fmt: skip
def test_the_end_of_work_is_no_end_of_a_connection(between: str, begin: str, end: str) -> None:
    events = told(read(life(begin, end, PEOPLE, between=3 * [between])))
    assert len(events) == 18


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    ("early", "begin", "end"),
    [
        ("Disconnecting ghost of {u}, session {i}", "session {i} of {u} authenticated",
         "session {i} of {u}: connection closed"),
        ("Releasing seat {i} for user {u}", "user {u} connected with sid {i}", "user {u} disconnected, sid {i}"),
    ],
)  # fmt: skip
def test_what_comes_before_the_opening_is_no_end(early: str, begin: str, end: str, newest_first: bool) -> None:
    log = life(early, end, PEOPLE, between=[begin])
    lines = log.splitlines(keepends=True)
    events = told(read("".join(lines[::-1] if newest_first else lines)))
    assert [sign for sign, *_ in events].count("-") == [sign for sign, *_ in events].count("+") == 9


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ('[ENTER] Pad "{u}": Client {i} with IP "10.0.0.1" entered the pad',
         '[LEAVE] Pad "{u}": Author "a.{w}" on client {i} left the pad'),
        ("client {i} opened board {u}", "client {i} closed board {u}, user {w}"),
    ],
)  # fmt: skip
def test_a_value_without_a_label_is_no_user_if_only_the_end_names_the_user(begin: str, end: str) -> None:
    events = told(read(life(begin, end, ("wahl", "bio-8b", "notes7"))))
    assert not {"wahl", "bio-8b", "notes7"} & {user for _, user, _ in events}


@pytest.mark.parametrize(
    "fields",
    [
        '"subscriber":{{"id":"urn:uuid:{v}","topics":["https://shop.example/users/{n}00/notices"]}}',
        '"viewer":{{"id":"{i}"}},"channel":"private-App.User.{n}00"',
    ],
)
def test_the_random_id_of_a_subscriber_is_that_of_the_connection(fields: str) -> None:
    lines = [
        (10 * at + 300 * half, f'{{"ts":{1_770_643_864 + 10 * at + 300 * half}.25,"msg":"{word}",' + fields.format(
            i=sid(at), n=1 + at % 4, v=f"{at:08x}-0b3c-4d5e-8f90-{at:012x}") + "}\n")
        for at in range(12)
        for half, word in enumerate(("New subscriber", "Subscriber disconnected"))
    ]  # fmt: skip
    events = told(read("".join(text for _, text in sorted(lines))))
    assert {user for sign, user, _ in events if sign == "+"} == {"100", "200", "300", "400"}
    assert len({each for _, _, each in events}) == 12


@pytest.mark.parametrize("words", [("linked", "unlinked"), ("docked", "undocked"), ("ensconced", "disensconced")])
def test_ids_that_begin_and_end_once_tell_of_connections_in_any_words(words: tuple[str, str]) -> None:
    begin, end = (f"INFO s.Dispo - dispatcher {{u}} {word}, session {{v}}, x" for word in words)
    assert len(told(read(life(begin, end, ("truck-7", "truck-8", "truck-9"))))) == 18
    begin, end = (f"INFO s.Dispo - dispatcher {{u}} {word}, parcel {{v}}, x" for word in words)
    assert told(read(life(begin, end, ("truck-7", "truck-8", "truck-9")))) == []


@pytest.mark.parametrize(
    ("begin", "end"),
    [("client {u} is conected, sid {i}", "client {u} is disconected, sid {i}"),
     ("user {u} atached on socket {i}", "user {u} dettached from socket {i}")],
)  # fmt: skip
def test_a_misspelled_verb_is_recognised(begin: str, end: str) -> None:
    assert [sign for sign, *_ in told(read(life(begin, end, ("mia", "ben", "eve"))))] == ["+", "-"] * 9


def test_a_different_word_is_no_misspelling() -> None:
    assert [word_parts(word) for word in ("attacked", "connector", "accented")] == [
        ["attacked"],
        ["connector"],
        ["accented"],
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann stood up", "disconnected"),
        ("ann sat down", "connected"),
        ("desk no longer listens", "disconnected"),
        ("editor is already editing, detaching that one", "replaced"),
        ("connection already closed", "disconnected"),
        ("ann was thrown out", "replaced"),
        ("viewer tuned in", "connected"),
        ("courier let go of the channel", "disconnected"),
    ],
)
def test_verbs_with_particles_report_events(text: str, kind: str) -> None:
    assert find_meaning([part for word in text.split() for part in word_parts(word.strip(","))]).kind == kind


def test_the_finer_of_two_equal_times_is_read() -> None:
    log = "".join(
        f"May 14 18:02:{at:02} shack murmurd[871]: <W>2026-05-14 18:02:{at:02}.141 User ann connected, sid {sid(at)}\n"
        for at in range(3)
    )
    assert [(event.at or 0.0) % 1 > 0.1 for event in read(log, guesses=True)] == 3 * [True]
    assert [event.resolution for event in read(log, guesses=True)] == 3 * [0.0]


def test_only_statements_that_differ_in_a_name_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log may contain thousands of statements, so a comparison of each with all others would take quadratic time."""
    compared = []

    def record(parsed: ParsedMessage, pattern: tuple[str, ...], words: Container[str] = ()) -> ParsedMessage | None:
        compared.append(pattern)
        return fit(parsed, pattern, words)

    monkeypatch.setattr(statements, "fit", record)
    letters = string.ascii_lowercase[:11]
    topics = [f"t{a}{b}x" for a in letters for b in letters]
    lines = [f"user {user} joined {topic}" for topic in topics for user in ("u_17", "will")]
    rows = [
        Row(number, parsed, line) for number, line in enumerate(lines) if (parsed := parse(LogMessage(line), topics))
    ]
    groups = group_rows(rows, topics)
    assert [len(group.rows) for group in groups] == [2] * len(topics)
    assert len(compared) < 3 * len(topics)
    wording = Wording({group.statement: Reading(CONNECTED, {USER: "0"}) for group in groups}, topics)
    compared.clear()
    found = [wording.match(LogMessage(line)) for line in lines[1::2]]
    assert [record.ids for record in found if record is not None] == [{USER: "will"}] * len(topics)
    assert len(compared) < 3 * len(topics)


ATTEMPTS = {
    "SignalR": (
        "New connection {i} created.|{u}",
        "Agent online, connection {i}|{u}",
        "Agent offline, connection {i}|{u}",
    ),
    "a socket": ("socket {i} accepted for user {u}", "user {u} joined with sid {i}", "user {u} left, sid {i}"),
}


@pytest.mark.parametrize("reaches", [True, False])
@pytest.mark.parametrize("form", ATTEMPTS)
def test_new_connections_that_come_to_nothing_are_refused_attempts(form: str, reaches: bool) -> None:
    """The ids of the two stages may differ: then each attempt is followed by the line about the connection."""
    attempt, begin, end = ATTEMPTS[form]
    log, number = "", 0
    for turn in range(14):
        who = ("k.horn", "j.pohl")[turn % 2]
        steps = [(attempt, who)] if not reaches else [(attempt, who), (begin, who), (end, who)]
        others = [(begin, "m.otto"), (end, "m.otto")] if turn < 3 else []
        kept = sid(900 + turn)
        for at, (text, user) in enumerate([*steps, *others]):
            number += 1
            own = sid(number) if text == attempt else kept + user[0]
            log += (
                f"2026-03-11 07:{45 + turn // 4}:{15 * (turn % 4) + 2 * at:02}.127 INFO {text.format(i=own, u=user)}\n"
            )
    refused = [event.user for event in read(log) if isinstance(event, Refused)]
    assert refused == ([] if reaches else 7 * ["k.horn", "j.pohl"])


@pytest.mark.parametrize(
    "line",
    [
        "feed-6b7d9c5f4-x2kqz feed {time} level=info event=ws_open user={user} conn={sid}",
        "gate-0f4c77d8b-9wlmq edge {time} severity=INFO path=/rt event=socket_opened conn={sid} user={user} took=4",
    ],
)
def test_a_time_in_front_of_key_value_pairs_is_read(line: str) -> None:
    log = "".join(
        line.format(time=f"2026-05-04T09:{n:02}:10.250Z", user=user, sid=f"c9e1{n:02}b7") + "\n"
        for n, user in enumerate(("ann", "ben", "cyd", "ann", "dan", "ben"))
    )
    events = read(log, guesses=True)
    assert [event.user for event in events] == ["ann", "ben", "cyd", "ann", "dan", "ben"]
    assert all(event.at is not None for event in events)


@pytest.mark.parametrize(
    "form",
    [
        "{time} info: Yard.Hubs.CraneHub[0]\n      {user} connected with connection id {sid}\n",
        "[{time}] INFO  fleet.realtime\n\tuser {user} connected, connection {sid}\n",
    ],
)
def test_an_indented_message_has_the_time_of_the_line_above(form: str) -> None:
    log = "".join(
        form.format(time=f"2026-05-04 09:{n:02}:10.250", user=user, sid=f"kQ{n:02}tY7fLx{n:02}")
        for n, user in enumerate(("ann", "ben", "cyd", "ann", "dan", "ben"))
    )
    for pieces in ((), (300,)):
        events = read(log, *pieces, guesses=True)
        assert [event.user for event in events] == ["ann", "ben", "cyd", "ann", "dan", "ben"]
        assert len({event.at for event in events} - {None}) == 6


SESSIONS = [(f"u{n % 5}", f"3f1fbe{n:02}-59f6-40e0-ad6f-8bda59adde98") for n in range(12)]


@pytest.mark.parametrize(
    "other",
    [
        "pool-1 : Failed to validate connection org.pg.jdbc.PgConnection@8a4c1d{n} (This connection has been closed.)",
        "cache.Stats : connection closed id=redis-{n}4471 idle=30s",
    ],
)
def test_the_ends_of_other_connections_are_left_out(other: str) -> None:
    lines = []
    for n, (user, sid) in enumerate(SESSIONS):
        lines.append(f"09:{n:02}:01.100 INFO Presence : session connected user={user} sessionId={sid}")
        lines.append(f"09:{n:02}:02.300 WARN {other.format(n=n)}")
        lines.append(f"09:{n:02}:40.200 INFO Presence : session disconnected user={user} sessionId={sid}")
    assert told(read("".join(f"2026-03-02 {line}\n" for line in lines), guesses=True)) == [
        event for user, sid in SESSIONS for event in (("+", user, sid), ("-", user, sid))
    ]


def test_ids_of_two_numbers_are_those_of_connections() -> None:
    lines = []
    for n, user in enumerate(("44518", "44291", "44019", "44518")):
        ids = f'{{"socket_id": "66933844{n}.71493025{n}", "member_id": {user}}}'
        lines += [f"[2026-09-14T10:0{n}:13] live.INFO: socket opened {ids} []"]
        lines += [f"[2026-09-14T10:0{n}:43] live.INFO: socket closed {ids} []"]
    events = told(read("\n".join(lines) + "\n", guesses=True))
    assert events[:2] == [("+", "44518", "669338440.714930250"), ("-", "44518", "669338440.714930250")]
