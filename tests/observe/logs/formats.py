"""Formats of loggers: each renders the lines of an entry without the prefix of a runtime."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.observe.logs.conversations import Entry

Format = Callable[[Entry], str]


def _json(value: Any, **spacing: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), **spacing)


def iso(at: int, sep: str = "T", zone: str = "Z") -> str:
    """2026-01-15T09:30:00.123Z"""
    return datetime.fromtimestamp(at / 1000, UTC).strftime(f"%Y-%m-%d{sep}%H:%M:%S.") + f"{at % 1000:03d}{zone}"


def inspect(value: Any, indent: int = 0, width: int = 72) -> str:
    """As node's util.inspect writes it: on one line if it fits, else a key a line."""
    if isinstance(value, str):
        return _literal(value)
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = [f"{_key(key)}: {inspect(item, indent + 2, width)}" for key, item in value.items()]
    line = "{ " + ", ".join(inner) + " }"
    if len(line) + indent <= width and "\n" not in line:
        return line
    return "{\n" + ",\n".join(" " * (indent + 2) + item for item in inner) + "\n" + " " * indent + "}"


def _key(key: str) -> str:
    return key if key.isidentifier() else f"'{key}'"


def _literal(text: str) -> str:
    quote = next((q for q in "'\"`" if q not in text), "'")
    return quote + text.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, "\\" + quote) + quote


def _pretty(entry: Entry) -> str:
    lines = [f"[{iso(entry.at)[11:23]}] INFO (4242): {entry.message}"]
    for key, value in entry.fields.items():
        lines += (f"{key}: {json.dumps(value, ensure_ascii=False, indent=2)}").split("\n")
    return "\n    ".join(lines) + "\n"


def _pretty_under_a_key(entry: Entry) -> str:
    """As pino-pretty prints what was logged as {socket: {...}}, a request before it and more inside it."""
    inside = {"rooms": [{"userId": "nobody"}], "handshake": {"userId": "nobody"}, **entry.fields}
    carried = {"req": {"userId": "nobody"}, "socket": inside, "took": 3}
    return _pretty(entry._replace(fields=carried))


def _under(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, indent=2).replace("\n", "\n    ")


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else _json(value) for key, value in fields.items()}


def _logfmt(entry: Entry) -> str:
    said = {"ts": iso(entry.at), "level": "info", "msg": entry.message, **_flat(entry.fields)}
    return (
        " ".join(f"{k}={_json(v) if set(v) & set(' =') | (set(v) - set(v.strip())) else v}" for k, v in said.items())
        + "\n"
    )


def _bullets(bullet: str, stamp: bool = False) -> Format:
    def write(entry: Entry) -> str:
        head = f"[{iso(entry.at)}] " if stamp else ""
        if entry.true is None:
            return f"{head}{entry.message} {inspect(entry.fields)}\n"
        return f"{head}{entry.message}\n" + "".join(f"{bullet} {k}: {v}\n" for k, v in entry.fields.items())

    return write


def _in_message(entry: Entry) -> str:
    text = entry.message + "".join(f"\n• {k}: {v}" for k, v in entry.fields.items()) if entry.true else entry.message
    rest = {} if entry.true else entry.fields
    return _json({"level": 30, "time": entry.at, **rest, "msg": text}) + "\n"


def _grouped(fields: dict[str, Any]) -> dict[str, Any]:
    return {f"socket.{key}": value for key, value in fields.items()}


def _underscored(fields: dict[str, Any]) -> dict[str, Any]:
    return {f"_{key}": value for key, value in fields.items()}


def _snake(fields: dict[str, Any]) -> dict[str, Any]:
    return {"".join("_" + c.lower() if c.isupper() else c for c in key): value for key, value in fields.items()}


