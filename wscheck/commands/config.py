"""`wscheck config`: every value, and where it came from."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wscheck.settings import Setting

WIDE = 500


def config() -> None:
    """Show every setting, its value and where it is from.

    From a variable, a line of wscheck.toml, or the default. Each value is shown as one would write it;
    secrets are hidden.
    """
    from rich.console import Console
    from rich.table import Table

    from wscheck.config import load
    from wscheck.settings import SETTINGS

    loaded = load({})
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE  # for grep and files: one line each
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("setting", "value", "from", "meaning"):
        dim, whole = title == "meaning", title in ("setting", "from")
        table.add_column(title, overflow="fold", style="dim" if dim else None, no_wrap=whole)
    for name, setting in SETTINGS.items():
        value = loaded.values[name]
        table.add_row(name, _shown(setting, value.value), value.origin, setting.help)
    for event in loaded.contract.events:
        asked = f"emit {event.emit}" if event.emit else "comes by itself"
        need = "" if event.required else ", optional"
        table.add_row("event", event.name, "", f"{asked}, within {_span(event.within)}{need}")
    console.print(table)


def _shown(setting: "Setting", value: Any) -> str:
    """In the form in which flags, variables and files take it."""
    from wscheck.settings import attempts, duration, without_credentials

    if value is None or value == ():
        return "-"
    if setting.parse is duration:
        return _span(value)
    if setting.parse is attempts:
        return f"{value[0]}/{_span(value[1])}"
    shown = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return shown.lower() if isinstance(value, bool) else without_credentials(shown) if "://" in shown else shown


def _span(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"
