"""A swarm on real servers, the Node one and the embedded one: what it counts, and how each kind of failure is named."""

import os
import signal
import socket
import time
from typing import Any

import gevent
import pytest
from aiohttp import web

from tests.bad_servers import answering, serving, silent_tcp, talking
from tests.embedded_backend import embedded_backend
from tests.loadgen.locusting import agrees
from tests.loadgen.swarming import in_a_thread, is_open, join, refused, swarming, until
from tests.node_backend import node_backend
from wscheck.loadgen.connection import Connection
from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.page_component import Habits
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, TRANSPORT_CLOSE

QUIET = ("--fault", "log-nothing")
EAGER = Habits(kick_delay_s=0.02, backoff_s=0.02, jitter=0.0)
KINDS = {"node": node_backend, "embedded": embedded_backend}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upgrades", [False, True], ids=["websocket", "polling-upgrade"])
def test_replacements_agree_with_both_servers_by_both_transports(kind: str, upgrades: bool) -> None:
    with KINDS[kind](*QUIET) as server, swarming(server.url, upgrades=upgrades) as swarm:
        (alone,) = join(swarm, "alone")
        until(lambda: is_open(alone))
        for user in range(5):
            join(swarm, f"user-{user}", EAGER, EAGER)
        alone.emit("request_bot_status", ack=True)
        until(lambda: swarm.tally.now.replaced > 40 and swarm.tally.now.acks)
        assert swarm.close(3.0) == 0
        counted = swarm.tally.take().statistics
        agrees(counted, server.counters())
    assert counted.disconnects[IO_SERVER_DISCONNECT] == counted.replaced
    assert (counted.users, counted.users_multiple, counted.received) == (6, 5, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_closes_the_transport_replaces_as_well(kind: str) -> None:
    with KINDS[kind](*QUIET, "--fault", "close-transport") as server, swarming(server.url) as swarm:
        join(swarm, "ada", EAGER, EAGER)
        until(lambda: swarm.tally.now.replaced > 10)
        swarm.close(3.0)
        counted, counters = swarm.tally.take().statistics, server.counters()
    assert (counted.connects, counted.replaced) == (counters["connects"], counters["replaced"])
    assert counted.disconnects[TRANSPORT_CLOSE] == counters["disconnects"]["forced close"] == counted.replaced


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_rejects_the_second_connection_replaces_nothing(kind: str) -> None:
    with KINDS[kind](*QUIET, "--policy", "reject") as server, swarming(server.url) as swarm:
        join(swarm, "ada", EAGER, EAGER)
        until(lambda: sum(swarm.tally.now.refused.values()) > 3)
        swarm.close(3.0)
        counted = swarm.tally.take().statistics
        agrees(counted, server.counters())
    assert set(counted.refused) == {"connect_error: already connected"}
    assert (counted.connects, counted.replaced) == (1, 0)
    assert (counted.users, counted.held, counted.users_multiple) == (1, 1, 0), "the refused one was never held"


def test_a_user_that_leaves_during_the_run_leaves_in_order() -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        (stays,), (goes,) = join(swarm, "ada"), join(swarm, "bob")
        until(lambda: is_open(stays) and is_open(goes))
        swarm.part(goes.holding)
        until(lambda: swarm.tally.now.disconnects)
        assert (swarm.tally.users, swarm.tally.open) == (1, 1)
        assert server.counters()["disconnects"] == {"client namespace disconnect": 1}
        assert is_open(stays)


def test_namespace_path_query_and_ipv6() -> None:
    with (
        node_backend(*QUIET, "--host", "::1", "--path", "/ws", "--namespace", "/admin") as server,
        swarming(
            server.url.replace("::1", "[::1]"),
            target={"namespace": "/admin", "path": "/ws/"},
            query="a=1",
            headers="X-From: wscheck",
        ) as swarm,
    ):
        (component,) = join(swarm)
        answers: list[Any] = []
        until(lambda: is_open(component))
        component.emit("echo", {"grüße": 1}, answered=lambda answer, ms: answers.append(answer))
        until(lambda: answers)
        assert answers == [[{"grüße": 1}]]


def test_what_is_large_travels_whole() -> None:
    large = "x" * 900_000
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        (component,) = join(swarm)
        answers: list[Any] = []
        until(lambda: is_open(component))
        component.emit("echo", large, answered=lambda answer, ms: answers.append(answer))
        until(lambda: answers)
        assert answers == [[large]]


def test_a_wrong_token_is_refused_with_what_the_server_said() -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        join(swarm, "ada", token="token-of-bob")
        until(lambda: swarm.tally.now.refused)
        assert swarm.tally.now.refused == {"connect_error: token does not belong to this user": 1}
        assert server.counters()["refused"] == 1


def test_a_token_that_the_server_repeats_is_hidden() -> None:
    async def refuse(ws: web.WebSocketResponse) -> None:
        await ws.send_str('44{"message":"nobody has of-the-file-7, ask for another"}')

    with in_a_thread(lambda: serving(talking(refuse))) as url, swarming(url) as swarm:
        join(swarm, "ada", token="of-the-file-7")
        until(lambda: swarm.tally.now.refused)
        assert swarm.tally.now.refused == {"connect_error: nobody has (hidden), ask for another": 1}


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with swarming(url) as swarm:
        assert refused(swarm) == {"unreachable": 1}


def test_somebody_who_says_nothing() -> None:
    with in_a_thread(silent_tcp) as url, swarming(url, target={"timeout_s": 0.3}) as swarm:
        assert refused(swarm) == {"timeout": 1}


@pytest.mark.parametrize("upgrades", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(502, "<h1>Bad Gateway</h1>", "http-502"), (400, '{"code":5}', "http-400 unsupported protocol version")],
    ids=["502", "Engine.IO 3"],
)
def test_a_server_that_is_none(status: int, body: str, kind: str, upgrades: bool) -> None:
    with in_a_thread(lambda: serving(answering(status, body))) as url, swarming(url, upgrades=upgrades) as swarm:
        assert refused(swarm) == {kind: 1}


