"""Figures of a logs report: how much was read, how much could not be read, and a table row per user."""

from collections.abc import Iterator, Sequence
from shlex import quote

from wscheck.model.report import AccessClient, AssumedSentence, LogsReport, LogUserSummary, suggested_options
from wscheck.report.formatting import format_bytes, on_one_line, one_line, plural

USERS_SHOWN = 10
"""Largest number of users in the table. `--format json` contains all users."""

USER_COLUMNS = ("user", "connects", "replaced", "most at once", "open at end")

CLIENTS_SHOWN = 10
SENTENCES_SHOWN, EXAMPLES_SHOWN = 6, 3
"""Largest numbers of sentences in an unknown wording, and of examples of them, in a report for people."""

_DEFAULT_SENTENCE = "WebSocket client connected"
_EXAMPLE_OPTION = "--marker connected='YOUR WORDS'"
_ADJECTIVES = {"connected": "opened", "replaced": "replaced", "disconnected": "closed", "refused": "refused"}
_ALWAYS_SHOWN = ("connected", "replaced", "disconnected")
_MISSING_IDS = {
    "user": ("names", "name", "a user but no socket id"),
    "socket": ("names", "name", "a socket id but no user"),
    "count": ("names", "name", "neither a user nor a socket id"),
    "ambiguous": ("contains", "contain", "ids that may belong to another user"),
}


def log_facts(report: LogsReport) -> list[str]:
    """Return sentences about the amount of data that was read, and about the records that could not be used."""
    kinds = [kind for kind in (*_ALWAYS_SHOWN, "restarted") if kind in _ALWAYS_SHOWN or report.events.get(kind)]
    counts = ", ".join(f"{report.events.get(kind, 0):,} {kind}" for kind in kinds)
    read = f"read {plural(report.lines, 'line')} ({format_bytes(report.bytes)}): {counts}"
    return [on_one_line(fact) for fact in (read, *_requests(report), *_assumptions(report), *_limits(report))]


def _requests(report: LogsReport) -> Iterator[str]:
    """Yield sentences about the requests of each client in an access log."""
    yield from (f"{one_line(each.client)}: {_requests_of(each)}" for each in report.access[:CLIENTS_SHOWN])
    if len(report.access) > CLIENTS_SHOWN:
        yield f"and {len(report.access) - CLIENTS_SHOWN:,} more clients"
    if any(client.unknown_sessions > 1 for client in report.access):
        yield (
            "sessions are unknown to the process that answers: possibly several processes without sticky sessions, "
            "or a server that restarted"
        )
    if any(client.polls for client in report.access) or report.polling_share:
        yield f"{report.polling_share:.0%} of the sessions have no WebSocket connection in the log"


def _requests_of(client: AccessClient) -> str:
    """Return the numbers of a client's requests, of each kind that it made."""
    rate = f" ({client.per_second:.2f}/s)" if client.per_second else ""
    parts = [f"{plural(client.handshakes, 'handshake')}{rate}"] if client.handshakes else []
    is_other = client.streams or client.long_requests
    if client.upgrades or client.polls or not is_other:
        parts += [f"{client.upgrades:,} upgrades to WebSocket", f"{client.polls:,} polls"]
    if client.streams:
        parts.append(plural(client.streams, "event stream"))
    if client.long_requests:
        parts.append(f"{plural(client.long_requests, 'long request')} that may be event streams")
    if client.most_open > 1:
        parts.append(f"up to {client.most_open:,} open at once on one path")
    if client.unknown_sessions:
        parts.append(f"{client.unknown_sessions:,} answered with 400: unknown session")
    return ", ".join(parts)


def _assumptions(report: LogsReport) -> Iterator[str]:
    """Yield what was assumed about lines in an unknown wording, with examples of the ids that were read from them.

    Then yield the same for the lines that only `--guess` reads.
    """
    for each in report.assumed[:SENTENCES_SHOWN]:
        lines = f"{plural(each.lines, 'line')} like '{one_line(each.sentence)}'"
        yield f"assumed: {lines} report {_ADJECTIVES[each.kind]} connections (--no-guess reads only known wording)"
    for each in report.assumed[:EXAMPLES_SHOWN]:
        yield f"for example: {_ids_read(each)}: {one_line(each.example)}"
    for each in report.guessable[:SENTENCES_SHOWN]:
        lines = f"{plural(each.lines, 'line')} like '{one_line(each.sentence)}'"
        yield f"{lines} may report {_ADJECTIVES[each.kind]} connections: --guess reads them"
    for each in report.guessable[:EXAMPLES_SHOWN]:
        yield f"with --guess: {_ids_read(each)}: {one_line(each.example)}"
    if report.guessable and (options := suggested_options(report.suggested)):
        yield f"the same as options: {options}"


def _ids_read(sentence: AssumedSentence) -> str:
    ids = ", ".join(f"{role} {one_line(value)}" for role, value in sentence.ids.items())
    return f"{sentence.kind} {ids}".strip()


