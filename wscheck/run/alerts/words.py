"""The words, keys and limits of a configuration, as the alert rules of every engine need them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from wscheck.detect.rules.rule import RuleOptions
from wscheck.model.policy import PER_TAB
from wscheck.observe.logs.event_builder import NOBODY
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    NEW,
    OLD,
    PAGE,
    REPLACED,
    SID,
    USER,
    LogVocabulary,
    normalize_key,
)
from wscheck.run.alerts.patterns import (
    VALUE,
    Sentence,
    any_of,
    configured_sentence,
    documented_sentence,
    key_patterns,
)

DOCUMENTED_SENTENCES = {
    CONNECTED: "[Ww]eb[Ss]ocket client connected",
    DISCONNECTED: "[Ww]eb[Ss]ocket client disconnected",
    REPLACED: "[Rr]eplacing existing socket for user",
}
DOCUMENTED_KEYS = {
    USER: ("user_id", "user", "user_key", "clerk_user_id", "account_id"),
    SID: ("socket_id", "sid", "socket", "client_id"),
    OLD: (
        *("old_socket_id", "old_sid", "old_socket", "old_id", "old", "existing_socket_id"),
        *("previous_socket_id", "replaced"),
    ),
    PAGE: ("tab_id", "tab", "device_id", "page_id"),
}

NOBODY_PATTERN = rf"(?i:{'|'.join(sorted(each for each in NOBODY if each.isalpha()))}|-|n\x2fa|)"
"""Expression for a whole value that stands for everyone whom the server does not know."""

LOOKBACK_S = 3600
"""Seconds for which an engine looks back for connections that are still open."""
BROKER_TAKEOVERS, BROKER_WINDOW_S = 3, 60
TAKEOVER_PHRASES = ("already connected, closing old connection", "takenover", "discarded")
TAKEOVER_PATTERN = (
    r"(?: already connected, closing old connection\.?|reason: (?:\{shutdown,\s?)?(?:takenover|takeovered|discarded)"
    r"|\x22reason\x22:\s?\x22(?:\{shutdown,\s?)?(?:takenover|takeovered|discarded))"
)
TAKEOVER_CLIENTS = (
    rf"(?:^|[:|\d]\s)Client {VALUE}[^\s]+) already connected",
    rf"(?:^|[^\w])client_?id: {VALUE}[^\s,]+)",
    rf"\x22clientid\x22:\s?\x22{VALUE}[^\x22]+)\x22",
)
"""Takeovers of client ids in the logs of Mosquitto and EMQX (docs/logs.md)."""


class EventWords(NamedTuple):
    """The sentences of one kind of event, and the expressions that find its ids, the most specific first."""

    sentences: tuple[Sentence, ...]
    ids: dict[str, tuple[str, ...]]

    @property
    def pattern(self) -> str:
        """Expression that finds a line about such an event."""
        return any_of(each.pattern for each in self.sentences)


class AlertWords(msgspec.Struct, frozen=True):
    """The words, keys and limits from which alert rules are made.

    A role is the kind of an id, such as user or socket. A key is the name of a value in a log record.

    keys          dict of role to the keys of its id: those of the configuration, then the documented ones
    own_keys      dict of role to the keys of its id in the configuration only
    max_attempts  attempts of one user that are allowed within `window_s` seconds
    allowed       number of connections that a user may have; if `per_page` is true, that each page of a user may have
    structured    True if the engine stores the value of each key of a log record in a field
    """

    connected: EventWords
    disconnected: EventWords
    replaced: EventWords
    keys: dict[str, tuple[str, ...]]
    own_keys: dict[str, tuple[str, ...]]
    max_attempts: int
    window_s: int
    allowed: int
    per_page: bool
    structured: bool

    @property
    def half_attempts(self) -> int:
        """Number of attempts in one fixed time window from which on a user may have exceeded the limit.

        More than `max_attempts` attempts within `window_s` seconds fall into at most two adjacent fixed windows, so at
        least one of these contains half of the attempts.
        """
        return math.ceil((self.max_attempts + 1) / 2)

    def field(self, role: str) -> str:
        """Return the name of the field of a structured record that contains the id of the kind `role`."""
        return self.own_keys.get(role, (CAMEL[role],))[0]


CAMEL = {USER: "userId", SID: "socketId", OLD: "oldSocketId", NEW: "newSocketId", PAGE: "tabId"}
"""The documented names of the ids."""


def alert_words(vocabulary: LogVocabulary, options: RuleOptions, *, structured: bool = False) -> AlertWords:
    """Return the words, keys and limits of a configuration, and (as in `tail-logs`) the documented words and keys."""
    own_keys = {
        role: found
        for role in DOCUMENTED_KEYS
        if (found := tuple(key for each, key in vocabulary.keys if each == role))
    }
    keys = {role: _distinct((*own_keys.get(role, ()), *names)) for role, names in DOCUMENTED_KEYS.items()}
    policy = options.connections
    return AlertWords(
        connected=_event_words(vocabulary, CONNECTED, keys, (USER, SID, PAGE)),
        disconnected=_event_words(vocabulary, DISCONNECTED, keys, (SID,)),
        replaced=_event_words(vocabulary, REPLACED, keys, (USER, OLD)),
        keys=keys,
        own_keys=own_keys,
        max_attempts=options.max_attempts,
        window_s=max(1, math.ceil(options.attempts_window_s)),
        allowed=policy if isinstance(policy, int) else 1,
        per_page=policy == PER_TAB,
        structured=structured,
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    return tuple({normalize_key(name): name for name in reversed(names)}.values())[::-1]


def _event_words(
    vocabulary: LogVocabulary, kind: str, keys: dict[str, tuple[str, ...]], roles: Sequence[str]
) -> EventWords:
    own = [configured_sentence(marker) for each, marker in vocabulary.markers if each == kind]
    sentences = (*own, documented_sentence(DOCUMENTED_SENTENCES[kind]))
    ids = {role: (*(each.ids[role] for each in own if role in each.ids), *key_patterns(keys[role])) for role in roles}
    return EventWords(sentences, ids)
