"""Columns: the values at one place in the lines of a statement (one logging call), and what these values name.

The labels of the values, the words around them and their form distinguish ids of connections
from ids of users, from addresses and from ids of other things.
"""

from collections import defaultdict
from itertools import pairwise

import msgspec

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import is_user_label, label_stem, word_set
from wscheck.observe.logs.wording.id_places import is_sid_label
from wscheck.observe.logs.wording.pieces import SLOT
from wscheck.observe.logs.wording.server_words import ADDRESS, MIN_PAIRS, is_number_of_prefix
from wscheck.observe.logs.wording.statements import Group, spoken_words
from wscheck.observe.logs.wording.words import (
    CONNECTION_NOUNS,
    EVENT_VERBS,
    FOREIGN_NOUNS,
    FUNCTION_WORDS,
    WORK_NOUNS,
    word_parts,
)


class Column(msgspec.Struct):
    """Values at one place in the lines of a statement (one logging call of the server).

    lines  dict of value to the positions in the log of the lines that contain it
    """

    group: Group
    place: str
    lines: dict[str, list[int]]

    @property
    def count(self) -> int:
        return sum(map(len, self.lines.values()))


def names_connection_ids(column: Column) -> bool:
    """Return whether the label of the values, the words around them, or the name of the logger speak of connections."""
    group, label = column.group, column.group.label(column.place)
    if is_sid_label(label) or label_stem(label) in _CONNECTION_LABELS:
        return True
    message = group.rows[0].message
    named = (text for found in _PROGRAM_PART.finditer(group.rows[0].text) for text in found.groups() if text)
    words = (part for text in (message.stamp, *named) for word in _SPOKEN.findall(text) for part in word_parts(word))
    return not {*group.words, *words}.isdisjoint(_CONNECTION_WORDS) and not is_user_label(label)


_CONNECTION_WORDS = CONNECTION_NOUNS - {"tab", "tabs", "peer", "login", "logins", "transport", "io"} | word_set(
    "hub gateway realtime live sse eventsource emitter signalr presence link line uplink longpoll pubsub subscriber "
    "subscribers subscription subscriptions cable lobby sock wire feed push streams channels stomp sockjs centrifugo "
    "pusher endpoint handshake upgrade notifier tunnel pipe"
)
"""Words, also in names of modules, for a connection or for the part of a server that holds connections."""
_CONNECTION_LABELS = word_set(
    "sock skt cid conn connection socket ws channel stream link line wire feed sub subscription emitter pipe tunnel "
    "uplink sse eventsource handle transport peer"
)
"""Labels of ids that a server gives to connections."""
_PROGRAM_PART = lazy_pattern(
    r"""(?ix)["']?\b(?:mod|module|logger|log|target|component|comp|scope|subsystem|context|ctx|category|source|src|caller
    |file|class|area|unit|sourcecontext|logger_name|logger\.name|log\.logger)["']?\s*[=:]\s*(?:"([^"]{1,120})"|([\w./:$-]{1,120}))"""
)
"""Name of the part of the program that wrote a line, as a field."""


_METHODS = frozenset(("get", "head", "post", "put", "patch", "delete", "options"))
"""Methods of HTTP. The line of a request says when it was answered, and not that something starts or ends."""


def is_about_other_things(group: Group) -> bool:
    """Return whether a statement is about something other than a connection: a room, an order, a job, a request.

    Fields in parentheses at the end of the message are ignored, as in `left, Close(code=1001, message=)`.
    """
    pattern = group.statement[1]
    if any(word in _METHODS and path == "/" for word, path in pairwise(pattern)):
        return True
    opening = len(pattern) - pattern[::-1].index("(") - 1 if pattern[-1:] == (")",) and "(" in pattern else 0
    words = pattern[:opening] if SLOT in pattern[:opening] and "=" in pattern[opening:] else pattern
    foreign = spoken_words(words) & (FOREIGN_NOUNS | WORK_NOUNS)
    if not foreign:
        return False
    labels = {group.label(place) for place in group.columns}
    named = {label_stem(label) for label in labels if label}
    is_connection = any(
        is_sid_label(group.label(place)) and len(set(values := group.values(place))) == len(values) >= MIN_PAIRS
        for place in group.columns
    )
    return not is_connection or not named.isdisjoint(foreign) or not foreign.isdisjoint(WORK_NOUNS)


def mentions_connection(group: Group) -> bool:
    """Return whether the lines of a statement name a connection, or a thing that connected or disconnected.

    The first line decides, including any reason in it: "stream of ann closed", "Charge point disconnected: c7".
    """
    words = _parts(group.rows[0].message.text)
    if not CONNECTION_NOUNS.isdisjoint(words):
        return True
    fixed = [piece for piece in group.statement[1] if piece != SLOT]
    numbered = [group.values(place) for place in group.columns if place.isdigit()]
    fixed += [values[0] for values in numbered if len(set(values)) == 1]
    nouns = {part for text in fixed for part in _parts(text)} - EVENT_VERBS - FUNCTION_WORDS
    return bool(nouns) and not group.words.isdisjoint(("connected", "disconnected"))


def _parts(text: str) -> list[str]:
    return [part for word in _SPOKEN.findall(text) for part in word_parts(word)]


_SPOKEN = lazy_pattern(r"[^\W\d_]+")


def names_users_at_end_only(end: Column, user: str, sid: Column) -> bool:
    """Return whether a label names the user in the lines about ends of connections, but not in those about starts.

    end   ids in the lines about the end
    user  place in the lines about the start at which the user might be
    sid   ids in the lines about the start
    """
    labels = (end.group.label(place) for place in end.group.columns if place != end.place)
    return any(map(is_user_label, labels)) and not is_user_label(sid.group.label(user))


def is_number_tag(column: Column) -> bool:
    """Return whether the values are numbers in front of the message, which identify a process or a thread."""
    return all(is_number_of_prefix(column.place, value) for value in column.lines)


def are_addresses(column: Column) -> bool:
    """Return whether all values are addresses. An address is taken for a user only if nothing else can be the user."""
    return column.place.endswith("@") or all(ADDRESS.fullmatch(value) is not None for value in column.lines)


def users_by_id(sid: Column, user: Column) -> dict[str, str]:
    """Return a dict of socket id to the user on the first line that contains this id."""
    by_line = {at: value for value, lines in user.lines.items() for at in lines}
    return {value: by_line[lines[0]] for value, lines in sid.lines.items() if lines[0] in by_line}


def values_beside(sid: Column) -> dict[str, set[str]]:
    """Return a dict of id to the other values on the lines of this id."""
    found = defaultdict[str, set[str]](set)
    ids = [slot.value if slot is not None else None for slot in sid.group.columns[sid.place]]
    for place, slots in sid.group.columns.items():
        for value, slot in zip(ids, slots, strict=True):
            if value is not None and slot is not None and place != sid.place:
                found[value].add(slot.value)
    return found
