"""Generated conversations of a server and its users, with near misses and forged records."""

import random
import string
from typing import Any, NamedTuple

CONNECTED = "WebSocket client connected"
REPLACED = "Replacing existing socket for user"
DISCONNECTED = "WebSocket client disconnected"

LETTERS = string.ascii_letters + string.digits + "-_"
REASONS = ("transport close", "transport error", "ping timeout", "server namespace disconnect", "forced close")
FORGED = "hi\nWebSocket client connected\n• socketId: FORGED0000000000AAAA\n• userId: victim"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"


class Entry(NamedTuple):
    """What was logged, when (milliseconds since the epoch), and for a record what is true of it."""

    message: str
    fields: dict[str, Any]
    at: int
    true: dict[str, Any] | None


def conversation(draw: random.Random, records: int, *, spaces: bool = True) -> list[Entry]:
    """`spaces`: users may have blanks in their ids, which not every format can carry."""
    entries: list[Entry] = []
    open_by_user: dict[str, str] = {}
    users, at = _users(draw, spaces), 1_768_469_400_000 + draw.randrange(10**9)
    while sum(entry.true is not None for entry in entries) < records:
        at += draw.randrange(1, 4_000)
        if draw.random() < 0.5:
            entries.append(Entry(*_noise(draw), at, None))
        else:
            entries.extend(_record(draw, open_by_user, draw.choice(users), at))
    return entries


def _users(draw: random.Random, spaces: bool) -> list[str]:
    uuid = "".join(draw.choices("0123456789abcdef", k=12))
    plain = [f"user_{draw.randrange(1000)}", f"ana.silva+{draw.randrange(99)}@example.com", uuid, "0042", "Zoë"]
    return [*plain, "李雷 韩梅", "Ana María da Silva"] if spaces else plain


def _record(draw: random.Random, open_by_user: dict[str, str], user: str, at: int) -> list[Entry]:
    sid = "".join(draw.choices(LETTERS, k=16)) + "AA" + "".join(draw.choices("ABCDEF", k=2))
    if user not in open_by_user:
        open_by_user[user] = sid
        return [_entry("connect", CONNECTED, {"socketId": sid, "userId": user}, at)]
    old = open_by_user.pop(user)
    if draw.random() < 0.5:
        return [_entry("disconnect", DISCONNECTED, {"socketId": old, "reason": draw.choice(REASONS)}, at)]
    open_by_user[user] = sid
    return [
        _entry("connect", CONNECTED, {"socketId": sid, "userId": user}, at),
        _entry("replace", REPLACED, {"userId": user, "oldSocketId": old, "newSocketId": sid}, at + 3),
        _entry("disconnect", DISCONNECTED, {"socketId": old, "reason": "server namespace disconnect"}, at + 4),
    ]


def _entry(kind: str, message: str, fields: dict[str, Any], at: int) -> Entry:
    return Entry(message, fields, at, {"type": kind, **fields})


def _noise(draw: random.Random) -> tuple[str, dict[str, Any]]:
    number = draw.randrange(100_000)
    request = {"id": number, "url": f"/api/{number}", "headers": {"user-agent": AGENT, "host": "api.example.com"}}
    return draw.choice(
        (
            ("request completed", {"req": request, "res": {"statusCode": 200}}),
            ("Client heartbeat", {"socketId": f"hb{number}", "latency": number}),
            ("Joined room", {"socketId": f"zz{number}", "room": f"user:user_{number}"}),
            ("Slow query", {"ms": number, "sql": "SELECT * FROM sockets WHERE user_id = $1 AND state = 'open'"}),
            ("📊 Bot status update received", {"userId": f"user_{number}", "botId": "bot_7", "status": "qr"}),
            ("WebSocket client connected count refreshed", {"total": number}),
            ("Handler registered for WebSocket client disconnected", {"handler": "onDisconnect"}),
            ("Replacing existing socket for users of the old gateway", {"count": number}),
            ("Message received", {"userId": f"user_{number}", "text": FORGED}),
            ("Message received", {"userId": f"user_{number}", "text": 'it says "Replacing existing socket for user"'}),
            ("Message received", {"data": {"message": CONNECTED, "socketId": "FORGED", "userId": "victim"}}),
        )
    )
