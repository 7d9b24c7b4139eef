"""English words of connection logs, and the kind of event that a sentence of such words reports."""

from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, REPLACED, USER_STEMS, word_set


def _inflected(verbs: str) -> frozenset[str]:
    """Return the forms of regular verbs: for "evict", these are "evict", "evicts", "evicted" and "evicting"."""
    stems = [(verb, verb.removesuffix("e")) for verb in verbs.split()]
    return frozenset(f for verb, stem in stems for f in (verb, f"{verb}s", f"{stem}ed", f"{stem}ing"))


CONNECT_VERBS = word_set(
    "connected connects connect reconnected join joined joins opened opens open online established accepted attached"
)
END_VERBS = word_set(
    "disconnected disconnects disconnect disconnecting closed closes close closing left leave leaves offline gone lost "
    "dropped drops terminated terminating ended detached exited quit"
)
ARRIVALS = word_set(
    "registered registers register created added authenticated authorized identified subscribed started starting up "
    "arrived entered new incoming logged signed mapped associated bound assigned handshake ready hello back online "
    "begin begins began"
)
"""Words that report a new connection if the ids on their lines confirm it."""
DEPARTURES = word_set(
    "unregistered unregisters unregister deregistered deregister removed destroyed deleted finished down "
    "unsubscribed stopped expired released cleanup evicted bye logout unmapped unbound purged aborted "
    "finish finishes end ends"
)
"""Words that report the end of a connection if the ids on their lines confirm it."""
CONNECTION_NOUNS = word_set(
    "socket sockets websocket websockets ws wss io connection connections session sessions conn channel stream "
    "transport peer tab tabs login logins"
)
HOLDER_NOUNS = word_set(
    "user users client clients member player customer account device host viewer agent operator visitor subscriber "
    "participant guest worker terminal browser person employee driver author editor rider courier waiter waitress "
    "bidder buyer seller trader dealer teacher student pupil patient nurse doctor passenger caller staff clerk cashier "
    "dispatcher picker attendee spectator moderator gamer tenant resident"
)
"""Nouns for users and clients that have a connection."""

_REPLACE_VERBS = _inflected("replace supersede kick displace override") | word_set(
    "evict evicting bumped bumping ousted ejected ejecting takeover overridden"
)
_FORCE_VERBS = _inflected("push force boot knock squeeze") | word_set("throw throws throwing threw thrown")
"""Verbs that report a replacement if "out" or "off" follows them: "thrown out"."""
_CLOSING = (
    END_VERBS
    | _inflected("terminate remove end force invalidate detach close disconnect release retire sever")
    | word_set("disconnection dropping drop logging")
)
_TAKE_VERBS = word_set("take takes taken taking took")
OLDER_WORDS = word_set("old older previous prior existing earlier duplicate other stale another former first")
NEWER_WORDS = word_set("new newer latest replacement by favor favour")
_FAVOUR = word_set("favor favour")

REFUSALS = word_set(
    "reject rejected rejects rejecting refuse refused refuses refusing deny denied denies denying unauthorized "
    "forbidden declined"
)
"""Words with which a sentence reports that an attempt to connect was refused."""

USER_NOUNS = HOLDER_NOUNS - word_set("client clients device host agent worker terminal browser viewer tenant")
"""Nouns for persons."""

NEGATIONS = word_set(
    "failed fails failing failure error errors refused rejected denied unable cannot could not never no attempt "
    "attempting attempts trying try retry retrying waiting would should must if when whether are please "
    "invalid unauthorized forbidden timeout aborted"
)
"""Words with which a sentence does not report that a connection opened."""

_UNDER_WAY = REFUSALS | word_set("connecting opening joining")
"""Words for an attempt and its refusal that are no events of their own."""

FOREIGN_NOUNS = word_set(
    "room rooms order orders ticket tickets file files database db mongodb mongo mongoose redis postgres postgresql "
    "mysql mariadb sqlite kafka rabbitmq amqp mqtt nats memcached elasticsearch queue cache cached profile config "
    "configuration printer game games document documents lock broker message messages topic invoice cart door "
    "window lobby group team project issue pull upstream backend pool cluster replica shard store bucket ldap smtp "
    "imap"
)
"""Nouns of other things that open, close, connect, or are joined and left."""

