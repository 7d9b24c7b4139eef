"""Event contract: the events that a server sends, the requests that cause them, and where they contain a user id."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from wscheck.config.settings import parse_duration, parse_text
from wscheck.model.errors import UnknownName, UsageError


class ContractEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event of the contract.

    name      name of the event
    emit      event that the client emits to request this event; None if the server sends it unrequested
    payload   payload of the request
    within    seconds within which the event must arrive
    required  True if the absence of the event is an error
    user      path of the user id in the payload ("userId", "data.user.id"); None if the payload contains none
    audience  "user" if the event is for the user who caused it, "all" if it may reach every user
    private   True if the arrival at another user is an error even if the payload names no user
    """

    name: str
    emit: str | None = None
    payload: Any = None
    within: float = 2.0
    required: bool = True
    user: str | None = "userId"
    audience: Literal["user", "all"] = "user"
    private: bool = False

    def user_in(self, payload: object) -> str | None:
        """Return the id of the user whom `payload` names.

        Return None if the payload of this event names no user, or if the event may reach every user.
        """
        return scalar_at(payload, self.user) if self.user and self.audience != "all" else None


class Contract(msgspec.Struct, frozen=True):
    """The events that a server sends, each with its request."""

    events: tuple[ContractEvent, ...]

    def event_named(self, name: str) -> ContractEvent | None:
        """Return the event with this name, or None."""
        return next((event for event in self.events if event.name == name), None)

    @property
    def first_requestable(self) -> ContractEvent | None:
        """First required event that a client can request. If none is required, the first requestable one, or None."""
        requestable = [event for event in self.events if event.emit is not None]
        return next((event for event in requestable if event.required), next(iter(requestable), None))

    def reply_to(self, emitted: str) -> ContractEvent | None:
        """Return the event that the server sends as a reply to the event `emitted` of a client, or None."""
        return next((event for event in self.events if event.emit == emitted), None)


DOCUMENTED_CONTRACT = Contract(
    events=(
        ContractEvent(name="bot_status_update", emit="request_bot_status"),
        ContractEvent(name="whatsapp_connection_event", emit="trigger_whatsapp_connection"),
        ContractEvent(name="message_sync", emit="request_message_sync"),
        ContractEvent(name="connection_update", emit="request_connection_update"),
    )
)
"""The four events of the reference application, with the requests that cause them."""


def scalar_at(payload: object, path: str) -> str | None:
    """Return the text or whole number at a dotted path in a payload, as text. None if there is none."""
    for key in path.split("."):
        if not isinstance(payload, dict) or key not in payload:
            return None
        payload = payload[key]
    return str(payload) if isinstance(payload, str | int) and not isinstance(payload, bool) else None


MAX_DEPTH = 12


def mentions_user(payload: object, user: str, depth: int = MAX_DEPTH) -> bool:
    """Return whether the id `user` is a value or a key anywhere in a payload.

    The id may also be a part of a longer text, such as "mira" in "agent:mira", if it stands between separators. Short
    ids and ids that consist of digits must be the whole value, because they may occur in a text by chance.
    """
    if isinstance(payload, str):
        return payload == user or (len(user) > 2 and not user.isdigit() and user in re.split(r"[:/|,;#@\s]+", payload))
    if isinstance(payload, bool) or not depth:
        return False
    if isinstance(payload, int):
        return str(payload) == user
    if isinstance(payload, dict):
        return any(key == user or mentions_user(value, user, depth - 1) for key, value in payload.items())
    return isinstance(payload, list | tuple) and any(mentions_user(each, user, depth - 1) for each in payload)


def read_contract(tables: Any, locate_key: Callable[..., str]) -> Contract:
    """Return the contract in the [[event]] tables. Without such tables, return the four events of docs/origin.md.

    `locate_key(key, occurrence)` returns a file and line, as "wscheck.toml:7".

    Raises:
        UsageError: An event is invalid. The message contains its file and line.
    """
    if tables is None:
        return DOCUMENTED_CONTRACT
    if not isinstance(tables, list):
        raise UsageError(f"{locate_key('event')}: `event` must be a list of tables.", "Write [[event]] for each event.")
    contract = Contract(tuple(_parse_event(table, number, locate_key) for number, table in enumerate(tables)))
    for number, event in enumerate(contract.events):
        if contract.event_named(event.name) is not event:
            raise UsageError(
                f"{locate_key('event', number)}: `{event.name}` is described twice.", "Describe each event once."
            )
    return contract


def _parse_event(table: Any, number: int, locate_key: Callable[..., str]) -> ContractEvent:
    place, known = locate_key("event", number), ContractEvent.__struct_fields__
    if not isinstance(table, dict):
        raise UsageError(f"{place}: `event` must be a list of tables.", "Write [[event]] for each event.")
    for key in table:
        if key not in known:
            problem = f"{locate_key(f'event.{key}', number)}: unknown key `{key}`."
            raise UnknownName(problem, key, known, f"An [[event]] has: {', '.join(known)}.")
    for key, read in (("name", parse_text), ("within", parse_duration)):
        if key in table:
            table = {**table, key: _parse_value(read, table[key], locate_key(f"event.{key}", number))}
    try:
        return msgspec.convert(table, ContractEvent)
    except msgspec.ValidationError as error:
        key = re.search(r"\$\.(\w+)", str(error))
        where = locate_key(f"event.{key[1]}", number) if key else place
        raise UsageError(f"{where}: {error}.", f"An [[event]] has: {', '.join(known)}.") from None


def _parse_value(read: Callable[[Any], Any], value: Any, place: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise UsageError(f"{place}: {error}.", "See `wscheck docs configuration`, The event contract.") from None


def contract_toml(events: Sequence[ContractEvent]) -> str:
    """Return the events as [[event]] tables. Strings are encoded as in JSON, which is valid in TOML."""
    tables = []
    for event in events:
        lines = ["[[event]]", f"name = {_quoted(event.name)}"]
        if event.emit is not None:
            lines.append(f"emit = {_quoted(event.emit)}")
        if event.user is not None:
            lines.append(f"user = {_quoted(event.user)}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")
