"""A load generator on real servers, Node and embedded: its counts, and the kind of each failure."""

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
from tests.loadgen.generators import add_user, in_a_thread, is_open, load_generator, refusal_kinds, wait_until
from tests.loadgen.locust_runs import assert_agrees
from tests.node_backend import node_backend
from wscheck.loadgen.connection import Connection
from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.page_component import ReconnectPolicy
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, TRANSPORT_CLOSE

QUIET = ("--fault", "log-nothing")
ALWAYS_RECONNECT = ReconnectPolicy(after_server_disconnect_s=0.02, backoff_s=0.02, jitter=0.0)
BACKENDS = {"node": node_backend, "embedded": embedded_backend}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("upgrades", [False, True], ids=["websocket", "polling-upgrade"])
def test_replacements_agree_with_both_servers_on_both_transports(backend: str, upgrades: bool) -> None:
    with BACKENDS[backend](*QUIET) as server, load_generator(server.url, upgrades=upgrades) as generator:
        (alone,) = add_user(generator, "alone")
        wait_until(lambda: is_open(alone))
        for user in range(5):
            add_user(generator, f"user-{user}", ALWAYS_RECONNECT, ALWAYS_RECONNECT)
        alone.emit("request_bot_status", ack=True)
        wait_until(lambda: generator.counters.current.replaced > 40 and generator.counters.current.acks)
        assert generator.close(3.0) == 0
        counted = generator.counters.take_report().statistics
        assert_agrees(counted, server.counters())
    assert counted.disconnects[IO_SERVER_DISCONNECT] == counted.replaced
    assert (counted.users, counted.users_multiple, counted.received) == (6, 5, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_may_replace_by_closing_the_transport(backend: str) -> None:
    with BACKENDS[backend](*QUIET, "--fault", "close-transport") as server, load_generator(server.url) as generator:
        add_user(generator, "ada", ALWAYS_RECONNECT, ALWAYS_RECONNECT)
        wait_until(lambda: generator.counters.current.replaced > 10)
        generator.close(3.0)
        counted, counters = generator.counters.take_report().statistics, server.counters()
    assert (counted.connects, counted.replaced) == (counters["connects"], counters["replaced"])
    assert counted.disconnects[TRANSPORT_CLOSE] == counters["disconnects"]["forced close"] == counted.replaced


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_that_rejects_the_second_connection_replaces_nothing(backend: str) -> None:
    with BACKENDS[backend](*QUIET, "--policy", "reject") as server, load_generator(server.url) as generator:
        add_user(generator, "ada", ALWAYS_RECONNECT, ALWAYS_RECONNECT)
        wait_until(lambda: sum(generator.counters.current.refused.values()) > 3)
        generator.close(3.0)
        counted = generator.counters.take_report().statistics
        assert_agrees(counted, server.counters())
    assert set(counted.refused) == {"connect_error: already connected"}
    assert (counted.connects, counted.replaced) == (1, 0)
    assert (counted.users, counted.sum_of_user_peaks, counted.users_multiple) == (1, 1, 0), (
        "a refused connection does not count"
    )


def test_a_user_that_stops_during_the_run_disconnects_in_order() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        (staying,), (stopping,) = add_user(generator, "ada"), add_user(generator, "bob")
        wait_until(lambda: is_open(staying) and is_open(stopping))
        generator.remove_user(stopping.user_connections)
        wait_until(lambda: generator.counters.current.disconnects)
        assert (generator.counters.users, generator.counters.open) == (1, 1)
        assert server.counters()["disconnects"] == {"client namespace disconnect": 1}
        assert is_open(staying)


def test_namespace_path_query_and_ipv6() -> None:
    with (
        node_backend(*QUIET, "--host", "::1", "--path", "/ws", "--namespace", "/admin") as server,
        load_generator(
            server.url.replace("::1", "[::1]"),
            target={"namespace": "/admin", "path": "/ws/"},
            query="a=1",
            headers="X-From: wscheck",
        ) as generator,
    ):
        (component,) = add_user(generator)
        answers: list[Any] = []
        wait_until(lambda: is_open(component))
        component.emit("echo", {"grüße": 1}, on_ack=lambda answer, ms: answers.append(answer))
        wait_until(lambda: answers)
        assert answers == [[{"grüße": 1}]]


def test_a_large_event_arrives_whole() -> None:
    large = "x" * 900_000
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        (component,) = add_user(generator)
        answers: list[Any] = []
        wait_until(lambda: is_open(component))
        component.emit("echo", large, on_ack=lambda answer, ms: answers.append(answer))
        wait_until(lambda: answers)
        assert answers == [[large]]


def test_the_kind_of_a_refused_connect_is_the_servers_message() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        add_user(generator, "ada", token="token-of-bob")
        wait_until(lambda: generator.counters.current.refused)
        assert generator.counters.current.refused == {"connect_error: token does not belong to this user": 1}
        assert server.counters()["refused"] == 1


def test_a_token_that_the_server_repeats_is_redacted() -> None:
    async def refuse(ws: web.WebSocketResponse) -> None:
        await ws.send_str('44{"message":"unknown token of-the-file-7, get another"}')

    with in_a_thread(lambda: serving(talking(refuse))) as url, load_generator(url) as generator:
        add_user(generator, "ada", token="of-the-file-7")
        wait_until(lambda: generator.counters.current.refused)
        assert generator.counters.current.refused == {"connect_error: unknown token hidden-1, get another": 1}


def test_a_port_without_a_server_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with load_generator(url) as generator:
        assert refusal_kinds(generator) == {"unreachable": 1}


def test_a_silent_server_is_a_timeout() -> None:
    with in_a_thread(silent_tcp) as url, load_generator(url, target={"timeout_s": 0.3}) as generator:
        assert refusal_kinds(generator) == {"timeout": 1}


@pytest.mark.parametrize("upgrades", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(502, "<h1>Bad Gateway</h1>", "http-502"), (400, '{"code":5}', "http-400 unsupported protocol version")],
    ids=["502", "Engine.IO 3"],
)
def test_an_http_error_is_a_refusal(status: int, body: str, kind: str, upgrades: bool) -> None:
    with (
        in_a_thread(lambda: serving(answering(status, body))) as url,
        load_generator(url, upgrades=upgrades) as generator,
    ):
        assert refusal_kinds(generator) == {kind: 1}