WORK_NOUNS = word_set(
    "job jobs task tasks request requests query queries transaction transactions payment payments order orders build "
    "deploy deployment upload download import export report backup migration test step span trace mail email sms "
    "webhook callback timer cron batch record row event call"
)
"""Nouns of work that starts and ends as connections do."""

COUNT_WORDS = word_set(
    "total count counts number num size active online current currently clients connections sockets users sessions "
    "now open connected remaining left all members peers players viewers in tab tabs devices windows"
)

FUNCTION_WORDS = word_set(
    "a an and as at be because been being by due for from had has have he her him his i in into is it its of off on "
    "out over own she so than that the their them then there they this those through to too via was we were which "
    "while who with within without you your or but do does did done also again already just once only still yet "
    "successfully success ok called here after before until since during per about against between both each every "
    "same new id ids uid uuid user"
)

OTHER_WORDS = word_set(
    "address async auth authentication authenticated away backend bot browser cable called came channel client code "
    "connecting cookie count data debug default desktop detail details device dropped duration email endpoint "
    "engine event events existing expired explicit exit first followed following forced found gateway got guest "
    "handle handled handler handling has header hub hubs id info initial initialized ip joining keep kept key "
    "kicked language last later leaving level likely listener listening local log login logged manager mobile mode "
    "name namespace namespaces network normal notification notifications off on opening origin packet page pid ping "
    "pinged polling pong process protocol ready reason received reconnect reconnecting reconnection refresh "
    "refreshed region remote removing replaced request requested res resource result role route running safari "
    "secure sending sent server session shutdown shutting sid signed since size slow ssl stale started state status "
    "stopped store success tab tenant terminating time timed timeout timestamp tls token total transport type "
    "unexpected unknown unload upgrade upgraded url using version visitor window with worker reload navigated "
    "service system admin anonymous dashboard closed close closing error going abnormal clean peer reset heartbeat "
    "idle inactivity inactive missed switch mid policy violation overload normally gracefully immediately manually "
    "remotely second third twice elsewhere went completed completes longer anymore"
)

_IN, _OUT = frozenset(("in", "on")), frozenset(("out", "off", "away"))
_MOVEMENTS = word_set(
    "sign signs signed log logs logged check checks checked clock clocks clocked dial dials dialed dialled tune tunes "
    "tuned switch switches switched plug plugs plugged step steps stepped walk walks walked hop hops hopped jump jumps "
    "jumped drop drops dropped come comes came go goes went"
)
_PHRASES = (
    {(verb, particle): CONNECTED for verb in _MOVEMENTS for particle in _IN}
    | {(verb, "down"): CONNECTED for verb in ("sit", "sits", "sat")}
    | {(verb, away): DISCONNECTED for verb in _MOVEMENTS | {"fall", "falls", "fell", "cut", "cuts"} for away in _OUT}
    | {(verb, "up"): DISCONNECTED for verb in ("stand", "stands", "stood", "hang", "hangs", "hung", "got", "gave")}
    | {(verb, "down"): DISCONNECTED for verb in ("shut", "shuts", "went", "goes", "taken", "torn")}
    | {("let", "go"): DISCONNECTED, ("lets", "go"): DISCONNECTED, ("no", "longer"): DISCONNECTED}
)
"""Verbs with a particle, and the kind of event that the two report if ids confirm it."""

VOCABULARY = (
    CONNECT_VERBS
    | END_VERBS
    | ARRIVALS
    | DEPARTURES
    | CONNECTION_NOUNS
    | HOLDER_NOUNS
    | _REPLACE_VERBS
    | _CLOSING
    | _TAKE_VERBS
    | OLDER_WORDS
    | _FAVOUR
    | NEGATIONS
    | FUNCTION_WORDS
    | COUNT_WORDS
    | FOREIGN_NOUNS
    | OTHER_WORDS
    | frozenset(verb for verb, _ in _PHRASES)
    | _FORCE_VERBS
    | (USER_STEMS - {"sub", "acc"})
)
"""Words that are part of a sentence and never an id."""

_PART = lazy_pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def word_parts(word: str) -> list[str]:
    """Return the lower-case parts of a word: `handleDisconnect` consists of "handle" and "disconnect"."""
    if not word.isascii():
        return [word.lower()]
    parts = _PART.findall(word.replace("WebSocket", "Websocket").replace("webSocket", "websocket"))
    return [_spelled(each) for part in parts for each in _without_ws(part.lower())]


