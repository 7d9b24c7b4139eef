"""The view on a terminal: who holds more than one connection, how fast it goes, and which incidents are open."""

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
from wscheck.model.events import Event
from wscheck.model.findings import Severity
from wscheck.notify.listener import WatchView
from wscheck.notify.rates import ConnectionRates
from wscheck.notify.text import UnreadableMessages, expiry_message, incident_summary
from wscheck.report import story
from wscheck.report.formatting import format_bytes, format_clock_time, format_duration, format_rate, one_line, plural

REFRESH_S = 0.25
SPARKS = " ▁▂▃▄▅▆▇█"
SPARK_S = 30
USERS, INCIDENTS, RECENT = 6, 8, 5
BRIEF = 4
"""Incidents that are told with their cause; of more only what, whose and how often."""
_RULES = {rule.id: number for number, rule in enumerate(DOCUMENTED)}
_HUE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


class LiveView:
    """Draws `watch` on a screen of its own, at most four times a second; at the end what was there before is back."""

    def __init__(self, watch: WatchView, console: Console) -> None:
        self._watch = watch
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._pulse, self._doubts = ConnectionRates(), UnreadableMessages()
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop")

    def event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """The next drawing shows what it changed; what nobody wrote down is said."""
        self._pulse.take(event)
        if said := expiry_message(event, changes) or self._doubts.of(event):
            self._recent.append(_stamped(event.at, said))

    def incident(self, incident: Incident) -> None:
        """What is over is only seen in passing."""
        if incident.state is IncidentState.RESOLVED:
            self._recent.append(_stamped(incident.resolved_at, incident_summary(incident)))

    def note(self, text: str) -> None:
        """Something to be said about the logs themselves."""
        self._recent.append(one_line(text))

    def settled(self, now: float | None) -> None:
        """Draw, or if it was drawn a moment ago, soon. Before we are up to date a progress bar may stand there."""
        if self._watch.live and now is not None:
            self._pulse.advance(now)
        if self._watch.catching_up:
            return
        self._watch.owing = time.monotonic() - self._drawn < REFRESH_S
        if not self._watch.owing:
            self._draw(now)

    def _draw(self, now: float | None) -> None:
        self._drawn = time.monotonic()
        self._live.start()
        self._live.update(picture(self._watch, self._pulse, now, self._recent), refresh=True)

    def close(self) -> None:
        """Take the view away."""
        self._live.stop()


def _stamped(at: float | None, said: str) -> str:
    return one_line(f"{format_clock_time(at)[:8]} {said}" if at is not None else said)


def picture(watch: WatchView, pulse: ConnectionRates, now: float | None, recent: Iterable[str] = ()) -> RenderableType:
    """The whole view; `now` is the logs' time."""
    parts = [_title(watch, now), Text(), _gauges(watch, pulse)]
    if watch.judge.ledger.users_over_one:
        parts += [Text(), _over_one(watch, now)]
    parts += [Text(), _incidents(watch, now)]
    told = [Text(line, "dim") for line in recent]
    return Group(*parts, *([Text(), *told] if told else []))


def _title(watch: WatchView, now: float | None) -> RenderableType:
    names = ", ".join(log.name for log in watch.logs[:3]) + (
        f" and {len(watch.logs) - 3} more" if watch.logs[3:] else ""
    )
    read = f"{plural(sum(log.lines for log in watch.logs), 'line')}, {format_bytes(watch.bytes)}"
    unread = sum(log.unreadable for log in watch.logs)
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    doubt = Text(f"  {plural(unread, 'line')} could not be read", "yellow") if unread else Text()
    title = Text.assemble(("wscheck", "bold"), "  ", one_line(names), doubt)
    line.add_row(title, Text(f"{read}  {format_clock_time(now)[:8] + ' UTC' if now else 'no event yet'}", "dim"))
    return line


def _gauges(watch: WatchView, pulse: ConnectionRates) -> RenderableType:
    over = len(watch.judge.ledger.users_over_one)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    grid.add_row("users over one", Text(f"{over:,}", "bold red" if over else "bold green"), "")
    grid.add_row("connections", Text(f"{watch.judge.ledger.open_count:,}", "bold"), "")
    for label, pace in (("replacements", pulse.replacements), ("attempts", pulse.attempts)):
        grid.add_row(label, Text(_pace(pace.per_second), "bold"), _History(pace.history[-SPARK_S:]))
    return grid


def _pace(per_second: float) -> str:
    return format_rate(per_second) if per_second else "0/s"


class _History:
    """A sparkline of the latest counts, of as many as there is room for: in a narrow terminal it gives way first."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = counts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(sparkline(self._counts[-options.max_width :]), "cyan")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(len(self._counts), options.max_width))


def sparkline(counts: Sequence[int]) -> str:
    """One character for each count, as high as its share of the largest."""
    most = max(counts, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[-(-count * steps // most)] if count else "·" for count in counts)


def _over_one(watch: WatchView, now: float | None) -> RenderableType:
    table = _table("user", "holds", "for", title="Users over one connection")
    ledger, over = watch.judge.ledger, watch.judge.ledger.users_over_one
    for user, since in islice(over.items(), USERS):
        held = ledger.open_connections(user)
        sockets = f"{len(held)}: {', '.join(held[-3:])}" + (", ..." if len(held) > 3 else "")
        table.add_row(_bounded(user), one_line(sockets), _age(since, now))
    return _with_rest(table, len(over) - USERS)


def _incidents(watch: WatchView, now: float | None) -> RenderableType:
    # An order that does not change while one reads: the oldest of each rule first.
    found = sorted(watch.incidents.open, key=lambda i: (-i.severity.rank, _RULES.get(i.rule, 99), i.first_at or 0.0))
    if not found:
        waiting = Text("Waiting for the first connection event.", "dim")
        return Text("No incident is open.", "green") if watch.seen.total else waiting
    shown = found[:INCIDENTS]
    rows: list[RenderableType] = [Text("Open incidents", "bold")]
    # With many there is room for one line each.
    explained: set[tuple[str | None, str]] = set()
    for incident in shown:
        rows.append(_incident(incident, now, shown))
        why = (incident.user, incident.cause.id if incident.cause else incident.rule)
        if len(shown) <= BRIEF and why not in explained:
            explained.add(why)
            rows.append(Padding(_why(incident), (0, 0, 0, 2)))
    return _with_rest(Group(*rows), len(found) - INCIDENTS)


def _incident(incident: Incident, now: float | None, beside: Sequence[Incident]) -> RenderableType:
    """Which rule, whose, how often and for how long, in columns."""
    rule = max(len(other.rule) for other in beside)
    user = max(len(_who(other)) for other in beside)
    return Text.assemble(
        (f"{incident.rule:<{rule}}  ", _HUE[incident.severity]),
        (f"{_who(incident):<{user}}  ", "bold"),
        _often(incident, now),
        overflow="ellipsis",
        no_wrap=True,
    )


def _why(incident: Incident) -> RenderableType:
    """The cause, or in the rule's words what is wrong; and the fix."""
    cause = incident.cause
    known = cause and f"probably {one_line(cause.name)} ({cause.confidence} confidence)"
    return Group(Text(known or one_line(incident.message), "dim"), Text(story.fix_text(incident), "green"))


def _who(incident: Incident) -> str:
    return _bounded(incident.user or "?", 20)


def _often(incident: Incident, now: float | None) -> str:
    """`72 times, 3.7/s, for 19 s`."""
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


def _bounded(text: str, most: int = 28) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _age(since: float | None, now: float | None) -> str:
    return format_duration(max(0.0, now - since)) if since is not None and now is not None else ""
