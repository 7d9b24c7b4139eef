"""Prefixes and envelopes that runtimes and collectors add to lines."""

import json
import random
from collections.abc import Callable

from tests.observe.logs.formats import iso

Wrapper = Callable[[random.Random, list[tuple[str, int]]], str]
"""Takes (line without its end, milliseconds since the epoch), gives the file."""

SPLIT = 300
"""Where the tests split long lines; docker and CRI do at 16 KiB."""


def _each(write: Callable[[str, int], str], others: tuple[str, ...] = ()) -> Wrapper:
    """Each line by itself, with lines of other processes between them."""

    def wrap(draw: random.Random, lines: list[tuple[str, int]]) -> str:
        out = []
        for line, at in lines:
            out.append(write(line, at) + "\n")
            if others and draw.random() < 0.3:
                out.append(draw.choice(others) + "\n")
        return "".join(out)

    return wrap


def _split(line: str) -> list[str]:
    return [line[n : n + SPLIT] for n in range(0, len(line), SPLIT)] or [""]


def _cri(line: str, at: int) -> str:
    *parts, last = _split(line)
    return "\n".join(f"{iso(at)} stdout {flag} {part}" for flag, part in [*(("P", p) for p in parts), ("F", last)])


def _docker(line: str, at: int) -> str:
    *parts, last = _split(line)
    logged = [*parts, last + "\n"]
    return "\n".join(
        json.dumps({"log": log, "stream": "stdout", "time": iso(at)}, ensure_ascii=False) for log in logged
    )


def _journal(draw: random.Random, lines: list[tuple[str, int]]) -> str:
    out = []
    for line, at in lines:
        message = list(line.encode()) if draw.random() < 0.3 else line
        entry = {
            "__CURSOR": "s=1",
            "__REALTIME_TIMESTAMP": str(at * 1000),
            "_UID": "1000",
            "_PID": "7",
            "MESSAGE": message,
        }
        out.append(json.dumps(entry, ensure_ascii=False, separators=draw.choice(((",", ":"), (", ", ": ")))) + "\n")
        if draw.random() < 0.3:
            out.append(json.dumps({"__CURSOR": "s=2", "_PID": "1", "MESSAGE": "• note: kernel"}) + "\n")
    return "".join(out)


def _coloured(line: str) -> str:
    body = line.lstrip(" ")
    return line[: len(line) - len(body)] + f"\x1b[36m{body}\x1b[39m\x1b[0m"


WRAPPERS: dict[str, Wrapper] = {
    "nothing": _each(lambda line, _: line),
    "colour": _each(lambda line, _: _coloured(line)),
    "compose": _each(lambda line, _: f"bot-1      | {line}", ("nginx-1    | GET / 200", "redis-1    | • note: saved")),
    "compose-colour": _each(
        lambda line, _: f"\x1b[36mbot-1      |\x1b[0m {line}", ("\x1b[35mdb-1       |\x1b[0m LOG: x",)
    ),
    "docker": _each(_docker),
    "cri": _each(_cri),
    "kubectl": _each(lambda line, at: f"{iso(at, zone='')}{at % 7 * '9'}Z {line}"),
    "kubectl-prefix": _each(lambda line, _: f"[pod/bot-5d8f7c-x2/bot] {line}", ("[pod/bot-5d8f7c-zz/bot] tick",)),
    "stern": _each(lambda line, _: f"bot-5d8f7c-x2 bot {line}", ("bot-5d8f7c-zz bot tick", "nginx-77c nginx GET /")),
    "stern-namespaces": _each(
        lambda line, _: f"prod bot-7d9f8c6b5-x2x4z bot {line}", ("prod bot-7d9f8c6b5-zz4zz bot tick",)
    ),
    "labels": _each(
        lambda line, at: f'{iso(at)} {{app="bot", pod="bot-5d8f7c-x2"}} {line}',
        ('2026-01-01T00:00:00Z {app="bot", pod="bot-5d8f7c-zz"} tick',),
    ),
    "github": _each(lambda line, at: f"e2e\tRun the tests\t{iso(at)[:-1]}4567Z {line}"),
    "syslog": _each(
        lambda line, _: f"Jan 15 09:30:03 host1 node[4242]: {line}", ("Jan 15 09:30:03 host1 kernel: audit",)
    ),
    "journald-short": _each(
        lambda line, at: f"{iso(at)[:19]}+0000 host1 node[7]: {line}", ("Jan 15 09:30:03 host1 cron[1]: x",)
    ),
    "journald-json": _journal,
    "pm2": _each(lambda line, _: f"0|bot      | {line}", ("1|cron     | cron tick 54",)),
    "pm2-dated": _each(lambda line, at: f"{iso(at)[:19]}: {line}"),
    "heroku": _each(
        lambda line, at: f"{iso(at, zone='+00:00')} app[web.1]: {line}", (f"{iso(0)} heroku[router]: at=info",)
    ),
    "worker": _each(lambda line, _: f"[worker 1] {line}", ("[worker 2] tick", "[worker 2] • note: x")),
}

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "crlf-bom": lambda text: ("\ufeff" + text.replace("\n", "\r\n")).encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "no end": lambda text: text.rstrip("\n").encode(),
}
