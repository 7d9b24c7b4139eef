"""Recognition of keys that contain user ids or socket ids, by their values first and by their names second.

A socket id is new for each connection, and occurs again when this connection closes. A user id occurs again at the
user's next connection, but so does the id of a room or a tenant, or an address. If no name of a key helps, user ids are
recognised only on a server that allows one connection per user. In case of doubt no key is chosen.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, NEW, OLD, REPLACED, SID, USER, normalize_key, word_set

_SOCKET = lazy_pattern(r"[A-Za-z0-9_-]{20}")
_NO_USER = lazy_pattern(r"(?i)true|false|(?:\d+\.){3}\d+(?::\d+)?|\[?[0-9a-f]*:[0-9a-f:.]*\]?(?::\d+)?|\w+/.*|\w+://.*")
"""Value that cannot be a user id: a boolean, an address, a program with its version."""
_COUNTS = lazy_pattern(r"\d+(?:\.\d+)?\w{0,2}|.*\d\d:\d\d.*")
"""Value that may not be a socket id: a number, with or without a unit, or a time."""
_PERSON = word_set("user uid u username who account member customer player owner sub email login phone")
_ID = word_set("id uid uuid key name number")
_PART = lazy_pattern(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
REPEATS = 2
"""Minimum number of values that must occur again before a key can be recognised by its values."""


class CandidateRecord(NamedTuple):
    """Line that may describe an event.

    kind    kind of event
    text    fixed words of the message
    line    the whole line
    values  dict of key to value
    """

    kind: str
    text: str
    line: str
    values: Mapping[str, str]


class ConnectionIds(NamedTuple):
    """Socket ids in the order of their connections, and user ids."""

    sids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sids or self.users)


Columns = Mapping[str, Sequence[str | None]]
"""Dict of key to its value in each record with the same words, None for a record without the key."""


def infer_ids(records: Sequence[CandidateRecord], known: Mapping[str, str]) -> ConnectionIds:
    """Return the socket ids and user ids in the records, as far as their meaning is unambiguous.

    `known` is a dict of key (in the form of `normalize_key`) to role.
    """
    sids, users = list[str](), list[str]()
    sentences = dict.fromkeys((record.kind, record.text) for record in records)
    for kind, text in sorted(sentences, key=lambda sentence: sentence[0] != CONNECTED):
        columns = _columns([r for r in records if (r.kind, r.text) == (kind, text)])
        by_sid = _sockets(columns, known)
        by_user = _users(columns, known)
        if kind == CONNECTED:
            again = _recurring_keys(columns, records)
            sid = _only(by_sid, again) if by_sid else next(iter(again), "")
            by_user = by_user or _exclusive(columns, records, sid)
            by_sid = [sid] if sid and (by_sid or (by_user and _repeats(columns[by_user]))) else []
        sids += chain.from_iterable(filter(None, columns[key]) for key in by_sid)
        users += filter(None, columns[by_user]) if by_user else ()
    return ConnectionIds(tuple(dict.fromkeys(sids)), tuple(dict.fromkeys(users)))


def in_connect_order(ids: ConnectionIds, records: Sequence[CandidateRecord]) -> ConnectionIds:
    """Return `ids` with the socket ids sorted by the start of their connections.

    Sockets that were open when the log started come first, sorted by the end of their connections, because a user's
    older connection closes before the newer one.
    """
    first = dict[tuple[bool, str], int]()
    for at, record in enumerate(records):
        if record.kind != REPLACED:
            for value in record.values.values():
                first.setdefault((record.kind == CONNECTED, value), at)

    def came(sid: str) -> tuple[bool, int]:
        return (True, sid) in first, first.get((True, sid), first.get((False, sid), len(records)))

    return ids._replace(sids=tuple(sorted(ids.sids, key=came)))


def role_keys(
    records: Sequence[CandidateRecord], known: Mapping[str, str], ids: ConnectionIds
) -> Iterator[tuple[str, str]]:
    """Yield (role, key) for each key that contains some of `ids` and is not `known`."""
    columns = {key: values for key, values in _columns(records).items() if normalize_key(key) not in known}
    order = {sid: at for at, sid in enumerate(ids.sids)}
    users = _keys_with(ids.users, columns)
    sids = _keys_with(ids.sids, {key: values for key, values in columns.items() if key not in users})
    if user := _only(users, list(filter(_is_person, users))):
        yield USER, user
    if records[0].kind != REPLACED:
        yield from ((SID, key) for key in sids if len(sids) == 1)
    elif len(sids) == 2:
        both = zip(*(columns[key] for key in sids), strict=True)
        came = [(order.get(a or "", -1), order.get(b or "", -1)) for a, b in both]
        if all(a < b for a, b in came) or all(a > b for a, b in came):
            yield from zip((OLD, NEW), sids if came[0][0] < came[0][1] else reversed(sids), strict=True)


def _keys_with(ids: Collection[str], columns: Columns) -> list[str]:
    """Return the keys with a value of `ids` in at least half of the records that have the key."""
    wanted = frozenset(ids)
    present = {key: [value for value in values if value is not None] for key, values in columns.items()}
    return [key for key, values in present.items() if 2 * sum(value in wanted for value in values) >= len(values)]


def _only(keys: Sequence[str], likelier: Sequence[str]) -> str:
    """Return the only one of `keys`, or the only one that is also in `likelier`; "" if several remain."""
    among = keys if len(keys) == 1 else [key for key in keys if key in likelier]
    return among[0] if len(among) == 1 else ""


def _columns(records: Sequence[CandidateRecord]) -> Columns:
    """Return the values of each key that at least half of the records have."""
    count = Counter(chain.from_iterable(record.values for record in records))
    return {key: [r.values.get(key) for r in records] for key, some in count.items() if 2 * some >= len(records)}


def _sockets(columns: Columns, known: Mapping[str, str]) -> list[str]:
    """Return the keys that contain socket ids: known keys, otherwise keys with values in the form of Socket.IO ids."""
    named = [key for key in columns if known.get(normalize_key(key)) == SID]
    looks = (key for key, values in columns.items() if all(_SOCKET.fullmatch(v) for v in values if v))
    return named or [key for key in looks if not _is_person(key)]


def _users(columns: Columns, known: Mapping[str, str]) -> str:
    """Return the key with the most distinct values, among known keys of users or keys named after a person.

    Return "" if no key has more distinct values than all others.
    """
    named = [key for key in columns if known.get(normalize_key(key)) == USER]
    if named:
        return named[0]
    return _most_distinctive([key for key in columns if _is_person(key)], columns)


def _most_distinctive(keys: Iterable[str], columns: Columns) -> str:
    """Return the key with more distinct values than any other key, "" if there is none."""
    people = [key for key in keys if not any(_NO_USER.fullmatch(v) for v in columns[key] if v)]
    ranked = sorted(people, key=lambda key: -len(set(columns[key])))
    alone = all(len(set(columns[a])) > len(set(columns[b])) for a, b in pairwise(ranked[:2]))
    return ranked[0] if ranked and alone else ""


def _is_person(key: str) -> bool:
    """Return whether a key is named after a person: `memberId` is; `userAgent`, `accountType` and `users` are not."""
    parts = [part.lower() for part in _PART.findall(key)]
    while len(parts) > 1 and parts[-1] in _ID:
        del parts[-1]
    return bool(parts) and (parts[-1] in _PERSON or parts[-1].removesuffix("id") in _PERSON)


def _repeats(values: Iterable[str | None]) -> int:
    """Return the number of values that occur more than once."""
    return sum(count > 1 for count in Counter(filter(None, values)).values())


def _recurring_keys(columns: Columns, records: Sequence[CandidateRecord]) -> list[str]:
    """Return the keys with a different value in each record, if such a value occurs in a record of another kind."""
    later = {value for record in records if record.kind != CONNECTED for value in record.values.values()}
    found = []
    for key, values in columns.items():
        present = {value for value in values if value and not _COUNTS.fullmatch(value)}
        if len(present) == len(values) > 1 and not later.isdisjoint(present):
            found.append(key)
    return found


def _exclusive(columns: Columns, records: Sequence[CandidateRecord], sid: str) -> str:
    """Return the key that identifies users, if the server allows one connection per user.

    Then no value of this key has two connections for longer than a replacement takes. Return "" if that is not certain:
    too few values came back, or no two values were connected at the same time.
    """
    keys = [key for key in columns if sid and key != sid and _repeats(columns[key]) >= REPEATS]
    return _most_distinctive([key for key in keys if _has_one_connection_each(key, sid, records)], columns)


def _has_one_connection_each(key: str, sid: str, records: Sequence[CandidateRecord]) -> bool:
    """Return whether each replaced connection of a value of `key` ended before any further connection opened.

    At least two values must have been connected at the same time.
    """
    open_by_value: dict[str, str] = {}
    replaced: tuple[str, str] | None = None
    most = 0
    for record in records:
        value, each = record.values.get(key), record.values.get(sid)
        if record.kind == CONNECTED and value and each:
            if replaced is not None:
                return False  # another connection opened before the replaced connection closed
            replaced = (value, open_by_value[value]) if value in open_by_value else None
            open_by_value[value] = each
            most = max(most, len(open_by_value))
        elif record.kind != CONNECTED:
            closed = set(record.values.values())
            replaced = replaced if replaced is not None and replaced[1] not in closed else None
            open_by_value = {v: s for v, s in open_by_value.items() if s not in closed or record.kind == REPLACED}
    return replaced is None and most > 1
