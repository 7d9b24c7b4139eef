"""Logs of MQTT brokers: lines as Mosquitto 2.0 wrote them, and as EMQX documents them."""

import json

import pytest
from msgspec.structs import replace

from wscheck.detect.engine import Judge, RuleOptions
from wscheck.detect.rules import OF_LOGS
from wscheck.model.disconnect_reasons import PING_TIMEOUT, TRANSPORT_CLOSE
from wscheck.model.events import Connected, Disconnected, Event, Refused, Replaced, ServerRestarted, Unreadable
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.vocabulary import LogVocabulary

TAKEOVER = """\
1796081249: mosquitto version 2.0.11 starting
1796081263: New connection from 127.0.0.1:37800 on port 1883.
1796081263: New client connected from 127.0.0.1:37800 as dash (p2, c1, k60, u'bob').
1796081264: New connection from 127.0.0.1:37810 on port 1883.
1796081264: Client dash already connected, closing old connection.
1796081264: New client connected from 127.0.0.1:37810 as dash (p2, c1, k60, u'bob').
"""


def read(text: str, size: int = 1 << 16) -> list[Event]:
    extractor, events = LogExtractor("mosquitto.log"), list[Event]()
    data = text.encode()
    for at in range(0, len(data), size):
        events += extractor.feed(data[at : at + size])
    return [*events, *extractor.flush(at_end=True)]


def told(events: list[Event]) -> list[tuple[str, str | None, str | None]]:
    kinds = (Connected, Disconnected, Replaced)
    return [
        (type(each).__name__, each.user, each.old_sid if isinstance(each, Replaced) else each.sid)
        for each in events
        if isinstance(each, kinds)
    ]


@pytest.mark.parametrize("size", [1, 40, 150])
def test_a_log_that_begins_in_the_middle_is_read_in_pieces(size: int) -> None:
    text = "1796081260: Client dash closed its connection.\n" + "".join(TAKEOVER.splitlines(True)[1:])
    assert told(read(text, size)) == told(read(text))
    assert told(read(text))[-1] == ("Connected", "dash", "127.0.0.1:37810")


@pytest.mark.parametrize("size", [1, 40, 1 << 16])
def test_mosquitto_reports_connections_and_takeovers(size: int) -> None:
    events = read(TAKEOVER, size)
    assert isinstance(events[0], ServerRestarted)
    assert told(events) == [
        ("Connected", "dash", "127.0.0.1:37800"),
        ("Replaced", "dash", "127.0.0.1:37800"),
        ("Connected", "dash", "127.0.0.1:37810"),
    ]
    taken = events[2]
    assert isinstance(taken, Replaced)
    assert (taken.at, taken.line, taken.path, taken.client_id) == (1796081264, 5, "mosquitto.log", "dash")
    assert taken.resolution == 1.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Client dash disconnected.", TRANSPORT_CLOSE),
        ("Client dash closed its connection.", TRANSPORT_CLOSE),
        ("Client dash [127.0.0.1:37800] disconnected.", TRANSPORT_CLOSE),
        ("Client dash disconnected due to malformed packet.", TRANSPORT_CLOSE),
        ("Client dash has exceeded timeout, disconnecting.", PING_TIMEOUT),
        ("Socket error on client dash, disconnecting.", TRANSPORT_CLOSE),
        ("Bad socket read/write on client dash: Connection reset by peer", TRANSPORT_CLOSE),
    ],
)
def test_a_connection_ends(line: str, reason: str) -> None:
    *_, opened, ended = read(f"{''.join(TAKEOVER.splitlines(True)[:3])}1796081270: {line}\n")
    assert isinstance(opened, Connected) and isinstance(ended, Disconnected)
    assert (ended.user, ended.sid, ended.reason) == ("dash", opened.sid, reason)


def test_the_late_end_of_a_websocket_that_was_taken_over_is_not_that_of_the_newer_one() -> None:
    late = "1796081264: Client dash closed its connection.\n"
    assert told(read(TAKEOVER + late)) == told(read(TAKEOVER))
    assert told(read(TAKEOVER + late + "1796081268: Client dash closed its connection.\n"))[-1] == (
        "Disconnected",
        "dash",
        "127.0.0.1:37810",
    )


def test_lines_of_version_1_and_of_containers() -> None:
    lines = (
        "mosquitto-1  | 2026-01-05T10:00:00: New client connected from 10.0.0.9 as pump/7 (c1, k60).\n"
        "mosquitto-1  | 2026-01-05T10:00:02: Client pump/7 disconnected.\n"
    )
    assert told(read(lines)) == [
        ("Connected", "pump/7", "10.0.0.9 in line 1"),
        ("Disconnected", "pump/7", "10.0.0.9 in line 1"),
    ]


