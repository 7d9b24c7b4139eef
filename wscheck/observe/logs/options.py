"""How the words of a log are understood: the documented ones, and those that a user adds."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from wscheck.model.errors import UsageError
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.event_builder import Dressed
from wscheck.observe.logs.extractor import Extractor
from wscheck.observe.logs.vocabulary import KINDS, ROLES, TAKEN, TOLD, Wording, wrong_as_key, wrong_as_marker

AS_IT_STANDS = "Write the name alone, as it stands in the log"

_TABLES = {"markers": KINDS, "keys": ROLES}


class Readers:
    """Makes readers, each for a file by its name. Those of one log share what they met: no rotation lets text in."""

    def __init__(self, wording: Wording, redactor: Redactor | None) -> None:
        self._wording, self._redactor = wording, redactor
        self._dressed: dict[str, Dressed] = {}

    def __call__(self, path: str) -> Extractor:
        return self.of(path)(path)

    def of(self, log: str) -> Callable[[str], Extractor]:
        """For the generations of a log, whatever their names are."""
        dressed = self._dressed.setdefault(log, Dressed())
        return lambda path: Extractor(path, wording=self._wording, redactor=self._redactor, dressed=dressed)


def _somewhere(name: str) -> str:
    return f"wscheck.toml: `{name}`"


def readers(
    markers: Sequence[str],
    keys: Sequence[str],
    table: Mapping[str, Any],
    at: Callable[[str], str] = _somewhere,
    redactor: Redactor | None = None,
) -> Readers:
    """A maker of readers.

    markers  `KIND=TEXT`: a line that says TEXT is such an event as well
    keys     `FIELD=NAME`: the log calls the field so as well
    table    wscheck.toml's [logs], with [logs.markers] and [logs.keys]: a text or a list of them by KIND or FIELD
    at       where in that file something stands
    redactor hides the secrets that this run knows
    Raises UsageError.
    """
    wording = Wording(
        markers=(
            *_of_table("markers", table, at),
            *(_pair(raw, "--marker", "KIND=TEXT", KINDS, "'Socket opened'") for raw in markers),
        ),
        keys=(*_of_table("keys", table, at), *(_pair(raw, "--key", "FIELD=NAME", ROLES, "uid") for raw in keys)),
    )
    return Readers(wording, redactor)


def places_of(kind: str) -> str:
    """What may stand in a marker beside text."""
    order = [role for role in TOLD[kind] if role in TAKEN[kind]]
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
    if choices is KINDS and (wrong := wrong_as_marker(name, value, TAKEN[name])):
        raise UsageError(f"{flag} {raw}: {wrong}.", places_of(name))
    if choices is ROLES and (wrong := wrong_as_key(value)):
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
        if name == "markers" and (wrong := _first(wrong_as_marker(kind, each.strip(), TAKEN[kind]) for each in texts)):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", places_of(kind))
        if name == "keys" and (wrong := _first(map(wrong_as_key, texts))):
            raise UsageError(f"{at(f'logs.{name}.{kind}')}: {wrong}.", f'{AS_IT_STANDS}: {kind} = "uid".')
        yield from ((kind, text.strip()) for text in texts)
