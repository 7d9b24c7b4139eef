"""What the logs came to, beside their findings: how much was read, and who did what."""

from collections.abc import Iterator, Sequence
from shlex import quote

from wscheck.model.report import LogsReport, LogUserSummary, suggested_options
from wscheck.report.formatting import format_bytes, one_line, plural

SHOWN = 10
"""Users listed for people; `--format json` has them all."""

HEAD = ("user", "connects", "replaced", "most at once", "open now")
SENTENCE = "WebSocket client connected"
_YOURS = "--marker connected='YOUR WORDS'"
_HINTED = {"connected": "opened", "replaced": "replaced", "disconnected": "closed"}
_ALWAYS = ("connected", "replaced", "disconnected")
_LEVELS = {
    "user": "with the user and not the socket",
    "socket": "with the socket and not the user",
    "count": "with neither user nor socket",
    "ambiguous": "whose ids may belong to another",
}


def facts(report: LogsReport) -> list[str]:
    """What was read and what was in it, one sentence a line."""
    seen = [f"{report.events.get(kind, 0):,} {kind}" for kind in (*_ALWAYS, "restarted") if _told(report, kind)]
    read = f"read {plural(report.lines, 'line')} ({format_bytes(report.bytes)}): {', '.join(seen)}"
    return [read, *_doubts(report)]


def _told(report: LogsReport, kind: str) -> bool:
    return kind in _ALWAYS or bool(report.events.get(kind))


def _doubts(report: LogsReport) -> Iterator[str]:
    """What makes the evidence weaker than it could be."""
    for level, said in _LEVELS.items():
        if count := report.levels.get(level, 0):
            yield f"{plural(count, 'record')} {said}{_named_otherwise(level, report)}"
    if report.untimed:
        told = plural(report.untimed, "record")
        yield f"{told} without a time: overlaps and attempts per second were not judged in them"
    if report.unreadable:
        yield f"{plural(report.unreadable, 'line')} like an event that could not be read"
    yield from unsaid(report)


def _named_otherwise(level: str, report: LogsReport) -> str:
    """How to read the id that is missing, where no record has both."""
    key = {"user": "sid", "socket": "user"}.get(level)
    if key is None or report.most_open:
        return ""
    return f": log it too; where it has a name of its own, read it with --key {key}=NAME"


def unsaid(report: LogsReport) -> Iterator[str]:
    """What the logs may say in other words, of which nothing was counted."""
    for hint in report.suggested:
        like = f"{plural(hint.lines, 'line')} may tell of connections {_HINTED[hint.kind]} in other words"
        yield f"{like}, read with {suggested_options([hint])}: {one_line(hint.example)}"
    opened = any(hint.kind == "connected" for hint in report.suggested) or report.events.get("connected")
    if not opened and (report.events.get("replaced") or _is_silent(report)):
        yield f"no line tells of a connection opened, neither '{SENTENCE}' nor words of your own: {_YOURS}"
        if not report.suggested:
            yield "your words count where messages begin with them, ids with their names (user=ann): wscheck docs logs"
            yield "where a sentence carries the ids, say where: --marker connected='user {user} came on {sid}'"


def in_other_words(report: LogsReport) -> str:
    """How to read logs again of which no line told of a connection: they may be worded otherwise. Empty for others."""
    if not _is_silent(report):
        return ""
    names = [quote(one_line(name)) if name != "<stdin>" else "-" for name in report.sources]
    which = " ".join(names) if len(names) < 4 else "..."
    return f"wscheck tail-logs --no-follow {suggested_options(report.suggested) or _YOURS} {which}"


def _is_silent(report: LogsReport) -> bool:
    """Whether something was read, and nothing in it tells of a connection."""
    return bool(report.lines) and not report.unreadable and not any(report.events.get(kind) for kind in _ALWAYS)


def held(report: LogsReport) -> str:
    """`12 users, 34 connections, never more than one at once`: what a pass stands on."""
    told = f"{plural(report.users_seen, 'user')}, {plural(report.events.get('connected', 0), 'connection')}"
    return f"{told}, never more than one of a user at once" if report.most_open == 1 else told


def rows(report: LogsReport) -> list[tuple[str, ...]]:
    """A row of `HEAD` for each user who was replaced or held several, those with the most to tell first."""
    telling = [(name, user) for name, user in report.users.items() if user.replacements or user.max_open > 1]
    telling.sort(key=lambda pair: (-len(pair[1].open), -pair[1].replacements, -pair[1].max_open))
    return [_row(name, user) for name, user in telling]


def _row(name: str, user: LogUserSummary) -> tuple[str, ...]:
    now = f"{len(user.open):,}" + (f": {one_line(_some(user.open))}" if len(user.open) > 1 else "")
    return one_line(name), f"{user.connects:,}", f"{user.replacements:,}", f"{user.max_open:,}", now


def _some(sids: Sequence[str], most: int = 3) -> str:
    return ", ".join(sids[:most]) + (", ..." if len(sids) > most else "")