def test_a_kick_that_no_newer_connection_explains_is_no_replacement() -> None:
    async def kick(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')
        await ws.send_str("41")

    with in_a_thread(lambda: serving(talking(kick))) as url, swarming(url) as swarm:
        (component,) = join(swarm)
        until(lambda: swarm.tally.now.disconnects)
        assert swarm.tally.now.disconnects == {IO_SERVER_DISCONNECT: 1}
        assert swarm.tally.now.replaced == 0
        assert not component.emit("echo", 1)


def test_a_server_that_never_acknowledges() -> None:
    async def accept(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')

    with in_a_thread(lambda: serving(talking(accept))) as url, swarming(url, ack_timeout_s=0.2) as swarm:
        (component,) = join(swarm)
        answers: list[Any] = []
        until(lambda: is_open(component))
        component.emit("echo", 1, answered=lambda answer, ms: answers.append(answer))
        until(lambda: answers)
        component.emit("echo", 2, ack=True)
        swarm.close(0.2)
        counted = swarm.tally.take().statistics
    assert answers == [None]
    assert (counted.sent, counted.acks, counted.ack_timeouts, counted.unanswered) == (2, 0, 1, 1)


def test_a_server_that_dies_is_come_back_to_with_a_backoff() -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        components = [join(swarm, f"user-{user}", EAGER)[0] for user in range(3)]
        until(lambda: all(map(is_open, components)))
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: swarm.tally.now.refused.get("unreachable", 0) >= 9)
        assert swarm.tally.now.disconnected == 3
        assert swarm.tally.now.replaced == 0


def pings(interval: int, timeout: int) -> tuple[str, ...]:
    return (*QUIET, "--ping-interval", str(interval), "--ping-timeout", str(timeout))


def test_a_stall_of_ours_is_told_as_ours() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "200", "--ping-timeout", "200") as server,
        swarming(server.url) as swarm,
    ):
        (component,) = join(swarm)
        until(lambda: is_open(component))
        time.sleep(1.0)  # the whole hub, as a busy locustfile would
        until(lambda: swarm.tally.now.disconnects)
        assert server.counters()["disconnects"] == {"ping timeout": 1}
        assert swarm.tally.now.stalled == 1
        assert (swarm.tally.now.lag.percentile(100) or 0) > 700