def test_a_disconnect_without_a_newer_connection_is_no_replacement() -> None:
    async def disconnect(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')
        await ws.send_str("41")

    with in_a_thread(lambda: serving(talking(disconnect))) as url, load_generator(url) as generator:
        (component,) = add_user(generator)
        wait_until(lambda: generator.counters.current.disconnects)
        assert generator.counters.current.disconnects == {IO_SERVER_DISCONNECT: 1}
        assert generator.counters.current.replaced == 0
        assert not component.emit("echo", 1)


def test_a_server_that_never_acknowledges() -> None:
    async def accept(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')

    with in_a_thread(lambda: serving(talking(accept))) as url, load_generator(url, ack_timeout_s=0.2) as generator:
        (component,) = add_user(generator)
        answers: list[Any] = []
        wait_until(lambda: is_open(component))
        component.emit("echo", 1, on_ack=lambda answer, ms: answers.append(answer))
        wait_until(lambda: answers)
        component.emit("echo", 2, ack=True)
        generator.close(0.2)
        counted = generator.counters.take_report().statistics
    assert answers == [None]
    assert (counted.sent, counted.acks, counted.ack_timeouts, counted.unanswered) == (2, 0, 1, 1)


def test_users_reconnect_with_backoff_to_a_server_that_died() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        components = [add_user(generator, f"user-{user}", ALWAYS_RECONNECT)[0] for user in range(3)]
        wait_until(lambda: all(map(is_open, components)))
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: generator.counters.current.refused.get("unreachable", 0) >= 9)
        assert generator.counters.current.disconnected == 3
        assert generator.counters.current.replaced == 0


def pings(interval: int, timeout: int) -> tuple[str, ...]:
    return (*QUIET, "--ping-interval", str(interval), "--ping-timeout", str(timeout))


def test_our_own_stall_is_counted_as_stalled() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "200", "--ping-timeout", "200") as server,
        load_generator(server.url) as generator,
    ):
        (component,) = add_user(generator)
        wait_until(lambda: is_open(component))
        time.sleep(1.0)  # blocks the whole hub, as a busy locustfile would
        wait_until(lambda: generator.counters.current.disconnects)
        assert server.counters()["disconnects"] == {"ping timeout": 1}
        assert generator.counters.current.stalled == 1
        assert (generator.counters.current.lag.percentile(100) or 0) > 700