def test_a_client_that_is_not_authorised_is_refused() -> None:
    events = read(TAKEOVER + "1796081270: Client pump disconnected, not authorised.\n")
    assert isinstance(events[-1], Refused) and events[-1].user == "pump"


def test_a_user_may_have_many_clients() -> None:
    lines = [
        f"17960812{n}: New client connected from 10.0.0.{n}:5000 as pump-{n} (p2, c1, k60, u'pumps').\n"
        for n in range(10, 60)
    ]
    assert len(findings("".join(lines))) == 0


EMQX = "2026-07-08T07:37:{:02}.678558+00:00 [info] {}\n"
ENDS = [
    "clientid: pump-1, msg: terminate, peername: 10.0.0.7:65354, reason: {shutdown,discarded}",
    "msg: terminate, mfa: emqx_connection:terminate/2, line: 672, peername: 10.0.0.7:65354, clientid: pump-1, "
    "reason: {shutdown,takenover}",
    "pump-1@10.0.0.7:65354 file: emqx_connection.erl, line: 520, mfa: {emqx_connection,terminate,2}, msg: terminate, "
    "pid: <0.24194.0>, reason: {shutdown,takeovered}",
]


@pytest.mark.parametrize("line", ENDS)
def test_emqx_reports_takeovers(line: str) -> None:
    (taken,) = read(EMQX.format(7, line))
    assert isinstance(taken, Replaced) and (taken.user, taken.old_sid) == ("pump-1", "10.0.0.7:65354")


@pytest.mark.parametrize("client", ["pump-1", "863758049858682", "sensor/7 north"])
def test_emqx_3_reports_takeovers_at_the_level_warning(client: str) -> None:
    lines = (
        f"2026-03-31 09:00:30.000 [warning] {client}@172.31.8.40:16892 [Channel] Clientid '{client}' conflict with "
        "<0.26112.1168>\n"
        f"2026-03-31 09:00:30.002 [warning] {client} [Session] Connection <0.26112.1168> kickout <0.12209.1158>\n"
    )
    (taken,) = read(lines)
    assert isinstance(taken, Replaced) and taken.user == client and taken.at is not None


@pytest.mark.parametrize(
    ("reason", "told_reason"),
    [
        ("{shutdown,normal}", TRANSPORT_CLOSE),
        ("{shutdown,keepalive_timeout}", PING_TIMEOUT),
        ("closed", TRANSPORT_CLOSE),
    ],
)
def test_other_ends_of_emqx(reason: str, told_reason: str) -> None:
    (ended,) = read(EMQX.format(7, f"clientid: pump-1, msg: terminate, peername: 10.0.0.7:1, reason: {reason}"))
    assert isinstance(ended, Disconnected) and ended.reason == told_reason


def test_emqx_reports_connects_at_the_level_debug_and_in_json() -> None:
    text = EMQX.format(
        1,
        "tag: MQTT, clientid: pump-1, msg: mqtt_packet_sent, peername: 10.0.0.7:65354, "
        "packet: CONNACK(Q0, R0, D0, AckFlags=0, ReasonCode=0)",
    )
    refused = text.replace("ReasonCode=0", "ReasonCode=135")
    record = {"time": "2026-07-08T07:37:09.678558+00:00", "level": "info", "msg": "terminate", "clientid": "pump-1"}
    ended = json.dumps({**record, "peername": "10.0.0.7:65354", "reason": "{shutdown,normal}"})
    events = read(f"{text}{ended}\n{refused}")
    assert told(events) == [("Connected", "pump-1", "10.0.0.7:65354"), ("Disconnected", "pump-1", "10.0.0.7:65354")]
    assert isinstance(events[-1], Refused)


def findings(text: str) -> list[str]:
    judge = Judge(RuleOptions(), OF_LOGS)
    for event in read(text):
        judge.feed(event)
    return [f"{each.rule} {each.user} {each.severity}" for each in judge.finish()]


def test_takeovers_in_a_row_are_a_finding() -> None:
    loop = "".join(EMQX.format(second, ENDS[0]) for second in (7, 9, 11))
    assert findings(loop) == ["client-id-shared pump-1 error", "connection-replaced pump-1 warning"]
    lost_network = "".join(EMQX.format(second, ENDS[0]) for second in (7, 9))
    assert findings(lost_network) == ["connection-replaced pump-1 warning"]


def read_with_marker(marker: str, text: str, size: int) -> list[Event]:
    extractor, data = LogExtractor("a.log", wording=LogVocabulary(markers=(("connected", marker),))), text.encode()
    events = [each for at in range(0, len(data), size) for each in extractor.feed(data[at : at + size])]
    return [*events, *extractor.flush(at_end=True)]


