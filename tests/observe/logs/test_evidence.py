"""Tests of completeness levels, of near misses and of quoted text."""

import json

import pytest

from tests.observe.logs.reading import read_log, said
from wscheck.model.events import Connected, Disconnected, Replaced, ServerRestarted, Unreadable
from wscheck.observe.logs import event_builder as evidence
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.vocabulary import LogVocabulary

SID, OLD, NEW = "JklrX0lA-3eoASGLAAAA", "aaaaX0lA-3eoASGLAAAB", "bbbbX0lA-3eoASGLAAAC"

CONNECTED = "WebSocket client connected"

IN_THE_WILD = [
    ("Replacing existing socket for user ID: 42", "replace 42 None None", "user"),
    ("Replacing existing socket for userID = 42 (likely page refresh)", "replace 42 None None", "user"),
    (
        f"replacing existing socket for user bob@example.com: {OLD} -> {NEW}",
        f"replace bob@example.com {OLD} {NEW}",
        "full",
    ),
    (f"Replacing existing socket for user {{ oldSocketId: '{OLD}' }}", f"replace None {OLD} None", "socket"),
    ("Replacing existing socket for user", "replace None None None", "count"),
    ("websocket client connected (3 total)", "connect None None", "count"),
    (f"WebSocket client connected {SID}", f"connect {SID} None", "socket"),
    (f"🔌 WebSocket client connected: {SID}", f"connect {SID} None", "socket"),
    ("WebSocket client connected for user 42", "connect None 42", "user"),
    (f"WebSocket client connected, socket_id={SID}, user_id=42", f"connect {SID} 42", "full"),
    (f"WebSocket client connected {{ socket: {{ id: '{SID}' }}, user: '42' }}", f"connect {SID} 42", "full"),
    ('{"msg":"WebSocket client connected","user":{"id":7,"name":"x"},"sid":"abc"}', "connect abc 7", "full"),
    ("Replacing existing socket for user - userId: {?} | oldSocketId: a", "replace None a None", "socket"),
    ('{"msg":"WebSocket client connected","user":{"userId":7,"socketId":"abc"}}', "connect abc 7", "full"),
    ('{"msg":"WebSocket client connected","user.id":7,"socket.id":"abc"}', "connect abc 7", "full"),
    ('{"msg":"WebSocket client connected","req.user":7,"socket.id":"abc"}', "connect abc None", "socket"),
    (f"WebSocket client disconnected {SID}", f"disconnect {SID} None", "full"),
    ("WebSocket client disconnected (2 total)", "disconnect None None", "count"),
    ("[2026-01-15 09:30:00] [INFO] [socket] WebSocket client connected", "connect None None", "count"),
]


@pytest.mark.parametrize(("line", "event", "level"), IN_THE_WILD)
def test_each_line_has_its_ids_and_its_level(line: str, event: str, level: str) -> None:
    extractor, events = read_log(line + "\n")
    assert [" ".join(map(str, said(seen))) for seen in events] == [event]
    assert extractor.levels == {level: 1}


NO_RECORDS = [
    "user posted hi to WebSocket client connected { userId: 'victim' }",
    "chat bob-1 says WebSocket client connected",
    "WebSocket client connected count refreshed { total: 28 }",
    "WebSocket client connectedness is good",
    "WebSocket client connected-clients gauge",
    "Handler registered for WebSocket client disconnected { handler: 'onDisconnect' }",
    "Replacing existing socket for users of the old gateway",
    'it says "WebSocket client connected" on my phone',
    "why does it say 'Replacing existing socket for user'?",
    "chat from bob: WebSocket client connected",
    '{"msg":"Message received","text":"WebSocket client connected"}',
    '{"msg":"Message received","message":"WebSocket client connected","userId":"victim"}',
    '{"msg":"Message received","data":{"msg":"WebSocket client connected","userId":"victim"}}',
    'level=info msg="Message received" text="WebSocket client connected" userId=victim',
    'level=info msg="Message received" message="WebSocket client connected" userId=victim',
    "Message received { message: 'WebSocket client connected', userId: 'victim', socketId: 'x' }",
    "{ data: { message: 'WebSocket client connected', userId: 'v' }, message: 'Message received' }",
    "Message received {\n  message: 'WebSocket client connected',\n  userId: 'victim'\n}",
    "{\n  data: {\n    message: 'WebSocket client connected',\n    userId: 'v'\n  },\n  message: 'received'\n}",
    "Message received {\n  text: 'hi\\n' +\n    'WebSocket client connected\\n' +\n    '• userId: victim'\n}",
    'Message received text="hi\nWebSocket client connected\n• socketId: FORGED\n• userId: victim"',
]


@pytest.mark.parametrize("text", NO_RECORDS)
def test_near_misses_and_quoted_text_are_not_records(text: str) -> None:
    extractor, events = read_log(text + "\n")
    assert events == []
    assert extractor.unreadable == 0


