"""Both reference backends do what docs/reference-backend.md says: seen by a real python-socketio client."""

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


Start = Callable[..., AbstractContextManager[Backend]]


@pytest.fixture(params=[node_backend, embedded_backend], ids=["node", "embedded"])
def start(request: pytest.FixtureRequest) -> Start:
    """Starts either backend with command line options; they take the same ones."""
    chosen: Start = request.param
    return chosen


class Client:
    """A python-socketio client that keeps what it received and why it was closed."""

    def __init__(self) -> None:
        self.io = socketio.AsyncClient(reconnection=False)
        self.received: list[tuple[str, Any]] = []
        self.closed = asyncio.Event()
        self.reason = ""
        self.refusal = ""
        self.io.on("*", self._keep)
        self.io.on("connect_error", self._refuse)
        self.io.on("disconnect", self._close)

    def _keep(self, name: str, data: Any) -> None:
        self.received.append((name, data))

    def _close(self, reason: str) -> None:
        self.reason = reason
        self.closed.set()

    def _refuse(self, error: Any) -> None:
        self.refusal = error["message"]

    def names(self) -> list[str]:
        return [name for name, _ in self.received]

    async def ask(self, request: str, value: Any = None) -> Any:
        return await self.io.call(request, value, timeout=5)


@asynccontextmanager
async def client(backend: Backend, user: str = "ann", token: str | None = None) -> AsyncIterator[Client]:
    """A connected client of `user`; `token` is the user's own unless given."""
    one = Client()
    auth = {"token": f"token-of-{user}" if token is None else token, "userId": user}
    try:
        await one.io.connect(backend.url, auth=auth, transports=["websocket"], wait_timeout=5)
        yield one
    except RefusedError:
        raise RefusedError(one.refusal) from None
    finally:
        await one.io.shutdown()