@pytest.mark.parametrize("size", [1, 40, 1 << 16])
def test_markers_of_the_user_come_first(size: int) -> None:
    events = read_with_marker("New client connected from {sid} as {user} (", TAKEOVER, size)
    assert not any(isinstance(each, Connected) and each.protocol for each in events)
    assert told(events) == [
        ("Connected", "dash", "127.0.0.1:37800"),
        ("Connected", "dash", "127.0.0.1:37810"),
    ]


@pytest.mark.parametrize("size", [1, 40, 1 << 16])
@pytest.mark.parametrize("marker", ["Socket opened", "link of {user} is up ({sid})"])
def test_markers_for_another_log_change_nothing(marker: str, size: int) -> None:
    assert read_with_marker(marker, TAKEOVER, size) == [
        replace(each, path="a.log") if each.path else each for each in read(TAKEOVER)
    ]


@pytest.mark.parametrize("size", [1, 40, 1 << 16])
def test_a_marker_in_a_later_line_of_a_broker_is_read(size: int) -> None:
    events = read_with_marker("link of {user} is up ({sid})", f"{TAKEOVER}1796081270: link of ann is up (s1)\n", size)
    assert told(events) == [*told(read(TAKEOVER)), ("Connected", "ann", "s1")]


@pytest.mark.parametrize("line", ["Client ann connected", "msg=terminate clientid=7", "a new connection from ann"])
def test_logs_of_other_servers_are_none_of_brokers(line: str) -> None:
    assert not any(getattr(each, "protocol", None) for each in read(f"2026-07-08T07:37:09Z {line}\n"))


RABBIT = {
    "4": (
        "Accepted MQTT connection {peer} -> 10.71.0.5:1883 for client ID {client}",
        'MQTT connection "{peer} -> 10.71.0.5:1883" will terminate because peer closed TCP connection',
        "MQTT disconnecting client {peer} -> 10.71.0.5:1883 with duplicate id '{client}'",
    ),
    "3.13": (
        "Accepted MQTT connection <0.1200.0> ({peer} -> 10.71.0.5:1883, client ID: {client})",
        "closing MQTT connection <0.1200.0> ({peer} -> 10.71.0.5:1883, keepalive timeout)",
        "MQTT disconnecting client <<\"{peer} -> 10.71.0.5:1883\">> with duplicate id '{client}'",
    ),
    "3.8": (
        "accepting MQTT connection <0.1200.0> ({peer} -> 10.71.0.5:1883, client id: {client})",
        'MQTT connection "{peer} -> 10.71.0.5:1883" will terminate because peer closed TCP connection',
        "MQTT disconnecting client \"{peer} -> 10.71.0.5:1883\" with duplicate id '{client}'",
    ),
}


@pytest.mark.parametrize("version", RABBIT)
def test_rabbitmq_reports_connections_ends_and_takeovers(version: str) -> None:
    opened, ended, taken = RABBIT[version]
    steps = [
        (opened, "10.71.0.39:33456", "meter-04"),
        (opened, "10.71.0.21:40001", "pump 7"),
        (taken, "10.71.0.39:33456", "meter-04"),
        (opened, "10.71.0.39:33999", "meter-04"),
        (ended, "10.71.0.39:33456", ""),
        (ended, "10.71.0.21:40001", ""),
    ]
    log = "2026-04-11 03:01:01.622705+00:00 [info] <0.8.0>  Starting RabbitMQ 4.0.2 on Erlang 26.2.5 [jit]\n" + "".join(
        f"2026-04-11 03:02:{at:02}.622705+00:00 [info] <0.1200.0> {text.format(peer=peer, client=client)}\n"
        for at, (text, peer, client) in enumerate(steps)
    )
    events = read(log)
    assert isinstance(events[0], ServerRestarted)
    assert told(events) == [
        ("Connected", "meter-04", "10.71.0.39:33456"),
        ("Connected", "pump 7", "10.71.0.21:40001"),
        ("Replaced", "meter-04", "10.71.0.39:33456"),
        ("Connected", "meter-04", "10.71.0.39:33999"),
        ("Disconnected", "pump 7", "10.71.0.21:40001"),
    ]


@pytest.mark.parametrize("length", [301, 5_000, 20_000])
def test_a_connection_with_an_id_that_is_too_long_is_unreadable(length: int) -> None:
    opened = f"1796081262: New client connected from 127.0.0.1:37811 as {'x' * length} (p5, c1, k60, u'ann').\n"
    *_, last = read(TAKEOVER + opened)
    assert isinstance(last, Unreadable) and last.line == TAKEOVER.count("\n") + 1
    assert len(read(TAKEOVER + opened.replace("New client connected", "Sending PINGRESP"))) == 4
