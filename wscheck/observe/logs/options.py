"""How the words of a log are understood: the documented ones, and those that a user adds."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from wscheck.model.errors import UsageError
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.event_builder import PrefixMemory
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.vocabulary import (
    ALLOWED_ROLES,
    EVENT_ROLES,
    KINDS,
    ROLES,
    LogVocabulary,
    key_name_error,
    marker_error,
)

AS_IT_STANDS = "Write the name alone, as it stands in the log"

_TABLES = {"markers": KINDS, "keys": ROLES}


class ReaderFactory:
    """Makes readers, each for a file by its name. Those of one log share what they met: no rotation lets text in."""

    def __init__(self, wording: LogVocabulary, redactor: Redactor | None) -> None:
        self._wording, self._redactor = wording, redactor
        self._prefix_memory: dict[str, PrefixMemory] = {}

    def __call__(self, path: str) -> LogExtractor:
        return self.of(path)(path)

    def of(self, log: str) -> Callable[[str], LogExtractor]:
        """For the generations of a log, whatever their names are."""
        prefix_memory = self._prefix_memory.setdefault(log, PrefixMemory())
        return lambda path: LogExtractor(
            path, wording=self._wording, redactor=self._redactor, prefix_memory=prefix_memory
        )


def _somewhere(name: str) -> str:
    return f"wscheck.toml: `{name}`"


def reader_factory(
    markers: Sequence[str],
    keys: Sequence[str],
    table: Mapping[str, Any],
    at: Callable[[str], str] = _somewhere,
    redactor: Redactor | None = None,
) -> ReaderFactory:
    """A maker of readers.

    markers  `KIND=TEXT`: a line that says TEXT is such an event as well
    keys     `FIELD=NAME`: the log calls the field so as well
    table    wscheck.toml's [logs], with [logs.markers] and [logs.keys]: a text or a list of them by KIND or FIELD
    at       where in that file something stands
    redactor hides the secrets that this run knows
    Raises UsageError.
    """
    wording = LogVocabulary(
        markers=(
            *_of_table("markers", table, at),
            *(_pair(raw, "--marker", "KIND=TEXT", KINDS, "'Socket opened'") for raw in markers),
        ),
        keys=(*_of_table("keys", table, at), *(_pair(raw, "--key", "FIELD=NAME", ROLES, "uid") for raw in keys)),
    )
    return ReaderFactory(wording, redactor)


def placeholder_hint(kind: str) -> str:
    """What may stand in a marker beside text."""
    order = [role for role in EVENT_ROLES[kind] if role in ALLOWED_ROLES[kind]]
    named = f"{', '.join(f'{{{role}}}' for role in order)}, and {{}} for other words" if order else "{}"
    return f"The places of {kind} are {named}, apart from each other by text; a brace itself is written {{{{ or }}}}."


def _first(problems: Iterable[str]) -> str:
    return next(filter(None, problems), "")


def _pair(raw: str, flag: str, form: str, choices: Sequence[str], example: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in raw.partition("="))
    what = form.partition("=")[0]
    meant = f"{what} is one of {', '.join(choices)}: write {flag} {name if name in choices else choices[0]}="
    if not value:
        raise UsageError(f"{flag} {raw}: this is not {form}.", f"{meant}{example}.")
    if name not in choices:
        raise UsageError(f"{flag} {raw}: `{name}` is not a {what} that is known.", f"{meant}{shlex.quote(value)}.")
    if choices is KINDS and (wrong := marker_error(name, value, ALLOWED_ROLES[name])):
        raise UsageError(f"{flag} {raw}: {wrong}.", placeholder_hint(name))
    if choices is ROLES and (wrong := key_name_error(value)):
        raise UsageError(f"{flag} {raw}: {wrong}.", f"{AS_IT_STANDS}: {flag} {name}={example}.")
    return name, value


def _of_table(name: str, table: Mapping[str, Any], at: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    content = table.get(name, {})
    if not isinstance(content, Mapping):
        raise UsageError(
            f"{at(f'logs.{name}')}: `logs.{name}` must be a table.", f"Write [logs.{name}] on a line of its own."
        )
    for kind, value in content.items():
        texts = value if isinstance(value, list) else [value]
        if kind not in _TABLES[name] or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UsageError(
                f"{at(f'logs.{name}.{kind}')}: `{kind}` is not understood.",
                f"Its keys are {', '.join(_TABLES[name])}, each with a text or a list of texts.",
            )
        if name == "markers" and (
            wrong := _first(marker_error(kind, each.strip(), ALLOWED_ROLES[kind]) for each in texts)
        ):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", placeholder_hint(kind))
        if name == "keys" and (wrong := _first(map(key_name_error, texts))):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", f'{AS_IT_STANDS}: {kind} = "uid".')
        yield from ((kind, text.strip()) for text in texts)
