"""The live view on a terminal: users with several connections, rates, and open incidents."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.detect.rules import DOCUMENTED
from wscheck.model.events import Connected, Event, Replaced
from wscheck.model.findings import Severity
from wscheck.notify.listener import WatchView
from wscheck.notify.text import UnreadableMessages, expiry_message, incident_summary
from wscheck.report.finding_text import fix_text
from wscheck.report.formatting import format_bytes, format_clock_time, format_duration, format_rate, one_line, plural

REFRESH_S = 0.25
SPARKS = " ▁▂▃▄▅▆▇█"
SPARKLINE_S = 30
HISTORY_S = 60
MEAN_S = 10
MAX_USERS, MAX_INCIDENTS, MAX_MESSAGES = 6, 8, 5
MAX_EXPLAINED = 4
"""Maximum number of open incidents that are shown with cause and fix. If there are more, each has one line."""
_RULE_ORDER = {rule.id: number for number, rule in enumerate(DOCUMENTED)}
_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


class LiveView:
    """The state of `watch`, drawn on the alternate screen at most four times a second."""

    def __init__(self, watch: WatchView, console: Console) -> None:
        self._watch = watch
        self._messages: deque[str] = deque(maxlen=MAX_MESSAGES)
        self._rates, self._unreadable = ConnectionRates(), UnreadableMessages()
        self._drawn_at = 0.0
        self._live = Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop")

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Count the event. Add a message if the event is unreadable, or ends connections of which no line says so."""
        self._rates.observe(event)
        if text := expiry_message(event, changes) or self._unreadable.message_for(event):
            self._messages.append(_with_time(event.at, text))

    def on_incident(self, incident: Incident) -> None:
        """Add a message about a resolved incident. Open incidents are in the list of incidents."""
        if incident.state is IncidentState.RESOLVED:
            self._messages.append(_with_time(incident.resolved_at, incident_summary(incident)))

    def note(self, text: str) -> None:
        """Add a message about the logs themselves."""
        self._messages.append(one_line(text))

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
        self._live.update(render(self._watch, self._rates, now, self._messages), refresh=True)

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
        """Count one occurrence at `at`; a late one counts in the newest second."""
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
        """The counts of the last seconds, the current one last."""
        return [*self._earlier, self._current]

    @property
    def per_second(self) -> float:
        """The mean of the last ten complete seconds, or of fewer; the current count if no second is complete."""
        complete = min(MEAN_S, self._second - self._first)
        return sum(self.history[-1 - complete : -1]) / complete if complete else float(self.history[-1])


class ConnectionRates:
    """The rates of connection attempts and of replacements."""

    def __init__(self) -> None:
        self.attempts, self.replacements = RateHistory(), RateHistory()

    def observe(self, event: Event) -> None:
        """Count one event; an event without a time has no rate."""
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


def render(watch: WatchView, rates: ConnectionRates, now: float | None, messages: Iterable[str] = ()) -> RenderableType:
    """Return the whole view at the log time `now`."""
    parts = [_title(watch, now), Text(), _figures(watch, rates)]
    if watch.users_over_one:
        parts += [Text(), _users_table(watch, now)]
    parts += [Text(), _incidents(watch, now)]
    lines = [Text(message, "dim") for message in messages]
    return Group(*parts, *([Text(), *lines] if lines else []))


def _title(watch: WatchView, now: float | None) -> RenderableType:
    names = ", ".join(log.name for log in watch.logs[:3]) + (
        f" and {len(watch.logs) - 3} more" if watch.logs[3:] else ""
    )
    read = f"{plural(sum(log.lines for log in watch.logs), 'line')}, {format_bytes(watch.bytes)}"
    unreadable = sum(log.unreadable for log in watch.logs)
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    warning = Text(f"  {plural(unreadable, 'line')} could not be read", "yellow") if unreadable else Text()
    title = Text.assemble(("wscheck", "bold"), "  ", one_line(names), warning)
    line.add_row(title, Text(f"{read}  {format_clock_time(now)[:8] + ' UTC' if now else 'no event yet'}", "dim"))
    return line


