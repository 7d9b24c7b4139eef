"""The view on a terminal: who holds more than one connection, how fast it goes, and which incidents are open."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wscheck.events import Event
from wscheck.findings import Severity
from wscheck.incidents import Incident, State
from wscheck.reporters.wording import clock, one_line, plural, rate, seconds
from wscheck.tail_logs import Watch
from wscheck.telling.lines import sentence
from wscheck.transitions import Transition

REFRESH_S = 0.25
SPARKS = " ▁▂▃▄▅▆▇█"
SPARK_S = 30
USERS, INCIDENTS, RECENT = 6, 8, 5
_HUE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


class LiveView:
    """Draws `watch` on `console`, at most four times a second, and takes itself away at the end."""

    def __init__(self, watch: Watch, console: Console) -> None:
        self._watch = watch
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def event(self, event: Event, changes: Sequence[Transition]) -> None:
        """The next drawing shows what it changed."""

    def incident(self, incident: Incident) -> None:
        """What is over is only seen in passing."""
        if incident.state is State.RESOLVED:
            at = incident.resolved_at
            self._recent.append(f"{clock(at)[:8]} {sentence(incident)}" if at else sentence(incident))

    def note(self, text: str) -> None:
        """Something to be said about the logs themselves."""
        self._recent.append(one_line(text))

    def settled(self, now: float | None) -> None:
        """Draw, unless it was drawn a moment ago."""
        if time.monotonic() - self._drawn >= REFRESH_S:
            self._drawn = time.monotonic()
            # Not before there is something to show: until then the terminal may belong to a progress bar.
            self._live.start()
            self._live.update(picture(self._watch, now, self._recent), refresh=True)

    def close(self) -> None:
        """Take the view away."""
        self._live.stop()


def picture(watch: Watch, now: float | None, recent: Iterable[str] = ()) -> RenderableType:
    """The whole view; `now` is the logs' time."""
    parts = [_title(watch, now), Text(), _gauges(watch)]
    if watch.pulse.over_one:
        parts += [Text(), _over_one(watch, now)]
    parts += [Text(), _incidents(watch, now)]
    told = [Text(line, "dim", overflow="ellipsis", no_wrap=True) for line in recent]
    return Group(*parts, *([Text(), *told] if told else []))


def _title(watch: Watch, now: float | None) -> RenderableType:
    names = ", ".join(log.name for log in watch.logs[:3]) + (
        f" and {len(watch.logs) - 3} more" if watch.logs[3:] else ""
    )
    read = f"{plural(sum(log.lines for log in watch.logs), 'line')}, {_size(watch.bytes)}"
    unread = sum(log.unreadable for log in watch.logs)
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    doubt = Text(f"  {plural(unread, 'line')} could not be read", "yellow") if unread else Text()
    title = Text.assemble(("wscheck", "bold"), "  ", one_line(names), doubt)
    line.add_row(title, Text(f"{read}  {clock(now)[:8] + ' UTC' if now else 'no event yet'}", "dim"))
    return line


def _gauges(watch: Watch) -> RenderableType:
    pulse, over = watch.pulse, len(watch.pulse.over_one)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    grid.add_column(no_wrap=True)
    grid.add_row("users over one connection", Text(f"{over:,}", "bold red" if over else "bold green"), "")
    grid.add_row("connections open", Text(f"{watch.judge.ledger.open:,}", "bold"), "")
    for label, pace in (("replacements", pulse.replacements), ("attempts", pulse.attempts)):
        grid.add_row(label, Text(_pace(pace.per_second), "bold"), Text(sparkline(pace.history[-SPARK_S:]), "cyan"))
    return grid


def _pace(per_second: float) -> str:
    return rate(per_second) if per_second else "0/s"


def sparkline(counts: Sequence[int]) -> str:
    """One character for each count, as high as its share of the largest."""
    most = max(counts, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[-(-count * steps // most)] if most else SPARKS[1] if count else "·" for count in counts)


def _over_one(watch: Watch, now: float | None) -> RenderableType:
    table = _table("user", "holds", "for", title="Users over one connection")
    ledger, over = watch.judge.ledger, watch.pulse.over_one
    for user, since in islice(over.items(), USERS):
        held = ledger.held(user)
        sockets = f"{len(held)}: {', '.join(held[-3:])}" + (", ..." if len(held) > 3 else "")
        table.add_row(_bounded(user), one_line(sockets), _age(since, now))
    return _with_rest(table, len(over) - USERS)


def _incidents(watch: Watch, now: float | None) -> RenderableType:
    found = sorted(watch.incidents.open, key=lambda i: (-i.severity.rank, -(i.last_at or 0.0)))
    if not found:
        return Text("No incident is open.", "green" if watch.pulse.events else "dim")
    table = _table("rule", "user", "times", "rate", "for", "probably", title="Open incidents")
    for incident in found[:INCIDENTS]:
        cause = f"{incident.cause.name} ({incident.cause.confidence})" if incident.cause else incident.message
        table.add_row(
            Text(incident.rule, _HUE[incident.severity]),
            _bounded(incident.user or "?"),
            f"{incident.count:,}",
            rate(incident.rate) if incident.rate else "",
            _age(incident.first_at, now),
            one_line(cause),
        )
    return _with_rest(table, len(found) - INCIDENTS)


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
            justify="right" if name in ("times", "rate", "for") else "left",
        )
    return table


def _with_rest(table: Table, rest: int) -> RenderableType:
    return Group(table, Text(f"and {rest:,} more", "dim")) if rest > 0 else table


def _bounded(text: str, most: int = 28) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _age(since: float | None, now: float | None) -> str:
    return seconds(max(0.0, now - since)) if since is not None and now is not None else ""


def _size(count: int) -> str:
    value, units = float(count), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 1000 and (larger := next(units, None)) is not None:
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
