"""`wscheck config`: the value of every setting and its origin."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from wscheck.config.loading import Config
    from wscheck.config.settings import Setting

WIDE = 500
NARROW = 110
"""Columns below which the description goes on a line of its own."""

Row = tuple[str, str, str, str]


def config() -> None:
    """Show every setting with its value and origin.

    The origin is a variable, a line of wscheck.toml, or the default. Secrets are hidden.
    """
    from wscheck.config.loading import load_config
    from wscheck.report.console import new_console

    console = new_console()
    if not console.is_terminal:
        console.width = WIDE  # one line per setting, for files and grep
    show(_rows(load_config({})), console)


def _rows(loaded: "Config") -> "Iterator[Row]":
    """Yield setting, value, origin and description."""
    from wscheck.config.settings import SETTINGS

    for name, setting in SETTINGS.items():
        value = loaded.values[name]
        yield name, _shown(setting, value.value), value.origin, setting.help
    for event in loaded.contract.events:
        trigger = f"emit {event.emit}" if event.emit else "sent by the server unasked"
        need = "" if event.required else ", optional"
        yield "event", event.name, "", f"{trigger}, within {_span(event.within)}{need}"


def show(rows: "Iterable[Row]", console: "Console") -> None:
    """Print the settings as a table, or on a narrow terminal as a list."""
    from rich.table import Table
    from rich.text import Text

    if console.width < NARROW:
        for name, value, origin, meaning in rows:
            where = (f"  ({origin})", "dim") if origin else ""
            console.print(Text.assemble((name, "bold"), f"  {value}", where, (f"\n    {meaning}", "dim")))
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("setting", "value", "origin", "meaning"):
        dim, whole = title == "meaning", title in ("setting", "origin")
        table.add_column(title, overflow="fold", style="dim" if dim else None, no_wrap=whole)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _shown(setting: "Setting", value: Any) -> str:
    """Return the value as it is written in flags, variables and files."""
    from wscheck.config.settings import parse_attempt_limit, parse_duration, redact_url

    if value is None or value in ((), {}):
        return "-"
    if isinstance(value, dict):
        return ",".join(value)  # only the names: a value may be secret
    if setting.parse is parse_duration:
        return _span(value)
    if setting.parse is parse_attempt_limit:
        return f"{value[0]}/{_span(value[1])}"
    shown = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return shown.lower() if isinstance(value, bool) else redact_url(shown) if "://" in shown else shown


def _span(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"