FORMATS: dict[str, Format] = {
    "pino": lambda e: _json({"level": 30, "time": e.at, "pid": 1, **e.fields, "msg": e.message}) + "\n",
    "pino-first": lambda e: _json({"level": "info", "msg": e.message, "time": iso(e.at), **e.fields}) + "\n",
    "pino-nested": lambda e: _json({"time": e.at, "payload": e.fields, "msg": e.message}) + "\n",
    "pino-snake": lambda e: _json({"time": e.at, **_snake(e.fields), "msg": e.message}) + "\n",
    "pino-in-message": _in_message,
    "pino-pretty": _pretty,
    "pino-pretty-nested": _pretty_under_a_key,
    "pino-pretty-bare": lambda e: f"INFO: {e.message}\n    data: {_under(e.fields)}\n",
    "pino-in-socket": lambda e: _json({"time": e.at, "msg": e.message, "socket": e.fields}) + "\n",
    "gelf": lambda e: _json({"short_message": e.message, "timestamp": e.at / 1000, **_underscored(e.fields)}) + "\n",
    "elastic": lambda e: (
        _json({"_id": "x", "_source": {"message": e.message, "@timestamp": iso(e.at), **e.fields}}) + "\n"
    ),
    "winston-json": lambda e: _json({**e.fields, "level": "info", "message": e.message, "timestamp": iso(e.at)}) + "\n",
    "winston-simple": lambda e: f"info: {e.message} {_json(e.fields)}\n",
    "winston-printf": lambda e: f"{iso(e.at, ' ', '')} [info] {e.message} {_json(e.fields)}\n",
    "winston-pretty": lambda e: (
        inspect({**e.fields, "level": "info", "message": e.message, "timestamp": iso(e.at)}) + "\n"
    ),
    "json-indented": lambda e: (
        json.dumps({"message": e.message, "at": iso(e.at), **e.fields}, indent=2, ensure_ascii=False) + "\n"
    ),
    "bunyan": lambda e: (
        _json({"name": "bot", "pid": 1, **e.fields, "msg": e.message, "time": iso(e.at), "v": 0}) + "\n"
    ),
    "log4js": lambda e: f"[{iso(e.at, zone='')}] [INFO] socket - {e.message} {inspect(e.fields)}\n",
    "log4js-json": lambda e: _json({"startTime": iso(e.at), "level": "INFO", "data": [e.message, e.fields]}) + "\n",
    "tslog": lambda e: f"{iso(e.at, ' ', '')}\tINFO\tsocket.ts:99\t{e.message} {inspect(e.fields, width=0)}\n",
    "tslog-numbered": lambda e: _json({"0": e.message, "1": e.fields, "_meta": {"date": iso(e.at)}}) + "\n",
    "consola": lambda e: f"ℹ {e.message} {inspect(e.fields)}\n",
    "signale": lambda e: f"[{iso(e.at)[11:19]}] [bot] › ℹ  info      {e.message} {inspect(e.fields)}\n",
    "debug": lambda e: f"  bot:socket {e.message} {inspect(e.fields)} +8ms\n",
    "nest": lambda e: f"[Nest] 4242  - 01/15/2026, 9:30:00 AM     LOG [SocketGateway] {e.message} {_json(e.fields)}\n",
    "console": lambda e: f"{e.message} {inspect(e.fields)}\n",
    "console-json": lambda e: f"{e.message} {json.dumps(e.fields, ensure_ascii=False, indent=2)}\n",
    "console-twice": lambda e: f"🔌 {e.message}\n{inspect(e.fields)}\n",
    "logfmt": _logfmt,
    "logfmt-groups": lambda e: _logfmt(e._replace(fields=_grouped(e.fields))),
    "json-in-logfmt": lambda e: f"level=info msg={_json(_json({'time': e.at, **e.fields, 'msg': e.message}))}\n",
    "structlog": lambda e: _json({"event": e.message, "timestamp": iso(e.at), **e.fields}) + "\n",
    "google": lambda e: _json({"jsonPayload": {"message": e.message, **e.fields}, "timestamp": iso(e.at)}) + "\n",
    "bullets": _bullets("•"),
    "bullets-dash": _bullets("-"),
    "bullets-stamped": _bullets("  *", stamp=True),
}
"""Formats in which every id survives, whatever it is."""


def _sentence(entry: Entry) -> str:
    if entry.true is None:
        return f"{entry.message} {_json(entry.fields)}\n"
    said = entry.fields
    if "oldSocketId" in said:
        return f"{entry.message} ID: {said['userId']}: {said['oldSocketId']} -> {said['newSocketId']}\n"
    return f"{entry.message}: " + " ".join(f'{k}="{v}"' if " " in v else f"{k}={v}" for k, v in said.items()) + "\n"


PLAIN_FORMATS: dict[str, Format] = {
    "printf": _sentence,
    "template": lambda e: (
        f"[{iso(e.at)}] 🔌 {e.message} - "
        + ", ".join(f"{k}: {_json(v) if not e.true else v}" for k, v in e.fields.items())
        + "\n"
    ),
}
"""Formats that carry no blanks in a user's id."""
