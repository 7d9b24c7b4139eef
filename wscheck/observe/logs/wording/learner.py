"""Wording of a log, learned from its lines: which statements of the server report connections, and where the ids are.

A statement is a logging call of the server: all its lines have the same fixed words.

A statement is read if its words report an event and its ids are certain: by their names, by their form, or because the
values of one statement return in another. Everything else is at most a suggestion.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wscheck.observe.logs.formats.envelopes import LogMessage
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordStart
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    NAMESPACE,
    NEW,
    OLD,
    REASON,
    REPLACED,
    SID,
    USER,
    escape_braces,
)
from wscheck.observe.logs.wording.sentences import SLOT, Sentence, Slot, may_be_id, parse
from wscheck.observe.logs.wording.words import (
    CONNECTION_NOUNS,
    EVENT_VERBS,
    HOLDER_NOUNS,
    NEWER_WORDS,
    OLDER_WORDS,
    USER_NOUNS,
    VOCABULARY,
    word_parts,
)

Statement = tuple[str, tuple[str, ...]]


class Reading(NamedTuple):
    """Meaning of a statement: the kind of event, and the place of each id (names of `Sentence.values`).

    certain  the words and ids leave no doubt; otherwise the reading is a guess
    lines    number of lines from which it was learned
    example  one of these lines
    sentence  the statement with placeholders, as a marker contains them
    ids       the ids in the example, by role
    needles  the spellings of a word that is in each of these lines
    """

    kind: str
    places: Mapping[str, str]
    certain: bool = True
    lines: int = 0
    example: str = ""
    sentence: str = ""
    ids: tuple[tuple[str, str], ...] = ()
    needles: tuple[bytes, ...] = ()


class Row(NamedTuple):
    """Line with a sentence. `is_read`: a known marker reads it, so that it only proves ids."""

    line: int
    sentence: Sentence
    text: str
    is_read: bool = False


class Wording:
    """Statements of a log that report connections, by the form of their lines."""

    def __init__(self, readings: Mapping[Statement, Reading]) -> None:
        self.readings = dict(readings)
        self._by_size: dict[tuple[str, int], list[tuple[str, ...]]] = {}
        for prefix, pattern in self.readings:
            self._by_size.setdefault((prefix, len(pattern)), []).append(pattern)

    def __bool__(self) -> bool:
        return bool(self.readings)

    def needles(self) -> list[bytes]:
        """Return the texts to search for: every line of a known statement contains one of them."""
        return list(dict.fromkeys(needle for reading in self.readings.values() for needle in reading.needles))

    def match(self, message: LogMessage) -> RecordStart | None:
        """Return the record of a message, None if it is no known statement."""
        sentence = parse(message)
        if sentence is None:
            return None
        sentence, reading = self._reading(sentence)
        if reading is None:
            return None
        return RecordStart(
            reading.kind,
            dict(_ids(sentence, reading)),
            prefix=sentence.stamp,
            unprefixed=not sentence.prefix,
            complete=True,
            is_learned=True,
        )

    def _reading(self, sentence: Sentence) -> tuple[Sentence, Reading | None]:
        reading = self.readings.get(sentence.statement)
        if reading is not None:
            return sentence, reading if reading.kind == sentence.meaning.kind else None
        for pattern in self._by_size.get((sentence.prefix, len(sentence.pattern)), ()):
            if (fitted := fit(sentence, pattern)) is not None:
                reading = self.readings[fitted.statement]
                return fitted, reading if reading.kind == sentence.meaning.kind else None
        return sentence, None


def fit(sentence: Sentence, pattern: tuple[str, ...]) -> Sentence | None:
    """Return the sentence with the slots of `pattern`, None if it does not fit: a name may also be a word ("Will")."""
    for own, other in zip(sentence.pattern, pattern, strict=True):
        if own != other and (other != SLOT or own in _NO_NAMES or not own.isalpha()):
            return None
    values = [piece for piece, place in zip(sentence.pieces, pattern, strict=True) if place == SLOT]
    old = iter(sentence.slots)
    slots = tuple(
        next(old) if own == SLOT else Slot(sentence.pieces[at - 1].lower() if at else "", sentence.pieces[at])
        for at, (own, place) in enumerate(zip(sentence.pattern, pattern, strict=True))
        if place == SLOT
    )
    return sentence._replace(pattern=pattern, slots=slots) if len(values) == len(slots) else None


_NO_NAMES = VOCABULARY


def _ids(sentence: Sentence, reading: Reading) -> Iterator[tuple[str, str]]:
    values = dict(sentence.values)
    for role, place in reading.places.items():
        if place in values and may_be_id(values[place]):
            value = values[place].value
            yield role, user_in(value) if role == USER else value
    if reading.kind == DISCONNECTED and sentence.reason:
        yield REASON, sentence.reason
    if reading.kind == CONNECTED:
        yield from (
            (NAMESPACE, slot.value) for slot in values.values() if slot.label in _NAMESPACES and slot.value[:1] == "/"
        )


_NAMESPACES = frozenset(("nsp", "namespace", "nspname", "socket.nsp"))
_CHANNEL = lazy_pattern(r"(?i)(?:.*[.:/_-])?users?[.:/_-]([\w@-][\w.@-]*)")


def user_in(value: str) -> str:
    """Return the user whom the name of a room or a channel contains ("private-App.User.7"), or the value itself."""
    channel = _CHANNEL.fullmatch(value)
    return channel[1] if channel is not None and any(map(str.isdigit, channel[1])) else value


# --- statements -------------------------------------------------------------------------------------------------------


class Group(msgspec.Struct):
    """Lines of one statement.

    columns  dict of place to the slot of each line, None for a line without it
    """

    statement: Statement
    rows: list[Row]
    columns: dict[str, list[Slot | None]]

    @property
    def kind(self) -> str:
        return self.rows[0].sentence.meaning.kind

    @property
    def is_plain(self) -> bool:
        return self.rows[0].sentence.meaning.is_plain

    @property
    def is_read(self) -> bool:
        return self.rows[0].is_read

    @property
    def words(self) -> frozenset[str]:
        """Return the parts of the fixed words."""
        return frozenset(part for piece in self.statement[1] if piece != SLOT for part in word_parts(piece))

    def values(self, place: str | None) -> list[str]:
        """Return the values at a place."""
        return [slot.value for slot in self.columns.get(place or "", ()) if slot is not None]

    def label(self, place: str) -> str:
        return next((slot.label for slot in self.columns[place] if slot is not None), "")

    def is_keyed(self, place: str) -> bool:
        return any(slot.keyed for slot in self.columns[place] if slot is not None)

    def places(self) -> list[str]:
        """Return the places with values that may be ids, in most of the lines."""
        return [
            place
            for place, slots in self.columns.items()
            if 2 * sum(slot is not None for slot in slots) >= len(slots)
            and all(may_be_id(slot) for slot in slots if slot is not None)
        ]


def _groups(rows: Iterable[Row]) -> list[Group]:
    by_statement: dict[Statement, list[Row]] = {}
    for row in rows:
        by_statement.setdefault(row.sentence.statement, []).append(row)
    _join_names(by_statement)
    return [Group(statement, lines, _columns(lines)) for statement, lines in by_statement.items()]


def _join_names(by_statement: dict[Statement, list[Row]]) -> None:
    """Move lines whose user has the name of an ordinary word to the statement that they belong to."""
    for statement in [each for each in by_statement if SLOT in each[1]]:
        prefix, pattern = statement
        alike = [s for s in by_statement if s != statement and s[0] == prefix and len(s[1]) == len(pattern)]
        for other in alike:
            if len(by_statement[other]) > len(by_statement[statement]):
                continue
            fitted = [(row, fit(row.sentence, pattern)) for row in by_statement[other]]
            if all(one is not None for _, one in fitted):
                del by_statement[other]
                by_statement[statement] += [row._replace(sentence=one) for row, one in fitted if one is not None]


def _columns(rows: Sequence[Row]) -> dict[str, list[Slot | None]]:
    columns: dict[str, list[Slot | None]] = {}
    for at, row in enumerate(rows):
        for place, slot in row.sentence.values:
            columns.setdefault(place, [None] * len(rows))[at] = slot
    return columns


# --- ids --------------------------------------------------------------------------------------------------------------

_SOCKET_FORM = lazy_pattern(r"(?:/[\w/-]*#)?(?=[\w-]*[\dA-Z_-])[A-Za-z0-9_-]{20}|(?=[\w-]*\d)[A-Za-z0-9_-]{22}")
_LONG_FORM = lazy_pattern(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SID_LABELS = frozenset(
    [
        "sid",
        "socketid",
        "socket",
        "socketids",
        "connectionid",
        "connid",
        "connection",
        "conn",
        "sessionid",
        "session",
        "sockid",
        "wsid",
        "ws",
        "websocket",
        "websocketid",
        "io",
        "ioid",
    ]
)
_WEAK_SID_LABELS = frozenset(
    [
        "client",
        "clientid",
        "id",
        "peer",
        "peerid",
        "via",
        "with",
        "resourceid",
        "resource",
        "fd",
        "handle",
        "pid",
        "channel",
        "channelid",
        "token",
        "cid",
        "rid",
        "stream",
        "tab",
        "tabid",
    ]
)
_USER_STEMS = frozenset(
    [
        "user",
        "users",
        "account",
        "member",
        "customer",
        "player",
        "owner",
        "sub",
        "subject",
        "username",
        "login",
        "email",
        "mail",
        "clerkuser",
        "employee",
        "driver",
        "patient",
        "student",
        "teacher",
        "person",
        "participant",
        "subscriber",
        "viewer",
        "visitor",
        "guest",
        "operator",
        "uid",
        "principal",
        "identity",
        "who",
        "nick",
        "nickname",
        "handle",
    ]
)
_WEAK_USER_STEMS = frozenset(["client", "device", "host", "agent", "worker", "terminal", "browser", "peer"])
_PREPOSITIONS = frozenset(["as", "for", "by", "of", "from"])
_PART = lazy_pattern(r"[\w$]+")


def _stem(label: str) -> str:
    """Return the noun of a label, without a final "id": the one of "userid" and "user.id" is "user"."""
    *path, last = label.split(".")
    if last in {"id", "_id", "uuid", "key", "name", "sid"} and path:
        return path[-1]
    for ending in ("uuid", "id", "key", "name", "number", "no"):
        if last.endswith(ending) and len(last) > len(ending) and last not in {"sid", "uid", "cid", "rid"}:
            return last.removesuffix(ending)
    return last


def is_sid_label(label: str) -> bool:
    *path, last = label.split(".")
    return (
        last in _SID_LABELS
        or (last in {"id", "_id"} and bool(path) and path[-1] in _SID_LABELS)
        or label.endswith(("socketid", "connectionid"))
    )


def is_weak_sid_label(label: str) -> bool:
    return label in _WEAK_SID_LABELS or _stem(label) in _WEAK_SID_LABELS


def is_user_label(label: str) -> bool:
    return _stem(label) in _USER_STEMS or (label.startswith("user") and not label.startswith("useragent"))


def _has_form(values: Sequence[str], form: object) -> bool:
    return bool(values) and all(form.fullmatch(value) is not None for value in values)  # type: ignore[attr-defined]


class Ids(msgspec.Struct):
    """Ids that are known from statements so far."""

    sids: set[str] = msgspec.field(default_factory=set)
    users: set[str] = msgspec.field(default_factory=set)


def _sid_place(group: Group, ends: Collection[str], openings: Collection[str]) -> tuple[str | None, bool]:
    """Return the place of the socket id, None if there is none, and whether it is certain.

    ends, openings  values in statements about the end and about the start of connections
    """
    best: list[tuple[int, str]] = []
    for place in group.places():
        values, label = group.values(place), group.label(place)
        form, several = _has_form(values, _SOCKET_FORM), len(values) > 1
        distinct = len(set(values)) == len(values)
        again = sum(value in (ends if group.kind == CONNECTED else openings) for value in set(values))
        if is_user_label(label) and group.is_keyed(place):
            continue
        if not form and several and len(set(values)) == 1 and len(values) > 2:
            continue
        points = 4 * form + 3 * is_sid_label(label) + 2 * _has_form(values, _LONG_FORM)
        points += 1 * is_weak_sid_label(label) + 2 * (again > 0) + (several and distinct and again > 0)
        points -= (
            3 * (is_user_label(label) and not form) + 2 * (label in _PREPOSITIONS and not form) + (place[0] == "#")
        )
        if group.kind == CONNECTED and several and not form and not distinct and not is_sid_label(label):
            points -= 3  # a user returns, a socket does not
        best.append((points, place))
    best.sort(key=lambda pair: -pair[0])
    if not best or best[0][0] < 2:
        return None, True
    alone = len(best) == 1 or best[0][0] > best[1][0]
    return best[0][1], alone and best[0][0] >= 3


def _user_place(group: Group, sid: str | None, known: Collection[str]) -> tuple[str | None, bool]:
    """Return the place of the user, None if there is none, and whether it is certain."""
    open_places = [
        place for place in group.places() if place != sid and place[0] != "#" and not _is_constant(group, place)
    ]
    open_places = [
        place
        for place in open_places
        if not _has_form(group.values(place), _SOCKET_FORM) or is_user_label(group.label(place))
    ]
    labelled = [place for place in open_places if is_user_label(group.label(place)) or _names_user(group.values(place))]
    if labelled:
        return _preferred(labelled, group), True
    again = [place for place in open_places if known and _share(group.values(place), known) >= 0.5]
    if len(again) == 1:
        return again[0], True
    told = [place for place in open_places if group.label(place) in _PREPOSITIONS]
    if told:
        return told[0], len(told) == 1
    named = [place for place in open_places if _stem(group.label(place)) in _WEAK_USER_STEMS]
    others = [place for place in open_places if not is_weak_sid_label(group.label(place)) or place in named]
    held = sid is not None or not USER_NOUNS.isdisjoint(group.words)
    if len(named) == 1:
        returns = len(set(group.values(named[0]))) < len(group.values(named[0]))
        return named[0], held or returns
    others = _without_other_names(others, group)
    if len(others) == 1:
        return others[0], held and (
            not group.is_keyed(others[0]) or not EVENT_VERBS.isdisjoint(word_parts(group.label(others[0])))
        )
    return (others[0], False) if others else (None, True)


def _is_constant(group: Group, place: str) -> bool:
    """Return whether a value is the same in all of several lines and has no name, so that it belongs to the text."""
    values, label = group.values(place), group.label(place)
    named = is_user_label(label) or is_sid_label(label) or label in _PREPOSITIONS or _stem(label) in _WEAK_USER_STEMS
    return len(values) > 2 and len(set(values)) == 1 and not (named and place.isdigit())


def _names_user(values: Sequence[str]) -> bool:
    """Return whether the values are names of rooms or channels of users."""
    return bool(values) and all(user_in(value) != value for value in values)


def _without_other_names(places: Sequence[str], group: Group) -> list[str]:
    """Return the places without those that give the same users another name: "Ann Example (4101)"."""
    if len(places) != 2:
        return list(places)
    one, other = (group.values(place) for place in places)
    pairs = set(zip(one, other, strict=False))
    if len(one) != len(other) or not 1 < len(pairs) == len(set(one)) == len(set(other)):
        return list(places)
    return [
        min(
            places, key=lambda place: (" " in group.values(place)[0], not any(map(str.isdigit, group.values(place)[0])))
        )
    ]


def _preferred(places: Sequence[str], group: Group) -> str:
    """Return the place of the user's id rather than of the user's name or address."""
    order = ("userid", "uid", "user.id", "user", "username", "name", "email")
    return min(places, key=lambda place: order.index(group.label(place)) if group.label(place) in order else 3)


def _share(values: Sequence[str], known: Collection[str]) -> float:
    return sum(value in known for value in values) / max(1, len(values))


# --- learning ---------------------------------------------------------------------------------------------------------


def learn(rows: Sequence[Row], read_kinds: Collection[str] = ()) -> dict[Statement, Reading]:
    """Return the readings of the statements in `rows` that no known marker reads.

    read_kinds  kinds of events that known markers read; other statements for them are not searched, apart from
                replacements
    """
    groups = _without_impostors(_groups(rows))
    connects = [group for group in groups if group.kind == CONNECTED]
    departures = [group for group in groups if group.kind == DISCONNECTED]
    ids, found = Ids(), dict[Statement, Reading]()
    opened = _openings(connects, departures, ids)
    ended = _ends(departures, ids, opened)
    for each in (opened, ended, _replacements(groups, ids, rows)):
        found |= {
            group.statement: reading
            for group, reading in each
            if not group.is_read and (reading.kind not in read_kinds or reading.kind == REPLACED)
        }
    return _held_back(found, opened, read_kinds)


def _without_impostors(groups: Sequence[Group]) -> list[Group]:
    """Return the groups without those whose lines may be text from a user.

    Such lines repeat another statement after a name, or lack the line prefix (time, level) of that statement.
    """
    prefixes: dict[tuple[str, ...], list[str]] = {}
    for group in groups:
        prefixes.setdefault(group.statement[1], []).append(group.statement[0])
    return [
        group
        for group in groups
        if not any(
            other != group.statement[0] and (not group.statement[0] or group.statement[0] == f"{other} n:")
            for other in prefixes[group.statement[1]]
            if other or group.statement[0]
        )
        or not group.statement[1]
    ]


_Read = list[tuple[Group, Reading]]


def _reading(group: Group, places: Mapping[str, str | None], *, certain: bool) -> Reading:
    known = {role: place for role, place in places.items() if place is not None}
    example = group.rows[0]
    reading = Reading(group.kind, known, certain, len(group.rows), example.text, needles=_needles(group))
    sentence, ids = _with_placeholders(example.sentence, reading), tuple(_ids(example.sentence, reading))
    return reading._replace(sentence=sentence, ids=ids)


def _with_placeholders(sentence: Sentence, reading: Reading) -> str:
    """Return the text of a sentence with a placeholder for each id, and `{}` for other values."""
    roles = {place: role for role, place in reading.places.items()}
    parts, end, slot = list[str](), 0, 0
    for (begin, stop), piece in zip(sentence.spans, sentence.pattern, strict=True):
        parts.append(escape_braces(sentence.text[end:begin]))
        parts.append(f"{{{roles.get(str(slot), '')}}}" if piece == SLOT else escape_braces(sentence.text[begin:stop]))
        slot += piece == SLOT
        end = stop
    keys = [f"{place[1:]}={{{role}}}" for place, role in roles.items() if place[0] == "."]
    return " ".join(["".join(parts), *keys])


def _needles(group: Group) -> tuple[bytes, ...]:
    """Return the spellings of the longest word of a statement."""
    pattern = group.statement[1]
    fixed = [at for at, piece in enumerate(pattern) if piece != SLOT]
    at = max(fixed, key=lambda place: (not EVENT_VERBS.isdisjoint(word_parts(pattern[place])), len(pattern[place])))
    return tuple(dict.fromkeys(row.sentence.pieces[at].encode() for row in group.rows))


def _openings(connects: Sequence[Group], departures: Sequence[Group], ids: Ids) -> _Read:
    """Return the readings of the statements that report the start of connections."""
    ends = {
        slot.value for group in departures for column in group.columns.values() for slot in column if slot is not None
    }
    plain, faint = _Read(), _Read()
    for group in connects:
        sid, sure = _sid_place(group, ends, ())
        user, named = _user_place(group, sid, ())
        certain = sure and named
        if sid is None and user is None:
            continue
        (plain if group.is_plain else faint).append((group, _reading(group, {SID: sid, USER: user}, certain=certain)))
    plain += [
        (group, reading._replace(certain=reading.certain and _is_confirmed(group, reading, plain, ends)))
        for group, reading in faint
    ]
    reliable = [pair for pair in plain if pair[1].certain] or plain
    with_sid = [pair for pair in reliable if SID in pair[1].places]
    ending = [pair for pair in with_sid if not ends.isdisjoint(pair[0].values(pair[1].places[SID]))]
    chosen = ending or with_sid or [pair for pair in reliable if pair[0].is_plain] or reliable
    for group, reading in (pair for pair in chosen if pair[1].certain):
        ids.sids.update(group.values(reading.places.get(SID)))
        ids.users.update(map(user_in, group.values(reading.places.get(USER))))
    if not chosen:
        chosen = [
            (group, _reading(group, {}, certain=True))
            for group in connects
            if group.is_plain and is_bare(group.statement[1])
        ]
    return chosen


def _is_confirmed(group: Group, reading: Reading, plain: _Read, ends: Collection[str]) -> bool:
    """Return whether the ids of a statement also occur in other statements, which confirms its ambiguous words."""
    sids, users = group.values(reading.places.get(SID)), group.values(reading.places.get(USER))
    told = {sid for other, one in plain for sid in other.values(one.places.get(SID))}
    if sids:
        return bool(users) and not {*ends, *told}.isdisjoint(sids)
    return not any(other.is_plain for other, _ in plain) and not set(ends).isdisjoint(users)


def is_bare(pattern: Sequence[str]) -> bool:
    """Return whether a sentence consists of words about connections alone."""
    words = [part for piece in pattern if piece != SLOT for part in word_parts(piece)]
    return SLOT not in pattern and any(word in CONNECTION_NOUNS or word in HOLDER_NOUNS for word in words)


def _ends(departures: Sequence[Group], ids: Ids, opened: _Read) -> _Read:
    """Return the readings of the statements that report the end of connections."""
    found = _Read()
    for group in departures:
        known = [place for place in group.places() if ids.sids and _share(group.values(place), ids.sids) > 0]
        sid, sure = (known[0], True) if len(known) == 1 else _sid_place(group, (), ids.sids)
        user, named = _user_place(group, sid, ids.users)
        if sid is None and user is None:
            continue
        confirmed = bool(known) or not ids.users.isdisjoint(map(user_in, group.values(user)))
        certain = (
            sure and (named or sid is not None) and (confirmed or (group.is_plain and not (ids.sids or ids.users)))
        )
        if not certain and sid is not None and group.is_plain and not known and named:
            certain = sure  # these connections opened before the log started
        places = {SID: sid, USER: user if named else None}
        found.append((group, _reading(group, places, certain=certain and (group.is_plain or confirmed))))
    found = _without_repeats(found, opened)
    if any(reading.certain for _, reading in found):
        return [pair for pair in found if pair[1].certain]
    bare = [
        (group, _reading(group, {}, certain=True))
        for group in departures
        if group.is_plain and is_bare(group.statement[1])
    ]
    return found or bare


def _without_repeats(found: _Read, opened: _Read) -> _Read:
    """Return the readings without those that name the user again directly after the line with the socket id."""
    owner = {
        sid: user
        for group, reading in opened
        for sid, user in zip(
            group.values(reading.places.get(SID)), group.values(reading.places.get(USER)), strict=False
        )
    }
    told = {
        row.line: sid
        for group, reading in found
        if SID in reading.places
        for row, sid in zip(group.rows, group.values(reading.places[SID]), strict=False)
    }

    def repeats(group: Group, reading: Reading) -> bool:
        users = group.values(reading.places.get(USER))
        before = [told.get(row.line - 1) or told.get(row.line + 1) for row in group.rows]
        return SID not in reading.places and all(
            sid is not None and owner.get(sid, user) == user for sid, user in zip(before, users, strict=False)
        )

    return [pair for pair in found if not repeats(*pair)] if told else found


def _replacements(groups: Sequence[Group], ids: Ids, rows: Sequence[Row]) -> _Read:
    """Return the readings of the statements that report replacements."""
    found = _Read()
    for group in groups:
        if group.kind != REPLACED:
            continue
        sids = [place for place in group.places() if _is_sid_column(group, place, ids)]
        user, named = _user_place(group, sids[0] if len(sids) == 1 else None, ids.users)
        user = user if user not in sids else None
        roles = _old_and_new(group, sids[:2], rows)
        places = {USER: user if named else None, **roles}
        values = {*group.values(user), *(value for place in sids for value in group.values(place))}
        strange = bool(ids.users or ids.sids) and values.isdisjoint(ids.users | ids.sids)
        certain = (bool(roles) or (user is not None and named)) and not strange
        if certain or user is not None:
            found.append((group, _reading(group, places, certain=certain)))
    return found


def _is_sid_column(group: Group, place: str, ids: Ids) -> bool:
    values = group.values(place)
    if is_user_label(group.label(place)):
        return False
    known = bool(ids.sids) and _share(values, ids.sids) > 0
    keyed = group.is_keyed(place) and group.label(place).startswith(("old", "new"))
    labelled = is_sid_label(group.label(place)) or keyed
    return known or _has_form(values, _SOCKET_FORM) or (labelled and _context(group, place) != "")


def _context(group: Group, place: str) -> str:
    """Return OLD or NEW, the connection that the words before an id or its label refer to, "" if neither."""
    words = set(word_parts(group.label(place)))
    label = group.label(place)
    if place.isdigit():
        pattern, at = group.statement[1], -1
        for _ in range(int(place) + 1):
            before, at = at, pattern.index(SLOT, at + 1)
        words |= {part for piece in pattern[before + 1 : at] for part in word_parts(piece)}
        words |= {"new"} if "->" in pattern[before + 1 : at] else set()
    newer = not words.isdisjoint(NEWER_WORDS) or label.startswith("new")
    older = not words.isdisjoint(OLDER_WORDS) or label.startswith(("old", "prev", "exist"))
    return NEW if newer and not (older and "with" in words) else OLD if older else ""


def _old_and_new(group: Group, sids: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """Return the places of the old and of the new socket id."""
    told = {place: _context(group, place) for place in sids}
    if len(sids) == 2:
        first, second = sids
        backwards = told[first] == NEW and told[second] != NEW
        return {OLD: second, NEW: first} if backwards else {OLD: first, NEW: second}
    if len(sids) == 1:
        return {told[sids[0]] or OLD: sids[0]}
    return {}


def _held_back(found: dict[Statement, Reading], opened: _Read, read_kinds: Collection[str]) -> dict[Statement, Reading]:
    """Return the readings, with the openings as a guess if users return and nothing tells that connections end.

    The words for the ends are unknown then, and all connections would seem to stay open.
    """
    told = {*read_kinds, *(reading.kind for reading in found.values())}
    users = Counter(user for group, reading in opened for user in group.values(reading.places.get(USER)))
    if told != {CONNECTED} or not users or max(users.values()) < 2:
        return found
    return {statement: reading._replace(certain=False) for statement, reading in found.items()}