SHORTEST_MISSPELLED = 7
"""Fewest letters of a word in which a missing, doubled or exchanged letter is recognised."""


def _spelled(word: str) -> str:
    """Return the correct verb for a word with one wrong letter: "disconnected" for "disconected".

    A letter may be missing, doubled, or exchanged with the next one. Return any other word unchanged.
    """
    if len(word) < SHORTEST_MISSPELLED or word in VOCABULARY or word in WORK_NOUNS:
        return word
    known = _misspellings()
    shorter = (each for each in _with_one_letter_less(word) if known.get(each) == each)
    return known.get(word) or next(shorter, word)


@cache
def _misspellings() -> dict[str, str]:
    """Return a dict of spelling to verb: each verb, without one of its letters, and with two letters exchanged."""
    verbs = [
        verb for verb in sorted(CONNECT_VERBS | END_VERBS | DEPARTURES | ARRIVALS) if len(verb) > SHORTEST_MISSPELLED
    ]
    found = {verb: verb for verb in verbs}
    for verb in verbs:
        exchanged = (f"{verb[:at]}{verb[at + 1]}{verb[at]}{verb[at + 2 :]}" for at in range(1, len(verb) - 1))
        for form in (*_with_one_letter_less(verb), *exchanged):
            found.setdefault(form, verb)
    return found


def _with_one_letter_less(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at in range(1, len(word))]


def _without_ws(part: str) -> list[str]:
    """Return "ws" and the verb for a part such as "wsconnect", otherwise the part alone."""
    verb = part.removeprefix("ws")
    return ["ws", verb] if verb != part and (verb in EVENT_VERBS or verb in NEGATIONS or verb in _UNDER_WAY) else [part]


def is_ordinary(word: str) -> bool:
    """Return whether all parts of a word are in the vocabulary."""
    parts = word_parts(word)
    return bool(parts) and all(part in VOCABULARY for part in parts)


class Meaning(NamedTuple):
    """Kind of event that a log message reports, "" for none.

    is_plain  the words report the event on their own; otherwise an id must confirm it
    """

    kind: str
    is_plain: bool


NO_MEANING = Meaning("", is_plain=False)


def find_meaning(words: Sequence[str]) -> Meaning:
    """Return the kind of event that a sentence reports, given its words in lower case and in their order."""
    known = frozenset(words)
    if not known.isdisjoint(FOREIGN_NOUNS):
        return NO_MEANING
    if _is_replacement(words, known):
        return Meaning(REPLACED, is_plain=True)
    if not known.isdisjoint(_REPLACE_VERBS) or any(
        (_is_taken_over(known), _is_forced_out(words), "already" in known and _closes_that_one(words))
    ):
        return Meaning(REPLACED, is_plain=False)
    phrase = next((kind for pair in pairwise(words) if (kind := _PHRASES.get(pair)) is not None), None)
    if phrase is not None and known.isdisjoint(CONNECT_VERBS | END_VERBS):
        return Meaning(phrase, is_plain=False)
    found = (
        _first_kind(words, END_VERBS, CONNECT_VERBS, is_plain=True)
        or _first_kind(words, DEPARTURES, ARRIVALS, is_plain=False)
        or _completed(words)
        or _first_kind(words, frozenset({"disconnection"}), frozenset({"connection"}), is_plain=False)
    )
    negated = found is not None and found.kind == CONNECTED and not known.isdisjoint(NEGATIONS)
    return found if found is not None and not negated else NO_MEANING


def _first_kind(
    words: Sequence[str], ends: frozenset[str], starts: frozenset[str], *, is_plain: bool
) -> Meaning | None:
    """Return the meaning of the first word that is in `ends` or `starts`, None if there is no such word.

    A word followed by "off" or "out", such as "signed out", reports an end.

    is_plain  see `Meaning`
    """
    for word, behind in zip(words, [*words[1:], ""], strict=False):
        if word in ends or word in starts:
            is_end = word in ends or behind in {"off", "out"}
            return Meaning(DISCONNECTED if is_end else CONNECTED, is_plain=is_plain)
    return None


