"""The ids in a structured record, wherever they are nested."""

from collections.abc import Callable
from typing import Any

from wscheck.observe.logs.key_values import something
from wscheck.observe.logs.nested_object import NOT_OURS
from wscheck.observe.logs.vocabulary import TAKEN, WANTED

LEVELS = 4
"""So deep ids are looked for."""

Role = Callable[[str], str | None]


def ids_in(fields: dict[str, Any], kind: str, role_of: Role) -> dict[str, str]:
    """The ids of a record of `kind`, by role; of several for one role the outermost counts."""
    found: dict[str, str] = {}
    level: list[Any] = [fields]
    for _ in range(LEVELS):
        deeper: list[Any] = []
        for item in level:
            _ids_of(item, kind, role_of, found, deeper)
        if all(role in found for role in WANTED[kind]):
            break
        level = deeper[:50]
    return found


def _ids_of(item: Any, kind: str, role_of: Role, found: dict[str, str], deeper: list[Any]) -> None:
    if isinstance(item, list):
        deeper.extend(item[:20])
    if not isinstance(item, dict):
        return
    for key, value in item.items():
        role = role_of(key)
        if isinstance(value, dict | list) and key.lower() not in NOT_OURS:
            deeper.append(value)
        if role is not None and role in TAKEN[kind] and role not in found:
            said = identity(value) if isinstance(value, dict) else scalar(value)
            found |= {role: said} if said is not None else {}


def identity(value: dict[str, Any]) -> str | None:
    """The id of something that was logged whole: user: {id: 7, name: ...}, socket: {id: ...}."""
    return next((scalar(value[key]) for key in ("id", "_id") if key in value), None)


def scalar(value: Any) -> str | None:
    """An id as text, whatever type it was logged as; None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return something(value) if isinstance(value, str) else None