def test_pings_are_answered() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "100", "--ping-timeout", "300") as server,
        load_generator(server.url) as generator,
    ):
        (component,) = add_user(generator)
        wait_until(lambda: is_open(component))
        gevent.sleep(1.0)
        assert is_open(component)
        assert server.counters()["disconnects"] == {}


def test_a_server_that_becomes_silent_is_a_ping_timeout() -> None:
    with (
        node_backend(*QUIET, "--ping-interval", "200", "--ping-timeout", "200") as server,
        load_generator(server.url) as generator,
    ):
        (component,) = add_user(generator)
        wait_until(lambda: is_open(component))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: generator.counters.current.disconnects)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert generator.counters.current.disconnects == {"ping timeout": 1}
        assert generator.counters.current.stalled == 0


def test_a_remount_drops_the_connection_and_opens_another() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        (component,) = add_user(generator, "ada", ReconnectPolicy(remount_after_s=0.0))
        wait_until(lambda: is_open(component))
        generator.close(3.0)
        counted = generator.counters.take_report().statistics
        assert_agrees(counted, server.counters())
    assert counted.attempts == 2
    assert counted.disconnects[IO_CLIENT_DISCONNECT] == counted.connects


def test_a_dropped_connection_does_not_count_while_it_closes() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        (component,) = add_user(generator)
        wait_until(lambda: is_open(component))
        (dropped,) = component.user_connections.active
        dropped.close()
        component.user_connections.connect_sent(Connection(generator, component.user_connections.identity, component))
        counts = generator.counters.current
        assert (counts.sum_of_user_peaks, counts.users_multiple, dropped.has_ended) == (1, 0, False)
        component.user_connections.connect_sent(Connection(generator, component.user_connections.identity, component))
        assert (counts.sum_of_user_peaks, counts.users_multiple) == (2, 1)
        component.user_connections.active[1:] = []


def test_local_addresses_are_used_in_turn() -> None:
    with node_backend(*QUIET) as server, load_generator(server.url, sources=("127.0.0.2", "127.0.0.3")) as generator:
        components = [add_user(generator, f"user-{user}")[0] for user in range(4)]
        wait_until(lambda: all(map(is_open, components)))
        names = [component.connection._transport.socket.getsockname()[0] for component in components]  # type: ignore[union-attr]
    assert names == ["127.0.0.2", "127.0.0.3"] * 2


@pytest.mark.parametrize("source", ["192.0.2.1", "::1"])
def test_an_unusable_source_address_is_an_error_before_the_start(source: str) -> None:
    with (
        pytest.raises(SetupError, match=f"{source} is no address of this machine from which 127.0.0.1 can be reached"),
        load_generator("http://127.0.0.1:1", sources=(source,)),
    ):
        pass


@pytest.mark.parametrize(("jitter", "together"), [(0.0, True), (1.0, False)])
def test_after_a_server_stop_users_reconnect_together_or_spread_by_jitter(jitter: float, together: bool) -> None:
    with node_backend(*QUIET) as server, load_generator(server.url) as generator:
        attempted_at: list[float] = []
        policy = ReconnectPolicy(backoff_s=0.6, jitter=jitter)
        components = [add_user(generator, f"user-{user}", policy)[0] for user in range(20)]
        wait_until(lambda: all(map(is_open, components)))
        generator.on_connect = lambda ms, refused: attempted_at.append(time.monotonic())
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: len(attempted_at) >= 20)
    assert (attempted_at[19] - attempted_at[0] < 0.35) is together
    assert generator.counters.current.replaced == 0
