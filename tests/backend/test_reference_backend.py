"""Tests that both reference backends behave as docs/reference-backend.md says, with a python-socketio client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import socketio
from socketio.exceptions import ConnectionError as RefusedError

from tests.embedded_backend import embedded_backend
from tests.node_backend import Backend, node_backend

EVENTS = ("bot_status_update", "message_sync", "connection_update", "whatsapp_connection_event")


StartBackend = Callable[..., AbstractContextManager[Backend]]


@pytest.fixture(params=[node_backend, embedded_backend], ids=["node", "embedded"])
def start(request: pytest.FixtureRequest) -> StartBackend:
    """Return the function that starts either backend. Both accept the same command-line options."""
    chosen: StartBackend = request.param
    return chosen


class Client:
    """python-socketio client that records what it received and why it was closed."""

    def __init__(self) -> None:
        self.io = socketio.AsyncClient(reconnection=False)
        self.received: list[tuple[str, Any]] = []
        self.closed = asyncio.Event()
        self.reason = ""
        self.refusal = ""
        self.io.on("*", self._record)
        self.io.on("connect_error", self._refuse)
        self.io.on("disconnect", self._close)

    def _record(self, name: str, data: Any) -> None:
        self.received.append((name, data))

    def _close(self, reason: str) -> None:
        self.reason = reason
        self.closed.set()

    def _refuse(self, error: Any) -> None:
        self.refusal = error["message"]

    def names(self) -> list[str]:
        return [name for name, _ in self.received]

    async def call(self, request: str, value: Any = None) -> Any:
        return await self.io.call(request, value, timeout=5)


@asynccontextmanager
async def client(backend: Backend, user: str = "ann", token: str | None = None) -> AsyncIterator[Client]:
    """Connect a client of `user` while the block runs. `token` is the user's own by default."""
    one = Client()
    auth = {"token": f"token-of-{user}" if token is None else token, "userId": user}
    try:
        await one.io.connect(backend.url, auth=auth, transports=["websocket"], wait_timeout=5)
        yield one
    except RefusedError:
        raise RefusedError(one.refusal) from None
    finally:
        await one.io.shutdown()