def _limits(report: LogsReport) -> Iterator[str]:
    for level, (singular, verb, missing) in _MISSING_IDS.items():
        if count := report.levels.get(level, 0):
            yield f"{plural(count, 'record')} {singular if count == 1 else verb} {missing}{_key_hint(level, report)}"
    if report.untimed:
        records = f"{plural(report.untimed, 'record')} {'has' if report.untimed == 1 else 'have'}"
        yield f"{records} no timestamp: overlaps and attempts per second were not checked for them"
        if any(gap.blocks and "excessive-attempts" in gap.rules for gap in report.gaps):
            yield "to get times, add them to the log format, or use `docker logs -t` or `kubectl logs --timestamps`"
    if report.unreadable:
        lines = f"{plural(report.unreadable, 'line')} {'looks' if report.unreadable == 1 else 'look'}"
        yield f"{lines} like an event but could not be read"
    yield from (one_line(gap.reason) for gap in report.gaps if not gap.blocks)
    yield from marker_hints(report)


def _key_hint(level: str, report: LogsReport) -> str:
    """Return a hint for logs without any record that contains both a user id and a socket id, "" for other logs.

    `level` is the id that the records contain: "user" or "socket". The hint explains how to read the missing id.
    """
    key = {"user": "sid", "socket": "user"}.get(level)
    if key is None or (report.levels.get("full") if level == "user" else report.most_open):
        return ""
    return f": log both, or name its key with --key {key}=NAME"


def marker_hints(report: LogsReport) -> Iterator[str]:
    """Yield hints about log lines in a wording that wscheck does not know.

    Each hint contains the probable meaning of the lines and the options with which wscheck reads them.
    """
    for suggestion in report.suggested if not report.guessable else ():
        lines = f"{plural(suggestion.lines, 'line')} may report {_ADJECTIVES[suggestion.kind]} connections"
        options = suggested_options([suggestion])
        yield f"{lines} in an unknown wording; to read them, add {options}: {one_line(suggestion.example)}"
    proposed = {*(each.kind for each in report.suggested), *(each.kind for each in report.guessable)}
    opened = "connected" in proposed or bool(report.events.get("connected"))
    if (
        not opened
        and not _is_access_log(report)
        and (report.events.get("replaced") or _has_no_connection_event(report))
    ):
        yield (
            f"no line reports an opened connection: none contains '{_DEFAULT_SENTENCE}' or a configured marker; "
            f"if your server uses another wording, add {_EXAMPLE_OPTION}"
        )
        if not report.suggested:
            yield (
                "a marker matches the start of a message, and ids are read from named values such as user=ann "
                "(see `wscheck docs logs`)"
            )
            yield "if ids are words of the message, use placeholders: --marker connected='user {user} came on {sid}'"


def command_with_markers(report: LogsReport) -> str:
    """Return the command that reads the logs again with the suggested markers, "" if no marker is missing.

    A marker is a text by which wscheck recognises the lines about an event. Markers are missing if no event about a
    connection was read. They are also missing if no opening was read, but some lines probably report openings.
    """
    if report.access or not (_has_no_connection_event(report) or _has_proposed_openings(report)):
        return ""
    if _is_access_log(report) and not _has_proposed_openings(report):
        return ""
    names = [quote(one_line(name)) if name != "<stdin>" else "-" for name in report.sources]
    paths = " ".join(names) if len(names) < 4 else "..."
    options = "--guess" if report.guessable else suggested_options(report.suggested) or _EXAMPLE_OPTION
    return on_one_line(f"wscheck tail-logs --no-follow {options} {paths}")


def _is_access_log(report: LogsReport) -> bool:
    return bool(report.access) or any(gap.id in {"access-log-only", "access-log-fields"} for gap in report.gaps)


def _has_no_connection_event(report: LogsReport) -> bool:
    return bool(report.lines) and not report.unreadable and not any(map(report.events.get, _ALWAYS_SHOWN))


def _has_proposed_openings(report: LogsReport) -> bool:
    """Return whether no opened connection was read, but lines were found that probably report opened connections."""
    proposed = {*(each.kind for each in report.guessable), *(each.kind for each in report.suggested)}
    return not report.events.get("connected") and not report.events.get("replaced") and "connected" in proposed


def totals(report: LogsReport) -> str:
    """Return for example `12 users, 34 connections, at most one per user at a time`."""
    counts = f"{plural(report.users_seen, 'user')}, {plural(report.connections, 'connection')}"
    return f"{counts}, at most one per user at a time" if report.most_open == 1 else counts


def user_rows(report: LogsReport) -> list[tuple[str, ...]]:
    """Return a table row for each user who was replaced or had several connections, the worst first."""
    affected = [(name, user) for name, user in report.users.items() if user.replacements or user.max_open > 1]
    affected.sort(key=lambda pair: (-len(pair[1].open), -pair[1].replacements, -pair[1].max_open))
    return [_user_row(name, user) for name, user in affected]


def _user_row(name: str, user: LogUserSummary) -> tuple[str, ...]:
    open_at_end = f"{len(user.open):,}" + (f": {one_line(_first_few(user.open))}" if len(user.open) > 1 else "")
    return one_line(name), f"{user.connects:,}", f"{user.replacements:,}", f"{user.max_open:,}", open_at_end


def _first_few(sids: Sequence[str], limit: int = 3) -> str:
    return ", ".join(sids[:limit]) + (", ..." if len(sids) > limit else "")
