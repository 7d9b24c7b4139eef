"""The live view on a terminal: users with several connections, rates, and open incidents."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.detect.rules import DOCUMENTED
from wscheck.model.events import Connected, Event, Replaced
from wscheck.model.findings import Severity
from wscheck.model.report import WordingProposal, suggested_options
from wscheck.model.secrets import Redactor
from wscheck.notify.lines import UnreadableMessages, expiry_message, incident_summary
from wscheck.notify.listener import WatchView
from wscheck.report.finding_text import fix_text
from wscheck.report.formatting import (
    format_bytes,
    format_clock_time,
    format_duration,
    format_rate,
    on_one_line,
    one_line,
    plural,
)

REFRESH_S = 0.25
SPARKS = " ▁▂▃▄▅▆▇█"
SPARKLINE_S = 30
HISTORY_S = 60
MEAN_S = 10
MAX_MESSAGES, MESSAGES_SHARE = 5, 6
"""Largest number of messages, and the share of the height that they may take (one sixth)."""
FULL_HEIGHT = 20
"""Height of a terminal from which on the rates are shown with their history."""
RATE_S = 10.0
"""Time over which the current rate of incidents is measured (seconds)."""
LOWEST_RATE = 0.1
MIN_USER_LINES = 3
"""Lines with the worst users of the first group, as long as there is room."""
_RULE_ORDER = {rule.id: number for number, rule in enumerate(DOCUMENTED)}
_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


class LiveView:
    """Live view of the logs in `watch`, drawn on the alternate screen of the terminal at most four times a second."""

    def __init__(self, watch: WatchView, console: Console, redactor: Redactor) -> None:
        self._watch, self._redactor = watch, redactor
        self._messages: deque[str] = deque(maxlen=MAX_MESSAGES)
        self._rates, self._unreadable = ConnectionRates(), UnreadableMessages()
        self._incident_rates, self._console = IncidentRates(), console
        self._drawn_at = 0.0
        self._live = Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop")

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Count the event. Add a message if it is unreadable, or if connections count as ended without a logged end."""
        self._rates.observe(event)
        if text := expiry_message(event, changes) or self._unreadable.message_for(event):
            self.note(_with_time(event.at, text))

    def on_incident(self, incident: Incident) -> None:
        """Add a message about a resolved incident. Open incidents are in the list of incidents."""
        if incident.state is IncidentState.RESOLVED:
            self.note(_with_time(incident.resolved_at, incident_summary(incident)))

    def note(self, text: str) -> None:
        """Add a message about the logs themselves."""
        self._messages.append(one_line(self._redactor.redact(text)))

    def on_poll_end(self, now: float | None) -> bool:
        """Draw the view, unless a progress bar is shown because existing content is still being read.

        Return True without drawing if the last drawing is too recent, so that the next poll is soon.
        """
        if self._watch.live and now is not None:
            self._rates.advance_to(now)
        if self._watch.catching_up:
            return False
        if time.monotonic() - self._drawn_at < REFRESH_S:
            return True
        self._draw(now)
        return False

    def _draw(self, now: float | None) -> None:
        self._drawn_at = time.monotonic()
        self._live.start()
        if now is not None:
            self._incident_rates.observe(self._watch.open_incidents, now)
        view = render(
            self._watch,
            self._rates,
            now,
            self._messages,
            current=self._incident_rates,
            height=self._console.size.height,
            width=self._console.size.width,
            redactor=self._redactor,
        )
        self._live.update(view, refresh=True)

    def close(self) -> None:
        """Restore the previous screen."""
        self._live.stop()


def _with_time(at: float | None, text: str) -> str:
    return one_line(f"{format_clock_time(at)[:8]} {text}" if at is not None else text)


