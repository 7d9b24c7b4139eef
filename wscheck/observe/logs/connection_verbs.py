"""Which words tell that a connection was opened, closed or replaced: a hint of what a log's own words may mean."""

import re
from collections.abc import Iterable, Sequence

from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, REPLACED, vocabulary

_REPLACING = vocabulary(
    "replace replaced replaces replacing supersede superseded supersedes superseding kick kicked kicks kicking evict "
    "evicted evicts evicting displaced displacing bumped ousted takeover duplicate"
)
_TAKING = vocabulary("take takes taken taking took")
_ENDING = vocabulary(
    "close closes closed closing disconnect disconnecting disconnected terminate terminating terminated"
)
_ENDING |= vocabulary("drop dropping dropped end ending ended remove removing removed logout")
_OLDER = vocabulary("old older previous prior existing earlier duplicate other")
"""Whose connection is ended because another one came."""
_VERBS = {
    DISCONNECTED: vocabulary("disconnect disconnected disconnection closed left offline gone lost dropped terminated"),
    CONNECTED: vocabulary("connect connected connection joined opened online established accepted attached"),
}
"""The first that a sentence has tells its kind."""
_NOUNS = vocabulary(
    "socket sockets websocket ws io client user peer session connection channel player member device login sid new"
)
_BETWEEN = vocabulary(
    "a an and as at be because been being by due for from had has have he her his in into is it its it's of off on out "
    "over s she the their they this through to via was were which with again another anew back came first following "
    "just now once one same second so successfully then went id address browser error favor favour host ip "
    "keep keeping kept namespace normal page ping polling port reason server side ssl stale tab tabs timeout tls "
    "transport version logged signed"
)
"""What else may stand in a sentence that tells of a connection, and of nothing besides."""

LIKELY = re.compile(
    rb"(?i)connect|join|open|online|establish|accept|attach|clos|left|offline|gone|lost|drop|terminat|end|remov|"
    rb"replac|supersed|kick|evict|displac|bump|oust|take|took|duplicat"
)
"""What a line has in it that may tell such a thing."""

_KNOWN = _REPLACING | _TAKING | _ENDING | _OLDER | _NOUNS - {"channel"} | _BETWEEN
_KNOWN |= _VERBS[DISCONNECTED] | _VERBS[CONNECTED]

_PLAIN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def kind_of(words: Iterable[str]) -> str:
    """What words tell of, "" where it is nothing of the kind."""
    plain = _plain(words)
    if not _REPLACING.isdisjoint(plain) or ("over" in plain and not _TAKING.isdisjoint(plain)):
        return REPLACED
    if not _ENDING.isdisjoint(plain) and not _OLDER.isdisjoint(plain):
        return REPLACED
    return next((kind for kind, verbs in _VERBS.items() if not verbs.isdisjoint(plain)), "")


def is_told(words: Sequence[str]) -> bool:
    """Whether words say that something happened, and to what."""
    kind = kind_of(words)
    verbs = _VERBS.get(kind, _REPLACING | _ENDING)
    return kind != "" and not _NOUNS.isdisjoint(_plain(words) - verbs)


def is_noun(word: str) -> bool:
    """Whether a word says what happened to."""
    return word.lower() in _NOUNS


def is_of_connections(words: Iterable[str]) -> bool:
    """Whether words speak of connections alone: people also join rooms and close tickets."""
    return _plain(words) <= _KNOWN


def _plain(words: Iterable[str]) -> set[str]:
    return {part.lower() for word in words for part in _PLAIN.findall(word)}
