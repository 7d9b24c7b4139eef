"""Generated logs of any size: a busy backend with a few users whose two components replace each other."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

USERS, BROKEN = 4_000, 20
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CONNECTED = "WebSocket client connected"
REPLACED = "Replacing existing socket for user"
DISCONNECTED = "WebSocket client disconnected"

Record = tuple[str, dict[str, Any]]
Render = Callable[[str, dict[str, Any], int], str]


def pino(message: str, fields: dict[str, Any], at: int) -> str:
    """Return one line as pino writes it."""
    record = {"level": 30, "time": at, "pid": 4242, "hostname": "bot-1", **fields, "msg": message}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"


def bullets(message: str, fields: dict[str, Any], at: int) -> str:
    """Return a documented record as a block; anything else as one line."""
    if message not in {CONNECTED, REPLACED, DISCONNECTED}:
        return f"{message} {fields}\n"
    return message + "\n" + "".join(f"• {key}: {value}\n" for key, value in fields.items())


def composed(message: str, fields: dict[str, Any], at: int) -> str:
    """Return a line of `console.log` with an object, under docker compose."""
    inspected = ", ".join(f"{key}: {value!r}" for key, value in fields.items())
    return f"bot-1  | {message} {{ {inspected} }}\n"


def write(path: Path, size: int, share: float, render: Render) -> None:
    """Write `size` bytes of log to `path`. A share of `share` of its lines starts a record."""
    draw = random.Random(20_260_115)
    # The times of the noise are not read, so each line of it is rendered once.
    noise = [render(*_noise(draw), 1_768_469_400_000) for _ in range(20_000)]
    records, at, written = _records(draw), 1_768_469_400_000, 0
    with path.open("wb", buffering=1 << 20) as file:
        while written < size:
            at += 40
            lines = draw.choices(noise, k=int(draw.expovariate(share)))
            lines.append(render(*next(records), at))
            written += file.write("".join(lines).encode())


def _noise(draw: random.Random) -> Record:
    number = draw.randrange(100_000)
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
    request = {
        "id": number,
        "method": "GET",
        "url": f"/api/bots/{number % 50}/status",
        "headers": {"user-agent": agent},
    }
    return draw.choice(
        (
            ("request completed", {"req": request, "res": {"statusCode": 200}, "responseTime": number % 900}),
            ("Client heartbeat", {"socketId": f"hb{number}", "latency": number % 300}),
            ("Slow query", {"ms": number, "sql": "SELECT * FROM sockets WHERE user_id = $1 AND state = 'open'"}),
            ("redis publish", {"channel": "bot:status", "userId": f"user_{number % USERS}", "bytes": number % 4_000}),
            ("📊 Bot status update received", {"userId": f"user_{number % USERS}", "botId": "bot_7", "status": "qr"}),
            ("qr refreshed", {"qr": "x" * 237}),
        )
    )


def _records(draw: random.Random) -> Iterator[Record]:
    """Yield records: healthy users connect and disconnect; the sockets of a few broken ones replace each other."""
    holds: dict[str, str] = {}
    while True:
        broken = draw.random() < 0.1
        user = f"user_{draw.randrange(BROKEN) if broken else draw.randrange(BROKEN, USERS)}"
        sid = "".join(draw.choices(LETTERS, k=16)) + "AAAB"
        held = holds.get(user)
        if held is not None and not broken:
            yield DISCONNECTED, {"socketId": held, "reason": "transport close"}
            del holds[user]
            continue
        yield CONNECTED, {"socketId": sid, "userId": user}
        holds[user] = sid
        if held is not None:
            yield REPLACED, {"userId": user, "oldSocketId": held, "newSocketId": sid}
            yield DISCONNECTED, {"socketId": held, "reason": "server namespace disconnect"}