async def until(condition: Callable[[], bool | Awaitable[bool]], within: float = 5.0) -> None:
    """Wait until `condition` is true, and fail on timeout."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def test_replace_disconnects_the_old_connection(start: StartBackend) -> None:
    with start() as backend:
        async with client(backend) as old, client(backend) as new:
            await until(old.closed.is_set)
            assert old.reason == "server disconnect"
            assert await new.call("echo", 7) == 7
            counted = backend.counters()
    assert (counted["connects"], counted["replaced"], counted["open"], counted["peak"]) == (2, 1, 1, 2)
    assert counted["disconnects"] == {"server namespace disconnect": 1}


async def test_reject_refuses_the_second_connection_until_the_first_has_ended(start: StartBackend) -> None:
    with start("--policy", "reject") as backend:
        async with client(backend):
            with pytest.raises(RefusedError, match="already connected"):
                async with client(backend):
                    pass
        await until(lambda: backend.counters()["open"] == 0)
        async with client(backend):
            assert backend.counters()["refused"] == 1


async def test_allow_leaves_both_open_and_sends_to_both(start: StartBackend) -> None:
    with start("--policy", "allow") as backend:
        async with client(backend) as one, client(backend) as two:
            assert await one.call("request_bot_status") == {"ok": True}
            await until(lambda: one.names() == two.names() == ["bot_status_update"])
            assert one.received == two.received
            counted = backend.counters()
    assert (counted["open"], counted["replaced"], counted["emitted"], counted["received"]) == (2, 0, 2, 1)


async def test_every_request_is_answered_as_documented(start: StartBackend) -> None:
    with start() as backend:
        async with client(backend) as one, client(backend, "bob") as other:
            for request in ("request_bot_status", "request_message_sync", "request_connection_update"):
                assert await one.call(request) == {"ok": True}
            assert await one.call("trigger_whatsapp_connection") == {"ok": True}
            assert await one.call("disconnect_whatsapp") == {"ok": True}
            await until(lambda: len(one.received) == 6)
            assert await other.call("echo", {"any": ["thing"]}) == {"any": ["thing"]}
            assert other.received == []
    payloads = [payload for _, payload in one.received]
    assert one.names() == [
        "bot_status_update",
        "message_sync",
        "connection_update",
        *["whatsapp_connection_event"] * 3,
    ]
    assert [payload["seq"] for payload in payloads] == [1, 2, 3, 4, 5, 6]
    assert {payload["userId"] for payload in payloads} == {"ann"}
    assert [sorted(set(payload) - {"userId", "seq"}) for payload in payloads] == [
        ["botId", "status"], ["chatId", "messages"], ["connection"], ["qr", "type"], ["type"], ["type"],
    ]  # fmt: skip
    assert [p["type"] for p in payloads[3:]] == ["qr_updated", "whatsapp_connected", "whatsapp_disconnected"]


@pytest.mark.parametrize(
    ("token", "message"),
    [("wrong", "invalid token"), ("", "invalid token"), ("token-of-bob", "token does not belong to this user")],
)
async def test_a_wrong_token_is_refused(start: StartBackend, token: str, message: str) -> None:
    with start() as backend:
        with pytest.raises(RefusedError, match=message):
            async with client(backend, token=token):
                pass
        assert backend.counters()["refused"] == 1


async def test_close_transport_ends_the_old_connection_without_a_disconnect_packet(start: StartBackend) -> None:
    with start("--fault", "close-transport") as backend:
        async with client(backend) as old, client(backend):
            await until(old.closed.is_set)
            assert old.reason != "server disconnect"
            await until(lambda: backend.counters()["disconnects"] == {"forced close": 1})


async def test_emit_twice_sends_the_same_payload_twice(start: StartBackend) -> None:
    with start("--fault", "emit-twice") as backend:
        async with client(backend) as one:
            await one.call("request_bot_status")
            await until(lambda: len(one.received) == 2)
            assert one.received[0] == one.received[1]


async def test_drop_event_never_sends_message_sync(start: StartBackend) -> None:
    with start("--fault", "drop-event") as backend:
        async with client(backend) as one:
            assert await one.call("request_message_sync") == {"ok": True}
            await one.call("request_bot_status")
            await until(lambda: one.names() == ["bot_status_update"])


async def test_slow_lookup_leaves_simultaneous_connections_open(start: StartBackend) -> None:
    with start("--fault", "slow-lookup") as backend:
        pair = [client(backend), client(backend)]
        one, two = await asyncio.gather(*(each.__aenter__() for each in pair))
        async with asyncio.timeout(5):
            while not {*one.names()} & {*two.names()}:
                await one.call("request_bot_status")
        assert backend.counters()["open"] == 2
        await asyncio.gather(*(each.__aexit__(None, None, None) for each in pair))


async def test_an_old_connection_that_ended_by_itself_is_not_replaced(start: StartBackend) -> None:
    with start("--fault", "slow-lookup") as backend:
        async with client(backend) as old:
            fresh = client(backend)
            joining = asyncio.ensure_future(fresh.__aenter__())
            await asyncio.sleep(0.05)  # during the look-up, which has found the old one
            await old.io.disconnect()
            await joining
            await until(lambda: backend.counters()["open"] == 1)
            counted = backend.counters()
            await fresh.__aexit__(None, None, None)
    assert sum(counted["disconnects"].values()) == 1
    # On a busy machine the old connection may not end in time. Then it is replaced, and counted so.
    assert counted["replaced"] == counted["disconnects"].get("server namespace disconnect", 0)


async def test_slow_lookup_circumvents_reject_for_simultaneous_connections(start: StartBackend) -> None:
    with start("--fault", "slow-lookup", "--policy", "reject") as backend:
        pair = [client(backend), client(backend)]
        await asyncio.gather(*(one.__aenter__() for one in pair))
        assert backend.counters()["open"] == 2
        await asyncio.gather(*(one.__aexit__(None, None, None) for one in pair))


async def test_trust_user_id_accepts_any_user_id_but_only_known_tokens(start: StartBackend) -> None:
    with start("--fault", "trust-user-id") as backend:
        async with client(backend, "ann", token="token-of-bob") as thief:
            await thief.call("request_bot_status")
            await until(lambda: len(thief.received) == 1)
            assert thief.received[0][1]["userId"] == "ann"
        with pytest.raises(RefusedError, match="invalid token"):
            async with client(backend, token="wrong"):
                pass


async def test_leak_events_sends_to_all_users(start: StartBackend) -> None:
    with start("--fault", "leak-events") as backend:
        async with client(backend) as one, client(backend, "bob") as other:
            await one.call("request_bot_status")
            await until(lambda: len(other.received) == 1)
            assert other.received[0][1]["userId"] == "ann"


async def test_accept_any_token_refuses_the_token_of_another_user_only(start: StartBackend) -> None:
    with start("--fault", "accept-any-token") as backend:
        async with client(backend, token="wrong") as one:
            assert await one.call("echo", 1) == 1
        with pytest.raises(RefusedError, match="does not belong"):
            async with client(backend, token="token-of-bob"):
                pass


@asynccontextmanager
async def silent_client(backend: Backend) -> AsyncIterator[None]:
    """Connect a client that reads nothing and answers no ping."""
    url = f"{backend.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as wire:
        await wire.send_str('40{"token":"token-of-ann","userId":"ann"}')
        await until(lambda: backend.counters()["open"] == 1)
        yield


# python-engineio announces whole seconds only.
QUICK_PINGS = ("--ping-interval", "1000", "--ping-timeout", "500")


async def test_a_silent_client_is_closed_after_the_ping_timeout(start: StartBackend) -> None:
    with start(*QUICK_PINGS) as backend:
        async with silent_client(backend):
            await until(lambda: backend.counters()["disconnects"] == {"ping timeout": 1})


async def test_never_reap_leaves_a_silent_client_open_after_its_deadline(start: StartBackend) -> None:
    with start(*QUICK_PINGS, "--fault", "never-reap") as backend:
        async with silent_client(backend):
            await asyncio.sleep(2.5)
            assert backend.counters()["open"] == 1


@pytest.mark.parametrize("log_format", ["blocks", "json"])
async def test_the_log_contains_the_documented_records_in_order(start: StartBackend, log_format: str) -> None:
    with start("--log-format", log_format) as backend:
        async with client(backend) as old:
            first = old.io.get_sid()
            async with client(backend) as new:
                second = new.io.get_sid()
                await until(old.closed.is_set)
                await until(lambda: "server namespace disconnect" in backend.log.read_text())
                text = backend.log.read_text()
    records = [
        ("WebSocket client connected", {"socketId": first, "userId": "ann"}),
        ("WebSocket client connected", {"socketId": second, "userId": "ann"}),
        ("Replacing existing socket for user", {"userId": "ann", "oldSocketId": first, "newSocketId": second}),
        ("WebSocket client disconnected", {"socketId": first, "reason": "server namespace disconnect"}),
    ]
    if log_format == "blocks":
        blocks = [
            "\n".join([name, *(f"• {key}: {value}" for key, value in fields.items())]) for name, fields in records
        ]
        assert text == "\n".join(blocks) + "\n"
    else:
        lines = [json.loads(line) for line in text.splitlines()]
        assert all(line.pop("level") == 30 and line.pop("time") > 1e12 for line in lines)
        assert lines == [{"msg": name, **fields} for name, fields in records]


async def test_log_nothing_writes_nothing(start: StartBackend) -> None:
    with start("--fault", "log-nothing") as backend:
        async with client(backend) as old, client(backend):
            await until(old.closed.is_set)
        await until(lambda: backend.counters()["open"] == 0)
        assert backend.log.read_text() == ""


async def test_namespace_path_and_transports_can_be_set(start: StartBackend) -> None:
    options = ("--namespace", "/bots", "--path", "/live", "--transports", "polling")
    # A polling client that disconnects waits for its last poll, which the server answers with a ping.
    with start(*options, "--ping-interval", "1000", "--ping-timeout", "1000") as backend:
        one = socketio.AsyncClient(reconnection=False)
        auth = {"token": "token-of-ann", "userId": "ann"}
        await one.connect(backend.url, auth=auth, namespaces=["/bots"], socketio_path="/live", wait_timeout=5)
        assert one.transport() == "polling"
        assert backend.counters()["connects"] == 1
        await one.shutdown()


async def test_static_serves_only_files_of_the_folder(tmp_path: Any) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<p>hello")
    (tmp_path / "secret.txt").write_text("secret")
    with node_backend("--static", str(pages)) as backend:
        async with aiohttp.ClientSession() as http:
            async with http.get(backend.url) as answer:
                assert (answer.status, await answer.text()) == (200, "<p>hello")
            for path in ("/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%", "/nothing.js"):
                async with http.get(backend.url + path) as answer:
                    assert answer.status == 404


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    message = r"ended with 2: --fault sleep is not known\. Use one of: close-transport"
    with pytest.raises(RuntimeError, match=message), node_backend("--fault", "sleep"):
        pass