def _figures(watch: WatchView, rates: ConnectionRates) -> RenderableType:
    over = len(watch.users_over_one)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    grid.add_row("users over one", Text(f"{over:,}", "bold red" if over else "bold green"), "")
    grid.add_row("connections", Text(f"{watch.connection_count:,}", "bold"), "")
    for label, rate in (("replacements", rates.replacements), ("attempts", rates.attempts)):
        grid.add_row(label, Text(_rate_text(rate.per_second), "bold"), _Sparkline(rate.history[-SPARKLINE_S:]))
    return grid


def _rate_text(per_second: float) -> str:
    return format_rate(per_second) if per_second else "0/s"


class _Sparkline:
    """A sparkline of the latest counts, as many as fit: in a narrow terminal this column shrinks first."""

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


def _users_table(watch: WatchView, now: float | None) -> RenderableType:
    table = _table("user", "holds", "for", title="Users over one connection")
    over = watch.users_over_one
    for user, since in islice(over.items(), MAX_USERS):
        sids = watch.connections_for(user)
        sockets = f"{len(sids)}: {', '.join(sids[-3:])}" + (", ..." if len(sids) > 3 else "")
        table.add_row(_shortened(user), one_line(sockets), _age(since, now))
    return _with_rest(table, len(over) - MAX_USERS)


def _incidents(watch: WatchView, now: float | None) -> RenderableType:
    # The order must not change while a person reads: the oldest incident of each rule comes first.
    incidents = sorted(
        watch.open_incidents, key=lambda i: (-i.severity.rank, _RULE_ORDER.get(i.rule, 99), i.first_at or 0.0)
    )
    if not incidents:
        waiting = Text("Waiting for the first connection event.", "dim")
        return Text("No incident is open.", "green") if watch.event_count else waiting
    shown = incidents[:MAX_INCIDENTS]
    rows: list[RenderableType] = [Text("Open incidents", "bold")]
    # With many incidents there is room for one line each.
    explained: set[tuple[str | None, str]] = set()
    for incident in shown:
        rows.append(_incident_line(incident, now, shown))
        explanation = (incident.user, incident.cause.id if incident.cause else incident.rule)
        if len(shown) <= MAX_EXPLAINED and explanation not in explained:
            explained.add(explanation)
            rows.append(Padding(_cause_and_fix(incident), (0, 0, 0, 2)))
    return _with_rest(Group(*rows), len(incidents) - MAX_INCIDENTS)


def _incident_line(incident: Incident, now: float | None, shown: Sequence[Incident]) -> RenderableType:
    """Return rule, user, count and duration, aligned with the other incidents `shown`."""
    rule = max(len(other.rule) for other in shown)
    user = max(len(_user(other)) for other in shown)
    return Text.assemble(
        (f"{incident.rule:<{rule}}  ", _COLOUR[incident.severity]),
        (f"{_user(incident):<{user}}  ", "bold"),
        _frequency(incident, now),
        overflow="ellipsis",
        no_wrap=True,
    )


def _cause_and_fix(incident: Incident) -> RenderableType:
    """Return the cause and the fix of an incident. Without a known cause, return the message of the finding instead."""
    cause = incident.cause
    text = cause and f"probably {one_line(cause.name)} ({cause.confidence} confidence)"
    return Group(Text(text or one_line(incident.message), "dim"), Text(fix_text(incident), "green"))


def _user(incident: Incident) -> str:
    return _shortened(incident.user or "?", 20)


def _frequency(incident: Incident, now: float | None) -> str:
    """Return a text such as `72 times, 3.7/s, for 19 s`."""
    age = _age(incident.first_at, now)
    parts = (
        "once" if incident.count == 1 else plural(incident.count, "time"),
        format_rate(incident.rate) if incident.rate and incident.count > 2 else "",
        f"for {age}" if age else "",
    )
    return ", ".join(part for part in parts if part)


def _table(*columns: str, title: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold", expand=True)
    for number, name in enumerate(columns):
        widest = number == len(columns) - 1 or name == "holds"
        table.add_column(
            name,
            header_style="dim",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if widest else None,
            justify="right" if name == "for" else "left",
        )
    return table


def _with_rest(table: RenderableType, rest: int) -> RenderableType:
    return Group(table, Text(f"and {rest:,} more", "dim")) if rest > 0 else table


def _shortened(text: str, most: int = 28) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _age(since: float | None, now: float | None) -> str:
    return format_duration(max(0.0, now - since)) if since is not None and now is not None else ""
