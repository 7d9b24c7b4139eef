"""Servers that break every rule, and a proxy that spoils each byte: no crash, no hang and no false pass of `verify`.

36 hostile servers each meet one scenario. Through the proxy, with 60 fixed seeds, the scenarios meet a reference
backend with five faults, so none of them may pass. The proxy is that of the field corpus.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import WSMsgType, web

from tests.bad_servers import HANDSHAKE, serving
from tests.field.servers import score
from tests.node_backend import started
from wscheck.backend.demo_tokens import token_for

JOBS = int(os.environ.get("JOBS", "2"))
LONGEST_S = 120.0
"""A run that takes longer hangs: its scenarios are short, and a connection may take 3 s."""

USERS = ("--user-id", "user_123", "--second-user-id", "user_456")
ACKNOWLEDGED = '40{"sid":"s1"}'
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# fault of the backend, scenario that must not pass
FAULTS = {
    "accept-any-token": "auth-refused",
    "trust-user-id": "identity-binding",
    "leak-events": "isolation",
    "slow-lookup": "race",
    "emit-twice": "event-handling",
}
SPOILT = ("mix", "drop", "dup", "flip", "close", "garbage")
SEEDS = range(1, 11)
CHANCES = {"mix": 0.2, "drop": 0.1, "dup": 0.3, "flip": 0.2, "close": 0.1, "garbage": 0.1}

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Server = Callable[[], AbstractAsyncContextManager[str]]
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What `verify` did. `problems` is empty if it behaved."""

    name: str
    seconds: float
    exit_code: int | None
    problems: tuple[str, ...]


def run() -> None:
    """Run both parts, and print each run with a problem."""
    begin = time.monotonic()
    kinds = os.environ.get("KINDS", "hostile spoilt").split()
    answers = [*(asyncio.run(_hostile()) if "hostile" in kinds else []), *(_spoilt() if "spoilt" in kinds else [])]
    codes = sorted({str(answer.exit_code) for answer in answers})
    slowest = max(answers, key=lambda answer: answer.seconds)
    print(f"{len(answers)} runs, exit codes {', '.join(codes)}, {time.monotonic() - begin:.0f} s")
    print(f"slowest: {slowest.name}, {slowest.seconds:.0f} s")
    wrong = [answer for answer in answers if answer.problems]
    for answer in wrong:
        print(f"  {answer.name} (exit {answer.exit_code}, {answer.seconds:.0f} s): {'; '.join(answer.problems)}")
    print(f"{len(wrong)} with a problem")


def _verify(name: str, url: str, options: tuple[str, ...], not_passed: frozenset[str]) -> Answer:
    """Run `wscheck verify`, and return its answer. A scenario of `not_passed` must not pass."""
    with TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "wscheck",
            "verify",
            url,
            "--timeout",
            "3s",
            "--window",
            "500ms",
            *USERS,
            *options,
        ]
        command += ["--format", "terminal", "--format", "json=run.json", "--format", "html=run.html"]
        command += ["--format", "junit=run.xml", "--format", "markdown=run.md", "--format", "sarif=run.sarif"]
        environ = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8"}
        environ |= {"WSCHECK_TOKEN": token_for("user_123"), "WSCHECK_SECOND_TOKEN": token_for("user_456")}
        begin = time.monotonic()
        try:
            done = subprocess.run(
                command, cwd=folder, env=environ, capture_output=True, text=True, timeout=LONGEST_S, check=False
            )
        except subprocess.TimeoutExpired:
            return Answer(name, LONGEST_S, None, ("no answer",))
        seconds, report = time.monotonic() - begin, Path(folder, "run.json")
        said = done.stdout + done.stderr
        problems = [] if done.returncode in (0, 1, 3) else [f"exit code {done.returncode}: {said.strip()[-300:]}"]
        problems += ["a traceback"] if "Traceback" in said else []
        problems += ["control characters"] if CONTROL.search(said) else []
        kinds = ("json", "html", "xml", "md", "sarif")
        problems += [f"no {kind}" for kind in kinds if not report.with_suffix(f".{kind}").exists()]
        scenarios = json.loads(report.read_bytes())["scenarios"] if report.exists() else []
        passed = {each["id"] for each in scenarios if each["verdict"] == "passed"}
        problems += [f"{scenario} passed" for scenario in sorted(passed & not_passed)]
        return Answer(name, seconds, done.returncode, tuple(problems))


