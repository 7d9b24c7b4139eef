"""`wscheck config`: every value, and where it came from."""

from typing import Any


def config() -> None:
    """Show every setting with its value and its origin: a variable, a line of wscheck.toml, or the default."""
    from rich.console import Console
    from rich.table import Table

    from wscheck.config import load
    from wscheck.settings import SETTINGS

    loaded = load({})
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title, overflow="fold", style="dim" if title == "meaning" else None)
    for name, setting in SETTINGS.items():
        value = loaded.values[name]
        table.add_row(name, _shown(value.value), value.origin, setting.help)
    for event in loaded.contract.events:
        asked = f"emit {event.emit}" if event.emit else "comes by itself"
        need = "" if event.required else ", optional"
        table.add_row("event", event.name, "", f"{asked}, within {event.within:g} s{need}")
    Console(highlight=False).print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g} s"
    if isinstance(value, tuple) and value and isinstance(value[-1], float):
        return f"{value[0]} in {value[1]:g} s"
    return ", ".join(map(str, value)) or "-" if isinstance(value, tuple) else str(value)
