"""Search for the connection id and the user in the lines that one logging call of the server (a statement) wrote.

Three things show that a value is such an id: its label (the word or key in front of it), the characters that it
consists of, and other statements that contain it.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import msgspec

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, is_user_label, label_stem, normalize_key
from wscheck.observe.logs.wording.pieces import SLOT
from wscheck.observe.logs.wording.statements import Group, user_in
from wscheck.observe.logs.wording.words import EVENT_VERBS, USER_NOUNS, word_parts

_SOCKET_FORM = lazy_pattern(
    r"(?:/[\w/-]{0,200}#)?(?=[\w-]{0,19}[\dA-Z_-])[A-Za-z0-9_-]{20}|(?=[\w-]{0,21}\d)[A-Za-z0-9_-]{22}"
)
_LONG_FORM = lazy_pattern(r"[0-9a-f]{32}|(?:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
_WEAK_USER_STEMS = frozenset(["client", "device", "host", "agent", "worker", "terminal", "browser", "peer"])
_PREPOSITIONS = frozenset(["as", "for", "by", "of", "from"])
_PART = lazy_pattern(r"[\w$]+")


def is_sid_label(label: str) -> bool:
    *path, last = label.split(".")
    return (
        last in _SID_LABELS
        or (last in {"id", "_id"} and bool(path) and path[-1] in _SID_LABELS)
        or label.endswith(("socketid", "connectionid"))
    )


def is_weak_sid_label(label: str) -> bool:
    return label in _WEAK_SID_LABELS or label_stem(label) in _WEAK_SID_LABELS


def has_socket_form(values: Sequence[str]) -> bool:
    """Return whether all values look like socket ids of Socket.IO or connection ids of SignalR."""
    return _has_form(values, _SOCKET_FORM)


def is_weak_user_label(label: str) -> bool:
    return label_stem(label) in _WEAK_USER_STEMS


def _has_form(values: Sequence[str], form: object) -> bool:
    return bool(values) and all(form.fullmatch(value) is not None for value in values)  # type: ignore[attr-defined]


class Ids(msgspec.Struct):
    """Ids that are known already, from other lines of the log or from the caller.

    sids   socket ids (ids of connections)
    users  ids of users
    keys   dict of each key that the user configured, normalized, to the role of its value (user, sid, ...)
    """

    sids: set[str] = msgspec.field(default_factory=set)
    users: set[str] = msgspec.field(default_factory=set)
    keys: Mapping[str, str] = msgspec.field(default_factory=dict)


def sid_place(group: Group, ends: Collection[str], openings: Collection[str]) -> tuple[str | None, bool]:
    """Return the place of the socket id in the lines of a statement (None if there is none), and if this is certain.

    group     the lines of the statement
    ends      values in the statements that report the end of connections
    openings  values in the statements that report the start of connections
    """
    best: list[tuple[int, str]] = []
    for place in group.places():
        values, label = group.values(place), group.label(place)
        form, several = has_socket_form(values), len(values) > 1
        distinct = len(set(values)) == len(values)
        again = sum(value in (ends if group.kind == CONNECTED else openings) for value in set(values))
        is_of_connection = names_connections(label, values)
        if is_user_label(label) and group.is_keyed(place) and not is_of_connection:
            continue
        if not form and several and len(set(values)) == 1 and len(values) > 2:
            continue
        points = 4 * form + 3 * is_sid_label(label) + 2 * _has_form(values, _LONG_FORM)
        points += (
            3 * is_of_connection + 1 * is_weak_sid_label(label) + 2 * (again > 0) + (several and distinct and again > 0)
        )
        points -= (
            3 * (is_user_label(label) and not form and not is_of_connection)
            + 2 * (label in _PREPOSITIONS and not form)
            + (place[0] == "#")
        )
        if group.kind == CONNECTED and several and not form and not distinct and not is_sid_label(label):
            points -= 3  # a user returns, a socket does not
        best.append((points, place))
    best.sort(key=lambda pair: -pair[0])
    if not best or best[0][0] < 2:
        return None, True
    alone = len(best) == 1 or best[0][0] > best[1][0]
    return best[0][1], alone and best[0][0] >= 3


_PASSING = frozenset(["subscriber", "sub", "viewer", "visitor", "participant", "guest", "handle"])
"""Nouns for a person who has one connection, whose id may be that of the connection."""
_RANDOM_FORM = lazy_pattern(r"(?=.*\d)(?=.*[A-Za-z])[\w-]{8,64}")


def names_connections(label: str, values: Sequence[str]) -> bool:
    """Return whether the values identify connections, although `label` (such as "subscriber") means a person.

    They do if all look random and none occurs twice: the id of a person occurs again when the person returns.
    """
    return (
        label_stem(label) in _PASSING
        and len(values) >= MIN_COUNTED
        and len(set(values)) == len(values)
        and (_has_form(values, _LONG_FORM) or has_socket_form(values) or are_mostly_random(values))
    )


def are_mostly_random(values: Sequence[str]) -> bool:
    """Return whether nearly all values consist of eight or more letters and digits, and none begins like another."""
    heads = {value[:4] for value in values}
    return (
        sum(_RANDOM_FORM.fullmatch(value) is not None for value in values) >= MOST_COUNTED * len(values)
        and len(heads) > len(values) / 2
    )


def user_place(
    group: Group, sid: str | None, known: Collection[str], ended: Collection[str] = ()
) -> tuple[str | None, bool]:
    """Return the place of the user in a statement (None if it has none), and whether this is certain.

    group  the lines of the statement
    sid    place of the socket id, None if the statement has none
    known  users that are already known from other statements or from the caller
    ended  values in the statements that report the end of connections
    """
    open_places = [
        place
        for place in group.places()
        if place != sid
        and place[0] != "#"
        and not _is_noun_of_next(group, place)
        and (not _is_constant(group, place) or (known and share(group.values(place), known) == 1))
    ]
    open_places = [
        place
        for place in open_places
        if is_user_label(group.label(place))
        or not (
            has_socket_form(group.values(place))
            or (not known and not is_weak_user_label(group.label(place)) and counts_up(group.values(place)))
        )
    ]
    labelled = [
        place
        for place in open_places
        if is_user_label(group.label(place)) or _names_user(group.values(place)) or _is_user_of_clause(group, place)
    ]
    if labelled:
        varied = [place for place in labelled if len(set(group.values(place))) > 1]
        return _preferred(varied or labelled, group), True
    again = [place for place in open_places if known and share(group.values(place), known) >= 0.5]
    if len(again) == 1:
        return again[0], True
    told = [place for place in open_places if group.label(place) in _PREPOSITIONS]
    if told:
        return told[0], len(told) == 1
    named = [place for place in open_places if label_stem(group.label(place)) in _WEAK_USER_STEMS]
    others = [place for place in open_places if not is_weak_sid_label(group.label(place)) or place in named]
    held = sid is not None or not USER_NOUNS.isdisjoint(group.words)
    if len(named) == 1:
        returns = len(set(group.values(named[0]))) < len(group.values(named[0]))
        return named[0], held or returns
    others = _without_other_names(others, group, ended)
    if len(others) == 1:
        return others[0], held and (
            not group.is_keyed(others[0]) or not EVENT_VERBS.isdisjoint(word_parts(group.label(others[0])))
        )
    return (others[0], False) if others else (None, True)


def _is_constant(group: Group, place: str) -> bool:
    """Return whether a place contains fixed text, not an id: three or more lines all have the same value there.

    A value in the message is not fixed text if the word in front of it announces an id, such as "user" or "from".
    """
    values, label = group.values(place), group.label(place)
    named = (
        is_user_label(label)
        or (is_sid_label(label) and not _is_one_word(values))  # not in "connection tracked"
        or label in _PREPOSITIONS
        or label_stem(label) in _WEAK_USER_STEMS
    )
    return len(values) > 2 and len(set(values)) == 1 and not (named and place.isdigit())


def _is_noun_of_next(group: Group, place: str) -> bool:
    """Return whether a place contains only a noun, and an id follows it: "notebook" in "of notebook nb-7".

    Several such nouns may follow each other: "claim" and "sub" in "from claim sub: 7".
    """
    if not place.isdigit():
        return False
    pattern = group.statement[1]
    slots = [at for at, piece in enumerate(pattern) if piece == SLOT]
    for at in range(int(place), len(slots) - 1):
        between = pattern[slots[at] + 1 : slots[at + 1]]
        if not _is_one_word(group.values(str(at))) or between not in {(), (":",), ("=",)}:
            return False
        following = group.values(str(at + 1))
        if len(set(following)) > 1:
            return len(set(following)) < len(following)  # the id of a user returns, that of a connection does not
    return False


def _is_one_word(values: Sequence[str]) -> bool:
    return len(set(values)) == 1 and values[0].isalpha()


def _is_user_of_clause(group: Group, place: str) -> bool:
    """Return whether a word such as "userId" begins the clause in which a place is: "UserId from claim sub: 7"."""
    if not place.isdigit():
        return False
    pattern = group.statement[1]
    slots = [at for at, piece in enumerate(pattern) if piece == SLOT]
    for at in range(slots[int(place)] - 1, -1, -1):
        piece = pattern[at]
        if piece in _CLAUSE_ENDS or piece in EVENT_VERBS:
            return False
        if piece == SLOT and not _is_one_word(group.values(str(slots.index(at)))):
            return False
        if piece.startswith("user") and piece != "user" and is_user_label(normalize_key(piece)):
            return True
    return False


_CLAUSE_ENDS = frozenset(".,;()[]{}|")


def _names_user(values: Sequence[str]) -> bool:
    """Return whether the values are rooms or channels that are named after users, such as "private-App.User.7"."""
    return bool(values) and all(user_in(value) != value for value in values)


def _without_other_names(places: Sequence[str], group: Group, ended: Collection[str]) -> list[str]:
    """Return all places, but only one of them if there are two and both name the same users.

    The place stays whose values also occur in the lines about ends. Of "Ann Example (4101)", otherwise the place of
    "4101" stays.

    ended  values in the statements that report the end of connections
    """
    if len(places) != 2:
        return list(places)
    one, other = (group.values(place) for place in places)
    pairs = set(zip(one, other, strict=False))
    if len(one) != len(other) or not 1 < len(pairs) == len(set(one)) == len(set(other)):
        return list(places)

    def rank(place: str) -> tuple[bool, bool, bool]:
        values = group.values(place)
        return share(values, ended) < MIN_ENDED, " " in values[0], not any(map(str.isdigit, values[0]))

    return [min(places, key=rank)]


MIN_ENDED = 0.5
"""Smallest share of values that also occur in lines about ends, from which on they name the users there."""


def _preferred(places: Sequence[str], group: Group) -> str:
    """Return the place with the id of the user, rather than the place with the user's name or address."""
    order = ("userid", "uid", "user.id", "user", "username", "name", "email")
    returning = [place for place in places if len(set(group.values(place))) < len(group.values(place))]
    if returning and len(group.rows) >= MIN_USES:
        places = returning  # an id that differs on each line may be that of the request
    return min(places, key=lambda place: order.index(group.label(place)) if group.label(place) in order else 3)


MIN_USES = 4
"""Number of lines from which on a value that returns is preferred."""

_NUMBER_AT_END = lazy_pattern(r"\D*(\d{1,18})")

MIN_COUNTED, MOST_COUNTED = 10, 0.95
"""Number of lines, and share of the steps from line to line, from which on growing numbers are a counter."""


def counts_up(values: Sequence[str]) -> bool:
    """Return whether the values are numbers that grow (or fall) from line to line, as a server numbers its connections.

    The numbers may start again when the server restarts. Ids of users do not grow: users come in any order.
    """
    found = [_NUMBER_AT_END.fullmatch(value) for value in values]
    numbers = [int(match[1]) for match in found if match is not None]
    if len(values) < MIN_COUNTED or len(numbers) < len(values):
        return False
    steps = [after - before for before, after in pairwise(numbers)]
    return max(sum(step > 0 for step in steps), sum(step < 0 for step in steps)) >= MOST_COUNTED * len(steps)


def share(values: Sequence[str], known: Collection[str]) -> float:
    return sum(value in known for value in values) / max(1, len(values))
