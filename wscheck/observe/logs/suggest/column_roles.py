"""Which keys of a log say whose connection it is, and which: told by what their values do, before what they are called.

A socket's id is another one with each connection, and comes again when that one closes. A user's comes again with the
next connection. So does a room's, a tenant's or an address: without a name that says so only what a server that keeps
one connection per user does tells them apart. Where that leaves a doubt, nothing is named.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, NEW, OLD, REPLACED, SID, USER, normalize_key, word_set

_SOCKET = lazy_pattern(r"[A-Za-z0-9_-]{20}")
_NOBODY = lazy_pattern(r"(?i)true|false|(?:\d+\.){3}\d+(?::\d+)?|\[?[0-9a-f]*:[0-9a-f:.]*\]?(?::\d+)?|\w+/.*|\w+://.*")
"""What is the value of no user's key: a truth, an address, a program with its version."""
_COUNTS = lazy_pattern(r"\d+(?:\.\d+)?\w{0,2}|.*\d\d:\d\d.*")
"""What is no socket's id for certain: a number, which may count anything, with a unit or without; a time."""
_PERSON = word_set("user uid u username who account member customer player owner sub email login phone")
_ID = word_set("id uid uuid key name number")
_PART = lazy_pattern(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
REPEATS = 2
"""Users who must have come back before the ways of their key's values tell anything."""


class CandidateRecord(NamedTuple):
    """What a log said once: of which kind it may be, in which words, and its keys with their values."""

    kind: str
    text: str
    line: str
    values: Mapping[str, str]


class ConnectionIds(NamedTuple):
    """Ids of sockets, as they came, and of users."""

    sids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sids or self.users)


Columns = Mapping[str, Sequence[str | None]]
"""What each record of one sentence says under a key."""


def infer_ids(records: Sequence[CandidateRecord], known: Mapping[str, str]) -> ConnectionIds:
    """The ids that the records tell of, as far as it is certain what they are. `known`: the role of a plain key."""
    sids, users = list[str](), list[str]()
    sentences = dict.fromkeys((record.kind, record.text) for record in records)
    for kind, text in sorted(sentences, key=lambda sentence: sentence[0] != CONNECTED):
        columns = _columns([r for r in records if (r.kind, r.text) == (kind, text)])
        by_sid = _sockets(columns, known)
        by_user = _users(columns, known)
        if kind == CONNECTED:
            again = _coming_again(columns, records)
            sid = _only(by_sid, again) if by_sid else next(iter(again), "")
            by_user = by_user or _exclusive(columns, records, sid)
            by_sid = [sid] if sid and (by_sid or (by_user and _repeats(columns[by_user]))) else []
        sids += chain.from_iterable(filter(None, columns[key]) for key in by_sid)
        users += filter(None, columns[by_user]) if by_user else ()
    return ConnectionIds(tuple(dict.fromkeys(sids)), tuple(dict.fromkeys(users)))


def in_connect_order(ids: ConnectionIds, records: Sequence[CandidateRecord]) -> ConnectionIds:
    """With the sockets in the order in which the records let them come. Those that were there before the log began are
    the first, in the order in which they went: a user's old one goes before the new one."""
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
    """By role, the keys of one sentence's records that hold `ids`, as far as they are not `known`."""
    columns = {key: values for key, values in _columns(records).items() if normalize_key(key) not in known}
    order = {sid: at for at, sid in enumerate(ids.sids)}
    users = _holding(ids.users, columns)
    sids = _holding(ids.sids, {key: values for key, values in columns.items() if key not in users})
    if user := _only(users, list(filter(_is_person, users))):
        yield USER, user
    if records[0].kind != REPLACED:
        yield from ((SID, key) for key in sids if len(sids) == 1)
    elif len(sids) == 2:
        both = zip(*(columns[key] for key in sids), strict=True)
        came = [(order.get(a or "", -1), order.get(b or "", -1)) for a, b in both]
        if all(a < b for a, b in came) or all(a > b for a, b in came):
            yield from zip((OLD, NEW), sids if came[0][0] < came[0][1] else reversed(sids), strict=True)


