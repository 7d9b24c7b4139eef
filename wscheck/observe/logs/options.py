"""Options that extend the vocabulary of a log: `--marker`, `--key` and the [logs] tables of wscheck.toml."""

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
from wscheck.observe.logs.wording.scout import WordingScout

AS_IT_STANDS = "Write only the name, as in the log"

_TABLES = {"markers": KINDS, "keys": ROLES}


class ReaderFactory:
    """Factory of log readers, one per file.

    The readers of a log and of its rotated files share one `PrefixMemory` (which records had a time or level).
    """

    def __init__(self, wording: LogVocabulary, redactor: Redactor | None, guess: bool | None = None) -> None:
        """Create the factory. `guess` selects lines without a known marker that are read too: see `reader_factory`."""
        self._wording, self._redactor, self._guess = wording, redactor, guess
        self._prefix_memory: dict[str, PrefixMemory] = {}
        self._scouts: dict[str, WordingScout] = {}

    def __call__(self, path: str) -> LogExtractor:
        return self.for_log(path)(path)

    def for_log(self, log: str) -> Callable[[str], LogExtractor]:
        """Return a function that creates a reader for a file of `log`, given the path of this file."""

        def new_reader(path: str) -> LogExtractor:
            # Of many logs, most have no new lines, and need no reader.
            return LogExtractor(
                path,
                wording=self._wording,
                redactor=self._redactor,
                prefix_memory=self._prefix_memory.setdefault(log, PrefixMemory()),
                scout=self.scout_for(log),
            )

        return new_reader

    def scout_for(self, log: str) -> WordingScout:
        """Return the search of a log for connections that no known marker reports.

        The current file of a log and its rotated files share one search.
        """
        if log not in self._scouts:
            self._scouts[log] = WordingScout(self._wording, guesses=self._guess, redactor=self._redactor)
        return self._scouts[log]


def _somewhere(name: str) -> str:
    return f"wscheck.toml: {name}"


def reader_factory(
    markers: Sequence[str],
    keys: Sequence[str],
    table: Mapping[str, Any],
    at: Callable[[str], str] = _somewhere,
    redactor: Redactor | None = None,
    *,
    guess: bool | None = False,
) -> ReaderFactory:
    """Return a factory of readers.

    markers   `KIND=TEXT`: lines with TEXT also report events of KIND
    keys      `FIELD=NAME`: NAME is another name for FIELD (user, sid, ...) in the log
    table     [logs] of wscheck.toml, with [logs.markers] and [logs.keys]: one text or a list of texts per key
    at        function that returns where in wscheck.toml a key is, for error messages
    redactor  removes the secrets of this run
    guess     whether to read lines without a known marker that report connections: True for all, None for those whose
              meaning is certain, False for none

    Raises:
        UsageError: An option or a table is wrong.
    """
    return ReaderFactory(log_vocabulary(markers, keys, table, at), redactor, guess)


def log_vocabulary(
    markers: Sequence[str], keys: Sequence[str], table: Mapping[str, Any], at: Callable[[str], str] = _somewhere
) -> LogVocabulary:
    """Return the markers and keys of the configuration and of the command line: see `reader_factory`."""
    return LogVocabulary(
        markers=(
            *_pairs_from_table("markers", table, at),
            *(_pair(raw, "logs.markers", "KIND=TEXT", KINDS, "'Socket opened'") for raw in markers),
        ),
        keys=(
            *_pairs_from_table("keys", table, at),
            *(_pair(raw, "logs.keys", "FIELD=NAME", ROLES, "uid") for raw in keys),
        ),
    )


def placeholder_hint(kind: str) -> str:
    """Return a hint for an error message: the placeholders that a marker of `kind` may contain."""
    order = [role for role in EVENT_ROLES[kind] if role in ALLOWED_ROLES[kind]]
    named = f"{', '.join(f'{{{role}}}' for role in order)}, and {{}} for any other words" if order else "{}"
    return f"The placeholders of {kind} are {named}. Text must separate them. Write a literal brace as {{{{ or }}}}."


def _first(problems: Iterable[str]) -> str:
    return next(filter(None, problems), "")


def _pair(raw: str, option: str, form: str, choices: Sequence[str], example: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in raw.partition("="))
    what = form.partition("=")[0]
    meant = f"{what} is one of {', '.join(choices)}: write `{option}` {name if name in choices else choices[0]}="
    if not value:
        raise UsageError(f"`{option}` {raw}: it does not have the form {form}.", f"{meant}{example}.")
    if name not in choices:
        raise UsageError(f"`{option}` {raw}: `{name}` is not a known {what}.", f"{meant}{shlex.quote(value)}.")
    if choices is KINDS and (wrong := marker_error(name, value, ALLOWED_ROLES[name])):
        raise UsageError(f"`{option}` {raw}: {wrong}.", placeholder_hint(name))
    if choices is ROLES and (wrong := key_name_error(value)):
        raise UsageError(f"`{option}` {raw}: {wrong}.", f"{AS_IT_STANDS}: `{option}` {name}={example}.")
    return name, value


def _pairs_from_table(name: str, table: Mapping[str, Any], at: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    content = table.get(name, {})
    if not isinstance(content, Mapping):
        raise UsageError(
            f"{at(f'logs.{name}')}: [logs.{name}] must be a table.", f"Write [logs.{name}] on a line of its own."
        )
    for kind, value in content.items():
        texts = value if isinstance(value, list) else [value]
        if kind not in _TABLES[name] or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UsageError(
                f"{at(f'logs.{name}.{kind}')}: `{kind}` is not a valid entry.",
                f"Its keys are {', '.join(_TABLES[name])}, each with a string or a list of strings.",
            )
        if name == "markers" and (
            wrong := _first(marker_error(kind, each.strip(), ALLOWED_ROLES[kind]) for each in texts)
        ):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", placeholder_hint(kind))
        if name == "keys" and (wrong := _first(map(key_name_error, texts))):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", f'{AS_IT_STANDS}: {kind} = "uid".')
        yield from ((kind, text.strip()) for text in texts)