class RateHistory:
    """Number of occurrences in each of the last HISTORY_S seconds."""

    def __init__(self) -> None:
        self._second = self._first = -1
        self._current = 0
        self._earlier: deque[int] = deque([0] * (HISTORY_S - 1), maxlen=HISTORY_S - 1)

    def add(self, at: float) -> None:
        """Count one occurrence at the time `at`. If `at` is before the newest second, count it in the newest second."""
        if int(at) != self._second:
            self.advance_to(at)
        self._current += 1

    def advance_to(self, at: float) -> None:
        """Set the current time."""
        second = int(at)
        if self._first < 0:
            self._first = self._second = second
        passed = second - self._second
        if passed > 0:
            self._earlier.extend([self._current, *[0] * min(passed - 1, HISTORY_S)])
            self._current, self._second = 0, second

    @property
    def history(self) -> list[int]:
        """Number of occurrences in each of the last HISTORY_S seconds, the current second at the end of the list."""
        return [*self._earlier, self._current]

    @property
    def per_second(self) -> float:
        """Mean count of the last ten complete seconds (fewer at the start). Before that, the count of this second."""
        complete = min(MEAN_S, self._second - self._first)
        return sum(self.history[-1 - complete : -1]) / complete if complete else float(self.history[-1])


class ConnectionRates:
    """The rates of connection attempts and of replacements."""

    def __init__(self) -> None:
        self.attempts, self.replacements = RateHistory(), RateHistory()

    def observe(self, event: Event) -> None:
        """Count the event if it is a connection attempt or a replacement. Ignore an event without a time."""
        if event.at is None:
            return
        if isinstance(event, Connected):
            self.attempts.add(event.at)
        elif isinstance(event, Replaced):
            self.replacements.add(event.at)

    def advance_to(self, at: float) -> None:
        """Set the current time."""
        self.attempts.advance_to(at)
        self.replacements.advance_to(at)