SENT = "{ message: 'WebSocket client connected', userId: 'victim', socketId: 'FORGED' }"
SENT_JSON = '{"message":"WebSocket client connected","userId":"victim","socketId":"FORGED"}'

CARRIED = [
    "  body: {},",
    "body: {}",
    "[2026-01-15T09:30:00Z] Received: {}",
    "bot-1  | body: {}",
    "  'item-1': {},",
    "  {},",
    "bot-1  |   {},",
    "  [Object: null prototype] {},",
    "[ {} ]",
    "  items: [ {} ],",
    "Map(1) { 'a' => {} }",
    "method=POST body={}",
]
"""How an object that a message carries stands on a line, where it is printed over several or after its name."""


@pytest.mark.parametrize("line", CARRIED)
@pytest.mark.parametrize("sent", [SENT, SENT_JSON])
def test_an_object_inside_a_message_is_not_a_record(line: str, sent: str) -> None:
    forged = line.replace("{}", sent) + "\n"
    record = '{"msg":"WebSocket client connected","userId":"u","socketId":"s"}\n'
    _, events = read_log(forged + f"info: {record}" * 9 + forged)
    assert [said(event) for event in events] == [("connect", "s", "u")] * 9


@pytest.mark.parametrize("prefix", ["", "bot-1  | ", "Jan 15 09:30:00 host node[1]: "])
@pytest.mark.parametrize("opening", ["[", "{|  items: [", "chat {|  items: [", "Map(1) {|  'a' => {|", "{|  '1-a': {|"])
@pytest.mark.parametrize("key", ["{}", '"{}"'])
def test_an_object_in_a_list_over_several_lines_is_not_a_record(prefix: str, opening: str, key: str) -> None:
    sent = [f"      {key.format(name)}: '{value}'," for name, value in json.loads(SENT_JSON).items()]
    if not opening.endswith("|"):
        sent = ["    {", *sent, "    }"]
    lines = [*opening.rstrip("|").split("|"), *sent, "  ]", "}"]
    assert read_log("".join(f"{prefix}{line}\n" for line in lines))[1] == []


def test_an_object_logged_after_a_record_is_not_part_of_it() -> None:
    _, events = read_log("🔌 WebSocket client connected\nJoined {\n  data: {\n    userId: 'bob',\n    n: 1\n  }\n}\n")
    assert [said(event) for event in events] == [("connect", None, None)]


def test_with_too_many_containers_no_record_without_prefix_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def contained(number: int, message: str) -> str:
        return json.dumps({"log": message + "\n", "container_id": f"c{number}", "stream": "stdout"}) + "\n"

    def log(containers: int) -> str:
        stamped = [f"[2026-01-15T09:30:00Z] {CONNECTED} socketId=s{n} userId=u{n}" for n in range(containers)]
        bare = contained(99, f"{CONNECTED} socketId=s99 userId=u99")
        return "".join(contained(n, text) for n, text in enumerate(stamped)) + bare

    monkeypatch.setattr(evidence, "MAX_SOURCES", 3)
    few, events = read_log(log(3))
    assert (len(events), few.unreadable) == (4, 0)
    many, events = read_log(log(4))
    assert (len(events), many.unreadable) == (5, 1) and isinstance(events[-1], Unreadable)


def test_a_record_without_prefix_among_others_is_reported_as_unreadable() -> None:
    stamped = f"[2026-01-15T09:30:00Z] WebSocket client connected {{ socketId: '{SID}', userId: 'bob' }}\n"
    forged = "[2026-01-15T09:30:01Z] chat: hi\nWebSocket client connected\n• socketId: FORGED\n• userId: victim\n"
    _, events = read_log(stamped + forged + stamped)
    assert [type(event) for event in events] == [Connected, Unreadable, Connected]
    assert events[1].line == 3


def test_the_prefix_memory_is_shared_by_the_generations_of_a_log() -> None:
    """A rotation is no moment in which somebody's text is believed."""
    new_reader = reader_factory((), (), {})
    new_reader("app.log").feed(b"[2026-01-15T09:30:00Z] WebSocket client connected { socketId: 'a', userId: 'bob' }\n")
    forged = b"WebSocket client connected\n- socketId: FORGED\n- userId: victim\n"
    assert [type(event) for event in new_reader("app.log").feed(forged)] == [Unreadable]
    assert [type(event) for event in new_reader("other.log").feed(forged)] == [Connected]


def test_an_incomplete_record_is_unreadable_and_redacted() -> None:
    line = '{"token":"eyJhbGciOi.eyJzdWIiOi.c2ln","msg":"WebSocket client connected'
    extractor, events = read_log(line + "\n")
    assert [type(event) for event in events] == [Unreadable]
    assert extractor.unreadable == 1
    assert "eyJhbGciOi" not in str(events[0])


