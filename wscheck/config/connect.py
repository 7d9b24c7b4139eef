"""Options of a client's connection, from the [connect] table: further parts of the handshake, and steps after it.

Values are templates: `{user}` and `{token}` stand for the credentials of the connection, `{env:NAME}` for a variable of
the environment, which is a secret.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from wscheck.config.settings import parse_duration, parse_text
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.secrets import SHORTEST_SECRET, Secret

STEP_TIMEOUT_S = 5.0
"""Seconds within which the server must answer a step, by default."""

_PLACEHOLDER = re.compile(r"\{(user|token|env:\w+)\}")
_SECRET_NAME = re.compile(r"(?i)token|secret|passw|key|session|credential|authorization|cookie|jwt")
_LEFT_OUT = object()
_REFUSING_WORDS = frozenset({"error", "fail", "failed", "failure", "unauthorized", "forbidden", "denied"})


class ConnectStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step after the server acknowledged the connection.

    emit      event that the client emits; None to emit nothing
    payload   template of the event's payload
    ack       the server must acknowledge the event
    wait_for  event that the server must send; None to wait for none
    expect    keys and values that the server's answer must contain: the acknowledgement if `ack` is set, otherwise the
              event `wait_for`
    within    seconds within which the server must answer
    """

    emit: str | None = None
    payload: Any = None
    ack: bool = False
    wait_for: str | None = None
    expect: dict[str, Any] = {}
    within: float = STEP_TIMEOUT_S

    @property
    def label(self) -> str:
        """Name of the step in messages: the event that it emits or waits for."""
        return self.emit or self.wait_for or ""

    def refusal_in(self, answer: object) -> str | None:
        """Return the reason for which `answer` means that the server refused the step, None if the server accepted it.

        An answer with an `error`, or with a false `ok` or `success`, is a refusal.
        """
        for key, value in self.expect.items():
            actual = answer.get(key) if isinstance(answer, dict) else None
            if actual != value:
                return f"{key} is {actual!r} and not {value!r}"
        if self.expect or not isinstance(answer, dict):
            return None
        refuses = answer.get("ok") is False or answer.get("success") is False or bool(answer.get("error"))
        if refuses or str(answer.get("status", "")).lower() in _REFUSING_WORDS:
            return str(answer.get("error") or answer.get("message") or answer)
        return None


class ConnectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Additional parts of the handshake and steps after it. All values are templates.

    variables  values of the environment variables that the templates name
    """

    auth: dict[str, Any] = {}
    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    query: dict[str, str] = {}
    steps: tuple[ConnectStep, ...] = ()
    variables: dict[str, Secret] = {}

    def fill(self, template: Any, user: str, token: Secret | None) -> Any:
        """Return `template` with its placeholders replaced.

        If `token` is None, texts that contain `{token}` are removed from tables and lists. A template that is itself
        such a text becomes None.
        """
        values = {f"env:{name}": value.reveal() for name, value in self.variables.items()}
        filled = _fill(template, {**values, "user": user, "token": token.reveal() if token is not None else None})
        return None if filled is _LEFT_OUT else filled

    def places(self, placeholder: str) -> bool:
        """Return whether a part of the handshake contains `placeholder`, for example "token" as `{token}`."""
        parts = [self.auth, self.headers, self.cookies, self.query]
        return any(f"{{{placeholder}}}" in text for text in _texts(parts))

    @property
    def secrets(self) -> list[Secret]:
        """Secrets in the templates: variables, cookies, and values that are secret according to their name."""
        named = [*self.cookies.values()]
        for table in (self.auth, self.headers, self.query, *(step.payload for step in self.steps)):
            named += _secret_texts(table)
        constant = [text for text in named if not _PLACEHOLDER.search(text) and len(text) >= SHORTEST_SECRET]
        return [*self.variables.values(), *map(Secret, constant)]

    @property
    def _templates(self) -> list[Any]:
        return [self.auth, self.headers, self.cookies, self.query, *(step.payload for step in self.steps)]

    def with_variables(self, environ: Mapping[str, str]) -> "ConnectOptions":
        """Return the options with the values of their environment variables, as far as these are set."""
        given = {name: Secret(environ[name]) for name in self._variable_names if environ.get(name)}
        return msgspec.structs.replace(self, variables=given)

    @property
    def missing_variables(self) -> list[str]:
        """Names of the environment variables that the templates need and that are not set."""
        return [name for name in self._variable_names if name not in self.variables]

    @property
    def _variable_names(self) -> list[str]:
        placeholders = (name for text in _texts(self._templates) for name in _PLACEHOLDER.findall(text))
        return sorted({name.removeprefix("env:") for name in placeholders if name.startswith("env:")})

    def encode(self) -> str:
        """Return the options as JSON for another process, which reads the variables from its own environment."""
        return msgspec.json.encode(msgspec.structs.replace(self, variables={})).decode()


def decode_connect_options(text: str, environ: Mapping[str, str] = os.environ) -> ConnectOptions:
    """Parse what `ConnectOptions.encode` returned.

    Raises:
        ValueError: The text is not valid.
    """
    return msgspec.json.decode(text, type=_EncodedOptions).options().with_variables(environ)


class _EncodedOptions(msgspec.Struct, kw_only=True):
    """Fields of `ConnectOptions` that JSON can contain."""

    auth: dict[str, Any] = {}
    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    query: dict[str, str] = {}
    steps: tuple[ConnectStep, ...] = ()

    def options(self) -> ConnectOptions:
        return ConnectOptions(**{name: getattr(self, name) for name in self.__struct_fields__})


def read_connect_options(
    values: Mapping[str, Any],
    table: Any,
    locate_key: Callable[..., str],
    environ: Mapping[str, str],
) -> ConnectOptions:
    """Return the options of a client's connection, from the [connect] table and from flags such as `--header`.

    Args:
        values: The parts of the handshake by name: auth, headers, cookies, query.
        table: The [connect] table of the configuration file, or None.
        locate_key: Function that returns the file and line of a key, given its name and occurrence.
        environ: Environment variables, for `{env:NAME}`.

    Raises:
        UsageError: A step is invalid.
    """
    return ConnectOptions(**values, steps=_read_steps(table, locate_key)).with_variables(environ)


def _read_steps(table: Any, locate_key: Callable[..., str]) -> tuple[ConnectStep, ...]:
    tables = table.get("step", []) if isinstance(table, dict) else []
    if not isinstance(tables, list):
        raise UsageError(
            f"{locate_key('connect.step')}: `step` must be a list of tables.", "Write [[connect.step]] for each."
        )
    return tuple(_parse_step(each, locate_key("connect.step", number)) for number, each in enumerate(tables))


def _parse_step(table: Any, location: str) -> ConnectStep:
    known = ConnectStep.__struct_fields__
    help = f"A step has {', '.join(known)}: see `wscheck docs configuration`."
    if not isinstance(table, dict):
        raise UsageError(f"{location}: a step must be a table.", help)
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise UnknownName(f"{location}: `{unknown}` is not a key of a step.", unknown, known, help)
    try:
        parsed: dict[str, Any] = {key: parse_text(table[key]) for key in ("emit", "wait_for") if key in table}
        if not parsed:
            raise ValueError("a step needs `emit` or `wait_for`")
        if table.get("ack") and "emit" not in table:
            raise ValueError("`ack` needs `emit`: the server acknowledges an event")
        if "expect" in table and not (table.get("ack") or "wait_for" in table):
            raise ValueError("`expect` needs `ack` or `wait_for`: it describes the answer")
        if "within" in table:
            parsed["within"] = parse_duration(table["within"])
        return msgspec.convert({**table, **parsed}, ConnectStep)
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"{location}: {error}.", help) from None


def _fill(template: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(template, str):
        names = _PLACEHOLDER.findall(template)
        if any(values.get(name) is None for name in names):
            return _LEFT_OUT
        # One pass, because a token may contain the text of a placeholder.
        return _PLACEHOLDER.sub(lambda found: values[found[1]] or "", template)
    if isinstance(template, dict):
        filled = {key: _fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not _LEFT_OUT}
    if isinstance(template, list | tuple):
        return [value for each in template if (value := _fill(each, values)) is not _LEFT_OUT]
    return template


def _texts(template: Any) -> Iterator[str]:
    """Yield every string in a template: the template itself, or the values of its tables and lists at any depth."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, dict | list | tuple):
        for each in template.values() if isinstance(template, dict) else template:
            yield from _texts(each)


def _secret_texts(template: Any) -> Iterator[str]:
    """Yield the strings in a template whose key indicates a secret, such as "password"."""
    if not isinstance(template, dict):
        return
    for key, value in template.items():
        if _SECRET_NAME.search(key):
            yield from _texts(value)
        else:
            yield from _secret_texts(value)