def render(
    watch: WatchView,
    rates: ConnectionRates,
    now: float | None,
    messages: Iterable[str] = (),
    *,
    redactor: Redactor,
    current: "IncidentRates | None" = None,
    height: int = 24,
    width: int = 80,
) -> RenderableType:
    """Return the whole view at the log time `now`, with at most `height` lines of `width` columns.

    Incidents come first, because they are the reason to look. Each part takes the lines that it needs. The lines that
    are left show the users who are affected most.
    """
    messages = list(messages)[-max(1, height // MESSAGES_SHARE) :]
    figures = _figures(watch, rates, compact=height < FULL_HEIGHT)
    below = [Text(), *figures, *([Text()] if messages else []), *(_line(message, "dim") for message in messages)]
    room = max(3, height - 2 - len(below))
    over = len(watch.users_over_one)
    users_room = min(over + 2, max(3, room // 3)) if over else 0
    incidents = _incidents(
        watch, current or IncidentRates(), now, room=room - users_room, width=width, redactor=redactor
    )
    users = _users(watch, now, room - len(incidents), redactor) if over else []
    return Group(_title(watch, now), Text(), *incidents, *users, *below)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _title(watch: WatchView, now: float | None) -> RenderableType:
    names = ", ".join(log.name for log in watch.logs[:3]) + (
        f" and {len(watch.logs) - 3} more" if watch.logs[3:] else ""
    )
    read = f"{plural(watch.lines, 'line')}, {format_bytes(watch.bytes)}"
    unreadable = watch.unreadable
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    warning = Text(f"  {plural(unreadable, 'line')} could not be read", "yellow") if unreadable else Text()
    title = Text.assemble(("wscheck", "bold"), "  ", one_line(names), warning)
    line.add_row(title, Text(f"{read}  {format_clock_time(now)[:8] + ' UTC' if now else 'no event yet'}", "dim"))
    return line


def _figures(watch: WatchView, rates: ConnectionRates, *, compact: bool) -> list[RenderableType]:
    """Return lines with the numbers of users and connections, and with the rates.

    With `compact`, the rates have no sparkline of their history.
    """
    over = len(watch.users_over_one)
    numbers = (
        ("users over one", Text(f"{over:,}", "bold red" if over else "bold green")),
        ("connections", Text(f"{watch.connection_count:,}", "bold")),
    )
    named = (("replacements", rates.replacements), ("attempts", rates.attempts))
    if compact:
        rows = (numbers, tuple((label, Text(_rate_text(rate.per_second), "bold")) for label, rate in named))
        return [
            Text(", ", "dim", no_wrap=True, overflow="ellipsis").join(
                Text.assemble((f"{label} ", "dim"), value) for label, value in row
            )
            for row in rows
        ]
    lines: list[RenderableType] = []
    for label, value in numbers:
        lines.append(Text.assemble((f"{label:<14}  ", "dim"), Text(f"{value.plain:>5}", value.style)))
    for label, rate in named:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for width in (14, 5):
            grid.add_column(
                style="dim" if width == 14 else "",
                min_width=width,
                justify="left" if width == 14 else "right",
                no_wrap=True,
            )
        grid.add_column()
        grid.add_row(label, Text(_rate_text(rate.per_second), "bold"), _Sparkline(rate.history[-SPARKLINE_S:]))
        lines.append(grid)
    return lines


def _rate_text(per_second: float) -> str:
    return format_rate(per_second) if per_second else "0/s"


class _Sparkline:
    """Sparkline of the latest counts that fit. In a narrow terminal, it becomes shorter to leave room for the text."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = counts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(sparkline(self._counts[-options.max_width :]), "cyan")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(len(self._counts), options.max_width))


def sparkline(counts: Sequence[int]) -> str:
    """Return one character for each count, with a height in proportion to the largest count."""
    most = max(counts, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[-(-count * steps // most)] if count else "·" for count in counts)


# Users over one connection


def _users(watch: WatchView, now: float | None, room: int, redactor: Redactor) -> list[RenderableType]:
    """Return a heading and a line for each user with several connections, in at most `room` lines."""
    over = watch.users_over_one
    if room < 3:
        return [_line(f"Users over one connection: {len(over):,}", "bold")] if room > 0 else []
    shown = len(over) if len(over) <= room - 2 else room - 3
    lines: list[RenderableType] = [Text(), _line("Users over one connection", "bold")]
    for user, since in islice(over.items(), shown):
        sids = watch.connections_for(user)
        sockets = f"{len(sids)}: {', '.join(map(redactor.redact_id, sids[-3:]))}" + (", ..." if len(sids) > 3 else "")
        age = f"  for {_age(since, now)}" if since is not None and now is not None else ""
        lines.append(_line(f"{_shortened(redactor.redact_id(user), 20)}  {one_line(sockets)}{age}"))
    return lines + _rest(len(over) - shown, "user")


# Incidents


class IncidentRates:
    """Occurrences per second of each group of incidents, over the last `RATE_S` seconds.

    A rate is computed from the counts that the first and the last call of `observe` in this time recorded.
    """

    def __init__(self) -> None:
        self._counts: dict[GroupKey, deque[tuple[float, int]]] = {}

    def observe(self, incidents: Iterable[Incident], now: float) -> None:
        """Record how many occurrences each open incident has at the log time `now`."""
        totals = Counter[GroupKey]()
        for incident in incidents:
            totals[_group_key(incident)] += incident.count
        self._counts = {key: self._counts.get(key, deque()) for key in totals}
        for key, counts in self._counts.items():
            counts.append((now, totals[key]))
            while len(counts) > 2 and now - counts[1][0] >= RATE_S:
                counts.popleft()

    def per_second(self, key: "GroupKey") -> float | None:
        """Return the rate of a group, None if it was not observed for at least a second."""
        counts = self._counts.get(key)
        if not counts or (span := counts[-1][0] - counts[0][0]) < 1:
            return None
        return max(0, counts[-1][1] - counts[0][1]) / span


GroupKey = tuple[str, str]
"""Rule, and id of the probable cause, "" if it is unknown."""


def _group_key(incident: Incident) -> GroupKey:
    return incident.rule, incident.cause.id if incident.cause else ""


class IncidentGroup:
    """Open incidents of one rule with one cause, the worst user first.

    rate  occurrences per second now
    """

    def __init__(
        self,
        key: GroupKey,
        incidents: Sequence[Incident],
        rate: float | None,
        now: float | None,
        *,
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self.incidents = sorted(incidents, key=lambda incident: (-_current_rate(incident, now), -incident.count))
        self.rule, self.worst = key[0], redactor.redact_data(self.incidents[0])
        self.rate = rate if rate is not None else sum(_current_rate(incident, now) for incident in incidents)
        self.severity = max((incident.severity for incident in incidents), key=lambda severity: severity.rank)

    @property
    def problem(self) -> str:
        """Id of the cause, or of the rule if the cause is unknown. Groups with the same id need the same fix."""
        return self.worst.cause.id if self.worst.cause else self.rule

    @property
    def order(self) -> tuple[float, int, int, int]:
        """Sort key: highest rate, then highest severity, then position in the list of rules, then most users."""
        rank = _RULE_ORDER.get(self.rule, len(_RULE_ORDER))
        return -round(self.rate, 1), -self.severity.rank, rank, -len(self.incidents)

    def heading(self, now: float | None) -> Text:
        """Return for example `connection-replaced  40 users, 80/s, since 12:03, last 2 s ago`."""
        count = len(self.incidents)
        who = _shortened(self.worst.user or "?", 20) if count == 1 else plural(count, "user")
        times = "once" if self.worst.count == 1 else plural(self.worst.count, "time")
        first = [at for incident in self.incidents if (at := incident.first_at) is not None]
        last = [at for incident in self.incidents if (at := incident.last_at) is not None]
        parts = (
            format_rate(self.rate) if self.rate >= LOWEST_RATE else "",
            times if count == 1 else "",
            f"since {format_clock_time(min(first))[:5]}" if first else "",
            _format_last_time(max(last), now) if last and now is not None else "",
        )
        return Text.assemble(
            (f"{self.rule}  ", _COLOUR[self.severity]),
            (who, "bold"),
            "".join(f", {part}" for part in parts if part),
            no_wrap=True,
            overflow="ellipsis",
        )

    def explanation(self) -> list[Text]:
        """Return the cause and the fix. If the cause is unknown, return the message of the worst incident instead."""
        cause = self.worst.cause
        text = cause and f"probably {one_line(cause.name)} ({cause.confidence} confidence)"
        return [
            _line(f"  {text or one_line(self.worst.message)}", "dim"),
            _line(f"  {one_line(fix_text(self.worst))}", "green"),
        ]

    def users(self, shown: int, now: float | None) -> list[Text]:
        """Return a line for each of the `shown` worst users, and a line with the number of users left out."""
        lines = [
            _line(f"  {_shortened(self._redactor.redact_id(incident.user or '?'), 20)}  {_frequency(incident, now)}")
            for incident in self.incidents[:shown]
        ]
        return lines + _rest(len(self.incidents) - shown, "user", "  ")


def _current_rate(incident: Incident, now: float | None) -> float:
    """Return the occurrences per second of an incident, 0 if its last occurrence was over `RATE_S` seconds ago."""
    is_current = incident.last_at is not None and now is not None and now - incident.last_at <= RATE_S
    return incident.rate or 0.0 if is_current else 0.0


def _incidents(
    watch: WatchView, rates: IncidentRates, now: float | None, *, room: int, width: int, redactor: Redactor
) -> list[RenderableType]:
    """Return a heading and the groups of open incidents, in at most `room` lines.

    Each group gets one line. The remaining lines show cause, fix and most affected users of the groups, beginning with
    the group of the highest rate.
    """
    by_key: dict[GroupKey, list[Incident]] = {}
    for incident in watch.open_incidents:
        by_key.setdefault(_group_key(incident), []).append(incident)
    if not by_key:
        if watch.proposal is not None:
            return _proposal(redactor.redact_data(watch.proposal), room, width)
        waiting = Text("Waiting for the first connection event.", "dim")
        return [Text("No incident is open.", "green") if watch.event_count else waiting]
    groups = [
        IncidentGroup(key, incidents, rates.per_second(key), now, redactor=redactor)
        for key, incidents in by_key.items()
    ]
    groups.sort(key=lambda group: group.order)
    room -= 1
    shown = groups if len(groups) <= room else groups[: max(1, room - 1)]
    spare = room - len(shown) - (len(shown) < len(groups))
    lines: list[RenderableType] = [_line("Open incidents", "bold")]
    explained = set[str]()
    for number, group in enumerate(shown):
        lines.append(group.heading(now))
        details: list[Text] = []
        if spare >= 2 and group.problem not in explained:
            explained.add(group.problem)
            details += group.explanation()
        # The first group shows its worst users; then the groups that follow have room for their explanations.
        later = {other.problem for other in shown[number + 1 :]} - explained
        for_users = spare - len(details) - 2 * len(later)
        if number == 0:
            for_users = max(for_users, min(spare - len(details), MIN_USER_LINES))
        if len(group.incidents) > 1 and for_users >= 2:
            count = len(group.incidents)
            details += group.users(count if count <= for_users else for_users - 1, now)
        spare -= len(details)
        lines += details
    return lines + _rest(len(groups) - len(shown), "incident")


def _proposal(proposal: WordingProposal, room: int, width: int) -> list[RenderableType]:
    """Return the suggested options for a log in an unknown wording, in at most `room` lines of `width` columns.

    If there is not enough room, the example lines of the log are left out first.
    """
    first = _line("No line reports a connection in known words.", "yellow")
    options = on_one_line(suggested_options(proposal.options))
    if not proposal.sentences and not options:
        form = "If the log has such lines, name them: --marker connected='user {user} came on {sid}'"
        return [first, Text(form, overflow="fold"), _line("See `wscheck docs logs`.", "dim")]
    start = "Start again with --guess" if proposal.sentences else "Start again with"
    last: list[RenderableType] = [
        _line(f"{start}, or with" if proposal.sentences and options else start, "bold"),
        *([Text(options, "green", overflow="fold")] if options else []),
    ]
    kinds = [
        _line(f"{plural(each.lines, 'line')} may say {each.kind}: {one_line(each.sentence)}")
        for each in proposal.sentences[:3]
    ]
    examples = [
        _line(f"  {each.kind} {', '.join(f'{role} {one_line(each.ids[role])}' for role in each.ids)}: {example}", "dim")
        for each in proposal.sentences[:3]
        if (example := one_line(each.example))
    ]
    spare = room - 2 - 2 * -(-len(options) // width)  # words wrap, so that lines are not full
    return [first, *[*kinds, *examples][: max(0, spare)], *last]


def _frequency(incident: Incident, now: float | None) -> str:
    """Return a text such as `72 times, 3.7/s, for 19 s`."""
    age = _age(incident.first_at, now)
    parts = (
        "once" if incident.count == 1 else plural(incident.count, "time"),
        format_rate(incident.rate) if incident.rate and incident.count > 2 else "",
        f"for {age}" if age else "",
    )
    return ", ".join(part for part in parts if part)


def _format_last_time(at: float, now: float) -> str:
    """Return for example `last 2 s ago`, and `now` within the last second."""
    return (
        f"last {now - at:.0f} s ago" if 1 <= now - at < 60 else f"last {_age(at, now)} ago" if now > at + 1 else "now"
    )


def _rest(rest: int, what: str, indent: str = "") -> list[Text]:
    """Return a line such as `and 3 more users` with the number of items left out, nothing if there are none."""
    return [_line(f"{indent}and {plural(rest, f'more {what}')}", "dim")] if rest > 0 else []


def _shortened(text: str, most: int = 28) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _age(since: float | None, now: float | None) -> str:
    return format_duration(max(0.0, now - since)) if since is not None and now is not None else ""