def _completed(words: Sequence[str]) -> Meaning | None:
    """Return the meaning DISCONNECTED if "completed" directly follows a noun for a connection, otherwise None.

    "connection completed" reports an end. "connection check completed" and "handshake completed" do not.
    """
    is_end = any(word in CONNECTION_NOUNS and after == "completed" for word, after in pairwise(words))
    return Meaning(DISCONNECTED, is_plain=False) if is_end else None


def _is_replacement(words: Sequence[str], known: frozenset[str]) -> bool:
    """Return whether the words report that a connection ended because the same user opened another one."""
    if known.isdisjoint(CONNECTION_NOUNS | HOLDER_NOUNS):
        return False
    is_closing = not known.isdisjoint(_CLOSING)
    was_there = "already" in known and not known.isdisjoint(CONNECT_VERBS | {"has", "exists"})
    return (
        not known.isdisjoint(_REPLACE_VERBS)
        or was_there
        or ("already" in known and _closes_that_one(words))
        or (is_closing and not known.isdisjoint(OLDER_WORDS) and _qualifies_connection(words))
        or (is_closing and not known.isdisjoint(_FAVOUR))
        or _opens_and_closes(words)
        or (_is_taken_over(known) and not known.isdisjoint(CONNECTION_NOUNS))
    )


def _closes_that_one(words: Sequence[str]) -> bool:
    """Return whether words such as "closing it" or "detaching that one" are about a connection named before them."""
    return any(verb.endswith("ing") and verb in _CLOSING and that in _THAT for verb, that in pairwise(words))


_THAT = OLDER_WORDS | {"that", "it", "this", "the"}


def _is_forced_out(words: Sequence[str]) -> bool:
    return any(verb in _FORCE_VERBS and particle in _OUT for verb, particle in pairwise(words))


def _is_taken_over(known: frozenset[str]) -> bool:
    return "over" in known and not known.isdisjoint(_TAKE_VERBS)


CLOSING_ANOTHER = word_set(
    "disconnecting closing terminating dropping removing ending kicking closed disconnected terminated dropped"
)
"""Verbs behind which the connection that ended is named."""
_OPENING = CONNECT_VERBS | word_set("login logged signed started reconnecting")


def _opens_and_closes(words: Sequence[str]) -> bool:
    """Return whether a clause about closing follows a clause about a new connection: "opened a new tab, closing ...".

    A noun must follow the verb, because "new connection opened and closed" reports one connection.
    """
    opening = next((at for at, word in enumerate(words) if word in _OPENING), None)
    if opening is None or not {"new", "another", "again", "elsewhere", "second", "twice"} & set(words):
        return False
    later = words[opening + 1 :]
    closing = next((at for at, word in enumerate(later) if word in CLOSING_ANOTHER), None)
    return closing is not None and any(word in CONNECTION_NOUNS for word in later[closing + 1 :])


def replaces(words: Collection[str]) -> bool:
    """Return whether one of the words means a replacement ("replaced"), of a connection or of anything else."""
    return not _REPLACE_VERBS.isdisjoint(words)


def _qualifies_connection(words: Sequence[str]) -> bool:
    """Return whether a word such as "old" or "existing" stands in front of a noun for a connection or its user."""
    for at, word in enumerate(words):
        if word in OLDER_WORDS and any(
            near in CONNECTION_NOUNS or near in HOLDER_NOUNS for near in words[at + 1 : at + 4]
        ):
            return True
    return False


EVENT_VERBS = CONNECT_VERBS | END_VERBS | ARRIVALS | DEPARTURES | _REPLACE_VERBS | {"disconnection", "completed"}
_REPORTS = lazy_pattern(
    r"(?i)connect|join|open|online|establish|accept|attach|clos|left|leave|offline|gone|lost|drop|terminat|ended|detach|"
    r"exited|quit|abort|complet|purg|regist|creat|added|auth|identif|subscri|start|\bup\b|arriv|enter|new |incoming|"
    r"logged|signed|mapp|"
    r"associat|bound|assign|handshak|ready|hello|back|remov|destroy|delet|finish|down|stopp|expir|releas|cleanup|bye|logout|"
    r"beg[ai]n|\bends?\b|longer|\bsat\b|stood|hung|replac|supersed|eject|kick|evict|displac|bump|oust|take|took|duplic|overr|already|favou?r"
)


def reports_event(text: str) -> bool:
    """Return whether a text may contain a word for an event."""
    return _REPORTS.search(text) is not None