def _holding(ids: Collection[str], columns: Columns) -> list[str]:
    """The keys of which at least half of the values are such ids."""
    wanted = frozenset(ids)
    told = {key: [value for value in values if value is not None] for key, values in columns.items()}
    return [key for key, values in told.items() if 2 * sum(value in wanted for value in values) >= len(values)]


def _only(keys: Sequence[str], likelier: Sequence[str]) -> str:
    """The only one of `keys`, or of those of them that are `likelier`; "" where there are more."""
    among = keys if len(keys) == 1 else [key for key in keys if key in likelier]
    return among[0] if len(among) == 1 else ""


def _columns(records: Sequence[CandidateRecord]) -> Columns:
    """Of the keys that at least half of the records have."""
    count = Counter(chain.from_iterable(record.values for record in records))
    return {key: [r.values.get(key) for r in records] for key, some in count.items() if 2 * some >= len(records)}


def _sockets(columns: Columns, known: Mapping[str, str]) -> list[str]:
    """The keys that hold ids of sockets for certain: those that are known, and by how Socket.IO's ids look."""
    named = [key for key in columns if known.get(normalize_key(key)) == SID]
    looks = (key for key, values in columns.items() if all(_SOCKET.fullmatch(v) for v in values if v))
    return named or [key for key in looks if not _is_person(key)]


def _users(columns: Columns, known: Mapping[str, str]) -> str:
    """The key that names a user, by what it is called: of several the finest, if it is; "" without one."""
    named = [key for key in columns if known.get(normalize_key(key)) == USER]
    if named:
        return named[0]
    return _finest([key for key in columns if _is_person(key)], columns)


def _finest(keys: Iterable[str], columns: Columns) -> str:
    """Of keys that may name users the one that tells more of them apart than all others do; "" without one."""
    people = [key for key in keys if not any(_NOBODY.fullmatch(v) for v in columns[key] if v)]
    ranked = sorted(people, key=lambda key: -len(set(columns[key])))
    alone = all(len(set(columns[a])) > len(set(columns[b])) for a, b in pairwise(ranked[:2]))
    return ranked[0] if ranked and alone else ""


def _is_person(key: str) -> bool:
    """Whether a key is called after a person: `memberId` is, `userAgent`, `accountType` and `users` are not."""
    parts = [part.lower() for part in _PART.findall(key)]
    while len(parts) > 1 and parts[-1] in _ID:
        del parts[-1]
    return bool(parts) and (parts[-1] in _PERSON or parts[-1].removesuffix("id") in _PERSON)


def _repeats(values: Iterable[str | None]) -> int:
    """How many values come more than once."""
    return sum(count > 1 for count in Counter(filter(None, values)).values())


def _coming_again(columns: Columns, records: Sequence[CandidateRecord]) -> list[str]:
    """The keys with another value each time, which comes again in a record of another kind."""
    later = {value for record in records if record.kind != CONNECTED for value in record.values.values()}
    found = []
    for key, values in columns.items():
        told = {value for value in values if value and not _COUNTS.fullmatch(value)}
        if len(told) == len(values) > 1 and not later.isdisjoint(told):
            found.append(key)
    return found


def _exclusive(columns: Columns, records: Sequence[CandidateRecord], sid: str) -> str:
    """The key of which no value has two connections for longer than the change from one to the other; "" where that
    is not certain: too few came back, or no two values were there at once."""
    keys = [key for key in columns if sid and key != sid and _repeats(columns[key]) >= REPEATS]
    return _finest([key for key in keys if _one_each(key, sid, records)], columns)


def _one_each(key: str, sid: str, records: Sequence[CandidateRecord]) -> bool:
    """Whether a value's old connection has always gone before anybody else came, and two values were there at once."""
    held: dict[str, str] = {}
    left: tuple[str, str] | None = None
    most = 0
    for record in records:
        value, each = record.values.get(key), record.values.get(sid)
        if record.kind == CONNECTED and value and each:
            if left is not None:
                return False  # another one came before the first was closed
            left = (value, held[value]) if value in held else None
            held[value] = each
            most = max(most, len(held))
        elif record.kind != CONNECTED:
            gone = set(record.values.values())
            left = left if left is not None and left[1] not in gone else None
            held = {v: s for v, s in held.items() if s not in gone or record.kind == REPLACED}
    return left is None and most > 1
