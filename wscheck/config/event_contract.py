"""The event contract: which events exist, what makes the server send them, and where their user id lives."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from wscheck.config.settings import duration, text
from wscheck.model.errors import UnknownName, UsageError


class ContractEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event of the contract.

    name      the event's name on the wire
    emit      what the client emits to make the server send it; None when it comes by itself
    payload   what is emitted with it
    within    seconds within which it must arrive
    required  whether its absence is an error
    user      where in the payload the user's id lives ("userId", "data.user.id"); None when it is not there
    """

    name: str
    emit: str | None = None
    payload: Any = None
    within: float = 2.0
    required: bool = True
    user: str | None = "userId"

    def about(self, payload: object) -> str | None:
        """The user this payload names."""
        return at_path(payload, self.user) if self.user else None


class Contract(msgspec.Struct, frozen=True):
    """The events that the server sends."""

    events: tuple[ContractEvent, ...]

    @property
    def assumed(self) -> bool:
        """Whether nobody named the server's own events: they are the documented ones, unchanged."""
        return self.events == DOCUMENTED.events

    def named(self, name: str) -> ContractEvent | None:
        """The event of this name, None when the contract does not know it."""
        return next((event for event in self.events if event.name == name), None)

    def answering(self, emitted: str) -> ContractEvent | None:
        """The event that the server sends when a client emits `emitted`, None when the contract has none."""
        return next((event for event in self.events if event.emit == emitted), None)


DOCUMENTED = Contract(
    events=(
        ContractEvent(name="bot_status_update", emit="request_bot_status"),
        ContractEvent(name="whatsapp_connection_event", emit="trigger_whatsapp_connection"),
        ContractEvent(name="message_sync", emit="request_message_sync"),
        ContractEvent(name="connection_update", emit="request_connection_update"),
    )
)
"""The documented four events; what is emitted to ask for them is the reference backend's own."""


def at_path(payload: object, path: str) -> str | None:
    """The scalar at a dotted path, as text; None when it is not there."""
    for key in path.split("."):
        if not isinstance(payload, dict) or key not in payload:
            return None
        payload = payload[key]
    return str(payload) if isinstance(payload, str | int) and not isinstance(payload, bool) else None


def read_contract(tables: Any, at: Callable[..., str]) -> Contract:
    """The contract from the [[event]] tables, the documented one when there are none.

    `at(key, occurrence)` names the place in the file. Raises UsageError with it.
    """
    if tables is None:
        return DOCUMENTED
    if not isinstance(tables, list):
        raise UsageError(f"{at('event')}: `event` must be a list of tables.", "Write [[event]] for each event.")
    contract = Contract(tuple(_event(table, number, at) for number, table in enumerate(tables)))
    for number, event in enumerate(contract.events):
        if contract.named(event.name) is not event:
            raise UsageError(f"{at('event', number)}: `{event.name}` stands twice.", "Describe each event once.")
    return contract


def _event(table: Any, number: int, at: Callable[..., str]) -> ContractEvent:
    place, known = at("event", number), ContractEvent.__struct_fields__
    if not isinstance(table, dict):
        raise UsageError(f"{place}: `event` must be a list of tables.", "Write [[event]] for each event.")
    for key in table:
        if key not in known:
            told = f"{at(f'event.{key}', number)}: unknown key `{key}`."
            raise UnknownName(told, key, known, f"An [[event]] has: {', '.join(known)}.")
    for key, read in (("name", text), ("within", duration)):
        if key in table:
            table = {**table, key: _read(read, table[key], at(f"event.{key}", number))}
    try:
        return msgspec.convert(table, ContractEvent)
    except msgspec.ValidationError as error:
        key = re.search(r"\$\.(\w+)", str(error))
        where = at(f"event.{key[1]}", number) if key else place
        raise UsageError(f"{where}: {error}.", f"An [[event]] has: {', '.join(known)}.") from None


def _read(read: Callable[[Any], Any], value: Any, place: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise UsageError(f"{place}: {error}.", "See `wscheck docs configuration`, The event contract.") from None
