"""JSON Schema of wscheck.toml, for editors that complete and check the file while it is written.

`python -m wscheck.run.config_schema docs/schemas` writes the schema. A test compares the stored schema with this one.
The schema is stricter than the parsers in one respect: a number must not be written as a text.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from wscheck.config import settings
from wscheck.config.browser_steps import ACTIONS
from wscheck.config.settings import SETTINGS, ChoiceParser, Setting
from wscheck.detect.rounds import MIN_ROUNDS
from wscheck.detect.rules import REGISTRY
from wscheck.observe.logs.vocabulary import KINDS, ROLES

FILE_NAME = "wscheck.toml-1.json"

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_DURATION: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)?\s*$"},
        {"type": "number", "minimum": 0},
    ],
    "examples": ["300ms", "2s", "1m"],
}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_TEXT_FIELDS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}

_OF_PARSER: dict[Callable[[Any], Any], Schema] = {
    settings.parse_otlp_receiver: {"type": "string", "pattern": r"^(env$|https?://[^/\s]+)"},
    settings.parse_attempt_limit: {"type": "string", "pattern": r"^\s*\d+\s*/\s*\d+(\.\d+)?\s*(ms|s|m|h)?\s*$"},
    settings.parse_checkout_folder: {"type": "string", "pattern": r"^(?![/\\])(?!.*(^|[/\\])\.\.([/\\]|$))"},
    settings.parse_connections: {"anyOf": [{"enum": ["per-user", "per-tab"]}, _COUNT]},
    settings.parse_credential_location: {"type": "string", "pattern": r"^(auth|query|header|cookie)\.[\w.:-]+$"},
    settings.parse_duration: _DURATION,
    settings.parse_fields: {"type": "object"},
    settings.parse_flag: _FLAG,
    settings.parse_headers: _TEXT_FIELDS,
    settings.parse_http_url: {"type": "string", "pattern": r"^https?://[^/\s]+"},
    settings.parse_list: _TEXTS,
    settings.parse_namespace: {"type": "string", "pattern": r"^[^,?]*[^,?\s][^,?]*$"},
    settings.parse_number: {"type": "number", "minimum": 0},
    settings.parse_positive_int: _COUNT,
    settings.parse_positive_number: {"type": "number", "exclusiveMinimum": 0},
    settings.parse_rounds: {"type": "integer", "minimum": MIN_ROUNDS},
    settings.parse_server_url: {"type": "string", "pattern": r"^(https?|wss?)://[^/\s]+"},
    settings.parse_text: _TEXT,
    settings.parse_text_fields: _TEXT_FIELDS,
    settings.parse_transports: {
        "anyOf": [
            {"type": "array", "minItems": 1, "items": {"enum": ["polling", "websocket"]}},
            {"enum": ["polling", "websocket", "polling,websocket", "websocket,polling"]},
        ]
    },
}
"""Parser of a setting to the values that it accepts in a file."""


def config_schema() -> Schema:
    """Return the JSON Schema (2020-12) of wscheck.toml."""
    tables: dict[str, Schema] = {}
    for setting in SETTINGS.values():
        if setting.secret:
            continue  # a secret in a file is an error
        table, _, key = setting.name.partition(".")
        tables.setdefault(table, {})[key] = {"description": setting.help, **_accepted(setting)}
    tables["browser"]["step"] = {"type": "array", "items": {"$ref": "#/$defs/browser-step"}}
    tables["connect"]["step"] = {"type": "array", "items": {"$ref": "#/$defs/connect-step"}}
    tables["logs"] = {"markers": _table(dict.fromkeys(KINDS, _TEXTS)), "keys": _table(dict.fromkeys(ROLES, _TEXTS))}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wscheck.toml",
        "description": "Configuration of wscheck",
        **_table(
            {
                **{name: _table(keys) for name, keys in sorted(tables.items())},
                "event": {"type": "array", "items": {"$ref": "#/$defs/event"}},
                "allow": {"type": "array", "items": {"$ref": "#/$defs/allow"}},
            }
        ),
        "$defs": {
            "browser-step": _browser_step(),
            "connect-step": _connect_step(),
            "event": _event(),
            "allow": _allow(),
        },
    }


def _accepted(setting: Setting) -> Schema:
    if isinstance(setting.parse, ChoiceParser):
        return {"enum": list(setting.parse.choices)}
    return _OF_PARSER[setting.parse]


def _table(keys: Schema, required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": keys}
    return {**schema, "required": list(required)} if required else schema


def _browser_step() -> Schema:
    values: dict[str, Schema] = {
        **dict.fromkeys(ACTIONS, _TEXT),
        "reload": {"const": True},
        "back": {"const": True},
        "scroll": {"anyOf": [_TEXT, {"type": "number"}]},
        "tab": {"anyOf": [_TEXT, _COUNT]},
        "wait": _DURATION,
        "wait_for_connection": {"anyOf": [{"const": True}, _COUNT]},
        "repeat": _COUNT,
    }
    actions = {name: {"description": ACTIONS[name], **schema} for name, schema in values.items()}
    options = {
        "with": {"type": "string"},
        "with_env": _TEXT,
        "within": _DURATION,
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/browser-step"}},
    }
    return {**_table({**actions, **options}), "anyOf": [{"required": [name]} for name in ACTIONS]}


def _connect_step() -> Schema:
    keys = {
        "emit": _TEXT,
        "payload": {},
        "ack": _FLAG,
        "wait_for": _TEXT,
        "expect": {"type": "object"},
        "within": _DURATION,
    }
    return {**_table(keys), "anyOf": [{"required": ["emit"]}, {"required": ["wait_for"]}]}


def _event() -> Schema:
    keys = {
        "name": _TEXT,
        "emit": {"type": "string"},
        "payload": {},
        "within": _DURATION,
        "required": _FLAG,
        "user": {"type": "string"},
        "audience": {"enum": ["user", "all"]},
        "private": _FLAG,
    }
    return _table(keys, ["name"])


def _allow() -> Schema:
    text = {"type": "string"}
    # Editors pass a date of TOML as a text.
    keys = {"rule": {"enum": sorted(REGISTRY)}, "user": text, "file": text, "until": text, "reason": text}
    return _table(keys, ["rule"])


def encode() -> bytes:
    """Return the schema as JSON text, exactly as the stored file contains it."""
    return msgspec.json.format(msgspec.json.encode(config_schema()), indent=2) + b"\n"


if __name__ == "__main__":
    Path(sys.argv[1], FILE_NAME).write_bytes(encode())
