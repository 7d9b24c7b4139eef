"""Tests of access logs whose records show a WebSocket from start to end."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import wscheck
from tests.observe.logs.test_wording import read
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.model.events import Connected, Disconnected, Event, Refused
from wscheck.observe.logs.access_log import AccessLog, _engine_io_query
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.report.log_figures import command_with_markers, marker_hints

BEGIN, END = 1_763_457_243, 1_763_457_303
CADDY = (
    f'{{"level":"info","ts":{END}.0,"request":{{"client_ip":"192.0.2.8","uri":"/live?user=ann"}},'
    '"duration":60.0,"status":101}'
)
RECORDS = {
    "Caddy": CADDY,
    "HAProxy": "Nov 18 09:15:03 lb haproxy[7]: 192.0.2.8:5120 [18/Nov/2025:09:14:03.000] fe~ be/n1 0/0/1/3/60000 "
    '101 900 - - ---- 1/1/0/0/0 0/0 "GET /live?user=ann HTTP/1.1"',
    "nginx": '192.0.2.8 - ann [18/Nov/2025:09:15:03 +0000] "GET /live HTTP/1.1" 101 900 "-" "Mozilla/5.0" rt=60.000',
    "Traefik": '192.0.2.8 - ann [18/Nov/2025:09:14:03 +0000] "GET /live HTTP/1.1" 101 0 "-" "-" 5 "ws" "n1" 60000ms',
    "Envoy": '[2025-11-18T09:14:03.000Z] "GET /live?account=ann HTTP/1.1" 101 - via_upstream - "-" 442 932 60000 9 '
    '"192.0.2.8" "Mozilla/5.0" "0e18e0b3" "rt.example.org" "10.4.2.9:9000"',
    "Envoy's older format": '[2025-11-18T09:14:03.000Z] "GET /live?employee_id=ann HTTP/1.1" 101 - 442 932 60000 - '
    '"-" "-"',
    "IIS": "#Software: IIS 10.0\n"
    "#Fields: date time cs-method cs-uri-stem cs-uri-query cs-username c-ip sc-status sc-substatus time-taken\n"
    "2025-11-18 09:15:03 GET /hubs/live id=17NkUXobF6E3 ann 192.0.2.8 101 0 60000",
    "CloudFront": "#Fields: date time c-ip cs-method cs-uri-stem sc-status cs-uri-query time-taken\n"
    "2025-11-18\t09:15:03\t192.0.2.8\tGET\t/live\t101\taccount=ann\t60.000",
    "ALB": "wss 2025-11-18T09:15:03.000000Z app/edge/50dc6c495c0c9188 192.0.2.8:40730 10.4.2.9:9000 0.001 0.003 0.000 "
    '101 101 218 587 "GET https://rt.example.org:443/live?user=ann HTTP/1.1" "-" - - arn:aws:tg/live "Root=1-5833" '
    '"-" "-" 1 2025-11-18T09:14:03.000000Z "forward" "-" "-" "10.4.2.9:9000"',
    "Envoy over HTTP/2": '[2025-11-18T09:14:03.000Z] "GET /live?user=ann HTTP/2" 101 - 442 932 60000 9 "192.0.2.8" "-"',
    "HTTP/2": '[2025-11-18T09:14:03.000Z] "CONNECT /live?user=ann HTTP/2" 200 - 442 932 60000 9 "192.0.2.8" "-"',
    "Caddy over HTTP/2": f'{{"level":"info","ts":{END}.0,"request":{{"client_ip":"192.0.2.8","proto":"HTTP/2.0",'
    '"method":"CONNECT","uri":"/live?user=ann","headers":{":protocol":["websocket"]}},"duration":60.0,"status":200}',
    "Traefik's JSON": '{"ClientHost":"192.0.2.8","ClientUsername":"ann","DownstreamStatus":101,"Duration":60000000000,'
    '"RequestMethod":"GET","RequestPath":"/live","StartUTC":"2025-11-18T09:14:03.000Z",'
    '"time":"2025-11-18T09:15:03.000Z"}',
    "a stream of Caddy": f'{{"level":"info","ts":{END}.0,"request":{{"client_ip":"192.0.2.8","method":"GET",'
    '"uri":"/events"},"user_id":"ann","duration":60.0,"status":200,'
    '"resp_headers":{"Content-Type":["text/event-stream"]}}',
    "ingress-nginx": '192.0.2.8 - ann [18/Nov/2025:09:15:03 +0000] "GET /events HTTP/2.0" 200 9 "-" "-" 389 '
    "60.000 [web-80] [] 10.2.0.7:80 9 60.000 200 8f1c text/event-stream",
    "a client in the query": CADDY.replace("user=ann", "v=2&client_id=ann"),
    "Engine.IO": "192.0.2.8 - - [18/Nov/2025:09:15:03 +0000] "
    '"GET /socket.io/?EIO=4&transport=websocket&userId=ann HTTP/1.1" 101 900 "-" "Mozilla/5.0" request_time=60.000',
}


@pytest.mark.parametrize("server", RECORDS)
def test_a_websocket_with_user_and_duration_is_a_connection(server: str) -> None:
    events = read(f"{RECORDS[server]}\n")
    assert [(type(event), event.user, event.at) for event in events] == [
        (Connected, "ann", BEGIN),
        (Disconnected, "ann", END),
    ]


@pytest.mark.parametrize(
    "record",
    [
        RECORDS["nginx"].replace(" rt=60.000", ""),
        RECORDS["nginx"].replace("GET /live HTTP/1.1", "CONNECT db.example.org:5432 HTTP/2").replace(" 101 ", " 200 "),
        RECORDS["nginx"].replace(" - ann ", " - - "),
        RECORDS["nginx"].replace(" 101 ", " 200 "),
    ],
    ids=["no duration", "a tunnel", "no user", "no upgrade"],
)
def test_other_requests_are_no_connections(record: str) -> None:
    assert read(f"{record}\n") == []


def test_websockets_without_a_user_are_counted_for_each_address() -> None:
    access_log = AccessLog.recognise(TimestampParser(""), CADDY.encode())
    assert access_log is not None
    lines = bytearray("\n".join(CADDY.replace("user=ann", f"room={n}") for n in range(3)).encode())
    access_log.read(lines, 0, len(lines), 1)
    assert access_log.unattributed == 3
    [client] = access_log.clients.values()
    assert (client.client, client.handshakes, client.upgrades) == ("192.0.2.8", 3, 3)


ALB = (
    "wss 2025-11-18T09:15:03.119282Z app/edge/50dc6c495c0c9188 {} 10.4.2.9:9000 0.001 0.003 0.000 {} 218 587 "
    '"GET https://rt.example.org:443/live?{} HTTP/1.1" "-" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:tg/live '
    '"Root=1-58337364-23a8c76965a2ef7629b185e1" "-" "-" 1 2025-11-18T09:14:03.000000Z "forward" "-" "-" "10.4.2.9:9000"'
)


@pytest.mark.parametrize(
    ("record", "client"),
    [
        (ALB.format("192.0.2.8:40730", "101 101", "room=1"), "192.0.2.8"),
        (ALB.format("192.0.2.9:1025", "101 -", "user=ann"), "ann"),
        (
            ALB.replace("https://rt.example.org:443", "ws://10.1.1.1:80").format("192.0.2.7:1", "101 101", "v=2"),
            "192.0.2.7",
        ),
    ],
)
def test_a_websocket_of_a_load_balancer_is_an_attempt_of_its_client(record: str, client: str) -> None:
    log = AccessLog.recognise(TimestampParser(""), record.encode())
    assert log is not None
    log.read(bytearray(record.encode()), 0, len(record), 1)
    (counted,) = log.clients.values()
    assert (counted.client, counted.handshakes, counted.upgrades) == (client, 1, 1)
    assert (log.connections, log.unattributed) == ((1, 0) if client == "ann" else (0, 1))


@pytest.mark.parametrize(
    "record", [ALB.format("192.0.2.8:1", "200 200", "a=1"), ALB.format("192.0.2.8:1", "502 101", "a=1")]
)
def test_a_load_balancer_that_answers_otherwise_opened_no_websocket(record: str) -> None:
    assert not counted(record).clients


def counted(*lines: str) -> AccessLog:
    """Return the counter of an access log with these lines."""
    data = "\n".join(lines).encode()
    log = AccessLog.recognise(TimestampParser(""), data)
    assert log is not None
    log.read(bytearray(data), 0, len(data), 1)
    return log


def stream(server: str, begin: float, seconds: float, *, path: str = "/events", kind: str = "text/event-stream") -> str:
    """Return the line of a GET request of 192.0.2.8 with the content type `kind`, in the format of a server."""
    end = begin + seconds
    if server == "Caddy":
        return (
            f'{{"level":"info","ts":{end:.3f},"request":{{"client_ip":"192.0.2.8","method":"GET","uri":"{path}"}},'
            f'"duration":{seconds},"status":200,"resp_headers":{{"Content-Type":["{kind}"]}}}}'
        )
    at = datetime.fromtimestamp(end if server == "nginx" else begin, UTC)
    if server == "nginx":
        return (
            f'192.0.2.8 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/2.0" 200 9 "-" "-" {seconds:.3f} "{kind}"'
        )
    if server == "Traefik":
        return (
            f'{{"ClientHost":"192.0.2.8","DownstreamStatus":200,"Duration":{int(seconds * 1e9)},"RequestMethod":"GET",'
            f'"RequestPath":"{path}","StartUTC":"{at.isoformat()}","downstream_Content-Type":"{kind}"}}'
        )
    if server == "Envoy":
        return (
            f'{{"duration":{int(seconds * 1000)},"method":"GET","path":"{path}","response_code":200,'
            f'"response_flags":"-","start_time":"{at.isoformat()}","x_forwarded_for":"192.0.2.8","type_of_content":"-",'
            f'"content_type":"{kind}"}}'
        )
    return (
        f"haproxy[7]: 192.0.2.8:5120 [{at:%d/%b/%Y:%H:%M:%S.%f}] fe~ be/n1 0/0/1/3/{int(seconds * 1000)} 200 9 - - "
        f'---- 1/1/0/0/0 0/0 {{{kind}}} "GET https://rt.example.org{path} HTTP/2.0"'
    )


SERVERS = ("Caddy", "nginx", "Traefik", "Envoy", "HAProxy")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("seconds", "starts", "most"), [(60.0, (0, 3), 2), (60.0, (0, 63, 126), 1), (0.4, (0, 1, 2, 3), 1)]
)
def test_streams_are_counted_for_each_address(
    server: str, seconds: float, starts: tuple[float, ...], most: int
) -> None:
    log = counted(*(stream(server, BEGIN + start, seconds) for start in starts))
    [client] = log.clients.values()
    assert (client.client, client.handshakes, client.streams) == ("192.0.2.8", len(starts), len(starts))
    assert (client.most_open, log.unattributed) == (most, len(starts))
    assert client.per_second == pytest.approx((len(starts) - 1) / starts[-1], rel=0.5)


@pytest.mark.parametrize("server", SERVERS)
def test_streams_of_several_paths_are_several_endpoints(server: str) -> None:
    [client] = counted(*(stream(server, BEGIN, 60, path=path) for path in ("/a", "/b?x=1", "/c"))).clients.values()
    assert (client.streams, client.most_open) == (3, 1)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream", "video/mp4"])
def test_a_long_answer_of_another_type_is_no_stream(server: str, kind: str) -> None:
    log = counted(*(stream(server, BEGIN + 61 * number, 60, kind=kind) for number in range(3)))
    assert (dict(log.clients), log.long_paths) == ({}, ())


def test_a_streamed_answer_to_a_post_is_no_connection() -> None:
    asked = stream("Caddy", BEGIN, 2).replace('"GET"', '"POST"')
    assert not counted(asked, asked).clients


def test_a_request_for_a_stream_that_is_refused_is_an_attempt() -> None:
    refused = (
        f'{{"ts":{END}.5,"request":{{"client_ip":"192.0.2.8","method":"GET","uri":"/events",'
        '"headers":{"Accept":["text/event-stream"]}},"status":503,"resp_headers":{"Content-Type":["text/plain"]}}'
    )
    [client] = counted(*[refused] * 3).clients.values()
    assert (client.handshakes, client.streams, client.most_open) == (3, 0, 0)


def untyped(begin: float, seconds: float, path: str = "/events") -> str:
    return stream("nginx", begin, seconds, path=path).removesuffix(' "text/event-stream"')


def test_long_requests_that_return_may_be_streams_without_content_types() -> None:
    log = counted(*(untyped(BEGIN + 33 * number, 30) for number in range(4)), untyped(BEGIN, 0.01))
    [client] = log.clients.values()
    assert (log.long_paths, client.long_requests, client.streams) == (("/events",), 4, 0)


@pytest.mark.parametrize(
    "lines",
    [
        [untyped(BEGIN, 30)],
        [untyped(BEGIN + 33 * number, 30, f"/video/{number}.mp4") for number in range(4)],
        [untyped(BEGIN + number, 0.5) for number in range(9)],
    ],
    ids=["once", "several files", "short"],
)
def test_other_long_requests_are_no_streams(lines: list[str]) -> None:
    assert counted(*lines).long_paths == ()


@pytest.mark.parametrize(
    ("paths", "rules"), [(("/a", "/b", "/c"), []), (("/a", "/b", "/c", "/b"), ["multiple-connections"])]
)
def test_a_user_may_have_a_stream_of_each_path(paths: tuple[str, ...], rules: list[str]) -> None:
    lines = [stream("Caddy", BEGIN + number, 60, path=path) for number, path in enumerate(paths)]
    judge = Judge(RuleOptions())
    for event in read("".join(line.replace('"duration"', '"user_id":"ann","duration"') + "\n" for line in lines)):
        judge.feed(event)
    assert [finding.rule for finding in judge.finish()] == rules


def test_the_page_that_links_to_a_websocket_names_no_user() -> None:
    record = '{"referer":"https://a.example/p?user=bob","remote_addr":"192.0.2.8","uri":"/live?user=ann","status":101}'
    log = AccessLog.recognise(TimestampParser(""), record.encode())
    assert log is not None
    log.read(bytearray(record.encode()), 0, len(record), 1)
    assert list(log.clients) == ["ann"]


def test_the_log_of_the_application_counts_if_both_are_in_one_file() -> None:
    line = "2025-11-18T09:14:03.000Z WebSocket client connected { socketId: 's1', userId: 'ann' }\n"
    events = read(f"{line}{RECORDS['nginx']}\n")
    assert [event.line for event in events] == [1]


ATTEMPTS = {
    "nginx": '192.0.2.8 - - [18/Nov/2025:09:15:{s:02} +0000] "{m} /socket.io/?EIO=4{q} HTTP/1.1" {c} 41',
    "Caddy": '{{"ts":17634573{s:02}.0,"request":{{"client_ip":"192.0.2.8","method":"{m}",'
    '"uri":"/socket.io/?EIO=4{q}"}},"status":{c}}}',
    "Fastify": '{{"level":30,"time":17634573{s:02}000,"req":{{"method":"{m}","url":"/socket.io/?EIO=4{q}",'
    '"remoteAddress":"192.0.2.8"}},"res":{{"statusCode":{c}}},"msg":"request completed"}}',
    "morgan": '::ffff:192.0.2.8 - - [18/Nov/2025:09:15:{s:02} +0000] "{m} /socket.io/?EIO=4{q} HTTP/1.1" {c} 4 "-"',
}


def attempts(server: str, *, code: int, then: int = 200, number: int = 8) -> list[Event]:
    """Events of a client that makes a handshake each second; the first request of each session gets `code`."""
    lines = list[str]()
    for second in range(number):
        sid = f"&sid=s{second}"
        for method, query, status in (("GET", "", 200), ("POST", sid, code), ("GET", sid, then)):
            lines.append(ATTEMPTS[server].format(s=second, m=method, q=query, c=status))
    return read("\n".join(lines) + "\n")


@pytest.mark.parametrize("server", ATTEMPTS)
def test_a_session_that_another_process_does_not_know_is_a_refused_attempt(server: str) -> None:
    lost = attempts(server, code=400, then=400)
    assert [(type(event), event.user, event.line) for event in lost] == [
        (Refused, "192.0.2.8", 3 * number + 2) for number in range(8)
    ]
    judge = Judge(RuleOptions())
    for event in lost:
        judge.feed(event)
    [finding] = judge.finish()
    assert (finding.rule, finding.cause and finding.cause.id) == ("excessive-attempts", "no-sticky-session")


@pytest.mark.parametrize("server", ATTEMPTS)
def test_a_session_that_a_restart_ended_is_no_refused_attempt(server: str) -> None:
    assert attempts(server, code=200, then=400) == []
    cut = ATTEMPTS[server].format(s=1, m="GET", q="&sid=earlier", c=400)
    assert read(f"{cut}\n{ATTEMPTS[server].format(s=2, m='GET', q='', c=200)}\n") == []


@pytest.mark.parametrize("address", ["192.0.2.8", "2001:db8::7", "::1", "fe80:0:0:0:0:0:0:9"])
def test_the_address_of_the_client_is_read(address: str) -> None:
    log = AccessLog(TimestampParser(""))
    line = f'{address} - - [18/Nov/2025:09:15:00 +0000] "GET /socket.io/?EIO=4 HTTP/1.1" 200 41\n'.encode()
    log.read(bytearray(line), 0, len(line), 1)
    assert list(log.clients) == [address]


@pytest.mark.parametrize(
    "opening", [b"/" * 60_000 + b"?EIO", b"/?" * 60_000, b"EIO= " + b"/?\\" * 60_000, b"#Fields:" + b"\t" * 60_000]
)
def test_no_line_makes_the_search_for_requests_slow(opening: bytes) -> None:
    began = time.process_time()
    AccessLog.recognise(TimestampParser("access.log"), opening)
    assert _engine_io_query(opening.decode()) is None
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ("GET /a?b=1 /socket.io/?EIO=4&t=1 HTTP/1.1", "EIO=4&t=1"),
        ("a?/b?x=1?EIO=4'", "x=1?EIO=4"),
        ('"url":"\\/socket.io\\/?EIO=4\\u0026"', "EIO=4"),
        ("/a?b\\c/d?EIO=3", "EIO=3"),
        ("?EIO=4", None),
        ("EIO=4/?", None),
    ],
)
def test_the_query_of_engine_io_is_found(line: str, query: str | None) -> None:
    assert _engine_io_query(line) == query


@pytest.mark.parametrize(
    ("lines", "gap"),
    [
        ([stream("Caddy", BEGIN, 60), stream("Caddy", BEGIN + 3, 60)], "access-log-only"),
        ([untyped(BEGIN + 33 * number, 30) for number in range(3)], "access-log-fields"),
        ([untyped(BEGIN + number, 0.02, "/") for number in range(3)], "access-log-only"),
    ],
    ids=["streams", "long requests", "other requests"],
)
def test_no_marker_is_proposed_for_an_access_log(tmp_path: Path, lines: list[str], gap: str) -> None:
    path = tmp_path / "access.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    report = wscheck.read_log(path)
    assert (report.verdict, next(each.id for each in report.gaps)) == ("inconclusive", gap)
    assert (list(marker_hints(report)), command_with_markers(report)) == ([], "")