def test_pings_are_answered_for_as_long_as_it_takes() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "100", "--ping-timeout", "300") as server,
        swarming(server.url) as swarm,
    ):
        (component,) = join(swarm)
        until(lambda: is_open(component))
        gevent.sleep(1.0)
        assert is_open(component)
        assert server.counters()["disconnects"] == {}


def test_a_server_that_falls_silent_is_left() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "200", "--ping-timeout", "200") as server,
        swarming(server.url) as swarm,
    ):
        (component,) = join(swarm)
        until(lambda: is_open(component))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            until(lambda: swarm.tally.now.disconnects)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert swarm.tally.now.disconnects == {"ping timeout": 1}
        assert swarm.tally.now.stalled == 0


def test_strict_mode_opens_drops_and_opens() -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        (component,) = join(swarm, "ada", Habits(drops_first_s=0.0))
        until(lambda: is_open(component))
        swarm.close(3.0)
        counted = swarm.tally.take().statistics
        agrees(counted, server.counters())
    assert counted.attempts == 2
    assert counted.disconnects[IO_CLIENT_DISCONNECT] == counted.connects


def test_what_the_page_dropped_is_not_held_while_its_end_is_on_the_way() -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        (component,) = join(swarm)
        until(lambda: is_open(component))
        (dropped,) = component.holding.held
        dropped.leave()
        component.holding.asked(Connection(swarm, component.holding.presence, component))
        assert (swarm.tally.now.held, swarm.tally.now.users_multiple, dropped.is_over) == (1, 0, False)
        component.holding.asked(Connection(swarm, component.holding.presence, component))
        assert (swarm.tally.now.held, swarm.tally.now.users_multiple) == (2, 1)
        component.holding.held[1:] = []


def test_local_addresses_are_used_in_turn() -> None:
    with node_backend(*QUIET) as server, swarming(server.url, sources=("127.0.0.2", "127.0.0.3")) as swarm:
        components = [join(swarm, f"user-{user}")[0] for user in range(4)]
        until(lambda: all(map(is_open, components)))
        names = [component.connection._link.socket.getsockname()[0] for component in components]  # type: ignore[union-attr]
    assert names == ["127.0.0.2", "127.0.0.3"] * 2


@pytest.mark.parametrize("source", ["192.0.2.1", "::1"])
def test_an_address_that_does_not_lead_there_is_refused_before_anything_starts(source: str) -> None:
    with (
        pytest.raises(SetupError, match=f"{source} is no address of this machine from which 127.0.0.1 can be reached"),
        swarming("http://127.0.0.1:1", sources=(source,)),
    ):
        pass


@pytest.mark.parametrize(("jitter", "together"), [(0.0, True), (1.0, False)])
def test_when_the_server_goes_everybody_comes_back_at_once_or_spread_by_jitter(jitter: float, together: bool) -> None:
    with node_backend(*QUIET) as server, swarming(server.url) as swarm:
        habits, tried = Habits(backoff_s=0.6, jitter=jitter), []  # type: tuple[Habits, list[float]]
        components = [join(swarm, f"user-{user}", habits)[0] for user in range(20)]
        until(lambda: all(map(is_open, components)))
        swarm.tell_connect = lambda ms, refused: tried.append(time.monotonic())
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: len(tried) >= 20)
    assert (tried[19] - tried[0] < 0.35) is together
    assert swarm.tally.now.replaced == 0