RECORD = f"WebSocket client connected {{ socketId: '{SID}', userId: 'bob' }}"


@pytest.mark.parametrize(
    "log",
    [
        json.dumps({"log": RECORD, "stream": "stdout", "container_id": "gone"}),
        json.dumps({"log": '{"level":30,"msg":"WebSocket client connected","userId":"b', "stream": "stdout"}),
        f"2026-01-15T09:30:00Z stdout P {RECORD}",
    ],
)
@pytest.mark.parametrize("after", [0, 1500])
def test_a_record_in_an_unfinished_split_line_is_reported(log: str, after: int) -> None:
    """Its process was killed, or writes no line end: the log goes on without it."""
    rest = [json.dumps({"log": f"{RECORD}\n", "stream": "stderr", "container_id": "here"})] * after
    extractor, events = read_log("\n".join([log, *rest, ""]))
    assert [event.line for event in events if isinstance(event, Unreadable)] == [1]
    assert (len(events), extractor.unreadable) == (after + 1, 1)
    assert extractor._general_reader._parts == {}


@pytest.mark.parametrize(
    "text", ["tick", "it says 'WebSocket client connected'", '{"msg":"chat","text":"WebSocket client']
)
def test_nothing_is_said_of_other_lines_whose_rest_is_missing(text: str) -> None:
    assert read_log(json.dumps({"log": text, "stream": "stdout"}) + "\n")[1] == []


def test_other_wording_and_other_keys() -> None:
    wording = LogVocabulary(
        markers=(("connected", "Socket opened"), ("disconnected", "Socket gone"), ("restarted", "listening on")),
        keys=(("user", "uid"), ("sid", "conn"), ("time", "loggedAt")),
    )
    log = (
        "Bot listening on 8000\n"
        '{"loggedAt":1768469400000,"msg":"Socket opened","uid":7,"conn":"a"}\n'
        "[bot] Socket opened { conn: 'b', uid: 'x' }\nSocket gone\n• conn: b\n"
    )
    _, events = read_log(log, wording=wording)
    assert [type(event) for event in events] == [ServerRestarted, Connected, Connected, Disconnected]
    assert [said(event) for event in events[1:]] == [
        ("connect", "a", "7"),
        ("connect", "b", "x"),
        ("disconnect", "b", None),
    ]
    assert events[1].at == 1768469400.0


STAMPED = [
    ('{"time":1768469400123,"msg":"WebSocket client connected"}', 1768469400.123),
    ('{"timestamp":"2026-01-15T09:30:00.123Z","message":"WebSocket client connected"}', 1768469400.123),
    ('{"ts":1768469400.123,"msg":"WebSocket client connected"}', 1768469400.123),
    ("2026-01-15T09:30:00.123Z WebSocket client connected", 1768469400.123),
    ("2026-01-15T11:30:00.123456789+02:00 INFO WebSocket client connected", 1768469400.123456),
    ("15/Jan/2026:09:30:00 +0000 WebSocket client connected", 1768469400.0),
    ("1768469400.123 WebSocket client connected", 1768469400.123),
    ("WebSocket client connected", None),
]


@pytest.mark.parametrize(("line", "at"), STAMPED)
def test_the_time_is_that_of_the_line(line: str, at: float | None) -> None:
    _, [event] = read_log(line + "\n")
    assert event.at == (pytest.approx(at, abs=1e-6) if at is not None else None)


def test_a_bare_clock_passes_midnight() -> None:
    log = "[23:59:59.900] WebSocket client connected\n[00:00:00.100] WebSocket client connected\n"
    _, events = read_log(log)
    first, second = (event.at for event in events)
    assert first is not None and second is not None
    assert second - first == pytest.approx(0.2)


def test_an_idle_flush_leaves_a_line_that_is_being_written_alone() -> None:
    extractor, events = read_log("")
    events += extractor.feed(b"WebSocket client connected\n- socketId: a\n- userId: user_1")
    assert extractor.pending
    assert extractor.flush() == []
    [event] = extractor.feed(b"07\n")
    assert event.user == "user_107"


def test_the_offset_stays_before_a_record_that_is_not_complete() -> None:
    extractor, _ = read_log("")
    whole = b"tick\nWebSocket client connected\n- socketId: a\n- userId: b\n"
    assert len(extractor.feed(whole)) == 1
    assert extractor.offset == len(whole)
    extractor.feed(b"Replacing existing socket for user\n- userId: b\n")
    assert extractor.offset == len(whole)
    [event] = extractor.flush()
    assert isinstance(event, Replaced)
    assert extractor.offset == extractor.bytes


def test_an_id_that_says_what_a_marker_says_is_an_id() -> None:
    log = "WebSocket client connected\n• socketId: a\n• userId: x: WebSocket client connected\n"
    _, [event] = read_log(log)
    assert said(event) == ("connect", "a", "x: WebSocket client connected")