# --- a proxy that spoils what a faulty server sends ---------------------------------------------------------------


def _spoilt() -> list[Answer]:
    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(lambda job: _through_proxy(*job), [(mode, seed) for mode in SPOILT for seed in SEEDS]))


def _through_proxy(mode: str, seed: int) -> Answer:
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    scenarios = [word for scenario in (*FAULTS.values(), "reconnect") for word in ("--scenario", scenario)]
    ping = ("--ping-interval", "1000", "--ping-timeout", "1000")
    with started(sys.executable, "-m", "wscheck", "serve", "--port", "0", *ping, *faults) as backend:
        upstream = backend.url.rpartition(":")[2]
        with _proxy(upstream, mode, seed) as url:
            return _verify(f"{mode} {seed}", url, (*scenarios, "--connections", "per-user"), frozenset(FAULTS.values()))


@contextmanager
def _proxy(upstream: str, mode: str, seed: int) -> Iterator[str]:
    port = str(score.free_port())
    command = [sys.executable, "mutproxy.py", port, upstream, mode, str(seed), str(CHANCES[mode])]
    process = subprocess.Popen(command, cwd=score.SERVERS, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        score.wait_for(score.Places({"port": port}), [process])
        yield f"http://127.0.0.1:{port}"
    finally:
        score.end(process)


# --- servers that break every rule -----------------------------------------------------------------------------------


async def _hostile() -> list[Answer]:
    turn = asyncio.Semaphore(JOBS)

    async def met(name: str, server: Server, *transports: str) -> Answer:
        async with turn, server() as url:
            options = ("--scenario", "single-connection", *transports)
            return await asyncio.to_thread(partial(_verify, name, url, options, frozenset({"single-connection"})))

    meetings = [met(name, server) for name, server in HOSTILE.items()]
    meetings += [met(name, server, "--transports", "websocket") for name, server in TALKING.items()]
    return list(await asyncio.gather(*meetings))


@asynccontextmanager
async def _tcp(serve: Raw) -> AsyncIterator[str]:
    """Run a server that answers each connection with `serve`, whatever the client sends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _says(*pieces: bytes, forever: bytes = b"", pause_s: float = 0.0) -> Server:
    """Answer a request with `pieces`, and then with `forever` again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        while forever:
            writer.write(forever)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return lambda: _tcp(serve)


def _handshakes(text: str) -> Server:
    """Begin each Engine.IO session with `text`."""
    return lambda: serving(_application(text, _acknowledge))


def _talks(talk: Talk) -> Server:
    """Answer CONNECT on the websocket with `talk`."""
    return lambda: serving(_application(HANDSHAKE, talk))


def _sends(*messages: str | bytes, times: int = 1, forever: bool = False) -> Server:
    async def talk(ws: web.WebSocketResponse) -> None:
        while True:
            for _ in range(times):
                for message in messages:
                    await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
            if not forever:
                return

    return _talks(talk)


async def _acknowledge(ws: web.WebSocketResponse) -> None:
    await ws.send_str(ACKNOWLEDGED)


def _application(handshake: str, talk: Talk) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("transport") != "websocket":
            return web.Response(text=handshake, content_type="text/plain")
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        try:
            await ws.send_str(handshake)
            async for message in ws:
                if message.type is WSMsgType.TEXT and str(message.data).startswith("40"):
                    await talk(ws)
        except ConnectionError:
            pass
        return ws

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


async def _closes(ws: web.WebSocketResponse) -> None:
    await ws.close(code=4999, message=b"\x1b[31mgo away")


async def _alternates(ws: web.WebSocketResponse) -> None:
    for _ in range(200):
        await ws.send_str(ACKNOWLEDGED)
        await ws.send_str("41")


def _deep(depth: int) -> str:
    return "[" * depth + "]" * depth


NOISE = bytes(reversed(range(256)))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
HOSTILE: dict[str, Server] = {
    # TCP and HTTP
    "closes at once": lambda: _tcp(lambda reader, writer: asyncio.sleep(0)),
    "garbage instead of HTTP": _says(NOISE * 16),
    "headers without an end": _says(b"HTTP/1.1 200 OK\r\n", forever=b"X-More: " + b"x" * 1000 + b"\r\n"),
    "one header of many megabytes": _says(b"HTTP/1.1 200 OK\r\nX: ", forever=b"x" * 65536),
    "a body without an end": _says(OK + b"\r\n", forever=b"0" * 65536),
    "a body byte by byte": _says(OK + b"Content-Length: 900\r\n\r\n", forever=b"0", pause_s=0.2),
    "a chunk without an end": _says(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", forever=b"0" * 65536),
    "a chunk of negative size": _says(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    "a length that is a lie": _says(OK + b"Content-Length: 5\r\n\r\n" + b"0" * 500),
    "a body that ends early": _says(OK + b"Content-Length: 5000\r\n\r\n0{"),
    "an unknown encoding": _says(OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"),
    "a status without a number": _says(b"HTTP/1.1 yes OK\r\n\r\n"),
    "a redirect to itself": _says(b"HTTP/1.1 302 Found\r\nLocation: /socket.io/\r\nContent-Length: 0\r\n\r\n"),
    "an upgrade nobody asked for": _says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + NOISE),
    "a wrong websocket key": _says(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n",
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    ),
    # the Engine.IO handshake
    "a handshake that is no JSON": _handshakes("0{sid:e1"),
    "a handshake that is a list": _handshakes('0["e1"]'),
    "a handshake without a session": _handshakes('0{"upgrades":[],"pingInterval":25000,"pingTimeout":20000}'),
    "a session id of a megabyte": _handshakes(HANDSHAKE.replace("e1", "e" * (1 << 20))),
    "pings without a pause": _handshakes('0{"sid":"e1","upgrades":[],"pingInterval":0,"pingTimeout":0}'),
    "pings in the past": _handshakes('0{"sid":"e1","upgrades":[],"pingInterval":-1,"pingTimeout":-1}'),
    "pings after the end of time": _handshakes('0{"sid":"e1","upgrades":[],"pingInterval":1e308,"pingTimeout":1e308}'),
    "a ping interval in words": _handshakes('0{"sid":"e1","upgrades":[],"pingInterval":"soon","pingTimeout":[]}'),
    "a handshake of many brackets": _handshakes("0" + _deep(100_000)),
    "a packet of an unknown type": _handshakes("9{}"),
}
TALKING: dict[str, Server] = {
    # Socket.IO on the websocket
    "an acknowledgement without an id": _sends("40{}"),
    "an id that is a number": _sends('40{"sid":7}'),
    "a refusal in colours": _sends('44{"message":"\x1b[2J\x1b[31m<script>alert(1)</script>\\u0007"}'),
    "an acknowledgement that never comes, but events": _sends('42["hello",1]', times=50),
    "connected and disconnected in turn": _talks(_alternates),
    "a close code of nobody": _talks(_closes),
    "an attachment that never comes": _sends(ACKNOWLEDGED, '451-["x",{"_placeholder":true,"num":0}]', "41"),
    "bytes instead of text": _sends(b"\xff\xfe\x00", b"40{}"),
    "an event of many brackets": _sends(ACKNOWLEDGED, "42" + _deep(100_000)),
    "an event that is no list": _sends(ACKNOWLEDGED, '42{"a":1}', "42[]", "42[7]"),
    "events without an end": _sends(ACKNOWLEDGED, '42["\x07\x1b[31mnoise",{"user_123":1}]', times=500, forever=True),
}
