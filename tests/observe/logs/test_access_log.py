"""Tests of access logs whose records show a WebSocket from start to end."""

import pytest

from tests.observe.logs.test_wording import read
from wscheck.model.events import Connected, Disconnected

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
        RECORDS["nginx"].replace(" - ann ", " - - "),
        RECORDS["nginx"].replace(" 101 ", " 200 "),
    ],
    ids=["no duration", "no user", "no upgrade"],
)
def test_other_requests_are_no_connections(record: str) -> None:
    assert read(f"{record}\n") == []


def test_the_log_of_the_application_counts_if_both_are_in_one_file() -> None:
    line = "2025-11-18T09:14:03.000Z WebSocket client connected { socketId: 's1', userId: 'ann' }\n"
    events = read(f"{line}{RECORDS['nginx']}\n")
    assert [event.line for event in events] == [1]