async def until(holds: Callable[[], bool | Awaitable[bool]], within: float = 5.0) -> None:
    """Waits for `holds`, and fails when it does not come true in time."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


async def test_replace_keeps_the_new_one_and_disconnects_the_old(start: Start) -> None:
    with start() as backend:
        async with client(backend) as old, client(backend) as new:
            await until(old.closed.is_set)
            assert old.reason == "server disconnect"
            assert await new.ask("echo", 7) == 7
            counted = backend.counters()
    assert (counted["connects"], counted["replaced"], counted["open"], counted["peak"]) == (2, 1, 1, 2)
    assert counted["disconnects"] == {"server namespace disconnect": 1}


async def test_reject_refuses_the_second_and_admits_again_after_the_first_left(start: Start) -> None:
    with start("--policy", "reject") as backend:
        async with client(backend):
            with pytest.raises(RefusedError, match="already connected"):
                async with client(backend):
                    pass
        await until(lambda: backend.counters()["open"] == 0)
        async with client(backend):
            assert backend.counters()["refused"] == 1


async def test_allow_keeps_both_and_sends_to_both(start: Start) -> None:
    with start("--policy", "allow") as backend:
        async with client(backend) as one, client(backend) as two:
            assert await one.ask("request_bot_status") == {"ok": True}
            await until(lambda: one.names() == two.names() == ["bot_status_update"])
            assert one.received == two.received
            counted = backend.counters()
    assert (counted["open"], counted["replaced"], counted["emitted"], counted["received"]) == (2, 0, 2, 1)


async def test_every_request_is_answered_as_documented(start: Start) -> None:
    with start() as backend:
        async with client(backend) as one, client(backend, "bob") as other:
            for request in ("request_bot_status", "request_message_sync", "request_connection_update"):
                assert await one.ask(request) == {"ok": True}
            assert await one.ask("trigger_whatsapp_connection") == {"ok": True}
            assert await one.ask("disconnect_whatsapp") == {"ok": True}
            await until(lambda: len(one.received) == 6)
            assert await other.ask("echo", {"any": ["thing"]}) == {"any": ["thing"]}
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
async def test_a_wrong_token_is_refused(start: Start, token: str, message: str) -> None:
    with start() as backend:
        with pytest.raises(RefusedError, match=message):
            async with client(backend, token=token):
                pass
        assert backend.counters()["refused"] == 1


async def test_close_transport_ends_the_old_connection_without_a_disconnect_packet(start: Start) -> None:
    with start("--fault", "close-transport") as backend:
        async with client(backend) as old, client(backend):
            await until(old.closed.is_set)
            assert old.reason != "server disconnect"
            await until(lambda: backend.counters()["disconnects"] == {"forced close": 1})


async def test_emit_twice_sends_the_same_payload_twice(start: Start) -> None:
    with start("--fault", "emit-twice") as backend:
        async with client(backend) as one:
            await one.ask("request_bot_status")
            await until(lambda: len(one.received) == 2)
            assert one.received[0] == one.received[1]


async def test_drop_event_never_sends_message_sync(start: Start) -> None:
    with start("--fault", "drop-event") as backend:
        async with client(backend) as one:
            assert await one.ask("request_message_sync") == {"ok": True}
            await one.ask("request_bot_status")
            await until(lambda: one.names() == ["bot_status_update"])


async def test_slow_lookup_lets_simultaneous_connections_all_stay(start: Start) -> None:
    with start("--fault", "slow-lookup") as backend:
        pair = [client(backend), client(backend)]
        one, two = await asyncio.gather(*(each.__aenter__() for each in pair))
        async with asyncio.timeout(5):
            while not {*one.names()} & {*two.names()}:
                await one.ask("request_bot_status")
        assert backend.counters()["open"] == 2
        await asyncio.gather(*(each.__aexit__(None, None, None) for each in pair))


async def test_an_old_connection_that_left_by_itself_was_not_replaced(start: Start) -> None:
    with start("--fault", "slow-lookup") as backend:
        async with client(backend) as old:
            fresh = client(backend)
            joining = asyncio.ensure_future(fresh.__aenter__())
            await asyncio.sleep(0.05)  # into the lookup, which has found the old one by then
            await old.io.disconnect()
            await joining
            await until(lambda: backend.counters()["open"] == 1)
            counted = backend.counters()
            await fresh.__aexit__(None, None, None)
    assert sum(counted["disconnects"].values()) == 1
    # On a machine that is too busy to leave in time it was replaced, and is said to be.
    assert counted["replaced"] == counted["disconnects"].get("server namespace disconnect", 0)


async def test_slow_lookup_lets_simultaneous_connections_past_reject(start: Start) -> None:
    with start("--fault", "slow-lookup", "--policy", "reject") as backend:
        pair = [client(backend), client(backend)]
        await asyncio.gather(*(one.__aenter__() for one in pair))
        assert backend.counters()["open"] == 2
        await asyncio.gather(*(one.__aexit__(None, None, None) for one in pair))


async def test_trust_user_id_believes_the_user_id_but_still_wants_a_known_token(start: Start) -> None:
    with start("--fault", "trust-user-id") as backend:
        async with client(backend, "ann", token="token-of-bob") as thief:
            await thief.ask("request_bot_status")
            await until(lambda: len(thief.received) == 1)
            assert thief.received[0][1]["userId"] == "ann"
        with pytest.raises(RefusedError, match="invalid token"):
            async with client(backend, token="wrong"):
                pass


async def test_leak_events_sends_to_everybody(start: Start) -> None:
    with start("--fault", "leak-events") as backend:
        async with client(backend) as one, client(backend, "bob") as other:
            await one.ask("request_bot_status")
            await until(lambda: len(other.received) == 1)
            assert other.received[0][1]["userId"] == "ann"


async def test_accept_any_token_does_not_look_at_it_but_refuses_somebody_elses(start: Start) -> None:
    with start("--fault", "accept-any-token") as backend:
        async with client(backend, token="wrong") as one:
            assert await one.ask("echo", 1) == 1
        with pytest.raises(RefusedError, match="does not belong"):
            async with client(backend, token="token-of-bob"):
                pass


@asynccontextmanager
async def silent_client(backend: Backend) -> AsyncIterator[None]:
    """A connected client that reads nothing more and answers no ping."""
    url = f"{backend.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as wire:
        await wire.send_str('40{"token":"token-of-ann","userId":"ann"}')
        await until(lambda: backend.counters()["open"] == 1)
        yield


# python-engineio announces whole seconds only.
QUICK_PINGS = ("--ping-interval", "1000", "--ping-timeout", "500")


async def test_a_silent_client_is_closed_after_the_ping_timeout(start: Start) -> None:
    with start(*QUICK_PINGS) as backend:
        async with silent_client(backend):
            await until(lambda: backend.counters()["disconnects"] == {"ping timeout": 1})


async def test_never_reap_keeps_a_silent_client_well_past_its_deadline(start: Start) -> None:
    with start(*QUICK_PINGS, "--fault", "never-reap") as backend:
        async with silent_client(backend):
            await asyncio.sleep(2.5)
            assert backend.counters()["open"] == 1


@pytest.mark.parametrize("log_format", ["blocks", "json"])
async def test_the_log_holds_the_documented_records_in_order(start: Start, log_format: str) -> None:
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


async def test_log_nothing_writes_nothing(start: Start) -> None:
    with start("--fault", "log-nothing") as backend:
        async with client(backend) as old, client(backend):
            await until(old.closed.is_set)
        await until(lambda: backend.counters()["open"] == 0)
        assert backend.log.read_text() == ""


async def test_further_options_namespace_path_and_transports(start: Start) -> None:
    options = ("--namespace", "/bots", "--path", "/live", "--transports", "polling")
    # A polling client that leaves waits for its last poll, and that for a ping.
    with start(*options, "--ping-interval", "1000", "--ping-timeout", "1000") as backend:
        one = socketio.AsyncClient(reconnection=False)
        auth = {"token": "token-of-ann", "userId": "ann"}
        await one.connect(backend.url, auth=auth, namespaces=["/bots"], socketio_path="/live", wait_timeout=5)
        assert one.transport() == "polling"
        assert backend.counters()["connects"] == 1
        await one.shutdown()


async def test_static_serves_the_folder_and_nothing_above_it(tmp_path: Any) -> None:
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


def test_a_wrong_option_is_refused_in_a_sentence() -> None:
    said = r"ended with 2: --fault sleep is not known\. Use one of: close-transport"
    with pytest.raises(RuntimeError, match=said), node_backend("--fault", "sleep"):
        pass
